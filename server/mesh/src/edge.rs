//! What each layer did on one edge of the map, in stack order: the strip of the Resilience page.
//!
//! Counts only; what happened to a single call is on its span.

use crate::{
    inbound::{Outbound, OutboundStats},
    stack::LAYERS,
};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// Counters of one layer on one edge.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    reached: AtomicU64,
    acted: AtomicU64,
}

impl Tally {
    /// A request (or a try, inside the retries) came to the layer.
    pub(crate) fn reach(&self) {
        self.reached.fetch_add(1, Ordering::Relaxed);
    }

    /// The layer did what it is there for.
    pub(crate) fn act(&self) {
        self.acted.fetch_add(1, Ordering::Relaxed);
    }
}

/// What one layer did on one edge since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerCount {
    /// Name of the layer.
    pub layer: &'static str,
    /// Requests that came to it; inside the retries every try counts.
    pub reached: u64,
    /// How often it acted: redirected, cut, refused, copied, retried, injected, ejected, failed.
    pub acted: u64,
}

/// One edge: a caller and a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeStatus {
    /// Who calls.
    pub caller: Arc<str>,
    /// Who is called.
    pub destination: Arc<str>,
    /// In stack order, outer to inner.
    pub layers: Vec<LayerCount>,
}

/// The tallies of one edge, in the order of [`LAYERS`].
#[derive(Debug)]
pub(crate) struct Edge {
    caller: Arc<str>,
    destination: Arc<str>,
    tallies: [Arc<Tally>; LAYERS.len()],
    /// Made when the first limit of its calls is there.
    outbound: OnceLock<Outbound>,
}

impl Edge {
    pub(crate) fn new(caller: Arc<str>, destination: Arc<str>) -> Self {
        let tallies = std::array::from_fn(|_| Arc::default());
        Self { caller, destination, tallies, outbound: OnceLock::new() }
    }

    pub(crate) fn caller(&self) -> &str {
        &self.caller
    }

    /// The limits of its calls, if they leave the mesh.
    pub(crate) fn outbound(&self, fresh: impl FnOnce() -> Outbound) -> &Outbound {
        self.outbound.get_or_init(fresh)
    }

    /// What they refused, if there were any.
    pub(crate) fn outbound_stats(&self) -> Option<OutboundStats> {
        let limits = self.outbound.get()?;
        Some(limits.stats(self.caller.clone(), self.destination.clone()))
    }

    /// The tally of the layer of that name; of a name that is no layer, one that nobody reads.
    pub(crate) fn tally(&self, layer: &str) -> Arc<Tally> {
        let at = LAYERS.iter().position(|known| known.name == layer);
        debug_assert!(at.is_some(), "{layer} is in LAYERS");
        at.map(|at| self.tallies[at].clone()).unwrap_or_default()
    }

    /// A request came through span and route; a rule said where it goes.
    pub(crate) fn routed(&self, by_rule: bool) {
        for tally in &self.tallies[..2] {
            tally.reach();
        }
        if by_rule {
            self.tallies[1].act();
        }
    }

    pub(crate) fn status(&self) -> EdgeStatus {
        let layers = LAYERS.iter().zip(&self.tallies).map(|(layer, tally)| LayerCount {
            layer: layer.name,
            reached: tally.reached.load(Ordering::Relaxed),
            acted: tally.acted.load(Ordering::Relaxed),
        });
        EdgeStatus {
            caller: self.caller.clone(),
            destination: self.destination.clone(),
            layers: layers.collect(),
        }
    }
}
