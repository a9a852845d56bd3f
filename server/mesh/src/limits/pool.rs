//! The counters and queues behind the limits of one caller and one cluster.
//!
//! Knows no requests: callers say when one begins, and drop what they were given when it ends.

use istio::policy::{ConnectionPool, TrafficPolicy};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};
use tokio::sync::oneshot;

/// One limit of the connection pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `tcp.maxConnections`.
    Connections,
    /// `http.http1MaxPendingRequests`.
    Pending,
    /// `http.http2MaxRequests`.
    Requests,
    /// `http.maxRetries`, or the retry budget.
    Retries,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "connections",
            Self::Pending => "pending requests",
            Self::Requests => "requests",
            Self::Retries => "retries",
        })
    }
}

/// What is under way between one caller and one cluster, and what was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Who calls.
    pub caller: Arc<str>,
    /// Who is called.
    pub destination: Arc<str>,
    /// The subset, if it is one's.
    pub subset: Option<Arc<str>>,
    /// Requests that have a connection.
    pub active: u32,
    /// Requests that wait for one.
    pub pending: u32,
    /// Retries under way.
    pub retries: u32,
    /// `upstream_cx_overflow`: requests that found all connections in use.
    pub connection_overflows: u64,
    /// `upstream_rq_pending_overflow`: refused because of pending or active requests.
    pub pending_overflows: u64,
    /// `upstream_rq_retry_overflow`: retries that were not allowed.
    pub retry_overflows: u64,
}

/// See [`PoolStatus`].
#[derive(Debug, Default)]
pub(crate) struct Pool {
    active: AtomicU32,
    pending: AtomicU32,
    retries: AtomicU32,
    connection_overflows: AtomicU64,
    pending_overflows: AtomicU64,
    retry_overflows: AtomicU64,
    queue: Mutex<Queue>,
    /// Requests that found room below `http2MaxRequests` and ask for a connection.
    #[cfg(test)]
    asked: crate::race::Passed,
}

/// Connections in use, and who waits for one, in the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    /// The newest snapshot that said how many connections there may be.
    snapshot: u64,
    /// So many; none is as many as are asked for.
    most: Option<u32>,
    in_use: u32,
    waiting: VecDeque<oneshot::Sender<Connection>>,
}

impl Queue {
    /// The limit of a snapshot holds from now on, unless a newer one spoke before.
    fn follow(&mut self, snapshot: u64, most: Option<u32>) {
        if snapshot >= self.snapshot {
            (self.snapshot, self.most) = (snapshot, most);
        }
    }

    fn has_room(&self) -> bool {
        self.most.is_none_or(|most| self.in_use < most)
    }

    /// Takes a place after all others. Who went away leaves an empty one: they are cleared when
    /// they are as many as those who wait, so that there are never more than twice as many places,
    /// and who comes does not look through all of them.
    fn wait(&mut self, free: oneshot::Sender<Connection>, pending: u32) {
        let pending = usize::try_from(pending).unwrap_or(usize::MAX);
        if self.waiting.len() > pending.saturating_mul(2) {
            self.waiting.retain(|waiting| !waiting.is_closed());
        }
        self.waiting.push_back(free);
    }

    /// The first who still wait, as many as there is room for; each counts as one in use. They are
    /// given their connection when the queue is free again: what one of them lets go comes back to
    /// it.
    fn serve(&mut self) -> Vec<oneshot::Sender<Connection>> {
        let mut served = Vec::new();
        while self.has_room() {
            let Some(first) = self.waiting.pop_front() else { break };
            if !first.is_closed() {
                self.in_use += 1;
                served.push(first);
            }
        }
        served
    }
}

/// A request may go on, at once or when a connection is free.
pub(crate) enum Entry {
    /// It has what it needs.
    Now(Active),
    /// It has to wait for a connection.
    Later(Waiting),
}

