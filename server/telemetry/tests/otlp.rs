//! The export against a real collector process: Rotel, which prints what it gets.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod rotel;

use base::TraceContext;
use bytes::Bytes;
use contract::trace::Level;
use rotel::{PATIENCE, Ports, Rotel, until};
use std::{
    io::{Read, Write},
    net::TcpListener,
    time::Duration,
};
use telemetry::{ExportConfig, Protocol, Telemetry, TelemetryConfig, TelemetryGuard};
use tokio::time::Instant;
use tracing::{Dispatch, dispatcher, field::Empty, info_span};

/// The settings for a collector at these ports.
fn export(ports: Ports, protocol: Protocol) -> ExportConfig {
    let endpoint = match protocol {
        Protocol::Grpc => format!("http://127.0.0.1:{}", ports.grpc),
        Protocol::HttpProtobuf => format!("http://127.0.0.1:{}/v1/traces", ports.http),
    };
    ExportConfig { delay: Duration::from_millis(20), ..ExportConfig::new(protocol, endpoint) }
}

fn pipeline(export: ExportConfig) -> (Telemetry, Dispatch, TelemetryGuard) {
    Telemetry::detached(TelemetryConfig {
        export: Some(export),
        instance_id: "run-1".into(),
        ..TelemetryConfig::default()
    })
    .unwrap()
}

/// A request at the gateway that calls the orders service: three spans of two services.
fn request(dispatch: &Dispatch, name: &'static str) {
    dispatcher::with_default(dispatch, || {
        let request = info_span!("request", otel.name = name, service.name = "gateway");
        let _entered = request.enter();
        let call = info_span!(
            "call",
            otel.kind = "client",
            server.port = 80_u16,
            http.response.status_code = Empty,
        );
        let carried = TraceContext::of(&call);
        let handle =
            info_span!(parent: None, "handle", service.name = "orders", otel.kind = "server");
        carried.adopt(&handle);
        call.record("http.response.status_code", 202_u16);
    });
}

async fn spans_of_two_services_arrive_under_their_own_names(protocol: Protocol) {
    // Given a collector and a pipeline that exports to it,
    let ports = Ports::free();
    let rotel = Rotel::start(ports).await;
    let (telemetry, dispatch, guard) = pipeline(export(ports, protocol));
    // when a request went through two services,
    request(&dispatch, "POST /api/v1/orders");
    assert!(guard.shutdown(PATIENCE).await, "{:?}", telemetry.export_stats());
    // then the collector has three spans,
    let received = until("the arrival of three spans", || {
        Some(rotel.received()).filter(|spans| spans.len() == 3 && !spans[2].name.is_empty())
    })
    .await;
    let span = |name: &str| received.iter().find(|span| span.name == name).unwrap();
    let (request, call, handle) = (span("POST /api/v1/orders"), span("call"), span("handle"));
    // each under the resource of its service,
    assert_eq!(request.resource["service.name"], "gateway");
    assert_eq!(call.resource["service.name"], "gateway");
    assert_eq!(handle.resource["service.name"], "orders");
    for span in &received {
        assert_eq!(span.resource["service.namespace"], "vitrine-shop");
        assert_eq!(span.resource["service.instance.id"], "run-1");
        assert!(!span.attributes.contains_key("service.name"), "{span:?}");
    }
    // with numbers as numbers (semantic conventions),
    let told = ["server.port", "http.response.status_code"].map(|key| &*call.attributes[key]);
    assert_eq!(told, ["Int(80)", "Int(202)"]);
    // linked as they were,
    assert_eq!(
        (request.parent.as_str(), &call.parent, &handle.parent),
        ("", &request.id, &call.id)
    );
    // and they are the spans the pages show.
    let shown = telemetry.trace(&request.trace).unwrap();
    let mut shown: Vec<String> = shown.spans.into_iter().map(|span| span.span_id).collect();
    let mut sent: Vec<String> = received.iter().map(|span| span.id.clone()).collect();
    shown.sort();
    sent.sort();
    assert_eq!(shown, sent);
    let stats = telemetry.export_stats();
    assert_eq!((stats.exported, stats.dropped, stats.queue), (3, 0, 0));
    assert_eq!((stats.last_error, stats.failing_since_us), (None, None));
}

