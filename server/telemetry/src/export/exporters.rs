//! An OTLP exporter per service, each with its own resource, made when its service is first met.
//!
//! One tracer provider has one resource; Vitrine is many services in one process. Grouping spans
//! per service here is what makes them separate services in Jaeger.

use super::watching::WatchingClient;
use crate::{ExportConfig, Protocol, TelemetryConfig, names};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
    tonic_types::metadata::MetadataMap,
};
use opentelemetry_sdk::{Resource, resource::TelemetryResourceDetector};
use std::collections::HashMap;

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

/// The exporters made so far. Their number is bounded by the table of services.
#[derive(Debug)]
pub(super) struct Exporters {
    config: ExportConfig,
    resources: Resources,
    /// One pool of connections for all services.
    client: WatchingClient,
    made: HashMap<u16, SpanExporter>,
}

impl Exporters {
    pub(super) fn new(config: ExportConfig, resources: Resources) -> Result<Self, String> {
        let builder = reqwest::Client::builder().timeout(config.timeout);
        // A collector on this machine is never behind a proxy.
        let builder = if config.is_local() { builder.no_proxy() } else { builder };
        Ok(Self {
            client: WatchingClient::new(builder.build().map_err(|error| error.to_string())?),
            config,
            resources,
            made: HashMap::new(),
        })
    }

    /// Spans that the collector rejected since this was asked before.
    pub(super) fn take_rejected(&self) -> u64 {
        self.client.take_rejected()
    }

    /// The exporter of a service. Must be called within the runtime that will use it.
    pub(super) fn of(&mut self, service: u16, name: &str) -> Result<&SpanExporter, String> {
        match self.made.entry(service) {
            std::collections::hash_map::Entry::Occupied(made) => Ok(made.into_mut()),
            std::collections::hash_map::Entry::Vacant(room) => {
                let mut exporter = build(&self.config, &self.client)?;
                let resource = self.resources.of(name);
                opentelemetry_sdk::trace::SpanExporter::set_resource(&mut exporter, &resource);
                Ok(room.insert(exporter))
            }
        }
    }
}

/// Retries are the worker's: it must know at once that the collector is away.
fn build(config: &ExportConfig, client: &WatchingClient) -> Result<SpanExporter, String> {
    let built = match config.protocol {
        Protocol::Grpc => SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&config.endpoint)
            .with_timeout(config.timeout)
            .with_metadata(MetadataMap::from_headers(headers(config)?))
            .with_retry_policy(RetryPolicy::disabled())
            .build(),
        Protocol::HttpProtobuf => SpanExporter::builder()
            .with_http()
            .with_shared_http_client(std::sync::Arc::new(client.clone()))
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(&config.endpoint)
            .with_timeout(config.timeout)
            .with_headers(encoded_headers(config))
            .with_retry_policy(RetryPolicy::disabled())
            .build(),
    };
    built.map_err(|error| error.to_string())
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
}
