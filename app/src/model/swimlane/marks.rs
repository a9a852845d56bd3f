//! What happened to the processes of those who take part: crosses and words on their lanes.

use contract::transaction::{TransactionView, TxEventKind};

/// Something that happened on a lane and is no message.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When.
    pub at_us: i64,
    /// What.
    pub kind: TxEventKind,
    /// Lane; the coordinator's is 0.
    pub lane: usize,
    /// The fault that did it.
    pub fault_id: Option<String>,
    /// Its slot.
    pub x: f64,
}

impl Mark {
    /// "crash, F-24", "restart".
    #[must_use]
    pub fn word(&self) -> String {
        let fault = self.fault_id.as_deref().map_or_else(String::new, |id| format!(", {id}"));
        match self.kind {
            TxEventKind::Crash => format!("crash{fault}"),
            TxEventKind::Pause => format!("paused{fault}"),
            TxEventKind::Restart => "restart".into(),
            TxEventKind::Resume => "goes on".into(),
        }
    }

    /// The mark as a sentence for the list.
    #[must_use]
    pub fn sentence(&self, participants: &[String]) -> String {
        let index = self.lane.checked_sub(1);
        let who = index.and_then(|i| participants.get(i)).map_or("coordinator", String::as_str);
        let by = self.fault_id.as_deref().map_or_else(String::new, |id| format!(" by {id}"));
        match self.kind {
            TxEventKind::Crash => format!("{who} is killed{by}"),
            TxEventKind::Pause => format!("{who} is paused{by}"),
            TxEventKind::Restart => format!("{who} is started again"),
            TxEventKind::Resume => format!("{who} goes on"),
        }
    }

    /// From here on it does not answer.
    #[must_use]
    pub const fn begins_outage(&self) -> bool {
        matches!(self.kind, TxEventKind::Crash | TxEventKind::Pause)
    }
}

/// The marks of a transaction; what happened to somebody who has no lane is left out.
pub(super) fn marks(tx: &TransactionView, participants: &[String]) -> Vec<Mark> {
    let marks = tx.events.iter().filter_map(|event| {
        let lane = match event.participant.as_deref() {
            None => 0,
            Some(name) => participants.iter().position(|p| p == name)? + 1,
        };
        let fault_id = event.fault_id.clone();
        Some(Mark { at_us: event.at_us, kind: event.kind, lane, fault_id, x: 0.0 })
    });
    marks.collect()
}
