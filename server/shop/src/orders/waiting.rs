//! Who waits for a change of one order: woken by the changes of that order alone, however many
//! others there are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Orders that are waited for at once: as many requests as the door lets in, many times over. Each
/// costs some hundred bytes.
const WAITED_FOR_MAX: usize = 16_384;

type Changes = HashMap<String, watch::Sender<()>>;

/// The orders that somebody waits for. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters(Arc<Mutex<Changes>>);

impl Waiters {
    /// Tells who waits for this order that it changed.
    pub(super) fn changed(&self, order_id: &str) {
        if let Some(changes) = self.changes().get(order_id) {
            changes.send_replace(());
        }
    }

    /// Changes from now on are told. None without room for one more.
    pub(super) fn join(&self, order_id: &str) -> Option<Waiter> {
        let mut changes = self.changes();
        if changes.len() >= WAITED_FOR_MAX && !changes.contains_key(order_id) {
            return None;
        }
        let of_order = changes.entry(order_id.to_owned()).or_insert_with(|| watch::channel(()).0);
        let told = of_order.subscribe();
        Some(Waiter { of: self.clone(), order_id: order_id.to_owned(), told: Some(told) })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        // No code that holds it can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for an order; as long as it lives.
#[derive(Debug)]
pub(super) struct Waiter {
    of: Waiters,
    order_id: String,
    /// None once it waits no more.
    told: Option<watch::Receiver<()>>,
}

impl Waiter {
    /// Returns when the order has changed since the waiter joined, or was told last.
    pub(super) async fn changed(&mut self) {
        if let Some(told) = &mut self.told
            && told.changed().await.is_ok()
        {
            return;
        }
        // Nobody will tell. The sender lives as long as the waiter, so this cannot be.
        std::future::pending::<()>().await;
    }

    /// Waits no more: who does so last takes the order along. The receiver goes while the orders
    /// are held, or two that leave at once would each count the other.
    fn leave(&mut self) {
        let mut changes = self.of.changes();
        drop(self.told.take());
        if changes.get(&self.order_id).is_some_and(|told| told.receiver_count() == 0) {
            changes.remove(&self.order_id);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn told(waiter: &mut Waiter) -> bool {
        waiter.changed().now_or_never().is_some()
    }

    #[test]
    fn who_waits_is_told_of_changes_of_that_order_alone() {
        let waiting = Waiters::default();
        let (mut first, mut second) = (waiting.join("a").unwrap(), waiting.join("a").unwrap());
        let mut other = waiting.join("b").unwrap();
        for _ in 0..10_000 {
            waiting.changed("b");
            waiting.changed("nobody waits for it");
        }
        assert!(!told(&mut first) && told(&mut other));
        waiting.changed("a");
        assert!(told(&mut first) && told(&mut second));
        assert!(!told(&mut first) && !told(&mut other), "told once");
    }

    #[test]
    fn a_change_between_joining_and_waiting_is_not_missed() {
        let waiting = Waiters::default();
        let mut waiter = waiting.join("a").unwrap();
        waiting.changed("a");
        assert!(told(&mut waiter));
    }

    #[test]
    fn an_order_that_nobody_waits_for_any_more_is_forgotten_and_its_room_is_free() {
        let waiting = Waiters::default();
        let (first, second) = (waiting.join("a").unwrap(), waiting.join("a").unwrap());
        drop(first);
        let others: Vec<_> =
            (1..WAITED_FOR_MAX).map(|n| waiting.join(&n.to_string()).unwrap()).collect();
        assert!(waiting.join("one more").is_none());
        assert!(waiting.join("a").is_some(), "it is known");
        drop(second);
        assert!(waiting.join("one more").is_some());
        drop(others);
        assert!(waiting.changes().is_empty());
    }

    #[test]
    fn two_that_leave_before_either_is_gone_leave_nothing_behind() {
        let waiting = Waiters::default();
        let (mut first, mut second) = (waiting.join("a").unwrap(), waiting.join("a").unwrap());
        first.leave();
        assert!(waiting.changes().contains_key("a"), "the second waits");
        second.leave();
        assert!(waiting.changes().is_empty());
    }
}
