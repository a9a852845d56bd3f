//! The swimlane of a commit, of an abort with recovery, and of transactions that are under way.

use super::*;
use contract::transaction::{
    REPLAYED, TxEventKind, TxEventView, TxFault, TxMessageView, TxParticipantView, UNDECIDED,
};

pub(super) const BC: &str = "bank-customer";
pub(super) const BM: &str = "bank-merchant";

pub(super) fn tx(state: TxState, messages: &[(i64, Kind, Option<&str>)]) -> TransactionView {
    let participant =
        |service: &str| TxParticipantView { service: service.into(), state, released_us: None };
    TransactionView {
        transaction_id: "tx-51c8".into(),
        purpose: "payment".into(),
        state,
        participants: vec![participant(BC), participant(BM)],
        messages: messages
            .iter()
            .map(|&(ms, kind, participant)| TxMessageView {
                at_us: ms * 1_000,
                kind,
                participant: participant.map(Into::into),
                detail: (kind == Kind::VoteNo).then(|| "insufficient funds".into()),
                fault: None,
                span: None,
            })
            .collect(),
        coordinator: None,
        events: vec![],
    }
}

pub(super) fn commit() -> TransactionView {
    let messages = [
        (1, Kind::Begin, None),
        (2, Kind::Prepare, Some(BC)),
        (2, Kind::Prepare, Some(BM)),
        (5, Kind::VoteYes, Some(BM)),
        (6, Kind::VoteYes, Some(BC)),
        (7, Kind::DecideCommit, None),
        (8, Kind::Commit, Some(BC)),
        (8, Kind::Commit, Some(BM)),
        (10, Kind::Ack, Some(BC)),
        (11, Kind::Ack, Some(BM)),
        (12, Kind::End, None),
    ];
    tx(TxState::Committed, &messages)
}

pub(super) fn abort_with_recovery() -> TransactionView {
    let messages = [
        (127, Kind::Begin, None),
        (132, Kind::Prepare, Some(BC)),
        (132, Kind::Prepare, Some(BM)),
        (153, Kind::VoteYes, Some(BM)),
        (2_156, Kind::VoteNo, Some(BC)),
        (2_163, Kind::DecideAbort, None),
        (2_164, Kind::Abort, Some(BM)),
        (2_164, Kind::Unanswered, Some(BM)),
        (3_164, Kind::Abort, Some(BM)),
        (3_164, Kind::Unanswered, Some(BM)),
        (5_164, Kind::Abort, Some(BM)),
        (5_164, Kind::Unanswered, Some(BM)),
        (6_204, Kind::Query, Some(BM)),
        (6_231, Kind::Answer, Some(BM)),
        (6_262, Kind::Ack, Some(BM)),
        (6_263, Kind::End, None),
    ];
    tx(TxState::Aborted, &messages)
}

/// The same as the design tells it: one prepare is held, the other bank crashes after its yes.
pub(super) fn told_by_the_design() -> TransactionView {
    let mut tx = abort_with_recovery();
    tx.messages[1].fault = Some(TxFault { id: "F-21".into(), delayed_us: 2_000_000 });
    tx.messages[12].detail = Some(REPLAYED.into());
    let event = |ms: i64, kind, fault: Option<&str>| TxEventView {
        at_us: ms * 1_000,
        kind,
        participant: Some(BM.into()),
        fault_id: fault.map(Into::into),
    };
    tx.events = vec![
        event(655, TxEventKind::Crash, Some("F-24")),
        event(6_120, TxEventKind::Restart, Some("F-24")),
    ];
    tx.participants[1].released_us = Some(6_240_000);
    tx
}

fn states(lane: &Swimlane, of: usize) -> Vec<BarState> {
    lane.bars.iter().filter(|b| b.lane == of).map(|b| b.state).collect()
}

#[test]
fn a_commit_has_two_phases_and_each_bank_goes_from_working_to_committed() {
    let drawn = swimlane(&commit(), 0);
    assert_eq!(
        drawn.phases.iter().map(|p| p.kind).collect::<Vec<_>>(),
        [PhaseKind::Vote, PhaseKind::Commit]
    );
    for lane in [1, 2] {
        assert_eq!(
            states(&drawn, lane),
            [BarState::Working, BarState::Prepared, BarState::Committed]
        );
    }
    assert_eq!(drawn.breaks, []);
    assert_eq!(
        drawn.logged.iter().map(|l| l.kind).collect::<Vec<_>>(),
        [Kind::Begin, Kind::DecideCommit, Kind::End]
    );
    assert_eq!(drawn.locks[0].held_us(), Some(4_000));
    assert!(drawn.locks.iter().all(|lock| lock.doubt == Doubt::None));
}

