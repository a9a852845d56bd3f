//! One trace in the JSON that Jaeger's page loads from a file.
//!
//! The shape is that of Jaeger's query API, `GET /api/traces/{id}`.

use crate::names;
use contract::trace::{AttributeValue, SpanEventView, SpanKind, SpanView, TraceView, ValueType};
use serde_json::{Number, Value, json};
use std::collections::BTreeMap;

/// `{"data":[{"traceID":..., "spans":[...], "processes":{"p1":{"serviceName":...}}}]}`.
#[must_use]
pub fn jaeger_json(trace: &TraceView) -> Value {
    let mut processes: BTreeMap<&str, String> = BTreeMap::new();
    for span in &trace.spans {
        let number = processes.len() + 1;
        let process = processes.entry(&span.service);
        process.or_insert_with(|| format!("p{number}"));
    }
    let spans: Vec<Value> = trace
        .spans
        .iter()
        .map(|span| span_json(&trace.row.trace_id, span, &processes[span.service.as_str()]))
        .collect();
    let named = |(service, process): (&&str, &String)| {
        let tags = [tag("service.namespace", names::SERVICE_NAMESPACE)];
        (process.clone(), json!({ "serviceName": service, "tags": tags }))
    };
    let processes: serde_json::Map<String, Value> = processes.iter().map(named).collect();
    json!({
        "data": [{
            "traceID": trace.row.trace_id,
            "spans": spans,
            "processes": processes,
            "warnings": null,
        }],
        "total": 1,
        "limit": 0,
        "offset": 0,
        "errors": null,
    })
}

fn span_json(trace_id: &str, span: &SpanView, process: &str) -> Value {
    let reference = |kind: &str, trace: &str, span: &str| -> Value {
        json!({ "refType": kind, "traceID": trace, "spanID": span })
    };
    let parent = span.parent_id.iter().map(|id| reference("CHILD_OF", trace_id, id));
    let links = span.links.iter();
    let links = links.map(|link| reference("FOLLOWS_FROM", &link.trace_id, &link.span_id));
    let logs: Vec<Value> = span.events.iter().map(event_json).collect();
    json!({
        "traceID": trace_id,
        "spanID": span.span_id,
        "flags": 1,
        "operationName": span.name,
        "references": parent.chain(links).collect::<Vec<_>>(),
        "startTime": span.start_us,
        "duration": span.duration_us,
        "tags": tags(span),
        "logs": logs,
        "processID": process,
        "warnings": null,
    })
}

/// The attributes, and what Jaeger derives from the rest of an OpenTelemetry span.
fn tags(span: &SpanView) -> Vec<Value> {
    let mut tags: Vec<Value> = span.attributes.iter().map(typed).collect();
    tags.push(tag("span.kind", kind(span.kind)));
    if span.error {
        tags.push(json!({ "key": "error", "type": "bool", "value": true }));
        tags.push(tag("otel.status_code", "ERROR"));
    }
    if let Some(message) = &span.message {
        tags.push(tag("otel.status_description", message));
    }
    tags
}

fn event_json(event: &SpanEventView) -> Value {
    let attributes = event.attributes.iter().map(typed);
    let fields: Vec<Value> = std::iter::once(tag("event", &event.name)).chain(attributes).collect();
    json!({ "timestamp": event.at_us, "fields": fields })
}

/// With the type that the collector gets it with.
fn typed((key, AttributeValue { text, of }): &(String, AttributeValue)) -> Value {
    let (kind, value) = match of {
        ValueType::Text => return tag(key, text),
        ValueType::Integer => ("int64", text.parse::<i64>().ok().map(Value::from)),
        ValueType::Bool => ("bool", text.parse::<bool>().ok().map(Value::from)),
        // JSON has no infinities.
        ValueType::Float => {
            ("float64", text.parse().ok().and_then(Number::from_f64).map(Value::Number))
        }
    };
    value
        .map_or_else(|| tag(key, text), |value| json!({ "key": key, "type": kind, "value": value }))
}

