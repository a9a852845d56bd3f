//! `DestinationRule`s that another one takes the place of: of several for one service, one is read.
//!
//! A service has several names and patterns have several services, so that two rules may be for one
//! without having one host.

use super::{About, place};
use crate::{compile, finding::code, resource::Resource};
use contract::istio::ResourceKey;

/// What of a rule for these services holds for none of them.
pub(super) fn check(about: &mut About<'_>, services: &[String]) {
    let (context, own) = (about.context, about.resource);
    // What is built in gives way without a word.
    if services.is_empty() || own.is_built_in() || !compile::is_seen(own) {
        return;
    }
    let callers = compile::callers(context, own);
    let read: Vec<Vec<&Resource>> =
        services.iter().map(|service| compile::rules(context, service, &callers)).collect();
    let is_own = |rule: &Resource| rule.key() == own.key();
    if !read.iter().flatten().any(|rule| is_own(rule)) {
        // A selector that chooses nobody is said elsewhere.
        let Some(winner) = read.iter().find_map(|rules| rules.first()) else { return };
        let at = ("spec.host".to_owned(), place(own.spec(), "host"));
        return lost(about, "spec", at, ("rule", &services[0], winner.key()));
    }
    let says = |rule: &Resource| rule.spec().get("trafficPolicy").is_some();
    if let Some(winner) = winner(&read, is_own, says) {
        let path = "spec.trafficPolicy";
        let at = (path.to_owned(), place(own.spec(), "trafficPolicy"));
        lost(about, path, at, ("trafficPolicy", &services[0], winner));
    }
    for (index, node) in own.spec().list("subsets").iter().enumerate() {
        let name = node.str("name");
        let defines = |rule: &Resource| {
            rule.spec().list("subsets").iter().any(|subset| subset.str("name") == name)
        };
        if let Some(winner) = winner(&read, is_own, defines) {
            let path = format!("spec.subsets[{index}]");
            let what = format!("subset {}", name.unwrap_or_default());
            lost(about, &path, (path.clone(), node.at), (&what, &services[0], winner));
        }
    }
}

/// The rule that is read in the place of this one for what both say, if it is so for every service.
fn winner<'a>(
    read: &[Vec<&'a Resource>],
    is_own: impl Fn(&Resource) -> bool,
    says: impl Fn(&Resource) -> bool,
) -> Option<&'a ResourceKey> {
    let here = read.iter().filter(|rules| rules.iter().any(|rule| is_own(rule) && says(rule)));
    let firsts: Vec<_> =
        here.filter_map(|rules| rules.iter().copied().find(|rule| says(rule))).collect();
    match firsts.iter().any(|first| is_own(first)) {
        true => None,
        false => firsts.first().map(|first| first.key()),
    }
}

fn lost(
    about: &mut About<'_>,
    silent: &str,
    at: (String, crate::yaml::Position),
    (what, service, winner): (&str, &str, &ResourceKey),
) {
    let message = format!("{winner} is read for {service} first: this {what} has no effect.");
    about.silence(silent, &message);
    let advice = "Put the rules of one service into one, with one of its names as the host.";
    about.warn(code::ALIASES, at, message, advice);
}
