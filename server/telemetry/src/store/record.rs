//! One span and one log line as they are kept: fixed fields, and the rest packed into bytes.
//!
//! A packed list of attributes is `count (key value)*`; a key is two bytes of the table of words, a
//! string without room there follows inline; lengths are LEB128. A span with ten attributes takes
//! about 250 bytes altogether, against two kilobytes of OpenTelemetry's own structure.

use crate::symbols::{MISSING, Table};
use contract::trace::{AttributeValue, Level, SpanKind, ValueType};
use opentelemetry::Value;

/// Characters kept of one value; the rest is cut and marked.
pub(crate) const VALUE_BYTES_MAX: usize = 1_024;

/// Attributes kept of one span, event or log line (the SDK's own bound on spans is 128).
pub(crate) const ATTRIBUTES_MAX: usize = 128;

/// Replaces a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// The span has status Error.
pub(crate) const ERROR: u8 = 1;
/// The span undoes a step of a saga.
pub(crate) const COMPENSATION: u8 = 2;

/// The span is one of several tries of a call.
pub(crate) const TRY: u8 = 4;
/// The span records an event of an order.
pub(crate) const EVENT: u8 = 8;
/// That event: the order is cancelled.
pub(crate) const CANCELLED: u8 = 16;
/// That event: the order was placed, and not by the load generator.
pub(crate) const PERSONAL: u8 = 32;

/// A fault acted on the call.
pub(crate) const HIT: u8 = 64;
/// The span answers a call from outside: its parent, if it has one, is not told here.
pub(crate) const OUTSIDE: u8 = 128;

/// One span.
#[derive(Debug)]
pub(crate) struct SpanRecord {
    pub(crate) id: u64,
    /// 0 for a root.
    pub(crate) parent: u64,
    pub(crate) start_us: i64,
    pub(crate) duration_us: i64,
    /// Name if it found no room, status message, attributes, events, links.
    pub(crate) packed: Box<[u8]>,
    pub(crate) service: u16,
    pub(crate) name: u16,
    /// 0 without one.
    pub(crate) http_status: u16,
    pub(crate) kind: SpanKind,
    pub(crate) flags: u8,
    /// The same for every delivery of one message to one consumer; 0 for what is no delivery.
    pub(crate) delivery: u32,
}

impl SpanRecord {
    pub(crate) fn end_us(&self) -> i64 {
        self.start_us.saturating_add(self.duration_us)
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// One log line.
#[derive(Debug)]
pub(crate) struct LogRecord {
    pub(crate) at_us: i64,
    /// Zero outside of traces.
    pub(crate) trace: [u8; 16],
    pub(crate) span: u64,
    /// Message, fields.
    pub(crate) packed: Box<[u8]>,
    pub(crate) service: u16,
    pub(crate) level: Level,
}

/// Writes the packed form.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    bytes: Vec<u8>,
}

impl Packer {
    /// What was written, in one allocation of its size. The packer is empty again.
    pub(crate) fn take(&mut self) -> Box<[u8]> {
        let packed = self.bytes.as_slice().into();
        self.bytes.clear();
        packed
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.unsigned(count as u64);
    }

    pub(crate) fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(crate) fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(crate) fn text(&mut self, text: &str) {
        let kept = shortened(text);
        if kept.len() == text.len() {
            self.count(text.len());
            self.bytes.extend_from_slice(text.as_bytes());
        } else {
            self.count(kept.len() + CUT.len());
            self.bytes.extend_from_slice(kept.as_bytes());
            self.bytes.extend_from_slice(CUT.as_bytes());
        }
    }

    /// A string by its number in the table, or inline.
    pub(crate) fn numbered(&mut self, number: u16, word: &str) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
        if number == MISSING {
            self.text(word);
        }
    }

