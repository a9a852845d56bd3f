//! What the mesh decided about one call, read from the attributes of its spans.
//!
//! A call has one client span that tells route, subset, limits and breaker. If it was tried more
//! than once each try has a span below it that tells endpoint, reason and fault; what a try does
//! not tell itself is its call's.

use super::span_tree::SpanTree;
use contract::{
    attributes::{
        FAULT_ID, MESH_BREAKER_STATE, MESH_BREAKER_TRANSITION, MESH_FAULT_DELAY_MS, MESH_FAULT_ID,
        MESH_INSTANCE, MESH_MIRROR, MESH_PER_TRY_TIMEOUT_MS, MESH_RESPONSE_FLAGS,
        MESH_RETRY_REASON, MESH_REVISION, MESH_ROUTE, MESH_SUBSET, MESH_SUBSET_WEIGHT,
        MESH_TIMEOUT_MS, MESH_TRIES, MESH_TRY, MESH_VIRTUAL_SERVICE, SERVER_ADDRESS,
    },
    trace::SpanView,
};

/// What makes a span that of a call.
const OF_CALLS: [&str; 6] =
    [MESH_REVISION, MESH_ROUTE, MESH_TRIES, MESH_INSTANCE, MESH_BREAKER_STATE, MESH_MIRROR];

/// What the mesh decided about a call, or about one try of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Revision of the policy that decided.
    pub revision: Option<u64>,
    /// The rule that matched.
    pub route: Option<RouteOf>,
    /// The called host, for the address of its page.
    pub host: Option<String>,
    /// The subset that was drawn, and its weight if others could have been.
    pub subset: Option<(String, Option<u32>)>,
    /// The instance that answered last, and those that were tried before it.
    pub endpoint: Option<String>,
    /// Instances that were tried before, as short as they can be told apart: `-1`.
    pub before: Vec<String>,
    /// Which try this is, or how many there were.
    pub tries: Option<Tries>,
    /// How much of which limit was used.
    pub limits: Vec<Limit>,
    /// The caller's breaker.
    pub breaker: Option<Breaker>,
    /// Envoy's response flags with their meaning.
    pub flags: Vec<(String, &'static str)>,
    /// The faults that acted on it.
    pub faults: Faults,
    /// It was a copy.
    pub mirror: bool,
}

/// A rule of a `VirtualService`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteOf {
    /// The `VirtualService`.
    pub service: String,
    /// The rule's name; empty if it has none.
    pub rule: String,
}

/// Tries of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tries {
    /// The whole call: how many it took.
    Of(u32),
    /// One of several.
    This {
        /// `try 1`, `retry 2 of 3`.
        name: String,
        /// The token of `retryOn` by which it was made, and how long after the one before.
        because: Option<(String, i64)>,
    },
}

/// A limit and what was used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Used.
    pub took_us: i64,
    /// The limit.
    pub of_us: i64,
    /// It is the limit of one try, not of the whole call.
    pub per_try: bool,
}

/// The caller's breaker around a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Its state when the call came: `closed`, `open`, `half-open`.
    pub before: String,
    /// The state this call brought it to.
    pub after: Option<String>,
}

/// Faults around a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// On this very call or try.
    pub here: Vec<String>,
    /// How long they held it, microseconds.
    pub held_us: i64,
    /// On calls made in the course of this one, with how long they held those, longest first.
    pub below: Vec<(String, i64)>,
    /// Met on the way here.
    pub carried: Vec<String>,
}

