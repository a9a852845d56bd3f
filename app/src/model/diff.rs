//! Texts compared line by line: what was added and removed, which words changed, which stretches
//! fold away, and how two changes of one text are put together.
//!
//! Knows lines and indentation, no YAML.

/// Beyond so many pairs of lines two texts are not compared but replaced as a whole.
const PAIRS_MAX: usize = 1_000_000;
/// Unchanged lines shown above a change.
const ABOVE: usize = 5;
/// Unchanged lines shown below a change.
const BELOW: usize = 2;
/// Lines that are always shown at the top: `apiVersion` and `kind`.
const HEAD: usize = 2;
/// Fewer lines are not worth a fold.
const FOLD_MIN: usize = 3;
/// Keys named in a fold.
const FOLD_KEYS_MAX: usize = 3;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is in both texts.
    Same,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
}

/// One line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What became of it.
    pub change: Change,
    /// Its number in the new text, from 1; none for a removed line.
    pub number: Option<u32>,
    /// Its text.
    pub text: String,
    /// The bytes of a changed word.
    pub word: Option<(usize, usize)>,
}

/// Lines of `a` that are also in `b`, in order: pairs of indices of a longest common subsequence.
fn common(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[head..], &b[head..]);
    let tail = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (mid_a, mid_b) = (&rest_a[..rest_a.len() - tail], &rest_b[..rest_b.len() - tail]);
    let mut pairs: Vec<_> = (0..head).map(|i| (i, i)).collect();
    if mid_a.len().saturating_mul(mid_b.len()) <= PAIRS_MAX {
        pairs.extend(longest(mid_a, mid_b).into_iter().map(|(i, j)| (i + head, j + head)));
    }
    pairs.extend((0..tail).map(|i| (a.len() - tail + i, b.len() - tail + i)));
    pairs
}