fn tag(key: &str, value: &str) -> Value {
    json!({ "key": key, "type": "string", "value": value })
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::trace::{SpanLinkView, TraceRow, TraceStatus};

    fn value(text: &str, of: ValueType) -> AttributeValue {
        AttributeValue { text: text.into(), of }
    }

    fn span(id: &str, parent: Option<&str>, service: &str) -> SpanView {
        SpanView {
            span_id: id.into(),
            parent_id: parent.map(Into::into),
            service: service.into(),
            name: "POST /api/v1/orders".into(),
            kind: SpanKind::Server,
            start_us: 1_000,
            duration_us: 250,
            error: parent.is_some(),
            message: parent.map(|_| "declined".into()),
            attributes: vec![
                ("http.response.status_code".into(), value("202", ValueType::Integer)),
                ("mesh.fault.delay_ms".into(), value("1.5", ValueType::Float)),
                ("mesh.mirror".into(), value("true", ValueType::Bool)),
                ("order.id".into(), value("7", ValueType::Text)),
            ],
            events: vec![SpanEventView {
                at_us: 1_100,
                name: "retry".into(),
                attributes: vec![("attempt".into(), value("2", ValueType::Integer))],
            }],
            links: vec![SpanLinkView { trace_id: "b".repeat(32), span_id: "c".repeat(16) }],
        }
    }

    fn trace() -> TraceView {
        TraceView {
            row: TraceRow {
                trace_id: "a".repeat(32),
                service: "gateway".into(),
                operation: "POST /api/v1/orders".into(),
                start_us: 1_000,
                duration_us: 250,
                tail_us: 0,
                unfinished: false,
                status: TraceStatus::Error,
                http_status: Some(202),
                failed: 1,
                spans: 3,
                services: vec!["gateway".into(), "orders".into()],
                order_id: None,
            },
            spans: vec![
                span("1", None, "gateway"),
                span("2", Some("1"), "orders"),
                span("3", Some("1"), "gateway"),
            ],
            dropped: 0,
            logs: Vec::new(),
        }
    }

    #[test]
    fn every_span_has_a_process_that_names_its_service() {
        let json = jaeger_json(&trace());
        let data = &json["data"][0];
        let services: Vec<&Value> = data["spans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|span| &data["processes"][span["processID"].as_str().unwrap()]["serviceName"])
            .collect();
        assert_eq!(services, ["gateway", "orders", "gateway"]);
        assert_eq!(data["processes"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn parents_links_events_and_errors_are_where_jaeger_looks_for_them() {
        let json = jaeger_json(&trace());
        let child = &json["data"][0]["spans"][1];
        assert_eq!(child["references"][0]["refType"], "CHILD_OF");
        assert_eq!(child["references"][0]["spanID"], "1");
        assert_eq!(child["references"][1]["refType"], "FOLLOWS_FROM");
        assert_eq!(child["logs"][0]["fields"][0]["value"], "retry");
        assert_eq!((&child["startTime"], &child["duration"]), (&json!(1_000), &json!(250)));
        let tag = |key: &str| {
            let tags = child["tags"].as_array().unwrap();
            tags.iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].clone())
        };
        assert_eq!(tag("error"), Some(json!(true)));
        assert_eq!(tag("otel.status_description"), Some(json!("declined")));
        assert_eq!(tag("http.response.status_code"), Some(json!(202)));
        assert_eq!(tag("mesh.fault.delay_ms"), Some(json!(1.5)));
        assert_eq!(tag("mesh.mirror"), Some(json!(true)));
        assert_eq!(tag("order.id"), Some(json!("7")), "a text that looks like a number is a text");
        assert_eq!(child["logs"][0]["fields"][1]["value"], 2);
        assert_eq!(tag("span.kind"), Some(json!("server")));
        assert_eq!(json["data"][0]["spans"][0]["references"].as_array().unwrap().len(), 1);
    }
}
