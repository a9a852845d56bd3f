//! `ServiceEntry`: addresses that are reached, and those that are not.

use super::{About, place};
use crate::{compile, finding::code};

pub(super) fn check(about: &mut About<'_>) {
    let (context, spec) = (about.context, about.spec());
    let selects = spec.get("workloadSelector").is_some();
    if spec.str("resolution") == Some("STATIC") && spec.list("endpoints").is_empty() && !selects {
        about.error(
            code::MISSING_FIELD,
            ("spec.resolution", place(spec, "resolution")),
            "With resolution STATIC the addresses are those of endpoints, and there are none.",
            "Add endpoints, or use DNS.",
        );
    }
    for (index, host) in compile::hosts(about.resource).enumerate() {
        // The names of the built-in provider stand for it, whatever their addresses.
        if host.starts_with('*') || context.known_service(&context.resolve(&host)).is_some() {
            continue;
        }
        if compile::addresses(spec, &host).next().is_none() {
            let at = if spec.get("endpoints").is_some() { "endpoints" } else { "hosts" };
            let path =
                if at == "hosts" { format!("spec.hosts[{index}]") } else { format!("spec.{at}") };
            about.warn(
                code::NOT_REACHED,
                (path, place(spec, at)),
                format!(
                    "{host} has no address on this machine, and no other machine is reached: calls \
                     to it find no service."
                ),
                "Give it an endpoint with the address 127.0.0.1, and the port it listens on.",
            );
        }
    }
}
