//! Wires the shop: databases, mesh, services, relays, and the tasks that keep them going.

use crate::{
    instances::Parts,
    retention::{KEEP, Retention},
};
use base::{Clock, IdSource, Supervisor};
use contract::service;
use mesh::{BreakerParams, Mesh};
use messaging::{Bus, EmbeddedBus, Outbox, Relay, RelayStatus};
use shop::{
    StoreError, bank, bus::MeshDelivery, load::LoadGenerator, orders::Orders, payments::Payments,
};
use std::{io, sync::Arc, time::Duration};
use storage::Stores;
use tokio_util::sync::CancellationToken;

/// As often as the shortest interval between sweeps that makes sense to look at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The running shop, for whoever serves or shows it.
#[derive(Clone)]
pub struct Shop {
    /// How to reach every service.
    pub mesh: Mesh,
    /// For changes of the read model.
    pub orders: Orders,
    /// The crowd of customers.
    pub load: LoadGenerator,
    /// The databases, for facts the page shows about them.
    pub stores: Arc<Stores>,
    /// For the number of payments under way.
    pub payments: Payments,
    /// What forgets, for the number of rows that went.
    pub retention: Retention,
    /// What the relays are doing.
    pub relays: [RelayStatus; 3],
    /// Time.
    pub clock: Clock,
    /// Ids.
    pub ids: IdSource,
    /// When this run began: before anything that a stop left unfinished went on.
    pub started_us: i64,
}

/// Why the shop does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What a stop left unfinished cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The external payment provider has no port of this machine to listen on.
    #[error("the payment provider cannot listen: {0}")]
    Provider(io::Error),
}

impl Shop {
    /// Registers every service. Nothing calls any of them yet: what is configured for the mesh has
    /// to be in force before [`Self::go`].
    ///
    /// # Errors
    /// When the payment provider has no port.
    pub async fn assemble(
        stores: Stores,
        supervisor: &Supervisor,
        clock: Clock,
        ids: IdSource,
    ) -> Result<Self, StartError> {
        let started_us = clock.now_us();
        let stores = Arc::new(stores);
        let seed = ids.below(u64::MAX);
        let mesh = Mesh::seeded(clock.clone(), BreakerParams::default(), seed);
        let orders = Orders::new(
            stores.orders.clone(),
            mesh.caller(service::ORDERS),
            supervisor.clone(),
            // Each draws from a sequence of its own: what one draws changes nothing for another.
            ids.fork(),
            clock.clone(),
        );
        let payments = Payments::new(
            stores.payments.clone(),
            mesh.caller(service::PAYMENTS),
            supervisor.clone(),
            clock.clone(),
        );
        let gateway_ids = ids.fork();
        let parts = Parts {
            mesh: &mesh,
            stores: &stores,
            orders: &orders,
            payments: &payments,
            ids: &gateway_ids,
        };
        parts.register();
        let provider = parts.start_provider(supervisor).await.map_err(StartError::Provider)?;
        tracing::info!("the payment provider listens at {provider}");
        let load = LoadGenerator::new(mesh.caller(service::LOAD), ids.fork());
        let relays = Default::default();
        let retention = Retention::new(stores.clone(), orders.clone(), clock.clone(), KEEP)
            .counting(&outboxes(&stores, &relays));
        Ok(Self { mesh, orders, load, stores, payments, retention, relays, clock, ids, started_us })
    }

    /// Starts every task; what a stop left unfinished goes on. Everything from here on is a call
    /// through the mesh, under the policy that is in force.
    ///
    /// # Errors
    /// When the transactions left unfinished cannot be read.
    pub async fn go(&self, supervisor: &Supervisor) -> Result<(), StartError> {
        // Before the relays: a message that comes again finds what it began under way.
        let recovered = self.payments.recover().await?;
        if recovered > 0 {
            tracing::info!("{recovered} transactions that a stop left unfinished go on");
        }
        self.spawn_tasks(supervisor);
        Ok(())
    }

    /// The outboxes, each with what its relay is doing.
    #[must_use]
    pub fn outboxes(&self) -> [(Arc<dyn Outbox>, RelayStatus); 3] {
        outboxes(&self.stores, &self.relays)
    }

    fn spawn_tasks(&self, supervisor: &Supervisor) {
        let stop = || supervisor.stopping();
        let delivery = Arc::new(MeshDelivery::new(self.mesh.clone(), self.clock.clone()));
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(shop::BINDINGS, delivery));
        let names = ["relay-orders", "relay-inventory", "relay-payments"];
        for (name, (outbox, status)) in names.into_iter().zip(self.outboxes()) {
            let relay = Relay { outbox, bus: bus.clone(), healed: self.mesh.healed(), status };
            supervisor.spawn(name, relay.run(stop()));
        }
        let (stores, stopping) = (self.stores.clone(), stop());
        supervisor.spawn("databases", async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = stores.lost() => {}
            }
        });
        supervisor.spawn("orders-projection", self.orders.clone().keep_projection(stop()));
        supervisor.spawn("orders-patience", self.orders.clone().keep_patience(stop()));
        let banks = [
            ("bank-customer-doubts", service::BANK_CUSTOMER, &self.stores.bank_customer),
            ("bank-merchant-doubts", service::BANK_MERCHANT, &self.stores.bank_merchant),
        ];
        for (task, name, store) in banks {
            let (store, mesh, clock) = (store.clone(), self.mesh.clone(), self.clock.clone());
            let doubts = bank::resolve_doubts(name, store, mesh, clock, stop());
            supervisor.spawn(task, doubts);
        }
        supervisor.spawn("load", self.load.clone().run(supervisor.clone(), stop()));
        supervisor.spawn("supply", self.load.clone().supply(stop()));
        supervisor.spawn("retention", self.retention.clone().run(stop()));
        supervisor.spawn("mesh-sweep", sweep(self.mesh.clone(), stop()));
    }
}

fn outboxes(stores: &Stores, relays: &[RelayStatus; 3]) -> [(Arc<dyn Outbox>, RelayStatus); 3] {
    let [orders, inventory, payments] = relays.clone();
    [
        (stores.orders.outbox(), orders),
        (stores.inventory.outbox(), inventory),
        (stores.payments.outbox(), payments),
    ]
}

/// Endpoints that were ejected return, and are told of, although nobody calls them.
async fn sweep(mesh: Mesh, stop: CancellationToken) {
    let mut second = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = second.tick() => mesh.sweep(),
        }
    }
}
