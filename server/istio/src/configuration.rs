//! The resources in force, as one immutable set; applying and deleting make another one.
//!
//! Nothing half done can be seen: an apply that is refused leaves no trace, and one that is
//! accepted is a new value beside the old.

use crate::{
    bounds, compile,
    diff::{self, Changed},
    finding::{Spot, code, sorted},
    known::Known,
    policy::Policy,
    resource::{DEFAULT_NAMESPACE, Document, Resource, read},
    schema::{self, Kind},
    validate,
    value::{Complaint, closest},
};
use contract::istio::{
    ApplyReport, Change, Fate, Finding, Position, ResourceKey, ResourceReport, Severity,
};
use std::{collections::BTreeMap, sync::Arc};

/// An immutable set of resources. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    resources: Arc<BTreeMap<ResourceKey, Arc<Resource>>>,
}

/// What an accepted apply made.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The new set.
    pub configuration: Configuration,
    /// What became of each resource and field; findings are warnings and notes.
    pub report: ApplyReport,
}

/// Why an apply was refused. Nothing has changed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("refused: {}", first_message(.report))]
pub struct Refused {
    /// At least one finding is an error.
    pub report: ApplyReport,
}

fn first_message(report: &ApplyReport) -> &str {
    report.findings.first().map_or("", |finding| &finding.message)
}

/// There is no resource of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} {name}{}", did_you_mean(.meant))]
pub struct NotFound {
    /// Of which kind.
    pub kind: &'static str,
    /// The name that was asked for.
    pub name: String,
    /// A name there is, if one is near.
    pub meant: Option<String>,
}

