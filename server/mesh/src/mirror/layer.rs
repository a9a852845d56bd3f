//! The mirror layer: sends copies of requests on, once per request and outside the retries.

use super::{
    copy::{Copy, Copying},
    diff::{Answer, compare},
    store::{Compared, Fate, Mirrors, Side},
};
use crate::{
    MeshError, Request, Response,
    deadline::Deadline,
    edge::Tally,
    journey::Journey,
    registry::WeakMesh,
    replay::Replay,
    route::{Routed, canonical},
    span::{Addressed, SCHEME, trace_id, write_context},
    stack::{MeshLayer, MeshService, Reply, through},
    target::authority,
};
use axum::body::Body;
use base::{TraceContext, trace_context::keep};
use contract::attributes;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt;
use istio::policy::{Mirror, Route};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::{Instant, timeout},
};
use tracing::{Instrument, Span, field::Empty};

/// Longest request body that is copied, bytes. Longer requests are not mirrored, and are counted.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Bytes of each answer that are compared.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a copy may take where the route sets no timeout: longer than any live call.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Marks a copy: it is neither repeated nor seen by a breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mirrored;

/// Sends copies.
#[derive(Debug)]
pub(crate) struct MirrorLayer {
    pub(crate) mirrors: Mirrors,
    /// To find the way to where the copies go. The mesh owns this layer, so it does not own the
    /// mesh.
    pub(crate) mesh: WeakMesh,
    pub(crate) tally: Arc<Tally>,
}

/// A mirror of a route that gets a copy, and the room it takes.
type Due = (Mirror, OwnedSemaphorePermit);

impl MeshLayer for MirrorLayer {
    fn pass<S: MeshService>(self: &Arc<Self>, ready: S, request: Request) -> Reply {
        self.tally.reach();
        let Some((routed, route)) = routed_with_mirrors(&request) else {
            return ready.finish(request);
        };
        let due = self.due(&route);
        if due.is_empty() {
            return ready.finish(request);
        }
        let trace_id = trace_id(request.headers()).map(str::to_owned);
        let (request, live) = self.send_copies(request, &routed, &route, due);
        let reply = ready.finish(request);
        Box::pin(async move {
            let began = Instant::now();
            let answer = reply.await;
            observe(answer, live, began.elapsed(), trace_id.as_deref())
        })
    }
}

/// The route of a request that is to be copied. A copy has no route, so it is never copied again.
fn routed_with_mirrors(request: &Request) -> Option<(Arc<Routed>, Arc<Route>)> {
    let routed = request.extensions().get::<Arc<Routed>>()?;
    let route = routed.route.as_ref().filter(|route| !route.mirrors.is_empty())?;
    Some((routed.clone(), route.clone()))
}

impl MirrorLayer {
    /// The mirrors of a route that get a copy of this request.
    fn due(&self, route: &Route) -> Vec<Due> {
        let mut due = Vec::new();
        for mirror in route.mirrors.iter().filter(|mirror| self.mirrors.draw(route, mirror)) {
            match self.mirrors.0.room.clone().try_acquire_owned() {
                Ok(permit) => due.push((mirror.clone(), permit)),
                Err(_) => self.mirrors.count(route, mirror, Fate::Dropped),
            }
        }
        due
    }

