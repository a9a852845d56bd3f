//! Values as Istio writes them: durations, percentages, regular expressions, names.
//!
//! Each is read by one function, which validation and compilation share, so that what is accepted
//! is what is compiled. Knows no resource.

use crate::{
    expressions,
    policy::{RetryOn, Share},
};
use http::{HeaderName, HeaderValue, Method};
use regex::Regex;
use std::{net::IpAddr, time::Duration};

/// What is wrong with a value, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong and why.
    pub message: String,
    /// What to do.
    pub advice: String,
}

impl Complaint {
    /// Both sentences.
    pub fn new(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { message: message.into(), advice: advice.into() }
    }
}

/// Longest duration, in seconds: a year. Longer ones are typing errors.
const DURATION_SECONDS_MAX: u128 = 366 * 24 * 3_600;

/// A duration in protobuf's or Go's notation: `1.5s`, `2m`, `1h30m`, `500ms`.
///
/// # Errors
/// A text that is neither.
pub fn duration(text: &str) -> Result<Duration, Complaint> {
    let wrong = || {
        Complaint::new(
            format!("\"{}\" is not a duration.", crate::yaml::shorten(text)),
            "Write a number with a unit: 500ms, 1.5s, 2m or 1h30m.",
        )
    };
    // A sign is read by protobuf and by Go; a negative duration is none of Istio's.
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(wrong());
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit: u128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return Err(wrong()),
        };
        nanos = nanos.checked_add(scaled(number, unit).ok_or_else(wrong)?).ok_or_else(wrong)?;
        rest = tail;
    }
    if nanos > DURATION_SECONDS_MAX * 1_000_000_000 {
        return Err(Complaint::new(
            format!("\"{}\" is longer than a year.", crate::yaml::shorten(text)),
            "Check the unit.",
        ));
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| wrong())?;
    let subsecond = u32::try_from(nanos % 1_000_000_000).map_err(|_| wrong())?;
    Ok(Duration::new(seconds, subsecond))
}

/// Decimal digits with at most one point, times a unit; what is finer than 1 is cut off.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    /// More digits than any duration or percentage needs.
    const DIGITS_MAX: usize = 18;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > DIGITS_MAX {
        return None;
    }
    let fraction = fraction.get(..fraction.len().min(DIGITS_MAX))?;
    let parse = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    parse(whole)?.checked_mul(unit)?.checked_add(parse(fraction)?.checked_mul(unit)? / scale)
}

/// A duration of at least a millisecond in whole milliseconds, as Istio's validation asks for.
///
/// # Errors
/// No duration, a shorter one, or one with parts of a millisecond.
pub fn duration_ms(text: &str) -> Result<Duration, Complaint> {
    let duration = duration(text)?;
    if duration < Duration::from_millis(1) {
        return Err(Complaint::new(
            format!("The duration {text} is shorter than a millisecond, which Istio refuses."),
            "Write at least 1ms.",
        ));
    }
    whole_ms(text, duration)
}

/// As [`duration_ms`], but zero is allowed and means off.
///
/// # Errors
/// As [`duration_ms`].
pub fn duration_ms_or_off(text: &str) -> Result<Duration, Complaint> {
    match duration(text)? {
        Duration::ZERO => Ok(Duration::ZERO),
        _ => duration_ms(text),
    }
}

fn whole_ms(text: &str, duration: Duration) -> Result<Duration, Complaint> {
    if duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Ok(duration);
    }
    Err(Complaint::new(
        format!("The duration {text} has parts of a millisecond, which Istio refuses."),
        "Round it to whole milliseconds.",
    ))
}

/// A percentage as a share, exact to 0.0001 %; finer digits are cut off, as Istio does.
///
/// # Errors
/// Less than 0 or more than 100.
pub fn percent(number: &str) -> Result<Share, Complaint> {
    let wrong = || {
        Complaint::new(
            format!("{} % is not between 0 and 100.", crate::yaml::shorten(number)),
            "Write a percentage from 0 to 100, such as 12.5.",
        )
    };
    /// Parts per million in a percent.
    const PER_PERCENT: u128 = 10_000;
    let plain = number.strip_prefix('+').unwrap_or(number);
    let plain = match plain.contains(['e', 'E']) {
        // The shortest decimal of the same value, without an exponent.
        true => format!("{}", plain.parse::<f64>().map_err(|_| wrong())?),
        false => plain.to_owned(),
    };
    let millionths = scaled(&plain, PER_PERCENT).ok_or_else(wrong)?;
    // What is cut off must not make more than everything everything.
    let cut_off =
        plain.split_once('.').is_some_and(|(_, digits)| digits.bytes().any(|b| b != b'0'));
    let exceeds = millionths == u128::from(Share::ALL.0) && cut_off;
    match u32::try_from(millionths) {
        Ok(share) if share <= Share::ALL.0 && !exceeds => Ok(Share(share)),
        _ => Err(wrong()),
    }
}

