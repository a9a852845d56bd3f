//! The one error that crosses the wire to the dashboard, and the field errors every form speaks.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One bad field of a request: where it is (a JSON pointer or a field name) and what to do about
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer of the field, as in RFC 6901: `/items/0/quantity`.
    pub field: String,
    /// One sentence: what is wrong and what would be right.
    pub reason: String,
}

impl FieldError {
    /// A field error from anything that can be written down.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// What is said of a request that was not done: `application/problem+json` (RFC 9457, section 3).
/// What somebody else left out is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// `about:blank`: the status says what kind it is (RFC 9457, section 4.2.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words, the same for every problem of its type.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here and what to do about it.
    pub detail: String,
    /// Every bad field, if fields are the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Why the host could not do what a page asked. Details stay in the server's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiError {
    /// Nothing of that name is kept.
    NotFound {
        /// What was looked for, for a person: "order ord-7F3K9QXM".
        what: String,
    },
    /// The request is well-formed and the present state refuses it.
    Conflict {
        /// The rule that refused it, one sentence.
        reason: String,
    },
    /// Fields of the request are wrong; all of them are named.
    Invalid {
        /// Every bad field.
        fields: Vec<FieldError>,
    },
    /// A service behind the request did not answer; trying again is sensible.
    Unavailable {
        /// Which service, and what happened, one sentence.
        reason: String,
    },
    /// A defect of the server; the log tells more.
    Internal {
        /// One sentence without internals.
        reason: String,
    },
}

impl ApiError {
    /// The status it has over HTTP, with its reason phrase: what a panel that failed shows as its
    /// code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "404 Not Found",
            Self::Conflict { .. } => "409 Conflict",
            Self::Invalid { .. } => "400 Bad Request",
            Self::Unavailable { .. } => "503 Service Unavailable",
            Self::Internal { .. } => "500 Internal Server Error",
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { what } => write!(f, "No {what}."),
            Self::Conflict { reason }
            | Self::Unavailable { reason }
            | Self::Internal { reason } => f.write_str(reason),
            Self::Invalid { fields } => {
                for (i, field) in fields.iter().enumerate() {
                    let gap = if i == 0 { "" } else { " " };
                    // What is wrong as a whole is wrong in no field.
                    let colon = if field.field.is_empty() { "" } else { ": " };
                    write!(f, "{gap}{}{colon}{}", field.field, field.reason)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ApiError {}
