//! The client spans of the mesh say where a request goes in the same words, whichever layer sends
//! it: a call, each of its tries, and a copy of it.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

#[path = "scripted/address.rs"]
mod address;

use address::{at_address, head, write};
use istio::policy::{Mirror, RetryOn, Route, Share};
use parking_lot::Mutex;
use scripted::{Act, World, policy, retry, rule};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
};

/// What a client span says of its request (semantic conventions for HTTP clients).
const REQUEST: [&str; 6] =
    ["http.request.method", "server.address", "server.port", "url.full", "url.path", "url.scheme"];

/// The fields of a span, as text.
#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// Keeps the fields of every span.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<u64, Fields>>>);

impl Spans {
    /// Those that are a client's, by the name of their kind.
    fn of_clients(&self) -> Vec<Fields> {
        let spans = self.0.lock();
        let clients = spans
            .values()
            .filter(|fields| fields.0.get("otel.kind").is_some_and(|kind| kind == "client"));
        clients.cloned().collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        // A registry gives the id of a closed span away again; no span of these tests is asked for
        // by its id.
        let mut spans = self.0.lock();
        let number = spans.len() as u64;
        let mut fields = Fields::default();
        fields.0.insert("id".to_owned(), id.into_u64().to_string());
        attributes.record(&mut fields);
        spans.insert(number, fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let id = id.into_u64().to_string();
        let mut spans = self.0.lock();
        let newest = spans.values_mut().rev().find(|fields| fields.0.get("id") == Some(&id));
        if let Some(fields) = newest {
            values.record(fields);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_its_tries_and_its_copies_say_alike_where_they_go() {
    let spans = Spans::default();
    let _spans =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let world =
        World::new(&[("payments", "payments-0", "v1"), ("payments", "payments-v2-0", "v2")]);
    let mirror =
        Mirror { service: "payments".into(), subset: Some("v2".into()), share: Share::ALL };
    let retry = retry(1, &[RetryOn::ServerError]);
    world.apply(policy(1, Route { mirrors: vec![mirror], retry, ..rule(Some("v1")) }));
    world.always("payments-0", Act::Status(503));
    let answer = world.caller().get("payments", "/charges?of=ada").send().await;
    assert_eq!(answer.map(|answer| answer.status().as_u16()), Ok(503));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let clients = spans.of_clients();
    assert_eq!(clients.len(), 4, "the call, two tries, the copy: {clients:#?}");
    for fields in &clients {
        let missing: Vec<_> =
            REQUEST.iter().filter(|name| !fields.0.contains_key(**name)).collect();
        assert!(missing.is_empty(), "{missing:?} of {fields:#?}");
        let value = |name: &str| fields.0[name].as_str();
        assert_eq!((value("server.port"), value("url.scheme")), ("80", "http"));
        assert_eq!((value("http.request.method"), value("url.path")), ("GET", "/charges"));
        assert_eq!(value("url.full"), "http://payments/charges", "without the query");
    }
    // The call says which version of the callee its last try came to.
    let versions = clients.iter().filter_map(|fields| fields.0.get("mesh.instance.version"));
    assert_eq!(versions.collect::<Vec<_>>(), ["v1"]);
}

#[tokio::test]
async fn a_call_by_another_name_says_the_name_the_service_and_the_socket() {
    let spans = Spans::default();
    let _spans =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let (world, listener) = at_address().await;
    let socket = listener.local_addr().unwrap();
    world.apply(policy(1, Route { retry: retry(1, &[RetryOn::ServerError]), ..rule(None) }));
    let call = world.caller().get("payments", "/v1/charges").header("host", "api.example:8443");
    let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let answers = async {
        let (connection, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            head(&connection).await.unwrap();
            write(&connection, busy).await;
        }
    };
    let (answer, ()) = tokio::join!(call.send(), answers);
    assert_eq!(answer.unwrap().status(), 503);
    let clients = spans.of_clients();
    assert_eq!(clients.len(), 3, "the call and two tries: {clients:#?}");
    for fields in &clients {
        let value = |name: &str| fields.0.get(name).map_or("", String::as_str);
        assert_eq!(value("url.full"), "http://api.example:8443/v1/charges", "{fields:#?}");
        assert_eq!(value("server.port"), "8443");
        assert_eq!(value("network.peer.address"), socket.ip().to_string(), "{fields:#?}");
        assert_eq!(value("network.peer.port"), socket.port().to_string());
    }
    let called = clients.iter().find(|fields| fields.0.contains_key("peer.service")).unwrap();
    assert_eq!(called.0["server.address"], "api.example");
    assert_eq!(called.0["peer.service"], "payments");
}
