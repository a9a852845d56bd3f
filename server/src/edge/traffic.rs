//! The forms of the Traffic page for browsers without JavaScript.
//!
//! Applying is answered with the page itself: a refused text comes back as it was typed, with
//! everything that is said of it. What has nothing to show is answered with a redirect.

use super::{Edge, YAML_FORM_BYTES_MAX, forms, pages, resilience::back};
use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, Path, State, rejection::FormRejection},
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use contract::{
    istio::ResourceKey,
    traffic::{Applied, ApplyYaml, ChangeTraffic, DeleteResource, PostedApply, RestoreRevision},
};
use http::StatusCode;
use serde::Deserialize;

/// The forms' addresses; each is that of the page it stands on, or below `/traffic`.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/traffic", post(apply))
        .route("/traffic/{host}", post(apply_to))
        .route("/traffic/{host}/restore", post(restore))
        .route("/traffic/all/delete", post(delete))
        .layer(DefaultBodyLimit::max(YAML_FORM_BYTES_MAX))
}

#[derive(Debug, Deserialize)]
struct ApplyForm {
    yaml: String,
    #[serde(default)]
    base: Option<u64>,
    /// The button that only tries.
    #[serde(default)]
    dry_run: Option<String>,
}

async fn apply(State(edge): State<Edge>, form: Result<Form<ApplyForm>, FormRejection>) -> Response {
    answer(&edge, None, form).await
}

async fn apply_to(
    State(edge): State<Edge>,
    Path(host): Path<String>,
    form: Result<Form<ApplyForm>, FormRejection>,
) -> Response {
    answer(&edge, Some(host), form).await
}

async fn answer(
    edge: &Edge,
    host: Option<String>,
    form: Result<Form<ApplyForm>, FormRejection>,
) -> Response {
    let page = page_of(host.as_deref().unwrap_or_default());
    let ApplyForm { yaml, base, dry_run } = match form {
        Ok(Form(form)) => form,
        Err(rejected) => {
            let why = match rejected.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "The text is too long; apply it in parts.",
                _ => "The form was not complete.",
            };
            return forms::failed(&page, why).into_response();
        }
    };
    let dry_run = dry_run.is_some();
    let command = ApplyYaml { yaml: yaml.clone(), base, host, dry_run };
    let done = edge.host.traffic.change(ChangeTraffic::Apply(command)).await;
    let (applied, error) = match done {
        Ok(applied) => (applied, None),
        Err(error) => (Applied::default(), Some(forms::refusal(&error))),
    };
    let refused = applied.revision.is_none() && !(dry_run && error.is_none());
    let status = if refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    pages::posted(edge, &format!("{page}?view=yaml"), status, PostedApply { yaml, applied, error })
        .await
}

#[derive(Debug, Deserialize)]
struct RestoreForm {
    revision: u64,
}

async fn restore(
    State(edge): State<Edge>,
    Path(host): Path<String>,
    form: Result<Form<RestoreForm>, FormRejection>,
) -> Redirect {
    let page = page_of(&host);
    let Ok(Form(form)) = form else {
        return forms::failed(&page, "The form was not complete.");
    };
    let restore = RestoreRevision { number: form.revision, base: None };
    back(&page, edge.host.traffic.change(ChangeTraffic::Restore(restore)).await)
}

#[derive(Debug, Deserialize)]
struct DeleteForm {
    kind: String,
    namespace: String,
    name: String,
    #[serde(default)]
    base: Option<u64>,
}

async fn delete(
    State(edge): State<Edge>,
    form: Result<Form<DeleteForm>, FormRejection>,
) -> Redirect {
    let page = page_of("");
    let Ok(Form(DeleteForm { kind, namespace, name, base })) = form else {
        return forms::failed(&page, "The form was not complete.");
    };
    let delete = DeleteResource { key: ResourceKey { kind, namespace, name }, base };
    back(&page, edge.host.traffic.change(ChangeTraffic::Delete(delete)).await)
}

/// The page of a host; only names are put into addresses.
fn page_of(host: &str) -> String {
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain { format!("/traffic/{host}") } else { "/traffic".to_owned() }
}
