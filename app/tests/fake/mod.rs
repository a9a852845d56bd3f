//! A host that answers with the design's reference scenario, for tests and for the preview.
//!
//! It is 14:34:20 on 1 March 2026, five minutes of range, sixty requests a second.
#![allow(dead_code, reason = "the preview and each test use a part of it")]

pub mod balance;
pub mod mesh;
pub mod routes;
pub mod scenario;
pub mod spans;
pub mod story;

use app::host::{Host, LivePort, ResiliencePort, ShopPort, TracePort, TrafficPort};
use async_trait::async_trait;
use contract::{
    ApiError, Money,
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
use std::sync::{Arc, Once};

/// Answers everything from one snapshot.
pub struct Fake {
    snapshot: LiveSnapshot,
    /// Gives no snapshot.
    silent: bool,
}

/// Sets the executor that resources run on; before any page is drawn. Once for a process: while
/// routes are listed no resource loads in all of it, and a page drawn beside waits for ever.
pub fn ready() {
    static READY: Once = Once::new();
    READY.call_once(|| drop(leptos_axum::generate_route_list(app::App)));
}

/// A host that shows a snapshot.
pub fn host(snapshot: LiveSnapshot) -> Host {
    of(Fake { snapshot, silent: false })
}

/// A host that has everything but a snapshot.
pub fn silent(snapshot: LiveSnapshot) -> Host {
    of(Fake { snapshot, silent: true })
}

fn of(fake: Fake) -> Host {
    let fake = Arc::new(fake);
    Host {
        shop: fake.clone(),
        live: fake.clone(),
        traces: fake.clone(),
        traffic: fake.clone(),
        resilience: fake,
    }
}

fn placed(order_id: &str, status: OrderStatus) -> PlacedOrder {
    PlacedOrder { order_id: order_id.into(), status, correlation_id: "c".into(), reason: None }
}

#[async_trait]
impl ShopPort for Fake {
    async fn products(&self) -> Result<Vec<ProductView>, ApiError> {
        let product = |id: &str, name: &str, minor| ProductView {
            product_id: id.into(),
            name: name.into(),
            price: Money::eur(minor),
        };
        Ok(vec![
            product("p-espresso", "Espresso machine", 14_990),
            product("p-cups", "Cups, set of four", 3_460),
            product("p-beans", "Beans, 1 kg", 2_150),
        ])
    }

    async fn customers(&self) -> Result<Vec<CustomerView>, ApiError> {
        let customer = |id: &str, name: &str, note: &str| CustomerView {
            user_id: id.into(),
            name: name.into(),
            note: note.into(),
        };
        Ok(vec![
            customer("c-1001", "Ada Byron", "comfortable"),
            customer("c-1042", "Karl Kahn", "has almost nothing"),
        ])
    }

    async fn place_order(&self, _: PlaceOrder, _: String) -> Result<PlacedOrder, ApiError> {
        Ok(placed("ord-7F4C30", OrderStatus::Processing))
    }

    async fn cancel_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        Ok(placed(&order_id, OrderStatus::Cancelled))
    }

    async fn ship_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        Ok(placed(&order_id, OrderStatus::Shipped))
    }

    async fn redrive_order(&self, order_id: String) -> Result<PlacedOrder, ApiError> {
        Ok(placed(&order_id, OrderStatus::Processing))
    }

    async fn orders(
        &self,
        status: Option<OrderStatus>,
        minutes: Option<u32>,
        _cursor: Option<String>,
    ) -> Result<OrderPage, ApiError> {
        let since_us = minutes.map_or(0, |m| self.snapshot.at_us - i64::from(m) * 60_000_000);
        let rows = self.snapshot.orders.iter().filter(|row| row.placed_at_us >= since_us);
        let rows = rows.filter(|row| status.is_none_or(|status| row.status == status));
        Ok(OrderPage { orders: rows.cloned().collect(), next: Some("older".into()) })
    }

    async fn order(&self, order_id: String) -> Result<OrderView, ApiError> {
        story::order(&order_id)
    }
}

#[async_trait]
impl LivePort for Fake {
    async fn snapshot(&self, _: String) -> Result<LiveSnapshot, ApiError> {
        match self.silent {
            true => Err(ApiError::Unavailable { reason: "No answer in time.".into() }),
            false => Ok(self.snapshot.clone()),
        }
    }