/// The decision about the call or try of a row; none if the row is neither.
#[must_use]
pub fn decision(tree: &SpanTree, spans: &[SpanView], row: usize) -> Option<Decision> {
    let at = |row: usize| tree.nodes.get(row)?.span.and_then(|i| spans.get(i));
    let span = at(row)?;
    let is_try = span.attribute(MESH_TRY).is_some();
    let call_row = if is_try { tree.nodes.get(row)?.parent.unwrap_or(row) } else { row };
    let call = at(call_row).filter(|call| !is_try || is_call(call)).unwrap_or(span);
    if !is_try && !is_call(span) {
        return None;
    }
    let tries: Vec<&SpanView> = tree
        .children(call_row)
        .filter_map(at)
        .filter(|span| span.attribute(MESH_TRY).is_some())
        .collect();
    let number = |span: &SpanView| span.attribute(MESH_TRY).and_then(|n| n.parse::<u32>().ok());
    let mine = number(span);
    let endpoint = if is_try { SERVER_ADDRESS } else { MESH_INSTANCE };
    let endpoint = span.attribute(endpoint).map(str::to_owned);
    let earlier = |try_: &&&SpanView| mine.is_none_or(|mine| number(try_) < Some(mine));
    let mut before: Vec<&str> =
        tries.iter().filter(earlier).filter_map(|t| t.attribute(SERVER_ADDRESS)).collect();
    if !is_try {
        // The last of them is the one that answered.
        before.pop();
    }
    let before = before.into_iter().map(|name| short(name, endpoint.as_deref())).collect();
    Some(Decision {
        revision: call.attribute(MESH_REVISION).and_then(|r| r.parse().ok()),
        route: route(call),
        host: call.attribute(SERVER_ADDRESS).filter(|_| is_call(call)).map(short_host),
        subset: call.attribute(MESH_SUBSET).map(|subset| {
            let weight = call.attribute(MESH_SUBSET_WEIGHT).and_then(|w| w.parse().ok());
            (subset.to_owned(), weight)
        }),
        before,
        endpoint,
        tries: match mine {
            Some(mine) => Some(this_try(span, tries.iter().find(|t| number(t) == Some(mine - 1)))),
            None => span.attribute(MESH_TRIES).and_then(|n| n.parse().ok()).map(Tries::Of),
        },
        limits: limits(span, call, is_try || tries.len() < 2),
        breaker: call.attribute(MESH_BREAKER_STATE).map(|before| Breaker {
            before: before.to_owned(),
            after: call
                .attribute(MESH_BREAKER_TRANSITION)
                .and_then(|changed| changed.rsplit_once(" to "))
                .map(|(_, after)| after.to_owned()),
        }),
        flags: flags(span),
        faults: faults(tree, spans, row, span),
        mirror: span.attribute(MESH_MIRROR) == Some("true"),
    })
}

fn is_call(span: &SpanView) -> bool {
    span.attribute(MESH_TRY).is_none() && OF_CALLS.iter().any(|key| span.attribute(key).is_some())
}

fn route(call: &SpanView) -> Option<RouteOf> {
    let service = call.attribute(MESH_VIRTUAL_SERVICE)?;
    let rule = call.attribute(MESH_ROUTE).unwrap_or_default();
    let rule = rule.strip_prefix(service).map_or(rule, |rule| rule.trim_start_matches('/'));
    Some(RouteOf { service: service.to_owned(), rule: rule.to_owned() })
}

/// `payments` of `payments.default.svc.cluster.local`.
fn short_host(host: &str) -> String {
    host.strip_suffix(".default.svc.cluster.local").unwrap_or(host).to_owned()
}

/// `-1` of `payments-v2-1` beside `payments-v2-0`.
fn short(name: &str, beside: Option<&str>) -> String {
    let kind = |name: &str| name.rsplit_once('-').map(|(kind, _)| kind.to_owned());
    match (kind(name), beside.and_then(kind)) {
        (Some(of), Some(other)) if of == other => name[of.len()..].to_owned(),
        _ => name.to_owned(),
    }
}

fn this_try(span: &SpanView, before: Option<&&SpanView>) -> Tries {
    let because = before.and_then(|before| {
        let ended_us = before.start_us.saturating_add(before.duration_us);
        let reason = before.attribute(MESH_RETRY_REASON)?.to_owned();
        Some((reason, (span.start_us - ended_us).max(0)))
    });
    // The name of a try begins with which it is: "retry 2 of 3, payments-v2-0".
    let name = span.name.split(", ").next().unwrap_or_default().to_owned();
    Tries::This { name, because }
}

fn limits(span: &SpanView, call: &SpanView, one_try: bool) -> Vec<Limit> {
    let of_us = |key| call.attribute(key)?.parse::<i64>().ok().map(|ms| ms.saturating_mul(1_000));
    let per_try = of_us(MESH_PER_TRY_TIMEOUT_MS).filter(|_| one_try).map(|of_us| Limit {
        took_us: span.duration_us,
        of_us,
        per_try: true,
    });
    let whole = of_us(MESH_TIMEOUT_MS).map(|of_us| Limit {
        took_us: call.duration_us,
        of_us,
        per_try: false,
    });
    per_try.into_iter().chain(whole).collect()
}

