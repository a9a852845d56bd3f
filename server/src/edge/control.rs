//! The control API: Istio resources and their revisions, faults and breakers, for programs and for
//! the command line. The pages use the same engines through their ports.

use super::Edge;
use crate::{
    control::{CHANGE_AGAIN, ControlError, Outcome, YAML_BYTES_MAX, never_matched},
    host::mirror_pair,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequestParts, Path, Query, State,
        rejection::{BytesRejection, JsonRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use contract::{
    istio::{ApplyReport, Finding, RevisionView},
    traffic::MirrorPair,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use istio::{
    Configuration, Kind, Resource,
    yaml::{Data, Node},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shop::problem::Problem;
use std::sync::Arc;

/// Revisions listed at once.
const REVISIONS_LISTED: usize = 50;
/// The switch of one rule to Istio's own behaviour under faults.
const FAITHFUL: &str = "/control/istio/routes/{virtualservice}/{route}/faithful";
/// Says who changes something, for the list of revisions.
const WHO: HeaderName = HeaderName::from_static("x-vitrine-who");
/// Longest name of who changes something, bytes.
const WHO_BYTES_MAX: usize = 64;
/// Who changes something without a name.
const UNNAMED: &str = "control API";

/// `/control/istio` and below.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/control/istio", get(list).post(apply))
        .route("/control/istio/findings", get(findings))
        .route("/control/istio/revisions", get(revisions))
        .route("/control/istio/revisions/{number}", get(revision))
        .route("/control/istio/revisions/{number}/restore", post(restore))
        .route(FAITHFUL, get(faithful).put(set_faithful))
        .route("/control/istio/{kind}", get(of_kind))
        .route("/control/istio/{kind}/{name}", get(one).delete(delete))
        .route("/control/mirrors", get(mirrors))
        .layer(DefaultBodyLimit::max(YAML_BYTES_MAX))
}

/// A request that takes no query: a field in it is a mistake of its sender, who may believe that it
/// has an effect.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Query::<Self>::try_from_uri(&parts.uri)?.0)
    }
}

/// What applying came to.
#[derive(Debug, Serialize)]
struct Answer {
    /// The revision in force.
    revision: u64,
    /// The first request it holds for.
    since_request: u64,
    /// Microseconds from the request until it was in force.
    took_us: u64,
    /// Nothing was changed, because nothing was to be.
    dry_run: bool,
    /// The fates of the fields hold. Else they say what they would be.
    applied: bool,
    #[serde(flatten)]
    report: ApplyReport,
}

impl Answer {
    fn of(outcome: Outcome, dry_run: bool) -> Json<Self> {
        let Outcome { revision, since_request, took, report } = outcome;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Json(Self { revision, since_request, took_us, dry_run, applied: !dry_run, report })
    }
}

/// A refused apply: a problem with the report beside it (RFC 9457, section 3.2).
#[derive(Debug, Serialize)]
struct RefusedAnswer {
    #[serde(flatten)]
    problem: Problem,
    /// Always false: the fates of the fields say what they would be.
    applied: bool,
    #[serde(flatten)]
    report: ApplyReport,
}

struct Failure(ControlError);

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let said = format!("{}.", self.0.to_string().trim_end_matches('.'));
        match self.0 {
            ControlError::Refused(refused) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                let problem = Problem::new(status, "Nothing was changed; see findings.");
                let answer = RefusedAnswer { problem, applied: false, report: refused.report };
                let media_type = HeaderValue::from_static("application/problem+json");
                (status, [(header::CONTENT_TYPE, media_type)], Json(answer)).into_response()
            }
            ControlError::Nothing | ControlError::Emptied => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, capital(&said)).into_response()
            }
            ControlError::Conflict { .. } => Problem::conflict(said).into_response(),
            ControlError::NotFound(_) | ControlError::NoRevision(_) => {
                Problem::new(StatusCode::NOT_FOUND, capital(&said)).into_response()
            }
            ControlError::Store(error) => Problem::from(error).into_response(),
            ControlError::Busy | ControlError::Full => {
                let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, said);
                busy.retry_after(CHANGE_AGAIN).into_response()
            }
            ControlError::Interrupted => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, capital(&said)).into_response()
            }
        }
    }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct How {
    dry_run: bool,
    /// Only if this revision is in force.
    base: Option<u64>,
}

