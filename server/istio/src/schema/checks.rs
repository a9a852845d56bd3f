//! Checks of single values that the tables refer to.
//!
//! Each says what is wrong and what to do; where it stands is added by the walk.

use crate::{
    value::{self, Complaint},
    yaml::shorten,
};

type Checked = Result<(), Complaint>;

pub(super) fn any(_: &str) -> Checked {
    Ok(())
}

pub(super) fn not_empty(text: &str) -> Checked {
    if text.is_empty() {
        return Err(Complaint::new("This must not be empty.", "Fill it in or remove the field."));
    }
    Ok(())
}

pub(super) fn duration_ms(text: &str) -> Checked {
    value::duration_ms(text).map(drop)
}

pub(super) fn duration_ms_or_off(text: &str) -> Checked {
    value::duration_ms_or_off(text).map(drop)
}

/// A duration in whole seconds: the age of an answer to a preflight.
pub(super) fn duration_s(text: &str) -> Checked {
    let duration = value::duration_ms(text)?;
    if duration.subsec_nanos() == 0 {
        return Ok(());
    }
    Err(Complaint::new(
        format!("The duration {} has parts of a second, which Istio refuses here.", shorten(text)),
        "Round it to whole seconds.",
    ))
}

pub(super) fn duration(text: &str) -> Checked {
    value::duration(text).map(drop)
}

pub(super) fn percent(number: &str) -> Checked {
    value::percent(number).map(drop)
}

pub(super) fn fault_percent(number: &str) -> Checked {
    value::fault_percent(number).map(drop)
}

/// A number from 1 up.
pub(super) fn at_least_one(number: &str) -> Checked {
    match number.parse::<f64>() {
        Ok(value) if value >= 1.0 && value.is_finite() => Ok(()),
        _ => {
            Err(Complaint::new(format!("{} is less than 1.", shorten(number)), "Write 1 or more."))
        }
    }
}

/// The codes that Envoy redirects with, and Istio takes.
pub(super) fn redirect_code(number: &str) -> Checked {
    const CODES: [&str; 5] = ["301", "302", "303", "307", "308"];
    let code = value::whole(number).map(|code| code.to_string());
    if code.is_some_and(|code| CODES.contains(&&*code)) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("{} is no code to redirect with.", shorten(number)),
        format!("Use {}.", CODES.join(", ")),
    ))
}

pub(super) fn regex(text: &str) -> Checked {
    value::regex(text).map(drop)
}

pub(super) fn regex_anywhere(text: &str) -> Checked {
    value::regex_anywhere(text).map(drop)
}

pub(super) fn method(text: &str) -> Checked {
    value::method(text).map(drop)
}

pub(super) fn retry_on(text: &str) -> Checked {
    if text.is_empty() { Ok(()) } else { value::retry_on(text).map(drop) }
}

pub(super) fn grpc_status(text: &str) -> Checked {
    value::grpc_status(text).map(drop)
}

pub(super) fn ip_block(text: &str) -> Checked {
    value::ip_block(text).map(drop)
}

pub(super) fn jwks(text: &str) -> Checked {
    crate::jwks::keys(text).map(drop)
}

pub(super) fn base64(text: &str) -> Checked {
    value::base64(text).map(drop)
}

/// A header that may be matched; Istio refuses pseudo-headers there.
pub(super) fn header_name(text: &str) -> Checked {
    value::header_name(text).map(drop)
}

pub(super) fn header_value(text: &str) -> Checked {
    value::header_value(text).map(drop)
}

/// A header that may be set; the host is set by `rewrite.authority`.
pub(super) fn settable_header(text: &str) -> Checked {
    if text.eq_ignore_ascii_case("host") || text.starts_with(':') {
        return Err(Complaint::new(
            format!("The header {} is part of the request line.", shorten(text)),
            "Use rewrite.authority for the host.",
        ));
    }
    header_name(text)
}

/// An origin in `allowMethods`: a method or `*`.
pub(super) fn method_or_any(text: &str) -> Checked {
    if text == "*" { Ok(()) } else { method(text) }
}

/// A header in `allowHeaders`: a name or `*`.
pub(super) fn header_or_any(text: &str) -> Checked {
    if text == "*" { Ok(()) } else { header_name(text) }
}

const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 253;

fn is_label(text: &str) -> bool {
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let edges = !text.starts_with('-') && !text.ends_with('-');
    !text.is_empty() && text.len() <= LABEL_BYTES_MAX && inner && edges
}

/// A DNS label (RFC 1123): a subset, a namespace.
pub(super) fn label(text: &str) -> Checked {
    if is_label(text) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not a DNS label (RFC 1123).", shorten(text)),
        "Use up to 63 small letters, digits and hyphens.",
    ))
}

/// The name of a subset. Istio's own label (`pkg/config/labels`) may have capitals.
pub(super) fn subset(text: &str) -> Checked {
    if is_label(&text.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not a DNS label (RFC 1123).", shorten(text)),
        "Use up to 63 letters, digits and hyphens.",
    ))
}

