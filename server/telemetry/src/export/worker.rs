//! The thread that empties the queue: waits a little, groups by service, sends, tries again.

use super::{ExportParts, Failure, Finish, Offered, Status, exporters::Exporters};
use crate::{TelemetryError, hub::Hub, names};
use opentelemetry_sdk::trace::SpanData;
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tracing::dispatcher::{self, WeakDispatch};

/// Requests for the same spans before they are given up: with the waits below, 8 s of a collector's
/// restart lose nothing.
const ATTEMPTS_MAX: u32 = 6;
/// Wait before the second request; doubles with each further one.
const WAIT_FIRST: Duration = Duration::from_millis(250);
/// Longest wait, and so the longest until a collector that is back is noticed.
const WAIT_MAX: Duration = Duration::from_secs(4);
/// To the end of a program whose collector is away already: it may just be back, and nobody is kept
/// waiting for one that is not.
const LAST_TRY: Duration = Duration::from_millis(300);

/// Spans by the number of their service, oldest first.
type Groups = BTreeMap<u16, Vec<SpanData>>;

struct Worker {
    exporters: Exporters,
    batch_max: usize,
    delay: Duration,
    timeout: Duration,
    status: Arc<Status>,
    hub: Arc<Hub>,
    clock: base::Clock,
    dispatch: Arc<OnceLock<WeakDispatch>>,
    queue: mpsc::Receiver<Offered>,
    control: mpsc::Receiver<Finish>,
    groups: Groups,
    end: Option<End>,
}

/// The end was asked for.
struct End {
    deadline: Instant,
    done: oneshot::Sender<bool>,
    sent_all: bool,
}

impl End {
    fn begin(finish: Finish, status: &Status) -> Self {
        let failing = status.failure.lock().is_some();
        let within = if failing { finish.within.min(LAST_TRY) } else { finish.within };
        Self { deadline: Instant::now() + within, done: finish.done, sent_all: true }
    }
}

