//! Where ended spans and log lines meet those who ask.
//!
//! The thread that ends a span must never wait for a page that is being rendered. It puts the span
//! into a short list and, if nobody is asking right now, carries the list into the store itself;
//! whoever asks carries the list over first, so an answer lacks nothing that ended before it.

use crate::{
    aside::{Aside, Evidence},
    ended::{Ended, Facts},
    metrics::{Changes, IstioMetrics, Rates, Series},
    store::{Store, StoreLimits, StoreStats, record::LogRecord},
    symbols::Symbols,
};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Spans and lines that wait while somebody asks: a second of the busiest shop.
const PENDING_MAX: usize = 16_384;

/// Something that just ended.
#[derive(Debug)]
pub(crate) enum Item {
    Span(Ended),
    /// A span that is counted and not kept.
    Counted(Facts, Changes),
    /// A span that is counted, of a trace that sampling left out.
    LeftOut(Ended),
    /// A trace that sampling left out is evidence.
    Evidence(u128),
    Log(LogRecord),
}

/// One per pipeline.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) symbols: Symbols,
    pub(crate) started_us: i64,
    pending: Mutex<Vec<Item>>,
    /// Never held while another lock is waited for.
    evidence: Mutex<Evidence>,
    lost: AtomicU64,
    state: Mutex<State>,
}

/// Everything that is asked for, behind one lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) rates: Rates,
    pub(crate) series: Series,
    pub(crate) istio: IstioMetrics,
    aside: Aside<Ended>,
    /// Swapped with the pending list, so that neither is allocated anew.
    spare: Vec<Item>,
}

impl Hub {
    pub(crate) fn new(limits: StoreLimits, started_us: i64) -> Self {
        let symbols = Symbols::new();
        let browser = symbols.service(crate::names::BROWSER);
        let bus = symbols.service(contract::service::BUS);
        Self {
            symbols,
            started_us,
            pending: Mutex::default(),
            evidence: Mutex::default(),
            lost: AtomicU64::new(0),
            state: Mutex::new(State {
                store: Store::new(limits, started_us),
                rates: Rates::new(started_us, [browser, bus]),
                series: Series::default(),
                istio: IstioMetrics::default(),
                aside: Aside::default(),
                spare: Vec::new(),
            }),
        }
    }

    /// Keeps a trace that sampling left out. False when that is known.
    pub(crate) fn keep(&self, trace: u128) -> bool {
        let new = self.evidence.lock().add(trace);
        if new {
            self.take(Item::Evidence(trace));
        }
        new
    }

    /// Whether a trace that sampling left out is kept all the same.
    pub(crate) fn keeps(&self, trace: u128) -> bool {
        self.evidence.lock().has(trace)
    }

    /// Takes something in. Never waits for a reader.
    pub(crate) fn take(&self, item: Item) {
        {
            let mut pending = self.pending.lock();
            if pending.len() >= PENDING_MAX {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            pending.push(item);
        }
        if let Some(mut state) = self.state.try_lock() {
            self.carry(&mut state);
        }
    }

    /// Asks, after everything that waits was taken in.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        self.carry(&mut state);
        question(&mut state)
    }

    fn carry(&self, state: &mut State) {
        let mut items = std::mem::take(&mut state.spare);
        std::mem::swap(&mut items, &mut *self.pending.lock());
        for item in items.drain(..) {
            match item {
                Item::Span(mut ended) => {
                    state.rates.observe(&ended.facts);
                    state.series.observe(&ended.facts);
                    state.istio.observe(&ended.facts, std::mem::take(&mut ended.changes));
                    state.store.add_span(ended);
                }
                Item::Counted(facts, changes) => {
                    state.rates.observe(&facts);
                    state.series.observe(&facts);
                    state.istio.observe(&facts, changes);
                }
                Item::LeftOut(mut ended) => {
                    state.rates.observe(&ended.facts);
                    state.series.observe(&ended.facts);
                    state.istio.observe(&ended.facts, std::mem::take(&mut ended.changes));
                    // It may have become evidence since the span ended.
                    match self.keeps(ended.trace) {
                        true => state.store.add_span(ended),
                        false => state.aside.hold(ended.trace, ended),
                    }
                }
                Item::Evidence(trace) => {
                    let held = state.aside.give(trace);
                    held.into_iter().for_each(|ended| state.store.add_span(ended));
                }
                Item::Log(log) => state.store.add_log(log, &self.symbols),
            }
        }
        state.spare = items;
    }

    pub(crate) fn stats(&self) -> StoreStats {
        StoreStats {
            lost: self.lost.load(Ordering::Relaxed),
            ..self.ask(|state| state.store.stats())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::trace::Level;

    fn line() -> Item {
        Item::Log(LogRecord {
            at_us: 0,
            trace: [0; 16],
            span: 0,
            packed: Box::default(),
            service: 0,
            level: Level::Info,
        })
    }

    #[test]
    fn what_comes_while_somebody_asks_waits_and_is_there_for_the_next_question() {
        let hub = Hub::new(StoreLimits::default(), 0);
        let seen = hub.ask(|state| {
            hub.take(line());
            state.store.stats().logs
        });
        assert_eq!(seen, 0);
        assert_eq!(hub.stats().logs, 1);
    }

    #[test]
    fn what_does_not_fit_while_somebody_asks_is_counted() {
        let hub = Hub::new(StoreLimits::default(), 0);
        hub.ask(|_| (0..PENDING_MAX + 3).for_each(|_| hub.take(line())));
        let stats = hub.stats();
        assert_eq!((stats.logs, stats.lost), (PENDING_MAX, 3));
    }
}
