//! An order as pages see it: the row of the feed, the list, and the one page that tells its story.

use crate::{
    ApiError, Money,
    saga::SagaView,
    trace::{LogView, TraceRow, TraceView},
    transaction::TransactionView,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The four states the API speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// The saga runs.
    Processing,
    /// Stock reserved, money moved.
    Confirmed,
    /// Ended without effect; every completed step was undone.
    Cancelled,
    /// Confirmed and sent.
    Shipped,
}

impl OrderStatus {
    /// The word in the API: `processing`, `confirmed`, `cancelled`, `shipped`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Shipped => "shipped",
        }
    }

    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Processing, Self::Confirmed, Self::Cancelled, Self::Shipped]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who placed an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A person at the page ("Yours").
    Browser,
    /// The load generator.
    Load,
    /// A program at the public API.
    Api,
}

impl Origin {
    /// The word in events and on spans: `browser`, `load`, `api`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Load => "load",
            Self::Api => "api",
        }
    }
}

/// How far one forward step of the saga is, for the mini stepper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepMark {
    /// Outline.
    NotReached,
    /// Partly filled.
    Running,
    /// Filled.
    Done,
    /// Cross.
    Failed,
    /// Hatched.
    Undone,
    /// A compensation that needs a person.
    Stuck,
    /// Not answered in time: whether it had an effect is not known.
    Unknown,
}

/// One row of the feed and of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// `ord-…`.
    pub order_id: String,
    /// Who bought.
    pub user_id: String,
    /// What it costs.
    pub total: Money,
    /// The API's status.
    pub status: OrderStatus,
    /// The word for people: "Reserving stock", "Paying", "Confirmed", "Payment declined".
    pub phase: String,
    /// Reserve, pay, confirm.
    pub steps: [StepMark; 3],
    /// When it was placed.
    pub placed_at_us: i64,
    /// Time from placed to its end, once it has one (shipping does not count).
    pub took_us: Option<i64>,
    /// Who placed it.
    pub origin: Origin,
    /// Version of the last event seen in this row; a row of a lower version is stale.
    pub version: u64,
}

/// One page of the list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPage {
    /// The rows.
    pub orders: Vec<OrderRow>,
    /// Pass as `cursor` for the next page; none at the end.
    pub next: Option<String>,
}

/// One line of an order with the price it was placed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLineView {
    /// Which product.
    pub product_id: String,
    /// Its name when the order was placed.
    pub name: String,
    /// How many.
    pub quantity: u32,
    /// Price of one when the order was placed.
    pub unit_price: Money,
}

/// One event of the order's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// 1, 2, 3 … without gaps.
    pub version: u64,
    /// `OrderPlaced`, `StockReserved` …
    pub name: String,
    /// When it was recorded.
    pub at_us: i64,
    /// One line: "2 items, €184.50, customer c-1042".
    pub summary: String,
    /// The event's data, pretty-printed JSON.
    pub json: String,
}

/// The order rebuilt from its events 1 to `version`: what the scrubber shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStateView {
    /// Replayed up to here.
    pub version: u64,
    /// Name and value, in reading order: status, reservation, payment …
    pub facts: Vec<(String, String)>,
}

/// A part of a page that can fail alone: the others are shown all the same.
pub type Part<T> = Result<T, ApiError>;

/// One trace that an order is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTrace {
    /// 32 hex digits.
    pub trace_id: String,
    /// Its row, if it is still kept.
    pub row: Option<TraceRow>,
}

/// Everything about one order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderView {
    /// The row as in lists.
    pub row: OrderRow,
    /// One sentence of outcome and cause: "Payment declined: bank-customer voted no (insufficient
    /// funds). Stock was released and no money moved."
    pub sentence: String,
    /// Customer's name, as users tells it now.
    pub customer: Part<String>,
    /// What was bought.
    pub lines: Vec<OrderLineView>,
    /// Where the money comes from.
    pub payment_method: crate::shop::PaymentMethod,
    /// On every event and log line.
    pub correlation_id: String,
    /// The trace of the request that placed it.
    pub trace_id: Option<String>,
    /// Every trace of the order, oldest first: a later command (a cancellation) has its own.
    #[serde(default)]
    pub traces: Vec<OrderTrace>,
    /// When it was placed; offsets on the page count from here. What led to it is before that.
    pub zero_us: i64,
    /// The stream.
    pub events: Vec<EventView>,
    /// The state after each event, same order.
    pub states: Vec<OrderStateView>,
    /// The saga.
    pub saga: Option<SagaView>,
    /// The two-phase commits, oldest first (payment, then refund if any), as payments tells them.
    pub transactions: Part<Vec<TransactionView>>,
    /// The trace, if it is still kept.
    pub trace: Option<TraceView>,
    /// Log lines of this order from all services, oldest first.
    pub logs: Vec<LogView>,
    /// Lines of this order from before then are not kept any more, if there were any.
    #[serde(default)]
    pub logs_left_until_us: Option<i64>,
    /// May be cancelled now.
    pub can_cancel: bool,
    /// May be shipped now.
    pub can_ship: bool,
    /// Its compensation is stuck and may be tried again.
    pub can_redrive: bool,
}

impl OrderView {
    /// Whether one of its traces is still kept, and can be opened.
    #[must_use]
    pub fn keeps(&self, trace_id: &str) -> bool {
        self.traces.iter().any(|trace| trace.trace_id == trace_id && trace.row.is_some())
    }
}
