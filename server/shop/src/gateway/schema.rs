//! Shapes of the API that its handlers take from elsewhere (types the browser shares, strictly read
//! JSON), written down for the OpenAPI document. Nothing is made of them: a test holds live answers
//! against the document, so that it cannot say something else than the API does.
#![expect(dead_code, reason = "they describe, and are never made")]

use utoipa::ToSchema;

/// An answer that says what the problem is (RFC 9457).
#[derive(ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: the status says what kind it is (RFC 9457, section 4.2.1).
    #[schema(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// HTTP status.
    status: u16,
    /// What happened here and what to do about it.
    detail: String,
    /// Every bad field, if fields are the problem.
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

/// An amount of money in minor units.
#[derive(ToSchema)]
pub(crate) struct Money {
    /// Cents of EUR.
    minor: i64,
    /// ISO 4217.
    currency: Currency,
}

/// ISO 4217 currencies the shop trades in.
#[derive(ToSchema)]
pub(crate) enum Currency {
    /// Euro.
    #[schema(rename = "EUR")]
    Eur,
}

/// Where an order is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum OrderStatus {
    /// The saga runs.
    Processing,
    /// Stock reserved, money moved.
    Confirmed,
    /// Ended without effect; every completed step was undone.
    Cancelled,
    /// Confirmed and sent.
    Shipped,
}

/// Where the money for an order comes from.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum PaymentMethod {
    /// The customer's account at the customers' bank.
    Wallet,
    /// The customer's card, charged by the external payment provider.
    Card,
    /// A direct debit, which the same provider collects.
    Debit,
}

/// An order to place. Prices come from the catalog, never from the client.
#[derive(ToSchema)]
pub(crate) struct PlaceOrder {
    /// Who buys.
    #[schema(min_length = 1, max_length = 64, example = "c-1001")]
    user_id: String,
    /// What, each product once.
    #[schema(min_items = 1, max_items = 50)]
    items: Vec<BasketLine>,
    /// Where the money comes from; the wallet if it is not said.
    payment_method: Option<PaymentMethod>,
}

/// One line of an order to place.
#[derive(ToSchema)]
pub(crate) struct BasketLine {
    /// Which product.
    #[schema(min_length = 1, max_length = 64, example = "p-moka")]
    product_id: String,
    /// How many.
    #[schema(minimum = 1, maximum = 100, example = 1)]
    quantity: u32,
}

/// A command that was accepted.
#[derive(ToSchema)]
pub(crate) struct Accepted {
    /// Which order.
    order_id: String,
    /// Where it is.
    status: OrderStatus,
    /// On every event and log line of this order.
    correlation_id: String,
    /// Why it was cancelled, where it has been: `payment_declined` (a bank or the card's provider
    /// said no), `payment_unavailable` (one gave no answer: it can be tried again later),
    /// `payment_timed_out`, `out_of_stock`, `requested`.
    reason: Option<String>,
}

/// One line of an order, with the name and price it was placed at.
#[derive(ToSchema)]
pub(crate) struct Line {
    /// Which product.
    product_id: String,
    /// Its name then.
    name: String,
    /// How many.
    quantity: u32,
    /// Price of one then.
    unit_price: Money,
}

/// A page of orders, newest first.
#[derive(ToSchema)]
pub(crate) struct OrderPage {
    /// The orders.
    orders: Vec<OrderRow>,
    /// Pass as `cursor` for the next page; null at the end.
    next: Option<String>,
}

/// One order of a list.
#[derive(ToSchema)]
pub(crate) struct OrderRow {
    /// `ord-…`.
    order_id: String,
    /// On every event and log line of this order.
    correlation_id: String,
    /// Who bought.
    user_id: String,
    /// What it costs.
    total: Money,
    /// Where it is.
    status: OrderStatus,
    /// The word for people: "Reserving stock", "Paying", "Confirmed".
    phase: String,
    /// Reserve, pay, confirm.
    #[schema(min_items = 3, max_items = 3)]
    steps: Vec<StepMark>,
    /// When it was placed, microseconds since the epoch.
    placed_at_us: i64,
    /// Time from placed to its end, microseconds, once it has one.
    took_us: Option<i64>,
    /// Who placed it.
    origin: Origin,
    /// Version of its last event.
    version: u64,
}

/// How far a step of an order's saga is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum StepMark {
    /// Not begun.
    NotReached,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Refused.
    Failed,
    /// Done and undone.
    Undone,
    /// It cannot be undone without a person.
    Stuck,
    /// Not answered in time: whether it had an effect is not known.
    Unknown,
}

/// Who placed an order.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// A person at the dashboard.
    Browser,
    /// The load generator.
    Load,
    /// A program at this API.
    Api,
}

/// One payment or refund.
#[derive(ToSchema)]
pub(crate) struct Payment {
    /// `tx-…`.
    transaction_id: String,
    /// What it is about.
    order_id: String,
    /// `payment` or `refund`.
    purpose: String,
    /// How much.
    amount: Money,
    /// Where its two-phase commit is.
    phase: Phase,
    /// When it began, microseconds since the epoch.
    at_us: i64,
    /// How unusual it is for the customer, 0 to 100. Version 2 of payments.
    #[schema(required = false, nullable = false)]
    risk_score: Option<u8>,
}

/// Where a two-phase commit is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Nothing happened yet.
    NotBegun,
    /// Votes are awaited.
    Preparing,
    /// Acknowledgements of commit are awaited.
    Committing,
    /// Everybody committed.
    Committed,
    /// Acknowledgements of abort are awaited.
    Aborting,
    /// Everybody aborted.
    Aborted,
}

/// One bad field of a request.
#[derive(ToSchema)]
pub(crate) struct FieldError {
    /// JSON pointer of the field (RFC 6901), or the name of a parameter or header.
    field: String,
    /// What is wrong and what would be right.
    reason: String,
}
