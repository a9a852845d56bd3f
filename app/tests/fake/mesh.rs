//! The reference scenario's breakers, faults, endpoints and layers.

use super::scenario::NOW_US;
use app::model::expect;
use contract::{
    resilience::{
        BreakerCard, BreakerLine, BreakerSettings, BreakerState, CallCell, CallMark, EndpointLine,
        EndpointRow, EndpointState, ErrorCount, Expectation, FaultKind, FaultView, FaultsView,
        InjectFault, LayerView, OpeningView, ResilienceView, StripView, TransitionView,
        TrialVerdict, TrialView, TryThresholds, WhatIfView, WouldHave,
    },
    service as s,
    traffic::{HostMesh, LaneView, MeshView, RevisionMark},
};

const SECOND: i64 = 1_000_000;

/// A time of this day before now: hours, minutes, seconds.
pub fn at(h: i64, m: i64, sec: i64) -> i64 {
    NOW_US - ((14 - h) * 3_600 + (34 - m) * 60 + (20 - sec)) * SECOND
}

fn fault(id: &str, kind: FaultKind, what: &str, ends: (Option<&str>, &str)) -> FaultView {
    let place = ends.0.map_or_else(|| ends.1.to_owned(), |from| format!("{from} → {}", ends.1));
    FaultView {
        id: id.into(),
        kind,
        what: what.into(),
        from: ends.0.map(|from| from.split(' ').next().unwrap_or(from).into()),
        to: ends.1.split("-1").next().unwrap_or(ends.1).into(),
        place,
        since_us: at(14, 28, 40),
        until_us: None,
        then: "ends".into(),
        ended_us: None,
        matched: 187,
        injected: 19,
        spared: 168,
        unit: "calls".into(),
        trace_id: Some("7c1e9a4f0b6d42e8a5f3c2d19b8e6047".into()),
        stands_for: "VirtualService".into(),
        object: Some(format!("/traffic/{}", ends.1)),
        by: "page".into(),
        again: None,
    }
}

/// F-21, F-22 and F-25 are in force, F-24 has ended.
pub fn faults() -> FaultsView {
    let bank = (Some("payments v2"), s::BANK_CUSTOMER);
    let recommendations = (Some(s::GATEWAY), s::RECOMMENDATIONS);
    let killed = FaultView {
        since_us: at(14, 34, 2),
        until_us: Some(NOW_US + 27 * SECOND),
        then: "restarts".into(),
        matched: 1,
        injected: 1,
        spared: 0,
        unit: "instance".into(),
        stands_for: "pod deletion".into(),
        object: None,
        by: "page".into(),
        ..fault("F-25", FaultKind::KillInstance, "Kill instance", (None, "recommendations-1"))
    };
    let crash = FaultView {
        ended_us: Some(at(14, 31, 58)),
        ..fault("F-24", FaultKind::KillInstance, "Crash after vote", (None, s::BANK_MERCHANT))
    };
    FaultsView {
        held_us: None,
        active: vec![
            fault("F-21", FaultKind::Delay, "Delay 2 s on 10%", bank),
            FaultView {
                since_us: at(14, 30, 15),
                matched: 2_215,
                injected: 112,
                spared: 2_103,
                ..fault("F-22", FaultKind::Abort, "Abort 503 on 5%", recommendations)
            },
            killed,
        ],
        ended: vec![crash],
        ended_count: 22,
    }
}

const TRACE: &str = "7c1e9a4f0b6d42e8a5f3c2d19b8e6047";

/// The seed's breaker: five failures in a row; twenty seconds here, so that a story is short.
fn settings() -> BreakerSettings {
    BreakerSettings { failures_in_a_row: 5, wait_ms: 20_000 }
}

