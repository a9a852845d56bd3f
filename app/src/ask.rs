//! How the pages reach the host: server functions under `/ui`, each a line over a port.
//!
//! On the server they run in place; in the browser they are a POST to this site.
#![expect(
    missing_docs,
    reason = "the macro writes a struct for each function; the functions are documented"
)]

use crate::{
    codec::{Json, JsonText},
    live::SnapshotPart,
};
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
    shop::{CustomerView, LoadShape, LoadView, PlaceOrder, PlacedOrder, ProductView},
    trace::{ExportView, LogView, OpenTrace, TraceList, TraceQuery},
    traffic::{
        Applied, ChangeTraffic, Draft, DryRun, FormEdit, ProbeRequest, ProbeVerdict, SetFaithful,
        TrafficView,
    },
};
use leptos::{
    prelude::*,
    server_fn::error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// [`ApiError`] on its way through a server function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AskError(pub ApiError);

impl From<ApiError> for AskError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromServerFnError for AskError {
    type Encoder = JsonText;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self(match error {
            ServerFnErrorErr::Request(_) => ApiError::Unavailable {
                reason: "Vitrine does not answer. Is it still running?".into(),
            },
            ServerFnErrorErr::Args(reason) | ServerFnErrorErr::MissingArg(reason) => {
                ApiError::Invalid { fields: vec![contract::FieldError::new("", reason)] }
            }
            other => ApiError::Internal { reason: other.to_string() },
        })
    }
}

/// The host of this request.
#[cfg(feature = "ssr")]
fn host() -> Result<crate::host::Host, AskError> {
    use_context().ok_or_else(|| {
        AskError(ApiError::Internal { reason: "The page was mounted without its host.".into() })
    })
}

/// What can be bought.
#[server(prefix = "/ui", endpoint = "products", output = Json)]
pub async fn products() -> Result<Vec<ProductView>, AskError> {
    Ok(host()?.shop.products().await?)
}

/// Who can buy.
#[server(prefix = "/ui", endpoint = "customers", output = Json)]
pub async fn customers() -> Result<Vec<CustomerView>, AskError> {
    Ok(host()?.shop.customers().await?)
}

/// Places an order.
#[server(
    name = AskPlaceOrder, prefix = "/ui", endpoint = "place-order",
    input = Json, output = Json
)]
pub async fn place_order(order: PlaceOrder, key: String) -> Result<PlacedOrder, AskError> {
    Ok(host()?.shop.place_order(order, key).await?)
}

/// Cancels an order.
#[server(prefix = "/ui", endpoint = "cancel-order", output = Json)]
pub async fn cancel_order(order_id: String) -> Result<PlacedOrder, AskError> {
    Ok(host()?.shop.cancel_order(order_id).await?)
}

/// Ships an order.
#[server(prefix = "/ui", endpoint = "ship-order", output = Json)]
pub async fn ship_order(order_id: String) -> Result<PlacedOrder, AskError> {
    Ok(host()?.shop.ship_order(order_id).await?)
}

/// Tries the compensation of a stuck order again.
#[server(prefix = "/ui", endpoint = "redrive-order", output = Json)]
pub async fn redrive_order(order_id: String) -> Result<PlacedOrder, AskError> {
    Ok(host()?.shop.redrive_order(order_id).await?)
}

/// One page of orders.
#[server(prefix = "/ui", endpoint = "orders", output = Json)]
pub async fn orders(
    status: Option<OrderStatus>,
    minutes: Option<u32>,
    cursor: Option<String>,
) -> Result<OrderPage, AskError> {
    Ok(host()?.shop.orders(status, minutes, cursor).await?)
}

/// Everything about one order.
#[server(prefix = "/ui", endpoint = "order", output = Json)]
pub async fn order(order_id: String) -> Result<OrderView, AskError> {
    Ok(host()?.shop.order(order_id).await?)
}

/// State of everything that is live, or as much of it as a page shows.
#[server(prefix = "/ui", endpoint = "snapshot", input = Json, output = Json)]
pub async fn snapshot(part: SnapshotPart) -> Result<LiveSnapshot, AskError> {
    let service = part.service().to_owned();
    Ok(part.of(host()?.live.snapshot(service).await?))
}

/// Sets the load generator; what is not named stays as it is.
#[server(prefix = "/ui", endpoint = "set-load", output = Json)]
pub async fn set_load(
    per_second: f64,
    shape: Option<LoadShape>,
    orders_percent: Option<u8>,
) -> Result<LoadView, AskError> {
    let load = contract::shop::LoadChange { per_second, shape, orders_percent };
    Ok(host()?.live.set_load(load).await?)
}

/// Orders, traces, customers and products that a text names.
#[server(prefix = "/ui", endpoint = "find", output = Json)]
pub async fn find(text: String) -> Result<Vec<Hit>, AskError> {
    Ok(host()?.live.find(text).await?)
}

/// The newest log lines of a service, oldest first.
#[server(prefix = "/ui", endpoint = "logs", output = Json)]
pub async fn logs(service: String) -> Result<Vec<LogView>, AskError> {
    Ok(host()?.live.logs(service).await?)
}

/// Traces that match.
#[server(prefix = "/ui", endpoint = "traces", input = Json, output = Json)]
pub async fn search_traces(query: TraceQuery) -> Result<TraceList, AskError> {
    Ok(host()?.traces.search(query).await?)
}

