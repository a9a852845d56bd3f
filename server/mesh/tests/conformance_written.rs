//! What is written in fields of gateways and rules, through the whole stack: a row per sentence of
//! the references (`ServerTLSSettings.httpsRedirect`, `Headers.HeaderOperations`). Resources are
//! compiled from YAML.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod common;

use axum::body::Body;
use common::{Answer, World, read};
use http::Request;
use istio::{Configuration, Known, KnownService};

fn resource(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n\
         spec: {spec}\n---\n"
    )
}

fn world(resources: &str) -> World {
    let world = World::payments(1);
    let payments = KnownService { name: "payments".into(), port: 80, ..KnownService::default() };
    let known =
        Known { services: vec![payments], gateways: vec!["edge".into()], ..Known::default() };
    let applied = Configuration::default().apply(resources, &known).unwrap();
    world.apply(applied.configuration.compile(&known, 1));
    world
}

/// A request from outside.
async fn outside(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    read(world.mesh.caller("browser").forward("payments", request).send().await).await.unwrap()
}

const TO: &str = "route: [{destination: {host: payments}}]";

/// Servers of a gateway, and rules for two hosts behind it.
fn behind(servers: &str) -> String {
    let rules = format!("[{{match: [{{uri: {{prefix: /pay}}}}], {TO}}}]");
    let spec = format!("{{hosts: [shop.example, plain.example], gateways: [it], http: {rules}}}");
    let gateway = resource("Gateway", "it", &format!("{{servers: [{servers}]}}"));
    format!("{gateway}{}", resource("VirtualService", "it", &spec))
}

#[tokio::test(start_paused = true)]
async fn a_server_that_redirects_to_https_answers_301_before_any_rule() {
    let redirects = "{port: {number: 80, name: a, protocol: HTTP}, hosts: [shop.example], \
        tls: {httpsRedirect: true}}";
    let plain = "{port: {number: 8080, name: b, protocol: HTTP}, hosts: [plain.example]}";
    let https = "{port: {number: 443, name: c, protocol: HTTPS}, hosts: [shop.example], \
        tls: {mode: SIMPLE, credentialName: c}}";
    let off = redirects.replace("true", "false");
    let of_https = https.replace("mode", "httpsRedirect: true, mode");
    let (both, all) = (format!("{redirects}, {https}"), format!("{redirects}, {plain}, {https}"));
    let by_https = ("x-forwarded-proto", "https");
    let shop = ("host", "shop.example");
    for (sentence, servers, path, headers, status, location) in [
        (
            "the same address",
            redirects,
            "/pay?a=b",
            &[shop][..],
            301,
            "https://shop.example/pay?a=b",
        ),
        (
            "with its port",
            redirects,
            "/pay",
            &[("host", "shop.example:3000")],
            301,
            "https://shop.example:3000/pay",
        ),
        ("also where no rule is", redirects, "/none", &[shop], 301, "https://shop.example/none"),
        ("not without the field", off.as_str(), "/pay", &[shop], 200, ""),
        (
            "beside a server with TLS",
            both.as_str(),
            "/pay",
            &[shop],
            301,
            "https://shop.example/pay",
        ),
        ("who came by https is there", both.as_str(), "/pay", &[shop, by_https], 200, ""),
        ("its own hosts alone", all.as_str(), "/pay", &[("host", "plain.example")], 200, ""),
        (
            "a server with TLS has nobody to send",
            of_https.as_str(),
            "/pay",
            &[shop, by_https],
            200,
            "",
        ),
    ] {
        let world = world(&behind(servers));
        let answer = outside(&world, path, headers).await;
        let to = answer.headers.get("location").map_or("", |to| to.to_str().unwrap());
        assert_eq!((answer.status, to), (status, location), "{sentence}");
    }
    // Calls between services are none of the gateway's.
    let world = world(&behind(redirects));
    assert_eq!(world.get("payments", "/pay").await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_host_among_the_headers_of_a_request_is_the_authority_that_the_service_sees() {
    let request = |headers: &str| format!("headers: {{request: {{{headers}}}}}, {TO}");
    let at_destination = |headers: &str| {
        format!(
            "headers: {{request: {{set: {{host: rule.example}}}}}}, route: [{{destination: \
             {{host: payments}}, headers: {{request: {{{headers}}}}}}}]"
        )
    };
    let rewritten = format!("rewrite: {{uri: /new}}, {}", request("set: {host: set.example}"));
    for (sentence, rule, host, uri) in [
        ("as it came", TO.to_owned(), "payments.example", "/pay"),
        ("set", request("set: {host: set.example}"), "set.example", "/pay"),
        ("in any case", request("set: {Host: set.example}"), "set.example", "/pay"),
        ("by its other name", request("set: {':authority': set.example}"), "set.example", "/pay"),
        ("added, which sets it", request("add: {host: set.example}"), "set.example", "/pay"),
        ("never taken away", request("remove: [host]"), "payments.example", "/pay"),
        ("beside a new path", rewritten, "set.example", "/new"),
        ("a destination's own", at_destination("set: {host: own.example}"), "own.example", "/pay"),
        ("else the rule's", at_destination("set: {x-a: b}"), "rule.example", "/pay"),
    ] {
        // A rule for the host that is set would take the request, if it were routed again.
        let others = "{match: [{authority: {regex: '(set|own|rule).example'}}], \
            directResponse: {status: 418}}";
        let spec = format!(
            "{{hosts: [payments], gateways: [mesh, edge], \
             http: [{others}, {{match: [{{uri: {{prefix: /pay}}}}], {rule}}}]}}"
        );
        let world = world(&resource("VirtualService", "it", &spec));
        let answer = outside(&world, "/pay", &[("host", "payments.example")]).await;
        assert_eq!(answer.status, 200, "{sentence}");
        let echo = answer.echo.unwrap();
        assert_eq!(echo.headers["host"], [host], "{sentence}");
        assert_eq!(echo.uri, uri, "{sentence}");
    }
}
