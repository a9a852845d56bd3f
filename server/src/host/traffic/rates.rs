//! Counters of the last minute: what the mesh has counted now, less what it had counted then.
//!
//! Counters grow for as long as a revision or an instance is there; a rate is over the window of
//! samples that the live feed takes, never over the life of a counter.

use crate::live::Minute;
use contract::traffic::{RuleHits, ShareSeen};
use mesh::{RouteHits, inbound::InboundStats, mirror::MirrorStats};

/// Two moments of the mesh's counters.
pub(super) struct Window {
    pub(super) before: Minute,
    pub(super) now: Minute,
}

impl Window {
    fn seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a minute")]
        let seconds = (self.now.at_us - self.before.at_us) as f64 / 1e6;
        seconds.max(1.0)
    }

    fn per_second(&self, count: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "requests of a minute")]
        let count = count as f64;
        count / self.seconds()
    }

    /// Counts of a rule over the window. Each revision counts for itself, so one that took force
    /// within the window takes nothing from what was counted under the one before.
    fn of_rule(&self, rule: &RouteHits, count: &dyn Fn(&RouteHits) -> u64) -> u64 {
        let same = |hits: &&RouteHits| hits.origin == rule.origin && hits.name == rule.name;
        let grown = |now: &RouteHits| {
            let before = self.before.hits.iter().filter(same);
            let before = before.filter(|hits| hits.revision == now.revision).map(count).sum();
            count(now).saturating_sub(before)
        };
        self.now.hits.iter().filter(same).map(grown).sum()
    }

    /// One rule of the revision in force.
    pub(super) fn rule(&self, rule: &RouteHits) -> RuleHits {
        let in_force = |hits: &RouteHits| hits.revision == rule.revision;
        let to = |hits: &RouteHits, at: usize| {
            let wanted = &rule.shares[at];
            let here = hits.shares.iter().filter(|share| {
                (&share.service, &share.subset) == (&wanted.service, &wanted.subset)
            });
            here.map(|share| share.requests).sum::<u64>()
        };
        let under_these =
            |at| self.of_rule(rule, &|hits| if in_force(hits) { to(hits, at) } else { 0 });
        let all: u64 = (0..rule.shares.len()).map(under_these).sum();
        let share = |at: usize| ShareSeen {
            host: rule.shares[at].service.to_string(),
            subset: rule.shares[at].subset.as_deref().unwrap_or_default().to_owned(),
            per_second: self.per_second(self.of_rule(rule, &|hits| to(hits, at))),
            observed: ratio(under_these(at), all),
            of: all,
            band: wilson(under_these(at), all),
        };
        RuleHits {
            service: super::documents::title(&rule.origin.namespace, &rule.origin.name),
            rule: rule.name.to_string(),
            hits: rule.hits,
            per_second: self.per_second(self.of_rule(rule, &|hits| hits.hits)),
            shares: (0..rule.shares.len()).map(share).collect(),
        }
    }

    /// Requests that local rate limits of a service refused, and all that they saw per second.
    pub(super) fn limited(&self, service: &str) -> (u64, f64) {
        let count = |of: fn(&InboundStats) -> u64| -> u64 {
            let now = self.now.inbound.iter().filter(|stats| *stats.service == *service);
            now.map(|now| {
                let same = |old: &&InboundStats| {
                    (&old.service, &old.instance) == (&now.service, &now.instance)
                };
                let before = self.before.inbound.iter().find(same).map_or(0, of);
                // An instance that came back under its name counts anew.
                of(now).checked_sub(before).unwrap_or_else(|| of(now))
            })
            .sum()
        };
        let seen = count(|stats| stats.passed + stats.rate_limited);
        (count(|stats| stats.rate_limited), self.per_second(seen))
    }

    /// Mirrored answers that differed from the live ones, and those compared.
    pub(super) fn mirrored(&self, is_ours: &dyn Fn(&MirrorStats) -> bool) -> (u64, u64) {
        let count = |of: fn(&MirrorStats) -> u64| -> u64 {
            let now = self.now.mirrors.iter().filter(|stats| is_ours(stats));
            now.map(|now| {
                let same = |old: &&MirrorStats| {
                    (&old.origin, &old.route, &old.service, &old.subset, old.share)
                        == (&now.origin, &now.route, &now.service, &now.subset, now.share)
                };
                let before = self.before.mirrors.iter().find(same).map_or(0, of);
                of(now).checked_sub(before).unwrap_or_else(|| of(now))
            })
            .sum()
        };
        (count(|stats| stats.different), count(|stats| stats.same + stats.different))
    }
}

/// The 0.975 quantile of the normal distribution: 95 % lie between it and its negative.
const Z_95: f64 = 1.959_963_984_540_054;

