//! One instance of a service: where it is reached, how it is, and what it did lately.
//!
//! An instance can be killed (no connection to it, calls and bodies under way are cut), paused (it
//! hangs until resumed) and restarted. Which instance a call goes to is the balancer's business.

use crate::{
    MeshError, Request, Response,
    outlier::state::Standing,
    remote::{Remote, Timeouts},
};
use axum::{Router, body::Body};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body as _, Frame, SizeHint};
use istio::policy::ExternalAddress;
use parking_lot::Mutex;
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::watch;
use tower::Service;

/// How far back an instance counts its requests, seconds.
const WINDOW_SECONDS: usize = 60;

/// An instance to be added to the mesh.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The service it is one of.
    pub service: String,
    /// Its own name, unique within the service: `payments-v2-0`.
    pub name: String,
    /// Labels that subsets select by: `version` at least.
    pub labels: Vec<(String, String)>,
    /// Where it is.
    pub endpoint: Endpoint,
}

/// Where an instance is reached.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// In this process.
    Router(Router),
    /// Over HTTP/1.1 at this address.
    Address(SocketAddr),
}

/// How an instance is, as told from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It answers.
    #[default]
    Ready,
    /// It takes requests and does not answer until it is resumed.
    Paused,
    /// There is no connection to it.
    Killed,
}

/// The phase, and which life of the instance it is in: a restart is a new life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Life {
    phase: Phase,
    number: u64,
}

impl Life {
    /// Whether what began in this life has lost its connection.
    fn is_over(self, now: Self) -> bool {
        now.phase == Phase::Killed || now.number != self.number
    }
}

/// The label of instances that are there because a `ServiceEntry` names their address. Policies
/// that do not name it do not see them, so that they may be there before one does and after.
const OF_SERVICE_ENTRY: &str = "vitrine.dev/service-entry";

/// The labels of the instance that is there because a `ServiceEntry` names an address: those of the
/// endpoint, `app` if it has none, and what says where it comes from.
#[must_use]
pub fn entry_labels(service: &str, one: &ExternalAddress) -> Vec<(String, String)> {
    let mut labels = one.labels.clone();
    let mark = (OF_SERVICE_ENTRY, "true");
    for (key, value) in [("app", service), mark] {
        if labels.iter().all(|(other, _)| other != key) {
            labels.push((key.to_owned(), value.to_owned()));
        }
    }
    labels
}

/// An instance in the mesh.
#[derive(Debug)]
pub(crate) struct Host {
    /// Never used twice.
    pub(crate) id: u64,
    pub(crate) service: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) labels: Vec<(String, String)>,
    target: Target,
    life: watch::Sender<Life>,
    /// When it was added or restarted, microseconds since the epoch: warm-up counts from here.
    since_us: AtomicI64,
    /// Requests under way.
    active: AtomicU32,
    window: Mutex<Window>,
}

#[derive(Debug)]
enum Target {
    Router(Router),
    Remote(Remote),
}

impl Host {
    pub(crate) fn new(id: u64, instance: Instance, now_us: i64) -> Self {
        let Instance { service, name, labels, endpoint } = instance;
        Self {
            id,
            service: service.into(),
            name: name.into(),
            labels,
            target: match endpoint {
                Endpoint::Router(router) => Target::Router(router),
                Endpoint::Address(address) => Target::Remote(Remote::new(address)),
            },
            life: watch::Sender::default(),
            since_us: AtomicI64::new(now_us),
            active: AtomicU32::new(0),
            window: Mutex::default(),
        }
    }

    /// Whether a policy has it: the addresses of a `ServiceEntry` are instances of those policies
    /// alone that name them.
    pub(crate) fn is_of(&self, addresses: &[ExternalAddress]) -> bool {
        let of_entry = self.labels.iter().any(|(key, _)| key == OF_SERVICE_ENTRY);
        let is_it = |one: &ExternalAddress| {
            self.socket() == Some(one.address) && self.labels == entry_labels(&self.service, one)
        };
        !of_entry || addresses.iter().any(is_it)
    }

    /// Its version, where its labels say one.
    pub(crate) fn version(&self) -> Option<&str> {
        let label = self.labels.iter().find(|(name, _)| name == "version");
        label.map(|(_, version)| version.as_str())
    }

    /// Whether it has all these labels.
    pub(crate) fn has(&self, labels: &[(String, String)]) -> bool {
        labels.iter().all(|label| self.labels.contains(label))
    }

