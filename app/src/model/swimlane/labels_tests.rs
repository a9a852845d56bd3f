//! What is written in drawings of every sort of transaction: it does not run together.

use super::{
    super::{
        Swimlane, swimlane,
        tests::{BC, BM, abort_with_recovery, commit, paused, told_by_the_design, tx},
    },
    *,
};
use contract::transaction::{
    REPLAYED, TransactionView, TxEventKind, TxEventView, TxFault, TxState, UNDECIDED,
};

fn event(ms: i64, kind: TxEventKind, participant: Option<&str>) -> TxEventView {
    TxEventView {
        at_us: ms * 1_000,
        kind,
        participant: participant.map(Into::into),
        fault_id: Some("F-12".into()),
    }
}

/// One bank stands still for a minute; the other asks meanwhile, is told nothing is decided, and
/// what the paused one got arrives when it goes on.
fn paused_for_a_minute() -> TransactionView {
    let messages = [
        (15, Kind::Begin, None),
        (16, Kind::Prepare, Some(BC)),
        (16, Kind::Prepare, Some(BM)),
        (22, Kind::VoteYes, Some(BC)),
        (3_016, Kind::Unanswered, Some(BM)),
        (5_016, Kind::Query, Some(BC)),
        (5_017, Kind::Answer, Some(BC)),
        (6_185, Kind::DecideAbort, None),
        (6_186, Kind::Abort, Some(BC)),
        (6_186, Kind::Abort, Some(BM)),
        (6_187, Kind::Ack, Some(BC)),
        (9_186, Kind::Unanswered, Some(BM)),
        (63_736, Kind::Abort, Some(BM)),
        (63_742, Kind::Ack, Some(BM)),
        (63_743, Kind::End, None),
    ];
    let mut tx = tx(TxState::Aborted, &messages);
    tx.messages[2].fault = Some(TxFault { id: "F-5".into(), delayed_us: 3_000_000 });
    tx.messages[4].detail = Some("try 3: not answered within 1 s".into());
    tx.messages[6].detail = Some(UNDECIDED.into());
    tx.messages[11].detail = Some("try 32: not answered within 1 s".into());
    tx.events =
        vec![event(18, TxEventKind::Pause, Some(BM)), event(10_960, TxEventKind::Resume, Some(BM))];
    tx.participants[0].released_us = Some(6_187_000);
    tx
}

/// Both prepares were held, and by several faults; the first bank votes no at once.
fn held_and_refused() -> TransactionView {
    let messages = [
        (1, Kind::Begin, None),
        (2, Kind::Prepare, Some(BC)),
        (2, Kind::Prepare, Some(BM)),
        (1_203, Kind::VoteNo, Some(BC)),
        (1_204, Kind::DecideAbort, None),
        (1_205, Kind::Abort, Some(BM)),
        (1_206, Kind::Ack, Some(BM)),
        (1_207, Kind::End, None),
    ];
    let mut tx = tx(TxState::Aborted, &messages);
    for message in &mut tx.messages[1..3] {
        message.fault = Some(TxFault { id: "F-21,F-22".into(), delayed_us: 1_200_000 });
    }
    tx.messages[3].detail = Some("insufficient funds: 12.50 EUR are held already".into());
    tx
}

/// The breaker to one bank is open: none of the tries leaves.
fn breaker_open() -> TransactionView {
    let messages = [
        (4, Kind::Begin, None),
        (5, Kind::Prepare, Some(BC)),
        (5, Kind::Prepare, Some(BM)),
        (5, Kind::Unanswered, Some(BM)),
        (6, Kind::Unanswered, Some(BC)),
        (6, Kind::DecideAbort, None),
        (7, Kind::Abort, Some(BC)),
        (7, Kind::Unanswered, Some(BC)),
        (7, Kind::Abort, Some(BM)),
        (8, Kind::Unanswered, Some(BM)),
        (60_100, Kind::Abort, Some(BC)),
        (60_101, Kind::Abort, Some(BM)),
        (60_102, Kind::Ack, Some(BC)),
        (60_103, Kind::Ack, Some(BM)),
        (60_104, Kind::End, None),
    ];
    let mut tx = tx(TxState::Aborted, &messages);
    for (message, tries) in [(3, 1), (4, 1), (7, 11), (9, 12)] {
        tx.messages[message].detail = Some(format!("try {tries}: the breaker is open"));
    }
    for message in [1, 2, 6, 8] {
        tx.messages[message].fault = Some(TxFault { id: "F-103".into(), delayed_us: 0 });
    }
    tx
}

/// Both banks crash after their yes, at different times, and replay their logs.
fn both_crash() -> TransactionView {
    let messages = [
        (1, Kind::Begin, None),
        (2, Kind::Prepare, Some(BC)),
        (2, Kind::Prepare, Some(BM)),
        (4, Kind::VoteYes, Some(BM)),
        (5, Kind::VoteYes, Some(BC)),
        (6, Kind::DecideCommit, None),
        (7, Kind::Commit, Some(BC)),
        (7, Kind::Commit, Some(BM)),
        (8, Kind::Unanswered, Some(BC)),
        (8, Kind::Unanswered, Some(BM)),
        (4_000, Kind::Query, Some(BC)),
        (4_001, Kind::Answer, Some(BC)),
        (4_002, Kind::Ack, Some(BC)),
        (9_000, Kind::Query, Some(BM)),
        (9_001, Kind::Answer, Some(BM)),
        (9_002, Kind::Ack, Some(BM)),
        (9_003, Kind::End, None),
    ];
    let mut tx = tx(TxState::Committed, &messages);
    for (message, detail) in [(10, REPLAYED), (13, REPLAYED)] {
        tx.messages[message].detail = Some(detail.into());
    }
    tx.events = vec![
        event(5, TxEventKind::Crash, Some(BM)),
        event(6, TxEventKind::Crash, Some(BC)),
        event(3_990, TxEventKind::Restart, Some(BC)),
        event(8_990, TxEventKind::Restart, Some(BM)),
    ];
    for participant in &mut tx.participants {
        participant.released_us = Some(9_002_000);
    }
    tx
}

