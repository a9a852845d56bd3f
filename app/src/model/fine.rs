//! Durations and offsets with a digit more below ten milliseconds: in this shop a whole order may
//! take five, and what happened within them has to be told apart.

use super::format;

/// From here on whole milliseconds say enough.
const FINE_BELOW_US: i64 = 9_950;

/// `40 µs`, `0.4 ms`, `2.3 ms`, `7 ms`; from ten milliseconds on as [`format::duration_us`].
#[must_use]
pub fn duration_us(us: i64) -> String {
    if (1..95).contains(&us) {
        return format!("{us} µs");
    }
    if (0..FINE_BELOW_US).contains(&us) {
        format!("{} ms", tenths(us.unsigned_abs()))
    } else {
        format::duration_us(us)
    }
}

/// `+0.4 ms`, `+7 ms`; from ten milliseconds on as [`format::offset_us`].
#[must_use]
pub fn offset_us(us: i64) -> String {
    if us.abs() >= FINE_BELOW_US {
        return format::offset_us(us);
    }
    let sign = if us < 0 { '−' } else { '+' };
    format!("{sign}{} ms", tenths(us.unsigned_abs()))
}

/// What goes on for less than that after the end is not worth a second value.
const TAIL_FROM_US: i64 = 250_000;

/// How long something went on after its end, to stand behind how long it took: ` then 1.55 s`.
#[must_use]
pub fn then_us(tail_us: i64) -> Option<String> {
    let tail_us = told_tail_us(tail_us);
    (tail_us > 0).then(|| format!(" then {}", duration_us(tail_us)))
}

/// The same as a time; nothing where it is not worth telling.
#[must_use]
pub fn told_tail_us(tail_us: i64) -> i64 {
    if tail_us >= TAIL_FROM_US { tail_us } else { 0 }
}

/// Milliseconds with one digit, or none if it is zero.
fn tenths(us: u64) -> String {
    let tenths = (us + 50) / 100;
    match tenths % 10 {
        0 => format!("{}", tenths / 10),
        digit => format!("{}.{digit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_ten_milliseconds_there_is_a_digit_more_if_it_says_something() {
        let written = [0, 40, 400, 2_345, 7_000, 9_949, 9_950, 12_600].map(duration_us);
        let expected = ["0 ms", "40 µs", "0.4 ms", "2.3 ms", "7 ms", "9.9 ms", "10 ms", "13 ms"];
        assert_eq!(written, expected);
    }

    #[test]
    fn what_went_on_after_the_end_is_told_where_it_is_worth_a_second_value() {
        let told = [0, 249_999, 250_000, 1_550_000].map(then_us);
        assert_eq!(told, [None, None, Some(" then 250 ms".into()), Some(" then 1.55 s".into())]);
    }

    #[test]
    fn offsets_keep_their_sign() {
        let written = [0, 400, 13_000, 2_163_400, -4_200].map(offset_us);
        assert_eq!(written, ["+0 ms", "+0.4 ms", "+13 ms", "+2.163 s", "−4.2 ms"]);
    }
}
