//! What the callee's side of the mesh did with the requests of all callers in the last minute:
//! rate limit, authentication, authorization, in the order in which a request meets them.

use super::Counted;
use app::model::tries::seconds;
use contract::{resilience::LayerView, service::GATEWAY};
use istio::policy::{
    AuthorizationAction, LocalRateLimit, Mtls, OutboundLimit, Policy, Share, Workload,
};
use mesh::{EdgeStatus, Source, inbound::InboundStats};

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

/// Calls of one edge that left the mesh, or were to, since the sample.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    went: u64,
    limited: u64,
}

impl Left {
    fn of(edge: &EdgeStatus, counted: &Counted) -> Self {
        let same =
            |old: &&EdgeStatus| old.caller == edge.caller && old.destination == edge.destination;
        // Limits of calls that leave are right before it.
        let went = counted.edges.iter().find(same).and_then(|edge| {
            let next = edge.layers.iter().find(|layer| layer.layer == "deadline");
            next.map(|next| next.reached)
        });
        let own = counted.outbound.iter();
        let own = own.filter(|s| s.caller == edge.caller && s.destination == edge.destination);
        Self { went: went.unwrap_or(0), limited: own.map(|stats| stats.rate_limited).sum() }
    }

    fn since(self, before: Self) -> Self {
        Self {
            went: self.went.saturating_sub(before.went),
            limited: self.limited.saturating_sub(before.limited),
        }
    }
}

/// Whether a limit of calls that leave the mesh is for those of a service here.
fn is_of(limit: &OutboundLimit, caller: &str) -> bool {
    let labels = Source::of(caller).labels;
    limit.at_ingress.is_none_or(|at_ingress| at_ingress == (caller == GATEWAY))
        && limit.callers.iter().all(|label| labels.contains(label))
}

/// The layers of an edge on the callee's side, with the limits of what leaves the mesh, which are
/// the caller's. `before` is what was counted a minute ago.
pub(super) fn layers(
    edge: &EdgeStatus,
    now: &Counted,
    before: &Counted,
    policy: &Policy,
) -> Vec<LayerView> {
    let service = &*edge.destination;
    let sums = Sums::of(service, &now.inbound).since(Sums::of(service, &before.inbound));
    let outward: Vec<_> = policy.outbound.get(service).into_iter().flatten().collect();
    let left = match outward.is_empty() {
        true => Left::default(),
        false => Left::of(edge, now).since(Left::of(edge, before)),
    };
    let workload = policy.workloads.get(service);
    let setting = |of: fn(&Workload) -> String| workload.map(of).unwrap_or_default();
    let inside = setting(|workload| rate_limits(workload.rate_limits.iter()));
    let leaving = outward.into_iter().filter(|of| is_of(of, &edge.caller)).map(|of| &of.limit);
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
            sums.limited + left.limited,
            within + sums.limited + left.went + left.limited,
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
    use istio::{Configuration, Known, KnownService};
    use mesh::{LayerCount, inbound::OutboundStats};

    fn edge(caller: &str, to: &str, reached: u64) -> EdgeStatus {
        let layers = vec![LayerCount { layer: "deadline", reached, acted: 0 }];
        EdgeStatus { caller: caller.into(), destination: to.into(), layers }
    }

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
        let counted =
            |inbound: &[InboundStats]| Counted { inbound: inbound.to_vec(), ..Counted::default() };
        let (now, before) = (counted(&now), counted(&before));
        let edge = edge("orders", "payments", 7);
        let layers = layers(&edge, &now, &before, &Policy::default());
        let counted: Vec<_> = layers.iter().map(|l| (&*l.name, l.acted, l.of)).collect();
        let expected =
            [("rate limit", 10, 64), ("authentication", 1, 54), ("authorization", 3, 53)];
        assert_eq!(counted, expected);
        assert!(layers.iter().all(|layer| layer.setting.is_empty()), "nothing is configured");
    }

    #[test]
    fn a_limit_of_calls_that_leave_the_mesh_is_shown_with_what_it_did_to_those_of_its_callers() {
        let bank = "bank.example";
        let all = "{default_value: {numerator: 100}}";
        let limit = format!(
            "{{token_bucket: {{max_tokens: 2, tokens_per_fill: 2, fill_interval: 60s}}, \
             filter_enabled: {all}, filter_enforced: {all}}}"
        );
        let limit = format!("{{envoy.filters.http.local_ratelimit: {limit}}}");
        let text = format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: it}}\n\
             spec: {{workloadSelector: {{labels: {{app: orders}}}}, \
             configPatches: [{{applyTo: VIRTUAL_HOST, match: {{context: SIDECAR_OUTBOUND, \
             routeConfiguration: {{vhost: {{name: 'bank.example:80'}}}}}}, \
             patch: {{operation: MERGE, value: {{typed_per_filter_config: {limit}}}}}}}]}}\n\
             ---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e}}\n\
             spec: {{hosts: [{bank}], ports: [{{number: 80, name: http, protocol: HTTP}}], \
             resolution: STATIC, endpoints: [{{address: 127.0.0.1}}]}}\n"
        );
        let service = |name: &str| KnownService { name: name.into(), ..Default::default() };
        let services = ["orders", "users"].map(service).into();
        let known = Known { services, ..Known::default() };
        let applied = Configuration::default().apply(&text, &known).unwrap();
        let policy = applied.configuration.compile(&known, 1);
        let counted = |went: u64, rate_limited: u64| Counted {
            edges: vec![edge("orders", bank, went), edge("users", bank, 2 * went)],
            outbound: vec![OutboundStats {
                caller: "orders".into(),
                destination: bank.into(),
                rate_limited,
                over_limit: rate_limited,
            }],
            ..Counted::default()
        };
        let (now, before) = (counted(10, 5), counted(3, 1));
        for (caller, setting, acted, of) in [("orders", "2 per 60 s", 4, 11), ("users", "", 0, 14)]
        {
            let layers = layers(&edge(caller, bank, 0), &now, &before, &policy);
            let shown = (&*layers[0].setting, layers[0].acted, layers[0].of);
            assert_eq!(shown, (setting, acted, of), "{caller}");
        }
    }
}
