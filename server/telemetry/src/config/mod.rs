//! What the pipeline is told at start, read from the standard variables.
//!
//! A malformed value is refused with a sentence that names the variable, and all are reported at
//! once. Values of headers are secrets: they appear in no message and in no `Debug` output.
//!
//! Vitrine records every span, whatever `OTEL_TRACES_SAMPLER` says, because its pages live on them
//! (a `Telemetry` resource samples); a variable that changes nothing is told in a notice.
//!
//! `OTEL_SDK_DISABLED` and `OTEL_TRACES_EXPORTER=none` mean that nothing leaves the process. One
//! name for all services would hide them, so `OTEL_SERVICE_NAME` is not read.

mod filter;
#[cfg(test)]
mod tests;
mod tls;
mod unread;

pub use tls::{Identity, Tls};

use crate::store::StoreLimits;
use std::{fmt, str::FromStr, time::Duration};
use tracing_subscriber::EnvFilter;

/// What is printed when `VITRINE_LOG` says nothing else: what needs attention, and what the program
/// itself says. The services talk a lot, a declined payment is a warning to them; their lines are
/// on the pages.
pub const LOG_FILTER_DEFAULT: &str = "warn,vitrine=info,shop=error,mesh=error";

/// Spans that wait to be sent: two seconds of 200 orders a second with twenty spans each, in 12 MB.
/// The specification's default of 2 048 would be full before the delay is over.
pub const QUEUE_MAX_DEFAULT: usize = 8_192;

/// Spans in one request (the specification's default).
pub const BATCH_MAX_DEFAULT: usize = 512;

/// How long a span waits for company. The specification says 5 s; who clicks through to Jaeger
/// would find nothing yet.
pub const DELAY_DEFAULT: Duration = Duration::from_secs(1);

/// For one request (the specification's default).
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// The largest queue that may be asked for: about 1.5 GB.
const QUEUE_MAX_MAX: usize = 1_000_000;

/// The path of HTTP receivers (OTLP specification).
const HTTP_PATH: &str = "v1/traces";

/// How spans leave the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP with protobuf bodies.
    HttpProtobuf,
}

/// Where and how spans are exported.
#[derive(Clone, PartialEq, Eq)]
pub struct ExportConfig {
    /// The full address spans are sent to, with the path where HTTP needs one.
    pub endpoint: String,
    /// On the wire.
    pub protocol: Protocol,
    /// Sent with every request. Secret.
    pub headers: Vec<(String, String)>,
    /// Bodies are compressed with gzip.
    pub gzip: bool,
    /// Whom an https address is trusted to be, and who we are to it.
    pub tls: Tls,
    /// For one request.
    pub timeout: Duration,
    /// Spans that wait to be sent; more are dropped and counted.
    pub queue_max: usize,
    /// Spans in one request.
    pub batch_max: usize,
    /// How long a span waits for others to share its request.
    pub delay: Duration,
}

impl ExportConfig {
    /// The default settings for an address.
    #[must_use]
    pub fn new(protocol: Protocol, endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            protocol,
            headers: Vec::new(),
            gzip: false,
            tls: Tls::default(),
            timeout: TIMEOUT_DEFAULT,
            queue_max: QUEUE_MAX_DEFAULT,
            batch_max: BATCH_MAX_DEFAULT,
            delay: DELAY_DEFAULT,
        }
    }

    /// Where spans go, in a sentence for the terminal.
    #[must_use]
    pub fn told(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Grpc => "gRPC",
            Protocol::HttpProtobuf => "HTTP",
        };
        format!("Spans go to {} as OTLP over {protocol}.", self.display_endpoint())
    }

    /// The address as it may be shown: without a query, which may hold a key.
    pub(crate) fn display_endpoint(&self) -> String {
        let shown = self.endpoint.split(['?', '#']).next();
        shown.unwrap_or_default().to_owned()
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_https(&self) -> bool {
        is_https(&self.endpoint)
    }

    pub(crate) fn is_local(&self) -> bool {
        let uri: Option<http::Uri> = self.endpoint.parse().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
        host == "localhost" || host == "[::1]" || host.starts_with("127.")
    }
}

impl fmt::Debug for ExportConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportConfig")
            .field("endpoint", &self.display_endpoint())
            .field("protocol", &self.protocol)
            .field("headers", &self.headers.len())
            .field("gzip", &self.gzip)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .field("queue_max", &self.queue_max)
            .field("batch_max", &self.batch_max)
            .field("delay", &self.delay)
            .finish()
    }
}