#[test]
fn every_message_has_a_slot_of_its_own_in_the_order_it_was_recorded() {
    let drawn = swimlane(&commit(), 0);
    assert!(drawn.lines.windows(2).all(|w| (w[1].x - w[0].x - 1.0).abs() < 1e-9));
    assert!(drawn.lines.iter().all(|l| l.x > 0.0 && l.x < drawn.width));
    assert!(drawn.arrows.iter().all(|a| a.from.0 < a.to.0), "time runs to the right");
}

#[test]
fn repeated_sends_without_an_answer_are_one_arrow_that_counts_them() {
    let drawn = swimlane(&abort_with_recovery(), 0);
    let refused: Vec<&Arrow> = drawn.arrows.iter().filter(|a| a.refused).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].label.as_deref(), Some("no answer, 3 tries"));
    assert_eq!(refused[0].tone, ArrowTone::Error);
}

#[test]
fn a_send_that_succeeds_after_silence_is_an_arrow_of_its_own() {
    let messages = [
        (1, Kind::Begin, None),
        (2, Kind::Commit, Some(BC)),
        (3, Kind::Unanswered, Some(BC)),
        (4, Kind::Commit, Some(BC)),
        (5, Kind::Ack, Some(BC)),
    ];
    let drawn = swimlane(&tx(TxState::Committed, &messages), 0);
    let flags: Vec<bool> = drawn.arrows.iter().map(|a| a.refused).collect();
    assert_eq!(flags, [true, false, false]);
}

#[test]
fn long_gaps_are_breaks_with_the_time_they_skip() {
    let drawn = swimlane(&abort_with_recovery(), 0);
    let skipped: Vec<i64> = drawn.breaks.iter().map(|b| b.skipped_us / 1_000).collect();
    assert_eq!(skipped, [2_003, 4_040], "between moments that are drawn");
}

#[test]
fn a_participant_in_doubt_asks_and_the_time_it_was_locked_is_known() {
    let drawn = swimlane(&abort_with_recovery(), 0);
    let merchant = [
        BarState::Working,
        BarState::Prepared,
        BarState::Silent,
        BarState::InDoubt,
        BarState::Aborted,
    ];
    assert_eq!(states(&drawn, 2), merchant);
    assert_eq!(states(&drawn, 1), [BarState::Working, BarState::Aborted]);
    assert_eq!(drawn.phases.last().map(|p| p.kind), Some(PhaseKind::Recovery));
    // What is known of the end of its locks is that they were gone when it had its answer.
    let lock = Lock {
        service: BM.into(),
        lane: 2,
        since_us: 153_000,
        released_us: Some(6_231_000),
        doubt: Doubt::Over(6_078_000),
    };
    assert_eq!(drawn.locks, [lock]);
}

#[test]
fn a_no_is_written_with_its_reason_at_the_lane_of_who_voted() {
    let drawn = swimlane(&abort_with_recovery(), 0);
    let no = drawn.notes.iter().find(|n| n.error).unwrap();
    assert_eq!((no.text.as_str(), no.lane), ("no: insufficient funds", 1));
}

#[test]
fn a_transaction_under_way_keeps_its_states_open_to_the_right_end() {
    let messages =
        [(1, Kind::Begin, None), (2, Kind::Prepare, Some(BC)), (5, Kind::VoteYes, Some(BC))];
    let drawn = swimlane(&tx(TxState::Preparing, &messages), 0);
    let last = drawn.bars.last().unwrap();
    assert_eq!((last.state, last.to), (BarState::Prepared, drawn.width));
    assert_eq!((drawn.locks[0].held_us(), drawn.locks[0].doubt), (None, Doubt::None));
    assert_eq!(drawn.phases.len(), 1);
}

#[test]
fn nothing_recorded_yet_draws_empty_lanes() {
    let drawn = swimlane(&tx(TxState::Preparing, &[]), 0);
    assert!(drawn.width >= 1.0 && drawn.arrows.is_empty() && drawn.phases.is_empty());
    assert_eq!(drawn.participants.len(), 2);
}

#[test]
fn every_line_reads_as_a_sentence() {
    let drawn = swimlane(&abort_with_recovery(), 0);
    let read = |i: usize| drawn.lines[i].sentence(&drawn.participants, true);
    assert_eq!(read(0), "coordinator logs begin");
    assert_eq!(read(4), "bank-customer to coordinator: votes no, insufficient funds");
    assert_eq!(read(6), "coordinator to bank-merchant: abort, no answer, 3 tries");
    assert_eq!(read(8), "coordinator to bank-merchant: the outcome is abort");
}

