//! A change in words: `payments v2 10% -> 20%`.
//!
//! What moves requests is said as it is spoken of: rules by their names, shares, limits, tries.
//! Other fields are said by name and values; names and labels only where nothing else changed.

use crate::{
    diff::Changed,
    resource::Resource,
    schema::Kind,
    yaml::{Data, Entry, Node, shorten},
};
use std::{
    collections::{HashMap, VecDeque},
    hash::{Hash, Hasher},
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
            let rules = |path: &str| before.kind() == Kind::VirtualService && path == "spec.http";
            fields((before.root(), after.root()), "", &rules, &mut found);
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
    let (mut before_of, mut gone) = (vec![None; new.len()], vec![true; old.len()]);
    for &(was, now) in &pairs {
        (before_of[now], gone[was]) = (Some(was), false);
    }
    let mut parts = Vec::new();
    for (at, rule) in new.iter().enumerate() {
        let Some(was) = before_of[at] else {
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
    for at in (0..old.len()).filter(|at| gone[*at]) {
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
    pairs(old, new, |rule| rule.str("name"), |rule| Content(rule.get("match")))
}

/// What a node holds, to find others that hold the same.
#[derive(PartialEq, Eq)]
struct Content<'a>(Option<&'a Node>);

impl Hash for Content<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        fn data<H: Hasher>(node: &Node, state: &mut H) {
            std::mem::discriminant(&node.data).hash(state);
            match &node.data {
                Data::Null => {}
                Data::Bool(value) => value.hash(state),
                Data::Number(text) | Data::Text(text) => text.hash(state),
                Data::List(items) => items.iter().for_each(|item| data(item, state)),
                Data::Map(entries) => entries.iter().for_each(|entry| {
                    entry.key.hash(state);
                    data(&entry.value, state);
                }),
            }
        }
        if let Some(node) = self.0 {
            data(node, state);
        }
    }
}

