//! Load balancing over HTTP: how calls to each host are balanced, and where a key goes.

use super::{Edge, control::NoQuery, resilience::problem};
use crate::host::balance;
use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    routing::get,
};
use contract::{
    ApiError,
    balance::{AskBalance, BalanceView, HostBalance},
};
use serde::Serialize;
use shop::problem::Problem;

/// `/control/balance` and below.
pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/control/balance", get(all)).route("/control/balance/{host}", get(one))
}

#[derive(Debug, Serialize)]
struct Hosts {
    hosts: Vec<HostBalance>,
}

async fn all(_: NoQuery, State(edge): State<Edge>) -> Result<Json<Hosts>, Problem> {
    let (control, mesh) = (edge.control.clone(), edge.shop.mesh.clone());
    let hosts = edge.control.look(move || balance::all(&control, &mesh)).await;
    let interrupted = |error| problem(ApiError::Unavailable { reason: format!("{error}.") });
    Ok(Json(Hosts { hosts: hosts.map_err(interrupted)? }))
}

async fn one(
    State(edge): State<Edge>,
    Path(host): Path<String>,
    asked: Result<Query<AskBalance>, QueryRejection>,
) -> Result<Json<BalanceView>, Problem> {
    let Query(asked) = asked?;
    Ok(Json(edge.host.traffic.balance(host, asked).await.map_err(problem)?))
}
