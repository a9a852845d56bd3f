//! Dark or light: kept in a cookie, so that the server writes the right one and nothing flashes.

use crate::browser;
use leptos::prelude::*;

/// Name of the cookie.
#[cfg(any(feature = "ssr", test))]
const COOKIE: &str = "theme";

/// A theme somebody chose. Until then the system's preference counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
}

impl Theme {
    /// Value of the cookie and of `data-theme`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }

    /// The choice in a `Cookie` header.
    #[cfg(any(feature = "ssr", test))]
    #[must_use]
    pub fn in_cookies(header: &str) -> Option<Self> {
        header.split(';').find_map(|pair| match pair.trim().split_once('=')? {
            (COOKIE, "dark") => Some(Self::Dark),
            (COOKIE, "light") => Some(Self::Light),
            _ => None,
        })
    }

    /// The choice of whoever asks for this page.
    #[cfg(feature = "ssr")]
    #[must_use]
    pub fn of_request() -> Option<Self> {
        let parts = use_context::<http::request::Parts>()?;
        Self::in_cookies(parts.headers.get(http::header::COOKIE)?.to_str().ok()?)
    }

    /// In the browser the document already has its theme.
    #[cfg(not(feature = "ssr"))]
    #[must_use]
    pub fn of_request() -> Option<Self> {
        None
    }
}

/// Switches between dark and light, and keeps the choice.
pub fn toggle() {
    let root = document().document_element();
    let chosen = root.and_then(|root| root.get_attribute("data-theme"));
    let dark = match chosen.as_deref() {
        Some(word) => word == Theme::Dark.word(),
        None => !browser::media("(prefers-color-scheme: light)"),
    };
    let next = if dark { Theme::Light } else { Theme::Dark };
    browser::set_root_attribute("data-theme", Some(next.word()));
    browser::set_cookie("theme", next.word());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_theme_is_found_among_other_cookies_and_other_values_are_ignored() {
        assert_eq!(Theme::in_cookies("a=b; theme=light; c=d"), Some(Theme::Light));
        assert_eq!(Theme::in_cookies("theme=dark"), Some(Theme::Dark));
        assert_eq!(Theme::in_cookies("theme=purple"), None);
        assert_eq!(Theme::in_cookies("mytheme=dark"), None);
    }
}
