//! Faults as the pages see them and ask for them.
//!
//! Everything is a fault of the mesh's registry, so that each has an id, a time to live and an end
//! by the kill switch. A killed instance is one whose every connection fails, a paused one hangs on
//! every call, and [`follow_instances`] puts their processes into that phase for as long.

use super::{fault_fields, invalid};
use crate::host::transaction::Outage;
use app::model::{
    fault::{delays, label, mistakes, percent},
    tries::seconds,
};
use contract::{
    ApiError, FieldError,
    resilience::{
        CrashPoint, FAULTS_ENDED_MAX, FAULTS_MAX, FaultKind as Kind, FaultPlace, FaultView,
        FaultsView, InjectFault, TTL_MAX_S,
    },
    service,
    traffic::{MatchOn, MatchOp, MatchTerm},
};
use http::{HeaderName, StatusCode};
use istio::{
    policy::{Match, Origin, Policy, Share, StringMatch},
    value,
};
use mesh::{
    Mesh,
    fault::{
        CrashAt, FaultEvent, FaultKind, FaultScope, FaultSpec, FaultStatus, MessageFault, Reset,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Who injects from the page.
const PAGE: &str = "page";
/// Bytes of an answer that still arrive before a partial body breaks off, unless asked otherwise.
const PARTIAL_BYTES: u32 = 32;

/// Every fault, for the banner.
pub(crate) fn all(mesh: &Mesh) -> FaultsView {
    let (faults, policy) = (mesh.faults(), mesh.in_force().policy);
    let view = |status: &FaultStatus| view(status, &policy);
    let (ended, ended_count) = faults.ended();
    FaultsView {
        held_us: faults.killed_us(),
        active: faults.active().iter().take(FAULTS_MAX).map(view).collect(),
        ended: ended.iter().take(FAULTS_ENDED_MAX).map(view).collect(),
        ended_count,
    }
}

/// When instances were killed or paused by faults, as far back as those are remembered.
pub(in crate::host) fn outages(mesh: &Mesh) -> Vec<Outage> {
    let (ended, _) = mesh.faults().ended();
    let outage = |status: FaultStatus| {
        let service = status.spec.scope.destination.as_ref().map(ToString::to_string);
        let (kind, since_us) = out(&status)?;
        Some(Outage {
            service: service?,
            killed: kind == Kind::KillInstance,
            fault_id: status.id.to_string(),
            since_us,
            until_us: status.ended.map(|(at_us, _)| at_us),
        })
    };
    mesh.faults().active().into_iter().chain(ended).filter_map(outage).collect()
}

/// What a fault has done to its instance, and since when; nothing while it waits for the moment.
fn out(status: &FaultStatus) -> Option<(Kind, i64)> {
    let kind = kind_of(&status.spec);
    let since_us = match status.spec.kind {
        FaultKind::Crash { .. } => status.crashed_us?,
        _ => status.since_us,
    };
    (kind.place() == FaultPlace::Instance).then_some((kind, since_us))
}

/// One fault. The policy says which service a route belongs to.
pub(crate) fn view(status: &FaultStatus, policy: &Policy) -> FaultView {
    let scope = &status.spec.scope;
    let (kind, crash) = (kind_of(&status.spec), crash_point(&status.spec));
    let of_route = scope.route.as_ref().map(|route| match &scope.routed {
        Some(service) => service.to_string(),
        None => host_of(route, policy),
    });
    let to = scope.destination.as_ref().map(ToString::to_string).or_else(|| of_route.clone());
    let anywhere = match kind.place() {
        FaultPlace::Bus => service::BUS,
        FaultPlace::Edge | FaultPlace::Instance => "every service",
    };
    FaultView {
        id: status.id.to_string(),
        kind,
        what: what(kind, &status.spec),
        from: scope.caller.as_ref().map(ToString::to_string),
        to: to.unwrap_or_else(|| anywhere.to_owned()),
        place: place(scope, kind, of_route.as_deref()),
        since_us: status.since_us,
        until_us: Some(status.until_us),
        then: match kind {
            Kind::KillInstance if crash.is_some() && status.crashed_us.is_none() => "ends",
            Kind::KillInstance => "restarts",
            Kind::PauseInstance => "goes on",
            _ => "ends",
        }
        .into(),
        ended_us: status.ended.map(|(at_us, _)| at_us),
        matched: status.matched,
        injected: status.injected,
        spared: status.spared(),
        unit: unit(kind, status.injected).into(),
        trace_id: status.examples.first().cloned(),
        stands_for: stands_for(kind).into(),
        object: object(kind, scope, of_route, policy),
        by: status.spec.by.clone(),
        again: again(kind, &status.spec),
    }
}

/// Where the object it stands for is shown: the resource that asks for it, as YAML, or the route
/// that it would be written in.
/// A service that only resources know has no page of its own: its rules are among the resources.
fn object(
    kind: Kind,
    scope: &FaultScope,
    of_route: Option<String>,
    policy: &Policy,
) -> Option<String> {
    match (of_route, &scope.destination, &scope.route) {
        (Some(host), _, _) if service::has_page(&host) => {
            Some(format!("/traffic/{host}?view=yaml"))
        }
        (Some(_), _, Some((origin, route))) => {
            policy.service_of(origin, route)?;
            let Origin { kind, namespace, name } = origin;
            Some(format!("/traffic?resource={kind}%2F{namespace}%2F{name}"))
        }
        (None, Some(to), _) if matches!(kind, Kind::Delay | Kind::Abort) => {
            service::has_page(to).then(|| format!("/traffic/{to}"))
        }
        _ => None,
    }
}

/// The command that injects the same again. What only a resource or the API can say has none.
fn again(kind: Kind, spec: &FaultSpec) -> Option<InjectFault> {
    let FaultScope { caller, destination, subset, instance, route, matches, .. } = &spec.scope;
    if route.is_some() || !matches.is_empty() {
        return None;
    }
    let crash_at = crash_point(spec);
    let text = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
    let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    let usual = app::model::fault::defaults(kind);
    let (delay_ms, jitter_ms) = match spec.kind {
        FaultKind::Delay(delay) | FaultKind::Message(MessageFault::Delay(delay)) => (ms(delay), 0),
        FaultKind::Jitter { min, max } => (ms((min + max) / 2), ms((max - min) / 2)),
        // A program sends the command as it is, so nothing is in it that its kind does not have.
        _ => (0, 0),
    };
    let status = match spec.kind {
        FaultKind::Abort { grpc_status: Some(_), .. } => return None,
        FaultKind::Abort { status, .. } => status.as_u16(),
        _ => 0,
    };
    let percent = match kind.place() {
        FaultPlace::Instance => 0.0,
        FaultPlace::Edge | FaultPlace::Bus => f64::from(spec.share.0) / 10_000.0,
    };
    let after_bytes = match spec.kind {
        FaultKind::PartialBody { after_bytes } => u32::try_from(after_bytes).ok(),
        _ => None,
    };
    Some(InjectFault {
        from: text(caller),
        after_bytes,
        to: text(destination),
        subset: text(subset),
        instance: text(instance),
        percent,
        delay_ms,
        jitter_ms,
        status,
        ttl_s: u32::try_from(spec.ttl.as_secs()).unwrap_or(TTL_MAX_S).clamp(1, TTL_MAX_S),
        limit: spec.limit,
        like_istio: spec.like_istio,
        crash_at,
        ..usual
    })
}

const fn unit(kind: Kind, count: u64) -> &'static str {
    match (kind.place(), count) {
        (FaultPlace::Bus, _) => "messages",
        (FaultPlace::Instance, 1) => "call",
        (FaultPlace::Edge | FaultPlace::Instance, _) => "calls",
    }
}

/// The service whose requests a route is for; the resource when it is gone.
fn host_of((origin, route): &(Origin, Arc<str>), policy: &Policy) -> String {
    let service = policy.service_of(origin, route);
    service.map_or_else(|| origin.name.to_string(), ToString::to_string)
}

/// What a fault is the same as, elsewhere.
pub(super) const fn stands_for(kind: Kind) -> &'static str {
    match kind {
        Kind::Delay | Kind::Abort => "VirtualService",
        Kind::KillInstance => "pod deletion",
        _ => "no Istio object",
    }
}

