//! Faults that resources ask for: which are wanted, and how each stands.
//!
//! A resource has no field for a time to live, so each of its faults is active for [`TTL_ROUTE`]
//! from the apply that asked for it, and is then over until somebody applies the resource again.
//! What follows from that survives a restart by what [`Faults::asked`] says and [`Faults::recall`]
//! takes; keeping it is not done here.

use super::{Active, Book, EndReason, Faults, TTL_ROUTE};
use crate::fault::spec::{FaultId, FaultKind, FaultScope, FaultSpec};
use base::clock::micros;
use istio::policy::{Action, Origin, Policy, Share};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// A fault of a route: its place and its content. While both stay, the fault stays.
#[derive(Clone, Debug)]
struct RouteKey {
    origin: Origin,
    route: Arc<str>,
    kind: FaultKind,
    share: Share,
    /// The service that the route is for, which is no part of what it is.
    service: Option<Arc<str>>,
}

impl PartialEq for RouteKey {
    fn eq(&self, other: &Self) -> bool {
        let of = |key: &Self| (key.kind.clone(), key.share);
        self.origin == other.origin && self.route == other.route && of(self) == of(other)
    }
}

/// What is kept about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It began; it may have ended since.
    Begun { id: FaultId, until_us: i64 },
    /// It begins when the kill switch is released.
    Waiting,
    /// As many as there may be were active.
    TooMany,
    /// It had ended before the process began.
    Over,
}

/// The faults of the newest policy.
#[derive(Debug, Default)]
pub(super) struct Asked {
    faults: Vec<(RouteKey, State)>,
    /// How they stood when the process ended; for the first policy alone.
    recalled: Vec<KeptFault>,
}

/// How a fault that a resource asks for stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultStanding {
    /// It is injected.
    Active {
        /// Under this id.
        id: FaultId,
        /// Until then, microseconds since the epoch.
        until_us: i64,
    },
    /// It has ended. It begins anew when its resource is applied again.
    Over,
    /// The kill switch is on; it begins on release.
    Waiting,
    /// As many as there may be were active.
    TooMany,
}

/// A fault that a resource asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedFault {
    /// The resource.
    pub origin: Origin,
    /// The route of it.
    pub route: Arc<str>,
    /// What happens to a call.
    pub kind: FaultKind,
    /// To which share.
    pub share: Share,
    /// How it stands.
    pub standing: FaultStanding,
}

/// What outlives the process of a fault that a resource asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFault {
    /// `VirtualService default/payments`.
    pub resource: String,
    /// The name of the route.
    pub route: String,
    /// `delay 2s on 100000 ppm`.
    pub fault: String,
    /// Until when it is active, microseconds since the epoch; 0 when it ended before its time,
    /// none when it has yet to begin.
    pub until_us: Option<i64>,
}

impl RouteKey {
    fn kept(&self, until_us: Option<i64>) -> KeptFault {
        let Origin { kind, namespace, name } = &self.origin;
        KeptFault {
            resource: format!("{kind} {namespace}/{name}"),
            route: self.route.to_string(),
            fault: format!("{} on {} ppm", self.kind, self.share.0),
            until_us,
        }
    }

    fn spec(&self, ttl: Duration) -> FaultSpec {
        FaultSpec {
            kind: self.kind.clone(),
            scope: FaultScope {
                route: Some((self.origin.clone(), self.route.clone())),
                routed: self.service.clone(),
                ..FaultScope::default()
            },
            share: self.share,
            ttl,
            limit: None,
            like_istio: false,
            by: format!("{} {}", self.origin.kind, self.origin.name),
        }
    }
}

impl AskedFault {
    /// What of it outlives the process.
    #[must_use]
    pub fn kept(&self) -> KeptFault {
        let Self { origin, route, kind, share, standing } = self.clone();
        let until_us = match standing {
            FaultStanding::Active { until_us, .. } => Some(until_us),
            FaultStanding::Over => Some(0),
            FaultStanding::Waiting | FaultStanding::TooMany => None,
        };
        RouteKey { origin, route, kind, share, service: None }.kept(until_us)
    }
}

impl Faults {
    /// Makes the faults that the resources of `policy` ask for active, keeps those that are
    /// unchanged (with their ids, counters and ends), and ends those nobody asks for any more.
    pub fn follow(&self, policy: &Policy) {
        let wanted = wanted(policy);
        self.change(|book| self.follow_in(book, wanted));
    }

