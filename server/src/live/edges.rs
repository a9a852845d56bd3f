//! Edges of the map: what telemetry counted, with the breakers that watch it.

use contract::{
    live::{BreakerView, DeliveryView, EdgeKind, EdgeView, SubsetEdge},
    service::{BUS, GATEWAY, RECOMMENDATIONS},
};
use mesh::{
    BreakerStatus,
    breaker::{BreakerState, Forced},
};
use telemetry::{EdgeRates, MapRates, SubsetRates};

/// One edge with its breakers.
pub(super) fn edge(rates: EdgeRates, breakers: &[BreakerStatus]) -> EdgeView {
    // The breaker of a message's delivery belongs to the bus.
    let caller = if rates.kind == EdgeKind::Message { BUS } else { rates.from.as_str() };
    let on_edge =
        |status: &&BreakerStatus| *status.caller == *caller && *status.destination == *rates.to;
    let watching: Vec<&BreakerStatus> = breakers.iter().filter(on_edge).collect();
    let subset = |part: SubsetRates| SubsetEdge {
        breaker: worst(
            watching.iter().copied().filter(|s| s.subset.as_deref() == Some(&part.subset)),
        ),
        subset: part.subset,
        per_second: part.per_second,
        error_share: part.error_share,
        p95_ms: part.p95_ms,
        calls: part.calls,
    };
    EdgeView {
        breaker: worst(watching.iter().copied()),
        subsets: rates.subsets.into_iter().map(subset).collect(),
        fallback: fallback(&rates.from, &rates.to),
        from: rates.from,
        to: rates.to,
        kind: rates.kind,
        per_second: rates.per_second,
        error_share: rates.error_share,
        p95_ms: rates.p95_ms,
        calls: rates.calls,
    }
}

/// From the bus to each consumer.
pub(super) fn deliveries(rates: &MapRates, breakers: &[BreakerStatus]) -> Vec<DeliveryView> {
    let delivery = |delivered: &EdgeRates| DeliveryView {
        lag_p95_ms: rates.lags.iter().find(|(to, _)| *to == delivered.to).map(|(_, ms)| *ms),
        edge: edge(delivered.clone(), breakers),
    };
    rates.deliveries.iter().map(delivery).collect()
}

/// What a caller answers while its callee fails, where it does not pass the failure on.
fn fallback(from: &str, to: &str) -> Option<String> {
    // The gateway's product page goes without recommendations, whatever becomes of them.
    (from == GATEWAY && to == RECOMMENDATIONS).then(|| "product pages without them".to_owned())
}

/// The state that matters most of several breakers: one that refuses, then one that probes, then
/// the one with most failures.
fn worst<'a>(all: impl Iterator<Item = &'a BreakerStatus>) -> Option<BreakerView> {
    let rank = |view: &BreakerView| match *view {
        BreakerView::Closed { failures } => (0, i64::from(failures)),
        BreakerView::HalfOpen => (1, 0),
        BreakerView::Open { half_open_at_us: until_us } | BreakerView::ForcedOpen { until_us } => {
            (2, until_us)
        }
    };
    all.map(in_force).max_by_key(rank)
}

/// What a breaker does with calls: what it was forced to overrules its own state.
fn in_force(status: &BreakerStatus) -> BreakerView {
    match (status.forced, status.state) {
        (Some((Forced::Open, until_us)), _) => BreakerView::ForcedOpen { until_us },
        (Some((Forced::Closed | Forced::Disabled, _)), BreakerState::Closed { failures }) => {
            BreakerView::Closed { failures }
        }
        (Some((Forced::Closed | Forced::Disabled, _)), _) => BreakerView::Closed { failures: 0 },
        (None, BreakerState::Closed { failures }) => BreakerView::Closed { failures },
        (None, BreakerState::Open { until_us }) => BreakerView::Open { half_open_at_us: until_us },
        (None, BreakerState::HalfOpen) => BreakerView::HalfOpen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(caller: &str, subset: Option<&str>, state: BreakerState) -> BreakerStatus {
        BreakerStatus {
            caller: caller.into(),
            destination: "payments".into(),
            subset: subset.map(Into::into),
            state,
            forced: None,
            params: mesh::BreakerParams::default(),
            distance: None,
            since_us: None,
            window: Vec::new(),
            before_opening: Vec::new(),
            causes: Vec::new(),
            history: Vec::new(),
            probes: Vec::new(),
            opened: 0,
            refused: 0,
            refused_now: 0,
        }
    }

    fn rates(from: &str, kind: EdgeKind) -> EdgeRates {
        let part = |subset: &str| SubsetRates {
            subset: subset.into(),
            per_second: 1.0,
            error_share: 0.0,
            p95_ms: Some(4.0),
            p50_p99_ms: [Some(2.0), Some(8.0)],
            calls: 60,
        };
        EdgeRates {
            from: from.into(),
            to: "payments".into(),
            kind,
            per_second: 2.0,
            error_share: 0.0,
            p95_ms: Some(4.0),
            p50_p99_ms: [Some(2.0), Some(8.0)],
            calls: 120,
            subsets: vec![part("v1"), part("v2")],
        }
    }

    #[test]
    fn an_edge_shows_the_worst_of_its_breakers_and_each_subset_its_own() {
        let closed = BreakerState::Closed { failures: 2 };
        let open = BreakerState::Open { until_us: 9 };
        let all = [
            status("gateway", Some("v1"), closed),
            status("gateway", Some("v2"), open),
            status("orders", Some("v1"), open),
        ];
        let edge = edge(rates("gateway", EdgeKind::Call), &all);
        assert_eq!(edge.breaker, Some(BreakerView::Open { half_open_at_us: 9 }));
        let own: Vec<_> = edge.subsets.iter().map(|part| part.breaker).collect();
        let v1 = Some(BreakerView::Closed { failures: 2 });
        assert_eq!(own, [v1, Some(BreakerView::Open { half_open_at_us: 9 })]);
    }

    #[test]
    fn what_a_breaker_was_forced_to_overrules_its_state_on_its_subset_alone() {
        let closed = BreakerState::Closed { failures: 0 };
        let mut forced_open = status("gateway", Some("v1"), closed);
        forced_open.forced = Some((Forced::Open, 77));
        let mut forced_closed = status("gateway", Some("v2"), BreakerState::Open { until_us: 9 });
        forced_closed.forced = Some((Forced::Closed, 88));
        let edge = edge(rates("gateway", EdgeKind::Call), &[forced_closed, forced_open]);
        let own: Vec<_> = edge.subsets.iter().map(|part| part.breaker).collect();
        let open = Some(BreakerView::ForcedOpen { until_us: 77 });
        assert_eq!(own, [open, Some(BreakerView::Closed { failures: 0 })]);
        assert_eq!(edge.breaker, open);
    }

    #[test]
    fn the_breaker_of_a_delivery_is_the_bus_s() {
        let open = BreakerState::Open { until_us: 9 };
        let all = [
            status("orders", None, BreakerState::Closed { failures: 0 }),
            status("bus", None, open),
        ];
        let shown = Some(BreakerView::Open { half_open_at_us: 9 });
        assert_eq!(edge(rates("orders", EdgeKind::Message), &all).breaker, shown);
        let map = MapRates {
            deliveries: vec![rates("bus", EdgeKind::Message)],
            lags: vec![("payments".into(), 6.0)],
            ..MapRates::default()
        };
        let [delivery] = &deliveries(&map, &all)[..] else { panic!("one") };
        assert_eq!((delivery.edge.breaker, delivery.lag_p95_ms), (shown, Some(6.0)));
    }
}
