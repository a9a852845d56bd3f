//! Faults and breakers over HTTP: JSON for programs, plain forms for pages without JavaScript.

use super::{
    Edge,
    control::{NoQuery, who},
    fault_body, forms,
};
use crate::host::resilience::faults;
use app::model::{
    fault::{self, Choice},
    tries::parse_seconds,
};
use axum::{
    Form, Json, Router,
    extract::{
        Path, Query, State,
        rejection::{FormRejection, JsonRejection, QueryRejection},
    },
    response::{IntoResponse, Redirect, Response},
    routing::{delete, get, post},
};
use contract::{
    ApiError,
    resilience::{
        BreakerChange, BreakerSettings, ChangeBreaker, EndFaults, Expectation, FaultView,
        FaultsView, InjectFault, TryThresholds, WhatIfView,
    },
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use shop::problem::Problem;

/// `/control/faults`, `/control/breakers`, and the forms of the pages.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/control/faults", get(list).post(inject).delete(end_all))
        .route("/control/faults/release", post(release))
        .route("/control/faults/{id}", delete(end))
        .route("/control/breakers", get(breakers))
        .route("/control/breakers/{id}", post(change))
        .route("/control/breakers/{id}/what-if", get(what_if))
        .route("/resilience/inject", post(form_inject))
        .route("/resilience/thresholds", post(form_thresholds))
        .route("/resilience/remove", post(form_remove))
        .route("/resilience/remove-all", post(form_remove_all))
        .route("/resilience/release", post(form_release))
        .route("/resilience/breaker", post(form_breaker))
}

/// An error of a port as a problem.
pub(super) fn problem(error: ApiError) -> Problem {
    let said = error.to_string();
    match error {
        ApiError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, said),
        ApiError::Conflict { .. } => Problem::conflict(said),
        ApiError::Invalid { fields } => Problem::invalid(fields),
        ApiError::Unavailable { .. } => Problem::new(StatusCode::SERVICE_UNAVAILABLE, said),
        ApiError::Internal { .. } => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, said),
    }
}

async fn list(_: NoQuery, State(edge): State<Edge>) -> Json<FaultsView> {
    Json(faults::all(&edge.shop.mesh))
}

async fn inject(
    _: NoQuery,
    State(edge): State<Edge>,
    headers: HeaderMap,
    fault: Result<Json<Value>, JsonRejection>,
) -> Result<(StatusCode, Json<FaultView>), Problem> {
    let Json(fault) = fault?;
    let fault = InjectFault { by: who(&headers), ..fault_body::read(fault)? };
    let begun = edge.host.resilience.inject(fault).await.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(begun)))
}

async fn finish(edge: &Edge, command: EndFaults) -> Result<Json<FaultsView>, Problem> {
    Ok(Json(edge.host.resilience.end_faults(command).await.map_err(problem)?))
}

async fn end_all(_: NoQuery, State(edge): State<Edge>) -> Result<Json<FaultsView>, Problem> {
    finish(&edge, EndFaults::All).await
}

async fn release(_: NoQuery, State(edge): State<Edge>) -> Result<Json<FaultsView>, Problem> {
    finish(&edge, EndFaults::Release).await
}

async fn end(
    _: NoQuery,
    State(edge): State<Edge>,
    Path(id): Path<String>,
) -> Result<Json<FaultsView>, Problem> {
    finish(&edge, EndFaults::One(id)).await
}

async fn breakers(_: NoQuery, State(edge): State<Edge>) -> Result<Response, Problem> {
    let page = edge.host.resilience.page().await.map_err(problem)?;
    Ok(Json(page.breakers).into_response())
}

async fn change(
    _: NoQuery,
    State(edge): State<Edge>,
    Path(id): Path<String>,
    change: Result<Json<BreakerChange>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(change) = change?;
    let command = ChangeBreaker { id, change };
    let line = edge.host.resilience.change_breaker(command).await.map_err(problem)?;
    Ok(Json(line).into_response())
}

async fn what_if(
    State(edge): State<Edge>,
    Path(id): Path<String>,
    settings: Result<Query<BreakerSettings>, QueryRejection>,
) -> Result<Json<WhatIfView>, Problem> {
    let Query(settings) = settings?;
    let asked = TryThresholds { id, settings };
    Ok(Json(edge.host.resilience.what_if(asked).await.map_err(problem)?))
}

// --- forms -------------------------------------------------------------------------------------

const RESILIENCE: &str = "/resilience";

