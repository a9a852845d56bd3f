//! The instances of every service: how many of which version, registered in the mesh, and what
//! Istio resources may refer to of them.
//!
//! Instances of one service are replicas: they share its database and engine. What a version does
//! differently is said by the module of its service.

use base::{IdSource, Supervisor};
use contract::service;
use istio::{Known, KnownService};
use mesh::{Caller, Endpoint, Instance, Mesh, Source};
use shop::{
    Version, bank, catalog, gateway, inventory,
    orders::{self, Orders},
    payments::{self, Payments},
    provider, recommendations, users,
};
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
};
use storage::Stores;
use tokio::net::TcpListener;

/// What is in force in a new shop: subsets for what has versions, everything to version 1.
pub const BASELINE: &str = include_str!("baseline.yaml");

/// The port that resources name for services in the mesh; nothing listens there.
const SERVICE_PORT: u16 = 80;
/// The port that resources name for what is outside.
const EXTERNAL_PORT: u16 = 443;
/// Gateways that are there without a resource: where the outside comes in, and the mesh itself.
const GATEWAYS: [&str; 2] = ["api-gateway", "mesh"];

/// Instances of one version of one service.
struct Replicas {
    service: &'static str,
    version: Version,
    count: usize,
}

const fn replicas(service: &'static str, version: Version, count: usize) -> Replicas {
    Replicas { service, version, count }
}

/// Every instance there is in this process.
const REPLICAS: [Replicas; 13] = [
    replicas(service::GATEWAY, Version::V1, 1),
    replicas(service::GATEWAY, Version::V2, 1),
    replicas(service::CATALOG, Version::V1, 2),
    replicas(service::CATALOG, Version::V2, 1),
    replicas(service::USERS, Version::V1, 2),
    replicas(service::ORDERS, Version::V1, 3),
    replicas(service::INVENTORY, Version::V1, 2),
    replicas(service::PAYMENTS, Version::V1, 4),
    replicas(service::PAYMENTS, Version::V2, 3),
    replicas(service::RECOMMENDATIONS, Version::V1, 1),
    replicas(service::RECOMMENDATIONS, Version::V2, 1),
    replicas(service::BANK_CUSTOMER, Version::V1, 1),
    replicas(service::BANK_MERCHANT, Version::V1, 1),
];

/// What the services are made of.
pub(crate) struct Parts<'a> {
    pub(crate) mesh: &'a Mesh,
    pub(crate) stores: &'a Stores,
    pub(crate) orders: &'a Orders,
    pub(crate) payments: &'a Payments,
    pub(crate) ids: &'a IdSource,
}

impl Parts<'_> {
    /// What a version of a service makes its calls with.
    fn caller(&self, service: &str, version: Version) -> Caller {
        let labels = labels(service, version);
        self.mesh.caller_from(Source { labels, ..Source::of(service) })
    }

    fn router(&self, name: &str, version: Version) -> axum::Router {
        let stores = self.stores;
        let caller = || self.caller(name, version);
        let router = match (name, version) {
            (service::GATEWAY, Version::V1) => gateway::router(caller(), self.ids.clone()),
            (service::GATEWAY, Version::V2) => gateway::router_v2(caller(), self.ids.clone()),
            (service::CATALOG, Version::V1) => catalog::router(stores.catalog.clone()),
            (service::CATALOG, Version::V2) => catalog::router_v2(stores.catalog.clone(), caller()),
            (service::USERS, _) => users::router(stores.users.clone()),
            (service::ORDERS, _) => orders::router(self.orders.clone()),
            (service::INVENTORY, _) => inventory::router(stores.inventory.clone()),
            (service::PAYMENTS, Version::V1) => payments::router(self.payments.clone()),
            (service::PAYMENTS, Version::V2) => {
                payments::router(self.payments.next_version(caller()))
            }
            (service::RECOMMENDATIONS, Version::V1) => {
                recommendations::router(stores.recommendations.clone())
            }
            (service::RECOMMENDATIONS, Version::V2) => {
                recommendations::router_v2(stores.recommendations.clone(), caller())
            }
            (service::BANK_CUSTOMER, _) => bank::router(stores.bank_customer.clone()),
            (service::BANK_MERCHANT, _) => bank::router(stores.bank_merchant.clone()),
            // Not in the table above.
            _ => axum::Router::new(),
        };
        version.sign(router)
    }

    /// Registers every instance in this process.
    pub(crate) fn register(&self) {
        for Replicas { service, version, count } in REPLICAS {
            let router = self.router(service, version);
            for number in 1..=count {
                self.mesh.add_instance(Instance {
                    service: service.to_owned(),
                    name: format!("{service}-{}-{number}", version.as_str()),
                    labels: labels(service, version),
                    endpoint: Endpoint::Router(router.clone()),
                });
            }
        }
    }

    /// Starts the payment provider on a loopback port that the system chooses, and registers it as
    /// what it is: an address.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub(crate) async fn start_provider(&self, supervisor: &Supervisor) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let api = provider::router(self.stores.provider.clone());
        let api = mesh::serve(service::STRIPE, Version::V1.sign(api));
        supervisor.spawn("provider", provider::serve(listener, api, supervisor.stopping()));
        self.mesh.add_instance(Instance {
            service: service::STRIPE.to_owned(),
            name: format!("{}-v1-1", service::STRIPE),
            labels: labels(service::STRIPE, Version::V1),
            endpoint: Endpoint::Address(address),
        });
        Ok(address)
    }
}

fn labels(service: &str, version: Version) -> Vec<(String, String)> {
    let labels = [("app", service), ("version", version.as_str())];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The registry that Istio resources are checked and compiled against: the services that are
/// registered now, with the labels of their instances.
#[must_use]
pub fn known(mesh: &Mesh) -> Known {
    let mut instances: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
    for endpoint in mesh.endpoints() {
        let labels = endpoint.labels.into_iter().collect();
        instances.entry(endpoint.service.to_string()).or_default().push(labels);
    }
    let known = |(name, instances): (String, _)| KnownService {
        names: service::further_names(&name).iter().map(|&name| name.to_owned()).collect(),
        port: if name == service::STRIPE { EXTERNAL_PORT } else { SERVICE_PORT },
        moves_money: service::moves_money(&name),
        name,
        instances,
    };
    Known {
        services: instances.into_iter().map(known).collect(),
        gateways: GATEWAYS.map(str::to_owned).into(),
    }
}

#[cfg(test)]
#[path = "instances_tests.rs"]
mod tests;
