//! Rates of the service map: who calls whom, how often, how slowly, how badly.

use super::{
    EdgeRates, MapRates, SECOND_US, SubsetRates, VersionRates,
    red::Red,
    window::{Counts, Durations, SECONDS, is_taken_back, second_of},
};
use crate::{
    ended::Facts,
    symbols::{MISSING, Symbols},
};
use contract::{
    live::{EdgeKind, RedPoint, SilentEdge},
    trace::SpanKind,
};
use std::collections::HashMap;

/// Edges kept. The shop has thirty; with more than this the map could not be read.
const EDGES_MAX: usize = 256;

/// Edges are asked for in this order of their kinds.
const KINDS: [EdgeKind; 3] = [EdgeKind::Call, EdgeKind::Message, EdgeKind::Commit];

/// Subsets of edges, and versions of services, kept. The shop has two dozen of each.
const SUBSETS_MAX: usize = 256;

type EdgeKey = (u16, u16, EdgeKind);
/// The word of a subset's name.
type Subset = u16;

/// In place of a subset: what no route sent to one.
const NO_SUBSET: Subset = MISSING;

#[derive(Debug)]
struct Traffic {
    counts: Counts,
    durations: Durations,
    last_second: i64,
}

impl Traffic {
    fn new() -> Self {
        Self { counts: Counts::new(), durations: Durations::new(), last_second: i64::MIN }
    }

    fn add(&mut self, second: i64, duration_us: u64, failed: bool) {
        self.counts.add(second, failed);
        self.durations.add(second, duration_us);
        self.last_second = match is_taken_back(self.last_second, second) {
            true => second,
            false => self.last_second.max(second),
        };
    }

    /// Over the window that ends now; none without calls in it.
    fn rates(&self, subset: String, now: i64, elapsed: f64) -> Option<SubsetRates> {
        let (calls, failed) = self.counts.total(now);
        (calls > 0).then(|| SubsetRates {
            subset,
            per_second: calls as f64 / elapsed,
            error_share: failed as f64 / calls as f64,
            p95_ms: self.durations.quantile_ms(0.95, now),
            p50_p99_ms: [0.5, 0.99].map(|share| self.durations.quantile_ms(share, now)),
            calls,
        })
    }
}

/// Everything the live page shows in numbers.
#[derive(Debug)]
pub(crate) struct Rates {
    started_us: i64,
    browser: u16,
    bus_name: u16,
    edges: HashMap<EdgeKey, Traffic>,
    /// What of an edge went to which subset of the callee.
    subsets: HashMap<(EdgeKey, Subset), Traffic>,
    /// What a subset of a service received from everybody, and a version of it: a route that names
    /// no subset has its calls under the versions of the instances that were chosen, and all
    /// together under [`NO_SUBSET`].
    versions: HashMap<(u16, Subset), Traffic>,
    /// From the bus to each consumer.
    deliveries: HashMap<u16, Traffic>,
    /// From recorded to handled, by consumer.
    lags: HashMap<u16, Durations>,
    /// Received by each service.
    nodes: HashMap<u16, Counts>,
    bus: Counts,
    lag: Durations,
    /// What each service was asked: requests, and messages it took.
    red: HashMap<u16, Red>,
    ignored_edges: u64,
}

impl Rates {
    /// The numbers of the browser and the bus have a meaning of their own.
    pub(crate) fn new(started_us: i64, [browser, bus_name]: [u16; 2]) -> Self {
        Self {
            started_us,
            browser,
            bus_name,
            edges: HashMap::new(),
            subsets: HashMap::new(),
            versions: HashMap::new(),
            deliveries: HashMap::new(),
            lags: HashMap::new(),
            nodes: HashMap::new(),
            bus: Counts::new(),
            lag: Durations::new(),
            red: HashMap::new(),
            ignored_edges: 0,
        }
    }

