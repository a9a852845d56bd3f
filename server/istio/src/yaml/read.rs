//! Reads YAML (and so JSON) into nodes, under bounds.
//!
//! The scanner is saphyr's; the tree is built here, because only here duplicate keys, aliases that
//! multiply and deep nesting can be refused with their place. Merge keys (`<<`) are those of YAML
//! 1.1, as kubectl reads them; tags other than YAML's own are not used in Kubernetes and are
//! refused.

use super::{Data, Entry, Node, Position, write::is_number, write::quoted};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};
use std::collections::HashMap;

/// Largest text, in bytes: as much as etcd, the store behind Kubernetes, takes of one request.
pub const TEXT_BYTES_MAX: usize = 1_536 * 1_024;
/// Deepest nesting, in levels. Istio's own resources need some 15.
pub const DEPTH_MAX: usize = 64;
/// Most nodes of a text, aliases counted as often as they are used.
pub const NODES_MAX: usize = 200_000;
/// Most documents of a text.
pub const DOCUMENTS_MAX: usize = 1_000;
/// Longest name of a field, in bytes as printed in quotes; YAML itself takes 1,024 characters.
pub const NAME_BYTES_MAX: usize = 1_000;

/// Why a text could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// Which sort.
    pub kind: ReadErrorKind,
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
}

/// Sorts of errors of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// Not YAML.
    Syntax,
    /// A key twice in one mapping.
    DuplicateKey,
    /// YAML, but more than is taken.
    Bound,
    /// YAML, but of a sort that no Kubernetes resource uses.
    Unsupported,
}

impl ReadError {
    fn new(kind: ReadErrorKind, at: Position, message: String, advice: &str) -> Self {
        Self { kind, at, message, advice: advice.to_owned() }
    }
}

/// The documents of a text; empty ones are left out.
///
/// # Errors
/// The first thing that cannot be read, with its place.
pub fn read(text: &str) -> Result<Vec<Node>, ReadError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let end = check_text(text)?;
    let mut builder = Builder { end, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error, end))?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

/// Whether a text is for the scanner; gives the place right behind its last character.
fn check_text(text: &str) -> Result<Position, ReadError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ReadError::new(
            ReadErrorKind::Bound,
            Position { line: 1, column: 1 },
            format!("The text has {} bytes; {TEXT_BYTES_MAX} are the limit.", text.len()),
            "Apply it in several parts.",
        ));
    }
    // The scanner takes NUL for the end and would silently leave out what follows.
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let mut at = Position { line: 1, column: 1 };
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if control(c) {
            return Err(ReadError::new(
                ReadErrorKind::Syntax,
                at,
                format!("The control character U+{:04X} is not allowed in YAML.", u32::from(c)),
                "Remove it, or write it as an escape in double quotes.",
            ));
        }
        at = match c {
            '\r' if rest.peek() == Some(&'\n') => continue,
            '\n' | '\r' => Position { line: at.line + 1, column: 1 },
            _ => Position { column: at.column + 1, ..at },
        };
    }
    Ok(at)
}

/// A place of the scanner, which at the end of a text without a line break is on the next line.
fn position(mark: Marker, end: Position) -> Position {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let at =
        Position { line: number(mark.line()).max(1), column: number(mark.col()).saturating_add(1) };
    at.min(end)
}

fn syntax(error: &ScanError, end: Position) -> ReadError {
    let at = position(*error.marker(), end);
    // The scanner has a limit of its own and may meet it first, looking ahead.
    if error.info().contains("recursion limit") {
        return bound(at, format!("Nested deeper than {DEPTH_MAX} levels."));
    }
    ReadError::new(
        ReadErrorKind::Syntax,
        at,
        format!("This is not YAML: {}.", error.info()),
        "Check the indentation and the quotes here and on the lines around it.",
    )
}

/// A mapping or sequence that is not finished yet.
struct Open {
    at: Position,
    anchor: usize,
    size: Size,
    shape: Shape,
}

/// How much a finished node is.
#[derive(Clone, Copy)]
struct Size {
    /// Nodes in it, itself included.
    nodes: usize,
    /// Levels below it.
    levels: usize,
}

impl Size {
    const ONE: Self = Self { nodes: 1, levels: 0 };
}

enum Shape {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, Position>,
        key: Option<(String, Position)>,
        /// What the next value is merged for, and what was merged.
        merging: bool,
        merged: Vec<Node>,
    },
}

