//! Answers that a route gives itself: redirects, direct answers, and what CORS asks for.

use crate::{Request, Response};
use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, LOCATION, ORIGIN,
        VARY,
    },
};
use istio::policy::{Cors, DerivePort, DirectResponse, HeaderEdits, Redirect};

/// The answer of a redirect to a request that was sent to `authority`.
pub(crate) fn redirect(rule: &Redirect, request: &Request, scheme: &str, host: &str) -> Response {
    let uri = request.uri();
    let location = {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => (name, Some(port)),
            _ => (host, None),
        };
        let scheme_new = rule.scheme.as_deref().unwrap_or(scheme);
        let name = rule.authority.as_deref().unwrap_or(name);
        let port = match rule.derive_port {
            Some(DerivePort::ProtocolDefault) => None,
            Some(DerivePort::Request) => port,
            // A new host or scheme does not keep the old one's port.
            None => port.filter(|_| rule.authority.is_none() && rule.scheme.is_none()),
        };
        let port = rule.port.map(|port| port.to_string()).or_else(|| port.map(str::to_owned));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = rule.uri.as_deref().unwrap_or(uri.path());
        // A path with a query of its own replaces the query too.
        let query = uri.query().filter(|_| !path.contains('?'));
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme_new}://{name}{port}{path}{query}")
    };
    let mut response = empty(rule.status);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Sends a request to the same address by https, before any rule is looked for, as Envoy does for a
/// virtual host with `require_tls` (`createSslRedirectPath`).
pub(crate) fn to_https(request: &Request, authority: &str) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut response = empty(StatusCode::MOVED_PERMANENTLY);
    if let Ok(location) = HeaderValue::try_from(format!("https://{authority}{path}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// In the extensions of an answer: a rule wrote it out, and whoever passes it on changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct DirectAnswer;

/// The answer of a rule that has it ready. As from Envoy, a body is plain text unless the rule's
/// edits of headers say what else it is.
pub(crate) fn direct(rule: &DirectResponse, edits: &HeaderEdits) -> Response {
    let mut response = Response::new(Body::from(rule.body.clone()));
    *response.status_mut() = rule.status;
    response.extensions_mut().insert(DirectAnswer);
    let named = edits.set.iter().chain(&edits.add).map(|(name, _)| name);
    let is_named = named.chain(&edits.remove).any(|name| name == CONTENT_TYPE);
    if !rule.body.is_empty() && !is_named {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    response
}

/// The origin of a request, if the policy allows it.
pub(crate) fn allowed_origin(cors: &Cors, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let text = origin.to_str().ok()?;
    cors.origins
        .iter()
        .any(|allowed| allowed.holds(text) || is_star(allowed))
        .then(|| origin.clone())
}

/// `allowOrigin: "*"` is every origin.
fn is_star(allowed: &istio::policy::StringMatch) -> bool {
    matches!(allowed, istio::policy::StringMatch::Exact(exact) if exact == "*")
}

/// Whether a browser asks before it sends (Fetch standard, CORS-preflight request).
pub(crate) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight from an allowed origin.
pub(crate) fn preflight(cors: &Cors, origin: &HeaderValue) -> Response {
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    allow(cors, origin, headers);
    list(headers, ACCESS_CONTROL_ALLOW_METHODS, cors.methods.iter().map(Method::as_str));
    list(headers, ACCESS_CONTROL_ALLOW_HEADERS, cors.headers.iter().map(HeaderName::as_str));
    if let Some(age) = cors.max_age {
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
    }
    response
}

/// What goes on an answer to an allowed origin.
pub(crate) fn allow_answer(cors: &Cors, origin: &HeaderValue, headers: &mut HeaderMap) {
    allow(cors, origin, headers);
    list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose.iter().map(HeaderName::as_str));
}

fn allow(cors: &Cors, origin: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.append(VARY, HeaderValue::from_static("origin"));
    if cors.credentials == Some(true) {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

fn list<'a>(headers: &mut HeaderMap, name: HeaderName, words: impl Iterator<Item = &'a str>) {
    let words: Vec<_> = words.collect();
    if let Ok(value) = HeaderValue::try_from(words.join(","))
        && !words.is_empty()
    {
        headers.insert(name, value);
    }
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_plain_text_unless_an_edit_says_what_it_is_and_nothing_is_no_text() {
        let kind = |body: &str, edits: &HeaderEdits| {
            let rule = DirectResponse { status: StatusCode::OK, body: body.into() };
            let answer = direct(&rule, edits);
            assert!(answer.extensions().get::<DirectAnswer>().is_some());
            answer.headers().get(CONTENT_TYPE).cloned()
        };
        let none = HeaderEdits::default();
        assert_eq!(kind("hi", &none).unwrap(), "text/plain");
        assert_eq!(kind("", &none), None);
        let html = (CONTENT_TYPE, HeaderValue::from_static("text/html"));
        for edits in [
            HeaderEdits { set: vec![html.clone()], ..HeaderEdits::default() },
            HeaderEdits { add: vec![html], ..HeaderEdits::default() },
            HeaderEdits { remove: vec![CONTENT_TYPE], ..HeaderEdits::default() },
        ] {
            assert_eq!(kind("<p>", &edits), None, "{edits:?}");
        }
    }

    #[test]
    fn a_redirect_takes_its_port_from_the_request_or_the_scheme_as_derive_port_says() {
        let to = |authority: Option<&str>, derive_port| Redirect {
            uri: None,
            authority: authority.map(str::to_owned),
            scheme: None,
            port: None,
            derive_port,
            status: StatusCode::FOUND,
        };
        let located = |rule: Redirect| {
            let request = Request::new(Body::empty());
            let answer = redirect(&rule, &request, "http", "shop.example:8080");
            answer.headers()[LOCATION].to_str().unwrap().to_owned()
        };
        let (request, default) = (Some(DerivePort::Request), Some(DerivePort::ProtocolDefault));
        assert_eq!(located(to(Some("new.example"), request)), "http://new.example:8080/");
        assert_eq!(located(to(Some("new.example"), None)), "http://new.example/");
        assert_eq!(located(to(None, None)), "http://shop.example:8080/");
        assert_eq!(located(to(None, default)), "http://shop.example/");
    }
}
