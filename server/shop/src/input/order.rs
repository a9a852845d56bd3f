//! An order as a client writes it: every field is checked, and every bad one is named.

use super::{ID_MAX, UNKNOWN_MAX, is_id, json::json};
use crate::problem::Problem;
use axum::{body::Bytes, extract::rejection::BytesRejection};
use contract::{
    FieldError,
    shop::{BasketLine, PaymentMethod, PlaceOrder},
};
use http::HeaderMap;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Most lines of one order.
const LINES_MAX: usize = 50;
/// Most pieces of one line.
const QUANTITY_MAX: u64 = 100;

/// Reads the order in a request's body.
pub(crate) fn order(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<PlaceOrder, Problem> {
    check(&json(headers, body)?)
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
        errors
            .push(FieldError::new("/payment_method", "Must be \"wallet\", \"card\" or \"debit\"."));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Vec<String> {
        let problem = check(&serde_json::from_str(json).unwrap()).unwrap_err();
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
    fn an_order_is_paid_from_the_wallet_unless_it_names_card_or_debit() {
        let method = |json: &str| {
            let order =
                format!(r#"{{"user_id":"c","items":[{{"product_id":"p","quantity":1}}]{json}}}"#);
            check(&serde_json::from_str(&order).unwrap())
                .map(|order| order.payment_method)
                .map_err(|problem| problem.said.errors[0].field.clone())
        };
        assert_eq!(method(""), Ok(PaymentMethod::Wallet));
        assert_eq!(method(r#","payment_method":null"#), Ok(PaymentMethod::Wallet));
        assert_eq!(method(r#","payment_method":"wallet""#), Ok(PaymentMethod::Wallet));
        assert_eq!(method(r#","payment_method":"card""#), Ok(PaymentMethod::Card));
        assert_eq!(method(r#","payment_method":"debit""#), Ok(PaymentMethod::Debit));
        for bad in [r#""Card""#, r#""cash""#, "1", "[]", "{}", "true"] {
            let refused = method(&format!(r#","payment_method":{bad}"#));
            assert_eq!(refused, Err("/payment_method".to_owned()), "{bad}");
        }
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
}
