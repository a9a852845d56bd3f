//! How choices are spread: exact where the policy is, within the bounds of chance where it draws.
//! Draws are seeded, so that a run is always the same.

use super::*;
use crate::{Endpoint, Instance};
use axum::Router;
use std::{collections::BTreeMap, time::Duration};

const SECOND: i64 = 1_000_000;

/// Hosts that have so many requests under way, the first one there since the given second.
fn hosts(busy: &[u32], first_since_s: i64) -> Vec<Arc<Host>> {
    let host = |(id, active): (u64, &u32)| {
        let instance = Instance {
            service: "a".into(),
            name: format!("a-{id}"),
            labels: Vec::new(),
            endpoint: Endpoint::Router(Router::new()),
        };
        let since_us = if id == 0 { first_since_s * SECOND } else { 0 };
        let host = Host::new(id, instance, since_us);
        host.busy_with(*active);
        Arc::new(host)
    };
    (0..).zip(busy).map(host).collect()
}

struct World {
    balancer: Balancer,
    hosts: Vec<Arc<Host>>,
    policy: LoadBalancer,
    warmup: Option<Warmup>,
    now_s: i64,
}

impl World {
    fn new(policy: LoadBalancer, busy: &[u32]) -> Self {
        let balancer = Balancer::new(IdSource::seeded(20_261_128));
        Self { balancer, hosts: hosts(busy, 0), policy, warmup: None, now_s: 0 }
    }

    /// The first host is as old as said, the others are old; full weight after 100 s.
    fn warming(policy: LoadBalancer, busy: &[u32], age_s: i64) -> Self {
        let warmup =
            Warmup { duration: Duration::from_secs(100), minimum_percent: 10.0, aggression: 1.0 };
        let hosts = hosts(busy, 1_000 - age_s);
        Self { hosts, warmup: Some(warmup), now_s: 1_000, ..Self::new(policy, busy) }
    }

    fn pick(&self) -> usize {
        let host = self.balancer.pick(&Choice {
            balancer: &self.policy,
            warmup: self.warmup.as_ref(),
            hosts: &self.hosts,
            healthy: &self.hosts,
            members: &self.hosts,
            table: None,
            hash: None,
            now_us: self.now_s * SECOND,
        });
        usize::try_from(host.unwrap().id).unwrap()
    }

    /// The shares of so many picks.
    fn shares(&self, picks: u32) -> Vec<f64> {
        let mut counts = BTreeMap::<usize, u32>::new();
        (0..picks).for_each(|_| *counts.entry(self.pick()).or_default() += 1);
        let count = |at| counts.get(&at).copied().unwrap_or(0);
        (0..self.hosts.len()).map(|at| f64::from(count(at)) / f64::from(picks)).collect()
    }

    /// Whether the shares of 20,000 picks are within four standard deviations of these.
    #[track_caller]
    fn draws(&self, expected: &[f64]) {
        const PICKS: u32 = 20_000;
        let shares = self.shares(PICKS);
        for (share, expected) in shares.iter().zip(expected) {
            let deviation = (expected * (1.0 - expected) / f64::from(PICKS)).sqrt();
            assert!((share - expected).abs() <= 4.0 * deviation, "{shares:?} for {expected}");
        }
    }
}

#[test]
fn round_robin_gives_each_of_any_number_of_instances_exactly_as_many() {
    for count in 1..=9 {
        let world = World::new(LoadBalancer::RoundRobin, &vec![7; count]);
        let rounds: Vec<_> = (0..count * 5).map(|_| world.pick()).collect();
        let turn: Vec<_> = (0..count).collect();
        assert!(rounds.chunks(count).all(|round| round == turn), "{count}: {rounds:?}");
    }
}

#[test]
fn round_robin_is_exact_although_many_call_at_once() {
    let world = World::new(LoadBalancer::RoundRobin, &[0; 5]);
    let counts: [AtomicUsize; 5] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    counts[world.pick()].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(counts.map(|count| count.into_inner()), [200; 5]);
}

#[test]
fn random_is_even_whatever_is_under_way() {
    World::new(LoadBalancer::Random, &[0, 50, 3, 0, 9]).draws(&[0.2; 5]);
}

#[test]
fn least_request_takes_the_less_busy_of_two_draws() {
    // With replacement, as Envoy draws: the busiest of three only if both draws are it.
    let share = |better: f64| ((better + 1.0) / 3.0).powi(2) - (better / 3.0).powi(2);
    let expected = [share(1.0), share(2.0), share(0.0)];
    World::new(LoadBalancer::LeastRequest, &[4, 1, 9]).draws(&expected);
    assert!((expected[1] - 5.0 / 9.0).abs() < 1e-9 && (expected[2] - 1.0 / 9.0).abs() < 1e-9);
}

#[test]
fn least_request_is_even_among_those_that_are_as_busy() {
    World::new(LoadBalancer::LeastRequest, &[3; 4]).draws(&[0.25; 4]);
}

#[test]
fn a_new_instance_gets_a_share_that_grows_with_its_age() {
    for (age_s, weight) in [(0, 0.1), (25, 0.25), (50, 0.5), (75, 0.75), (100, 1.0)] {
        let share = weight / (weight + 2.0);
        let others = (1.0 - share) / 2.0;
        let turns = World::warming(LoadBalancer::RoundRobin, &[0; 3], age_s).shares(8_400);
        // Smooth: in the long run exact to one turn.
        assert!((turns[0] - share).abs() < 1.0 / 8_000.0, "{age_s} s: {turns:?} for {share}");
        let least = World::warming(LoadBalancer::LeastRequest, &[0; 3], age_s);
        least.draws(&[share, others, others]);
    }
}

#[test]
fn least_request_weighs_what_is_under_way_while_one_is_new() {
    // 0.5 over 0 + 1 requests, and twice 1 over 1 + 1.
    let world = World::warming(LoadBalancer::LeastRequest, &[0, 1, 1], 50);
    world.draws(&[1.0 / 3.0; 3]);
}
