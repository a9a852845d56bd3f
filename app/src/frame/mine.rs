//! Which orders were placed from this browser: their ids, in a cookie that lasts as long as its
//! session.
//!
//! The server knows only that a page placed an order, and every page is sent the same orders. The
//! cookie says nothing of whose browser it is, and the server can read it: it draws the page as the
//! browser will, also without JavaScript.

use crate::browser;
use contract::order::{OrderRow, Origin};
use leptos::prelude::*;

/// Name of the cookie.
pub const COOKIE: &str = "vitrine_orders";
/// Ids that are kept, the newest: more than a feed shows, and little in the head of every request.
const MINE_MAX: usize = 16;

/// The ids in a `Cookie` header, newest first.
#[must_use]
pub fn in_cookies(header: &str) -> Vec<String> {
    let is_id = |id: &&str| id.starts_with("ord-") && id.len() <= 24;
    let plain = |id: &&str| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(name, _)| *name == COOKIE).map_or("", |(_, value)| value);
    value.split('.').filter(is_id).filter(plain).take(MINE_MAX).map(str::to_owned).collect()
}

/// The value of the cookie after another order was placed.
#[must_use]
pub fn with(mut ids: Vec<String>, order_id: &str) -> String {
    ids.retain(|id| id != order_id);
    ids.insert(0, order_id.to_owned());
    ids.truncate(MINE_MAX);
    ids.join(".")
}

/// The orders placed from this browser. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Mine(RwSignal<Vec<String>>);

impl Mine {
    pub(super) fn new() -> Self {
        Self(RwSignal::new(in_cookies(&cookies())))
    }

    /// Whether an order is one of them.
    #[must_use]
    pub fn has(self, row: &OrderRow) -> bool {
        row.origin == Origin::Browser && self.0.with(|ids| ids.contains(&row.order_id))
    }

    /// Another one was placed. What other tabs of this browser placed meanwhile is not forgotten.
    pub fn add(self, order_id: &str) {
        let value = with(in_cookies(&cookies()), order_id);
        browser::set_session_cookie(COOKIE, &value);
        self.0.set(in_cookies(&format!("{COOKIE}={value}")));
    }
}

/// The cookies of whoever asks for this page.
#[cfg(feature = "ssr")]
fn cookies() -> String {
    let parts = use_context::<http::request::Parts>();
    let header = parts.as_ref().and_then(|parts| parts.headers.get(http::header::COOKIE));
    header.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[cfg(not(feature = "ssr"))]
fn cookies() -> String {
    browser::cookies()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_orders_of_a_browser_are_kept_and_read_back() {
        let mut header = "theme=dark".to_owned();
        for number in 10..40 {
            header = format!(
                "a=b; {COOKIE}={}; c=d",
                with(in_cookies(&header), &format!("ord-{number}"))
            );
        }
        let ids = in_cookies(&header);
        assert_eq!(ids.len(), MINE_MAX);
        assert_eq!((ids[0].as_str(), ids[1].as_str()), ("ord-39", "ord-38"));
        assert_eq!(with(vec!["ord-1".into(), "ord-2".into()], "ord-2"), "ord-2.ord-1");
    }

    #[test]
    fn what_is_no_order_id_is_none() {
        let header = format!("{COOKIE}=ord-7F3K9Q.<b>.x.ord-;x={COOKIE}");
        assert_eq!(in_cookies(&header), ["ord-7F3K9Q", "ord-"]);
        assert!(in_cookies("my_vitrine_orders=ord-1").is_empty() && in_cookies("").is_empty());
    }

    #[test]
    fn an_order_is_ones_own_only_if_it_was_placed_from_this_browser() {
        let row = |id: &str, origin| OrderRow {
            order_id: id.into(),
            user_id: "c-1".into(),
            total: contract::Money::eur(1),
            status: contract::order::OrderStatus::Confirmed,
            phase: String::new(),
            steps: [contract::order::StepMark::Done; 3],
            placed_at_us: 0,
            took_us: None,
            origin,
            version: 1,
        };
        let owner = Owner::new();
        owner.with(|| {
            let mine = Mine(RwSignal::new(vec!["ord-A".into()]));
            let has = |id, origin| untrack(|| mine.has(&row(id, origin)));
            assert!(has("ord-A", Origin::Browser));
            assert!(!has("ord-B", Origin::Browser), "another browser placed it");
            assert!(!has("ord-A", Origin::Api));
        });
    }
}