impl Pool {
    /// Requests that have a connection.
    pub(crate) fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Requests that wait for one.
    pub(crate) fn pending(&self) -> u32 {
        self.pending.load(Ordering::Relaxed)
    }

    /// A snapshot took force that says how many connections there may be: who waits goes on if
    /// there is room now. With fewer than are in use, the next that are free are given to nobody.
    pub(crate) fn follow(self: &Arc<Self>, snapshot: u64, limits: Option<&ConnectionPool>) {
        let mut queue = self.queue.lock();
        queue.follow(snapshot, limits.and_then(|limits| limits.max_connections));
        let served = queue.serve();
        drop(queue);
        self.give(served);
    }

    /// A request wants to go to the cluster, by the policy of a snapshot.
    ///
    /// # Errors
    /// The limit that refuses it.
    pub(crate) fn enter(
        self: &Arc<Self>,
        snapshot: u64,
        limits: Option<&ConnectionPool>,
    ) -> Result<Entry, Limit> {
        let Some(limits) = limits else { return Ok(Entry::Now(Active::begin(self, None))) };
        if limits.max_requests.is_some_and(|most| self.active() >= most) {
            self.pending_overflows.fetch_add(1, Ordering::Relaxed);
            return Err(Limit::Requests);
        }
        let Some(most) = limits.max_connections else {
            return self.begin_within(limits.max_requests, |_| None).map(Entry::Now);
        };
        #[cfg(test)]
        self.asked.pass();
        let mut queue = self.queue.lock();
        queue.follow(snapshot, Some(most));
        // Who waits comes first.
        let served = queue.serve();
        if !served.is_empty() {
            drop(queue);
            self.give(served);
            queue = self.queue.lock();
        }
        if queue.has_room() {
            let begun = self.begin_within(limits.max_requests, |pool| {
                queue.in_use += 1;
                Some(Connection::of(pool))
            });
            return begun.map(Entry::Now);
        }
        self.connection_overflows.fetch_add(1, Ordering::Relaxed);
        if limits.max_pending.is_some_and(|most| self.pending() >= most) {
            self.pending_overflows.fetch_add(1, Ordering::Relaxed);
            return Err(Limit::Pending);
        }
        let (free, freed) = oneshot::channel();
        queue.wait(free, self.pending());
        self.pending.fetch_add(1, Ordering::Relaxed);
        let most = limits.max_requests;
        Ok(Entry::Later(Waiting { pool: self.clone(), most, freed }))
    }

    /// Begins a request with what `connection` gives it, unless as many as may are under way:
    /// looking and counting are one step, so that two that come at once never both take the last
    /// place.
    fn begin_within(
        self: &Arc<Self>,
        most: Option<u32>,
        connection: impl FnOnce(&Arc<Self>) -> Option<Connection>,
    ) -> Result<Active, Limit> {
        let more = |active: u32| most.is_none_or(|most| active < most).then(|| active + 1);
        if self.active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            self.pending_overflows.fetch_add(1, Ordering::Relaxed);
            return Err(Limit::Requests);
        }
        Ok(Active { pool: self.clone(), _connection: connection(self) })
    }

    /// A retry wants to begin: within the budget if there is one, else within `maxRetries`. None
    /// when it may not; what is given is kept while the retry is under way.
    pub(crate) fn retry(self: &Arc<Self>, policy: Option<&TrafficPolicy>) -> Option<RetryUnderWay> {
        let most = match policy {
            None => None,
            Some(policy) => match policy.retry_budget {
                Some(budget) => {
                    let requests = u64::from(self.active()) + u64::from(self.pending());
                    let share = requests * u64::from(budget.share.0) / 1_000_000;
                    let share = u32::try_from(share).unwrap_or(u32::MAX);
                    Some(share.max(budget.min_concurrency))
                }
                None => policy.connection_pool.max_retries,
            },
        };
        let taken = self.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            most.is_none_or(|most| now < most).then_some(now + 1)
        });
        if taken.is_err() {
            self.retry_overflows.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(RetryUnderWay(self.clone()))
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PoolStatus {
            active: self.active(),
            pending: self.pending(),
            retries: self.retries.load(Ordering::Relaxed),
            connection_overflows: count(&self.connection_overflows),
            pending_overflows: count(&self.pending_overflows),
            retry_overflows: count(&self.retry_overflows),
            ..PoolStatus::default()
        }
    }

    /// A connection is free: the first who still waits has it, if there may be so many.
    fn release(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        queue.in_use = queue.in_use.saturating_sub(1);
        let served = queue.serve();
        drop(queue);
        self.give(served);
    }

    fn give(self: &Arc<Self>, served: Vec<oneshot::Sender<Connection>>) {
        for waiting in served {
            // One that went away in this very moment drops it, which releases it.
            drop(waiting.send(Connection::of(self)));
        }
    }
}