#[test]
fn a_message_that_a_fault_held_is_dashed_and_arrives_when_it_did() {
    let drawn = swimlane(&told_by_the_design(), 0);
    let held = &drawn.arrows[0];
    assert_eq!(held.tone, ArrowTone::Delayed);
    assert_eq!(held.injected.as_deref(), Some("F-21: delayed 2.00 s"));
    let crash = drawn.marks[0].x;
    let no = drawn.lines.iter().find(|l| l.kind == Kind::VoteNo).unwrap();
    assert!(crash < held.to.0 && held.to.0 < no.x, "between the crash and the vote");
    let bar = drawn.bars.iter().find(|b| b.lane == 1).unwrap();
    assert_eq!((bar.state, bar.from), (BarState::Working, held.to.0));
    assert!(drawn.arrows[1..].iter().all(|a| a.injected.is_none()));
    // One that was held for less than can be seen is drawn like any other.
    let mut hardly = told_by_the_design();
    hardly.messages[1].fault = Some(TxFault { id: "F-21".into(), delayed_us: 4_000 });
    assert_eq!(swimlane(&hardly, 0).arrows[0].tone, ArrowTone::Plain);
}

#[test]
fn a_crash_after_the_yes_is_down_with_its_lock_until_the_log_is_replayed() {
    let drawn = swimlane(&told_by_the_design(), 0);
    let of_lane = drawn.bars.iter().filter(|b| b.lane == 2);
    let words: Vec<&str> = of_lane.map(|b| b.words.as_str()).collect();
    let expected =
        ["working", "prepared", "down 5.46 s, lock stays", "in doubt, log replayed", "aborted"];
    assert_eq!(words, expected);
    let notes: Vec<&str> =
        drawn.notes.iter().filter(|n| n.lane == 2).map(|n| n.text.as_str()).collect();
    assert_eq!(notes, ["yes", "crash, F-24", "restart", "lock released +6.240 s"]);
    assert!(drawn.heads.iter().any(|h| h.error && h.text == "+655 ms"));
    let lock = &drawn.locks[0];
    assert_eq!((lock.doubt, lock.held_us()), (Doubt::Over(6_078_000), Some(6_087_000)));
    let recovery = drawn.phases.last().unwrap();
    assert_eq!(recovery.kind, PhaseKind::Recovery);
    assert!((recovery.from - drawn.marks[1].x).abs() < 0.2, "it begins with the restart");
}

#[test]
fn a_participant_that_is_down_with_its_promise_is_in_doubt_without_an_end() {
    let mut tx = told_by_the_design();
    tx.state = TxState::Aborting;
    tx.messages.truncate(12);
    tx.events.truncate(1);
    tx.participants[1].released_us = None;
    let drawn = swimlane(&tx, 0);
    assert_eq!((drawn.locks[0].doubt, drawn.locks[0].held_us()), (Doubt::Open, None));
    let last = drawn.bars.last().unwrap();
    assert_eq!((last.state, last.words.as_str()), (BarState::Down, "down, lock stays"));
    assert_eq!(last.to, drawn.width);
}

#[test]
fn who_crashes_before_it_promised_anything_holds_no_lock_and_has_no_doubt() {
    let mut tx = told_by_the_design();
    tx.messages.retain(|m| m.participant.as_deref() != Some(BM));
    let drawn = swimlane(&tx, 0);
    let of_lane: Vec<&Bar> = drawn.bars.iter().filter(|b| b.lane == 2).collect();
    assert_eq!(of_lane.len(), 1);
    assert_eq!((of_lane[0].state, of_lane[0].words.as_str()), (BarState::Down, "down 5.46 s"));
    assert!(drawn.locks.is_empty());
}

#[test]
fn an_answer_that_nothing_is_decided_leaves_the_participant_in_doubt() {
    let messages = [
        (1, Kind::Begin, None),
        (2, Kind::Prepare, Some(BC)),
        (5, Kind::VoteYes, Some(BC)),
        (5_100, Kind::Query, Some(BC)),
        (5_101, Kind::Answer, Some(BC)),
    ];
    let mut tx = tx(TxState::Preparing, &messages);
    tx.messages[4].detail = Some(UNDECIDED.into());
    let drawn = swimlane(&tx, 0);
    assert_eq!(states(&drawn, 1).last(), Some(&BarState::InDoubt));
    assert_eq!(drawn.locks[0].doubt, Doubt::Open);
    assert_eq!(drawn.arrows.last().unwrap().label.as_deref(), Some(UNDECIDED));
}

#[test]
fn the_list_tells_crashes_and_faults_among_the_messages_in_their_order() {
    let drawn = swimlane(&told_by_the_design(), 0);
    let told: Vec<&str> = drawn.told.iter().map(|t| t.text.as_str()).collect();
    assert_eq!(told.len(), drawn.lines.len() + drawn.marks.len());
    let at =
        |text: &str| told.iter().position(|t| *t == text).unwrap_or_else(|| panic!("{told:?}"));
    let held = at("+132 ms: coordinator to bank-customer: prepare, F-21: delayed 2.00 s");
    let crash = at("+655 ms: bank-merchant is killed by F-24");
    let restart = at("+6.120 s: bank-merchant is started again");
    assert!(held < crash && crash < restart);
}

