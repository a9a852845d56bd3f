//! Errors at the rim: `application/problem+json` (RFC 9457). What a client can act on is said,
//! what is internal goes to the log.

use crate::{StoreError, gateway::schema};
use axum::{
    Json,
    body::Body,
    extract::{
        Request, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::FieldError;
use futures::StreamExt as _;
use http::{HeaderValue, StatusCode, header};
use mesh::{CallError, MeshError};
use serde::Serialize;
use std::time::Duration;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// An answer that says what the problem is.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// What is said.
    #[serde(flatten)]
    pub said: contract::Problem,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        schema::Problem::schema()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schema::Problem::schemas(schemas);
    }
}

impl Problem {
    /// A problem with a status and a sentence.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let said = contract::Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        };
        Self { said, retry_after: None }
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
        let detail = match count {
            1 => "1 field is not as it must be; see errors.".to_owned(),
            count => format!("{count} fields are not as they must be; see errors."),
        };
        Self::new(StatusCode::BAD_REQUEST, detail).with(errors)
    }

    /// 400 for one bad field.
    #[must_use]
    pub fn field(field: &str, reason: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, reason)])
    }

    fn with(mut self, errors: Vec<FieldError>) -> Self {
        self.said.errors = errors;
        self
    }

    /// When it is worth to ask again.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.said.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
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
        let problem = Self::new(error.status(), detail);
        match error {
            MeshError::BreakerOpen { retry_after, .. } => problem.retry_after(retry_after),
            _ => problem,
        }
    }
}

/// What a service behind says about those behind it.
const OF_SERVICES_BEHIND: [StatusCode; 3] =
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];

/// A refusal of a service behind, or of the mesh on the way to it, is passed on, and so is what it
/// says about the services behind it; its own failure is a bad gateway, and names it.
impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Mesh(error) => error.into(),
            CallError::Refused { status, problem, by_callee: true, retry_after, .. }
                if status.is_client_error() =>
            {
                let passed_on = Self::new(status, problem.detail).with(problem.errors);
                Self { retry_after, ..passed_on }
            }
            CallError::Refused { destination, status, problem, retry_after, .. }
                if status.is_client_error() || OF_SERVICES_BEHIND.contains(&status) =>
            {
                let without = match status {
                    StatusCode::GATEWAY_TIMEOUT => "did not answer in time",
                    StatusCode::BAD_GATEWAY => "has no answer from a service behind it",
                    _ => "is unavailable",
                };
                let said = if problem.detail.is_empty() { without } else { &problem.detail };
                let passed_on = Self::new(status, format!("{destination}: {said}"));
                let waits = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
                if waits.contains(&status) {
                    passed_on.retry_after(retry_after.unwrap_or(Duration::from_secs(1)))
                } else {
                    passed_on
                }
            }
            CallError::Refused { ref destination, .. }
            | CallError::Unreadable { ref destination, .. } => {
                tracing::error!("{error}");
                let detail = format!("{} failed.", sentence(destination));
                Self::new(StatusCode::BAD_GATEWAY, detail)
            }
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let status = match rejection.status() {
            // The JSON is well-formed and not what is expected: the client's mistake like any
            // other.
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self::new(status, plain(&rejection.body_text()))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, plain(&rejection.body_text()))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, plain(&rejection.body_text()))
    }
}

/// What a reader of bodies, paths or queries says, without the words of the language it is written
/// in.
fn plain(said: &str) -> String {
    let said = said.trim_end_matches('.');
    for (rust, words) in [
        (
            "Failed to deserialize the JSON body into the target type: ",
            "The JSON is not as it must be: ",
        ),
        ("Failed to parse the request body as JSON: ", "The body is no JSON: "),
        ("Failed to deserialize query string: ", "The query is not as it must be: "),
        ("Failed to deserialize form body: ", "The form is not as it must be: "),
        ("Failed to deserialize form: ", "The form is not as it must be: "),
        ("Invalid URL: ", "The address is not as it must be: "),
    ] {
        if let Some(rest) = said.strip_prefix(rust) {
            return format!("{words}{}.", without_types(rest));
        }
    }
    format!("{said}.")
}

