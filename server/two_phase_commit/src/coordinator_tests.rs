//! The coordinator against participants that refuse, keep silent, or come back late.

use super::*;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// A log in memory that keeps the phase rule.
#[derive(Default)]
struct MemoryLog {
    lines: Mutex<Vec<Entry>>,
    decisions: Mutex<Vec<Decision>>,
}

impl MemoryLog {
    fn append(&self, lines: &[Entry]) {
        self.lines.lock().extend_from_slice(lines);
    }
}

#[async_trait]
impl CoordinatorLog for MemoryLog {
    async fn decide(
        &self,
        _: &Transaction,
        decision: &Decision,
        lines: &[Entry],
    ) -> Result<Decision, LogError> {
        let mut decisions = self.decisions.lock();
        if decisions.is_empty() {
            decisions.push(decision.clone());
            self.append(lines);
        }
        Ok(decisions[0].clone())
    }
    async fn note(&self, _: &str, lines: &[Entry]) -> Result<(), LogError> {
        self.append(lines);
        Ok(())
    }
}

/// Each participant answers from a script; an empty script means yes and acknowledged.
struct Scripted {
    votes: Mutex<BTreeMap<String, Vec<Result<Vote, Unanswered>>>>,
    acks_after: u32,
    told: Mutex<Vec<(String, Decision)>>,
    log: Arc<MemoryLog>,
}

#[async_trait]
impl Participants for Scripted {
    async fn prepare(&self, _: &Transaction, branch: &Branch) -> Result<Vote, Unanswered> {
        let mut votes = self.votes.lock();
        votes.get_mut(&branch.participant).and_then(Vec::pop).unwrap_or(Ok(Vote::Yes))
    }
    async fn finish(&self, _: &Transaction, b: &Branch, d: &Decision) -> Result<(), Unanswered> {
        assert_eq!(self.log.decisions.lock().len(), 1, "told before the decision was durable");
        let mut told = self.told.lock();
        told.push((b.participant.clone(), d.clone()));
        let tries = told.iter().filter(|(p, _)| *p == b.participant).count();
        if tries as u32 > self.acks_after { Ok(()) } else { Err(Unanswered::new("down")) }
    }
}

fn transfer() -> Transaction {
    let branch = |p: &str| Branch { participant: p.into(), work: serde_json::Value::Null };
    Transaction {
        id: "tx-1".into(),
        purpose: "payment".into(),
        key: "ord-1".into(),
        correlation_id: None,
        trace: base::TraceContext::default(),
        branches: vec![branch("a"), branch("b")],
    }
}

struct Outcome {
    decision: Decision,
    log: Vec<Entry>,
    told: Vec<(String, Decision)>,
}

async fn run(votes: &[(&str, Vec<Result<Vote, Unanswered>>)], acks_after: u32) -> Outcome {
    run_over(Arc::default(), votes, acks_after, Duration::ZERO).await
}

async fn run_over(
    log: Arc<MemoryLog>,
    votes: &[(&str, Vec<Result<Vote, Unanswered>>)],
    acks_after: u32,
    patience: Duration,
) -> Outcome {
    let clock = Clock::tokio(0);
    let tx = transfer();
    log.append(&[Entry { at_us: 0, kind: EntryKind::Begin, participant: None, detail: None }]);
    let participants = Arc::new(Scripted {
        votes: Mutex::new(votes.iter().map(|(p, v)| ((*p).to_owned(), v.clone())).collect()),
        acks_after,
        told: Mutex::default(),
        log: log.clone(),
    });
    let coordinator = Coordinator::new(log.clone(), participants.clone(), clock);
    coordinator.run(&tx, None, patience).await.unwrap();
    let decision = log.decisions.lock()[0].clone();
    let told = participants.told.lock().clone();
    let log = log.lines.lock().clone();
    Outcome { decision, log, told }
}

fn silence() -> Result<Vote, Unanswered> {
    Err(Unanswered::new("timed out"))
}

