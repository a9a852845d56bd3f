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

/// Longest expression, in bytes: Istio bounds what RE2 makes of it by its length
/// (`validateStringRegexp`).
const EXPRESSION_BYTES_MAX: usize = 1_024;

fn short_expression(text: &str) -> Checked {
    not_empty(text)?;
    if text.len() <= EXPRESSION_BYTES_MAX {
        return Ok(());
    }
    Err(Complaint::new(
        format!("An expression of {} bytes is too long for Istio.", text.len()),
        format!("Use at most {EXPRESSION_BYTES_MAX} bytes, or several matches."),
    ))
}

pub(super) fn regex(text: &str) -> Checked {
    short_expression(text)?;
    value::regex(text).map(drop)
}

/// As [`regex`], or `*`, which is no expression: Istio takes it for any value.
pub(super) fn regex_or_any(text: &str) -> Checked {
    if text == "*" { Ok(()) } else { regex(text) }
}

pub(super) fn regex_anywhere(text: &str) -> Checked {
    short_expression(text)?;
    value::regex_anywhere(text).map(drop)
}

/// The methods of `validateHTTPMethod`.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];

/// A method of `allowMethods`.
pub(super) fn method(text: &str) -> Checked {
    if METHODS.contains(&text) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not an HTTP method that Istio takes.", shorten(text)),
        match value::closest(text, METHODS) {
            Some(meant) => format!("Did you mean {meant}?"),
            None => format!("Use {}.", METHODS.join(", ")),
        },
    ))
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

/// Where keys are fetched from (`ParseJwksURI`).
pub(super) fn jwks_uri(text: &str) -> Checked {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if matches!(scheme.as_deref(), Some("http" | "https")) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is no address of keys.", shorten(text)),
        "Begin with https:// or http://.",
    ))
}

/// What stands before the path of a Unix domain socket (`UnixAddressPrefix`).
pub(crate) const UNIX: &str = "unix://";

/// What a server is bound to: an address, a Unix domain socket, or with `@` an abstract one
/// (`validateServerBind`).
pub(super) fn address(text: &str) -> Checked {
    let advice = match text.strip_prefix(UNIX) {
        Some(path) if path.starts_with('@') => return Ok(()),
        Some(path) if path.starts_with('/') && !path.ends_with('/') => return Ok(()),
        Some(_) => "Write unix:// and the whole path of a file, or @ and a name.",
        None if text.parse::<std::net::IpAddr>().is_ok() => return Ok(()),
        None => "Write an address such as 0.0.0.0, or leave it out.",
    };
    Err(Complaint::new(format!("\"{}\" is not an address.", shorten(text)), advice))
}

/// The protocol of a port, in any case (`protocol.Parse`).
pub(super) fn protocol(text: &str) -> Checked {
    if value::protocol(text).is_some() {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not a protocol.", shorten(text)),
        match value::closest(text, value::PROTOCOLS) {
            Some(meant) => format!("Did you mean {meant}?"),
            None => format!("Use {}.", value::PROTOCOLS.join(", ")),
        },
    ))
}

/// As [`protocol`], or nothing: then Istio finds it out.
pub(super) fn protocol_or_none(text: &str) -> Checked {
    if text.is_empty() { Ok(()) } else { protocol(text) }
}

pub(super) fn jwks(text: &str) -> Checked {
    crate::jwks::keys(text).map(drop)
}

pub(super) fn base64(text: &str) -> Checked {
    value::base64(text).map(drop)
}

pub(super) fn header_name(text: &str) -> Checked {
    value::header_name(text).map(drop)
}

/// A header as Istio has it where one is matched or allowed: fewer characters than HTTP has, and
/// no pseudo-header (`validHeaderRegex`).
pub(super) fn plain_header(text: &str) -> Checked {
    value::header_name(text)?;
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not a header name that Istio takes.", shorten(text)),
        "Use letters, digits, hyphens and underscores.",
    ))
}

/// A header that a rule looks at, or a claim of a token
/// (`ValidateHTTPHeaderNameOrJwtClaimRoute`).
pub(super) fn matched_header(text: &str) -> Checked {
    if value::routing_claim(text).is_some() { Ok(()) } else { plain_header(text) }
}

pub(super) fn header_value(text: &str) -> Checked {
    value::header_value(text).map(drop)
}

/// A header that may be set, also the host (`ValidateHTTPHeaderOperationName`).
pub(super) fn settable_header(text: &str) -> Checked {
    if value::is_authority(text) {
        return Ok(());
    }
    if text.starts_with(':') {
        return Err(Complaint::new(
            format!("The header {} is part of the request line.", shorten(text)),
            "Use rewrite.uri for the path, and host for the host.",
        ));
    }
    header_name(text)
}

