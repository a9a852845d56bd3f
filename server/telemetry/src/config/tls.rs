//! What an https address needs: whom to trust, and who we are. Read from PEM files at start, so
//! that a path that is wrong is said then and not with the first span.

use super::Reader;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::fmt;

/// The largest file that is read, bytes: the certificates of every public authority are 250 kB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

const CERTIFICATE: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const CLIENT_CERTIFICATE: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"];
const CLIENT_KEY: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"];

/// Every variable that is read here.
pub(super) const ALL: [&str; 6] = [
    CERTIFICATE[0],
    CERTIFICATE[1],
    CLIENT_CERTIFICATE[0],
    CLIENT_CERTIFICATE[1],
    CLIENT_KEY[0],
    CLIENT_KEY[1],
];

/// The two sides of an encrypted connection.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of the authorities that are trusted in place of the machine's own, PEM.
    pub authorities: Option<Vec<u8>>,
    /// Shown to a collector that asks who calls.
    pub identity: Option<Identity>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities.is_some())
            .field("identity", &self.identity)
            .finish()
    }
}

/// A client's certificate with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and those between it and its authority, PEM.
    pub certificate: Vec<u8>,
    /// Its private key, PEM. Secret.
    pub key: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Reader<'_> {
    pub(super) fn tls(&mut self) -> Tls {
        let authorities = self.pem(CERTIFICATE, has_certificates);
        let certificate = self.pem(CLIENT_CERTIFICATE, has_certificates);
        let key = self.pem(CLIENT_KEY, has_key);
        let identity = match (certificate, key) {
            (Some((_, certificate)), Some((_, key))) => Some(Identity { certificate, key }),
            (Some((variable, _)), None) if self.first(CLIENT_KEY).is_none() => {
                self.refuse(variable, format!("needs {} beside it", CLIENT_KEY[1]));
                None
            }
            (None, Some((variable, _))) if self.first(CLIENT_CERTIFICATE).is_none() => {
                self.refuse(variable, format!("needs {} beside it", CLIENT_CERTIFICATE[1]));
                None
            }
            _ => None,
        };
        Tls { authorities: authorities.map(|(_, pem)| pem), identity }
    }

    /// The file that one of the variables names, if it holds what it should.
    fn pem(
        &mut self,
        variables: [&'static str; 2],
        check: impl Fn(&[u8]) -> Result<(), &'static str>,
    ) -> Option<(&'static str, Vec<u8>)> {
        let (variable, path) = self.first(variables)?;
        let read = || {
            let size = std::fs::metadata(&path)?.len();
            if size > FILE_BYTES_MAX {
                return Err(std::io::Error::other(format!("{size} bytes are no PEM file")));
            }
            std::fs::read(&path)
        };
        let problem = match read() {
            Ok(pem) => match check(&pem) {
                Ok(()) => return Some((variable, pem)),
                Err(missing) => format!("is {path:?}, which holds no {missing} in PEM format"),
            },
            Err(error) => format!("is {path:?}, which cannot be read: {error}"),
        };
        self.refuse(variable, problem);
        None
    }
}

fn has_certificates(pem: &[u8]) -> Result<(), &'static str> {
    let mut found = CertificateDer::pem_slice_iter(pem).peekable();
    let any = found.peek().is_some();
    if any && found.all(|one| one.is_ok()) { Ok(()) } else { Err("certificate") }
}

fn has_key(pem: &[u8]) -> Result<(), &'static str> {
    PrivateKeyDer::from_pem_slice(pem).map(|_| ()).map_err(|_| "private key")
}
