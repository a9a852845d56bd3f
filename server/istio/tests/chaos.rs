//! Random bytes, random YAML and damaged resources through reading, validation and compilation.
//!
//! No panic, no hang, and every finding has a place. `VITRINE_CASES` sets the number of cases and
//! `VITRINE_SEED` the seed, which is printed.

mod support;

use istio::Configuration;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::fmt::Write as _;
use support::known;

/// Cases of one run unless `VITRINE_CASES` says otherwise.
const CASES: u64 = 20_000;
/// The seed unless `VITRINE_SEED` says otherwise.
const SEED: u64 = 20_261;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Whole resources that use most of every table; damaged ones keep most of their sense.
const RESOURCES: &[&str] = &[
    include_str!("data/istio-config.yml"),
    include_str!("data/traffic-management.yml"),
    include_str!("data/observability.yml"),
    include_str!("data/all-fields.yml"),
];

/// Words of the API and values that tend to break things.
const WORDS: &[&str] = &[
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n",
    "kind: DestinationRule\n",
    "spec:",
    "http:\n",
    "- match:",
    "route:",
    "retries: {attempts: 3}",
    "timeout: 1s",
    "perTryTimeout: 0.0001ms",
    "percentage: {value: 0.00001}",
    "regex: '(a'",
    "regex: '[[:alpha:]'",
    "weight: -1",
    "weight: 99999999999999999999",
    "99e99",
    "-0",
    ".",
    "..",
    "1h1h1h",
    "9999999999999h",
    "*",
    "&a",
    "*a",
    "!!int",
    "? ",
    "- - -",
    "{{",
    "}}",
    "[",
    "]",
    "\u{feff}",
    "\u{2028}",
    "\0",
    "\t",
    "\r\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "<<: *a",
    "|2\n",
    ">-\n",
    "'",
    "\"\\ud800\"",
    "\"\\x",
    "kind: List\nitems: [",
    "delegate: {name: a}",
    "hosts: ['*']",
    "host: a..b",
    "exact: 1",
    "{}",
    "[]",
    "null",
    "~",
    "mirror:",
    "fault: {abort: {httpStatus: 99}}",
];

fn indented() -> impl Strategy<Value = String> {
    let piece = (0_usize..8, prop::sample::select(WORDS));
    prop::collection::vec(piece, 0..30).prop_map(|pieces| {
        let mut text = String::new();
        for (indent, word) in pieces {
            let _ = write!(text, "{}{word}", " ".repeat(indent));
            if indent % 3 != 0 {
                text.push('\n');
            }
        }
        text
    })
}

fn yaml_like() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:\\-\\[\\]{}#&*!|>'\"%@`,? \\n\\t0-9.]{0,80}",
        "([ ]{0,6}(- )?[a-z]{1,4}: ?[a-z0-9\\[{\"']{0,5}\\n){0,20}",
    ]
}

fn bytes() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<u8>(), 0..120)
        .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// One document with some of its lines removed, doubled, swapped, indented or spliced.
fn damaged() -> impl Strategy<Value = String> {
    let documents: Vec<&'static str> =
        RESOURCES.iter().flat_map(|text| text.split("\n---\n")).collect();
    let edit = (
        0_u8..7,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::sample::select(WORDS),
    );
    (prop::sample::select(documents), prop::collection::vec(edit, 0..4)).prop_map(
        |(document, edits)| {
            let mut lines: Vec<String> = document.lines().map(ToOwned::to_owned).collect();
            for (kind, one, two, word) in edits {
                if lines.is_empty() {
                    break;
                }
                let (one, two) = (one.index(lines.len()), two.index(lines.len()));
                match kind {
                    0 => drop(lines.remove(one)),
                    1 => lines.insert(two, lines[one].clone()),
                    2 => lines.swap(one, two),
                    3 => lines[one].insert_str(0, "  "),
                    4 => lines[one] = lines[one].trim_start().to_owned(),
                    5 => lines[one].push_str(word),
                    _ => {
                        let value = lines[one].split(": ").next().unwrap_or_default().to_owned();
                        lines[one] = format!("{value}: {word}");
                    }
                }
            }
            lines.join("\n")
        },
    )
}

/// Everything that can be done with a text.
fn exercise(text: &str, base: &Configuration) -> bool {
    let known = known();
    match base.apply(text, &known) {
        Ok(applied) => {
            let policy = applied.configuration.compile(&known, 1);
            assert_eq!(policy.revision, 1);
            let printed = applied.configuration.print();
            let again = Configuration::default().apply(&printed, &known);
            let again = again.unwrap_or_else(|refused| panic!("{:#?}\n{printed}", refused.report));
            assert_eq!(again.configuration, applied.configuration, "{printed}");
            for finding in &applied.report.findings {
                assert!(finding.at.line >= 1 && finding.at.column >= 1, "{finding:?}\n{text}");
            }
            true
        }
        Err(refused) => {
            assert!(!refused.report.findings.is_empty());
            for finding in &refused.report.findings {
                assert!(finding.at.line >= 1 && finding.at.column >= 1, "{finding:?}\n{text}");
                assert!(!finding.message.is_empty() && !finding.advice.is_empty());
            }
            false
        }
    }
}

#[test]
fn random_texts_neither_panic_nor_hang_and_every_finding_has_a_place() {
    let (cases, seed) = (number("VITRINE_CASES", CASES), number("VITRINE_SEED", SEED));
    println!("VITRINE_CASES={cases} VITRINE_SEED={seed}");
    let mut bits = [0; 32];
    bits[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bits);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let texts = prop_oneof![1 => bytes(), 2 => yaml_like(), 2 => indented(), 5 => damaged()];
    let empty = Configuration::default();
    let mut applied = 0_u64;
    for case in 0..cases {
        let text = texts.new_tree(&mut runner).expect("a text").current();
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| exercise(&text, &empty)));
        match result {
            Ok(accepted) => applied += u64::from(accepted),
            Err(_) => panic!("case {case} of seed {seed}:\n{text}\n{text:?}"),
        }
    }
    println!("{applied} of {cases} were applied");
    // Otherwise the texts would only show how refusing works.
    assert!(applied * 20 > cases, "only {applied} of {cases} were applied");
}
