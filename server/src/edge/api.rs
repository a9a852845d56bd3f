//! The public API and what machines read: forwarded to the gateway, metrics, trace downloads.

use super::{Edge, ingress, refusals};
use axum::{
    extract::{Path, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::service::GATEWAY;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use mesh::{
    BreakerStatus, CORRELATION_ID, CallContext, TakenAway,
    breaker::{BreakerState, Forced},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::ConstCounter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
};
use shop::{key::IDEMPOTENCY_KEY, problem::Problem};
use std::time::Duration;

/// Longer than any answer the gateway waits for.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(40);

const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
/// The span that answered, in the form of `traceparent` (proposed for W3C Trace Context).
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Brings a request from outside to the gateway, on behalf of its sender. A command without a key
/// gets one here, where every try of the mesh begins.
pub(super) async fn forward(State(edge): State<Edge>, mut request: Request) -> Response {
    clean(request.headers_mut());
    if request.method() == Method::POST
        && !request.headers().contains_key(IDEMPOTENCY_KEY)
        && let Ok(key) = HeaderValue::try_from(edge.shop.ids.unique())
    {
        request.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
    let peer = ingress::peer(&request);
    let mut forwarded = edge.browser.forward(GATEWAY, request);
    if let Some(address) = peer {
        forwarded = forwarded.remote(address);
    }
    let (outcome, served) = forwarded.timeout(FORWARD_TIMEOUT).send_traced().await;
    let mut answer = match outcome {
        Ok(response) => response,
        Err(error) => {
            let headers = error.headers();
            let mut response = Problem::from(error).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value);
            }
            response
        }
    };
    // The gateway says it itself. Who answers in its place does not.
    if let Some(served) = served.and_then(|served| HeaderValue::try_from(served).ok()) {
        add(&mut answer, TRACERESPONSE, served);
    }
    answer.extensions_mut().insert(Brought);
    answer
}

/// In the extensions of an answer that came through the mesh: whoever wrote the services and their
/// routes says what its headers are, and the edge adds only what they left open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brought;

/// Adds a header that an answer does not have and that no route took away.
pub(super) fn add(answer: &mut Response, name: HeaderName, value: HeaderValue) {
    if !TakenAway::has(answer, &name) {
        answer.headers_mut().entry(name).or_insert(value);
    }
}

/// Where requests carry an id that log lines and events are found by.
fn is_correlated(path: &str) -> bool {
    let beside = ["/api", "/health", "/livez", "/readyz", "/openapi.json", "/metrics"];
    path.starts_with("/api/") || beside.contains(&path)
}

/// Takes or makes `X-Correlation-ID` of a request to the public API or to a host of a gateway, and
/// returns it with every answer: also with one that the door, the mesh or a fault gives before the
/// gateway has seen it.
pub(super) async fn correlate(
    State(edge): State<Edge>,
    mut request: Request,
    next: Next,
) -> Response {
    let (headers, uri) = (request.headers(), request.uri());
    if !is_correlated(uri.path()) && !edge.door().is_for_gateway(headers, uri) {
        return next.run(request).await;
    }
    let sent = CallContext::from_headers(request.headers()).correlation_id;
    let id = sent.unwrap_or_else(|| edge.shop.ids.uuid().to_string());
    let Ok(id) = HeaderValue::try_from(id) else { return next.run(request).await };
    request.headers_mut().insert(CORRELATION_ID, id.clone());
    let mut answer = next.run(request).await;
    add(&mut answer, CORRELATION_ID, id);
    answer
}

/// What only the mesh may say about a request: who sends it, how its proxies treat it (Envoy takes
/// its own headers away from requests of others too), and that it delivers a message (CloudEvents
/// in binary mode).
const OURS: [&str; 3] = ["x-vitrine-", "x-envoy-", "ce-"];

/// Takes away what only the mesh may say, and what is about the connection. A trace that comes in
/// unsampled, or says in `tracestate` that the shop leaves it out, is recorded all the same: what
/// happens in the shop must show on its pages.
fn clean(headers: &mut HeaderMap) {
    mesh::strip_hop_by_hop(headers);
    let ours = |name: &&HeaderName| OURS.iter().any(|prefix| name.as_str().starts_with(prefix));
    let forged: Vec<HeaderName> = headers.keys().filter(ours).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let sampled = parent.and_then(sampled).and_then(|parent| HeaderValue::try_from(parent).ok());
    if let Some(sampled) = sampled {
        headers.insert(HeaderName::from_static("traceparent"), sampled);
    }
    take_own_state(headers);
}

/// Takes the shop's own member out of `tracestate`, which may come in several headers (W3C Trace
/// Context, section 3.3.1); other vendors' members stay in their order.
fn take_own_state(headers: &mut HeaderMap) {
    let is_own = |member: &&str| {
        member.split_once('=').is_some_and(|(key, _)| key.trim() == telemetry::TRACE_STATE_MEMBER)
    };
    let lines = headers.get_all(TRACE_STATE).iter().filter_map(|line| line.to_str().ok());
    let members: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    if !members.iter().any(is_own) {
        return;
    }
    let left: Vec<&str> = members.iter().filter(|m| !is_own(m)).map(|m| m.trim()).collect();
    match HeaderValue::try_from(left.join(",")) {
        Ok(state) if !state.is_empty() => headers.insert(TRACE_STATE, state),
        _ => headers.remove(TRACE_STATE),
    };
}

/// A `traceparent` with the sampled flag (W3C Trace Context, section 3.2.2.5) and no other: flags
/// that are not known must not be passed on. Nothing where there are no flags.
fn sampled(parent: &str) -> Option<String> {
    let mut fields: Vec<&str> = parent.split('-').collect();
    let flags = fields.get_mut(3)?;
    if flags.len() != 2 || !flags.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    *flags = "01";
    Some(fields.join("-"))
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BreakerLabels {
    caller: String,
    destination: String,
    /// Empty is the whole service.
    subset: String,
}

/// The gauge of each breaker: 1 where it lets nothing, or only a probe, through. What it is forced
/// to comes before what its calls made of it.
fn breakers_open(breakers: &[BreakerStatus]) -> Family<BreakerLabels, Gauge> {
    let open = Family::<BreakerLabels, Gauge>::default();
    for breaker in breakers {
        let labels = BreakerLabels {
            caller: breaker.caller.to_string(),
            destination: breaker.destination.to_string(),
            subset: breaker.subset.as_deref().unwrap_or_default().to_owned(),
        };
        let is_open = match breaker.forced {
            Some((forced, _)) => forced == Forced::Open,
            None => !matches!(breaker.state, BreakerState::Closed { .. }),
        };
        open.get_or_create(&labels).set(i64::from(is_open));
    }
    open
}

/// OpenMetrics text.
pub(super) async fn metrics(State(edge): State<Edge>) -> Response {
    let text = edge.telemetry.openmetrics(|registry| {
        registry.register(
            "vitrine_breaker_open",
            "Whether a circuit breaker lets nothing, or only a probe, through",
            breakers_open(&edge.shop.mesh.breakers()),
        );
        refusals::register(registry, &edge.shop.mesh);
        let relays = edge.shop.relays.iter();
        let redelivered: u64 = relays.clone().map(messaging::RelayStatus::redelivered).sum();
        let dead: u64 = relays.clone().map(messaging::RelayStatus::dead).sum();
        let delivered: u64 = relays.map(messaging::RelayStatus::delivered).sum();
        registry.register(
            "vitrine_messages_delivered",
            "Messages acknowledged by every subscriber",
            ConstCounter::new(delivered),
        );
        registry.register(
            "vitrine_messages_redelivered",
            "Attempts to deliver a message that were not acknowledged",
            ConstCounter::new(redelivered),
        );
        registry.register(
            "vitrine_dead_letters",
            "Messages that their subscriber will not take, waiting for somebody to retry them",
            ConstGauge::new(i64::try_from(dead).unwrap_or(i64::MAX)),
        );
        registry.register(
            "vitrine_payments_under_way",
            "Two-phase commits under way now",
            ConstGauge::new(i64::try_from(edge.shop.payments.under_way()).unwrap_or(i64::MAX)),
        );
        registry.register(
            "vitrine_retention_rows",
            "Rows of what is over that the databases forgot",
            ConstCounter::new(edge.shop.retention.deleted()),
        );
        registry.register(
            "vitrine_load_skipped",
            "Requests of the load generator not begun because too many were under way",
            ConstCounter::new(edge.shop.load.skipped()),
        );
        registry.register(
            "vitrine_connections_refused",
            "Connections closed at once because too many were open",
            ConstCounter::new(edge.refused.count()),
        );
    });
    let media_type = HeaderValue::from_static(telemetry::OPENMETRICS_CONTENT_TYPE);
    ([(header::CONTENT_TYPE, media_type)], text).into_response()
}

/// One trace as a file that Jaeger's page loads.
pub(super) async fn jaeger(State(edge): State<Edge>, Path(id): Path<String>) -> Response {
    let Some(trace) = edge.telemetry.trace(&id) else {
        return Problem::new(StatusCode::NOT_FOUND, format!("There is no trace {id}."))
            .into_response();
    };
    let disposition =
        HeaderValue::from_str(&format!("attachment; filename=\"{}.json\"", trace.row.trace_id));
    let mut response = axum::Json(telemetry::jaeger_json(&trace)).into_response();
    if let Ok(disposition) = disposition {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh::Mesh;
    use shop::input::ORIGIN;

    fn cleaned(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers: HeaderMap = given
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        clean(&mut headers);
        headers
    }

    #[tokio::test(start_paused = true)]
    async fn the_gauge_of_a_breaker_is_of_its_subset_and_of_what_it_is_forced_to() {
        let mesh = Mesh::new(base::Clock::tokio(0), mesh::BreakerParams::default());
        mesh.register("payments", axum::Router::new());
        let _ = mesh.caller("orders").get("payments", "/").send().await;
        let status = mesh.breakers().remove(0);
        let of = |subset: &str, is_open: bool, forced: Option<Forced>| BreakerStatus {
            subset: Some(subset.into()),
            state: match is_open {
                true => BreakerState::Open { until_us: 1 },
                false => BreakerState::Closed { failures: 0 },
            },
            forced: forced.map(|forced| (forced, 1)),
            ..status.clone()
        };
        let gauges = |breakers: &[BreakerStatus]| {
            let family = breakers_open(breakers);
            let gauge = |breaker: &BreakerStatus| {
                let labels = BreakerLabels {
                    caller: "orders".to_owned(),
                    destination: "payments".to_owned(),
                    subset: breaker.subset.as_deref().unwrap_or_default().to_owned(),
                };
                family.get_or_create(&labels).get()
            };
            breakers.iter().map(gauge).collect::<Vec<_>>()
        };
        assert_eq!(gauges(&[of("v1", true, None), of("v2", false, None)]), [1, 0]);
        for (is_open, forced, expected) in
            [(false, Forced::Open, 1), (true, Forced::Closed, 0), (true, Forced::Disabled, 0)]
        {
            assert_eq!(gauges(&[of("v1", is_open, Some(forced))]), [expected], "{forced:?}");
        }
    }

    #[test]
    fn what_only_the_edge_can_know_is_said_by_the_edge() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/default/sa/orders"),
            ("x-forwarded-for", "127.0.0.1"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        ingress::say(&mut headers, Some([203, 0, 113, 7].into()));
        clean(&mut headers);
        let left: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let expected =
            [("x-forwarded-proto", "http"), ("x-forwarded-for", "127.0.0.1, 203.0.113.7")];
        assert_eq!(left.len(), 2);
        assert!(expected.iter().all(|header| left.contains(header)), "{left:?}");
    }

    #[test]
    fn what_only_the_mesh_may_say_does_not_come_in() {
        let left = cleaned(&[
            (ORIGIN, "load"),
            ("x-vitrine-caller", "orders"),
            ("x-vitrine-whatever-comes", "1"),
            ("x-envoy-expected-rq-timeout-ms", "0"),
            ("x-envoy-external-address", "203.0.113.7"),
            ("x-envoy-max-retries", "99"),
            ("ce-type", "order.confirmed"),
            ("ce-id", "1"),
            ("ce-source", "forged"),
            ("ce-vitrinelagus", "999"),
            ("accept", "application/json"),
            ("cex", "is nobody's"),
            ("connection", "keep-alive, x-listed"),
            ("x-listed", "for this connection"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eDp5"),
        ]);
        let mut names: Vec<_> = left.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "cex"]);
    }

    #[test]
    fn nobody_outside_can_say_that_a_trace_is_left_out() {
        let left = cleaned(&[("tracestate", "congo=t61, vitrine=unsampled ,rojo=00f")]);
        assert_eq!(left[TRACE_STATE], "congo=t61,rojo=00f");
        assert!(cleaned(&[("tracestate", "vitrine=unsampled")]).is_empty());
        let others = "congo=t61,vitrines=1,a@vitrine=2";
        assert_eq!(cleaned(&[("tracestate", others)])[TRACE_STATE], others);
        let mut several = HeaderMap::new();
        for state in ["congo=t61", "vitrine=unsampled"] {
            several.append(TRACE_STATE, HeaderValue::from_static(state));
        }
        clean(&mut several);
        assert_eq!(several.get_all(TRACE_STATE).iter().collect::<Vec<_>>(), ["congo=t61"]);
    }

    #[test]
    fn a_trace_that_comes_in_is_sampled_whatever_its_flags_say() {
        const IDS: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (version, flags) in
            [("00", "00"), ("00", "01"), ("00", "02"), ("00", "fe"), ("00", "FF"), ("cc", "00")]
        {
            let parent = format!("{version}-{IDS}-{flags}");
            assert_eq!(sampled(&parent), Some(format!("{version}-{IDS}-01")), "{parent}");
        }
        let later = format!("cc-{IDS}-02-what-the-future-adds");
        assert_eq!(sampled(&later), Some(format!("cc-{IDS}-01-what-the-future-adds")));
        for none in ["", "-00", "00-0-0-0", "00-0-0-+1", "00-0-0-\u{661}"] {
            assert_eq!(sampled(none), None, "{none}");
        }
    }
}
