//! What resources may refer to, read from the registry of the mesh.

use contract::service;
use istio::{Known, KnownService};
use mesh::Mesh;
use std::collections::BTreeMap;

/// Where services listen, as far as resources are concerned.
const PORT: u16 = 80;
/// Gateways that are there without a `Gateway` resource.
const GATEWAYS: [&str; 2] = ["api-gateway", "mesh"];
/// A copy of a request to these may move money twice.
const MOVE_MONEY: [&str; 3] = [service::PAYMENTS, service::BANK_CUSTOMER, service::BANK_MERCHANT];

/// Every service with the labels of its instances.
#[must_use]
pub fn known(mesh: &Mesh) -> Known {
    let mut services: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
    for endpoint in mesh.endpoints() {
        let labels = endpoint.labels.into_iter().collect();
        services.entry(endpoint.service.to_string()).or_default().push(labels);
    }
    let services = services.into_iter().map(|(name, instances)| KnownService {
        names: service::names(&name).iter().map(|&name| name.to_owned()).collect(),
        instances,
        port: PORT,
        moves_money: MOVE_MONEY.contains(&name.as_str()),
        name,
    });
    let gateways = GATEWAYS.iter().map(|&name| name.to_owned()).collect();
    Known { services: services.collect(), gateways }
}