/// What the pipeline is told at start.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// What is printed on standard error: directives of `tracing_subscriber::EnvFilter`.
    pub log_filter: String,
    /// Where spans go, if anywhere.
    pub export: Option<ExportConfig>,
    /// Attributes of every resource, from `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource_attributes: Vec<(String, String)>,
    /// `service.instance.id` of every resource; best the id of this run.
    pub instance_id: String,
    /// `service.version` of every resource.
    pub version: String,
    /// Variables that are set and change nothing, a sentence each.
    pub notices: Vec<String>,
    /// Bounds of the store.
    pub limits: StoreLimits,
    /// Says when log lines were written and since when an export fails.
    pub clock: base::Clock,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_filter: LOG_FILTER_DEFAULT.into(),
            export: None,
            resource_attributes: Vec::new(),
            instance_id: "1".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            notices: Vec::new(),
            limits: StoreLimits::default(),
            clock: base::Clock::system(),
        }
    }
}

/// One refused variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct ConfigError {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Every refused variable, a line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl TelemetryConfig {
    /// Reads `VITRINE_LOG` and the standard `OTEL_*` variables. An empty value is no value.
    ///
    /// # Errors
    /// Every variable with a malformed value.
    pub fn from_env(source: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader { source: &source, errors: Vec::new() };
        let export = reader.export();
        let config = Self {
            log_filter: reader.log_filter(),
            resource_attributes: reader.pairs("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default(),
            export,
            ..Self::default()
        };
        if reader.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(reader.errors)) }
    }

    /// Looks through everything that is set, name and value, for standard variables that change
    /// nothing, and notes a sentence for each.
    pub fn notice_unread<'v>(&mut self, set: impl IntoIterator<Item = (&'v str, &'v str)>) {
        self.notices.extend(unread::notices(set.into_iter(), self.export.as_ref()));
    }
}

