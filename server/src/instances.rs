//! The instances of every service: how many of which version, registered in the mesh, and what
//! Istio resources may refer to of them.
//!
//! Instances of one service are replicas: they share its database and engine. What a version does
//! differently is said by the module of its service.

use axum::Router;
use base::{IdSource, Supervisor};
use contract::service;
use istio::{Configuration, Known, KnownService};
use mesh::{Caller, Endpoint, Instance, Mesh, Source, inbound::Identity};
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

/// Makes the router of one version of a service, with the caller of that version.
type Make = fn(&Parts<'_>, Caller) -> Router;

/// Instances of one version of one service.
struct Replicas {
    service: &'static str,
    version: Version,
    count: usize,
    make: Make,
}

const fn replicas(service: &'static str, version: Version, count: usize, make: Make) -> Replicas {
    Replicas { service, version, count, make }
}

/// Every instance there is in this process, and what it is made of.
const REPLICAS: [Replicas; 13] = {
    use Version::{V1, V2};
    [
        replicas(service::GATEWAY, V1, 1, |p, c| gateway::router(c, p.mesh.clone(), p.ids.clone())),
        replicas(service::GATEWAY, V2, 1, |p, c| {
            gateway::router_v2(c, p.mesh.clone(), p.ids.clone())
        }),
        replicas(service::CATALOG, V1, 2, |p, _| catalog::router(p.stores.catalog.clone())),
        replicas(service::CATALOG, V2, 2, |p, c| catalog::router_v2(p.stores.catalog.clone(), c)),
        replicas(service::USERS, V1, 2, |p, _| users::router(p.stores.users.clone())),
        replicas(service::ORDERS, V1, 3, |p, _| orders::router(p.orders.clone())),
        replicas(service::INVENTORY, V1, 2, |p, _| inventory::router(p.stores.inventory.clone())),
        replicas(service::PAYMENTS, V1, 4, |p, _| payments::router(p.payments.clone())),
        replicas(service::PAYMENTS, V2, 3, |p, c| payments::router(p.payments.next_version(c))),
        replicas(service::RECOMMENDATIONS, V1, 2, |p, _| {
            recommendations::router(p.stores.recommendations.clone())
        }),
        replicas(service::RECOMMENDATIONS, V2, 2, |p, c| {
            recommendations::router_v2(p.stores.recommendations.clone(), c)
        }),
        replicas(service::BANK_CUSTOMER, V1, 1, |p, _| {
            bank::router(p.stores.bank_customer.clone())
        }),
        replicas(service::BANK_MERCHANT, V1, 1, |p, _| {
            bank::router(p.stores.bank_merchant.clone())
        }),
    ]
};

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

    /// Registers every instance in this process.
    pub(crate) fn register(&self) {
        for Replicas { service, version, count, make } in REPLICAS {
            let router = version.sign(make(self, self.caller(service, version)));
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
        takes_messages: shop::bus::BINDINGS.iter().any(|bound| bound.subscriber == name),
        name,
        instances,
    };
    let known = Known {
        services: instances.into_iter().map(known).collect(),
        gateways: GATEWAYS.map(str::to_owned).into(),
        messenger: Some(Identity::of_service(service::BUS).principal().to_owned()),
        identities: [Identity::of_service(service::LOAD), Identity::of_ingress()]
            .map(|identity| identity.principal().to_owned())
            .into(),
        ..Known::default()
    };
    // A part of the shop has not all that the baseline is about; what is applied says so.
    let applied = Configuration::default().apply(BASELINE, &known);
    let built_in = applied.map_or_else(
        |_| Vec::new(),
        |applied| applied.configuration.resources().cloned().collect(),
    );
    Known { built_in, ..known }
}

#[cfg(test)]
#[path = "instances_tests.rs"]
mod tests;
