//! A `DestinationRule` with a `workloadSelector`: it holds for the callers it selects, in place of
//! the rule for all, and what it does to an endpoint is not seen by the others.

mod scripted;

use istio::policy::{Destination, ForCallers, Outlier, Policy, Subset, TrafficPolicy};
use scripted::{Act, World, origin, policy, rule};
use std::sync::Arc;

/// With this rule for the calls of orders.
fn for_orders(mut policy: Policy, destination: Destination) -> Policy {
    let callers: Arc<[_]> = [("app".to_owned(), "orders".to_owned())].into();
    policy.for_callers = [("payments".into(), vec![ForCallers { callers, destination }])].into();
    policy
}

fn destination(traffic: TrafficPolicy, subsets: Vec<Subset>) -> Destination {
    let origin = origin("DestinationRule", "payments-for-orders");
    Destination { origin, policy: traffic, subsets }
}

fn subset(name: &str, version: &str) -> Subset {
    Subset {
        name: name.into(),
        labels: vec![("version".into(), version.into())],
        policy: TrafficPolicy::default(),
    }
}

/// The status that a service gets at payments.
async fn status(world: &World, caller: &'static str) -> u16 {
    let answer = world.mesh.caller(caller).get("payments", "/").send().await;
    answer.map_or_else(|error| error.to_response().status(), |answer| answer.status()).as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_subset_is_what_the_rule_for_the_caller_says() {
    let world =
        World::new(&[("payments", "payments-0", "v1"), ("payments", "payments-v2-0", "v2")]);
    // For all, v1 is v1; for orders it is v2; there is no other for orders.
    let rerouted = || destination(TrafficPolicy::default(), vec![subset("v1", "v2")]);
    world.apply(for_orders(policy(1, rule(Some("v1"))), rerouted()));
    for caller in ["orders", "gateway"] {
        assert_eq!(status(&world, caller).await, 200);
    }
    assert_eq!((world.calls("payments-0"), world.calls("payments-v2-0")), (1, 1));
    world.apply(for_orders(policy(2, rule(Some("v2"))), rerouted()));
    assert_eq!(status(&world, "gateway").await, 200);
    assert_eq!(status(&world, "orders").await, 503, "its rule does not know v2");
    // Without the selector the rule for all holds for orders as well.
    world.apply(policy(3, rule(Some("v1"))));
    assert_eq!(status(&world, "orders").await, 200);
    assert_eq!(world.calls("payments-0"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_for_some_callers_ejects_is_still_there_for_the_others() {
    let world = World::new(&[("payments", "payments-0", "v1"), ("payments", "payments-1", "v1")]);
    let outlier = Outlier { consecutive_5xx: 1, max_ejection_percent: 100, ..Outlier::default() };
    let traffic = TrafficPolicy { outlier: Some(outlier), ..TrafficPolicy::default() };
    world.apply(for_orders(policy(1, rule(None)), destination(traffic, Vec::new())));
    world.always("payments-0", Act::Status(500));
    for _ in 0..100 {
        let _ = status(&world, "orders").await;
    }
    assert_eq!(world.calls("payments-0"), 1, "ejected at its first failure, for orders");
    for _ in 0..100 {
        let _ = status(&world, "gateway").await;
    }
    assert!(world.calls("payments-0") > 10, "the rule for all ejects nobody");
    let ejected = world.mesh.endpoints().into_iter().filter(|e| e.ejected_until_us.is_some());
    assert_eq!(
        ejected.map(|endpoint| endpoint.instance.to_string()).collect::<Vec<_>>(),
        ["payments-0"]
    );
}