/// What serde says of one value that it cannot read, in words: "must be a number, not the text
/// "1"". Anything else is left as it is.
#[must_use]
pub fn in_words(said: &str) -> String {
    if let Some((value, kinds)) =
        said.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        let (value, kinds) = (value.replace('`', ""), kinds.replace('`', ""));
        let kinds = kinds.trim_start_matches("one of ");
        return format!("must be one of {kinds}, not {value}");
    }
    let of_value = ["invalid type: ", "invalid value: "];
    let rest = of_value.iter().find_map(|start| said.strip_prefix(start));
    let Some((value, expected)) = rest.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return said.to_owned();
    };
    let value = match value.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer" | "boolean", shown)) => shown.replace('`', ""),
        Some(("floating", shown)) => shown.trim_start_matches("point ").replace('`', ""),
        _ if value == "sequence" => "a list".to_owned(),
        _ if value == "map" => "an object".to_owned(),
        _ => value.to_owned(),
    };
    format!("must be {}, not {value}", json_noun(expected))
}

/// A type of the language as JSON calls it.
fn json_noun(expected: &str) -> &str {
    match expected {
        "a string" | "a borrowed string" => "a text",
        "a boolean" => "true or false",
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

/// The same where a place stands after it: "expected u32 at line 1 column 9".
fn with_nouns(said: &str) -> String {
    let Some((before, expected)) = said.rsplit_once(", expected ") else {
        return said.to_owned();
    };
    let (noun, place) = match expected.split_once(" at line ") {
        Some((noun, place)) => (noun, format!(" at line {place}")),
        None => (expected, String::new()),
    };
    format!("{before}, expected {}{place}", json_noun(noun))
}

/// "Cannot parse `x` to a `u64`" and its like, in words.
fn without_types(said: &str) -> String {
    let noun = |kind: &str| match kind {
        "bool" => "true or false",
        kind if kind.starts_with(['u', 'i']) => "a whole number",
        kind if kind.starts_with('f') => "a number",
        _ => "what is expected there",
    };
    let parts: Vec<&str> = said.split('`').collect();
    match parts[..] {
        ["Cannot parse ", value, " to a ", kind, ""] => format!("{value} is not {}", noun(kind)),
        ["Cannot parse ", name, " with value ", value, " to a ", kind, ""] => {
            format!("{name} {value} is not {}", noun(kind))
        }
        _ => with_nouns(said)
            .replace("invalid digit found in string", "not a whole number")
            .replace("cannot parse integer from empty string", "not a whole number")
            .replace("provided string was not `true` or `false`", "not true or false"),
    }
}

/// Longest sentence that is made of an answer that is not ours, bytes; of a longer one the middle
/// is left out, for what is wrong is said at its end.
const SENTENCE_BYTES_MAX: usize = 1024;
/// As much is read of such an answer, bytes: it may repeat an address, which is as long at most.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// The beginning of a body.
async fn beginning(body: Body) -> Vec<u8> {
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    while read.len() < REFUSAL_BYTES_MAX
        && let Some(Ok(chunk)) = chunks.next().await
    {
        let room = REFUSAL_BYTES_MAX - read.len();
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    read
}

fn shortened(said: String) -> String {
    if said.len() <= SENTENCE_BYTES_MAX {
        return said;
    }
    let head = said.floor_char_boundary(SENTENCE_BYTES_MAX / 2);
    let tail = said.ceil_char_boundary(said.len() - SENTENCE_BYTES_MAX / 4);
    format!("{} … {}", &said[..head], &said[tail..])
}

/// A middleware: a body that is announced as larger than so many bytes is refused before any of it
/// is asked for. Who sends `Expect: 100-continue` (RFC 9110, section 10.1.1) waits for that word.
pub async fn refuse_announced(State(most): State<usize>, request: Request, next: Next) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|bytes| bytes.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > most as u64) {
        return too_large(most).into_response();
    }
    next.run(request).await
}

/// 413.
pub(crate) fn too_large(most: usize) -> Problem {
    let detail = format!("The body is larger than {} KiB.", most / 1024);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// A middleware: a refusal of the router itself (no such path, no such method, a path that is no
/// UTF-8) comes without a reason, or as plain text; it goes out as a problem like every other.
pub async fn explain(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = next.run(request).await;
    let status = answer.status();
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    // What a rule answers by itself is what its author wrote.
    let is_written = answer.extensions().get::<mesh::DirectAnswer>().is_some();
    let is_plain = media_type.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let is_bare = is_plain && !is_written;
    if !(status.is_client_error() || status.is_server_error()) || !is_bare {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let said = beginning(body).await;
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => format!("{path} does not take {method}."),
        StatusCode::NOT_FOUND => format!("There is nothing at {path}."),
        StatusCode::REQUEST_TIMEOUT if said.is_empty() => {
            "The request was not whole, or could not be answered, in time.".to_owned()
        }
        _ if said.is_empty() => "The request cannot be answered.".to_owned(),
        _ => shortened(plain(&String::from_utf8_lossy(&said))),
    };
    let mut explained = Problem::new(status, detail).into_response();
    *explained.extensions_mut() = parts.extensions;
    for (name, value) in &parts.headers {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            explained.headers_mut().insert(name, value.clone());
        }
    }
    explained
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_says_is_told_without_the_types_it_is_written_with() {
        for (said, told) in [
            (
                "Failed to deserialize the JSON body into the target type: ttl_s: invalid type: \
                 string \"a\", expected u32 at line 1 column 9",
                "The JSON is not as it must be: ttl_s: invalid type: string \"a\", expected a \
                 whole number of 0 or more at line 1 column 9.",
            ),
            (
                "Invalid URL: Cannot parse `x` to a `u64`",
                "The address is not as it must be: x is not a whole number.",
            ),
            (
                "Failed to deserialize query string: base: invalid digit found in string",
                "The query is not as it must be: base: not a whole number.",
            ),
            ("Body is empty.", "Body is empty."),
        ] {
            assert_eq!(plain(said), told);
        }
    }

    #[tokio::test]
    async fn a_refusal_that_repeats_a_long_address_says_what_is_wrong_all_the_same() {
        use axum::{Router, extract::Path, middleware::from_fn, routing::get};
        use tower::ServiceExt as _;
        let read = get(async |_: Path<u64>| ());
        let app = Router::new().route("/revisions/{number}", read).layer(from_fn(explain));
        for letters in [10, 5_000] {
            let address = format!("/revisions/{}", "ü".repeat(letters).replace('ü', "%C3%BC"));
            let ask = http::Request::get(address).body(Body::empty()).unwrap();
            let answer = app.clone().oneshot(ask).await.unwrap();
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
            let said = axum::body::to_bytes(answer.into_body(), 4 * 1_024).await.unwrap();
            let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.starts_with("The address is not as it must be: üü"), "{detail}");
            assert!(detail.ends_with("is not a whole number."), "{detail}");
            assert!(detail.len() <= SENTENCE_BYTES_MAX, "{}", detail.len());
        }
    }

    fn refused(status: StatusCode, detail: &str) -> Problem {
        let problem =
            contract::Problem { detail: detail.to_owned(), ..contract::Problem::default() };
        let (destination, by_callee) = ("orders".to_owned(), true);
        CallError::Refused { destination, status, problem, by_callee, retry_after: None }.into()
    }

    #[test]
    fn what_a_service_says_about_those_behind_it_keeps_its_status_and_their_names() {
        for (status, said, told) in [
            (504, "Users did not answer in time.", "orders: Users did not answer in time."),
            (503, "Catalog has no healthy endpoint.", "orders: Catalog has no healthy endpoint."),
            (502, "Users failed.", "orders: Users failed."),
            (504, "", "orders: did not answer in time"),
        ] {
            let passed_on = refused(StatusCode::from_u16(status).unwrap(), said);
            assert_eq!((passed_on.said.status, passed_on.said.detail.as_str()), (status, told));
        }
    }

    #[test]
    fn a_bad_gateway_names_the_service_that_failed() {
        let failed = refused(StatusCode::INTERNAL_SERVER_ERROR, "at line 7 of the ledger");
        assert_eq!((failed.said.status, failed.said.detail.as_str()), (502, "Orders failed."));
        let (destination, reason) = ("orders".to_owned(), "EOF".to_owned());
        let unread: Problem = CallError::Unreadable { destination, reason }.into();
        assert_eq!((unread.said.status, unread.said.detail.as_str()), (502, "Orders failed."));
    }

    #[test]
    fn one_bad_field_is_told_in_the_singular() {
        let one = vec![FieldError::new("a", "b")];
        assert_eq!(Problem::invalid(one).said.detail, "1 field is not as it must be; see errors.");
    }
}