fn did_you_mean(meant: &Option<String>) -> String {
    meant.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

fn no_rule(route: &str) -> NotFound {
    NotFound { kind: "route", name: route.to_owned(), meant: None }
}

impl Configuration {
    /// A set made of resources that were in force before.
    pub(crate) fn of(resources: BTreeMap<ResourceKey, Arc<Resource>>) -> Self {
        Self { resources: Arc::new(resources) }
    }

    /// Every resource, by kind, namespace and name.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// As [`Self::apply`], of bytes as they came: YAML here is UTF-8.
    ///
    /// # Errors
    /// Also when they are not UTF-8; the finding says where.
    pub fn apply_bytes(&self, bytes: &[u8], known: &Known) -> Result<Applied, Refused> {
        self.apply(utf8(bytes)?, known)
    }

    pub(crate) fn by_key(&self) -> &BTreeMap<ResourceKey, Arc<Resource>> {
        &self.resources
    }

    /// The resources of a text in addition to these, or in the place of those of the same name.
    ///
    /// # Errors
    /// Anything that Istio would refuse, or that would be wrong to ignore; all of it is reported.
    pub fn apply(&self, text: &str, known: &Known) -> Result<Applied, Refused> {
        let documents = read(text).map_err(|finding| Refused {
            report: ApplyReport { resources: Vec::new(), findings: vec![*finding] },
        })?;
        let mut batch = Batch::default();
        for document in documents {
            batch.take(document, self);
        }
        let mut next = (*self.resources).clone();
        next.extend(batch.resources.iter().map(|(key, r)| (key.clone(), Arc::clone(r))));
        batch.findings.extend(bounds::exceeded(&next));
        // What does not fit its table is not looked at further.
        let broken = batch.findings.iter().any(|finding| finding.severity == Severity::Error);
        if !broken {
            let all = oldest_first(&next);
            let of_batch = |finding: &Finding| {
                let key = finding.resource.as_ref();
                key.is_some_and(|key| batch.resources.contains_key(key))
            };
            let of_text = |resource: &Resource| batch.resources.contains_key(resource.key());
            let findings = validate::findings_of(known, &all, of_text);
            batch.reports.iter_mut().for_each(|report| silence(report, &findings));
            batch.findings.extend(findings.said.into_iter().filter(of_batch));
        }
        let findings = sorted(batch.findings);
        let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
        let report = ApplyReport { resources: batch.reports, findings };
        if refused {
            return Err(Refused { report });
        }
        for (key, resource) in &batch.resources {
            let settled = match self.resources.get(key) {
                // Revisions share what did not change.
                Some(same) if same == resource => Arc::clone(same),
                _ => Arc::new(resource.settled()),
            };
            next.insert(key.clone(), settled);
        }
        Ok(Applied { configuration: Self::of(next), report })
    }

    /// The same set, with every resource that another has too shared with it.
    #[must_use]
    pub fn sharing(&self, other: &Self) -> Self {
        let share = |(key, resource): (&ResourceKey, &Arc<Resource>)| {
            let same = other.resources.get(key).filter(|same| *same == resource);
            (key.clone(), Arc::clone(same.unwrap_or(resource)))
        };
        Self::of(self.resources.iter().map(share).collect())
    }

    /// The set without one resource. `name` may have its namespace before a slash.
    ///
    /// # Errors
    /// No such resource.
    pub fn delete(&self, kind: Kind, name: &str) -> Result<(Self, ResourceKey), NotFound> {
        let found = self.get(kind, Some(name))?;
        let key = found.first().map(|resource| resource.key().clone()).unwrap_or_default();
        let mut next = (*self.resources).clone();
        next.remove(&key);
        Ok((Self::of(next), key))
    }

    /// The set with the switch of one rule of a `VirtualService` to Istio's own behaviour on or
    /// off.
    ///
    /// # Errors
    /// No such resource, or no such rule in it.
    pub fn with_faithful_route(
        &self,
        name: &str,
        route: &str,
        on: bool,
    ) -> Result<(Self, ResourceKey), NotFound> {
        let resource = self.with_rule(name, route)?;
        let changed = resource.with_faithful_route(route, on).ok_or_else(|| no_rule(route))?;
        let (mut next, key) = ((*self.resources).clone(), resource.key().clone());
        next.insert(key.clone(), Arc::new(changed));
        Ok((Self::of(next), key))
    }

    /// Whether a rule of a `VirtualService` is switched to Istio's own behaviour.
    ///
    /// # Errors
    /// No such resource, or no such rule in it.
    pub fn faithful_route(&self, name: &str, route: &str) -> Result<bool, NotFound> {
        Ok(self.with_rule(name, route)?.faithful_routes().any(|faithful| faithful == route))
    }

    /// The `VirtualService` of that name, if it has such a rule.
    fn with_rule(&self, name: &str, route: &str) -> Result<&Arc<Resource>, NotFound> {
        let found = self.get(Kind::VirtualService, Some(name))?;
        let resource = found.first().copied().filter(|resource| {
            let mut rules = resource.spec().list("http").iter().enumerate();
            rules.any(|(at, node)| compile::route_name(node, at) == route)
        });
        resource.ok_or_else(|| no_rule(route))
    }

    /// The resources of a kind, or one of them. A name without namespace is looked for in `default`
    /// first, then everywhere.
    ///
    /// # Errors
    /// A name was given, and there is no resource of it.
    pub fn get(&self, kind: Kind, name: Option<&str>) -> Result<Vec<&Arc<Resource>>, NotFound> {
        let of_kind = || self.resources.values().filter(move |resource| resource.kind() == kind);
        let Some(asked) = name else {
            return Ok(of_kind().collect());
        };
        let (namespace, name) = match asked.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, asked),
        };
        let is = |resource: &&Arc<Resource>, namespace: Option<&str>| {
            let key = resource.key();
            key.name == name && namespace.is_none_or(|namespace| key.namespace == namespace)
        };
        let first = namespace.unwrap_or(DEFAULT_NAMESPACE);
        let found = of_kind()
            .find(|resource| is(resource, Some(first)))
            .or_else(|| of_kind().find(|resource| is(resource, namespace)));
        found.map(|resource| vec![resource]).ok_or_else(|| NotFound {
            kind: kind.name(),
            name: asked.to_owned(),
            meant: closest(name, of_kind().map(|resource| resource.key().name.as_str()))
                .map(ToOwned::to_owned),
        })
    }

    /// What the data plane reads.
    #[must_use]
    pub fn compile(&self, known: &Known, revision: u64) -> Policy {
        let all = oldest_first(&self.resources);
        compile::policy(known, &all, revision)
    }

    /// What validation has to say about all of it, the worst first. Places are those of
    /// [`Configuration::print`] of each resource by itself.
    #[must_use]
    pub fn findings(&self, known: &Known) -> Vec<Finding> {
        let all = oldest_first(&self.resources);
        sorted(validate::findings(known, &all).said)
    }

    /// What it changes in another set that it takes the place of: each resource that differs, with
    /// the fates of its fields and what validation says of it. Places are those of
    /// [`Configuration::print`] of each resource by itself.
    #[must_use]
    pub fn report_since(&self, before: &Self, known: &Known) -> ApplyReport {
        let all = oldest_first(&self.resources);
        let changes = diff::changes(before, self);
        let changed = |of: &Resource| changes.iter().any(|changed| changed.key == *of.key());
        let mut findings = validate::findings_of(known, &all, changed);
        let mut resources = Vec::with_capacity(changes.len());
        for Changed { key, before, after } in changes {
            let checked =
                after.as_ref().map(|after| schema::check(after.kind(), &key, after.root()));
            let checked = checked.unwrap_or_default();
            findings.said.extend(checked.findings);
            let change = match (&before, &after) {
                (None, _) => Change::Created,
                (_, None) => Change::Deleted,
                _ => Change::Configured,
            };
            let at = after.map(|after| after.root().at).unwrap_or_default();
            let mut report = ResourceReport { resource: key, at, change, fields: checked.fates };
            silence(&mut report, &findings);
            resources.push(report);
        }
        let of_these = |finding: &Finding| {
            resources.iter().any(|report| finding.resource.as_ref() == Some(&report.resource))
        };
        let said = std::mem::take(&mut findings.said);
        let findings = sorted(said.into_iter().filter(of_these).collect());
        ApplyReport { resources, findings }
    }

    /// Some of its resources as YAML that a real Istio takes: without extensions, and with those
    /// that say in Istio's terms what they said. Each resource is printed once.
    #[must_use]
    pub fn print_for_istio(&self, known: &Known, asked: &[Arc<Resource>]) -> Vec<String> {
        let all = oldest_first(&self.resources);
        crate::for_istio::print(known, &all, asked)
    }

    /// All of it as one text.
    #[must_use]
    pub fn print(&self) -> String {
        let documents: Vec<_> = self.resources.values().map(|r| r.print()).collect();
        documents.join("---\n")
    }
}

