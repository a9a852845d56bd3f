//! What a fault would do, said before it is injected: the sentences are the dashboard's, the
//! numbers around them and the YAML are found here.

use super::{breakers, faults, strips::catch_all};
use app::model::expect::{Around, asks, sentences};
use contract::{
    live::EdgeKind,
    resilience::{Expectation, FaultKind as Kind, FaultPlace, InjectFault},
};
use istio::policy::{Retry, RetryOn};
use mesh::{Mesh, Phase};
use telemetry::EdgeRates;

/// Computed from the calls of the last minute, and from what is in force.
pub(super) fn expectation(fault: &InjectFault, rates: &[EdgeRates], mesh: &Mesh) -> Expectation {
    let mut fault = fault.clone();
    if fault.kind.place() == FaultPlace::Instance {
        let endpoints = mesh.endpoints();
        let own = endpoints.iter().find(|endpoint| *endpoint.instance == *fault.instance);
        fault.to = own.map(|endpoint| endpoint.service.to_string()).unwrap_or_default();
    }
    let around = around(&fault, rates, mesh);
    let (yaml, added) = yaml(&fault);
    let stands_for = faults::stands_for(fault.kind);
    Expectation {
        sentences: sentences(&fault, &around),
        stands_for: match added {
            Some(_) => format!("{stands_for} {}", fault.to),
            None => stands_for.to_owned(),
        },
        yaml,
        added,
        asks: asks(&fault, &around),
    }
}

fn around(fault: &InjectFault, rates: &[EdgeRates], mesh: &Mesh) -> Around {
    let on_bus = fault.kind.place() == FaultPlace::Bus;
    let touched = |edge: &&EdgeRates| {
        (edge.kind == EdgeKind::Message) == on_bus
            && (fault.from.is_empty() || edge.from == fault.from)
            && (fault.to.is_empty() || edge.to == fault.to)
    };
    let breakers = mesh.breakers();
    let watching = breakers.iter().find(|breaker| {
        *breaker.destination == *fault.to
            && (fault.from.is_empty() || *breaker.caller == *fault.from)
            && (fault.subset.is_empty() || breaker.subset.as_deref() == Some(&*fault.subset))
    });
    let policy = mesh.in_force().policy;
    let route = catch_all(&policy, &fault.to);
    let timeout = route.and_then(|route| route.timeout);
    let endpoints = mesh.endpoints();
    let ready = endpoints.iter().filter(|endpoint| {
        *endpoint.service == *fault.to
            && endpoint.phase == Phase::Ready
            && endpoint.ejected_until_us.is_none()
    });
    Around {
        per_second: rates.iter().filter(touched).map(|edge| edge.per_second).sum(),
        breaker: watching.map(|breaker| breakers::settings(&breaker.params)),
        timeout_ms: timeout.and_then(|timeout| u64::try_from(timeout.as_millis()).ok()),
        attempts: route.map_or_else(Retry::default, |route| route.retry.clone()).attempts,
        retries: hiding(fault, route.map_or(&Retry::default(), |route| &route.retry)),
        ready: u32::try_from(ready.count()).unwrap_or(u32::MAX),
    }
}

/// Retries that may hide a fault: those that what it leaves behind is repeated for.
fn hiding(fault: &InjectFault, retry: &Retry) -> u32 {
    let delay_ms = u128::from(fault.delay_ms);
    let cut = retry.per_try_timeout.is_some_and(|each| match fault.kind {
        Kind::Delay | Kind::Jitter => each.as_millis() < delay_ms,
        Kind::Hang => true,
        _ => false,
    });
    let repeated = |token: &RetryOn| match (fault.kind, token) {
        (Kind::Abort, RetryOn::ServerError) => fault.status >= 500,
        (Kind::Abort, RetryOn::GatewayError) => (502..=504).contains(&fault.status),
        (Kind::Abort, RetryOn::RetriableFourXx) => fault.status == 409,
        (Kind::Abort, RetryOn::Status(status)) => fault.status == *status,
        (Kind::ConnectionReset, RetryOn::ServerError | RetryOn::GatewayError | RetryOn::Reset) => {
            true
        }
        (_, RetryOn::ServerError | RetryOn::GatewayError | RetryOn::Reset) => cut,
        _ => false,
    };
    if retry.on.iter().any(repeated) { retry.attempts } else { 0 }
}

/// The `VirtualService` that a delay or an abort stands for, and the lines of the fault in it.
fn yaml(fault: &InjectFault) -> (String, Option<(u32, u32)>) {
    let (kind, size) = match fault.kind {
        Kind::Delay => ("delay", format!("fixedDelay: {}ms", fault.delay_ms)),
        Kind::Abort => ("abort", format!("httpStatus: {}", fault.status)),
        _ => return (String::new(), None),
    };
    // Conditions have a form of their own in the editor of the route.
    if !fault.terms.is_empty() {
        return (String::new(), None);
    }
    let mut lines: Vec<String> = [
        "apiVersion: networking.istio.io/v1",
        "kind: VirtualService",
        "metadata:",
        &format!("  name: {}", fault.to),
        "spec:",
        "  hosts:",
        &format!("  - {}", fault.to),
        "  http:",
    ]
    .map(str::to_owned)
    .into();
    let first = lines.len() + 1;
    if !fault.from.is_empty() {
        let of = ["  - match:", "    - sourceLabels:", &format!("        app: {}", fault.from)];
        lines.extend(of.map(str::to_owned));
    }
    let item = if fault.from.is_empty() { "  - " } else { "    " };
    lines.extend([
        format!("{item}fault:"),
        format!("      {kind}:"),
        "        percentage:".to_owned(),
        format!("          value: {}", fault.percent),
        format!("        {size}"),
    ]);
    let last = lines.len();
    lines.extend([
        "    route:".to_owned(),
        "    - destination:".to_owned(),
        format!("        host: {}", fault.to),
    ]);
    if !fault.subset.is_empty() {
        lines.push(format!("        subset: {}", fault.subset));
    }
    let number = |line: usize| u32::try_from(line).unwrap_or(u32::MAX);
    (lines.join("\n") + "\n", Some((number(first), number(last))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::fault::defaults;

    #[test]
    fn only_retries_that_repeat_what_a_fault_leaves_behind_may_hide_it() {
        let abort = defaults(Kind::Abort);
        assert_eq!(hiding(&abort, &Retry::default()), 0, "Istio's default repeats no 503");
        let on = vec![RetryOn::GatewayError];
        let gateway = Retry { on, attempts: 3, ..Retry::default() };
        assert_eq!(hiding(&abort, &gateway), 3);
        assert_eq!(hiding(&InjectFault { status: 500, ..abort }, &gateway), 0);
        let hang = defaults(Kind::Hang);
        assert_eq!(hiding(&hang, &gateway), 0);
        let per_try_timeout = Some(std::time::Duration::from_secs(1));
        assert_eq!(hiding(&hang, &Retry { per_try_timeout, ..gateway }), 3);
    }

    #[test]
    fn the_lines_of_the_fault_are_those_that_would_not_be_there_without_it() {
        let on = |from: &str| {
            let fault = defaults(Kind::Delay);
            yaml(&InjectFault { from: from.into(), to: "inventory".into(), ..fault })
        };
        for (from, count) in [("", 5), ("orders", 8)] {
            let (text, added) = on(from);
            let (first, last) = added.unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(last + 1 - first, count, "{text}");
            assert_eq!(lines[first as usize - 2], "  http:");
            assert_eq!(lines[last as usize], "    route:");
        }
    }
}