    pub(crate) fn observe(&mut self, facts: &Facts) {
        let second = second_of(facts.end_us);
        match facts.kind {
            SpanKind::Client => {
                if let Some(peer) = facts.peer {
                    let kind = match facts.in_transaction {
                        true => EdgeKind::Commit,
                        false => EdgeKind::Call,
                    };
                    self.edge((facts.service, peer, kind), facts);
                    self.version((facts.service, peer, kind), facts);
                }
            }
            SpanKind::Server => {
                self.received(facts.service, second, facts.failed);
                if facts.from_browser {
                    self.edge((self.browser, facts.service, EdgeKind::Call), facts);
                }
                self.red(facts);
            }
            SpanKind::Consumer => {
                self.received(facts.service, second, facts.failed);
                self.red(facts);
                if let Some(source) = facts.source {
                    self.edge((source, facts.service, EdgeKind::Message), facts);
                    self.bus.add(second, facts.failed);
                }
                if let Some(lag_us) = facts.lag_us {
                    self.lag.add(second, lag_us);
                    let lags = self.lags.entry(facts.service).or_insert_with(Durations::new);
                    lags.add(second, lag_us);
                }
            }
            SpanKind::Producer => {
                // Others only put messages into their outbox; the bus calls.
                if let (Some(peer), true) = (facts.peer, facts.service == self.bus_name) {
                    let delivered = self.deliveries.entry(peer).or_insert_with(Traffic::new);
                    delivered.add(second, facts.duration_us, facts.failed);
                    self.version((self.bus_name, peer, EdgeKind::Message), facts);
                }
            }
            SpanKind::Internal => {}
        }
    }

    /// The number of services is bounded by the table of symbols.
    fn received(&mut self, service: u16, second: i64, failed: bool) {
        let counts = self.nodes.entry(service).or_insert_with(Counts::new);
        counts.add(second, failed);
    }

    /// The same bound as of [`Self::received`].
    fn red(&mut self, facts: &Facts) {
        let Facts { service, end_us, duration_us, failed, trace, .. } = *facts;
        self.red.entry(service).or_default().observe(end_us, duration_us, failed, trace);
    }

    fn edge(&mut self, key: EdgeKey, facts: &Facts) {
        let second = second_of(facts.end_us);
        if self.edges.len() >= EDGES_MAX && !self.edges.contains_key(&key) {
            self.edges.retain(|_, edge| edge.last_second > second - SECONDS);
            if self.edges.len() >= EDGES_MAX {
                self.ignored_edges += 1;
                return;
            }
        }
        let traffic = self.edges.entry(key).or_insert_with(Traffic::new);
        traffic.add(second, facts.duration_us, facts.failed);
    }

    /// A call to a subset that a route named is one of the edge's; to a subset or not, it is one of
    /// the version's.
    fn version(&mut self, key: EdgeKey, facts: &Facts) {
        let second = second_of(facts.end_us);
        let bound = |old: i64| old > second - SECONDS;
        if let Some(subset) = facts.subset {
            if self.subsets.len() >= SUBSETS_MAX {
                self.subsets.retain(|_, traffic| bound(traffic.last_second));
            }
            if self.subsets.len() < SUBSETS_MAX || self.subsets.contains_key(&(key, subset)) {
                let traffic = self.subsets.entry((key, subset)).or_insert_with(Traffic::new);
                traffic.add(second, facts.duration_us, facts.failed);
            }
        }
        if self.versions.len() >= SUBSETS_MAX {
            self.versions.retain(|_, traffic| bound(traffic.last_second));
        }
        // A subset is mostly named like its version: then the call counts there once.
        let version = facts.version.filter(|version| Some(*version) != facts.subset);
        let named = facts.subset.unwrap_or(NO_SUBSET);
        for word in std::iter::once(named).chain(version) {
            let at = (key.1, word);
            if self.versions.len() < SUBSETS_MAX || self.versions.contains_key(&at) {
                let traffic = self.versions.entry(at).or_insert_with(Traffic::new);
                traffic.add(second, facts.duration_us, facts.failed);
            }
        }
    }

    /// Calls over edges beyond the bound.
    pub(crate) fn ignored_edges(&self) -> u64 {
        self.ignored_edges
    }

