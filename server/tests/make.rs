//! What `make` and the scripts bring along or ask for, before anything is built.
//!
//! Builds nothing: make is asked what it would do, a script is given steps that only tell what they
//! are, or a machine without tools.

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

/// The command by which make would run these tests.
fn command(tests: &str) -> String {
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

/// The steps that the script would take for them, a line each: its own copy of it, beside a `step`
/// that tells what it was given.
fn steps(tests: &str) -> String {
    let checkout = tempfile::tempdir().expect("a folder");
    let scripts = checkout.path().join("scripts");
    fs::create_dir(&scripts).expect("a folder");
    for name in ["lib.sh", "test-unit"] {
        fs::copy(root().join("scripts").join(name), scripts.join(name)).expect("a script");
    }
    let step = scripts.join("step");
    fs::write(&step, "#!/bin/sh\nshift\necho \"$@\"\n").expect("a script");
    fs::set_permissions(&step, fs::Permissions::from_mode(0o755)).expect("permissions");
    let output = Command::new(program("bash"))
        .arg(scripts.join("test-unit"))
        .args(tests.split_whitespace())
        .env("VITRINE_CACHE", checkout.path().join("cache"))
        .env("CARGO_TARGET_DIR", checkout.path().join("target"))
        .output()
        .expect("bash");
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
        ("--workspace", true),
        ("-p server --test=collector", true),
        ("-p telemetry -p mesh", true),
        ("-p mesh breaker", false),
        ("-p mesh collector_of_hits", false),
        ("-p shop --test collectors", false),
        ("-p mesh telemetry", false),
    ] {
        let steps = steps(tests);
        assert_eq!(steps.contains("scripts/setup-rotel"), wanted, "{tests}: {steps}");
        let named = if tests.is_empty() { "--workspace --exclude hydrate" } else { tests };
        assert!(steps.ends_with(&format!("scripts/test-native {named}\n")), "{tests}: {steps}");
        assert_eq!(command(tests).trim(), format!("scripts/test-unit {tests}").trim());
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
