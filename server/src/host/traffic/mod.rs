//! The port of the Traffic page: Istio resources as text and form, tried, applied, restored.

pub(crate) mod balance;
mod documents;
mod rates;
mod read_form;
mod revisions;
mod standing;
#[cfg(test)]
mod tests;
mod views;
mod write_form;

use crate::{
    control::{Control, ControlError, Outcome, YAML_BYTES_MAX, never_matched_in},
    live::{Live, Minute},
};
use app::host::TrafficPort;
use async_trait::async_trait;
use contract::{
    ApiError, FieldError,
    balance::{AskBalance, BalanceView},
    istio::{ApplyReport, ResourceKey},
    traffic::{
        Applied, ApplyYaml, ChangeTraffic, Draft, DryRun, FormEdit, ProbeRequest, ProbeVerdict,
        ResourceRow, SetFaithful, TrafficView,
    },
};
use istio::{Configuration, Kind, KnownService, policy::Policy};
use mesh::Mesh;
use rates::Window;
use revisions::Rows;
use std::sync::Arc;

pub(crate) use views::mirror_pair;

/// Who changes something from the page.
const PAGE: &str = "page";

#[derive(Clone)]
pub(super) struct TrafficHost {
    control: Control,
    mesh: Mesh,
    live: Live,
    revisions: Arc<Rows>,
}

impl TrafficHost {
    pub(super) fn new(control: Control, mesh: Mesh, live: Live) -> Self {
        Self { control, mesh, live, revisions: Arc::default() }
    }

