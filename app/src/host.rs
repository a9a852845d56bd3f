//! What the pages ask of whoever serves them: one small port per domain, gathered in [`Host`].
//!
//! The dashboard never names an engine. The server implements the ports; tests implement them
//! with a fake. Only the server side has a host: the browser reaches it through [`crate::ask`].

use async_trait::async_trait;
use contract::{
    ApiError,
    balance::{AskBalance, BalanceView},
    find::Hit,
    live::LiveSnapshot,
    order::{OrderPage, OrderStatus, OrderView},
    resilience::{
        BreakerLine, ChangeBreaker, EndFaults, Expectation, FaultView, FaultsView, InjectFault,
        ResilienceView, TryThresholds, WhatIfView,
    },
    shop::{CustomerView, LoadChange, LoadView, PlaceOrder, PlacedOrder, ProductView},
    trace::{ExportView, LogView, OpenTrace, TraceList, TraceQuery},
    traffic::{
        Applied, ChangeTraffic, Draft, DryRun, FormEdit, ProbeRequest, ProbeVerdict, SetFaithful,
        TrafficView,
    },
};
use std::sync::Arc;

/// The shop, as somebody at the page uses it.
#[async_trait]
pub trait ShopPort: Send + Sync {
    /// What can be bought.
    async fn products(&self) -> Result<Vec<ProductView>, ApiError>;
    /// Who can buy.
    async fn customers(&self) -> Result<Vec<CustomerView>, ApiError>;
    /// Places an order through the gateway; the same key gives the first answer again.
    async fn place_order(&self, order: PlaceOrder, key: String) -> Result<PlacedOrder, ApiError>;
    /// Cancels an order through the gateway.
    async fn cancel_order(&self, order_id: String) -> Result<PlacedOrder, ApiError>;
    /// Ships a confirmed order through the gateway.
    async fn ship_order(&self, order_id: String) -> Result<PlacedOrder, ApiError>;
    /// Tries the compensation of a stuck order again, through the gateway.
    async fn redrive_order(&self, order_id: String) -> Result<PlacedOrder, ApiError>;
    /// One page of orders, newest first; with `minutes` only those placed in that time.
    async fn orders(
        &self,
        status: Option<OrderStatus>,
        minutes: Option<u32>,
        cursor: Option<String>,
    ) -> Result<OrderPage, ApiError>;
    /// Everything about one order.
    async fn order(&self, order_id: String) -> Result<OrderView, ApiError>;
}

/// The live page and the load generator.
#[async_trait]
pub trait LivePort: Send + Sync {
    /// State of everything now, with the charts of a service.
    async fn snapshot(&self, of: String) -> Result<LiveSnapshot, ApiError>;
    /// Sets the load: 0 to [`contract::shop::LOAD_MAX_PER_SECOND`] requests per second.
    async fn set_load(&self, load: LoadChange) -> Result<LoadView, ApiError>;
    /// Orders, traces, customers and products that a text names.
    async fn find(&self, text: String) -> Result<Vec<Hit>, ApiError>;
    /// The newest log lines of a service, oldest first.
    async fn logs(&self, service: String) -> Result<Vec<LogView>, ApiError>;
}

/// Traces.
#[async_trait]
pub trait TracePort: Send + Sync {
    /// Traces that match, newest first.
    async fn search(&self, query: TraceQuery) -> Result<TraceList, ApiError>;
    /// How many traces match and began after a moment.
    async fn newer(&self, query: TraceQuery, after_us: i64) -> Result<usize, ApiError>;
    /// One whole trace.
    async fn trace(&self, trace_id: String) -> Result<OpenTrace, ApiError>;
    /// How the export to a collector is doing, and where its pages are.
    async fn export(&self) -> Result<ExportView, ApiError>;
}

/// Routing: Istio resources as forms and text.
///
/// The text is the truth of a draft: forms are made from it and written back into it, and nothing
/// but [`TrafficPort::change`] touches what is in force.
#[async_trait]
pub trait TrafficPort: Send + Sync {
    /// Every host that can be routed, and the editor of one if one is named. `open` is the
    /// `VirtualService` that has the editor's controls, by its title, or on the page of all hosts
    /// the resource whose YAML is shown, as `KIND/NAMESPACE/NAME`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if nothing answers to that name.
    async fn page(
        &self,
        host: Option<String>,
        open: Option<String>,
    ) -> Result<TrafficView, ApiError>;
    /// What a text says: the controls of its `VirtualService` of the title `service`, and what
    /// validation finds. With `edit`, what the controls changed is written into the text first;
    /// everything else stays in it.
    ///
    /// A text that cannot be read is no error: it comes back without controls and with findings.
    async fn draft(
        &self,
        host: String,
        yaml: String,
        edit: Option<FormEdit>,
        service: String,
    ) -> Result<Draft, ApiError>;
    /// Applies a text, or brings an old revision back. With errors in the text nothing changes and
    /// they are in the answer.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] if another revision than the command's base is in force.
    async fn change(&self, command: ChangeTraffic) -> Result<Applied, ApiError>;
    /// Switches a rule to Istio's own behaviour under faults, or back: a revision of its own.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there is no such resource or rule.
    async fn set_faithful(&self, command: SetFaithful) -> Result<Applied, ApiError>;
    /// Tries a text on the last recorded requests.
    async fn dry_run(&self, host: String, yaml: String) -> Result<DryRun, ApiError>;
    /// Which rule of a text a request would hit.
    async fn probe(
        &self,
        host: String,
        yaml: String,
        request: ProbeRequest,
    ) -> Result<ProbeVerdict, ApiError>;
    /// The host's text at a revision; empty if it had none.
    async fn revision(&self, host: String, number: u64) -> Result<String, ApiError>;
    /// How calls to a pool of the host's instances are balanced.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there is no such host, pool or instance.
    async fn balance(&self, host: String, asked: AskBalance) -> Result<BalanceView, ApiError>;
}

/// Breakers, endpoints and faults.
#[async_trait]
pub trait ResiliencePort: Send + Sync {
    /// Breakers with their windows and history, endpoints, and the layers of each edge. Faults,
    /// the strip of endpoints and one line per breaker are in the live snapshot.
    async fn page(&self) -> Result<ResilienceView, ApiError>;
    /// What a fault would do, before it is injected.
    async fn expect(&self, fault: InjectFault) -> Result<Expectation, ApiError>;
    /// Injects a fault.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] while the kill switch holds faults off, [`ApiError::Invalid`] with
    /// the fields of [`InjectFault`] by name.
    async fn inject(&self, fault: InjectFault) -> Result<FaultView, ApiError>;
    /// Ends one fault or all, or lets them be injected again.
    async fn end_faults(&self, command: EndFaults) -> Result<FaultsView, ApiError>;
    /// Forces or resets a breaker, or changes its thresholds.
    async fn change_breaker(&self, command: ChangeBreaker) -> Result<BreakerLine, ApiError>;
    /// What a breaker would have done with other thresholds and its recorded calls.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] with the fields of the thresholds by name.
    async fn what_if(&self, asked: TryThresholds) -> Result<WhatIfView, ApiError>;
}

/// Every port, cheap to clone, given to each request as context.
#[derive(Clone)]
pub struct Host {
    /// The shop.
    pub shop: Arc<dyn ShopPort>,
    /// The live page.
    pub live: Arc<dyn LivePort>,
    /// Traces.
    pub traces: Arc<dyn TracePort>,
    /// Routing.
    pub traffic: Arc<dyn TrafficPort>,
    /// Breakers, endpoints and faults.
    pub resilience: Arc<dyn ResiliencePort>,
}
