//! Istio resources as pages and command line see them: fates of fields, findings, revisions.
//!
//! Knows no field of any resource; that is the business of the server's `istio` package.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in a text. The default, 0 and 0, is nowhere.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What a resource is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// `VirtualService`, `DestinationRule`, …
    pub kind: String,
    /// `metadata.namespace`, or `default`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Does what it says.
    InForce,
    /// Kept and printed back, without effect.
    Ignored,
    /// Refused, and the whole apply with it.
    Rejected,
}

/// One field and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFate {
    /// `spec.http[0].timeout`. Fields below an ignored one share its fate and are not listed.
    pub path: String,
    /// Where its name stands.
    pub at: Position,
    /// What became of it.
    pub fate: Fate,
    /// Why it is ignored or rejected, or how it is read if that is not plain.
    pub why: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Applied, but probably not what was meant.
    Warning,
    /// Refuses the apply.
    Error,
}

/// Something validation has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `KIA1101` (Kiali), `IST0130` (istioctl analyze) or `VIT110` (Vitrine).
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// Of which resource, if it is one's.
    pub resource: Option<ResourceKey>,
    /// Of which field; empty for the whole resource.
    pub path: String,
    /// Where that stands.
    pub at: Position,
    /// What was found and why it matters.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The YAML that says the same in Istio's own terms, where there is one.
    pub correct_form: Option<String>,
}

/// What an apply did to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Created,
    /// It was there and differs.
    Configured,
    /// It was there and is the same.
    Unchanged,
    /// It is gone.
    Deleted,
    /// Not an Istio resource of ours; left alone.
    NotOurs,
}

/// One resource of an applied text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceReport {
    /// Which.
    pub resource: ResourceKey,
    /// Where it begins.
    pub at: Position,
    /// What was done to it.
    pub change: Change,
    /// Its fields in the order of the text; empty if it is not ours.
    pub fields: Vec<FieldFate>,
}

/// The answer to an apply, accepted or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyReport {
    /// Resources in the order of the text.
    pub resources: Vec<ResourceReport>,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
}

/// One state of the configuration in its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionView {
    /// Counts up from 1.
    pub number: u64,
    /// Who made it.
    pub who: String,
    /// When, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// In words: `payments v2 10% -> 20%`.
    pub summary: String,
    /// The revision this one brought back, if it is a restore.
    pub restored: Option<u64>,
    /// What changed against the revision before.
    pub diffs: Vec<ResourceDiff>,
}

/// How one resource changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDiff {
    /// Which.
    pub resource: ResourceKey,
    /// Created, configured or deleted.
    pub change: Change,
    /// Unified diff of its YAML, by line.
    pub lines: Vec<DiffLine>,
}

/// A line of a unified diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "text", rename_all = "snake_case")]
pub enum DiffLine {
    /// Lines left out here; the text is the hunk's header, `@@ -3,7 +3,7 @@`.
    Hunk(String),
    /// In both.
    Context(String),
    /// Only before.
    Removed(String),
    /// Only after.
    Added(String),
}
