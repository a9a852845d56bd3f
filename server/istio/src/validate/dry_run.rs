//! `istio.io/dry-run`: an `AuthorizationPolicy` with it is evaluated and not enforced.
//!
//! Istio's own rules are in `pkg/config/validation/validation.go` (`checkDryRunAnnotation`).

use super::{About, place};
use crate::{compile, finding::code, schema::Kind, value};

pub(super) fn check(about: &mut About<'_>) {
    let Some(written) = compile::dry_run(about.resource) else { return };
    let root = about.resource.root();
    let at = root
        .path(&["metadata", "annotations"])
        .map_or(root.at, |node| place(node, compile::DRY_RUN));
    let place = (format!("metadata.annotations[{}]", compile::DRY_RUN), at);
    let kind = about.resource.kind();
    let action = about.spec().str("action").unwrap_or("ALLOW");
    if kind != Kind::AuthorizationPolicy || !["ALLOW", "DENY"].contains(&action) {
        let message = format!(
            "{} is for an AuthorizationPolicy that allows or denies alone, and Istio refuses it \
             elsewhere.",
            compile::DRY_RUN
        );
        return about.error(code::REFUSED, place, message, "Remove the annotation.");
    }
    match value::go_bool(written) {
        None => about.error(
            code::BAD_VALUE,
            place,
            format!("\"{}\" is neither true nor false.", crate::yaml::shorten(written)),
            "Write \"true\" or \"false\".",
        ),
        Some(true) => about.silence(
            "spec",
            "It is a dry run: what it would refuse is noted on the span and not refused",
        ),
        Some(false) => {}
    }
}
