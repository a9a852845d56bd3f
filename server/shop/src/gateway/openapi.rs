//! The API's own description, OpenAPI 3.1, made from the handlers.

use super::{browse, health, orders};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "Vitrine shop", description = "The demo shop's public API."),
    servers((url = "/api/v1")),
    paths(
        browse::products, browse::product, browse::users, browse::user,
        orders::place, orders::one, orders::list, orders::cancel, orders::ship,
        orders::redrive,
        health::health,
    )
)]
struct Document;

pub(super) async fn document() -> Response {
    Json(Document::openapi()).into_response()
}
