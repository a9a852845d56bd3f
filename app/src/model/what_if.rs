//! Thresholds tried on recorded calls, in words.

use super::{format, tries};
use contract::resilience::{BreakerSettings, WhatIfView, WouldHave};

fn times(opened: u32) -> String {
    match opened {
        0 => "not have opened".into(),
        1 => "have opened once".into(),
        n => format!("have opened {n} times"),
    }
}

/// "With 3 failures in a row and 10 s it would have opened 2 times".
#[must_use]
pub fn lead(settings: &BreakerSettings, would: &WouldHave) -> String {
    let failures = match settings.failures_in_a_row {
        1 => "1 failure".to_owned(),
        n => format!("{n} failures in a row"),
    };
    let wait = tries::seconds(settings.wait_ms.into());
    format!("With {failures} and {wait} it would {}", times(would.opened))
}

/// "With those in force it opens 2 times".
#[must_use]
pub fn lead_in_force(would: &WouldHave) -> String {
    match would.opened {
        0 => "With those in force it does not open".into(),
        1 => "With those in force it opens once".into(),
        n => format!("With those in force it opens {n} times"),
    }
}

/// ", refusing 41 of 1 204 calls."
#[must_use]
pub fn refused(would: &WouldHave, calls: u64) -> String {
    let part = match would.refused {
        0 => "none".to_owned(),
        n => format::count(n),
    };
    format!(", refusing {part} of {} calls.", format::count(calls))
}

/// What is to be known about the figures.
#[must_use]
pub fn notes(seen: &WhatIfView) -> Vec<String> {
    let mut notes = Vec::new();
    let calls = |count: u64| match count {
        1 => "1 call".to_owned(),
        n => format!("{} calls", format::count(n)),
    };
    if seen.tried.unknown > 0 {
        notes.push(format!(
            "{} would have passed that the breaker really refused: how they would have ended \
             nobody knows, and they count for nothing.",
            calls(seen.tried.unknown)
        ));
    }
    if seen.held > 0 {
        let are = if seen.held == 1 { "is" } else { "are" };
        notes.push(format!("{} while it was held by hand {are} left out.", calls(seen.held)));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn would(opened: u32, refused: u64, unknown: u64) -> WouldHave {
        WouldHave { opened, first: None, refused, unknown }
    }

    #[test]
    fn the_sentences_say_how_often_it_opens_and_what_it_refuses() {
        let settings = BreakerSettings { failures_in_a_row: 3, wait_ms: 2_500 };
        let text = lead(&settings, &would(2, 41, 0)) + &refused(&would(2, 41, 0), 1_204);
        let expected = "With 3 failures in a row and 2.5 s it would have opened 2 times, refusing \
                        41 of 1\u{202f}204 calls.";
        assert_eq!(text, expected);
        let one = BreakerSettings { failures_in_a_row: 1, ..settings };
        assert_eq!(
            lead(&one, &would(0, 0, 0)),
            "With 1 failure and 2.5 s it would not have opened"
        );
        assert_eq!(lead_in_force(&would(1, 0, 0)), "With those in force it opens once");
        assert_eq!(refused(&would(0, 0, 0), 9), ", refusing none of 9 calls.");
    }

    #[test]
    fn what_nobody_knows_is_said() {
        let mut seen = WhatIfView {
            id: "orders~payments".into(),
            settings: BreakerSettings { failures_in_a_row: 3, wait_ms: 2_500 },
            since_us: Some(1),
            calls: 9,
            held: 0,
            tried: would(0, 0, 0),
            in_force: would(1, 5, 0),
        };
        assert!(notes(&seen).is_empty());
        (seen.tried.unknown, seen.held) = (5, 1);
        let notes = notes(&seen);
        assert!(notes[0].starts_with("5 calls would have passed"), "{notes:?}");
        assert_eq!(notes[1], "1 call while it was held by hand is left out.");
    }
}
