//! The dashboard's server functions: what Leptos answers, with the status that is due.
//!
//! Leptos answers whatever goes wrong with 500. The dashboard reads the error from the body, but
//! logs, proxies and programs read the status, and a client's mistake is none of the server's.

use super::{FORM_BYTES_MAX, YAML_FORM_BYTES_MAX};
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::{ApiError, FieldError};
use http::{Method, StatusCode, header};
use leptos::server_fn::error::{SERVER_FN_ERROR_HEADER, ServerFnErrorErr};
use shop::problem::Problem;

/// The functions that have a text of resources among their arguments.
const TAKE_YAML: [&str; 4] = ["/ui/draft", "/ui/dry-run", "/ui/probe", "/ui/change-traffic"];
/// Largest error that is read back, bytes.
const ERROR_BYTES_MAX: usize = 256 * 1024;

/// Around every route: reads the arguments of a server function under their bound, and gives its
/// answer the status that is due. Leptos registers the functions itself, so this cannot be a route.
pub(super) async fn tell(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if !path.starts_with("/ui/") || request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let takes_yaml = TAKE_YAML.contains(&path.as_str());
    let most = if takes_yaml { YAML_FORM_BYTES_MAX } else { FORM_BYTES_MAX };
    let Ok(body) = to_bytes(body, most).await else {
        let detail = format!("The body must end, and within {most} bytes.");
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response();
    };
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    let failed = answer.headers().contains_key(SERVER_FN_ERROR_HEADER);
    match answer.status() {
        StatusCode::INTERNAL_SERVER_ERROR => due(answer).await,
        // The one refusal that is not a function's own: there is no such function.
        StatusCode::BAD_REQUEST if !failed => {
            Problem::not_found(&format!("server function at {path}")).into_response()
        }
        _ => answer,
    }
}

/// An error with the status of its kind.
async fn due(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, ERROR_BYTES_MAX).await.unwrap_or_default();
    let Ok(error) = serde_json::from_slice(&body) else {
        return Response::from_parts(parts, Body::from(body));
    };
    let error = mistake(error);
    parts.status = match &error {
        ApiError::NotFound { .. } => StatusCode::NOT_FOUND,
        ApiError::Conflict { .. } => StatusCode::CONFLICT,
        ApiError::Invalid { .. } => StatusCode::BAD_REQUEST,
        ApiError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        ApiError::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = serde_json::to_vec(&error).map_or(body, Into::into);
    Response::from_parts(parts, Body::from(body))
}

/// Arguments that cannot be read are the sender's mistake. Leptos has one error for them and for
/// answers that the browser cannot read, so by itself it tells neither from a defect.
fn mistake(error: ApiError) -> ApiError {
    let unread = ServerFnErrorErr::Deserialization(String::new()).to_string();
    match error {
        ApiError::Internal { reason } if reason.starts_with(&unread) => {
            let reason = format!("The arguments cannot be read: {}.", &reason[unread.len()..]);
            ApiError::Invalid { fields: vec![FieldError::new("", reason)] }
        }
        error => error,
    }
}
