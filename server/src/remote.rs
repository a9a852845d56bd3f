//! Carries out `apply`, `get` and `delete` at a running Vitrine, over its control API.

use crate::cli::{Command, Output, Server};
use contract::istio::{ApplyReport, Change, Fate, FieldFate, Finding, ResourceReport, Severity};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use std::{
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// An answer may take so long.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest name of a user or a machine that is told, characters: both fit into what is taken.
const WHO_PART_MAX: usize = 30;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The file cannot be read.
    #[error("{} cannot be read: {cause}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Nobody answers.
    #[error(
        "no Vitrine answers at {url} ({cause}); start one with `vitrine`, or name its address with \
         --server"
    )]
    Silent {
        /// Where.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// What answered is no Vitrine.
    #[error("what answers at {url} is no Vitrine ({status})")]
    Stranger {
        /// Where.
        url: String,
        /// With which status.
        status: StatusCode,
    },
    /// The client itself could not be made, or standard output is closed.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Carries a command out and prints what came of it.
///
/// # Errors
/// See [`RemoteError`].
pub fn run(command: Command) -> Result<(), RemoteError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(carry_out(command))?;
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

async fn carry_out(command: Command) -> Result<String, RemoteError> {
    match command {
        Command::Apply { file, dry_run, fields, server } => {
            let text = read(&file)?;
            let path = format!("/control/istio?dryRun={dry_run}");
            let answer = Client::of(&server)?.ask(Method::POST, &path, Some(text)).await?;
            Ok(applied(&answer, fields))
        }
        Command::Get { kind, name, output, for_istio, server } => {
            let name = name.map(|name| format!("/{}", escaped(&name))).unwrap_or_default();
            let reader = if for_istio { "?for=istio" } else { "" };
            let path = format!("/control/istio/{}{name}{reader}", escaped(&kind));
            let mut client = Client::of(&server)?;
            client.json = output == Output::Json;
            let text = client.text(Method::GET, &path, None).await?;
            Ok(match output {
                Output::Yaml => text,
                Output::Json => pretty(&text),
                Output::Name => names(&text),
            })
        }
        Command::Delete { kind, name, server } => {
            let path = format!("/control/istio/{}/{}", escaped(&kind), escaped(&name));
            let client = Client::of(&server)?;
            let answer = client.ask(Method::DELETE, &path, None).await?;
            let mut text = applied(&answer, false);
            text.push_str(&client.built_in(&answer).await.unwrap_or_default());
            Ok(text)
        }
    }
}

/// As it is: what is no text is refused by the server, which says where.
fn read(file: &Path) -> Result<Vec<u8>, RemoteError> {
    let mut bytes = Vec::new();
    let read = match file == Path::new("-") {
        true => io::stdin().read_to_end(&mut bytes).map(drop),
        false => std::fs::read(file).map(|read| bytes = read),
    };
    read.map_err(|cause| RemoteError::File { file: file.to_owned(), cause })?;
    Ok(bytes)
}

/// As a segment of a path (RFC 3986, section 3.3).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(byte.into());
            }
            other => drop(write!(path, "%{other:02X}")),
        }
        path
    })
}

struct Client<'a> {
    http: reqwest::Client,
    server: &'a Server,
    /// Resources are asked for as JSON.
    json: bool,
}

/// What the control API answers to a change.
#[derive(Debug, Deserialize)]
struct Answer {
    revision: u64,
    since_request: u64,
    took_us: u64,
    #[serde(default)]
    dry_run: bool,
    #[serde(flatten)]
    report: ApplyReport,
}

/// What it answers when it refuses.
#[derive(Debug, Deserialize)]
struct Refusal {
    detail: String,
    #[serde(default)]
    resources: Vec<ResourceReport>,
    #[serde(default)]
    findings: Vec<Finding>,
}

