//! What the controls show of a text: documents in, a form out.
//!
//! One `VirtualService` has the controls: the one that is asked for. What has none stays in the
//! text and is named in [`RouteForm::kept`].

use super::documents;
use contract::traffic::{
    ControlLines, DocumentLines, MatchOn, MatchOp, MatchTerm, MirrorForm, RateLimitForm, RetryForm,
    RouteForm, RuleFault, RuleForm, TargetForm, control,
};
use istio::{
    value,
    yaml::{Data, Node},
};
use std::time::Duration;

/// Fields of a rule that have controls or are shown.
const RULE_FIELDS: [&str; 10] = [
    "name",
    "match",
    "route",
    "mirror",
    "mirrorPercentage",
    "timeout",
    "retries",
    "fault",
    "redirect",
    "directResponse",
];
/// Fields of a match that have controls.
const MATCH_FIELDS: [&str; 8] = [
    "uri",
    "scheme",
    "method",
    "authority",
    "headers",
    "withoutHeaders",
    "queryParams",
    "sourceLabels",
];
/// Around the name and value of one cookie in a regular expression, as Istio's documents have it.
pub(super) const COOKIE: (&str, &str) = (r"^(.*?;)?\s*(", r")(;.*)?$");

/// The controls of these documents; `service` is the title of the `VirtualService` they are of.
pub(super) fn form(documents: &[Node], service: &str) -> RouteForm {
    let of_kind =
        |kind: &'static str| documents.iter().filter(move |d| d.str("kind") == Some(kind));
    let mut form = RouteForm::default();
    for document in documents {
        form.documents.push(DocumentLines {
            kind: document.str("kind").unwrap_or_default().to_owned(),
            name: documents::title_of(document),
            first: document.at.line,
            last: last_line(document),
            ..DocumentLines::default()
        });
    }
    for rule in of_kind("DestinationRule").flat_map(subsets) {
        if !form.subsets.contains(&rule) {
            form.subsets.push(rule);
        }
    }
    if let Some(at) = documents::chosen(documents, service) {
        let document = &documents[at];
        form.service = documents::title_of(document);
        for (index, node) in rules(document).iter().enumerate() {
            let mut rule = rule(index, node);
            rule.faithful = istio::faithful_routes(document).any(|name| name == rule.name);
            form.rules.push(rule);
            lines(&mut form.lines, index, node);
            kept(&mut form.kept, index, node);
        }
    }
    for filter in of_kind("EnvoyFilter") {
        if let Some(bucket) = token_bucket(filter) {
            form.rate_limit = rate_limit(bucket);
            form.lines.push(span(control::RATE_LIMIT.to_owned(), bucket));
        }
    }
    form
}

/// The rules of a `VirtualService`.
pub(super) fn rules(document: &Node) -> &[Node] {
    document.get("spec").map_or(&[], |spec| spec.list("http"))
}

/// What a rule is called on the page.
pub(super) fn name_of(index: usize, node: &Node) -> String {
    node.str("name").map_or_else(|| format!("#{}", index + 1), str::to_owned)
}

fn subsets(document: &Node) -> Vec<String> {
    let subsets = document.get("spec").map_or(&[][..], |spec| spec.list("subsets"));
    subsets.iter().filter_map(|subset| subset.str("name")).map(str::to_owned).collect()
}

/// One rule.
pub(super) fn rule(index: usize, node: &Node) -> RuleForm {
    RuleForm {
        name: name_of(index, node),
        matches: node.list("match").iter().map(terms).collect(),
        targets: targets(node),
        answers: answers(node),
        mirror: node.get("mirror").map(|mirror| MirrorForm {
            host: mirror.str("host").unwrap_or_default().to_owned(),
            subset: mirror.str("subset").unwrap_or_default().to_owned(),
            // Absent is all (Istio's reference, HTTPRoute.mirrorPercentage).
            percent: number(node.path(&["mirrorPercentage", "value"])).unwrap_or(100.0),
        }),
        timeout_ms: millis(node.get("timeout")),
        retries: node.get("retries").map(|retries| RetryForm {
            attempts: whole(retries.get("attempts")),
            per_try_ms: millis(retries.get("perTryTimeout")),
            on: retries.str("retryOn").map_or_else(Vec::new, |on| {
                on.split(',').map(|token| token.trim().to_owned()).collect()
            }),
        }),
        fault: node.get("fault").map(|fault| RuleFault { what: fault_words(fault) }),
        faithful: false,
    }
}