#[tokio::test]
async fn over_grpc_spans_of_two_services_arrive_under_their_own_names() {
    spans_of_two_services_arrive_under_their_own_names(Protocol::Grpc).await;
}

#[tokio::test]
async fn over_http_spans_of_two_services_arrive_under_their_own_names() {
    spans_of_two_services_arrive_under_their_own_names(Protocol::HttpProtobuf).await;
}

#[tokio::test]
async fn the_standard_variables_alone_are_enough() {
    let ports = Ports::free();
    let rotel = Rotel::start(ports).await;
    let endpoint = format!("http://127.0.0.1:{}", ports.http);
    let config = TelemetryConfig::from_env(|name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_RESOURCE_ATTRIBUTES" => Some("deployment.environment.name=test".into()),
        _ => None,
    });
    let (_telemetry, dispatch, guard) = Telemetry::detached(config.unwrap()).unwrap();
    request(&dispatch, "GET /");
    // The delay of a second is cut short by the end.
    assert!(guard.shutdown(PATIENCE).await);
    let first = until("the arrival of a span", || rotel.received().into_iter().next()).await;
    assert_eq!(first.resource["deployment.environment.name"], "test");
}

/// Time for each of so many requests, on average.
/// What a request takes after many: of the quickest among the last parts, because a busy machine
/// takes time away from some.
fn time_per_request(dispatch: &Dispatch, requests: u32) -> Duration {
    let part = requests / 20;
    let mut last = Vec::new();
    for done in 0..20 {
        let start = Instant::now();
        (0..part).for_each(|_| request(dispatch, "GET /"));
        if done >= 15 {
            last.push(start.elapsed() / part);
        }
    }
    last.into_iter().min().unwrap()
}

async fn a_collector_that_is_away_is_noticed_and_used_again(protocol: Protocol) {
    // Given a small queue and no collector,
    let ports = Ports::free();
    let small = ExportConfig { queue_max: 100, batch_max: 50, ..export(ports, protocol) };
    let (telemetry, dispatch, guard) = pipeline(small);
    // when far more spans end than the queue holds,
    let took = time_per_request(&dispatch, 2_000);
    // then no request waited for the network,
    assert!(took < Duration::from_micros(500), "{took:?} for a request of three spans");
    // all spans are on the pages, and those that did not fit are counted,
    assert_eq!(telemetry.store_stats().spans, 6_000);
    let failing = until("the failure", || {
        Some(telemetry.export_stats()).filter(|stats| stats.failing_since_us.is_some())
    })
    .await;
    assert!(failing.last_error.is_some() && failing.exported == 0, "{failing:?}");
    assert!(failing.queue <= 100, "{failing:?}");
    assert_eq!(failing.dropped + failing.queue as u64, 6_000, "{failing:?}");
    // and when the collector comes, export goes on with what waited and what is new.
    let rotel = Rotel::start(ports).await;
    until("the recovery", || {
        Some(telemetry.export_stats()).filter(|s| s.exported > 0 && s.failing_since_us.is_none())
    })
    .await;
    request(&dispatch, "after the recovery");
    until("the arrival of a new span", || {
        rotel.received().into_iter().find(|span| span.name == "after the recovery")
    })
    .await;
    assert!(guard.shutdown(PATIENCE).await);
    let stats = telemetry.export_stats();
    assert_eq!((stats.exported + stats.dropped, stats.queue), (6_003, 0), "{stats:?}");
    // Each change of state was said once.
    let said = telemetry.logs_with_field("endpoint", &stats.endpoint.unwrap());
    let levels: Vec<Level> = said.iter().map(|line| line.level).collect();
    assert_eq!(levels, [Level::Warn, Level::Info], "{said:#?}");
}

#[tokio::test]
async fn over_grpc_a_collector_that_is_away_is_noticed_and_used_again() {
    a_collector_that_is_away_is_noticed_and_used_again(Protocol::Grpc).await;
}

#[tokio::test]
async fn over_http_a_collector_that_is_away_is_noticed_and_used_again() {
    a_collector_that_is_away_is_noticed_and_used_again(Protocol::HttpProtobuf).await;
}

