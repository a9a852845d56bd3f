//! The waterfall of a trace: what each row shows, where its bar stands, and which rows tell most.
//!
//! Pure geometry in shares of the axis; the view turns them into percentages of an SVG.

use super::{
    critical_path::{self, Segment},
    format,
    span_tree::SpanTree,
    time_scale::TimeScale,
};
use contract::{
    attributes::{
        DB_SYSTEM, EVENT_NAME, HTTP_STATUS, MESH_BREAKER_STATE, MESH_RESPONSE_FLAGS, MESH_TRY,
        SAGA_COMPENSATION, SERVER_ADDRESS, TRANSACTION_DECISION, TRANSACTION_VOTE,
    },
    trace::{SpanKind, SpanView},
};
use std::collections::HashMap;

/// Rows that are in the page at once; more are added as they are scrolled to.
pub const WINDOW_ROWS: usize = 200;
/// Height of a row in pixels; the style sheet says the same.
pub const ROW_HEIGHT: usize = 21;

/// The bar of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Left end, 0 to 1.
    pub x: f64,
    /// Width, 0 to 1; the view draws at least two pixels.
    pub width: f64,
    /// Part of the bar that a fault held back, from its left end.
    pub injected: f64,
    /// Parts on the critical path: left end and width.
    pub critical: Vec<(f64, f64)>,
}

/// Where a bar's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Right of the bar.
    After,
    /// Left of the bar, because there is no room on the right.
    Before,
}

/// What is written beside a bar, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Which of the texts that were to choose from.
    pub text: usize,
    /// Its side.
    pub side: Side,
}

/// How much room texts have in a drawing, as shares of its width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// A character takes so much: it is some six pixels wide.
    pub character: f64,
    /// They may reach this far: 1 is the right end of the drawing.
    pub until: f64,
}

/// The bar of a row; none if it is outside of the axis.
#[must_use]
pub fn bar(
    tree: &SpanTree,
    spans: &[SpanView],
    path: &[Segment],
    scale: &TimeScale,
    row: usize,
) -> Option<Bar> {
    let node = tree.nodes.get(row)?;
    let (x, width) = scale.bar(node.start_us, node.end_us)?;
    let held = critical_path::injected_us(node, spans);
    let injected = if held > 0 { scale.at(node.start_us + held) - x } else { 0.0 };
    let critical = path
        .iter()
        .filter(|s| s.row == Some(row))
        .filter_map(|s| scale.bar(s.start_us, s.end_us))
        .collect();
    Some(Bar { x, width, injected: injected.clamp(0.0, width), critical })
}

/// Characters between a bar and its text, with some air behind it.
const BESIDE: f64 = 1.6;

/// The first of these texts that has room beside a bar: on its right if it fits there.
#[must_use]
pub fn label(x: f64, width: f64, texts: &[String], room: Room) -> Option<Label> {
    let place = |(text, words): (usize, &String)| {
        #[expect(clippy::cast_precision_loss, reason = "some forty characters")]
        let takes = (words.chars().count() as f64 + BESIDE) * room.character;
        let side = if x + width + takes <= room.until {
            Side::After
        } else if takes <= x {
            Side::Before
        } else {
            return None;
        };
        Some(Label { text, side })
    };
    texts.iter().enumerate().find_map(place)
}

/// Width of a character of the ruler as a share of it, and air between two texts: it is some 500
/// pixels wide beside an open drawer, a character is 6.
const CHARACTER: f64 = 0.012;
const AIR: f64 = 0.016;

/// The texts of a ruler that do not stand in the way of `fixed` ones or of one before them; places
/// are shares of the width.
#[must_use]
pub fn apart(texts: Vec<(f64, String)>, fixed: &[(f64, String)]) -> Vec<(f64, String)> {
    #[expect(clippy::cast_precision_loss, reason = "a dozen characters")]
    let half = |text: &str| text.chars().count() as f64 * CHARACTER / 2.0;
    let clear = |(a, left): (f64, &str), (b, right): (f64, &str)| {
        (a - b).abs() >= half(left) + half(right) + AIR
    };
    let mut kept: Vec<(f64, String)> = Vec::new();
    for (at, text) in texts {
        let mut others = fixed.iter().chain(kept.last());
        if others.all(|(there, other)| clear((at, &text), (*there, other))) {
            kept.push((at, text));
        }
    }
    kept
}

