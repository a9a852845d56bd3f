//! The exporter over gRPC: OTLP's generated client, and what a collector says it did not take.
//!
//! The library has an exporter of its own, which keeps a partial success to itself (OTLP
//! specification, "Partial Success").

use super::exporters::{Failed, Rejected};
use crate::ExportConfig;
use http::HeaderMap;
use opentelemetry_proto::{
    tonic::collector::trace::v1::{
        ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use tonic::{
    Code, Request, Status,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// What the message of a refusal is called that says when to come again (`google/rpc`).
const RETRY_INFO: &[u8] = b"google.rpc.RetryInfo";

/// The connection, which the exporters of all services share.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    client: TraceServiceClient<Channel>,
    metadata: MetadataMap,
    rejected: Rejected,
}

impl Connection {
    /// Connects with the first request. Must be called within the runtime that will use it.
    pub(super) fn new(
        config: &ExportConfig,
        headers: HeaderMap,
        rejected: Rejected,
    ) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(config.endpoint.clone());
        let endpoint = endpoint.map_err(|error| sentence(&error))?.timeout(config.timeout);
        let endpoint = match config.is_https() {
            true => endpoint.tls_config(tls(config)).map_err(|error| sentence(&error))?,
            false => endpoint,
        };
        let mut client = TraceServiceClient::new(endpoint.connect_lazy())
            .accept_compressed(CompressionEncoding::Gzip);
        if config.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        Ok(Self { client, metadata: MetadataMap::from_headers(headers), rejected })
    }

    /// The exporter of a service.
    pub(super) fn of(&self, resource: &Resource) -> GrpcExporter {
        GrpcExporter { connection: self.clone(), resource: resource.into() }
    }
}

fn tls(config: &ExportConfig) -> ClientTlsConfig {
    let tls = ClientTlsConfig::new();
    let tls = match &config.tls.authorities {
        Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
        None => tls.with_native_roots(),
    };
    match &config.tls.identity {
        Some(own) => tls.identity(Identity::from_pem(&own.certificate, &own.key)),
        None => tls,
    }
}

/// Sends the spans of one service.
#[derive(Debug)]
pub(super) struct GrpcExporter {
    connection: Connection,
    resource: ResourceAttributesWithSchema,
}

impl GrpcExporter {
    pub(super) async fn export(&self, spans: Vec<SpanData>) -> Result<(), Failed> {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let mut request = Request::new(ExportTraceServiceRequest { resource_spans });
        *request.metadata_mut() = self.connection.metadata.clone();
        let mut client = self.connection.client.clone();
        let answer = client.export(request).await.map_err(|status| failed(&status))?;
        if let Some(partial) = answer.into_inner().partial_success {
            self.connection.rejected.add(u64::try_from(partial.rejected_spans).unwrap_or(0));
        }
        Ok(())
    }
}

fn failed(status: &Status) -> Failed {
    let mut sentence = format!("gRPC code {:?}: {}", status.code(), status.message());
    if let Some(source) = std::error::Error::source(status) {
        sentence = format!("{sentence}: {}", self::sentence(source));
    }
    Failed { sentence, last: is_final(status) }
}

/// Whether the same request would be refused again (OTLP specification, "Failures"). What the
/// client's side itself answers when a connection breaks (`Unknown`, `Internal`) is tried again.
fn is_final(status: &Status) -> bool {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Unauthenticated => true,
        // Only who says when to come again has resources later.
        Code::ResourceExhausted => {
            !status.details().windows(RETRY_INFO.len()).any(|part| part == RETRY_INFO)
        }
        _ => false,
    }
}

/// An error with what caused it.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |all, cause| {
        let cause = cause.to_string();
        if all.ends_with(&cause) { all } else { format!("{all}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_final_and_a_collector_that_is_away_or_busy_is_tried_again() {
        let last = |code| failed(&Status::new(code, "no")).last;
        for code in [Code::InvalidArgument, Code::Unauthenticated, Code::Unimplemented] {
            assert!(last(code), "{code:?}");
        }
        let again = [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ];
        for code in again {
            assert!(!last(code), "{code:?}");
        }
    }

    #[test]
    fn exhausted_resources_are_asked_again_only_with_a_time_to_come_again() {
        let exhausted = |details: &[u8]| {
            let details = tonic::codegen::Bytes::copy_from_slice(details);
            failed(&Status::with_details(Code::ResourceExhausted, "full", details)).last
        };
        assert!(exhausted(b""));
        assert!(!exhausted(b"\x12\x2a\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x00"));
    }
}
