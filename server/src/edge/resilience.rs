//! Faults and breakers over HTTP: JSON for programs, plain forms for pages without JavaScript.

use super::{Edge, control::who, forms};
use crate::host::resilience::faults;
use app::model::{fault::defaults, tries::parse_seconds};
use axum::{
    Form, Json, Router,
    extract::{
        Path, State,
        rejection::{FormRejection, JsonRejection},
    },
    response::{IntoResponse, Redirect, Response},
    routing::{delete, get, post},
};
use contract::{
    ApiError,
    resilience::{
        BreakerChange, BreakerSettings, ChangeBreaker, EndFaults, FaultKind, FaultView, FaultsView,
        InjectFault,
    },
    traffic::{ApplyYaml, ChangeTraffic},
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use shop::problem::Problem;

/// `/control/faults`, `/control/breakers`, and the forms of the pages.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/control/faults", get(list).post(inject).delete(end_all))
        .route("/control/faults/release", post(release))
        .route("/control/faults/{id}", delete(end))
        .route("/control/breakers", get(breakers))
        .route("/control/breakers/{id}", post(change))
        .route("/resilience/inject", post(form_inject))
        .route("/resilience/thresholds", post(form_thresholds))
        .route("/resilience/remove", post(form_remove))
        .route("/resilience/remove-all", post(form_remove_all))
        .route("/resilience/release", post(form_release))
        .route("/resilience/breaker", post(form_breaker))
        .route("/traffic/apply", post(form_apply))
        .route("/traffic/restore", post(form_restore))
}

/// An error of a port as a problem.
fn problem(error: ApiError) -> Problem {
    let said = error.to_string();
    match error {
        ApiError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, said),
        ApiError::Conflict { .. } => Problem::conflict(said),
        ApiError::Invalid { fields } => Problem::invalid(fields),
        ApiError::Unavailable { .. } => Problem::new(StatusCode::SERVICE_UNAVAILABLE, said),
        ApiError::Internal { .. } => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, said),
    }
}

async fn list(State(edge): State<Edge>) -> Json<FaultsView> {
    Json(faults::all(&edge.shop.mesh))
}

async fn inject(
    State(edge): State<Edge>,
    headers: HeaderMap,
    fault: Result<Json<InjectFault>, JsonRejection>,
) -> Result<(StatusCode, Json<FaultView>), Problem> {
    let Json(fault) = fault?;
    let fault = InjectFault { by: who(&headers), ..fault };
    let begun = edge.host.resilience.inject(fault).await.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(begun)))
}

async fn finish(edge: &Edge, command: EndFaults) -> Result<Json<FaultsView>, Problem> {
    Ok(Json(edge.host.resilience.end_faults(command).await.map_err(problem)?))
}

async fn end_all(State(edge): State<Edge>) -> Result<Json<FaultsView>, Problem> {
    finish(&edge, EndFaults::All).await
}

async fn release(State(edge): State<Edge>) -> Result<Json<FaultsView>, Problem> {
    finish(&edge, EndFaults::Release).await
}

async fn end(
    State(edge): State<Edge>,
    Path(id): Path<String>,
) -> Result<Json<FaultsView>, Problem> {
    finish(&edge, EndFaults::One(id)).await
}

async fn breakers(State(edge): State<Edge>) -> Result<Response, Problem> {
    let page = edge.host.resilience.page().await.map_err(problem)?;
    Ok(Json(page.breakers).into_response())
}

async fn change(
    State(edge): State<Edge>,
    Path(id): Path<String>,
    change: Result<Json<BreakerChange>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(change) = change?;
    let command = ChangeBreaker { id, change };
    let line = edge.host.resilience.change_breaker(command).await.map_err(problem)?;
    Ok(Json(line).into_response())
}

// --- forms -------------------------------------------------------------------------------------

const RESILIENCE: &str = "/resilience";

fn back<T>(page: &str, done: Result<T, ApiError>) -> Redirect {
    match done {
        Ok(_) => Redirect::to(page),
        Err(error) => forms::failed(page, &error.to_string()),
    }
}

/// Fields of the panel. Those that it does not draw for a kind are as the kind has them by default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InjectForm {
    kind: String,
    from: String,
    to: String,
    subset: String,
    instance: String,
    percent: Option<f64>,
    delay_s: Option<String>,
    jitter_s: Option<String>,
    status: Option<u16>,
    ttl_s: Option<u32>,
}

impl InjectForm {
    /// The command; none when a word or a number in it cannot be read.
    fn command(self) -> Option<InjectFault> {
        let usual = defaults(FaultKind::parse(&self.kind)?);
        Some(InjectFault {
            from: self.from,
            to: self.to,
            subset: self.subset,
            instance: self.instance,
            percent: self.percent.unwrap_or(usual.percent),
            delay_ms: self.delay_s.map_or(Some(usual.delay_ms), |text| millis(&text))?,
            jitter_ms: self.jitter_s.map_or(Some(usual.jitter_ms), |text| millis(&text))?,
            status: self.status.unwrap_or(usual.status),
            ttl_s: self.ttl_s.unwrap_or(usual.ttl_s),
            ..usual
        })
    }
}