/// The 95 % confidence band of a share, by Wilson's score interval: unlike the textbook's one it
/// holds for few requests and for shares near 0 and 1.
#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
fn wilson(part: u64, whole: u64) -> Option<(f64, f64)> {
    let (n, share) = (whole as f64, ratio(part, whole)?);
    let z2 = Z_95 * Z_95;
    let middle = share + z2 / (2.0 * n);
    let reach = Z_95 * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z2 / n;
    Some((((middle - reach) / whole).max(0.0), ((middle + reach) / whole).min(1.0)))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Minute;
    use istio::policy::{Origin, Share};
    use mesh::DestinationShare;

    const SECOND: i64 = 1_000_000;

    fn origin() -> Origin {
        Origin { kind: "VirtualService".into(), namespace: "default".into(), name: "p".into() }
    }

    /// A rule that sent `v1` and `v2` so many requests under a revision.
    fn hits(revision: u64, weights: [u32; 2], requests: [u64; 2]) -> RouteHits {
        let share = |at: usize, subset: &str| DestinationShare {
            service: "payments".into(),
            subset: Some(subset.into()),
            weight: weights[at],
            requests: requests[at],
        };
        RouteHits {
            revision,
            origin: origin(),
            name: "default".into(),
            line: 9,
            hits: requests.iter().sum(),
            shares: vec![share(0, "v1"), share(1, "v2")],
        }
    }

    fn inbound(instance: &str, passed: u64, rate_limited: u64) -> InboundStats {
        InboundStats {
            service: "payments".into(),
            instance: instance.into(),
            passed,
            bad_token: 0,
            denied: 0,
            rate_limited,
            over_limit: rate_limited,
        }
    }

    fn window(before: Minute, now: Minute) -> Window {
        let before = Minute { at_us: 100 * SECOND, ..before };
        Window { before, now: Minute { at_us: 160 * SECOND, ..now } }
    }

    #[test]
    fn a_rate_is_over_the_minute_and_goes_on_through_two_applies() {
        let before = vec![hits(1, [90, 10], [900, 100])];
        let now = vec![
            hits(3, [50, 50], [30, 30]),
            hits(2, [80, 20], [40, 10]),
            hits(1, [90, 10], [909, 101]),
        ];
        let of = |hits| Minute { hits, ..Minute::default() };
        let seen = window(of(before), of(now.clone())).rule(&now[0]);
        assert_eq!((seen.hits, seen.per_second), (60, 2.0), "60 + 50 + 10 in a minute");
        let rates: Vec<_> = seen.shares.iter().map(|share| share.per_second * 60.0).collect();
        assert_eq!(rates, [79.0, 41.0]);
        let observed: Vec<_> = seen.shares.iter().map(|share| share.observed).collect();
        assert_eq!(observed, [Some(0.5), Some(0.5)], "only what met these weights");
    }

    #[test]
    fn a_minute_without_requests_is_no_rate_however_many_there_were_before() {
        let same = || Minute { hits: vec![hits(1, [1, 1], [5_000, 5_000])], ..Minute::default() };
        let seen = window(same(), same()).rule(&same().hits[0]);
        assert_eq!((seen.hits, seen.per_second, seen.shares[0].observed), (10_000, 0.0, None));
    }

    #[test]
    fn the_band_is_that_of_wilson() {
        // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in
        // Medicine 17 (1998), table I, method 3.
        let published = [
            ((81, 263), (0.2553, 0.3662)),
            ((15, 148), (0.0624, 0.1605)),
            ((0, 20), (0.0, 0.1611)),
            ((1, 29), (0.0061, 0.1718)),
        ];
        for ((part, whole), (low, high)) in published {
            let band = wilson(part, whole).unwrap();
            assert!((band.0 - low).abs() < 5e-5 && (band.1 - high).abs() < 5e-5, "{band:?}");
        }
        assert_eq!(wilson(20, 20).map(|band| band.1), Some(1.0));
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn the_band_is_over_the_requests_that_met_the_weights_in_force() {
        let before = vec![hits(1, [90, 10], [900, 100])];
        let now = vec![hits(2, [80, 20], [133, 15]), hits(1, [90, 10], [990, 110])];
        let of = |hits| Minute { hits, ..Minute::default() };
        let seen = window(of(before), of(now.clone())).rule(&now[0]);
        assert_eq!((seen.shares[1].of, seen.shares[1].band), (148, wilson(15, 148)));
    }

    #[test]
    fn refusals_are_those_of_the_minute_also_of_an_instance_that_came_back() {
        let of = |inbound| Minute { inbound, ..Minute::default() };
        let before = of(vec![inbound("payments-0", 1_000, 500), inbound("payments-1", 80, 40)]);
        let now = of(vec![inbound("payments-0", 1_060, 560), inbound("payments-1", 2, 1)]);
        assert_eq!(window(before, now).limited("payments"), (61, 123.0 / 60.0));
    }

    #[test]
    fn mirrored_answers_that_differed_are_those_of_the_minute() {
        let stats = |same, different| MirrorStats {
            origin: origin(),
            route: "default".into(),
            service: "payments".into(),
            subset: None,
            share: Share::ALL,
            requests: 0,
            mirrored: 0,
            same,
            different,
            failed: 0,
            dropped: 0,
        };
        let of = |stats| Minute { mirrors: vec![stats], ..Minute::default() };
        let window = window(of(stats(70, 30)), of(stats(75, 33)));
        assert_eq!(window.mirrored(&|stats| stats.origin == origin()), (3, 8));
        assert_eq!(window.mirrored(&|_| false), (0, 0));
    }
}
