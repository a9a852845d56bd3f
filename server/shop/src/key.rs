//! `Idempotency-Key` of a command to a service: the command and its repetitions are one.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};

/// Longest key, bytes.
const KEY_MAX: usize = 128;
/// The header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The key of a request, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = keys.next() else { return Ok(Self(None)) };
        let key = key.to_str().ok().map(str::trim).filter(|key| {
            (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|b| (b' '..=b'~').contains(&b))
        });
        match key {
            Some(key) if keys.next().is_none() => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::field(
                "Idempotency-Key",
                format!("Must be one value of 1 to {KEY_MAX} printable characters."),
            )),
        }
    }
}

/// What a command with a key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commanded {
    /// Its effect is durable: since now, or since the first time it came.
    Done,
    /// The key was used for another command; nothing changed.
    KeyReused,
    /// What it is about does not exist; nothing changed.
    Unknown,
}

impl Commanded {
    /// The answer: 204 when done.
    ///
    /// # Errors
    /// 404 naming `what`, or 422 for a key of another command.
    pub fn answer(self, what: &str) -> Result<StatusCode, Problem> {
        match self {
            Self::Done => Ok(StatusCode::NO_CONTENT),
            Self::Unknown => Err(Problem::not_found(what)),
            Self::KeyReused => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "This Idempotency-Key was used for another command. Use a new key.",
            )),
        }
    }
}