fn targets(node: &Node) -> Vec<TargetForm> {
    let routes = node.list("route");
    let one = routes.len() == 1;
    let target = |route: &Node| {
        let text = |key| route.path(&["destination", key]).and_then(Node::as_str);
        TargetForm {
            host: text("host").unwrap_or_default().to_owned(),
            subset: text("subset").unwrap_or_default().to_owned(),
            // A single destination gets all, whatever its weight.
            weight: if one { 100 } else { whole(route.get("weight")) },
        }
    };
    routes.iter().map(target).collect()
}

fn answers(node: &Node) -> Option<String> {
    if let Some(direct) = node.get("directResponse") {
        return Some(format!("answers {}", whole(direct.get("status"))));
    }
    let redirect = node.get("redirect")?;
    let to = redirect.str("uri").or(redirect.str("authority")).unwrap_or("another place");
    Some(format!("redirects to {to}"))
}

/// The terms of one match.
pub(super) fn terms(node: &Node) -> Vec<MatchTerm> {
    let single = [
        (MatchOn::Uri, "uri"),
        (MatchOn::Method, "method"),
        (MatchOn::Authority, "authority"),
        (MatchOn::Scheme, "scheme"),
    ];
    let mut terms: Vec<MatchTerm> = single
        .into_iter()
        .filter_map(|(on, key)| node.get(key).map(|value| term(on, "", value)))
        .collect();
    let named = [
        (MatchOn::Header, "headers"),
        (MatchOn::WithoutHeader, "withoutHeaders"),
        (MatchOn::Query, "queryParams"),
        (MatchOn::SourceLabel, "sourceLabels"),
    ];
    for (on, key) in named {
        let entries = node.get(key).map_or(&[][..], Node::entries);
        terms.extend(entries.iter().map(|entry| term(on, &entry.key, &entry.value)));
    }
    terms
}

fn term(on: MatchOn, name: &str, node: &Node) -> MatchTerm {
    let plain = |op, value: &str| MatchTerm { on, name: name.to_owned(), op, value: value.into() };
    if let Some(text) = node.as_str() {
        return plain(MatchOp::Exact, text);
    }
    let ops = [(MatchOp::Exact, "exact"), (MatchOp::Prefix, "prefix"), (MatchOp::Regex, "regex")];
    let found = ops.into_iter().find_map(|(op, key)| node.str(key).map(|value| (op, value)));
    let Some((op, value)) = found else {
        return plain(MatchOp::Present, "");
    };
    if let Some((cookie, value)) = cookie(on, name, op, value) {
        let (op, value) = (MatchOp::Exact, value.to_owned());
        return MatchTerm { on: MatchOn::Cookie, name: cookie.to_owned(), op, value };
    }
    plain(op, value)
}

/// Name and value, if a header's condition is one for a cookie.
fn cookie<'a>(on: MatchOn, name: &str, op: MatchOp, value: &'a str) -> Option<(&'a str, &'a str)> {
    if on != MatchOn::Header || op != MatchOp::Regex || !name.eq_ignore_ascii_case("cookie") {
        return None;
    }
    let inner = value.strip_prefix(COOKIE.0)?.strip_suffix(COOKIE.1)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    inner.split_once('=').filter(|(name, value)| name.chars().chain(value.chars()).all(plain))
}

