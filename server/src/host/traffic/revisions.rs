//! Revisions as a host's page lists them: what each of them touched, and what going back to it would
//! change now.

use super::documents;
use crate::control::Control;
use contract::{
    istio::{ResourceKey, RevisionView},
    traffic::{REVISIONS_MAX, RevisionRow},
};
use istio::{Configuration, Known};

/// Revisions of the host, and the newest of all beside them; newest first.
pub(super) fn rows(control: &Control, host: &str) -> Vec<RevisionRow> {
    let now = control.configuration();
    let (mut of_host, mut any) = (0, 0);
    let mut rows = Vec::new();
    for revision in control.revisions(istio::REVISIONS_MAX) {
        let at = control.configuration_at(revision.number).unwrap_or_default();
        let touched = touched(control, &revision, &at, &now);
        let ours = touched.iter().any(|name| name == host);
        let kept = (ours && of_host < REVISIONS_MAX) || any < REVISIONS_MAX;
        of_host += usize::from(ours);
        any += 1;
        if kept {
            let undoes = differing(control.known(), &at, &now);
            rows.push(row(control, revision, touched, undoes));
        }
    }
    rows
}

fn row(
    control: &Control,
    revision: RevisionView,
    touched: Vec<String>,
    undoes: Vec<String>,
) -> RevisionRow {
    RevisionRow {
        since_request: control.since_request(revision.number),
        number: revision.number,
        at_us: revision.at_us,
        by: revision.who,
        summary: revision.summary,
        touched,
        undoes,
    }
}

/// What a revision changed. A resource that it deleted is looked for where it still is.
fn touched(
    control: &Control,
    revision: &RevisionView,
    at: &Configuration,
    now: &Configuration,
) -> Vec<String> {
    let before = revision.number.checked_sub(1);
    let before = before.and_then(|number| control.configuration_at(number).ok());
    let before = before.unwrap_or_default();
    let names = revision.diffs.iter().map(|diff| {
        let key = &diff.resource;
        name(control.known(), &[at, &before, now], key)
    });
    unique(names)
}

/// The hosts of the resources that differ between two sets.
pub(super) fn differing(known: &Known, a: &Configuration, b: &Configuration) -> Vec<String> {
    let missing = |from: &Configuration, other: &Configuration| -> Vec<ResourceKey> {
        let same = |resource: &istio::Resource| {
            other.resources().any(|r| r.key() == resource.key() && **r == *resource)
        };
        let differs = from.resources().filter(|resource| !same(resource));
        differs.map(|resource| resource.key().clone()).collect()
    };
    let keys = missing(a, b).into_iter().chain(missing(b, a));
    unique(keys.map(|key| name(known, &[a, b], &key)))
}

/// The host of a resource; of one that has none, its kind and name.
fn name(known: &Known, among: &[&Configuration], key: &ResourceKey) -> String {
    let mut found = among.iter().flat_map(|configuration| configuration.resources());
    let resource = found.find(|resource| resource.key() == key);
    let page = resource.and_then(|resource| documents::page_of(known, resource.root()));
    page.map_or_else(|| format!("{} {}", key.kind, key.name), str::to_owned)
}

fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = names.collect();
    all.sort_unstable();
    all.dedup();
    all
}