/// A header in `allowHeaders`: a name or `*`.
pub(super) fn header_or_any(text: &str) -> Checked {
    if text == "*" { Ok(()) } else { plain_header(text) }
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

/// The name of a subset or of a port. Istio's own label (`pkg/config/labels`) may have capitals.
pub(super) fn label_in_any_case(text: &str) -> Checked {
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

/// Labels with points between them and perhaps one at the end (`istio.io.`), the last of them no
/// number (`ValidateDNS1123Labels`).
fn is_domain(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let labels = lower.strip_suffix('.').unwrap_or(&lower);
    let numeric = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    lower.len() <= NAME_BYTES_MAX
        && !lower.rsplit('.').next().is_some_and(numeric)
        && (labels.is_empty() || labels.split('.').all(is_label))
}

/// A name whose first label may be `*` or begin with it (`ValidateWildcardDomain`).
fn is_host(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let (first, rest) = lower.split_once('.').map_or((&*lower, None), |(a, b)| (a, Some(b)));
    let label = first.strip_prefix("*-").or_else(|| first.strip_prefix('*')).unwrap_or(first);
    lower.len() <= NAME_BYTES_MAX && (first == "*" || is_label(label)) && rest.is_none_or(is_domain)
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

fn no_host(text: &str) -> Complaint {
    let advice = match text.contains(':') {
        true => "Leave the port out.",
        false => "Write a service's name, a domain, or *.domain.",
    };
    Complaint::new(format!("\"{}\" is not a host.", shorten(text)), advice)
}

/// A host that may begin with `*` or be `*`, or an address.
pub(super) fn host(text: &str) -> Checked {
    if is_address(text) { Ok(()) } else { named_host(text) }
}

/// The same without addresses: what a rule is for.
pub(super) fn named_host(text: &str) -> Checked {
    if is_host(text) { Ok(()) } else { Err(no_host(text)) }
}

/// A host that is one: a destination.
pub(super) fn destination(text: &str) -> Checked {
    if text == "*" {
        return Err(Complaint::new(
            "A destination must be one service.",
            "Write the service's name instead of *.",
        ));
    }
    named_host(text)
}

/// A host of a `ServiceEntry`, which cannot be all of them.
pub(super) fn entry_host(text: &str) -> Checked {
    if text == "*" {
        return Err(Complaint::new(
            "A service entry for every host there is, is refused by Istio.",
            "Write the host, or *.domain.",
        ));
    }
    named_host(text)
}

/// A whole name or an address: where a tunnel leads to, where an endpoint is.
pub(crate) fn name_or_address(text: &str) -> Checked {
    not_empty(text)?;
    if is_address(text) || is_domain(text) { Ok(()) } else { Err(no_host(text)) }
}

/// A host of a gateway's server, with a namespace or without. Neither short names nor `*` within
/// a label are taken there (`validateSidecarOrGatewayHostnamePart`).
pub(super) fn gateway_host(text: &str) -> Checked {
    let name = match text.split_once('/') {
        Some(("." | "*", name)) => name,
        Some((namespace, name)) => {
            label(namespace)?;
            name
        }
        None => text,
    };
    host(name)?;
    if name == "*" || (name.contains('.') && (!name.contains('*') || name.starts_with("*."))) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is no whole host, which a gateway asks for.", shorten(text)),
        "Write a domain, *.domain or *.",
    ))
}

/// A name of a gateway, with its namespace before it or as the name of a service has it, or
/// `mesh` (`validateGatewayNames`).
pub(super) fn gateway(text: &str) -> Checked {
    match text.split_once('/') {
        Some((namespace, name)) => label(namespace).and_then(|()| label(name)),
        None if !text.is_empty() && is_domain(text) => Ok(()),
        None => dns_name(text),
    }
}

/// A letter or a digit at both ends, and in between also `-`, `_` and `.`.
fn is_qualified(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().copied().all(inner)
}

/// The name of a label of Kubernetes, with a domain before a slash or without
/// (`labels.Instance.Validate`).
pub(super) fn label_name(text: &str) -> Checked {
    let (domain, name) = text.split_once('/').map_or((None, text), |(a, b)| (Some(a), b));
    let of_domain = |domain: &str| {
        let mut labels = domain.split('.').map(str::to_ascii_lowercase);
        domain.len() <= NAME_BYTES_MAX && labels.all(|label| is_label(&label))
    };
    if is_qualified(name) && name.len() <= LABEL_BYTES_MAX && domain.is_none_or(of_domain) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not the name of a label.", shorten(text)),
        "Use letters, digits, -, _ and . with a letter or a digit at both ends.",
    ))
}

/// The value of a label of Kubernetes.
pub(super) fn label_value(text: &str) -> Checked {
    if text.is_empty() || is_qualified(text) {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" is not the value of a label.", shorten(text)),
        "Use letters, digits, -, _ and . with a letter or a digit at both ends.",
    ))
}

/// A name or a value that a selector asks for (`validateWorkloadSelector`).
pub(super) fn selected(text: &str) -> Checked {
    if !text.contains('*') {
        return Ok(());
    }
    Err(Complaint::new(
        format!("\"{}\" has a *: labels are compared as they are.", shorten(text)),
        "Write the whole value.",
    ))
}

/// The name of a label that a selector asks for.
pub(super) fn selected_name(text: &str) -> Checked {
    not_empty(text)?;
    selected(text)
}

/// `.`, `*`, `~` or a namespace.
pub(super) fn export_to(text: &str) -> Checked {
    if matches!(text, "." | "*" | "~") { Ok(()) } else { label(text) }
}

/// A path of an authorization policy: a value, or a template of which `{*}` is one segment and
/// `{**}`, the last of these, any others (`CheckValidPathTemplate` in `pkg/config/security`).
pub(super) fn path(text: &str) -> Checked {
    if !text.contains("{*}") && !text.contains("{**}") {
        return value_match(text);
    }
    let mut any = false;
    for segment in text.split('/') {
        let misplaced = match segment {
            "{*}" => any,
            "{**}" => std::mem::replace(&mut any, true),
            literal => literal.contains(['*', '{', '}']),
        };
        if misplaced {
            return Err(Complaint::new(
                format!(
                    "\"{}\" is no path template: {} is out of place.",
                    shorten(text),
                    shorten(segment)
                ),
                "Use {*} for one whole segment, and {**} once for any others, after all {*}.",
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
