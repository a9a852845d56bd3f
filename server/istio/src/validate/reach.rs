//! Rules and matches that no request can reach, because earlier ones take everything they would.
//!
//! What `istioctl analyze` calls unreachable rules and ineffective matches.

use super::About;
use crate::{
    compile,
    finding::code,
    policy::{Match, StringMatch},
};
use std::collections::{BTreeSet, HashMap};

/// Most steps for the matches of one resource, each a comparison of two or a look for a prefix:
/// what would take longer to find out is not said. It is a warning, and most rules are told apart
/// in a few steps.
const STEPS_MAX: usize = 100_000;

pub(super) fn unreachable(about: &mut About<'_>) {
    let http = about.spec().list("http");
    let all = |route| compile::matches(about.context, about.resource, route);
    let matches: Vec<Vec<Match>> = http.iter().map(all).collect();
    // The first rule without match: it takes every request.
    let mut everything = None;
    let mut earlier = Earlier::default();
    for (index, (route, matches)) in http.iter().zip(&matches).enumerate() {
        let path = format!("spec.http[{index}]");
        if let Some(rule) = everything {
            unreachable_rule(about, (path, route.at), rule, "takes every request");
            continue;
        }
        let takers: Vec<_> = matches.iter().map(|later| earlier.taker(later)).collect();
        if let (Some(Some(rule)), true) =
            (takers.first().copied(), takers.iter().all(Option::is_some))
        {
            unreachable_rule(about, (path, route.at), rule, "takes all of its requests before it");
        } else {
            for (place, rule) in takers.iter().enumerate().filter_map(|(i, t)| t.map(|t| (i, t))) {
                let at = route.list("match").get(place).map_or(route.at, |node| node.at);
                about.idle(
                    code::INEFFECTIVE_MATCH,
                    (format!("{path}.match[{place}]"), at),
                    format!("Rule {} takes all requests of this match before it.", rule + 1),
                    "Remove the match, or move the rule up.",
                );
            }
        }
        if matches.is_empty() {
            everything = Some(index);
        }
        matches.iter().for_each(|found| earlier.add(index, found));
    }
}

/// The matches so far, to be found by what a match that they cover must have: one that asks for an
/// exact value covers only those that ask for the same value.
#[derive(Default)]
struct Earlier<'a> {
    by_exact: HashMap<Exact<'a>, Vec<Taken<'a>>>,
    by_prefix: HashMap<&'a str, Vec<Taken<'a>>>,
    /// How long the prefixes are.
    prefix_lengths: BTreeSet<usize>,
    others: Vec<Taken<'a>>,
    steps: usize,
}

/// The place of a rule, and a match of it.
type Taken<'a> = (usize, &'a Match);

