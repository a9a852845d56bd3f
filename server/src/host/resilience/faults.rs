//! Faults as the pages see them and ask for them.
//!
//! Everything is a fault of the mesh's registry, so that each has an id, a time to live and an end
//! by the kill switch. A killed instance is one whose every connection fails, a paused one hangs
//! on every call (and [`follow_instances`] puts its process into that phase); a message that is
//! lost, late or doubled is a delivery of the bus that fails, is held, or loses its
//! acknowledgement.

use super::invalid;
use contract::{
    ApiError,
    resilience::{
        FAULTS_ENDED_MAX, FAULTS_MAX, FaultKind as Kind, FaultPlace, FaultView, FaultsView,
        InjectFault, TTL_MAX_S,
    },
    service,
    traffic::{MatchOn, MatchOp, MatchTerm},
};
use http::{HeaderName, StatusCode};
use istio::{
    policy::{Match, Share, StringMatch},
    value,
};
use mesh::{
    Mesh,
    fault::{FaultEvent, FaultKind, FaultScope, FaultSpec, FaultStatus, Faults, Reset},
};
use std::{fmt::Write as _, sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Who injects from the page.
const PAGE: &str = "page";
/// CloudEvents: who made a message.
const SOURCE: HeaderName = HeaderName::from_static("ce-source");
/// Bytes of an answer that still arrive before a partial body breaks off.
const PARTIAL_BYTES: u64 = 32;

/// Every fault, for the banner.
pub(crate) fn all(faults: &Faults, now_us: i64) -> FaultsView {
    let (ended, ended_count) = faults.ended();
    FaultsView {
        held_us: faults.killed().then_some(now_us),
        active: faults.active().iter().take(FAULTS_MAX).map(view).collect(),
        ended: ended.iter().take(FAULTS_ENDED_MAX).map(view).collect(),
        ended_count,
    }
}

/// One fault.
pub(crate) fn view(status: &FaultStatus) -> FaultView {
    let scope = &status.spec.scope;
    let kind = kind_of(&status.spec);
    let of_route = scope.route.as_ref();
    let text = |name: &Option<Arc<str>>| name.as_ref().map(ToString::to_string);
    let to = text(&scope.destination);
    let to = to.or_else(|| of_route.map(|(origin, _)| origin.name.to_string()));
    FaultView {
        id: status.id.to_string(),
        kind,
        what: what(kind, &status.spec),
        from: text(&scope.caller),
        to: to.unwrap_or_else(|| "every service".into()),
        place: place(scope),
        since_us: status.since_us,
        until_us: Some(status.until_us),
        then: if kind.place() == FaultPlace::Instance { "restarts" } else { "ends" }.into(),
        ended_us: status.ended.map(|(at_us, _)| at_us),
        matched: status.matched,
        injected: status.injected,
        unit: match kind.place() {
            FaultPlace::Bus => "messages",
            FaultPlace::Edge | FaultPlace::Instance => "calls",
        }
        .into(),
        trace_id: status.examples.first().cloned(),
        stands_for: stands_for(kind, of_route.is_some()).into(),
        object: of_route.and(scope.destination.as_ref()).map(|host| format!("/traffic/{host}")),
    }
}

/// What a fault is the same as, elsewhere.
pub(super) fn stands_for(kind: Kind, of_route: bool) -> &'static str {
    match kind {
        Kind::Delay | Kind::Abort if of_route => "VirtualService",
        Kind::Delay | Kind::Abort => "VirtualService, as a fault of a route",
        Kind::KillInstance => "pod deletion",
        Kind::PauseInstance => "a stopped process",
        Kind::ConnectionReset => "a broken connection, no Istio object",
        _ => "no Istio object",
    }
}

fn kind_of(spec: &FaultSpec) -> Kind {
    let on_bus = spec.scope.caller.as_deref() == Some(service::BUS);
    let on_instance = spec.scope.instance.is_some();
    match &spec.kind {
        FaultKind::Delay(_) if on_bus => Kind::MessageDelay,
        FaultKind::Delay(_) => Kind::Delay,
        FaultKind::Jitter { .. } => Kind::Jitter,
        FaultKind::Abort { .. } => Kind::Abort,
        FaultKind::Hang if on_instance => Kind::PauseInstance,
        FaultKind::Hang => Kind::Hang,
        FaultKind::PartialBody { .. } => Kind::PartialBody,
        FaultKind::Reset(Reset::Connect) if on_bus => Kind::MessageLoss,
        FaultKind::Reset(Reset::Answer) if on_bus => Kind::MessageDuplication,
        FaultKind::Reset(Reset::Connect) if on_instance => Kind::KillInstance,
        FaultKind::Reset(_) => Kind::ConnectionReset,
    }
}

