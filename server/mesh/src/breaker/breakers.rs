//! All breakers of the mesh, by edge, and the commands that overrule or change one.

use super::{
    machine::{BadForce, Breaker, BreakerEdge, BreakerStatus, Forced},
    state::BreakerParams,
    what_if::WhatIf,
};
use crate::changes::{Announcer, Healing};
use base::Clock;
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// All breakers. Clones are the same.
#[derive(Clone, Debug)]
pub struct Breakers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    params: BreakerParams,
    announcer: Announcer,
    healing: Healing,
    /// Callers, services and subsets are those of the program and of the policy in force: what is
    /// gone from there is taken out here.
    edges: RwLock<BTreeMap<BreakerEdge, Arc<Breaker>>>,
}

impl Breakers {
    /// No breakers yet; each begins with these parameters.
    pub(crate) fn new(
        clock: Clock,
        params: BreakerParams,
        announcer: Announcer,
        healing: Healing,
    ) -> Self {
        Self(Arc::new(Inner { clock, params, announcer, healing, edges: RwLock::default() }))
    }

    /// Every breaker that was ever asked, as it is now, in the order of its edges. What comes from
    /// outside, only looks or is a copy asks none (`layer`): forced open it would stop nothing.
    #[must_use]
    pub fn all(&self) -> Vec<BreakerStatus> {
        let edges = self.0.edges.read();
        edges.values().filter(|breaker| breaker.was_asked()).map(|asked| asked.status()).collect()
    }

    /// Overrules a breaker for `ttl`; afterwards it goes on where it was. False when there is no
    /// such breaker.
    ///
    /// # Errors
    /// When `ttl` is 0 or longer than [`super::FORCE_MAX`].
    pub fn force(
        &self,
        edge: &BreakerEdge,
        to: Forced,
        ttl: Duration,
        by: &str,
    ) -> Result<bool, BadForce> {
        let known = self.known(edge);
        known.map_or(Ok(false), |breaker| breaker.force(to, ttl, by).map(|()| true))
    }

    /// Lifts a force before its time. False when there was none.
    pub fn unforce(&self, edge: &BreakerEdge, by: &str) -> bool {
        self.known(edge).is_some_and(|breaker| breaker.unforce(by))
    }

    /// Closes a breaker and forgets its failures. False when there is no such breaker.
    pub fn reset(&self, edge: &BreakerEdge, by: &str) -> bool {
        self.known(edge).map(|breaker| breaker.reset(by)).is_some()
    }

    /// Sets the parameters of one breaker. False when there is no such breaker.
    pub fn set_params(&self, edge: &BreakerEdge, params: BreakerParams, by: &str) -> bool {
        self.known(edge).map(|breaker| breaker.set_params(params, by)).is_some()
    }

    /// What a breaker would have done with its recorded calls under other parameters. None when
    /// there is no such breaker.
    #[must_use]
    pub fn what_if(&self, edge: &BreakerEdge, params: &BreakerParams) -> Option<WhatIf> {
        self.known(edge).map(|breaker| breaker.what_if(params))
    }

    fn known(&self, edge: &BreakerEdge) -> Option<Arc<Breaker>> {
        self.0.edges.read().get(edge).filter(|breaker| breaker.was_asked()).cloned()
    }

    /// The breaker of an edge, made now if it is new.
    pub(crate) fn breaker(&self, edge: BreakerEdge) -> Arc<Breaker> {
        if let Some(breaker) = self.0.edges.read().get(&edge) {
            return breaker.clone();
        }
        let new = |edge: &BreakerEdge| self.unkept(edge.clone());
        self.0.edges.write().entry(edge).or_insert_with_key(new).clone()
    }

    /// A breaker for a call over an edge that no longer exists.
    pub(crate) fn unkept(&self, edge: BreakerEdge) -> Arc<Breaker> {
        let Inner { clock, params, announcer, healing, .. } = &*self.0;
        let (announcer, healing) = (announcer.clone(), healing.clone());
        Arc::new(Breaker::new(edge, *params, clock.clone(), announcer, healing))
    }

    /// Ends the forces whose time is over.
    pub(crate) fn sweep(&self) {
        self.0.edges.read().values().for_each(|breaker| breaker.sweep());
    }

    /// How many are kept, asked or not.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.0.edges.read().len()
    }

    /// Forgets the breakers of edges that no longer exist.
    pub(crate) fn retain(&self, exists: impl Fn(&BreakerEdge) -> bool) {
        self.0.edges.write().retain(|edge, _| exists(edge));
    }
}
