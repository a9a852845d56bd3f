//! What comes from outside: JSON without duplicate keys, and fields that are named when bad.

use crate::problem::Problem;
use axum::{
    body::Bytes,
    extract::{Query, rejection::BytesRejection},
};
use contract::{
    FieldError,
    shop::{BasketLine, PaymentMethod, PlaceOrder},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Longest id, characters.
const ID_MAX: usize = 64;
/// Most lines of one order.
const LINES_MAX: usize = 50;
/// Most pieces of one line.
const QUANTITY_MAX: u64 = 100;
/// Most unknown fields of one object that are named.
const UNKNOWN_MAX: usize = 5;
/// Longest `Idempotency-Key`, characters.
const KEY_MAX: usize = 128;
/// Longest a client may ask to wait, seconds.
pub(super) const WAIT_MAX: u64 = 30;

/// Whether a text has the form of an id: safe in a path, short enough to keep.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// An id in a path; anything else names nothing.
pub(crate) fn path_id(what: &str, id: String) -> Result<String, Problem> {
    if is_id(&id) { Ok(id) } else { Err(Problem::not_found(&format!("{what} of that id"))) }
}

/// The parameters of a query, each of which a list knows and comes once.
pub(super) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Names every parameter that is unknown or comes twice: what a misspelt one asked for would
    /// else be left out without a word.
    pub(super) fn read(address: &Uri, known: &[&'static str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(address)?;
        let mut found = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, value) in pairs {
            let known_as = known.iter().find(|known| **known == name);
            let reason = match known_as.map(|known| found.insert(*known, value).is_some()) {
                Some(false) => continue,
                Some(true) => "Comes twice.".to_owned(),
                None => format!("Is no parameter here; there are {}.", known.join(", ")),
            };
            if errors.len() < UNKNOWN_MAX {
                let shown: String = name.chars().take(ID_MAX).collect();
                errors.push(FieldError::new(shown, reason));
            }
        }
        if errors.is_empty() { Ok(Self(found)) } else { Err(Problem::invalid(errors)) }
    }

    /// One of them.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The number of entries of a page.
    pub(super) fn limit(&mut self, max: usize) -> Result<Option<usize>, Problem> {
        let Some(text) = self.take("limit") else { return Ok(None) };
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(limit) if plain && (1..=max).contains(&limit) => Ok(Some(limit)),
            _ => Err(Problem::field("limit", format!("Must be a whole number from 1 to {max}."))),
        }
    }
}