struct Reader<'s> {
    source: &'s dyn Fn(&str) -> Option<String>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn get(&self, variable: &str) -> Option<String> {
        let value = (self.source)(variable)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    fn refuse(&mut self, variable: &'static str, problem: impl Into<String>) {
        let problem = problem.into();
        self.errors.push(ConfigError { variable, problem });
    }

    /// The first of the variables that has a value.
    fn first(&self, variables: [&'static str; 2]) -> Option<(&'static str, String)> {
        let with_value = |variable| Some((variable, self.get(variable)?));
        variables.into_iter().find_map(with_value)
    }

    fn log_filter(&mut self) -> String {
        let Some(filter) = self.get("VITRINE_LOG") else {
            return LOG_FILTER_DEFAULT.into();
        };
        if let Err(error) = EnvFilter::builder().parse(&filter) {
            let problem = format!("is no log filter ({error}); write it like {LOG_FILTER_DEFAULT}");
            self.refuse("VITRINE_LOG", problem);
        } else if let Some(word) = filter::unknown_word(&filter) {
            let problem = format!(
                "says {word:?}, which is no level (off, error, warn, info, debug, trace) and no \
                 part of the program; write it like {LOG_FILTER_DEFAULT}"
            );
            self.refuse("VITRINE_LOG", problem);
        }
        filter
    }

    fn export(&mut self) -> Option<ExportConfig> {
        let disabled = self.flag("OTEL_SDK_DISABLED");
        let exporter = self.get("OTEL_TRACES_EXPORTER");
        if let Some(other) = exporter.as_deref().filter(|e| !["otlp", "none"].contains(e)) {
            let problem = format!("is {other:?}, but only otlp and none are supported");
            self.refuse("OTEL_TRACES_EXPORTER", problem);
        }
        let protocol = self.protocol();
        let endpoint = self.endpoint(protocol, exporter.as_deref() == Some("otlp"));
        let headers = self.headers();
        let timeout = self.timeout();
        let gzip = self.gzip();
        let secure = endpoint.as_deref().is_some_and(is_https);
        let tls = if secure { self.tls() } else { Tls::default() };
        let queue_max = self.number("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_MAX_DEFAULT, QUEUE_MAX_MAX);
        let batch_max = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_MAX_DEFAULT, queue_max);
        let delay_ms = DELAY_DEFAULT.as_millis() as usize;
        let delay_ms = self.number("OTEL_BSP_SCHEDULE_DELAY", delay_ms, 3_600_000);
        if disabled || exporter.as_deref() == Some("none") {
            return None;
        }
        Some(ExportConfig {
            headers,
            gzip,
            tls,
            timeout,
            queue_max,
            batch_max,
            delay: Duration::from_millis(delay_ms as u64),
            ..ExportConfig::new(protocol, endpoint?)
        })
    }

    fn flag(&mut self, variable: &'static str) -> bool {
        match self.get(variable).map(|value| value.to_ascii_lowercase()).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.refuse(variable, "must be true or false");
                false
            }
        }
    }

    fn protocol(&mut self) -> Protocol {
        let variables = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
        match self.first(variables) {
            None => Protocol::HttpProtobuf,
            Some((_, value)) if value == "http/protobuf" => Protocol::HttpProtobuf,
            Some((_, value)) if value == "grpc" => Protocol::Grpc,
            Some((variable, value)) => {
                let problem =
                    format!("is {value:?}, but only grpc and http/protobuf are supported");
                self.refuse(variable, problem);
                Protocol::HttpProtobuf
            }
        }
    }

    /// The variable for traces is taken as it is; the general one gets the path of HTTP receivers.
    fn endpoint(&mut self, protocol: Protocol, wanted: bool) -> Option<String> {
        let traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let found = self.first([traces, "OTEL_EXPORTER_OTLP_ENDPOINT"]);
        let (variable, value) = match (found, protocol) {
            (Some(found), _) => found,
            (None, _) if !wanted => return None,
            (None, Protocol::Grpc) => (traces, "http://localhost:4317".to_owned()),
            (None, Protocol::HttpProtobuf) => {
                (traces, format!("http://localhost:4318/{HTTP_PATH}"))
            }
        };
        let has_scheme = value.contains("://");
        let insecure = ["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"];
        let insecure = self.first(insecure).is_some_and(|(_, v)| v.eq_ignore_ascii_case("true"));
        let value = match protocol {
            Protocol::Grpc if !has_scheme && insecure => format!("http://{value}"),
            // As the specification has it: secure unless said otherwise.
            Protocol::Grpc if !has_scheme => format!("https://{value}"),
            Protocol::HttpProtobuf if variable != traces => {
                format!("{}/{HTTP_PATH}", value.trim_end_matches('/'))
            }
            _ => value,
        };
        match check_endpoint(&value) {
            Ok(()) => Some(value),
            Err(problem) => {
                self.refuse(variable, problem);
                None
            }
        }
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let variables = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
        let Some((variable, _)) = self.first(variables) else {
            return Vec::new();
        };
        let headers = self.pairs(variable).unwrap_or_default();
        let allowed = |(name, value): &(String, String)| {
            http::HeaderName::from_str(name).is_ok() && http::HeaderValue::from_str(value).is_ok()
        };
        if let Some(at) = headers.iter().position(|header| !allowed(header)) {
            let problem = format!("has a header, number {}, that HTTP does not allow", at + 1);
            self.refuse(variable, problem);
        }
        headers
    }

    fn timeout(&mut self) -> Duration {
        let variables = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
        let default = TIMEOUT_DEFAULT.as_millis() as usize;
        let ms = match self.first(variables) {
            Some((variable, _)) => self.number(variable, default, 3_600_000),
            None => default,
        };
        Duration::from_millis(ms as u64)
    }

    /// Whether bodies are compressed.
    fn gzip(&mut self) -> bool {
        let variables = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
        match self.first(variables) {
            Some((_, value)) if value == "gzip" => true,
            Some((variable, value)) if value != "none" => {
                let problem = format!("is {value:?}, but only gzip and none are supported");
                self.refuse(variable, problem);
                false
            }
            _ => false,
        }
    }

    /// A whole number from 1 to `max`.
    fn number(&mut self, variable: &'static str, default: usize, max: usize) -> usize {
        let Some(value) = self.get(variable) else {
            return default.min(max);
        };
        match value.parse() {
            Ok(number) if (1..=max).contains(&number) => number,
            _ => {
                let problem = format!("is {value:?}, but must be a whole number from 1 to {max}");
                self.refuse(variable, problem);
                default.min(max)
            }
        }
    }

    /// `key=value,key=value` with percent-encoded values. The problem tells where, never what.
    fn pairs(&mut self, variable: &'static str) -> Option<Vec<(String, String)>> {
        let value = self.get(variable)?;
        let mut pairs = Vec::new();
        for (at, pair) in value.split(',').enumerate() {
            if pair.trim().is_empty() {
                continue;
            }
            let decoded = pair.split_once('=').and_then(|(key, value)| {
                let key = key.trim();
                (!key.is_empty()).then_some((key.to_owned(), percent_decoded(value.trim())?))
            });
            if let Some(pair) = decoded {
                pairs.push(pair);
            } else {
                let problem = format!(
                    "must be pairs like key=value with commas between them; number {} is not",
                    at + 1
                );
                self.refuse(variable, problem);
                return None;
            }
        }
        Some(pairs)
    }
}

/// Why spans cannot be sent to an address. Its text is not repeated: it may hold a password.
fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let example = "write it like http://localhost:4318";
    let uri: http::Uri = match endpoint.parse() {
        Ok(uri) => uri,
        Err(error) => return Err(format!("is no address ({error}); {example}")),
    };
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(format!("has no scheme; {example}")),
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("must not hold a user and password; put them into OTEL_EXPORTER_OTLP_HEADERS \
                    as authorization=Basic%20..."
            .to_owned());
    }
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(()),
        _ => Err(format!("has no host; {example}")),
    }
}

fn is_https(endpoint: &str) -> bool {
    let uri: Option<http::Uri> = endpoint.parse().ok();
    uri.is_some_and(|uri| uri.scheme() == Some(&http::uri::Scheme::HTTPS))
}

/// None when it is not percent-encoded UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
