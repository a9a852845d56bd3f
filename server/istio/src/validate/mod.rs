//! What a table of fields cannot say: what several fields or several resources make together.
//!
//! Every finding says what is, why it matters and what to do. Errors are what Istio's own
//! validation refuses; the rest is applied.

mod destination_rule;
mod extension;
mod hits;
mod reach;
mod security;
mod service_entry;
mod virtual_service;

pub(crate) use extension::for_istio;
pub use hits::{RuleHits, never_matched};

use crate::{
    compile::Context,
    finding::Spot,
    known::Known,
    resource::Resource,
    schema::Kind,
    value::Complaint,
    yaml::{Node, Position},
};
use contract::istio::{Finding, Severity};
use std::sync::Arc;

/// Everything there is to say about a set of resources.
pub(crate) fn findings(known: &Known, resources: &[Arc<Resource>]) -> Vec<Finding> {
    let context = Context::new(known, resources);
    let mut found = Findings::default();
    for resource in resources {
        let mut about = About { context: &context, resource, found: &mut found };
        match resource.kind() {
            Kind::VirtualService => virtual_service::check(&mut about),
            Kind::DestinationRule => destination_rule::check(&mut about),
            Kind::Gateway => {}
            Kind::ServiceEntry => service_entry::check(&mut about),
            Kind::EnvoyFilter => security::envoy_filter(&mut about),
            Kind::PeerAuthentication => security::selector(&mut about),
            Kind::RequestAuthentication => security::request_authentication(&mut about),
            Kind::AuthorizationPolicy => security::authorization_policy(&mut about),
            Kind::Telemetry => security::telemetry(&mut about),
        }
    }
    virtual_service::same_hosts(&context, &mut found);
    destination_rule::same_hosts(&context, &mut found);
    found.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

/// One resource under examination.
struct About<'a> {
    context: &'a Context<'a>,
    resource: &'a Resource,
    found: &'a mut Findings,
}

impl<'a> About<'a> {
    fn spec(&self) -> &'a Node {
        self.resource.spec()
    }

    fn spot(&self, path: impl Into<String>, at: Position) -> Spot {
        self.resource.spot(path, at)
    }

    fn push(&mut self, finding: Finding) {
        self.found.0.push(finding);
    }

    fn warn(
        &mut self,
        code: &str,
        (path, at): (impl Into<String>, Position),
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let spot = self.spot(path, at);
        self.push(spot.says(Severity::Warning, code, message, advice));
    }

    fn error(
        &mut self,
        code: &str,
        (path, at): (impl Into<String>, Position),
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let spot = self.spot(path, at);
        self.push(spot.error(code, Complaint::new(message, advice)));
    }
}

/// Where the name of a field stands, or the mapping if it has no such field.
fn place(node: &Node, key: &str) -> Position {
    node.entry(key).map_or(node.at, |entry| entry.at)
}

/// "No host named paymnts."
fn no_host(context: &Context<'_>, host: &str, otherwise: &str) -> (String, String) {
    let meant = crate::value::closest(host, context.all_names());
    let advice = match meant {
        Some(name) => format!("Did you mean {name}?"),
        None => otherwise.to_owned(),
    };
    (format!("No host named {host}."), advice)
}
