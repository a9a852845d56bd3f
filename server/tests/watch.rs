//! What `cargo leptos watch` needs: its table in the root's manifest names what is there, and the
//! program serves and reloads its pages as cargo-leptos says.
//!
//! Runs no cargo-leptos, which takes ten minutes to build; `scripts/watch` does.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};
use testkit::{Launch, Program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
/// Where the program listens that is told nothing.
const PORT_USUAL: u16 = 3000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of the workspace")
}

/// What cargo says of this workspace; asks nothing of the network.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    serde_json::from_slice(&output.stdout).expect("what cargo metadata prints")
}

fn strings(value: &Value) -> BTreeSet<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn package<'a>(metadata: &'a Value, name: &Value) -> &'a Value {
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages.find(|package| package["name"] == *name);
    found.unwrap_or_else(|| panic!("there is no package {name}"))
}

/// Whether a package has something of this kind (`bin`, `cdylib`) with this name.
fn has_target(package: &Value, kind: &str, name: &Value) -> bool {
    let mut targets = package["targets"].as_array().into_iter().flatten();
    targets.any(|target| strings(&target["kind"]).contains(kind) && target["name"] == *name)
}

#[test]
fn the_table_of_cargo_leptos_names_packages_and_files_that_exist() {
    let metadata = metadata();
    let table = &metadata["metadata"]["leptos"][0];
    let bin = package(&metadata, &table["bin-package"]);
    assert!(has_target(bin, "bin", &table["bin-target"]), "{}", table["bin-target"]);
    // Else it starts a file named as the package.
    assert_eq!(table["bin-exe-name"], table["bin-target"]);
    let lib = package(&metadata, &table["lib-package"]);
    assert!(has_target(lib, "cdylib", &table["lib-package"]), "{}", table["lib-package"]);
    for feature in strings(&table["lib-features"]) {
        assert!(lib["features"][feature].is_array(), "{feature} is no feature of the library");
    }
    let mut paths = vec![table["style-file"].as_str(), table["assets-dir"].as_str()];
    paths.extend(strings(&table["watch-additional-files"][0]["paths"]).into_iter().map(Some));
    paths
        .extend(table["bin-cargo-args"].as_array().into_iter().flatten().last().map(Value::as_str));
    for path in paths {
        let path = path.expect("a path");
        assert!(root().join(path).exists(), "there is no {path}");
    }
    // The site of the released program goes into it.
    assert_ne!(table["site-root"], "CARGO_TARGET_DIR/site");
}

#[test]
fn the_quick_builds_name_every_package_of_the_program() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let names: BTreeSet<&str> = packages.filter_map(|package| package["name"].as_str()).collect();
    // The pages are unoptimised in every native build; the others are in none.
    let others = ["app", "hydrate", "testkit"];
    let wanted: BTreeSet<&str> = names.into_iter().filter(|name| !others.contains(name)).collect();
    let file = fs::read_to_string(root().join("scripts/watch.toml")).expect("the file");
    let heads = file.lines().filter_map(|line| line.strip_prefix("[profile.release.package."));
    let given: BTreeSet<&str> = heads.filter_map(|rest| rest.strip_suffix(']')).collect();
    assert_eq!(given, wanted, "left: scripts/watch.toml, right: the packages");
}

/// A program with this folder as its site, as cargo-leptos starts it.
fn watched(site: &Path, data: &Path) -> Launch {
    let arguments = ["--data-dir", &data.to_string_lossy(), "--load", "0"];
    Launch::new(PROGRAM)
        .args(&arguments)
        .env("LEPTOS_WATCH", "true")
        .env("LEPTOS_OUTPUT_NAME", "vitrine")
        .env("LEPTOS_SITE_ROOT", &site.to_string_lossy())
        .env("LEPTOS_SITE_PKG_DIR", "pkg")
        .env("LEPTOS_SITE_ADDR", "127.0.0.1:0")
        .env("LEPTOS_RELOAD_PORT", "4567")
}

fn site() -> tempfile::TempDir {
    let site = tempfile::tempdir().expect("a folder");
    fs::create_dir(site.path().join("pkg")).expect("a folder");
    for (name, content) in [("vitrine.css", "a style"), ("vitrine.wasm", "the pages")] {
        fs::write(site.path().join("pkg").join(name), content).expect("a file");
    }
    site
}

#[tokio::test]
async fn under_cargo_leptos_watch_pages_ask_for_its_files_and_listen_to_it() {
    let (site, data) = (site(), tempfile::tempdir().expect("a folder"));
    let mut program: Program = watched(site.path(), data.path()).spawn();
    let address = program.address().await;
    assert_ne!(address.port(), PORT_USUAL, "LEPTOS_SITE_ADDR was not heeded");
    let client = testkit::Client::new(address);
    let answer = client.get("/orders").await;
    let (page, policy) = (answer.text(), answer.header("content-security-policy").to_owned());
    assert!(page.contains("href=\"/pkg/vitrine.css\""), "{page}");
    assert!(page.contains("live_reload") && page.contains("4567"), "it does not listen: {page}");
    assert!(policy.contains("connect-src 'self' ws://*:4567;"), "it may not listen: {policy}");
    for (path, content) in [
        ("/pkg/vitrine.css", "a style"),
        ("/pkg/vitrine.wasm", "the pages"),
        ("/pkg/vitrine_bg.wasm", "the pages"),
    ] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, content), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    program.stop().await;
}

#[tokio::test]
async fn without_cargo_leptos_a_page_listens_to_nothing_else_and_its_files_have_a_version() {
    let (site, data) = (site(), tempfile::tempdir().expect("a folder"));
    let launch = Launch::shop(PROGRAM, data.path(), "0");
    let launch = launch.env("LEPTOS_SITE_ROOT", &site.path().to_string_lossy());
    let (program, client) = launch.env("LEPTOS_RELOAD_PORT", "4567").start().await;
    let answer = client.get("/orders").await;
    assert!(!answer.text().contains("live_reload"));
    assert!(!answer.header("content-security-policy").contains("ws:"));
    assert_eq!(client.get("/pkg/vitrine.css").await.status, 404);
    program.stop().await;
}
