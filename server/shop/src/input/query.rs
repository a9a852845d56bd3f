//! The query of an address: what a list does not know is named, not left out without a word.

use super::{ID_MAX, UNKNOWN_MAX};
use crate::problem::Problem;
use axum::extract::Query;
use contract::FieldError;
use http::Uri;
use std::collections::BTreeMap;

/// The parameters of a query, each of which a list knows and comes once.
pub(crate) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Names every parameter that is unknown or comes twice: what a misspelt one asked for would
    /// else be left out without a word.
    pub(crate) fn read(address: &Uri, known: &[&'static str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(address)?;
        let mut found = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, value) in pairs {
            let known_as = known.iter().find(|known| **known == name);
            let reason = match known_as.map(|known| found.insert(*known, value).is_some()) {
                Some(false) => continue,
                Some(true) => "Comes twice.".to_owned(),
                None => format!("Is no parameter here; there are {}.", known.join(", ")),
            };
            if errors.len() < UNKNOWN_MAX {
                let shown: String = name.chars().take(ID_MAX).collect();
                errors.push(FieldError::new(shown, reason));
            }
        }
        if errors.is_empty() { Ok(Self(found)) } else { Err(Problem::invalid(errors)) }
    }

    /// One of them.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The number of entries of a page.
    pub(crate) fn limit(&mut self, max: usize) -> Result<Option<usize>, Problem> {
        let Some(text) = self.take("limit") else { return Ok(None) };
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(limit) if plain && (1..=max).contains(&limit) => Ok(Some(limit)),
            _ => Err(Problem::field("limit", format!("Must be a whole number from 1 to {max}."))),
        }
    }
}