    /// A key and its value, unless the key says that the value is a secret.
    pub(crate) fn attribute(&mut self, words: &Table, key: &str, value: &Value) {
        let (number, secret) = words.key(key);
        self.numbered(number, key);
        if secret {
            self.string(REDACTED);
        } else {
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(false) => self.bytes.push(tag::FALSE),
            Value::Bool(true) => self.bytes.push(tag::TRUE),
            Value::I64(number) => {
                self.bytes.push(tag::INTEGER);
                self.signed(*number);
            }
            Value::F64(number) => {
                self.bytes.push(tag::FLOAT);
                self.bytes.extend_from_slice(&number.to_le_bytes());
            }
            Value::String(text) => self.string(text.as_str()),
            other => self.string(&other.as_str()),
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.bytes.push(tag::TEXT);
        self.text(text);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// What ends a value that was cut.
const CUT: &str = "…";

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(VALUE_BYTES_MAX)]
}

mod tag {
    pub(super) const FALSE: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const INTEGER: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
    pub(super) const TEXT: u8 = 4;
}

/// Reads the packed form. What is malformed reads as empty: only [`Packer`] writes it.
#[derive(Clone, Debug)]
pub(crate) struct Unpacker<'a> {
    bytes: &'a [u8],
}

/// A value as it lies in the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Packed<'a> {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
}

/// What a value is compared with: text, and the number it may stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'w> {
    text: &'w str,
    integer: Option<i64>,
}

impl<'w> Wanted<'w> {
    pub(crate) fn new(text: &'w str) -> Self {
        let integer = text.parse().ok();
        Self { text, integer }
    }
}

impl Packed<'_> {
    fn is(&self, wanted: Wanted<'_>) -> bool {
        match self {
            // Ids of faults are a list.
            Self::Text(value) => {
                *value == wanted.text || value.split(',').any(|part| part == wanted.text)
            }
            Self::Integer(value) => Some(*value) == wanted.integer,
            Self::Bool(value) => wanted.text == if *value { "true" } else { "false" },
            Self::Float(value) => wanted.text.parse() == Ok(*value),
        }
    }
}

impl std::fmt::Display for Packed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl From<Packed<'_>> for String {
    fn from(value: Packed<'_>) -> Self {
        value.to_string()
    }
}