/// The name of no field, but of mappings whose fields the one around it has too.
const MERGE: &str = "<<";

impl Shape {
    fn map() -> Self {
        Self::Map {
            entries: Vec::new(),
            seen: HashMap::new(),
            key: None,
            merging: false,
            merged: Vec::new(),
        }
    }
}

/// One mapping to be merged, or a list of them, of which the first wins.
fn merge(node: Node, merged: &mut Vec<Node>) -> Result<(), ReadError> {
    let at = node.at;
    let nodes = match node.data {
        Data::List(items) => items,
        _ => vec![node],
    };
    if nodes.iter().any(|node| !matches!(node.data, Data::Map(_))) {
        return Err(ReadError::new(
            ReadErrorKind::Unsupported,
            at,
            "A merge key (<<) takes a mapping, or a list of mappings.".to_owned(),
            "Give it an alias of a mapping: <<: *name.",
        ));
    }
    merged.extend(nodes);
    Ok(())
}

/// The fields of a mapping, and those of merged ones that it does not have itself.
fn with(
    mut entries: Vec<Entry>,
    mut seen: HashMap<String, Position>,
    merged: Vec<Node>,
) -> Vec<Entry> {
    for node in merged {
        let Data::Map(fields) = node.data else { continue };
        for field in fields {
            if seen.insert(field.key.clone(), field.at).is_none() {
                entries.push(field);
            }
        }
    }
    entries
}

#[derive(Default)]
struct Builder {
    /// Right behind the last character of the text.
    end: Position,
    documents: Vec<Node>,
    open: Vec<Open>,
    /// Finished nodes with an anchor.
    anchors: HashMap<usize, (Node, Size)>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), ReadError> {
        let at = position(span.start, self.end);
        match event {
            Event::DocumentStart(_) => self.begin_document(at),
            Event::Scalar(value, style, anchor, tag) => {
                let is_merge = &*value == MERGE && style == ScalarStyle::Plain && tag.is_none();
                if is_merge && let Some(merging) = self.merge_key() {
                    *merging = true;
                    return self.count(1, at);
                }
                let node = Node { at, data: scalar(&value, style, tag.as_deref(), at)? };
                self.finish(node, anchor, Size::ONE)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", at)?;
                self.begin(at, anchor, Shape::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", at)?;
                self.begin(at, anchor, Shape::map())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.alias(id, at),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin_document(&mut self, at: Position) -> Result<(), ReadError> {
        self.anchors.clear();
        if self.documents.len() == DOCUMENTS_MAX {
            return Err(bound(at, format!("More than {DOCUMENTS_MAX} documents in one text.")));
        }
        Ok(())
    }

    fn begin(&mut self, at: Position, anchor: usize, shape: Shape) -> Result<(), ReadError> {
        if self.open.len() == DEPTH_MAX {
            return Err(bound(at, format!("Nested deeper than {DEPTH_MAX} levels.")));
        }
        if self.expects_key() {
            return Err(ReadError::new(
                ReadErrorKind::Unsupported,
                at,
                "A list or a mapping cannot be the name of a field.".to_owned(),
                "Name the field with a plain word; braces in templates must be filled in first.",
            ));
        }
        self.open.push(Open { at, anchor, size: Size::ONE, shape });
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open { shape: Shape::Map { key: None, merging: false, .. }, .. })
        )
    }

    /// The mapping that is open, where the name of a field comes next: whether it merges.
    fn merge_key(&mut self) -> Option<&mut bool> {
        match &mut self.open.last_mut()?.shape {
            Shape::Map { key: None, merging, .. } if !*merging => Some(merging),
            _ => None,
        }
    }

    fn end(&mut self) -> Result<(), ReadError> {
        let Some(Open { at, anchor, size, shape }) = self.open.pop() else {
            return Ok(());
        };
        let data = match shape {
            Shape::List(items) => Data::List(items),
            Shape::Map { entries, seen, merged, .. } => Data::Map(with(entries, seen, merged)),
        };
        self.finish(Node { at, data }, anchor, size)
    }

    fn alias(&mut self, id: usize, at: Position) -> Result<(), ReadError> {
        let Some(size) = self.anchors.get(&id).map(|(_, size)| *size) else {
            return Err(ReadError::new(
                ReadErrorKind::Unsupported,
                at,
                "This alias refers to what it stands in, or to another document.".to_owned(),
                "Write the value out.",
            ));
        };
        // Counted before it is copied, so that a bomb costs nothing.
        self.count(size.nodes - 1, at)?;
        if self.open.len() + size.levels > DEPTH_MAX {
            return Err(bound(at, format!("Nested deeper than {DEPTH_MAX} levels.")));
        }
        let anchored = self.anchors.get(&id).map(|(node, _)| node.clone()).unwrap_or_default();
        self.finish(standing(anchored, at), 0, size)
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), ReadError> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(bound(at, format!("More than {NODES_MAX} values, aliases counted.")));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn finish(&mut self, node: Node, anchor: usize, size: Size) -> Result<(), ReadError> {
        self.count(1, node.at)?;
        if anchor > 0 {
            // A copy for the aliases to come; anchors within anchors would multiply.
            self.count(size.nodes, node.at)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            if node.data != Data::Null {
                self.documents.push(node);
            }
            return Ok(());
        };
        open.size.nodes += size.nodes;
        open.size.levels = open.size.levels.max(size.levels + 1);
        match &mut open.shape {
            Shape::List(items) => items.push(node),
            Shape::Map { merging, merged, .. } if *merging => {
                *merging = false;
                merge(node, merged)?;
            }
            Shape::Map { entries, seen, key, .. } => match key.take() {
                Some((key, at)) => entries.push(Entry { key, at, value: node }),
                None => *key = Some(field_name(node, seen)?),
            },
        }
        Ok(())
    }
}

/// What an alias stands for, with all that is in it, stands where the alias does: the same value
/// may be right in one place and wrong in another.
fn standing(mut node: Node, at: Position) -> Node {
    node.at = at;
    match &mut node.data {
        Data::List(items) => {
            items.iter_mut().for_each(|item| *item = standing(std::mem::take(item), at));
        }
        Data::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.at = at;
            entry.value = standing(std::mem::take(&mut entry.value), at);
        }),
        _ => {}
    }
    node
}