/// The slots of a Maglev table: a prime number, and with Istio one below Envoy's own limit.
pub(super) fn maglev_size(number: &str) -> Checked {
    const SIZE_MAX: i64 = 5_000_010;
    let size = value::integer(number, 2, SIZE_MAX)?.unsigned_abs();
    if value::is_prime(size) {
        return Ok(());
    }
    let below = (2..size).rev().find(|size| value::is_prime(*size)).unwrap_or(2);
    Err(Complaint::new(
        format!("{} is not a prime number, which Maglev needs.", shorten(number)),
        format!("Write {below}, the next one below, or leave maglev out."),
    ))
}

/// Labels with points between them: a name of a resource.
pub(super) fn dns_name(text: &str) -> Checked {
    if text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not a DNS name.", shorten(text)),
        "Use small letters, digits and hyphens, with points between the parts.",
    ))
}

fn is_host(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("*.").unwrap_or(&lower);
    lower == "*" || (rest.len() <= NAME_BYTES_MAX && rest.split('.').all(is_label))
}

/// A host that may begin with `*.` or be `*`.
pub(super) fn host(text: &str) -> Checked {
    if is_host(text) || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    let advice = match text.contains(':') {
        true => "Leave the port out.",
        false => "Write a service's name, a domain, or *.domain.",
    };
    Err(Complaint::new(format!("\"{}\" is not a host.", shorten(text)), advice))
}

/// A host that is one: a destination.
pub(super) fn destination(text: &str) -> Checked {
    if text == "*" {
        return Err(Complaint::new(
            "A destination must be one service.",
            "Write the service's name instead of *.",
        ));
    }
    host(text)
}

/// A host of a gateway's server, with a namespace or without.
pub(super) fn gateway_host(text: &str) -> Checked {
    match text.split_once('/') {
        Some(("." | "*", text)) => host(text),
        Some((namespace, text)) => label(namespace).and_then(|()| host(text)),
        None => host(text),
    }
}

/// A name of a gateway, with its namespace or without, or `mesh`.
pub(super) fn gateway(text: &str) -> Checked {
    match text.split_once('/') {
        Some((".", name)) => dns_name(name),
        Some((namespace, name)) => label(namespace).and_then(|()| dns_name(name)),
        None => dns_name(text),
    }
}

/// `.`, `*`, `~` or a namespace.
pub(super) fn export_to(text: &str) -> Checked {
    if matches!(text, "." | "*" | "~") { Ok(()) } else { label(text) }
}

/// A path of an authorization policy: a value, or a template of which `{*}` is one segment and
/// `{**}`, at the end, the rest.
pub(super) fn path(text: &str) -> Checked {
    if !text.contains("{*}") && !text.contains("{**}") {
        return value_match(text);
    }
    let mut segments = text.split('/').peekable();
    while let Some(segment) = segments.next() {
        let misplaced = match segment {
            "{*}" => false,
            "{**}" => segments.peek().is_some(),
            literal => literal.contains(['*', '{', '}']),
        };
        if misplaced {
            return Err(Complaint::new(
                format!(
                    "\"{}\" is no path template: {} is out of place.",
                    shorten(text),
                    shorten(segment)
                ),
                "Use {*} for one whole segment, and {**} for all that follows, at the end.",
            ));
        }
    }
    Ok(())
}

/// A value of a security policy: exact, `prefix*`, `*suffix` or `*`.
pub(super) fn value_match(text: &str) -> Checked {
    not_empty(text)?;
    let inner = text.strip_prefix('*').unwrap_or(text);
    let inner =
        if inner.len() == text.len() { text.strip_suffix('*').unwrap_or(text) } else { inner };
    if inner.contains('*') {
        return Err(Complaint::new(
            format!("\"{}\" has a * in the middle, which would stand for itself.", shorten(text)),
            "Use one * at the beginning or at the end.",
        ));
    }
    Ok(())
}

/// A port of a security policy, which writes them as texts.
pub(super) fn port_text(text: &str) -> Checked {
    match text.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(Complaint::new(
            format!("\"{}\" is not a port.", shorten(text)),
            "Write a number from 1 to 65535 in quotes.",
        )),
    }
}

const CONDITION_KEYS: &[&str] = &[
    "source.ip",
    "remote.ip",
    "source.namespace",
    "source.principal",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "destination.port",
];
const CONDITION_PREFIXES: &[&str] = &["request.headers[", "request.auth.claims["];

/// A key of `when`.
pub(super) fn condition_key(text: &str) -> Checked {
    let indexed = CONDITION_PREFIXES.iter().any(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.len() > 1 && rest.ends_with(']'))
    });
    if indexed || CONDITION_KEYS.contains(&text) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("The condition \"{}\" is not understood here.", shorten(text)),
        match value::closest(text, CONDITION_KEYS.iter().copied()) {
            Some(key) => format!("Did you mean {key}?"),
            None => {
                "Use request.headers[...], request.auth.claims[...] or source.namespace.".to_owned()
            }
        },
    ))
}

/// `type.googleapis.com/…`.
pub(super) fn type_url(text: &str) -> Checked {
    if text.starts_with("type.googleapis.com/") {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not a type of Envoy's.", shorten(text)),
        "It begins with type.googleapis.com/.",
    ))
}