impl<'a> Client<'a> {
    fn of(server: &'a Server) -> Result<Self, RemoteError> {
        // Without a provider no client can be made, not even one that speaks plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(TIMEOUT).build();
        Ok(Self { http: http.map_err(io::Error::other)?, server, json: false })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, RemoteError> {
        let text = self.text(method, path, body).await?;
        serde_json::from_str(&text).map_err(|_| self.stranger(StatusCode::OK))
    }

    async fn text(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<String, RemoteError> {
        let url = &self.server.url;
        let silent = |error: reqwest::Error| RemoteError::Silent {
            url: url.clone(),
            cause: innermost(&error),
        };
        let mut request = self.http.request(method, format!("{url}{path}"));
        request = request.header("x-vitrine-who", who(|name| std::env::var(name).ok()));
        if self.json {
            request = request.header("accept", "application/json");
        }
        if let Some(token) = &self.server.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/yaml").body(body);
        }
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        let text = answer.text().await.map_err(silent)?;
        if status.is_success() {
            return Ok(text);
        }
        let refusal: Result<Refusal, _> = serde_json::from_str(&text);
        Err(match refusal {
            Ok(refusal) if status == StatusCode::UNAUTHORIZED => {
                let given = if self.server.token.is_some() { "another" } else { "the" };
                RemoteError::Refused(format!(
                    "{} Here: give {given} token with --token or VITRINE_TOKEN.",
                    refused(&refusal)
                ))
            }
            Ok(refusal) => RemoteError::Refused(refused(&refusal)),
            Err(_) => self.stranger(status),
        })
    }

    /// What to know of a resource that is deleted and that the shop came with: the first revision
    /// has it. Nothing where that is not kept any more.
    async fn built_in(&self, answer: &Answer) -> Option<String> {
        let first = self.text(Method::GET, "/control/istio/revisions/1", None).await.ok()?;
        let first = names(&first);
        let came_with = answer.report.resources.iter().map(|report| &report.resource);
        let came_with = { came_with }.find(|key| {
            let name = format!("{}/{}", key.kind, key.name);
            key.namespace == "default" && first.lines().any(|known| known == name)
        })?;
        let url = &self.server.url;
        let restore = format!("curl -X POST {url}/control/istio/revisions/1/restore");
        Some(format!(
            "The shop came with a {came_with}, and that is gone too. All of r1 comes back with\n  \
             {restore}\n"
        ))
    }

    fn stranger(&self, status: StatusCode) -> RemoteError {
        RemoteError::Stranger { url: self.server.url.clone(), status }
    }
}

/// `user@host`, as the system calls them; what is not known, or no header can hold, is left out.
fn who(variable: impl Fn(&str) -> Option<String>) -> String {
    let plain = |text: String| -> String {
        let good = |c: &char| c.is_ascii_graphic();
        text.trim().chars().filter(good).take(WHO_PART_MAX).collect()
    };
    let first = |names: &[&str]| {
        let found = names.iter().filter_map(|name| variable(name)).map(plain);
        found.into_iter().find(|text| !text.is_empty())
    };
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(plain);
    let user = first(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| "vitrine".to_owned());
    match first(&["HOSTNAME", "COMPUTERNAME"]).or_else(kernel).filter(|host| !host.is_empty()) {
        Some(host) => format!("{user}@{host}"),
        None => user,
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// JSON as people read it.
fn pretty(text: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(text);
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value));
    pretty.map_or_else(|_| text.to_owned(), |pretty| pretty + "\n")
}

/// `VirtualService/payments` of every document.
fn names(yaml: &str) -> String {
    let mut text = String::new();
    for document in yaml.split("---\n").filter(|document| !document.trim().is_empty()) {
        let value = |key: &str| document.lines().find_map(|line| line.strip_prefix(key));
        let kind = value("kind: ").unwrap_or_default();
        let name = value("  name: ").unwrap_or_default();
        let _ = writeln!(text, "{kind}/{name}");
    }
    text
}

fn applied(answer: &Answer, all_fields: bool) -> String {
    let mut text = String::new();
    for resource in &answer.report.resources {
        let name = &resource.resource;
        let _ = writeln!(text, "{name} {}", word(resource.change));
        let fields = resource.fields.iter();
        for field in fields.filter(|field| all_fields || field.fate != Fate::InForce) {
            let why = field.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let fate = fate(field.fate, !answer.dry_run);
            let _ = writeln!(text, "  {} {} {fate}{why}", field.at, field.path);
        }
    }
    findings(&mut text, &answer.report.findings);
    let foreign = |r: &ResourceReport| r.change == Change::NotOurs;
    let same = |r: &ResourceReport| foreign(r) || r.change == Change::Unchanged;
    let resources = &answer.report.resources;
    let _ = match answer.dry_run {
        true => writeln!(text, "Nothing was changed: this was a dry run."),
        false if !resources.is_empty() && resources.iter().all(foreign) => writeln!(
            text,
            "Nothing was applied, because nothing in it is Istio's: revision r{} stays in force.",
            answer.revision
        ),
        false if resources.iter().all(same) => {
            writeln!(
                text,
                "These are the same resources: revision r{} stays in force.",
                answer.revision
            )
        }
        false => writeln!(
            text,
            "Revision r{} is in force since request #{}, {} ms after it was asked for.",
            answer.revision,
            answer.since_request,
            answer.took_us.div_ceil(1_000)
        ),
    };
    text
}

fn refused(refusal: &Refusal) -> String {
    let mut text = refusal.detail.clone();
    for resource in &refusal.resources {
        // What a finding says too is said there, with what to do.
        let told = |field: &FieldFate| {
            let mut here = refusal.findings.iter().filter(|f| f.at == field.at);
            here.any(|f| f.resource.as_ref().is_none_or(|of| *of == resource.resource))
        };
        let rejected = resource.fields.iter().filter(|field| field.fate == Fate::Rejected);
        for field in rejected.filter(|field| !told(field)) {
            let why = field.why.as_deref().unwrap_or("rejected");
            let _ = write!(text, "\n{} {} {}: {why}", field.at, resource.resource, field.path);
        }
    }
    if !refusal.findings.is_empty() {
        text.push('\n');
    }
    findings(&mut text, &refusal.findings);
    text.trim_end().to_owned()
}

fn findings(text: &mut String, findings: &[Finding]) {
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        let Finding { code, at, path, message, advice, .. } = finding;
        let said = |other: &&Finding| (other.at, &other.message) == (*at, message);
        // Behind an alias several fields stand in one place.
        let field = match findings.iter().filter(said).nth(1) {
            Some(_) => format!("{path}: "),
            None => String::new(),
        };
        let _ = writeln!(text, "{at} {severity} {code}: {field}{message} {advice}");
        for line in finding.correct_form.iter().flat_map(|form| form.lines()) {
            let _ = writeln!(text, "    {line}");
        }
    }
}