const fn kind_of(spec: &FaultSpec) -> Kind {
    let on_instance = spec.scope.instance.is_some();
    match &spec.kind {
        FaultKind::Delay(_) => Kind::Delay,
        FaultKind::Jitter { .. } => Kind::Jitter,
        FaultKind::Abort { .. } => Kind::Abort,
        FaultKind::Hang if on_instance => Kind::PauseInstance,
        FaultKind::Hang => Kind::Hang,
        FaultKind::PartialBody { .. } => Kind::PartialBody,
        FaultKind::Reset(Reset::Connect) if on_instance => Kind::KillInstance,
        FaultKind::Crash { .. } => Kind::KillInstance,
        FaultKind::Reset(_) => Kind::ConnectionReset,
        FaultKind::Message(MessageFault::Loss) => Kind::MessageLoss,
        FaultKind::Message(MessageFault::Duplication) => Kind::MessageDuplication,
        FaultKind::Message(MessageFault::Delay(_)) => Kind::MessageDelay,
    }
}

/// The messages of a two-phase commit by which a participant can end, and when in them.
const CRASHES: [(CrashPoint, &str, CrashAt); 5] = [
    (CrashPoint::BeforePrepare, "prepare", CrashAt::Request),
    (CrashPoint::AfterPrepare, "prepare", CrashAt::Handled),
    (CrashPoint::AfterVote, "prepare", CrashAt::Answered),
    (CrashPoint::OnDecision, "finish", CrashAt::Request),
    (CrashPoint::AfterDecision, "finish", CrashAt::Handled),
];

