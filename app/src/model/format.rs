//! How numbers, money, times and ids are written. The rules are in the design's chapter on wording.
//!
//! Nothing here asks for the time or for the time zone: both are arguments, so that the server and
//! the browser write the same characters.

use contract::Money;

/// Narrow space between thousands; it does not break a line.
const THIN: char = '\u{202f}';
const US_PER_SECOND: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Digits in groups of three: `2 215`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(THIN);
        }
        out.push(digit);
    }
    out
}

/// An amount of money: `€184.50`, `€2 215.00`, `−€0.05`.
#[must_use]
pub fn money(value: Money) -> String {
    let sign = if value.minor < 0 { "−" } else { "" };
    let minor = value.minor.unsigned_abs();
    let symbol = match value.currency {
        contract::Currency::Eur => '€',
    };
    format!("{sign}{symbol}{}.{:02}", count(minor / 100), minor % 100)
}

/// A number with so many digits after the point and groups of three before it.
fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let sign =
        if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "−" } else { "" };
    format!("{sign}{whole}{rest}")
}

/// A rate: `60.3/s`, `0.3/s`, `0/s`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if per_second.abs() < 1e-9 {
        "0/s".into()
    } else if per_second < 0.1 {
        format!("{}/s", fixed(per_second, 2))
    } else {
        format!("{}/s", fixed(per_second, 1))
    }
}

/// The setting of the load generator: `60 req/s`, `2.5 req/s`.
#[must_use]
pub fn load(per_second: f64) -> String {
    let digits = usize::from((per_second - per_second.round()).abs() > 0.05);
    format!("{} req/s", fixed(per_second, digits))
}

/// A share of one: `0%`, `0.08%`, `6.3%`, `98.7%`, `100%`.
#[must_use]
pub fn share(value: f64) -> String {
    let percent = value * 100.0;
    if percent.abs() < 0.005 {
        return "0%".into();
    }
    let digits = if percent < 0.1 { 2 } else { 1 };
    let text = fixed(percent, digits);
    let text = text.strip_suffix(".0").unwrap_or(&text);
    format!("{text}%")
}

/// A share of one as a place or a length of a drawing: `12.50%`. For SVG, not for people.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// A duration in milliseconds: `0.4 ms`, `8 ms`, `262 ms`, then `2.18 s`.
#[must_use]
pub fn duration_ms(ms: f64) -> String {
    let rounded = ms.round();
    if rounded >= 1_000.0 {
        format!("{} s", fixed(ms / 1_000.0, 2))
    } else if ms > 0.0 && ms < 0.95 {
        format!("{} ms", fixed(ms.max(0.1), 1))
    } else {
        format!("{rounded} ms")
    }
}

/// A duration in microseconds, written as [`duration_ms`] does.
#[must_use]
pub fn duration_us(us: i64) -> String {
    duration_ms(millis(us))
}

/// Microseconds as milliseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
pub fn millis(us: i64) -> f64 {
    us as f64 / 1_000.0
}

/// How long an order took or has been running: `4 ms`, `200 ms`, `59.12 s`, then `2:28`.
#[must_use]
pub fn took(us: i64) -> String {
    let us = us.max(0);
    if us < US_PER_SECOND {
        format!("{} ms", us / 1_000)
    } else if us < 60 * US_PER_SECOND {
        format!("{}.{:02} s", us / US_PER_SECOND, us % US_PER_SECOND / 10_000)
    } else {
        minutes(us / US_PER_SECOND)
    }
}

/// `2:28`, or `1:02:28` from one hour on.
fn minutes(seconds: i64) -> String {
    let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// How long ago something was: `12 s ago`, `2:28 ago`, `3 days ago`.
#[must_use]
pub fn ago(us: i64) -> String {
    let seconds = (us / US_PER_SECOND).max(0);
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..DAY_SECONDS => format!("{} ago", minutes(seconds)),
        _ if seconds < 2 * DAY_SECONDS => "1 day ago".into(),
        _ => format!("{} days ago", seconds / DAY_SECONDS),
    }
}

