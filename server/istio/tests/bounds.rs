//! What a whole configuration may hold, however many applies it came in.

#![expect(clippy::unwrap_used, reason = "a test whose text cannot be read fails")]

mod support;

use istio::{
    Configuration, EXPRESSIONS_MAX, MATCHES_MAX, RESOURCES_MAX, RULES_MAX, Refused, Resource, code,
};
use std::{fmt::Write, sync::Arc};
use support::known;

/// A `VirtualService` with these rules, each of its matches in flow style.
fn rules(name: &str, rules: &[String]) -> String {
    let mut text = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n\
         spec:\n  hosts: [{name}.example]\n  gateways: [vitrine]\n  http:\n"
    );
    for rule in rules {
        writeln!(text, "  - {{match: [{rule}], route: [{{destination: {{host: payments}}}}]}}")
            .unwrap();
    }
    text
}

fn exact(name: &str, from: usize, count: usize) -> String {
    let rule = |at: usize| format!("{{uri: {{exact: /{at}}}}}");
    rules(name, &(from..from + count).map(rule).collect::<Vec<_>>())
}

fn expressions(name: &str, count: usize, expression: &str) -> String {
    let rule = |at: usize| format!("{{uri: {{regex: '/{name}{at}/{expression}'}}}}");
    rules(name, &(0..count).map(rule).collect::<Vec<_>>())
}

fn apply(to: &Configuration, text: &str) -> Result<Configuration, Refused> {
    to.apply(text, &known()).map(|applied| applied.configuration)
}

/// The only finding says that a bound is exceeded, in these words.
fn assert_bound(refused: Result<Configuration, Refused>, words: &str) {
    let findings = refused.unwrap_err().report.findings;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].code, code::BOUND, "{findings:#?}");
    assert!(findings[0].message.contains(words), "{findings:#?}");
}

#[test]
fn the_expressions_of_all_texts_together_are_bounded() {
    let half = EXPRESSIONS_MAX / 2;
    let mut configuration = Configuration::default();
    for name in ["a", "b"] {
        configuration = apply(&configuration, &expressions(name, half, "[0-9]+")).unwrap();
    }
    let more = expressions("c", 1, "[0-9]+");
    let words = format!("{} expressions in the whole configuration", EXPRESSIONS_MAX + 1);
    assert_bound(apply(&configuration, &more), &words);
    // In the place of others there is room.
    assert!(apply(&configuration, &expressions("b", half, "[a-z]+")).is_ok());
}

#[test]
fn the_memory_of_all_compiled_expressions_is_bounded_however_short_they_are() {
    let large = |name: &str, count| expressions(name, count, "(a|b){400}");
    assert_bound(apply(&Configuration::default(), &large("a", 500)), "in one text are more than");
    let mut configuration = Configuration::default();
    for name in ["b", "c"] {
        configuration = apply(&configuration, &large(name, 128)).unwrap();
    }
    let refused = apply(&configuration, &large("d", 1));
    assert_bound(refused, "in the whole configuration are more than 16 MiB");
}

#[test]
fn the_resources_of_all_texts_together_are_bounded() {
    const STEP: usize = 50;
    let entries = |from: usize, count: usize| {
        let entry = |at: usize| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
                 metadata: {{name: e{at}}}\n\
                 spec: {{hosts: [e{at}.example.com], ports: [{{number: 80, name: http}}]}}\n"
            )
        };
        (from..from + count).map(entry).collect::<Vec<_>>().join("---\n")
    };
    let mut configuration = Configuration::default();
    for from in (0..RESOURCES_MAX).step_by(STEP) {
        configuration = apply(&configuration, &entries(from, STEP)).unwrap();
    }
    let words = format!("{} resources", RESOURCES_MAX + 1);
    assert_bound(apply(&configuration, &entries(RESOURCES_MAX, 1)), &words);
}

#[test]
fn the_rules_of_all_resources_together_are_bounded() {
    let mut configuration = Configuration::default();
    for (at, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        configuration = apply(&configuration, &exact(name, at * 500, 500)).unwrap();
    }
    let words = format!("{} rules", RULES_MAX + 1);
    assert_bound(apply(&configuration, &exact("f", 0, 1)), &words);
}

#[test]
fn the_rules_of_a_delegate_count_wherever_it_is_named() {
    let delegating = |count: usize| {
        let delegate = "  - {delegate: {name: leaf}}\n".repeat(count);
        let mut text = rules("root", &[]);
        text.push_str(&delegate);
        let leaf = exact("leaf", 0, 50);
        let leaf = leaf.replace("  hosts: [leaf.example]\n  gateways: [vitrine]\n", "");
        format!("{text}---\n{leaf}")
    };
    let words = format!("{} rules with {} matches", 51 * 50 + 50, 51 * 50 + 50);
    assert_bound(apply(&Configuration::default(), &delegating(51)), &words);
    assert!(apply(&Configuration::default(), &delegating(49)).is_ok());
    const { assert!(MATCHES_MAX > RULES_MAX) };
}

#[test]
fn a_resource_that_an_apply_leaves_as_it_was_is_the_same_one() {
    let (one, other) = (exact("a", 0, 3), exact("b", 0, 3));
    let find = |of: &Configuration, name: &str| -> Arc<Resource> {
        let mut resources = of.resources().filter(|resource| resource.key().name == name);
        resources.next().unwrap().clone()
    };
    let before = apply(&Configuration::default(), &one).unwrap();
    let after = apply(&before, &format!("{one}---\n{other}")).unwrap();
    assert!(Arc::ptr_eq(&find(&before, "a"), &find(&after, "a")));
    // As after a start, when each revision is read back from its own text.
    let read_back = apply(&Configuration::default(), &after.print()).unwrap().sharing(&before);
    assert_eq!(read_back, after);
    assert!(Arc::ptr_eq(&find(&before, "a"), &find(&read_back, "a")));
}
