//! The API's own description, OpenAPI 3.1, made from the handlers.
//!
//! What is the same for every operation (headers, failures of what is behind) is written into the
//! document here, once, and not at each handler.

use super::{
    browse::{self, PAGE_DEFAULT, PAGE_MAX},
    health, orders,
};
use crate::problem::Problem;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use mesh::CORRELATION_ID_MAX;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "Vitrine shop", description = "The demo shop's public API."),
    servers((url = "/api/v1")),
    paths(
        browse::products, browse::product, browse::users, browse::user,
        orders::place, orders::one, orders::list, orders::cancel, orders::ship,
        orders::redrive,
        health::health, health::ready, live, metrics, openapi,
    ),
    components(schemas(Problem))
)]
struct Document;

/// Paths that stand beside the API and not below it.
const AT_ROOT: [&str; 3] = ["/livez", "/readyz", "/metrics"];
/// The problem of every refusal.
const PROBLEM: &str = "#/components/schemas/Problem";

#[utoipa::path(
    get,
    path = "/livez",
    tag = "operations",
    responses((status = 200, description = "The process lives")),
)]
#[expect(dead_code, reason = "the edge answers it; this describes it")]
fn live() {}

#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses((
        status = 200,
        description = "OpenMetrics text",
        body = String,
        content_type = "application/openmetrics-text"
    )),
)]
#[expect(dead_code, reason = "the edge answers it; this describes it")]
fn metrics() {}

#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    responses((status = 200, description = "This document", body = Object)),
)]
#[expect(dead_code, reason = "the document describes itself")]
fn openapi() {}

static DOCUMENT: LazyLock<Value> = LazyLock::new(written);

/// The document as an answer.
pub async fn document() -> Response {
    Json(&*DOCUMENT).into_response()
}

/// The whole document.
fn written() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    // What is sent is read strictly; what is answered may get further fields.
    for sent in ["PlaceOrder", "BasketLine"] {
        if let Some(schema) = document["components"]["schemas"].get_mut(sent) {
            schema["additionalProperties"] = false.into();
        }
    }
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, item) in paths {
        if AT_ROOT.contains(&path.as_str()) {
            item["servers"] = json!([{ "url": "/" }]);
        }
        for method in ["get", "post"] {
            if let Some(operation) = item.get_mut(method) {
                common(path, operation, method == "post");
            }
        }
    }
    document
}

/// Writes into an operation what is the same for all.
fn common(path: &str, operation: &mut Value, command: bool) {
    let alone = AT_ROOT.contains(&path) || path == "/openapi.json";
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    parameters.iter_mut().for_each(bounded);
    let taken = format!(
        "Taken, returned, and put on every event and log line; made if there is none, or one of \
         more than {CORRELATION_ID_MAX} bytes or with anything but printable ASCII, like a blank"
    );
    parameters.push(header("X-Correlation-ID", &taken));
    parameters.push(header("traceparent", "The trace to go on with (W3C Trace Context)"));
    if command {
        parameters.push(header(
            "Idempotency-Key",
            "Repeating a command with its key gives the first answer and does nothing",
        ));
    }
    operation["parameters"] = parameters.into();
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    if command {
        problem(responses, "422", "The Idempotency-Key was used for another command");
    }
    if !alone {
        problem(responses, "502", "A service behind the gateway failed");
        problem(responses, "503", "A service is not there, or a breaker lets nothing through");
        problem(responses, "504", "A service did not answer in time");
        problem(responses, "default", "What the mesh is configured to refuse: 401, 403, 429 …");
    }
    // Metrics come from the edge, and it keeps no request's id.
    for (status, response) in responses.iter_mut().filter(|_| path != "/metrics") {
        told(status, response, ["/livez", "/openapi.json"].contains(&path));
    }
}

/// A parameter is there or is not, and never null; pages of lists have one size.
fn bounded(parameter: &mut Value) {
    if parameter["schema"]["type"].is_array() {
        parameter["schema"]["type"] = "string".into();
    }
    if parameter["name"] == "limit" {
        parameter["description"] = "Entries of one page".into();
        parameter["schema"] = json!({
            "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT,
        });
    }
}

fn header(name: &str, description: &str) -> Value {
    let schema = json!({ "type": "string" });
    json!({ "name": name, "in": "header", "required": false, "description": description,
        "schema": schema })
}

