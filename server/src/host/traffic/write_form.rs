//! A form written back into its text: only what was changed, everything else stays as it was.

use super::{
    documents,
    read_form::{self, COOKIE},
};
use contract::traffic::{
    FormEdit, MatchOn, MatchOp, MatchTerm, RateLimitForm, RouteForm, RuleForm, TargetForm,
};
use istio::yaml::{self, Data, Entry, Node, Position};

/// The text of these documents with what the controls changed in them, and nothing else. `host`
/// names new resources.
pub(super) fn text(documents: &[Node], edit: &FormEdit, host: &str) -> String {
    let mut documents = documents.to_vec();
    if edit.before.rules != edit.after.rules {
        write_service(&mut documents, edit, host);
    }
    if edit.before.rate_limit != edit.after.rate_limit {
        write_rate_limit(&mut documents, edit.after.rate_limit.as_ref(), host);
    }
    let texts: Vec<String> = documents.iter().map(|document| yaml::write(document).0).collect();
    texts.join("---\n")
}

fn write_service(documents: &mut Vec<Node>, edit: &FormEdit, host: &str) {
    let at = documents::chosen(documents, &edit.after.service);
    // A `VirtualService` without a route is none.
    let bare = |document: &Node| {
        let spec = document.get("spec");
        !spec.is_some_and(|spec| spec.get("tcp").is_some() || spec.get("tls").is_some())
    };
    match at {
        Some(at) if edit.after.rules.is_empty() && bare(&documents[at]) => {
            drop(documents.remove(at));
        }
        Some(at) => write_rules(&mut documents[at], edit),
        None if edit.after.rules.is_empty() => {}
        None => {
            let mut made = virtual_service(host);
            write_rules(&mut made, edit);
            documents.insert(0, made);
        }
    }
}

fn virtual_service(host: &str) -> Node {
    let hosts = Node::new(Data::List(vec![Node::text(host)]));
    Node::map([
        ("apiVersion", Node::text("networking.istio.io/v1")),
        ("kind", Node::text("VirtualService")),
        ("metadata", Node::map([("name", Node::text(host))])),
        ("spec", Node::map([("hosts", hosts)])),
    ])
}

/// Name of a rule and how many of that name stand before it: what a rule is known by.
fn identities<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(String, usize)> {
    let mut known: Vec<(String, usize)> = Vec::new();
    for name in names {
        let before = known.iter().filter(|(other, _)| other == name).count();
        known.push((name.to_owned(), before));
    }
    known
}

/// Writes what differs between two forms. The text may have changed since the first of them was
/// read: a rule that was typed meanwhile stays where it is, and one that was taken away stays away.
fn write_rules(document: &mut Node, edit: &FormEdit) {
    let here = read_form::rules(document).to_vec();
    let names: Vec<_> = here.iter().enumerate().map(|(at, n)| read_form::name_of(at, n)).collect();
    let of_text = identities(names.iter().map(String::as_str));
    let of = |form: &RouteForm| identities(form.rules.iter().map(|rule| rule.name.as_str()));
    let (before, after) = (of(&edit.before), of(&edit.after));
    let place =
        |known: &[(String, usize)], id: &(String, usize)| known.iter().position(|k| k == id);
    let mut rules: Vec<(Option<usize>, Node)> = Vec::new();
    for (rule, id) in edit.after.rules.iter().zip(&after) {
        let old = place(&before, id).map(|at| &edit.before.rules[at]);
        match (place(&of_text, id), old) {
            (Some(at), Some(old)) => rules.push((Some(at), written(here[at].clone(), old, rule))),
            (Some(at), None) => {
                let read = read_form::rule(at, &here[at]);
                rules.push((Some(at), written(here[at].clone(), &read, rule)));
            }
            (None, Some(_)) => {}
            (None, None) => {
                let name = (!rule.name.starts_with('#')).then(|| ("name", Node::text(&rule.name)));
                rules.push((None, written(Node::map(name), &RuleForm::default(), rule)));
            }
        }
    }
    for (at, id) in of_text.iter().enumerate() {
        if place(&before, id).is_none() && place(&after, id).is_none() {
            let follows = rules.iter().position(|(old, _)| old.is_some_and(|old| old + 1 == at));
            let to = follows.map_or(if at == 0 { 0 } else { rules.len() }, |before| before + 1);
            rules.insert(to, (Some(at), here[at].clone()));
        }
    }
    let rules = Node::new(Data::List(rules.into_iter().map(|(_, node)| node).collect()));
    for (rule, id) in edit.after.rules.iter().zip(&after) {
        let was = place(&before, id).is_some_and(|at| edit.before.rules[at].faithful);
        if let Some(changed) = (was != rule.faithful)
            .then(|| istio::with_faithful_route(document, &rule.name, rule.faithful))
            .flatten()
        {
            *document = changed;
        }
    }
    if let Some(spec) = field_mut(document, "spec") {
        set(spec, "http", Some(rules));
    }
}

