//! Drives one transaction from begin to end, over a durable log and a way to reach participants.
//!
//! The caller begins the transaction (durably, together with what caused it) and then calls
//! [`Coordinator::run`], also for every unfinished transaction after a restart: preparing is
//! idempotent, so an undecided one simply asks again.

use crate::protocol::{Branch, Decision, Entry, EntryKind, Grounds, Phase, Transaction, Vote};
use async_trait::async_trait;
use base::Clock;
use futures::future::join_all;
use parking_lot::Mutex;
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// A participant is asked to prepare so many times at least before silence counts as no.
const PREPARE_TRIES: u32 = 3;
/// Pause before asking again, growing with each try.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// Longest pause between two questions, or two tellings of a decision.
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// A phase that takes longer than this is slow: what is known of it by then is noted, and again as
/// often, so that whoever looks sees who voted and who acknowledged while another is awaited. A
/// phase takes some milliseconds, and then all of it is written at once.
const SLOW: Duration = Duration::from_millis(200);

/// A message was not answered: what the participant did is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unanswered {
    /// One sentence.
    pub why: String,
    /// Whether it went out at all: while the way to the participant is closed nothing does.
    pub asked: bool,
}

impl Unanswered {
    /// Of a message that went out, or may have.
    #[must_use]
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), asked: true }
    }

    const fn grounds(&self) -> Grounds {
        if self.asked { Grounds::NoAnswer } else { Grounds::NotAsked }
    }
}

/// The log could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("the transaction log failed")]
pub struct LogError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The coordinator's durable log. A call that returned Ok is durable.
#[async_trait]
pub trait CoordinatorLog: Send + Sync {
    /// Records the decision with the lines that led to it, and whatever the decision makes due;
    /// gives the decision on record. If there is one already it stands, and nothing is written.
    async fn decide(
        &self,
        transaction: &Transaction,
        decision: &Decision,
        lines: &[Entry],
    ) -> Result<Decision, LogError>;
    /// Records lines that decide nothing.
    async fn note(&self, transaction_id: &str, lines: &[Entry]) -> Result<(), LogError>;
}

/// The way to the participants.
#[async_trait]
pub trait Participants: Send + Sync {
    /// Asks for a vote. Idempotent.
    async fn prepare(&self, tx: &Transaction, branch: &Branch) -> Result<Vote, Unanswered>;
    /// Tells the decision. Idempotent.
    async fn finish(
        &self,
        tx: &Transaction,
        branch: &Branch,
        decision: &Decision,
    ) -> Result<(), Unanswered>;
}

/// In which order participants are asked to prepare. The protocol leaves it open: nothing is
/// decided before everybody voted or somebody did not vote yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// All at once: the slowest says how long it takes.
    #[default]
    AtOnce,
    /// One after the other, and nobody after a no: later participants hold nothing for what an
    /// earlier one refuses.
    InTurn,
}

/// Runs transactions. Cheap to clone.
#[derive(Clone)]
pub struct Coordinator {
    log: Arc<dyn CoordinatorLog>,
    participants: Arc<dyn Participants>,
    clock: Clock,
    asking: Asking,
}

/// The lines of a phase that are not written yet.
#[derive(Default)]
struct Lines(Mutex<Vec<Entry>>);

impl Lines {
    fn push(&self, line: Entry) {
        self.0.lock().push(line);
    }

    /// All of them, in order of time.
    fn take(&self) -> Vec<Entry> {
        let mut lines = std::mem::take(&mut *self.0.lock());
        lines.sort_by_key(|line| line.at_us);
        lines
    }
}

impl Coordinator {
    /// A coordinator over its ports.
    #[must_use]
    pub fn new(
        log: Arc<dyn CoordinatorLog>,
        participants: Arc<dyn Participants>,
        clock: Clock,
    ) -> Self {
        Self { log, participants, clock, asking: Asking::default() }
    }

