//! A search for traces as an address, and back: what the form sends without JavaScript.

use super::format;
use contract::trace::{TimeWindow, TraceQuery, TraceRow, TraceStatus};

/// Minimum durations to choose from, milliseconds.
pub const MIN_DURATIONS_MS: [u64; 7] = [10, 50, 100, 250, 500, 1_000, 2_000];

/// Reads the filters of an address: `get` answers for each name. What cannot be read is left out.
/// The time range is the whole page's and not a filter.
pub fn from_address(get: impl Fn(&str) -> Option<String>) -> TraceQuery {
    let text = |name: &str| get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    TraceQuery {
        service: text("service"),
        operation: text("operation"),
        status: text("status").and_then(|word| parse_status(&word)),
        min_duration_ms: text("min").and_then(|v| v.parse().ok()),
        tag: text("tag"),
        last_seconds: None,
        window: window_of(text("from"), text("until")),
        open: None,
    }
}

/// Most of a word of the address that is repeated, characters.
const WORD_MAX: usize = 40;

/// What of an address [`from_address`] leaves out because it cannot be read, in a sentence.
#[must_use]
pub fn unread(get: impl Fn(&str) -> Option<String>) -> Option<String> {
    let text = |name: &str| get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    let shown = |word: String| word.chars().take(WORD_MAX).collect::<String>();
    let status = text("status").filter(|word| parse_status(word).is_none());
    let status = status.map(|word| format!("There is no status {}.", shown(word)));
    let min = text("min").filter(|word| word.parse::<u64>().is_err());
    let min = min.map(|word| format!("{} is no minimum in milliseconds.", shown(word)));
    let (from, until) = (text("from"), text("until"));
    let given = from.is_some() || until.is_some();
    let zoom = (given && window_of(from, until).is_none())
        .then(|| "The zoom in time needs from and until in milliseconds.".to_owned());
    let said: Vec<String> = [status, min, zoom].into_iter().flatten().collect();
    let left_out = || format!("{} The search goes on without.", said.join(" "));
    (!said.is_empty()).then(left_out)
}

fn window_of(from: Option<String>, until: Option<String>) -> Option<TimeWindow> {
    window(from.as_deref()?, until.as_deref()?)
}

/// Latest end of a stretch of time, microseconds: that of the year 9999. What dates are written
/// for and axes are divided by ends there.
const UNTIL_MAX_US: i64 = 253_402_300_800_000_000;

/// A stretch of time; the address has it in milliseconds.
#[must_use]
pub fn window(from: &str, until: &str) -> Option<TimeWindow> {
    let us = |text: &str| text.trim().parse::<i64>().ok()?.checked_mul(1_000);
    let (from_us, until_us) = (us(from)?, us(until)?);
    let is_stretch = 0 <= from_us && from_us < until_us && until_us <= UNTIL_MAX_US;
    is_stretch.then_some(TimeWindow { from_us, until_us })
}

/// The stretch in whole milliseconds, so that it comes out of the address as it went in.
#[must_use]
pub fn whole(window: TimeWindow) -> TimeWindow {
    let from_us = window.from_us.div_euclid(1_000).max(0) * 1_000;
    let until_us = (window.until_us.div_euclid(1_000) * 1_000).max(from_us + 1_000);
    TimeWindow { from_us, until_us }
}

/// The query part of the address, with its question mark; empty for a query without filters.
#[must_use]
pub fn to_address(query: &TraceQuery, extra: &[(&str, &str)]) -> String {
    let min = query.min_duration_ms.map(|ms| ms.to_string());
    let ms = |us: i64| (us / 1_000).to_string();
    let from = query.window.map(|window| ms(window.from_us));
    let until = query.window.map(|window| ms(window.until_us));
    let filters = [
        ("service", query.service.as_deref()),
        ("operation", query.operation.as_deref()),
        ("status", query.status.map(status_word)),
        ("min", min.as_deref()),
        ("tag", query.tag.as_deref()),
        ("from", from.as_deref()),
        ("until", until.as_deref()),
    ];
    let mut address = String::new();
    let given = filters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in given.chain(extra.iter().copied()) {
        address.push(if address.is_empty() { '?' } else { '&' });
        address.push_str(name);
        address.push('=');
        escape(value, &mut address);
    }
    address
}

/// The word of a status in the address.
#[must_use]
pub const fn status_word(status: TraceStatus) -> &'static str {
    match status {
        TraceStatus::Ok => "ok",
        TraceStatus::Tolerated => "tolerated",
        TraceStatus::Compensated => "compensated",
        TraceStatus::Error => "error",
    }
}