    /// Does what a large text makes long without holding up any request.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let host = self.clone();
        self.control.aside(move || work(&host)).await
    }

    /// The same for what a page shows when it is opened.
    async fn view<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let host = self.clone();
        self.control.view(move || work(&host)).await
    }

    fn service(&self, host: &str) -> Result<&KnownService, ApiError> {
        let found = documents::service(self.control.known(), host);
        found.ok_or_else(|| ApiError::NotFound { what: format!("host {host}") })
    }

    /// The resources there would be with a text in the place of the host's, and what validation
    /// says: the same as applying it.
    fn replaced(
        &self,
        service: &KnownService,
        text: &str,
    ) -> Result<(Configuration, ApplyReport), ControlError> {
        let gone = documents::keys(&self.control.configuration(), service);
        self.control.replaced(&gone, text)
    }

    /// What a text says. `chosen` is the title of the `VirtualService` with the controls.
    fn read(&self, service: &KnownService, text: String, chosen: &str) -> Draft {
        let known = self.control.known();
        let (made, mut report) = match self.replaced(service, &text) {
            Ok((configuration, report)) => {
                let policy = configuration.compile(known, self.control.revision() + 1);
                (Some((policy, configuration)), report)
            }
            Err(ControlError::Refused(refused)) => (None, refused.report),
            Err(_) => (None, ApplyReport::default()),
        };
        let documents = documents::read(&text).unwrap_or_default();
        let readable = documents::read(&text).is_some();
        let mut form = readable.then(|| read_form::form(&documents, chosen));
        if let (Some(form), Some((policy, configuration))) = (&mut form, &made) {
            standing::fill(form, &documents, policy);
            let unmatched = never_matched_in(&self.mesh, policy, configuration, &text);
            report.findings.extend(unmatched);
        }
        let passed = form.as_ref().map(|form| views::passed(form, &report)).unwrap_or_default();
        Draft { yaml: text, form, findings: report.findings, passed }
    }

    fn applied(&self, outcome: Outcome, before: u64, changed: bool) -> Applied {
        Applied {
            revision: changed.then_some(outcome.revision),
            since_request: changed.then_some(outcome.since_request),
            before: (changed && before > 0 && before != outcome.revision).then_some(before),
            report: outcome.report,
        }
    }

    async fn apply(&self, command: ApplyYaml) -> Result<Applied, ControlError> {
        let ApplyYaml { yaml, base, host, dry_run } = command;
        let service = host.and_then(|host| documents::service(self.control.known(), &host));
        let gone = service.map(|service| documents::keys(&self.control.configuration(), service));
        let gone = gone.unwrap_or_default();
        if dry_run {
            let report = self.aside(move |host| host.would_be(&gone, &yaml)).await??;
            return Ok(Applied { report, ..Applied::default() });
        }
        let before = self.control.revision();
        let mut outcome = self.control.replace(&gone, &yaml, PAGE, base).await?;
        outcome.report.findings.extend(self.control.never_matched_of(yaml).await);
        Ok(self.applied(outcome, before, true))
    }

    fn would_be(&self, gone: &[ResourceKey], yaml: &str) -> Result<ApplyReport, ControlError> {
        let (configuration, mut report) = self.control.replaced(gone, yaml)?;
        crate::control::something(&report)?;
        let policy = configuration.compile(self.control.known(), self.control.revision() + 1);
        report.findings.extend(never_matched_in(&self.mesh, &policy, &configuration, yaml));
        Ok(report)
    }

    async fn delete(&self, key: &ResourceKey, base: Option<u64>) -> Result<Outcome, ControlError> {
        let unknown = || istio::NotFound { kind: "resource", name: key.name.clone(), meant: None };
        let kind = Kind::parse(&key.kind).ok_or_else(unknown)?;
        let name = format!("{}/{}", key.namespace, key.name);
        self.control.delete_at(kind, &name, PAGE, base).await
    }

    /// What is found out of the policy that would be in force with a text in the place of the
    /// host's: requests that are gone through, rule by rule, take their time too.
    async fn tried<T: Send + 'static>(
        &self,
        host: &str,
        yaml: String,
        find: impl FnOnce(&Self, &Policy) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let service = self.service(host)?.clone();
        bounded(&yaml)?;
        let tried = self.aside(move |host| {
            let (configuration, _) = host.replaced(&service, &yaml)?;
            let number = host.control.revision() + 1;
            Ok(find(host, &configuration.compile(host.control.known(), number)))
        });
        tried.await.flatten().map_err(failed)
    }

    /// Every resource in force, by kind and name.
    fn resources(&self, configuration: &Configuration) -> Vec<ResourceRow> {
        let (known, policy) = (self.control.known(), self.mesh.in_force().policy);
        let row = |resource: &Arc<istio::Resource>| ResourceRow {
            key: resource.key().clone(),
            hosts: standing::hosts(resource.root()),
            page: documents::page_of(known, resource.root()).map(str::to_owned),
            standing: standing::of(&policy, resource.key(), resource.root()),
        };
        configuration.resources().map(row).collect()
    }

    /// The page of all hosts, with one resource opened.
    fn overview(
        &self,
        hosts: Vec<contract::traffic::HostRow>,
        open: Option<&str>,
    ) -> Result<TrafficView, ApiError> {
        let configuration = self.control.configuration();
        let opened = open.map(|address| {
            let mut resources = configuration.resources();
            let found = resources.find(|resource| {
                let ResourceKey { kind, namespace, name } = resource.key();
                format!("{kind}/{namespace}/{name}") == address
            });
            let missing = || ApiError::NotFound { what: format!("resource {address}") };
            found.map(|found| (found.key().clone(), found.print())).ok_or_else(missing)
        });
        Ok(TrafficView {
            hosts,
            resources: self.resources(&configuration),
            opened: opened.transpose()?,
            revision: self.control.revision(),
            route: None,
        })
    }
}

/// As much as the API applies at once.
fn bounded(yaml: &str) -> Result<(), ApiError> {
    if yaml.len() <= YAML_BYTES_MAX {
        return Ok(());
    }
    let reason = format!("At most {YAML_BYTES_MAX} bytes are applied at once; apply it in parts.");
    Err(ApiError::Invalid { fields: vec![FieldError::new("yaml", reason)] })
}

fn failed(error: ControlError) -> ApiError {
    let reason = format!("{error}.");
    match error {
        ControlError::Conflict { .. } => ApiError::Conflict { reason },
        ControlError::NotFound(_) | ControlError::NoRevision(_) => {
            ApiError::NotFound { what: reason.trim_start_matches("there is no ").into() }
        }
        ControlError::Refused(_) | ControlError::Nothing | ControlError::Emptied => {
            ApiError::Invalid { fields: vec![FieldError::new("yaml", reason)] }
        }
        ControlError::Store(_)
        | ControlError::Busy
        | ControlError::Full
        | ControlError::Interrupted => ApiError::Unavailable { reason },
    }
}