    async fn find(&self, _: String) -> Result<Vec<Hit>, ApiError> {
        Ok(Vec::new())
    }

    async fn logs(&self, service: String) -> Result<Vec<LogView>, ApiError> {
        Ok(vec![LogView {
            at_us: self.snapshot.at_us,
            message: format!("{service} took a request"),
            service,
            level: contract::trace::Level::Info,
            span_id: Some("00f067aa0ba902b7".into()),
            trace_id: Some("7c1e9a4f0b6d42e8a5f3c2d19b8e6047".into()),
            fields: Vec::new(),
        }])
    }

    async fn set_load(&self, load: LoadChange) -> Result<LoadView, ApiError> {
        Ok(LoadView::steady(load.per_second))
    }
}

#[async_trait]
impl TracePort for Fake {
    async fn search(&self, query: TraceQuery) -> Result<TraceList, ApiError> {
        Ok(spans::traces(&query))
    }

    async fn newer(&self, query: TraceQuery, after_us: i64) -> Result<usize, ApiError> {
        let rows = spans::traces(&query).rows;
        Ok(rows.iter().filter(|row| row.start_us > after_us).count())
    }

    async fn trace(&self, trace_id: String) -> Result<OpenTrace, ApiError> {
        let trace = spans::trace(&trace_id)?;
        let order_logs = trace.row.order_id.as_ref().map_or(0, |_| trace.logs.len());
        Ok(OpenTrace { trace, order_logs })
    }

    async fn export(&self) -> Result<ExportView, ApiError> {
        Ok(spans::export())
    }
}

#[async_trait]
impl TrafficPort for Fake {
    async fn page(
        &self,
        host: Option<String>,
        open: Option<String>,
    ) -> Result<TrafficView, ApiError> {
        routes::page(host.as_deref(), open.as_deref())
    }

    async fn draft(
        &self,
        _: String,
        yaml: String,
        _: Option<FormEdit>,
        _: String,
    ) -> Result<Draft, ApiError> {
        Ok(Draft { yaml, ..routes::applied() })
    }

    async fn change(&self, _: ChangeTraffic) -> Result<Applied, ApiError> {
        Err(ApiError::Conflict { reason: "r18 was applied elsewhere. Rebase or discard.".into() })
    }

    async fn set_faithful(&self, _: SetFaithful) -> Result<Applied, ApiError> {
        Ok(Applied::default())
    }

    async fn dry_run(&self, _: String, _: String) -> Result<DryRun, ApiError> {
        Ok(DryRun { requests: 1_000, changed: 37, ..DryRun::default() })
    }

    async fn probe(&self, _: String, _: String, _: ProbeRequest) -> Result<ProbeVerdict, ApiError> {
        Ok(ProbeVerdict { rules: Vec::new(), goes: Some("payments v2 100%".into()) })
    }

    async fn revision(&self, _: String, number: u64) -> Result<String, ApiError> {
        Ok(routes::text_at(number))
    }

    async fn balance(&self, host: String, asked: AskBalance) -> Result<BalanceView, ApiError> {
        balance::told(&host, asked)
    }
}

#[async_trait]
impl ResiliencePort for Fake {
    async fn page(&self) -> Result<ResilienceView, ApiError> {
        Ok(if self.snapshot.breakers.is_empty() { ResilienceView::default() } else { mesh::page() })
    }

    async fn expect(&self, fault: InjectFault) -> Result<Expectation, ApiError> {
        Ok(mesh::expectation(&fault))
    }

    async fn inject(&self, _: InjectFault) -> Result<FaultView, ApiError> {
        Err(ApiError::Conflict { reason: "Faults are held off: release them first.".into() })
    }

    async fn end_faults(&self, _: EndFaults) -> Result<FaultsView, ApiError> {
        Ok(FaultsView::default())
    }

    async fn change_breaker(&self, _: ChangeBreaker) -> Result<BreakerLine, ApiError> {
        Err(ApiError::NotFound { what: "breaker of that id".into() })
    }

    async fn what_if(&self, asked: TryThresholds) -> Result<WhatIfView, ApiError> {
        Ok(mesh::what_if(asked))
    }
}
