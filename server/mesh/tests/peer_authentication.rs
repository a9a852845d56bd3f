//! `PeerAuthentication` through the whole stack, a row per sentence of the reference: which of
//! several decides, and what follows from its mode. Where mutual TLS is off a caller shows no
//! identity, so that no policy can let it in by name; else it does. Resources are compiled from
//! YAML.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::{Configuration, Known, KnownService};
use scripted::World;

fn resource(kind: &str, metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {spec}\n\
         ---\n"
    )
}

/// A `PeerAuthentication`: metadata, selector of an app or none, what it says.
fn peers((metadata, app, says): (&str, &str, &str)) -> String {
    let selector = match app {
        "" => String::new(),
        app => format!("selector: {{matchLabels: {{app: {app}}}}}, "),
    };
    resource("PeerAuthentication", metadata, &format!("{{{selector}{says}}}"))
}

/// A world in which orders alone may call payments, by its identity.
fn world(documents: &str) -> World {
    let world = World::payments();
    let known = |name: &str| KnownService { name: name.into(), port: 8080, ..Default::default() };
    let known = Known { services: vec![known("payments"), known("users")], ..Known::default() };
    let orders = resource(
        "AuthorizationPolicy",
        "name: orders",
        "{selector: {matchLabels: {app: payments}}, \
         rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/orders]}}]}]}",
    );
    let text = format!("{documents}{orders}");
    let applied = Configuration::default().apply(&text, &known).unwrap();
    world.apply(applied.configuration.compile(&known, 1));
    world
}

const STRICT: &str = "mtls: {mode: STRICT}";
const PERMISSIVE: &str = "mtls: {mode: PERMISSIVE}";
const DISABLE: &str = "mtls: {mode: DISABLE}";
const UNSET: &str = "mtls: {mode: UNSET}";
/// Names and namespaces.
const MESH: &str = "name: mesh, namespace: istio-system";
const ALL: &str = "name: all";
const ONE: &str = "name: one";
/// The same, older than what does not say when it was created.
const OLD: &str = "name: z, creationTimestamp: '2024-05-01T10:00:00Z'";
const OLDER: &str = "name: y, creationTimestamp: '2023-05-01T10:00:00Z'";

#[tokio::test(start_paused = true)]
async fn the_mode_that_decides_says_whether_a_caller_has_an_identity() {
    let both = "mtls: {mode: STRICT}, portLevelMtls: {'8080': {mode: DISABLE}}";
    let off = "mtls: {mode: DISABLE}, portLevelMtls: {'8080': {mode: UNSET}}";
    let other = "mtls: {mode: DISABLE}, portLevelMtls: {'9090': {mode: STRICT}}";
    for (sentence, all, status) in [
        ("without one it is permissive", vec![], 200),
        ("STRICT asks for what everybody has", vec![(ALL, "", STRICT)], 200),
        ("PERMISSIVE takes it", vec![(ALL, "", PERMISSIVE)], 200),
        ("DISABLE has no identities", vec![(ALL, "", DISABLE)], 403),
        ("of the root namespace, for the mesh", vec![(MESH, "", DISABLE)], 403),
        ("the namespace before the mesh", vec![(MESH, "", DISABLE), (ALL, "", STRICT)], 200),
        ("the workload before both", vec![(ALL, "", STRICT), (ONE, "payments", DISABLE)], 403),
        ("but not another workload", vec![(ALL, "", STRICT), (ONE, "users", DISABLE)], 200),
        ("UNSET is what is above", vec![(MESH, "", DISABLE), (ONE, "payments", UNSET)], 403),
        ("and without that permissive", vec![(ONE, "payments", UNSET)], 200),
        ("a selector of the root selects too", vec![(MESH, "payments", DISABLE)], 403),
        ("a port before its workload", vec![(ONE, "payments", both)], 403),
        ("where it sets no mode the workload's", vec![(ONE, "payments", off)], 403),
        ("of another port nothing holds", vec![(ONE, "payments", other)], 403),
        ("of two the first by name", vec![("name: b", "", DISABLE), ("name: a", "", STRICT)], 200),
        (
            "the older wins whatever its name",
            vec![("name: a", "", STRICT), (OLD, "", DISABLE)],
            403,
        ),
        ("and the oldest of them", vec![(OLD, "", DISABLE), (OLDER, "", STRICT)], 200),
        ("also where it sets no mode", vec![(OLD, "", UNSET), (ALL, "", DISABLE)], 200),
    ] {
        let documents: String = all.into_iter().map(peers).collect();
        let world = world(&documents);
        assert_eq!(world.status().await, Ok(status), "{sentence}");
    }
}