fn what(kind: Kind, spec: &FaultSpec) -> String {
    let on = format!(" on {}", percent(spec.share));
    match (kind, &spec.kind) {
        (Kind::KillInstance, _) => "Killed".into(),
        (Kind::PauseInstance, _) => "Paused".into(),
        (Kind::MessageLoss, _) => format!("Lose messages{on}"),
        (Kind::MessageDuplication, _) => format!("Deliver twice{on}"),
        (Kind::MessageDelay, FaultKind::Delay(delay)) => format!("Late by {delay:?}{on}"),
        (_, FaultKind::Delay(delay)) => format!("Delay {delay:?}{on}"),
        (_, FaultKind::Jitter { min, max }) => format!("Jitter {min:?} to {max:?}{on}"),
        (_, FaultKind::Abort { status, .. }) => format!("Abort {}{on}", status.as_u16()),
        (_, FaultKind::Hang) => format!("Hang{on}"),
        (_, FaultKind::PartialBody { .. }) => format!("Partial body{on}"),
        (_, FaultKind::Reset(_)) => format!("Connection reset{on}"),
    }
}

/// `10%`, `0.5%`.
pub(super) fn percent(share: Share) -> String {
    format!("{}%", f64::from(share.0) / 10_000.0)
}

fn place(scope: &FaultScope) -> String {
    if let Some(instance) = &scope.instance {
        return instance.to_string();
    }
    if let Some((origin, route)) = &scope.route {
        return format!("route {route} of {}", origin.name);
    }
    let mut text = String::new();
    if let Some(caller) = &scope.caller {
        let _ = write!(text, "{caller} → ");
    }
    text.push_str(scope.destination.as_deref().unwrap_or("every service"));
    if let Some(subset) = &scope.subset {
        let _ = write!(text, " {subset}");
    }
    text
}

/// A fault as the registry takes it.
pub(super) fn spec(asked: &InjectFault, mesh: &Mesh) -> Result<FaultSpec, ApiError> {
    if !(1..=TTL_MAX_S).contains(&asked.ttl_s) {
        return Err(invalid("ttl_s", format!("must be 1 to {TTL_MAX_S} s: every fault ends")));
    }
    if asked.like_istio {
        let reason = "Istio's behaviour is a switch of a route with a fault of its own; write the \
                      fault into the VirtualService";
        return Err(invalid("like_istio", reason));
    }
    let scope = scope(asked, mesh)?;
    let share = match asked.kind.place() {
        FaultPlace::Instance => Share::ALL,
        _ => share(asked.percent)?,
    };
    let ttl = Duration::from_secs(u64::from(asked.ttl_s));
    Ok(FaultSpec { kind: kind(asked)?, scope, share, ttl, limit: None, by: PAGE.into() })
}

