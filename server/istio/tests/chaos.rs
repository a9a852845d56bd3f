//! Random bytes, random YAML and damaged resources through reading, validation and compilation.
//!
//! No panic, no hang, and every finding stands at a place of the text. Half of the cases are bytes
//! that may be no text at all, as they come in over HTTP. All cores take part; each case is made of
//! the seed and its number alone, so that one can be had again: `VITRINE_CASES` sets the number of
//! cases, `VITRINE_SEED` the seed, `VITRINE_FIRST` the number of the first case.

#![expect(clippy::expect_used, reason = "without an input a test can only stop")]
#![expect(clippy::print_stderr, reason = "the watchdog has no other way to say what hangs")]
#![expect(clippy::disallowed_methods, reason = "threads of a test, outside of any runtime")]

mod support;

use contract::istio::Finding;
use istio::{Configuration, Known};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::{
    fmt::Write as _,
    panic::AssertUnwindSafe,
    process,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use support::known;

/// Cases of one run unless `VITRINE_CASES` says otherwise: some seconds.
const CASES: u64 = 100_000;
/// A case that takes longer hangs. The slowest take some milliseconds on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often the watchdog looks.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// No case is under way.
const IDLE: u64 = u64::MAX;
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

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..120)
}

/// A text some of whose bytes are others, so that it may end within a character.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>());
    (prop_oneof![indented(), damaged()], prop::collection::vec(edit, 1..4)).prop_map(
        |(text, edits)| {
            let mut bytes = text.into_bytes();
            for (index, byte) in edits {
                if !bytes.is_empty() {
                    let index = index.index(bytes.len());
                    bytes[index] = byte;
                }
            }
            bytes
        },
    )
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

/// Half bytes, half texts.
fn inputs() -> impl Strategy<Value = Vec<u8>> {
    let texts = prop_oneof![2 => yaml_like(), 2 => indented(), 6 => damaged()];
    prop_oneof![
        1 => bytes(),
        1 => broken(),
        2 => texts.prop_map(String::into_bytes),
    ]
}

/// Whether a place lies in the text, or right behind one of its lines.
fn assert_inside(finding: &Finding, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let (line, column) = (finding.at.line as usize, finding.at.column as usize);
    let found = text.split(['\n', '\r']).nth(line.wrapping_sub(1));
    let found = found.unwrap_or_else(|| panic!("no such line: {finding:?}"));
    assert!((1..=found.chars().count() + 1).contains(&column), "no such column: {finding:?}");
}

/// Everything that can be done with what came.
fn exercise(bytes: &[u8], known: &Known) -> bool {
    let (applied, report) = match Configuration::default().apply_bytes(bytes, known) {
        Ok(applied) => (Some(applied.configuration), applied.report),
        Err(refused) => (None, refused.report),
    };
    for finding in &report.findings {
        assert!(!finding.message.is_empty() && !finding.advice.is_empty(), "{finding:?}");
        assert_inside(finding, bytes);
    }
    let Some(configuration) = applied else {
        assert!(!report.findings.is_empty(), "refused without a reason");
        return false;
    };
    assert_eq!(configuration.compile(known, 1).revision, 1);
    let printed = configuration.print();
    let again = Configuration::default().apply(&printed, known);
    let again = again.unwrap_or_else(|refused| panic!("{:#?}\n{printed}", refused.report));
    assert_eq!(again.configuration, configuration, "{printed}");
    true
}

/// One run, and what its threads are at.
struct Run {
    seed: u64,
    /// The next case, and the one after the last.
    next: AtomicU64,
    end: u64,
    applied: AtomicU64,
    began: Instant,
    /// By thread: its case, and when that began, milliseconds since the run did.
    at: Vec<(AtomicU64, AtomicU64)>,
    over: AtomicBool,
}

impl Run {
    fn input(&self, case: u64) -> Vec<u8> {
        let mut bits = [0; 32];
        bits[..8].copy_from_slice(&self.seed.to_le_bytes());
        bits[8..16].copy_from_slice(&case.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bits);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        INPUTS.with(|inputs| inputs.new_tree(&mut runner).expect("an input").current())
    }

    fn again(&self, case: u64) -> String {
        let bytes = self.input(case);
        let text = String::from_utf8_lossy(&bytes);
        let seed = self.seed;
        format!("VITRINE_SEED={seed} VITRINE_FIRST={case} VITRINE_CASES=1\n{text}\n{bytes:?}")
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).expect("milliseconds")
    }

    fn work(&self, thread: usize) {
        let known = known();
        let (at, since) = &self.at[thread];
        loop {
            let case = self.next.fetch_add(1, Ordering::Relaxed);
            if case >= self.end {
                return at.store(IDLE, Ordering::SeqCst);
            }
            let input = self.input(case);
            since.store(self.now_ms(), Ordering::SeqCst);
            at.store(case, Ordering::SeqCst);
            let done = std::panic::catch_unwind(AssertUnwindSafe(|| exercise(&input, &known)));
            at.store(IDLE, Ordering::SeqCst);
            match done {
                Ok(applied) => drop(self.applied.fetch_add(applied.into(), Ordering::Relaxed)),
                Err(_) => panic!("failed: {}", self.again(case)),
            }
        }
    }

    /// Ends the process when a case hangs: nothing else could end its thread.
    fn watch(&self) {
        let deadline_ms = u64::try_from(DEADLINE.as_millis()).expect("milliseconds");
        while !self.over.load(Ordering::SeqCst) {
            for (at, since) in &self.at {
                let case = at.load(Ordering::SeqCst);
                let took = self.now_ms().saturating_sub(since.load(Ordering::SeqCst));
                if case != IDLE && took > deadline_ms && at.load(Ordering::SeqCst) == case {
                    eprintln!("hangs for {took} ms: {}", self.again(case));
                    process::exit(1);
                }
            }
            thread::sleep(WATCH_EVERY);
        }
    }
}

thread_local! {
    /// Making the strategies compiles expressions; once per thread is enough.
    static INPUTS: BoxedStrategy<Vec<u8>> = inputs().boxed();
}

#[test]
fn random_inputs_neither_panic_nor_hang_and_every_finding_has_a_place_in_them() {
    let (cases, seed) = (number("VITRINE_CASES", CASES), number("VITRINE_SEED", SEED));
    let first = number("VITRINE_FIRST", 0);
    println!("VITRINE_SEED={seed} VITRINE_FIRST={first} VITRINE_CASES={cases}");
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let run = Run {
        seed,
        next: AtomicU64::new(first),
        end: first + cases,
        applied: AtomicU64::new(0),
        began: Instant::now(),
        at: (0..threads).map(|_| (AtomicU64::new(IDLE), AtomicU64::new(0))).collect(),
        over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        scope.spawn(|| run.watch());
        let run = &run;
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || run.work(thread))).collect();
        let failed = workers.into_iter().filter_map(|worker| worker.join().err()).next();
        run.over.store(true, Ordering::SeqCst);
        if let Some(failed) = failed {
            std::panic::resume_unwind(failed);
        }
    });
    let applied = run.applied.into_inner();
    println!("{applied} of {cases} were applied, in {:.0?}", run.began.elapsed());
    // Otherwise the inputs would only show how refusing works.
    assert!(cases < 1_000 || applied * 40 > cases, "only {applied} of {cases} were applied");
}