pub(super) fn back<T>(page: &str, done: Result<T, ApiError>) -> Redirect {
    match done {
        Ok(_) => Redirect::to(page),
        Err(error) => forms::failed(page, &forms::refusal(&error)),
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
    percent: Option<String>,
    delay_s: Option<String>,
    jitter_s: Option<String>,
    status: Option<String>,
    ttl_s: Option<String>,
    limit: String,
    crash_at: Option<String>,
    /// "yes": go on even if the page would ask once more.
    sure: String,
}

impl InjectForm {
    /// The page with this form filled in again, for an answer that says what is wrong.
    fn address(&self) -> String {
        let number = |value: Option<String>| value.unwrap_or_default();
        let fields = [
            ("kind", self.kind.clone()),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("subset", self.subset.clone()),
            ("instance", self.instance.clone()),
            ("percent", number(self.percent.clone())),
            ("delay_s", number(self.delay_s.clone())),
            ("jitter_s", number(self.jitter_s.clone())),
            ("status", number(self.status.clone())),
            ("limit", self.limit.clone()),
            ("ttl_s", number(self.ttl_s.clone())),
            ("crash_at", number(self.crash_at.clone())),
        ];
        let filled = fields.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<_> =
            filled.map(|(name, value)| format!("{name}={}", forms::escaped(value))).collect();
        format!("{RESILIENCE}?{}", query.join("&"))
    }

    /// The command, or why a word or a number in it cannot be read.
    fn command(self) -> Result<InjectFault, &'static str> {
        let choice = Choice::parse(&self.kind).ok_or("Choose what to inject.")?;
        let mut command = InjectFault {
            from: self.from,
            to: self.to,
            subset: self.subset,
            instance: self.instance,
            ..choice.defaults()
        };
        let typed = [
            ("percent", self.percent),
            ("delay_s", self.delay_s),
            ("jitter_s", self.jitter_s),
            ("status", self.status),
            ("ttl_s", self.ttl_s),
            ("limit", Some(self.limit)),
            ("crash_at", self.crash_at),
        ];
        for (field, text) in typed {
            if let Some(text) = text {
                fault::read(&mut command, field, &text)?;
            }
        }
        Ok(command)
    }
}

fn millis(seconds: &str) -> Option<u32> {
    u32::try_from(parse_seconds(seconds)?).ok()
}

async fn form_inject(
    State(edge): State<Edge>,
    form: Result<Form<InjectForm>, FormRejection>,
) -> Redirect {
    let Ok(Form(form)) = form else {
        return forms::failed(RESILIENCE, "The form was not complete.");
    };
    let (again, sure) = (form.address(), form.sure == "yes");
    let command = match form.command() {
        Ok(command) => command,
        Err(why) => return forms::failed(&again, why),
    };
    let port = &edge.host.resilience;
    match port.expect(command.clone()).await {
        Ok(Expectation { asks: Some(asks), .. }) if !sure => {
            return forms::failed(&again, &format!("{asks} Then tick the box and send it again."));
        }
        Ok(_) => {}
        Err(error) => return forms::failed(&again, &forms::refusal(&error)),
    }
    match port.inject(command).await {
        Ok(_) => Redirect::to(RESILIENCE),
        Err(error) => forms::failed(&again, &forms::refusal(&error)),
    }
}

#[derive(Debug, Deserialize)]
struct ThresholdsForm {
    id: String,
    failures_in_a_row: String,
    wait_s: String,
}

impl ThresholdsForm {
    fn command(self) -> Option<ChangeBreaker> {
        let settings = BreakerSettings {
            failures_in_a_row: self.failures_in_a_row.trim().parse().ok()?,
            wait_ms: millis(&self.wait_s)?,
        };
        Some(ChangeBreaker { id: self.id, change: BreakerChange::Thresholds(settings) })
    }
}

async fn form_thresholds(
    State(edge): State<Edge>,
    form: Result<Form<ThresholdsForm>, FormRejection>,
) -> Redirect {
    let Ok(Form(form)) = form else {
        return forms::failed(RESILIENCE, "The form was not complete.");
    };
    let page = format!("{RESILIENCE}?thresholds={}", forms::escaped(&form.id));
    let (failures, wait) = (&form.failures_in_a_row, &form.wait_s);
    let (failures, wait) = (forms::escaped(failures), forms::escaped(wait));
    let again = format!("{page}&failures_in_a_row={failures}&wait_s={wait}");
    let Some(command) = form.command() else {
        return forms::failed(&again, "Both thresholds are numbers.");
    };
    match edge.host.resilience.change_breaker(command).await {
        Ok(_) => Redirect::to(&page),
        Err(error) => forms::failed(&again, &forms::refusal(&error)),
    }
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
        "release" => BreakerChange::Release,
        "reset" => BreakerChange::Reset,
        _ => {
            return forms::failed(RESILIENCE, "A breaker is forced open, forced closed, or reset.");
        }
    };
    let command = ChangeBreaker { id: form.id, change };
    back(RESILIENCE, edge.host.resilience.change_breaker(command).await)
}
