//! The direction between the packages, as a test: who may depend on whom.
//!
//! Asks cargo what the manifests say and compares it with one table. A new package needs a row
//! here, and a new arrow is a decision to be made here first. Does not look at source files.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The packages that carry one idea each and know nothing of each other.
const ENGINES: &[&str] =
    &["event_sourcing", "istio", "mesh", "messaging", "saga", "telemetry", "two_phase_commit"];

/// What each package may depend on.
const ALLOWED: &[(&str, &[&[&str]])] = &[
    ("contract", &[]),
    ("app", &[&["contract"]]),
    ("hydrate", &[&["app", "contract"]]),
    ("base", &[&["contract"]]),
    ("event_sourcing", &[&["base", "contract"]]),
    ("istio", &[&["base", "contract"]]),
    ("mesh", &[&["base", "contract", "istio"]]),
    ("messaging", &[&["base", "contract"]]),
    ("saga", &[&["base", "contract"]]),
    ("telemetry", &[&["base", "contract"]]),
    ("two_phase_commit", &[&["base", "contract"]]),
    (
        "shop",
        &[
            &["base", "contract", "mesh", "messaging"],
            &["event_sourcing", "saga", "two_phase_commit"],
        ],
    ),
    ("storage", &[&["base", "contract", "shop"], ENGINES]),
    ("testkit", &[&["base", "contract", "shop", "storage"], ENGINES]),
    ("server", &[&["app", "base", "contract", "shop", "storage"], ENGINES]),
];

/// Only tests may lean on this one.
const TESTS_ONLY: &str = "testkit";
/// What the browser loads is built from these.
const BROWSER: &[&str] = &["app", "contract", "hydrate"];
/// These need an operating system, so they must not reach the browser.
const NATIVE: &[&str] = &["axum", "hyper", "mio", "reqwest", "sqlx", "tokio", "tower-http"];

#[test]
fn every_package_has_a_row_in_the_table() {
    let packages: BTreeSet<String> = packages().into_iter().map(|package| package.name).collect();
    let rows: BTreeSet<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();

    assert_eq!(packages, rows, "left: the packages, right: the rows of ALLOWED");
}

#[test]
fn packages_depend_only_in_the_allowed_direction() {
    let mut wrong = Vec::new();
    for package in packages() {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
            let for_tests = dependency.dev && dependency.name == TESTS_ONLY;
            // A package may name itself for its own tests, to switch a feature on.
            let itself = dependency.dev && dependency.name == package.name;
            if !for_tests && !itself && !may(&package.name, &dependency.name) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "not allowed by ALLOWED: {}", wrong.join(", "));
}

#[test]
fn nothing_native_reaches_the_browser() {
    let mut wrong = Vec::new();
    for package in packages().into_iter().filter(|p| BROWSER.contains(&p.name.as_str())) {
        for dependency in package.dependencies {
            if !dependency.dev && !dependency.optional && NATIVE.contains(&&*dependency.name) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "the browser has no operating system: {}", wrong.join(", "));
}

#[test]
fn only_the_storage_package_depends_on_sqlx() {
    let speakers = packages()
        .into_iter()
        .filter(|package| package.dependencies.iter().any(|dependency| dependency.name == "sqlx"));
    let wrong: Vec<String> = speakers.map(|p| p.name).filter(|name| name != "storage").collect();

    assert!(wrong.is_empty(), "only storage may depend on sqlx, but so do {}", wrong.join(", "));
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    let own_lints: Vec<String> = packages()
        .into_iter()
        .filter(|package| !package.manifest.contains("[lints]\nworkspace = true"))
        .map(|package| package.name)
        .collect();

    assert!(own_lints.is_empty(), "add `[lints] workspace = true` to {}", own_lints.join(", "));
}

struct Package {
    name: String,
    /// The text of its manifest.
    manifest: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// Whether it is a package of this workspace.
    ours: bool,
    dev: bool,
    optional: bool,
}

fn may(package: &str, dependency: &str) -> bool {
    let row = ALLOWED.iter().find(|(name, _)| *name == package);
    row.is_some_and(|(_, groups)| groups.iter().any(|group| group.contains(&dependency)))
}

/// The packages of this workspace as their manifests describe them; asks nothing of the network.
fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap_or_else(|e| panic!("cargo does not start: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("cargo metadata printed something else than JSON: {e}"));

    list(&metadata["packages"]).iter().map(package).collect()
}

fn package(value: &Value) -> Package {
    let manifest = text(&value["manifest_path"]);
    Package {
        name: text(&value["name"]),
        dependencies: list(&value["dependencies"]).iter().map(dependency).collect(),
        manifest: std::fs::read_to_string(&manifest)
            .unwrap_or_else(|e| panic!("{manifest}: {e}"))
            .replace("\r\n", "\n"),
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text(&value["name"]),
        ours: value["path"].is_string(),
        dev: value["kind"] == "dev",
        optional: value["optional"] == true,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
