//! The route layer: takes the policy in force, finds the rule, and carries out what it says about
//! where the call goes and what it looks like.

use super::{
    RouteState, Routed, answer, canonical, edit,
    matching::{self, Addressed},
};
use crate::{
    Flag, MeshError, Request, Response,
    in_force::Snapshot,
    inbound::{Refused, authentication::Claims, bad_token},
    journey::Journey,
    recent::Recorded,
    registry::{Begun, Mesh, Path},
    span::{Outward, Unserved},
    stack::{MeshService, Reply, through},
    target::{authority_of, scheme_of},
};
use contract::{attributes, service::DASHBOARD};
use http::{HeaderValue, StatusCode, Uri, header};
use istio::policy::{Action, Match, Route, VirtualHost};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::Service;
use tracing::{Instrument, Span};

/// Sends each call down the stack of its caller, service and subset.
#[derive(Clone, Debug)]
pub(crate) struct Routing(pub(crate) Mesh);

impl MeshService for Routing {}

impl Service<Request> for Routing {
    type Response = Response;
    type Error = MeshError;
    type Future = Reply;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), MeshError>> {
        // Which stack has to be ready is known only when the request is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Reply {
        let Some(journey) = Journey::of(&request).cloned() else {
            let destination = request.uri().to_string();
            return Box::pin(std::future::ready(Err(MeshError::NoService { destination })));
        };
        let begun = request.extensions_mut().remove::<Begun>();
        let unserved = request.extensions_mut().remove::<Arc<Unserved>>();
        let entry = begun.as_ref().and_then(|begun| self.0.record(begun, &journey, &request));
        let snapshot = begun.map_or_else(|| self.0.snapshot(), |begun| begun.snapshot);
        let mut end = End { mesh: self.0.clone(), journey, entry, over: false };
        let way = match decide(&self.0, &snapshot, &end.journey, &mut request) {
            Ok(Decision::Go(way)) => way,
            Ok(Decision::Answer(answer, route)) => {
                if let Some(route) = route {
                    end.by(&route);
                }
                end.outcome(&Ok(answer.status()));
                return Box::pin(std::future::ready(Ok(answer)));
            }
            Err(lost) => {
                end.outcome(&Err(&lost));
                return Box::pin(std::future::ready(Err(lost)));
            }
        };
        end.to(&way.routed);
        let left = match self.0.leave(&way.path.edge, &way.routed, &request, &end.journey) {
            Ok(left) => left,
            Err(mut refused) => {
                way.change(&mut refused);
                end.outcome(&Ok(refused.status()));
                return Box::pin(std::future::ready(Ok(*refused)));
            }
        };
        request.extensions_mut().insert(way.routed.clone());
        let stack = way.path.stack.clone();
        let outward = unserved.filter(|_| way.leads_out());
        let outward = outward.map(|by| by.goes_out(&way.routed.destination, &mut request));
        let scope = outward.as_ref().map_or_else(Span::none, Outward::span);
        if let Some(route) = &way.routed.route {
            scope.in_scope(|| note(&way.routed, route));
        }
        let work = async move {
            let mut outcome = through(stack, request).await;
            if let Some(outward) = outward {
                outward.end(&outcome);
            }
            if let Ok(response) = &mut outcome {
                left.describe(response);
                way.change(response);
            }
            end.outcome(&outcome.as_ref().map(Response::status));
            outcome
        };
        Box::pin(work.instrument(scope))
    }
}

/// Keeps the request among the last ones when it is over, however it ends.
struct End {
    mesh: Mesh,
    journey: Arc<Journey>,
    entry: Option<Recorded>,
    over: bool,
}

impl End {
    fn by(&mut self, route: &Route) {
        if let Some(entry) = &mut self.entry {
            entry.route = Some((route.origin.clone(), route.name.clone()));
        }
    }

    fn to(&mut self, routed: &Routed) {
        if let Some(route) = &routed.route {
            self.by(route);
        }
        if let Some(entry) = &mut self.entry {
            entry.destination = routed.destination.clone();
            entry.subset = routed.subset.clone();
        }
    }

