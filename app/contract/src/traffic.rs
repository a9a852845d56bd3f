//! Routing as pages see it: hosts, the form beside its YAML, revisions, and the commands.
//!
//! The YAML text is the truth of a draft. A [`RouteForm`] is what the controls show of it; whoever
//! parses makes one from the other. Durations are milliseconds, shares of a split are weights.

use crate::istio::{ApplyReport, Finding, ResourceKey};
use serde::{Deserialize, Serialize};

/// One version of a service on the map: how much it should get, how much it gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneView {
    /// Its subset: `v1`.
    pub subset: String,
    /// Share its weight stands for, 0 to 1.
    pub configured: f64,
    /// Share of the calls of the last minute, 0 to 1; none without calls.
    pub observed: Option<f64>,
    /// Calls per second.
    pub per_second: f64,
    /// Calls in the last minute.
    pub calls: u64,
    /// Share of 5xx and unanswered calls, 0 to 1.
    pub error_share: f64,
    /// 95th percentile of duration, milliseconds.
    pub p95_ms: Option<f64>,
    /// Instances that take calls.
    pub ready: u32,
    /// Instances altogether.
    pub instances: u32,
    /// Calls per second, one value per second of the last minute, oldest first.
    #[serde(default)]
    pub spark: Vec<f32>,
}

/// What the mesh does at one service, for the map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostMesh {
    /// Name of the service.
    pub service: String,
    /// Its versions, if it has several.
    pub lanes: Vec<LaneView>,
    /// Percent of its requests that are mirrored; none without a mirror.
    pub mirror_percent: Option<f64>,
    /// Its route names no versions: whichever instance is next gets a request, and a version has
    /// the share that its instances are of all.
    #[serde(default)]
    pub pooled: bool,
}

/// A revision as a line on charts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionMark {
    /// When it took force.
    pub at_us: i64,
    /// 17 is written r17.
    pub number: u64,
}

/// The mesh in force, on the live stream about once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeshView {
    /// Revision in force.
    pub revision: u64,
    /// Oldest first, at most [`REVISION_MARKS_MAX`]; those of earlier runs too.
    pub marks: Vec<RevisionMark>,
    /// Services with versions or a mirror.
    pub hosts: Vec<HostMesh>,
    /// Every instance of every service.
    pub endpoints: Vec<crate::resilience::EndpointLine>,
    /// Who each service is to the others, and what it asks of its callers.
    #[serde(default)]
    pub identities: Vec<IdentityView>,
}

/// A service's identity and its `PeerAuthentication`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityView {
    /// Name of the service.
    pub service: String,
    /// `spiffe://cluster.local/ns/default/sa/payments`.
    pub principal: String,
    /// `PERMISSIVE`, `STRICT` or `DISABLE`: what it asks of those who call it.
    pub mode: String,
}

/// Revisions marked on charts.
pub const REVISION_MARKS_MAX: usize = 20;

/// One host in the list of routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRow {
    /// Short name of the service, and its address on this page.
    pub host: String,
    /// It has a `VirtualService`.
    pub routed: bool,
    /// Faults in force on it: `F-22`.
    pub faults: Vec<String>,
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchOp {
    /// The whole text.
    #[default]
    Exact,
    /// Its beginning.
    Prefix,
    /// RE2, anchored at both ends.
    Regex,
    /// Any value.
    Present,
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchOn {
    /// A request header.
    #[default]
    Header,
    /// A request header that must not match.
    WithoutHeader,
    /// One cookie: a regular expression over the header `cookie`.
    Cookie,
    /// The path.
    Uri,
    /// The method.
    Method,
    /// A query parameter.
    Query,
    /// Host and port as sent.
    Authority,
    /// `http` or `https`.
    Scheme,
    /// A label of the caller's workload.
    SourceLabel,
}

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchTerm {
    /// What it looks at.
    pub on: MatchOn,
    /// Name of the header, cookie, parameter or label; empty for the others.
    pub name: String,
    /// How it compares.
    pub op: MatchOp,
    /// With what.
    pub value: String,
}

/// One destination of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetForm {
    /// Host as written.
    pub host: String,
    /// Subset; empty is none.
    pub subset: String,
    /// Weight; its share is weight by sum.
    pub weight: u32,
}