#[tokio::test]
async fn a_collector_that_goes_and_comes_back_gets_what_ended_meanwhile() {
    let ports = Ports::free();
    let (telemetry, dispatch, _guard) = pipeline(export(ports, Protocol::HttpProtobuf));
    let rotel = Rotel::start(ports).await;
    request(&dispatch, "before");
    until("the first export", || (telemetry.export_stats().exported == 3).then_some(())).await;
    drop(rotel);
    request(&dispatch, "meanwhile");
    until("the failure", || telemetry.export_stats().failing_since_us).await;
    let rotel = Rotel::start(ports).await;
    until("the arrival of the span", || {
        rotel.received().into_iter().find(|span| span.name == "meanwhile")
    })
    .await;
    let stats = until("the end of the failure", || {
        Some(telemetry.export_stats()).filter(|stats| stats.exported == 6)
    })
    .await;
    assert_eq!((stats.dropped, stats.queue), (0, 0));
}

#[tokio::test]
async fn the_end_comes_in_time_without_a_collector_and_what_was_lost_is_counted() {
    let (telemetry, dispatch, guard) = pipeline(export(Ports::free(), Protocol::HttpProtobuf));
    request(&dispatch, "GET /");
    let start = Instant::now();
    assert!(!guard.shutdown(Duration::from_millis(600)).await);
    assert!(start.elapsed() < PATIENCE / 2, "{:?} of {PATIENCE:?}", start.elapsed());
    until("the count", || (telemetry.export_stats().dropped == 3).then_some(())).await;
    // Spans that end after the end are counted too.
    request(&dispatch, "GET /");
    until("the count", || (telemetry.export_stats().dropped == 6).then_some(())).await;
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_nobody() {
    // Given something that takes connections and says nothing,
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let export = ExportConfig {
        timeout: Duration::from_millis(200),
        ..export(Ports { grpc: port, http: port }, Protocol::HttpProtobuf)
    };
    let (telemetry, dispatch, _guard) = pipeline(export);
    request(&dispatch, "first");
    // when the export has noticed,
    until("the failure", || telemetry.export_stats().failing_since_us).await;
    // then the shop is as fast as ever.
    let took = time_per_request(&dispatch, 1_000);
    assert!(took < Duration::from_micros(500), "{took:?}");
}

#[tokio::test]
async fn a_collector_that_fails_and_then_says_nothing_does_not_hold_up_the_end() {
    // Given something that hangs up on the first request and says nothing to the second,
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let (second, taken) = tokio::sync::oneshot::channel();
    let taking = std::thread::spawn(move || {
        drop(silent.accept().unwrap());
        let _ = second.send(silent.accept().unwrap());
    });
    let ports = Ports { grpc: port, http: port };
    let (telemetry, dispatch, guard) = pipeline(export(ports, Protocol::HttpProtobuf));
    request(&dispatch, "first");
    let _held = taken.await.unwrap();
    taking.join().unwrap();
    assert!(telemetry.export_stats().failing_since_us.is_some());
    // when the program ends,
    let start = Instant::now();
    assert!(!guard.shutdown(PATIENCE).await);
    // then it does not wait for as long as it would for one that works.
    assert!(start.elapsed() < PATIENCE / 2, "{:?} of {PATIENCE:?}", start.elapsed());
}

/// A status and a body.
type Told = (u16, &'static [u8]);

/// Answers each request with the next of these, and gives the heads of the requests.
fn receiver(answers: &'static [Told]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer_all = move || {
        let mut heads = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 8_192];
            let read = stream.read(&mut bytes).unwrap();
            heads.push(String::from_utf8_lossy(&bytes[..read]).into_owned());
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
        }
        heads
    };
    (address, std::thread::spawn(answer_all))
}

#[tokio::test]
async fn what_is_refused_for_good_is_given_up_and_what_is_busy_is_tried_again() {
    // Given a receiver that refuses the first request and is busy for the second,
    let (address, heads) = receiver(&[(400, b""), (503, b""), (200, b"")]);
    let endpoint = format!("http://{address}/v1/traces");
    let export = ExportConfig {
        delay: Duration::from_millis(20),
        ..ExportConfig::new(Protocol::HttpProtobuf, endpoint)
    };
    let (telemetry, dispatch, guard) = pipeline(export);
    // when two services send,
    request(&dispatch, "GET /");
    assert_eq!(heads.join().unwrap().len(), 3);
    // then the spans of one are counted as dropped, and those of the other have arrived.
    let stats = until("the end of the failure", || {
        Some(telemetry.export_stats()).filter(|stats| stats.queue == 0)
    })
    .await;
    let mut counts = [stats.exported, stats.dropped];
    counts.sort_unstable();
    assert_eq!(counts, [1, 2], "{stats:?}");
    assert_eq!(stats.last_error, None);
    assert!(guard.shutdown(PATIENCE).await);
}