/// A percentage of faults: 0, or at least the 0.0001 % that Istio can express.
///
/// # Errors
/// As [`percent`], or finer than 0.0001.
pub fn fault_percent(number: &str) -> Result<Share, Complaint> {
    let share = percent(number)?;
    let is_zero = number.bytes().take_while(|b| !b"eE".contains(b)).all(|b| b"0.+".contains(&b));
    if share == Share::NONE && !is_zero {
        return Err(Complaint::new(
            format!("{number} % is finer than Istio can express."),
            "Write 0, or at least 0.0001.",
        ));
    }
    Ok(share)
}

/// A whole number, with zeros behind a point or an exponent if it is written so (`90.0`, `9e1`):
/// protobuf takes those where it wants an integer.
#[must_use]
pub fn whole(number: &str) -> Option<i64> {
    /// Above this not every whole number is one of these (2^53).
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let written = || {
        let number: f64 = number.parse().ok()?;
        (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then(|| format!("{number:.0}"))
    };
    number.parse().ok().or_else(|| written()?.parse().ok())
}

/// Whether a number is prime; of those that tables bound this is quick.
#[must_use]
pub fn is_prime(number: u64) -> bool {
    let mut divisors = (2..).take_while(|divisor| divisor * divisor <= number);
    number >= 2 && divisors.all(|divisor| !number.is_multiple_of(divisor))
}

/// A whole number between bounds.
///
/// # Errors
/// Fractions, and numbers out of bounds.
pub fn integer(number: &str, min: i64, max: i64) -> Result<i64, Complaint> {
    match whole(number) {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        Some(_) => Err(Complaint::new(
            format!("{number} is out of range."),
            format!("Write a whole number from {min} to {max}."),
        )),
        None => Err(Complaint::new(
            format!("{} is not a whole number.", crate::yaml::shorten(number)),
            format!("Write a whole number from {min} to {max}."),
        )),
    }
}

/// A regular expression of RE2, compiled to match whole texts, as Istio's `regex` does.
///
/// # Errors
/// What RE2 would refuse.
pub fn regex(pattern: &str) -> Result<Regex, Complaint> {
    expressions::whole(pattern)
}

/// As [`regex`], but it may match anywhere (`uriRegexRewrite.match`).
///
/// # Errors
/// As [`regex`].
pub fn regex_anywhere(pattern: &str) -> Result<Regex, Complaint> {
    expressions::anywhere(pattern)
}

/// The first group that a substitution names (`\\2`) and an expression has not.
pub(crate) fn missing_group(regex: &Regex, substitution: &str) -> Option<usize> {
    let mut characters = substitution.chars();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' { characters.next() } else { None };
        let group =
            escaped.and_then(|digit| digit.to_digit(10)).and_then(|d| usize::try_from(d).ok());
        if let Some(group) = group.filter(|group| *group >= regex.captures_len()) {
            return Some(group);
        }
    }
    None
}

/// Whether the name of a header is one of those by which Istio sets the authority of a request
/// (`isAuthorityHeader`).
#[must_use]
pub fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// A name of a header that a rule may match or set.
///
/// # Errors
/// Characters that no header name has.
pub fn header_name(name: &str) -> Result<HeaderName, Complaint> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        Complaint::new(
            format!("\"{}\" is not a header name.", crate::yaml::shorten(name)),
            "Use letters, digits and hyphens. For the host use authority, for the method method.",
        )
    })
}

/// A value of a header as a rule writes it: `%%` stands for one percent sign, and what two enclose
/// is an operator that Envoy fills in (`%START_TIME%`), which nothing does here. None is a value
/// with an operator. As in `ValidateHTTPHeaderValue`, no name of an operator is looked up.
///
/// # Errors
/// Control characters, and a percent sign that is neither doubled nor encloses an operator.
pub fn header_value(value: &str) -> Result<Option<HeaderValue>, Complaint> {
    let wrong = |advice: &str| {
        let message = format!("\"{}\" is not a header value.", crate::yaml::shorten(value));
        Complaint::new(message, advice)
    };
    // An operator may hold what a header may not, and Istio looks at the whole text.
    let plain = |text: &str| {
        let advice = "Remove line breaks and control characters.";
        HeaderValue::from_str(text).map_err(|_| wrong(advice))
    };
    plain(value)?;
    let (mut text, mut filled_in, mut rest) = (String::new(), false, value);
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        rest = match after.strip_prefix('%') {
            Some(after) => {
                text.push('%');
                after
            }
            None => {
                filled_in = true;
                let advice =
                    "Write %% for a percent sign; one alone begins an operator of Envoy's.";
                behind_operator(after).ok_or_else(|| wrong(advice))?
            }
        };
    }
    text.push_str(rest);
    if filled_in { Ok(None) } else { plain(&text).map(Some) }
}