/// Copies of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MirrorForm {
    /// Host as written.
    pub host: String,
    /// Subset; empty is none.
    pub subset: String,
    /// Percent, 0 to 100.
    pub percent: f64,
}

/// Retries of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryForm {
    /// Retries after the first try; 0 switches them off.
    pub attempts: u32,
    /// Limit of each try; none is the rule's timeout.
    pub per_try_ms: Option<u64>,
    /// Tokens of `retryOn`.
    pub on: Vec<String>,
}

/// The fault written in a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleFault {
    /// In words: "Delay 2 s on 10%, abort 503 on 5%".
    pub what: String,
}

/// One HTTP route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleForm {
    /// `name`, or `#2` for the second rule without one.
    pub name: String,
    /// One of these must hold, each with all its terms; none is every request.
    pub matches: Vec<Vec<MatchTerm>>,
    /// Where to; empty for a rule that answers itself.
    pub targets: Vec<TargetForm>,
    /// What it does instead of forwarding: "redirects to /new", "answers 404"; has no controls.
    pub answers: Option<String>,
    /// Copies.
    pub mirror: Option<MirrorForm>,
    /// Covers all tries; none is no limit.
    pub timeout_ms: Option<u64>,
    /// Retries; none is Istio's default (2, on connect-failure and the like).
    pub retries: Option<RetryForm>,
    /// Fault written in it.
    pub fault: Option<RuleFault>,
    /// As in Istio: while its fault is active, its timeout and its retries are off.
    #[serde(default)]
    pub faithful: bool,
}

/// Switches a rule to Istio's own behaviour under faults, or back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFaithful {
    /// The `VirtualService`: `metadata.name`, or `namespace/name`.
    pub virtual_service: String,
    /// The rule: [`RuleForm::name`].
    pub route: String,
    /// As in Istio, or composing.
    pub on: bool,
}

/// The local rate limit of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitForm {
    /// Requests per [`RateLimitForm::per`].
    pub requests: u32,
    /// `second`, `minute` or `hour`.
    pub per: String,
    /// Requests at once.
    pub burst: u32,
}

/// The lines of the YAML that a control sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlLines {
    /// The control: see [`control`].
    pub control: String,
    /// First line, from 1.
    pub first: u32,
    /// Last line.
    pub last: u32,
}

/// Names of controls, as in [`ControlLines::control`]. `rule` is the index of the rule, from 0.
pub mod control {
    /// The rate limit.
    pub const RATE_LIMIT: &str = "rate-limit";

    /// The whole rule; its conditions are `rule-0-match`.
    #[must_use]
    pub fn of_rule(rule: usize, part: &str) -> String {
        if part.is_empty() { format!("rule-{rule}") } else { format!("rule-{rule}-{part}") }
    }

    /// Conditions of a rule.
    pub const MATCH: &str = "match";
    /// Its destinations and weights.
    pub const SPLIT: &str = "split";
    /// Its mirror.
    pub const MIRROR: &str = "mirror";
    /// Its timeout.
    pub const TIMEOUT: &str = "timeout";
    /// Its retries.
    pub const RETRIES: &str = "retries";
    /// The fault written in it.
    pub const FAULT: &str = "fault";
}

/// What a resource takes effect for, as the compiled policy answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// "in force at the ingress and in the mesh", "shadowed by gateway".
    pub text: String,
    /// It takes effect for nothing.
    pub idle: bool,
}

/// One document of the YAML.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentLines {
    /// `VirtualService`.
    pub kind: String,
    /// `metadata.name`, behind its namespace and a slash unless that is `default`.
    pub name: String,
    /// First line, from 1.
    pub first: u32,
    /// Last line.
    pub last: u32,
    /// What it takes effect for, or would once it is applied.
    pub standing: Standing,
}

/// What the controls show of a YAML text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteForm {
    /// The `VirtualService` the rules are of, as in [`DocumentLines::name`]; empty is the first.
    pub service: String,
    /// In order: the first that matches wins.
    pub rules: Vec<RuleForm>,
    /// The rate limit of the host.
    pub rate_limit: Option<RateLimitForm>,
    /// Subsets a destination can be chosen from.
    pub subsets: Vec<String>,
    /// Which lines a control sets.
    pub lines: Vec<ControlLines>,
    /// The documents.
    pub documents: Vec<DocumentLines>,
    /// Valid fields without a control: `spec.http[0].corsPolicy`.
    pub kept: Vec<String>,
}

