//! What the callee's side of the mesh did with the requests of all callers in the last minute:
//! rate limit, authentication, authorization, in the order in which a request meets them.

use app::model::tries::seconds;
use contract::resilience::LayerView;
use istio::policy::{AuthorizationAction, LocalRateLimit, Mtls, Policy, Share, Workload};
use mesh::inbound::InboundStats;

/// Sums over the instances of a service since the sample.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    passed: u64,
    unauthenticated: u64,
    denied: u64,
    limited: u64,
}

impl Sums {
    fn of(service: &str, all: &[InboundStats]) -> Self {
        let own = all.iter().filter(|stats| *stats.service == *service);
        own.fold(Self::default(), |sums, stats| Self {
            passed: sums.passed + stats.passed,
            unauthenticated: sums.unauthenticated + stats.bad_token,
            denied: sums.denied + stats.denied,
            limited: sums.limited + stats.rate_limited,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(before.passed),
            unauthenticated: self.unauthenticated.saturating_sub(before.unauthenticated),
            denied: self.denied.saturating_sub(before.denied),
            limited: self.limited.saturating_sub(before.limited),
        }
    }
}

/// The callee's layers of one service. `before` is what was counted a minute ago.
pub(super) fn layers(
    service: &str,
    now: &[InboundStats],
    before: &[InboundStats],
    policy: &Policy,
) -> Vec<LayerView> {
    let sums = Sums::of(service, now).since(Sums::of(service, before));
    let workload = policy.workloads.get(service);
    let setting = |of: fn(&Workload) -> String| workload.map(of).unwrap_or_default();
    let inside = setting(|workload| rate_limits(workload.rate_limits.iter()));
    let leaving = policy.outbound.get(service).into_iter().flatten().map(|of| &of.limit);
    let limits = [inside, rate_limits(leaving)].into_iter().filter(|text| !text.is_empty());
    let layer = |name: &str, setting: String, acted: u64, of: u64| LayerView {
        name: name.to_owned(),
        setting,
        acted,
        of,
        did: "refused".to_owned(),
        href: Some(format!("/traffic/{service}")),
    };
    let known = sums.passed + sums.denied;
    let within = known + sums.unauthenticated;
    vec![
        layer(
            "rate limit",
            limits.collect::<Vec<_>>().join("; "),
            sums.limited,
            within + sums.limited,
        ),
        layer("authentication", setting(authentication), sums.unauthenticated, within),
        layer("authorization", setting(authorization), sums.denied, known),
    ]
}

/// "mTLS STRICT, 1 JWT rule". Permissive without tokens is Istio's default: nothing configured.
fn authentication(workload: &Workload) -> String {
    let mtls = match workload.mtls {
        Mtls::Permissive => None,
        Mtls::Strict => Some("mTLS STRICT".to_owned()),
        Mtls::Disable => Some("mTLS DISABLE".to_owned()),
    };
    let tokens = counted(workload.authentication.len(), "JWT policy", "JWT policies");
    mtls.into_iter().chain(tokens).collect::<Vec<_>>().join(", ")
}

/// "1 DENY, 2 ALLOW", in the order in which they are asked.
fn authorization(workload: &Workload) -> String {
    let of = |action: AuthorizationAction, word: &str| {
        let enforced = workload.authorization.iter().filter(|policy| !policy.dry_run);
        let count = enforced.filter(|policy| policy.action == action).count();
        (count > 0).then(|| format!("{count} {word}"))
    };
    let all = [
        of(AuthorizationAction::Deny, "DENY"),
        of(AuthorizationAction::Allow, "ALLOW"),
        of(AuthorizationAction::Audit, "AUDIT"),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// "100 per 60 s per address".
fn rate_limits<'l>(limits: impl Iterator<Item = &'l LocalRateLimit>) -> String {
    let limit = |limit: &LocalRateLimit| {
        let every = seconds(u64::try_from(limit.fill_interval.as_millis()).unwrap_or(u64::MAX));
        let each = if limit.per_remote_address { " per address" } else { "" };
        let only = if limit.enforced == Share::NONE { ", not enforced" } else { "" };
        format!("{} per {every}{each}{only}", limit.tokens_per_fill)
    };
    limits.map(limit).collect::<Vec<_>>().join("; ")
}

fn counted(count: usize, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(instance: &str, passed: u64, denied: u64, rate_limited: u64) -> InboundStats {
        InboundStats {
            service: "payments".into(),
            instance: instance.into(),
            passed,
            bad_token: 1,
            denied,
            rate_limited,
            over_limit: rate_limited,
        }
    }

    #[test]
    fn each_layer_of_the_callee_counts_what_reached_it_since_the_sample_over_all_instances() {
        let now = [stats("payments-0", 90, 4, 10), stats("payments-1", 10, 0, 0)];
        let before = [stats("payments-0", 50, 1, 0)];
        let layers = layers("payments", &now, &before, &Policy::default());
        let counted: Vec<_> = layers.iter().map(|l| (&*l.name, l.acted, l.of)).collect();
        let expected =
            [("rate limit", 10, 64), ("authentication", 1, 54), ("authorization", 3, 53)];
        assert_eq!(counted, expected);
        assert!(layers.iter().all(|layer| layer.setting.is_empty()), "nothing is configured");
    }
}
