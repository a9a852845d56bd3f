//! Calls the dashboard makes: in somebody's name through the gateway, or as an onlooker.

use axum::body::Body;
use contract::{
    ApiError, FieldError,
    service::{BROWSER, DASHBOARD, GATEWAY},
};
use http::{Method, Request, StatusCode, header};
use mesh::{CallError, Mesh, MeshError};
use serde::{Serialize, de::DeserializeOwned};
use shop::input::ORIGIN;

/// Does something at the gateway, as the person at the page.
pub(super) async fn act<T: DeserializeOwned>(
    mesh: &Mesh,
    method: Method,
    path: &str,
    key: Option<&str>,
    body: Option<&(impl Serialize + Sync)>,
) -> Result<T, ApiError> {
    let mut request = Request::builder().method(method).uri(path).header(ORIGIN, "browser");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let body = match body {
        None => Body::empty(),
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            serde_json::to_vec(body).map_err(internal)?.into()
        }
    };
    let request = request.body(body).map_err(internal)?;
    mesh.caller(BROWSER).forward(GATEWAY, request).receive().await.map_err(problem)
}

/// Looks at a service without leaving a trace.
pub(super) async fn look<T: DeserializeOwned>(
    mesh: &Mesh,
    service: &'static str,
    path: impl AsRef<str>,
) -> Result<T, ApiError> {
    mesh.caller(DASHBOARD).look(service, path).receive().await.map_err(problem)
}

fn internal(error: impl std::fmt::Display) -> ApiError {
    ApiError::Internal { reason: format!("The request could not be made: {error}.") }
}

fn problem(error: CallError) -> ApiError {
    match error {
        CallError::Refused { by_callee: false, .. } => {
            ApiError::Unavailable { reason: format!("Not possible now: {error}.") }
        }
        CallError::Refused { status, problem, .. } => match status {
            StatusCode::NOT_FOUND => {
                let what = problem.detail.trim_start_matches("There is no ").trim_end_matches('.');
                ApiError::NotFound { what: what.to_owned() }
            }
            StatusCode::BAD_REQUEST => ApiError::Invalid {
                fields: match problem.errors.is_empty() {
                    true => vec![FieldError::new("", problem.detail)],
                    false => problem.errors,
                },
            },
            status if status.is_client_error() => ApiError::Conflict { reason: problem.detail },
            _ => ApiError::Unavailable { reason: problem.detail },
        },
        CallError::Mesh(error @ (MeshError::Deadline { .. } | MeshError::BreakerOpen { .. })) => {
            ApiError::Unavailable { reason: format!("Not possible now: {error}.") }
        }
        CallError::Mesh(error) => ApiError::Unavailable { reason: format!("{error}.") },
        CallError::Unreadable { .. } => {
            ApiError::Internal { reason: "An answer could not be read.".into() }
        }
    }
}