/// A YAML text and what it means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// The text.
    pub yaml: String,
    /// Its controls; none when it cannot be read.
    pub form: Option<RouteForm>,
    /// What validation says, the worst first.
    pub findings: Vec<Finding>,
    /// What was checked and holds, for the list: "Weights add up to 100", with its line.
    pub passed: Vec<(String, Option<u32>)>,
}

/// What the controls changed since a text was read last: only what differs between the two is
/// written, so that it can be put into a text that somebody has typed in meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FormEdit {
    /// As it was read.
    pub before: RouteForm,
    /// As it is now.
    pub after: RouteForm,
}

/// One revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// 17 is written r17.
    pub number: u64,
    /// When it was applied.
    pub at_us: i64,
    /// Who: "page", "vitrine apply", "control API".
    pub by: String,
    /// What it changed, in a few words: "payments v2 5% → 10%".
    pub summary: String,
    /// First request it was in force for; none before the start of this run.
    pub since_request: Option<u64>,
    /// Hosts whose resources it changed; a resource of no host by kind and name.
    pub touched: Vec<String>,
    /// The same for going back to it from what is in force now.
    pub undoes: Vec<String>,
}

/// Revisions a page lists: so many of the host, and so many of all.
pub const REVISIONS_MAX: usize = 20;

/// How often a rule was hit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleHits {
    /// Its `VirtualService`, as in [`DocumentLines::name`].
    pub service: String,
    /// [`RuleForm::name`].
    pub rule: String,
    /// Requests since the revision took force.
    pub hits: u64,
    /// Per second over the last minute.
    pub per_second: f64,
    /// Where they went.
    pub shares: Vec<ShareSeen>,
}

/// What one destination of a rule got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShareSeen {
    /// Short name of the service.
    pub host: String,
    /// Subset; empty is none.
    pub subset: String,
    /// Per second over the last minute.
    pub per_second: f64,
    /// Share of the requests of the last minute that met these weights, 0 to 1.
    pub observed: Option<f64>,
    /// How many requests of the last minute met these weights.
    #[serde(default)]
    pub of: u64,
    /// The 95 % confidence band of the observed share (Wilson), 0 to 1.
    #[serde(default)]
    pub band: Option<(f64, f64)>,
}

/// A live and a mirrored answer that differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MirrorPair {
    /// When.
    pub at_us: i64,
    /// The rule that asks for the copy.
    pub rule: String,
    /// Where the copy went: `payments v2`.
    pub to: String,
    /// `GET /api/v1/products`.
    pub request: String,
    /// The answer the caller got.
    pub live: MirrorSide,
    /// The answer nobody got.
    pub mirrored: MirrorSide,
    /// What differs; empty when one of them brought no answer.
    pub differences: Vec<MirrorDifference>,
}

/// One side of a pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MirrorSide {
    /// The answer's status; none when there was no answer.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// Until the head of the answer, milliseconds.
    pub took_ms: f64,
    /// Its trace.
    pub trace_id: Option<String>,
}

/// One difference; a value that is absent on one side is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorDifference {
    /// "status", "header content-type", "field /items/0/price".
    pub place: String,
    /// What the live answer has.
    pub live: Option<String>,
    /// What the mirrored answer has.
    pub mirrored: Option<String>,
}

/// Pairs a page lists of one host.
pub const MIRROR_PAIRS_MAX: usize = 10;

/// One resource in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRow {
    /// What it is known by.
    pub key: ResourceKey,
    /// The names it is about, as written.
    pub hosts: Vec<String>,
    /// The host whose page edits it.
    pub page: Option<String>,
    /// What it takes effect for.
    pub standing: Standing,
}

/// The Traffic page: every host, and the editor of the one that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficView {
    /// In the order of the palette.
    pub hosts: Vec<HostRow>,
    /// Every resource in force, by kind and name; only on the page of all hosts.
    pub resources: Vec<ResourceRow>,
    /// The YAML of the resource that was asked for.
    pub opened: Option<(ResourceKey, String)>,
    /// Revision in force.
    pub revision: u64,
    /// The editor; none on the page of all hosts.
    pub route: Option<RouteView>,
}