/// See [`paired`]. Each rule is looked at some times, however many there are: there are hundreds on
/// each side, and a change is made to all of them at once.
fn pairs<'a, R, C: Eq + Hash>(
    old: &'a [R],
    new: &'a [R],
    name: impl Fn(&'a R) -> Option<&'a str>,
    content: impl Fn(&'a R) -> C,
) -> Vec<(usize, usize)> {
    let mut free =
        Free { old: vec![true; old.len()], new: vec![true; new.len()], pairs: Vec::new() };
    free.pair_by(old, new, &name);
    free.pair_by(old, new, |rule| name(rule).is_none().then(|| content(rule)));
    // In their order, but none of one name with one of another.
    let (mut any, mut unnamed) = (0, 0);
    for (was, rule) in old.iter().enumerate() {
        if !free.old[was] {
            continue;
        }
        // What is passed over is taken, or for ever of no use.
        let now = match name(rule) {
            None => free.next(&mut any, |_| true),
            Some(_) => free.next(&mut unnamed, |now| name(&new[now]).is_none()),
        };
        if let Some(now) = now {
            free.take(was, now);
        }
    }
    free.pairs.sort_unstable();
    free.pairs
}

/// Rules that have no partner yet, and the pairs there are.
struct Free {
    old: Vec<bool>,
    new: Vec<bool>,
    pairs: Vec<(usize, usize)>,
}

impl Free {
    fn take(&mut self, was: usize, now: usize) {
        (self.old[was], self.new[now]) = (false, false);
        self.pairs.push((was, now));
    }

    /// The first free one from a place on that will do; the place goes there.
    fn next(&self, from: &mut usize, will_do: impl Fn(usize) -> bool) -> Option<usize> {
        let found = (*from..self.new.len()).find(|now| self.new[*now] && will_do(*now));
        *from = found.unwrap_or(self.new.len());
        found
    }

    /// Pairs those of one key, the first with the first.
    fn pair_by<'a, R, K: Eq + Hash>(
        &mut self,
        old: &'a [R],
        new: &'a [R],
        key: impl Fn(&'a R) -> Option<K>,
    ) {
        let mut by_key: HashMap<K, VecDeque<usize>> = HashMap::new();
        for (now, rule) in new.iter().enumerate().filter(|(now, _)| self.new[*now]) {
            if let Some(key) = key(rule) {
                by_key.entry(key).or_default().push_back(now);
            }
        }
        for (was, rule) in old.iter().enumerate() {
            if !self.old[was] {
                continue;
            }
            let same = key(rule).and_then(|key| by_key.get_mut(&key)?.pop_front());
            if let Some(now) = same {
                self.take(was, now);
            }
        }
    }
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
    fields((old, new), "", &|path| said.contains(&path), &mut found);
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

/// Every leaf that differs, with what became of it, but for what is `left_out`.
fn fields(
    (before, after): (&Node, &Node),
    path: &str,
    left_out: &dyn Fn(&str) -> bool,
    found: &mut Vec<(String, String)>,
) {
    if left_out(path) || before == after {
        return;
    }
    match (&before.data, &after.data) {
        (Data::Map(old), Data::Map(new)) => {
            let join = |key: &str| match path.is_empty() {
                true => key.to_owned(),
                false => format!("{path}.{key}"),
            };
            let joined = |entry: &Entry| Some(join(&entry.key)).filter(|path| !left_out(path));
            for (entry, path) in old.iter().filter_map(|entry| Some((entry, joined(entry)?))) {
                match after.entry(&entry.key) {
                    Some(other) => fields((&entry.value, &other.value), &path, left_out, found),
                    None => found.push((path, "removed".to_owned())),
                }
            }
            let added = new.iter().filter(|entry| before.entry(&entry.key).is_none());
            for (entry, path) in added.filter_map(|entry| Some((entry, joined(entry)?))) {
                let change = match scalar(&entry.value) {
                    Some(value) => format!("set to {value}"),
                    None => "added".to_owned(),
                };
                found.push((path, change));
            }
        }
        (Data::List(old), Data::List(new)) if all_named(old) && all_named(new) => {
            let path = path.trim_end_matches('s');
            let (was, is) = (by_name(old), by_name(new));
            for old in old {
                let name = old.str("name").unwrap_or_default();
                let path = format!("{path} {name}");
                match is.get(name) {
                    Some(new) => fields((old, new), &path, left_out, found),
                    None => found.push((path, "removed".to_owned())),
                }
            }
            let fresh = new.iter().filter_map(|new| new.str("name"));
            for name in fresh.filter(|name| !was.contains_key(name)) {
                found.push((format!("{path} {name}"), "added".to_owned()));
            }
        }
        (Data::List(old), Data::List(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                fields((old, new), &format!("{path}[{index}]"), left_out, found);
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

/// Items by their names; of one name twice the first.
fn by_name(items: &[Node]) -> HashMap<&str, &Node> {
    let named = items.iter().rev().filter_map(|item| Some((item.str("name")?, item)));
    named.collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// What a rule matches, counting how often it is compared.
    #[derive(Clone, Copy, Eq)]
    struct Counted(usize);

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            self.0 == other.0
        }
    }

    impl Hash for Counted {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    fn pairs_of(old: &[Counted], new: &[Counted]) -> (Vec<(usize, usize)>, usize) {
        COMPARED.set(0);
        let found = pairs(old, new, |_| None, |rule| *rule);
        (found, COMPARED.get())
    }

    #[test]
    fn hundreds_of_rules_are_paired_by_a_few_comparisons_each() {
        const RULES: usize = 2_000;
        let old: Vec<_> = (0..RULES).map(Counted).collect();
        let turned: Vec<_> = old.iter().rev().copied().collect();
        let others: Vec<_> = (RULES..2 * RULES).map(Counted).collect();
        let (found, compared) = pairs_of(&old, &turned);
        assert!(found.iter().all(|(was, now)| was + now == RULES - 1));
        // The table compares only what is in one of its places.
        assert!(compared < 10 * RULES, "{compared}");
        let (found, compared) = pairs_of(&old, &others);
        assert!(found.iter().all(|(was, now)| was == now) && found.len() == RULES);
        assert!(compared < 10 * RULES, "{compared}");
    }

    #[test]
    fn rules_are_paired_by_name_then_by_match_then_in_their_order() {
        type Rule = (Option<&'static str>, u32);
        let pair = |old: &[Rule], new: &[Rule]| {
            let (old, new) = (old.to_vec(), new.to_vec());
            pairs(&old, &new, |rule| rule.0, |rule| rule.1)
        };
        let (a, b) = (Some("a"), Some("b"));
        assert_eq!(pair(&[(a, 1), (None, 2)], &[(None, 2), (a, 9)]), [(0, 1), (1, 0)]);
        // One of a name and one of another are not the same one.
        assert_eq!(pair(&[(a, 1)], &[(b, 1)]), []);
        assert_eq!(pair(&[(a, 1), (None, 2)], &[(b, 1), (None, 3)]), [(0, 1), (1, 0)]);
        assert_eq!(pair(&[(None, 1), (a, 2)], &[(b, 3), (None, 4)]), [(0, 0), (1, 1)]);
        assert_eq!(pair(&[(a, 1), (a, 2)], &[(a, 3), (a, 4), (a, 5)]), [(0, 0), (1, 1)]);
        assert_eq!(pair(&[(None, 1), (None, 1)], &[(None, 1)]), [(0, 0)]);
    }
}
