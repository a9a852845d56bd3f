//! The mirror layer: sends copies of requests on, once per request and outside the retries.

use super::{
    copy::{Copy, Copying},
    diff::{Answer, compare},
    store::{Compared, Fate, Mirrors, Side},
};
use crate::{
    MeshError, Request, Response,
    chosen::Chosen,
    deadline::Deadline,
    fault::FaultTrail,
    replay::Replay,
    retry::RetryPlan,
    span::{only_looks, read_context, write_context},
};
use axum::body::Body;
use base::TraceContext;
use futures::future::BoxFuture;
use http::{HeaderValue, header, request::Parts};
use http_body::Body as _;
use istio::policy::{Mirror, Route};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::{Instant, timeout},
};
use tower::{Layer, Service};
use tracing::{Instrument, Span, field::Empty};

/// Longest request body that is copied, bytes. Longer requests are not mirrored, and are counted.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Bytes of each answer that are compared.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a copy may take where the route sets no timeout: longer than any live call.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Marks a copy. A copy is never copied again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mirrored;

/// Makes [`Mirroring`] services for the calls of one caller.
#[derive(Clone, Debug)]
pub(crate) struct MirrorLayer {
    pub(crate) mirrors: Mirrors,
    pub(crate) caller: Arc<str>,
}

impl<S> Layer<S> for MirrorLayer {
    type Service = Mirroring<S>;

    fn layer(&self, inner: S) -> Mirroring<S> {
        Mirroring { inner, settings: self.clone() }
    }
}

/// Sends copies.
#[derive(Clone, Debug)]
pub(crate) struct Mirroring<S> {
    inner: S,
    settings: MirrorLayer,
}

impl<S> Service<Request> for Mirroring<S>
where
    S: Service<Request, Response = Response, Error = MeshError> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = MeshError;
    type Future = BoxFuture<'static, Result<Response, MeshError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        let due = self.settings.due(&request);
        let Some(route) = due.0.filter(|_| !due.1.is_empty()) else {
            return Box::pin(ready.call(request));
        };
        let (parts, body) = request.into_parts();
        let (replay, body) = match body.is_end_stream() {
            true => (None, body),
            false => {
                let (replay, first) = Replay::new(body, REQUEST_BYTES_MAX);
                (Some(replay), first)
            }
        };
        let mut comparisons = Vec::new();
        for (mirror, permit) in due.1 {
            let (live, comparison) = oneshot::channel();
            let copy = Shadow {
                settings: self.settings.clone(),
                route: route.clone(),
                mirror,
                parts: parts.clone(),
                replay: replay.clone(),
                live: comparison,
                _permit: permit,
            };
            self.settings.mirrors.0.tasks.spawn(copy.run(self.inner.clone(), Span::current()));
            comparisons.push(live);
        }
        let trace_id = read_context(&parts.headers).trace_id().map(str::to_owned);
        let call = ready.call(Request::from_parts(parts, body));
        Box::pin(async move {
            let began = Instant::now();
            let answer = call.await;
            let took = began.elapsed();
            observe(answer, comparisons, took, trace_id.as_deref())
        })
    }
}

/// The live side of a pair, told when its head is there.
struct Live {
    side: Side,
    answer: Option<Watched>,
}

/// An answer whose body is still being read.
struct Watched {
    head: http::response::Parts,
    body: oneshot::Receiver<Copy>,
}

/// Tells the copies how the live call ended, and copies its answer while the caller reads it.
fn observe(
    mut answer: Result<Response, MeshError>,
    comparisons: Vec<oneshot::Sender<Live>>,
    took: Duration,
    trace_id: Option<&str>,
) -> Result<Response, MeshError> {
    for comparison in comparisons {
        let side = side(&answer, took, trace_id);
        let watched;
        (answer, watched) = watch(answer);
        // A copy that has failed already does not listen.
        let _ = comparison.send(Live { side, answer: watched });
    }
    answer
}