    /// The socket it is reached at, if it is not in this process.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        match &self.target {
            Target::Router(_) => None,
            Target::Remote(remote) => Some(remote.address()),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.life.borrow().phase
    }

    /// Changes the phase; false if it was in it already. Leaving `Killed` is a new life.
    pub(crate) fn set(&self, phase: Phase, now_us: i64) -> bool {
        self.life.send_if_modified(|life| {
            if life.phase == phase {
                return false;
            }
            if life.phase == Phase::Killed {
                life.number += 1;
                self.since_us.store(now_us, Ordering::Relaxed);
            }
            life.phase = phase;
            true
        })
    }

    pub(crate) fn since_us(&self) -> i64 {
        self.since_us.load(Ordering::Relaxed)
    }

    pub(crate) fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// So many requests are under way, for tests of who is chosen.
    #[cfg(test)]
    pub(crate) fn busy_with(&self, requests: u32) {
        self.active.store(requests, Ordering::Relaxed);
    }

    /// Requests and 5xx answers (or none) of the last sixty seconds.
    pub(crate) fn lately(&self, now_us: i64) -> (u64, u64) {
        self.window.lock().sum(now_us)
    }

    pub(crate) fn count(&self, failed: bool, now_us: i64) {
        self.window.lock().count(failed, now_us);
    }

    fn reset(&self) -> MeshError {
        MeshError::Reset { endpoint: self.name.to_string() }
    }

    /// Until it answers again. One that is killed meanwhile never does in this life.
    async fn resumed(&self) {
        if self.phase() != Phase::Ready {
            let _ = self.life.subscribe().wait_for(|life| life.phase == Phase::Ready).await;
        }
    }
}

/// An instance, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// The service.
    pub service: Arc<str>,
    /// Its own name.
    pub instance: Arc<str>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// How it is.
    pub phase: Phase,
    /// Requests under way.
    pub active: u32,
    /// Requests that ended in the last sixty seconds.
    pub requests: u64,
    /// Of these, 5xx answers and requests without an answer.
    pub failures: u64,
    /// Errors in a row, as outlier detection counts them.
    pub consecutive_errors: u32,
    /// 502, 503 and 504 in a row: the second count of outlier detection.
    pub consecutive_gateway: u32,
    /// The sweep that takes it back, microseconds since the epoch, if it is ejected (in several
    /// subsets: the last of them).
    pub ejected_until_us: Option<i64>,
    /// Since when, if it is ejected.
    pub ejected_since_us: Option<i64>,
    /// How many times in a row it was ejected, if it is: so many times the base is it out.
    pub ejected_times: u32,
    /// Ejections ever.
    pub ejections: u64,
    /// When the last of them began, microseconds since the epoch.
    pub last_ejected_us: Option<i64>,
}

impl EndpointStatus {
    pub(crate) fn of(host: &Host, now_us: i64) -> Self {
        let (requests, failures) = host.lately(now_us);
        Self {
            service: host.service.clone(),
            instance: host.name.clone(),
            labels: host.labels.clone(),
            phase: host.phase(),
            active: host.active(),
            requests,
            failures,
            consecutive_errors: 0,
            consecutive_gateway: 0,
            ejected_until_us: None,
            ejected_since_us: None,
            ejected_times: 0,
            ejections: 0,
            last_ejected_us: None,
        }
    }

    /// Adds how it stands in one cluster.
    pub(crate) fn add(&mut self, standing: Option<(Standing, Option<i64>)>) {
        let Some((standing, until_us)) = standing else { return };
        let errors = standing.consecutive_5xx.max(standing.consecutive_local_origin);
        self.consecutive_errors = self.consecutive_errors.max(errors);
        self.consecutive_gateway = self.consecutive_gateway.max(standing.consecutive_gateway);
        self.ejected_until_us = self.ejected_until_us.max(until_us);
        self.ejected_since_us = self.ejected_since_us.max(standing.ejected_since_us);
        if standing.ejected_since_us.is_some() {
            self.ejected_times = self.ejected_times.max(standing.multiplier);
        }
        self.ejections += standing.ejections;
        self.last_ejected_us = self.last_ejected_us.max(standing.last_ejected_us);
    }
}

/// The body of an answer: under way until it has ended or is dropped, and cut when the life of the
/// instance ends in which it began.
struct Mortal {
    /// [`None`] after the cut.
    inner: Option<Body>,
    /// [`None`] when nothing more comes.
    under_way: Option<Arc<UnderWay>>,
    life: watch::Receiver<Life>,
    begun: Life,
    /// The end of that life; only waited for while the body keeps its reader waiting.
    end: Option<BoxFuture<'static, ()>>,
}

