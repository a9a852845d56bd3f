//! What two answers to the same request differ in. Pure.
//!
//! Compares the status, the headers a client acts on, and the body: JSON field by field, text line
//! by line, anything else byte by byte. Does not judge: a timestamp that differs is a difference.

use super::copy::Copy;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::Value;

/// Headers a client acts on. Dates, ids and lengths differ between any two answers.
const HEADERS: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::LOCATION,
    header::CACHE_CONTROL,
    header::VARY,
];
/// Differences kept of one pair: who sees so many knows that the answers are different.
pub const DIFFERENCES_MAX: usize = 32;
/// Characters of a value that are kept.
pub const VALUE_CHARS_MAX: usize = 120;

/// An answer, as far as it is compared.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, up to the limit of copies.
    pub body: Copy,
}

/// Where two answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DifferencePlace {
    /// In the status.
    Status,
    /// In this header.
    Header(String),
    /// In this field of the JSON body, as a JSON Pointer (RFC 6901).
    Field(String),
    /// In this line of the text, from 1.
    Line(usize),
    /// At this byte, from 0.
    Byte(usize),
}

/// One difference; a value that is absent on one side is [`None`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub place: DifferencePlace,
    /// What the live answer has.
    pub live: Option<String>,
    /// What the mirrored answer has.
    pub mirrored: Option<String>,
}

