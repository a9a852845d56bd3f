//! Who may come in: this machine alone unless there is a token; never another site's page.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use contract::service::{BROWSER, GATEWAY};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use mesh::{HypotheticalRequest, Mesh, Source};
use shop::problem::Problem;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use subtle::ConstantTimeEq;

/// Cookie that carries the token of a browser.
const COOKIE: &str = "vitrine_token";
/// Bytes of a token that is made here.
const TOKEN_BYTES: usize = 16;
/// Most that is read of a body nobody wants, bytes: what a socket holds.
const REST_BYTES_MAX: usize = 256 * 1024;
/// How long the rest of such a body is waited for.
const REST_PATIENCE: Duration = Duration::from_secs(1);

/// The rule. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    address: SocketAddr,
    token: Option<Arc<str>>,
}

impl Access {
    /// The rule for an address: a loopback address needs no token unless one was given; any other
    /// address has one made if none was given.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new(address: SocketAddr, token: Option<String>) -> io::Result<Self> {
        let token = match token {
            Some(token) => Some(token.into()),
            None if address.ip().is_loopback() => None,
            None => Some(made()?.into()),
        };
        Ok(Self { address, token })
    }

    /// Where a person goes, with the token if there is one. For the terminal alone.
    #[must_use]
    pub fn address(&self, address: SocketAddr) -> String {
        match &self.token {
            None => format!("http://{address}"),
            Some(token) => format!("http://{address}/?token={token}"),
        }
    }

    fn is_token(&self, given: &str) -> bool {
        self.token.as_ref().is_some_and(|token| token.as_bytes().ct_eq(given.as_bytes()).into())
    }

    fn is_bearer(&self, authorization: &HeaderValue) -> bool {
        let text = authorization.to_str().ok();
        // The scheme is in any case (RFC 9110, section 11.1).
        let parts = text.and_then(|text| text.split_once(' '));
        parts.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && self.is_token(token.trim_start())
        })
    }

    fn is_cookie(&self, cookie: &str) -> bool {
        let pair = cookie.trim().split_once('=');
        pair.is_some_and(|(name, value)| name == COOKIE && self.is_token(value))
    }

    /// Takes the token out of a request that has been let in; other cookies and other
    /// authorizations stay.
    fn take_token(&self, headers: &mut HeaderMap) {
        if headers.get(header::AUTHORIZATION).is_some_and(|value| self.is_bearer(value)) {
            headers.remove(header::AUTHORIZATION);
        }
        let lines: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
        headers.remove(header::COOKIE);
        for line in lines {
            let Ok(text) = line.to_str() else {
                headers.append(header::COOKIE, line);
                continue;
            };
            let left: Vec<&str> = text.split(';').filter(|pair| !self.is_cookie(pair)).collect();
            if let Ok(left) = HeaderValue::from_str(left.join(";").trim())
                && !left.is_empty()
            {
                headers.append(header::COOKIE, left);
            }
        }
    }

    /// On a loopback address only names of this machine are served: a page elsewhere whose name
    /// was made to point here (DNS rebinding) is not.
    fn knows_host(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        !self.address.ip().is_loopback()
            || name_of(headers, uri).is_some_and(|name| self.is_own(name))
    }

    /// Whether a name is this machine's own, which no gateway can take.
    fn is_own(&self, name: &str) -> bool {
        let ip = self.address.ip().to_string();
        ["localhost", "127.0.0.1", "[::1]"].contains(&name) || name.trim_matches(['[', ']']) == ip
    }
}

/// What a request is addressed to, without the port.
fn name_of<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let host = mesh::authority(uri, headers)?;
    Some(host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
    }))
}

fn made() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is behind the address: the public API is served under names of services too, and a host of
/// a gateway has all its paths to itself. A page elsewhere cannot have one of these names unless
/// somebody here configured it.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) access: Access,
    pub(super) mesh: Mesh,
}

