//! Regular expressions of RE2, compiled once each, and what all of them may cost together.
//!
//! An apply checks, compares and compiles every expression, and the next revision has most of them
//! again. So what was compiled is kept for the whole process, by content: an expression is the same
//! whoever asks. What is kept is bounded, and that an expression is not there any more costs time
//! alone.

use crate::{
    finding::{Spot, code},
    re2,
    resource::Resource,
    value::Complaint,
    yaml::{Node, Position, shorten},
};
use contract::istio::Finding;
use regex::{Regex, RegexBuilder};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Most regular expressions at once, in a text and in all that is in force: compiling one may take
/// some milliseconds.
pub const EXPRESSIONS_MAX: usize = 1_000;
/// Memory of all compiled expressions at once, in bytes: as many as may be of the smallest size.
pub const EXPRESSIONS_BYTES_MAX: usize = 1 << 24;
/// Memory of one compiled expression, in bytes; Envoy bounds RE2 programs in the same spirit. It is
/// known of an expression into which of these sizes it fits.
const SIZES: [usize; 3] = [1 << 14, 1 << 16, 1 << 18];
/// Memory for the states of an expression that matching makes on its way, in bytes; with less room
/// than it needs it matches more slowly.
const STATES_BYTES_MAX: usize = 1 << 18;
/// Expressions that are kept: those in force and as many of drafts.
const KEPT_MAX: usize = 2 * EXPRESSIONS_MAX;
/// Their memory, in bytes.
const KEPT_BYTES_MAX: usize = 2 * EXPRESSIONS_BYTES_MAX;

/// An expression as it is written, and whether it may match anywhere instead of the whole text.
type Pattern = (Arc<str>, bool);

/// An expression, and the size it fits into.
#[derive(Clone, Debug)]
struct Compiled {
    regex: Regex,
    bytes: usize,
    /// The turn in which it was asked for last.
    used: u64,
}

#[derive(Debug, Default)]
struct Kept {
    by_pattern: HashMap<Pattern, Compiled>,
    bytes: usize,
    /// Counts up with each question.
    turn: u64,
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

impl Kept {
    fn find(&mut self, pattern: &Pattern) -> Option<Compiled> {
        self.turn += 1;
        let found = self.by_pattern.get_mut(pattern)?;
        found.used = self.turn;
        Some(found.clone())
    }

    fn keep(&mut self, pattern: Pattern, mut compiled: Compiled) {
        self.turn += 1;
        compiled.used = self.turn;
        self.bytes += compiled.bytes;
        if let Some(before) = self.by_pattern.insert(pattern, compiled) {
            self.bytes -= before.bytes;
        }
        if self.by_pattern.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            self.forget_half();
        }
    }

    /// Those that were not asked for lately, all at once: looking for the one that waits longest
    /// each time would take as long as compiling.
    fn forget_half(&mut self) {
        let mut used: Vec<u64> = self.by_pattern.values().map(|compiled| compiled.used).collect();
        let half = used.len() / 2;
        let since = *used.select_nth_unstable(half).1;
        self.by_pattern.retain(|_, compiled| compiled.used >= since);
        self.bytes = self.by_pattern.values().map(|compiled| compiled.bytes).sum();
    }
}

/// An expression that matches whole texts, as Istio's `regex` does.
///
/// # Errors
/// What RE2 would refuse.
pub(crate) fn whole(pattern: &str) -> Result<Regex, Complaint> {
    compiled(pattern, false).map(|compiled| compiled.regex)
}

/// An expression that may match anywhere (`uriRegexRewrite.match`).
///
/// # Errors
/// What RE2 would refuse.
pub(crate) fn anywhere(pattern: &str) -> Result<Regex, Complaint> {
    compiled(pattern, true).map(|compiled| compiled.regex)
}

fn compiled(pattern: &str, anywhere: bool) -> Result<Compiled, Complaint> {
    let key: Pattern = (pattern.into(), anywhere);
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = kept().find(&key) {
        return Ok(found);
    }
    // Not under the lock: it takes its time, and twice is no harm.
    let compiled = compile(pattern, anywhere)?;
    kept().keep(key, compiled.clone());
    Ok(compiled)
}