/// Reads the order in a request's body.
pub(crate) fn order(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<PlaceOrder, Problem> {
    check(&json(headers, body)?)
}

/// Makes sure that the body of a command that takes none says nothing: what says something was
/// meant for another command, or for an API that is not this one.
pub(crate) fn nothing(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(), Problem> {
    if body.as_ref().is_ok_and(Bytes::is_empty) {
        return Ok(());
    }
    match json(headers, body)? {
        Value::Null => Ok(()),
        Value::Object(fields) if fields.is_empty() => Ok(()),
        _ => Err(Problem::field("", "This command takes no fields: send no body, or {}.")),
    }
}

/// Reads a body that must be JSON.
fn json(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Value, Problem> {
    let coding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        let detail = "Send the body as it is, without Content-Encoding.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = "Send JSON, with the header Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let body = body.map_err(|rejection| {
        let status = rejection.status();
        let detail = match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                format!("The body is larger than {} KiB.", super::BODY_BYTES_MAX / 1024)
            }
            _ => format!("The body cannot be read: {}.", rejection.body_text()),
        };
        Problem::new(status, detail)
    })?;
    let strict = serde_json::from_slice(&body);
    let unread = |error| Problem::field("", format!("Not a JSON document: {error}."));
    strict.map(|Strict(value)| value).map_err(unread)
}

/// Checks every field and names every bad one.
fn check(value: &Value) -> Result<PlaceOrder, Problem> {
    let Some(order) = value.as_object() else {
        return Err(Problem::field("", "Must be an object with user_id and items."));
    };
    let mut errors = Vec::new();
    let user_id = id(order.get("user_id"), "/user_id", &mut errors);
    let items = items(order.get("items"), &mut errors);
    let payment_method = payment_method(order.get("payment_method"), &mut errors);
    unknown(order, &["user_id", "items", "payment_method"], "", &mut errors);
    let lines = order.get("items").and_then(Value::as_array).into_iter().flatten().take(LINES_MAX);
    for (index, line) in lines.enumerate() {
        if let Some(line) = line.as_object() {
            unknown(line, &["product_id", "quantity"], &format!("/items/{index}"), &mut errors);
        }
    }
    if errors.is_empty() {
        return Ok(PlaceOrder { user_id, items, payment_method });
    }
    Err(Problem::invalid(errors))
}

/// Fields that there are not: what a misspelt one asks for would else be left out without a word,
/// and an order paid from the wallet that was to be charged to the card.
fn unknown(object: &Map<String, Value>, known: &[&str], at: &str, errors: &mut Vec<FieldError>) {
    let named = object.keys().filter(|name| !known.contains(&name.as_str())).take(UNKNOWN_MAX);
    for name in named {
        let shown: String = name.chars().take(ID_MAX).collect();
        let reason = format!("Is no field here; there are {}.", known.join(", "));
        errors.push(FieldError::new(format!("{at}/{shown}"), reason));
    }
}

fn id(value: Option<&Value>, field: &str, errors: &mut Vec<FieldError>) -> String {
    let reason = match value {
        None | Some(Value::Null) => "Is missing.".to_owned(),
        Some(Value::String(id)) if is_id(id) => return id.clone(),
        Some(Value::String(_)) => {
            format!("Must be 1 to {ID_MAX} letters, digits, hyphens or underscores.")
        }
        Some(_) => "Must be a string.".to_owned(),
    };
    errors.push(FieldError::new(field, reason));
    String::new()
}

fn items(value: Option<&Value>, errors: &mut Vec<FieldError>) -> Vec<BasketLine> {
    let reason = match value {
        None | Some(Value::Null) => "Is missing.".to_owned(),
        Some(Value::Array(lines)) if lines.is_empty() => "Must have at least one line.".to_owned(),
        Some(Value::Array(lines)) if lines.len() > LINES_MAX => {
            format!("Must have at most {LINES_MAX} lines.")
        }
        Some(Value::Array(lines)) => {
            let mut seen = BTreeSet::new();
            let lines = lines.iter().enumerate();
            return lines.map(|(i, line)| item(i, line, &mut seen, errors)).collect();
        }
        Some(_) => "Must be an array.".to_owned(),
    };
    errors.push(FieldError::new("/items", reason));
    Vec::new()
}

fn payment_method(value: Option<&Value>, errors: &mut Vec<FieldError>) -> PaymentMethod {
    let method = match value {
        None | Some(Value::Null) => Some(PaymentMethod::default()),
        Some(value) => value.as_str().and_then(PaymentMethod::parse),
    };
    method.unwrap_or_else(|| {
        errors.push(FieldError::new("/payment_method", "Must be \"wallet\" or \"card\"."));
        PaymentMethod::default()
    })
}

fn item(
    index: usize,
    line: &Value,
    seen: &mut BTreeSet<String>,
    errors: &mut Vec<FieldError>,
) -> BasketLine {
    let field = |name: &str| format!("/items/{index}/{name}");
    let product_id = id(line.get("product_id"), &field("product_id"), errors);
    if !product_id.is_empty() && !seen.insert(product_id.clone()) {
        errors.push(FieldError::new(
            field("product_id"),
            "Is in an earlier line; add up the quantities.",
        ));
    }
    let quantity = match line.get("quantity") {
        None | Some(Value::Null) => None,
        Some(quantity) => quantity.as_u64().filter(|q| (1..=QUANTITY_MAX).contains(q)),
    };
    let Some(quantity) = quantity.and_then(|q| u32::try_from(q).ok()) else {
        let reason = format!("Must be a whole number from 1 to {QUANTITY_MAX}.");
        errors.push(FieldError::new(field("quantity"), reason));
        return BasketLine { product_id, quantity: 0 };
    };
    BasketLine { product_id, quantity }
}

/// `Idempotency-Key`, if one was sent.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    // Neither a second key nor one that is no text can be one.
    let key = key.to_str().ok().filter(|_| keys.next().is_none()).unwrap_or_default();
    checked_key(key).map(Some).map_err(|error| Problem::invalid(vec![error]))
}

/// The key of a command without blanks around it.
///
/// # Errors
/// When it is empty, too long, or has what no header may have.
pub fn checked_key(key: &str) -> Result<String, FieldError> {
    let key = key.trim();
    if (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Ok(key.to_owned());
    }
    let reason = format!("Must be one value of 1 to {KEY_MAX} printable characters.");
    Err(FieldError::new("Idempotency-Key", reason))
}