    /// The same, asking in this order.
    #[must_use]
    pub fn asking(self, asking: Asking) -> Self {
        Self { asking, ..self }
    }

    /// Runs a begun transaction to its end. `decided` is its decision if one is logged already.
    /// Until it is decided, a silent participant is asked for as long as `patience`: silence
    /// before that is no answer, and after it a no.
    ///
    /// # Errors
    /// When the log fails; the transaction is then finished after the next start.
    pub async fn run(
        &self,
        tx: &Transaction,
        decided: Option<Decision>,
        patience: Duration,
    ) -> Result<(), LogError> {
        let decision = match decided {
            Some(decision) => decision,
            None => self.decide(tx, patience).await?,
        };
        let lines = Lines::default();
        let telling = tx.branches.iter().map(|branch| self.tell(tx, branch, &decision, &lines));
        self.noting(tx, &lines, join_all(telling)).await?;
        let mut lines = lines.take();
        lines.push(self.line(EntryKind::End, None, None));
        self.log.note(&tx.id, &lines).await
    }

    /// Ends a begun transaction of which nobody was asked anything, and so nobody has to be told:
    /// of what a participant never heard of, abort is presumed.
    ///
    /// # Errors
    /// When the log fails; the transaction can be run or refused then.
    pub async fn refuse(&self, tx: &Transaction, voter: &str, why: &str) -> Result<(), LogError> {
        let decision = Decision::Abort {
            voter: Some(voter.to_owned()),
            reason: why.to_owned(),
            grounds: Some(Grounds::NoRoom),
        };
        let line = self.line(EntryKind::DecideAbort, None, decision.why());
        self.log.decide(tx, &decision, &[line]).await?;
        self.log.note(&tx.id, &[self.line(EntryKind::End, None, None)]).await
    }