impl Door {
    fn is_for_mesh(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let policy = self.mesh.in_force().policy;
        uri.path().starts_with("/api/")
            && name_of(headers, uri)
                .is_some_and(|name| policy.is_addressed(&name.to_ascii_lowercase()))
    }

    /// Whether a request is a gateway's, whatever its path: a `VirtualService` that is bound to one
    /// has its host, and the host is not this machine's own, under which the dashboard is.
    pub(super) fn is_for_gateway(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let name = name_of(headers, uri).filter(|name| !self.access.is_own(name));
        let policy = self.mesh.in_force().policy;
        name.is_some_and(|name| policy.is_at_gateway(&name.to_ascii_lowercase()))
    }
}

impl Door {
    /// Whether the route of a request to the public API, or to a host of a gateway, has a
    /// `corsPolicy` that allows its origin: then the page of another site may do there what the
    /// policy says.
    fn allows_origin(&self, request: &Request) -> bool {
        let (headers, uri) = (request.headers(), request.uri());
        (uri.path().starts_with("/api/") || self.is_for_gateway(headers, uri))
            && self.mesh.allows_origin(&HypotheticalRequest {
                source: Source::of(BROWSER),
                called: GATEWAY.to_owned(),
                ingress: true,
                method: request.method().clone(),
                uri: request.uri().clone(),
                headers: request.headers().clone(),
            })
    }
}

/// Lets a request in, or says why not. The door's token goes no further: behind it a route may lead
/// out of this program, and a `RequestAuthentication` would take it for a malformed JWT.
pub(super) async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let Some(answer) = refusal(&door, &request) else {
        door.access.take_token(request.headers_mut());
        return next.run(request).await;
    };
    read_rest(request.into_body()).await;
    answer
}

/// Why a request may not come in, if it may not.
fn refusal(door: &Door, request: &Request) -> Option<Response> {
    let access = &door.access;
    // RFC 9112, section 3.2. Which of them was meant, nobody behind here could tell.
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        let detail = "The request has more than one Host header; send one.";
        return Some(Problem::new(StatusCode::BAD_REQUEST, detail).into_response());
    }
    if !access.knows_host(request.headers(), request.uri())
        && !door.is_for_mesh(request.headers(), request.uri())
        && !door.is_for_gateway(request.headers(), request.uri())
    {
        let detail = "No Gateway lets this host and path in; without one, only names of this \
                      machine, such as localhost, are served here.";
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response());
    }
    if changes(request.method())
        && is_cross_site(request.headers(), request.uri())
        && !door.allows_origin(request)
    {
        let detail = "A page of another site may not change anything here.";
        return Some(Problem::new(StatusCode::FORBIDDEN, detail).into_response());
    }
    let open = access.token.is_none() || request.uri().path() == "/livez";
    // A preflight carries no credentials (Fetch, CORS-preflight fetch): the policy answers it.
    if open || (is_preflight(request) && door.allows_origin(request)) {
        return None;
    }
    let mut answer = entrance(access, request)?;
    // The page may read why it was not let in.
    let origin = request.headers().get(header::ORIGIN).filter(|_| door.allows_origin(request));
    if let Some(origin) = origin {
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    Some(answer)
}