fn compile(pattern: &str, anywhere: bool) -> Result<Compiled, Complaint> {
    let refused = |why: &str| {
        Complaint::new(
            format!("The expression \"{}\" is not RE2: {why}.", shorten(pattern)),
            "Correct it; the syntax is at github.com/google/re2/wiki/Syntax.",
        )
    };
    let translated = re2::translate(pattern).map_err(|why| refused(&why))?;
    let translated = if anywhere { translated } else { format!(r"\A(?:{translated})\z") };
    let mut builder = RegexBuilder::new(&translated);
    builder.dfa_size_limit(STATES_BYTES_MAX);
    let mut failed = None;
    // From the smallest on: whatever is too large is given up as soon as it is.
    for bytes in SIZES {
        match builder.size_limit(bytes).build() {
            Ok(regex) => return Ok(Compiled { regex, bytes, used: 0 }),
            Err(error @ regex::Error::CompiledTooBig(_)) => failed = Some(error),
            Err(error) => return Err(refused(&first_reason(&error))),
        }
    }
    Err(refused(&failed.map(|error| first_reason(&error)).unwrap_or_default()))
}

fn first_reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().trim_start_matches("error: ").trim_end_matches('.').to_owned()
}

/// Whether the expressions of one text are too many, or too large together. Told before the text is
/// looked at further, for that would compile all of them.
pub(crate) fn too_many_in(nodes: &[Node]) -> Option<Finding> {
    let mut found = Vec::new();
    nodes.iter().for_each(|node| collect(node, &mut found));
    too_many(&found, "in one text", "Apply fewer at once")
}

/// The same of all that would be in force.
pub(crate) fn too_many_of<'a>(resources: impl Iterator<Item = &'a Resource>) -> Option<Finding> {
    let mut found = Vec::new();
    resources.for_each(|resource| collect(resource.root(), &mut found));
    too_many(&found, "in the whole configuration", "Delete some first")
}

fn too_many(found: &[(&str, bool)], place: &str, advice: &str) -> Option<Finding> {
    let bound = |message: String, limit: String| {
        let spot = Spot { at: Position { line: 1, column: 1 }, ..Spot::default() };
        let advice = format!("{advice}; {limit}.");
        spot.error(code::BOUND, Complaint { message, advice })
    };
    if found.len() > EXPRESSIONS_MAX {
        let message = format!("{} expressions {place}.", found.len());
        let limit = format!("{EXPRESSIONS_MAX} are the limit, for each is compiled");
        return Some(bound(message, limit));
    }
    let mut bytes = 0;
    for (pattern, anywhere) in found {
        // One that is refused is told of in its place.
        bytes += compiled(pattern, *anywhere).map_or(0, |compiled| compiled.bytes);
        if bytes > EXPRESSIONS_BYTES_MAX {
            let most = EXPRESSIONS_BYTES_MAX >> 20;
            let message = format!("The expressions {place} are more than {most} MiB compiled.");
            return Some(bound(message, "lower the counts of their repetitions".to_owned()));
        }
    }
    None
}

/// Depth is bounded by the reader.
fn collect<'a>(node: &'a Node, found: &mut Vec<(&'a str, bool)>) {
    for entry in node.entries() {
        match entry.key.as_str() {
            "regex" => found.push((entry.value.as_str().unwrap_or_default(), false)),
            "uriRegexRewrite" => found.push((entry.value.str("match").unwrap_or_default(), true)),
            _ => {}
        }
        collect(&entry.value, found);
    }
    node.items().iter().for_each(|item| collect(item, found));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_compiled_once_for_whoever_asks() {
        let pattern = "an-expression-of-this-test-alone-[0-9]{7}";
        let first = compiled(pattern, false).unwrap();
        let again = compiled(pattern, false).unwrap();
        assert!(again.used > first.used, "it was found");
        // It is another where it may match anywhere.
        let text = "x an-expression-of-this-test-alone-1234567";
        assert!(!first.regex.is_match(text));
        assert!(compiled(pattern, true).unwrap().regex.is_match(text));
    }

    #[test]
    fn it_is_known_of_an_expression_what_size_it_has() {
        let sizes = [("/api/[^/]+/items", SIZES[0]), ("(a|b){400}", SIZES[1])];
        for (pattern, bytes) in sizes {
            assert_eq!(compile(pattern, false).unwrap().bytes, bytes, "{pattern}");
        }
        let refused = compile("((a|b){900}){900}", false).unwrap_err();
        assert!(refused.message.contains("size limit"), "{refused:?}");
    }

    #[test]
    fn what_is_kept_is_bounded_by_number_and_memory_and_the_last_ones_stay() {
        let compiled = |bytes| Compiled { bytes, ..compile("a", false).unwrap() };
        for (bytes, most) in [(0, KEPT_MAX), (SIZES[2], KEPT_BYTES_MAX / SIZES[2])] {
            let mut kept = Kept::default();
            for at in 0..3 * most {
                kept.keep((at.to_string().into(), false), compiled(bytes));
                assert!(kept.by_pattern.len() <= most);
                assert_eq!(kept.bytes, kept.by_pattern.len() * bytes);
            }
            let last = (3 * most - most / 4).to_string();
            assert!(kept.find(&(last.into(), false)).is_some());
        }
    }
}