    fn outcome(&mut self, outcome: &Result<StatusCode, &MeshError>) {
        self.over = true;
        if let Some(flag) = outcome.err().and_then(MeshError::flag) {
            self.journey.add(flag);
        }
        if let Some(entry) = &mut self.entry {
            entry.status = outcome.ok().map(|status| status.as_u16());
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.over {
            self.journey.add(Flag::DownstreamDisconnect);
        }
        if let Some(mut entry) = self.entry.take() {
            entry.flags = self.journey.flags();
            self.mesh.remember(entry);
        }
    }
}

/// What becomes of a request.
enum Decision {
    /// The route answers itself, or none was looked for.
    Answer(Response, Option<Arc<Route>>),
    /// It goes on.
    Go(Way),
}

/// Where a request goes, and what is done to its answer.
struct Way {
    path: Arc<Path>,
    routed: Arc<Routed>,
    /// The origin that may read the answer.
    origin: Option<HeaderValue>,
}

impl Way {
    /// Whether it ends at a service that is not of the mesh.
    fn leads_out(&self) -> bool {
        self.routed.snapshot.policy().external.contains_key(&self.routed.destination)
    }

    fn change(&self, response: &mut Response) {
        let Some(route) = &self.routed.route else { return };
        // The narrower first, as in Envoy, so that the wider has the last word.
        if let Some(to) = self.routed.weighted() {
            edit::edit_answer(response, &to.headers.response);
        }
        edit::edit_answer(response, &route.headers.response);
        if let (Some(cors), Some(origin)) = (&route.cors, &self.origin) {
            answer::allow_answer(cors, origin, response.headers_mut());
        }
    }
}

fn decide(
    mesh: &Mesh,
    snapshot: &Arc<Snapshot>,
    journey: &Arc<Journey>,
    request: &mut Request,
) -> Result<Decision, MeshError> {
    let policy = snapshot.policy();
    let service = canonical(policy, &journey.called);
    let scheme = scheme_of(request);
    let authority = authority_of(request, journey);
    let ingress = journey.ingress;
    let port = |found: Option<&VirtualHost>, service: &str| {
        let to = Addressed { service, authority, scheme, ingress };
        matching::port_of(policy, found, to)
    };
    let plain = |service: Arc<str>| {
        let port = port(None, &service);
        let routed = Routed::plain(snapshot.clone(), &journey.source, service).at(port);
        // Whoever only looks goes the way of the dashboard, which does nothing else: what layers
        // count on the edges of the shop is its traffic alone.
        let looker = journey.look.then(|| DASHBOARD.into());
        let path = mesh.path(looker.as_ref().unwrap_or(&journey.source.service), &routed)?;
        path.edge.routed(false);
        Ok(Decision::Go(Way { path, routed: Arc::new(routed), origin: None }))
    };
    if policy.virtual_hosts.is_empty() || journey.look {
        return plain(service);
    }
    let host = matching::host_of(authority).to_ascii_lowercase();
    let Some((of, found)) = policy.placed_host(&service, &host, journey.ingress) else {
        return plain(service);
    };
    let port = port(Some(found), &service);
    let claims = match claims(mesh, snapshot, found, (journey, request)) {
        Ok(claims) => claims,
        Err(refused) => return Ok(Decision::Answer(*refused, None)),
    };
    if ingress && scheme != "https" && found.redirects_to_https(matching::host_of(authority)) {
        mesh.edge(&journey.source.service, &service).routed(true);
        return Ok(Decision::Answer(answer::to_https(request, authority), None));
    }
    let seen = view(request, journey, (authority, port), scheme);
    let view = matching::View { claims: claims.as_ref(), ..seen };
    let Some((at, route, matched)) = matching::first(&found.routes, &view) else {
        mesh.edge(&journey.source.service, &service).routed(true);
        return Err(MeshError::NoRoute { destination: service.to_string() });
    };
    let state = snapshot.state(of, at);
    if let Some(state) = state {
        state.hit();
    }
    let origin =
        route.cors.as_ref().and_then(|cors| answer::allowed_origin(cors, request.headers()));
    if let Some(answered) = own_answer(route, request, origin.as_ref(), scheme, authority) {
        mesh.edge(&journey.source.service, &service).routed(true);
        return Ok(Decision::Answer(answered, Some(route.clone())));
    }
    let drawn = (route.clone(), state.map_or(0, RouteState::draw));
    let routed = Routed::by(snapshot.clone(), &journey.source, drawn, service).at(port);
    let path = mesh.path(&journey.source.service, &routed)?;
    path.edge.routed(true);
    change_request(request, route, matched, &routed);
    Ok(Decision::Go(Way { path, routed: Arc::new(routed), origin }))
}

/// What the token of a request that comes in claims, if a rule asks for that. As in Envoy, where
/// the filter that checks tokens stands before the router, a bad one is refused whatever the rules.
fn claims(
    mesh: &Mesh,
    snapshot: &Snapshot,
    found: &VirtualHost,
    (journey, request): (&Journey, &Request),
) -> Result<Option<Claims>, Refused> {
    if !journey.ingress || !matching::asks_for_claims(&found.routes) {
        return Ok(None);
    }
    let claims = snapshot.at_gateway().claims(request, mesh.now_us());
    claims.map_err(|error| bad_token(request, journey, error))
}

/// Puts the decision on the span of the call.
fn note(routed: &Routed, route: &Route) {
    let span = Span::current();
    span.record(attributes::MESH_REVISION, routed.snapshot.policy().revision);
    span.record(attributes::MESH_VIRTUAL_SERVICE, &*route.origin.name);
    span.record(attributes::MESH_ROUTE, format_args!("{}/{}", route.origin.name, route.name));
    if let Some(subset) = &routed.subset {
        span.record(attributes::MESH_SUBSET, &**subset);
    }
    if let Some(to) = routed.weighted().filter(|_| super::destinations(route).len() > 1) {
        span.record(attributes::MESH_SUBSET_WEIGHT, to.weight);
    }
    if let Some(limit) = route.retry.per_try_timeout {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        span.record(attributes::MESH_PER_TRY_TIMEOUT_MS, limit);
    }
}

/// The answer, if the rule gives it itself.
fn own_answer(
    route: &Route,
    request: &Request,
    origin: Option<&HeaderValue>,
    scheme: &str,
    authority: &str,
) -> Option<Response> {
    if let (Some(cors), Some(origin)) = (&route.cors, origin)
        && answer::is_preflight(request)
    {
        return Some(answer::preflight(cors, origin));
    }
    let mut answered = match &route.action {
        Action::Redirect(rule) => answer::redirect(rule, request, scheme, authority),
        Action::Direct(rule) => answer::direct(rule, &route.headers.response),
        Action::Forward(_) => return None,
    };
    edit::edit_answer(&mut answered, &route.headers.response);
    // Envoy's CORS filter sees its own answers too.
    if let (Some(cors), Some(origin)) = (&route.cors, origin) {
        answer::allow_answer(cors, origin, answered.headers_mut());
    }
    Some(answered)
}

fn change_request(
    request: &mut Request,
    route: &Arc<Route>,
    matched: Option<&Match>,
    routed: &Routed,
) {
    if let Some(rewrite) = &route.rewrite {
        if let Some(uri) = edit::rewritten(rewrite, matched, request.uri()) {
            *request.uri_mut() = uri;
        }
        let host = rewrite.authority.as_deref().and_then(|host| HeaderValue::from_str(host).ok());
        if let Some(host) = host {
            request.headers_mut().insert(header::HOST, host);
        }
    }
    let headers = request.headers_mut();
    if let Some(to) = routed.weighted() {
        edit::edit(headers, &to.headers.request);
    }
    edit::edit(headers, &route.headers.request);
}

fn view<'a>(
    request: &'a Request,
    journey: &'a Journey,
    (authority, port): (&'a str, u16),
    scheme: &'a str,
) -> matching::View<'a> {
    let uri: &Uri = request.uri();
    matching::View {
        method: request.method().as_str(),
        scheme,
        path: uri.path(),
        query: uri.query(),
        authority,
        port,
        headers: request.headers(),
        ingress: journey.ingress,
        source: &journey.source,
        claims: None,
    }
}

/// Whether a condition holds for a request as it is now: as routing reads it, for others who scope
/// something by it.
pub(crate) fn holds(
    condition: &Match,
    request: &Request,
    journey: &Journey,
    routed: Option<&Routed>,
) -> bool {
    let authority = authority_of(request, journey);
    let port = routed.map_or(matching::PORT_DEFAULT, |routed| routed.addressed_port);
    let view = view(request, journey, (authority, port), scheme_of(request));
    matching::missed(condition, &view).is_none()
}
