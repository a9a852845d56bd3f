//! What only a service knows of itself and a node of the map tells: asked over the mesh, as an
//! onlooker, by a task of its own, so that a service that does not answer holds up no frame.

use contract::service::{self, BANK_CUSTOMER, BANK_MERCHANT, DASHBOARD, PAYMENTS};
use mesh::{CallError, Mesh};
use shop::bank::Promised;
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often services are asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long a service may take to answer; what it does not answer is not shown.
const DEADLINE: Duration = Duration::from_millis(800);
/// A transaction that is prepared for longer than this is in doubt.
const IN_DOUBT_US: i64 = 5_000_000;

/// A sentence for each node that has one.
pub(super) type Facts = BTreeMap<&'static str, String>;

/// Asks again and again until `stop` fires.
pub(super) async fn gather(
    mesh: Mesh,
    clock: base::Clock,
    facts: watch::Sender<Facts>,
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let before_us = clock.now_us() - IN_DOUBT_US;
        let ask = async |bank| -> Result<Promised, CallError> {
            let path = format!("/held?before_us={before_us}");
            mesh.caller(DASHBOARD).look(bank, path).timeout(DEADLINE).receive().await
        };
        let asked = async { tokio::join!(ask(BANK_CUSTOMER), ask(BANK_MERCHANT)) };
        tokio::select! {
            () = stop.cancelled() => return,
            (customer, merchant) = asked => {
                facts.send_replace(told(customer.ok(), merchant.ok()));
            }
        }
    }
}

fn told(customer: Option<Promised>, merchant: Option<Promised>) -> Facts {
    let banks = [(BANK_CUSTOMER, customer), (BANK_MERCHANT, merchant)];
    let held = |(bank, promised): (_, Option<Promised>)| Some((bank, promised?.held));
    let held = banks.into_iter().filter_map(held);
    let mut facts: Facts = held.map(|(bank, held)| (bank, format!("{held} held"))).collect();
    // A bank that is silent is what leaves transactions in doubt: what the other has is the least.
    let in_doubt = match (customer, merchant) {
        (Some(a), Some(b)) => Some(format!("2PC, {} in doubt", a.in_doubt + b.in_doubt)),
        (Some(one), None) => Some(at_least(one.in_doubt, BANK_MERCHANT)),
        (None, Some(one)) => Some(at_least(one.in_doubt, BANK_CUSTOMER)),
        (None, None) => None,
    };
    facts.extend(in_doubt.map(|text| (PAYMENTS, text)));
    facts
}

/// What is in doubt while a bank does not say what it has.
fn at_least(in_doubt: u64, silent: &str) -> String {
    match in_doubt {
        // At least none is no number: the bank that is not known is all there is to tell.
        0 => format!("2PC, {} unknown", service::code(silent)),
        more => format!("2PC, ≥ {more} in doubt"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use base::Clock;
    use mesh::BreakerParams;

    #[test]
    fn what_was_not_answered_is_not_told() {
        let (two, one) = (Promised { held: 2, in_doubt: 1 }, Promised { held: 1, in_doubt: 0 });
        let both = told(Some(two), Some(one));
        assert_eq!(both[BANK_CUSTOMER], "2 held");
        assert_eq!(both[PAYMENTS], "2PC, 1 in doubt");
        let half = told(None, Some(one));
        assert_eq!(half.len(), 2);
        assert_eq!(half[BANK_MERCHANT], "1 held");
        let half = told(Some(two), None);
        assert_eq!(half[PAYMENTS], "2PC, ≥ 1 in doubt", "the least, when a bank is silent");
        let nothing_known = told(None, Some(one));
        assert_eq!(nothing_known[PAYMENTS], "2PC, BC unknown", "not at least none");
        assert!(told(None, None).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_bank_that_hangs_takes_its_own_facts_only() {
        let mesh = Mesh::new(Clock::tokio(0), BreakerParams::default());
        let answers = Router::new().fallback(|| async { axum::Json(Promised::default()) });
        mesh.register(BANK_MERCHANT, answers);
        let hangs = Router::new().fallback(std::future::pending::<http::StatusCode>);
        mesh.register(BANK_CUSTOMER, hangs);
        let (facts, mut latest) = watch::channel(Facts::new());
        let stop = CancellationToken::new();
        let gathering = gather(mesh, Clock::tokio(0), facts, stop.clone());
        let reading = async {
            latest.changed().await.unwrap();
            let told = latest.borrow_and_update().clone();
            stop.cancel();
            told
        };
        let ((), told) = tokio::join!(gathering, reading);
        assert!(!told.contains_key(BANK_CUSTOMER), "{told:?}");
        assert_eq!(told[BANK_MERCHANT], "0 held");
    }
}