/// Starts the thread and waits until its first exporter was made.
pub(super) fn spawn(
    parts: ExportParts,
    status: Arc<Status>,
    queue: mpsc::Receiver<Offered>,
    control: mpsc::Receiver<Finish>,
) -> Result<(), TelemetryError> {
    let (ready, made) = std::sync::mpsc::sync_channel(1);
    let body = move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = match builder.enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error.to_string()))),
        };
        runtime.block_on(async {
            match Worker::new(parts, status, queue, control) {
                Ok(worker) => {
                    let _ = ready.send(Ok(()));
                    worker.run().await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    };
    let thread = std::thread::Builder::new().name("telemetry-export".into());
    let spawned = thread.spawn(body);
    spawned.map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    match made.recv() {
        Ok(made) => made.map_err(TelemetryError::Exporter),
        Err(_) => Err(TelemetryError::Exporter("its thread ended".into())),
    }
}

impl Worker {
    fn new(
        parts: ExportParts,
        status: Arc<Status>,
        queue: mpsc::Receiver<Offered>,
        control: mpsc::Receiver<Finish>,
    ) -> Result<Self, String> {
        let config = parts.config;
        let (batch_max, delay, timeout) = (config.batch_max.max(1), config.delay, config.timeout);
        let mut exporters = Exporters::new(config, parts.resources)?;
        // A first one, so that what is wrong with the configuration is said at start.
        let fallback = parts.hub.symbols.service(names::SERVICE_FALLBACK);
        exporters.of(fallback, names::SERVICE_FALLBACK)?;
        Ok(Self {
            exporters,
            batch_max,
            delay,
            timeout,
            status,
            hub: parts.hub,
            clock: parts.clock,
            dispatch: parts.dispatch,
            queue,
            control,
            groups: Groups::new(),
            end: None,
        })
    }

    async fn run(mut self) {
        loop {
            let open = self.end.is_some() || self.wait().await;
            while let Ok(offered) = self.queue.try_recv() {
                self.group(offered);
            }
            let sent = self.send().await;
            if let Some(mut end) = self.end.take() {
                end.sent_all &= sent;
                if self.queue.is_empty() || Instant::now() >= end.deadline {
                    // Nobody listens any more when the time was up.
                    let left = self.abandon_queue();
                    let _ = end.done.send(end.sent_all && left == 0);
                    return;
                }
                self.end = Some(end);
            } else if !open {
                return;
            }
        }
    }

    /// Waits for a span, and then for others to share its request. Sleeping rather than receiving
    /// spares the services from waking this thread with every span. False when no more can come.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            first = self.queue.recv() => match first {
                Some(offered) => self.group(offered),
                None => return false,
            },
            Some(finish) = self.control.recv() => {
                self.end(finish);
                return true;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(self.delay) => {}
            () = self.status.hurry.notified() => {}
            Some(finish) = self.control.recv() => self.end(finish),
        }
        true
    }

    fn end(&mut self, finish: Finish) {
        self.end = Some(End::begin(finish, &self.status));
    }

    fn group(&mut self, offered: Offered) {
        self.groups.entry(offered.service).or_default().push(offered.span);
    }

    /// Sends everything that was grouped. False when it had to be given up.
    async fn send(&mut self) -> bool {
        let mut wait = WAIT_FIRST;
        for attempt in 1..=ATTEMPTS_MAX {
            match self.attempt().await {
                Ok(accepted_all) => return accepted_all,
                Err(error) => self.failing(error),
            }
            if attempt == ATTEMPTS_MAX || !self.pause(wait).await {
                break;
            }
            wait = (wait * 2).min(WAIT_MAX);
        }
        let given_up = std::mem::take(&mut self.groups);
        self.give_up(given_up.values().map(Vec::len).sum());
        false
    }

    /// Takes no more spans, and counts those that came too late.
    fn abandon_queue(&mut self) -> usize {
        self.queue.close();
        let left = std::iter::from_fn(|| self.queue.try_recv().ok()).count();
        self.give_up(left);
        left
    }

    fn give_up(&self, spans: usize) {
        self.status.waiting.fetch_sub(spans, Ordering::Relaxed);
        let dropped = &self.status.dropped;
        dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// One request after the other, until all are through or one fails. What the collector refuses
    /// for good is given up at once, so that it does not hold up the rest; false if there was any.
    async fn attempt(&mut self) -> Result<bool, String> {
        let mut accepted_all = true;
        while let Some(mut group) = self.groups.first_entry() {
            let name = self.hub.symbols.service_name(*group.key());
            let exporter = self.exporters.of(*group.key(), &name)?;
            let spans = group.get_mut();
            let count = spans.len().min(self.batch_max);
            // The exporter consumes what it sends, and it may have to be sent again.
            let timeout_at = Instant::now() + self.timeout;
            let outcome = {
                let mut request = pin!(exporter.export(spans[..count].to_vec()));
                loop {
                    let end = self.end.as_ref().map(|end| end.deadline);
                    let until = end.map_or(timeout_at, |end| timeout_at.min(end));
                    tokio::select! {
                        outcome = tokio::time::timeout_at(until, request.as_mut()) => break outcome,
                        // A collector that says nothing does not hold up the end.
                        Some(finish) = self.control.recv(), if end.is_none() => {
                            self.end = Some(End::begin(finish, &self.status));
                        }
                    }
                }
            };
            let refusal = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(refused)) if refused.last => Some(refused.sentence),
                Ok(Err(failed)) => return Err(failed.sentence),
                Err(_) => return Err("the collector did not answer in time".to_owned()),
            };
            spans.drain(..count);
            if spans.is_empty() {
                group.remove();
            }
            match refusal {
                None => self.accepted(count),
                Some(error) => {
                    accepted_all = false;
                    self.give_up(count);
                    self.failing(error);
                }
            }
        }
        Ok(accepted_all)
    }

    fn accepted(&self, spans: usize) {
        self.status.waiting.fetch_sub(spans, Ordering::Relaxed);
        let spans = spans as u64;
        let rejected = self.exporters.take_rejected().min(spans);
        self.status.exported.fetch_add(spans - rejected, Ordering::Relaxed);
        self.status.rejected.fetch_add(rejected, Ordering::Relaxed);
        self.working();
    }

    /// Waits before the next request. False when the end was asked for and its time is up.
    async fn pause(&mut self, wait: Duration) -> bool {
        if let Some(end) = &self.end {
            let next = Instant::now() + wait;
            sleep_until(next.min(end.deadline)).await;
            return next < end.deadline;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(finish) = self.control.recv() => self.end(finish),
        }
        true
    }

    fn failing(&self, error: String) {
        let mut failure = self.status.failure.lock();
        if let Some(failure) = &mut *failure {
            failure.error = error;
            return;
        }
        let since_us = self.clock.now_us();
        *failure = Some(Failure { since_us, error: error.clone() });
        drop(failure);
        let endpoint = &self.status.endpoint;
        self.say(|| {
            tracing::warn!(
                target: "vitrine::export",
                endpoint, "Spans do not reach the collector: {error}. Trying on"
            );
        });
    }

    fn working(&self) {
        if self.status.failure.lock().take().is_some() {
            let endpoint = &self.status.endpoint;
            self.say(|| {
                tracing::info!(
                    target: "vitrine::export",
                    endpoint, "Spans reach the collector again"
                );
            });
        }
    }

    /// Logs to the pipeline this export belongs to, if it still exists.
    fn say(&self, log: impl FnOnce()) {
        if let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) {
            dispatcher::with_default(&dispatch, log);
        }
    }
}
