//! Errors at the rim: `application/problem+json` (RFC 9457). What a client can act on is said,
//! what is internal goes to the log.

use crate::StoreError;
use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    response::{IntoResponse, Response},
};
use contract::FieldError;
use http::{HeaderValue, StatusCode, header};
use mesh::{CallError, MeshError};
use serde::Serialize;
use std::time::Duration;

/// One problem.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind it is (RFC 9457, section 4.2.1).
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here and what to do about it.
    pub detail: String,
    /// Every bad field, if fields are the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem with a status and a sentence.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// 404.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no {what}."))
    }

    /// 409.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 400 with every bad field.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let count = errors.len();
        let noun = if count == 1 { "field is" } else { "fields are" };
        let detail = format!("{count} {noun} not as they must be; see errors.");
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// 400 for one bad field.
    #[must_use]
    pub fn field(field: &str, reason: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, reason)])
    }

    fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media_type);
        if let Some(after) = retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(cause = ?error.cause, "{error}");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("The {} service cannot reach its data.", error.service),
        )
        .retry_after(Duration::from_secs(1))
    }
}

impl From<MeshError> for Problem {
    fn from(error: MeshError) -> Self {
        let detail = format!("{}.", sentence(&error.to_string()));
        match error {
            MeshError::Deadline { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, detail),
            MeshError::BreakerOpen { retry_after, .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(retry_after)
            }
            MeshError::NoService { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
        }
    }
}

/// A refusal of a service behind is passed on; its failure is a bad gateway.
impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        if let Some((status, problem)) = error.refusal() {
            let passed_on = Self::new(status, problem.detail.clone());
            return Self { errors: problem.errors.clone(), ..passed_on };
        }
        match error {
            CallError::Mesh(error) => error.into(),
            CallError::Refused { destination, status, problem }
                if status == StatusCode::SERVICE_UNAVAILABLE =>
            {
                let said =
                    if problem.detail.is_empty() { "is unavailable" } else { &problem.detail };
                Self::new(status, format!("{destination}: {said}"))
                    .retry_after(Duration::from_secs(1))
            }
            other => {
                tracing::error!("{other}");
                Self::new(StatusCode::BAD_GATEWAY, "A service behind the gateway failed.")
            }
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let status = match rejection.status() {
            // The JSON is well-formed and not what is expected: the client's mistake like any other.
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self::new(status, format!("{}.", rejection.body_text().trim_end_matches('.')))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