    /// Starts the copies. Gives the live request, and whom to tell about its answer.
    fn send_copies(
        &self,
        request: Request,
        routed: &Arc<Routed>,
        route: &Arc<Route>,
        due: Vec<Due>,
    ) -> (Request, Vec<oneshot::Sender<Live>>) {
        let (parts, body) = request.into_parts();
        let (replay, body) = match body.is_end_stream() {
            true => (None, body),
            false => {
                let (replay, first) = Replay::new(body, REQUEST_BYTES_MAX);
                (Some(replay), first)
            }
        };
        let mut told = Vec::new();
        for (mirror, permit) in due {
            self.tally.act();
            let (live, comparison) = oneshot::channel();
            let copy = Shadow {
                mirrors: self.mirrors.clone(),
                mesh: self.mesh.clone(),
                routed: routed.clone(),
                route: route.clone(),
                mirror,
                parts: parts.clone(),
                replay: replay.clone(),
                live: comparison,
                _room: permit,
            };
            self.mirrors.0.tasks.spawn(copy.run(Span::current()));
            told.push(live);
        }
        (Request::from_parts(parts, body), told)
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
    told: Vec<oneshot::Sender<Live>>,
    took: Duration,
    trace_id: Option<&str>,
) -> Result<Response, MeshError> {
    for listener in told {
        let side = side(&answer, took, trace_id);
        let watched;
        (answer, watched) = watch(answer);
        // A copy that has failed already does not listen.
        let _ = listener.send(Live { side, answer: watched });
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

fn side(answer: &Result<Response, MeshError>, took: Duration, trace_id: Option<&str>) -> Side {
    Side {
        status: answer.as_ref().ok().map(|answer| answer.status().as_u16()),
        error: answer.as_ref().err().map(ToString::to_string),
        took,
        trace_id: trace_id.map(str::to_owned),
    }
}

/// One copy.
struct Shadow {
    mirrors: Mirrors,
    mesh: WeakMesh,
    routed: Arc<Routed>,
    route: Arc<Route>,
    mirror: Mirror,
    parts: Parts,
    /// Its body; [`None`] when there is none.
    replay: Option<Replay>,
    live: oneshot::Receiver<Live>,
    _room: OwnedSemaphorePermit,
}

impl Shadow {
    async fn run(mut self, live_span: Span) {
        let limit = self.route.timeout.unwrap_or(TIMEOUT);
        let Ok(Some(body)) = timeout(limit, self.body()).await else {
            return self.mirrors.count(&self.route, &self.mirror, Fate::Dropped);
        };
        let span = self.span(&live_span);
        let request = self.request(body, &span, Instant::now() + limit);
        let trace = TraceContext::of(&span);
        let began = Instant::now();
        let sent = self.send(request).instrument(span).await;
        let took = began.elapsed();
        // Where the caller does not read on, there is nothing to compare with.
        let compared = timeout(limit, self.compare(sent, took, &trace)).await;
        self.mirrors.count(&self.route, &self.mirror, compared.unwrap_or(Fate::Failed));
    }

    /// The body of the copy, once the live call is through with its own.
    async fn body(&mut self) -> Option<Body> {
        let Some(replay) = &mut self.replay else { return Some(Body::empty()) };
        replay.first_reader_gone().await;
        // The other copies of the request read the same body, maybe later than this one.
        replay.fork().await
    }

    fn request(&self, body: Body, span: &Span, deadline: Instant) -> Request {
        let mut request = Request::from_parts(self.parts.clone(), body);
        write_context(&TraceContext::of(span), request.headers_mut());
        let snapshot = self.routed.snapshot.clone();
        let service = canonical(snapshot.policy(), &self.mirror.service);
        shadow_host(&mut request, &service);
        let extensions = request.extensions_mut();
        if let Some(live) = extensions.remove::<Arc<Journey>>() {
            let source = &live.source;
            let subset = self.mirror.subset.clone();
            let routed = Routed::mirror(snapshot, source, service.clone(), subset);
            extensions.insert(Arc::new(routed));
            let journey = Journey::new(source.clone(), service, false, false);
            extensions.insert(Arc::new(journey));
        }
        extensions.insert(Deadline(deadline));
        extensions.insert(Mirrored);
        request
    }

    /// Sends the copy and reads its answer, up to the limit of copies.
    async fn send(&self, request: Request) -> Result<(Response, Copy), MeshError> {
        let answered = self.answered(request).await;
        let span = Span::current();
        match &answered {
            Ok((answer, _)) => {
                span.record("http.response.status_code", answer.status().as_u16());
            }
            Err(error) => {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", error.kind());
            }
        }
        answered
    }

    async fn answered(&self, request: Request) -> Result<(Response, Copy), MeshError> {
        let gone = || MeshError::NoService { destination: self.mirror.service.to_string() };
        let extensions = request.extensions();
        let journey = extensions.get::<Arc<Journey>>().ok_or_else(gone)?;
        let routed = extensions.get::<Arc<Routed>>().ok_or_else(gone)?;
        let mesh = self.mesh.upgrade().ok_or_else(gone)?;
        let stack = mesh.path(&journey.source.service, routed)?.stack.clone();
        drop(mesh);
        let (head, body) = through(stack, request).await?.into_parts();
        let answer = Response::from_parts(head, Body::empty());
        Ok((answer, copied(body).await))
    }

    /// The span of the copy: a trace of its own, linked with the live call both ways.
    fn span(&self, live: &Span) -> Span {
        let method = self.parts.method.as_str();
        // Where the copy goes, whatever the live request was addressed to.
        let to = Addressed::of(&self.parts.uri, &HeaderMap::new(), &self.mirror.service);
        let caller = self.parts.extensions.get::<Arc<Journey>>();
        let caller = caller.map(|journey| journey.source.service.to_string());
        let span = tracing::info_span!(
            target: "vitrine::mesh",
            parent: None,
            "call",
            otel.name = format!("mirror {method}"),
            otel.kind = "client",
            otel.status_code = Empty,
            service.name = caller,
            { attributes::SERVER_ADDRESS } = %self.mirror.service,
            server.port = to.port,
            { attributes::MESH_MIRROR } = true,
            http.request.method = method,
            url.full = to.url(&self.parts.uri),
            url.scheme = SCHEME,
            url.path = self.parts.uri.path(),
            http.response.status_code = Empty,
            error.r#type = Empty,
            { attributes::FAULT_ID } = Empty,
        );
        TraceContext::of(live).link(&span);
        TraceContext::of(&span).link(live);
        span
    }

    /// Has the trace of the live call kept: the pair is shown with both. In a span of its own, for
    /// that of the copy ended with its answer.
    fn tell(&self, copy: &TraceContext, live: Option<&str>, differences: usize) {
        let caller = self.parts.extensions.get::<Arc<Journey>>();
        let span = tracing::info_span!(
            target: "vitrine::mesh",
            parent: None,
            "compare",
            otel.name = "compare answers",
            service.name = caller.map(|journey| journey.source.service.to_string()),
            mesh.mirror.differences = differences,
        );
        copy.adopt(&span);
        if let Some(trace_id) = live {
            keep(&span, trace_id);
        }
    }

    async fn compare(
        &mut self,
        mirrored: Result<(Response, Copy), MeshError>,
        took: Duration,
        trace: &TraceContext,
    ) -> Fate {
        let Ok(live) = (&mut self.live).await else { return Fate::Failed };
        let (mirrored, body) = match mirrored {
            Ok((answer, body)) => (Ok(answer), Some(body)),
            Err(error) => (Err(error), None),
        };
        let mirrored_side = side(&mirrored, took, trace.trace_id());
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
        self.tell(trace, live.side.trace_id.as_deref(), differences.len());
        self.mirrors.keep(Compared {
            at_us: self.mirrors.0.clock.now_us(),
            origin: self.route.origin.clone(),
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

/// What is compared of a body that nobody else reads; what is beyond it is not waited for.
async fn copied(body: Body) -> Copy {
    let (copying, copy) = Copying::new(body, ANSWER_BYTES_MAX);
    let mut body = Body::new(copying);
    let reading = async { while copy.is_empty() && matches!(body.frame().await, Some(Ok(_))) {} };
    // An answer that takes longer than any call may is compared as far as it came.
    let _ = timeout(TIMEOUT, reading).await;
    drop(body);
    copy.await.unwrap_or_default()
}

/// Envoy appends `-shadow` to the host of a copy, before the port.
fn shadow_host(request: &mut Request, service: &str) {
    let host = authority(request.uri(), request.headers()).unwrap_or(service);
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