fn share(percent: f64) -> Result<Share, ApiError> {
    if !(0.0001..=100.0).contains(&percent) {
        return Err(invalid("percent", "must be 0.0001 to 100"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    let parts = (percent * 10_000.0).round() as u32;
    Ok(Share(parts))
}

fn kind(asked: &InjectFault) -> Result<FaultKind, ApiError> {
    let delay = Duration::from_millis(u64::from(asked.delay_ms));
    let held = || match delay.is_zero() {
        true => Err(invalid("delay_ms", "must be at least 1 ms")),
        false => Ok(delay),
    };
    Ok(match asked.kind {
        Kind::Delay | Kind::MessageDelay => FaultKind::Delay(held()?),
        Kind::Jitter => {
            let spread = Duration::from_millis(u64::from(asked.jitter_ms));
            let (min, max) = (held()?.saturating_sub(spread), delay + spread);
            if spread.is_zero() {
                return Err(invalid("jitter_ms", "must be at least 1 ms"));
            }
            FaultKind::Jitter { min, max }
        }
        Kind::Abort => {
            let status = StatusCode::from_u16(asked.status).ok();
            let status = status.filter(|status| (200..600).contains(&status.as_u16()));
            let status = status.ok_or_else(|| invalid("status", "must be 200 to 599"))?;
            FaultKind::Abort { status, grpc_status: None }
        }
        Kind::Hang | Kind::PauseInstance => FaultKind::Hang,
        Kind::PartialBody => FaultKind::PartialBody { after_bytes: PARTIAL_BYTES },
        Kind::ConnectionReset | Kind::MessageDuplication => FaultKind::Reset(Reset::Answer),
        Kind::KillInstance | Kind::MessageLoss => FaultKind::Reset(Reset::Connect),
    })
}

fn scope(asked: &InjectFault, mesh: &Mesh) -> Result<FaultScope, ApiError> {
    let known = mesh.services();
    let service = |field: &str, name: &str| -> Result<Option<Arc<str>>, ApiError> {
        let name = name.trim();
        if name.is_empty() {
            return Ok(None);
        }
        let found = known.iter().find(|service| ***service == *name).cloned();
        let caller = [service::BROWSER, service::LOAD, service::BUS].contains(&name);
        let found = found.or_else(|| (field == "from" && caller).then(|| name.into()));
        let near = || value::closest(name, known.iter().map(|service| &**service));
        let meant = || near().map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
        found
            .map(Some)
            .ok_or_else(|| invalid(field, format!("No service named {name}.{}", meant())))
    };
    let destination = service("to", &asked.to)?;
    let from = service("from", &asked.from)?;
    let subset = (!asked.subset.is_empty()).then(|| asked.subset.as_str().into());
    match asked.kind.place() {
        FaultPlace::Edge => {
            let conditions = terms(&asked.terms)?;
            let matches = conditions.into_iter().collect();
            Ok(FaultScope { caller: from, destination, subset, matches, ..FaultScope::default() })
        }
        FaultPlace::Instance => {
            let named = mesh.endpoints().into_iter().find(|e| *e.instance == *asked.instance);
            let named = named.ok_or_else(|| {
                invalid("instance", format!("No instance named {}.", asked.instance))
            })?;
            let (destination, instance) = (Some(named.service), Some(named.instance));
            Ok(FaultScope { destination, instance, ..FaultScope::default() })
        }
        FaultPlace::Bus => {
            let made_by = |name: Arc<str>| Match {
                headers: vec![(SOURCE, StringMatch::Exact(name.to_string()))],
                ..Match::default()
            };
            let matches = from.map(made_by).into_iter().collect();
            let caller = Some(service::BUS.into());
            Ok(FaultScope { caller, destination, subset, matches, ..FaultScope::default() })
        }
    }
}

/// One match of all terms; none without terms.
fn terms(terms: &[MatchTerm]) -> Result<Option<Match>, ApiError> {
    if terms.is_empty() {
        return Ok(None);
    }
    let bad = |reason: String| invalid("terms", reason);
    let mut all = Match::default();
    for term in terms {
        let header = |name: &str| -> Result<HeaderName, ApiError> {
            name.parse().map_err(|_| bad(format!("{name} is no header name.")))
        };
        let condition = match term.op {
            MatchOp::Exact => StringMatch::Exact(term.value.clone()),
            MatchOp::Prefix => StringMatch::Prefix(term.value.clone()),
            MatchOp::Present => StringMatch::Present,
            MatchOp::Regex => StringMatch::Regex(
                value::regex(&term.value).map_err(|complaint| bad(complaint.message))?,
            ),
        };
        match term.on {
            MatchOn::Header => all.headers.push((header(&term.name)?, condition)),
            MatchOn::WithoutHeader => all.without_headers.push((header(&term.name)?, condition)),
            MatchOn::Cookie => {
                let pattern = format!(r"^(.*?;)?\s*({}={})(;.*)?$", term.name, term.value);
                let regex = value::regex(&pattern).map_err(|complaint| bad(complaint.message))?;
                all.headers.push((http::header::COOKIE, StringMatch::Regex(regex)));
            }
            MatchOn::Uri => all.uri = Some(condition),
            MatchOn::Method => all.method = Some(condition),
            MatchOn::Query => all.query.push((term.name.clone(), condition)),
            MatchOn::Authority => all.authority = Some(condition),
            MatchOn::Scheme => all.scheme = Some(condition),
            MatchOn::SourceLabel => {
                all.source_labels.push((term.name.clone(), term.value.clone()));
            }
        }
    }
    Ok(Some(all))
}

/// Puts instances into the phase their faults say, and back when these end.
pub(crate) async fn follow_instances(mesh: Mesh, stop: CancellationToken) {
    let mut events = mesh.faults().events();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(FaultEvent::Began(status)) => set_phase(&mesh, &status, true),
            Ok(FaultEvent::Ended(status)) => set_phase(&mesh, &status, false),
            Ok(FaultEvent::KillSwitch(_)) => {}
            // The faults themselves work all the same; what was missed is read anew.
            Err(RecvError::Lagged(_)) => {
                let (ended, _) = mesh.faults().ended();
                ended.iter().for_each(|status| set_phase(&mesh, status, false));
                mesh.faults().active().iter().for_each(|status| set_phase(&mesh, status, true));
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn set_phase(mesh: &Mesh, status: &FaultStatus, begins: bool) {
    let scope = &status.spec.scope;
    let (Some(service), Some(instance)) = (&scope.destination, &scope.instance) else { return };
    let known = match (kind_of(&status.spec), begins) {
        (Kind::KillInstance, true) => mesh.kill(service, instance),
        (Kind::PauseInstance, true) => mesh.pause(service, instance),
        (Kind::KillInstance | Kind::PauseInstance, false) => mesh.restart(service, instance),
        _ => return,
    };
    if !known {
        tracing::debug!("the instance {instance} of {} is gone", status.id);
    }
}
