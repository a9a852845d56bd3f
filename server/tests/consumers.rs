//! Whatever Istio resources are compiled into has a reader: a field of the policy that nothing
//! reads would be said to be in force and is not.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const SERVER: &str = env!("CARGO_MANIFEST_DIR");

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn text(places: &[&str]) -> String {
    let mut found = Vec::new();
    for place in places {
        let path = Path::new(SERVER).join(place);
        if path.is_dir() {
            sources(&path, &mut found);
        } else {
            found.push(path);
        }
    }
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source");
        // What only tests read is not read: their module ends a file.
        text.split("\n#[cfg(test)]").next().unwrap_or_default().to_owned()
    };
    found.iter().map(read).collect()
}

/// Names of the public fields in sources.
fn fields(text: &str) -> BTreeSet<&str> {
    let declared = text.lines().filter_map(|line| line.strip_prefix("    pub "));
    let named = declared.filter_map(|line| line.split_once(": ").map(|(name, _)| name));
    named.filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).collect()
}

#[test]
fn every_field_of_the_compiled_policy_is_read_by_the_data_plane() {
    let policy = ["destination.rs", "route.rs", "security.rs"];
    let policy =
        text(&policy.map(|file| format!("istio/src/policy/{file}")).each_ref().map(|s| &**s));
    let readers = text(&["mesh/src", "src"]);
    let words: BTreeSet<&str> =
        readers.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let fields = fields(&policy);
    assert!(fields.len() > 60, "{}", fields.len());
    let unread: Vec<_> = fields.into_iter().filter(|name| !words.contains(name)).collect();
    // Of a retry policy nobody wrote, which behaves like one that somebody did; and the limit of a
    // rule on its way to the workload, where it is read.
    let carried = ["by_default", "rate_limit"];
    let unread: Vec<_> = unread.into_iter().filter(|name| !carried.contains(name)).collect();
    assert_eq!(unread, Vec::<&str>::new());
}