async fn apply(
    State(edge): State<Edge>,
    how: Result<Query<How>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let Query(how) = how.map_err(|rejected| Problem::from(rejected).into_response())?;
    let body = body.map_err(|rejected| unread(&rejected).into_response())?;
    let text = istio::utf8(&body).map_err(|e| Failure(e.into()).into_response())?;
    if how.dry_run {
        let outcome = edge.control.dry_run(text).await.map_err(|e| Failure(e).into_response())?;
        return Ok(Answer::of(outcome, true).into_response());
    }
    let outcome = edge.control.apply(text, &who(&headers), how.base).await;
    let mut outcome = outcome.map_err(|e| Failure(e).into_response())?;
    outcome.report.findings.extend(edge.control.never_matched_of(text.to_owned()).await);
    Ok(Answer::of(outcome, false).into_response())
}

#[derive(Debug, Serialize)]
struct FindingList {
    findings: Vec<Finding>,
}

/// What validation says of all that is in force, rules that met no request among it.
async fn findings(_: NoQuery, State(edge): State<Edge>) -> Result<Json<FindingList>, Response> {
    let (control, mesh) = (edge.control.clone(), edge.shop.mesh.clone());
    let found = edge.control.aside(move || {
        let mut findings = control.configuration().findings(control.known());
        findings.extend(never_matched(&mesh, &mesh.in_force().policy));
        findings
    });
    let findings = found.await.map_err(|e| Failure(e).into_response())?;
    Ok(Json(FindingList { findings }))
}

#[derive(Debug, Serialize)]
struct MirrorList {
    pairs: Vec<MirrorPair>,
}

/// The newest pairs of live and mirrored answers that differ, newest first.
async fn mirrors(_: NoQuery, State(edge): State<Edge>) -> Json<MirrorList> {
    let pairs = edge.shop.mesh.mirrors().compared();
    Json(MirrorList { pairs: pairs.iter().map(mirror_pair).collect() })
}

/// Whose reading a text is printed for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Print {
    r#for: Reader,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reader {
    /// As it was applied.
    #[default]
    Vitrine,
    /// Extensions moved into the resources that say the same in Istio's terms.
    Istio,
}

impl Reader {
    /// Some resources of what is in force.
    fn print(
        self,
        edge: &Edge,
        configuration: &Configuration,
        resources: &[Arc<Resource>],
    ) -> Vec<String> {
        match self {
            Self::Vitrine => resources.iter().map(|resource| resource.print()).collect(),
            Self::Istio => configuration.print_for_istio(edge.control.known(), resources),
        }
    }
}

type Printing = Result<Query<Print>, QueryRejection>;