/// How many traces match and began after a moment.
#[server(prefix = "/ui", endpoint = "newer-traces", input = Json)]
pub async fn newer_traces(query: TraceQuery, after_us: i64) -> Result<usize, AskError> {
    Ok(host()?.traces.newer(query, after_us).await?)
}

/// One whole trace.
#[server(prefix = "/ui", endpoint = "trace", output = Json)]
pub async fn trace(trace_id: String) -> Result<OpenTrace, AskError> {
    Ok(host()?.traces.trace(trace_id).await?)
}

/// One trace as a walk over the map, as text: of the files that the browser loads only the one that
/// draws it reads it.
#[server(prefix = "/ui", endpoint = "trace-walk", output = Json)]
pub async fn trace_walk(trace_id: String) -> Result<String, AskError> {
    let open = host()?.traces.trace(trace_id).await?;
    let walk = crate::model::walk::of(&open.trace);
    serde_json::to_string(&walk)
        .map_err(|error| AskError(ApiError::Internal { reason: error.to_string() }))
}

/// How the export to a collector is doing.
#[server(prefix = "/ui", endpoint = "export-health", output = Json)]
pub async fn export_health() -> Result<ExportView, AskError> {
    Ok(host()?.traces.export().await?)
}

/// Every host that can be routed, and the editor of one.
#[server(prefix = "/ui", endpoint = "traffic", input = Json)]
pub async fn traffic(name: Option<String>, open: Option<String>) -> Result<TrafficView, AskError> {
    Ok(host()?.traffic.page(name, open).await?)
}

/// What a text says, with other controls written into it first.
#[server(name = AskDraft, prefix = "/ui", endpoint = "draft", input = Json)]
pub async fn draft(
    name: String,
    yaml: String,
    edit: Option<FormEdit>,
    service: String,
) -> Result<Draft, AskError> {
    Ok(host()?.traffic.draft(name, yaml, edit, service).await?)
}

/// Applies a text or brings an old revision back.
#[server(name = AskChangeTraffic, prefix = "/ui", endpoint = "change-traffic", input = Json)]
pub async fn change_traffic(command: ChangeTraffic) -> Result<Applied, AskError> {
    Ok(host()?.traffic.change(command).await?)
}

/// Switches a rule to Istio's own behaviour under faults, or back.
#[server(name = AskSetFaithful, prefix = "/ui", endpoint = "set-faithful", input = Json)]
pub async fn set_faithful(command: SetFaithful) -> Result<Applied, AskError> {
    Ok(host()?.traffic.set_faithful(command).await?)
}

/// Tries a text on recorded requests.
#[server(name = AskDryRun, prefix = "/ui", endpoint = "dry-run", input = Json)]
pub async fn dry_run(name: String, yaml: String) -> Result<DryRun, AskError> {
    Ok(host()?.traffic.dry_run(name, yaml).await?)
}

/// Which rule a request would hit.
#[server(prefix = "/ui", endpoint = "probe", input = Json)]
pub async fn probe(
    name: String,
    yaml: String,
    request: ProbeRequest,
) -> Result<ProbeVerdict, AskError> {
    Ok(host()?.traffic.probe(name, yaml, request).await?)
}

/// A host's text at a revision.
#[server(prefix = "/ui", endpoint = "revision")]
pub async fn revision(name: String, number: u64) -> Result<String, AskError> {
    Ok(host()?.traffic.revision(name, number).await?)
}

/// How calls to a host's instances are balanced.
#[server(name = AskHowBalanced, prefix = "/ui", endpoint = "balance", input = Json)]
pub async fn balance(name: String, asked: AskBalance) -> Result<BalanceView, AskError> {
    Ok(host()?.traffic.balance(name, asked).await?)
}

/// Breakers, endpoints, layers.
#[server(prefix = "/ui", endpoint = "resilience")]
pub async fn resilience() -> Result<ResilienceView, AskError> {
    Ok(host()?.resilience.page().await?)
}

/// What a fault would do.
#[server(prefix = "/ui", endpoint = "expect-fault", input = Json)]
pub async fn expect_fault(fault: InjectFault) -> Result<Expectation, AskError> {
    Ok(host()?.resilience.expect(fault).await?)
}

/// Injects a fault.
#[server(name = AskInjectFault, prefix = "/ui", endpoint = "inject-fault", input = Json)]
pub async fn inject_fault(fault: InjectFault) -> Result<FaultView, AskError> {
    Ok(host()?.resilience.inject(fault).await?)
}

/// Ends faults, or lets them be injected again.
#[server(name = AskEndFaults, prefix = "/ui", endpoint = "end-faults", input = Json)]
pub async fn end_faults(command: EndFaults) -> Result<FaultsView, AskError> {
    Ok(host()?.resilience.end_faults(command).await?)
}

/// Forces or resets a breaker, or changes its thresholds.
#[server(name = AskChangeBreaker, prefix = "/ui", endpoint = "change-breaker", input = Json)]
pub async fn change_breaker(command: ChangeBreaker) -> Result<BreakerLine, AskError> {
    Ok(host()?.resilience.change_breaker(command).await?)
}

/// What a breaker would have done with other thresholds.
#[server(name = AskWhatIf, prefix = "/ui", endpoint = "what-if", input = Json)]
pub async fn what_if(asked: TryThresholds) -> Result<WhatIfView, AskError> {
    Ok(host()?.resilience.what_if(asked).await?)
}
