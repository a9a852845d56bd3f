//! Local rate limits of calls that leave the mesh.
//!
//! Envoy counts them in the proxy of whoever calls: by the route or the virtual host that a patch
//! names, and in the proxies that its selector chooses. What comes to a workload is in `security`.

use super::{
    Context, callers,
    security::{Patch, extensions, is_outside, number_twins, rate_limit_patches},
};
use crate::{
    known::is_for_all,
    policy::{LimitScope, OutboundLimit, VirtualHost},
    resource::Resource,
    schema::Kind,
};
use std::{collections::BTreeMap, sync::Arc};

pub(super) fn outbound(
    context: &Context<'_>,
    hosts: &[VirtualHost],
) -> BTreeMap<Arc<str>, Vec<OutboundLimit>> {
    let outside = context.services().into_iter().filter(|service| is_outside(context, service));
    let one = |service: Arc<str>| {
        let limits = limits(context, hosts, &service);
        (!limits.is_empty()).then_some((service, limits))
    };
    outside.filter_map(one).collect()
}

fn limits(context: &Context<'_>, hosts: &[VirtualHost], service: &str) -> Vec<OutboundLimit> {
    let by_all = |limit| OutboundLimit { limit, callers: Vec::new(), at_ingress: None };
    let mut found: Vec<_> = extensions(hosts, service).map(by_all).collect();
    let filters = context.of(Kind::EnvoyFilter);
    for filter in filters.filter(|filter| is_for_all(&filter.key().namespace)) {
        found.extend(of_filter(context, hosts, service, filter));
    }
    number_twins(found.iter_mut().map(|found| &mut found.limit));
    found
}

/// Of one filter. What a later patch says of the same route in the same proxies holds in place of
/// an earlier one.
fn of_filter(
    context: &Context<'_>,
    hosts: &[VirtualHost],
    service: &str,
    filter: &Resource,
) -> Vec<OutboundLimit> {
    let callers = callers(context, filter);
    let mut patched: Vec<(Option<LimitScope>, Option<bool>, Patch<'_>)> = Vec::new();
    for patch in rate_limit_patches(filter) {
        let Some(called) = patch.called else { continue };
        // Of a rule that sends into the mesh too, a filter with a selector is the workload's.
        if !callers.is_empty() && !called.is_outside(context, hosts) {
            continue;
        }
        let whole = called.is_host_of(context, service).then_some(None);
        let scopes = called.scopes(hosts, service).into_iter().map(Some).chain(whole);
        for scope in scopes.collect::<Vec<_>>() {
            let at = called.at_ingress();
            patched.retain_mut(|(other, other_at, _)| {
                !is_same(other, &scope) || is_left(other_at, at)
            });
            patched.push((scope, at, patch.clone()));
        }
    }
    let limits = patched.into_iter().flat_map(|(scope, at_ingress, patch)| {
        let buckets = patch.buckets().into_iter();
        let limits = buckets.filter_map(|bucket| patch.limit(filter, bucket)).map(|mut limit| {
            limit.scope.clone_from(&scope);
            OutboundLimit { limit, callers: callers.clone(), at_ingress }
        });
        limits.collect::<Vec<_>>()
    });
    limits.collect()
}

/// Whether something is left of where an earlier patch holds, once a later one holds at `later`.
/// None is at the ingress and at callers.
const fn is_left(earlier: &mut Option<bool>, later: Option<bool>) -> bool {
    match (*earlier, later) {
        (_, None) => false,
        (Some(earlier), Some(later)) => earlier != later,
        (None, Some(later)) => {
            *earlier = Some(!later);
            true
        }
    }
}

fn is_same(one: &Option<LimitScope>, other: &Option<LimitScope>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.origin == other.origin && one.route == other.route,
        _ => false,
    }
}
