//! From `tracing` to what the pages show, without a network.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

use base::TraceContext;
use contract::trace::{
    AttributeValue, Level, LogView, SpanKind, SpanView, TraceQuery, TraceStatus, TraceView,
    ValueType,
};
use prometheus_client::metrics::gauge::ConstGauge;
use telemetry::{Registry, Telemetry, TelemetryConfig};
use tracing::{
    Dispatch, Instrument, dispatcher, field::Empty, info_span, instrument::WithSubscriber,
};

fn pipeline() -> (Telemetry, Dispatch) {
    let (telemetry, dispatch, _guard) = Telemetry::detached(TelemetryConfig::default()).unwrap();
    (telemetry, dispatch)
}

/// Runs with a pipeline and gives the only trace it made.
fn trace_of(run: impl FnOnce()) -> TraceView {
    let (telemetry, dispatch) = pipeline();
    dispatcher::with_default(&dispatch, run);
    only_trace(&telemetry)
}

fn now_us() -> i64 {
    base::Clock::system().now_us()
}

fn only_trace(telemetry: &Telemetry) -> TraceView {
    let list = telemetry.search(&TraceQuery::default(), now_us());
    assert_eq!(list.rows.len(), 1, "{list:#?}");
    telemetry.trace(&list.rows[0].trace_id).unwrap()
}

fn span<'t>(trace: &'t TraceView, name: &str) -> &'t SpanView {
    let found = trace.spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {trace:#?}"))
}

fn fields(log: &LogView) -> Vec<(&str, &str)> {
    log.fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn a_span_belongs_to_its_own_service_or_to_that_of_the_span_around_it() {
    let trace = trace_of(|| {
        let _unnamed = info_span!("unnamed").entered();
        let _gateway = info_span!("request", service.name = "gateway").entered();
        let _inner = info_span!("inner").entered();
        {
            let _orders = info_span!("handle", service.name = "orders").entered();
            let _query = info_span!("query").entered();
        }
        let _after = info_span!("after").entered();
    });
    let service = |name| span(&trace, name).service.as_str();
    assert_eq!(service("unnamed"), "vitrine");
    assert_eq!(
        (service("request"), service("inner"), service("after")),
        ("gateway", "gateway", "gateway")
    );
    assert_eq!((service("handle"), service("query")), ("orders", "orders"));
    assert_eq!(trace.row.services, ["vitrine", "gateway", "orders"]);
}

#[test]
fn what_happens_in_a_span_that_is_not_reported_is_not_either_until_one_says_otherwise() {
    let trace = trace_of(|| {
        let _gateway = info_span!("request", service.name = "gateway").entered();
        {
            let catalog = info_span!("handle", service.name = "catalog").entered();
            base::carried::report(&catalog, false);
            let _products = info_span!("products").entered();
            let _query = info_span!("query").entered();
            let users = info_span!("call", service.name = "users").entered();
            base::carried::report(&users, true);
            let _own = info_span!("profile").entered();
        }
        let _after = info_span!("after").entered();
    });
    let mut names: Vec<_> = trace.spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["after", "call", "profile", "request"]);
}

#[test]
fn a_service_recorded_later_counts_for_the_span_and_for_what_begins_after_it() {
    let trace = trace_of(|| {
        let request = info_span!("request", service.name = Empty);
        let _entered = request.enter();
        request.record("service.name", "gateway");
        let _inner = info_span!("inner").entered();
    });
    assert_eq!(span(&trace, "request").service, "gateway");
    assert_eq!(span(&trace, "inner").service, "gateway");
}

#[test]
fn a_trace_goes_on_where_its_context_is_carried_to() {
    // Given a call whose context travels as text,
    let trace = trace_of(|| {
        let call = info_span!("call", service.name = "gateway", otel.kind = "client");
        let carried = TraceContext::of(&call);
        // when a handler on another thread adopts it,
        let current = dispatcher::get_default(Clone::clone);
        let handler = move || {
            dispatcher::with_default(&current, || {
                let handle = info_span!(
                    parent: None, "handle", service.name = "orders", otel.kind = "server"
                );
                carried.adopt(&handle);
                drop(handle.entered());
            });
        };
        std::thread::spawn(handler).join().unwrap();
    });
    // then both spans are one trace.
    let (call, handle) = (span(&trace, "call"), span(&trace, "handle"));
    assert_eq!(handle.parent_id.as_ref(), Some(&call.span_id));
    assert_eq!((call.kind, handle.kind), (SpanKind::Client, SpanKind::Server));
    assert_eq!(trace.row.operation, "call");
}