#[test]
fn the_decision_and_the_crash_have_their_moments_and_others_where_there_is_room() {
    let drawn = swimlane(&told_by_the_design(), 0);
    let said = |i: usize| drawn.labels.iter().any(|label| label.of == Of::Head(i));
    let needed = |i: &usize| drawn.heads[*i].is_needed();
    let (needed, others): (Vec<usize>, Vec<usize>) = (0..drawn.heads.len()).partition(needed);
    assert_eq!(needed.len(), 2);
    assert!(needed.iter().all(|i| said(*i)));
    assert!(others.iter().filter(|i| said(**i)).count() > others.len() / 2);
}

#[test]
fn tries_that_were_not_noted_are_counted_by_what_the_next_note_says() {
    let mut tx = abort_with_recovery();
    for (index, number) in [(7, 1), (9, 2), (11, 8)] {
        tx.messages[index].detail = Some(format!("try {number}: could not be reached"));
    }
    let drawn = swimlane(&tx, 0);
    let refused = drawn.arrows.iter().find(|a| a.refused).unwrap();
    assert_eq!(refused.label.as_deref(), Some("no answer, 8 tries"));
}

#[test]
fn what_was_not_answered_for_a_fault_says_so_in_one_label() {
    let mut tx = abort_with_recovery();
    tx.messages[6].fault = Some(TxFault { id: "F-24".into(), delayed_us: 0 });
    let drawn = swimlane(&tx, 0);
    let refused = drawn.arrows.iter().find(|a| a.refused).unwrap();
    assert_eq!(refused.label.as_deref(), Some("no answer, 3 tries, F-24"));
    assert_eq!(refused.injected, None);
}

pub(super) fn paused() -> TransactionView {
    let messages = [
        (10, Kind::Begin, None),
        (11, Kind::Prepare, Some(BC)),
        (11, Kind::Prepare, Some(BM)),
        (12, Kind::VoteYes, Some(BC)),
        (3_011, Kind::Unanswered, Some(BM)),
        (3_061, Kind::Prepare, Some(BM)),
        (6_061, Kind::Unanswered, Some(BM)),
        (6_185, Kind::DecideAbort, None),
        (6_186, Kind::Abort, Some(BC)),
        (6_187, Kind::Ack, Some(BC)),
    ];
    let mut tx = tx(TxState::Aborting, &messages);
    tx.messages[2].fault = Some(TxFault { id: "F-5".into(), delayed_us: 3_000_000 });
    tx.events = vec![TxEventView {
        at_us: 11_500,
        kind: TxEventKind::Pause,
        participant: Some(BM.into()),
        fault_id: Some("F-5".into()),
    }];
    tx
}

#[test]
fn a_bank_that_stands_still_is_asked_in_vain_and_the_time_until_the_decision_is_a_break() {
    let drawn = swimlane(&paused(), 0);
    let refused = drawn.arrows.iter().find(|arrow| arrow.refused).unwrap();
    assert_eq!(refused.label.as_deref(), Some("no answer, 2 tries, F-5"));
    let skipped: Vec<i64> = drawn.breaks.iter().map(|b| b.skipped_us / 1_000).collect();
    assert_eq!(skipped, [6_173]);
    let told = drawn.told.iter().any(|told| told.text.contains("delayed"));
    assert!(!told, "nothing arrived late");
}

#[test]
fn a_vote_that_arrives_after_its_bank_crashed_had_left_it_before() {
    let mut tx = commit();
    let event = |ms: i64, kind| TxEventView {
        at_us: ms * 1_000,
        kind,
        participant: Some(BM.into()),
        fault_id: Some("F-1".into()),
    };
    // The coordinator notes the vote at 5 ms.
    tx.events = vec![event(4, TxEventKind::Crash), event(9, TxEventKind::Restart)];
    let drawn = swimlane(&tx, 0);
    let of_merchant = |kind| {
        let mut lines = drawn.lines.iter();
        lines.find(|line| line.kind == kind && line.lane == Some(2)).map(|line| line.x).unwrap()
    };
    let crash = drawn.marks.iter().find(|mark| mark.begins_outage()).unwrap();
    assert!(of_merchant(Kind::VoteYes) < crash.x && crash.x < of_merchant(Kind::Ack));
    let states = states(&drawn, 2);
    assert_eq!(states[..3], [BarState::Working, BarState::Prepared, BarState::Down], "{states:?}");
}
