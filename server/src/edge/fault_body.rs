//! A fault as a program sends it: JSON, read field by field, so that one answer names everything
//! that is wrong with it. The forms of the pages are read in `resilience.rs`.

use crate::host::resilience::{fault_fields, faults};
use contract::{
    FieldError,
    resilience::{FaultKind, InjectFault},
};
use http::StatusCode;
use serde_json::{Map, Value};
use shop::problem::{Problem, in_words};

/// Reads the body of `POST /control/faults`.
pub(super) fn read(body: Value) -> Result<InjectFault, Problem> {
    let Value::Object(fields) = body else {
        let detail = "The JSON is not as it must be: a fault is an object with a kind.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    };
    let mut errors = Vec::new();
    let mut readable = Map::new();
    for (field, value) in fields {
        // A gRPC status has a name and a number.
        let value = match value {
            Value::Number(code) if field == "grpc_status" => Value::String(code.to_string()),
            value => value,
        };
        match unreadable(&field, &value) {
            Some(error) => errors.push(error),
            None => drop(readable.insert(field, value)),
        }
    }
    let kind = readable.get("kind").and_then(Value::as_str).and_then(FaultKind::parse);
    let misread = |errors: &[FieldError], field: &str| errors.iter().any(|e| e.field == field);
    if kind.is_none() && !misread(&errors, "kind") {
        let kinds = FaultKind::ALL.map(FaultKind::word).join(", ");
        errors.insert(0, FieldError::new("kind", format!("is one of {kinds}")));
    }
    let foreign = kind.into_iter().flat_map(|kind| {
        let said = readable.iter().filter(|(_, value)| !is_nothing(value));
        said.filter_map(move |(field, _)| fault_fields::foreign(kind, field))
    });
    let mut foreign: Vec<_> = foreign.collect();
    let says = |field: &str| readable.get(field).is_some_and(|value| !is_nothing(value));
    if says("grpc_status") && says("status") {
        let reason = "stands in place of status: send one of them";
        foreign.push(FieldError::new("grpc_status", reason));
    }
    let fault: InjectFault = serde_json::from_value(readable.into()).map_err(|error| {
        let detail = format!("The JSON is not as it must be: {}.", in_words(&error.to_string()));
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    // Without a kind, with the one that asks for the least: nothing is missed for a kind that
    // nobody chose.
    let least = InjectFault { kind: kind.unwrap_or(FaultKind::Hang), ..fault.clone() };
    let wrong = faults::all_wrong(&least);
    let wrong: Vec<_> = wrong.into_iter().filter(|e| !misread(&errors, &e.field)).collect();
    errors.extend(wrong);
    errors.extend(foreign);
    if errors.is_empty() { Ok(fault) } else { Err(Problem::invalid(errors)) }
}

/// Why a field cannot be read, alone.
fn unreadable(field: &str, value: &Value) -> Option<FieldError> {
    if !fault_fields::names().any(|name| name == field) {
        let near = istio::value::closest(field, fault_fields::names());
        let meant = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return Some(FieldError::new(field, format!("is no field of a fault{meant}")));
    }
    let alone = Map::from_iter([(field.to_owned(), value.clone())]);
    let read = serde_json::from_value::<InjectFault>(alone.into());
    read.err().map(|error| FieldError::new(field, in_words(&error.to_string())))
}

/// Whether a value says no more than that the field is left out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(true) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(body: Value) -> Vec<(String, String)> {
        let problem = read(body).unwrap_err();
        assert_eq!(problem.said.status, 400);
        problem.said.errors.into_iter().map(|error| (error.field, error.reason)).collect()
    }

    #[test]
    fn a_field_that_its_kind_does_not_have_is_refused_and_not_dropped() {
        for (kind, field, value) in [
            ("delay", "instance", json!("users-v1-1")),
            ("delay", "status", json!(503)),
            ("abort", "delay_ms", json!(100)),
            ("kill_instance", "status", json!(503)),
            ("kill_instance", "percent", json!(50)),
            ("message_loss", "subset", json!("v2")),
            ("hang", "jitter_ms", json!(5)),
        ] {
            let mut body = json!({ "kind": kind, "ttl_s": 60, "to": "users" });
            let more = match kind {
                "kill_instance" => json!({ "instance": "users-v1-1" }),
                "delay" => json!({ "percent": 1, "delay_ms": 5 }),
                "abort" => json!({ "percent": 1, "status": 500 }),
                _ => json!({ "percent": 1 }),
            };
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert!(read(body.clone()).is_ok(), "{body}");
            body[field] = value;
            let told = errors(body.clone());
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].0 == field && told[0].1.starts_with("is only for"), "{told:?}");
            // What is left empty is left out.
            body[field] = Value::Null;
            let emptied = [json!(""), json!(0)];
            let readable = emptied.into_iter().any(|nothing| {
                body[field] = nothing;
                read(body.clone()).is_ok()
            });
            assert!(readable, "{body}");
        }
    }

    #[test]
    fn a_grpc_status_is_a_number_or_a_name() {
        for (status, read_as) in [(json!(14), "14"), (json!("UNAVAILABLE"), "UNAVAILABLE")] {
            let body = json!({ "kind": "abort", "to": "users", "percent": 1, "ttl_s": 1,
                "grpc_status": status });
            assert_eq!(read(body.clone()).unwrap().grpc_status, read_as);
            let mut both = body;
            both["status"] = json!(503);
            assert_eq!(errors(both)[0].0, "grpc_status");
        }
    }

    #[test]
    fn every_field_that_cannot_be_read_is_named_in_words() {
        let body = json!({ "kind": "abort", "to": 7, "percent": "1", "status": -1, "ttl_s": 60,
            "delay": 5, "like_istio": "yes" });
        let mut told = errors(body);
        told.sort();
        let told: Vec<_> = told.iter().map(|(field, why)| (field.as_str(), why.as_str())).collect();
        assert_eq!(
            told,
            [
                ("delay", "is no field of a fault; did you mean delay_ms?"),
                ("like_istio", "must be true or false, not the text \"yes\""),
                ("percent", "must be a number, not the text \"1\""),
                ("status", "must be a whole number of 0 or more, not -1"),
                ("to", "must be a text, not 7"),
            ]
        );
    }
}