/// A connection in use; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Connection(Arc<Pool>);

impl Connection {
    fn of(pool: &Arc<Pool>) -> Self {
        Self(pool.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// A request under way; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Active {
    pool: Arc<Pool>,
    _connection: Option<Connection>,
}

impl Active {
    fn begin(pool: &Arc<Pool>, connection: Option<Connection>) -> Self {
        pool.active.fetch_add(1, Ordering::Relaxed);
        Self { pool: pool.clone(), _connection: connection }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.pool.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that waits for a connection; dropping it gives up its place.
pub(crate) struct Waiting {
    pool: Arc<Pool>,
    /// `http2MaxRequests` when it came.
    most: Option<u32>,
    freed: oneshot::Receiver<Connection>,
}

impl Waiting {
    /// Until it has one.
    ///
    /// # Errors
    /// As many requests as may be are under way, as Envoy finds when it attaches one that waited.
    pub(crate) async fn wait(mut self) -> Result<Active, Limit> {
        let connection = (&mut self.freed).await.ok();
        self.pool.begin_within(self.most, |_| connection)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pool.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A retry under way; dropping it ends it.
#[derive(Debug)]
pub(crate) struct RetryUnderWay(Arc<Pool>);

impl Drop for RetryUnderWay {
    fn drop(&mut self) {
        self.0.retries.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_up_waiting_leaves_no_place_behind_however_many_come() {
        let pool = Arc::new(Pool::default());
        let limits = ConnectionPool {
            max_connections: Some(1),
            max_pending: Some(3),
            ..ConnectionPool::default()
        };
        let enter = || pool.enter(1, Some(&limits)).ok();
        let (_active, _waits) = (enter(), enter());
        for _ in 0..1_000 {
            assert!(matches!(enter(), Some(Entry::Later(_))), "there is room for it to wait");
        }
        assert_eq!(pool.pending(), 1, "all but one went away");
        assert!(pool.queue.lock().waiting.len() <= 4, "{}", pool.queue.lock().waiting.len());
    }

    #[test]
    fn of_two_that_come_at_once_one_takes_the_last_place() {
        let pool = Arc::new(Pool::default());
        let limits = ConnectionPool {
            max_connections: Some(8),
            max_requests: Some(1),
            ..ConnectionPool::default()
        };
        // Both have seen that nothing is under way when they come to the connections.
        let queue = pool.queue.lock();
        let entered: Vec<_> = std::thread::scope(|scope| {
            let enter = || pool.enter(1, Some(&limits));
            let both = [scope.spawn(enter), scope.spawn(enter)];
            pool.asked.wait(2);
            drop(queue);
            both.map(|one| one.join().unwrap()).into()
        });
        assert_eq!((pool.active(), pool.queue.lock().in_use), (1, 1));
        let refused = entered.iter().filter(|one| matches!(one, Err(Limit::Requests)));
        assert_eq!((refused.count(), pool.status().pending_overflows), (1, 1));
        drop(entered);
        assert_eq!((pool.active(), pool.queue.lock().in_use), (0, 0));
    }
}
