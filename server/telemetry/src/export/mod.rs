//! The export of spans over OTLP: a bounded queue, a thread that empties it, exporters per service.
//!
//! The shop only ever puts a span into the queue, or counts it as dropped. Everything that can wait
//! happens on a thread of its own, so a collector that is slow or away costs the shop nothing.

mod exporters;
mod grpc;
mod watching;
mod worker;

pub(crate) use exporters::Resources;

use crate::{ExportConfig, TelemetryError, hub::Hub};
use opentelemetry_sdk::trace::SpanData;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::dispatcher::WeakDispatch;

/// How the export is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportStats {
    /// Where spans go, without credentials; none when export is not configured.
    pub endpoint: Option<String>,
    /// Spans the collector took.
    pub exported: u64,
    /// Spans it rejected in requests it accepted.
    pub rejected: u64,
    /// Spans that were given up, because the queue was full or the collector away for too long.
    pub dropped: u64,
    /// Spans that wait.
    pub queue: usize,
    /// Why the last request failed; none when it succeeded.
    pub last_error: Option<String>,
    /// Since when requests fail, microseconds since the epoch.
    pub failing_since_us: Option<i64>,
}

/// What both sides of the queue know.
#[derive(Debug)]
struct Status {
    endpoint: String,
    waiting: AtomicUsize,
    exported: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
    failure: Mutex<Option<Failure>>,
    /// The queue is filling up: do not wait for the delay.
    hurry: Notify,
}

#[derive(Clone, Debug)]
struct Failure {
    since_us: i64,
    error: String,
}

#[derive(Debug)]
struct Offered {
    service: u16,
    span: SpanData,
}

/// The end the processor puts spans into.
#[derive(Debug)]
pub(crate) struct ExportQueue {
    sender: mpsc::Sender<Offered>,
    status: Arc<Status>,
    max: usize,
}

impl ExportQueue {
    /// Puts a span into the queue, or counts it as dropped. Never waits.
    pub(crate) fn offer(&self, service: u16, span: SpanData) {
        let waiting = self.status.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        if waiting > self.max || self.sender.try_send(Offered { service, span }).is_err() {
            self.status.waiting.fetch_sub(1, Ordering::Relaxed);
            self.status.dropped.fetch_add(1, Ordering::Relaxed);
        } else if waiting == self.max.div_ceil(2) {
            self.status.hurry.notify_one();
        }
    }
}

#[cfg(test)]
impl ExportQueue {
    /// A queue that nobody empties but who asks for the names of the spans in it.
    pub(crate) fn for_tests(max: usize) -> (Self, impl FnMut() -> Vec<String>) {
        let (sender, mut offered) = mpsc::channel(max);
        let status = Arc::new(Status {
            endpoint: String::new(),
            waiting: AtomicUsize::new(0),
            exported: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failure: Mutex::new(None),
            hurry: Notify::new(),
        });
        let names = move || {
            let next = std::iter::from_fn(|| offered.try_recv().ok());
            next.map(|offered: Offered| offered.span.name.into_owned()).collect()
        };
        (Self { sender, status, max }, names)
    }
}

/// Tells how the export is doing. Keeps nothing alive.
#[derive(Clone, Debug)]
pub(crate) struct ExportProbe(Arc<Status>);

impl ExportProbe {
    pub(crate) fn stats(&self) -> ExportStats {
        let failure = self.0.failure.lock().clone();
        ExportStats {
            endpoint: Some(self.0.endpoint.clone()),
            exported: self.0.exported.load(Ordering::Relaxed),
            rejected: self.0.rejected.load(Ordering::Relaxed),
            dropped: self.0.dropped.load(Ordering::Relaxed),
            queue: self.0.waiting.load(Ordering::Relaxed),
            failing_since_us: failure.as_ref().map(|failure| failure.since_us),
            last_error: failure.map(|failure| failure.error),
        }
    }
}

/// Asks the thread to send what is left and to end.
#[derive(Debug)]
pub(crate) struct ExportControl(mpsc::Sender<Finish>);

/// See [`ExportControl::finish`].
#[derive(Debug)]
struct Finish {
    within: Duration,
    /// Whether everything was sent.
    done: oneshot::Sender<bool>,
}

impl ExportControl {
    /// True when everything that waited was sent within the time.
    pub(crate) async fn finish(self, within: Duration) -> bool {
        let (done, finished) = oneshot::channel();
        if self.0.send(Finish { within, done }).await.is_err() {
            return false;
        }
        matches!(tokio::time::timeout(within, finished).await, Ok(Ok(true)))
    }
}

/// What the thread needs besides the queue.
pub(crate) struct ExportParts {
    pub(crate) config: ExportConfig,
    pub(crate) resources: Resources,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: base::Clock,
    /// The subscriber that hears when the export fails and when it works again.
    pub(crate) dispatch: Arc<OnceLock<WeakDispatch>>,
}

/// Starts the thread. Waits until its first exporter was made, which needs no network.
pub(crate) fn start(
    parts: ExportParts,
) -> Result<(ExportQueue, ExportProbe, ExportControl), TelemetryError> {
    let max = parts.config.queue_max.max(1);
    let status = Arc::new(Status {
        endpoint: parts.config.display_endpoint(),
        waiting: AtomicUsize::new(0),
        exported: AtomicU64::new(0),
        rejected: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        failure: Mutex::new(None),
        hurry: Notify::new(),
    });
    let (sender, queue) = mpsc::channel(max);
    let (control, finish) = mpsc::channel(1);
    worker::spawn(parts, Arc::clone(&status), queue, finish)?;
    let offered = ExportQueue { sender, status: Arc::clone(&status), max };
    Ok((offered, ExportProbe(status), ExportControl(control)))
}
