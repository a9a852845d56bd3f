//! Bad input at the control API, at the forms of Traffic and Resilience, and at every server
//! function: each is refused as the sender's mistake with a reason, and configuration, revisions,
//! faults, breakers and load are the same afterwards.
//!
//! The list of server functions is Leptos' own, so that a new one fails here until it is covered.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use leptos::server_fn::axum::server_fn_paths;
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::SocketAddr};
use testkit::{Answer, Client, Launch, Program, raw};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const PROBLEM: &str = "application/problem+json";
const JSON: &str = "Content-Type: application/json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const YAML: &str = "Content-Type: application/yaml";

/// Server functions that ask for nothing, or for nothing that must be there: garbage is no mistake.
const ASK_FOR_NOTHING: [&str; 6] =
    ["customers", "export-health", "orders", "products", "resilience", "traffic"];
/// Those whose bad arguments are tested with the orders and traces they are about.
const WITH_ORDERS: [&str; 8] = [
    "cancel-order",
    "order",
    "place-order",
    "redrive-order",
    "set-load",
    "ship-order",
    "snapshot",
    "trace",
];

/// Those that take every text, with the name of it, and find nothing for one that names nothing.
const ANY_TEXT: [(&str, &str); 2] = [("find", "text"), ("logs", "service")];

struct World {
    program: Program,
    client: Client,
    address: SocketAddr,
    before: Value,
}

impl World {
    async fn open() -> Self {
        let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0"];
        let mut program = Launch::new(PROGRAM).args(&throwaway).spawn();
        let address = program.address().await;
        let client = Client::new(address);
        // A fault that is active, and a breaker to tell something.
        let fault = json!({ "kind": "delay", "to": "users", "percent": 1.0, "delay_ms": 1,
            "ttl_s": 3600 });
        assert_eq!(client.post("/control/faults", &fault).await.status, 201);
        assert_eq!(client.get("/api/v1/products").await.status, 200);
        let before = state(&client).await;
        Self { program, client, address, before }
    }

    async fn close(self) {
        assert_eq!(self.client.get("/livez").await.status, 200);
        let mut after = state(&self.client).await;
        // Asking for the first time makes a breaker, which is told nothing by that.
        let known = self.before["breakers"].as_array().expect("breakers");
        let breakers = after["breakers"].as_array_mut().expect("breakers");
        breakers.retain(|new| {
            let is_known = known.iter().any(|old| old[0] == new[0]);
            let untouched = json!([new[1], new[2], new[4]]) == json!(["closed", null, []]);
            assert!(is_known || untouched, "{new}");
            is_known
        });
        assert_eq!(after, self.before, "something was changed");
        self.program.stop().await;
    }

    async fn ask(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        raw(self.address, &[head.as_bytes(), body].concat()).await
    }

    /// Sends it and wants a problem of this status, which gives its reason.
    async fn refused(&self, line: &str, headers: &[&str], body: &[u8], status: u16) -> Value {
        let answer = self.ask(line, headers, body).await;
        let what = format!("{line} {}", String::from_utf8_lossy(&body[..body.len().min(80)]));
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.header("content-type"), PROBLEM, "{what}: {}", answer.text());
        let problem = answer.json();
        assert!(problem["detail"].as_str().is_some_and(|d| d.len() > 10), "{what}: {problem}");
        let said = problem.to_string();
        let is_type = |word: &&str| {
            let digits = word.strip_prefix(['u', 'i', 'f']);
            digits.is_some_and(|digits| ["8", "16", "32", "64", "128", "size"].contains(&digits))
        };
        let typed = said.split(|c: char| !c.is_alphanumeric()).find(is_type);
        assert_eq!(typed, None, "{what}: {said}");
        problem
    }
}

/// What nothing here may change.
async fn state(client: &Client) -> Value {
    let faults = client.get("/control/faults").await.json();
    let ids = |list: &Value| -> Vec<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(|fault| fault["id"].to_string()).collect()
    };
    let breakers = client.get("/control/breakers").await.json();
    let breaker = |card: &Value| {
        json!([
            card["line"]["id"],
            card["line"]["state"],
            card["line"]["forced"],
            card["settings"],
            card["history"]
        ])
    };
    let breakers: Vec<Value> = breakers.as_array().expect("breakers").iter().map(breaker).collect();
    json!({
        "configuration": client.get("/control/istio").await.text(),
        "revisions": client.get("/control/istio/revisions").await.json(),
        "faults": [ids(&faults["active"]), ids(&faults["ended"]), faults["held_us"]],
        "breakers": breakers,
        "load": client.load().await,
    })
}

