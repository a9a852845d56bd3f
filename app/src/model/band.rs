//! Observed shares against configured ones, in words: chance explains so much, and no more.
//!
//! A split is exact as the mesh draws it. What is counted may still differ: retries stay in the
//! version that was drawn, keys of a consistent hash bring the same callers, and a request that
//! began under other weights ends under these.

use super::format;
use contract::traffic::ShareSeen;

/// Requests below which a band is too wide to say anything.
const ENOUGH: u64 = 20;

/// "8.1–12.4%": what it was taken of is said beside it.
#[must_use]
pub fn of(seen: &ShareSeen) -> Option<String> {
    let (low, high) = seen.band?;
    let low = format::share(low);
    Some(format!("{}–{}", low.trim_end_matches('%'), format::share(high)))
}

/// Whether a configured share lies in the band around what was observed. A share that is exact
/// lies in it, however many there were.
fn agrees(configured: f64, seen: &ShareSeen) -> bool {
    let exact = seen.observed.is_some_and(|observed| (observed - configured).abs() < 1e-9);
    exact || seen.band.is_some_and(|(low, high)| (low..=high).contains(&configured))
}

/// What the bands say of all destinations of a rule, each with its name and configured share;
/// nothing before there was a request.
#[must_use]
pub fn in_words(rows: &[(String, f64, ShareSeen)]) -> Option<String> {
    let n = rows.first().map(|(_, _, seen)| seen.of).filter(|n| *n > 0)?;
    let count = format::count(n);
    let out: Vec<_> = rows.iter().filter(|(_, share, seen)| !agrees(*share, seen)).collect();
    let Some((name, configured, seen)) = out.first() else {
        let few = if n < ENOUGH { ": too few to tell more" } else { "" };
        return Some(format!(
            "What is configured lies in the 95% band of what was observed, n {count}{few}."
        ));
    };
    let (low, high) = seen.band?;
    Some(format!(
        "The {} configured for {name} lies outside the 95% band of what was observed ({} to {}, n \
         {count}): retries, hash keys and requests from before the change do that.",
        format::share(*configured),
        format::share(low),
        format::share(high),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(observed: f64, of: u64, band: (f64, f64)) -> ShareSeen {
        ShareSeen { observed: Some(observed), of, band: Some(band), ..ShareSeen::default() }
    }

    #[test]
    fn a_configured_share_in_the_band_of_each_destination_is_said_to_lie_there() {
        let v1 = seen(0.8986, 148, (0.8395, 0.9376));
        let v2 = seen(0.1014, 148, (0.0624, 0.1605));
        assert_eq!(of(&v2).as_deref(), Some("6.2–16.1%"));
        let rows = |configured: f64| {
            let (v1, v2) = (v1.clone(), v2.clone());
            [("v1".to_owned(), 1.0 - configured, v1), ("v2".to_owned(), configured, v2)]
        };
        let inside = in_words(&rows(0.1)).unwrap();
        assert!(inside.contains("lies in the 95% band") && inside.ends_with("n 148."), "{inside}");
        let outside = in_words(&rows(0.5)).unwrap();
        assert!(outside.starts_with("The 50% configured for v1 lies outside"), "{outside}");
        assert!(outside.contains("(84% to 93.8%, n 148)"), "{outside}");
    }

    #[test]
    fn without_requests_nothing_is_said_and_with_few_of_them_that_they_are_few() {
        let none = ShareSeen::default();
        assert_eq!((of(&none), in_words(&[("v1".into(), 1.0, none)])), (None, None));
        let few = seen(0.5, 4, (0.15, 0.85));
        let said = in_words(&[("v1".into(), 0.5, few.clone()), ("v2".into(), 0.5, few)]).unwrap();
        assert!(said.ends_with("n 4: too few to tell more."), "{said}");
    }
}