fn longest(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    let wide = b.len() + 1;
    let mut length = vec![0_u32; (a.len() + 1) * wide];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            length[i * wide + j] = if a[i] == b[j] {
                length[(i + 1) * wide + j + 1] + 1
            } else {
                length[(i + 1) * wide + j].max(length[i * wide + j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if length[(i + 1) * wide + j] >= length[i * wide + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// Compares two texts; `first` is the number of the new text's first line.
#[must_use]
pub fn diff(old: &str, new: &str, first: u32) -> Vec<Line> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut out = Vec::with_capacity(b.len());
    let (mut i, mut j) = (0, 0);
    for (x, y) in common(&a, &b).into_iter().chain([(a.len(), b.len())]) {
        let removed = out.len();
        out.extend(a[i..x].iter().map(|text| line(Change::Removed, None, text)));
        let added = out.len();
        out.extend((j..y).map(|at| line(Change::Added, Some(number(first, at)), b[at])));
        mark_words(&mut out, removed, added);
        if y < b.len() {
            out.push(line(Change::Same, Some(number(first, y)), b[y]));
        }
        (i, j) = (x + 1, y + 1);
    }
    out
}

fn number(first: u32, index: usize) -> u32 {
    first.saturating_add(u32::try_from(index).unwrap_or(u32::MAX))
}

fn line(change: Change, number: Option<u32>, text: &str) -> Line {
    Line { change, number, text: text.to_owned(), word: None }
}

/// Lines that replace as many others one by one: marks what differs between each two.
fn mark_words(lines: &mut [Line], removed: usize, added: usize) {
    if added - removed != lines.len() - added {
        return;
    }
    for at in 0..added - removed {
        let (a, b) = (&lines[removed + at].text, &lines[added + at].text);
        let (word_a, word_b) = word(a, b);
        if a[..word_a.0].trim().is_empty() {
            continue;
        }
        lines[removed + at].word = Some(word_a);
        lines[added + at].word = Some(word_b);
    }
}

/// The part of each text between their common beginning and their common end, whole words.
fn word(a: &str, b: &str) -> ((usize, usize), (usize, usize)) {
    let start = a.split_inclusive([' ', ',', '"']).zip(b.split_inclusive([' ', ',', '"']));
    let start: usize = start.take_while(|(x, y)| x == y).map(|(x, _)| x.len()).sum();
    let (rest_a, rest_b) = (&a[start..], &b[start..]);
    let same = rest_a.chars().rev().zip(rest_b.chars().rev()).take_while(|(x, y)| x == y);
    let end: usize =
        same.take_while(|(x, _)| matches!(x, '"' | ',' | ' ')).map(|(x, _)| x.len_utf8()).sum();
    ((start, a.len() - end), (start, b.len() - end))
}

/// A piece of a comparison as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These lines, by index: first and one past the last.
    Lines(usize, usize),
    /// These are folded away.
    Fold(usize, usize, String),
}

/// Folds unchanged stretches away. Without any change nothing folds.
#[must_use]
pub fn fold(lines: &[Line]) -> Vec<Piece> {
    if lines.iter().all(|line| line.change == Change::Same) {
        return vec![Piece::Lines(0, lines.len())];
    }
    let mut kept = vec![false; lines.len()];
    kept.iter_mut().take(HEAD).for_each(|kept| *kept = true);
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| line.change != Change::Same) {
        let to = (at + BELOW + 1).min(lines.len());
        kept[at.saturating_sub(ABOVE)..to].fill(true);
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let shown = kept[at];
        let length = kept[at..].iter().take_while(|kept| **kept == shown).count();
        let (from, to) = (at, at + length);
        match pieces.last_mut() {
            _ if !shown && length >= FOLD_MIN => {
                pieces.push(Piece::Fold(from, to, fold_label(&lines[from..to])));
            }
            Some(Piece::Lines(_, end)) => *end = to,
            _ => pieces.push(Piece::Lines(from, to)),
        }
        at = to;
    }
    pieces
}

/// "6 lines unchanged: metadata, hosts".
fn fold_label(lines: &[Line]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for line in lines {
        let text = line.text.trim().trim_start_matches("- ");
        let key = text.strip_suffix(':').filter(|key| *key != "spec" && !keys.contains(key));
        keys.extend(key.filter(|_| keys.len() < FOLD_KEYS_MAX));
    }
    let colon = if keys.is_empty() { "" } else { ": " };
    format!("{} lines unchanged{colon}{}", lines.len(), keys.join(", "))
}

/// Added and removed lines.
#[must_use]
pub fn counts(lines: &[Line]) -> (usize, usize) {
    let of = |change| lines.iter().filter(|line| line.change == change).count();
    (of(Change::Added), of(Change::Removed))
}

/// One document of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// What stands after `kind:`.
    pub kind: &'a str,
    /// Its name, behind its namespace and a slash unless that is `default`.
    pub name: String,
    /// Number of its first line, from 1.
    pub first: u32,
    /// Its lines.
    pub text: &'a str,
}

/// The documents of a text, split at `---`.
#[must_use]
pub fn documents(text: &str) -> Vec<Document<'_>> {
    let mut out = Vec::new();
    let (mut start, mut from, mut at, mut line) = (0, 1, 0, 1);
    for piece in text.split_inclusive('\n').chain(["---"]) {
        if piece.trim_end() == "---" {
            let body = text.get(start..at).unwrap_or_default();
            let kind = body.lines().find_map(|line| line.strip_prefix("kind:")).map(str::trim);
            if let Some(kind) = kind {
                out.push(Document { kind, name: name_of(body), first: from, text: body });
            }
            (start, from) = (at + piece.len(), line + 1);
        }
        at += piece.len();
        line += 1;
    }
    out
}