fn watch(answer: Result<Response, MeshError>) -> (Result<Response, MeshError>, Option<Watched>) {
    let Ok(answer) = answer else { return (answer, None) };
    let (head, body) = answer.into_parts();
    let (copying, body_copy) = Copying::new(body, ANSWER_BYTES_MAX);
    let watched = Watched { head: head.clone(), body: body_copy };
    (Ok(Response::from_parts(head, Body::new(copying))), Some(watched))
}

fn side(
    answer: &Result<Response, MeshError>,
    took: Duration,
    trace_id: Option<&str>,
) -> Side {
    Side {
        status: answer.as_ref().ok().map(|answer| answer.status().as_u16()),
        error: answer.as_ref().err().map(ToString::to_string),
        took,
        trace_id: trace_id.map(str::to_owned),
    }
}

impl MirrorLayer {
    /// The route of a request and those of its mirrors that get a copy of it.
    fn due(&self, request: &Request) -> (Option<Arc<Route>>, Vec<(Mirror, OwnedSemaphorePermit)>) {
        let extensions = request.extensions();
        let route = extensions.get::<Chosen>().and_then(|chosen| chosen.route.clone());
        let Some(route) = route.filter(|route| !route.mirrors.is_empty()) else {
            return (None, Vec::new());
        };
        if extensions.get::<Mirrored>().is_some() || only_looks(request.headers()) {
            return (None, Vec::new());
        }
        let mut due = Vec::new();
        for mirror in route.mirrors.iter().filter(|mirror| self.mirrors.draw(&route, mirror)) {
            match self.mirrors.0.room.clone().try_acquire_owned() {
                Ok(permit) => due.push((mirror.clone(), permit)),
                Err(_) => self.mirrors.count(&route, mirror, Fate::Dropped),
            }
        }
        (Some(route), due)
    }
}

/// One copy.
struct Shadow {
    settings: MirrorLayer,
    route: Arc<Route>,
    mirror: Mirror,
    parts: Parts,
    /// Its body; [`None`] when there is none.
    replay: Option<Replay>,
    live: oneshot::Receiver<Live>,
    _permit: OwnedSemaphorePermit,
}

impl Shadow {
    async fn run<S>(mut self, service: S, live_span: Span)
    where
        S: Service<Request, Response = Response, Error = MeshError> + Send,
        S::Future: Send,
    {
        let limit = self.route.timeout.unwrap_or(TIMEOUT);
        let Ok(Some(body)) = timeout(limit, self.body()).await else {
            self.settings.mirrors.count(&self.route, &self.mirror, Fate::Dropped);
            return;
        };
        let span = self.span(&live_span);
        let request = self.request(body, &span, Instant::now() + limit);
        let trace_id = read_context(request.headers()).trace_id().map(str::to_owned);
        let began = Instant::now();
        let sent = send(service, request, limit).instrument(span).await;
        let took = began.elapsed();
        let fate = match timeout(limit, self.compare(sent, took, trace_id)).await {
            Ok(fate) => fate,
            // The caller still reads the live answer: there is nothing to compare with.
            Err(_) => Fate::Failed,
        };
        self.settings.mirrors.count(&self.route, &self.mirror, fate);
    }

    /// The body of the copy, once the live call is through with its own.
    async fn body(&mut self) -> Option<Body> {
        let Some(replay) = &mut self.replay else { return Some(Body::empty()) };
        replay.first_reader_gone().await;
        replay.again()
    }

    fn request(&self, body: Body, span: &Span, deadline: Instant) -> Request {
        let mut request = Request::from_parts(self.parts.clone(), body);
        write_context(&TraceContext::of(span), request.headers_mut());
        shadow_host(&mut request, &self.mirror.service);
        let extensions = request.extensions_mut();
        // Of the live call only; a copy is tried once, under its own deadline.
        extensions.remove::<RetryPlan>();
        extensions.remove::<FaultTrail>();
        let (service, subset) = (self.mirror.service.clone(), self.mirror.subset.clone());
        extensions.insert(Chosen { route: None, service, subset });
        extensions.insert(Deadline(deadline));
        extensions.insert(Mirrored);
        request
    }

