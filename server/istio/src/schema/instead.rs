//! What to write in the place of a deprecated field: the form of today with the user's own value.
//!
//! A value that the field's type refuses is answered with the form alone.

use crate::yaml::{Node, quoted, shorten};

/// Most origins that a form lists; an advice is one line.
const ORIGINS_MAX: usize = 8;

/// A number or a text as it was written.
fn written(node: &Node) -> String {
    let text = node.as_number().or_else(|| node.as_str()).map(shorten);
    text.unwrap_or_else(|| "...".to_owned())
}

/// `mirrorPercent`.
pub(super) fn mirror_percentage(node: &Node) -> String {
    format!("mirrorPercentage: {{value: {}}}", written(node))
}

/// `percent` of a delay.
pub(super) fn percentage(node: &Node) -> String {
    format!("percentage: {{value: {}}}", written(node))
}

/// `warmupDurationSecs`.
pub(super) fn warmup(node: &Node) -> String {
    format!("warmup: {{duration: {}}}", written(node))
}

/// `minimumRingSize`.
pub(super) fn ring_hash(node: &Node) -> String {
    format!("ringHash: {{minimumRingSize: {}}}", written(node))
}

/// `consecutiveErrors`, which Istio converts to one detector with the other off.
pub(super) fn detectors(node: &Node) -> String {
    match node.as_number() {
        Some("0") => "nothing: 0 is the same as no such field".to_owned(),
        _ => format!("consecutiveGatewayErrors: {} and consecutive5xxErrors: 0", written(node)),
    }
}

/// `allowOrigin`, in which `*` is every origin.
pub(super) fn allow_origins(node: &Node) -> String {
    let origins = node.items().iter().filter_map(Node::as_str);
    let form = |origin: &str| match origin {
        "*" => r#"{regex: ".*"}"#.to_owned(),
        exact => format!("{{exact: {}}}", quoted(exact)),
    };
    let mut forms: Vec<_> = origins.clone().take(ORIGINS_MAX).map(form).collect();
    if origins.count() > ORIGINS_MAX {
        forms.push("...".to_owned());
    }
    format!("allowOrigins: [{}]", forms.join(", "))
}
