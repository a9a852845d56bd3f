//! What a table of fields cannot say: what several fields or several resources make together.
//!
//! Every finding says what is, why it matters and what to do. Errors are what Istio's own
//! validation refuses; the rest is applied.

mod authority;
mod claims;
mod delegate;
mod destination_rule;
mod dry_run;
mod envoy;
mod envoy_filter;
mod extension;
mod gateway;
mod kept;
mod own_answer;
mod reach;
mod security;
mod service_entry;
mod shadow;
mod shut;
mod unmatched;
mod virtual_service;
mod visibility;

pub(crate) use extension::{filter_for, printed_name};
pub use unmatched::{RequestsByRule, never_matched, placed_in};

use crate::{
    compile::{self, Context},
    finding::Spot,
    known::Known,
    resource::{DEFAULT_NAMESPACE, Resource},
    schema::Kind,
    value::Complaint,
    yaml::{Data, Node, Position},
};
use contract::istio::{Finding, ResourceKey, Severity};
use std::sync::Arc;

/// Everything there is to say about a set of resources.
pub(crate) fn findings(known: &Known, resources: &[Arc<Resource>]) -> Findings {
    findings_of(known, resources, |_| true)
}

/// What there is to say about some of a set of resources, and what several make together. Each is
/// looked at beside all others; what is said of one stands in that one.
pub(crate) fn findings_of(
    known: &Known,
    resources: &[Arc<Resource>],
    asked: impl Fn(&Resource) -> bool,
) -> Findings {
    let context = Context::new(known, resources);
    let mut found = Findings::default();
    for resource in resources.iter().filter(|resource| asked(resource)) {
        let mut about = About { context: &context, resource, found: &mut found };
        visibility::unseen(&mut about);
        visibility::export_to(&mut about);
        dry_run::check(&mut about);
        let before = about.found.said.len();
        match resource.kind() {
            Kind::VirtualService => virtual_service::check(&mut about),
            Kind::DestinationRule => destination_rule::check(&mut about),
            Kind::Gateway => gateway::check(&mut about),
            Kind::ServiceEntry => service_entry::check(&mut about),
            Kind::EnvoyFilter => envoy_filter::check(&mut about),
            Kind::PeerAuthentication => security::peer_authentication(&mut about),
            Kind::RequestAuthentication => security::request_authentication(&mut about),
            Kind::AuthorizationPolicy => security::authorization_policy(&mut about),
            Kind::Telemetry => security::telemetry(&mut about),
        }
        if !compile::is_seen(resource) {
            // Nothing more is to be said of what has no effect, but what Istio refuses is refused.
            let said = found.said.split_off(before);
            let refusals = said.into_iter().filter(|said| said.severity == Severity::Error);
            found.said.extend(refusals);
        }
    }
    virtual_service::same_hosts(&context, &mut found);
    destination_rule::same_hosts(&context, &mut found);
    found
}

/// What validation found.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) said: Vec<Finding>,
    /// Fields that have no effect, as some finding says.
    silent: Vec<Silent>,
}

/// A field that has no effect, with all below it.
struct Silent {
    resource: ResourceKey,
    path: String,
    /// As the finding says it, without the point at its end.
    why: String,
}

impl Findings {
    /// Why a field that its table has in force has no effect all the same.
    pub(crate) fn silence(&self, resource: &ResourceKey, path: &str) -> Option<&str> {
        let is_it = |silent: &&Silent| {
            let below = path.strip_prefix(silent.path.as_str());
            let below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
            below && silent.resource == *resource
        };
        self.silent.iter().find(is_it).map(|silent| silent.why.as_str())
    }
}

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
        self.found.said.push(finding);
    }

    /// Warns of a field that has no effect: its fate is not that it is in force.
    fn idle(
        &mut self,
        code: &str,
        (path, at): (impl Into<String>, Position),
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let (path, message) = (path.into(), message.into());
        self.silence(path.clone(), &message);
        self.warn(code, (path, at), message, advice);
    }

    /// What is at a path and below it has no effect, for the reason that a finding gives.
    fn silence(&mut self, path: impl Into<String>, why: &str) {
        let (resource, why) = (self.resource.key().clone(), why.trim_end_matches('.').to_owned());
        self.found.silent.push(Silent { resource, path: path.into(), why });
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

/// Whether a field has something in it: protobuf has no other way to tell that it is there.
fn has(node: &Node, key: &str) -> bool {
    node.get(key).is_some_and(|value| match &value.data {
        Data::Text(text) => !text.is_empty(),
        Data::List(items) => !items.is_empty(),
        _ => true,
    })
}

/// "No host named paymnts.", of a host as a resource names it.
fn no_host(about: &About<'_>, host: &str, otherwise: &str) -> (String, String) {
    let (context, namespace) = (about.context, &about.resource.key().namespace);
    let full = about.resource.full_host(host);
    if !full.eq_ignore_ascii_case(host) && context.service(host).is_some() {
        let message = format!("No host named {full}, which is what {host} means in {namespace}.");
        let advice = format!(
            "Did you mean the namespace {DEFAULT_NAMESPACE}, or \
             {host}.{DEFAULT_NAMESPACE}.svc.cluster.local?"
        );
        return (message, advice);
    }
    let meant = crate::value::closest(host, context.all_names());
    let advice = match meant {
        Some(name) => format!("Did you mean {name}?"),
        None => otherwise.to_owned(),
    };
    (format!("No host named {host}."), advice)
}
