//! The kill switch as the page holds and releases it: kept, whether or not who asked stays.

use super::ResilienceHost;
use crate::{
    control::Control,
    instances::{BASELINE, known},
    live::Live,
    shop::Shop,
};
use app::host::ResiliencePort;
use base::{Clock, IdSource, Supervisor};
use contract::{ApiError, resilience::EndFaults};
use std::time::Duration;
use storage::Durability;
use telemetry::{Telemetry, TelemetryConfig};

struct World {
    host: ResilienceHost,
    supervisor: Supervisor,
    folder: tempfile::TempDir,
}

impl World {
    async fn at(folder: tempfile::TempDir) -> Self {
        let clock = Clock::system();
        let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
        let (supervisor, _ends) = Supervisor::new();
        let ids = IdSource::seeded(1);
        let shop = Shop::assemble(stores, &supervisor, clock.clone(), ids).await.unwrap();
        let (mesh, log) = (shop.mesh.clone(), shop.stores.revisions.clone());
        let known = known(&mesh);
        let opened = Control::open(mesh, clock, known, log, BASELINE, &supervisor).await;
        let control = opened.unwrap();
        let (telemetry, _, _) = Telemetry::detached(TelemetryConfig::default()).unwrap();
        let live = Live::new(shop.clone(), telemetry.clone(), control.clone(), "run");
        let host = ResilienceHost::new(shop, control, live, telemetry);
        Self { host, supervisor, folder }
    }

    async fn restart(self) -> Self {
        assert!(self.supervisor.shutdown(Duration::from_secs(20)).await);
        self.host.shop.stores.close().await;
        drop(self.host);
        Self::at(self.folder).await
    }

    fn is_held(&self) -> bool {
        self.host.shop.mesh.faults().killed_us().is_some()
    }
}

// On one thread: what is begun goes on only when the test waits, after who asked is gone.
#[tokio::test]
async fn the_kill_switch_is_kept_also_of_who_went_away_meanwhile() {
    let mut world = World::at(tempfile::tempdir().unwrap()).await;
    for (command, held) in [(EndFaults::All, true), (EndFaults::Release, false)] {
        let slow = world.host.control.keeps_nothing_meanwhile().await;
        let mut asked = world.host.end_faults(command);
        assert!(futures::poll!(&mut asked).is_pending());
        drop((asked, slow));
        world = world.restart().await;
        assert_eq!(world.is_held(), held);
    }
    assert!(world.supervisor.shutdown(Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_switch_that_cannot_be_kept_holds_and_says_so() {
    let world = World::at(tempfile::tempdir().unwrap()).await;
    world.host.shop.stores.close().await;
    let refused = world.host.end_faults(EndFaults::All).await.unwrap_err();
    let ApiError::Unavailable { reason } = refused else { panic!("{refused:?}") };
    assert!(reason.starts_with("All faults are ended, but not kept"), "{reason}");
    assert!(world.is_held());
    assert!(world.supervisor.shutdown(Duration::from_secs(20)).await);
}
