//! Services outside the mesh: the addresses of this machine that `ServiceEntry` resources name, as
//! instances that are called over HTTP.

use istio::{
    Known,
    policy::{ExternalAddress, Policy},
};
use mesh::{Endpoint, Instance, Mesh, entry_labels};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Addresses of one service that are taken; a file that names more says so only by its fates.
const ADDRESSES_MAX: usize = 64;

/// The addresses of each service, each with the number of its instance.
type Addresses = BTreeMap<Arc<str>, Vec<(ExternalAddress, usize)>>;

/// What was registered for the policy in force.
#[derive(Debug, Default)]
pub(super) struct External(Mutex<Addresses>);

/// What no policy in force names any more.
#[derive(Debug, Default)]
pub(super) struct Gone {
    services: Vec<Arc<str>>,
    /// Service and instance.
    instances: Vec<(Arc<str>, String)>,
}

impl Gone {
    /// Takes it away.
    pub(super) fn take_from(self, mesh: &Mesh) {
        self.services.iter().for_each(|service| mesh.deregister(service));
        for (service, name) in &self.instances {
            mesh.remove_instance(service, name);
        }
    }
}

impl External {
    /// Registers what a policy names before it is in force, and gives what to take away after: one
    /// that is in force until then goes on with what it names. An address that stays is the same
    /// instance, a new one has a name that none has.
    pub(super) fn register(&self, mesh: &Mesh, known: &Known, policy: &Policy) -> Gone {
        let mut registered = self.0.lock();
        let (mut next, mut gone) = (Addresses::new(), Gone::default());
        for (service, addresses) in wanted(known, policy) {
            let before = registered.remove(&service).unwrap_or_default();
            let mut numbered: Vec<_> =
                before.iter().filter(|(address, _)| addresses.contains(address)).cloned().collect();
            for address in addresses {
                if numbered.iter().any(|(known, _)| *known == address) {
                    continue;
                }
                let taken = || before.iter().chain(&numbered).map(|(_, number)| *number);
                let free = (1..).find(|number| taken().all(|taken| taken != *number));
                let number = free.unwrap_or_default();
                mesh.add_instance(instance(&service, number, &address));
                numbered.push((address, number));
            }
            let stays = |one: &&(ExternalAddress, usize)| !numbered.contains(one);
            let left = before.iter().filter(stays);
            gone.instances
                .extend(left.map(|(_, number)| (service.clone(), name(&service, *number))));
            next.insert(service, numbered);
        }
        gone.services = registered.keys().cloned().collect();
        *registered = next;
        gone
    }
}

/// Those of the services that the program does not have itself.
fn wanted(known: &Known, policy: &Policy) -> BTreeMap<Arc<str>, Vec<ExternalAddress>> {
    let foreign = policy.external.iter().filter(|(service, external)| {
        !external.addresses.is_empty() && known.services.iter().all(|own| own.name != ***service)
    });
    let addresses = foreign.map(|(service, external)| {
        (service.clone(), external.addresses.iter().take(ADDRESSES_MAX).cloned().collect())
    });
    addresses.collect()
}

fn name(service: &str, number: usize) -> String {
    format!("{service}-{number}")
}

fn instance(service: &str, number: usize, one: &ExternalAddress) -> Instance {
    Instance {
        service: service.to_owned(),
        name: name(service, number),
        labels: entry_labels(service, one),
        endpoint: Endpoint::Address(one.address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use istio::policy::External as Entry;
    use mesh::BreakerParams;
    use std::net::SocketAddr;

    fn policy(addresses: &[u16]) -> Policy {
        let address = |port: &u16| ExternalAddress {
            address: SocketAddr::from(([127, 0, 0, 1], *port)),
            labels: Vec::new(),
        };
        let addresses: Vec<_> = addresses.iter().map(address).collect();
        let entry = Entry { origin: Default::default(), endpoints: Vec::new(), addresses };
        Policy { external: [("a.example".into(), entry)].into(), ..Policy::default() }
    }

    #[tokio::test]
    async fn an_address_that_comes_takes_the_place_of_none_that_is_in_force() {
        let mesh = Mesh::new(base::Clock::tokio(0), BreakerParams::default());
        let (external, known) = (External::default(), Known::default());
        let there = || {
            let endpoints = mesh.endpoints().into_iter();
            endpoints.map(|endpoint| endpoint.instance.to_string()).collect::<Vec<_>>()
        };
        let balanced = || {
            let pools = mesh.balance("a.example").unwrap();
            let instances = pools[0].instances.iter();
            instances.map(|one| one.instance.to_string()).collect::<Vec<_>>()
        };
        for (addresses, meanwhile, before, after) in [
            (
                &[1, 2][..],
                &["a.example-1", "a.example-2"][..],
                &[][..],
                &["a.example-1", "a.example-2"][..],
            ),
            (
                &[2, 3],
                &["a.example-1", "a.example-2", "a.example-3"],
                &["a.example-1", "a.example-2"],
                &["a.example-2", "a.example-3"],
            ),
            (
                &[4],
                &["a.example-1", "a.example-2", "a.example-3"],
                &["a.example-2", "a.example-3"],
                &["a.example-1"],
            ),
            (
                &[4, 1],
                &["a.example-1", "a.example-2"],
                &["a.example-1"],
                &["a.example-1", "a.example-2"],
            ),
        ] {
            let next = policy(addresses);
            let gone = external.register(&mesh, &known, &next);
            assert_eq!(there(), meanwhile, "{addresses:?}");
            assert_eq!(balanced(), before, "the policy in force has its own still: {addresses:?}");
            mesh.apply(Arc::new(next));
            gone.take_from(&mesh);
            assert_eq!(
                (there(), balanced()),
                (after.iter().map(|n| (*n).to_owned()).collect(), there())
            );
        }
        let gone = external.register(&mesh, &known, &Policy::default());
        mesh.apply(Arc::default());
        gone.take_from(&mesh);
        assert!(there().is_empty());
    }
}