    fn follow_in(&self, book: &mut Book, wanted: Vec<RouteKey>) {
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut book.asked.faults)
            .into_iter()
            .partition(|(key, _)| wanted.contains(key));
        let gone: BTreeSet<FaultId> = gone.into_iter().filter_map(|(_, s)| s.id()).collect();
        self.end(book, EndReason::ResourceGone, |fault| gone.contains(&fault.id));
        book.asked.faults = kept;
        let recalled = std::mem::take(&mut book.asked.recalled);
        for key in wanted {
            if book.asked.faults.iter().any(|(asked, _)| *asked == key) {
                continue;
            }
            let state = match left(&recalled, &key, self.0.clock.now_us()) {
                Some(ttl) => self.begin_asked(book, &key, ttl),
                None => State::Over,
            };
            book.asked.faults.push((key, state));
        }
    }

    /// These resources are applied again: their faults that are over, or were refused, begin anew
    /// although their content is the same. An active one keeps its id, its counters and its end.
    pub fn renew(&self, origins: &[Origin], policy: &Policy) {
        {
            let mut book = self.0.book.lock();
            let active = self.0.active.load();
            let now_us = self.0.clock.now_us();
            let lives = |state: State| active.iter().any(|fault| state.lives_as(fault, now_us));
            book.asked
                .faults
                .retain(|(key, state)| !origins.contains(&key.origin) || lives(*state));
        }
        self.follow(policy);
    }

    /// How the faults of resources stood when the process ended; the first [`Self::follow`] goes
    /// on from there. What it does not name begins as if it were applied.
    pub fn recall(&self, kept: Vec<KeptFault>) {
        self.0.book.lock().asked.recalled = kept;
    }

    /// The faults that resources ask for, in the order of the policy, and how each stands.
    #[must_use]
    pub fn asked(&self) -> Vec<AskedFault> {
        let book = self.0.book.lock();
        let (active, now_us) = (self.0.active.load(), self.0.clock.now_us());
        let standing = |state: State| match state {
            State::Begun { id, until_us } => {
                let lives = active.iter().any(|fault| state.lives_as(fault, now_us));
                if lives { FaultStanding::Active { id, until_us } } else { FaultStanding::Over }
            }
            State::Waiting => FaultStanding::Waiting,
            State::TooMany => FaultStanding::TooMany,
            State::Over => FaultStanding::Over,
        };
        let asked = |(key, state): &(RouteKey, State)| {
            let RouteKey { origin, route, kind, share, .. } = key.clone();
            AskedFault { origin, route, kind, share, standing: standing(*state) }
        };
        book.asked.faults.iter().map(asked).collect()
    }

    /// The kill switch was released: what had to wait for that begins.
    pub(super) fn begin_waiting(&self, book: &mut Book) {
        let mut faults = std::mem::take(&mut book.asked.faults);
        for (key, state) in &mut faults {
            if *state == State::Waiting {
                *state = self.begin_asked(book, key, TTL_ROUTE);
            }
        }
        book.asked.faults = faults;
    }

    fn begin_asked(&self, book: &mut Book, key: &RouteKey, ttl: Duration) -> State {
        if book.killed_us.is_some() {
            let name = &key.origin.name;
            let text = format!("{} of {name} waits: the kill switch is on", key.kind);
            book.said.push((None, text));
            return State::Waiting;
        }
        let until_us = self.0.clock.now_us().saturating_add(micros(ttl));
        match self.begin(book, key.spec(ttl)) {
            Ok(id) => State::Begun { id, until_us },
            Err(error) => {
                let name = &key.origin.name;
                book.said.push((None, format!("{} of {name} is not injected: {error}", key.kind)));
                State::TooMany
            }
        }
    }
}

impl State {
    const fn id(self) -> Option<FaultId> {
        match self {
            Self::Begun { id, .. } => Some(id),
            Self::Waiting | Self::TooMany | Self::Over => None,
        }
    }

    /// Whether this is it, and its time is not over: nobody may have swept yet.
    fn lives_as(self, fault: &Active, now_us: i64) -> bool {
        self.id() == Some(fault.id) && fault.until_us > now_us
    }
}

/// How long a fault may be active from now; none when it is over.
fn left(recalled: &[KeptFault], key: &RouteKey, now_us: i64) -> Option<Duration> {
    let is = |kept: &&KeptFault| **kept == key.kept(kept.until_us);
    let Some(until_us) = recalled.iter().find(is).and_then(|kept| kept.until_us) else {
        return Some(TTL_ROUTE);
    };
    let left = u64::try_from(until_us.saturating_sub(now_us)).ok().filter(|left| *left > 0)?;
    // A clock that was set back does not make it longer.
    Some(Duration::from_micros(left).min(TTL_ROUTE))
}

/// The faults a policy asks for, delay and abort apart: they are drawn independently.
fn wanted(policy: &Policy) -> Vec<RouteKey> {
    let routes = policy.virtual_hosts.iter().flat_map(|host| &host.routes);
    let mut wanted: Vec<RouteKey> = Vec::new();
    for route in routes.filter(|route| matches!(route.action, Action::Forward(_))) {
        let Some(fault) = &route.fault else { continue };
        let delay = fault.delay.map(|delay| (FaultKind::Delay(delay.delay), delay.share));
        let abort = fault.abort.map(|abort| {
            let (status, grpc_status) = (abort.status, abort.grpc_status);
            (FaultKind::Abort { status, grpc_status }, abort.share)
        });
        for (kind, share) in delay.into_iter().chain(abort).filter(|(_, s)| *s != Share::NONE) {
            let service = policy.service_of(&route.origin, &route.name).cloned();
            let (origin, route) = (route.origin.clone(), route.name.clone());
            let key = RouteKey { origin, route, kind, share, service };
            if !wanted.contains(&key) {
                wanted.push(key);
            }
        }
    }
    wanted
}
