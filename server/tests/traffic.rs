//! The Traffic page against the built program: what its editor is told, what it changes, and what
//! it leaves alone.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Client, Launch, Program, client::send, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/istio/tests/data");
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    program: Program,
    client: Client,
}

async fn world() -> World {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0"];
    let (program, client) = Launch::new(PROGRAM).args(&throwaway).start().await;
    World { program, client }
}

/// What the page asks of its server.
async fn ask(client: &Client, what: &str, body: &Value) -> Value {
    let answer = client.post(&format!("/ui/{what}"), body).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer.json()
}

async fn route(client: &Client, host: &str) -> Value {
    ask(client, "traffic", &json!({ "name": host, "open": null })).await["route"].clone()
}

fn text(route: &Value) -> String {
    route["applied"]["yaml"].as_str().expect("a text").to_owned()
}

async fn apply_file(client: &Client, file: &str) {
    let yaml = std::fs::read_to_string(format!("{DATA}/{file}")).expect("the file");
    let applied = send(client.request(http::Method::POST, "/control/istio").body(yaml)).await;
    let applied = applied.expect("an answer");
    assert_eq!(applied.status, 200, "{file}: {}", applied.text());
}

async fn apply_draft(client: &Client, host: &str, yaml: &str) -> Value {
    let apply = json!({ "yaml": yaml, "base": null, "host": host, "dry_run": false });
    let applied = ask(client, "change-traffic", &json!({ "command": { "apply": apply } })).await;
    assert!(applied["revision"].is_u64(), "{applied}");
    applied
}

#[tokio::test]
async fn every_document_of_a_host_says_what_it_is_in_force_for() {
    let World { program, client } = world().await;
    for file in ["traffic-management.yml", "istio-config.yml"] {
        apply_file(&client, file).await;
    }
    let gateway = route(&client, "gateway").await;
    let form = &gateway["applied"]["form"];
    let documents = form["documents"].as_array().expect("documents");
    let services: Vec<_> =
        documents.iter().filter(|document| document["kind"] == "VirtualService").collect();
    assert!(services.len() > 1, "{documents:?}");
    for document in documents {
        let standing = document["standing"]["text"].as_str().expect("a text");
        assert!(!standing.is_empty(), "{document}");
    }
    let shadowed = services.iter().filter(|document| document["standing"]["idle"] == true);
    for document in shadowed {
        let standing = document["standing"]["text"].as_str().expect("a text");
        assert!(standing.contains("shadowed by"), "{document}");
    }
    // The one that decides has the controls, and any other can be given them.
    let chosen = form["service"].as_str().expect("a name");
    let decides = services.iter().find(|document| document["name"] == chosen).expect("it");
    assert_eq!(decides["standing"]["idle"], false, "{decides}");
    let other = services.iter().find(|document| document["name"] != chosen).expect("another");
    let asked = json!({ "name": "gateway", "open": other["name"] });
    let page = ask(&client, "traffic", &asked).await;
    assert_eq!(page["route"]["applied"]["form"]["service"], other["name"]);
    let all = ask(&client, "traffic", &json!({ "name": null, "open": null })).await;
    let kinds: Vec<_> = all["resources"].as_array().expect("resources").iter().collect();
    for kind in ["Gateway", "ServiceEntry", "PeerAuthentication", "AuthorizationPolicy"] {
        assert!(kinds.iter().any(|row| row["key"]["kind"] == kind), "{kind}: {kinds:?}");
    }
    program.stop().await;
}

