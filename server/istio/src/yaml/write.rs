//! Prints a node as YAML in the style of kubectl, and says where each part of it then stands.
//!
//! What YAML 1.1 would read as something else than text is quoted: Kubernetes still reads 1.1.

use super::{Data, Entry, Node, Position};

/// The text of a document, and the same node with the positions it has in that text.
#[must_use]
pub fn write(node: &Node) -> (String, Node) {
    let mut writer = Writer { text: String::new(), line: 1, line_start: 0 };
    let node = writer.value(node, Indent(0), Place::Root);
    writer.newline();
    (writer.text, node)
}

/// Columns to the left of a block.
#[derive(Clone, Copy)]
struct Indent(usize);

/// What stands before a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing: the value begins the line.
    Root,
    /// `key:`.
    Field,
    /// `-` and a space.
    Item,
}

struct Writer {
    text: String,
    line: u32,
    /// Byte at which the current line begins.
    line_start: usize,
}

impl Writer {
    fn here(&self) -> Position {
        let before = self.text.get(self.line_start..).unwrap_or_default();
        let column = u32::try_from(before.chars().count()).unwrap_or(u32::MAX);
        Position { line: self.line, column: column.saturating_add(1) }
    }

    fn newline(&mut self) {
        if self.text.len() > self.line_start {
            self.text.push('\n');
            self.line += 1;
            self.line_start = self.text.len();
        }
    }

    fn indent(&mut self, Indent(columns): Indent) {
        self.text.extend(std::iter::repeat_n(' ', columns));
    }

    fn value(&mut self, node: &Node, indent: Indent, place: Place) -> Node {
        match &node.data {
            Data::List(items) if !items.is_empty() => self.list(items, indent, place),
            Data::Map(entries) if !entries.is_empty() => self.map(entries, indent, place),
            data => {
                if place == Place::Field {
                    self.text.push(' ');
                }
                let at = self.here();
                self.scalar(data, indent, place);
                Node { at, data: data.clone() }
            }
        }
    }

    fn scalar(&mut self, data: &Data, Indent(columns): Indent, place: Place) {
        match data {
            Data::Null => self.text.push_str("null"),
            Data::Bool(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Data::Number(number) => self.text.push_str(number),
            Data::Text(text) if place == Place::Field && is_block(text) => {
                self.block(text, Indent(columns));
            }
            Data::Text(text) => self.text.push_str(&inline(text)),
            Data::List(_) => self.text.push_str("[]"),
            Data::Map(_) => self.text.push_str("{}"),
        }
    }

    fn block(&mut self, text: &str, Indent(columns): Indent) {
        let body = text.strip_suffix('\n');
        self.text.push_str(if body.is_some() { "|" } else { "|-" });
        for line in body.unwrap_or(text).split('\n') {
            self.text.push('\n');
            self.line += 1;
            self.line_start = self.text.len();
            if !line.is_empty() {
                self.indent(Indent(columns));
                self.text.push_str(line);
            }
        }
    }

    /// In an item or at the root the block begins on this line, else on the next.
    fn begin_block(&mut self, indent: Indent, place: Place) {
        if place == Place::Field {
            self.newline();
            self.indent(indent);
        }
    }

    fn list(&mut self, items: &[Node], indent: Indent, place: Place) -> Node {
        // As kubectl prints: the dashes of a field's list stand under its name.
        let indent = match place {
            Place::Field => Indent(indent.0.saturating_sub(INDENT)),
            Place::Root | Place::Item => indent,
        };
        self.begin_block(indent, place);
        let at = self.here();
        let mut written = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.newline();
                self.indent(indent);
            }
            self.text.push_str("- ");
            written.push(self.value(item, Indent(indent.0 + INDENT), Place::Item));
        }
        Node { at, data: Data::List(written) }
    }

    fn map(&mut self, entries: &[Entry], indent: Indent, place: Place) -> Node {
        self.begin_block(indent, place);
        let at = self.here();
        let mut written = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                self.newline();
                self.indent(indent);
            }
            let at = self.here();
            self.text.push_str(&inline(&entry.key));
            self.text.push(':');
            let value = self.value(&entry.value, Indent(indent.0 + INDENT), Place::Field);
            written.push(Entry { key: entry.key.clone(), at, value });
        }
        Node { at, data: Data::Map(written) }
    }
}

/// Columns a level is indented by.
const INDENT: usize = 2;

/// Whether a text is printed as a literal block: several lines without anything a block loses.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let plain = |c: char| c == '\n' || (!needs_escape(c) && c != '\t');
    body.contains('\n')
        && body.chars().all(plain)
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body.split('\n').all(|line| !line.ends_with(' '))
}

/// A text on one line, in quotes if it needs them.
fn inline(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || "/_".contains(c));
    let all =
        text.chars().all(|c| c.is_ascii_alphanumeric() || " /_.-:+@=,;~*()%$|^!?<>".contains(c));
    let structure = text.contains(": ") || text.ends_with([':', ' ']);
    let numeric = text.chars().all(|c| c.is_ascii_digit() || "_:.,eE+-".contains(c))
        || (text.starts_with('0') && text.len() > 1 && !text[1..].starts_with('.'));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    first && all && !structure && !numeric && !word
}

fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if needs_escape(c) => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a plain scalar is a decimal number in YAML's core schema (and in JSON, signs apart).
pub(super) fn is_number(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && (whole.len() + fraction.len() > 0) && exponent_fits
}