/// The name in the `metadata` of a document.
fn name_of(document: &str) -> String {
    let metadata = document.lines().skip_while(|line| line.trim_end() != "metadata:").skip(1);
    let mut fields = metadata.take_while(|line| line.starts_with(' ') || line.trim().is_empty());
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (mut own, mut name, mut namespace) = (None, "", "default");
    for line in &mut fields {
        // Only the fields of `metadata` itself: a label may be called name, too.
        if line.trim().is_empty() || *own.get_or_insert(indent(line)) != indent(line) {
            continue;
        }
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        match key {
            "name" => name = value,
            "namespace" => namespace = value,
            _ => {}
        }
    }
    if namespace == "default" { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// What one text made of another: lines `from..to` of the base became these.
struct Hunk<'a> {
    from: usize,
    to: usize,
    lines: Vec<&'a str>,
}

impl Hunk<'_> {
    /// Whether both change the same lines, or put lines at the same place. One that only borders on
    /// the other does not: a field after a changed one is another field.
    fn touches(&self, other: &Self) -> bool {
        let adds = |hunk: &Self| hunk.from == hunk.to;
        match adds(self) && adds(other) {
            true => self.from == other.from,
            false => self.from < other.to && other.from < self.to,
        }
    }
}

fn hunks<'a>(base: &[&str], text: &[&'a str]) -> Vec<Hunk<'a>> {
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    for (x, y) in common(base, text).into_iter().chain([(base.len(), text.len())]) {
        if i < x || j < y {
            out.push(Hunk { from: i, to: x, lines: text[j..y].to_vec() });
        }
        (i, j) = (x + 1, y + 1);
    }
    out
}