#[test]
fn a_link_leads_to_the_trace_it_came_from() {
    let (telemetry, dispatch) = pipeline();
    let origin = dispatcher::with_default(&dispatch, || {
        let publish = info_span!("publish", service.name = "orders", otel.kind = "producer");
        let origin = TraceContext::of(&publish);
        let consume = info_span!(parent: None, "consume", service.name = "inventory");
        origin.link(&consume);
        origin
    });
    let query = TraceQuery { service: Some("inventory".into()), ..TraceQuery::default() };
    let found = telemetry.search(&query, now_us());
    let consume = telemetry.trace(&found.rows[0].trace_id).unwrap().spans.remove(0);
    assert_eq!(Some(consume.links[0].trace_id.as_str()), origin.trace_id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_concurrent_requests_do_not_mix() {
    let (telemetry, dispatch) = pipeline();
    let request = |n: usize| {
        let service = ["gateway", "orders", "payments"][n % 3];
        let request =
            info_span!(parent: None, "request", service.name = service, request.number = n);
        async move {
            tokio::task::yield_now().await;
            let step = info_span!("step", request.number = n);
            tokio::task::yield_now().instrument(step).await;
        }
        .instrument(request)
    };
    let all = async { futures_join((0..99).map(request)).await };
    all.with_subscriber(dispatch).await;
    let rows = telemetry.search(&TraceQuery::default(), now_us()).rows;
    assert_eq!(rows.len(), 99);
    for row in rows {
        let trace = telemetry.trace(&row.trace_id).unwrap();
        let (request, step) = (span(&trace, "request"), span(&trace, "step"));
        assert_eq!(step.parent_id.as_ref(), Some(&request.span_id));
        assert_eq!(step.service, request.service);
        assert_eq!(step.attribute("request.number"), request.attribute("request.number"));
    }
}

/// Polls all in turn until all are done.
async fn futures_join(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut futures: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    std::future::poll_fn(|context| {
        for slot in &mut futures {
            if slot.as_mut().is_some_and(|future| future.as_mut().poll(context).is_ready()) {
                *slot = None;
            }
        }
        match futures.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

#[test]
fn a_log_line_knows_its_service_its_span_and_what_it_is_about() {
    let trace = trace_of(|| {
        let order = info_span!(
            "order",
            service.name = "orders",
            order.id = Empty,
            vitrine.correlation.id = "corr-1"
        );
        let _entered = order.enter();
        order.record("order.id", "ord-1");
        let _step = info_span!("step").entered();
        tracing::info!(amount = 5, "Order {} placed", "ord-1");
        tracing::debug!("not kept");
    });
    let [log] = &trace.logs[..] else { panic!("{trace:#?}") };
    assert_eq!((log.service.as_str(), log.level), ("orders", Level::Info));
    assert_eq!(log.message, "Order ord-1 placed");
    assert_eq!(log.trace_id.as_ref(), Some(&trace.row.trace_id));
    assert_eq!(log.span_id.as_ref(), Some(&span(&trace, "step").span_id));
    let mut fields = fields(log);
    fields.sort_unstable();
    assert_eq!(fields, [("amount", "5"), ("correlation_id", "corr-1"), ("order_id", "ord-1")]);
    // The line is an event of its span too, so Jaeger shows it.
    assert_eq!(span(&trace, "step").events[0].name, "Order ord-1 placed");
}

#[test]
fn lines_of_an_order_are_found_by_it_wherever_they_were_written() {
    let (telemetry, dispatch) = pipeline();
    dispatcher::with_default(&dispatch, || {
        tracing::warn!(order.id = "ord-1", "outside of any span");
        let _other = info_span!("other", service.name = "payments", order.id = "ord-2").entered();
        tracing::error!(order_id = "ord-1", "the line's own field wins");
        tracing::info!("of the other order");
    });
    let lines = telemetry.logs_with_field("order_id", "ord-1");
    let seen: Vec<(&str, Level, bool)> = lines
        .iter()
        .map(|line| (line.service.as_str(), line.level, line.trace_id.is_some()))
        .collect();
    assert_eq!(seen, [("vitrine", Level::Warn, false), ("payments", Level::Error, true)]);
    assert_eq!(telemetry.logs_with_field("order_id", "ord-2").len(), 1);
}

#[test]
fn secrets_are_kept_nowhere() {
    let trace = trace_of(|| {
        let _login = info_span!("login", user.password = "hunter2").entered();
        tracing::info!(authorization = "Bearer hunter2", "logged in");
    });
    assert!(!format!("{trace:?}").contains("hunter2"), "{trace:#?}");
    assert_eq!(span(&trace, "login").attribute("user.password"), Some("[redacted]"));
}

#[test]
fn what_other_packages_say_below_a_warning_is_theirs() {
    let (telemetry, dispatch) = pipeline();
    dispatcher::with_default(&dispatch, || {
        let _connection = info_span!(target: "h2::client", "connection").entered();
        tracing::info!(target: "hyper_util::client", "connected");
        let _detail = tracing::debug_span!("detail").entered();
    });
    let stats = telemetry.store_stats();
    assert_eq!((stats.spans, stats.logs), (0, 0));
}

#[test]
fn an_error_is_a_status_and_its_causes_are_on_the_line() {
    let trace = trace_of(|| {
        let _request = info_span!("request", service.name = "payments").entered();
        let cause = std::io::Error::other("connection reset");
        let error: &(dyn std::error::Error + 'static) = &cause;
        tracing::error!(error, "Payment failed");
    });
    assert_eq!(trace.row.status, TraceStatus::Error);
    assert_eq!(trace.logs[0].fields[0].1, "connection reset");
}

fn call(from: &'static str, to: &'static str, status: u16) {
    let call = info_span!(
        "call",
        service.name = from,
        otel.kind = "client",
        server.address = to,
        http.response.status_code = status,
    );
    drop(call.entered());
}

#[test]
fn the_map_the_red_points_and_the_metrics_agree_with_the_spans() {
    // Given ten calls, one answered with 404 and two with 503, and a request at the gateway,
    let (telemetry, dispatch) = pipeline();
    dispatcher::with_default(&dispatch, || {
        for status in [200, 200, 200, 200, 200, 200, 200, 404, 503, 503] {
            call("gateway", "orders", status);
        }
        drop(info_span!(
            "request",
            service.name = "gateway",
            otel.kind = "server",
            mesh.caller = "browser",
            http.route = "/api/v1/orders",
            http.request.method = "POST",
            http.response.status_code = 202,
        ));
    });
    // when the map is drawn,
    let now_us = now_us();
    let map = telemetry.map(now_us);
    // then there are two edges, and 4xx is no error.
    let edges: Vec<(&str, &str, u64)> =
        map.edges.iter().map(|e| (e.from.as_str(), e.to.as_str(), e.calls)).collect();
    assert_eq!(edges, [("browser", "gateway", 1), ("gateway", "orders", 10)]);
    assert!((map.edges[1].error_share - 0.2).abs() < 1e-9);
    // The request is in the RED points as soon as its second is over.
    let points = telemetry.red_points("gateway", now_us - 5_000_000, now_us + 1_000_000);
    let requests: f64 = points.iter().map(|point| point.per_second).sum();
    assert_eq!(requests, 1.0);
    let last = points.last().unwrap();
    assert_eq!(telemetry.red_at("gateway", last.at_us / 1_000_000), *last);
    let text = telemetry.openmetrics(|registry: &mut Registry| {
        registry.register("vitrine_orders", "Orders", ConstGauge::new(1_i64));
    });
    assert!(
        text.contains(
            "http_client_request_duration_seconds_count{service_name=\"gateway\",\
         server_address=\"orders\",http_response_status_code=\"503\"} 2"
        ),
        "{text}"
    );
    assert!(text.contains("http_route=\"/api/v1/orders\",http_request_method=\"POST\""));
    assert!(text.contains("vitrine_telemetry_spans_stored 11"));
}

#[test]
fn integers_of_every_width_stay_integers_on_spans_and_their_events() {
    let (telemetry, dispatch) = pipeline();
    dispatcher::with_default(&dispatch, || {
        let span = info_span!(
            "call",
            service.name = "gateway",
            server.port = 80_u16,
            mesh.revision = 7_u64,
            mesh.try = 2_usize,
            mesh.timeout_ms = Some(u128::from(5_u8)),
            mesh.fault.delay_ms = 1.5,
            mesh.mirror = true,
            correlation = "42",
            http.response.status_code = Empty,
        );
        span.record("http.response.status_code", 503_u16);
        span.in_scope(|| tracing::info!(attempt = 3_u32, name = "3", "tried"));
    });
    let trace = only_trace(&telemetry);
    let of = |attributes: &[(String, AttributeValue)], key: &str| {
        attributes.iter().find(|(k, _)| k == key).map(|(_, value)| (value.text.clone(), value.of))
    };
    let call = span(&trace, "call");
    for (key, text, kind) in [
        ("server.port", "80", ValueType::Integer),
        ("mesh.revision", "7", ValueType::Integer),
        ("mesh.try", "2", ValueType::Integer),
        ("mesh.timeout_ms", "5", ValueType::Integer),
        ("http.response.status_code", "503", ValueType::Integer),
        ("mesh.fault.delay_ms", "1.5", ValueType::Float),
        ("mesh.mirror", "true", ValueType::Bool),
        ("correlation", "42", ValueType::Text),
    ] {
        assert_eq!(of(&call.attributes, key), Some((text.into(), kind)), "{key}");
    }
    let tried = &call.events[0].attributes;
    assert_eq!(of(tried, "attempt"), Some(("3".into(), ValueType::Integer)));
    assert_eq!(of(tried, "name"), Some(("3".into(), ValueType::Text)));
    // Whoever looks for a status writes its digits.
    for (tag, found) in [("http.response.status_code=503", 1), ("http.response.status_code=50", 0)]
    {
        let query = TraceQuery { tag: Some(tag.into()), ..TraceQuery::default() };
        assert_eq!(telemetry.search(&query, now_us()).matched, found, "{tag}");
    }
}

#[test]
fn what_is_no_trace_id_finds_nothing() {
    let (telemetry, _dispatch) = pipeline();
    for id in ["", "0", "+0000000000000000000000000000001", &"0".repeat(32), &"g".repeat(32), "é"]
    {
        assert!(telemetry.trace(id).is_none());
        assert!(telemetry.logs_of_trace(id).is_empty());
    }
}

#[test]
fn what_follows_from_a_fault_tells_its_id_on_spans_and_lines() {
    let trace = trace_of(|| {
        let handler = info_span!("handler", service.name = "payments").entered();
        drop(info_span!("before").entered());
        // A call that is made here meets a fault.
        base::carried::update(&tracing::Span::current(), |_| {
            Some("user=ada,vitrine.fault.id=F-1%2CF-2".to_owned())
        });
        let after = info_span!("after", vitrine.fault.id = "F-2").entered();
        tracing::info!("the answer is recorded");
        drop(after);
        drop(handler);
    });
    assert_eq!(span(&trace, "before").attribute("vitrine.fault.id"), None);
    assert_eq!(span(&trace, "after").attribute("vitrine.fault.id"), Some("F-2,F-1"));
    assert_eq!(span(&trace, "handler").attribute("vitrine.fault.id"), Some("F-1,F-2"));
    let fields = fields(&trace.logs[0]);
    assert!(fields.contains(&("vitrine.fault.id", "F-2")), "{fields:?}");
}

#[test]
fn a_trace_that_sampling_leaves_out_is_counted_and_not_kept() {
    let (telemetry, dispatch) = pipeline();
    let call = |sampled: bool| {
        let root = info_span!(
            "serve",
            otel.kind = "server",
            service.name = "gateway",
            http.route = "/products",
            { base::trace_context::NOT_SAMPLED } = (!sampled).then_some(true),
        );
        root.in_scope(|| drop(info_span!("below").entered()));
    };
    dispatcher::with_default(&dispatch, || [true, false, false].map(call));
    let text = telemetry.openmetrics(|_| {});
    let counted = "http_server_request_duration_seconds_count{service_name=\"gateway\",\
                   http_route=\"/products\"} 3";
    assert!(text.contains(counted), "{text}");
    assert_eq!((telemetry.store_stats().traces, telemetry.store_stats().spans), (1, 2));
}

/// A trace that sampling leaves out, with two calls one after the other; its id.
fn left_out(call: impl FnOnce()) -> String {
    let root = info_span!("root", { base::trace_context::NOT_SAMPLED } = true);
    root.in_scope(|| {
        drop(info_span!("before").entered());
        call();
    });
    TraceContext::of(&root).trace_id().unwrap().to_owned()
}

fn names(telemetry: &Telemetry, trace_id: &str) -> Vec<String> {
    let spans = telemetry.trace(trace_id).map(|trace| trace.spans).unwrap_or_default();
    let mut names: Vec<_> = spans.into_iter().map(|span| span.name).collect();
    names.sort();
    names
}

#[test]
fn a_trace_that_meets_a_fault_is_kept_whole_although_sampling_left_it_out() {
    let (telemetry, dispatch) = pipeline();
    let (hit, spared) = dispatcher::with_default(&dispatch, || {
        let hit = left_out(|| drop(info_span!("call", vitrine.fault.id = "F-1").entered()));
        (hit, left_out(|| drop(info_span!("call").entered())))
    });
    assert_eq!(names(&telemetry, &hit), ["before", "call", "root"]);
    assert!(names(&telemetry, &spared).is_empty());
}

#[test]
fn a_trace_that_is_pointed_to_as_evidence_is_kept_also_when_it_is_over() {
    let (telemetry, dispatch) = pipeline();
    let (own, over) = dispatcher::with_default(&dispatch, || {
        let own = left_out(|| {
            let call = info_span!("call").entered();
            let id = TraceContext::current().trace_id().unwrap().to_owned();
            base::trace_context::keep(&call, &id);
        });
        let over = left_out(|| drop(info_span!("call").entered()));
        base::trace_context::keep(&info_span!("compare"), &over);
        (own, over)
    });
    assert_eq!(names(&telemetry, &own), ["before", "call", "root"]);
    assert_eq!(names(&telemetry, &over), ["before", "call", "root"]);
    let list = telemetry.search(&TraceQuery::default(), now_us());
    assert_eq!(list.rows.len(), 3, "the one that compares too");
}