fn crash_point(spec: &FaultSpec) -> Option<CrashPoint> {
    let FaultKind::Crash { request, at } = spec.kind else { return None };
    CRASHES.iter().find(|known| (known.1, known.2) == (request, at)).map(|known| known.0)
}

/// "Delay 2 s on 10%", "Kill instance".
fn what(kind: Kind, spec: &FaultSpec) -> String {
    let name = label(kind).0;
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let size = match &spec.kind {
        FaultKind::Delay(delay) | FaultKind::Message(MessageFault::Delay(delay)) => {
            format!(" {}", seconds(ms(*delay)))
        }
        FaultKind::Jitter { min, max } => {
            format!(" {} to {}", seconds(ms(*min)), seconds(ms(*max)))
        }
        FaultKind::Abort { grpc_status: Some(code), .. } => format!(" gRPC {code}"),
        FaultKind::Abort { status, .. } => format!(" {}", status.as_u16()),
        _ => String::new(),
    };
    match kind.place() {
        FaultPlace::Instance => crash_point(spec).map_or_else(
            || name.to_owned(),
            |point| format!("Crash {}", app::model::fault::point(point).0),
        ),
        FaultPlace::Edge | FaultPlace::Bus => {
            format!("{name}{size} on {}", percent(f64::from(spec.share.0) / 10_000.0))
        }
    }
}

/// "payments v2 → bank-customer", "recommendations-1".
fn place(scope: &FaultScope, kind: Kind, of_route: Option<&str>) -> String {
    if let Some(instance) = &scope.instance {
        return instance.to_string();
    }
    if let (Some(host), Some((_, route))) = (of_route, &scope.route) {
        return format!("{host}, route {route}");
    }
    let (nobody, nowhere) = match kind.place() {
        FaultPlace::Bus => ("any producer", "any consumer"),
        FaultPlace::Edge | FaultPlace::Instance => ("any caller", "every service"),
    };
    let subset = scope.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
    match (&scope.caller, &scope.destination) {
        (None, None) if kind.place() == FaultPlace::Bus => service::BUS.to_owned(),
        (None, Some(to)) if kind.place() == FaultPlace::Edge => format!("{to}{subset}"),
        (from, to) => {
            let (from, to) = (from.as_deref().unwrap_or(nobody), to.as_deref().unwrap_or(nowhere));
            format!("{from} → {to}{subset}")
        }
    }
}

/// A fault as the registry takes it.
pub(super) fn spec(asked: &InjectFault, mesh: &Mesh) -> Result<FaultSpec, ApiError> {
    let mut wrong = all_wrong(asked);
    wrong.extend(said(asked).filter_map(|field| fault_fields::foreign(asked.kind, field)));
    if !wrong.is_empty() {
        return Err(ApiError::Invalid { fields: wrong });
    }
    let scope = scope(asked, mesh)?;
    let share = match asked.kind.place() {
        FaultPlace::Instance => Share::ALL,
        _ => share(asked.percent)?,
    };
    let ttl = Duration::from_secs(u64::from(asked.ttl_s));
    let limit = asked.limit.filter(|limit| *limit > 0);
    let by = if asked.by.is_empty() { PAGE.to_owned() } else { asked.by.clone() };
    let like_istio = asked.like_istio;
    Ok(FaultSpec { kind: kind(asked)?, scope, share, ttl, limit, like_istio, by })
}

/// The fields whose value says by itself that somebody filled them in. What the panel of the page
/// sends with every kind (a share, a delay, a status) is among those only where a program sends it.
fn said(asked: &InjectFault) -> impl Iterator<Item = &'static str> {
    let fields = [
        ("like_istio", asked.like_istio),
        ("terms", !asked.terms.is_empty()),
        ("limit", asked.limit.is_some()),
        ("grpc_status", !asked.grpc_status.is_empty()),
        ("after_bytes", asked.after_bytes.is_some()),
        ("route", !asked.route.trim().is_empty()),
        ("crash_at", asked.crash_at.is_some()),
    ];
    fields.into_iter().filter(|(_, said)| *said).map(|(field, _)| field)
}

