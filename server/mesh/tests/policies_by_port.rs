//! Settings of a port in a `DestinationRule` through the whole stack: they replace the policy of
//! the host and of the subset as a whole, and what they leave out is Istio's default. Resources are
//! compiled from YAML.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::{Configuration, Known, KnownService};
use scripted::{Act, World};
use std::collections::BTreeMap;

/// Two instances of `payments`, of which the second fails, with this rule for them.
fn world(spec: &str) -> World {
    let world = World::new(&[("payments", "good", "v1"), ("payments", "bad", "v1")]);
    world.always("bad", Act::Status(500));
    let version = BTreeMap::from([("version".to_owned(), "v1".to_owned())]);
    let payments = KnownService {
        name: "payments".into(),
        instances: vec![version.clone(), version],
        port: 8080,
        ..KnownService::default()
    };
    let known = Known { services: vec![payments], ..Known::default() };
    let head = "apiVersion: networking.istio.io/v1\n";
    let routes =
        "{hosts: [payments], http: [{route: [{destination: {host: payments, subset: v1}}]}]}";
    let text = format!(
        "{head}kind: DestinationRule\nmetadata: {{name: payments}}\nspec: {spec}\n---\n\
         {head}kind: VirtualService\nmetadata: {{name: payments}}\nspec: {routes}\n"
    );
    let applied = Configuration::default().apply(&text, &known).unwrap();
    world.apply(applied.configuration.compile(&known, 1));
    world
}

/// How many of ten calls, one after the other, fail: one if the first failure ejects.
async fn failed(world: &World) -> usize {
    let mut failed = 0;
    for _ in 0..10 {
        failed += usize::from(world.status().await.unwrap() == 500);
    }
    failed
}

const EJECTS: &str = "outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 50}";
const TURNS: &str = "loadBalancer: {simple: ROUND_ROBIN}";

#[tokio::test(start_paused = true)]
async fn settings_of_the_port_replace_the_policies_around_and_above_them_whole() {
    let of = |port: u16, says: &str| {
        format!("portLevelSettings: [{{port: {{number: {port}}}, {says}}}]")
    };
    let (own, others) = (of(8080, TURNS), of(9090, TURNS));
    let ejects_at_port = of(8080, &format!("{TURNS}, {EJECTS}"));
    for (sentence, host, subset, expected) in [
        ("the host's policy ejects", format!("{TURNS}, {EJECTS}"), String::new(), 1),
        ("of another port nothing holds", format!("{TURNS}, {EJECTS}, {others}"), "".into(), 1),
        ("what settings leave out is off", format!("{TURNS}, {EJECTS}, {own}"), "".into(), 5),
        ("and what they say is in force", format!("{TURNS}, {ejects_at_port}"), "".into(), 1),
        ("the subset's come before the host's", format!("{TURNS}, {EJECTS}"), own.clone(), 5),
        ("and before the host's settings", ejects_at_port.clone(), own.clone(), 5),
        ("a subset without them has the host's", ejects_at_port.clone(), TURNS.into(), 1),
        ("also with settings of another port", ejects_at_port, others, 1),
        ("the subset's own may eject", own, of(8080, &format!("{TURNS}, {EJECTS}")), 1),
    ] {
        let policy = match subset.is_empty() {
            true => String::new(),
            false => format!(", trafficPolicy: {{{subset}}}"),
        };
        let world = world(&format!(
            "{{host: payments, trafficPolicy: {{{host}}}, \
             subsets: [{{name: v1, labels: {{version: v1}}{policy}}}]}}"
        ));
        assert_eq!(failed(&world).await, expected, "{sentence}");
    }
}