fn ids(span: &SpanView, key: &str) -> Vec<String> {
    let list = span.attribute(key).unwrap_or_default();
    list.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

fn held_us(span: &SpanView) -> i64 {
    let ms = span.attribute(MESH_FAULT_DELAY_MS).and_then(|ms| ms.parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, reason = "below an hour")]
    ms.map_or(0, |ms| (ms * 1_000.0).clamp(0.0, 3.6e9) as i64)
}

fn faults(tree: &SpanTree, spans: &[SpanView], row: usize, span: &SpanView) -> Faults {
    let here = ids(span, MESH_FAULT_ID);
    let mut below: Vec<(String, i64)> = Vec::new();
    let end = tree.nodes.get(row).map_or(row, |node| row + node.below);
    for node in tree.nodes.get(row + 1..=end).unwrap_or_default() {
        let Some(span) = node.span.and_then(|i| spans.get(i)) else { continue };
        for id in ids(span, MESH_FAULT_ID) {
            match below.iter_mut().find(|(known, _)| *known == id) {
                Some((_, held)) => *held = held.saturating_add(held_us(span)),
                None => below.push((id, held_us(span))),
            }
        }
    }
    below.sort_by_key(|(_, held)| -held);
    let known = |id: &String| here.contains(id) || below.iter().any(|(known, _)| known == id);
    let carried = ids(span, FAULT_ID).into_iter().filter(|id| !known(id)).collect();
    Faults { held_us: if here.is_empty() { 0 } else { held_us(span) }, here, below, carried }
}

/// The faults that a row of the waterfall names: those that acted on this very call or try.
#[must_use]
pub fn faults_of(span: &SpanView) -> Vec<String> {
    ids(span, MESH_FAULT_ID)
}

fn flags(span: &SpanView) -> Vec<(String, &'static str)> {
    let list = span.attribute(MESH_RESPONSE_FLAGS).unwrap_or_default();
    let flags = list.split(',').map(str::trim).filter(|flag| !flag.is_empty() && *flag != "-");
    flags.map(|flag| (flag.to_owned(), meaning(flag))).collect()
}