async fn list(
    State(edge): State<Edge>,
    headers: HeaderMap,
    print: Printing,
) -> Result<Response, Problem> {
    let Query(Print { r#for: reader }) = print?;
    let configuration = edge.control.configuration();
    let all: Vec<_> = configuration.resources().cloned().collect();
    let texts = reader.print(&edge, &configuration, &all);
    Ok(printed(&headers, &texts, true))
}

async fn of_kind(
    State(edge): State<Edge>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    print: Printing,
) -> Result<Response, Problem> {
    resources(&edge, (&kind, None), &headers, print)
}

async fn one(
    State(edge): State<Edge>,
    Path((kind, name)): Path<(String, String)>,
    headers: HeaderMap,
    print: Printing,
) -> Result<Response, Problem> {
    resources(&edge, (&kind, Some(&name)), &headers, print)
}

fn resources(
    edge: &Edge,
    (kind, name): (&str, Option<&str>),
    headers: &HeaderMap,
    print: Printing,
) -> Result<Response, Problem> {
    let Query(Print { r#for: reader }) = print?;
    let kind = kind_of(kind)?;
    let configuration = edge.control.configuration();
    let found = configuration.get(kind, name).map_err(|error| {
        Problem::new(StatusCode::NOT_FOUND, format!("{}.", capital(&error.to_string())))
    })?;
    let found: Vec<_> = found.into_iter().cloned().collect();
    let texts = reader.print(edge, &configuration, &found);
    Ok(printed(headers, &texts, name.is_none()))
}

async fn delete(
    _: NoQuery,
    State(edge): State<Edge>,
    Path((kind, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let kind = kind_of(&kind).map_err(IntoResponse::into_response)?;
    let outcome = edge.control.delete(kind, &name, &who(&headers)).await;
    Ok(Answer::of(outcome.map_err(|e| Failure(e).into_response())?, false).into_response())
}

#[derive(Debug, Serialize)]
struct RevisionList {
    revisions: Vec<RevisionView>,
}

/// Which part of the revisions.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Part {
    /// Only those before this one: the last of a list, for the next list.
    before: Option<u64>,
}

async fn revisions(
    State(edge): State<Edge>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<RevisionList>, Problem> {
    let Query(Part { before }) = part?;
    let before = before.unwrap_or(u64::MAX);
    let revisions = edge.control.revisions_before(before, REVISIONS_LISTED);
    Ok(Json(RevisionList { revisions }))
}

async fn revision(
    _: NoQuery,
    State(edge): State<Edge>,
    Path(number): Path<u64>,
) -> Result<Response, Response> {
    let configuration = edge.control.configuration_at(number);
    let configuration = configuration.map_err(|e| Failure(e.into()).into_response())?;
    Ok(yaml(configuration.print()))
}

async fn restore(
    _: NoQuery,
    State(edge): State<Edge>,
    Path(number): Path<u64>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let outcome = edge.control.restore(number, &who(&headers)).await;
    Ok(Answer::of(outcome.map_err(|e| Failure(e).into_response())?, false).into_response())
}

/// Whether timeout and retries of a rule are off while it has a fault, as Istio has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Faithful {
    on: bool,
}

async fn faithful(
    _: NoQuery,
    State(edge): State<Edge>,
    Path((name, route)): Path<(String, String)>,
) -> Result<Json<Faithful>, Response> {
    let on = edge.control.configuration().faithful_route(&name, &route);
    let on = on.map_err(|error| Failure(error.into()).into_response())?;
    Ok(Json(Faithful { on }))
}

async fn set_faithful(
    _: NoQuery,
    State(edge): State<Edge>,
    Path((name, route)): Path<(String, String)>,
    headers: HeaderMap,
    switch: Result<Json<Faithful>, JsonRejection>,
) -> Result<Response, Response> {
    let Json(Faithful { on }) = switch.map_err(|bad| Problem::from(bad).into_response())?;
    let outcome = edge.control.set_faithful(&name, &route, on, &who(&headers)).await;
    Ok(Answer::of(outcome.map_err(|e| Failure(e).into_response())?, false).into_response())
}

/// Why a text was not read.
fn unread(rejected: &BytesRejection) -> Problem {
    let detail = match rejected.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("At most {YAML_BYTES_MAX} bytes are applied at once; apply it in parts.")
        }
        _ => format!("{}.", capital(&rejected.body_text())),
    };
    Problem::new(rejected.status(), detail)
}

fn kind_of(word: &str) -> Result<Kind, Problem> {
    Kind::parse(word).ok_or_else(|| {
        let kinds: Vec<_> = Kind::all().map(Kind::name).collect();
        let detail = format!("There is no kind {word}. There are {}.", kinds.join(", "));
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

pub(super) fn who(headers: &HeaderMap) -> String {
    let named = headers.get(WHO).and_then(|value| value.to_str().ok()).map(str::trim);
    let named = named.filter(|name| !name.is_empty() && name.len() <= WHO_BYTES_MAX);
    named.unwrap_or(UNNAMED).to_owned()
}

/// As YAML, or as JSON for whoever asks for it; several are a Kubernetes `List` there.
fn printed(headers: &HeaderMap, texts: &[String], several: bool) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accepts.is_some_and(|accept| accept.contains("json")) {
        return yaml(texts.join("---\n"));
    }
    let documents = texts.iter().filter_map(|text| istio::yaml::read(text).ok());
    let mut items: Vec<Value> = documents.flatten().map(|document| json(&document)).collect();
    match items.pop() {
        Some(only) if !several && items.is_empty() => Json(only).into_response(),
        last => {
            items.extend(last);
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
            Json(list).into_response()
        }
    }
}

fn json(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(on) => Value::Bool(*on),
        Data::Number(text) => text.parse().map_or_else(|_| text.as_str().into(), Value::Number),
        Data::Text(text) => text.as_str().into(),
        Data::List(items) => items.iter().map(json).collect(),
        Data::Map(entries) => {
            let fields = entries.iter().map(|entry| (entry.key.clone(), json(&entry.value)));
            Value::Object(fields.collect())
        }
    }
}

fn yaml(text: String) -> Response {
    // RFC 9512.
    let media_type = HeaderValue::from_static("application/yaml");
    ([(header::CONTENT_TYPE, media_type)], text).into_response()
}