fn field_name(
    node: Node,
    seen: &mut HashMap<String, Position>,
) -> Result<(String, Position), ReadError> {
    let at = node.at;
    let name = match node.data {
        Data::Text(name) | Data::Number(name) => name,
        Data::Bool(value) => value.to_string(),
        _ => {
            return Err(ReadError::new(
                ReadErrorKind::Unsupported,
                at,
                "A field without a name.".to_owned(),
                "Write a name before the colon.",
            ));
        }
    };
    if quoted(&name).len() > NAME_BYTES_MAX {
        return Err(bound(at, format!("A field name longer than {NAME_BYTES_MAX} bytes.")));
    }
    if let Some(first) = seen.insert(name.clone(), at) {
        return Err(ReadError::new(
            ReadErrorKind::DuplicateKey,
            at,
            format!(
                "The field \"{}\" stands twice in one mapping: on line {} and on line {}.",
                super::shorten(&name),
                first.line,
                at.line
            ),
            "Keep one of them; Kubernetes would keep one without saying which.",
        ));
    }
    Ok((name, at))
}

fn bound(at: Position, message: String) -> ReadError {
    ReadError::new(ReadErrorKind::Bound, at, message, "Apply less at once.")
}

fn check_tag(tag: Option<&Tag>, expected: &str, at: Position) -> Result<(), ReadError> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == expected) => {
            Err(unsupported_tag(tag, at))
        }
        _ => Ok(()),
    }
}

fn unsupported_tag(tag: &Tag, at: Position) -> ReadError {
    ReadError::new(
        ReadErrorKind::Unsupported,
        at,
        format!(
            "The tag {} is not used in Kubernetes resources.",
            super::shorten(&tag.to_string())
        ),
        "Remove it.",
    )
}

/// A scalar by YAML's core schema. `yes`, `on`, hexadecimal and `.inf` are texts.
fn scalar(
    value: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: Position,
) -> Result<Data, ReadError> {
    let plain = match tag {
        None => style == ScalarStyle::Plain,
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => false,
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => false,
            "int" | "float" | "bool" | "null" => true,
            _ => return Err(unsupported_tag(tag, at)),
        },
        Some(tag) => return Err(unsupported_tag(tag, at)),
    };
    Ok(match value {
        _ if !plain => Data::Text(value.to_owned()),
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        number if is_number(number) => Data::Number(number.to_owned()),
        text => Data::Text(text.to_owned()),
    })
}
