//! What a consistent hash is taken of, and the cookie that is made when there is none yet.

use crate::{EXTERNAL_ADDRESS, Request, journey::Journey, route::matching::query_of};
use base::IdSource;
use http::{HeaderMap, HeaderValue, header::COOKIE};
use istio::policy::HashKey;

/// A key that a try is hashed by.
#[derive(Debug, Default)]
pub(crate) struct Key {
    /// None when the request has no key: then the choice is random, as in Envoy.
    pub(crate) hash: Option<u64>,
    /// The cookie to set on the answer.
    pub(crate) cookie: Option<HeaderValue>,
}

impl Key {
    fn of_bytes(bytes: &[u8]) -> Self {
        Self { hash: Some(super::table::hash(bytes)), cookie: None }
    }

    /// The key of a request.
    pub(crate) fn of(
        key: &HashKey,
        request: &Request,
        journey: Option<&Journey>,
        dice: &IdSource,
    ) -> Self {
        let headers = request.headers();
        match key {
            HashKey::Header(name) => {
                headers.get(name).map(|v| Self::of_bytes(v.as_bytes())).unwrap_or_default()
            }
            HashKey::Query(name) => {
                let value = query_of(request.uri().query(), name);
                value.map(|value| Self::of_bytes(value.as_bytes())).unwrap_or_default()
            }
            // Inside the mesh the source of a call is the workload that makes it.
            HashKey::SourceIp => match (headers.get(EXTERNAL_ADDRESS), journey) {
                (Some(address), _) => Self::of_bytes(address.as_bytes()),
                (None, Some(journey)) => Self::of_bytes(journey.source.service.as_bytes()),
                (None, None) => Self::default(),
            },
            HashKey::Cookie { name, path, ttl } => match (cookie(headers, name), ttl) {
                (Some(value), _) => Self::of_bytes(value.as_bytes()),
                (None, None) => Self::default(),
                (None, Some(ttl)) => {
                    let value = format!("{:016x}", dice.below(u64::MAX));
                    let age = ttl.as_secs();
                    let age = if age > 0 { format!("; Max-Age={age}") } else { String::new() };
                    let path = path.as_deref().map(|path| format!("; Path={path}"));
                    let path = path.unwrap_or_default();
                    let set = format!("{name}=\"{value}\"{age}{path}; HttpOnly");
                    let cookie = HeaderValue::try_from(set).ok();
                    Self { cookie, ..Self::of_bytes(value.as_bytes()) }
                }
            },
        }
    }
}

/// The value of a cookie, without quotes around it (RFC 6265, section 5.4).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    let value = value.trim();
    Some(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
}
