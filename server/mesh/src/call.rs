//! Making a call: a small builder over `http::Request`, and what an answer can be.

use crate::{
    CallContext, Mesh, MeshError, Request, Response, Source, baggage,
    deadline::Deadline,
    registry::{Marks, Outer},
    target,
};
use axum::body::Body;
use base::TraceContext;
use bytes::Bytes;
use contract::Problem;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{self, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{BodyExt, Limited};
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error, fmt, net::IpAddr, sync::Arc, time::Duration};

/// How long a call may take unless it says otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Largest answer one service reads from another, bytes: a page of orders is far below it.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most that is taken of an answer that is no JSON as its reason, bytes.
const DETAIL_BYTES_MAX: usize = 512;
/// RFC 9457, section 3.
const PROBLEM_JSON: &str = "application/problem+json";

/// The trace context of calls that only look; its ids are never recorded.
const UNSAMPLED: &str = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";

/// What a service makes its calls with.
#[derive(Clone, Debug)]
pub struct Caller {
    mesh: Mesh,
    source: Arc<Source>,
    stack: Outer,
}

/// Facts about a call for its span; an extension of the request until the span layer takes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tags {
    pub(crate) route: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) transaction_id: Option<String>,
    pub(crate) message_type: Option<String>,
    pub(crate) message_id: Option<String>,
    pub(crate) parent: Option<TraceContext>,
}

/// Envoy's header for the address a request from outside came from; only the edge sets it.
pub const EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");

/// Why a typed call brought no value.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The mesh did not deliver it.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// The answer has a status that is not 2xx.
    #[error("{destination} answered {status}: {}", problem.detail)]
    Refused {
        /// Who was called.
        destination: String,
        /// With which status it was answered.
        status: StatusCode,
        /// What was said.
        problem: Problem,
        /// The service itself says so. The mesh on the way (a rate limit, an authorization policy,
        /// an injected abort) answers in plain text, and what it says is about the moment.
        by_callee: bool,
        /// When to ask again (RFC 9110, section 10.2.3, in seconds).
        retry_after: Option<Duration>,
    },
    /// The answer could not be read.
    #[error("the answer of {destination} could not be read: {reason}")]
    Unreadable {
        /// Who answered.
        destination: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl CallError {
    /// The status if the callee itself refused with a 4xx: a definite answer.
    #[must_use]
    pub fn refusal(&self) -> Option<(StatusCode, &Problem)> {
        match self {
            Self::Refused { status, problem, by_callee: true, .. } if status.is_client_error() => {
                Some((*status, problem))
            }
            _ => None,
        }
    }

    fn refused(destination: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let by_callee = text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PROBLEM_JSON));
        let problem = serde_json::from_slice(body).unwrap_or_else(|_| Problem {
            detail: String::from_utf8_lossy(&body[..body.len().min(DETAIL_BYTES_MAX)]).into(),
            ..Problem::default()
        });
        let retry_after = text(RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        Self::Refused { destination: destination.into(), status, problem, by_callee, retry_after }
    }
}

impl Caller {
    pub(crate) fn new(mesh: Mesh, source: Source) -> Self {
        let stack = mesh.outer().build();
        Self { mesh, source: Arc::new(source), stack }
    }

    /// The time of the mesh, microseconds since the epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.mesh.now_us()
    }

    /// A GET of `path` at `destination`.
    pub fn get(&self, destination: &'static str, path: impl AsRef<str>) -> Outbound {
        self.call(destination, Method::GET, path)
    }

    /// A POST to `path` at `destination`.
    pub fn post(&self, destination: &'static str, path: impl AsRef<str>) -> Outbound {
        self.call(destination, Method::POST, path)
    }

    /// Any call. What cannot be sent as it is given, a path that is none among it, is the error of
    /// [`Outbound::send`].
    pub fn call(
        &self,
        destination: &'static str,
        method: Method,
        path: impl AsRef<str>,
    ) -> Outbound {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        self.outbound(destination, request, Marks::default()).path(path.as_ref())
    }

    /// A GET that only looks: marked unsampled (W3C Trace Context, section 3.2.2.5), so that
    /// looking at the shop does not show as traffic of the shop.
    pub fn look(&self, destination: &'static str, path: impl AsRef<str>) -> Outbound {
        let marks = Marks { ingress: true, look: true };
        let look = self.outbound(destination, Request::new(Body::empty()), marks);
        look.path(path.as_ref()).header("traceparent", UNSAMPLED)
    }

    /// A request that came from outside, on behalf of its sender: no client span is made for it.
    /// What it is addressed to has one form from here on.
    pub fn forward(&self, destination: &'static str, mut request: Request) -> Outbound {
        // What another router noted about the request (its path parameters) is not for the next.
        request.extensions_mut().clear();
        // Nobody out there can blame a fault, or say where it comes from.
        baggage::strip(request.headers_mut());
        request.headers_mut().remove(EXTERNAL_ADDRESS);
        target::address(&mut request);
        self.outbound(destination, request, Marks { ingress: true, look: false })
    }

    fn outbound(&self, destination: &'static str, request: Request, marks: Marks) -> Outbound {
        Outbound {
            caller: self.clone(),
            destination,
            request,
            marks,
            tags: Tags::default(),
            context: CallContext::default(),
            timeout: TIMEOUT_DEFAULT,
            unsendable: None,
        }
    }
}

