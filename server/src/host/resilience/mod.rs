//! The port of the Resilience page: breakers, endpoints, layers and faults of the mesh.

mod breakers;
mod callee;
mod endpoints;
mod expect;
mod fallback;
pub(crate) mod fault_fields;
pub(crate) mod faults;
mod strips;
#[cfg(test)]
mod switch_tests;
#[cfg(test)]
mod tests;
mod what_if;

pub(crate) use breakers::lines as breaker_lines;
pub(crate) use endpoints::lines as endpoint_lines;
pub(super) use faults::outages;
pub(crate) use strips::{Counted, catch_all, host_of};

use crate::{
    control::{Control, SwitchError},
    live::Live,
    shop::Shop,
};
use app::host::ResiliencePort;
use async_trait::async_trait;
use contract::{
    ApiError, FieldError,
    resilience::{
        BreakerLine, ChangeBreaker, EndFaults, Expectation, FAULTS_MAX, FaultView, FaultsView,
        InjectFault, ResilienceView, TryThresholds, WhatIfView,
    },
};
use mesh::{BreakerStatus, fault::InjectError};
use shop::StoreError;
use telemetry::Telemetry;

/// Who injects and forces from the page.
const PAGE: &str = "page";

pub(super) struct ResilienceHost {
    shop: Shop,
    control: Control,
    live: Live,
    telemetry: Telemetry,
}

impl ResilienceHost {
    pub(super) fn new(shop: Shop, control: Control, live: Live, telemetry: Telemetry) -> Self {
        Self { shop, control, live, telemetry }
    }
}

/// The number of a fault could not be set aside.
fn unkept(error: &StoreError) -> ApiError {
    tracing::error!(%error, "a fault does not begin: its number cannot be kept");
    ApiError::Unavailable { reason: "The numbers of faults cannot be kept.".into() }
}

/// The kill switch does not stand as it was asked to, or will not after a restart.
fn unswitched(command: &EndFaults, error: &SwitchError) -> ApiError {
    if let SwitchError::Numbers(error) = error {
        return unkept(error);
    }
    tracing::error!(error = error as &dyn std::error::Error, "the kill switch is not as asked");
    let reason = match (command, error) {
        (EndFaults::Release, SwitchError::NotKept(_)) => {
            "The kill switch is released, but this was not kept: after a restart it is held again."
        }
        (EndFaults::Release, _) => "It is not known whether the kill switch is released.",
        _ => "All faults are ended, but not kept so: after a restart others may begin.",
    };
    ApiError::Unavailable { reason: reason.into() }
}

pub(super) fn invalid(field: &str, reason: impl Into<String>) -> ApiError {
    ApiError::Invalid { fields: vec![FieldError::new(field, reason.into())] }
}

#[async_trait]
impl ResiliencePort for ResilienceHost {
    async fn page(&self) -> Result<ResilienceView, ApiError> {
        let mesh = &self.shop.mesh;
        let now_us = self.shop.clock.now_us();
        let card = |status: &BreakerStatus| breakers::card(status, now_us);
        Ok(ResilienceView {
            breakers: mesh.breakers().iter().map(card).collect(),
            endpoints: endpoints::rows(mesh),
            strips: strips::strips(mesh, &self.live.counted_a_minute_ago()),
        })
    }

    async fn expect(&self, fault: InjectFault) -> Result<Expectation, ApiError> {
        // What would be refused says why here.
        faults::spec(&fault, &self.shop.mesh)?;
        let rates = self.telemetry.map(self.shop.clock.now_us());
        Ok(expect::expectation(&fault, &rates.edges, &self.shop.mesh))
    }

    async fn inject(&self, fault: InjectFault) -> Result<FaultView, ApiError> {
        let spec = faults::spec(&fault, &self.shop.mesh)?;
        let all = self.shop.mesh.faults();
        if all.active().len() >= FAULTS_MAX {
            let reason = format!("{FAULTS_MAX} faults are in force, which is the limit.");
            return Err(ApiError::Conflict { reason });
        }
        let begun = self
            .control
            .begin_faults(1, || all.inject(spec))
            .await
            .map_err(|error| unkept(&error))?;
        let id = begun.map_err(|error| match error {
            InjectError::Killed => ApiError::Conflict {
                reason: "Faults are held off by the kill switch. Release it first.".into(),
            },
            InjectError::TooMany => ApiError::Conflict { reason: format!("{error}.") },
            InjectError::Ttl => invalid("ttl_s", error.to_string()),
            InjectError::Share => invalid("percent", error.to_string()),
            InjectError::Range => invalid("jitter_ms", error.to_string()),
        })?;
        self.live.publish_mesh();
        let policy = self.shop.mesh.in_force().policy;
        let begun = all.get(id).map(|status| faults::view(&status, &policy));
        begun.ok_or_else(|| ApiError::Internal { reason: format!("{id} is not known.") })
    }

    async fn end_faults(&self, command: EndFaults) -> Result<FaultsView, ApiError> {
        let all = self.shop.mesh.faults();
        let switched = match &command {
            EndFaults::One(id) => {
                let parsed = id.parse();
                let id = parsed.map_err(|_| ApiError::NotFound { what: format!("fault {id}") })?;
                // One that has ended already is no error.
                if !all.remove(id) && all.get(id).is_none() {
                    return Err(ApiError::NotFound { what: format!("fault {id}") });
                }
                Ok(())
            }
            EndFaults::All => self.control.hold_kill_switch().await,
            EndFaults::Release => self.control.release_kill_switch().await,
        };
        // The page that is asked for next must not show what was before.
        self.live.publish_mesh();
        switched.map_err(|error| unswitched(&command, &error))?;
        Ok(faults::all(&self.shop.mesh))
    }

    async fn change_breaker(&self, command: ChangeBreaker) -> Result<BreakerLine, ApiError> {
        let edge = breakers::edge(&command.id);
        breakers::change(self.shop.mesh.breaker_control(), &edge, &command)?;
        self.live.publish_mesh();
        let found = self.shop.mesh.breakers();
        let found = found.iter().find(|status| breakers::id(status) == command.id);
        let missing = || ApiError::NotFound { what: format!("breaker {}", command.id) };
        found.map(breakers::line).ok_or_else(missing)
    }

    async fn what_if(&self, asked: TryThresholds) -> Result<WhatIfView, ApiError> {
        what_if::view(&self.shop.mesh, asked)
    }
}
