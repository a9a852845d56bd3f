//! What a fault would do, said before it is injected.

use super::faults;
use contract::resilience::{Expectation, FaultKind as Kind, FaultPlace, InjectFault};
use mesh::EndpointStatus;
use telemetry::EdgeRates;

/// Over this share a person is asked once.
const ASK_OVER_PERCENT: f64 = 50.0;

/// Computed from the calls of the last minute.
pub(super) fn expectation(
    fault: &InjectFault,
    edges: &[EdgeRates],
    endpoints: &[EndpointStatus],
) -> Expectation {
    let on_edge = |edge: &&EdgeRates| {
        (fault.from.is_empty() || edge.from == fault.from)
            && (fault.to.is_empty() || edge.to == fault.to)
    };
    let per_second: f64 = edges.iter().filter(on_edge).map(|edge| edge.per_second).sum();
    let hit = per_second * fault.percent / 100.0;
    let mut sentences = vec![effect(fault, hit, per_second, endpoints)];
    let breaks = matches!(fault.kind, Kind::Abort | Kind::Hang | Kind::ConnectionReset);
    if breaks && fault.percent >= ASK_OVER_PERCENT {
        sentences.push("The callers' breakers will open after 5 failures in a row.".into());
    } else if breaks {
        sentences.push("Breakers open only after 5 failures in a row, which is unlikely.".into());
    }
    if matches!(fault.kind, Kind::Delay | Kind::Abort) {
        sentences.push(
            "Istio would switch timeout and retries off on a route with a fault; here they go on."
                .into(),
        );
    }
    sentences.push(format!("It ends by itself after {} s.", fault.ttl_s));
    let (yaml, added) = yaml(fault);
    Expectation {
        sentences,
        stands_for: faults::stands_for(fault.kind, false).into(),
        yaml,
        added,
        asks: asks(fault, endpoints),
    }
}

fn effect(fault: &InjectFault, hit: f64, all: f64, endpoints: &[EndpointStatus]) -> String {
    let about = format!("About {hit:.1} of {all:.1} per second");
    match fault.kind {
        Kind::Delay => format!("{about} take {} ms longer.", fault.delay_ms),
        Kind::Jitter => {
            format!("{about} take {} ± {} ms longer.", fault.delay_ms, fault.jitter_ms)
        }
        Kind::Abort => format!("{about} are answered {} at once.", fault.status),
        Kind::Hang => format!("{about} are not answered until their deadline."),
        Kind::PartialBody => format!("{about} lose the end of their answer."),
        Kind::ConnectionReset => format!("{about} lose their answer; what they did stays done."),
        Kind::MessageLoss => format!("{about} are not delivered, and sent again."),
        Kind::MessageDuplication => format!("{about} are delivered twice, and handled once."),
        Kind::MessageDelay => format!("{about} arrive {} ms late.", fault.delay_ms),
        Kind::KillInstance | Kind::PauseInstance => {
            let left = others(fault, endpoints);
            let verb = if fault.kind == Kind::KillInstance { "is gone" } else { "stands still" };
            format!("{} {verb}; {left} other instances of its version stay.", fault.instance)
        }
    }
}

/// Instances of the same service and version that take calls.
fn others(fault: &InjectFault, endpoints: &[EndpointStatus]) -> usize {
    let own = endpoints.iter().find(|endpoint| *endpoint.instance == *fault.instance);
    let Some(own) = own else { return 0 };
    let same = |endpoint: &&EndpointStatus| {
        endpoint.service == own.service
            && endpoint.labels == own.labels
            && endpoint.instance != own.instance
            && endpoint.phase == mesh::Phase::Ready
    };
    endpoints.iter().filter(same).count()
}

fn asks(fault: &InjectFault, endpoints: &[EndpointStatus]) -> Option<String> {
    if fault.kind.place() == FaultPlace::Instance {
        let last = others(fault, endpoints) == 0 && !fault.instance.is_empty();
        return last.then(|| format!("{} is the last of its version. Go on?", fault.instance));
    }
    (fault.percent > ASK_OVER_PERCENT)
        .then(|| format!("{}% of all calls there will be hit. Go on?", fault.percent))
}

/// The VirtualService a delay or an abort stands for, and the lines the fault adds.
fn yaml(fault: &InjectFault) -> (String, Option<(u32, u32)>) {
    let body = match fault.kind {
        Kind::Delay => format!(
            "      delay:\n        percentage:\n          value: {}\n        fixedDelay: {}ms\n",
            fault.percent, fault.delay_ms
        ),
        Kind::Abort => format!(
            "      abort:\n        percentage:\n          value: {}\n        httpStatus: {}\n",
            fault.percent, fault.status
        ),
        _ => return (String::new(), None),
    };
    let host = if fault.to.is_empty() { "payments" } else { &fault.to };
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {host}\n\
         spec:\n  hosts:\n  - {host}\n  http:\n  - fault:\n{body}    route:\n    - destination:\n\
         \x20       host: {host}\n"
    );
    (text, Some((9, 13)))
}
