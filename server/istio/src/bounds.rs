//! What a whole configuration may hold: every apply looks at all of it, and so does every request.
//!
//! Bounds of one text are its reader's, those of one resource its validation's.

use crate::{
    expressions,
    finding::{Spot, code},
    resource::Resource,
    schema::Kind,
    value::Complaint,
    yaml::{Node, Position},
};
use contract::istio::{Finding, ResourceKey};
use std::{collections::BTreeMap, sync::Arc};

/// Most resources at once. Every apply looks at all of them.
pub const RESOURCES_MAX: usize = 500;
/// Most rules of all `VirtualService`s, those of a delegate counted at each place that names it.
/// Each has counters for as long as its revision is asked about.
pub const RULES_MAX: usize = 2_500;
/// Most matches of all these rules; those of a delegating rule multiply those of its delegate.
pub const MATCHES_MAX: usize = 10_000;

/// The bounds that these resources exceed.
pub(crate) fn exceeded(resources: &BTreeMap<ResourceKey, Arc<Resource>>) -> Vec<Finding> {
    let bound = |message: String| {
        let complaint = Complaint::new(message, "Delete some first.");
        let spot = Spot { at: Position { line: 1, column: 1 }, ..Spot::default() };
        spot.error(code::BOUND, complaint)
    };
    let mut found = Vec::new();
    if resources.len() > RESOURCES_MAX {
        let many = resources.len();
        found.push(bound(format!("{many} resources; {RESOURCES_MAX} are the limit.")));
        return found;
    }
    let rules = Size::of(resources);
    if rules.rules > RULES_MAX || rules.matches > MATCHES_MAX {
        found.push(bound(format!(
            "{} rules with {} matches in the whole configuration; {RULES_MAX} with {MATCHES_MAX} \
             are the limit.",
            rules.rules, rules.matches
        )));
    }
    found.extend(expressions::too_many_of(resources.values().map(|resource| &**resource)));
    found
}

/// How many rules there are, and how many matches they have.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    rules: usize,
    matches: usize,
}

impl Size {
    fn of(resources: &BTreeMap<ResourceKey, Arc<Resource>>) -> Self {
        let services = resources.values().filter(|r| r.kind() == Kind::VirtualService);
        let mut size = Self::default();
        for resource in services {
            for rule in resource.spec().list("http") {
                size.add(rule, delegate(resources, resource, rule));
            }
        }
        size
    }

    /// A rule without a delegate is itself; one with a delegate is each of the delegate's.
    fn add(&mut self, rule: &Node, delegate: Option<&Resource>) {
        let own = rule.list("match").len();
        let Some(delegate) = delegate else {
            self.rules += 1;
            self.matches += own;
            return;
        };
        for leaf in delegate.spec().list("http") {
            self.rules += 1;
            let both = own.max(1).saturating_mul(leaf.list("match").len().max(1));
            self.matches = self.matches.saturating_add(both);
        }
    }
}

fn delegate<'a>(
    resources: &'a BTreeMap<ResourceKey, Arc<Resource>>,
    from: &Resource,
    rule: &Node,
) -> Option<&'a Resource> {
    let node = rule.get("delegate")?;
    let own = from.key();
    let key = ResourceKey {
        kind: own.kind.clone(),
        namespace: node.str("namespace").unwrap_or(&own.namespace).to_owned(),
        name: node.str("name").unwrap_or_default().to_owned(),
    };
    resources.get(&key).map(|found| &**found)
}
