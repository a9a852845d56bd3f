//! What comes from outside the mesh, checked the same way by every public API of the shop: ids,
//! preconditions and preferences here, JSON without duplicate keys, orders and queries beside it.
//!
//! Knows no service; what a bad one is answered with is a [`Problem`].

mod json;
mod order;
mod query;

pub(crate) use json::nothing;
pub(crate) use order::order;
pub(crate) use query::Parameters;

use crate::problem::Problem;
use contract::order::Origin;
use http::{HeaderMap, header};

/// Longest id, characters.
const ID_MAX: usize = 64;
/// Most unknown fields of one object that are named.
const UNKNOWN_MAX: usize = 5;
/// Largest body of a request, bytes: an order of the most lines is a tenth of it.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest a client may ask to wait, seconds.
pub(crate) const WAIT_MAX: u64 = 30;

/// Says who placed an order. Set by the dashboard and the load generator; what comes from outside
/// under this name is removed at the edge.
pub const ORIGIN: &str = "x-vitrine-origin";

/// Whether a text has the form of an id: safe in a path, short enough to keep.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// An id in a path; anything else names nothing.
pub(crate) fn path_id(what: &str, id: String) -> Result<String, Problem> {
    if is_id(&id) { Ok(id) } else { Err(Problem::not_found(&format!("{what} of that id"))) }
}

/// Who a command is from.
pub(crate) fn origin(headers: &HeaderMap) -> Origin {
    match headers.get(ORIGIN).and_then(|value| value.to_str().ok()) {
        Some("browser") => Origin::Browser,
        Some("load") => Origin::Load,
        _ => Origin::Api,
    }
}

/// The version a client's decision was made on: `If-Match` with an ETag we gave (RFC 9110,
/// section 13.1.1); `*` is any.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let value = value.to_str().unwrap_or_default().trim();
    if value == "*" {
        return Ok(None);
    }
    let version = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let version = version.and_then(|v| v.parse().ok());
    version.map(Some).ok_or_else(|| Problem::field("If-Match", "Not an ETag this API gave."))
}

/// Seconds of `Prefer: wait=N` (RFC 7240, section 4.3). A preference that is not understood is
/// ignored, as section 2 says.
pub(crate) fn wait(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
    preferences
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.split(';').next())
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let wait = name.trim().eq_ignore_ascii_case("wait");
            let seconds = value.trim().trim_matches('"').parse::<u64>().ok();
            seconds.filter(|_| wait).map(|seconds| seconds.min(WAIT_MAX))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_understood_as_rfc_7240_writes_it_and_capped() {
        let wait_of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", http::HeaderValue::from_static(value));
            wait(&headers)
        };
        assert_eq!(wait_of("wait=10"), Some(10));
        assert_eq!(wait_of("respond-async, wait=5; foo"), Some(5));
        assert_eq!(wait_of("Wait = \"3\""), Some(3));
        assert_eq!(wait_of("wait=86400"), Some(WAIT_MAX));
        assert_eq!(wait_of("wait=soon"), None);
    }
}
