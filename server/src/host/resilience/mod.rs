//! The port of the Resilience page: breakers, endpoints, layers and faults of the mesh.

mod breakers;
mod endpoints;
mod expect;
pub(crate) mod faults;
#[cfg(test)]
mod tests;

pub(crate) use breakers::lines as breaker_lines;
pub(crate) use endpoints::lines as endpoint_lines;

use crate::shop::Shop;
use app::host::ResiliencePort;
use async_trait::async_trait;
use contract::{
    ApiError, FieldError,
    resilience::{
        BreakerLine, ChangeBreaker, EndFaults, Expectation, FaultView, FaultsView, InjectFault,
        ResilienceView,
    },
};
use mesh::fault::InjectError;
use telemetry::Telemetry;

/// Who injects and forces from the page.
const PAGE: &str = "page";

pub(super) struct ResilienceHost {
    shop: Shop,
    telemetry: Telemetry,
}

impl ResilienceHost {
    pub(super) fn new(shop: Shop, telemetry: Telemetry) -> Self {
        Self { shop, telemetry }
    }
}

pub(super) fn invalid(field: &str, reason: impl Into<String>) -> ApiError {
    ApiError::Invalid { fields: vec![FieldError::new(field, reason.into())] }
}

#[async_trait]
impl ResiliencePort for ResilienceHost {
    async fn page(&self) -> Result<ResilienceView, ApiError> {
        let mesh = &self.shop.mesh;
        Ok(ResilienceView {
            breakers: mesh.breakers().iter().map(breakers::card).collect(),
            endpoints: endpoints::rows(mesh),
            strips: endpoints::strips(mesh),
        })
    }

    async fn expect(&self, fault: InjectFault) -> Result<Expectation, ApiError> {
        let rates = self.telemetry.map(self.shop.clock.now_us());
        let endpoints = self.shop.mesh.endpoints();
        Ok(expect::expectation(&fault, &rates.edges, &endpoints))
    }

    async fn inject(&self, fault: InjectFault) -> Result<FaultView, ApiError> {
        let spec = faults::spec(&fault, &self.shop.mesh)?;
        let all = self.shop.mesh.faults();
        let id = all.inject(spec).map_err(|error| match error {
            InjectError::Killed => ApiError::Conflict {
                reason: "Faults are held off by the kill switch. Release it first.".into(),
            },
            InjectError::TooMany => ApiError::Conflict { reason: format!("{error}.") },
            InjectError::Ttl => invalid("ttl_s", error.to_string()),
            InjectError::Share => invalid("percent", error.to_string()),
            InjectError::Range => invalid("jitter_ms", error.to_string()),
        })?;
        let begun = all.get(id).map(|status| faults::view(&status));
        begun.ok_or_else(|| ApiError::Internal { reason: format!("{id} is not known.") })
    }

    async fn end_faults(&self, command: EndFaults) -> Result<FaultsView, ApiError> {
        let all = self.shop.mesh.faults();
        match command {
            EndFaults::One(id) => {
                let parsed = id.parse();
                let id = parsed.map_err(|_| ApiError::NotFound { what: format!("fault {id}") })?;
                // One that has ended already is no error.
                if !all.remove(id) && all.get(id).is_none() {
                    return Err(ApiError::NotFound { what: format!("fault {id}") });
                }
            }
            EndFaults::All => drop(all.end_all()),
            EndFaults::Release => all.release(),
        }
        Ok(faults::all(all, self.shop.clock.now_us()))
    }

    async fn change_breaker(&self, command: ChangeBreaker) -> Result<BreakerLine, ApiError> {
        let edge = breakers::edge(&command.id);
        breakers::change(self.shop.mesh.breaker_control(), &edge, &command)?;
        let found = self.shop.mesh.breakers();
        let found = found.iter().find(|status| breakers::id(status) == command.id);
        let missing = || ApiError::NotFound { what: format!("breaker {}", command.id) };
        found.map(breakers::line).ok_or_else(missing)
    }
}