/// A rule's node with what differs between two forms of it.
fn written(mut node: Node, before: &RuleForm, after: &RuleForm) -> Node {
    if before.matches != after.matches {
        let old = node.list("match").to_vec();
        let matches = after.matches.iter().enumerate();
        let matches: Vec<_> = matches.map(|(at, terms)| one_match(old.get(at), terms)).collect();
        let list = (!matches.is_empty()).then(|| Node::new(Data::List(matches)));
        set(&mut node, "match", list);
    }
    if before.targets != after.targets {
        let routes = destinations(node.list("route"), &after.targets);
        set(&mut node, "route", routes);
    }
    if before.mirror != after.mirror {
        let mirror = after.mirror.as_ref();
        set(&mut node, "mirror", mirror.map(|to| place(&to.host, &to.subset)));
        let share = mirror.map(|to| Node::map([("value", number(to.percent))]));
        set(&mut node, "mirrorPercentage", share);
    }
    if before.timeout_ms != after.timeout_ms {
        set(&mut node, "timeout", after.timeout_ms.map(duration));
    }
    if before.retries != after.retries {
        write_retries(&mut node, after);
    }
    if before.fault.is_some() && after.fault.is_none() {
        set(&mut node, "fault", None);
    }
    node
}

fn write_retries(node: &mut Node, after: &RuleForm) {
    let Some(wanted) = &after.retries else {
        set(node, "retries", None);
        return;
    };
    // What has no control (retryRemoteLocalities, backoff) stays.
    let mut retries = node.get("retries").cloned().unwrap_or_else(|| Node::map([]));
    set(&mut retries, "attempts", Some(number(f64::from(wanted.attempts))));
    set(&mut retries, "perTryTimeout", wanted.per_try_ms.map(duration));
    let on = (!wanted.on.is_empty()).then(|| Node::text(wanted.on.join(",")));
    set(&mut retries, "retryOn", on);
    set(node, "retries", Some(retries));
}

fn destinations(old: &[Node], targets: &[TargetForm]) -> Option<Node> {
    let many = targets.len() > 1;
    let one = |target: &TargetForm| {
        let same = |node: &&Node| {
            let text = |key| node.path(&["destination", key]).and_then(Node::as_str);
            text("host") == Some(&target.host)
                && text("subset").unwrap_or_default() == target.subset
        };
        let kept = old.iter().find(same).cloned();
        let mut node = kept
            .unwrap_or_else(|| Node::map([("destination", place(&target.host, &target.subset))]));
        if many || node.get("weight").is_some() {
            set(&mut node, "weight", Some(number(f64::from(target.weight))));
        }
        node
    };
    (!targets.is_empty()).then(|| Node::new(Data::List(targets.iter().map(one).collect())))
}

fn place(host: &str, subset: &str) -> Node {
    let subset = (!subset.is_empty()).then(|| ("subset", Node::text(subset)));
    Node::map([("host", Node::text(host))].into_iter().chain(subset))
}

/// One match: its terms, and of the old one what has no control.
fn one_match(old: Option<&Node>, terms: &[MatchTerm]) -> Node {
    let mut node = old.cloned().unwrap_or_else(|| Node::map([]));
    for key in ["uri", "scheme", "method", "authority", "headers", "withoutHeaders", "queryParams"]
    {
        set(&mut node, key, None);
    }
    set(&mut node, "sourceLabels", None);
    for term in terms {
        let (key, name, condition) = condition(term);
        if name.is_empty() {
            set(&mut node, key, Some(condition));
        } else {
            let mut named = node.get(key).cloned().unwrap_or_else(|| Node::map([]));
            set(&mut named, &name, Some(condition));
            set(&mut node, key, Some(named));
        }
    }
    node
}

