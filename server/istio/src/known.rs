//! What resources may refer to: the services of the registry, as plain data.
//!
//! Filled in by the program. Knows nothing of how services are found or called.

use crate::resource::{DEFAULT_NAMESPACE, ROOT_NAMESPACE, Resource};
use std::{collections::BTreeMap, sync::Arc};

/// The services there are.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Every service.
    pub services: Vec<KnownService>,
    /// Names of gateways that are there without a `Gateway` resource.
    pub gateways: Vec<String>,
    /// Whose identity messages come with, SPIFFE without the scheme.
    pub messenger: Option<String>,
    /// Identities of other callers that are no service: whoever makes load, the ingress.
    pub identities: Vec<String>,
    /// What is built in, as it is in a new shop.
    pub built_in: Vec<Arc<Resource>>,
}

impl Known {
    /// Every identity that a call may come with, SPIFFE without the scheme. What is outside of the
    /// mesh has none.
    pub fn identities(&self) -> impl Iterator<Item = String> {
        let services = self.services.iter().filter(|service| !service.is_external());
        let of_services = services.map(|service| identity(&service.name));
        of_services.chain(self.messenger.iter().chain(&self.identities).cloned())
    }
}

/// The identity of a service.
pub(crate) fn identity(service: &str) -> String {
    format!("cluster.local/ns/{DEFAULT_NAMESPACE}/sa/{service}")
}

/// One service of the registry.
#[derive(Clone, Debug, Default)]
pub struct KnownService {
    /// The name it has in the compiled policy.
    pub name: String,
    /// Further names it answers to, lower-case: `payment-service`, `api.stripe.com`. A name without
    /// a point also stands for its forms with namespace and cluster domain.
    pub names: Vec<String>,
    /// Labels of each of its instances.
    pub instances: Vec<BTreeMap<String, String>>,
    /// Where it listens.
    pub port: u16,
    /// A request to it may move money, so that a copy of one may move it twice.
    pub moves_money: bool,
    /// Messages are brought to it.
    pub takes_messages: bool,
}

impl KnownService {
    /// Whether it stands for something outside of the cluster: one of its names is a domain's.
    #[must_use]
    pub fn is_external(&self) -> bool {
        std::iter::once(&self.name).chain(&self.names).any(|name| name.contains('.'))
    }

    /// Every name it answers to, with the forms that Kubernetes' DNS adds.
    pub fn all_names(&self) -> impl Iterator<Item = String> {
        let own = std::iter::once(&self.name).chain(&self.names);
        own.flat_map(|name| {
            let name = name.to_ascii_lowercase();
            let suffixes: &[&str] = match name.contains('.') {
                true => &[""],
                false => &["", ".default", ".default.svc", ".default.svc.cluster.local"],
            };
            suffixes.iter().map(move |suffix| format!("{name}{suffix}")).collect::<Vec<_>>()
        })
    }

    /// Whether a workload selector chooses this service: all labels on one instance. The label
    /// `app` is any of its names.
    #[must_use]
    pub fn selected(&self, labels: &[(String, String)]) -> Selected {
        let has = |instance: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| {
                let by_name = matches!(key.as_str(), "app" | "app.kubernetes.io/name")
                    && (self.name == *value || self.names.contains(value));
                by_name || instance.get(key) == Some(value)
            })
        };
        let none = BTreeMap::new();
        let chosen = self.instances.iter().filter(|instance| has(instance)).count();
        match (chosen, self.instances.len()) {
            // A service without instances is chosen by its name alone.
            (_, 0) if has(&none) => Selected::All,
            (0, _) => Selected::None,
            (chosen, all) if chosen == all => Selected::All,
            _ => Selected::Some,
        }
    }
}

/// How many of a service's instances a selector chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// No instance.
    None,
    /// Some of them.
    Some,
    /// Every instance.
    All,
}

/// Whether a resource of `namespace` with these `exportTo` is seen by the services here.
pub(crate) fn is_exported<'a>(
    namespace: &str,
    mut export_to: impl Iterator<Item = &'a str>,
) -> bool {
    let Some(first) = export_to.next() else {
        return true;
    };
    std::iter::once(first).chain(export_to).any(|target| match target {
        "*" => true,
        "." => namespace == DEFAULT_NAMESPACE,
        other => other == DEFAULT_NAMESPACE,
    })
}

/// Whether a resource of `namespace` without selector holds for the services here.
pub(crate) fn is_for_all(namespace: &str) -> bool {
    namespace == DEFAULT_NAMESPACE || namespace == ROOT_NAMESPACE
}
