//! Rules and matches that no request can reach, because earlier ones take everything they would.
//!
//! What `istioctl analyze` calls unreachable rules and ineffective matches.

use super::About;
use crate::{compile, finding::code, policy::Match};

pub(super) fn unreachable(about: &mut About<'_>) {
    let http = about.spec().list("http");
    // Every match of the rules so far, with the place of its rule; none is a rule without match.
    let mut earlier: Vec<(usize, Option<Match>)> = Vec::new();
    for (index, route) in http.iter().enumerate() {
        let matches = compile::matches(about.context, about.resource, route);
        let path = format!("spec.http[{index}]");
        let everything = earlier.iter().find(|(_, taken)| taken.is_none()).map(|(rule, _)| *rule);
        let taken_by = |later: &Match| {
            let covers = |taken: &Option<Match>| {
                taken.as_ref().is_none_or(|taken| compile::covers(taken, later))
            };
            earlier.iter().find(|(_, taken)| covers(taken)).map(|(rule, _)| *rule)
        };
        let takers: Vec<_> = matches.iter().map(taken_by).collect();
        if let Some(rule) = everything {
            unreachable_rule(about, (path, route.at), rule, "takes every request");
        } else if let (Some(Some(rule)), true) =
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
        match matches.is_empty() {
            true => earlier.push((index, None)),
            false => earlier.extend(matches.into_iter().map(|found| (index, Some(found)))),
        }
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
