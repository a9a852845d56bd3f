//! Spans of traces that sampling left out, held for a while: a trace may turn out to be evidence.
//!
//! What a fault hit, what a breaker counted as a failure and what a mirror found to differ is shown
//! with its trace, so that trace is kept whatever was drawn at its first span, from its first span
//! on. Of what ended before that is known the collector gets as much as is still held.

use crate::{ended::Ended, remembered::Remembered};
use std::collections::VecDeque;

/// Spans held at once: those of half a second of the busiest shop, 2 MB.
const HELD_MAX: usize = 8_192;
/// Traces that are known to be evidence, to take in what still ends in them: as many as the store
/// has room for with fifteen spans each, 100 kB.
const EVIDENCE_MAX: usize = 4_096;

/// Traces that are kept although sampling left them out; the oldest are forgotten.
#[derive(Debug)]
pub(crate) struct Evidence(Remembered<u128>);

impl Default for Evidence {
    fn default() -> Self {
        Self(Remembered::of(EVIDENCE_MAX))
    }
}

impl Evidence {
    /// Adds a trace. False when it is known.
    pub(crate) fn add(&mut self, trace: u128) -> bool {
        self.0.add(trace, ())
    }

    pub(crate) fn has(&self, trace: u128) -> bool {
        self.0.get(&trace).is_some()
    }
}

/// The newest spans of traces that are left out.
#[derive(Debug)]
pub(crate) struct Aside<T> {
    most: usize,
    /// Apart from the spans, so that a trace is looked for in little memory.
    traces: VecDeque<u128>,
    spans: VecDeque<Option<T>>,
}

impl Default for Aside<Ended> {
    fn default() -> Self {
        Self::of(HELD_MAX)
    }
}

impl<T> Aside<T> {
    /// Holds so many at most.
    pub(crate) const fn of(most: usize) -> Self {
        Self { most, traces: VecDeque::new(), spans: VecDeque::new() }
    }

    pub(crate) fn hold(&mut self, trace: u128, span: T) {
        self.traces.push_back(trace);
        self.spans.push_back(Some(span));
        if self.spans.len() > self.most {
            self.traces.pop_front();
            self.spans.pop_front();
        }
    }

    /// The spans of a trace, in the order in which they ended. They are held no longer.
    pub(crate) fn give(&mut self, trace: u128) -> Vec<T> {
        let mut given = Vec::new();
        for (held, span) in self.traces.iter().zip(&mut self.spans) {
            if *held == trace {
                given.extend(span.take());
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_evidence_is_forgotten_and_what_is_known_is_not_new() {
        let mut evidence = Evidence::default();
        for trace in 0..=EVIDENCE_MAX as u128 {
            assert!(evidence.add(trace));
        }
        assert!(!evidence.has(0) && evidence.has(1) && !evidence.add(1));
    }
}
