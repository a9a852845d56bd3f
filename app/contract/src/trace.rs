//! Traces, spans and log lines as pages see them, and the query that finds them.

use serde::{Deserialize, Serialize};

/// OpenTelemetry span kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpanKind {
    /// Inside one service.
    Internal,
    /// Answers a call.
    Server,
    /// Makes a call.
    Client,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}

/// Of which type the value of an attribute is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueType {
    /// Text, and what has no other type.
    #[default]
    Text,
    /// An integer.
    Integer,
    /// A number with fractions.
    Float,
    /// True or false.
    Bool,
}

/// The value of an attribute as its text, which is what pages show and what travels to them. The
/// type is for those who write it into other formats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttributeValue {
    /// What is shown.
    pub text: String,
    /// What it was.
    #[serde(skip)]
    pub of: ValueType,
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self { text, of: ValueType::Text }
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// A timestamped annotation of a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanEventView {
    /// When.
    pub at_us: i64,
    /// What.
    pub name: String,
    /// More.
    pub attributes: Vec<(String, AttributeValue)>,
}

/// A link to a span of this or another trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanLinkView {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
}

/// One span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanView {
    /// 16 hex digits.
    pub span_id: String,
    /// None for a root.
    pub parent_id: Option<String>,
    /// `service.name` of its resource.
    pub service: String,
    /// Name after the semantic conventions: `POST /api/v1/orders`.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// When it began.
    pub start_us: i64,
    /// How long it took.
    pub duration_us: i64,
    /// Status is Error.
    pub error: bool,
    /// The status description, if any.
    pub message: Option<String>,
    /// In the order they were set.
    pub attributes: Vec<(String, AttributeValue)>,
    /// Its annotations.
    pub events: Vec<SpanEventView>,
    /// Its links.
    pub links: Vec<SpanLinkView>,
}

impl SpanView {
    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.text.as_str())
    }
}

/// How a trace ended, for marks and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceStatus {
    /// No span failed and nothing was undone.
    Ok,
    /// Calls in it failed, and it was answered all the same: by a fallback, or later.
    Tolerated,
    /// A saga in it was compensated.
    Compensated,
    /// Its root failed or was answered with 5xx.
    Error,
}

/// One trace in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRow {
    /// 32 hex digits.
    pub trace_id: String,
    /// Service of the root span.
    pub service: String,
    /// Name of the root span.
    pub operation: String,
    /// When the root began.
    pub start_us: i64,
    /// From the first start to the last end of its spans.
    pub duration_us: i64,
    /// So much of it came after the root and the last event of the order had ended: messages that
    /// were told again, a participant that asked later.
    #[serde(default)]
    pub tail_us: i64,
    /// What it began in has not ended: its root is a span whose parent may come yet.
    #[serde(default)]
    pub unfinished: bool,
    /// How it ended.
    pub status: TraceStatus,
    /// HTTP status of the root, if it has one.
    pub http_status: Option<u16>,
    /// Calls and other spans that failed with nothing that made good for them. A failure that was
    /// handed up counts once, where it came from.
    #[serde(default)]
    pub failed: usize,
    /// How many spans are kept.
    pub spans: usize,
    /// Services in it, in order of appearance.
    pub services: Vec<String>,
    /// The order it belongs to.
    pub order_id: Option<String>,
}

/// One trace in the scatter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceMark {
    /// 32 hex digits.
    pub trace_id: String,
    /// When the root began.
    pub start_us: i64,
    /// From the first start until the root and the last event of the order had ended.
    pub duration_us: i64,
    /// How it ended.
    pub status: TraceStatus,
    /// A fault acted on a call in it.
    #[serde(default)]
    pub hit: bool,
}

/// One whole trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceView {
    /// The row as in lists.
    pub row: TraceRow,
    /// Its spans by start time; parents may be missing.
    pub spans: Vec<SpanView>,
    /// Spans of this trace that were dropped because a trace keeps only so many.
    pub dropped: u64,
    /// Log lines of this trace.
    pub logs: Vec<LogView>,
}

/// One trace, and how much more there is to read about its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTrace {
    /// The trace.
    pub trace: TraceView,
    /// Log lines of its order, of whichever trace; 0 without an order.
    pub order_logs: usize,
}