/// Every field that is wrong by itself, so that one answer names them all.
pub(crate) fn all_wrong(asked: &InjectFault) -> Vec<FieldError> {
    let elsewhere = |field: &str| match field {
        "to" => !asked.route.is_empty(),
        "status" => !asked.grpc_status.is_empty(),
        _ => false,
    };
    let wrong = mistakes(asked).into_iter().filter(|(field, _)| !elsewhere(field));
    wrong
        .map(|(field, why)| match field {
            "delay_s" => FieldError::new("delay_ms", "must be at least 1 ms"),
            "ttl_s" => {
                let reason = format!("must be 1 to {TTL_MAX_S} s: every fault ends");
                FieldError::new(field, reason)
            }
            field => FieldError::new(field, why),
        })
        .collect()
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
    if delays(asked.kind) && delay.is_zero() {
        return Err(invalid("delay_ms", "must be at least 1 ms"));
    }
    Ok(match asked.kind {
        Kind::Delay => FaultKind::Delay(delay),
        Kind::Jitter => {
            let spread = Duration::from_millis(u64::from(asked.jitter_ms));
            FaultKind::Jitter { min: delay.saturating_sub(spread), max: delay + spread }
        }
        Kind::Abort if !asked.grpc_status.is_empty() => {
            let code = value::grpc_status(asked.grpc_status.trim()).map_err(|complaint| {
                invalid("grpc_status", format!("{} {}", complaint.message, complaint.advice))
            })?;
            // 0 is OK, which is no failure.
            if code == 0 {
                return Err(invalid("grpc_status", "OK is no failure."));
            }
            FaultKind::Abort { status: StatusCode::OK, grpc_status: Some(code) }
        }
        Kind::Abort => {
            let status = StatusCode::from_u16(asked.status).ok();
            let status = status.filter(|status| (200..600).contains(&status.as_u16()));
            let status = status.ok_or_else(|| invalid("status", "must be 200 to 599"))?;
            FaultKind::Abort { status, grpc_status: None }
        }
        Kind::Hang | Kind::PauseInstance => FaultKind::Hang,
        Kind::PartialBody => FaultKind::PartialBody {
            after_bytes: asked.after_bytes.unwrap_or(PARTIAL_BYTES).into(),
        },
        Kind::ConnectionReset => FaultKind::Reset(Reset::Answer),
        Kind::KillInstance => match asked.crash_at {
            Some(point) => CRASHES
                .iter()
                .find(|known| known.0 == point)
                .map(|known| FaultKind::Crash { request: known.1, at: known.2 })
                .ok_or_else(|| invalid("crash_at", "No such point."))?,
            None => FaultKind::Reset(Reset::Connect),
        },
        Kind::MessageLoss => FaultKind::Message(MessageFault::Loss),
        Kind::MessageDuplication => FaultKind::Message(MessageFault::Duplication),
        Kind::MessageDelay => FaultKind::Message(MessageFault::Delay(delay)),
    })
}

