//! One trace as a walk over the service map: its spans in the order they began, the hops between
//! services, and where the walk is at a moment.
//!
//! Computed once, on the server, from what the telemetry store has (`hops`); the browser reads it
//! and moves through it. Pure: nothing of pixels, no clock.

mod hops;
mod pace;

pub use hops::of;
pub use pace::Pace;

use contract::{
    live::EdgeKind,
    trace::{SpanKind, TraceRow},
};
use serde::{Deserialize, Serialize};

/// Spans of one walk: ten times those of an order. More would be a megabyte of page that nobody
/// steps through; all of them are on the page of the trace.
pub const STEPS_MAX: usize = 500;
/// Hops of one walk: as many as a list of them can be read.
pub const HOPS_MAX: usize = 250;
/// Dots on the map at once: beyond that nobody tells one from another.
pub const DOTS_MAX: usize = 24;
/// A trace of which nothing was heard for so long is over, microseconds: spans are told when they
/// end, and between two of them are the pauses of what is tried again.
const SETTLED_US: i64 = 5_000_000;
/// A dot takes at least this share of a call for each of its two ways. In one process a request is
/// on its way for some microseconds; a dot that jumps shows nothing.
const WAY_SHARE: f64 = 0.125;

/// One trace, ready to be walked through. Times are microseconds from its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Walk {
    /// The trace as in lists.
    pub row: TraceRow,
    /// When its first span began, microseconds since the epoch.
    pub start_us: i64,
    /// From the first start to the last end.
    pub length_us: i64,
    /// Its spans in the order they began, parents first; at most [`STEPS_MAX`].
    pub steps: Vec<Step>,
    /// Every crossing from one service to another, in the order they began; at most [`HOPS_MAX`].
    pub hops: Vec<Hop>,
    /// Spans that are no step: beyond the bound, or not kept by the store.
    pub left_out: u64,
    /// Spans that others name as their parent and that are not there.
    pub missing: u64,
}

/// One span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// 16 hex digits.
    pub span_id: String,
    /// Whose it is.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// When it began.
    pub start_us: i64,
    /// When it ended.
    pub end_us: i64,
    /// It failed.
    pub failed: bool,
    /// The hop it makes, or by which it was reached.
    pub hop: Option<usize>,
    /// What of its attributes tells what happened.
    pub facts: Vec<(String, String)>,
    /// What it wrote to the log.
    pub lines: Vec<String>,
}

impl Step {
    /// Work inside its service, and not a call that waits for another.
    #[must_use]
    pub fn works(&self) -> bool {
        !matches!(self.kind, SpanKind::Client | SpanKind::Producer) || self.hop.is_none()
    }
}

/// One crossing from a service to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// The span that tells of it.
    pub span_id: String,
    /// Caller or producer.
    pub from: String,
    /// Callee or consumer.
    pub to: String,
    /// A call, a message over the bus, or a round of two-phase commit.
    pub kind: EdgeKind,
    /// The version of the callee.
    pub subset: Option<String>,
    /// What was asked: `POST /orders`, `inventory.reserve`.
    pub what: String,
    /// When it began.
    pub start_us: i64,
    /// When it ended.
    pub end_us: i64,
    /// When the callee began; none if it never did.
    pub arrived_us: Option<i64>,
    /// When the callee ended.
    pub left_us: Option<i64>,
    /// Its HTTP status, or why there is none.
    pub status: String,
    /// It failed.
    pub failed: bool,
    /// Of a call that was tried several times which try this was: `try 1`, `retry 1 of 2`.
    pub tried: Option<String>,
    /// The faults that acted on it, or that it met.
    pub faults: Option<String>,
}

impl Hop {
    /// Whether it is on its way.
    #[must_use]
    pub fn runs(&self, at_us: f64) -> bool {
        us(self.start_us) <= at_us && at_us < us(self.end_us.max(self.start_us + 1))
    }

    /// How far its dot is on the way to the callee: there, waiting, and back.
    #[must_use]
    pub fn way(&self, at_us: f64) -> Option<f64> {
        if !self.runs(at_us) {
            return None;
        }
        let length = us(self.end_us - self.start_us).max(1.0);
        let share = |at: i64| us(at - self.start_us) / length;
        // What never arrived turns back half-way through its time.
        let (there, back) = match (self.arrived_us, self.left_us) {
            (Some(arrived), Some(left)) => (share(arrived), share(left)),
            (Some(arrived), None) => (share(arrived), 1.0),
            _ => (0.5, 0.5),
        };
        let there = there.clamp(WAY_SHARE, 0.5);
        let back = back.clamp(0.5, 1.0 - WAY_SHARE);
        let now = ((at_us - us(self.start_us)) / length).clamp(0.0, 1.0);
        Some(if now < there {
            now / there
        } else if now <= back {
            1.0
        } else {
            (1.0 - now) / (1.0 - back)
        })
    }

