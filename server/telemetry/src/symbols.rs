//! Strings that repeat in every span, kept once: attribute keys, names of spans, services.
//!
//! A record holds two bytes instead of the string. Each table is bounded and never shrinks; what
//! finds no room is kept in the record itself (keys and names) or becomes [`OTHER`] (services). So
//! that nobody outside can fill a table for good, only what the code chooses is learnt: a sender's
//! word for itself is looked up, and an invented method has been replaced before.

use base::secret::is_secret;
use contract::service::{BROWSER, LOAD, SERVICES};
use parking_lot::RwLock;
use std::{collections::HashMap, sync::Arc};

/// Keys and span names together. A shop has a few hundred; the rest is room for services to come.
const WORDS_MAX: usize = 8_192;

/// Services and peers. A map with more nodes than this could not be read.
const SERVICES_MAX: usize = 256;

/// Stands for a string that is not in the table.
pub(crate) const MISSING: u16 = u16::MAX;

/// The service of everything beyond [`SERVICES_MAX`].
pub(crate) const OTHER: &str = "other";

/// One table of strings.
#[derive(Debug)]
pub(crate) struct Table {
    known: RwLock<Known>,
    max: usize,
}

#[derive(Debug, Default)]
struct Known {
    words: HashMap<Arc<str>, Word>,
    strings: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    number: u16,
    secret: bool,
    /// The code records integers under this key which `tracing` hands on as their digits.
    integer: bool,
}

impl Table {
    fn with_room_for(max: usize) -> Self {
        Self { known: RwLock::default(), max: max.min(usize::from(MISSING)) }
    }

    /// The number of a string, or [`MISSING`] when there is no room for it.
    pub(crate) fn number(&self, string: &str) -> u16 {
        self.key(string).0
    }

    /// The number of a key, or [`MISSING`], and whether its values are secrets.
    pub(crate) fn key(&self, key: &str) -> (u16, bool) {
        let known = self.known.read().words.get(key).copied();
        match known.or_else(|| self.learn(key)) {
            Some(word) => (word.number, word.secret),
            None => (MISSING, is_secret(key)),
        }
    }

    #[cold]
    fn learn(&self, string: &str) -> Option<Word> {
        let mut known = self.known.write();
        if let Some(&word) = known.words.get(string) {
            return Some(word);
        }
        let next = known.strings.len();
        let word = Word {
            number: u16::try_from(next).ok().filter(|_| next < self.max)?,
            secret: is_secret(string),
            integer: false,
        };
        let string: Arc<str> = string.into();
        known.words.insert(Arc::clone(&string), word);
        known.strings.push(string);
        Some(word)
    }

    /// Notes that the code records integers under this key which come as their digits.
    pub(crate) fn note_integer(&self, key: &str) {
        if self.is_integer(key) || self.number(key) == MISSING {
            return;
        }
        if let Some(word) = self.known.write().words.get_mut(key) {
            word.integer = true;
        }
    }

    /// Whether digits under this key are an integer.
    pub(crate) fn is_integer(&self, key: &str) -> bool {
        self.known.read().words.get(key).is_some_and(|word| word.integer)
    }

    /// The number of a string that was seen before.
    pub(crate) fn find(&self, string: &str) -> Option<u16> {
        let known = self.known.read();
        known.words.get(string).map(|word| word.number)
    }

    /// The string of a number.
    pub(crate) fn string(&self, number: u16) -> Option<Arc<str>> {
        self.known.read().strings.get(usize::from(number)).cloned()
    }
}

/// The tables of one pipeline.
#[derive(Debug)]
pub(crate) struct Symbols {
    /// Attribute keys and names of spans.
    pub(crate) words: Table,
    services: Table,
}

impl Symbols {
    pub(crate) fn new() -> Self {
        let symbols = Self {
            words: Table::with_room_for(WORDS_MAX),
            services: Table::with_room_for(SERVICES_MAX),
        };
        let other = symbols.services.number(OTHER);
        debug_assert_eq!(other, 0);
        // Messages may come from a service before its own first span.
        for name in SERVICES.iter().map(|service| service.name).chain([BROWSER, LOAD]) {
            symbols.service(name);
        }
        symbols
    }

    /// The number of a service; that of [`OTHER`] when there are too many.
    pub(crate) fn service(&self, name: &str) -> u16 {
        match self.services.number(name) {
            MISSING => 0,
            number => number,
        }
    }

    /// The number of a service if it is known by other means than this name; else that of
    /// [`OTHER`].
    pub(crate) fn claimed_service(&self, name: &str) -> u16 {
        self.services.find(name).unwrap_or(0)
    }

    /// The number of a service that was seen before.
    pub(crate) fn find_service(&self, name: &str) -> Option<u16> {
        self.services.find(name)
    }

    /// The name of a service.
    pub(crate) fn service_name(&self, number: u16) -> Arc<str> {
        self.services.string(number).unwrap_or_else(|| OTHER.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_string_has_the_same_number() {
        let symbols = Symbols::new();
        let orders = symbols.service("orders");
        assert_eq!(symbols.service("orders"), orders);
        assert_ne!(symbols.service("payments"), orders);
        assert_eq!(&*symbols.service_name(orders), "orders");
    }

    #[test]
    fn a_full_table_grows_no_further() {
        let table = Table::with_room_for(2);
        assert_eq!((table.number("a"), table.number("b")), (0, 1));
        assert_eq!(table.number("c"), MISSING);
        assert_eq!(table.number("b"), 1);
        assert_eq!(table.find("c"), None);
    }

    #[test]
    fn services_beyond_the_bound_are_one_service() {
        let symbols = Symbols::new();
        let last = (0..1_000).map(|n| symbols.service(&format!("s{n}"))).last();
        assert_eq!(last.map(|n| symbols.service_name(n)), Some(OTHER.into()));
    }
}