/// Seconds of `Prefer: wait=N` (RFC 7240, section 4.3). A preference that is not understood is
/// ignored, as section 2 says.
pub(super) fn wait(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
    preferences
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.split(';').next())
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let wait = name.trim().eq_ignore_ascii_case("wait");
            let seconds = value.trim().trim_matches('"').parse::<u64>().ok();
            seconds.filter(|_| wait).map(|seconds| seconds.min(WAIT_MAX))
        })
}

/// A JSON value; an object with a key that comes twice is an error (RFC 8259, section 4, leaves
/// it open what such an object means, so it may not mean an order here).
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} comes twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Vec<String> {
        let Strict(value) = serde_json::from_str(json).unwrap();
        let problem = check(&value).unwrap_err();
        problem.said.errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn every_bad_field_is_named() {
        let json = r#"{"user_id": 7, "items": [
            {"product_id": "p-1", "quantity": 0}, {"quantity": 1.5},
            {"product_id": "p-1", "quantity": 1}, {"product_id": "a b", "quantity": 101}]}"#;
        assert_eq!(
            fields(json),
            [
                "/user_id",
                "/items/0/quantity",
                "/items/1/product_id",
                "/items/1/quantity",
                "/items/2/product_id",
                "/items/3/product_id",
                "/items/3/quantity",
            ]
        );
        assert_eq!(fields("{}"), ["/user_id", "/items"]);
        let misspelt = r#"{"user_id": "c", "items": [{"product_id": "p", "qty": 1}], "x": 1}"#;
        assert_eq!(fields(misspelt), ["/items/0/quantity", "/x", "/items/0/qty"]);
        assert_eq!(fields("[]"), [""]);
    }

    #[test]
    fn a_misspelt_field_is_refused_where_everything_else_is_right() {
        let line = r#"{"product_id": "p", "quantity": 1}"#;
        let method = format!(r#"{{"user_id": "c", "items": [{line}], "payment_metod": "card"}}"#);
        assert_eq!(fields(&method), ["/payment_metod"]);
        let colour = r#"{"user_id": "c", "items": [
            {"product_id": "p", "quantity": 1}, {"product_id": "q", "quantity": 1, "colour": 3}]}"#;
        assert_eq!(fields(colour), ["/items/1/colour"]);
    }

    #[test]
    fn an_order_is_paid_from_the_wallet_unless_it_names_the_card() {
        let method = |json: &str| {
            let order =
                format!(r#"{{"user_id":"c","items":[{{"product_id":"p","quantity":1}}]{json}}}"#);
            let Strict(value) = serde_json::from_str(&order).unwrap();
            check(&value)
                .map(|order| order.payment_method)
                .map_err(|problem| problem.said.errors[0].field.clone())
        };
        assert_eq!(method(""), Ok(PaymentMethod::Wallet));
        assert_eq!(method(r#","payment_method":null"#), Ok(PaymentMethod::Wallet));
        assert_eq!(method(r#","payment_method":"wallet""#), Ok(PaymentMethod::Wallet));
        assert_eq!(method(r#","payment_method":"card""#), Ok(PaymentMethod::Card));
        for bad in [r#""Card""#, r#""cash""#, "1", "[]", "{}", "true"] {
            let refused = method(&format!(r#","payment_method":{bad}"#));
            assert_eq!(refused, Err("/payment_method".to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_key_that_comes_twice_is_no_json_for_us_at_any_depth() {
        assert!(serde_json::from_str::<Strict>(r#"{"a": 1, "a": 2}"#).is_err());
        assert!(serde_json::from_str::<Strict>(r#"{"a": [{"b": 1, "b": 1}]}"#).is_err());
        assert!(serde_json::from_str::<Strict>(r#"{"a": {"b": 1}, "b": 1}"#).is_ok());
    }

    #[test]
    fn a_quantity_is_a_whole_number_in_its_bounds() {
        for bad in ["0", "-1", "101", "1.0", "1e2", "99999999999999999999", "\"1\"", "null", "true"]
        {
            let json =
                format!(r#"{{"user_id":"c","items":[{{"product_id":"p","quantity":{bad}}}]}}"#);
            assert_eq!(fields(&json), ["/items/0/quantity"], "{bad}");
        }
    }

    #[test]
    fn a_wait_is_understood_as_rfc_7240_writes_it_and_capped() {
        let wait_of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", http::HeaderValue::from_static(value));
            wait(&headers)
        };
        assert_eq!(wait_of("wait=10"), Some(10));
        assert_eq!(wait_of("respond-async, wait=5; foo"), Some(5));
        assert_eq!(wait_of("Wait = \"3\""), Some(3));
        assert_eq!(wait_of("wait=86400"), Some(WAIT_MAX));
        assert_eq!(wait_of("wait=soon"), None);
    }
}
