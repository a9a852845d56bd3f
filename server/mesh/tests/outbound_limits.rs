//! Local rate limits of calls that leave the mesh, through the whole stack under paused time: each
//! service that calls counts by itself, as each proxy does with Envoy. Resources are compiled from
//! YAML.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::{Configuration, Known, KnownService};
use scripted::{World, request};
use std::time::Duration;

const BANK: &str = "bank.example";

fn resource(kind: &str, spec: &str) -> String {
    let version = if kind == "EnvoyFilter" { "v1alpha3" } else { "v1" };
    format!(
        "apiVersion: networking.istio.io/{version}\nkind: {kind}\nmetadata: {{name: it}}\n\
         spec: {spec}\n---\n"
    )
}

/// A world with a service outside of the mesh, in which these resources are in force.
fn world(resources: &str) -> World {
    let world = World::new(&[("orders", "orders-0", "v1"), (BANK, "bank-0", "v1")]);
    let known = |name: &str| KnownService { name: name.into(), port: 80, ..Default::default() };
    let services = ["orders", "users", "web", BANK].map(known).into();
    let known = Known { services, gateways: vec!["edge".into()], ..Known::default() };
    let applied = Configuration::default().apply(resources, &known).unwrap();
    world.apply(applied.configuration.compile(&known, 1));
    world
}

/// Rules for the bank: one that this is said of, for what has `/slow`, and one for all else.
fn rules(says: &str) -> String {
    let to = "route: [{destination: {host: bank.example}}]";
    resource(
        "VirtualService",
        &format!(
            "{{hosts: [bank.example], gateways: [mesh, edge], \
             http: [{{name: slow, match: [{{uri: {{prefix: /slow}}}}], {says}{to}}}, {{{to}}}]}}"
        ),
    )
}

const TWO_A_MINUTE: &str = "rateLimit: {limit: {requestsPerUnit: 2, unit: MINUTE}}, ";

fn filter(selector: &str, kind: &str, context: &str, vhost: &str) -> String {
    let all = "{default_value: {numerator: 100}}";
    let of = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
    let limit = format!(
        "{{'@type': {of}, token_bucket: {{max_tokens: 2, tokens_per_fill: 2, fill_interval: 60s}}, \
         filter_enabled: {all}, filter_enforced: {all}}}"
    );
    let value =
        format!("{{typed_per_filter_config: {{envoy.filters.http.local_ratelimit: {limit}}}}}");
    let spec = format!(
        "{{{selector}configPatches: [{{applyTo: {kind}, \
         match: {{{context}routeConfiguration: {{vhost: {{name: 'bank.example:80'{vhost}}}}}}}, \
         patch: {{operation: MERGE, value: {value}}}}}]}}"
    );
    resource("EnvoyFilter", &spec)
}

/// How many of five calls of a service pass; `edge` is the ingress.
async fn passed(world: &World, caller: &'static str, path: &str) -> usize {
    let mut passed = 0;
    for _ in 0..5 {
        let answer = match caller {
            "edge" => world.mesh.caller("browser").forward(BANK, request(path, &[])).send().await,
            caller => world.mesh.caller(caller).get(BANK, path).send().await,
        };
        let status = answer.unwrap().status().as_u16();
        assert!([200, 429].contains(&status), "{status}");
        passed += usize::from(status == 200);
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn a_limit_counts_the_calls_of_each_service_where_and_whose_it_is() {
    let orders = "workloadSelector: {labels: {app: orders}}, ";
    let (outward, gateway) = ("context: SIDECAR_OUTBOUND, ", "context: GATEWAY, ");
    let route = |selector, context| {
        let filter = filter(selector, "HTTP_ROUTE", context, ", route: {name: slow}");
        format!("{}{filter}", rules(""))
    };
    let host = |selector, context| filter(selector, "VIRTUAL_HOST", context, "");
    // Calls of orders, web and at the edge that pass of five: to what the rule is for, and else.
    let all = ([2, 2, 2], [5, 5, 5]);
    for (sentence, resources, (slow, other)) in [
        ("without one", rules(""), ([5, 5, 5], [5, 5, 5])),
        ("of a rule", rules(TWO_A_MINUTE), all),
        ("of a route", route("", ""), all),
        ("of a route for calls", route("", outward), ([2, 2, 5], [5, 5, 5])),
        ("of a route at gateways", route("", gateway), ([5, 5, 2], [5, 5, 5])),
        ("of a route for one caller", route(orders, outward), ([2, 5, 5], [5, 5, 5])),
        // One bucket of the host for all of its routes: the first five took its tokens.
        ("of a host", host("", ""), ([2, 2, 2], [0, 0, 0])),
        ("of a host for one caller", host(orders, outward), ([2, 5, 5], [0, 5, 5])),
    ] {
        let world = world(&resources);
        for (path, expected) in [("/slow", slow), ("/other", other)] {
            for (caller, expected) in ["orders", "web", "edge"].into_iter().zip(expected) {
                let passed = passed(&world, caller, path).await;
                assert_eq!(passed, expected, "{sentence}: {caller} {path}");
            }
        }
        let sums: u64 = slow.iter().chain(&other).map(|passed| 5 - *passed as u64).sum();
        let stats = world.mesh.outbound_stats();
        let refused: u64 = stats.iter().map(|stats| stats.rate_limited).sum();
        assert_eq!(refused, sums, "{sentence}: {stats:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_over_the_limit_is_told_so_before_anything_goes_out_and_when_to_come_again() {
    let world = world(&rules(TWO_A_MINUTE));
    let call = || world.caller().get(BANK, "/slow").send();
    let first = call().await.unwrap();
    assert_eq!(first.headers()["ratelimit"], "\"it\";r=1;t=30");
    call().await.unwrap();
    let refused = call().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"30".parse().unwrap())
    );
    assert_eq!(refused.headers()["x-envoy-ratelimited"], "true");
    assert_eq!(world.calls("bank-0"), 2);
    // Whoever only looks is not counted.
    assert_eq!(world.caller().look(BANK, "/slow").send().await.unwrap().status(), 200);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(call().await.unwrap().status(), 200);
    assert_eq!(call().await.unwrap().status(), 429);
}
