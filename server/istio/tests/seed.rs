//! The three files a user brings along, unchanged: every field has a fate, and they take effect.
//!
//! The files are in `data/`, as they came.

mod support;

use contract::istio::{Change, Fate};
use istio::{
    Configuration,
    policy::{Action, Share, StringMatch},
    yaml::{Data, Node},
};
use std::time::Duration;
use support::{apply, compile, known};

const FILES: [(&str, &str); 3] = [
    ("istio-config.yml", include_str!("data/istio-config.yml")),
    ("traffic-management.yml", include_str!("data/traffic-management.yml")),
    ("observability.yml", include_str!("data/observability.yml")),
];

fn leaves(node: &Node, path: &str, found: &mut Vec<String>) {
    match &node.data {
        Data::Map(entries) if !entries.is_empty() => {
            for entry in entries {
                leaves(&entry.value, &format!("{path}.{}", entry.key), found);
            }
        }
        Data::List(items) if items.iter().any(|item| !item.entries().is_empty()) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{path}[{index}]"), found);
            }
        }
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}

/// Maps are listed with brackets, because their keys may hold points.
fn normal(path: &str) -> String {
    path.replace('[', ".").replace(']', "")
}

#[test]
fn every_field_of_the_files_has_a_fate_at_its_own_line() {
    for (name, text) in FILES {
        let report = apply(text).report;
        let documents = istio::yaml::read(text).unwrap();
        assert_eq!(report.resources.len(), documents.len(), "{name}");
        for (resource, document) in report.resources.iter().zip(&documents) {
            if resource.change == Change::NotOurs {
                assert!(resource.fields.is_empty());
                continue;
            }
            let mut expected = Vec::new();
            leaves(document, "", &mut expected);
            assert!(expected.len() > 3);
            for leaf in expected {
                let leaf = normal(&leaf);
                let of = |path: &str| leaf == path || leaf.starts_with(&format!("{path}."));
                let fate = resource.fields.iter().find(|fate| of(&normal(&fate.path)));
                let fate = fate.unwrap_or_else(|| panic!("{name}: {} {leaf}", resource.resource));
                assert_ne!(fate.fate, Fate::Rejected);
                let line = text.lines().nth(fate.at.line as usize - 1).unwrap();
                let last = normal(&fate.path);
                let word = last.rsplit('.').find(|step| step.parse::<u32>().is_err()).unwrap();
                assert!(line.contains(word), "{name}:{}: {line} has no {word}", fate.at);
            }
        }
    }
}

#[test]
fn what_is_not_istios_is_left_alone() {
    let report = apply(FILES[2].1).report;
    let foreign: Vec<_> = report
        .resources
        .iter()
        .filter(|resource| resource.change == Change::NotOurs)
        .map(|resource| (resource.resource.kind.as_str(), resource.resource.name.as_str()))
        .collect();
    assert_eq!(
        foreign,
        [
            ("ConfigMap", "prometheus-config"),
            ("ConfigMap", "jaeger-config"),
            ("Deployment", "kiali"),
            ("ConfigMap", "kiali"),
        ]
    );
}

#[test]
fn all_three_files_apply_one_after_the_other_and_a_second_time_without_change() {
    let mut configuration = Configuration::default();
    for (_, text) in FILES {
        configuration = configuration.apply(text, &known()).unwrap().configuration;
    }
    for (_, text) in FILES {
        let again = configuration.apply(text, &known()).unwrap();
        assert_eq!(again.configuration, configuration);
        let changes = again.report.resources.iter().map(|resource| resource.change);
        assert!(changes.into_iter().all(|c| matches!(c, Change::Unchanged | Change::NotOurs)));
    }
}

#[test]
fn the_canary_goes_by_browser_then_cookie_then_90_to_10() {
    let policy = compile(FILES[1].1);
    let host = policy.virtual_host("web", "web-app", false).unwrap();
    let names: Vec<_> = host.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["#1", "#2", "#3"]);
    let (header, regex) = &host.routes[0].matches[0].headers[0];
    assert_eq!(header, "user-agent");
    assert!(regex.holds("Mozilla/5.0 Chrome/120.0"));
    assert!(!regex.holds("Mozilla/5.0 Firefox/120.0"));
    assert!(host.routes[1].matches[0].headers[0].1.holds("a=b; canary=true; c=d"));
    let Action::Forward(split) = &host.routes[2].action else { panic!() };
    let split: Vec<_> = split.iter().map(|w| (w.subset.as_deref().unwrap(), w.weight)).collect();
    assert_eq!(split, [("v1", 90), ("v2", 10)]);
    // No DestinationRule defines these subsets; the versions of the instances do.
    let web = &policy.destinations["web"];
    assert_eq!(web.subset("v2").unwrap().labels, [("version".to_owned(), "v2".to_owned())]);
}

