//! What `make` and the scripts bring along or ask for, before anything is built.
//!
//! Builds nothing: make is asked what it would do, and a script is given a machine without tools.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    server.parent().unwrap_or(server).to_path_buf()
}

/// The commands by which make would run these tests.
fn steps(tests: &str) -> String {
    let mut make = Command::new("make");
    // Nothing of the make that runs this test.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "TESTS"] {
        make.env_remove(name);
    }
    let asked = make.current_dir(root()).args(["--dry-run", "test-unit"]);
    let output = asked.arg(format!("TESTS={tests}")).output().expect("make");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_collector_is_fetched_for_the_tests_that_need_it_and_for_no_others() {
    for (tests, wanted) in [
        ("", true),
        ("-p telemetry --test otlp --test otlp_tls", true),
        ("-p server --test collector", true),
        ("-p telemetry", true),
        ("-p telemetry --lib", false),
        ("-p server --test api", false),
        ("-p mesh breaker", false),
    ] {
        let steps = steps(tests);
        assert_eq!(steps.contains("scripts/setup-rotel"), wanted, "{tests}: {steps}");
        assert!(steps.contains("scripts/test-native"), "{tests}: {steps}");
    }
}

/// Where a program of this machine is.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("a path");
    let found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.into_iter().find(|file| file.is_file()).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_machine_without_a_c_compiler_is_told_so_before_anything_is_compiled() {
    let machine = tempfile::tempdir().expect("a folder");
    let tools = machine.path().join("tools");
    fs::create_dir(&tools).expect("a folder");
    for name in ["dirname", "mkdir"] {
        symlink(program(name), tools.join(name)).expect("a link");
    }
    // It tells when it is asked for anything.
    let cargo = tools.join("cargo");
    fs::write(&cargo, "#!/bin/sh\necho cargo was run >&2\n").expect("a script");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("permissions");
    for (script, args) in [("run", &["--build-only"][..]), ("step", &["tests", "cargo"])] {
        let output = Command::new(program("bash"))
            .arg(root().join("scripts").join(script))
            .args(args)
            .env("PATH", &tools)
            .env("VITRINE_CACHE", machine.path().join("cache"))
            .env("CARGO_TARGET_DIR", machine.path().join("target"))
            .output()
            .expect("bash");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{script}: {said}");
        assert_eq!(said.lines().count(), 1, "{script}: {said}");
        assert!(
            said.contains("C compiler") && said.contains("build-essential"),
            "{script}: {said}"
        );
    }
}