/// What no text that is applied may be.
fn bad_texts() -> Vec<Vec<u8>> {
    let service = |spec: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\n\
             spec: {spec}\n"
        )
    };
    let mut texts: Vec<Vec<u8>> = [
        "{",
        "a: [",
        "7",
        "text",
        "- a\n- b",
        "kind: VirtualService",
        "apiVersion: networking.istio.io/v9\nkind: VirtualService\nmetadata: {name: a}",
        "a: &a [*a]",
        "\0",
    ]
    .map(Into::into)
    .to_vec();
    for spec in [
        "{}",
        "7",
        "{hosts: []}",
        "{hosts: [payments], http: [{route: []}]}",
        "{hosts: [payments], http: [{route: [{destination: {host: payments}, weight: -1}]}]}",
        "{hosts: [payments], http: [{route: [{destination: {host: payments}}], timeout: soon}]}",
        "{hosts: [payments], htpp: []}",
    ] {
        texts.push(service(spec).into());
    }
    texts.push(vec![0xff; 50]);
    texts.push([b"a: ".as_slice(), &[0xc3]].concat());
    texts.push("[".repeat(20_000).into());
    texts
}

#[tokio::test]
async fn a_text_that_cannot_be_applied_is_refused_with_its_places() {
    let world = World::open().await;
    for text in bad_texts() {
        for line in ["POST /control/istio", "POST /control/istio?dryRun=true"] {
            let problem = world.refused(line, &[YAML], &text, 422).await;
            let findings = problem["findings"].as_array().expect("findings");
            let placed = |f: &Value| f["at"]["line"].as_u64().is_some_and(|line| line > 0);
            assert!(!findings.is_empty() && findings.iter().all(placed), "{problem}");
        }
    }
    world.refused("POST /control/istio", &[YAML], &vec![b'#'; 1024 * 1024 + 1], 413).await;
    for query in ["dryRun=perhaps", "dryrun=true", "base=-1", "base=x", "dryRun"] {
        world.refused(&format!("POST /control/istio?{query}"), &[YAML], b"", 400).await;
    }
    for text in ["", "\n", "---\n", "# nothing\n"] {
        for line in ["POST /control/istio", "POST /control/istio?dryRun=true"] {
            let problem = world.refused(line, &[YAML], text.as_bytes(), 422).await;
            assert!(
                problem["detail"].to_string().contains("No objects passed to apply"),
                "{text:?}"
            );
        }
    }
    let stale = "POST /control/istio?base=999";
    let good = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\n\
                spec: {hosts: [a.example], http: [{route: [{destination: {host: users}}]}]}\n";
    world.refused(stale, &[YAML], good.as_bytes(), 409).await;
    world.close().await;
}

#[tokio::test]
async fn a_resource_or_revision_that_is_not_there_is_not_there() {
    let world = World::open().await;
    for path in [
        "/control/istio/pod",
        "/control/istio/pod/a",
        "/control/istio/vs/none",
        "/control/istio/vs/%00",
        "/control/istio/vs/other%2Fgateway",
        "/control/istio/revisions/999999",
        "/control/faults/none",
        "/control/frob",
        "/control",
    ] {
        let method = if path.starts_with("/control/faults") { "DELETE" } else { "GET" };
        world.refused(&format!("{method} {path}"), &[], b"", 404).await;
    }
    for path in ["pod/a", "vs/none", "vs/%00", "vs/..", "vs/a%20b"] {
        world.refused(&format!("DELETE /control/istio/{path}"), &[], b"", 404).await;
    }
    world.refused("POST /control/istio/revisions/999999/restore", &[], b"", 404).await;
    for number in ["x", "-1", "1e3", "99999999999999999999999"] {
        for line in ["GET /control/istio/revisions/", "POST /control/istio/revisions/"] {
            let rest = if line.starts_with("POST") { "/restore" } else { "" };
            world.refused(&format!("{line}{number}{rest}"), &[], b"", 400).await;
        }
    }
    for query in ["for=nobody", "for", "four=istio"] {
        world.refused(&format!("GET /control/istio?{query}"), &[], b"", 400).await;
    }
    for id in ["F-0", "F-99", "F--1", "F-01", "f-1", "%00", "F-99999999999"] {
        world.refused(&format!("DELETE /control/faults/{id}"), &[], b"", 404).await;
    }
    world.close().await;
}