/// The rows around what is on screen: from, and up to but not including.
#[must_use]
pub fn window(rows: usize, first_on_screen: usize) -> (usize, usize) {
    if rows <= WINDOW_ROWS {
        return (0, rows);
    }
    // Steps of a quarter, so that not every scroll event changes the rows.
    let step = WINDOW_ROWS / 4;
    let from = (first_on_screen / step).saturating_sub(1) * step;
    let from = from.min(rows - WINDOW_ROWS);
    (from, from + WINDOW_ROWS)
}

/// Rows of the short waterfall that may have failed alike.
const FAILURES_ALIKE: usize = 3;

/// A row of the short waterfall on the order page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Row of the tree.
    pub row: usize,
    /// Rows of this selection that are above it.
    pub depth: usize,
}

/// At most `most` rows that tell the story: roots, failures, votes and decisions, compensations and
/// what took long; in the order of the tree.
#[must_use]
pub fn telling(tree: &SpanTree, spans: &[SpanView], path: &[Segment], most: usize) -> Vec<Telling> {
    let mut on_path = vec![0_i64; tree.nodes.len()];
    for segment in path {
        if let Some(row) = segment.row {
            on_path[row] += segment.end_us - segment.start_us;
        }
    }
    let mut ranked: Vec<(i64, usize)> =
        (0..tree.nodes.len()).map(|row| (score(tree, spans, on_path[row], row), row)).collect();
    fade_repeated(&mut ranked, tree, spans);
    ranked.sort_by_key(|&(score, row)| (-score, row));
    ranked.truncate(most);
    let mut rows: Vec<usize> = ranked.into_iter().map(|(_, row)| row).collect();
    rows.sort_unstable();
    let mut open: Vec<usize> = Vec::new();
    rows.into_iter()
        .map(|row| {
            while open.last().is_some_and(|&top| row > top + tree.nodes[top].below) {
                open.pop();
            }
            open.push(row);
            Telling { row, depth: open.len() - 1 }
        })
        .collect()
}

/// The same failure again and again tells nothing new: the first ones stand for the rest.
fn fade_repeated(ranked: &mut [(i64, usize)], tree: &SpanTree, spans: &[SpanView]) {
    let mut seen: HashMap<(&str, String), usize> = HashMap::new();
    for (score, row) in ranked {
        let Some(span) = tree.nodes[*row].span.and_then(|i| spans.get(i)) else { continue };
        let Some(failure) = failure(span) else { continue };
        let times = seen.entry((&span.service, failure)).or_default();
        *times += 1;
        if *times > FAILURES_ALIKE {
            *score -= 600;
        }
    }
}

fn score(tree: &SpanTree, spans: &[SpanView], on_path_us: i64, row: usize) -> i64 {
    let node = &tree.nodes[row];
    let Some(span) = node.span.and_then(|i| spans.get(i)) else {
        return 10;
    };
    let name = span.name.to_lowercase();
    let named = |words: &[&str]| words.iter().any(|w| name.contains(w));
    let mut score = 0;
    if node.parent.is_none() {
        score += 1_000;
    }
    if span.error {
        score += 300;
    }
    if critical_path::injected_us(node, spans) > 0 {
        score += 300;
    }
    let acts = !matches!(span.kind, SpanKind::Client | SpanKind::Producer);
    if named(&["prepare", "vote", "decision", "decide", "commit", "abort", "finish"])
        || acts && named(&["refund", "release", "cancel"])
    {
        score += 120;
    }
    if acts && named(&["authorize", "reserve", "confirm", "place"]) {
        score += 100;
    }
    if is_mirrored(tree, spans, row) {
        score -= 200;
    }
    score += match span.kind {
        SpanKind::Server | SpanKind::Consumer => 60,
        SpanKind::Client => 20,
        SpanKind::Producer => 10,
        SpanKind::Internal => 0,
    };
    if span.attribute(DB_SYSTEM).is_some() || span.attribute(EVENT_NAME).is_some() {
        score -= 80;
    }
    let total = tree.duration_us();
    score + 100 * (node.end_us - node.start_us) / total + 200 * on_path_us / total
}

/// A call whose answering side is in the trace too, under the same name: one of them is enough.
fn is_mirrored(tree: &SpanTree, spans: &[SpanView], row: usize) -> bool {
    let span = |row: usize| tree.nodes[row].span.and_then(|i| spans.get(i));
    let Some(own) = span(row).filter(|s| !s.error) else { return false };
    let same = |child: &SpanView| match (own.kind, child.kind) {
        (SpanKind::Client, SpanKind::Server) => own.name == child.name,
        (SpanKind::Producer, SpanKind::Consumer) => true,
        _ => false,
    };
    tree.nodes[row].parent.is_some() && tree.children(row).filter_map(span).any(same)
}

