//! The port of the Traffic page: Istio resources as text and form, tried, applied, restored.

mod documents;
mod read_form;
#[cfg(test)]
mod tests;
mod views;
mod write_form;

use crate::control::{Control, ControlError, Outcome};
use app::host::TrafficPort;
use async_trait::async_trait;
use contract::{
    ApiError, FieldError,
    istio::ApplyReport,
    traffic::{
        Applied, ApplyYaml, ChangeTraffic, Draft, DryRun, ProbeRequest, ProbeVerdict,
        REVISIONS_MAX, RouteForm, SetFaithful, TrafficView,
    },
};
use istio::KnownService;
use mesh::Mesh;

/// Who changes something from the page.
const PAGE: &str = "page";

pub(super) struct TrafficHost {
    control: Control,
    mesh: Mesh,
}

impl TrafficHost {
    pub(super) fn new(control: Control, mesh: Mesh) -> Self {
        Self { control, mesh }
    }

    fn service(&self, host: &str) -> Result<&KnownService, ApiError> {
        let found = documents::service(self.control.known(), host);
        found.ok_or_else(|| ApiError::NotFound { what: format!("host {host}") })
    }

    /// What a text says.
    fn read(&self, text: String) -> Draft {
        let report = match self.control.dry_run(&text) {
            Ok(outcome) => outcome.report,
            Err(ControlError::Refused(refused)) => refused.report,
            Err(_) => ApplyReport::default(),
        };
        let documents = documents::read(&text);
        let form = documents.as_deref().map(read_form::form);
        let passed = form.as_ref().map(|form| views::passed(form, &report)).unwrap_or_default();
        Draft { yaml: text, form, findings: report.findings, passed }
    }

    fn applied(&self, outcome: Outcome, changed: bool) -> Applied {
        let proxies = u32::try_from(self.mesh.endpoints().len()).unwrap_or(u32::MAX);
        Applied {
            revision: changed.then_some(outcome.revision),
            since_request: changed.then_some(outcome.since_request),
            // All read the same snapshot.
            in_sync: (proxies, proxies),
            lagging: Vec::new(),
            report: outcome.report,
        }
    }

    async fn apply(&self, command: ApplyYaml) -> Result<Applied, ControlError> {
        let ApplyYaml { yaml, base, host, dry_run } = command;
        if dry_run {
            return Ok(self.applied(self.control.dry_run(&yaml)?, false));
        }
        let service = host.and_then(|host| documents::service(self.control.known(), &host));
        let gone = service.map(|service| documents::keys(&self.control.configuration(), service));
        let outcome = self.control.replace(&gone.unwrap_or_default(), &yaml, PAGE, base).await?;
        Ok(self.applied(outcome, true))
    }

    /// The policy that would be in force with a text.
    fn tried(&self, yaml: &str) -> Result<istio::policy::Policy, ApiError> {
        let (configuration, known) = (self.control.configuration(), self.control.known());
        let applied = configuration.apply(yaml, known).map_err(|refused| ApiError::Invalid {
            fields: vec![FieldError::new("yaml", refused.to_string())],
        })?;
        Ok(applied.configuration.compile(known, self.control.revision() + 1))
    }
}

fn failed(error: ControlError) -> ApiError {
    let reason = format!("{error}.");
    match error {
        ControlError::Conflict { .. } => ApiError::Conflict { reason },
        ControlError::NotFound(_) | ControlError::NoRevision(_) => {
            ApiError::NotFound { what: reason.trim_start_matches("there is no ").into() }
        }
        ControlError::Refused(_) => {
            ApiError::Invalid { fields: vec![FieldError::new("yaml", reason)] }
        }
        ControlError::Store(_) | ControlError::Interrupted => ApiError::Unavailable { reason },
    }
}

#[async_trait]
impl TrafficPort for TrafficHost {
    async fn page(&self, host: Option<String>) -> Result<TrafficView, ApiError> {
        let configuration = self.control.configuration();
        let hosts = views::hosts(self.control.known(), &configuration, &self.mesh);
        let Some(host) = host else {
            return Ok(TrafficView { hosts, route: None });
        };
        let service = self.service(&host)?;
        let applied = self.read(documents::text(&configuration, service));
        let revisions = self.control.revisions(REVISIONS_MAX);
        let route = views::route(service, applied, revisions, &self.mesh, self.control.now_us());
        Ok(TrafficView { hosts, route: Some(route) })
    }

    async fn draft(
        &self,
        host: String,
        yaml: String,
        form: Option<RouteForm>,
    ) -> Result<Draft, ApiError> {
        self.service(&host)?;
        let text = match (form, documents::read(&yaml)) {
            (Some(form), Some(documents)) => write_form::text(&documents, &form, &host),
            _ => yaml,
        };
        Ok(self.read(text))
    }

    async fn change(&self, command: ChangeTraffic) -> Result<Applied, ApiError> {
        let changed = match command {
            ChangeTraffic::Restore(number) => {
                let restored = self.control.restore(number, PAGE).await;
                restored.map(|outcome| self.applied(outcome, true))
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
        let switched = self.control.set_faithful(&virtual_service, &route, on, PAGE).await;
        switched.map(|outcome| self.applied(outcome, true)).map_err(failed)
    }

    async fn dry_run(&self, host: String, yaml: String) -> Result<DryRun, ApiError> {
        self.service(&host)?;
        let policy = self.tried(&yaml)?;
        Ok(views::dry_run(self.mesh.dry_run(&policy)))
    }

    async fn probe(
        &self,
        host: String,
        yaml: String,
        request: ProbeRequest,
    ) -> Result<ProbeVerdict, ApiError> {
        self.service(&host)?;
        let policy = self.tried(&yaml)?;
        let probe = views::probe(&host, &request)?;
        Ok(views::verdict(&mesh::explain(&policy, &probe)))
    }

    async fn revision(&self, host: String, number: u64) -> Result<String, ApiError> {
        let service = self.service(&host)?;
        let configuration = self.control.configuration_at(number);
        let configuration = configuration.map_err(|error| failed(error.into()))?;
        Ok(documents::text(&configuration, service))
    }
}