/// A fault that would be taken, with one thing wrong.
fn bad_faults() -> Vec<Value> {
    let good = json!({ "kind": "abort", "to": "users", "percent": 10.0, "status": 503,
        "ttl_s": 60 });
    let with = |field: &str, value: Value| {
        let mut fault = good.clone();
        fault[field] = value;
        fault
    };
    let mut faults = vec![json!({}), json!({ "kind": "abort" })];
    for (field, values) in [
        ("kind", vec![json!("explode"), json!(7), json!(null)]),
        ("to", vec![json!("nowhere"), json!(""), json!(7), json!("\u{0}")]),
        ("from", vec![json!("nobody"), json!([])]),
        ("subset", vec![json!("v9")]),
        ("percent", vec![json!(0), json!(-1), json!(100.1), json!("10"), json!(1e300)]),
        ("status", vec![json!(0), json!(199), json!(600), json!(70_000), json!(-1)]),
        ("ttl_s", vec![json!(0), json!(3_601), json!(-1), json!(null), json!(1e12)]),
        ("limit", vec![json!(-1), json!("x"), json!(1e12)]),
        ("grpc_status", vec![json!("OOPS"), json!("OK"), json!(99), json!("99")]),
        ("after_bytes", vec![json!(1), json!(-1)]),
        ("route", vec![json!("none/none"), json!("gateway"), json!(1)]),
        ("terms", vec![json!(1), json!([1]), json!([{ "on": "header" }])]),
    ] {
        faults.extend(values.into_iter().map(|value| with(field, value)));
    }
    let delay = |delay_ms: Value| {
        json!({ "kind": "delay", "to": "users", "percent": 10.0, "delay_ms": delay_ms,
            "ttl_s": 60 })
    };
    faults.extend([delay(json!(0)), delay(json!(-1)), delay(json!("2s"))]);
    let instance = json!({ "kind": "kill_instance", "instance": "users-99", "ttl_s": 60 });
    faults.push(instance);
    faults
}

const BAD_CHANGES: [&str; 8] = [
    "\"explode\"",
    "{\"force_open\":0}",
    "{\"force_open\":3601}",
    "{\"force_closed\":-1}",
    "{\"force_closed\":\"1\"}",
    "{\"thresholds\":{}}",
    "7",
    "",
];

#[tokio::test]
async fn a_fault_or_a_change_of_a_breaker_that_makes_no_sense_is_refused() {
    let world = World::open().await;
    for fault in bad_faults() {
        let body = fault.to_string();
        world.refused("POST /control/faults", &[JSON], body.as_bytes(), 400).await;
    }
    // One answer names all that is missing, and what is misspelt.
    let nothing = world.refused("POST /control/faults", &[JSON], b"{}", 400).await;
    let named: Vec<_> = nothing["errors"].as_array().expect("errors").iter().collect();
    let named: Vec<_> = named.iter().filter_map(|error| error["field"].as_str()).collect();
    assert_eq!(named, ["kind", "to", "percent", "ttl_s"], "{nothing}");
    let misspelt = json!({ "kind": "delay", "to": "users", "percent": 1, "delay": 5, "ttl_s": 9 });
    let misspelt = misspelt.to_string();
    let told = world.refused("POST /control/faults", &[JSON], misspelt.as_bytes(), 400).await;
    assert_eq!(told["errors"][0]["field"], "delay", "{told}");
    assert!(told["errors"][0]["reason"].to_string().contains("delay_ms"), "{told}");
    for body in ["", "{", "null", "[]", "7"] {
        world.refused("POST /control/faults", &[JSON], body.as_bytes(), 400).await;
    }
    world.refused("POST /control/faults", &[FORM], b"kind=abort", 415).await;
    let breaker = world.before["breakers"][0][0].as_str().expect("a breaker").to_owned();
    for body in BAD_CHANGES {
        let line = format!("POST /control/breakers/{breaker}");
        let told = world.refused(&line, &[JSON], body.as_bytes(), 400).await;
        if body.contains(":0}") || body.contains(":3601}") {
            assert_eq!(told["errors"][0]["field"], "force_open", "{told}");
        }
    }
    for id in ["none", "a~b", "~", "%00", "gateway~"] {
        let line = format!("POST /control/breakers/{id}");
        world.refused(&line, &[JSON], b"\"reset\"", 404).await;
    }
    world.close().await;
}