/// Puts two changes of one text together. Where both changed the same lines, `mine` wins; the
/// number of such places comes with the text.
#[must_use]
pub fn merge(base: &str, mine: &str, theirs: &str) -> (String, usize) {
    let base: Vec<&str> = base.lines().collect();
    let (mine, theirs): (Vec<&str>, Vec<&str>) = (mine.lines().collect(), theirs.lines().collect());
    let mine = hunks(&base, &mine);
    let mut conflicts = 0;
    let mut all: Vec<Hunk<'_>> = Vec::new();
    for hunk in hunks(&base, &theirs) {
        let touches = |other: &&Hunk<'_>| hunk.touches(other);
        match mine.iter().find(touches) {
            Some(same) if same.lines == hunk.lines && same.from == hunk.from => {}
            Some(_) => conflicts += 1,
            None => all.push(hunk),
        }
    }
    all.extend(mine);
    all.sort_by_key(|hunk| (hunk.from, hunk.to));
    let mut out: Vec<&str> = Vec::new();
    let mut at = 0;
    for hunk in &all {
        out.extend(base.get(at..hunk.from).unwrap_or_default());
        out.extend(&hunk.lines);
        at = hunk.to;
    }
    out.extend(base.get(at..).unwrap_or_default());
    let mut text = out.join("\n");
    text.push('\n');
    (text, conflicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "a:\n  b: 90\n  c: 1\nd: 2\n";

    fn shown(lines: &[Line]) -> Vec<String> {
        let sign = |line: &Line| match line.change {
            Change::Same => ' ',
            Change::Added => '+',
            Change::Removed => '-',
        };
        lines.iter().map(|line| format!("{}{}", sign(line), line.text)).collect()
    }

    #[test]
    fn lines_carry_the_numbers_of_the_new_text_and_removed_ones_none() {
        let lines = diff(OLD, "a:\n  b: 80\n  c: 1\n  e: 3\nd: 2\n", 1);
        let expected = [" a:", "-  b: 90", "+  b: 80", "   c: 1", "+  e: 3", " d: 2"];
        assert_eq!(shown(&lines), expected);
        let numbers: Vec<_> = lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [Some(1), None, Some(2), Some(3), Some(4), Some(5)]);
        assert_eq!(counts(&lines), (2, 1));
    }

    #[test]
    fn a_line_that_replaces_another_marks_the_word_that_changed() {
        let lines = diff(OLD, "a:\n  b: 80\n  c: 1\nd: 2\n", 1);
        let word = |line: &Line| line.word.map(|(from, to)| line.text[from..to].to_owned());
        assert_eq!(word(&lines[1]).as_deref(), Some("90"));
        assert_eq!(word(&lines[2]).as_deref(), Some("80"));
        let lines = diff("on: \"5xx,reset\"", "on: \"5xx,refused\"", 1);
        assert_eq!(word(&lines[1]).as_deref(), Some("refused"));
        assert_eq!(diff("one", "two", 1)[0].word, None);
    }

    #[test]
    fn texts_without_a_common_line_are_replaced_whole_and_equal_ones_do_not_differ() {
        assert_eq!(shown(&diff("x\ny", "z", 1)), ["-x", "-y", "+z"]);
        assert_eq!(counts(&diff(OLD, OLD, 1)), (0, 0));
        assert_eq!(shown(&diff("", "z", 1)), ["+z"]);
    }

    #[test]
    fn unchanged_stretches_fold_and_name_their_keys() {
        let head = "apiVersion: v1\nkind: VirtualService\n";
        let folded = "metadata:\n  name: p\nspec:\n  hosts:\n  - p\n";
        let near = "l1: 1\nl2: 2\nl3: 3\nl4: 4\nl5: 5\n";
        let old = format!("{head}{folded}{near}weight: 90\n");
        let lines = diff(&old, &old.replace("90", "80"), 1);
        let pieces = fold(&lines);
        let label = "5 lines unchanged: metadata, hosts".to_owned();
        let expected = [Piece::Lines(0, 2), Piece::Fold(2, 7, label), Piece::Lines(7, 14)];
        assert_eq!(pieces, expected);
        assert_eq!(fold(&diff(&old, &old, 1)), [Piece::Lines(0, 13)]);
    }

    #[test]
    fn documents_are_split_at_their_separator_with_their_first_line() {
        let text = "kind: VirtualService\nspec: 1\n---\nkind: DestinationRule\nspec: 2\n";
        let found = documents(text);
        let kinds: Vec<_> = found.iter().map(|doc| (doc.kind, doc.first)).collect();
        assert_eq!(kinds, [("VirtualService", 1), ("DestinationRule", 4)]);
        assert_eq!(found[1].text, "kind: DestinationRule\nspec: 2\n");
        assert!(documents("# nothing\n").is_empty());
    }

    #[test]
    fn a_document_is_known_by_its_kind_and_its_name_in_its_namespace() {
        let named = |metadata: &str| {
            documents(&format!("kind: VirtualService\nmetadata:\n{metadata}spec:\n  name: x\n"))
                .remove(0)
                .name
        };
        assert_eq!(named("  labels:\n    name: no\n  name: canary\n"), "canary");
        assert_eq!(named("  name: \"canary\"\n  namespace: default\n"), "canary");
        assert_eq!(named("  namespace: istio-system\n  name: canary\n"), "istio-system/canary");
        assert_eq!(named(""), "");
    }

    #[test]
    fn changes_of_different_places_are_put_together() {
        let mine = "a:\n  b: 80\n  c: 1\nd: 2\n";
        let theirs = "a:\n  b: 90\n  c: 1\nd: 7\n";
        assert_eq!(merge(OLD, mine, theirs), ("a:\n  b: 80\n  c: 1\nd: 7\n".into(), 0));
    }

    #[test]
    fn a_field_that_was_added_beside_a_changed_one_is_no_overlap() {
        let base = "a: 1\nw: 100\nw: 0\n";
        let mine = "a: 1\nw: 90\nw: 10\n";
        let theirs = "a: 1\nw: 100\nw: 0\ntimeout: 4s\n";
        let both = "a: 1\nw: 90\nw: 10\ntimeout: 4s\n";
        assert_eq!(merge(base, mine, theirs), (both.into(), 0));
        assert_eq!(merge(base, theirs, mine), (both.into(), 0));
        assert_eq!(merge("a\n", "a\nb\n", "a\nc\n"), ("a\nb\n".into(), 1));
    }

    #[test]
    fn where_both_changed_the_same_lines_mine_wins_and_is_counted() {
        let (text, conflicts) = merge(OLD, "a:\n  b: 80\n  c: 1\nd: 2\n", &OLD.replace("90", "70"));
        assert_eq!((text.as_str(), conflicts), ("a:\n  b: 80\n  c: 1\nd: 2\n", 1));
        let same = OLD.replace("90", "80");
        assert_eq!(merge(OLD, &same, &same), (same.clone(), 0));
    }
}
