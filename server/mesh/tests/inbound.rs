//! The callee's side through the whole stack under paused time: tokens, authorization, identities;
//! a test per sentence of the references. Local rate limits have a file of their own.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

#[path = "scripted/token.rs"]
mod token;

mod scripted;

use istio::policy::{
    AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition, JwtRule, Match, Mtls,
    Operation, Policy, RequestAuthentication, Route, Source, StringMatch, ValueMatch, Workload,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use scripted::{World, inbound, origin, outside, policy, request, rule};
use serde_json::{Value, json};
use std::{net::IpAddr, sync::Arc, time::Duration};
use token::{RS256_TOKEN, RSA_MODULUS};

const ISSUER: &str = "https://issuer.example";
/// Of the proxy at the ingress.
const INGRESS: &str = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
/// Of the tests' own tokens.
const SECRET: &[u8] = b"a secret of thirty-two characters";

// === worlds ===

fn jwks() -> String {
    let secret = "YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBjaGFyYWN0ZXJz";
    json!({"keys": [
        {"kty": "oct", "kid": "secret-1", "k": secret, "alg": "HS256"},
        {"kty": "RSA", "kid": "rsa-1", "n": RSA_MODULUS, "e": "AQAB", "alg": "RS256", "use": "sig"},
    ]})
    .to_string()
}

fn jwt_rule() -> JwtRule {
    JwtRule {
        issuer: ISSUER.into(),
        audiences: Vec::new(),
        jwks: jwks(),
        from_headers: Vec::new(),
        from_params: Vec::new(),
        forward: false,
    }
}

fn tokens(rules: Vec<JwtRule>) -> Workload {
    let origin = origin("RequestAuthentication", "tokens");
    let authentication = vec![RequestAuthentication { origin, rules }];
    Workload { authentication, ..Workload::default() }
}

fn signed(claims: &Value) -> String {
    let header = Header { kid: Some("secret-1".into()), ..Header::new(Algorithm::HS256) };
    encode(&header, claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn ada() -> String {
    signed(&json!({"iss": ISSUER, "sub": "ada"}))
}

/// A request from outside, with these headers.
async fn bearer(world: &World, token: &str) -> u16 {
    let value = format!("Bearer {token}");
    outside(&world.mesh, "/", &[("authorization", &value)]).await.status().as_u16()
}

// === tokens ===

#[tokio::test(start_paused = true)]
async fn a_request_without_a_token_passes_and_one_with_a_bad_token_does_not() {
    let world = World::guarded(tokens(vec![jwt_rule()]));
    assert_eq!(outside(&world.mesh, "/", &[]).await.status(), 200);
    assert_eq!(bearer(&world, &ada()).await, 200);
    let answer = outside(
        &world.mesh,
        "/pay",
        &[("authorization", "Bearer no.token.atall"), ("host", "shop.example")],
    )
    .await;
    assert_eq!(answer.status(), 401);
    let challenge = "Bearer realm=\"http://shop.example/pay\", error=\"invalid_token\"";
    assert_eq!(answer.headers()["www-authenticate"], challenge);
    assert_eq!(world.mesh.inbound_stats()[0].bad_token, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_token_decides_the_status() {
    let rule = JwtRule { audiences: vec!["https://shop.example/".into()], ..jwt_rule() };
    let world = World::guarded(tokens(vec![rule]));
    let good = json!({"iss": ISSUER, "sub": "ada", "aud": "shop.example"});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        signed(&claims)
    };
    let mut forged = signed(&good);
    forged.replace_range(forged.len() - 4.., "AAAA");
    let other_key = EncodingKey::from_secret(b"another secret of thirty-two chars");
    let header = Header { kid: Some("secret-1".into()), ..Header::new(Algorithm::HS256) };
    let table = [
        ("good", signed(&good), 200),
        ("one audience of a list is enough", with("aud", json!(["x", "shop.example"])), 200),
        ("another audience", with("aud", json!("other")), 403),
        ("no audience", with("aud", Value::Null), 403),
        ("another issuer", with("iss", json!("https://other.example")), 401),
        ("another signature", forged, 401),
        ("another key", encode(&header, &good, &other_key).unwrap(), 401),
        (
            "another algorithm than the key's",
            {
                let header = Header { kid: Some("rsa-1".into()), ..Header::new(Algorithm::HS256) };
                encode(&header, &good, &EncodingKey::from_secret(SECRET)).unwrap()
            },
            401,
        ),
        (
            "a key nobody has",
            {
                let header = Header { kid: Some("none".into()), ..Header::new(Algorithm::HS256) };
                encode(&header, &good, &EncodingKey::from_secret(SECRET)).unwrap()
            },
            401,
        ),
        (
            "unsigned",
            "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIn0.".into(),
            401,
        ),
        ("expired for longer than clocks differ", with("exp", json!(-61)), 401),
    ];
    for (what, token, status) in table {
        assert_eq!(bearer(&world, &token).await, status, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn times_are_those_of_the_meshs_clock_with_a_minute_for_clocks_that_differ() {
    let world = World::guarded(tokens(vec![jwt_rule()]));
    let timed = |name: &str, at: i64| {
        let mut claims = json!({"iss": ISSUER, "sub": "ada"});
        claims[name] = json!(at);
        signed(&claims)
    };
    let (exp, nbf) = (timed("exp", 100), timed("nbf", 200));
    // Seconds, whether `exp` 100 is taken, whether `nbf` 200 is.
    let mut now = 0;
    for (at, expires, begins) in
        [(0, 200, 401), (139, 200, 401), (140, 200, 200), (160, 200, 200), (161, 401, 200)]
    {
        tokio::time::advance(Duration::from_secs(at - now)).await;
        now = at;
        let taken = (bearer(&world, &exp).await, bearer(&world, &nbf).await);
        assert_eq!(taken, (expires, begins), "at {at} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_openssl_signed_with_rsa_is_good() {
    let world = World::guarded(tokens(vec![jwt_rule()]));
    assert_eq!(bearer(&world, RS256_TOKEN).await, 200);
    let (signed, _) = RS256_TOKEN.rsplit_once('.').unwrap();
    assert_eq!(bearer(&world, &format!("{signed}.AAAA")).await, 401);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_looked_for_where_the_rule_says_and_nowhere_else() {
    let bad = "Bearer bad";
    let ada = ada();
    let prefixed = format!("Token {ada}");
    let named = JwtRule {
        from_headers: vec![("x-token".into(), "Token ".into())],
        from_params: vec!["jwt".into()],
        ..jwt_rule()
    };
    let claimed = |path: &str| AuthorizationPolicy {
        origin: origin("AuthorizationPolicy", "who"),
        action: AuthorizationAction::Allow,
        dry_run: false,
        rules: vec![AuthorizationRule {
            from: vec![Source {
                request_principals: vec![exact(&format!("{ISSUER}/ada"))],
                ..Source::default()
            }],
            to: vec![Operation { paths: vec![exact(path)], ..Operation::default() }],
            when: Vec::new(),
        }],
    };
    let mut workload = tokens(vec![named]);
    workload.authorization = vec![claimed("/")];
    let world = World::guarded(workload);
    let status = async |path: &str, headers: &[(&str, &str)]| {
        outside(&world.mesh, path, headers).await.status().as_u16()
    };
    assert_eq!(status("/", &[("x-token", &prefixed)]).await, 200);
    assert_eq!(status(&format!("/?a=b&jwt={ada}"), &[]).await, 200);
    assert_eq!(status("/", &[("authorization", bad)]).await, 403, "no token where one belongs");
    assert_eq!(status("/", &[("x-token", &ada)]).await, 403, "not with this prefix");
    let mut workload = tokens(vec![jwt_rule()]);
    workload.authorization = vec![claimed("/")];
    world.apply(inbound(2, workload));
    assert_eq!(status("/", &[("authorization", &format!("Bearer {ada}"))]).await, 200);
    assert_eq!(status(&format!("/?access_token={ada}"), &[]).await, 200);
    assert_eq!(status("/", &[("x-token", &prefixed)]).await, 403);
}

#[tokio::test(start_paused = true)]
async fn a_token_goes_on_to_the_service_only_when_the_rule_says_so() {
    for forward in [false, true] {
        let world = World::guarded(tokens(vec![JwtRule { forward, ..jwt_rule() }]));
        assert_eq!(bearer(&world, &ada()).await, 200);
        assert_eq!(world.seen("payments-0")[0].header("authorization").is_some(), forward);
        // In the query, too, with what else is asked for.
        let asked = format!("/?a=b&access_token={}&c=d", ada());
        assert_eq!(outside(&world.mesh, &asked, &[]).await.status(), 200);
        let alone = format!("/?access_token={}", ada());
        assert_eq!(outside(&world.mesh, &alone, &[]).await.status(), 200);
        let seen = world.seen("payments-0");
        let paths: Vec<_> = seen[1..].iter().map(|seen| &*seen.path).collect();
        let without = ["/?a=b&c=d", "/"];
        assert_eq!(paths, if forward { [&*asked, &*alone] } else { without });
    }
}

#[tokio::test(start_paused = true)]
async fn each_issuer_has_its_own_rule() {
    let other = "https://other.example";
    let second = JwtRule { issuer: other.into(), ..jwt_rule() };
    let world = World::guarded(tokens(vec![jwt_rule(), second]));
    for issuer in [ISSUER, other] {
        assert_eq!(bearer(&world, &signed(&json!({"iss": issuer}))).await, 200);
    }
    assert_eq!(bearer(&world, &signed(&json!({"iss": "https://third.example"}))).await, 401);
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_read_refuse_tokens_and_pass_requests_without() {
    let world = World::guarded(tokens(vec![JwtRule { jwks: "{".into(), ..jwt_rule() }]));
    assert_eq!(bearer(&world, &ada()).await, 401);
    assert_eq!(outside(&world.mesh, "/", &[]).await.status(), 200);
}

// === authorization ===

#[tokio::test(start_paused = true)]
async fn a_request_is_routed_by_the_claims_of_a_token_that_was_checked_at_the_gateway() {
    let claim = |path: &[&str], value: StringMatch| {
        (path.iter().map(|level| (*level).to_owned()).collect::<Vec<_>>(), value)
    };
    let exact = |text: &str| StringMatch::Exact(text.into());
    let group = Match { claims: vec![claim(&["group"], exact("beta"))], ..Match::default() };
    let nested = Match {
        claims: vec![claim(&["realm", "roles"], StringMatch::Prefix("adm".into()))],
        without_claims: vec![claim(&["group"], StringMatch::Present)],
        ..Match::default()
    };
    let mut rules = policy(1, rule(None));
    let to = |matches: Vec<Match>, subset: &str| Arc::new(Route { matches, ..rule(Some(subset)) });
    rules.virtual_hosts[0].routes = vec![to(vec![group, nested], "v2"), to(Vec::new(), "v1")];
    rules.workloads = [("gateway".into(), tokens(vec![jwt_rule()]))].into();
    let world = World::new(&[("payments", "payments-0", "v1"), ("payments", "payments-1", "v2")]);
    world.apply(rules);
    let with = |claims: Value| {
        let mut all = json!({"iss": ISSUER, "sub": "ada"});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        signed(&all)
    };
    let mut to_v2 = 0;
    for (claims, expected) in [
        (json!({"group": "beta"}), true),
        (json!({"group": ["alpha", "beta"]}), true),
        (json!({"group": "alpha"}), false),
        (json!({"realm": {"roles": ["user", "admin"]}}), true),
        (json!({"realm": {"roles": ["admin"]}, "group": "alpha"}), false),
        (json!({}), false),
    ] {
        assert_eq!(bearer(&world, &with(claims.clone())).await, 200);
        to_v2 += usize::from(expected);
        assert_eq!(world.seen("payments-1").len(), to_v2, "{claims}");
    }
    // Without a token there are no claims, a bad one is refused before it is routed, and a call
    // between services has none.
    assert_eq!(outside(&world.mesh, "/", &[]).await.status(), 200);
    let mut forged = with(json!({"group": "beta"}));
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert_eq!(bearer(&world, &forged).await, 401);
    assert_eq!(world.status().await, Ok(200));
    assert_eq!(world.seen("payments-1").len(), to_v2);
}

fn exact(text: &str) -> ValueMatch {
    ValueMatch::Exact(text.into())
}

fn authorize(policies: Vec<(AuthorizationAction, Vec<AuthorizationRule>)>) -> Workload {
    let policies = policies.into_iter().map(|(action, rules)| AuthorizationPolicy {
        origin: origin("AuthorizationPolicy", "rules"),
        action,
        dry_run: false,
        rules,
    });
    Workload { authorization: policies.collect(), ..tokens(vec![jwt_rule()]) }
}

fn from(source: Source) -> AuthorizationRule {
    AuthorizationRule { from: vec![source], ..AuthorizationRule::default() }
}

fn to(operation: Operation) -> AuthorizationRule {
    AuthorizationRule { to: vec![operation], ..AuthorizationRule::default() }
}

fn when(key: &str, values: &[&str], not_values: &[&str]) -> AuthorizationRule {
    let parse = |texts: &[&str]| texts.iter().map(|text| ValueMatch::parse(text)).collect();
    let (values, not_values) = (parse(values), parse(not_values));
    let condition = Condition { key: key.into(), values, not_values };
    AuthorizationRule { when: vec![condition], ..AuthorizationRule::default() }
}

fn texts(list: &[&str]) -> Vec<ValueMatch> {
    list.iter().map(|text| ValueMatch::parse(text)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_refuses_nothing_and_allows_nothing() {
    use AuthorizationAction::{Allow, Deny};
    let get = || to(Operation { methods: texts(&["GET"]), ..Operation::default() });
    let put = || to(Operation { methods: texts(&["PUT"]), ..Operation::default() });
    let status = async |policies, dry_runs: &[bool]| {
        let mut workload = authorize(policies);
        for (policy, dry_run) in workload.authorization.iter_mut().zip(dry_runs) {
            policy.dry_run = *dry_run;
        }
        outside(&World::guarded(workload).mesh, "/", &[]).await.status().as_u16()
    };
    assert_eq!(status(vec![(Deny, vec![get()])], &[false]).await, 403);
    assert_eq!(status(vec![(Deny, vec![get()])], &[true]).await, 200);
    assert_eq!(status(vec![(Allow, vec![put()])], &[true]).await, 200);
    let both = vec![(Allow, vec![put()]), (Allow, vec![get()])];
    assert_eq!(status(both, &[false, true]).await, 403);
}

#[tokio::test(start_paused = true)]
async fn deny_comes_before_allow_and_what_no_allow_matches_is_refused() {
    use AuthorizationAction::{Allow, Audit, Deny};
    let paths = |list: &[&str]| to(Operation { paths: texts(list), ..Operation::default() });
    let any = AuthorizationRule::default;
    // Policies, and the status of /a and of /b.
    let table = [
        (vec![], [200, 200]),
        (vec![(Allow, vec![])], [403, 403]),
        (vec![(Allow, vec![any()])], [200, 200]),
        (vec![(Deny, vec![])], [200, 200]),
        (vec![(Deny, vec![any()])], [403, 403]),
        (vec![(Allow, vec![paths(&["/a"])])], [200, 403]),
        (vec![(Deny, vec![paths(&["/a"])])], [403, 200]),
        (vec![(Allow, vec![paths(&["/a"])]), (Allow, vec![paths(&["/b"])])], [200, 200]),
        (vec![(Allow, vec![any()]), (Deny, vec![paths(&["/b"])])], [200, 403]),
        (vec![(Audit, vec![any()])], [200, 200]),
        (vec![(Audit, vec![any()]), (Allow, vec![])], [403, 403]),
    ];
    for (policies, expected) in table {
        let shown = format!("{policies:?}");
        let world = World::guarded(authorize(policies));
        let mut got = [0; 2];
        for (status, path) in got.iter_mut().zip(["/a", "/b"]) {
            let answer = outside(&world.mesh, path, &[]).await;
            *status = answer.status().as_u16();
            if *status == 403 {
                assert_eq!(scripted::text(answer).await, "RBAC: access denied");
            }
        }
        assert_eq!(got, expected, "{shown}");
    }
}

/// Whether an ALLOW policy with this rule lets a request from outside in.
async fn allows(rule: AuthorizationRule, path: &str, headers: &[(&str, &str)]) -> bool {
    let world = World::guarded(authorize(vec![(AuthorizationAction::Allow, vec![rule])]));
    outside(&world.mesh, path, headers).await.status() == 200
}

#[tokio::test(start_paused = true)]
async fn from_to_and_when_must_all_hold_and_of_each_list_of_places_one() {
    let rule = AuthorizationRule {
        from: vec![
            Source { request_principals: texts(&["nobody"]), ..Source::default() },
            Source { request_principals: texts(&["*"]), ..Source::default() },
        ],
        to: vec![Operation {
            methods: texts(&["GET"]),
            paths: texts(&["/a*"]),
            ..Operation::default()
        }],
        when: when("request.headers[x-user]", &["ada"], &[]).when,
    };
    let token = format!("Bearer {}", ada());
    let all = [("authorization", token.as_str()), ("x-user", "ada")];
    assert!(allows(rule.clone(), "/api", &all).await);
    assert!(!allows(rule.clone(), "/b", &all).await, "to does not hold");
    assert!(!allows(rule.clone(), "/api", &all[..1]).await, "when does not hold");
    assert!(!allows(rule, "/api", &all[1..]).await, "from does not hold");
}

#[tokio::test(start_paused = true)]
async fn paths_match_exactly_by_prefix_by_suffix_by_presence_and_by_template() {
    let table = [
        ("/info", "/info", true),
        ("/info", "/info/x", false),
        ("/info", "/info?q=1", true),
        ("/info*", "/information", true),
        ("*/info", "/x/info", true),
        ("*/info", "/x/info/y", false),
        ("*", "/", true),
        ("/foo/{*}", "/foo/bar", true),
        ("/foo/{*}", "/foo/bar/baz", false),
        ("/foo/{*}", "/foo/", false),
        ("/foo/{**}", "/foo/", true),
        ("/foo/{**}", "/foo", false),
        ("/foo/{*}/bar/{**}", "/foo/buzz/bar/", true),
        ("/foo/{*}/bar/{**}", "/foo/buzz/bar/baz/x", true),
        ("/foo/{*}/bar/{**}", "/foo/bar/baz", false),
        ("/{**}", "/", true),
        // Text right before it is no part of a path, and nothing is dropped of it.
        ("/admin{**}", "/anything", false),
        ("{**}/end", "/way/end", true),
        ("/foo/{**}/bar", "/foo/a/bar", true),
        ("/foo/{**}/bar", "/foo/a/b/bar", true),
        ("/foo/{**}/bar", "/foo//bar", true),
        ("/foo/{**}/bar", "/foo/bar", false),
        ("/foo/{**}/bar", "/foo/a/bars", false),
        ("/foo/{**}/bar", "/fo/a/bar", false),
        ("/{*}/{**}/b/c", "/a/x/y/b/c", true),
        ("/{*}/{**}/b/c", "/a/b/c", false),
        ("/*/baz/{*}", "/x/baz/y", false),
    ];
    for (pattern, path, expected) in table {
        let rule =
            to(Operation { paths: vec![ValueMatch::parse(pattern)], ..Operation::default() });
        assert_eq!(allows(rule, path, &[]).await, expected, "{pattern} and {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_methods_and_ports_match_and_their_negatives_exclude() {
    let op = Operation::default;
    let host = [("host", "Shop.Example")];
    let table = [
        (Operation { hosts: texts(&["shop.example"]), ..op() }, true),
        (Operation { hosts: texts(&["*.example"]), ..op() }, true),
        (Operation { hosts: texts(&["shop"]), ..op() }, false),
        (Operation { not_hosts: texts(&["SHOP.example"]), ..op() }, false),
        (Operation { methods: texts(&["POST", "GET"]), ..op() }, true),
        (Operation { not_methods: texts(&["GET"]), ..op() }, false),
        (Operation { ports: texts(&["80"]), ..op() }, true),
        (Operation { ports: texts(&["443"]), ..op() }, false),
        (Operation { not_ports: texts(&["80"]), ..op() }, false),
        (Operation { paths: texts(&["*"]), not_paths: texts(&["/a*"]), ..op() }, false),
        (Operation { not_paths: texts(&["/a/{*}"]), ..op() }, false),
        (Operation { not_paths: texts(&["/b"]), ..op() }, true),
    ];
    for (operation, expected) in table {
        let shown = format!("{operation:?}");
        assert_eq!(allows(to(operation), "/a/b", &host).await, expected, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_authorized_by_the_host_and_path_it_is_routed_by() {
    let host = Operation { hosts: texts(&["admin.example.com"]), ..Operation::default() };
    let path = Operation { paths: texts(&["/products/p-moka"]), ..Operation::default() };
    for (operation, target, refused) in [
        (&host, "http://admin.example.com/", true),
        (&host, "http://x@ADMIN.example.com/", true),
        (&host, "http://shop.example/", false),
        (&path, "/products/p-moka", true),
        (&path, "/products/p%2Dmoka", true),
        (&path, "/%70roducts/p-moka?q", true),
        (&path, "/products/x/../p-moka", true),
        (&path, "/products/%2e/p-moka", true),
        (&path, "/products\\p-moka", true),
        (&path, "/products/p%252Dmoka", false),
    ] {
        let world = World::guarded(authorize(vec![(
            AuthorizationAction::Deny,
            vec![to(operation.clone())],
        )]));
        let answer = outside(&world.mesh, target, &[("host", "localhost")]).await;
        assert_eq!(answer.status() == 403, refused, "{operation:?} and {target}");
    }
}

#[tokio::test(start_paused = true)]
async fn services_are_known_by_their_identity_which_no_header_can_forge() {
    let orders = "cluster.local/ns/default/sa/orders";
    let table = [
        (Source { principals: texts(&[orders]), ..Source::default() }, true, false),
        (Source { principals: texts(&["*/sa/orders"]), ..Source::default() }, true, false),
        (Source { principals: texts(&["*"]), ..Source::default() }, true, true),
        (Source { principals: texts(&[INGRESS]), ..Source::default() }, false, true),
        (Source { namespaces: texts(&["istio-system"]), ..Source::default() }, false, true),
        (Source { not_principals: texts(&[orders]), ..Source::default() }, false, true),
        (Source { namespaces: texts(&["default"]), ..Source::default() }, true, false),
        (Source { not_namespaces: texts(&["default"]), ..Source::default() }, false, true),
    ];
    for (source, mesh_passes, outside_passes) in table {
        let shown = format!("{source:?}");
        let world =
            World::guarded(authorize(vec![(AuthorizationAction::Allow, vec![from(source)])]));
        assert_eq!(world.status().await == Ok(200), mesh_passes, "{shown}");
        let forged = [
            ("x-vitrine-caller", "orders"),
            (
                "x-forwarded-client-cert",
                "By=spiffe://x;URI=spiffe://cluster.local/ns/default/sa/orders",
            ),
        ];
        let passed = outside(&world.mesh, "/", &forged).await.status() == 200;
        assert_eq!(passed, outside_passes, "{shown}");
    }
    let world = World::payments();
    assert_eq!(world.status().await, Ok(200));
    assert_eq!(world.seen("payments-0")[0].principal.as_deref(), Some(orders));
}

#[tokio::test(start_paused = true)]
async fn addresses_are_compared_as_networks() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let blocks =
        |ip_blocks, not_ip_blocks| Source { ip_blocks, not_ip_blocks, ..Source::default() };
    let remote = |remote_ip_blocks, not_remote_ip_blocks| Source {
        remote_ip_blocks,
        not_remote_ip_blocks,
        ..Source::default()
    };
    let table = [
        (blocks(vec![(ip("203.0.113.0"), 24)], vec![]), true),
        (blocks(vec![(ip("203.0.113.7"), 32)], vec![]), true),
        (blocks(vec![(ip("198.51.100.0"), 24), (ip("2001:db8::"), 32)], vec![]), false),
        (blocks(vec![], vec![(ip("203.0.113.0"), 24)]), false),
        (blocks(vec![(ip("203.0.113.0"), 24)], vec![(ip("203.0.113.7"), 32)]), false),
        (remote(vec![(ip("203.0.113.0"), 24)], vec![]), true),
        (remote(vec![(ip("192.0.2.0"), 24)], vec![]), false),
        (remote(vec![], vec![(ip("203.0.113.7"), 32)]), false),
    ];
    for (source, expected) in table {
        let shown = format!("{source:?}");
        let world =
            World::guarded(authorize(vec![(AuthorizationAction::Allow, vec![from(source)])]));
        // No proxy is trusted, so that anybody could write this header.
        let claimed = request("/", &[("x-forwarded-for", "192.0.2.1")]);
        let call = world.mesh.caller("browser").forward("payments", claimed);
        let answer = call.remote(ip("203.0.113.7")).send().await.unwrap();
        assert_eq!(answer.status() == 200, expected, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn conditions_read_headers_claims_audiences_and_the_caller() {
    let claims = json!({
        "iss": ISSUER, "sub": "ada", "aud": ["shop", "bank"], "azp": "app",
        "groups": ["staff", "admin"], "realm": {"access": {"roles": ["clerk"]}}, "plan": "gold",
    });
    let token = format!("Bearer {}", signed(&claims));
    let headers = [("authorization", token.as_str()), ("x-user", "ada lovelace")];
    let principal = format!("{ISSUER}/ada");
    let table: [(&str, &[&str], &[&str], bool); 22] = [
        ("request.headers[x-user]", &["ada*"], &[], true),
        ("request.headers[X-User]", &["*lovelace"], &[], true),
        ("request.headers[x-user]", &[], &["ada*"], false),
        ("request.headers[x-none]", &["*"], &[], false),
        ("request.headers[x-none]", &[], &["*"], true),
        ("request.auth.principal", &[&principal], &[], true),
        ("request.auth.audiences", &["bank"], &[], true),
        ("request.auth.audiences", &["other"], &[], false),
        ("request.auth.audiences", &[], &["bank"], false),
        ("request.auth.presenter", &["app"], &[], true),
        ("request.auth.claims[plan]", &["gold"], &[], true),
        ("request.auth.claims[groups]", &["admin"], &[], true),
        ("request.auth.claims[groups]", &["adm*"], &["staff"], false),
        ("request.auth.claims[realm][access][roles]", &["clerk"], &[], true),
        ("request.auth.claims[realm][access]", &["clerk"], &[], false),
        ("request.auth.claims[none]", &[], &["x"], true),
        ("source.ip", &["203.0.113.0/24"], &[], true),
        ("source.ip", &["203.0.113.7"], &[], true),
        ("source.ip", &[], &["203.0.113.7"], false),
        ("source.principal", &[INGRESS], &[], true),
        ("destination.port", &["80"], &[], true),
        ("source.namespace", &["default"], &[], false),
    ];
    for (key, values, not_values, expected) in table {
        let rule = when(key, values, not_values);
        let world = World::guarded(authorize(vec![(AuthorizationAction::Allow, vec![rule])]));
        let call = world.mesh.caller("browser").forward("payments", request("/", &headers));
        let answer = call.remote("203.0.113.7".parse().unwrap()).send().await.unwrap();
        assert_eq!(answer.status() == 200, expected, "{key} {values:?} not {not_values:?}");
    }
}

/// `PeerAuthentication` for the whole mesh, as Istio does it: the listener at the ingress is not
/// under it, and the proxy there is a client of the mesh with an identity of its own.
#[tokio::test(start_paused = true)]
async fn strict_peer_authentication_is_not_for_the_ingress_whose_proxy_has_its_own_identity() {
    for mtls in [Mtls::Strict, Mtls::Permissive, Mtls::Disable] {
        let world = World::new(&[("gateway", "gateway-0", "v1"), ("payments", "payments-0", "v1")]);
        let workload = Workload { mtls, ..Workload::default() };
        let workloads = ["gateway", "payments"].map(|name| (name.into(), workload.clone()));
        world.apply(Policy { workloads: workloads.into(), ..policy(1, rule(None)) });
        assert_eq!(world.status().await, Ok(200), "{mtls:?}: between services");
        let caller = world.mesh.caller("browser");
        let to_gateway = caller.forward("gateway", request("/", &[])).send().await.unwrap();
        assert_eq!(to_gateway.status(), 200, "{mtls:?}: into the gateway");
        assert_eq!(outside(&world.mesh, "/", &[]).await.status(), 200, "{mtls:?}: past it");
        assert_eq!(world.seen("gateway-0")[0].principal, None);
        let shown = (mtls != Mtls::Disable).then_some(INGRESS);
        assert_eq!(world.seen("payments-0")[1].principal.as_deref(), shown, "{mtls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_from_outside_whether_the_gateway_is_ready_needs_nobody_to_let_them_in() {
    let world = World::new(&[("gateway", "gateway-0", "v1")]);
    let shut = authorize(vec![(AuthorizationAction::Allow, vec![])]);
    let shut = Workload { authentication: tokens(vec![jwt_rule()]).authentication, ..shut };
    let workloads = [("gateway".into(), shut)].into();
    world.apply(Policy { workloads, ..policy(1, rule(None)) });
    let bad = ("authorization", "Bearer no.token.atall");
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = request(path, headers);
        *request.method_mut() = method.parse().unwrap();
        let call = world.mesh.caller("browser").forward("gateway", request);
        call.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("GET", "/readyz", &[]).await, 200);
    assert_eq!(ask("GET", "/readyz", &[bad]).await, 200);
    assert_eq!(ask("POST", "/readyz", &[]).await, 403);
    assert_eq!(ask("GET", "/readyz/x", &[]).await, 403);
    assert_eq!(ask("GET", "/health", &[]).await, 403);
    let inside = world.mesh.caller("orders").get("gateway", "/readyz").send().await.unwrap();
    assert_eq!(inside.status(), 403, "services of the mesh are under it");
}

#[tokio::test(start_paused = true)]
async fn looking_is_neither_authorized_nor_counted() {
    let world = World::guarded(authorize(vec![(AuthorizationAction::Allow, vec![])]));
    let look = world.caller().look("payments", "/").send().await.unwrap();
    assert_eq!(look.status(), 200);
    let stats = world.mesh.inbound_stats().remove(0);
    assert_eq!((stats.passed, stats.denied), (0, 0));
}