/// Resources in the order in which Istio reads them, which decides where several say the same: the
/// oldest first, and by their names where they came at once (`sortConfigByCreationTime`).
fn oldest_first(resources: &BTreeMap<ResourceKey, Arc<Resource>>) -> Vec<Arc<Resource>> {
    let mut all: Vec<_> = resources.values().cloned().collect();
    all.sort_by(|a, b| {
        let (a, b) = (a.created(), b.created());
        (a.is_none(), a).cmp(&(b.is_none(), b))
    });
    all
}

/// No field that is said to be in force is one of which a finding says that it does nothing.
fn silence(report: &mut ResourceReport, findings: &validate::Findings) {
    for field in report.fields.iter_mut().filter(|field| field.fate == Fate::InForce) {
        if let Some(why) = findings.silence(&report.resource, &field.path) {
            (field.fate, field.why) = (Fate::Ignored, Some(why.to_owned()));
        }
    }
}

/// Bytes as text.
///
/// # Errors
/// They are not UTF-8; the finding says where.
pub fn utf8(bytes: &[u8]) -> Result<&str, Refused> {
    str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let before = str::from_utf8(good).unwrap_or_default();
        let line = before.rsplit(['\n', '\r']).next().unwrap_or_default();
        let lines = before.replace("\r\n", "\n").matches(['\n', '\r']).count();
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        let at = Position { line: number(lines), column: number(line.chars().count()) };
        let byte = bytes.get(good.len()).copied().unwrap_or_default();
        let message = format!("The byte 0x{byte:02x} is not UTF-8.");
        let complaint = Complaint::new(message, "Save the file as UTF-8.");
        let finding = Spot { at, ..Spot::default() }.error(code::SYNTAX, complaint);
        Refused { report: ApplyReport { resources: Vec::new(), findings: vec![finding] } }
    })
}

/// The documents of one apply.
#[derive(Default)]
struct Batch {
    resources: BTreeMap<ResourceKey, Arc<Resource>>,
    reports: Vec<ResourceReport>,
    findings: Vec<Finding>,
}

impl Batch {
    fn take(&mut self, document: Result<Document, Box<Finding>>, before: &Configuration) {
        match document {
            Err(finding) => self.findings.push(*finding),
            Ok(Document::NotOurs(resource, at)) => self.reports.push(ResourceReport {
                resource,
                at,
                change: Change::NotOurs,
                fields: Vec::new(),
            }),
            Ok(Document::Ours(resource, report)) => {
                let key = resource.key().clone();
                let at = resource.root().at;
                self.findings.extend(report.findings);
                let change = match before.resources.get(&key) {
                    None => Change::Created,
                    Some(old) if **old == resource => Change::Unchanged,
                    Some(_) => Change::Configured,
                };
                self.reports.push(ResourceReport {
                    resource: key.clone(),
                    at,
                    change,
                    fields: report.fates,
                });
                if let Some(first) = self.resources.get(&key) {
                    let lines = (first.root().at.line, at.line);
                    let message = format!(
                        "{key} stands twice in this text: on line {} and on line {}.",
                        lines.0, lines.1
                    );
                    let complaint = Complaint::new(message, "Keep one of them.");
                    let finding = resource.spot("", at).error(code::DUPLICATE_RESOURCE, complaint);
                    self.findings.push(finding);
                }
                self.resources.insert(key, Arc::new(resource));
            }
        }
    }
}