/// The editor of one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteView {
    /// Short name of the service.
    pub host: String,
    /// Revision in force, the base of a draft.
    pub revision: u64,
    /// Its text and controls. Empty text: the host has no `VirtualService`.
    pub applied: Draft,
    /// Newest first: those of the host and the newest of all, at most [`REVISIONS_MAX`] each.
    pub revisions: Vec<RevisionRow>,
    /// Of every `VirtualService` of the host.
    pub hits: Vec<RuleHits>,
    /// Requests the rate limit refused in the last minute, and all it saw per second.
    pub limited: (u64, f64),
    /// Mirrored and live answers that differed in the last minute, and those compared.
    pub mirror_differs: (u64, u64),
    /// Pairs of such answers, newest first, at most [`MIRROR_PAIRS_MAX`].
    pub mirrored: Vec<MirrorPair>,
    /// Versions, observed and configured.
    pub lanes: Vec<LaneView>,
}

/// The command to change what is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeTraffic {
    /// Applies a text as one transaction.
    Apply(ApplyYaml),
    /// Makes a new revision with the content of an old one.
    Restore(RestoreRevision),
    /// Deletes one resource.
    Delete(DeleteResource),
}

/// An old revision to bring back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRevision {
    /// Which.
    pub number: u64,
    /// Only if this revision is in force.
    pub base: Option<u64>,
}

/// A resource to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteResource {
    /// Which.
    pub key: ResourceKey,
    /// Only if this revision is in force.
    pub base: Option<u64>,
}

/// A text to apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyYaml {
    /// One or several documents.
    pub yaml: String,
    /// The revision the draft was made on; refused as a conflict if another is in force. None
    /// applies on whatever is in force.
    pub base: Option<u64>,
    /// Host of the editor: its documents that are absent from the text are deleted. None deletes
    /// nothing.
    pub host: Option<String>,
    /// Says what would happen and changes nothing.
    pub dry_run: bool,
}

/// What became of an apply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The revision now in force; none when nothing was changed.
    pub revision: Option<u64>,
    /// First request it is in force for.
    pub since_request: Option<u64>,
    /// The revision that was in force before: what undo brings back.
    pub before: Option<u64>,
    /// What becomes of every field, and what validation says. With an error nothing was changed.
    pub report: ApplyReport,
}

/// A text that a form has sent, and what became of it: the page is drawn in answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PostedApply {
    /// As it was typed.
    pub yaml: String,
    /// What became of it.
    pub applied: Applied,
    /// Why it was not looked at: another revision was applied meanwhile.
    pub error: Option<String>,
}

/// One recorded request that would go elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerouted {
    /// `GET /api/v1/products`.
    pub request: String,
    /// The rule and destination it took.
    pub from: String,
    /// The rule and destination it would take.
    pub to: String,
    /// Its trace.
    pub trace_id: Option<String>,
}

/// A draft tried on recorded requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// Recorded requests looked at, at most [`DRY_RUN_REQUESTS`].
    pub requests: u64,
    /// Those that would change route.
    pub changed: u64,
    /// Those that were too long to be recorded whole, where a rule looks at what is missing: they
    /// may really go another way.
    pub incomplete: u64,
    /// Some of them, at most [`DRY_RUN_ROWS_MAX`].
    pub rows: Vec<Rerouted>,
    /// Rules of the draft and how many of the requests they would match.
    pub rules: Vec<(String, u64)>,
}

/// Requests a dry run looks at.
pub const DRY_RUN_REQUESTS: usize = 1_000;
/// Examples a dry run shows.
pub const DRY_RUN_ROWS_MAX: usize = 10;

/// A made-up request: which rule would it hit?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// `GET`.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// One `name: value` per line.
    pub headers: String,
    /// The calling service; empty is from outside, through the gateway.
    pub source: String,
}

/// What became of the conditions of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleVerdict {
    /// [`RuleForm::name`].
    pub rule: String,
    /// It matches.
    pub matches: bool,
    /// Why (not), one phrase: "header x-canary is absent".
    pub why: String,
}

/// The answer to a [`ProbeRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeVerdict {
    /// The rules in order, up to the one that matched.
    pub rules: Vec<RuleVerdict>,
    /// Where it would go: "payments v1 80%, payments v2 20%"; none: no rule matched, 404.
    pub goes: Option<String>,
}
