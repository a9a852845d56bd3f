//! An OTLP exporter per service, each with its own resource, made when its service is first met.
//!
//! One tracer provider has one resource; Vitrine is many services in one process. Grouping spans
//! per service here is what makes them separate services in Jaeger.

use super::{
    grpc::{Connection, GrpcExporter, sentence},
    watching::WatchingClient,
};
use crate::{ExportConfig, Protocol, TelemetryConfig, names};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    Compression, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    resource::TelemetryResourceDetector,
    trace::{SpanData, SpanExporter as _},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Makes the resource of a service.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    common: Vec<KeyValue>,
}

impl Resources {
    pub(crate) fn new(config: &TelemetryConfig) -> Self {
        let own = [
            ("service.namespace", names::SERVICE_NAMESPACE),
            ("service.version", &config.version),
            ("service.instance.id", &config.instance_id),
        ];
        let given = config.resource_attributes.iter();
        let common = own
            .into_iter()
            .map(|(key, value)| KeyValue::new(key, value.to_owned()))
            .chain(given.map(|(key, value)| KeyValue::new(key.clone(), value.clone())))
            .collect();
        Self { common }
    }

    /// What is given by `OTEL_RESOURCE_ATTRIBUTES` wins, except over the name.
    pub(crate) fn of(&self, service: &str) -> Resource {
        Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(self.common.iter().cloned())
            .with_attribute(KeyValue::new(names::SERVICE_NAME, service.to_owned()))
            .build()
    }
}

/// Spans that collectors rejected of requests they accepted, since this was asked before. Clones
/// count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Rejected(Arc<AtomicU64>);

impl Rejected {
    pub(super) fn add(&self, spans: u64) {
        self.0.fetch_add(spans, Ordering::Relaxed);
    }

    fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Why a request was not taken.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) sentence: String,
    /// The same request would be refused again.
    pub(super) last: bool,
}

/// What the exporters of all services share.
#[derive(Debug)]
enum Shared {
    Grpc(Box<Connection>),
    Http(WatchingClient),
}

/// Sends the spans of one service.
#[derive(Debug)]
pub(super) enum Exporter {
    Grpc(Box<GrpcExporter>),
    Http(Box<SpanExporter>, WatchingClient),
}

impl Exporter {
    pub(super) async fn export(&self, spans: Vec<SpanData>) -> Result<(), Failed> {
        match self {
            Self::Grpc(exporter) => exporter.export(spans).await,
            Self::Http(exporter, client) => exporter.export(spans).await.map_err(|error| {
                let told = error.to_string();
                let last = is_final(&told);
                let sentence =
                    client.take_failure().map_or(told.clone(), |why| format!("{told}: {why}"));
                Failed { sentence: with_hint(sentence), last }
            }),
        }
    }
}

/// The exporters made so far. Their number is bounded by the table of services.
#[derive(Debug)]
pub(super) struct Exporters {
    config: ExportConfig,
    resources: Resources,
    shared: Shared,
    rejected: Rejected,
    made: HashMap<u16, Exporter>,
}

impl Exporters {
    /// Must be called within the runtime that will use it.
    pub(super) fn new(config: ExportConfig, resources: Resources) -> Result<Self, String> {
        // The one provider that is compiled in; a program that embeds this may have set its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let rejected = Rejected::default();
        let shared = match config.protocol {
            Protocol::Grpc => {
                let connection = Connection::new(&config, headers(&config)?, rejected.clone())?;
                Shared::Grpc(Box::new(connection))
            }
            Protocol::HttpProtobuf => {
                Shared::Http(WatchingClient::new(http_client(&config)?, rejected.clone()))
            }
        };
        Ok(Self { config, resources, shared, rejected, made: HashMap::new() })
    }

    /// Spans that the collector rejected since this was asked before.
    pub(super) fn take_rejected(&self) -> u64 {
        self.rejected.take()
    }

    /// The exporter of a service.
    pub(super) fn of(&mut self, service: u16, name: &str) -> Result<&Exporter, String> {
        match self.made.entry(service) {
            std::collections::hash_map::Entry::Occupied(made) => Ok(made.into_mut()),
            std::collections::hash_map::Entry::Vacant(room) => {
                let resource = self.resources.of(name);
                Ok(room.insert(match &self.shared {
                    Shared::Grpc(connection) => Exporter::Grpc(Box::new(connection.of(&resource))),
                    Shared::Http(client) => {
                        let mut exporter = over_http(&self.config, client)?;
                        exporter.set_resource(&resource);
                        Exporter::Http(Box::new(exporter), client.clone())
                    }
                }))
            }
        }
    }
}