/// A shorter name where the route's own words say enough: `bank-customer prepare` for
/// `POST /transactions/{id}/prepare`, whether the bank tells it or who calls it.
fn short_name(span: &SpanView) -> String {
    let tail = span.name.rsplit_once("}/").map(|(_, tail)| tail);
    let called = span.attribute(SERVER_ADDRESS).filter(|_| span.kind == SpanKind::Client);
    let of = called.unwrap_or(&span.service);
    match tail {
        Some(tail) if !tail.is_empty() => format!("{of} {}", tail.replace('/', " ")),
        _ => span.name.clone(),
    }
}

/// The name of a row of the short waterfall, and how its note goes on: `bank-customer prepare` and
/// ` → no`, `2PC log decision` and `: abort`, `bank-merchant finish` and `, try 2 of 3`.
#[must_use]
pub fn brief_name(span: &SpanView, note: Option<&str>) -> (String, String) {
    match note {
        None => (short_name(span), String::new()),
        Some(note) if span.attribute(DB_SYSTEM).is_some() => {
            ("2PC log decision".to_owned(), format!(": {note}"))
        }
        Some(note) => match note.strip_prefix(VOTE) {
            Some(vote) => (short_name(span), format!(" → {vote}")),
            None => (short_name(span), format!(", {note}")),
        },
    }
}

/// Begins the note of a participant that voted.
const VOTE: &str = "vote ";

/// What the names of rows do not say, by row: how a participant voted, what was decided, and which
/// of several calls alike it was where one of them failed.
#[must_use]
pub fn notes(tree: &SpanTree, spans: &[SpanView]) -> HashMap<usize, String> {
    let span = |row: usize| tree.nodes.get(row)?.span.and_then(|i| spans.get(i));
    let decided = |row: usize| {
        let span = span(row)?;
        let vote = span.attribute(TRANSACTION_VOTE).map(|vote| format!("{VOTE}{vote}"));
        let note = vote.or_else(|| span.attribute(TRANSACTION_DECISION).map(str::to_owned))?;
        Some((row, note))
    };
    let rows = 0..tree.nodes.len();
    let mut notes: HashMap<usize, String> = rows.clone().filter_map(decided).collect();
    let mut alike: HashMap<(usize, &str, &str), Vec<usize>> = HashMap::new();
    for row in rows {
        let (Some(span), Some(parent)) = (span(row), tree.nodes[row].parent) else { continue };
        // The mesh's own tries are numbered by their names.
        let call = span.kind == SpanKind::Client && span.attribute(MESH_TRY).is_none();
        if let Some(called) = span.attribute(SERVER_ADDRESS).filter(|_| call) {
            alike.entry((parent, &span.name, called)).or_default().push(row);
        }
    }
    let failed = |row: &usize| span(*row).is_some_and(|span| span.error);
    for calls in alike.into_values().filter(|calls| calls.len() > 1 && calls.iter().any(failed)) {
        for (before, row) in calls.iter().enumerate() {
            let which = || format!("try {} of {}", before + 1, calls.len());
            notes.entry(*row).or_insert_with(which);
        }
    }
    notes
}

/// Characters of a failure beside a bar; all of it is in the drawer.
const FAILURE_MAX: usize = 40;

/// What a row is called for people: a failed try says what it failed of.
#[must_use]
pub fn failure(span: &SpanView) -> Option<String> {
    if !span.error {
        return None;
    }
    let status = span.attribute(HTTP_STATUS);
    let flags = span.attribute(MESH_RESPONSE_FLAGS).filter(|f| *f != "-");
    let parts: Vec<&str> = status.into_iter().chain(flags).collect();
    if parts.is_empty() && span.attribute(MESH_BREAKER_STATE) == Some("open") {
        return Some("breaker open".to_owned());
    }
    if parts.is_empty() {
        let message = span.message.as_deref().unwrap_or("failed");
        return Some(format::shortened(message, FAILURE_MAX));
    }
    Some(parts.join(" "))
}