/// What became of a trace, in words: `200 ok, 1 failed call`.
#[must_use]
pub fn outcome(row: &TraceRow) -> String {
    let word = match row.status {
        TraceStatus::Tolerated => {
            let failed = u64::try_from(row.failed).unwrap_or(u64::MAX);
            format!("ok, {}", format::plural(failed, "failed call", "failed calls"))
        }
        plain => status_word(plain).to_owned(),
    };
    row.http_status.map_or_else(|| word.clone(), |code| format!("{code} {word}"))
}

fn parse_status(word: &str) -> Option<TraceStatus> {
    use TraceStatus::{Compensated, Error, Ok, Tolerated};
    [Ok, Tolerated, Compensated, Error].into_iter().find(|s| status_word(*s) == word)
}

/// Which filter to loosen when nothing matches, the narrowest first.
#[must_use]
pub fn to_loosen(query: &TraceQuery) -> Option<&'static str> {
    [
        ("the zoom in time", query.window.is_some()),
        ("the tag", query.tag.is_some()),
        ("the duration", query.min_duration_ms.is_some()),
        ("the status", query.status.is_some()),
        ("the operation", query.operation.is_some()),
        ("the service", query.service.is_some()),
    ]
    .into_iter()
    .find_map(|(name, set)| set.then_some(name))
}

/// Percent-encodes a value for the query part of an address.
fn escape(value: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_of_an_address_is_told_and_what_can_is_not() {
        let told = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            unread(|name| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
        };
        let both = told(&[("status", "zz"), ("min", "abc")]).unwrap();
        let said = "There is no status zz. abc is no minimum in milliseconds. The search goes on \
                    without.";
        assert_eq!(both, said);
        assert!(told(&[("from", "7")]).is_some_and(|said| said.contains("until")));
        assert_eq!(told(&[("status", "error"), ("min", "50"), ("tag", "x"), ("from", "")]), None);
        assert!(told(&[("min", &"9".repeat(500))]).is_some_and(|said| said.len() < 120));
    }

    #[test]
    fn a_query_survives_the_way_through_the_address() {
        let query = TraceQuery {
            service: Some("gateway".into()),
            operation: None,
            status: Some(TraceStatus::Compensated),
            min_duration_ms: Some(1_000),
            open: None,
            tag: None,
            last_seconds: None,
            window: Some(TimeWindow {
                from_us: 1_772_375_512_408_000,
                until_us: 1_772_375_513_000_000,
            }),
        };
        let address = to_address(&query, &[]);
        let zoom = "from=1772375512408&until=1772375513000";
        assert_eq!(address, format!("?service=gateway&status=compensated&min=1000&{zoom}"));
        let read = from_address(|name| {
            let pairs = address.trim_start_matches('?').split('&');
            pairs.filter_map(|p| p.split_once('=')).find(|p| p.0 == name).map(|p| p.1.to_owned())
        });
        assert_eq!(read, query);
    }

    #[test]
    fn values_are_escaped_and_an_empty_query_has_no_question_mark() {
        let query = TraceQuery { tag: Some("order.id=a&b".into()), ..TraceQuery::default() };
        assert_eq!(to_address(&query, &[("span", "1f")]), "?tag=order.id%3Da%26b&span=1f");
        assert_eq!(to_address(&TraceQuery::default(), &[]), "");
    }

    #[test]
    fn what_cannot_be_read_is_no_filter() {
        let read = from_address(|name| Some(if name == "tag" { "  ".into() } else { "??".into() }));
        assert_eq!((read.status, read.min_duration_ms, read.tag), (None, None, None));
    }

    #[test]
    fn a_dragged_stretch_is_made_of_whole_milliseconds_and_never_empty() {
        let dragged = |from_us, until_us| whole(TimeWindow { from_us, until_us });
        assert_eq!(dragged(1_999, 5_001), TimeWindow { from_us: 1_000, until_us: 5_000 });
        assert_eq!(dragged(1_200, 1_300), TimeWindow { from_us: 1_000, until_us: 2_000 });
        assert_eq!(window("5", "5"), None);
        assert_eq!(window("-5", "5"), None);
        assert_eq!(window("1", "9223372036854775807"), None);
    }

    #[test]
    fn the_narrowest_filter_is_the_one_to_loosen() {
        let window = Some(TimeWindow { from_us: 0, until_us: 1_000 });
        let zoomed = TraceQuery { tag: Some("b=c".into()), window, ..Default::default() };
        assert_eq!(to_loosen(&zoomed), Some("the zoom in time"));
        let query =
            TraceQuery { service: Some("a".into()), tag: Some("b=c".into()), ..Default::default() };
        assert_eq!(to_loosen(&query), Some("the tag"));
        assert_eq!(to_loosen(&TraceQuery::default()), None);
    }
}