fn millis(seconds: &str) -> Option<u32> {
    u32::try_from(parse_seconds(seconds)?).ok()
}

async fn form_inject(
    State(edge): State<Edge>,
    form: Result<Form<InjectForm>, FormRejection>,
) -> Redirect {
    let Some(command) = form.ok().and_then(|Form(form)| form.command()) else {
        return forms::failed(RESILIENCE, "The form was not complete.");
    };
    back(RESILIENCE, edge.host.resilience.inject(command).await)
}

#[derive(Debug, Deserialize)]
struct ThresholdsForm {
    id: String,
    failures_in_a_row: u32,
    window_calls: u32,
    open_percent: u32,
    #[serde(default)]
    slow_s: String,
    wait_s: String,
    trial_calls: u32,
}

impl ThresholdsForm {
    fn command(self) -> Option<ChangeBreaker> {
        let slow = self.slow_s.trim();
        let settings = BreakerSettings {
            failures_in_a_row: self.failures_in_a_row,
            window_calls: self.window_calls,
            open_percent: self.open_percent,
            slow_ms: if slow.is_empty() { None } else { Some(millis(slow)?) },
            wait_ms: millis(&self.wait_s)?,
            trial_calls: self.trial_calls,
        };
        Some(ChangeBreaker { id: self.id, change: BreakerChange::Thresholds(settings) })
    }
}

async fn form_thresholds(
    State(edge): State<Edge>,
    form: Result<Form<ThresholdsForm>, FormRejection>,
) -> Redirect {
    let Some(command) = form.ok().and_then(|Form(form)| form.command()) else {
        return forms::failed(RESILIENCE, "The form was not complete.");
    };
    back(RESILIENCE, edge.host.resilience.change_breaker(command).await)
}

#[derive(Debug, Deserialize)]
struct RemoveForm {
    id: String,
}

async fn form_remove(
    State(edge): State<Edge>,
    form: Result<Form<RemoveForm>, FormRejection>,
) -> Redirect {
    let Ok(Form(form)) = form else {
        return forms::failed(RESILIENCE, "The form was not complete.");
    };
    back(RESILIENCE, edge.host.resilience.end_faults(EndFaults::One(form.id)).await)
}

async fn form_remove_all(State(edge): State<Edge>) -> Redirect {
    back(RESILIENCE, edge.host.resilience.end_faults(EndFaults::All).await)
}

async fn form_release(State(edge): State<Edge>) -> Redirect {
    back(RESILIENCE, edge.host.resilience.end_faults(EndFaults::Release).await)
}

#[derive(Debug, Deserialize)]
struct BreakerForm {
    id: String,
    order: String,
    #[serde(default)]
    ttl_s: Option<u32>,
}

async fn form_breaker(
    State(edge): State<Edge>,
    form: Result<Form<BreakerForm>, FormRejection>,
) -> Redirect {
    let Ok(Form(form)) = form else {
        return forms::failed(RESILIENCE, "The form was not complete.");
    };
    let ttl_s = form.ttl_s.unwrap_or_default();
    let change = match form.order.as_str() {
        "force_open" => BreakerChange::ForceOpen(ttl_s),
        "force_closed" => BreakerChange::ForceClosed(ttl_s),
        "reset" => BreakerChange::Reset,
        _ => {
            return forms::failed(RESILIENCE, "A breaker is forced open, forced closed, or reset.");
        }
    };
    let command = ChangeBreaker { id: form.id, change };
    back(RESILIENCE, edge.host.resilience.change_breaker(command).await)
}

#[derive(Debug, Deserialize)]
struct ApplyForm {
    yaml: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    base: Option<u64>,
}

async fn form_apply(
    State(edge): State<Edge>,
    form: Result<Form<ApplyForm>, FormRejection>,
) -> Redirect {
    let Ok(Form(ApplyForm { yaml, host, base })) = form else {
        return forms::failed("/traffic", "The form was not complete.");
    };
    let page = page_of(&host);
    let host = (!host.is_empty()).then_some(host);
    let command = ChangeTraffic::Apply(ApplyYaml { yaml, base, host, dry_run: false });
    match edge.host.traffic.change(command).await {
        Ok(applied) if applied.revision.is_none() => {
            let first = applied.report.findings.first();
            let said = first.map_or("Nothing was changed.", |finding| finding.message.as_str());
            forms::failed(&page, said)
        }
        done => back(&page, done),
    }
}

#[derive(Debug, Deserialize)]
struct RestoreForm {
    revision: u64,
    #[serde(default)]
    host: String,
}

async fn form_restore(
    State(edge): State<Edge>,
    form: Result<Form<RestoreForm>, FormRejection>,
) -> Redirect {
    let Ok(Form(form)) = form else {
        return forms::failed("/traffic", "The form was not complete.");
    };
    let restored = edge.host.traffic.change(ChangeTraffic::Restore(form.revision)).await;
    back(&page_of(&form.host), restored)
}

/// The page of a host; only names are put into addresses.
fn page_of(host: &str) -> String {
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain { format!("/traffic/{host}") } else { "/traffic".to_owned() }
}