/// What a response flag means, after Envoy's documentation of access logs.
#[must_use]
pub fn meaning(flag: &str) -> &'static str {
    match flag {
        "DC" => "downstream ended the connection",
        "DI" => "delayed by a fault",
        "FI" => "aborted by a fault",
        "LR" => "connection reset locally",
        "NC" => "no such cluster",
        "NR" => "no route",
        "RL" => "rate limited",
        "UAEX" => "refused by authorization",
        "UC" => "upstream ended the connection",
        "UF" => "no connection to the endpoint",
        "UH" => "no healthy endpoint",
        "UO" => "over the connection limits, or breaker open",
        "UR" => "endpoint reset the connection",
        "URX" => "retries used up",
        "UT" => "timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::trace::SpanKind;

    fn span(id: &str, parent: Option<&str>, start_ms: i64, took_ms: i64) -> SpanView {
        SpanView {
            span_id: id.into(),
            parent_id: parent.map(Into::into),
            service: "orders".into(),
            name: "POST /authorize".into(),
            kind: SpanKind::Client,
            start_us: start_ms * 1_000,
            duration_us: took_ms * 1_000,
            error: false,
            message: None,
            attributes: vec![],
            events: vec![],
            links: vec![],
        }
    }

    fn with(mut span: SpanView, attributes: &[(&str, &str)]) -> SpanView {
        let owned = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).into()));
        span.attributes.extend(owned);
        span
    }

    /// The payment of the reference scenario: two tries that failed, then one that was held.
    fn payment() -> Vec<SpanView> {
        let call = [
            (MESH_REVISION, "17"),
            (MESH_VIRTUAL_SERVICE, "payments"),
            (MESH_ROUTE, "payments/default"),
            (SERVER_ADDRESS, "payments.default.svc.cluster.local"),
            (MESH_SUBSET, "v2"),
            (MESH_SUBSET_WEIGHT, "10"),
            (MESH_INSTANCE, "payments-v2-0"),
            (MESH_TRIES, "3"),
            (MESH_TIMEOUT_MS, "6000"),
            (MESH_PER_TRY_TIMEOUT_MS, "2500"),
            (MESH_BREAKER_STATE, "closed"),
            (MESH_BREAKER_TRANSITION, "closed to open"),
        ];
        let failed = |id, start_ms, number, instance| {
            let told = [
                (MESH_TRY, number),
                (SERVER_ADDRESS, instance),
                (MESH_RETRY_REASON, "connect-failure"),
                (MESH_RESPONSE_FLAGS, "UF"),
            ];
            with(span(id, Some("call"), start_ms, 3), &told)
        };
        let mut last = with(
            span("try3", Some("call"), 123, 2_048),
            &[(MESH_TRY, "3"), (SERVER_ADDRESS, "payments-v2-0"), (FAULT_ID, "F-21,F-23")],
        );
        last.name = "retry 2 of 3, payments-v2-0".into();
        vec![
            with(span("call", None, 49, 2_123), &call),
            failed("try1", 49, "1", "payments-v2-1"),
            failed("try2", 71, "2", "payments-v2-2"),
            last,
            with(
                span("prepare", Some("try3"), 132, 2_024),
                &[(MESH_FAULT_ID, "F-21"), (MESH_FAULT_DELAY_MS, "2000.0"), (MESH_TRIES, "1")],
            ),
        ]
    }

    fn decided(id: &str) -> Option<Decision> {
        let spans = payment();
        let tree = SpanTree::new(&spans);
        decision(&tree, &spans, tree.row_of(id)?)
    }

    #[test]
    fn a_try_tells_its_endpoint_and_reason_and_takes_route_and_breaker_from_its_call() {
        let told = decided("try3").unwrap();
        let route = RouteOf { service: "payments".into(), rule: "default".into() };
        assert_eq!((told.revision, told.route), (Some(17), Some(route)));
        assert_eq!(told.host.as_deref(), Some("payments"));
        assert_eq!(told.subset, Some(("v2".into(), Some(10))));
        assert_eq!(told.endpoint.as_deref(), Some("payments-v2-0"));
        assert_eq!(told.before, ["-1", "-2"]);
        let because = Some(("connect-failure".to_owned(), 49_000));
        assert_eq!(told.tries, Some(Tries::This { name: "retry 2 of 3".into(), because }));
        assert_eq!(
            told.limits,
            [
                Limit { took_us: 2_048_000, of_us: 2_500_000, per_try: true },
                Limit { took_us: 2_123_000, of_us: 6_000_000, per_try: false },
            ]
        );
        let breaker = Breaker { before: "closed".into(), after: Some("open".into()) };
        assert_eq!(told.breaker, Some(breaker));
    }

    #[test]
    fn a_fault_is_told_where_it_acted_below_and_when_it_was_met_before() {
        let told = decided("try3").unwrap().faults;
        assert_eq!(told.here, Vec::<String>::new());
        assert_eq!(told.below, [("F-21".to_owned(), 2_000_000)]);
        assert_eq!(told.carried, ["F-23"]);
        let own = decided("prepare").unwrap().faults;
        assert_eq!((own.here, own.held_us), (vec!["F-21".to_owned()], 2_000_000));
    }

    #[test]
    fn a_call_tells_how_many_tries_it_took_and_no_limit_of_one_of_them() {
        let told = decided("call").unwrap();
        assert_eq!(told.tries, Some(Tries::Of(3)));
        assert_eq!(told.endpoint.as_deref(), Some("payments-v2-0"));
        assert_eq!(told.before, ["-1", "-2"]);
        assert_eq!(told.limits.iter().filter(|limit| limit.per_try).count(), 0);
        let first = decided("try1").unwrap();
        assert_eq!(first.before, Vec::<String>::new());
        assert_eq!(first.flags, [("UF".to_owned(), "no connection to the endpoint")]);
    }

    #[test]
    fn a_span_that_is_no_call_has_no_decision_and_a_try_without_its_call_tells_what_it_can() {
        let mut spans = vec![span("work", None, 0, 1)];
        spans.push(with(
            span("orphan", Some("gone"), 5, 1),
            &[(MESH_TRY, "2"), (SERVER_ADDRESS, "catalog-v1-0")],
        ));
        let tree = SpanTree::new(&spans);
        assert_eq!(decision(&tree, &spans, tree.row_of("work").unwrap()), None);
        let told = decision(&tree, &spans, tree.row_of("orphan").unwrap()).unwrap();
        assert_eq!((told.endpoint.as_deref(), told.route), (Some("catalog-v1-0"), None));
    }
}