/// A call about to be made.
#[derive(Debug)]
#[must_use = "a call is made by `send` or `receive`"]
pub struct Outbound {
    caller: Caller,
    destination: &'static str,
    request: Request,
    marks: Marks,
    tags: Tags,
    context: CallContext,
    timeout: Duration,
    /// The first thing that was given and cannot be sent.
    unsendable: Option<String>,
}

impl Outbound {
    fn path(mut self, path: &str) -> Self {
        match path.parse() {
            Ok(uri) => {
                *self.request.uri_mut() = uri;
                target::address(&mut self.request);
                self
            }
            Err(error) => self.cannot_send(format_args!("its path is none, {error}")),
        }
    }

    fn cannot_send(mut self, why: fmt::Arguments<'_>) -> Self {
        self.unsendable.get_or_insert_with(|| why.to_string());
        self
    }

    /// On behalf of the request this context came from.
    pub fn context(mut self, context: &CallContext) -> Self {
        self.context = context.clone();
        self
    }

    /// How long it may take; an inherited deadline that is sooner wins.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Route template for the span's name: `/products/{id}`.
    pub fn route(mut self, route: &str) -> Self {
        self.tags.route = Some(route.to_owned());
        self
    }

    /// The order it is about.
    pub fn order(mut self, order_id: &str) -> Self {
        self.tags.order_id = Some(order_id.to_owned());
        self
    }

    /// The two-phase commit it belongs to.
    pub fn transaction(mut self, transaction_id: &str) -> Self {
        self.tags.transaction_id = Some(transaction_id.to_owned());
        self
    }

    /// It delivers a message: the span is a producer's, child of where the message was recorded.
    pub fn message(mut self, kind: &str, id: &str, parent: TraceContext) -> Self {
        self.tags.message_type = Some(kind.to_owned());
        self.tags.message_id = Some(id.to_owned());
        self.tags.parent = Some(parent);
        self
    }

    /// The span's parent is elsewhere than the current span.
    pub fn parent(mut self, parent: TraceContext) -> Self {
        self.tags.parent = Some(parent);
        self
    }

    /// Where the request came from outside: for limits per address and consistent hashing.
    pub fn remote(mut self, address: IpAddr) -> Self {
        match HeaderValue::from_str(&address.to_string()) {
            Ok(value) => {
                self.request.headers_mut().insert(EXTERNAL_ADDRESS, value);
                self
            }
            Err(error) => self.cannot_send(format_args!("its address is none, {error}")),
        }
    }

    /// A header. The error of a value that is not allowed in headers names the header alone: the
    /// value may be a secret.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.request.headers_mut().insert(HeaderName::from_static(name), value);
                self
            }
            Err(error) => self.cannot_send(format_args!("the value of {name}, {error}")),
        }
    }

    /// A JSON body.
    pub fn json<T: Serialize>(self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body("application/json", body.into()),
            Err(error) => self.cannot_send(format_args!("its body is no JSON, {error}")),
        }
    }

    /// A body of a media type.
    pub fn body(mut self, media_type: &'static str, body: Bytes) -> Self {
        let value = HeaderValue::from_static(media_type);
        self.request.headers_mut().insert(header::CONTENT_TYPE, value);
        *self.request.body_mut() = Body::from(body);
        self
    }

    /// Makes the call.
    ///
    /// The body of the answer fails with [`MeshError::Deadline`] where that passes before its end.
    ///
    /// # Errors
    /// When the mesh brings no answer, or something that was given cannot be sent; any status is an
    /// answer.
    pub async fn send(self) -> Result<Response, MeshError> {
        self.send_traced().await.0
    }

    /// The same. Of a request that was forwarded it also gives the span that tells how it was
    /// served, as a `traceparent`; none without telemetry.
    pub async fn send_traced(mut self) -> (Result<Response, MeshError>, Option<String>) {
        if let Some(reason) = self.unsendable {
            tracing::error!("a request to {} cannot be sent: {reason}", self.destination);
            let destination = self.destination.to_owned();
            return (Err(MeshError::Unsendable { destination, reason }), None);
        }
        let deadline = self.context.deadline_within(self.timeout);
        self.context.apply(&mut self.request);
        self.request.extensions_mut().insert(Deadline(deadline));
        self.request.extensions_mut().insert(self.tags);
        let Caller { mesh, source, stack } = self.caller;
        mesh.send(stack, &source, self.destination, self.request, self.marks).await
    }

    /// Makes the call and reads the 2xx answer's JSON.
    ///
    /// # Errors
    /// No answer, another status, or a body that is not what was expected.
    pub async fn receive<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let destination = self.destination;
        let response = self.send().await?;
        let (head, body) = response.into_parts();
        let unreadable =
            |reason: String| CallError::Unreadable { destination: destination.into(), reason };
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match by_mesh(&*error) {
            Some(cut) => CallError::Mesh(cut),
            None => unreadable(error.to_string()),
        })?;
        let body = body.to_bytes();
        if !head.status.is_success() {
            return Err(CallError::refused(destination, head.status, &head.headers, &body));
        }
        serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))
    }
}

/// Why the mesh ended a body, if it was the mesh.
pub(crate) fn by_mesh(error: &(dyn Error + 'static)) -> Option<MeshError> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.find_map(|error| error.downcast_ref::<MeshError>()).cloned()
}