/// The field a term stands in, its name there, and the condition.
fn condition(term: &MatchTerm) -> (&'static str, String, Node) {
    let name = term.name.trim().to_owned();
    let compared = |op: MatchOp, value: &str| match op {
        MatchOp::Exact => Node::map([("exact", Node::text(value))]),
        MatchOp::Prefix => Node::map([("prefix", Node::text(value))]),
        MatchOp::Regex => Node::map([("regex", Node::text(value))]),
        MatchOp::Present => Node::map([]),
    };
    let plain = compared(term.op, &term.value);
    match term.on {
        MatchOn::Header => ("headers", name.to_ascii_lowercase(), plain),
        MatchOn::WithoutHeader => ("withoutHeaders", name.to_ascii_lowercase(), plain),
        MatchOn::Cookie => {
            let pattern = format!("{}{name}={}{}", COOKIE.0, term.value, COOKIE.1);
            ("headers", "cookie".into(), compared(MatchOp::Regex, &pattern))
        }
        MatchOn::Uri => ("uri", String::new(), plain),
        MatchOn::Method => ("method", String::new(), plain),
        MatchOn::Query => ("queryParams", name, plain),
        MatchOn::Authority => ("authority", String::new(), plain),
        MatchOn::Scheme => ("scheme", String::new(), plain),
        MatchOn::SourceLabel => ("sourceLabels", name, Node::text(&term.value)),
    }
}

fn write_rate_limit(documents: &mut Vec<Node>, wanted: Option<&RateLimitForm>, host: &str) {
    let is_ours = |document: &Node| read_form::token_bucket(document).is_some();
    let at = documents.iter().position(is_ours);
    match (at, wanted) {
        (None, None) => {}
        (Some(at), None) => drop(documents.remove(at)),
        (Some(at), Some(wanted)) => {
            if let Some(bucket) = bucket_mut(&mut documents[at]) {
                fill(bucket, wanted);
            }
        }
        (None, Some(wanted)) => documents.push(envoy_filter(host, wanted)),
    }
}

fn fill(bucket: &mut Node, wanted: &RateLimitForm) {
    set(bucket, "max_tokens", Some(number(f64::from(wanted.burst))));
    set(bucket, "tokens_per_fill", Some(number(f64::from(wanted.requests))));
    set(bucket, "fill_interval", Some(Node::text(interval(&wanted.per))));
}

fn interval(per: &str) -> &'static str {
    match per {
        "second" => "1s",
        "hour" => "3600s",
        _ => "60s",
    }
}

/// What Envoy calls a local rate limit.
const TYPE_URL: &str = concat!(
    "type.googleapis.com/",
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
);

/// A local rate limit as Istio's documents write it ("Enabling Rate Limits using Envoy").
fn envoy_filter(host: &str, wanted: &RateLimitForm) -> Node {
    let RateLimitForm { requests, per, burst } = wanted;
    let interval = interval(per);
    let text = format!(
        r#"apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: {host}-ratelimit
spec:
  workloadSelector:
    labels:
      app: {host}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: {TYPE_URL}
          value:
            stat_prefix: http_local_rate_limiter
            token_bucket:
              max_tokens: {burst}
              tokens_per_fill: {requests}
              fill_interval: {interval}
            filter_enabled:
              default_value:
                numerator: 100
                denominator: HUNDRED
            filter_enforced:
              default_value:
                numerator: 100
                denominator: HUNDRED
"#
    );
    let read = yaml::read(&text).ok().and_then(|mut documents| documents.pop());
    read.unwrap_or_default()
}

fn bucket_mut(filter: &mut Node) -> Option<&mut Node> {
    let spec = field_mut(filter, "spec")?;
    let Data::List(patches) = &mut field_mut(spec, "configPatches")?.data else { return None };
    patches.iter_mut().find_map(|patch| {
        let config = field_mut(field_mut(field_mut(patch, "patch")?, "value")?, "typed_config")?;
        let inner =
            if config.get("value").is_some() { field_mut(config, "value")? } else { config };
        field_mut(inner, "token_bucket")
    })
}

fn field_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.data {
        Data::Map(entries) => {
            entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
        }
        _ => None,
    }
}

/// Sets a field where it stands, adds it at the end, or takes it away.
fn set(node: &mut Node, key: &str, value: Option<Node>) {
    let Data::Map(entries) = &mut node.data else { return };
    match (entries.iter_mut().position(|entry| entry.key == key), value) {
        (Some(at), Some(value)) => entries[at].value = value,
        (Some(at), None) => drop(entries.remove(at)),
        (None, Some(value)) => {
            entries.push(Entry { key: key.to_owned(), at: Position::default(), value });
        }
        (None, None) => {}
    }
}

/// As short as it can be written: `20`, `2.5`.
fn number(number: f64) -> Node {
    Node::new(Data::Number(format!("{number}")))
}

/// `6s`, `2.5s`, `250ms`.
fn duration(ms: u64) -> Node {
    let text = match ms {
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ if ms > 1_000 && ms.is_multiple_of(100) => {
            format!("{}.{}s", ms / 1_000, ms % 1_000 / 100)
        }
        _ => format!("{ms}ms"),
    };
    Node::text(text)
}