/// What stands behind an operator whose opening percent sign was read: its name, then perhaps
/// arguments in parentheses, then the closing sign (Envoy `header_parser.cc`, as ported in Istio's
/// `header_value_validator.go`). None if it does not end.
fn behind_operator(text: &str) -> Option<&str> {
    let (_, arguments) = match text.find(['%', '('])? {
        at if text.get(at..)?.starts_with('%') => return text.get(at + 1..),
        at => text.split_at_checked(at + 1)?,
    };
    let arguments = arguments.trim_start_matches(' ');
    let mut rest = match arguments.strip_prefix('[') {
        Some(list) => behind_list(list)?.trim_start_matches(' ').strip_prefix(')')?,
        None => behind_text(arguments)?,
    };
    rest = rest.trim_start_matches(' ');
    rest.strip_prefix('%')
}

/// Behind the texts of a list in brackets.
fn behind_list(list: &str) -> Option<&str> {
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches(' ').strip_prefix('"')?;
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => drop(characters.next()?),
                (at, '"') => break at,
                _ => {}
            }
        };
        rest = rest.get(end + 1..)?.trim_start_matches(' ');
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest.strip_prefix(']'),
        }
    }
}

/// Behind the parenthesis that closes plain arguments.
fn behind_text(arguments: &str) -> Option<&str> {
    let mut characters = arguments.char_indices();
    // The first is one of them, whatever it is.
    characters.next()?;
    loop {
        match characters.next()? {
            (_, '\\') => drop(characters.next()?),
            (at, ')') => return arguments.get(at + 1..),
            _ => {}
        }
    }
}

/// What `protocol.Parse` of Istio knows, as it is usually written.
pub(crate) const PROTOCOLS: [&str; 12] = [
    "HTTP",
    "HTTPS",
    "HTTP2",
    "GRPC",
    "GRPC-WEB",
    "HTTP_PROXY",
    "TLS",
    "TCP",
    "UDP",
    "MONGO",
    "REDIS",
    "MYSQL",
];

/// The protocol of a port, written in any case.
pub(crate) fn protocol(text: &str) -> Option<&'static str> {
    PROTOCOLS.into_iter().find(|protocol| protocol.eq_ignore_ascii_case(text))
}

/// The levels of a claim that a rule looks at in the place of a header, by the two ways of writing
/// it (`ToRoutingClaim` in `pkg/jwt`): `@request.auth.claims.a.b`, `@request.auth.claims[a][b]`.
pub(crate) fn routing_claim(name: &str) -> Option<Vec<String>> {
    const CLAIMS: &str = "@request.auth.claims";
    let (head, rest) = name.split_at_checked(CLAIMS.len())?;
    let levels = |path: &str, between: &str| path.split(between).map(str::to_owned).collect();
    let path = |path: &'_ str| !path.is_empty() && head.eq_ignore_ascii_case(CLAIMS);
    match rest.strip_prefix('.') {
        Some(dotted) => path(dotted).then(|| levels(dotted, ".")),
        None => {
            let bracketed = rest.strip_prefix('[')?.strip_suffix(']')?;
            path(bracketed).then(|| levels(bracketed, "]["))
        }
    }
}

/// An HTTP method.
///
/// # Errors
/// Characters that no method has.
pub fn method(name: &str) -> Result<Method, Complaint> {
    Method::from_bytes(name.as_bytes()).map_err(|_| {
        Complaint::new(
            format!("\"{}\" is not an HTTP method.", crate::yaml::shorten(name)),
            "Write it as it is sent: GET, POST, PUT, DELETE, PATCH, HEAD or OPTIONS.",
        )
    })
}

/// A token of `retryOn` that nothing here can cause: kept, and without effect.
pub const RETRY_ON_IGNORED: &[&str] = &["retriable-headers", "http3-post-connect-failure"];

