//! What Envoy makes of values that Istio takes as they are: operators in headers, shares below the
//! finest that it can draw, paths that no request has, groups that an expression has not.

use super::{About, place};
use crate::{
    finding::code,
    policy::Share,
    value,
    yaml::{Node, Position, shorten},
};

/// Every rule of a `VirtualService`.
pub(super) fn check(about: &mut About<'_>, route: &Node, path: &str) {
    operators(about, route, path);
    for (index, to) in route.list("route").iter().enumerate() {
        operators(about, to, &format!("{path}.route[{index}]"));
    }
    for (index, found) in route.list("match").iter().enumerate() {
        paths(about, found, &format!("{path}.match[{index}].uri"));
    }
    groups(about, route, path);
    if let Some(share) = route.get("mirrorPercentage") {
        grain(about, share, &format!("{path}.mirrorPercentage"));
    }
    for (index, mirror) in route.list("mirrors").iter().enumerate() {
        if let Some(share) = mirror.get("percentage") {
            grain(about, share, &format!("{path}.mirrors[{index}].percentage"));
        }
    }
}

/// Headers that are set to something Envoy would fill in. To set the operator itself would be
/// neither what is meant nor what Envoy does, so they are not set.
fn operators(about: &mut About<'_>, node: &Node, path: &str) {
    for keys in [["request", "set"], ["request", "add"], ["response", "set"], ["response", "add"]] {
        let of = node.path(&["headers", keys[0], keys[1]]);
        for entry in of.map_or(&[][..], Node::entries) {
            let Some(Ok(None)) = entry.value.as_str().map(value::header_value) else { continue };
            about.idle(
                code::OPERATOR,
                (format!("{path}.headers.{}.{}[{}]", keys[0], keys[1], entry.key), entry.at),
                format!(
                    "Envoy fills in the value of {}; here nothing does, so it is not set.",
                    entry.key
                ),
                "Write the value out. A percent sign itself is %%.",
            );
        }
    }
}

/// A share that is more than nothing and less than Envoy can draw: Istio counts it in millionths
/// (`translatePercentToFractionalPercent` in `pilot/pkg/networking/core/route`).
fn grain(about: &mut About<'_>, percent: &Node, path: &str) {
    let Some(written) = percent.get("value").and_then(Node::as_number) else { return };
    let at: Position = place(percent, "value");
    if value::percent(written) == Ok(Share::NONE) && value::fault_percent(written).is_err() {
        about.warn(
            code::BELOW_GRAIN,
            (format!("{path}.value"), at),
            format!("{written} % is below the 0.0001 % that Envoy can draw: it is read as 0."),
            "Write at least 0.0001, or 0.",
        );
    }
}

/// A path or its beginning that is written as none comes in: it begins with a slash, has no query,
/// and each octet has one way of being written (RFC 3986, section 6.2.2).
fn paths(about: &mut About<'_>, found: &Node, path: &str) {
    for key in ["exact", "prefix"] {
        let Some(node) = found.path(&["uri", key]) else { continue };
        let Some(written) = node.as_str().filter(|text| !text.is_empty()) else { continue };
        let why = if !written.starts_with('/') {
            "a path begins with a slash".to_owned()
        } else if written.contains(['?', '#']) {
            "a path has no query, and a query is matched by queryParams".to_owned()
        } else if let Some(piece) = misspelt(written) {
            format!("{} is written otherwise in a path that comes in", shorten(&piece))
        } else {
            continue;
        };
        about.warn(
            code::NO_PATH,
            (format!("{path}.{key}"), found.get("uri").map_or(node.at, |uri| place(uri, key))),
            format!("No request has the path \"{}\": {why}.", shorten(written)),
            "Write it as it comes in: /a%5D for a bracket, /a-b for a hyphen.",
        );
    }
}

/// The first piece of a path that has another form in the paths that come in.
fn misspelt(path: &str) -> Option<String> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let plain = |byte: u8| unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte);
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let text = [*high, *low];
                let octet = std::str::from_utf8(&text).ok().and_then(|digits| {
                    u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
                });
                let lower = text.iter().any(u8::is_ascii_lowercase);
                if lower || octet.is_none_or(unreserved) {
                    return Some(format!("%{}", String::from_utf8_lossy(&text)));
                }
                rest = after;
            }
            // The beginning of a path may end within an octet.
            (b'%', _) => return None,
            (byte, _) if plain(byte) => {}
            _ => {
                let at = path.len() - rest.len() - 1;
                return path.get(at..)?.chars().next().map(String::from);
            }
        }
    }
    None
}

/// A substitution that names a group which its expression has not replaces nothing (RE2
/// `GlobalReplace`).
fn groups(about: &mut About<'_>, route: &Node, path: &str) {
    let Some(node) = route.path(&["rewrite", "uriRegexRewrite"]) else { return };
    let (Some(expression), Some(rewrite)) = (node.str("match"), node.str("rewrite")) else {
        return;
    };
    let Ok(regex) = value::regex_anywhere(expression) else { return };
    let Some(group) = value::missing_group(&regex, rewrite) else { return };
    about.idle(
        code::NO_GROUP,
        (format!("{path}.rewrite.uriRegexRewrite"), place(node, "rewrite")),
        format!("The expression has no group {group}, so RE2 replaces nothing: the path stays."),
        format!("Put parentheses around what \\{group} is to be, or use another group."),
    );
}
