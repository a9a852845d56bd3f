//! Choosing one of several instances, each caller for itself.

use super::{Table, warmup};
use crate::instance::Host;
use base::IdSource;
use istio::policy::{LoadBalancer, Warmup};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Where the choices of one caller at one cluster stand.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) dice: IdSource,
    turn: AtomicUsize,
    /// The standing of each host by id in a round robin whose weights differ.
    standings: Mutex<Vec<(u64, f64)>>,
}

/// Whom to choose from, and by what.
pub(crate) struct Choice<'a> {
    pub(crate) balancer: &'a LoadBalancer,
    pub(crate) warmup: Option<&'a Warmup>,
    /// Who may be chosen.
    pub(crate) hosts: &'a [Arc<Host>],
    /// Those and the ones that this call has tried already: whose turns a round robin takes.
    pub(crate) healthy: &'a [Arc<Host>],
    /// All members, which the table names by index.
    pub(crate) members: &'a [Arc<Host>],
    pub(crate) table: Option<&'a Table>,
    pub(crate) hash: Option<u64>,
    pub(crate) now_us: i64,
}

impl Balancer {
    /// With random choices from this sequence.
    pub(crate) fn new(dice: IdSource) -> Self {
        Self { dice, turn: AtomicUsize::new(0), standings: Mutex::default() }
    }

    /// One of the hosts; none if there are none.
    pub(crate) fn pick(&self, choice: &Choice<'_>) -> Option<Arc<Host>> {
        let hosts = choice.hosts;
        if hosts.len() <= 1 {
            return hosts.first().cloned();
        }
        let at = match choice.balancer {
            LoadBalancer::Random => self.any(hosts.len()),
            LoadBalancer::RoundRobin => match choice.weights() {
                None => return self.next_in_turn(choice),
                Some(weights) => self.smooth(choice, &weights),
            },
            LoadBalancer::LeastRequest => match choice.weights() {
                None => self.less_busy_of_two(hosts),
                Some(weights) => self.by_weight(hosts, &weights),
            },
            LoadBalancer::ConsistentHash { .. } => {
                let found = choice.table.zip(choice.hash).and_then(|(table, hash)| {
                    let found = table.find(hash, |host| choice.may(host))?;
                    choice.members.get(found as usize)
                });
                return found.cloned().or_else(|| hosts.get(self.any(hosts.len())).cloned());
            }
        };
        hosts.get(at).cloned()
    }

    /// The next in turn who may be chosen. As in Envoy a retry goes on with the turns of all, and
    /// each turn of one that it has tried is over by that. With turns among the others alone, one
    /// host would get most retries and another, next to one that fails, hardly any request.
    fn next_in_turn(&self, choice: &Choice<'_>) -> Option<Arc<Host>> {
        let all = choice.healthy;
        let every = choice.hosts.len() == all.len();
        let may = |host: &&Arc<Host>| every || choice.hosts.iter().any(|may| may.id == host.id);
        let turn = |_| all.get(self.turn.fetch_add(1, Ordering::Relaxed) % all.len());
        // While others take turns too it may get only those it must pass over.
        let found = (0..all.len()).filter_map(turn).find(may);
        found.or_else(|| choice.hosts.first()).cloned()
    }

    fn any(&self, count: usize) -> usize {
        self.dice.below(count as u64) as usize
    }

    /// Two at random, the one with fewer requests under way; of equals the first drawn.
    fn less_busy_of_two(&self, hosts: &[Arc<Host>]) -> usize {
        let (one, other) = (self.any(hosts.len()), self.any(hosts.len()));
        if hosts[other].active() < hosts[one].active() { other } else { one }
    }

    /// At random, by weight over requests under way: what Envoy's least request does when weights
    /// differ.
    fn by_weight(&self, hosts: &[Arc<Host>], weights: &[f64]) -> usize {
        let of = |(host, weight): (&Arc<Host>, &f64)| weight / f64::from(host.active() + 1);
        let sum: f64 = hosts.iter().zip(weights).map(of).sum();
        let mut left = self.dice.unit() * sum;
        let past = hosts.iter().zip(weights).map(of).position(|weight| {
            left -= weight;
            left < 0.0
        });
        past.unwrap_or(hosts.len() - 1)
    }

    /// Smooth weighted round robin with weights that change from turn to turn. Who may not be
    /// chosen this time keeps its standing.
    fn smooth(&self, choice: &Choice<'_>, weights: &[f64]) -> usize {
        let hosts = choice.hosts;
        let mut standings = self.standings.lock();
        standings.retain(|(id, _)| choice.healthy.iter().any(|host| host.id == *id));
        let mut best = (0, f64::MIN);
        for (at, (host, weight)) in hosts.iter().zip(weights).enumerate() {
            let known = standings.iter().position(|(id, _)| *id == host.id);
            let slot = known.unwrap_or_else(|| {
                standings.push((host.id, 0.0));
                standings.len() - 1
            });
            standings[slot].1 += weight;
            if standings[slot].1 > best.1 {
                best = (at, standings[slot].1);
            }
        }
        let sum: f64 = weights.iter().sum();
        if let Some((_, standing)) = standings.iter_mut().find(|(id, _)| *id == hosts[best.0].id) {
            *standing -= sum;
        }
        best.0
    }
}

impl Choice<'_> {
    /// The weight of each host; none when all are full, which is mostly so.
    fn weights(&self) -> Option<Vec<f64>> {
        let warmup = self.warmup?;
        let of = |host: &Arc<Host>| warmup::weight(warmup, host.since_us(), self.now_us);
        let weights: Vec<f64> = self.hosts.iter().map(of).collect();
        weights.iter().any(|weight| *weight < 1.0).then_some(weights)
    }

    /// Whether the member of that index may be chosen.
    fn may(&self, member: u32) -> bool {
        if self.hosts.len() == self.members.len() {
            return true;
        }
        let member = self.members.get(member as usize);
        member.is_some_and(|member| self.hosts.iter().any(|host| host.id == member.id))
    }
}

#[cfg(test)]
#[path = "pick_tests.rs"]
mod tests;
