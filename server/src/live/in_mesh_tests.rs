//! Telling what the mesh is like, from two places at once.

use super::*;
use crate::{
    control::Control,
    instances::{BASELINE, known},
    shop::Shop,
};
use base::{Clock, IdSource, Supervisor};
use istio::policy::Share;
use mesh::fault::{FaultKind, FaultScope, FaultSpec};
use std::{sync::mpsc, time::Duration};
use storage::Durability;
use telemetry::{Telemetry, TelemetryConfig};

/// Far longer than looking at the mesh takes: who does not wait for its turn is through by then.
const ALL_THE_TIME: Duration = Duration::from_millis(250);

/// A shop whose configuration was changed so many times before this run.
async fn live_after(changes: usize) -> (Live, Supervisor, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
    let (supervisor, _ends) = Supervisor::new();
    let ids = IdSource::seeded(1);
    let shop = Shop::assemble(stores, &supervisor, clock.clone(), ids).await.unwrap();
    let (mesh, log) = (shop.mesh.clone(), shop.stores.revisions.clone());
    let known = known(&mesh);
    let open = || {
        let (mesh, clock, known, log) = (mesh.clone(), clock.clone(), known.clone(), log.clone());
        Control::open(mesh, clock, known, log, BASELINE, &supervisor)
    };
    let mut control = open().await.unwrap();
    if changes > 0 {
        for change in 0..changes {
            let text = TIMEOUT.replace("TIMEOUT", &format!("{}s", change + 1));
            control.apply(&text, "before", None).await.unwrap();
        }
        control = open().await.unwrap();
    }
    let (telemetry, _, _) = Telemetry::detached(TelemetryConfig::default()).unwrap();
    (Live::new(shop, telemetry, control, "run"), supervisor, folder)
}

async fn live() -> (Live, Supervisor, tempfile::TempDir) {
    live_after(0).await
}

/// A resource that is another with each time that is put into it.
const TIMEOUT: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: users-before
spec:
  hosts: [users]
  http:
  - timeout: TIMEOUT
    route:
    - destination: {host: users}
";

#[tokio::test(flavor = "multi_thread")]
async fn revisions_of_an_earlier_run_are_marked_where_they_took_force_then() {
    let (live, supervisor, _folder) = live_after(2).await;
    let kept = live.control.revisions(REVISION_MARKS_MAX);
    live.publish_mesh();
    let told = live.state.lock().in_mesh.mesh.marks.clone();
    let at = |marks: &[RevisionMark]| marks.iter().map(|m| (m.number, m.at_us)).collect::<Vec<_>>();
    let mut expected: Vec<_> = kept.iter().map(|kept| (kept.number, kept.at_us)).collect();
    expected.reverse();
    assert_eq!((at(&told), expected.len()), (expected, 3));
    // Told again they are not told twice.
    live.publish_mesh();
    assert_eq!(live.state.lock().in_mesh.mesh.marks, told);
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tells_about_the_mesh_looks_at_it_after_whoever_is_telling_already() {
    let (live, supervisor, _folder) = live().await;
    // Given somebody who is telling, and another who wants to,
    let telling = live.telling_mesh.lock();
    let (done, is_done) = mpsc::sync_channel(1);
    let other = live.clone();
    let teller = tokio::task::spawn_blocking(move || {
        other.publish_mesh();
        done.send(())
    });
    assert!(is_done.recv_timeout(ALL_THE_TIME).is_err(), "it does not wait for its turn");
    // when something changes meanwhile,
    let spec = FaultSpec {
        kind: FaultKind::Hang,
        scope: FaultScope::default(),
        share: Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".to_owned(),
    };
    let id = live.shop.mesh.faults().inject(spec).unwrap();
    drop(telling);
    teller.await.unwrap().unwrap();
    // then the other has not looked before that.
    let told = live.state.lock().in_mesh.faults.active.clone();
    assert_eq!(told.iter().map(|fault| fault.id.clone()).collect::<Vec<_>>(), [id.to_string()]);
    live.shop.mesh.faults().end_all();
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}