/// What to look for. Every filter that is empty lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceQuery {
    /// A service that has a span in the trace.
    pub service: Option<String>,
    /// Exact name of a span in the trace; of that service, where one is given.
    pub operation: Option<String>,
    /// How it ended.
    pub status: Option<TraceStatus>,
    /// At least this long until the root and the last event of the order had ended, milliseconds.
    pub min_duration_ms: Option<u64>,
    /// `key=value` of any span's attribute.
    pub tag: Option<String>,
    /// Only what began in the last so many seconds.
    pub last_seconds: Option<u64>,
    /// Only what began in this stretch of time; then `last_seconds` does not count.
    #[serde(default)]
    pub window: Option<TimeWindow>,
    /// A trace that, if it matches, is among the marks however many there are: the open one.
    #[serde(default)]
    pub open: Option<String>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeWindow {
    /// From.
    pub from_us: i64,
    /// Up to, but not including.
    pub until_us: i64,
}

/// The answer to a [`TraceQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceList {
    /// Newest first, at most [`TRACE_ROWS_MAX`].
    pub rows: Vec<TraceRow>,
    /// By start time, at most [`TRACE_MARKS_MAX`], none of what still runs: what somebody looks for
    /// (errors, compensated, tolerated failures, slow ones, the open one, those of the rows), and
    /// an even sample of the rest.
    #[serde(default)]
    pub marks: Vec<TraceMark>,
    /// How many matched altogether.
    pub matched: usize,
    /// How many took over one second.
    pub slow: usize,
    /// Services and operations to choose from.
    pub services: Vec<String>,
    /// Names of spans to choose from: those of the service that is asked for, else of roots.
    pub operations: Vec<String>,
    /// When it was asked.
    #[serde(default)]
    pub at_us: i64,
    /// Start of the oldest trace that is kept.
    #[serde(default)]
    pub oldest_us: Option<i64>,
    /// Start of the latest trace that left to make room: all that began later are kept, and of
    /// earlier ones only what somebody comes back for: of orders, with errors, compensated, slow.
    #[serde(default)]
    pub left_until_us: Option<i64>,
}

/// How the export of spans to a collector is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportView {
    /// Where spans go, without credentials; none when no export is configured.
    pub endpoint: Option<String>,
    /// Spans the collector took.
    pub exported: u64,
    /// Spans it rejected in requests that it accepted.
    pub rejected: u64,
    /// Spans that were given up: the queue was full, or the collector away for too long.
    pub dropped: u64,
    /// Spans that wait.
    pub queue: usize,
    /// Since when requests fail.
    pub failing_since_us: Option<i64>,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// Address of a Jaeger UI to open traces in, if one is configured.
    pub jaeger_ui: Option<String>,
}

impl TraceRow {
    /// Until the root and the last event of the order had ended.
    #[must_use]
    pub fn until_end_us(&self) -> i64 {
        self.duration_us.saturating_sub(self.tail_us)
    }

    /// Whether more of it may come at this time.
    #[must_use]
    pub fn runs(&self, now_us: i64) -> bool {
        let end_us = self.start_us.saturating_add(self.duration_us);
        self.unfinished && now_us.saturating_sub(end_us) < PARENT_PATIENCE_US
    }
}

/// A parent that is missing for so long will not come any more, microseconds.
pub const PARENT_PATIENCE_US: i64 = 60_000_000;
/// Rows of one answer: what a table can show.
pub const TRACE_ROWS_MAX: usize = 100;
/// Marks of one answer: what a scatter of 1 200 pixels can show.
pub const TRACE_MARKS_MAX: usize = 1_000;

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For developers.
    Debug,
    /// What happened.
    Info,
    /// What deviates.
    Warn,
    /// What failed.
    Error,
}

/// One log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// When.
    pub at_us: i64,
    /// Which service wrote it.
    pub service: String,
    /// How bad.
    pub level: Level,
    /// The sentence.
    pub message: String,
    /// The span that wrote it.
    pub span_id: Option<String>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
    /// Structured fields.
    pub fields: Vec<(String, String)>,
}