    /// The span of the copy: a trace of its own, linked with the live call both ways.
    fn span(&self, live: &Span) -> Span {
        let method = self.parts.method.as_str();
        let span = tracing::info_span!(
            target: "vitrine::mesh",
            parent: None,
            "call",
            otel.name = format!("mirror {method}"),
            otel.kind = "client",
            otel.status_code = Empty,
            service.name = %self.settings.caller,
            server.address = %self.mirror.service,
            mesh.mirror = true,
            http.request.method = method,
            url.path = self.parts.uri.path(),
            http.response.status_code = Empty,
            error.r#type = Empty,
            vitrine.fault.id = Empty,
        );
        TraceContext::of(live).link(&span);
        TraceContext::of(&span).link(live);
        span
    }

    async fn compare(
        &mut self,
        mirrored: Result<(Response, Copy), MeshError>,
        took: Duration,
        trace_id: Option<String>,
    ) -> Fate {
        let Ok(live) = (&mut self.live).await else { return Fate::Failed };
        let (mirrored, body) = match mirrored {
            Ok((answer, body)) => (Ok(answer), Some(body)),
            Err(error) => (Err(error), None),
        };
        let mirrored_side = side(&mirrored, took, trace_id.as_deref());
        let (fate, differences) = match (live.answer, mirrored.ok().zip(body)) {
            (Some(watched), Some((mirrored, body))) => {
                let (status, headers) = (watched.head.status, watched.head.headers);
                let live = Answer { status, headers, body: watched.body.await.unwrap_or_default() };
                let (head, _) = mirrored.into_parts();
                let mirrored = Answer { status: head.status, headers: head.headers, body };
                match compare(&live, &mirrored) {
                    same if same.is_empty() => return Fate::Same,
                    differences => (Fate::Different, differences),
                }
            }
            _ => (Fate::Failed, Vec::new()),
        };
        self.settings.mirrors.keep(Compared {
            at_us: self.settings.mirrors.0.clock.now_us(),
            route: self.route.name.clone(),
            service: self.mirror.service.clone(),
            subset: self.mirror.subset.clone(),
            method: self.parts.method.to_string(),
            path: self.parts.uri.path().to_owned(),
            live: live.side,
            mirrored: mirrored_side,
            differences,
        });
        fate
    }
}

/// Sends the copy and reads its answer, up to the limit of copies.
async fn send<S>(
    mut service: S,
    request: Request,
    limit: Duration,
) -> Result<(Response, Copy), MeshError>
where
    S: Service<Request, Response = Response, Error = MeshError>,
{
    let chosen = request.extensions().get::<Chosen>().map(|chosen| chosen.service.clone());
    let answered = async {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        let (head, body) = service.call(request).await?.into_parts();
        let (copying, copy) = Copying::new(body, ANSWER_BYTES_MAX);
        // What is read here goes nowhere; the copy is what counts.
        let _ = http_body_util::BodyExt::collect(Body::new(copying)).await;
        let answer = Response::from_parts(head, Body::empty());
        Ok((answer, copy.await.unwrap_or_default()))
    };
    let late = || MeshError::Deadline {
        destination: chosen.as_deref().unwrap_or_default().to_owned(),
    };
    let result = timeout(limit, answered).await.unwrap_or_else(|_| Err(late()));
    let span = Span::current();
    match &result {
        Ok((answer, _)) => {
            span.record("http.response.status_code", answer.status().as_u16());
        }
        Err(error) => {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error.kind());
        }
    }
    result
}

/// Envoy appends `-shadow` to the host of a copy, before the port.
fn shadow_host(request: &mut Request, service: &str) {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or(service);
    let shadow = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{name}-shadow:{port}")
        }
        _ => format!("{host}-shadow"),
    };
    if let Ok(value) = HeaderValue::from_str(&shadow) {
        request.headers_mut().insert(header::HOST, value);
    }
}