/// Undoes what an earlier step of a saga did.
#[must_use]
pub fn is_compensation(span: &SpanView) -> bool {
    if span.attribute(SAGA_COMPENSATION) == Some("true") {
        return true;
    }
    let name = span.name.to_lowercase();
    ["release", "refund", "compensat", "undo"].iter().any(|w| name.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{span_tree::tests::span, time_scale::Fold};

    fn story() -> Vec<SpanView> {
        vec![
            span("root", None, 0, 1_000),
            span("place", Some("root"), 10, 900),
            span("db", Some("place"), 20, 1),
            span("prepare", Some("place"), 100, 300),
        ]
    }

    #[test]
    fn texts_of_a_ruler_keep_clear_of_folds_and_of_each_other() {
        let text = |at, text: &str| (at, text.to_owned());
        let ticks = vec![
            text(0.0, "0"),
            text(0.1, "5 ms"),
            text(0.12, "10"),
            text(0.5, "2.42 s"),
            text(0.9, "2.425 s"),
        ];
        let kept = apart(ticks, &[text(0.52, "+1.19 s")]);
        let kept: Vec<&str> = kept.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(kept, ["0", "5 ms", "2.425 s"]);
    }

    #[test]
    fn a_bar_stands_where_its_span_was_and_underlines_its_part_of_the_path() {
        let spans = story();
        let tree = SpanTree::new(&spans);
        let path = critical_path::critical_path(&tree);
        let scale = TimeScale::new(0, 1_000, &[]);
        let bar = bar(&tree, &spans, &path, &scale, 3).unwrap();
        assert_eq!((bar.x, bar.width), (0.1, 0.30000000000000004));
        assert_eq!(bar.critical.len(), 1);
    }

    #[test]
    fn a_span_of_no_length_still_has_a_bar_and_one_outside_the_zoom_has_none() {
        let spans = [span("root", None, 0, 1_000), span("mark", Some("root"), 500, 0)];
        let tree = SpanTree::new(&spans);
        let mark = bar(&tree, &spans, &[], &TimeScale::new(0, 1_000, &[]), 1).unwrap();
        assert_eq!((mark.x, mark.width), (0.5, 0.0));
        assert_eq!(bar(&tree, &spans, &[], &TimeScale::new(600, 1_000, &[]), 1), None);
    }

    #[test]
    fn the_injected_part_is_never_longer_than_the_bar_even_when_folded() {
        let mut slow = span("slow", None, 0, 2_030_000);
        slow.attributes.push((contract::attributes::MESH_FAULT_DELAY_MS.into(), "9000".into()));
        let spans = [slow];
        let tree = SpanTree::new(&spans);
        let scale = TimeScale::new(0, 2_100_000, &[Fold { start_us: 100_000, end_us: 1_900_000 }]);
        let bar = bar(&tree, &spans, &[], &scale, 0).unwrap();
        assert!(bar.injected <= bar.width && bar.injected > 0.0);
    }

    #[test]
    fn labels_stand_where_there_is_room_and_the_longest_that_has_some_is_taken() {
        let room = Room { character: 0.02, until: 1.0 };
        let texts = ["503 UF after 3 tries, 21 ms", "503 UF", "21 ms"].map(str::to_owned);
        let of = |x, width| label(x, width, &texts, room).map(|label| (label.text, label.side));
        assert_eq!(of(0.1, 0.05), Some((0, Side::After)));
        assert_eq!(of(0.7, 0.2), Some((0, Side::Before)));
        assert_eq!(of(0.45, 0.3), Some((1, Side::After)));
        assert_eq!(of(0.14, 0.75), Some((2, Side::Before)));
        assert_eq!(of(0.0, 1.0), None);
        // What fits at a desk may not on a phone, where a character takes a larger share.
        let phone = Room { character: 0.05, until: 1.0 };
        let sides = [room, phone].map(|room| label(0.5, 0.2, &texts[2..], room).unwrap().side);
        assert_eq!(sides, [Side::After, Side::Before]);
    }

    #[test]
    fn names_carry_what_was_decided_and_which_of_several_tries_it_was() {
        let call = |id: &str, name: &str, to: &str| {
            let mut call = span(id, Some("2pc"), 10, 5);
            call.name = name.into();
            call.kind = SpanKind::Client;
            call.attributes.push((SERVER_ADDRESS.into(), to.into()));
            call
        };
        let with = |mut span: SpanView, key: &str, value: &str| {
            span.attributes.push((key.into(), value.into()));
            span
        };
        let prepare = "POST /transactions/{id}/prepare";
        let mut first = call("first", prepare, "bank-merchant");
        first.error = true;
        let mut served = call("served", prepare, "");
        served.kind = SpanKind::Server;
        served.service = "bank-customer".into();
        let logged = with(span("payments.decide", Some("2pc"), 30, 1), DB_SYSTEM, "sqlite");
        let spans = [
            span("2pc", None, 0, 100),
            first,
            call("second", prepare, "bank-merchant"),
            call("other", prepare, "bank-customer"),
            with(served, TRANSACTION_VOTE, "no"),
            with(logged, TRANSACTION_DECISION, "abort"),
            with(span("refused", Some("2pc"), 40, 1), MESH_TRY, "1"),
        ];
        let tree = SpanTree::new(&spans);
        let notes = notes(&tree, &spans);
        let names: Vec<String> = (0..tree.nodes.len())
            .map(|row| {
                let span = &spans[tree.nodes[row].span.unwrap()];
                let (name, note) = brief_name(span, notes.get(&row).map(String::as_str));
                name + &note
            })
            .collect();
        let expected = [
            "2pc",
            "bank-merchant prepare, try 1 of 2",
            "bank-merchant prepare, try 2 of 2",
            "bank-customer prepare",
            "bank-customer prepare → no",
            "2PC log decision: abort",
            "refused",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn the_window_covers_what_is_on_screen_and_never_more_than_its_size() {
        assert_eq!(window(120, 100), (0, 120));
        for first in [0, 10, 199, 1_234, 4_990] {
            let (from, to) = window(5_000, first);
            assert!(
                from <= first && first < to && to - from == WINDOW_ROWS,
                "{first}: {from} {to}"
            );
            assert!(to >= (first + 60).min(5_000));
        }
    }

    #[test]
    fn the_telling_spans_leave_out_the_database_first_and_keep_their_order_and_depth() {
        let mut spans = story();
        spans[2].attributes.push((DB_SYSTEM.into(), "sqlite".into()));
        let tree = SpanTree::new(&spans);
        let path = critical_path::critical_path(&tree);
        let rows = telling(&tree, &spans, &path, 3);
        let expected = [
            Telling { row: 0, depth: 0 },
            Telling { row: 1, depth: 1 },
            Telling { row: 3, depth: 2 },
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_failure_that_repeats_does_not_crowd_out_the_story() {
        let mut spans = story();
        for number in 0..20 {
            let mut failed = span("try", Some("place"), 500 + number, 1);
            failed.span_id = format!("try {number}");
            failed.error = true;
            spans.push(failed);
        }
        let tree = SpanTree::new(&spans);
        let path = critical_path::critical_path(&tree);
        let rows = telling(&tree, &spans, &path, 6);
        let name = |t: &Telling| tree.nodes[t.row].id.clone();
        let names: Vec<String> = rows.iter().map(name).collect();
        assert_eq!(names, ["root", "place", "prepare", "try 0", "try 1", "try 2"]);
    }

    #[test]
    fn a_call_and_its_answer_are_one_row_of_the_short_waterfall() {
        let mut call = span("POST /orders", Some("root"), 10, 900);
        call.span_id = "call".into();
        call.kind = SpanKind::Client;
        let mut answer = span("POST /orders", Some("call"), 11, 898);
        answer.span_id = "answer".into();
        answer.kind = SpanKind::Server;
        let spans = [span("root", None, 0, 1_000), call, answer];
        let tree = SpanTree::new(&spans);
        let rows: Vec<usize> = telling(&tree, &spans, &[], 2).iter().map(|r| r.row).collect();
        assert_eq!(rows, [0, 2]);
    }

    #[test]
    fn a_route_with_a_parameter_is_called_by_its_service_and_its_last_word() {
        let mut prepare = span("POST /transactions/{id}/prepare", None, 0, 1);
        prepare.service = "bank-customer".into();
        assert_eq!(short_name(&prepare), "bank-customer prepare");
        for name in ["GET /users/{id}", "process payment.authorize"] {
            assert_eq!(short_name(&span(name, None, 0, 1)), name);
        }
    }

    #[test]
    fn a_step_that_undoes_another_is_known_by_its_attribute_or_its_name() {
        let mut step = span("process payment.x", None, 0, 1);
        assert!(!is_compensation(&step));
        step.attributes.push((SAGA_COMPENSATION.into(), "true".into()));
        assert!(is_compensation(&step));
        assert!(is_compensation(&span("process inventory.release", None, 0, 1)));
    }

    #[test]
    fn a_failed_call_says_its_status_and_flags() {
        let mut failed = span("try 1", None, 0, 1);
        assert_eq!(failure(&failed), None);
        failed.error = true;
        assert_eq!(failure(&failed).as_deref(), Some("failed"));
        failed.message = Some("the circuit breaker for bank-merchant is open".into());
        assert_eq!(failure(&failed).as_deref(), Some("the circuit breaker for bank-merchant…"));
        failed.attributes.push((MESH_BREAKER_STATE.into(), "open".into()));
        assert_eq!(failure(&failed).as_deref(), Some("breaker open"));
        failed.attributes.push((HTTP_STATUS.into(), "503".into()));
        failed.attributes.push((MESH_RESPONSE_FLAGS.into(), "UF".into()));
        assert_eq!(failure(&failed).as_deref(), Some("503 UF"));
    }
}