    /// The map over the window that ends now.
    pub(crate) fn map(&mut self, now_us: i64, symbols: &Symbols) -> MapRates {
        let now = second_of(now_us);
        // The running second counts as far as it has got.
        let window_start_us = (now - SECONDS + 1).saturating_mul(SECOND_US);
        // Started while the date was far ahead: longer ago than the window, as far as is known.
        let ahead = is_taken_back(second_of(self.started_us), now);
        let started_us = if ahead { window_start_us } else { self.started_us };
        let elapsed_us = now_us - window_start_us.max(started_us);
        let elapsed = (elapsed_us as f64 / SECOND_US as f64).clamp(1.0, SECONDS as f64);
        self.forget(now);
        let (bus, _) = self.bus.total(now);
        MapRates {
            // A second that has begun is one of them.
            window_seconds: elapsed.ceil() as u32,
            edges: self.edge_rates(now, elapsed, symbols),
            silent: self.silent_edges(now, symbols),
            deliveries: self.delivery_rates(now, elapsed, symbols),
            lags: self.lag_quantiles(now, symbols),
            versions: self.version_rates(now, elapsed, symbols),
            nodes: self.node_series(now, symbols),
            bus_per_second: bus as f64 / elapsed,
            bus_lag_p95_ms: self.lag.quantile_ms(0.95, now),
        }
    }

    fn forget(&mut self, now: i64) {
        self.lag.forget(now);
        self.lags.values_mut().for_each(|lags| lags.forget(now));
        let told_apart = self.subsets.values_mut().chain(self.versions.values_mut());
        for traffic in told_apart.chain(self.deliveries.values_mut()) {
            traffic.durations.forget(now);
        }
        for edge in self.edges.values_mut() {
            edge.durations.forget(now);
        }
    }

    fn edge_rates(&self, now: i64, elapsed: f64, symbols: &Symbols) -> Vec<EdgeRates> {
        let rates = |(key, traffic): (&EdgeKey, &Traffic)| {
            self.rates_of(*key, traffic, now, elapsed, symbols)
        };
        let mut edges: Vec<EdgeRates> = self.edges.iter().filter_map(rates).collect();
        let rank = |kind: EdgeKind| KINDS.iter().position(|k| *k == kind);
        edges.sort_by(|a, b| (&a.from, &a.to, rank(a.kind)).cmp(&(&b.from, &b.to, rank(b.kind))));
        edges
    }

    /// What is still known of edges that carried nothing in the window.
    fn silent_edges(&self, now: i64, symbols: &Symbols) -> Vec<SilentEdge> {
        let silent = self.edges.iter().filter(|(_, traffic)| traffic.last_second <= now - SECONDS);
        let view = |(&(from, to, kind), traffic): (&EdgeKey, &Traffic)| SilentEdge {
            from: symbols.service_name(from).as_ref().to_owned(),
            to: symbols.service_name(to).as_ref().to_owned(),
            kind,
            since_us: traffic.last_second.saturating_mul(SECOND_US),
        };
        let mut all: Vec<SilentEdge> = silent.map(view).collect();
        all.sort_by(|a, b| (&a.from, &a.to, a.since_us).cmp(&(&b.from, &b.to, b.since_us)));
        all
    }

    fn delivery_rates(&self, now: i64, elapsed: f64, symbols: &Symbols) -> Vec<EdgeRates> {
        let rates = |(to, traffic): (&u16, &Traffic)| {
            let key = (self.bus_name, *to, EdgeKind::Message);
            self.rates_of(key, traffic, now, elapsed, symbols)
        };
        let mut all: Vec<EdgeRates> = self.deliveries.iter().filter_map(rates).collect();
        all.sort_by(|a, b| a.to.cmp(&b.to));
        all
    }

    fn rates_of(
        &self,
        key: EdgeKey,
        traffic: &Traffic,
        now: i64,
        elapsed: f64,
        symbols: &Symbols,
    ) -> Option<EdgeRates> {
        let all = traffic.rates(String::new(), now, elapsed)?;
        let subset = |(&(of, word), traffic): (&(EdgeKey, Subset), &Traffic)| {
            let name = symbols.words.string(word).filter(|_| of == key)?;
            traffic.rates(name.as_ref().to_owned(), now, elapsed)
        };
        let mut subsets: Vec<SubsetRates> = self.subsets.iter().filter_map(subset).collect();
        subsets.sort_by(|a, b| a.subset.cmp(&b.subset));
        Some(EdgeRates {
            from: symbols.service_name(key.0).as_ref().to_owned(),
            to: symbols.service_name(key.1).as_ref().to_owned(),
            kind: key.2,
            per_second: all.per_second,
            error_share: all.error_share,
            p95_ms: all.p95_ms,
            p50_p99_ms: all.p50_p99_ms,
            calls: all.calls,
            subsets,
        })
    }