impl From<Packed<'_>> for AttributeValue {
    fn from(value: Packed<'_>) -> Self {
        let of = match value {
            Packed::Bool(_) => ValueType::Bool,
            Packed::Integer(_) => ValueType::Integer,
            Packed::Float(_) => ValueType::Float,
            Packed::Text(_) => ValueType::Text,
        };
        Self { text: value.to_string(), of }
    }
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn count(&mut self) -> usize {
        usize::try_from(self.unsigned()).unwrap_or(0)
    }

    pub(crate) fn unsigned(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        while let [byte, rest @ ..] = self.bytes {
            self.bytes = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        value
    }

    pub(crate) fn signed(&mut self) -> i64 {
        let value = self.unsigned();
        (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
    }

    pub(crate) fn raw(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    pub(crate) fn text(&mut self) -> &'a str {
        let length = self.count();
        std::str::from_utf8(self.raw(length)).unwrap_or_default()
    }

    /// The number of a word, and the word itself when it has none.
    pub(crate) fn number(&mut self) -> (u16, &'a str) {
        let number = match self.raw(2) {
            [low, high] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        };
        let inline = if number == MISSING { self.text() } else { "" };
        (number, inline)
    }

    pub(crate) fn word(&mut self, words: &Table) -> String {
        match self.number() {
            (MISSING, inline) => inline.to_owned(),
            (number, _) => words.string(number).unwrap_or_default().as_ref().to_owned(),
        }
    }

    pub(crate) fn value(&mut self) -> Packed<'a> {
        match self.raw(1) {
            [tag::FALSE] => Packed::Bool(false),
            [tag::TRUE] => Packed::Bool(true),
            [tag::INTEGER] => Packed::Integer(self.signed()),
            [tag::FLOAT] => {
                let mut bytes = [0; 8];
                let read = self.raw(8);
                bytes[..read.len()].copy_from_slice(read);
                Packed::Float(f64::from_le_bytes(bytes))
            }
            _ => Packed::Text(self.text()),
        }
    }

    /// A search passes over most values; it does not look into them.
    fn skip_value(&mut self) {
        match self.raw(1) {
            [tag::FALSE | tag::TRUE] => {}
            [tag::INTEGER] => drop(self.unsigned()),
            [tag::FLOAT] => drop(self.raw(8)),
            _ => {
                let length = self.count();
                self.raw(length);
            }
        }
    }

    /// Keys and values: of spans with their types, of log lines as text.
    pub(crate) fn attributes<V: From<Packed<'a>>>(&mut self, words: &Table) -> Vec<(String, V)> {
        (0..self.count()).map(|_| (self.word(words), self.value().into())).collect()
    }

    /// The text of a key in a packed list.
    pub(crate) fn text_of(&mut self, key: (u16, &str)) -> Option<&'a str> {
        (0..self.count()).find_map(|_| {
            let found = self.number();
            match (found == key || (found.0 == key.0 && key.0 != MISSING), self.value()) {
                (true, Packed::Text(text)) => Some(text),
                _ => None,
            }
        })
    }

    /// Whether a packed list has this key with this value, or with any value.
    pub(crate) fn has_attribute(&mut self, key: (u16, &str), value: Option<Wanted<'_>>) -> bool {
        (0..self.count()).any(|_| {
            let found = self.number();
            if found.0 != key.0 || (found.0 == MISSING && found.1 != key.1) {
                self.skip_value();
                return false;
            }
            let held = self.value();
            value.is_none_or(|wanted| held.is(wanted))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Symbols;

    fn round_trip(value: &Value) -> String {
        let symbols = Symbols::new();
        let mut packer = Packer::default();
        packer.attribute(&symbols.words, "name", value);
        let packed = packer.take();
        let mut unpacker = Unpacker::new(&packed);
        assert_eq!(unpacker.word(&symbols.words), "name");
        unpacker.value().to_string()
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        assert_eq!(round_trip(&Value::Bool(true)), "true");
        assert_eq!(round_trip(&Value::I64(i64::MIN)), i64::MIN.to_string());
        assert_eq!(round_trip(&Value::I64(i64::MAX)), i64::MAX.to_string());
        assert_eq!(round_trip(&Value::I64(-1)), "-1");
        assert_eq!(round_trip(&Value::F64(0.25)), "0.25");
        assert_eq!(round_trip(&Value::from("grüße")), "grüße");
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let kept = round_trip(&Value::from("ü".repeat(VALUE_BYTES_MAX)));
        assert_eq!(kept.len(), VALUE_BYTES_MAX + CUT.len());
        assert!(kept.ends_with("ü…"));
    }

    #[test]
    fn a_word_without_room_in_the_table_is_kept_inline() {
        let mut packer = Packer::default();
        packer.numbered(MISSING, "rare");
        packer.string("value");
        let packed = packer.take();
        let mut unpacker = Unpacker::new(&packed);
        assert_eq!(unpacker.number(), (MISSING, "rare"));
        assert_eq!(unpacker.value(), Packed::Text("value"));
    }

    #[test]
    fn a_list_is_found_by_each_of_its_parts() {
        let is = |wanted| Packed::Text("F-1,F-22").is(Wanted::new(wanted));
        assert!(is("F-1") && is("F-22") && is("F-1,F-22"));
        assert!(!is("F-2") && !is(""));
    }

    #[test]
    fn the_value_of_a_secret_key_is_not_kept() {
        let symbols = Symbols::new();
        let mut packer = Packer::default();
        packer.attribute(&symbols.words, "user.password", &Value::from("hunter2"));
        let packed = packer.take();
        assert!(!packed.windows(7).any(|seen| seen == b"hunter2"));
    }

    #[test]
    fn a_span_is_small() {
        assert!(size_of::<SpanRecord>() <= 64);
        assert!(size_of::<LogRecord>() <= 64);
    }
}
