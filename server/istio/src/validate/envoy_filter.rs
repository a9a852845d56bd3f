//! `EnvoyFilter`: whether its patches limit something, where they are looked at, and what a bucket
//! is made of.

use super::{About, place, security::selector};
use crate::{
    compile,
    finding::code,
    policy::LocalRateLimit,
    schema::{WHOLE, is_camel_case_of},
    yaml::Node,
};

pub(super) fn check(about: &mut About<'_>) {
    selector(about);
    let patches = compile::rate_limit_patches(about.resource);
    let spec = about.spec();
    let place = ("spec.configPatches", place(spec, "configPatches"));
    if patches.is_empty() {
        about.idle(
            code::NOTHING_IN_FORCE,
            place,
            "None of its patches sets a local rate limit, so nothing of it has an effect here.",
            "Only envoy.filters.http.local_ratelimit is understood.",
        );
    } else if patches.iter().all(compile::Patch::is_idle) {
        about.idle(
            code::NOTHING_IN_FORCE,
            place,
            "No patch sets a token bucket that is counted and enforced: Envoy enables the filter \
             for 0 % unless told otherwise.",
            "Add token_bucket, and filter_enabled and filter_enforced with default_value.",
        );
    }
    patched_routes(about, &patches);
    for patch in &patches {
        for bucket in patch.buckets() {
            token_bucket(about, patch, bucket);
        }
    }
}

/// Patches for routes and hosts of callers' proxies: whether there are such, and how each is read.
fn patched_routes(about: &mut About<'_>, patches: &[compile::Patch<'_>]) {
    let spec = about.spec();
    let selected = !compile::selector(about.resource).is_empty();
    let named = patches.iter().any(|patch| patch.called.is_some());
    let hosts = if named { compile::virtual_hosts(about.context) } else { Vec::new() };
    for (index, node) in spec.list("configPatches").iter().enumerate() {
        let path = format!("spec.configPatches[{index}]");
        let patch = patches.iter().find(|patch| patch.number == index);
        if patch.is_some_and(|patch| patch.goes_out(about.context, &hosts)) {
            let called = patch.and_then(|patch| patch.called);
            if called.is_some_and(|called| called.sends_elsewhere(about.context, &hosts)) {
                about.idle(
                    code::NOTHING_IN_FORCE,
                    (path, node.at),
                    "No rule of this host sends to it, and calls are counted here by where they \
                     go: this limits none.",
                    "Name the route instead (HTTP_ROUTE with vhost.route.name).",
                );
            }
            continue;
        }
        let Some(route) = patch.and_then(|patch| patch.route) else {
            let why = match selected {
                true => "with a workloadSelector a limit holds for whatever comes to the workload",
                false => WHOLE,
            };
            about.silence(format!("{path}.match"), why);
            continue;
        };
        let why = "the limit is the callee's, whoever calls";
        about.silence(format!("{path}.match.context"), why);
        if route.is_nowhere(&hosts) {
            let name = route.name();
            let message =
                format!("No VirtualService of this host has a rule named {name} that sends on.");
            let advice = "Give the rule this name, or name another.";
            about.idle(code::NOTHING_IN_FORCE, (path, node.at), message, advice);
        }
    }
}

/// What the numbers of a bucket make together.
fn token_bucket(about: &mut About<'_>, patch: &compile::Patch<'_>, bucket: (&Node, bool)) {
    let Some(limit) = patch.limit(about.resource, bucket) else { return };
    let place = |snake: &str| {
        let mut entries = bucket.0.entries().iter();
        let entry = entries.find(|e| e.key == snake || is_camel_case_of(&e.key, snake));
        let path = format!("spec.configPatches[{}].patch.value", patch.number);
        (path, entry.map_or(bucket.0.at, |entry| entry.at))
    };
    if limit.fill_interval < LocalRateLimit::FILL_MIN {
        about.error(
            code::BAD_VALUE,
            place("fill_interval"),
            "fill_interval is less than 50 ms, which Envoy refuses.",
            "Write at least 50ms, with more tokens_per_fill for the same rate.",
        );
    } else if limit.window().is_none() {
        about.error(
            code::BAD_VALUE,
            place("max_tokens"),
            format!(
                "At {} tokens each {:?} an empty bucket of {} takes more than 100 years to fill, \
                 which is more than a clock in nanoseconds can reckon with.",
                limit.tokens_per_fill, limit.fill_interval, limit.max_tokens,
            ),
            "Lower max_tokens, or raise tokens_per_fill: as large as max_tokens it fills the \
             bucket at once.",
        );
    }
}