fn closed(from: &str, to: &str, subset: Option<&str>, marks: &str) -> BreakerCard {
    let tail = subset.map(|subset| format!("~{subset}")).unwrap_or_default();
    let cell = |(i, letter): (i64, char)| CallCell {
        mark: CallMark::of_letter(letter),
        at_us: NOW_US - i * SECOND,
        took_us: 3_000,
        outcome: if letter == 'x' { "503".into() } else { "200".into() },
        trace_id: (letter != 'o').then(|| TRACE.into()),
        fault_id: (letter == 'x').then(|| "F-25".into()),
    };
    // The machine counts from the last good answer.
    let run = marks.len() - marks.trim_end_matches('x').len();
    BreakerCard {
        line: BreakerLine {
            id: format!("{from}~{to}{tail}"),
            from: from.into(),
            to: to.into(),
            subset: subset.map(str::to_owned),
            state: BreakerState::Closed,
            since_us: NOW_US - 3_600 * SECOND,
            half_open_at_us: None,
            forced: None,
            marks: marks.into(),
            opens_at: 5,
            distance: u32::try_from(5 - run.min(5)).ok(),
        },
        settings: settings(),
        slow_ms: 1_000,
        window: (0..).zip(marks.chars()).map(cell).collect(),
        trials: Vec::new(),
        opened: 0,
        refused: 0,
        refused_per_second: 0.0,
        meanwhile: "callers get 503 with Retry-After".into(),
        causes: Vec::new(),
        history: Vec::new(),
    }
}

fn open() -> BreakerCard {
    let mut card = closed(s::GATEWAY, s::RECOMMENDATIONS, None, "oxoxoxooxoxoxooxxxxx");
    card.line.state = BreakerState::Open;
    card.line.since_us = at(14, 34, 6);
    card.line.half_open_at_us = Some(NOW_US + 6 * SECOND);
    card.line.distance = None;
    card.opened = 1;
    card.refused = 137;
    card.refused_per_second = 9.8;
    card.meanwhile = "products come without recommendations".into();
    card.causes = vec!["F-25".into(), "F-22".into()];
    card.history = vec![TransitionView {
        at_us: at(14, 34, 6),
        from: BreakerState::Closed,
        to: BreakerState::Open,
        why: "5 failed in a row".into(),
        trace_id: Some("7c1e9a4f0b6d42e8a5f3c2d19b8e6047".into()),
        fault_ids: vec!["F-25".into()],
    }];
    card
}

fn half_open() -> BreakerCard {
    let mut card = closed(s::ORDERS, s::PAYMENTS, Some("v2"), "oosooxxxxx");
    card.line.state = BreakerState::HalfOpen;
    card.line.since_us = at(14, 34, 17);
    card.line.distance = None;
    card.settings = BreakerSettings { wait_ms: 10_000, ..settings() };
    let trial = |verdict, at_us| TrialView {
        at_us,
        verdict,
        trace_id: Some(TRACE.into()),
        fault_id: Some("F-21".into()),
    };
    card.trials = vec![
        trial(TrialVerdict::Failed, at(14, 34, 7)),
        trial(TrialVerdict::Pending, at(14, 34, 17)),
    ];
    card.opened = 3;
    card.causes = vec!["F-21".into()];
    card
}

fn endpoint(instance: &str, service: &str, state: EndpointState) -> EndpointLine {
    let ejected_until_us = match state {
        EndpointState::Ejected { until_us, .. } => Some(until_us),
        _ => None,
    };
    let (instance, service) = (instance.into(), service.into());
    EndpointLine { instance, service, subset: None, state, ejected_until_us }
}

fn ejected() -> EndpointState {
    let since_us = at(14, 34, 5);
    EndpointState::Ejected { since_us, until_us: since_us + 30 * SECOND, times: 1 }
}

