//! A change in words: `payments v2 10% -> 20%`.
//!
//! What moves requests is said as it is spoken of: rules by their names, shares, limits, tries.
//! Other fields are said by name and values; names and labels only where nothing else changed.

use crate::{
    diff::Changed,
    resource::Resource,
    schema::Kind,
    yaml::{Data, Node, shorten},
};

/// Most changes that are said one by one; a page folds what is longer than two lines. The rest is
/// in the diff.
const PARTS_MAX: usize = 12;

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
            let mut parts = match before.kind() {
                Kind::VirtualService => rules(&key.name, before, after),
                _ => Vec::new(),
            };
            let mut found = Vec::new();
            fields(before.root(), after.root(), "", &mut found);
            if before.kind() == Kind::VirtualService {
                found.retain(|(path, _)| !path.starts_with("spec.http"));
            }
            parts.extend(found.into_iter().map(|(path, change)| {
                let path = path.trim_start_matches("spec.").trim_start_matches("trafficPolicy.");
                let last = path.rsplit('.').next().unwrap_or(path);
                let label = path.starts_with("metadata") || path == "apiVersion";
                let label = label || path.starts_with("hosts") || ["host", "name"].contains(&last);
                let weight = if label { Weight::Label } else { Weight::Field };
                (weight, format!("{} {path} {change}", key.name))
            }));
            // The same host under another of its names is nothing that requests feel.
            let telling = parts.iter().any(|(weight, _)| *weight != Weight::Label);
            parts.retain(|(weight, _)| !telling || *weight != Weight::Label);
            parts
        }
    }
}

/// What became of the rules of a VirtualService.
fn rules(name: &str, before: &Resource, after: &Resource) -> Vec<(Weight, String)> {
    let (old, new) = (before.spec().list("http"), after.spec().list("http"));
    let pairs = paired(old, new);
    let mut parts = Vec::new();
    for (at, rule) in new.iter().enumerate() {
        let Some(&(was, _)) = pairs.iter().find(|(_, now)| *now == at) else {
            parts.push((Weight::Resource, format!("{name} rule {} added", label(new, at))));
            continue;
        };
        // A rule that stands alone needs no name.
        let of = match new.len() {
            1 => name.to_owned(),
            _ => format!("{name} {}", label(new, at)),
        };
        for (weight, text) in rule_parts(&old[was], rule) {
            // Shares name their host.
            let text = if weight == Weight::Share { text } else { format!("{of} {text}") };
            parts.push((weight, text));
        }
    }
    for at in (0..old.len()).filter(|at| !pairs.iter().any(|(was, _)| was == at)) {
        parts.push((Weight::Resource, format!("{name} rule {} removed", label(old, at))));
    }
    let moved = !pairs.is_sorted_by_key(|(_, now)| *now);
    if moved {
        parts.push((Weight::Resource, format!("{name} rules reordered")));
    }
    parts
}