#[tokio::test(start_paused = true)]
async fn everybody_voting_yes_commits_and_the_log_replays_to_committed() {
    let outcome = run(&[], 0).await;
    assert_eq!(outcome.decision, Decision::Commit);
    assert_eq!(Phase::replay(&outcome.log), Ok(Phase::Committed));
    assert_eq!(outcome.told.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_no_aborts_everybody_and_names_the_voter() {
    let no = Ok(Vote::No { reason: "insufficient funds".into() });
    let outcome = run(&[("b", vec![no])], 0).await;
    let reason = "insufficient funds".to_owned();
    let grounds = Some(Grounds::VotedNo);
    assert_eq!(outcome.decision, Decision::Abort { voter: Some("b".into()), reason, grounds });
    assert_eq!(Phase::replay(&outcome.log), Ok(Phase::Aborted));
    assert!(outcome.told.iter().all(|(_, d)| matches!(d, Decision::Abort { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_comes_at_the_third_try_still_counts() {
    let outcome = run(&[("a", vec![Ok(Vote::Yes), silence(), silence()])], 0).await;
    assert_eq!(outcome.decision, Decision::Commit);
}

#[tokio::test(start_paused = true)]
async fn silence_before_the_decision_aborts() {
    let outcome = run(&[("a", vec![silence(), silence(), silence()])], 0).await;
    let (voter, grounds) = (Some("a".into()), Some(Grounds::NoAnswer));
    let abort = Decision::Abort { voter, reason: "timed out".into(), grounds };
    assert_eq!(outcome.decision, abort);
    let decided = outcome.log.iter().find(|line| line.kind == EntryKind::DecideAbort).unwrap();
    assert_eq!(decided.detail.as_deref(), Some("no vote: timed out"));
}

#[tokio::test(start_paused = true)]
async fn a_no_that_reads_like_silence_is_a_no_and_who_could_not_be_asked_is_told_apart() {
    let no = Ok(Vote::No { reason: "no vote: says the bank".into() });
    let outcome = run(&[("b", vec![no])], 0).await;
    let voted = matches!(outcome.decision, Decision::Abort { grounds: Some(Grounds::VotedNo), .. });
    assert!(voted, "{:?}", outcome.decision);
    let closed = || Err(Unanswered { why: "the breaker is open".into(), asked: false });
    let outcome = run(&[("a", vec![closed(), closed(), closed()])], 0).await;
    let closed =
        matches!(outcome.decision, Decision::Abort { grounds: Some(Grounds::NotAsked), .. });
    assert!(closed, "{:?}", outcome.decision);
}

#[tokio::test(start_paused = true)]
async fn who_was_asked_once_was_asked_although_the_last_try_did_not_go_out() {
    let closed = || Err(Unanswered { why: "the breaker is open".into(), asked: false });
    // From the last try to the first.
    for votes in [vec![closed(), silence(), silence()], vec![silence(), closed(), closed()]] {
        let outcome = run(&[("a", votes)], 0).await;
        let Decision::Abort { grounds, .. } = &outcome.decision else {
            panic!("{:?}", outcome.decision);
        };
        assert_eq!(*grounds, Some(Grounds::NoAnswer), "{:?}", outcome.decision);
    }
}

#[test]
fn an_abort_recorded_before_there_were_grounds_is_read() {
    let old = r#"{"decision":"abort","voter":"b","reason":"no vote: timed out"}"#;
    let read: Decision = serde_json::from_str(old).unwrap();
    assert!(matches!(&read, Decision::Abort { grounds: None, .. }));
    assert_eq!(read.why().as_deref(), Some("no vote: timed out"));
    assert_eq!(serde_json::to_string(&read).unwrap(), old);
}

/// Enough silence for an hour of asking.
fn long_silence() -> Vec<Result<Vote, Unanswered>> {
    vec![silence(); 3_600]
}

const PATIENCE: Duration = Duration::from_secs(15 * 60);

#[tokio::test(start_paused = true)]
async fn within_the_patience_silence_is_no_answer() {
    let mut votes = vec![Ok(Vote::Yes)];
    votes.extend(vec![silence(); 100]);
    let began = Instant::now();
    let outcome = run_over(Arc::default(), &[("a", votes)], 0, PATIENCE).await;
    assert_eq!(outcome.decision, Decision::Commit);
    assert!((Duration::from_secs(60)..PATIENCE).contains(&began.elapsed()), "it hammers or sleeps");
    assert_eq!(Phase::replay(&outcome.log), Ok(Phase::Committed));
    let silences = outcome.log.iter().filter(|l| l.kind == EntryKind::Unanswered).count();
    assert_eq!(silences, 7, "tries 1, 2, 4, 8, 16, 32 and 64 are noted");
}

#[tokio::test(start_paused = true)]
async fn silence_beyond_the_patience_aborts() {
    let began = Instant::now();
    let outcome = run_over(Arc::default(), &[("a", long_silence())], 0, PATIENCE).await;
    assert!(matches!(outcome.decision, Decision::Abort { voter: Some(v), .. } if v == "a"));
    assert!((PATIENCE..PATIENCE + 2 * PAUSE_LONGEST).contains(&began.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_definite_no_ends_the_waiting_for_others_and_is_the_reason() {
    let no = Ok(Vote::No { reason: "account closed".into() });
    let votes = [("a", long_silence()), ("b", vec![no])];
    let began = Instant::now();
    let outcome = run_over(Arc::default(), &votes, 0, PATIENCE).await;
    let reason = "account closed".to_owned();
    let grounds = Some(Grounds::VotedNo);
    assert_eq!(outcome.decision, Decision::Abort { voter: Some("b".into()), reason, grounds });
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_decision_on_record_is_obeyed_by_a_run_that_would_have_decided_otherwise() {
    let log = Arc::new(MemoryLog::default());
    log.decisions.lock().push(Decision::Commit);
    let silent = ("a", vec![silence(), silence(), silence()]);
    let outcome = run_over(log, &[silent], 0, Duration::ZERO).await;
    assert_eq!(outcome.told.len(), 2);
    assert!(outcome.told.iter().all(|(_, told)| *told == Decision::Commit), "{:?}", outcome.told);
}

#[tokio::test(start_paused = true)]
async fn silence_after_the_decision_never_changes_it() {
    let outcome = run(&[], 40).await;
    assert_eq!(outcome.decision, Decision::Commit);
    assert_eq!(outcome.told.len(), 2 * 41);
    assert!(outcome.told.iter().all(|(_, d)| *d == Decision::Commit));
    let silences = outcome.log.iter().filter(|l| l.kind == EntryKind::Unanswered).count();
    assert_eq!(silences, 2 * 6, "tries 1, 2, 4, 8, 16 and 32 of each are noted");
}

#[tokio::test(start_paused = true)]
async fn asked_in_turn_nobody_is_asked_after_a_no_and_everybody_is_told() {
    let log = Arc::new(MemoryLog::default());
    log.append(&[Entry { at_us: 0, kind: EntryKind::Begin, participant: None, detail: None }]);
    let no = vec![Ok(Vote::No { reason: "insufficient funds".into() })];
    let participants = Arc::new(Scripted {
        votes: Mutex::new(BTreeMap::from([("a".to_owned(), no)])),
        acks_after: 0,
        told: Mutex::default(),
        log: log.clone(),
    });
    let coordinator = Coordinator::new(log.clone(), participants.clone(), Clock::tokio(0));
    coordinator.asking(Asking::InTurn).run(&transfer(), None, Duration::ZERO).await.unwrap();
    let lines = log.lines.lock().clone();
    let asked: Vec<_> = lines.iter().filter(|line| line.kind == EntryKind::Prepare).collect();
    assert_eq!(asked.len(), 1, "{lines:?}");
    assert_eq!(asked[0].participant.as_deref(), Some("a"));
    assert_eq!(participants.told.lock().len(), 2);
    assert_eq!(Phase::replay(&lines), Ok(Phase::Aborted));
}

#[tokio::test(start_paused = true)]
async fn asked_in_turn_everybody_voting_yes_commits() {
    let log = Arc::new(MemoryLog::default());
    log.append(&[Entry { at_us: 0, kind: EntryKind::Begin, participant: None, detail: None }]);
    let participants = Arc::new(Scripted {
        votes: Mutex::default(),
        acks_after: 0,
        told: Mutex::default(),
        log: log.clone(),
    });
    let coordinator = Coordinator::new(log.clone(), participants, Clock::tokio(0));
    coordinator.asking(Asking::InTurn).run(&transfer(), None, Duration::ZERO).await.unwrap();
    let lines = log.lines.lock().clone();
    let kinds: Vec<_> = lines.iter().map(|line| (line.kind, line.participant.as_deref())).collect();
    use EntryKind::{DecideCommit, Prepare, VoteYes};
    let expected = [
        (Prepare, Some("a")),
        (VoteYes, Some("a")),
        (Prepare, Some("b")),
        (VoteYes, Some("b")),
        (DecideCommit, None),
    ];
    assert_eq!(kinds[1..6], expected);
    assert_eq!(Phase::replay(&lines), Ok(Phase::Committed));
}

/// One participant answers at once, the other after a minute.
struct OneIsSlow;

#[async_trait]
impl Participants for OneIsSlow {
    async fn prepare(&self, _: &Transaction, branch: &Branch) -> Result<Vote, Unanswered> {
        wait_if_slow(branch).await;
        Ok(Vote::Yes)
    }

    async fn finish(&self, _: &Transaction, b: &Branch, _: &Decision) -> Result<(), Unanswered> {
        wait_if_slow(b).await;
        Ok(())
    }
}

async fn wait_if_slow(branch: &Branch) {
    if branch.participant == "b" {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_one_is_awaited_what_the_others_said_is_in_the_log() {
    use EntryKind::{Ack, Commit, Prepare, VoteYes};
    let log = Arc::new(MemoryLog::default());
    log.append(&[Entry { at_us: 0, kind: EntryKind::Begin, participant: None, detail: None }]);
    let coordinator = Coordinator::new(log.clone(), Arc::new(OneIsSlow), Clock::tokio(0));
    let noted = || {
        let lines = log.lines.lock();
        let of_a = |line: &&Entry| line.participant.as_deref() == Some("a");
        lines.iter().filter(of_a).map(|line| line.kind).collect::<Vec<_>>()
    };
    let transaction = transfer();
    let running = coordinator.run(&transaction, None, Duration::ZERO);
    let looking = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(noted(), [Prepare, VoteYes], "b has not voted yet");
        assert_eq!(log.decisions.lock().len(), 0);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(noted(), [Prepare, VoteYes, Commit, Ack], "b has not acknowledged yet");
    };
    tokio::join!(running, looking).0.unwrap();
    let lines = log.lines.lock().clone();
    assert_eq!(Phase::replay(&lines), Ok(Phase::Committed));
    assert_eq!(lines.len(), 11, "nothing is noted twice: {lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_refused_is_over_and_nobody_hears_of_it() {
    let log = Arc::new(MemoryLog::default());
    log.append(&[Entry { at_us: 0, kind: EntryKind::Begin, participant: None, detail: None }]);
    let (votes, told) = (Mutex::default(), Mutex::default());
    let nobody = Arc::new(Scripted { votes, acks_after: 0, told, log: log.clone() });
    let coordinator = Coordinator::new(log.clone(), nobody.clone(), Clock::tokio(0));
    coordinator.refuse(&transfer(), "a", "no room").await.unwrap();
    let (voter, grounds) = (Some("a".into()), Some(Grounds::NoRoom));
    let abort = Decision::Abort { voter, reason: "no room".into(), grounds };
    assert_eq!(*log.decisions.lock(), [abort]);
    assert_eq!(Phase::replay(&log.lines.lock()), Ok(Phase::Aborted));
    assert!(nobody.told.lock().is_empty());
}
