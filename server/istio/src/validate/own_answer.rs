//! Rules that answer themselves (`redirect`, `directResponse`): what they say about sending
//! requests on has no effect, in Envoy as here. Istio refuses only some of it, which the table of
//! fields does too; the rest is kept, and said to be without effect.

use super::{About, place};
use crate::{
    finding::code,
    resource::Resource,
    yaml::{Node, Position},
};

/// Fields of a rule that say how a request is sent on.
const OF_SENDING: [&str; 5] = ["timeout", "retries", "mirror", "mirrors", "rateLimit"];

/// Fields that a rule leaves to its delegate, each with those that stand for it there.
const INHERITED: [(&str, &[&str]); 8] = [
    ("rewrite", &["rewrite"]),
    ("timeout", &["timeout"]),
    ("retries", &["retries"]),
    ("fault", &["fault"]),
    ("mirror", &["mirror", "mirrors"]),
    ("mirrors", &["mirror", "mirrors"]),
    ("corsPolicy", &["corsPolicy"]),
    ("rateLimit", &["rateLimit"]),
];

/// Whether a rule gives the answer itself, and by which field.
pub(super) fn answers(route: &Node) -> Option<&'static str> {
    ["redirect", "directResponse"].into_iter().find(|key| route.get(key).is_some())
}

/// What a rule that answers itself says of requests that it sends nowhere.
pub(super) fn check(about: &mut About<'_>, route: &Node, path: &str) {
    let Some(answer) = answers(route) else { return };
    large_body(about, route, path);
    for key in OF_SENDING.into_iter().filter(|key| route.get(key).is_some()) {
        let at = place(route, key);
        idle(about, (path, key), at, answer);
    }
    if let Some(headers) = route.get("headers").filter(|headers| headers.get("request").is_some()) {
        let at = place(headers, "request");
        idle(about, (path, "headers.request"), at, answer);
    }
    // The share of a mirror that copies nothing.
    if route.get("mirror").is_some() {
        for key in ["mirrorPercentage", "mirrorPercent"] {
            let why = format!("The mirror whose share it is has no effect beside {answer}");
            about.silence(format!("{path}.{key}"), &why);
        }
    }
}

/// Headers that a rule sets and each rule of its delegate sets too: those of the delegate win.
fn headers_of_root(about: &mut About<'_>, (route, path): (&Node, &str), leaf: &Resource) {
    let rules = leaf.spec().list("http");
    let name = &leaf.key().name;
    for direction in ["request", "response"] {
        for operation in ["set", "add"] {
            let at = ["headers", direction, operation];
            for entry in route.path(&at).map_or(&[][..], Node::entries) {
                let same = |rule: &Node| {
                    let mut own = rule.path(&at).map_or(&[][..], Node::entries).iter();
                    own.any(|other| other.key.eq_ignore_ascii_case(&entry.key))
                };
                if rules.iter().all(same) {
                    let path = format!("{path}.headers.{direction}.{operation}[{}]", entry.key);
                    about.silence(path, &format!("Each rule of the delegate {name} says it too"));
                }
            }
        }
    }
}

/// Largest body of an answer, in bytes (`validateHTTPDirectResponse`).
const BODY_BYTES_MAX: usize = 1 << 20;

fn large_body(about: &mut About<'_>, route: &Node, path: &str) {
    let Some(body) = route.path(&["directResponse", "body"]) else { return };
    let bytes = body.str("bytes").and_then(|bytes| crate::value::base64(bytes).ok());
    let length = body.str("string").map(str::len).or_else(|| bytes.map(|bytes| bytes.len()));
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        let place = (format!("{path}.directResponse.body"), body.at);
        let message = "Istio takes no body above 1 MiB: each proxy keeps it.";
        about.error(code::BOUND, place, message, "Send the requests to a service that answers.");
    }
}

fn idle(about: &mut About<'_>, (path, key): (&str, &str), at: Position, answer: &str) {
    about.idle(
        code::ANSWERED_HERE,
        (format!("{path}.{key}"), at),
        format!("{key} is without effect: {answer} answers the request, which is sent nowhere."),
        format!("Remove it, or send the requests on with route in place of {answer}."),
    );
}

/// What a rule says for its delegate, and no rule there takes from it.
pub(super) fn inherited(about: &mut About<'_>, (route, path): (&Node, &str), leaf: &Resource) {
    let rules = leaf.spec().list("http");
    if rules.is_empty() {
        return;
    }
    headers_of_root(about, (route, path), leaf);
    for (key, instead) in INHERITED.into_iter().filter(|(key, _)| route.get(key).is_some()) {
        // Answers of its own have CORS headers too.
        let takes = |rule: &Node| {
            (key == "corsPolicy" || answers(rule).is_none())
                && instead.iter().all(|own| rule.get(own).is_none())
        };
        if rules.iter().any(takes) {
            continue;
        }
        about.idle(
            code::ANSWERED_HERE,
            (format!("{path}.{key}"), place(route, key)),
            format!(
                "{key} is without effect: every rule of the delegate {} has its own, or answers \
                 by itself.",
                leaf.key().name
            ),
            "Remove it, or leave it out of the rules of the delegate.",
        );
    }
}
