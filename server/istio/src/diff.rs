//! What differs between two configurations, by resource and by line.
//!
//! The lines are those of the printed YAML, so a diff reads as what `get` shows.

use crate::{configuration::Configuration, resource::Resource};
use contract::istio::{Change, DiffLine, ResourceDiff, ResourceKey};
use similar::{ChangeTag, TextDiff};
use std::{collections::BTreeSet, sync::Arc};

/// Lines around a change that are shown.
const CONTEXT_LINES: usize = 3;
/// Most lines of one diff that are kept.
const DIFF_LINES_MAX: usize = 500;
/// Longer resources, both sides together, are shown as replaced: comparing them takes too long.
const COMPARED_LINES_MAX: usize = 10_000;

/// One resource before and after. At least one is there, and they differ.
pub(crate) struct Changed {
    pub(crate) key: ResourceKey,
    pub(crate) before: Option<Arc<Resource>>,
    pub(crate) after: Option<Arc<Resource>>,
}

/// What changed, in the order of the resources.
pub(crate) fn changes(before: &Configuration, after: &Configuration) -> Vec<Changed> {
    let (before, after) = (before.by_key(), after.by_key());
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = |key: &ResourceKey| {
        let (before, after) = (before.get(key).cloned(), after.get(key).cloned());
        (before != after).then(|| Changed { key: key.clone(), before, after })
    };
    keys.into_iter().filter_map(changed).collect()
}

/// A change by line.
pub(crate) fn lines(changed: &Changed) -> ResourceDiff {
    let print = |side: &Option<Arc<Resource>>| side.as_ref().map(|r| r.print()).unwrap_or_default();
    let mut lines = unified(&print(&changed.before), &print(&changed.after));
    if lines.len() > DIFF_LINES_MAX {
        let more = lines.len() - DIFF_LINES_MAX;
        lines.truncate(DIFF_LINES_MAX);
        lines.push(DiffLine::Hunk(format!("{more} more lines")));
    }
    ResourceDiff {
        resource: changed.key.clone(),
        change: match (&changed.before, &changed.after) {
            (None, _) => Change::Created,
            (_, None) => Change::Deleted,
            _ => Change::Configured,
        },
        lines,
    }
}

fn unified(before: &str, after: &str) -> Vec<DiffLine> {
    if before.lines().count() + after.lines().count() > COMPARED_LINES_MAX {
        let removed = before.lines().map(|line| DiffLine::Removed(line.to_owned()));
        let added = after.lines().map(|line| DiffLine::Added(line.to_owned()));
        return removed.chain(added).collect();
    }
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        lines.push(DiffLine::Hunk(hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let text = change.value().trim_end_matches('\n').to_owned();
            lines.push(match change.tag() {
                ChangeTag::Equal => DiffLine::Context(text),
                ChangeTag::Delete => DiffLine::Removed(text),
                ChangeTag::Insert => DiffLine::Added(text),
            });
        }
    }
    lines
}