fn fault_words(fault: &Node) -> String {
    let percent = |kind: &str| number(fault.path(&[kind, "percentage", "value"])).unwrap_or(0.0);
    let mut words = Vec::new();
    if let Some(delay) = fault.path(&["delay", "fixedDelay"]).and_then(Node::as_str) {
        words.push(format!("delay {delay} on {}%", percent("delay")));
    }
    if fault.get("abort").is_some() {
        let status = whole(fault.path(&["abort", "httpStatus"]));
        words.push(format!("abort {status} on {}%", percent("abort")));
    }
    let mut text = words.join(", ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn lines(all: &mut Vec<ControlLines>, index: usize, node: &Node) {
    all.push(span(control::of_rule(index, ""), node));
    let parts = [
        ("match", control::MATCH),
        ("route", control::SPLIT),
        ("mirror", control::MIRROR),
        ("timeout", control::TIMEOUT),
        ("retries", control::RETRIES),
        ("fault", control::FAULT),
    ];
    for (key, part) in parts {
        let Some(entry) = node.entry(key) else { continue };
        let mut last = last_line(&entry.value).max(entry.at.line);
        if let ("mirror", Some(share)) = (key, node.get("mirrorPercentage")) {
            last = last.max(last_line(share));
        }
        let control = control::of_rule(index, part);
        all.push(ControlLines { control, first: entry.at.line, last });
    }
}

fn span(control: String, node: &Node) -> ControlLines {
    ControlLines { control, first: node.at.line, last: last_line(node) }
}

fn kept(all: &mut Vec<String>, index: usize, node: &Node) {
    let path = format!("spec.http[{index}]");
    for entry in node.entries().iter().filter(|e| !RULE_FIELDS.contains(&e.key.as_str())) {
        all.push(format!("{path}.{}", entry.key));
    }
    for (at, one) in node.list("match").iter().enumerate() {
        for entry in one.entries().iter().filter(|e| !MATCH_FIELDS.contains(&e.key.as_str())) {
            all.push(format!("{path}.match[{at}].{}", entry.key));
        }
    }
}

/// The token bucket of a local rate limit.
pub(super) fn token_bucket(filter: &Node) -> Option<&Node> {
    let patches = filter.get("spec").map_or(&[][..], |spec| spec.list("configPatches"));
    patches.iter().find_map(|patch| {
        let config = patch.path(&["patch", "value", "typed_config"])?;
        // As it is written with a TypedStruct, and without.
        config.path(&["value", "token_bucket"]).or_else(|| config.get("token_bucket"))
    })
}

fn rate_limit(bucket: &Node) -> Option<RateLimitForm> {
    let interval = bucket.str("fill_interval").and_then(|text| value::duration(text).ok())?;
    let per = match interval {
        _ if interval == Duration::from_secs(1) => "second",
        _ if interval == Duration::from_secs(60) => "minute",
        _ if interval == Duration::from_secs(3_600) => "hour",
        _ => return None,
    };
    let burst = whole(bucket.get("max_tokens"));
    let requests = bucket.get("tokens_per_fill").map_or(burst, |fill| whole(Some(fill)));
    Some(RateLimitForm { requests, per: per.to_owned(), burst })
}

/// The last line a node covers.
pub(super) fn last_line(node: &Node) -> u32 {
    let inner = match &node.data {
        Data::Map(entries) => entries.iter().map(|e| last_line(&e.value).max(e.at.line)).max(),
        Data::List(items) => items.iter().map(last_line).max(),
        Data::Text(text) => {
            let breaks = text.trim_end_matches('\n').matches('\n').count();
            u32::try_from(breaks).ok().map(|breaks| node.at.line + breaks)
        }
        _ => None,
    };
    inner.unwrap_or(node.at.line).max(node.at.line)
}

fn whole(node: Option<&Node>) -> u32 {
    node.and_then(Node::as_number).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn number(node: Option<&Node>) -> Option<f64> {
    node.and_then(Node::as_number).and_then(|number| number.parse().ok())
}

fn millis(node: Option<&Node>) -> Option<u64> {
    let duration = value::duration(node?.as_str()?).ok()?;
    u64::try_from(duration.as_millis()).ok()
}
