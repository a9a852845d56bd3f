//! What a rule does: where the request goes, and what is changed on the way (`HTTPRoute`,
//! `HTTPRewrite`, `HTTPRedirect`, `HTTPDirectResponse`, `CorsPolicy`, `Headers` of the Istio
//! reference), a row per sentence.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

mod common;

use axum::body::Body;
use common::{
    Answer, World, destination, exact, forward, matching, name, policy, prefix, read, regex, rule,
    to, value,
};
use http::{HeaderMap, Method, Request, StatusCode, header};
use istio::policy::{
    Action, Cors, DirectResponse, HeaderEdits, HeaderOps, Match, Policy, Redirect, Rewrite, Route,
    StringMatch, TrafficPolicy, Weighted,
};
use mesh::{Flag, Mesh, MeshError};
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tracing::{
    Event, Metadata,
    span::{Attributes, Id, Record},
};

fn uri(uri: StringMatch) -> Match {
    Match { uri: Some(uri), ..Match::default() }
}

async fn one(route: Route, path: &str) -> Answer {
    let world = World::payments(1);
    world.apply(policy(1, vec![route]));
    world.get("payments", path).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn rewrites() {
    let rewrite = |uri: &str| Rewrite { uri: Some(uri.into()), uri_regex: None, authority: None };
    let by_regex = |expression: &str, substitution: &str| Rewrite {
        uri: None,
        uri_regex: Some((regex::Regex::new(expression).unwrap(), substitution.into())),
        authority: None,
    };
    let fold = Match { ignore_uri_case: true, ..uri(prefix("/OLD")) };
    let rows = [
        ("the prefix that matched", uri(prefix("/old")), rewrite("/new"), "/old/a", "/new/a"),
        ("and nothing else of it", uri(prefix("/old/")), rewrite("/"), "/old/a", "/a"),
        ("whatever its case", fold, rewrite("/new"), "/old/a", "/new/a"),
        ("the query stays", uri(prefix("/old")), rewrite("/new"), "/old?a=b", "/new?a=b"),
        ("all of what matched exactly", uri(exact("/old")), rewrite("/new"), "/old", "/new"),
        ("all of what a regex matched", uri(regex("/o.*")), rewrite("/new"), "/old/a", "/new"),
        (
            "groups by number",
            uri(prefix("/service/")),
            by_regex("^/service/([^/]+)(/.*)$", r"\2/instance/\1"),
            "/service/foo/v1/api?x=y",
            "/v1/api/instance/foo?x=y",
        ),
        ("each match", uri(prefix("/")), by_regex("one", "two"), "/one/one", "/two/two"),
        ("all of the match", uri(prefix("/")), by_regex("one", r"<\0>"), "/a", "/a"),
        ("what is no path changes nothing", uri(prefix("/")), by_regex("^/", "x y"), "/a", "/a"),
    ];
    for (sentence, conditions, rewrite, asked, expected) in rows {
        let route = Route { rewrite: Some(rewrite), ..matching("it", conditions, "payments") };
        assert_eq!(one(route, asked).await.echo.unwrap().uri, expected, "{sentence}");
    }
    // Istio writes the prefix / where nothing is said about the path.
    let get = Match { method: Some(exact("GET")), ..Match::default() };
    let without = name("x-none");
    let header = Match { without_headers: vec![(without, exact("a"))], ..Match::default() };
    for (sentence, matches) in
        [("no match", vec![]), ("header match only", vec![header]), ("method only", vec![get])]
    {
        for (new, asked, expected) in [
            ("/", "/a/b?c=d", "/a/b?c=d"),
            ("/new/", "/a", "/new/a"),
            ("/new", "/a", "/newa"),
            ("/new", "/", "/new"),
        ] {
            let route = forward("it", "payments");
            let matches = matches.clone();
            let route = Route { rewrite: Some(rewrite(new)), matches, ..route };
            assert_eq!(one(route, asked).await.echo.unwrap().uri, expected, "{sentence}: {new}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rewritten_authority_is_the_host_the_service_sees() {
    let authority = Some("other.example.com".into());
    let rewrite = Some(Rewrite { uri: None, uri_regex: None, authority });
    let answer = one(Route { rewrite, ..forward("it", "payments") }, "/a").await;
    assert_eq!(answer.echo.unwrap().header("host"), Some("other.example.com"));
}

#[tokio::test(start_paused = true)]
async fn redirects() {
    let plain = Redirect {
        uri: None,
        authority: None,
        scheme: None,
        port: None,
        status: StatusCode::MOVED_PERMANENTLY,
        derive_port: None,
    };
    let path = |uri: &str| Redirect { uri: Some(uri.into()), ..plain.clone() };
    let host = Redirect { authority: Some("new.com".into()), ..plain.clone() };
    let https = Redirect { scheme: Some("https".into()), ..plain.clone() };
    let port = Redirect { port: Some(8443), status: StatusCode::FOUND, ..https.clone() };
    let rows = [
        ("the path", path("/b"), 301, "http://payments/b?q=1"),
        ("a path with a query has its own", path("/b?c=d"), 301, "http://payments/b?c=d"),
        ("the host", host, 301, "http://new.com/a?q=1"),
        ("the scheme", https, 301, "https://payments/a?q=1"),
        ("the port, and the status", port, 302, "https://payments:8443/a?q=1"),
    ];
    for (sentence, redirect, status, location) in rows {
        let answer = one(rule("it", Action::Redirect(redirect)), "/a?q=1").await;
        assert_eq!(answer.status, status, "{sentence}");
        assert_eq!(answer.headers[header::LOCATION], location, "{sentence}");
        assert!(answer.echo.is_none(), "the service is not asked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_direct_response_is_status_and_body_with_the_headers_of_the_route() {
    let direct = DirectResponse { status: StatusCode::IM_A_TEAPOT, body: b"tea".to_vec() };
    let response = HeaderEdits { set: vec![(name("x-a"), value("b"))], ..Default::default() };
    let headers = HeaderOps { response, ..Default::default() };
    let answer = one(Route { headers, ..rule("it", Action::Direct(direct)) }, "/").await;
    assert_eq!((answer.status, &*answer.body), (418, &b"tea"[..]));
    assert_eq!(answer.headers["x-a"], "b");
}

#[tokio::test(start_paused = true)]
async fn headers_are_removed_set_and_added_first_the_destinations_then_the_routes() {
    let narrow = HeaderEdits {
        set: vec![(name("x-both"), value("destination")), (name("x-narrow"), value("1"))],
        add: vec![(name("x-list"), value("b"))],
        remove: vec![],
    };
    let wide = HeaderEdits {
        set: vec![(name("x-both"), value("route"))],
        add: vec![(name("x-list"), value("c"))],
        remove: vec![name("x-secret")],
    };
    let mut weighted = to("payments", None, 1);
    weighted.headers = HeaderOps { request: narrow.clone(), response: narrow };
    let mut route = rule("it", Action::Forward(vec![weighted]));
    route.headers = HeaderOps { request: wide.clone(), response: wide };
    let world = World::payments(1);
    world.apply(policy(1, vec![route]));
    let call = world.caller().get("payments", "/");
    let call = call.header("x-secret", "s").header("x-list", "a");
    let answer = read(call.send().await).await.unwrap();
    let echo = answer.echo.unwrap();
    assert_eq!(echo.header("x-secret"), None);
    assert_eq!(echo.header("x-both"), Some("route"));
    assert_eq!(echo.header("x-narrow"), Some("1"));
    assert_eq!(echo.headers["x-list"], ["a", "b", "c"]);
    let list: Vec<_> = answer.headers.get_all("x-list").iter().collect();
    assert_eq!(list, ["b", "c"]);
    assert_eq!(answer.headers["x-both"], "route");
}

fn cors() -> Cors {
    Cors {
        origins: vec![exact("https://shop.example.com"), prefix("https://a.")],
        methods: vec![Method::GET, Method::POST],
        headers: vec![name("authorization"), name("content-type")],
        expose: vec![name("x-total")],
        max_age: Some(Duration::from_secs(600)),
        credentials: Some(true),
    }
}

async fn from_browser(method: Method, headers: &[(&'static str, &'static str)]) -> Answer {
    let world = World::payments(1);
    world.apply(policy(1, vec![Route { cors: Some(cors()), ..forward("it", "payments") }]));
    let mut request = Request::builder().method(method).uri("/a");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    read(world.mesh.caller("browser").forward("payments", request).send().await).await.unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_preflight_from_an_allowed_origin_is_answered_for_the_service() {
    let asks = ("access-control-request-method", "POST");
    let answer =
        from_browser(Method::OPTIONS, &[("origin", "https://shop.example.com"), asks]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.echo.is_none(), "the service is not asked");
    let expected = [
        ("access-control-allow-origin", "https://shop.example.com"),
        ("access-control-allow-methods", "GET,POST"),
        ("access-control-allow-headers", "authorization,content-type"),
        ("access-control-max-age", "600"),
        ("access-control-allow-credentials", "true"),
    ];
    for (name, value) in expected {
        assert_eq!(text(&answer.headers, name), Some(value));
    }
}

#[tokio::test(start_paused = true)]
async fn other_requests_across_origins_go_on_and_their_answers_say_who_may_read_them() {
    let answer = from_browser(Method::GET, &[("origin", "https://a.example.com")]).await;
    assert!(answer.echo.is_some());
    let allowed = text(&answer.headers, "access-control-allow-origin");
    assert_eq!(allowed, Some("https://a.example.com"));
    assert_eq!(text(&answer.headers, "access-control-expose-headers"), Some("x-total"));
    for headers in [&[("origin", "https://evil.example.com")][..], &[]] {
        let answer = from_browser(Method::GET, headers).await;
        assert!(answer.echo.is_some(), "refusing is the browser's business");
        assert_eq!(text(&answer.headers, "access-control-allow-origin"), None);
    }
    let answer = from_browser(Method::OPTIONS, &[("origin", "https://shop.example.com")]).await;
    assert!(answer.echo.is_some(), "OPTIONS alone is no preflight");
}

#[tokio::test(start_paused = true)]
async fn answers_of_the_rule_itself_say_too_who_may_read_them() {
    let direct = DirectResponse { status: StatusCode::OK, body: b"tea".to_vec() };
    let redirect = Redirect {
        derive_port: None,
        uri: Some("/b".into()),
        authority: None,
        scheme: None,
        port: None,
        status: StatusCode::FOUND,
    };
    for action in [Action::Direct(direct), Action::Redirect(redirect)] {
        let world = World::payments(1);
        world.apply(policy(1, vec![Route { cors: Some(cors()), ..rule("it", action) }]));
        for (origin, allowed) in [
            ("https://shop.example.com", Some("https://shop.example.com")),
            ("https://evil.example.com", None),
        ] {
            let request = Request::builder().uri("/a").header("origin", origin);
            let request = request.body(Body::empty()).unwrap();
            let call = world.mesh.caller("browser").forward("payments", request);
            let answer = read(call.send().await).await.unwrap();
            assert!(answer.echo.is_none());
            assert_eq!(text(&answer.headers, "access-control-allow-origin"), allowed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_rule_matches_is_404_with_the_flag_nr() {
    let world = World::payments(1);
    world.apply(policy(1, vec![matching("only", uri(exact("/a")), "payments")]));
    let lost = world.get("payments", "/b").await.unwrap_err();
    assert_eq!(lost, MeshError::NoRoute { destination: "payments".into() });
    assert_eq!((lost.flag(), lost.status()), (Some(Flag::NoRoute), StatusCode::NOT_FOUND));
    assert_eq!(world.mesh.recent(1)[0].flags.to_string(), "NR");
}

#[tokio::test(start_paused = true)]
async fn every_name_of_a_service_leads_to_it_and_its_rules() {
    let world = World::payments(1);
    let mut policy = policy(
        1,
        vec![Route {
            headers: HeaderOps {
                response: HeaderEdits {
                    set: vec![(name("x-a"), value("b"))],
                    ..Default::default()
                },
                ..Default::default()
            },
            ..forward("it", "payment-service")
        }],
    );
    policy.names = ["payments", "payment-service", "payments.default.svc.cluster.local"]
        .map(|name| (name.into(), "payments".into()))
        .into();
    world.apply(policy);
    for name in ["payments", "payment-service", "payments.default.svc.cluster.local"] {
        let answer = world.get(name, "/").await.unwrap();
        assert_eq!(answer.headers["x-a"], "b", "{name}");
        assert_eq!(answer.echo.unwrap().instance, "payments-0", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_nobody_has_is_no_service_and_a_subset_without_endpoints_is_uh() {
    let world = World::payments(1);
    world.apply(policy(1, vec![forward("it", "nowhere")]));
    let lost = world.get("payments", "/").await.unwrap_err();
    assert_eq!(lost, MeshError::NoService { destination: "nowhere".into() });
    for subset in ["v2", "unknown"] {
        let mut next =
            policy(2, vec![rule("it", Action::Forward(vec![to("payments", Some(subset), 1)]))]);
        next.destinations = [("payments".into(), destination(TrafficPolicy::default()))].into();
        world.apply(next);
        let lost = world.get("payments", "/").await.unwrap_err();
        let destination = format!("payments/{subset}");
        assert_eq!(lost, MeshError::NoHealthyUpstream { destination });
        assert_eq!(lost.flag(), Some(Flag::NoHealthyUpstream));
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_route_ends_the_call_with_504_and_the_sooner_deadline_holds() {
    let world = World::payments(1);
    world.mesh.pause("payments", "payments-0");
    for (timeout, asked, expected) in [(2_000, 5_000, 2_000), (9_000, 5_000, 5_000)] {
        let timeout = Some(Duration::from_millis(timeout));
        world.apply(policy(1, vec![Route { timeout, ..forward("it", "payments") }]));
        let began = tokio::time::Instant::now();
        let call = world.caller().get("payments", "/").timeout(Duration::from_millis(asked));
        let lost = call.send().await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::from_millis(expected));
        assert_eq!(lost.flag(), Some(Flag::UpstreamTimeout));
        assert_eq!(lost.status(), StatusCode::GATEWAY_TIMEOUT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_by_the_policy_it_began_with() {
    let world = World::payments(1);
    let tagged = |revision, tag| {
        let response = HeaderEdits { set: vec![(name("x-rev"), value(tag))], ..Default::default() };
        let headers = HeaderOps { response, ..Default::default() };
        policy(revision, vec![Route { headers, ..forward("it", "payments") }])
    };
    world.apply(tagged(1, "1"));
    world.mesh.pause("payments", "payments-0");
    let old = world.get("payments", "/");
    let change = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let in_force = world.mesh.apply(Arc::new(tagged(2, "2")));
        assert_eq!((in_force.policy.revision, in_force.since_request), (2, 2));
        world.mesh.restart("payments", "payments-0");
        world.get("payments", "/").await
    };
    let (old, new) = tokio::join!(old, change);
    assert_eq!(old.unwrap().headers["x-rev"], "1");
    assert_eq!(new.unwrap().headers["x-rev"], "2");
    let hits: Vec<_> = world.mesh.route_hits().iter().map(|hit| (hit.revision, hit.hits)).collect();
    assert_eq!(hits, [(2, 1), (1, 1)]);
}

/// Puts a policy in force when the span of a call is entered: the span layer has seen the request
/// by then, and the route layer has not.
struct AppliesOnEnter {
    next: AtomicU64,
    calls: Mutex<HashSet<u64>>,
    apply: Mutex<Option<(Mesh, Policy)>>,
}

impl tracing::Subscriber for AppliesOnEnter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if span.metadata().name() == "call" {
            self.calls.lock().insert(id);
        }
        Id::from_u64(id)
    }
    fn enter(&self, span: &Id) {
        if self.calls.lock().contains(&span.into_u64())
            && let Some((mesh, policy)) = self.apply.lock().take()
        {
            mesh.apply(Arc::new(policy));
        }
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn an_apply_between_two_layers_changes_nothing_for_a_request_that_has_begun() {
    let world = World::new(&[("payments", "payments-0", "v1"), ("payments", "payments-1", "v2")]);
    let to_subset = |revision, subset| {
        let route = rule("it", Action::Forward(vec![to("payments", Some(subset), 1)]));
        let destinations = [("payments".into(), destination(TrafficPolicy::default()))].into();
        Policy { destinations, ..policy(revision, vec![route]) }
    };
    world.apply(to_subset(1, "v1"));
    let apply = Mutex::new(Some((world.mesh.clone(), to_subset(2, "v2"))));
    let (next, calls) = (AtomicU64::new(1), Mutex::default());
    let _guard = tracing::subscriber::set_default(AppliesOnEnter { next, calls, apply });
    assert_eq!(world.instance().await, "payments-0");
    assert_eq!(world.mesh.in_force().policy.revision, 2, "it was applied meanwhile");
    assert_eq!(world.mesh.in_force().since_request, 2);
    assert_eq!(world.instance().await, "payments-1");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_which_requests_would_change_route() {
    let mut world = World::payments(1);
    world.add("catalog", "catalog-0", "v1");
    for path in ["/a", "/a/b", "/c", "/c"] {
        world.get("payments", path).await.unwrap();
    }
    world.get("catalog", "/a").await.unwrap();
    let rules = vec![matching("a", uri(prefix("/a")), "payments"), forward("rest", "payments")];
    let next: Policy = policy(1, rules.clone());
    let run = world.mesh.dry_run(&next);
    assert_eq!((run.requests, run.changes.len()), (5, 4), "those to payments get rules");
    let hits: Vec<_> = run.hits.iter().map(|hit| (&*hit.name, hit.requests)).collect();
    assert_eq!(hits, [("a", 2), ("rest", 2)]);
    world.apply(next);
    assert_eq!(world.mesh.dry_run(&policy(2, rules.clone())).changes.len(), 0);
    let moved = policy(2, vec![rules[0].clone(), forward("rest", "catalog")]);
    assert_eq!(world.mesh.dry_run(&moved).changes.len(), 2);
    let gone = world.mesh.dry_run(&Policy::default());
    assert_eq!(gone.changes.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_of_how_many_requests_it_is_not_sure() {
    let world = World::payments(1);
    for cookie in ["a=b".to_owned(), "x".repeat(10_000)] {
        let call = world.caller().get("payments", "/").header("cookie", &cookie);
        assert_eq!(call.send().await.unwrap().status(), 200);
    }
    let beta = (header::COOKIE, StringMatch::Present);
    let by_cookie = Match { headers: vec![beta], ..Match::default() };
    let by_path = uri(prefix("/"));
    for (conditions, sure, hits) in [(by_cookie, 1, 1), (by_path, 2, 2)] {
        let run = world.mesh.dry_run(&policy(1, vec![matching("it", conditions, "payments")]));
        assert_eq!((run.requests, run.requests - run.incomplete), (2, sure));
        assert_eq!(run.hits[0].requests, hits);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_other_weights_moves_as_many_requests_as_the_weights_say() {
    let world = World::payments(1);
    for _ in 0..200 {
        world.get("payments", "/").await.unwrap();
    }
    let split = |v1, v2| {
        let to = |subset: &str, weight| Weighted {
            service: "payments".into(),
            subset: Some(subset.into()),
            port: None,
            weight,
            headers: HeaderOps::default(),
        };
        let action = Action::Forward(vec![to("v1", v1), to("v2", v2)]);
        policy(1, vec![Route { action, ..forward("versions", "payments") }])
    };
    let moves = |from: (u32, u32), to: (u32, u32)| {
        world.apply(split(from.0, from.1));
        world.mesh.dry_run(&split(to.0, to.1)).changes
    };
    for (from, to, expected) in [
        ((100, 0), (90, 10), 20),
        ((100, 0), (50, 50), 100),
        ((100, 0), (0, 100), 200),
        ((50, 50), (80, 20), 60),
        ((50, 50), (90, 10), 80),
        ((50, 50), (50, 50), 0),
    ] {
        assert_eq!(moves(from, to).len(), expected, "{from:?} to {to:?}");
    }
    let changes = moves((100, 0), (90, 10));
    let (from, to) = changes[0].moved.clone().unwrap();
    assert_eq!((from.1.as_deref(), to.1.as_deref()), (Some("v1"), Some("v2")));
}

#[tokio::test(start_paused = true)]
async fn the_last_thousand_requests_are_kept_looks_are_not_and_no_secret_is_printed() {
    let world = World::payments(1);
    let call = || world.caller().get("payments", "/").header("authorization", "Bearer hush");
    for _ in 0..mesh::RECENT_MAX + 7 {
        call().send().await.unwrap();
    }
    world.caller().look("payments", "/").send().await.unwrap();
    let recent = world.mesh.recent(usize::MAX);
    assert_eq!((recent.len(), recent[0].number), (1_000, 1_007));
    assert_eq!((recent[999].number, recent[999].status), (8, Some(200)));
    assert!(!format!("{:?} {recent:?}", world.mesh).contains("hush"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_a_request_without_status_and_the_flag_dc() {
    let world = World::payments(1);
    world.mesh.pause("payments", "payments-0");
    let call = world.get("payments", "/");
    assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
    let recent = &world.mesh.recent(1)[0];
    assert_eq!((recent.status, recent.flags.to_string()), (None, "DC".into()));
    assert_eq!(world.mesh.pools()[0].active, 0);
}

#[tokio::test(start_paused = true)]
async fn every_layer_counts_what_came_to_it_and_what_it_did() {
    let world = World::payments(1);
    world.apply(policy(1, vec![forward("it", "payments")]));
    world.get("payments", "/").await.unwrap();
    world.set("payments-0", 500);
    world.get("payments", "/").await.unwrap();
    let edge = &world.mesh.edges()[0];
    assert_eq!((&*edge.caller, &*edge.destination), ("orders", "payments"));
    let names: Vec<_> = edge.layers.iter().map(|layer| layer.layer).collect();
    assert_eq!(names, mesh::stack::LAYERS.map(|layer| layer.name));
    for layer in &edge.layers {
        let acted = match layer.layer {
            "route" => 2,
            "endpoint" => 1,
            _ => 0,
        };
        assert_eq!((layer.reached, layer.acted), (2, acted), "{}", layer.layer);
    }
}