/// A browser asks whether a page of another site may send a request.
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Reads a body nobody wants. A connection that is closed with something unread in it is reset, and
/// the reset may overtake the answer.
async fn read_rest(body: Body) {
    let rest = axum::body::to_bytes(body, REST_BYTES_MAX);
    let _ = tokio::time::timeout(REST_PATIENCE, rest).await;
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Fetch Metadata where the browser sends it, else the Origin header. Programs send neither.
fn is_cross_site(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    match (headers.get(header::ORIGIN), mesh::authority(uri, headers)) {
        (None, _) => false,
        (Some(origin), Some(host)) => {
            let origin = origin.to_str().unwrap_or_default();
            origin.split_once("://").is_none_or(|(_, origin)| origin != host)
        }
        (Some(_), None) => true,
    }
}

/// What answers a request at once where a token is needed; nothing when it brings the token.
fn entrance(access: &Access, request: &Request) -> Option<Response> {
    let headers = request.headers();
    let bearer = headers.get(header::AUTHORIZATION);
    if bearer.is_some_and(|value| access.is_bearer(value)) || has_cookie(access, headers) {
        return None;
    }
    let query = request.uri().query().unwrap_or_default();
    let given = query.split('&').find_map(|pair| pair.strip_prefix("token="));
    if request.method() == Method::GET && given.is_some_and(|token| access.is_token(token)) {
        // The token goes out of the address bar and into a cookie.
        let mut answer = Redirect::to(&without_token(request.uri())).into_response();
        let cookie =
            format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", given.unwrap_or_default());
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
        return Some(answer);
    }
    let detail = "Open the address printed at start, which has the token, or send it as \
                  Authorization: Bearer TOKEN.";
    let mut answer = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    let challenge = HeaderValue::from_static("Bearer realm=\"vitrine\"");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    Some(answer)
}

/// The address without the token. One that began with two slashes would be another host's
/// (RFC 3986, section 4.2); browsers read a backslash as a slash.
fn without_token(uri: &Uri) -> String {
    let path = uri.path().trim_start_matches(['/', '\\']);
    let query = uri.query().unwrap_or_default().split('&');
    let rest: Vec<&str> =
        query.filter(|pair| !pair.is_empty() && !pair.starts_with("token=")).collect();
    match rest.is_empty() {
        true => format!("/{path}"),
        false => format!("/{path}?{}", rest.join("&")),
    }
}

fn has_cookie(access: &Access, headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).any(|cookie| access.is_cookie(cookie))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, middleware::from_fn_with_state, routing::any};
    use tower::ServiceExt;

    async fn status(address: &str, token: Option<&str>, request: Request) -> StatusCode {
        status_under(istio::policy::Policy::default(), address, token, request).await
    }

    async fn status_under(
        policy: istio::policy::Policy,
        address: &str,
        token: Option<&str>,
        request: Request,
    ) -> StatusCode {
        answer_under(policy, address, token, request).await.status()
    }

    async fn answer_under(
        policy: istio::policy::Policy,
        address: &str,
        token: Option<&str>,
        request: Request,
    ) -> Response {
        let access = Access::new(address.parse().unwrap(), token.map(str::to_owned)).unwrap();
        let mesh = Mesh::new(base::Clock::system(), mesh::BreakerParams::default());
        mesh.apply(Arc::new(policy));
        let guard = from_fn_with_state(Door { access, mesh }, guard);
        let app = Router::new().fallback(any(|| async {})).layer(guard);
        app.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_page_that_a_cors_policy_allows_can_ask_without_the_token_and_read_why_it_needs_it() {
        let known = istio::Known { gateways: vec!["edge".into()], ..istio::Known::default() };
        let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
                    metadata: {name: a}\nspec:\n  hosts: [shop.example.com]\n  \
                    gateways: [edge]\n  http:\n  - corsPolicy: {allowOrigins: \
                    [{exact: 'https://shop.example'}], allowMethods: [PUT]}\n    \
                    directResponse: {status: 200}\n";
        let applied = istio::Configuration::default().apply(text, &known).unwrap();
        let policy = applied.configuration.compile(&known, 1);
        let ask_at = async |host: &str, method: &str, path: &str, headers: &[(&str, &str)]| {
            let request = http::Request::builder().method(method).uri(path).header("host", host);
            let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
            let request = request.body(Body::empty()).unwrap();
            answer_under(policy.clone(), OPEN, Some("0123456789abcdef"), request).await
        };
        let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
            ask_at("shop.example.com", method, path, headers).await
        };
        let (allowed, other) =
            (("origin", "https://shop.example"), ("origin", "https://b.example"));
        let asks = ("access-control-request-method", "PUT");
        assert_eq!(ask("OPTIONS", "/api/v1/orders", &[allowed, asks]).await.status(), 200);
        for (method, path, headers) in [
            ("OPTIONS", "/api/v1/orders", &[other, asks][..]),
            ("OPTIONS", "/api/v1/orders", &[allowed]),
            ("GET", "/api/v1/orders", &[asks]),
        ] {
            let answer = ask(method, path, headers).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path} {headers:?}");
        }
        // The machine's own name is no host of that gateway.
        let own = ask_at(OPEN, "OPTIONS", "/load", &[allowed, asks]).await;
        assert_eq!(own.status(), StatusCode::UNAUTHORIZED);
        let told = ask("GET", "/api/v1/orders", &[allowed]).await;
        assert_eq!(told.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(told.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://shop.example");
        let silent = ask("GET", "/api/v1/orders", &[other]).await;
        assert!(!silent.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let request = http::Request::builder().method(method).uri("/load");
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    const LOCAL: &str = "127.0.0.1:3000";
    const OPEN: &str = "192.0.2.1:3000";

    #[tokio::test]
    async fn another_site_may_look_but_not_change() {
        for cross in [
            [("host", "localhost:3000"), ("sec-fetch-site", "cross-site")],
            [("host", "localhost:3000"), ("sec-fetch-site", "same-site")],
            [("host", "localhost:3000"), ("origin", "http://evil.example")],
            [("host", "localhost:3000"), ("origin", "null")],
        ] {
            assert_eq!(status(LOCAL, None, request("POST", &cross)).await, StatusCode::FORBIDDEN);
            assert_eq!(status(LOCAL, None, request("GET", &cross)).await, StatusCode::OK);
        }
        let own = [("host", "localhost:3000"), ("origin", "http://localhost:3000")];
        assert_eq!(status(LOCAL, None, request("POST", &own)).await, StatusCode::OK);
        let program = [("host", "localhost:3000")];
        assert_eq!(status(LOCAL, None, request("POST", &program)).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_foreign_name_that_points_to_this_machine_is_refused() {
        let foreign = request("GET", &[("host", "evil.example:3000")]);
        assert_eq!(status(LOCAL, None, foreign).await, StatusCode::MISDIRECTED_REQUEST);
        // RFC 9112, section 3.2.2: the target says it, whatever the header says.
        let mut absolute = request("GET", &[("host", "localhost:3000")]);
        *absolute.uri_mut() = "http://evil.example:3000/load".parse().unwrap();
        assert_eq!(status(LOCAL, None, absolute).await, StatusCode::MISDIRECTED_REQUEST);
    }

    #[tokio::test]
    async fn a_domain_of_a_gateway_is_let_in_and_a_bare_star_lets_in_no_name() {
        let known = istio::Known { gateways: vec!["edge".into()], ..istio::Known::default() };
        let server = |name: &str, hosts: &str| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: \
                 {name}}}\nspec: {{servers: [{{hosts: [{hosts}], port: {{number: 80, name: http, \
                 protocol: HTTP}}}}]}}\n"
            )
        };
        let bound = |hosts: &str, gateway: &str| {
            let text = format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\n\
                 spec: {{hosts: [{hosts}], gateways: [{gateway}], http: [{{directResponse: \
                 {{status: 200}}}}]}}\n{}{}",
                server("any", "'*'"),
                server("one", "shop.example.com"),
            );
            let applied = istio::Configuration::default().apply(&text, &known).unwrap();
            applied.configuration.compile(&known, 1)
        };
        for (hosts, gateway, host, let_in) in [
            ("'*.example.com'", "edge", "shop.example.com", true),
            ("'*.example.com'", "edge", "a.shop.Example.com:3000", true),
            ("'*.example.com'", "edge", "example.com", false),
            ("'*.example.com'", "edge", "shop.example.com.evil", false),
            ("'*.example.com'", "edge", "evilexample.com", false),
            ("'*.example.com'", "other", "shop.example.com", false),
            ("'*'", "edge", "shop.example.com", false),
            ("'*'", "any", "shop.example.com", false),
            ("'*'", "one", "shop.example.com", true),
            ("'*'", "one", "other.example.com", false),
            ("shop.example.com", "any", "shop.example.com", true),
        ] {
            let expected = if let_in { StatusCode::OK } else { StatusCode::MISDIRECTED_REQUEST };
            for path in ["/api/v1/products", "/old", "/"] {
                let request = http::Request::builder().uri(path).header("host", host);
                let request = request.body(Body::empty()).unwrap();
                let found = status_under(bound(hosts, gateway), LOCAL, None, request).await;
                assert_eq!(found, expected, "{hosts} at {gateway}: {host}{path}");
            }
        }
    }

    #[tokio::test]
    async fn an_open_address_needs_the_token_as_header_or_cookie() {
        let token = Some("0123456789abcdef");
        let none = request("GET", &[("host", "x")]);
        assert_eq!(status(OPEN, token, none).await, StatusCode::UNAUTHORIZED);
        let wrong = request("GET", &[("authorization", "Bearer 0123456789abcdeF")]);
        assert_eq!(status(OPEN, token, wrong).await, StatusCode::UNAUTHORIZED);
        let bearer = request("GET", &[("authorization", "Bearer 0123456789abcdef")]);
        assert_eq!(status(OPEN, token, bearer).await, StatusCode::OK);
        let any_case = request("GET", &[("authorization", "bEARER  0123456789abcdef")]);
        assert_eq!(status(OPEN, token, any_case).await, StatusCode::OK);
        let other = request("GET", &[("authorization", "Basic 0123456789abcdef")]);
        assert_eq!(status(OPEN, token, other).await, StatusCode::UNAUTHORIZED);
        let cookie = request("GET", &[("cookie", "a=b; vitrine_token=0123456789abcdef")]);
        assert_eq!(status(OPEN, token, cookie).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_token_leaves_the_address_and_nothing_else_does_nor_leads_to_another_host() {
        let token = "0123456789abcdef";
        for (address, leads_to) in [
            (format!("/?token={token}"), "/"),
            (format!("/?token={token}&trace=4f&node=a"), "/?trace=4f&node=a"),
            (format!("/orders?status=a%26b&token={token}"), "/orders?status=a%26b"),
            (format!("//evil.example/?token={token}"), "/evil.example/"),
            (format!("///evil.example?a=b&token={token}&token=c"), "/evil.example?a=b"),
        ] {
            let request = http::Request::builder().uri(&address).header("host", "x");
            let request = request.body(Body::empty()).unwrap();
            let policy = istio::policy::Policy::default();
            let answer = answer_under(policy, OPEN, Some(token), request).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{address}");
            assert_eq!(answer.headers()[header::LOCATION], leads_to, "{address}");
            assert!(answer.headers().contains_key(header::SET_COOKIE), "{address}");
        }
    }

    #[test]
    fn the_token_goes_no_further_than_the_door_and_what_else_was_sent_does() {
        let token = "0123456789abcdef";
        let access = Access::new(OPEN.parse().unwrap(), Some(token.to_owned())).unwrap();
        let left = |name: &str, value: &str| {
            let mut headers = request("GET", &[(name, value)]).into_parts().0.headers;
            access.take_token(&mut headers);
            headers.get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(left("authorization", &format!("Bearer {token}")), None);
        assert_eq!(left("authorization", "Bearer ey.a.jwt").as_deref(), Some("Bearer ey.a.jwt"));
        assert_eq!(left("cookie", &format!("vitrine_token={token}")), None);
        let among = format!("user=a; vitrine_token={token}; group=beta");
        assert_eq!(left("cookie", &among).as_deref(), Some("user=a; group=beta"));
        let other = "vitrine_token=of-another-door";
        assert_eq!(left("cookie", other).as_deref(), Some(other));
    }

    #[test]
    fn an_open_address_without_a_token_gets_one_made() {
        let access = Access::new(OPEN.parse().unwrap(), None).unwrap();
        assert_eq!(access.token.map(|token| token.len()), Some(2 * TOKEN_BYTES));
        assert!(Access::new(LOCAL.parse().unwrap(), None).unwrap().token.is_none());
    }
}
