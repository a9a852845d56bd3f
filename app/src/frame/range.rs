//! The time range of charts and lists: 1, 5, 15 or 60 minutes, kept in the address.

use super::nav::belongs;
use crate::model::trace_query;
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

/// A stretch of time that was zoomed into: its ends, microseconds since the epoch.
pub type Stretch = (i64, i64);

const SECOND_US: i64 = 1_000_000;

/// Shorter than this a stretch holds too few points for a line.
const ZOOM_SECONDS_MIN: i64 = 10;

/// Reads a zoomed stretch: whole seconds, `1772375600-1772375640`; none of anything else.
#[must_use]
pub fn parse_zoom(text: Option<&str>) -> Option<(i64, i64)> {
    let (from, to) = text?.split_once('-')?;
    let (from, to) = (from.parse::<i64>().ok()?, to.parse::<i64>().ok()?);
    let length = to.checked_sub(from)?;
    let whole = from > 0 && (ZOOM_SECONDS_MIN..=3_600).contains(&length) && to < 1 << 40;
    whole.then(|| (from * SECOND_US, to * SECOND_US))
}

/// The same as text, at least [`ZOOM_SECONDS_MIN`] long.
#[must_use]
pub fn zoom_text(from_us: i64, to_us: i64) -> String {
    let from = from_us.div_euclid(SECOND_US);
    let to = (to_us.div_euclid(SECOND_US) + 1).max(from + ZOOM_SECONDS_MIN);
    format!("{from}-{to}")
}

/// What an address says of a zoom: none of a page that has none to say.
fn zoom_of<'a>(path: &str, get: impl Fn(&str) -> Option<&'a str>) -> Option<Option<Stretch>> {
    if path == "/" {
        return Some(parse_zoom(get("zoom")));
    }
    let ends = || trace_query::window(get("from")?, get("until")?);
    let stretch = || ends().map(|window| (window.from_us, window.until_us));
    match path {
        "/traces" => Some(stretch()),
        // To an open trace one comes from everywhere: without a stretch it says nothing of it.
        _ if belongs(path, "/traces") => stretch().map(Some),
        _ => None,
    }
}

/// The address of a page that can be zoomed, zoomed into a stretch; of any other as it is.
#[must_use]
pub fn zoomed(path: &str, stretch: Option<Stretch>) -> String {
    match (path, stretch) {
        // A second that is whole is not the beginning of another one.
        ("/", Some((from_us, until_us))) => format!("/?zoom={}", zoom_text(from_us, until_us - 1)),
        ("/traces", Some((from_us, until_us))) => {
            format!("/traces?from={}&until={}", from_us / 1_000, until_us / 1_000)
        }
        _ => path.to_owned(),
    }
}

/// The time range of this tab.
#[derive(Clone, Copy)]
pub struct TimeRange {
    minutes: Memo<u32>,
    zoom: Memo<Option<Stretch>>,
    choose: Callback<u32>,
}

/// Makes the time range; must stand inside the router.
pub fn provide_range() -> TimeRange {
    let (query, path) = (use_query_map(), use_location().pathname);
    let set = use_set_query();
    // Of what was dragged on Live or Traces the other one shows the same; a page without a zoom
    // keeps it for them.
    let said = Memo::new(move |_| {
        query.with(|query| path.with(|path| zoom_of(path, |key| query.get_str(key))))
    });
    let kept = RwSignal::new(None);
    Effect::new(move |_| {
        if let Some(zoom) = said.get() {
            kept.set(zoom);
        }
    });
    let range = TimeRange {
        zoom: Memo::new(move |_| said.get().unwrap_or_else(|| kept.get())),
        minutes: Memo::new(move |last: Option<&u32>| {
            query.with(|query| resolve(query.get_str("range"), last.copied()))
        }),
        choose: Callback::new(move |minutes: u32| {
            // The default too: an address without a range keeps the one before. Who chooses one
            // wants to see all of it.
            kept.set(None);
            let mut changes = vec![("range", Some(minutes.to_string()))];
            path.with_untracked(|path| match path.as_str() {
                "/" => changes.push(("zoom", None)),
                path if belongs(path, "/traces") => {
                    changes.extend([("from", None), ("until", None)]);
                }
                _ => {}
            });
            set.run(changes);
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

    /// The address of a page in this range; of Live and Traces zoomed into the same stretch.
    #[must_use]
    pub fn link(self, path: &str) -> String {
        in_range(&zoomed(path, self.zoom.get()), self.minutes.get())
    }

    /// The address of a page, zoomed into the same stretch if it can be. Not for a view: it does
    /// not follow the zoom.
    #[must_use]
    pub fn zoomed(self, path: &str) -> String {
        zoomed(path, self.zoom.get_untracked())
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
    fn a_zoomed_stretch_is_kept_in_the_address_and_nonsense_is_no_stretch() {
        let text = zoom_text(1_772_375_600_400_000, 1_772_375_640_900_000);
        assert_eq!(text, "1772375600-1772375641");
        let read = parse_zoom(Some(&text));
        assert_eq!(read, Some((1_772_375_600_000_000, 1_772_375_641_000_000)));
        assert_eq!(zoom_text(5_000_000, 6_000_000), "5-15", "never too short to draw");
        for wrong in ["", "5", "9-5", "0-20", "5-99999", "x-y", "5-9223372036854775807"] {
            assert_eq!(parse_zoom(Some(wrong)), None, "{wrong}");
        }
    }
    #[test]
    fn a_stretch_that_was_dragged_on_one_page_is_the_others_too() {
        let stretch = (1_772_375_600_000_000, 1_772_375_640_000_000);
        let read = |address: &str| {
            let (path, query) = address.split_once('?').unwrap_or((address, ""));
            let get = |key: &str| {
                let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs.filter(|pair| pair.0 == key).map(|pair| pair.1).next()
            };
            zoom_of(path, get)
        };
        let traces = zoomed("/traces", Some(stretch));
        assert_eq!(traces, "/traces?from=1772375600000&until=1772375640000");
        assert_eq!(read(&traces), Some(Some(stretch)));
        let (from_us, until_us) = read(&zoomed("/", Some(stretch))).flatten().unwrap();
        assert_eq!((from_us, until_us), stretch, "and back, as often as one goes");
        assert_eq!((read("/"), read("/traces")), (Some(None), Some(None)), "it was ended there");
        assert_eq!(read("/traces/7c1e?zoom=0-5"), None, "the part of a trace is another thing");
        assert_eq!(read("/traces/7c1e?from=1000&until=2000"), Some(Some((1_000_000, 2_000_000))));
        assert_eq!((read("/orders"), zoomed("/orders", Some(stretch))), (None, "/orders".into()));
    }

    #[test]
    fn links_keep_a_range_that_is_not_the_default() {
        assert_eq!(in_range("/orders", 5), "/orders");
        assert_eq!(in_range("/orders?status=confirmed", 15), "/orders?status=confirmed&range=15");
    }
}