const RETRY_ON: &[(&str, RetryOn)] = &[
    ("5xx", RetryOn::ServerError),
    ("gateway-error", RetryOn::GatewayError),
    ("reset", RetryOn::Reset),
    ("reset-before-request", RetryOn::ResetBeforeRequest),
    ("connect-failure", RetryOn::ConnectFailure),
    ("refused-stream", RetryOn::RefusedStream),
    ("retriable-4xx", RetryOn::RetriableFourXx),
    ("envoy-ratelimited", RetryOn::EnvoyRateLimited),
    ("retriable-status-codes", RetryOn::RetriableStatusCodes),
    ("cancelled", RetryOn::GrpcCancelled),
    ("deadline-exceeded", RetryOn::GrpcDeadlineExceeded),
    ("internal", RetryOn::GrpcInternal),
    ("resource-exhausted", RetryOn::GrpcResourceExhausted),
    ("unavailable", RetryOn::GrpcUnavailable),
];

/// The tokens of `retryOn`, those without effect left out.
///
/// # Errors
/// A token that is neither known nor a status code below 600.
pub fn retry_on(text: &str) -> Result<Vec<RetryOn>, Complaint> {
    let mut tokens = Vec::new();
    for token in text.split(',').map(str::trim) {
        if let Some((_, known)) = RETRY_ON.iter().find(|(name, _)| *name == token) {
            tokens.push(*known);
        } else if let Ok(status @ 100..600) = token.parse::<u16>() {
            tokens.push(RetryOn::Status(status));
        } else if !RETRY_ON_IGNORED.contains(&token) {
            let names = RETRY_ON.iter().map(|(name, _)| *name);
            return Err(Complaint::new(
                format!("\"{}\" is not a retryOn policy.", crate::yaml::shorten(token)),
                match closest(token, names) {
                    Some(name) => format!("Did you mean {name}?"),
                    None => "Use 5xx, gateway-error, connect-failure, refused-stream, reset, \
                             unavailable or a status code, separated by commas."
                        .to_owned(),
                },
            ));
        }
    }
    Ok(tokens)
}

/// gRPC status codes by their names.
const GRPC_CODES: &[&str] = &[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A gRPC status by its name or number.
///
/// # Errors
/// Neither.
pub fn grpc_status(text: &str) -> Result<u8, Complaint> {
    let by_name = GRPC_CODES.iter().position(|name| *name == text);
    let by_number = || text.parse::<usize>().ok().filter(|code| *code < GRPC_CODES.len());
    by_name.or_else(by_number).and_then(|code| u8::try_from(code).ok()).ok_or_else(|| {
        Complaint::new(
            format!("\"{}\" is not a gRPC status.", crate::yaml::shorten(text)),
            match closest(text, GRPC_CODES.iter().copied()) {
                Some(name) => format!("Did you mean {name}?"),
                None => "Write its name, such as UNAVAILABLE.".to_owned(),
            },
        )
    })
}

/// An address or a network: `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// # Errors
/// Neither.
pub fn ip_block(text: &str) -> Result<(IpAddr, u8), Complaint> {
    let wrong = || {
        Complaint::new(
            format!("\"{}\" is neither an address nor a network.", crate::yaml::shorten(text)),
            "Write 10.1.2.3 or 10.1.0.0/16.",
        )
    };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Ok(bits), str::parse).map_err(|_| wrong())?;
    if length > bits { Err(wrong()) } else { Ok((address, length)) }
}

/// Bytes written in base 64 (RFC 4648, section 4), with or without padding.
///
/// # Errors
/// Other characters, or an impossible length.
pub fn base64(text: &str) -> Result<Vec<u8>, Complaint> {
    let wrong = || Complaint::new("This is not base 64.", "Use string for plain text.");
    let digits = text.trim_end_matches('=').bytes();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(wrong()),
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).map_err(|_| wrong())?);
            bits &= (1 << held) - 1;
        }
    }
    if held == 6 { Err(wrong()) } else { Ok(bytes) }
}

/// The nearest of some names, if one is near enough to be meant.
#[must_use]
pub fn closest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Farther names are other names (0 is nothing in common, 1 is the same).
    const SIMILARITY_MIN: f64 = 0.75;
    /// Longer texts are no names, and comparing them would be slow.
    const NAME_BYTES_MAX: usize = 128;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let lower = name.to_lowercase();
    let score = |candidate: &str| strsim::jaro_winkler(&lower, &candidate.to_lowercase());
    names
        .into_iter()
        .map(|candidate| (score(candidate), candidate))
        .filter(|(score, _)| *score >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
/// What Go's `strconv.ParseBool` takes for true or false.
pub(crate) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