fn scope(asked: &InjectFault, mesh: &Mesh) -> Result<FaultScope, ApiError> {
    let (known, policy) = (mesh.services(), mesh.in_force().policy);
    let service = |field: &str, name: &str| -> Result<Option<Arc<str>>, ApiError> {
        let name = name.trim();
        if name.is_empty() {
            return Ok(None);
        }
        let found = known.iter().find(|service| ***service == *name).cloned();
        // Elsewhere it is reached by its further names, too.
        let found = found.or_else(|| policy.service(&name.to_lowercase()).cloned());
        let caller = [service::BROWSER, service::LOAD, service::BUS].contains(&name);
        let found = found.or_else(|| (field == "from" && caller).then(|| name.into()));
        let near = || value::closest(name, known.iter().map(|service| &**service));
        let meant = || near().map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
        found
            .map(Some)
            .ok_or_else(|| invalid(field, format!("No service named {name}.{}", meant())))
    };
    // That of an instance follows from its name.
    let destination = service("to", &asked.to)?;
    let from = service("from", &asked.from)?;
    let subset: Option<Arc<str>> = (!asked.subset.is_empty()).then(|| asked.subset.as_str().into());
    if let (Some(subset), Some(to)) = (&subset, &destination)
        && policy.destinations.get(to).is_none_or(|r| r.subset(subset).is_none())
    {
        return Err(invalid("subset", format!("No subset of {to} named {subset}.")));
    }
    let route = route(&asked.route, mesh)?;
    match asked.kind.place() {
        FaultPlace::Edge if destination.is_none() && route.is_none() => {
            Err(invalid("to", "Say which service."))
        }
        FaultPlace::Edge => {
            let conditions = terms(&asked.terms)?;
            let matches = conditions.into_iter().collect();
            let instance = None;
            let service = |(origin, name): &(Origin, Arc<str>)| policy.service_of(origin, name);
            let routed = route.as_ref().and_then(service).cloned();
            Ok(FaultScope { caller: from, destination, subset, instance, route, routed, matches })
        }
        FaultPlace::Instance => {
            let named = mesh.endpoints().into_iter().find(|e| *e.instance == *asked.instance);
            let named = named.ok_or_else(|| {
                invalid("instance", format!("No instance named {}.", asked.instance))
            })?;
            if let Some(to) = destination.filter(|to| *to != named.service) {
                let reason = format!("{} is an instance of {}.", asked.instance, named.service);
                return Err(invalid("to", format!("{reason} Leave {to} out.")));
            }
            let bank = [service::BANK_CUSTOMER, service::BANK_MERCHANT].contains(&&*named.service);
            if asked.crash_at.is_some() && !bank {
                let reason = "Only a bank takes part in two-phase commits.";
                return Err(invalid("instance", reason));
            }
            let (destination, instance) = (Some(named.service), Some(named.instance));
            Ok(FaultScope { destination, instance, ..FaultScope::default() })
        }
        FaultPlace::Bus => Ok(FaultScope { caller: from, destination, ..FaultScope::default() }),
    }
}

/// A route in force, by `VIRTUALSERVICE/ROUTE` or with the namespace before; none without a name.
fn route(name: &str, mesh: &Mesh) -> Result<Option<(Origin, Arc<str>)>, ApiError> {
    let name = name.trim();
    if name.is_empty() {
        return Ok(None);
    }
    let policy = mesh.in_force().policy;
    let routes: Vec<_> = policy.virtual_hosts.iter().flat_map(|host| &host.routes).collect();
    let called = |origin: &Origin, route: &str| format!("{}/{route}", origin.name);
    let found = routes.iter().find(|route| {
        let short = called(&route.origin, &route.name);
        short == name || format!("{}/{short}", route.origin.namespace) == name
    });
    let names: Vec<_> = routes.iter().map(|r| called(&r.origin, &r.name)).collect();
    let meant = || value::closest(name, names.iter().map(String::as_str));
    let meant = || meant().map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
    let missing = || invalid("route", format!("No route {name} is in force.{}", meant()));
    found.map(|r| Some((r.origin.clone(), r.name.clone()))).ok_or_else(missing)
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

/// Puts instances into the phase that faults on them say, until these end.
pub(crate) async fn follow_instances(mesh: Mesh, stop: CancellationToken) {
    let mut events = mesh.faults().events();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(FaultEvent::Began(status) | FaultEvent::Crashed(status)) => {
                set_phase(&mesh, &status, true);
            }
            Ok(FaultEvent::Ended(status)) => set_phase(&mesh, &status, false),
            Ok(FaultEvent::KillSwitch(_)) => {}
            // What was missed is read anew.
            Err(RecvError::Lagged(_)) => {
                let (ended, _) = mesh.faults().ended();
                ended.iter().for_each(|status| set_phase(&mesh, status, false));
                mesh.faults().active().iter().for_each(|status| set_phase(&mesh, status, true));
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// An instance that several faults are on stays where the newest of them put it.
fn set_phase(mesh: &Mesh, status: &FaultStatus, begins: bool) {
    let scope = &status.spec.scope;
    let (Some(service), Some(instance)) = (&scope.destination, &scope.instance) else { return };
    let on_same = |other: &FaultStatus| other.spec.scope.instance.as_ref() == Some(instance);
    let newest = match begins {
        // One that waits for its moment has done nothing yet.
        true => match out(status) {
            Some((kind, _)) => Some(kind),
            None => return,
        },
        false => {
            let active = mesh.faults().active();
            active.iter().rev().filter(|o| on_same(o)).find_map(out).map(|(kind, _)| kind)
        }
    };
    let known = match newest {
        Some(Kind::KillInstance) => mesh.kill(service, instance),
        Some(Kind::PauseInstance) => mesh.pause(service, instance),
        _ => mesh.restart(service, instance),
    };
    if !known {
        tracing::debug!("the instance {instance} of {} is gone", status.id);
    }
}