/// A refusal or failure, unless the handler describes this status itself.
fn problem(responses: &mut Map<String, Value>, status: &str, description: &str) {
    let content = json!({ "application/json": { "schema": { "$ref": PROBLEM } } });
    let answer = json!({ "description": description, "content": content });
    responses.entry(status).or_insert(answer);
}

/// Headers of an answer, and the media type of problems, which is that of RFC 9457. What the edge
/// answers itself makes no trace.
fn told(status: &str, response: &mut Value, is_edge: bool) {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let is_problem = response["content"]["application/json"]["schema"]["$ref"] == PROBLEM;
    if is_problem && let Some(content) = response["content"].as_object_mut() {
        let schema = content.remove("application/json").unwrap_or_default();
        content.insert("application/problem+json".to_owned(), schema);
    }
    if !response["headers"].is_object() {
        response["headers"] = json!({});
    }
    response["headers"]["X-Correlation-ID"] = text("Of this request");
    if !is_edge {
        response["headers"]["traceresponse"] = text("The trace to look at");
    }
    if status == "503" && is_problem {
        response["headers"]["Retry-After"] = text("Seconds to wait, if that is known");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` in a document.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn what_is_sent_has_no_further_fields() {
        for sent in ["PlaceOrder", "BasketLine"] {
            let schema = &written()["components"]["schemas"][sent];
            assert_eq!(schema["additionalProperties"], false, "{sent}: {schema}");
        }
    }

    #[test]
    fn what_is_done_with_a_header_is_told_and_none_is_null() {
        let document = written();
        let operations = document["paths"].as_object().unwrap().values();
        let operations = operations.flat_map(|item| item.as_object().unwrap().values());
        let parameters =
            operations.flat_map(|of| of["parameters"].as_array().into_iter().flatten());
        let mut told = std::collections::BTreeMap::new();
        for parameter in parameters {
            assert!(!parameter["schema"].to_string().contains("null"), "{parameter}");
            let name = parameter["name"].as_str().unwrap();
            told.insert(name, parameter["description"].as_str().unwrap_or_default());
        }
        let wait = format!("{} s", crate::input::WAIT_MAX);
        assert!(told["Prefer"].contains(&wait), "{}", told["Prefer"]);
        assert!(told["X-Correlation-ID"].contains("128 bytes"), "{}", told["X-Correlation-ID"]);
        assert!(told["If-Match"].contains("ETag"), "{}", told["If-Match"]);
    }

    #[test]
    fn everything_that_is_referred_to_is_described() {
        let document = written();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    /// Every value of an enum of the API, written as the API does; a variant that is not named here
    /// does not compile.
    macro_rules! written_values {
        ($type:ty: $($variant:ident),+) => {{
            type Type = $type;
            let all = [$(Type::$variant),+];
            for one in &all {
                match one { $(Type::$variant => {})+ }
            }
            all.map(|one| serde_json::to_value(one).unwrap())
        }};
    }

    #[test]
    fn every_word_the_api_may_say_is_described() {
        use contract::{Currency, order, shop::PaymentMethod};
        let document = written();
        for (name, values) in [
            ("Currency", &written_values!(Currency: Eur)[..]),
            (
                "OrderStatus",
                &written_values!(order::OrderStatus: Processing, Confirmed, Cancelled, Shipped),
            ),
            ("PaymentMethod", &written_values!(PaymentMethod: Wallet, Card, Debit)),
            (
                "StepMark",
                &written_values!(order::StepMark: NotReached, Running, Done, Failed, Undone, Stuck,
                                 Unknown),
            ),
            ("Origin", &written_values!(order::Origin: Browser, Load, Api)),
            (
                "Phase",
                &written_values!(two_phase_commit::Phase: NotBegun, Preparing, Committing,
                                 Committed, Aborting, Aborted),
            ),
            ("HealthState", &written_values!(health::HealthState: Healthy, Degraded, Unhealthy)),
        ] {
            let described = document["components"]["schemas"][name]["enum"].as_array();
            assert_eq!(described.map(Vec::as_slice), Some(values), "{name}");
        }
    }

    #[test]
    fn nothing_is_described_as_any_object() {
        let document = written();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for (name, schema) in schemas {
            let known = ["properties", "enum", "oneOf", "allOf"];
            assert!(known.iter().any(|key| schema.get(key).is_some()), "{name}: {schema}");
            for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
                let any = schema["type"] == "object"
                    && schema.get("properties").is_none()
                    && schema.get("additionalProperties").is_none();
                assert!(!any, "{name}.{field}: {schema}");
            }
        }
    }
}
