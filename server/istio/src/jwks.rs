//! JSON Web Key Sets (RFC 7517) as they are written into `jwks`: whether they are ones, and which
//! of their keys can check a token. No signature is checked here.

use crate::value::Complaint;
use serde_json::{Map, Value};

/// What each type of key that is understood needs (RFC 7518, section 6; RFC 8037, section 2).
const TYPES: [(&str, &[&str]); 4] =
    [("RSA", &["n", "e"]), ("EC", &["crv", "x", "y"]), ("OKP", &["crv", "x"]), ("oct", &["k"])];
/// The curves that are understood.
const CURVES: [&str; 3] = ["P-256", "P-384", "Ed25519"];

/// The keys of a set.
///
/// # Errors
/// It is no key set.
pub(crate) fn keys(text: &str) -> Result<Vec<Map<String, Value>>, Complaint> {
    let no_set = |why: &str| {
        let advice = "Write a JSON Web Key Set (RFC 7517): {\"keys\": [{\"kty\": ...}]}.";
        Complaint::new(format!("This is no key set: {why}."), advice)
    };
    let read: Value = serde_json::from_str(text).map_err(|error| no_set(&error.to_string()))?;
    let Value::Object(mut set) = read else { return Err(no_set("it is no object")) };
    let keys = match set.remove("keys") {
        None => return Ok(Vec::new()),
        Some(Value::Array(keys)) => keys,
        Some(_) => return Err(no_set("keys is no list")),
    };
    let each = keys.into_iter().enumerate().map(|(index, key)| match key {
        Value::Object(key) if key.get("kty").is_some_and(Value::is_string) => Ok(key),
        _ => Err(no_set(&format!("keys[{index}] has no kty"))),
    });
    each.collect()
}

/// Why a key can check no token here, if it cannot.
pub(crate) fn unusable(key: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let kty = text("kty").unwrap_or_default();
    let Some((_, needed)) = TYPES.iter().find(|(name, _)| *name == kty) else {
        return Some(format!("the type {} is not understood", crate::yaml::shorten(kty)));
    };
    if let Some(missing) = needed.iter().find(|name| text(name).is_none()) {
        return Some(format!("a key of type {kty} needs {missing}"));
    }
    if let Some(curve) = text("crv").filter(|curve| !CURVES.contains(curve)) {
        return Some(format!("the curve {} is not understood", crate::yaml::shorten(curve)));
    }
    (text("use") == Some("enc")).then(|| "it is for encryption".to_owned())
}
