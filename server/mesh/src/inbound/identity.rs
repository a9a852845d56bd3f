//! Who calls: a SPIFFE name for a service of the mesh, and for the proxy at the ingress; who comes
//! in through the ingress has none.
//!
//! It is an extension of the request. Extensions are made in this process, so a caller cannot
//! forge one with a header.

use crate::NAMESPACE;
use std::sync::Arc;

/// The trust domain, as Istio names it unless told otherwise.
const TRUST_DOMAIN: &str = "cluster.local";

/// Of the proxy at the ingress, as Istio installs it.
const INGRESS: &str = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";

/// A service's identity, SPIFFE without the scheme: `cluster.local/ns/default/sa/payments`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Arc<str>);

impl Identity {
    /// The identity of a service.
    #[must_use]
    pub fn of_service(name: &str) -> Self {
        Self(format!("{TRUST_DOMAIN}/ns/{NAMESPACE}/sa/{name}").into())
    }

    /// The identity of the proxy at the ingress.
    #[must_use]
    pub fn of_ingress() -> Self {
        Self(INGRESS.into())
    }

    /// As policies write it.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.0
    }

    /// The namespace in it.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split('/').nth(2).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_a_spiffe_name_without_the_scheme() {
        let identity = Identity::of_service("payments");
        assert_eq!(identity.principal(), "cluster.local/ns/default/sa/payments");
        assert_eq!(identity.namespace(), "default");
        let ingress = Identity::of_ingress();
        assert!(ingress.principal().starts_with(&format!("{TRUST_DOMAIN}/ns/")));
        assert_eq!(ingress.namespace(), "istio-system");
    }
}