/// All differences, up to [`DIFFERENCES_MAX`].
#[must_use]
pub fn compare(live: &Answer, mirrored: &Answer) -> Vec<Difference> {
    let mut found = Found::default();
    let (a, b) = (live.status.as_str(), mirrored.status.as_str());
    found.unequal(DifferencePlace::Status, Some(a), Some(b));
    for name in &HEADERS {
        let text = |answer: &Answer| {
            answer.headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        let place = DifferencePlace::Header(name.to_string());
        found.unequal(place, text(live).as_deref(), text(mirrored).as_deref());
    }
    if live.body.bytes != mirrored.body.bytes {
        bodies(&mut found, live, mirrored);
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn unequal(&mut self, place: DifferencePlace, live: Option<&str>, mirrored: Option<&str>) {
        if live != mirrored && !self.full() {
            let (live, mirrored) = (live.map(shorten), mirrored.map(shorten));
            self.0.push(Difference { place, live, mirrored });
        }
    }

    fn full(&self) -> bool {
        self.0.len() >= DIFFERENCES_MAX
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn bodies(found: &mut Found, live: &Answer, mirrored: &Answer) {
    if let (Some(a), Some(b)) = (json(live), json(mirrored)) {
        return fields(found, "", Some(&a), Some(&b));
    }
    let (a, b) = (&live.body, &mirrored.body);
    // Of a body that was cut only the beginning is known; what follows is not a difference.
    let known = match (a.whole, b.whole) {
        (true, true) => usize::MAX,
        _ => a.bytes.len().min(b.bytes.len()),
    };
    let cut = |bytes: &Bytes| bytes.slice(..bytes.len().min(known));
    let (a, b) = (cut(&a.bytes), cut(&b.bytes));
    match (std::str::from_utf8(&a), std::str::from_utf8(&b)) {
        (Ok(a), Ok(b)) => lines(found, a, b),
        _ => {
            let at = a.iter().zip(b.iter()).take_while(|(a, b)| a == b).count();
            if a != b {
                let byte = |bytes: &Bytes| bytes.get(at).map(|byte| format!("{byte:#04x}"));
                found.unequal(DifferencePlace::Byte(at), byte(&a).as_deref(), byte(&b).as_deref());
            }
        }
    }
}

fn json(answer: &Answer) -> Option<Value> {
    let kind = answer.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = kind.split(';').next()?.trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || essence.ends_with("+json");
    (is_json && answer.body.whole).then(|| serde_json::from_slice(&answer.body.bytes).ok())?
}

fn lines(found: &mut Found, live: &str, mirrored: &str) {
    let (mut a, mut b) = (live.lines(), mirrored.lines());
    for number in 1.. {
        let (a, b) = (a.next(), b.next());
        if (a.is_none() && b.is_none()) || found.full() {
            break;
        }
        found.unequal(DifferencePlace::Line(number), a, b);
    }
}

fn fields(found: &mut Found, at: &str, live: Option<&Value>, mirrored: Option<&Value>) {
    if live == mirrored || found.full() {
        return;
    }
    match (live, mirrored) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                let token = key.replace('~', "~0").replace('/', "~1");
                fields(found, &format!("{at}/{token}"), a.get(key), b.get(key));
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                fields(found, &format!("{at}/{index}"), a.get(index), b.get(index));
            }
        }
        (live, mirrored) => {
            let (a, b) = (live.map(Value::to_string), mirrored.map(Value::to_string));
            found.unequal(DifferencePlace::Field(at.to_owned()), a.as_deref(), b.as_deref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: impl Into<Bytes>) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        headers.insert(header::DATE, "now".parse().unwrap());
        let body = Copy { bytes: body.into(), whole: true };
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body }
    }

    fn json(body: &'static str) -> Answer {
        answer(200, "application/json; charset=utf-8", body)
    }

    fn shown(differences: &[Difference]) -> Vec<(DifferencePlace, &str, &str)> {
        differences
            .iter()
            .map(|d| {
                let (a, b) = (d.live.as_deref(), d.mirrored.as_deref());
                (d.place.clone(), a.unwrap_or("-"), b.unwrap_or("-"))
            })
            .collect()
    }

    #[test]
    fn json_is_compared_by_field_whatever_the_order_and_the_spaces() {
        let same = compare(&json(r#"{"a":1,"b":[1,2]}"#), &json(r#"{ "b": [1, 2], "a": 1 }"#));
        assert!(same.is_empty());
        let a = json(r#"{"total":100,"lines":[{"sku":"a/b"}],"gone":null}"#);
        let b = json(r#"{"total":120,"lines":[{"sku":"c"},{}],"new":true}"#);
        let field = |at: &str| DifferencePlace::Field(at.to_owned());
        let expected = [
            (field("/gone"), "null", "-"),
            (field("/lines/0/sku"), "\"a/b\"", "\"c\""),
            (field("/lines/1"), "-", "{}"),
            (field("/total"), "100", "120"),
            (field("/new"), "-", "true"),
        ];
        let found = compare(&a, &b);
        let mut found = shown(&found);
        found.sort_by_key(|(place, ..)| format!("{place:?}"));
        let mut expected = expected.to_vec();
        expected.sort_by_key(|(place, ..)| format!("{place:?}"));
        assert_eq!(found, expected);
    }

    #[test]
    fn keys_are_escaped_as_json_pointers_are() {
        let found = compare(&json(r#"{"a/b~c":1}"#), &json(r#"{"a/b~c":2}"#));
        assert_eq!(found[0].place, DifferencePlace::Field("/a~1b~0c".to_owned()));
    }

    #[test]
    fn status_and_headers_worth_comparing_are_and_others_are_not() {
        let mut b = answer(500, "text/html", "x");
        b.headers.insert(header::DATE, "later".parse().unwrap());
        let found = compare(&answer(200, "text/plain", "x"), &b);
        let kind = DifferencePlace::Header("content-type".to_owned());
        assert_eq!(
            shown(&found),
            [(DifferencePlace::Status, "200", "500"), (kind, "text/plain", "text/html")]
        );
    }

    #[test]
    fn text_is_compared_by_line_and_bytes_by_byte() {
        let text = |body: &'static str| answer(200, "text/plain", body);
        let found = compare(&text("a\nb\nc"), &text("a\nB\nc\nd"));
        assert_eq!(
            shown(&found),
            [(DifferencePlace::Line(2), "b", "B"), (DifferencePlace::Line(4), "-", "d")]
        );
        let bytes = |body: &'static [u8]| answer(200, "image/png", body);
        let found = compare(&bytes(&[1, 0xff, 3]), &bytes(&[1, 0xff, 4]));
        assert_eq!(shown(&found), [(DifferencePlace::Byte(2), "0x03", "0x04")]);
    }

    #[test]
    fn what_was_not_copied_is_no_difference() {
        let mut cut = answer(200, "text/plain", "same");
        cut.body.whole = false;
        assert!(compare(&cut, &answer(200, "text/plain", "same and more")).is_empty());
        assert_eq!(compare(&cut, &answer(200, "text/plain", "sane and more")).len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded_and_cut_between_characters() {
        let many = |offset: usize| {
            let items: Vec<String> = (0..100).map(|n| (n + offset).to_string()).collect();
            answer(200, "application/json", format!("[{}]", items.join(",")))
        };
        assert_eq!(compare(&many(0), &many(1)).len(), DIFFERENCES_MAX);
        let found = compare(&answer(200, "text/plain", "é".repeat(500)), &json("{}"));
        let line = found.iter().find(|d| d.place == DifferencePlace::Line(1)).unwrap();
        assert_eq!(line.live.as_ref().unwrap().chars().count(), VALUE_CHARS_MAX + 1);
    }
}