const fn word(change: Change) -> &'static str {
    match change {
        Change::Created => "created",
        Change::Configured => "configured",
        Change::Unchanged => "unchanged",
        Change::Deleted => "deleted",
        Change::NotOurs => "is not ours and was left alone",
    }
}

const fn fate(fate: Fate, applied: bool) -> &'static str {
    match (fate, applied) {
        (Fate::InForce, true) => "is in force",
        (Fate::InForce, false) => "would be in force",
        (Fate::Ignored, true) => "is kept but ignored",
        (Fate::Ignored, false) => "would be kept but ignored",
        (Fate::Rejected, _) => "is rejected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_its_namespace_is_one_segment_of_the_path() {
        assert_eq!(escaped("istio-system/default"), "istio-system%2Fdefault");
    }

    #[test]
    fn who_applies_is_the_user_at_the_machine_without_what_a_header_cannot_hold() {
        let known = |name: &str| match name {
            "LOGNAME" => Some("ma rie\u{e9}\n".to_owned()),
            "HOSTNAME" => Some("h".repeat(80)),
            _ => None,
        };
        assert_eq!(who(known), format!("marie@{}", "h".repeat(WHO_PART_MAX)));
        assert!(who(|_| None).starts_with("vitrine"));
    }

    #[test]
    fn what_is_rejected_is_said_once_and_a_text_that_changes_nothing_says_so() {
        let at = contract::istio::Position { line: 7, column: 3 };
        let field = |at| FieldFate {
            path: "spec.http[0].rout".into(),
            at,
            fate: Fate::Rejected,
            why: Some("HTTPRoute has no field \"rout\".".into()),
        };
        let elsewhere = contract::istio::Position { line: 9, column: 3 };
        let resource = ResourceReport {
            resource: contract::istio::ResourceKey::default(),
            at,
            change: Change::Configured,
            fields: vec![field(at), field(elsewhere)],
        };
        let finding = Finding {
            code: "VIT010".into(),
            severity: Severity::Error,
            resource: None,
            path: "spec".into(),
            at,
            message: "HTTPRoute has no field \"rout\".".into(),
            advice: "Did you mean route?".into(),
            correct_form: None,
        };
        let text = refused(&Refusal {
            detail: "Nothing was changed; see findings.".into(),
            resources: vec![resource.clone()],
            findings: vec![finding],
        });
        assert_eq!(text.matches("7:3").count(), 1, "{text}");
        assert!(text.contains("9:3") && text.contains("Did you mean route?"), "{text}");
        let same = ResourceReport { change: Change::Unchanged, fields: Vec::new(), ..resource };
        let report = ApplyReport { resources: vec![same], findings: Vec::new() };
        let answer = Answer { revision: 3, since_request: 9, took_us: 1, dry_run: false, report };
        let said = applied(&answer, false);
        assert!(said.ends_with("the same resources: revision r3 stays in force.\n"), "{said}");
        let mut answer = answer;
        answer.report.resources[0].change = Change::NotOurs;
        let said = applied(&answer, false);
        assert!(said.contains("Nothing was applied") && !said.contains("the same"), "{said}");
    }

    #[test]
    fn findings_of_one_place_and_text_say_which_field_they_are_of() {
        let finding = |path: &str, line: u32| Finding {
            code: "VIT012".into(),
            severity: Severity::Error,
            resource: None,
            path: path.into(),
            at: contract::istio::Position { line, column: 3 },
            message: "It is no duration.".into(),
            advice: "Write 1s.".into(),
            correct_form: None,
        };
        let mut text = String::new();
        findings(&mut text, &[finding("spec.a", 2), finding("spec.b", 2), finding("spec.c", 4)]);
        assert!(text.contains("2:3 error VIT012: spec.a: It is no duration."), "{text}");
        assert!(text.contains("2:3 error VIT012: spec.b: It is no duration."), "{text}");
        assert!(text.contains("4:3 error VIT012: It is no duration."), "{text}");
    }

    #[test]
    fn a_list_of_names_is_made_of_the_documents() {
        let yaml = "apiVersion: v1\nkind: Gateway\nmetadata:\n  name: a\n---\n\
                    apiVersion: v1\nkind: VirtualService\nmetadata:\n  name: b\n";
        assert_eq!(names(yaml), "Gateway/a\nVirtualService/b\n");
    }
}