/// Rules that are the same one before and after, by their places, in the order before: of one name;
/// without names of one match; else in their order.
fn paired(old: &[Node], new: &[Node]) -> Vec<(usize, usize)> {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let alike: [fn(&Node, &Node) -> bool; 3] = [
        |a, b| a.str("name").is_some() && a.str("name") == b.str("name"),
        |a, b| [a, b].iter().all(|r| r.str("name").is_none()) && a.get("match") == b.get("match"),
        |a, b| a.str("name").is_none() || b.str("name").is_none(),
    ];
    // Every pair is looked at once for each kind: there are hundreds of rules on each side.
    let (mut old_taken, mut new_taken) = (vec![false; old.len()], vec![false; new.len()]);
    for alike in alike {
        for (was, rule) in old.iter().enumerate() {
            if old_taken[was] {
                continue;
            }
            let mut free = (0..new.len()).filter(|now| !new_taken[*now]);
            if let Some(now) = free.find(|now| alike(rule, &new[*now])) {
                (old_taken[was], new_taken[now]) = (true, true);
                pairs.push((was, now));
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

/// The name of a rule; without one `default` if it takes everything, else its place.
fn label(rules: &[Node], at: usize) -> String {
    let rule = &rules[at];
    match rule.str("name") {
        Some(name) => shorten(name),
        None if rule.list("match").is_empty() => "default".to_owned(),
        None => format!("{}", at + 1),
    }
}

/// What changed in one rule.
fn rule_parts(old: &Node, new: &Node) -> Vec<(Weight, String)> {
    let mut parts = routed(old, new);
    let differs = |key: &str| old.get(key) != new.get(key);
    let mut say = |key: &str, text: String| {
        if differs(key) {
            parts.push((Weight::Field, text));
        }
    };
    say("match", "match changed".to_owned());
    say("timeout", limit("timeout", old.str("timeout"), new.str("timeout")));
    let (tries, now) = (old.get("retries"), new.get("retries"));
    let of = |node: Option<&Node>, key: &str| node?.get(key).and_then(scalar);
    let attempts = (of(tries, "attempts"), of(now, "attempts"));
    let per_try = (of(tries, "perTryTimeout"), of(now, "perTryTimeout"));
    let retries = if attempts.0 != attempts.1 {
        limit("retries", attempts.0.as_deref(), attempts.1.as_deref())
    } else if per_try.0 != per_try.1 {
        limit("limit per try", per_try.0.as_deref(), per_try.1.as_deref())
    } else {
        "retries changed".to_owned()
    };
    say("retries", retries);
    let target = |rule: &Node| rule.get("mirror").map(|to| destination(to).0);
    say(
        "mirror",
        match (target(old), target(new)) {
            (Some(_), None) => "mirror removed".to_owned(),
            (_, to) => format!("mirror to {}", to.unwrap_or_default()),
        },
    );
    let share = |rule: &Node| rule.path(&["mirrorPercentage", "value"]).and_then(scalar);
    let percent = |share: String| format!("{share}%");
    let (was, is) = (share(old).map(percent), share(new).map(percent));
    say("mirrorPercentage", limit("mirrored share", was.as_deref(), is.as_deref()));
    say(
        "fault",
        match (old.get("fault"), new.get("fault")) {
            (None, _) => "fault added".to_owned(),
            (_, None) => "fault removed".to_owned(),
            _ => "fault changed".to_owned(),
        },
    );
    let said =
        ["name", "match", "route", "timeout", "retries", "mirror", "mirrorPercentage", "fault"];
    let mut found = Vec::new();
    fields(old, new, "", &mut found);
    found.retain(|(path, _)| !said.contains(&path.split(['.', '[']).next().unwrap_or(path)));
    parts.extend(found.into_iter().map(|(path, text)| (Weight::Field, format!("{path} {text}"))));
    parts
}

/// A value that was, and is.
fn limit(what: &str, was: Option<&str>, is: Option<&str>) -> String {
    match (was, is) {
        (Some(was), Some(is)) => format!("{what} {was} -> {is}"),
        (None, Some(is)) => format!("{what} {is}"),
        (_, None) => format!("{what} removed"),
    }
}

/// How the destinations of a rule and their shares changed.
fn routed(old: &Node, new: &Node) -> Vec<(Weight, String)> {
    if old.get("route") == new.get("route") {
        return Vec::new();
    }
    let (old, new) = (split(old), split(new));
    let same =
        old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| a.name == b.name || a.twin(b));
    if !same {
        let goes = |d: &Destination| match d.share.as_str() {
            "100" => d.name.clone(),
            share => format!("{} {share}%", d.name),
        };
        let goes: Vec<String> = new.iter().map(goes).collect();
        let text = match goes.is_empty() {
            true => "forwards nothing".to_owned(),
            false => format!("goes to {}", goes.join(" and ")),
        };
        return vec![(Weight::Field, text)];
    }
    let changed: Vec<_> = old.iter().zip(&new).filter(|(a, b)| a.share != b.share).collect();
    // With two destinations, the share of the second says that of the first.
    let skip = usize::from(changed.len() == 2 && old.len() == 2);
    let said = changed.into_iter().skip(skip);
    said.map(|(old, new)| (Weight::Share, format!("{} {}% -> {}%", new.name, old.share, new.share)))
        .collect()
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
        let (name, subset) = node.get("destination").map(destination).unwrap_or_default();
        // Tenths of a percent, rounded.
        let tenths = match total {
            0 => 1_000,
            total => (u64::from(weight(node)) * 1_000 + total / 2) / total,
        };
        let share = match tenths % 10 {
            0 => format!("{}", tenths / 10),
            tenth => format!("{}.{tenth}", tenths / 10),
        };
        Destination { name, subset, share }
    };
    destinations.iter().map(one).collect()
}

/// A destination in words, `payments v2`, and its subset.
fn destination(node: &Node) -> (String, Option<String>) {
    let host = short_host(node.str("host").unwrap_or_default());
    match node.str("subset") {
        Some(subset) => (format!("{host} {subset}"), Some(subset.to_owned())),
        None => (host.to_owned(), None),
    }
}

/// A host of the cluster by its first label; any other as it is.
fn short_host(host: &str) -> &str {
    match host.split_once('.') {
        Some((first, rest)) if rest.ends_with(".svc.cluster.local") => first,
        Some((first, "default" | "default.svc")) => first,
        _ => host,
    }
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
        (Data::List(old), Data::List(new)) if all_named(old) && all_named(new) => {
            let path = path.trim_end_matches('s');
            for old in old {
                let name = old.str("name").unwrap_or_default();
                match new.iter().find(|new| new.str("name") == Some(name)) {
                    Some(new) => fields(old, new, &format!("{path} {name}"), found),
                    None => found.push((format!("{path} {name}"), "removed".to_owned())),
                }
            }
            let fresh = new.iter().filter_map(|new| new.str("name"));
            for name in fresh.filter(|n| !old.iter().any(|old| old.str("name") == Some(n))) {
                found.push((format!("{path} {name}"), "added".to_owned()));
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

/// Subsets, ports and servers are known by their names.
fn all_named(items: &[Node]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.str("name").is_some())
}

fn scalar(node: &Node) -> Option<String> {
    match &node.data {
        Data::Bool(value) => Some(value.to_string()),
        Data::Number(text) | Data::Text(text) => Some(shorten(short_host(text))),
        Data::Null | Data::List(_) | Data::Map(_) => None,
    }
}
