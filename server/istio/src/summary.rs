//! A change in words: `payments v2 10% -> 20%`.
//!
//! Shares of destinations are said as shares; other fields by their name and values.

use crate::{
    diff::Changed,
    resource::Resource,
    schema::Kind,
    yaml::{Data, Node, shorten},
};

/// Most changes that are said one by one.
const PARTS_MAX: usize = 3;

/// How much a change says about where requests go: what says most comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Share,
    Resource,
    Field,
    /// Names, labels and the like, which requests do not feel.
    Label,
}

/// The summary of some changes, what moves requests first.
pub(crate) fn words(changes: &[Changed]) -> String {
    let mut weighed: Vec<(Weight, String)> = changes.iter().flat_map(parts).collect();
    // Stable: what weighs the same stays in the order of the resources.
    weighed.sort_by_key(|(weight, _)| *weight);
    let mut parts: Vec<String> = weighed.into_iter().map(|(_, text)| text).collect();
    if parts.len() > PARTS_MAX {
        let more = parts.len() - PARTS_MAX;
        parts.truncate(PARTS_MAX);
        parts.push(format!("{more} more"));
    }
    match parts.is_empty() {
        true => "no change".to_owned(),
        false => parts.join(", "),
    }
}

fn parts(changed: &Changed) -> Vec<(Weight, String)> {
    let key = &changed.key;
    let subject = format!("{} {}", key.kind, key.name);
    match (&changed.before, &changed.after) {
        (None, _) => vec![(Weight::Resource, format!("{subject} created"))],
        (_, None) => vec![(Weight::Resource, format!("{subject} deleted"))],
        (Some(before), Some(after)) => {
            let shares = shares(before, after).into_iter();
            let mut parts: Vec<_> = shares.map(|text| (Weight::Share, text)).collect();
            let mut found = Vec::new();
            fields(before.root(), after.root(), "", &mut found);
            let weight = |path: &str| !parts.is_empty() && path.ends_with(".weight");
            let fields: Vec<_> = found.into_iter().filter(|(path, _)| !weight(path)).collect();
            parts.extend(fields.into_iter().map(|(path, change)| {
                let path = path.trim_start_matches("spec.");
                let last = path.rsplit('.').next().unwrap_or(path);
                let label = path.starts_with("metadata") || path == "apiVersion";
                let label = label || path.starts_with("hosts") || ["host", "name"].contains(&last);
                let weight = if label { Weight::Label } else { Weight::Field };
                (weight, format!("{} {path} {change}", key.name))
            }));
            parts
        }
    }
}

/// Destinations of rules that only differ in their shares.
fn shares(before: &Resource, after: &Resource) -> Vec<String> {
    let (old, new) = (before.spec().list("http"), after.spec().list("http"));
    if before.kind() != Kind::VirtualService || old.len() != new.len() {
        return Vec::new();
    }
    let mut parts = Vec::new();
    for (old, new) in old.iter().zip(new) {
        let (old, new) = (split(old), split(new));
        let same = old.len() == new.len()
            && old.iter().zip(&new).all(|(a, b)| a.name == b.name || a.twin(b));
        if !same {
            continue;
        }
        let changed: Vec<_> = old.iter().zip(&new).filter(|(a, b)| a.share != b.share).collect();
        // With two destinations, the share of the second says that of the first.
        let skip = usize::from(changed.len() == 2 && old.len() == 2);
        for (old, new) in changed.into_iter().skip(skip) {
            parts.push(format!("{} {}% -> {}%", new.name, old.share, new.share));
        }
    }
    parts
}

/// A destination of a rule.
struct Destination {
    /// "payments v2".
    name: String,
    subset: Option<String>,
    /// In percent, as text.
    share: String,
}

impl Destination {
    /// The same subset of a service under another of its names.
    fn twin(&self, other: &Self) -> bool {
        self.subset.is_some() && self.subset == other.subset
    }
}

/// The destinations of a rule and their shares.
fn split(route: &Node) -> Vec<Destination> {
    let destinations = route.list("route");
    let weight = |node: &Node| crate::compile::number::<u32>(node, "weight").unwrap_or(0);
    let total: u64 = destinations.iter().map(|node| u64::from(weight(node))).sum();
    let one = |node: &Node| {
        let destination = node.get("destination");
        let of = |key| destination.and_then(|node| node.str(key));
        let host = of("host").unwrap_or_default();
        let host = host.split('.').next().unwrap_or(host);
        let name = match of("subset") {
            Some(subset) => format!("{host} {subset}"),
            None => host.to_owned(),
        };
        // Tenths of a percent, rounded.
        let tenths = match total {
            0 => 1_000,
            total => (u64::from(weight(node)) * 1_000 + total / 2) / total,
        };
        let share = match tenths % 10 {
            0 => format!("{}", tenths / 10),
            tenth => format!("{}.{tenth}", tenths / 10),
        };
        Destination { name, subset: of("subset").map(str::to_owned), share }
    };
    destinations.iter().map(one).collect()
}

/// Every leaf that differs, with what became of it.
fn fields(before: &Node, after: &Node, path: &str, found: &mut Vec<(String, String)>) {
    if before == after {
        return;
    }
    match (&before.data, &after.data) {
        (Data::Map(old), Data::Map(new)) => {
            let join = |key: &str| match path.is_empty() {
                true => key.to_owned(),
                false => format!("{path}.{key}"),
            };
            for entry in old {
                match after.entry(&entry.key) {
                    Some(other) => {
                        fields(&entry.value, &other.value, &join(&entry.key), found);
                    }
                    None => found.push((join(&entry.key), "removed".to_owned())),
                }
            }
            for entry in new.iter().filter(|entry| before.entry(&entry.key).is_none()) {
                let change = match scalar(&entry.value) {
                    Some(value) => format!("set to {value}"),
                    None => "added".to_owned(),
                };
                found.push((join(&entry.key), change));
            }
        }
        (Data::List(old), Data::List(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                fields(old, new, &format!("{path}[{index}]"), found);
            }
        }
        _ => {
            let change = match (scalar(before), scalar(after)) {
                (Some(before), Some(after)) => format!("{before} -> {after}"),
                _ => "changed".to_owned(),
            };
            found.push((path.to_owned(), change));
        }
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.data {
        Data::Bool(value) => Some(value.to_string()),
        Data::Number(text) | Data::Text(text) => Some(shorten(text)),
        Data::Null | Data::List(_) | Data::Map(_) => None,
    }
}