/// An offset from a zero: `+13 ms`, `+2.163 s`, `−4 ms`.
#[must_use]
pub fn offset_us(us: i64) -> String {
    let sign = if us < 0 { '−' } else { '+' };
    let us = us.unsigned_abs();
    let ms = (us + 500) / 1_000;
    if ms < 1_000 {
        format!("{sign}{ms} ms")
    } else {
        format!("{sign}{}.{:03} s", count(ms / 1_000), ms % 1_000)
    }
}

/// Hours, minutes, seconds and microseconds of the day, in a zone so many minutes east of UTC.
fn of_day(at_us: i64, zone_minutes: i32) -> (i64, i64, i64, i64) {
    let local = at_us + i64::from(zone_minutes) * 60 * US_PER_SECOND;
    let second = local.div_euclid(US_PER_SECOND).rem_euclid(DAY_SECONDS);
    let us = local.rem_euclid(US_PER_SECOND);
    (second / 3_600, second / 60 % 60, second % 60, us)
}

/// A time of day: `14:34:20`.
#[must_use]
pub fn clock(at_us: i64, zone_minutes: i32) -> String {
    let (h, m, s, _) = of_day(at_us, zone_minutes);
    format!("{h:02}:{m:02}:{s:02}")
}

/// A time of day with milliseconds: `14:31:52.408`.
#[must_use]
pub fn clock_ms(at_us: i64, zone_minutes: i32) -> String {
    let (h, m, s, us) = of_day(at_us, zone_minutes);
    format!("{h:02}:{m:02}:{s:02}.{:03}", us / 1_000)
}

/// Seconds and milliseconds of a time of day: `52.408`.
#[must_use]
pub fn clock_short_ms(at_us: i64) -> String {
    let (_, _, s, us) = of_day(at_us, 0);
    format!("{s:02}.{:03}", us / 1_000)
}

/// A time of day on a whole minute: `14:34`.
#[must_use]
pub fn clock_minute(at_us: i64, zone_minutes: i32) -> String {
    let (h, m, _, _) = of_day(at_us, zone_minutes);
    format!("{h:02}:{m:02}")
}

/// The zone itself: `UTC`, `UTC+2`, `UTC−3:30`.
#[must_use]
pub fn zone(zone_minutes: i32) -> String {
    if zone_minutes == 0 {
        return "UTC".into();
    }
    let sign = if zone_minutes < 0 { '−' } else { '+' };
    let (h, m) = (zone_minutes.abs() / 60, zone_minutes.abs() % 60);
    if m == 0 { format!("UTC{sign}{h}") } else { format!("UTC{sign}{h}:{m:02}") }
}

/// A moment for machines, as in `<time datetime>`: `2026-03-01T14:34:20.123Z`.
#[must_use]
pub fn iso(at_us: i64) -> String {
    let (year, month, day) = civil(at_us.div_euclid(US_PER_SECOND).div_euclid(DAY_SECONDS));
    format!("{year:04}-{month:02}-{day:02}T{}Z", clock_ms(at_us, 0))
}

/// A day for people: `1 March 14:34` is written with [`clock_minute`] after it.
#[must_use]
pub fn day(at_us: i64, zone_minutes: i32) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let local = at_us.div_euclid(US_PER_SECOND) + i64::from(zone_minutes) * 60;
    let (_, month, day) = civil(local.div_euclid(DAY_SECONDS));
    let name = usize::try_from(month - 1).ok().and_then(|i| MONTHS.get(i)).unwrap_or(&"");
    format!("{day} {name}")
}

/// Year, month and day of so many days after 1970-01-01 (Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

/// A text of at most so many characters: a longer one ends after a whole word, with an ellipsis.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let begin: String = text.chars().take(most.saturating_sub(1)).collect();
    let words = begin.rsplit_once(' ').map_or(begin.as_str(), |(words, _)| words);
    format!("{}…", words.trim_end_matches([',', ';', ':']))
}