/// One pool of connections for all services.
fn http_client(config: &ExportConfig) -> Result<reqwest::Client, String> {
    let sentence = |error: reqwest::Error| sentence(&error);
    let builder = reqwest::Client::builder().timeout(config.timeout);
    // A collector on this machine is never behind a proxy.
    let builder = if config.is_local() { builder.no_proxy() } else { builder };
    let builder = match &config.tls.authorities {
        Some(pem) => {
            let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(sentence)?;
            builder.tls_certs_only(authorities)
        }
        None if config.is_https() => builder,
        // The authorities of the machine are not read for nothing.
        None => builder.tls_certs_only([]),
    };
    let builder = match &config.tls.identity {
        Some(own) => {
            let pem = [&own.certificate[..], b"\n", &own.key].concat();
            builder.identity(reqwest::Identity::from_pem(&pem).map_err(sentence)?)
        }
        None => builder,
    };
    builder.build().map_err(sentence)
}

/// Retries are the worker's: it must know at once that the collector is away.
fn over_http(config: &ExportConfig, client: &WatchingClient) -> Result<SpanExporter, String> {
    let builder = SpanExporter::builder()
        .with_http()
        .with_shared_http_client(Arc::new(client.clone()))
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(&config.endpoint)
        .with_timeout(config.timeout)
        .with_headers(encoded_headers(config))
        .with_retry_policy(RetryPolicy::disabled());
    let builder = match config.gzip {
        true => builder.with_compression(Compression::Gzip),
        false => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

/// What hyper says of a server that greets with HTTP/2: its greeting is no answer to a request of
/// HTTP/1.1, and where it comes before the request was sent nobody asked for it.
const GREETED: [&str; 2] = ["invalid HTTP version", "received unexpected message"];

/// A receiver of gRPC greets with HTTP/2.
fn with_hint(sentence: String) -> String {
    if !GREETED.iter().any(|greeted| sentence.contains(greeted)) {
        return sentence;
    }
    format!("{sentence}. For gRPC, which port 4317 mostly is, set OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
}

/// Whether the same request would be refused again (OTLP specification, "Failures"). The library
/// tells the code only within its sentence; a sentence that is not understood means trying again.
fn is_final(error: &str) -> bool {
    let status = error
        .split_once("status code: ")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_alphanumeric()).next());
    status.is_some_and(|status| !matches!(status, "429" | "502" | "503" | "504"))
}

fn headers(config: &ExportConfig) -> Result<HeaderMap, String> {
    let header = |(name, value): &(String, String)| {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        let mut value = HeaderValue::try_from(value.as_str()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let headers = config.headers.iter().map(header);
    // Neither name nor value is told: both may be secrets.
    headers
        .collect::<Option<HeaderMap>>()
        .ok_or_else(|| "a header has a name or value that HTTP does not allow".to_owned())
}

/// The library decodes percent signs in what it is given.
fn encoded_headers(config: &ExportConfig) -> HashMap<String, String> {
    let encoded = |(name, value): &(String, String)| (name.clone(), value.replace('%', "%25"));
    config.headers.iter().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::Key;

    #[test]
    fn a_greeting_of_http2_is_told_with_the_variable_however_soon_it_came() {
        let network = "HTTP export failed: network error: client error (SendRequest)";
        for greeted in
            ["invalid HTTP version parsed", "received unexpected message from connection"]
        {
            let told = with_hint(format!("{network}: {greeted}"));
            assert!(told.ends_with("set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), "{told}");
        }
        assert_eq!(with_hint(format!("{network}: connection refused")).matches("grpc").count(), 0);
    }

    #[test]
    fn a_resource_names_its_service_whatever_the_environment_says() {
        let config = TelemetryConfig {
            instance_id: "run-1".into(),
            resource_attributes: vec![
                (names::SERVICE_NAME.into(), "one-for-all".into()),
                ("deployment.environment.name".into(), "test".into()),
            ],
            ..TelemetryConfig::default()
        };
        let resource = Resources::new(&config).of("orders");
        let value = |key: &'static str| resource.get(&Key::new(key)).map(|v| v.to_string());
        assert_eq!(value("service.name").as_deref(), Some("orders"));
        assert_eq!(value("service.namespace").as_deref(), Some("vitrine-shop"));
        assert_eq!(value("service.instance.id").as_deref(), Some("run-1"));
        assert_eq!(value("deployment.environment.name").as_deref(), Some("test"));
        assert_eq!(value("telemetry.sdk.language").as_deref(), Some("rust"));
        assert!(value("service.version").is_some());
    }

    #[test]
    fn a_collector_that_is_away_or_busy_is_tried_again_and_a_refusal_is_not() {
        for (error, last) in [
            ("Operation failed: HTTP export failed: network error", false),
            ("Operation failed: HTTP export failed with status code: 503", false),
            ("Operation failed: HTTP export failed with status code: 429", false),
            ("Operation failed: HTTP export failed with status code: 400", true),
            ("Operation failed: HTTP export failed with status code: 404", true),
            ("something new", false),
        ] {
            assert_eq!(is_final(error), last, "{error}");
        }
    }
}