#[test]
fn the_faults_have_their_exact_shares() {
    let policy = compile(FILES[1].1);
    let host = policy.virtual_host("payments", "payment-service", false).unwrap();
    let fault = host.routes[0].fault.as_ref().unwrap();
    let delay = fault.delay.unwrap();
    assert_eq!((delay.share, delay.delay), (Share(100_000), Duration::from_secs(2)));
    let abort = fault.abort.unwrap();
    assert_eq!((abort.share, abort.status.as_u16()), (Share(50_000), 503));
}

#[test]
fn the_rate_limit_and_the_traffic_policy_inside_virtual_services_take_effect() {
    let policy = compile(FILES[1].1);
    let host = policy.virtual_host("gateway", "api-gateway", false).unwrap();
    let limit = host.routes[0].rate_limit.as_ref().unwrap();
    // It is enforced where its correct form would be: by the callee.
    let enforced = &policy.workloads["gateway"].rate_limits[0];
    assert_eq!((&enforced.origin, enforced.max_tokens), (&limit.origin, 100));
    assert_eq!(enforced.scope.as_ref().unwrap().matches.len(), 1);
    assert_eq!((limit.max_tokens, limit.tokens_per_fill), (100, 100));
    assert_eq!(limit.fill_interval, Duration::from_secs(60));
    assert!(limit.per_remote_address);
    assert_eq!(limit.status.as_u16(), 429);
    let outlier = policy.destinations["provider"].policy.outlier.as_ref().unwrap();
    assert_eq!((outlier.consecutive_5xx, outlier.max_ejection_percent), (3, 50));
}

#[test]
fn mirroring_takes_20_percent_to_v2() {
    let policy = compile(FILES[1].1);
    let host = policy.virtual_host("recommendations", "recommendation-service", false).unwrap();
    let mirror = &host.routes[0].mirrors[0];
    assert_eq!((&*mirror.service, mirror.subset.as_deref()), ("recommendations", Some("v2")));
    assert_eq!(mirror.share, Share(200_000));
}

#[test]
fn the_gateways_routes_hold_for_its_host_only_at_the_gateway() {
    let policy = compile(FILES[0].1);
    assert!(policy.virtual_host("gateway", "api.example.com", false).is_none());
    let host = policy.virtual_host("gateway", "api.example.com", true).unwrap();
    assert_eq!(host.routes.len(), 3);
    assert_eq!(host.routes[0].timeout, Some(Duration::from_secs(5)));
    assert_eq!(host.routes[0].retry.attempts, 3);
    let cors = host.routes[2].cors.as_ref().unwrap();
    assert!(cors.origins[0].holds("https://anywhere.example"));
    assert_eq!(cors.methods.len(), 4);
    assert!(matches!(host.routes[0].matches[0].uri, Some(StringMatch::Prefix(_))));
}

#[test]
fn authorization_and_telemetry_are_compiled_for_their_workloads() {
    let policy = compile(FILES[0].1);
    let authorization = &policy.workloads["gateway"].authorization;
    assert_eq!(authorization.len(), 1);
    assert_eq!(authorization[0].rules.len(), 2);
    assert!(authorization[0].rules[0].to[0].paths[0].holds("/api/v1/products/7"));
    assert!(policy.workloads["payments"].authorization.is_empty());
    assert!(policy.telemetry.contains_key(""));
    assert_eq!(policy.external["provider"].endpoints, ["api.stripe.com:443"]);
    let policy = compile(FILES[2].1);
    let web = &policy.telemetry["web"];
    assert_eq!(web.sampling, Some(Share(100_000)));
    assert_eq!(web.tags.len(), 2);
    assert_eq!(web.metric_tags[0].value.as_deref(), Some("request.method"));
    assert_eq!(web.metric_tags[0].client, Some(true));
}
