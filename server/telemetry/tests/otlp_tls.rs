//! The export over https and compressed: a proxy that ends TLS stands before the real collector,
//! as it does in a cluster, and sees what is sent.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]
#![expect(clippy::disallowed_methods, reason = "its tasks end with the test")]

mod rotel;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rotel::{PATIENCE, Ports, Rotel, until};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use telemetry::{
    ExportConfig, Identity, Protocol, Telemetry, TelemetryConfig, TelemetryGuard, Tls,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, split},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};
use tracing::{Dispatch, dispatcher, info_span};

/// Where the proxy is, by the name its certificate is for.
const HOST: &str = "127.0.0.1";
/// How every gzip stream begins (RFC 1952).
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// A certificate authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for a name, with its key, in PEM.
    fn certify(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem().into();
        Identity { certificate, key: key.serialize_pem().into() }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        Arc::new(roots)
    }
}

/// Ends TLS before a collector, for clients that show a certificate of the authority.
struct Proxy {
    address: SocketAddr,
    /// What clients sent, decrypted.
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    async fn start(authority: &Authority, protocol: Protocol, ports: Ports) -> Self {
        let own = authority.certify(HOST);
        let certificate = CertificateDer::from_pem_slice(&own.certificate).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(authority.roots(), provider.clone());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_slice(&own.key).unwrap())
            .unwrap();
        let (alpn, port) = match protocol {
            Protocol::Grpc => (&b"h2"[..], ports.grpc),
            Protocol::HttpProtobuf => (&b"http/1.1"[..], ports.http),
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((HOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let sink = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, acceptor.clone(), port, sink.clone()));
            }
        });
        Self { address, seen }
    }

    /// Whether something that begins like this was sent.
    fn has_seen(&self, bytes: &[u8]) -> bool {
        self.seen.lock().unwrap().windows(bytes.len()).any(|part| part == bytes)
    }
}

/// One connection, to its end; a client that is not trusted gets none.
async fn carry(stream: TcpStream, acceptor: TlsAcceptor, port: u16, seen: Arc<Mutex<Vec<u8>>>) {
    let Ok(client) = acceptor.accept(stream).await else { return };
    let collector = TcpStream::connect((HOST, port)).await.unwrap();
    let (mut from_client, mut to_client) = split(client);
    let (mut from_collector, mut to_collector) = collector.into_split();
    let back = copy(&mut from_collector, &mut to_client);
    let forth = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            seen.lock().unwrap().extend_from_slice(&buffer[..read]);
            to_collector.write_all(&buffer[..read]).await.unwrap();
        }
    };
    // Either side may go first.
    tokio::select! {
        _ = back => {}
        () = forth => {}
    }
}

fn pipeline(export: ExportConfig) -> (Telemetry, Dispatch, TelemetryGuard) {
    let export = Some(ExportConfig { delay: Duration::from_millis(20), ..export });
    Telemetry::detached(TelemetryConfig { export, ..TelemetryConfig::default() }).unwrap()
}

fn over_https(protocol: Protocol, proxy: &Proxy, tls: Tls) -> ExportConfig {
    let path = if protocol == Protocol::Grpc { "" } else { "/v1/traces" };
    let endpoint = format!("https://{}{path}", proxy.address);
    ExportConfig { tls, ..ExportConfig::new(protocol, endpoint) }
}

fn one_span(dispatch: &Dispatch) {
    dispatcher::with_default(dispatch, || drop(info_span!("over https")));
}

async fn spans_arrive(protocol: Protocol, gzip: bool) {
    // Given a collector behind a proxy with a certificate of a private authority,
    let (authority, ports) = (Authority::new(), Ports::free());
    let rotel = Rotel::start(ports).await;
    let proxy = Proxy::start(&authority, protocol, ports).await;
    // when it is trusted, and we show a certificate of our own,
    let authorities = Some(authority.pem.clone().into());
    let tls = Tls { authorities, identity: Some(authority.certify("vitrine")) };
    let config = ExportConfig { gzip, ..over_https(protocol, &proxy, tls) };
    let (telemetry, dispatch, guard) = pipeline(config);
    one_span(&dispatch);
    // then the spans arrive, compressed if that was asked for.
    assert!(guard.shutdown(PATIENCE).await, "{:?}", telemetry.export_stats());
    let name = until("the arrival of a span", || {
        rotel.received().into_iter().map(|span| span.name).find(|name| !name.is_empty())
    });
    assert_eq!(name.await, "over https");
    assert_eq!(proxy.has_seen(&GZIP), gzip);
    assert_eq!(proxy.has_seen(b"over https"), !gzip);
}

#[tokio::test]
async fn over_grpc_spans_arrive_encrypted() {
    spans_arrive(Protocol::Grpc, false).await;
}

#[tokio::test]
async fn over_grpc_spans_arrive_encrypted_and_compressed() {
    spans_arrive(Protocol::Grpc, true).await;
}

#[tokio::test]
async fn over_http_spans_arrive_encrypted() {
    spans_arrive(Protocol::HttpProtobuf, false).await;
}

#[tokio::test]
async fn over_http_spans_arrive_encrypted_and_compressed() {
    spans_arrive(Protocol::HttpProtobuf, true).await;
}

async fn nothing_is_sent(protocol: Protocol, tls: impl Fn(&Authority) -> Tls, why: &str) {
    let (authority, ports) = (Authority::new(), Ports::free());
    let proxy = Proxy::start(&authority, protocol, ports).await;
    let (telemetry, dispatch, _guard) = pipeline(over_https(protocol, &proxy, tls(&authority)));
    one_span(&dispatch);
    let error = until("the failure", || telemetry.export_stats().last_error).await;
    assert!(error.to_lowercase().contains(why), "{error}");
    assert_eq!(telemetry.export_stats().exported, 0);
    assert!(proxy.seen.lock().unwrap().is_empty());
}

/// Trusts another authority than the collector's.
fn trusting_another(authority: &Authority) -> Tls {
    let authorities = Some(Authority::new().pem.into());
    Tls { authorities, identity: Some(authority.certify("vitrine")) }
}

#[tokio::test]
async fn over_grpc_nothing_is_sent_to_whom_nobody_vouches_for() {
    nothing_is_sent(Protocol::Grpc, trusting_another, "certificate").await;
}

#[tokio::test]
async fn over_http_nothing_is_sent_to_whom_nobody_vouches_for() {
    nothing_is_sent(Protocol::HttpProtobuf, trusting_another, "certificate").await;
}

#[tokio::test]
async fn a_collector_that_asks_who_calls_takes_nothing_without_a_certificate() {
    let anonymous = |authority: &Authority| Tls {
        authorities: Some(authority.pem.clone().into()),
        identity: None,
    };
    nothing_is_sent(Protocol::HttpProtobuf, anonymous, "certificate").await;
}
