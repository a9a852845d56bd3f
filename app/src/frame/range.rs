//! The time range of charts and lists: 1, 5, 15 or 60 minutes, kept in the address.

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
    location::State,
};

/// Ranges there are, in minutes.
pub const RANGES: [u32; 4] = [1, 5, 15, 60];
/// The range of an address that names none.
pub const DEFAULT_RANGE: u32 = 5;

/// Reads a range; anything that is not one of [`RANGES`] is the default.
#[must_use]
pub fn parse(text: Option<&str>) -> u32 {
    let minutes = text.and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_RANGE);
    if RANGES.contains(&minutes) { minutes } else { DEFAULT_RANGE }
}

/// The range of an address; one that names none keeps the range chosen last in this tab.
#[must_use]
pub fn resolve(address: Option<&str>, last: Option<u32>) -> u32 {
    match (address, last) {
        (None, Some(last)) => last,
        (address, _) => parse(address),
    }
}

/// The next longer (or, with a negative step, shorter) range; the same one at an end.
#[must_use]
pub fn neighbour(minutes: u32, step: isize) -> u32 {
    let at = RANGES.iter().position(|range| *range == minutes).unwrap_or(1);
    at.checked_add_signed(step).and_then(|at| RANGES.get(at)).copied().unwrap_or(minutes)
}

/// The address of a page in the same time range.
#[must_use]
pub fn in_range(path: &str, minutes: u32) -> String {
    if minutes == DEFAULT_RANGE {
        return path.to_owned();
    }
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}range={minutes}")
}

/// An address query with one key set, or taken out.
#[must_use]
pub fn with_query(search: &str, key: &str, value: Option<&str>) -> String {
    let search = search.trim_start_matches('?');
    let mut pairs: Vec<String> = search
        .split('&')
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(key))
        .map(str::to_owned)
        .collect();
    if let Some(value) = value {
        pairs.push(format!("{key}={value}"));
    }
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// The time range of this tab.
#[derive(Clone, Copy)]
pub struct TimeRange {
    minutes: Memo<u32>,
    choose: Callback<u32>,
}

/// Makes the time range; must stand inside the router.
pub fn provide_range() -> TimeRange {
    let query = use_query_map();
    let set = use_set_query();
    let range = TimeRange {
        minutes: Memo::new(move |last: Option<&u32>| {
            query.with(|query| resolve(query.get_str("range"), last.copied()))
        }),
        choose: Callback::new(move |minutes: u32| {
            // The default too: an address without a range keeps the one before.
            set.run(vec![("range", Some(minutes.to_string()))]);
        }),
    };
    provide_context(range);
    range
}

/// The time range of this tab.
///
/// # Panics
/// Outside of the application's root, which provides it: a mistake of the page's author.
#[must_use]
pub fn use_range() -> TimeRange {
    expect_context::<TimeRange>()
}

impl TimeRange {
    /// Its length in minutes.
    #[must_use]
    pub fn minutes(self) -> Memo<u32> {
        self.minutes
    }

    /// Puts another length into the address.
    pub fn choose(self, minutes: u32) {
        self.choose.run(minutes);
    }
}

/// The rest of the address query as hidden fields, for a form that sets one key of it without
/// JavaScript.
pub fn kept_query(key: &'static str) -> AnyView {
    let kept = use_query_map().with_untracked(|query| {
        let all = query.clone().into_iter();
        all.filter(|(name, _)| name != key).collect::<Vec<_>>()
    });
    let field = |(name, value)| view! { <input type="hidden" name=name value=value/> };
    kept.into_iter().map(field).collect_view().into_any()
}

/// The button of a form that a script would not need. A text of its own: a literal in the markup
/// would become an attribute instead.
#[must_use]
pub fn plain_button() -> AnyView {
    let html = "<button class=\"part\">Set</button>".to_owned();
    view! { <noscript inner_html=html></noscript> }.into_any()
}

/// A change of the address query: a value for a key, or none to take the key out.
pub type QueryChange = Vec<(&'static str, Option<String>)>;

/// Changes the address query in place.
#[must_use]
pub fn use_set_query() -> Callback<QueryChange> {
    let location = use_location();
    let navigate = use_navigate();
    Callback::new(move |changes: QueryChange| {
        let mut search = location.search.get_untracked();
        for (key, value) in changes {
            search = with_query(&search, key, value.as_deref());
        }
        let options = NavigateOptions {
            resolve: false,
            replace: true,
            scroll: false,
            state: State::default(),
        };
        navigate(&format!("{}{search}", location.pathname.get_untracked()), options);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_range_in_the_address_is_the_default() {
        assert_eq!([Some("15"), Some("7"), Some("x"), None].map(parse), [15, 5, 5, 5]);
    }

    #[test]
    fn an_address_without_a_range_keeps_the_one_chosen_last() {
        assert_eq!(resolve(None, Some(15)), 15);
        assert_eq!(resolve(Some("60"), Some(15)), 60);
        assert_eq!(resolve(Some("5"), Some(15)), 5);
        assert_eq!(resolve(None, None), DEFAULT_RANGE);
    }

    #[test]
    fn ranges_step_to_their_neighbours_and_stop_at_the_ends() {
        assert_eq!((neighbour(5, 1), neighbour(5, -1)), (15, 1));
        assert_eq!((neighbour(60, 1), neighbour(1, -1)), (60, 1));
    }

    #[test]
    fn a_key_of_the_query_is_replaced_and_the_others_stay() {
        assert_eq!(with_query("?a=1&range=5", "range", Some("15")), "?a=1&range=15");
        assert_eq!(with_query("range=5", "range", None), "");
        assert_eq!(with_query("", "node", Some("orders")), "?node=orders");
    }

    #[test]
    fn links_keep_a_range_that_is_not_the_default() {
        assert_eq!(in_range("/orders", 5), "/orders");
        assert_eq!(in_range("/orders?status=confirmed", 15), "/orders?status=confirmed&range=15");
    }
}