/// A name of at most so many characters: a longer one ends anywhere, with an ellipsis.
#[must_use]
pub fn cut(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The first eight digits of a trace id.
#[must_use]
pub fn short_trace(trace_id: &str) -> &str {
    trace_id.get(..8).unwrap_or(trace_id)
}

/// A count with its noun: `1 span`, `22 spans`.
#[must_use]
pub fn plural(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_cut_is_as_long_as_may_be_in_characters() {
        for (name, most, cut_to) in [
            ("v1", 6, "v1"),
            ("canary", 6, "canary"),
            ("a-name-somebody-chose", 6, "a-nam…"),
            ("größer", 6, "größer"),
            ("größere", 6, "größe…"),
            ("stable", 1, "…"),
        ] {
            assert_eq!(cut(name, most), cut_to);
        }
    }

    #[test]
    fn rates_have_one_digit_and_small_ones_two() {
        assert_eq!(rate(60.3), "60.3/s");
        assert_eq!(rate(0.3), "0.3/s");
        assert_eq!(rate(0.04), "0.04/s");
        assert_eq!(rate(0.0), "0/s");
        assert_eq!(rate(2_215.0), "2\u{202f}215.0/s");
    }

    #[test]
    fn shares_are_as_precise_as_they_are_small_and_zero_is_whole() {
        let written = [0.0, 0.000_8, 0.063, 0.987, 1.0, 0.1].map(share);
        assert_eq!(written, ["0%", "0.08%", "6.3%", "98.7%", "100%", "10%"]);
    }

    #[test]
    fn places_in_a_drawing_are_exact_to_a_tenth_of_a_pixel_of_a_thousand() {
        let written = [0.0, 0.125, 0.333_33, 1.0, -0.5].map(percent);
        assert_eq!(written, ["0.00%", "12.50%", "33.33%", "100.00%", "-50.00%"]);
    }

    #[test]
    fn durations_change_from_milliseconds_to_seconds_at_one_second() {
        let written = [0.04, 0.4, 8.0, 262.4, 999.4, 999.6, 2_180.0].map(duration_ms);
        assert_eq!(written, ["0.1 ms", "0.4 ms", "8 ms", "262 ms", "999 ms", "1.00 s", "2.18 s"]);
        assert_eq!(duration_us(2_206_000), "2.21 s");
    }

    #[test]
    fn thousands_stand_apart_in_counts_and_money() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(money(Money::eur(18_450)), "€184.50");
        assert_eq!(money(Money::eur(-221_500)), "−€2\u{202f}215.00");
    }

    #[test]
    fn the_time_an_order_took_is_in_milliseconds_below_a_second_and_in_minutes_from_one_on() {
        assert_eq!((took(20_000), took(999_900)), ("20 ms".into(), "999 ms".into()));
        assert_eq!(took(1_400_000), "1.40 s");
        assert_eq!(took(148_000_000), "2:28");
        assert_eq!((took(4_900), took(-5)), ("4 ms".into(), "0 ms".into()));
        assert_eq!(ago(148_000_000), "2:28 ago");
        assert_eq!(ago(12_900_000), "12 s ago");
        assert_eq!(ago(3 * 86_400_000_000), "3 days ago");
    }

    #[test]
    fn offsets_carry_their_sign() {
        assert_eq!(offset_us(13_000), "+13 ms");
        assert_eq!(offset_us(2_163_400), "+2.163 s");
        assert_eq!(offset_us(-4_000), "−4 ms");
        assert_eq!(offset_us(999_700), "+1.000 s");
    }

    #[test]
    fn clocks_follow_the_zone_they_are_given() {
        let at = 1_772_375_660_123_456;
        assert_eq!(iso(at), "2026-03-01T14:34:20.123Z");
        assert_eq!(clock(at, 0), "14:34:20");
        assert_eq!(clock(at, 600), "00:34:20");
        assert_eq!(clock_ms(at, -60), "13:34:20.123");
        assert_eq!(clock_short_ms(at), "20.123");
        assert_eq!(clock_minute(at, 0), "14:34");
        assert_eq!(day(at, 600), "2 March");
        assert_eq!(
            (zone(0), zone(120), zone(-210)),
            ("UTC".into(), "UTC+2".into(), "UTC−3:30".into())
        );
    }

    #[test]
    fn loads_and_plurals_read_as_people_write_them() {
        assert_eq!(load(60.0), "60 req/s");
        assert_eq!(load(2.5), "2.5 req/s");
        assert_eq!(plural(1, "span", "spans"), "1 span");
        assert_eq!(plural(2_215, "span", "spans"), "2\u{202f}215 spans");
        assert_eq!(short_trace("7c1e9a4f0b6d42e8"), "7c1e9a4f");
    }
}