#[tokio::test]
async fn what_a_collector_rejects_of_a_request_it_accepts_is_not_counted_as_exported() {
    // Given a receiver that takes one of two spans of the gateway, and all of orders,
    let (address, heads) = receiver(&[(200, &[0x0a, 2, 0x08, 1]), (200, b"")]);
    let endpoint = format!("http://{address}/v1/traces");
    let (telemetry, dispatch, guard) =
        pipeline(ExportConfig::new(Protocol::HttpProtobuf, endpoint));
    // when a request with three spans was sent,
    request(&dispatch, "GET /");
    assert!(guard.shutdown(PATIENCE).await);
    assert_eq!(heads.join().unwrap().len(), 2);
    // then two were exported, and the third is told in the metrics.
    let stats = telemetry.export_stats();
    assert_eq!((stats.exported, stats.rejected, stats.dropped), (2, 1, 0), "{stats:?}");
    let text = telemetry.openmetrics(|_| {});
    assert!(text.contains("vitrine_telemetry_dropped_total{reason=\"rejected\"} 1"), "{text}");
}

/// Answers every gRPC request with this message, until the test is over.
#[expect(clippy::disallowed_methods, reason = "its tasks end with the test")]
async fn grpc_receiver(message: &'static [u8]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |mut respond: h2::server::SendResponse<Bytes>| {
        let head = http::Response::builder().header("content-type", "application/grpc");
        let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
        // Not compressed, so long, and then the message.
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        stream.send_data([&[0], &length[..], message].concat().into(), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        stream.send_trailers(trailers).unwrap();
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, respond))) = connection.accept().await {
                    answer(respond);
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn over_grpc_what_a_collector_rejects_of_a_request_is_not_counted_as_exported() {
    // Given a receiver that takes all but one span of each request,
    let endpoint = grpc_receiver(&[0x0a, 2, 0x08, 1]).await;
    let (telemetry, dispatch, guard) = pipeline(ExportConfig::new(Protocol::Grpc, endpoint));
    // when two spans of the gateway and one of orders were sent,
    request(&dispatch, "GET /");
    assert!(guard.shutdown(PATIENCE).await, "{:?}", telemetry.export_stats());
    // then one of each service was rejected.
    let stats = telemetry.export_stats();
    assert_eq!((stats.exported, stats.rejected, stats.dropped), (1, 2, 0), "{stats:?}");
    let text = telemetry.openmetrics(|_| {});
    assert!(text.contains("vitrine_telemetry_dropped_total{reason=\"rejected\"} 2"), "{text}");
}

#[tokio::test]
async fn http_to_a_port_of_grpc_is_told_with_the_variable_that_mends_it() {
    let endpoint = grpc_receiver(&[]).await;
    let config = ExportConfig::new(Protocol::HttpProtobuf, format!("{endpoint}/v1/traces"));
    let (telemetry, dispatch, guard) = pipeline(config);
    request(&dispatch, "GET /");
    let error = until("a failure", || telemetry.export_stats().last_error).await;
    assert!(error.contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), "{error}");
    // A collector that is away already keeps nobody waiting at the end.
    let began = Instant::now();
    assert!(!guard.shutdown(PATIENCE).await, "nothing was sent");
    assert!(began.elapsed() < PATIENCE / 2, "{:?} of {PATIENCE:?}", began.elapsed());
}

#[tokio::test]
async fn headers_are_sent_as_they_were_meant() {
    let (address, heads) = receiver(&[(200, b"")]);
    let endpoint = format!("http://{address}");
    let config = TelemetryConfig::from_env(|name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("authorization=Bearer%20hunter2%2541".into()),
        _ => None,
    })
    .unwrap();
    let (telemetry, dispatch, guard) = Telemetry::detached(config).unwrap();
    dispatcher::with_default(&dispatch, || drop(info_span!("one")));
    guard.shutdown(PATIENCE).await;
    let head = heads.join().unwrap().remove(0);
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer hunter2%41\r\n"), "{head}");
    assert!(!format!("{:?}", telemetry.export_stats()).contains("hunter2"));
}
