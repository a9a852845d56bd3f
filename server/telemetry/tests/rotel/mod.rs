//! The collector Rotel as a process that prints what it gets, for the tests of the export.
//!
//! `scripts/setup-rotel` installs it. Without it these tests fail; they are not skipped.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up fails")]

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// How long anything may take before a test gives up: far more than it ever needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub async fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn program() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let program = from("VITRINE_ROTEL").unwrap_or_else(|| {
        let home = || from("HOME").map(|home| home.join(".cache"));
        let cache = || from("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("vitrine"));
        let cache = from("VITRINE_CACHE").or_else(cache).unwrap_or_default();
        cache.join("rotel").join("rotel-agent")
    });
    assert!(
        program.exists(),
        "the collector Rotel is missing; run scripts/setup-rotel, or set VITRINE_ROTEL to it"
    );
    program
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A collector that runs as long as this lives.
pub struct Rotel {
    process: Child,
    printed: Arc<Mutex<String>>,
    _folder: tempfile::TempDir,
}

#[derive(Clone, Copy)]
pub struct Ports {
    pub grpc: u16,
    pub http: u16,
}

impl Ports {
    pub fn free() -> Self {
        Self { grpc: free_port(), http: free_port() }
    }
}

impl Rotel {
    pub async fn start(ports: Ports) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(program())
            .args(["start", "--exporter", "blackhole", "--disable-batching"])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .arg(format!("--otlp-grpc-endpoint=127.0.0.1:{}", ports.grpc))
            .arg(format!("--otlp-http-endpoint=127.0.0.1:{}", ports.http))
            .arg("--pid-file")
            .arg(folder.path().join("pid"))
            .arg("--log-file")
            .arg(folder.path().join("log"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        let (lines, sink) = (BufReader::new(process.stdout.take().unwrap()), Arc::clone(&printed));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut sink = sink.lock().unwrap();
                sink.push_str(&line);
                sink.push('\n');
            }
        });
        for port in [ports.grpc, ports.http] {
            let listens = || TcpStream::connect(("127.0.0.1", port)).ok();
            until("the collector's start", listens).await;
        }
        Self { process, printed, _folder: folder }
    }

    /// Everything received so far that was printed to its end.
    pub fn received(&self) -> Vec<Received> {
        parse(&self.printed.lock().unwrap())
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A span as the collector printed it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub resource: HashMap<String, String>,
    pub trace: String,
    pub parent: String,
    pub id: String,
    pub name: String,
    /// With the type of each value: `Str(POST)`, `Int(202)`.
    pub attributes: HashMap<String, String>,
    /// Ids of the spans it is linked to.
    pub links: Vec<String>,
}

fn parse(printed: &str) -> Vec<Received> {
    let mut spans: Vec<Received> = Vec::new();
    let mut resource = HashMap::new();
    let mut in_span = false;
    // An event or a link of the span that was begun.
    let mut below = "";
    for line in printed.lines() {
        if line.starts_with("ResourceSpans #") {
            (resource, in_span, below) = (HashMap::new(), false, "");
        } else if line.starts_with("Span #") {
            (in_span, below) = (true, "");
            spans.push(Received { resource: resource.clone(), ..Received::default() });
        } else if let Some(kind) =
            ["SpanEvent #", "SpanLink #"].into_iter().find(|kind| line.trim().starts_with(kind))
        {
            below = kind;
        } else if let Some((key, value)) =
            line.trim().strip_prefix("-> ").and_then(|l| l.split_once(": "))
        {
            let text = || value.trim_start_matches("Str(").trim_end_matches(')').to_owned();
            match spans.last_mut().filter(|_| in_span) {
                Some(span) if below == "SpanLink #" && key == "ID" => span.links.push(text()),
                Some(_) if !below.is_empty() => {}
                Some(span) => drop(span.attributes.insert(key.to_owned(), value.to_owned())),
                None => drop(resource.insert(key.to_owned(), text())),
            }
        } else if let (Some(span), Some((key, value))) = (spans.last_mut(), line.split_once(':')) {
            let value = value.trim().to_owned();
            match key.trim() {
                "Trace ID" => span.trace = value,
                "Parent ID" => span.parent = value,
                "ID" => span.id = value,
                "Name" => span.name = value,
                _ => {}
            }
        }
    }
    spans
}
