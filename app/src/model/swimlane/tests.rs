//! The swimlane of a commit, of an abort with recovery, and of transactions that are under way.

use super::*;
use contract::transaction::{TxMessageView, TxParticipantView};

const BC: &str = "bank-customer";
const BM: &str = "bank-merchant";

fn tx(state: TxState, messages: &[(i64, Kind, Option<&str>)]) -> TransactionView {
    let participant = |service: &str| TxParticipantView { service: service.into(), state };
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
            })
            .collect(),
    }
}

fn commit() -> TransactionView {
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

fn abort_with_recovery() -> TransactionView {
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
    assert_eq!(drawn.locks[0].held_us, Some(4_000));
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
    assert_eq!(skipped, [2_003, 1_040]);
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
    let lock = Lock { service: BM.into(), held_us: Some(6_109_000), in_doubt_us: Some(6_078_000) };
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
    assert_eq!(drawn.locks[0].held_us, None);
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
fn a_word_stands_in_the_widest_part_of_a_bar_beside_the_breaks() {
    let drawn = swimlane(&abort_with_recovery(), 0);
    let prepared = drawn.bars.iter().find(|b| b.state == BarState::Prepared).unwrap();
    let (from, to) = drawn.room(prepared);
    assert!(from >= prepared.from && to <= prepared.to && to > from);
    assert!(drawn.breaks.iter().all(|b| b.x <= from || b.x >= to));
    let working = drawn.bars.iter().find(|b| b.lane == 2).unwrap();
    assert_eq!(drawn.room(working), (working.from, working.to));
}
