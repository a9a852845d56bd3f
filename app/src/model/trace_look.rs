//! How an open trace is looked at, as the part of the address that says so.
//!
//! What is as it is at first is not written.

use super::story::LogFilter;

/// Views of the drawer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// Key and value.
    #[default]
    Attributes,
    /// Log lines and span events.
    Logs,
    /// Other spans.
    Links,
    /// All of it.
    Json,
}

impl Tab {
    /// In their order.
    pub const ALL: [Self; 4] = [Self::Attributes, Self::Logs, Self::Links, Self::Json];

    /// Its word in the address.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Attributes => "attributes",
            Self::Logs => "logs",
            Self::Links => "links",
            Self::Json => "json",
        }
    }

    fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|t| t.word() == word).unwrap_or_default()
    }
}

/// The word of a filter of log lines in the address.
#[must_use]
pub const fn level_word(level: LogFilter) -> &'static str {
    match level {
        LogFilter::All => "all",
        LogFilter::Warn => "warn",
        LogFilter::Error => "error",
    }
}

/// What is looked at, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The selected span.
    pub span: Option<String>,
    /// What the drawer shows of it.
    pub tab: Tab,
    /// Which of its log lines.
    pub level: LogFilter,
    /// Long waits are drawn at their length.
    pub all_waits: bool,
    /// The critical path is not underlined.
    pub no_path: bool,
    /// The part of the time that is shown, microseconds from the start of the trace.
    pub zoom: Option<(i64, i64)>,
}

impl Look {
    /// Reads an address: `get` answers for each name. What cannot be read is as at first.
    pub fn from_address(get: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str, word: &str| get(name).is_some_and(|value| value == word);
        Self {
            span: get("span").filter(|span| !span.is_empty()),
            tab: Tab::parse(&get("tab").unwrap_or_default()),
            level: match get("level").as_deref() {
                Some("warn") => LogFilter::Warn,
                Some("error") => LogFilter::Error,
                _ => LogFilter::All,
            },
            all_waits: is("waits", "shown"),
            no_path: is("path", "off"),
            zoom: get("zoom").as_deref().and_then(zoom),
        }
    }

    /// What the address says of it.
    #[must_use]
    pub fn to_address(&self) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        if let Some(span) = &self.span {
            out.push(("span", span.clone()));
            if self.tab != Tab::default() {
                out.push(("tab", self.tab.word().to_owned()));
            }
            if self.level != LogFilter::All {
                out.push(("level", level_word(self.level).to_owned()));
            }
        }
        if self.all_waits {
            out.push(("waits", "shown".to_owned()));
        }
        if self.no_path {
            out.push(("path", "off".to_owned()));
        }
        if let Some((from, to)) = self.zoom {
            out.push(("zoom", format!("{from}-{to}")));
        }
        out
    }
}

fn zoom(text: &str) -> Option<(i64, i64)> {
    let (from, to) = text.split_once('-')?;
    let (from, to): (i64, i64) = (from.parse().ok()?, to.parse().ok()?);
    (0 <= from && from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, String)]) -> Look {
        Look::from_address(|name| pairs.iter().find(|p| p.0 == name).map(|p| p.1.clone()))
    }

    #[test]
    fn a_look_survives_the_way_through_the_address() {
        let look = Look {
            span: Some("a41f07c2".into()),
            tab: Tab::Logs,
            level: LogFilter::Warn,
            all_waits: true,
            no_path: true,
            zoom: Some((125_000, 2_040_000)),
        };
        assert_eq!(read(&look.to_address()), look);
        assert_eq!(Look::default().to_address(), []);
    }

    #[test]
    fn without_a_span_the_drawer_is_not_in_the_address() {
        let look = Look { tab: Tab::Json, level: LogFilter::Error, ..Look::default() };
        assert_eq!(look.to_address(), []);
    }

    #[test]
    fn a_zoom_that_is_none_is_the_whole_trace() {
        for text in ["5-5", "9-2", "-3-9", "x", "1-", "9223372036854775808-1"] {
            assert_eq!(read(&[("zoom", text.to_owned())]).zoom, None, "{text}");
        }
    }
}