impl Mortal {
    /// Until the life is over. Who tells lives as long as the request is under way.
    fn end(&self) -> BoxFuture<'static, ()> {
        let (mut life, begun) = (self.life.clone(), self.begun);
        Box::pin(async move {
            if life.wait_for(|now| begun.is_over(*now)).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    /// The connection is reset: what had been on the way is lost.
    fn cut(&mut self) -> Option<Result<Frame<Bytes>, axum::Error>> {
        (self.inner, self.end) = (None, None);
        let under_way = self.under_way.take()?;
        let host = under_way.host();
        tracing::warn!("the answer of {} was cut off: it was killed", host.name);
        Some(Err(axum::Error::new(host.reset())))
    }
}

impl http_body::Body for Mortal {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.under_way.is_some() && this.begun.is_over(*this.life.borrow()) {
            return Poll::Ready(this.cut());
        }
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        let frame = Pin::new(&mut *inner).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(_))) if !inner.is_end_stream() => {}
            Poll::Ready(_) => this.under_way = None,
            Poll::Pending => {
                let mut end = this.end.take().unwrap_or_else(|| this.end());
                if end.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(this.cut());
                }
                this.end = Some(end);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    /// That of the whole body: who announces a length does not announce the cut.
    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::new, http_body::Body::size_hint)
    }
}

/// A request under way at an instance: counted from when the instance was picked for it, however
/// it ends.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Host>);

impl UnderWay {
    pub(crate) fn begin(host: Arc<Host>) -> Self {
        host.active.fetch_add(1, Ordering::Relaxed);
        Self(host)
    }

    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.0
    }

    /// Brings a request to the instance and its answer back; it is under way until the body of the
    /// answer has ended.
    pub(crate) async fn send(
        self: Arc<Self>,
        request: Request,
        timeouts: Timeouts,
    ) -> Result<Response, MeshError> {
        let host = &*self.0;
        let mut life = host.life.subscribe();
        let begun = *life.borrow_and_update();
        if begun.phase == Phase::Killed {
            return Err(MeshError::Connect { endpoint: host.name.to_string() });
        }
        let work = async {
            host.resumed().await;
            let answer = match &host.target {
                Target::Router(router) => {
                    let mut router = router.clone();
                    // A router is always ready.
                    let answered: Result<Response, Infallible> = router.call(request).await;
                    Ok(answered.unwrap_or_else(|never| match never {}))
                }
                Target::Remote(remote) => remote.send(&host.name, request, timeouts).await,
            };
            // One that was paused meanwhile does not get its answer out.
            host.resumed().await;
            answer
        };
        let answer = tokio::select! {
            biased;
            // First, so that one that was killed and started again does not answer for its former
            // life. The sender is the host's own and outlives this call.
            _ = life.wait_for(|now| begun.is_over(*now)) => Err(host.reset()),
            answer = work => answer,
        }?;
        if answer.body().is_end_stream() {
            return Ok(answer);
        }
        let under_way = Some(self.clone());
        let inner = |body| Mortal { inner: Some(body), under_way, life, begun, end: None };
        Ok(answer.map(|body| Body::new(inner(body))))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Requests and failures by second, the last sixty.
#[derive(Debug)]
struct Window([Second; WINDOW_SECONDS]);

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    second: i64,
    requests: u32,
    failures: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self([Second::default(); WINDOW_SECONDS])
    }
}

impl Window {
    fn count(&mut self, failed: bool, now_us: i64) {
        let second = now_us.div_euclid(1_000_000);
        let at = usize::try_from(second.rem_euclid(WINDOW_SECONDS as i64)).unwrap_or(0);
        let slot = &mut self.0[at];
        if slot.second != second {
            *slot = Second { second, ..Second::default() };
        }
        slot.requests = slot.requests.saturating_add(1);
        slot.failures = slot.failures.saturating_add(u32::from(failed));
    }

    fn sum(&self, now_us: i64) -> (u64, u64) {
        let second = now_us.div_euclid(1_000_000);
        // None of a time that was taken back: the date was ahead, and was corrected.
        let recent = self
            .0
            .iter()
            .filter(|slot| (0..WINDOW_SECONDS as i64).contains(&(second - slot.second)));
        recent.fold((0, 0), |(requests, failures), slot| {
            (requests + u64::from(slot.requests), failures + u64::from(slot.failures))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_forgets_what_is_a_minute_old() {
        let mut window = Window::default();
        for second in 0..90 {
            window.count(second % 3 == 0, second * 1_000_000 + 5);
        }
        assert_eq!(window.sum(89_000_000), (60, 20));
        assert_eq!(window.sum(119_000_000), (30, 10));
        assert_eq!(window.sum(149_000_000), (0, 0));
    }

    #[test]
    fn the_window_has_nothing_of_a_day_that_was_taken_back() {
        let (mut window, day) = (Window::default(), 86_400_000_000);
        window.count(true, day + 5_000_000);
        window.count(false, 6_000_000);
        assert_eq!(window.sum(6_000_000), (1, 0));
    }
}
