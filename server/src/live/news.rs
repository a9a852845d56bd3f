//! "What changed": breakers, the mesh, faults and transactions in doubt, each as one line.

use super::Live;
use contract::live::ChangeView;
use mesh::{BreakerTransition, Change, breaker::BreakerState, fault::FaultEvent};
use shop::payments::Recovery;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Where news comes from.
pub(super) struct News {
    changes: Receiver<Change>,
    faults: Receiver<FaultEvent>,
    recoveries: Receiver<Recovery>,
}

impl Live {
    /// Everything that is new from now on.
    pub(super) fn news(&self) -> News {
        News {
            changes: self.shop.mesh.changes(),
            faults: self.shop.mesh.faults().events(),
            recoveries: self.shop.payments.recoveries(),
        }
    }

    /// Tells it as it happens; ends with the shop. What was missed shows on the map all the same.
    pub(super) async fn tell_news(&self, mut news: News) {
        loop {
            let open = tokio::select! {
                change = news.changes.recv() => told(change, |change| self.tell_change(change)),
                event = news.faults.recv() => told(event, |event| self.tell_fault(event)),
                recovery = news.recoveries.recv() => {
                    told(recovery, |recovery| self.publish_change(recovery_change(recovery)))
                }
            };
            if !open {
                return;
            }
        }
    }
}

/// Tells what was received; false when nothing will come any more.
fn told<T>(received: Result<T, RecvError>, tell: impl FnOnce(&T)) -> bool {
    if let Ok(event) = &received {
        tell(event);
    }
    !matches!(received, Err(RecvError::Closed))
}

/// "bank-merchant: recovered, tx-51c8 aborted".
fn recovery_change(recovery: &Recovery) -> ChangeView {
    let Recovery { at_us, participant, transaction_id, order_id, committed } = recovery;
    let outcome = if *committed { "committed" } else { "aborted" };
    ChangeView {
        at_us: *at_us,
        subject: participant.clone(),
        text: format!("recovered, {transaction_id} {outcome}"),
        status: if *committed { "ok" } else { "comp" }.to_owned(),
        href: Some(format!("/orders/{order_id}")),
        opened: 0,
    }
}

/// "orders → payments: opened, 5 failed in a row, half-open in 60 s".
pub(super) fn breaker_change(transition: &BreakerTransition) -> ChangeView {
    let (status, text) = match transition.to {
        BreakerState::Closed { .. } => ("ok", "closed, the probe passed".to_owned()),
        BreakerState::HalfOpen => ("half", "half-open, one probe passes".to_owned()),
        BreakerState::Open { until_us } => {
            let seconds = (until_us - transition.at_us) / 1_000_000;
            let why = match transition.from {
                BreakerState::Closed { failures } => format!("{} failed in a row", failures + 1),
                BreakerState::HalfOpen | BreakerState::Open { .. } => "the probe failed".to_owned(),
            };
            ("open", format!("opened, {why}, half-open in {seconds} s"))
        }
    };
    let subset = transition.subset.as_deref();
    let (shown, part) = match subset {
        Some(subset) => (format!(" {subset}"), format!("%7E{subset}")),
        None => (String::new(), String::new()),
    };
    let (caller, destination) = (&transition.caller, &transition.destination);
    ChangeView {
        at_us: transition.at_us,
        subject: format!("{caller} → {destination}{shown}"),
        text,
        status: status.to_owned(),
        href: Some(format!("/resilience?breaker={caller}%7E{destination}{part}")),
        opened: u32::from(status == "open"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_names_the_bank_its_transaction_and_how_it_ended() {
        let recovery = Recovery {
            at_us: 7,
            participant: "bank-merchant".into(),
            transaction_id: "tx-51c8".into(),
            order_id: "ord-7F3K9Q".into(),
            committed: false,
        };
        let line = recovery_change(&recovery);
        assert_eq!(
            (line.subject.as_str(), line.text.as_str()),
            ("bank-merchant", "recovered, tx-51c8 aborted")
        );
        assert_eq!(
            (line.status.as_str(), line.href.as_deref()),
            ("comp", Some("/orders/ord-7F3K9Q"))
        );
        let line = recovery_change(&Recovery { committed: true, ..recovery });
        assert_eq!(
            (line.status.as_str(), line.text.as_str()),
            ("ok", "recovered, tx-51c8 committed")
        );
    }
}
