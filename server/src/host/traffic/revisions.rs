//! Revisions as a host's page lists them: what each of them touched, and what going back to it
//! would change now.

use super::documents;
use crate::control::Control;
use contract::{
    istio::{ResourceKey, RevisionView},
    traffic::{REVISIONS_MAX, RevisionRow},
};
use istio::{Configuration, Known, Resource};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// The rows of each host as they were made last. They change with the revision in force alone, and
/// a page asks every two seconds. Only hosts of the shop get in, so it is as long as their list.
#[derive(Debug, Default)]
pub(super) struct Rows(Mutex<BTreeMap<String, (u64, Vec<RevisionRow>)>>);

impl Rows {
    /// The revisions of a host of the shop.
    pub(super) fn of(&self, control: &Control, host: &str) -> Vec<RevisionRow> {
        let now = control.revision();
        if let Some((made, rows)) = self.0.lock().get(host)
            && *made == now
        {
            return rows.clone();
        }
        let made = rows(control, host);
        self.0.lock().insert(host.to_owned(), (now, made.clone()));
        made
    }
}

/// Revisions of the host, and the newest of all beside them; newest first.
fn rows(control: &Control, host: &str) -> Vec<RevisionRow> {
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
        let there: BTreeMap<_, _> = other.resources().map(|r| (r.key(), r)).collect();
        let same = |resource: &Arc<Resource>| {
            // Resources that did not change are shared between revisions.
            let found = there.get(resource.key());
            found.is_some_and(|other| Arc::ptr_eq(other, resource) || ***other == **resource)
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