#[async_trait]
impl TrafficPort for TrafficHost {
    async fn page(
        &self,
        host: Option<String>,
        open: Option<String>,
    ) -> Result<TrafficView, ApiError> {
        let configuration = self.control.configuration();
        let hosts = views::hosts(self.control.known(), &configuration, &self.mesh);
        let Some(host) = host else {
            return self.overview(hosts, open.as_deref());
        };
        let service = self.service(&host)?;
        let policy = self.mesh.in_force().policy;
        let decides = || {
            let key = standing::decides(&policy, &service.name)?;
            Some(documents::title(&key.namespace, &key.name))
        };
        let chosen = open.or_else(decides).unwrap_or_default();
        let (text, of) = (documents::text(&configuration, service), service.clone());
        let applied = self.view(move |host| host.read(&of, text, &chosen)).await;
        let applied = applied.map_err(failed)?;
        let revisions = self.revisions.of(&self.control, &host);
        let window = Window {
            before: self.live.a_minute_ago(),
            now: Minute::now(&self.mesh, self.control.now_us()),
        };
        let lanes = self.live.lanes(&service.name);
        let route = views::route(service, applied, revisions, &self.mesh, &window, lanes);
        let revision = route.revision;
        Ok(TrafficView { hosts, resources: Vec::new(), opened: None, revision, route: Some(route) })
    }

    async fn draft(
        &self,
        host: String,
        yaml: String,
        edit: Option<FormEdit>,
        service: String,
    ) -> Result<Draft, ApiError> {
        let known = self.service(&host)?.clone();
        bounded(&yaml)?;
        let text = match (edit, documents::read(&yaml)) {
            (Some(edit), Some(documents)) => write_form::text(&documents, &edit, &host),
            _ => yaml,
        };
        self.aside(move |host| host.read(&known, text, &service)).await.map_err(failed)
    }

    async fn change(&self, command: ChangeTraffic) -> Result<Applied, ApiError> {
        if let ChangeTraffic::Apply(ApplyYaml { yaml, .. }) = &command {
            bounded(yaml)?;
        }
        let before = self.control.revision();
        let changed = match command {
            ChangeTraffic::Restore(restore) => {
                let restored = self.control.restore_at(restore.number, PAGE, restore.base).await;
                restored.map(|outcome| self.applied(outcome, before, true))
            }
            ChangeTraffic::Delete(delete) => {
                let deleted = self.delete(&delete.key, delete.base).await;
                deleted.map(|outcome| self.applied(outcome, before, true))
            }
            ChangeTraffic::Apply(apply) => self.apply(apply).await,
        };
        match changed {
            Err(ControlError::Refused(refused)) => {
                Ok(Applied { report: refused.report, ..Applied::default() })
            }
            changed => changed.map_err(failed),
        }
    }

    async fn set_faithful(&self, command: SetFaithful) -> Result<Applied, ApiError> {
        let SetFaithful { virtual_service, route, on } = command;
        let before = self.control.revision();
        let switched = self.control.set_faithful(&virtual_service, &route, on, PAGE).await;
        switched.map(|outcome| self.applied(outcome, before, true)).map_err(failed)
    }

    async fn dry_run(&self, host: String, yaml: String) -> Result<DryRun, ApiError> {
        let tried = self.tried(&host, yaml, |host, policy| host.mesh.dry_run(policy)).await?;
        Ok(views::dry_run(tried))
    }

    async fn probe(
        &self,
        host: String,
        yaml: String,
        request: ProbeRequest,
    ) -> Result<ProbeVerdict, ApiError> {
        let probe = views::probe(&host, &request)?;
        self.tried(&host, yaml, move |_, policy| views::verdict(&mesh::explain(policy, &probe)))
            .await
    }

    async fn revision(&self, host: String, number: u64) -> Result<String, ApiError> {
        let service = self.service(&host)?;
        let configuration = self.control.configuration_at(number);
        let configuration = configuration.map_err(|error| failed(error.into()))?;
        Ok(documents::text(&configuration, service))
    }

    async fn balance(&self, host: String, asked: AskBalance) -> Result<BalanceView, ApiError> {
        let service = self.service(&host)?.clone();
        let (control, mesh) = (self.control.clone(), self.mesh.clone());
        let told = move || balance::one(&control, &mesh, &service, &asked);
        self.control.look(told).await.map_err(failed)?
    }
}