#[tokio::test]
async fn a_form_that_makes_no_sense_leads_back_to_its_page_with_the_reason() {
    let world = World::open().await;
    let inject = "kind=abort&to=users&percent=10&status=503&ttl_s=60&from=&subset=&instance=";
    let breaker = world.before["breakers"][0][0].as_str().expect("a breaker").to_owned();
    let mut cases: Vec<(&str, Vec<u8>)> = vec![("/resilience/remove", b"id=F-99".to_vec())];
    for (good, bad) in [
        ("kind=abort", "kind=explode"),
        ("to=users", "to=nowhere"),
        ("percent=10", "percent=0"),
        ("percent=10", "percent=x"),
        ("status=503", "status=99"),
        ("ttl_s=60", "ttl_s=0"),
        ("kind=abort", "kind=delay&delay_s=-4"),
        ("kind=abort", "kind=delay&delay_s=abc"),
        ("ttl_s=60", "ttl_s=60&limit=-1"),
    ] {
        cases.push(("/resilience/inject", inject.replace(good, bad).into()));
    }
    for order in ["explode", "", "force_open", "force_open&ttl_s=99999"] {
        let body = format!("id={breaker}&order={order}");
        cases.push(("/resilience/breaker", body.into()));
    }
    cases.push(("/resilience/breaker", b"id=none&order=reset".to_vec()));
    cases.push(("/resilience/thresholds", format!("id={breaker}").into()));
    cases.push(("/traffic/payments/restore", b"revision=999999".to_vec()));
    cases.push(("/traffic/all/delete", b"kind=Pod&namespace=default&name=x".to_vec()));
    for path in [
        "/resilience/inject",
        "/resilience/thresholds",
        "/resilience/remove",
        "/resilience/breaker",
        "/traffic",
        "/traffic/payments",
        "/traffic/payments/restore",
        "/traffic/all/delete",
    ] {
        for bad in ["", "x=1", "%", "revision=x&id=&order="] {
            cases.push((path, bad.into()));
        }
        cases.push((path, vec![0xff; 100]));
    }
    for (path, body) in &cases {
        let answer = world.ask(&format!("POST {path}"), &[FORM], body).await;
        let what = format!("{path} {}", String::from_utf8_lossy(body));
        assert_eq!(answer.status, 303, "{what}: {}", answer.text());
        let (address, reason) = answer.header("location").split_once("error=").expect(&what);
        let page = address.split('?').next().unwrap_or_default();
        let known = ["/resilience", "/traffic", "/traffic/payments"];
        assert!(known.contains(&page), "{what} leads to {page}");
        assert!(reason.len() > 10, "{what}: no reason but {reason:?}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_text_that_makes_no_sense_is_answered_with_the_page_and_what_is_said_of_it() {
    let world = World::open().await;
    for path in ["/traffic", "/traffic/payments"] {
        for text in ["{", "kind: VirtualService", "7"] {
            let body = format!("yaml={text}");
            let answer = world.ask(&format!("POST {path}"), &[FORM], body.as_bytes()).await;
            assert_eq!(answer.status, 422, "{path} {text}: {}", answer.text());
            assert!(answer.text().contains("Nothing was changed"), "{path} {text}");
        }
    }
    world.close().await;
}

/// Thresholds to try that no breaker can have, or of no breaker.
fn bad_thresholds() -> Vec<Value> {
    let asked = |id: &str, failures: Value, wait: Value| {
        let settings = json!({ "failures_in_a_row": failures, "wait_ms": wait });
        json!({ "asked": { "id": id, "settings": settings } })
    };
    vec![
        asked("none", json!(5), json!(1_000)),
        asked("gateway~users", json!(0), json!(1_000)),
        asked("gateway~users", json!(5), json!(3_600_001)),
        asked("gateway~users", json!(-1), json!("x")),
    ]
}

fn bad_questions() -> Vec<Value> {
    let of = |asked: Value| json!({ "name": "payments", "asked": asked });
    vec![
        json!({ "name": "nowhere", "asked": {} }),
        of(json!({ "pool": "v9" })),
        of(json!({ "left": "nobody" })),
        of(json!({ "key": "x".repeat(1_025) })),
        of(json!({ "kee": "alice" })),
        of(json!(7)),
    ]
}

/// A resource that nothing reads, for a field is not spelt as it should be.
const MISSPELT: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
                        metadata: {name: a}\nspec: {hosts: [payments], htpp: []}\n";

/// Arguments of the right form that a function must refuse.
fn bad_arguments(name: &str) -> Option<Vec<(&'static str, String)>> {
    let json =
        |bodies: Vec<Value>| Some(bodies.into_iter().map(|b| (JSON, b.to_string())).collect());
    let probe = |method: &str, path: &str, headers: &str| {
        let request = json!({ "method": method, "path": path, "headers": headers, "source": "" });
        json!({ "name": "payments", "yaml": "", "request": request })
    };
    match name {
        "draft" => json(vec![
            json!({ "name": "nowhere", "yaml": "", "edit": null, "service": "" }),
            json!({ "name": "payments", "yaml": 7, "edit": null, "service": "" }),
            json!({ "name": "payments", "yaml": "", "edit": 7, "service": "" }),
        ]),
        "change-traffic" => json(vec![
            json!({ "command": { "restore": { "number": 999_999, "base": null } } }),
            json!({ "command": { "restore": { "number": -1, "base": null } } }),
            json!({ "command": { "delete": { "key": {
                "kind": "Gateway", "namespace": "default", "name": "nobody"
            }, "base": null } } }),
            json!({ "command": { "explode": 1 } }),
            json!({ "command": { "apply": { "yaml": MISSPELT } } }),
        ]),
        "set-faithful" => {
            let to = |name: &str, route: &str| {
                let command = json!({ "virtual_service": name, "route": route, "on": true });
                json!({ "command": command })
            };
            json(vec![to("nobody", "versions"), to("payments", "nobody"), json!({ "command": 7 })])
        }
        "dry-run" => json(vec![
            json!({ "name": "nowhere", "yaml": "" }),
            json!({ "name": "payments", "yaml": MISSPELT }),
            json!({ "name": "payments", "yaml": "{" }),
        ]),
        "probe" => json(vec![
            probe("G T", "/", ""),
            probe("GET", "no path", ""),
            probe("GET", "/", "no header"),
        ]),
        "balance" => json(bad_questions()),
        "trace-walk" => Some(vec![(FORM, "trace_id=nowhere".to_owned())]),
        "revision" => Some(
            ["name=payments&number=999999", "name=nowhere&number=1", "name=payments&number=x"]
                .map(|body| (FORM, body.to_owned()))
                .to_vec(),
        ),
        "expect-fault" | "inject-fault" => {
            json(bad_faults().into_iter().map(|fault| json!({ "fault": fault })).collect())
        }
        "end-faults" => json(vec![
            json!({ "command": { "one": "F-99" } }),
            json!({ "command": { "one": "" } }),
            json!({ "command": "explode" }),
        ]),
        "change-breaker" => json(vec![
            json!({ "command": { "id": "none", "change": "reset" } }),
            json!({ "command": { "id": "", "change": { "force_open": 0 } } }),
            json!({ "command": { "id": "a~b", "change": { "force_open": 10 } } }),
        ]),
        "what-if" => json(bad_thresholds()),
        "traces" => json(vec![
            json!({ "query": 7 }),
            json!({ "query": { "service": 7 } }),
            json!({ "query": { "window": { "from_us": 1 } } }),
        ]),
        "newer-traces" => json(vec![
            json!({ "query": {}, "after_us": "now" }),
            json!({ "query": 7, "after_us": 0 }),
        ]),
        _ => None,
    }
}

#[tokio::test]
async fn every_server_function_refuses_garbage_and_arguments_that_make_no_sense() {
    // Else the linker leaves out what only the program needs, and the list would be short.
    std::hint::black_box(server::run::run as fn(_) -> _);
    let functions: BTreeSet<String> = server_fn_paths()
        .filter_map(|(path, _)| path.strip_prefix("/ui/").map(ToOwned::to_owned))
        .collect();
    let written = include_str!("../../app/src/ask.rs").matches("#[server(").count();
    assert_eq!(functions.len(), written, "{functions:?}");
    let world = World::open().await;
    for name in &functions {
        let asks = !ASK_FOR_NOTHING.contains(&name.as_str());
        for body in ["", "{", "null", "[]", "7", "x=1", "%FF", "{\"x\":1}"] {
            for kind in [JSON, FORM] {
                let answer = world.ask(&format!("POST /ui/{name}"), &[kind], body.as_bytes()).await;
                let what = format!("{name} {body}: {} {}", answer.status, answer.text());
                assert!(answer.status < 500, "{what}");
                assert!(!asks || answer.status >= 400, "{what}");
            }
        }
        if let Some((_, field)) = ANY_TEXT.iter().find(|(of, _)| of == name) {
            for text in ["", "%00%01", &"x".repeat(10_000)] {
                let body = format!("{field}={text}");
                let answer = world.ask(&format!("POST /ui/{name}"), &[FORM], body.as_bytes()).await;
                assert_eq!((answer.status, answer.json()), (200, json!([])), "{name} {body}");
            }
            continue;
        }
        let Some(bad) = bad_arguments(name) else {
            let covered = !asks || WITH_ORDERS.contains(&name.as_str());
            assert!(covered, "cover the server function {name} in bad_arguments");
            continue;
        };
        for (kind, body) in bad {
            let answer = world.ask(&format!("POST /ui/{name}"), &[kind], body.as_bytes()).await;
            let what = format!("{name} {body}: {} {}", answer.status, answer.text());
            // An apply that is refused is an answer: the page shows its findings.
            let refused = (400..500).contains(&answer.status)
                || (name == "change-traffic" && answer.json()["revision"].is_null());
            assert!(refused, "{what}");
        }
    }
    world.close().await;
}

/// Everything below `/control`, with a query that it does not know.
const QUERIES: [&str; 21] = [
    "GET /control/istio?dryrun=true",
    "POST /control/istio?dryrun=true",
    "GET /control/istio/findings?dryrun=true",
    "GET /control/istio/revisions?dryrun=true",
    "GET /control/istio/revisions/1?dryrun=true",
    "POST /control/istio/revisions/1/restore?dryrun=true",
    "GET /control/istio/routes/payments/versions/faithful?dryrun=true",
    "PUT /control/istio/routes/payments/versions/faithful?dryrun=true",
    "GET /control/istio/virtualservice?dryrun=true",
    "GET /control/istio/virtualservice/payments?dryrun=true",
    "DELETE /control/istio/virtualservice/payments?dryrun=true",
    "GET /control/mirrors?dryrun=true",
    "GET /control/faults?dryrun=true",
    "POST /control/faults?dryrun=true",
    "DELETE /control/faults?dryrun=true",
    "DELETE /control/faults/F-1?dryrun=true",
    "POST /control/faults/release?dryrun=true",
    "GET /control/breakers?dryrun=true",
    "POST /control/breakers/gateway-orders?dryrun=true",
    "GET /control/breakers/gateway~users/what-if?failures_in_a_row=3&wait_ms=1&dryrun=true",
    "GET /control/dead-letters?dryrun=true",
];

#[tokio::test]
async fn a_query_that_nobody_knows_is_refused_by_name_and_does_nothing() {
    let world = World::open().await;
    for line in QUERIES {
        let problem = world.refused(line, &[YAML], b"", 400).await;
        let said = problem["detail"].as_str().unwrap_or_default();
        assert!(said.contains("`dryrun`"), "{line}: {problem}");
    }
    world.close().await;
}
