//! Which port `port` of a match and `destination.port` of a policy are compared with: that of the
//! service a call is for, or that of the gateway it came in by. Resources are compiled from YAML.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod scripted;

use istio::{Configuration, Known, KnownService};
use scripted::{World, request};

const PAYMENTS: &str = "payments";

/// A world in which these resources are in force. Services of the mesh listen at port 80.
fn world(resources: &str) -> World {
    let services = [PAYMENTS, "gateway", "bank.example"];
    let instances = services.map(|service| (service, service, "v1"));
    let world = World::new(&instances);
    let known = |name: &str| KnownService {
        name: name.to_owned(),
        port: if name.contains('.') { 0 } else { 80 },
        ..KnownService::default()
    };
    let (services, gateways) = (services.map(known).into(), vec!["edge".into()]);
    let known = Known { services, gateways, ..Known::default() };
    let applied = Configuration::default().apply(resources, &known).unwrap();
    world.apply(applied.configuration.compile(&known, 1));
    world
}

fn resource(group: &str, kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: it}}\nspec: {spec}\n---\n"
    )
}

fn gateway(servers: &str) -> String {
    resource("networking", "Gateway", &format!("{{servers: [{servers}]}}"))
}

/// Rules for a host of a gateway: at this port to `payments`, else nowhere.
fn at_port(host: &str, gateway: &str, port: u16) -> String {
    let to = "route: [{destination: {host: payments}}]";
    let spec = format!(
        "{{hosts: [{host}], gateways: [{gateway}], http: [{{match: [{{port: {port}}}], {to}}}]}}"
    );
    resource("networking", "VirtualService", &spec)
}

/// Only calls for one of these ports.
fn only(service: &str, ports: &str) -> String {
    let spec = format!(
        "{{selector: {{matchLabels: {{app: {service}}}}}, rules: [{{to: [{{operation: {{ports: \
         [{ports}]}}}}]}}]}}"
    );
    resource("security", "AuthorizationPolicy", &spec)
}

/// The status of a request from outside, 404 where no rule takes it.
async fn outside(world: &World, service: &'static str, headers: &[(&str, &str)]) -> u16 {
    let request = request("/", headers);
    let answer = world.mesh.caller("browser").forward(service, request).send().await;
    answer.map_or(404, |answer| answer.status().as_u16())
}

async fn inside(world: &World, service: &'static str) -> u16 {
    world.caller().get(service, "/").send().await.unwrap().status().as_u16()
}

const HTTP: &str = "{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}";
const HTTPS: &str = "{port: {number: 8443, name: https, protocol: HTTPS}, hosts: ['*.example'], \
                     tls: {mode: SIMPLE, credentialName: shop}}";

#[tokio::test(start_paused = true)]
async fn a_match_at_a_gateway_is_compared_with_the_port_of_the_server_that_lets_the_host_in() {
    let host = ("host", "shop.example:3000");
    let tls = ("x-forwarded-proto", "https");
    for (sentence, servers, port, headers, taken) in [
        ("its only server", HTTP.to_owned(), 8080, &[host][..], true),
        ("not 80", HTTP.to_owned(), 80, &[host], false),
        ("nor where the edge listens", HTTP.to_owned(), 3000, &[host], false),
        ("the server of its scheme", format!("{HTTPS}, {HTTP}"), 8080, &[host], true),
        ("and of HTTPS, ended before", format!("{HTTP}, {HTTPS}"), 8443, &[host, tls], true),
        ("and not the other", format!("{HTTP}, {HTTPS}"), 8080, &[host, tls], false),
    ] {
        let rules = at_port("shop.example", "it", port);
        let world = world(&format!("{}{rules}", gateway(&servers)));
        let expected = if taken { 200 } else { 404 };
        assert_eq!(outside(&world, "shop.example", headers).await, expected, "{sentence}");
    }
    let world = world(&at_port("shop.example", "edge", 80));
    assert_eq!(
        outside(&world, "shop.example", &[host]).await,
        200,
        "a gateway without a resource has Istio's port for HTTP"
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_compared_with_the_port_of_the_service_that_is_called() {
    let port = "{number: 9443, name: http, protocol: HTTP}";
    let spec = format!("{{hosts: [bank.example], ports: [{port}]}}");
    let entry = resource("networking", "ServiceEntry", &spec);
    for port in ["'9443'", "'80'"] {
        let world = world(&format!("{entry}{}", only("bank.example", port)));
        let met = inside(&world, "bank.example").await;
        assert_eq!(met, 200, "{port}: outside of the mesh no proxy stands that could refuse");
    }
    for (port, status) in [("'80'", 200), ("'9443'", 403)] {
        assert_eq!(inside(&world(&only(PAYMENTS, port)), PAYMENTS).await, status, "{port}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_the_gateway_is_compared_with_the_port_of_its_server() {
    let to = "route: [{destination: {host: gateway}}]";
    let rules = format!("{{hosts: [shop.example], gateways: [it], http: [{{{to}}}]}}");
    let rules = resource("networking", "VirtualService", &rules);
    for (port, status) in [("'8080'", 200), ("'80'", 403)] {
        let world = world(&format!("{}{rules}{}", gateway(HTTP), only("gateway", port)));
        let headers = [("host", "shop.example:3000")];
        assert_eq!(outside(&world, "shop.example", &headers).await, status, "{port}");
    }
    for (port, status) in [("'80'", 200), ("'8080'", 403)] {
        let world = world(&only("gateway", port));
        assert_eq!(outside(&world, "gateway", &[]).await, status, "{port} without a Gateway");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_behind_the_gateway_is_called_at_its_own_port() {
    let to = "route: [{destination: {host: payments}}]";
    let rules = format!("{{hosts: [shop.example], gateways: [it], http: [{{{to}}}]}}");
    let rules = resource("networking", "VirtualService", &rules);
    for (port, status) in [("'80'", 200), ("'8080'", 403)] {
        let world = world(&format!("{}{rules}{}", gateway(HTTP), only(PAYMENTS, port)));
        let headers = [("host", "shop.example:3000")];
        assert_eq!(outside(&world, "shop.example", &headers).await, status, "{port}");
    }
}