    fn lag_quantiles(&self, now: i64, symbols: &Symbols) -> Vec<(String, f64)> {
        let lag = |(&service, lags): (&u16, &Durations)| {
            let name = || symbols.service_name(service).as_ref().to_owned();
            lags.quantile_ms(0.95, now).map(|ms| (name(), ms))
        };
        let mut all: Vec<(String, f64)> = self.lags.iter().filter_map(lag).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn version_rates(&self, now: i64, elapsed: f64, symbols: &Symbols) -> Vec<VersionRates> {
        let version = |(&(service, word), traffic): (&(u16, Subset), &Traffic)| {
            let name = match word {
                NO_SUBSET => String::new(),
                word => symbols.words.string(word)?.as_ref().to_owned(),
            };
            Some(VersionRates {
                service: symbols.service_name(service).as_ref().to_owned(),
                rates: traffic.rates(name, now, elapsed)?,
                spark: traffic.counts.series(now),
            })
        };
        let mut all: Vec<VersionRates> = self.versions.iter().filter_map(version).collect();
        let place = |v: &VersionRates| (v.service.clone(), v.rates.subset.clone());
        all.sort_by_key(place);
        all
    }

    /// Whole past seconds only: the running one would always look like a dip.
    fn node_series(&self, now: i64, symbols: &Symbols) -> Vec<(String, Vec<f32>)> {
        let series = |(&service, counts): (&u16, &Counts)| {
            let series = counts.series(now);
            let name = || symbols.service_name(service).as_ref().to_owned();
            let alive = counts.at(now).calls > 0 || series.iter().any(|calls| *calls > 0.0);
            alive.then(|| (name(), series))
        };
        let mut nodes: Vec<(String, Vec<f32>)> = self.nodes.iter().filter_map(series).collect();
        nodes.sort_by(|a, b| a.0.cmp(&b.0));
        nodes
    }

    /// See [`Red::points`].
    pub(crate) fn red_points(&self, service: u16, from_us: i64, now_us: i64) -> Vec<RedPoint> {
        let nothing = Red::default();
        let red = self.red.get(&service).unwrap_or(&nothing);
        red.points(from_us, now_us, self.started_us)
    }

    /// See [`Red::at`].
    pub(crate) fn red_at(&self, service: u16, second: i64) -> RedPoint {
        self.red.get(&service).map_or_else(|| Red::default().at(second), |red| red.at(second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    struct World {
        symbols: Symbols,
        rates: Rates,
    }

    impl World {
        fn new() -> Self {
            let symbols = Symbols::new();
            let named = [names::BROWSER, contract::service::BUS];
            Self { rates: Rates::new(0, named.map(|name| symbols.service(name))), symbols }
        }

        fn facts(&self, service: &str, kind: SpanKind, end_us: i64) -> Facts {
            Facts {
                service: self.symbols.service(service),
                kind,
                end_us,
                duration_us: 2_000,
                failed: false,
                status: None,
                from_browser: false,
                in_transaction: false,
                peer: None,
                source: None,
                lag_us: None,
                route: None,
                method: None,
                topic: None,
                subset: None,
                version: None,
                trace: 1,
            }
        }

        fn map(&mut self, now_us: i64) -> MapRates {
            self.rates.map(now_us, &self.symbols)
        }
    }

    const NOON: i64 = 1_000 * SECOND_US;

    #[test]
    fn a_client_span_is_an_edge_from_its_service_to_the_address_it_calls() {
        let mut world = World::new();
        for n in 0..30 {
            let mut call = world.facts("gateway", SpanKind::Client, NOON - n * SECOND_US);
            call.peer = Some(world.symbols.service("orders"));
            call.failed = n < 3;
            world.rates.observe(&call);
        }
        let map = world.map(NOON + SECOND_US - 1);
        assert_eq!(map.window_seconds, 60);
        let [edge] = &map.edges[..] else { panic!("{map:?}") };
        assert_eq!((edge.from.as_str(), edge.to.as_str()), ("gateway", "orders"));
        assert_eq!((edge.kind, edge.calls), (EdgeKind::Call, 30));
        assert!((edge.per_second - 0.5).abs() < 0.001, "{edge:?}");
        assert!((edge.error_share - 0.1).abs() < 1e-9);
        assert!((edge.p95_ms.unwrap() - 2.0).abs() < 0.02);
        assert!(edge.p50_p99_ms.iter().all(Option::is_some));
    }

    #[test]
    fn calls_to_two_subsets_are_told_apart_on_their_edge_and_at_their_service() {
        // Given nine fast calls to v1, one slow and failed one to v2, and a message to v2,
        let mut world = World::new();
        let [v1, v2] = ["v1", "v2"].map(|name| world.symbols.words.number(name));
        for n in 0..10 {
            let mut call = world.facts("gateway", SpanKind::Client, NOON);
            call.peer = Some(world.symbols.service("payments"));
            let to_v2 = n == 9;
            call.subset = Some(if to_v2 { v2 } else { v1 });
            call.failed = to_v2;
            call.duration_us = if to_v2 { 2_000_000 } else { 4_000 };
            world.rates.observe(&call);
        }
        let mut message = world.facts("bus", SpanKind::Producer, NOON);
        message.peer = Some(world.symbols.service("payments"));
        message.subset = Some(v2);
        world.rates.observe(&message);
        // when the map is drawn,
        let map = world.map(NOON);
        // then the edge has both with their own numbers,
        let [edge] = &map.edges[..] else { panic!("{map:?}") };
        let of = |rates: &SubsetRates| (rates.subset.clone(), rates.calls, rates.error_share);
        let parts: Vec<_> = edge.subsets.iter().map(of).collect();
        assert_eq!(parts, [("v1".into(), 9, 0.0), ("v2".into(), 1, 1.0)]);
        assert!((edge.subsets[0].p95_ms.unwrap() - 4.0).abs() < 0.1);
        assert!((edge.subsets[1].p95_ms.unwrap() - 2_000.0).abs() < 20.0);
        // the version has the message too, and the bus its delivery.
        let versions: Vec<_> = map.versions.iter().map(|v| of(&v.rates)).collect();
        assert_eq!(versions, [("v1".into(), 9, 0.0), ("v2".into(), 2, 0.5)]);
        let [delivery] = &map.deliveries[..] else { panic!("{map:?}") };
        assert_eq!((delivery.to.as_str(), delivery.calls), ("payments", 1));
        assert_eq!(delivery.subsets.len(), 1);
    }

    #[test]
    fn calls_that_no_route_sent_to_a_subset_are_told_apart_by_the_version_that_took_them() {
        // Given three calls taken by v1, one slow and failed by v2, and one that no instance took,
        let mut world = World::new();
        let [v1, v2, stable] = ["v1", "v2", "stable"].map(|name| world.symbols.words.number(name));
        let calls = [Some(v1), Some(v1), Some(v1), Some(v2), None];
        for version in calls {
            let mut call = world.facts("gateway", SpanKind::Client, NOON);
            call.peer = Some(world.symbols.service("payments"));
            (call.version, call.failed) = (version, version != Some(v1));
            call.duration_us = if version == Some(v2) { 2_000_000 } else { 4_000 };
            world.rates.observe(&call);
        }
        // when the map is drawn,
        let map = world.map(NOON);
        // then the versions have their own, all of them stand together, and the edge stays whole.
        let of = |v: &VersionRates| (v.rates.subset.clone(), v.rates.calls, v.rates.error_share);
        let told: Vec<_> = map.versions.iter().map(of).collect();
        assert_eq!(told, [("".into(), 5, 0.4), ("v1".into(), 3, 0.0), ("v2".into(), 1, 1.0)]);
        assert!((map.versions[2].rates.p95_ms.unwrap() - 2_000.0).abs() < 20.0);
        assert!(map.edges[0].subsets.is_empty());
        // A subset that is named like its version counts a call once, another one beside it.
        for subset in [v1, stable] {
            let mut call = world.facts("gateway", SpanKind::Client, NOON);
            call.peer = Some(world.symbols.service("payments"));
            (call.version, call.subset) = (Some(v1), Some(subset));
            world.rates.observe(&call);
        }
        let counts: Vec<_> = world.map(NOON).versions.iter().map(|v| v.rates.calls).collect();
        assert_eq!(counts, [5, 1, 5, 1], "all without a subset, stable, v1, v2");
    }

    #[test]
    fn a_call_within_a_transaction_is_a_commit() {
        let mut world = World::new();
        let mut call = world.facts("payments", SpanKind::Client, NOON);
        call.peer = Some(world.symbols.service("bank-a"));
        call.in_transaction = true;
        world.rates.observe(&call);
        assert_eq!(world.map(NOON).edges[0].kind, EdgeKind::Commit);
    }

    #[test]
    fn a_request_of_the_browser_is_an_edge_and_a_point() {
        let mut world = World::new();
        let mut request = world.facts("gateway", SpanKind::Server, NOON);
        request.from_browser = true;
        world.rates.observe(&request);
        let map = world.map(NOON + SECOND_US);
        assert_eq!(map.edges[0].from, "browser");
        assert_eq!(map.edges[0].to, "gateway");
        let of = |name: &str| world.rates.red_at(world.symbols.service(name), 1_000).per_second;
        assert_eq!((of("gateway"), of("orders")), (1.0, 0.0));
        let (name, series) = &map.nodes[0];
        assert_eq!((name.as_str(), series.len()), ("gateway", 60));
        assert_eq!(series.last(), Some(&1.0));
    }

    #[test]
    fn a_handled_message_is_an_edge_from_its_producer_and_feeds_the_bus() {
        let mut world = World::new();
        for lag_ms in 1..=100 {
            let mut message = world.facts("inventory", SpanKind::Consumer, NOON);
            message.source = Some(world.symbols.service("orders"));
            message.lag_us = Some(lag_ms * 1_000);
            world.rates.observe(&message);
        }
        let map = world.map(NOON);
        assert_eq!(map.edges[0].kind, EdgeKind::Message);
        assert_eq!((map.edges[0].from.as_str(), map.edges[0].calls), ("orders", 100));
        assert!((map.bus_lag_p95_ms.unwrap() - 95.0).abs() < 1.0);
        let [(consumer, lag)] = &map.lags[..] else { panic!("{map:?}") };
        assert!(consumer == "inventory" && (lag - 95.0).abs() < 1.0);
        assert!(map.bus_per_second > 1.0);
    }

    #[test]
    fn right_after_a_start_rates_are_taken_over_the_time_since() {
        let mut world = World::new();
        world.rates.started_us = NOON;
        for _ in 0..20 {
            let mut call = world.facts("gateway", SpanKind::Client, NOON + SECOND_US);
            call.peer = Some(world.symbols.service("orders"));
            world.rates.observe(&call);
        }
        let map = world.map(NOON + 2 * SECOND_US);
        assert_eq!(map.window_seconds, 2);
        assert_eq!(world.map(NOON + 300 * SECOND_US + SECOND_US / 4).window_seconds, 60);
        assert!((map.edges[0].per_second - 10.0).abs() < 1e-9);
    }

    #[test]
    fn an_edge_leaves_the_map_when_its_window_has_passed() {
        let mut world = World::new();
        let mut call = world.facts("gateway", SpanKind::Client, NOON);
        call.peer = Some(world.symbols.service("orders"));
        world.rates.observe(&call);
        assert_eq!(world.map(NOON + 59 * SECOND_US).edges.len(), 1);
        let later = world.map(NOON + 60 * SECOND_US);
        assert!(later.edges.is_empty());
        assert!(world.map(NOON + 61 * SECOND_US).nodes.is_empty());
        // It is remembered that there was something, and when.
        let [silent] = &later.silent[..] else { panic!("{later:?}") };
        assert_eq!((silent.from.as_str(), silent.to.as_str()), ("gateway", "orders"));
        assert_eq!(silent.since_us, NOON);
        assert!(world.map(NOON + 59 * SECOND_US).silent.is_empty());
    }

    #[test]
    fn edges_beyond_the_bound_are_counted_and_old_ones_make_room() {
        let mut world = World::new();
        let call = |world: &World, from: u16, end_us| {
            let mut call = world.facts("gateway", SpanKind::Client, end_us);
            (call.service, call.peer) = (from, Some(from));
            call
        };
        for from in 0..300 {
            let facts = call(&world, from, NOON);
            world.rates.observe(&facts);
        }
        assert_eq!(world.rates.edges.len(), EDGES_MAX);
        assert_eq!(world.rates.ignored_edges(), 300 - EDGES_MAX as u64);
        let facts = call(&world, 1_000, NOON + 61 * SECOND_US);
        world.rates.observe(&facts);
        assert_eq!(world.rates.edges.len(), 1);
    }
}
