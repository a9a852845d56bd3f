//! Wires the shop: databases, mesh, services, relays, and the tasks that keep them going.

use base::{Clock, IdSource, Supervisor};
use contract::service;
use mesh::{BreakerParams, Mesh};
use messaging::{Bus, EmbeddedBus, Outbox, Relay, RelayStatus};
use shop::{
    StoreError, bank, bus::MeshDelivery, catalog, gateway, inventory, load::LoadGenerator, orders,
    orders::Orders, payments, payments::Payments, recommendations, users,
};
use std::sync::Arc;
use storage::Stores;

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
    /// What the relays are doing.
    pub relays: [RelayStatus; 3],
    /// Time.
    pub clock: Clock,
    /// Ids.
    pub ids: IdSource,
}

impl Shop {
    /// Registers every service and starts every task; what a crash left unfinished goes on.
    ///
    /// # Errors
    /// When the transactions left unfinished cannot be read.
    pub async fn start(
        stores: Stores,
        supervisor: &Supervisor,
        clock: Clock,
        ids: IdSource,
    ) -> Result<Self, StoreError> {
        let stores = Arc::new(stores);
        let mesh = Mesh::new(clock.clone(), BreakerParams::default());
        let orders = Orders::new(
            stores.orders.clone(),
            mesh.caller(service::ORDERS),
            supervisor.clone(),
            ids.clone(),
        );
        let payments = Payments::new(
            stores.payments.clone(),
            mesh.caller(service::PAYMENTS),
            supervisor.clone(),
            clock.clone(),
        );
        register(&mesh, &stores, &orders, &payments, &ids);
        let load = LoadGenerator::new(mesh.caller(service::LOAD), ids.clone());
        let shop = Self { mesh, orders, load, stores, relays: Default::default(), clock, ids };
        // Before the relays: a message that comes again finds what it began under way.
        let recovered = payments.recover().await?;
        if recovered > 0 {
            tracing::info!("{recovered} transactions that a stop left unfinished go on");
        }
        shop.spawn_tasks(supervisor);
        Ok(shop)
    }

    fn spawn_tasks(&self, supervisor: &Supervisor) {
        let stop = || supervisor.stopping();
        let delivery = Arc::new(MeshDelivery::new(self.mesh.clone(), self.clock.clone()));
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(shop::BINDINGS, delivery));
        let outboxes: [(&'static str, Arc<dyn Outbox>); 3] = [
            ("relay-orders", self.stores.orders.outbox()),
            ("relay-inventory", self.stores.inventory.outbox()),
            ("relay-payments", self.stores.payments.outbox()),
        ];
        for ((name, outbox), status) in outboxes.into_iter().zip(&self.relays) {
            let relay = Relay { outbox, bus: bus.clone(), status: status.clone() };
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
        let banks = [
            ("bank-customer-doubts", service::BANK_CUSTOMER, &self.stores.bank_customer),
            ("bank-merchant-doubts", service::BANK_MERCHANT, &self.stores.bank_merchant),
        ];
        for (task, name, store) in banks {
            let caller = self.mesh.caller(name);
            let doubts =
                bank::resolve_doubts(name, store.clone(), caller, self.clock.clone(), stop());
            supervisor.spawn(task, doubts);
        }
        supervisor.spawn("load", self.load.clone().run(supervisor.clone(), stop()));
        supervisor.spawn("supply", self.load.clone().supply(stop()));
    }
}

fn register(mesh: &Mesh, stores: &Stores, orders: &Orders, payments: &Payments, ids: &IdSource) {
    mesh.register(service::CATALOG, catalog::router(stores.catalog.clone()));
    mesh.register(service::USERS, users::router(stores.users.clone()));
    mesh.register(
        service::RECOMMENDATIONS,
        recommendations::router(stores.recommendations.clone()),
    );
    mesh.register(service::INVENTORY, inventory::router(stores.inventory.clone()));
    mesh.register(service::ORDERS, orders::router(orders.clone()));
    mesh.register(service::PAYMENTS, payments::router(payments.clone()));
    mesh.register(service::BANK_CUSTOMER, bank::router(stores.bank_customer.clone()));
    mesh.register(service::BANK_MERCHANT, bank::router(stores.bank_merchant.clone()));
    let gateway = gateway::router(mesh.caller(service::GATEWAY), ids.clone());
    mesh.register(service::GATEWAY, gateway);
}
