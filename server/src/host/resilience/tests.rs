//! Faults asked for from the page, and what may not be asked for.

use super::{breakers, faults};
use axum::Router;
use base::Clock;
use contract::{
    ApiError,
    resilience::{FaultKind, InjectFault},
};
use mesh::{BreakerParams, Mesh, Phase};
use tokio_util::sync::CancellationToken;

fn mesh() -> Mesh {
    let mesh = Mesh::new(Clock::system(), BreakerParams::default());
    mesh.register("payments", Router::new());
    mesh
}

fn asked(kind: FaultKind) -> InjectFault {
    InjectFault {
        kind,
        to: "payments".into(),
        instance: "payments-0".into(),
        percent: 10.0,
        delay_ms: 2_000,
        jitter_ms: 500,
        status: 503,
        ttl_s: 60,
        ..InjectFault::default()
    }
}

#[test]
fn every_kind_the_page_offers_is_injected_and_shown_as_what_it_is() {
    let mesh = mesh();
    for kind in FaultKind::ALL {
        let id = mesh.faults().inject(faults::spec(&asked(kind), &mesh).unwrap()).unwrap();
        let view = faults::view(&mesh.faults().get(id).unwrap());
        assert_eq!(view.kind, kind);
        assert!(view.until_us.is_some(), "{kind:?} ends");
    }
}

#[test]
fn a_fault_without_an_end_or_a_place_is_refused_with_the_field() {
    let mesh = mesh();
    let field = |change: &dyn Fn(&mut InjectFault)| {
        let mut fault = asked(FaultKind::Abort);
        change(&mut fault);
        match faults::spec(&fault, &mesh) {
            Err(ApiError::Invalid { fields }) => fields[0].field.clone(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(field(&|fault| fault.ttl_s = 0), "ttl_s");
    assert_eq!(field(&|fault| fault.percent = 0.0), "percent");
    assert_eq!(field(&|fault| fault.percent = f64::NAN), "percent");
    assert_eq!(field(&|fault| fault.status = 99), "status");
    assert_eq!(field(&|fault| fault.to = "paymnts".into()), "to");
}

#[tokio::test]
async fn a_killed_instance_is_down_until_the_fault_ends() {
    let mesh = mesh();
    let stop = CancellationToken::new();
    let following = faults::follow_instances(mesh.clone(), stop.clone());
    tokio::pin!(following);
    // Begin to listen before the fault begins.
    assert!(futures::poll!(&mut following).is_pending());
    let spec = faults::spec(&asked(FaultKind::KillInstance), &mesh).unwrap();
    mesh.faults().inject(spec).unwrap();
    assert!(futures::poll!(&mut following).is_pending());
    assert_eq!(mesh.endpoints()[0].phase, Phase::Killed);
    mesh.faults().end_all();
    assert!(futures::poll!(&mut following).is_pending());
    assert_eq!(mesh.endpoints()[0].phase, Phase::Ready);
}

#[test]
fn the_id_of_a_breaker_names_its_edge() {
    let edge = breakers::edge("orders~payments~v2");
    assert_eq!((&*edge.caller, &*edge.destination), ("orders", "payments"));
    assert_eq!(edge.subset.as_deref(), Some("v2"));
    assert_eq!(breakers::edge("orders~users").subset, None);
}