#[tokio::test]
async fn a_text_without_a_resource_is_tried_and_checked_as_it_is_applied() {
    let World { program, client } = world().await;
    assert_eq!(client.get("/api/v1/products").await.status, 200);
    let catalog = text(&route(&client, "catalog").await);
    let documents: Vec<&str> = catalog.split("---\n").collect();
    let rule = documents.iter().find(|text| text.contains("kind: DestinationRule")).expect("it");
    // Without its VirtualService the recorded request takes no rule.
    let tried = json!({ "name": "catalog", "yaml": rule });
    let tried = ask(&client, "dry-run", &tried).await;
    let rows = tried["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["to"] == "catalog, no rule").expect("a changed request");
    let trace = row["trace_id"].as_str().expect("its trace");
    assert_eq!(trace.len(), 32, "{row}");
    let draft = json!({ "name": "catalog", "yaml": rule, "edit": null, "service": "" });
    let draft = ask(&client, "draft", &draft).await;
    assert_eq!(draft["form"]["rules"], json!([]));
    apply_draft(&client, "catalog", rule).await;
    assert_eq!(client.get("/control/istio/vs/catalog").await.status, 404);
    assert_eq!(client.get("/control/istio/dr/catalog").await.status, 200);
    program.stop().await;
}

#[tokio::test]
async fn rates_go_on_and_shares_begin_anew_when_other_weights_are_applied() {
    let World { program, client } = world().await;
    let before = text(&route(&client, "catalog").await);
    for _ in 0..20 {
        assert_eq!(client.get("/api/v1/products").await.status, 200);
    }
    let halves = before.replace("weight: 100", "weight: 50").replace("weight: 0", "weight: 50");
    apply_draft(&client, "catalog", &halves).await;
    apply_draft(&client, "catalog", &before).await;
    let seen = route(&client, "catalog").await;
    let rule = &seen["hits"][0];
    assert_eq!(rule["hits"], 0, "of this revision");
    assert!(rule["per_second"].as_f64().expect("a rate") > 0.0, "of the minute: {rule}");
    assert_eq!(rule["shares"][0]["observed"], Value::Null, "{rule}");
    program.stop().await;
}

#[tokio::test]
async fn a_revision_says_what_it_touched_and_what_going_back_to_it_changes() {
    let World { program, client } = world().await;
    let first = route(&client, "payments").await["revision"].as_u64().expect("a number");
    for host in ["catalog", "payments"] {
        let before = text(&route(&client, host).await);
        let later = before.replace("- name: versions", "- name: versions\n    timeout: 5s");
        let applied = apply_draft(&client, host, &later).await;
        assert_eq!(
            applied["before"].as_u64().map(|before| before + 1),
            applied["revision"].as_u64()
        );
    }
    let rows = route(&client, "payments").await["revisions"].clone();
    let of = |number: u64| {
        let mut rows = rows.as_array().expect("rows").iter();
        rows.find(|row| row["number"] == number).expect("a revision").clone()
    };
    assert_eq!(of(first + 2)["touched"], json!(["payments"]));
    assert_eq!(of(first + 1)["touched"], json!(["catalog"]));
    assert_eq!(of(first + 1)["undoes"], json!(["payments"]));
    assert_eq!(of(first)["undoes"], json!(["catalog", "payments"]));
    assert!(of(first + 1)["since_request"].is_u64(), "also of one that is over");
    // Undo is for the revision that was seen.
    let restore = json!({ "restore": { "number": first + 1, "base": first } });
    let late = client.post("/ui/change-traffic", &json!({ "command": restore })).await;
    assert_ne!(late.status, 200, "{}", late.text());
    program.stop().await;
}

#[tokio::test]
async fn a_refused_form_is_answered_with_its_text_and_every_finding() {
    let World { program, client } = world().await;
    let typed = text(&route(&client, "payments").await).replace("weight: 0", "wieght: 0");
    let body = format!("yaml={}", encoded(&typed));
    let form = |path: &str, body: String| {
        let request = client.request(http::Method::POST, path).body(body);
        request.header("content-type", "application/x-www-form-urlencoded")
    };
    let refused = send(form("/traffic/payments", body)).await.expect("an answer");
    assert_eq!(refused.status, 422, "{}", refused.text());
    let page = refused.text();
    assert!(page.contains("wieght: 0") && page.contains("Did you mean weight?"), "{page}");
    let gone = send(form("/traffic/payments/restore", "revision=999".into())).await;
    let gone = gone.expect("an answer");
    assert!(gone.header("location").starts_with("/traffic/payments?error="), "{}", gone.status);
    program.stop().await;
}

#[tokio::test]
async fn an_empty_text_deletes_nothing_and_says_how_something_is_deleted() {
    let World { program, client } = world().await;
    let revision = async || route(&client, "payments").await["revision"].clone();
    let before = revision().await;
    let form = |body: String| {
        let request = client.request(http::Method::POST, "/traffic/payments").body(body);
        request.header("content-type", "application/x-www-form-urlencoded")
    };
    for text in ["", " \n\n ", "---\n", "# nothing\n"] {
        for dry_run in ["", "dry_run=1&"] {
            let body = format!("{dry_run}yaml={}", encoded(text));
            let refused = send(form(body)).await.expect("an answer");
            assert_eq!(refused.status, 422, "{text:?}: {}", refused.text());
            let page = refused.text();
            assert!(page.contains("use Delete beside it"), "{text:?}: {page}");
        }
        let apply = json!({ "yaml": text, "base": null, "host": "payments", "dry_run": false });
        let command = json!({ "command": { "apply": apply } });
        let refused = client.post("/ui/change-traffic", &command).await;
        assert_eq!(refused.status, 400, "{text:?}: {}", refused.text());
    }
    assert_eq!(revision().await, before);
    for resource in ["vs/payments", "dr/payments"] {
        let kept = client.get(&format!("/control/istio/{resource}")).await;
        assert_eq!(kept.status, 200, "{resource}: {}", kept.text());
    }
    program.stop().await;
}

#[tokio::test]
async fn rules_that_met_no_request_and_mirrors_are_listed() {
    let World { program, client } = world().await;
    let before = text(&route(&client, "catalog").await);
    let canary = "  http:\n  - name: nobody\n    match:\n    - headers:\n        x-nobody:\n\
                  \x20         exact: \"1\"\n    route:\n    - destination:\n\
                  \x20       host: product-service\n        subset: v2\n";
    let mirrored =
        "  - name: versions\n    mirror:\n      host: product-service\n      subset: v2\n";
    let later = before.replace("  http:\n", canary).replace("  - name: versions\n", mirrored);
    apply_draft(&client, "catalog", &later).await;
    for _ in 0..60 {
        assert_eq!(client.get("/api/v1/products").await.status, 200);
    }
    let findings = client.get("/control/istio/findings").await.json();
    let never = |findings: &Value| {
        let mut all = findings.as_array().expect("findings").iter();
        all.find(|f| f["code"] == "VIT115").cloned()
    };
    let found = never(&findings["findings"]).expect("the rule nobody met");
    assert!(found["message"].as_str().is_some_and(|m| m.contains("nobody")), "{found}");
    let page = route(&client, "catalog").await;
    let found = never(&page["applied"]["findings"]).expect("it on the page, too");
    let line = usize::try_from(found["at"]["line"].as_u64().expect("a line")).expect("small");
    assert!(text(&page).lines().nth(line - 1).is_some_and(|l| l.contains("name: nobody")));
    eventually(PATIENCE, "the copies are compared", async || {
        let counts = route(&client, "catalog").await["mirror_differs"].clone();
        counts[1].as_u64().filter(|compared| *compared > 0)
    })
    .await;
    let pairs = client.get("/control/mirrors").await.json();
    for pair in pairs["pairs"].as_array().expect("pairs") {
        assert_eq!(pair["to"], "catalog v2", "{pair}");
        assert!(pair["live"]["trace_id"] != pair["mirrored"]["trace_id"], "{pair}");
    }
    program.stop().await;
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[tokio::test]
async fn the_page_takes_texts_as_long_as_the_api_does_and_no_longer() {
    const LONGEST: usize = 1024 * 1024;
    let World { program, client } = world().await;
    let text = text(&route(&client, "catalog").await);
    let of_length = |length: usize| {
        let comment = "# as long as this\n";
        let lines = (length - text.len()) / comment.len();
        let long = comment.repeat(lines) + &text;
        format!("{}{long}", "\n".repeat(length - long.len()))
    };
    let form = async |yaml: &str, path: &str| {
        let body = format!("dry_run=1&yaml={}", encoded(yaml));
        let request = client.request(http::Method::POST, path).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        send(request).await.expect("an answer")
    };
    for (length, taken) in [(LONGEST, true), (LONGEST + 1, false)] {
        let yaml = of_length(length);
        let apply = json!({ "yaml": yaml, "base": null, "host": "catalog", "dry_run": true });
        for (what, body) in [
            ("draft", json!({ "name": "catalog", "yaml": yaml, "edit": null, "service": "" })),
            ("dry-run", json!({ "name": "catalog", "yaml": yaml })),
            ("change-traffic", json!({ "command": { "apply": apply } })),
        ] {
            let answer = client.post(&format!("/ui/{what}"), &body).await;
            let expected = if taken { 200 } else { 400 };
            assert_eq!(answer.status, expected, "{what} of {length}: {}", answer.text());
        }
        let api = client.request(http::Method::POST, "/control/istio?dryRun=true");
        let answer = send(api.body(yaml.clone())).await.expect("an answer");
        assert_eq!(answer.status, if taken { 200 } else { 413 }, "{}", answer.text());
        let answer = form(&yaml, "/traffic/catalog").await;
        assert_eq!(answer.status, if taken { 200 } else { 422 }, "{length}");
    }
    // Three bytes for each: the longest there is.
    let lines = "\n".repeat(LONGEST - text.len()) + &text;
    assert_eq!(form(&lines, "/traffic/catalog").await.status, 200);
    // Not so long that the refusal comes while it is still being sent.
    let answer = form(&"\n".repeat(LONGEST + 24 * 1024), "/traffic").await;
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").contains("too%20long"), "{}", answer.header("location"));
    program.stop().await;
}

const HASHED: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: catalog
spec:
  host: product-service
  trafficPolicy:
    loadBalancer:
      consistentHash:
        httpHeaderName: x-user-id
        maglev:
          tableSize: 1009
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
    trafficPolicy:
      loadBalancer:
        simple: RANDOM
";

fn sum(instances: &Value, field: &str) -> f64 {
    let instances = instances.as_array().expect("instances").iter();
    instances.map(|one| one[field].as_f64().unwrap_or_default()).sum()
}

#[tokio::test]
async fn how_calls_are_balanced_is_told_of_every_host_and_follows_what_is_applied() {
    let World { program, client } = world().await;
    let all = client.get("/control/balance").await.json();
    let hosts = all["hosts"].as_array().expect("hosts");
    let users = hosts.iter().find(|host| host["host"] == "users").expect("users");
    let policy = &users["pools"][0]["policy"];
    assert_eq!((&policy["name"], &policy["default"]), (&json!("LEAST_REQUEST"), &json!(true)));
    for pool in hosts.iter().flat_map(|host| host["pools"].as_array().expect("pools")) {
        assert!((sum(&pool["instances"], "configured") - 1.0).abs() < 1e-9, "{pool}");
    }
    let applied = client.request(http::Method::POST, "/control/istio").body(HASHED);
    assert_eq!(send(applied).await.expect("an answer").status, 200);
    let told = client.get("/control/balance/catalog").await.json();
    assert_eq!(told["shown"]["id"], "v1", "where everything goes");
    let labels: Vec<_> = told["pools"].as_array().expect("pools").iter().collect();
    assert_eq!(labels.len(), 3, "{labels:?}");
    let hash = &told["shown"]["policy"]["hash"];
    assert_eq!((&hash["table"], &hash["positions"]), (&json!("MAGLEV"), &json!(1_009)));
    let text = text(&route(&client, "catalog").await);
    let (first, last) = (&told["shown"]["rule"]["lines"][0], &told["shown"]["rule"]["lines"][1]);
    let line = |number: &Value| {
        let number = usize::try_from(number.as_u64().expect("a line")).expect("a line");
        text.lines().nth(number - 1).expect("it").trim().to_owned()
    };
    assert_eq!((line(first), line(last)), ("loadBalancer:".into(), "tableSize: 1009".into()));
    let own = client.get("/control/balance/catalog?pool=v2").await.json();
    assert_eq!(own["shown"]["policy"]["name"], "RANDOM");
    assert_eq!(own["arcs"], json!([]));
    program.stop().await;
}

#[tokio::test]
async fn a_key_goes_where_it_is_said_to_go() {
    let World { program, client } = world().await;
    let applied = client.request(http::Method::POST, "/control/istio").body(HASHED);
    assert_eq!(send(applied).await.expect("an answer").status, 200);
    let asked = "/control/balance/catalog?pool=v1&key=alice";
    let told = client.get(asked).await.json();
    let instance = told["key"]["instance"].as_str().expect("an instance").to_owned();
    let picked = |told: &Value| {
        let instances = told["shown"]["instances"].as_array().expect("instances").clone();
        let of = |one: &Value| (one["instance"].clone(), one["picked"].as_u64().unwrap_or(0));
        instances.iter().map(of).collect::<Vec<_>>()
    };
    for _ in 0..7 {
        let call = client.request(http::Method::GET, "/api/v1/products");
        let answer = send(call.header("x-user-id", "alice")).await.expect("an answer");
        assert_eq!(answer.status, 200);
    }
    let now = client.get(asked).await.json();
    for (before, after) in picked(&told).iter().zip(picked(&now)) {
        let grown = after.1 - before.1;
        assert_eq!(grown, if after.0 == *instance { 7 } else { 0 }, "{after:?}");
    }
    let gone = client.get(&format!("{asked}&left={instance}")).await.json();
    assert_ne!(gone["key"]["after"], *instance, "{gone}");
    assert_eq!(gone["left"]["instance"], *instance);
    let moved: u64 = gone["left"]["arcs"].as_array().expect("arcs").iter().fold(0, |sum, arc| {
        sum + arc["to"].as_u64().expect("to") - arc["from"].as_u64().expect("from")
    });
    let leaving = gone["shown"]["instances"].as_array().expect("instances").iter();
    let leaving = leaving.clone().find(|one| one["instance"] == *instance).expect("it");
    let share = leaving["leaving"]["moved"].as_f64().expect("a share");
    #[expect(clippy::cast_precision_loss, reason = "millionths")]
    let drawn = moved as f64 / 1e6;
    assert!((drawn - share).abs() < 1e-4, "{drawn} drawn, {share} told");
    program.stop().await;
}

#[tokio::test]
async fn balancing_of_what_is_not_there_is_not_found_and_a_misspelt_question_is_refused() {
    let World { program, client } = world().await;
    for (path, status, detail) in [
        ("paymnts", 404, "No host paymnts."),
        ("payments?pool=v9", 404, "No pool v9 of payments."),
        ("payments?left=nobody", 404, "No instance nobody in payments v1."),
        ("payments?kee=alice", 400, "unknown field `kee`"),
    ] {
        let answer = client.get(&format!("/control/balance/{path}")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.field("detail").contains(detail), "{path}: {}", answer.text());
    }
    assert_eq!(client.get("/control/balance?key=alice").await.status, 400);
    let long = format!("/control/balance/payments?key={}", "x".repeat(1_025));
    let refused = client.get(&long).await.json();
    assert_eq!(refused["errors"][0]["field"], "key", "{refused}");
    program.stop().await;
}
