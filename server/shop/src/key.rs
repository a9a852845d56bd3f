//! `Idempotency-Key` of a command: the command and its repetitions are one.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use contract::FieldError;
use http::{HeaderMap, StatusCode, request::Parts};

/// Longest key, characters.
const KEY_MAX: usize = 128;
/// The header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The key of a request, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        idempotency_key(&parts.headers).map(Self)
    }
}

/// `Idempotency-Key`, if one was sent.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    // Neither a second key nor one that is no text can be one.
    let key = key.to_str().ok().filter(|_| keys.next().is_none()).unwrap_or_default();
    checked_key(key).map(Some).map_err(|error| Problem::invalid(vec![error]))
}

/// The key of a command without blanks around it.
///
/// # Errors
/// When it is empty, too long, or has what no header may have.
pub fn checked_key(key: &str) -> Result<String, FieldError> {
    let key = key.trim();
    if (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Ok(key.to_owned());
    }
    let reason = format!("Must be one value of 1 to {KEY_MAX} printable characters.");
    Err(FieldError::new("Idempotency-Key", reason))
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
