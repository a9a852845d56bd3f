//! Holds live answers against an OpenAPI 3.1 document, strictly: what it does not describe is a
//! fault. Knows as much of JSON Schema as such documents use, and says so when it meets more.

use crate::Answer;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Keywords that say nothing about a value.
const NOTES: [&str; 7] =
    ["description", "example", "examples", "format", "title", "default", "propertyNames"];

/// A document.
#[derive(Clone, Debug)]
pub struct Document(Value);

impl Document {
    /// Of this text, as JSON.
    #[must_use]
    pub fn new(document: Value) -> Self {
        Self(document)
    }

    /// Every operation: method and path template.
    #[must_use]
    pub fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        let methods = |(path, item): (&String, &Value)| {
            let methods = ["get", "post", "put", "delete", "patch"].into_iter();
            let here = methods.filter(|method| item.get(method).is_some());
            here.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        };
        paths.flat_map(methods).collect()
    }

    /// Numbers in the query of an operation on the bounds that are described and just outside of
    /// them, each as it is written, and whether it is within. Of one that is described without a
    /// bound the largest number there is: within as well.
    #[must_use]
    pub fn numbers(&self, method: &str, path: &str) -> Vec<(String, bool)> {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let numbers = parameters.filter(|p| p["in"] == "query" && p["schema"]["type"] == "integer");
        let around = |parameter: &Value| {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            let bound = |keyword: &str, none| parameter["schema"][keyword].as_i64().unwrap_or(none);
            let (least, most) = (bound("minimum", i64::MIN), bound("maximum", i64::MAX));
            let outside = [least.checked_sub(1), most.checked_add(1)].into_iter().flatten();
            let within = [(least, true), (most, true)].into_iter();
            let all = within.chain(outside.map(|number| (number, false)));
            all.map(move |(number, within)| (format!("{name}={number}"), within))
                .collect::<Vec<_>>()
        };
        numbers.flat_map(around).collect()
    }

    /// What an answer of an operation is other than the document says; nothing when it is not.
    #[must_use]
    pub fn faults(&self, method: &str, path: &str, answer: &Answer) -> Vec<String> {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        let described = &operation["responses"][answer.status.to_string()];
        if described.is_null() {
            return vec![format!("the status {} is not described", answer.status)];
        }
        let mut faults = Vec::new();
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            let optional = header["description"].as_str().is_some_and(|d| d.contains(", if "));
            if !optional && answer.header(name).is_empty() {
                faults.push(format!("the header {name} is missing"));
            }
        }
        let media_type = answer.header("content-type").split(';').next().unwrap_or_default().trim();
        match described["content"].as_object() {
            None if answer.body.is_empty() => {}
            None => faults.push(format!("a body is not described: {}", answer.text())),
            Some(content) => match content.get(media_type) {
                None => faults.push(format!("the media type {media_type:?} is not described")),
                Some(content) if media_type.ends_with("json") => {
                    self.check(&content["schema"], &answer.json(), "", &mut faults);
                }
                Some(_) => {}
            },
        }
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            match self.0.pointer(reference.trim_start_matches('#')) {
                Some(schema) => self.check(schema, value, at, faults),
                None => faults.push(format!("{at}: there is no {reference}")),
            }
            return;
        }
        for (keyword, said) in schema.as_object().into_iter().flatten() {
            match keyword.as_str() {
                "type" => kind(said, value, at, faults),
                "enum" if !said.as_array().is_some_and(|all| all.contains(value)) => {
                    faults.push(format!("{at}: {value} is none of {said}"));
                }
                "oneOf" | "anyOf" => {
                    let all = said.as_array().into_iter().flatten();
                    let mut tried = all.map(|schema| {
                        let mut faults = Vec::new();
                        self.check(schema, value, at, &mut faults);
                        faults
                    });
                    if !tried.any(|faults| faults.is_empty()) {
                        faults.push(format!("{at}: {value} is none of {said}"));
                    }
                }
                "allOf" => self.check(&self.merged(said), value, at, faults),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(said, item, &format!("{at}/{index}"), faults);
                    }
                }
                "properties" | "additionalProperties" => {}
                "required" => {
                    for name in said.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        if value.is_object() && value.get(name).is_none() {
                            faults.push(format!("{at}: {name} is missing"));
                        }
                    }
                }
                "minimum" | "maximum" | "minItems" | "maxItems" | "minLength" | "maxLength" => {
                    bound(keyword, said, value, at, faults);
                }
                "enum" => {}
                known if NOTES.contains(&known) => {}
                other => faults.push(format!("{at}: nobody here understands {other}")),
            }
        }
        self.fields(schema, value, at, faults);
    }

    /// Several descriptions of one object as one.
    fn merged(&self, parts: &Value) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for part in parts.as_array().into_iter().flatten() {
            let reference = part["$ref"].as_str().unwrap_or_default();
            let part = self
                .0
                .pointer(reference.trim_start_matches('#'))
                .filter(|_| !reference.is_empty())
                .unwrap_or(part);
            properties.extend(part["properties"].as_object().cloned().into_iter().flatten());
            required.extend(part["required"].as_array().cloned().into_iter().flatten());
        }
        json!({ "type": "object", "properties": properties, "required": required })
    }

    /// Every field of an object is described, by its name or with all others.
    fn fields(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let (named, others) = (&schema["properties"], &schema["additionalProperties"]);
        if !named.is_object() && !others.is_object() {
            return;
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match (named.get(name), others.is_object()) {
                (Some(schema), _) => self.check(schema, value, &at, faults),
                (None, true) => self.check(others, value, &at, faults),
                (None, false) => faults.push(format!("{at} is not described")),
            }
        }
    }
}