    /// All of it in one sentence.
    #[must_use]
    pub fn said(&self) -> String {
        let over = if self.kind == EdgeKind::Message { " over the bus" } else { "" };
        let version = self.subset.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
        let tried = self.tried.as_deref().map(|t| format!(", {t}")).unwrap_or_default();
        let failed = if self.failed { ", failed" } else { "" };
        let took = super::fine::duration_us(self.end_us - self.start_us);
        let status = match self.status.as_str() {
            "" => String::new(),
            status => format!(", {status}"),
        };
        format!(
            "{} to {}{version}{over}, {}{tried}, {took}{status}{failed}",
            self.from, self.to, self.what
        )
    }
}

/// Where a walk is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Microseconds from the start.
    pub at_us: f64,
    /// The span that began last.
    pub step: usize,
}

/// Microseconds as a number to compute with.
#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
pub(crate) fn us(at: i64) -> f64 {
    at as f64
}

impl Walk {
    /// The moment at which a span began.
    #[must_use]
    pub fn at_step(&self, step: usize) -> Moment {
        let step = step.min(self.steps.len().saturating_sub(1));
        Moment { at_us: self.steps.get(step).map_or(0.0, |step| us(step.start_us)), step }
    }

    /// The moment at which the span of that id began.
    #[must_use]
    pub fn at_span(&self, span_id: &str) -> Option<Moment> {
        let step = self.steps.iter().position(|step| step.span_id == span_id)?;
        Some(self.at_step(step))
    }

    /// A moment of the trace: its span is the one that began last.
    #[must_use]
    pub fn at_time(&self, at_us: f64) -> Moment {
        let at_us = at_us.clamp(0.0, us(self.length_us));
        let begun = self.steps.partition_point(|step| us(step.start_us) <= at_us);
        Moment { at_us, step: begun.saturating_sub(1) }
    }

    /// Where a walk goes on that was at a moment of `before`, the same trace when less of it was
    /// known: spans are told when they end, so that one that came since may have begun before the
    /// current one. Who looks at a span goes on looking at it; what plays goes on at its time.
    #[must_use]
    pub fn resumed(&self, before: &Self, moment: Moment, plays: bool) -> Moment {
        let looked_at = before.steps.get(moment.step).filter(|_| !plays);
        let stays = looked_at.and_then(|step| {
            let begun = self.at_span(&step.span_id)?;
            let within = (moment.at_us - us(step.start_us)).max(0.0);
            Some(Moment { at_us: begun.at_us + within, ..begun })
        });
        let earlier = us(before.start_us.saturating_sub(self.start_us));
        stays.unwrap_or_else(|| self.at_time(moment.at_us + earlier))
    }

    /// The next span.
    #[must_use]
    pub fn forward(&self, from: Moment) -> Moment {
        self.at_step(from.step.saturating_add(1))
    }

    /// The span before; from within a span first to its beginning.
    #[must_use]
    pub fn back(&self, from: Moment) -> Moment {
        let begun = self.at_step(from.step);
        if from.at_us > begun.at_us { begun } else { self.at_step(from.step.saturating_sub(1)) }
    }

    /// Whether it is at its end.
    #[must_use]
    pub fn is_over(&self, moment: Moment) -> bool {
        moment.at_us >= us(self.length_us)
    }

    /// The hops that are on their way, and how far; at most [`DOTS_MAX`].
    pub fn dots(&self, at_us: f64) -> impl Iterator<Item = (usize, f64)> + '_ {
        let ways = self.hops.iter().enumerate();
        ways.filter_map(move |(i, hop)| Some((i, hop.way(at_us)?))).take(DOTS_MAX)
    }

    /// Whether a service works at a moment: a span of it that is no call runs.
    #[must_use]
    pub fn works(&self, service: &str, at_us: f64) -> bool {
        let runs = |s: &Step| us(s.start_us) <= at_us && at_us < us(s.end_us.max(s.start_us + 1));
        self.steps.iter().any(|step| step.service == service && step.works() && runs(step))
    }

    /// Whether a service has a part in it.
    #[must_use]
    pub fn touches(&self, service: &str) -> bool {
        let bus = service == contract::service::BUS;
        self.steps.iter().any(|step| step.service == service)
            || self.hops.iter().any(|hop| {
                hop.from == service || hop.to == service || (bus && hop.kind == EdgeKind::Message)
            })
    }

    /// Whether it goes over the line between two nodes, either way.
    #[must_use]
    pub fn crosses(&self, from: &str, to: &str) -> bool {
        if to == contract::service::BUS {
            let over = |hop: &&Hop| hop.from == from || hop.to == from;
            return self.hops.iter().filter(over).any(|hop| hop.kind == EdgeKind::Message);
        }
        self.hops
            .iter()
            .filter(|hop| hop.kind != EdgeKind::Message)
            .any(|hop| (hop.from == from && hop.to == to) || (hop.from == to && hop.to == from))
    }

    /// Whether more of it may come at this time.
    #[must_use]
    pub fn runs(&self, now_us: i64) -> bool {
        let end_us = self.row.start_us.saturating_add(self.row.duration_us);
        self.row.runs(now_us) || now_us.saturating_sub(end_us) < SETTLED_US
    }
}

#[cfg(test)]
mod tests;