/// The coordinator crashes with its decision logged; a bank asks in the meantime.
fn coordinator_crashes() -> TransactionView {
    let mut tx = commit();
    tx.events = vec![event(7, TxEventKind::Crash, None), event(5_000, TxEventKind::Restart, None)];
    for (index, ms) in [(6, 5_010), (7, 5_011), (8, 5_012), (9, 5_013), (10, 5_014)] {
        tx.messages[index].at_us = ms * 1_000;
    }
    tx
}

/// Every prefix of a story is a drawing too: somebody looks at it while it goes on.
fn prefixes(name: &str, whole: &TransactionView) -> Vec<(String, TransactionView)> {
    let cut = |count: usize| {
        let mut tx = whole.clone();
        tx.messages.truncate(count);
        let until_us = tx.messages.last().map_or(0, |message| message.at_us);
        tx.events.retain(|event| event.at_us <= until_us);
        for participant in &mut tx.participants {
            participant.released_us = participant.released_us.filter(|at_us| *at_us <= until_us);
        }
        (format!("{name}, {count} messages"), tx)
    };
    (0..=whole.messages.len()).map(cut).collect()
}

fn all() -> Vec<(String, TransactionView)> {
    let after_the_vote = || {
        let mut tx = commit();
        tx.events =
            vec![event(4, TxEventKind::Crash, Some(BM)), event(9, TxEventKind::Restart, Some(BM))];
        tx
    };
    let stories: [(&str, TransactionView); 10] = [
        ("commit", commit()),
        ("abort with recovery", abort_with_recovery()),
        ("as the design tells it", told_by_the_design()),
        ("paused until the decision", paused()),
        ("paused for a minute", paused_for_a_minute()),
        ("held and refused", held_and_refused()),
        ("breaker open", breaker_open()),
        ("both crash", both_crash()),
        ("the coordinator crashes", coordinator_crashes()),
        ("crash after the vote", after_the_vote()),
    ];
    stories.iter().flat_map(|(name, tx)| prefixes(name, tx)).collect()
}

fn parts(drawn: &Swimlane) -> Parts<'_> {
    Parts {
        width: drawn.width,
        lanes: drawn.participants.len(),
        heads: &drawn.heads,
        breaks: &drawn.breaks,
        phases: &drawn.phases,
        logged: &drawn.logged,
        notes: &drawn.notes,
        arrows: &drawn.arrows,
        bars: &drawn.bars,
        marks: &drawn.marks,
    }
}

#[test]
fn no_two_words_meet_none_lies_over_a_foreign_arrow_and_none_leaves_the_drawing() {
    for (name, tx) in all() {
        let drawn = swimlane(&tx, 0);
        // In the narrowest drawing and in wider ones.
        for times in [1.0, 1.2, 1.7, 2.5] {
            let slot_px = drawn.least_px * times / drawn.width;
            let ground = Ground::new(&parts(&drawn), slot_px);
            for (i, label) in drawn.labels.iter().enumerate() {
                let room = label.room(slot_px);
                assert!(
                    ground.is_free(&room, label.own(), label.block().is_some()),
                    "{name}, ×{times}: {label:?}"
                );
                for other in &drawn.labels[i + 1..] {
                    let apart = !other.room(slot_px).meets(&room);
                    assert!(apart, "{name}, ×{times}: {label:?} and {other:?}");
                }
            }
        }
    }
}

#[test]
fn all_that_has_to_be_said_is_said_in_a_drawing_that_is_not_too_wide() {
    let mut wide = Vec::new();
    for (name, tx) in all() {
        let drawn = swimlane(&tx, 0);
        let said = |of: Of| drawn.labels.iter().any(|label| label.of == of);
        let missing: Vec<Of> = (0..drawn.notes.len())
            .map(Of::Note)
            .chain((0..drawn.logged.len()).map(Of::Logged))
            .chain((0..drawn.phases.len()).map(Of::Phase))
            .chain(
                drawn
                    .arrows
                    .iter()
                    .enumerate()
                    .filter_map(|(i, arrow)| arrow.label.is_some().then_some(Of::Word(i))),
            )
            .chain(
                drawn
                    .arrows
                    .iter()
                    .enumerate()
                    .filter_map(|(i, arrow)| arrow.injected.is_some().then_some(Of::Fault(i))),
            )
            .filter(|of| !said(*of))
            .collect();
        assert_eq!(missing, [], "{name}");
        let slot_px = drawn.least_px / drawn.width;
        let allowed = (SLOT_PX * 1.6).max(LEAST_PX / drawn.width);
        if slot_px > allowed {
            wide.push(format!("{name}: {slot_px:.0} pixels a slot"));
        }
    }
    assert_eq!(wide, [""; 0]);
}

#[test]
fn the_state_of_a_bar_stands_in_its_widest_part_and_in_few_words_where_there_is_little_room() {
    let drawn = swimlane(&told_by_the_design(), 0);
    let written: Vec<&str> = (0..drawn.bars.len())
        .filter_map(|i| drawn.labels.iter().find(|label| label.of == Of::Bar(i)))
        .map(|label| label.text.as_str())
        .collect();
    assert!(written.contains(&"down 5.46 s, lock stays"), "{written:?}");
    assert!(written.contains(&"in doubt, log replayed"), "{written:?}");
    assert!(!written.contains(&"working"), "{written:?}");
}