fn kind(said: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let is = |kind: &Value| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    };
    let fits = said.as_array().map_or_else(|| is(said), |all| all.iter().any(is));
    if !fits {
        faults.push(format!("{at}: {value} is no {said}"));
    }
}

fn bound(keyword: &str, said: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let size = match value {
        Value::Array(items) => u32::try_from(items.len()).ok().map(f64::from),
        Value::String(text) => u32::try_from(text.chars().count()).ok().map(f64::from),
        value => value.as_f64(),
    };
    let (Some(size), Some(said)) = (size, said.as_f64()) else { return };
    let fits = if keyword.starts_with("min") { size >= said } else { size <= said };
    if !fits {
        faults.push(format!("{at}: {keyword} is {said}, and it is {size}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(schema: Value, value: &Value) -> usize {
        let mut faults = Vec::new();
        Document::new(json!({})).check(&schema, value, "", &mut faults);
        faults.len()
    }

    #[test]
    fn numbers_are_asked_for_on_their_bounds_and_outside_of_them() {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": 200 });
        let open = json!({ "type": "integer", "minimum": 0 });
        let parameters = json!([
            { "name": "limit", "in": "query", "schema": limit },
            { "name": "from", "in": "query", "schema": open },
            { "name": "id", "in": "path", "schema": limit },
        ]);
        let document = Document::new(json!({ "paths": { "/a": { "get": {
            "parameters": parameters,
        } } } }));
        let written = |text: &str, within| (text.to_owned(), within);
        let expected = [
            written("limit=1", true),
            written("limit=200", true),
            written("limit=0", false),
            written("limit=201", false),
            written("from=0", true),
            written(&format!("from={}", i64::MAX), true),
            written("from=-1", false),
        ];
        assert_eq!(document.numbers("GET", "/a"), expected);
    }

    #[test]
    fn what_a_schema_does_not_say_is_a_fault() {
        let schema = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "a": { "type": ["integer", "null"], "minimum": 1 },
                "b": { "type": "array", "items": { "enum": ["x"] }, "maxItems": 2 },
            },
        });
        assert_eq!(faults(schema.clone(), &json!({ "a": 1, "b": ["x", "x"] })), 0);
        assert_eq!(faults(schema.clone(), &json!({ "a": null })), 0);
        assert_eq!(faults(schema.clone(), &json!({ "a": "1" })), 1);
        assert_eq!(faults(schema.clone(), &json!({ "a": 0 })), 1);
        assert_eq!(faults(schema.clone(), &json!({ "b": [] })), 1);
        assert_eq!(faults(schema.clone(), &json!({ "a": 1, "c": 1 })), 1);
        assert_eq!(faults(schema.clone(), &json!({ "a": 1, "b": ["y"] })), 1);
        assert_eq!(faults(schema.clone(), &json!({ "a": 1, "b": ["x", "x", "x"] })), 1);
        let both = json!({ "allOf": [schema, { "properties": { "c": { "type": "string" } } }] });
        assert_eq!(faults(both.clone(), &json!({ "a": 1, "c": "x" })), 0);
        assert_eq!(faults(both, &json!({ "c": 1, "d": 1 })), 3);
        assert_eq!(faults(json!({ "pattern": "x" }), &json!("x")), 1, "not understood");
    }
}