/// The Resilience page.
pub fn page() -> ResilienceView {
    let good = "oooooooooooooooooooo";
    let row = |line: EndpointLine, errors, share, note: &str| EndpointRow {
        line,
        counts: [("5xx", 7), ("gateway errors", 5)]
            .map(|(what, limit)| ErrorCount { what: what.into(), now: errors, limit })
            .into(),
        error_share: share,
        note: note.into(),
        ejections: 0,
        last_ejected_us: None,
    };
    let layer = |name: &str, setting: &str, acted, did: &str| LayerView {
        name: name.into(),
        setting: setting.into(),
        acted,
        of: 588,
        did: did.into(),
        href: None,
    };
    ResilienceView {
        breakers: vec![
            closed(s::GATEWAY, s::CATALOG, None, good),
            closed(s::GATEWAY, s::USERS, None, good),
            closed(s::GATEWAY, s::ORDERS, None, "ooooooooooxooooooooo"),
            half_open(),
            open(),
            closed(s::ORDERS, s::INVENTORY, None, good),
            closed(s::ORDERS, s::PAYMENTS, Some("v1"), good),
            closed(s::PAYMENTS, s::BANK_CUSTOMER, None, "oooosooooooooosooooo"),
            closed(s::PAYMENTS, s::BANK_MERCHANT, None, good),
        ],
        endpoints: vec![
            row(
                endpoint("recommendations-1", s::RECOMMENDATIONS, ejected()),
                5,
                1.0,
                "50% limit reached",
            ),
            row(
                endpoint("recommendations-0", s::RECOMMENDATIONS, EndpointState::Ready),
                0,
                0.0,
                "F-22 aborts in the caller's proxy, so it does not count here",
            ),
        ],
        strips: vec![StripView {
            from: s::GATEWAY.into(),
            to: s::RECOMMENDATIONS.into(),
            layers: vec![
                layer("deadline", "2 s", 0, ""),
                layer("retry", "2 on connect-failure", 4, "retried"),
                layer("fault", "F-22", 30, "aborted"),
                layer("mirror", "", 0, ""),
                layer("breaker", "5 in a row, then 20 s", 137, "refused"),
            ],
            callee: vec![layer("rate limit", "100 per 60 s per address", 12, "refused")],
        }],
    }
}

/// What the panel says of a fault on 3.2 requests a second.
pub fn expectation(fault: &InjectFault) -> Expectation {
    let around = expect::Around {
        per_second: 3.2,
        breaker: Some(settings()),
        timeout_ms: Some(1_000),
        retries: 2,
        attempts: 2,
        ready: 2,
    };
    Expectation {
        sentences: expect::sentences(fault, &around),
        stands_for: format!("VirtualService {}", fault.to),
        yaml: "http:\n- route:\n  fault:\n    delay:\n      fixedDelay: 2s\n".into(),
        added: Some((3, 5)),
        asks: expect::asks(fault, &around),
    }
}

/// Two versions of payments, and every instance.
pub fn mesh() -> MeshView {
    let lane = |subset: &str, configured, observed, p95, ready| LaneView {
        subset: subset.into(),
        configured,
        observed: Some(observed),
        per_second: 3.0 * observed,
        calls: 180,
        error_share: if subset == "v2" { 0.063 } else { 0.0 },
        p95_ms: Some(p95),
        ready,
        instances: ready,
        spark: Vec::new(),
    };
    let mut endpoints = Vec::new();
    for (service, count) in [
        (s::GATEWAY, 2),
        (s::CATALOG, 3),
        (s::USERS, 2),
        (s::ORDERS, 3),
        (s::PAYMENTS, 7),
        (s::INVENTORY, 2),
        (s::RECOMMENDATIONS, 2),
        (s::BANK_CUSTOMER, 1),
        (s::BANK_MERCHANT, 1),
    ] {
        for i in 0..count {
            let instance = format!("{service}-{i}");
            let out = instance == "recommendations-1";
            let state = if out { ejected() } else { EndpointState::Ready };
            endpoints.push(endpoint(&instance, service, state));
        }
    }
    MeshView {
        revision: 17,
        marks: vec![RevisionMark { at_us: at(14, 27, 55), number: 17 }],
        hosts: vec![HostMesh {
            service: s::PAYMENTS.into(),
            lanes: vec![lane("v1", 0.9, 0.91, 198.0, 4), lane("v2", 0.1, 0.09, 2_180.0, 3)],
            mirror_percent: Some(20.0),
            ..HostMesh::default()
        }],
        endpoints,
        identities: Vec::new(),
    }
}

/// Of 1,204 calls: thresholds other than those in force open it twice.
pub fn what_if(asked: TryThresholds) -> WhatIfView {
    let (first_us, trace_id) = (NOW_US - 40 * SECOND, Some("7c1e9a4f".repeat(4)));
    let tried = WouldHave {
        opened: 2,
        first: Some(OpeningView { at_us: first_us, trace_id }),
        refused: 41,
        unknown: 0,
    };
    WhatIfView {
        id: asked.id,
        settings: asked.settings,
        since_us: Some(NOW_US - 60 * SECOND),
        calls: 1_204,
        held: 0,
        tried,
        in_force: WouldHave::default(),
    }
}
