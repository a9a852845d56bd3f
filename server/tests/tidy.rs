//! House rules that a reader would otherwise have to check by eye, over every file of the checkout.
//!
//! Looks at text only. What needs to understand Rust (length of functions, banned calls) is left to
//! clippy, and the direction between packages to `dependencies.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// A longer file hides its parts from the reader.
const FILE_LINES_MAX: usize = 700;
/// The width `rustfmt.toml` sets, which rustfmt itself does not enforce on strings and comments.
const RUST_COLUMNS_MAX: usize = 100;
/// A server function gets its port and calls it; everything else belongs behind the port.
const SERVER_FUNCTION_LINES_MAX: usize = 6;

/// Folders that are built or fetched, not written.
const SKIPPED_FOLDERS: &[&str] = &[".git", "node_modules", "target"];
const COUNTED_ENDINGS: &[&str] = &["rs", "ts", "mjs", "css"];

/// Folders of somebody's machine. Put together from halves, so that this file does not name them.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("\\Us", "ers\\"),
];

#[test]
fn every_rust_file_opens_by_saying_what_it_is() {
    let silent = files().into_iter().filter(|file| file.has_ending("rs"));
    let silent = silent.filter(|file| !file.text.starts_with("//! "));
    refuse("should start with `//!` and say what it is", silent.map(|file| file.name).collect());
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let counted = |file: &File| COUNTED_ENDINGS.iter().any(|ending| file.has_ending(ending));
    let long = files().into_iter().filter(counted).filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{} has {lines} lines", file.name))
    });
    refuse(&format!("{FILE_LINES_MAX} lines are the limit of a file"), long.collect());
}

#[test]
fn no_line_of_rust_is_wider_than_the_format_says() {
    let mut wide = Vec::new();
    for file in files().into_iter().filter(|file| file.has_ending("rs")) {
        for (number, line) in file.numbered_lines() {
            let columns = line.chars().count();
            if columns > RUST_COLUMNS_MAX {
                wide.push(format!("{}:{number} has {columns} columns", file.name));
            }
        }
    }
    refuse(&format!("{RUST_COLUMNS_MAX} columns are the limit of a line"), wide);
}

#[test]
fn sql_is_spoken_in_the_storage_package_alone() {
    let word = concat!("sq", "lx::");
    let mut found = Vec::new();
    for file in files().into_iter().filter(|file| file.has_ending("rs")) {
        if file.name.starts_with("server/storage/") {
            continue;
        }
        let named = file.numbered_lines().filter(|(_, line)| line.contains(word));
        found.extend(named.map(|(number, _)| format!("{}:{number}", file.name)));
    }
    refuse("only server/storage may name sqlx", found);
}

#[test]
fn server_functions_only_ask_their_port() {
    let mut long = Vec::new();
    for file in files() {
        if file.has_ending("rs") && file.name.starts_with("app/") {
            let bodies = server_function_bodies(&file.text).into_iter();
            let bodies = bodies.filter(|(_, lines)| *lines > SERVER_FUNCTION_LINES_MAX);
            long.extend(bodies.map(|(at, lines)| format!("{}:{at} has {lines}", file.name)));
        }
    }
    let limit = format!("{SERVER_FUNCTION_LINES_MAX} lines are the limit of a server function");
    refuse(&limit, long);
}

#[test]
fn the_length_of_a_server_function_is_counted_right() {
    let source = "#[server(prefix = \"/api\")]\npub async fn short(\n    id: Id,\n) -> Reply {\n\
                  \x20   if a {\n        b()\n    }\n}\n\nfn other() {\n    x();\n}\n#[server]\n\
                  pub async fn none() -> Reply {}\n";

    assert_eq!(server_function_bodies(source), [(2, 3), (14, 0)]);
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    let mut found = Vec::new();
    for file in files() {
        let named = file.numbered_lines().filter(|(_, line)| names_machine_folder(line));
        found.extend(named.map(|(number, _)| format!("{}:{number}", file.name)));
    }
    refuse("name no folder of one machine", found);
}

/// A text file of the checkout.
struct File {
    /// Its path from the root of the checkout, with `/` between the parts.
    name: String,
    text: String,
}

impl File {
    fn has_ending(&self, ending: &str) -> bool {
        Path::new(&self.name).extension().is_some_and(|own| own == ending)
    }

    fn numbered_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

fn root() -> PathBuf {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    server.parent().unwrap_or(server).to_path_buf()
}

/// Every text file that somebody wrote.
fn files() -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !SKIPPED_FOLDERS.contains(&&*name) {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let inside = path.strip_prefix(&root).unwrap_or(&path);
                let name = inside.to_string_lossy().replace('\\', "/");
                found.push(File { name, text });
            }
        }
    }
    assert!(found.len() > 10, "{} should be the checkout", root.display());
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// For every function under `#[server]`: the line it starts on and how many lines its body has.
/// Relies on the format: the closing brace stands alone, as deep as the function.
fn server_function_bodies(source: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(source.lines());
    while let Some((_, line)) = lines.next() {
        if !line.trim_start().starts_with("#[server") {
            continue;
        }
        let Some((start, head)) = lines.find(|(_, line)| line.contains("fn ")) else {
            break;
        };
        let depth = head.len() - head.trim_start().len();
        let mut head = Some(head);
        while let Some(line) = head {
            if line.trim_end().ends_with(['{', '}']) {
                break;
            }
            head = lines.next().map(|(_, line)| line);
        }
        if head.is_none_or(|line| line.trim_end().ends_with('}')) {
            found.push((start, 0));
            continue;
        }
        let closes = |line: &str| line.len() == depth + 1 && line.trim_start() == "}";
        found.push((start, lines.by_ref().take_while(|(_, line)| !closes(line)).count()));
    }
    found
}

/// Whether a path that starts with a machine's folder stands in the line; `a/home/` is none.
fn names_machine_folder(line: &str) -> bool {
    let starts_path = |at: usize| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-})".contains(c))
    };
    MACHINE_FOLDERS.iter().any(|folder| line.match_indices(folder).any(|(at, _)| starts_path(at)))
}

fn refuse(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}