/// An exact value that a match asks for.
#[derive(PartialEq, Eq, Hash)]
enum Exact<'a> {
    Uri(&'a str),
    Header(&'a http::HeaderName, &'a str),
    Query(&'a str, &'a str),
    Label(&'a str, &'a str),
    Authority(&'a str),
    Method(&'a str),
}

impl<'a> Earlier<'a> {
    fn add(&mut self, rule: usize, found: &'a Match) {
        let taken = (rule, found);
        if let Some(exact) = exact(found).next() {
            self.by_exact.entry(exact).or_default().push(taken);
        } else if let Some(StringMatch::Prefix(prefix)) = &found.uri {
            self.by_prefix.entry(prefix).or_default().push(taken);
            self.prefix_lengths.insert(prefix.len());
        } else {
            self.others.push(taken);
        }
    }

    /// The first rule that takes all requests of a match.
    fn taker(&mut self, later: &Match) -> Option<usize> {
        let same = exact(later).filter_map(|exact| self.by_exact.get(&exact));
        let uri = match &later.uri {
            Some(StringMatch::Exact(uri) | StringMatch::Prefix(uri)) => uri.as_str(),
            _ => "",
        };
        let lengths = self.prefix_lengths.range(..=uri.len());
        let lengths = lengths.take(STEPS_MAX - self.steps);
        let beginnings =
            lengths.inspect(|_| self.steps += 1).filter_map(|length| uri.get(..*length));
        let prefixes: Vec<_> =
            beginnings.filter_map(|beginning| self.by_prefix.get(beginning)).collect();
        let mut first: Option<usize> = None;
        for candidates in same.chain(prefixes).chain([&self.others]) {
            for (rule, taken) in candidates {
                // Each list is in the order of the rules.
                if first.is_some_and(|first| first <= *rule) || self.steps == STEPS_MAX {
                    break;
                }
                self.steps += 1;
                if compile::covers(taken, later) {
                    first = Some(*rule);
                }
            }
        }
        first
    }
}

/// The exact values that a match asks for, the one that tells rules apart best first.
fn exact(of: &Match) -> impl Iterator<Item = Exact<'_>> {
    let headers = of.headers.iter();
    let headers = headers.filter_map(|(name, found)| Some(Exact::Header(name, only(found)?)));
    let query = of.query.iter();
    let query = query.filter_map(|(name, found)| Some(Exact::Query(name, only(found)?)));
    let labels = of.source_labels.iter().map(|(name, value)| Exact::Label(name, value));
    let uri = of.uri.as_ref().and_then(only).map(Exact::Uri);
    let authority = of.authority.as_ref().and_then(only).map(Exact::Authority);
    let method = of.method.as_ref().and_then(only).map(Exact::Method);
    uri.into_iter().chain(headers).chain(query).chain(labels).chain(authority).chain(method)
}

fn only(found: &StringMatch) -> Option<&str> {
    match found {
        StringMatch::Exact(text) => Some(text),
        _ => None,
    }
}

fn unreachable_rule(
    about: &mut About<'_>,
    place: (String, crate::yaml::Position),
    rule: usize,
    why: &str,
) {
    about.idle(
        code::UNREACHABLE_RULE,
        place,
        format!("No request reaches this rule: rule {} {why}.", rule + 1),
        "Move the more special rule up; the first that matches wins.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> StringMatch {
        StringMatch::Exact(text.to_owned())
    }

    #[test]
    fn rules_that_ask_for_exact_values_are_told_apart_in_a_step_each() {
        let uri = |at: usize| Match { uri: Some(exact(&format!("/{at}"))), ..Match::default() };
        let user = |at: usize| {
            let header = (http::HeaderName::from_static("x-user"), exact(&at.to_string()));
            let method = Some(exact("GET"));
            Match { method, headers: vec![header], ..Match::default() }
        };
        let matches: Vec<_> = (0..1_000).map(uri).chain((0..1_000).map(user)).collect();
        let mut earlier = Earlier::default();
        for (rule, found) in matches.iter().enumerate() {
            assert_eq!(earlier.taker(found), None);
            earlier.add(rule, found);
        }
        assert!(earlier.steps <= matches.len(), "{} steps", earlier.steps);
        assert_eq!(earlier.taker(&matches[700]), Some(700));
    }

    #[test]
    fn what_takes_longer_than_the_bound_is_not_looked_for() {
        let present = (http::HeaderName::from_static("x-user"), StringMatch::Present);
        let found = Match { without_headers: vec![present], ..Match::default() };
        let later = Match::default();
        let mut earlier = Earlier::default();
        (0..1_000).for_each(|rule| earlier.add(rule, &found));
        (0..1_000).for_each(|_| assert_eq!(earlier.taker(&later), None));
        assert_eq!(earlier.steps, STEPS_MAX);
    }

    #[test]
    fn the_first_that_takes_a_match_is_the_one_that_comparing_with_all_finds() {
        let texts = ["", "/a", "/a/b", "/b"];
        let regex = || crate::value::regex("/a.*").ok().map(StringMatch::Regex);
        let prefixes = texts.map(|text| Some(StringMatch::Prefix(text.to_owned())));
        let uris = [None, regex()].into_iter().chain(prefixes);
        let uris: Vec<_> = uris.chain(texts.map(|text| Some(exact(text)))).collect();
        let headers = [None, Some(StringMatch::Present), Some(exact("1")), Some(exact("2"))];
        let mut matches = Vec::new();
        for uri in &uris {
            for header in &headers {
                for method in [None, Some(exact("GET"))] {
                    let name = http::HeaderName::from_static("x-user");
                    let headers = header.clone().map(|found| (name, found)).into_iter().collect();
                    matches.push(Match { uri: uri.clone(), headers, method, ..Match::default() });
                }
            }
        }
        // Each of many orders, so that each comes before each of the others.
        for stride in [1, 3, 7, 11, 13, 17, 19, 23] {
            let order: Vec<_> =
                (0..matches.len()).map(|at| &matches[(at * stride) % matches.len()]).collect();
            let mut earlier = Earlier::default();
            for (rule, later) in order.iter().enumerate() {
                let mut before = order[..rule].iter();
                let found = before.position(|taken| compile::covers(taken, later));
                assert_eq!(earlier.taker(later), found, "{later:?} as rule {rule} of {stride}");
                earlier.add(rule, later);
            }
        }
    }
}
