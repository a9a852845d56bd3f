//! How long participants held their locks, and how long they were in doubt.

use super::{Line, Mark};
use contract::transaction::{TransactionView, TxMessageKind as Kind};

/// Whether a participant was in doubt: it had voted yes and could not know the decision, because
/// it was away or did not hear it. Waiting for a vote of somebody else is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It was not.
    None,
    /// It is, since its yes.
    Open,
    /// It was for so long, microseconds: from its yes until it learned the outcome.
    Over(i64),
}

/// How long a participant held its locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Which.
    pub service: String,
    /// Its lane.
    pub lane: usize,
    /// Since its yes.
    pub since_us: i64,
    /// When it let go of them; none while it still holds them.
    pub released_us: Option<i64>,
    /// Whether it was in doubt.
    pub doubt: Doubt,
}

impl Lock {
    /// For how long it held them; none while it still does.
    #[must_use]
    pub fn held_us(&self) -> Option<i64> {
        self.released_us.map(|at_us| at_us - self.since_us)
    }
}

/// The locks of those who voted yes.
pub(super) fn locks(tx: &TransactionView, lines: &[Line], marks: &[Mark]) -> Vec<Lock> {
    let lock = |(index, service): (usize, &str)| {
        let lane = index + 1;
        let own = || lines.iter().filter(move |l| l.lane == Some(lane));
        let yes = own().find(|l| l.kind == Kind::VoteYes)?;
        let outcome = own().find(|l| {
            let tells = matches!(l.kind, Kind::Commit | Kind::Abort) && l.tries_refused == 0;
            l.at_us >= yes.at_us && (tells || l.kind == Kind::Answer && !l.is_undecided())
        });
        let acked = own().find(|l| l.kind == Kind::Ack).map(|l| l.at_us);
        let learned = outcome.map(|l| l.late_us().unwrap_or(l.at_us));
        // It says itself when it released them; what is known else is that it was by then.
        let answered = outcome.filter(|l| l.kind == Kind::Answer).map(|l| l.at_us);
        let own_word = tx.participants[index].released_us.filter(|at_us| *at_us >= yes.at_us);
        let released_us = own_word.or(answered).or(acked);
        let until = learned.or(released_us).unwrap_or(i64::MAX);
        let away = marks.iter().any(|m| m.lane == lane && (yes.at_us..until).contains(&m.at_us));
        let deaf = own().any(|l| {
            l.kind == Kind::Query
                || matches!(l.kind, Kind::Commit | Kind::Abort) && l.tries_refused > 0
        });
        let doubt = match learned.or(released_us) {
            _ if !(away || deaf) => Doubt::None,
            Some(at_us) => Doubt::Over(at_us - yes.at_us),
            None => Doubt::Open,
        };
        Some(Lock { service: service.to_owned(), lane, since_us: yes.at_us, released_us, doubt })
    };
    tx.participants.iter().map(|p| p.service.as_str()).enumerate().filter_map(lock).collect()
}
