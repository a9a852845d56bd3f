//! Services outside the mesh: the addresses of this machine that `ServiceEntry` resources name, as
//! instances that are called over HTTP.

use istio::{Known, policy::Policy};
use mesh::{Endpoint, Instance, Mesh};
use parking_lot::Mutex;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// Addresses of one service that are taken; a file that names more says so only by its fates.
const ADDRESSES_MAX: usize = 64;

type Addresses = BTreeMap<Arc<str>, Vec<SocketAddr>>;

/// What was registered for the policy in force.
#[derive(Debug, Default)]
pub(super) struct External(Mutex<Addresses>);

impl External {
    /// Registers what a policy names before it is in force, and gives what to take away after.
    pub(super) fn register(&self, mesh: &Mesh, known: &Known, policy: &Policy) -> Vec<Arc<str>> {
        let wanted = wanted(known, policy);
        let mut registered = self.0.lock();
        for (service, addresses) in &wanted {
            let before = registered.get(service).map_or(&[][..], Vec::as_slice);
            for (at, address) in addresses.iter().enumerate() {
                if before.get(at) != Some(address) {
                    mesh.add_instance(instance(service, at, *address));
                }
            }
            for at in addresses.len()..before.len() {
                mesh.remove_instance(service, &name(service, at));
            }
        }
        let gone = registered.keys().filter(|service| !wanted.contains_key(*service)).cloned();
        let gone = gone.collect();
        *registered = wanted;
        gone
    }
}

/// Those of the services that the program does not have itself.
fn wanted(known: &Known, policy: &Policy) -> Addresses {
    let foreign = policy.external.iter().filter(|(service, external)| {
        !external.addresses.is_empty() && known.services.iter().all(|own| own.name != ***service)
    });
    let addresses = foreign.map(|(service, external)| {
        (service.clone(), external.addresses.iter().take(ADDRESSES_MAX).copied().collect())
    });
    addresses.collect()
}

fn name(service: &str, at: usize) -> String {
    format!("{service}-{}", at + 1)
}

fn instance(service: &str, at: usize, address: SocketAddr) -> Instance {
    Instance {
        service: service.to_owned(),
        name: name(service, at),
        labels: vec![("app".to_owned(), service.to_owned())],
        endpoint: Endpoint::Address(address),
    }
}