    /// Does the work of a phase; while it is slow, notes the lines there are.
    async fn noting<T>(
        &self,
        tx: &Transaction,
        lines: &Lines,
        work: impl Future<Output = T>,
    ) -> Result<T, LogError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(SLOW) => {
                    let so_far = lines.take();
                    if !so_far.is_empty() {
                        self.log.note(&tx.id, &so_far).await?;
                    }
                }
            }
        }
    }

    /// First phase: asks everybody, decides, and makes the decision durable. Should another run
    /// have decided meanwhile, its decision is the one everybody is told.
    async fn decide(&self, tx: &Transaction, patience: Duration) -> Result<Decision, LogError> {
        let (refused, lines) = (AtomicBool::new(false), Lines::default());
        let asking = self.ask_all(tx, patience, &refused, &lines);
        let asked = self.noting(tx, &lines, asking).await?;
        let (mut refusal, mut silence) = (None, None);
        for (branch, heard) in tx.branches.iter().zip(asked) {
            let abort = |reason, grounds| {
                let (voter, grounds) = (Some(branch.participant.clone()), Some(grounds));
                Some(Decision::Abort { voter, reason, grounds })
            };
            match heard {
                Ok(Vote::Yes) => {}
                Ok(Vote::No { reason }) => {
                    refusal = refusal.or_else(|| abort(reason, Grounds::VotedNo));
                }
                Err(silent) => {
                    let grounds = silent.grounds();
                    silence = silence.or_else(|| abort(silent.why, grounds));
                }
            }
        }
        let mut lines = lines.take();
        let decision = refusal.or(silence).unwrap_or(Decision::Commit);
        let kind = match &decision {
            Decision::Commit => EntryKind::DecideCommit,
            Decision::Abort { .. } => EntryKind::DecideAbort,
        };
        lines.push(self.line(kind, None, decision.why()));
        self.log.decide(tx, &decision, &lines).await
    }

    /// Asks the participants in the order of this coordinator. Shorter than the branches when one
    /// that was asked in turn did not vote yes.
    async fn ask_all(
        &self,
        tx: &Transaction,
        patience: Duration,
        refused: &AtomicBool,
        lines: &Lines,
    ) -> Vec<Result<Vote, Unanswered>> {
        let ask = |branch| self.ask(tx, branch, patience, refused, lines);
        match self.asking {
            Asking::AtOnce => join_all(tx.branches.iter().map(ask)).await,
            Asking::InTurn => {
                let mut asked = Vec::new();
                for branch in &tx.branches {
                    let answer = ask(branch).await;
                    let goes_on = matches!(&answer, Ok(Vote::Yes));
                    asked.push(answer);
                    if !goes_on {
                        break;
                    }
                }
                asked
            }
        }
    }

    /// Asks one participant until it votes, or the patience is over, or somebody else refused,
    /// which decides whatever this one would say. As in [`Self::tell`], waiting is seen.
    async fn ask(
        &self,
        tx: &Transaction,
        branch: &Branch,
        patience: Duration,
        refused: &AtomicBool,
        lines: &Lines,
    ) -> Result<Vote, Unanswered> {
        let began = Instant::now();
        let mut pause = PAUSE_FIRST;
        let mut tries: u32 = 0;
        // One try that went out may have been heard, whatever became of those after it.
        let mut went_out = false;
        loop {
            tries += 1;
            let mut asked = Some(self.line(EntryKind::Prepare, Some(branch), None));
            if tries == 1 {
                // On its way is worth to be seen.
                asked.take().into_iter().for_each(|line| lines.push(line));
            }
            let heard = self.participants.prepare(tx, branch).await;
            let (kind, detail) = match &heard {
                Ok(Vote::Yes) => (EntryKind::VoteYes, None),
                Ok(Vote::No { reason }) => {
                    refused.store(true, Ordering::Relaxed);
                    (EntryKind::VoteNo, Some(reason.clone()))
                }
                Err(Unanswered { why, asked }) => {
                    went_out |= *asked;
                    (EntryKind::Unanswered, Some(format!("try {tries}: {why}")))
                }
            };
            let over = tries >= PREPARE_TRIES && began.elapsed() >= patience;
            let last = heard.is_ok() || over || refused.load(Ordering::Relaxed);
            if last || tries.is_power_of_two() {
                asked.into_iter().for_each(|line| lines.push(line));
                lines.push(self.line(kind, Some(branch), detail));
            }
            if last {
                return heard.map_err(|last| Unanswered { asked: went_out, ..last });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    /// Second phase with one participant: tells the decision until it is acknowledged. The first
    /// silence and every doubling of their number is noted, so that waiting is seen.
    async fn tell(&self, tx: &Transaction, branch: &Branch, decision: &Decision, lines: &Lines) {
        let kind = match decision {
            Decision::Commit => EntryKind::Commit,
            Decision::Abort { .. } => EntryKind::Abort,
        };
        let mut pause = PAUSE_FIRST;
        let mut tries: u64 = 0;
        loop {
            tries += 1;
            let mut told = Some(self.line(kind, Some(branch), None));
            if tries == 1 {
                told.take().into_iter().for_each(|line| lines.push(line));
            }
            let heard = self.participants.finish(tx, branch, decision).await;
            if heard.is_ok() || tries.is_power_of_two() {
                told.into_iter().for_each(|line| lines.push(line));
            }
            match heard {
                Ok(()) => {
                    lines.push(self.line(EntryKind::Ack, Some(branch), None));
                    return;
                }
                Err(Unanswered { why, .. }) if tries.is_power_of_two() => {
                    let detail = Some(format!("try {tries}: {why}"));
                    lines.push(self.line(EntryKind::Unanswered, Some(branch), detail));
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    fn line(&self, kind: EntryKind, branch: Option<&Branch>, detail: Option<String>) -> Entry {
        let participant = branch.map(|b| b.participant.clone());
        Entry { at_us: self.clock.now_us(), kind, participant, detail }
    }
}

impl Phase {
    /// The decision a log in this phase has made, without its reason.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::NotBegun | Self::Preparing)
    }
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
