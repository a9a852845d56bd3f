//! Changes whoever waits for them, and what an apply says of the faults in it.

use super::*;
use axum::Router;
use contract::istio::{Finding, Severity};
use mesh::{
    BreakerParams,
    fault::{FaultId, FaultKind, FaultScope, FaultSpec, FaultStanding},
};
use storage::{Durability, Stores};
use testkit::eventually;

const PAYMENTS: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: payments
spec:
  hosts:
  - payments
  http:
  - route:
    - destination:
        host: payments
";

/// Ten percent of the calls are held, and five answered.
const FAULTY: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: payments
spec:
  hosts:
  - payments
  http:
  - fault:
      delay:
        percentage:
          value: 10
        fixedDelay: 2s
      abort:
        percentage:
          value: 5
        httpStatus: 503
    route:
    - destination:
        host: payments
";

struct World {
    control: Control,
    stores: Stores,
    supervisor: Supervisor,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap()).await
    }

    async fn at(folder: tempfile::TempDir) -> Self {
        let clock = Clock::system();
        let mesh = Mesh::new(clock.clone(), BreakerParams::default());
        mesh.register("payments", Router::new());
        let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
        let (supervisor, _ends) = Supervisor::new();
        let (known, log) = (crate::instances::known(&mesh), stores.revisions.clone());
        let control = Control::open(mesh, clock, known, log, PAYMENTS, &supervisor).await.unwrap();
        Self { control, stores, supervisor, folder }
    }

    async fn restart(self) -> Self {
        assert!(self.supervisor.shutdown(Duration::from_secs(5)).await);
        self.stores.close().await;
        drop(self.stores);
        Self::at(self.folder).await
    }

    /// What an apply says of faults.
    async fn told(&self, text: &str) -> Vec<Finding> {
        let outcome = self.control.apply(text, "test", None).await.unwrap();
        let findings = outcome.report.findings.into_iter();
        findings.filter(|finding| finding.code == istio::code::FAULT_LIFE).collect()
    }

    fn standings(&self) -> Vec<FaultStanding> {
        self.control.0.mesh.faults().asked().iter().map(|fault| fault.standing).collect()
    }
}

fn with_timeout(seconds: u32) -> String {
    format!("{PAYMENTS}    timeout: {seconds}s\n")
}

#[tokio::test]
async fn no_more_changes_wait_than_there_are_places_for_also_of_who_went_away() {
    let world = World::new().await;
    let making = world.control.0.changing.lock().await;
    for timeout in (1..).take(CHANGES_MAX) {
        let text = with_timeout(timeout);
        let apply = world.control.apply(&text, "gone", None);
        assert!(futures::poll!(Box::pin(apply)).is_pending());
    }
    let refused = world.control.apply(PAYMENTS, "test", None).await;
    assert!(matches!(refused, Err(ControlError::Busy)), "{refused:?}");
    drop(making);
    let last = with_timeout(99);
    let outcome = eventually(Duration::from_secs(20), "there is a place again", async || {
        world.control.apply(&last, "test", None).await.ok()
    });
    assert_eq!(outcome.await.revision, 1 + CHANGES_MAX as u64 + 1, "none of them was lost");
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_is_made_whole_and_the_next_one_too() {
    let world = World::new().await;
    for left in 1..=3 {
        // As a client that goes away: polled once, then dropped.
        let text = with_timeout(left);
        let apply = world.control.apply(&text, "gone", None);
        assert!(futures::poll!(Box::pin(apply)).is_pending());
    }
    let outcome = world.control.apply(&with_timeout(4), "test", None).await.unwrap();
    assert_eq!(outcome.revision, 5, "each is a revision");
    assert!(world.control.configuration().print().contains("timeout: 4s"));
    let saved = world.stores.revisions.load().await.unwrap();
    assert_eq!(saved.iter().map(|s| s.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(saved[1].who, "gone");
}

#[tokio::test]
async fn an_apply_says_until_when_its_faults_are_active_and_starts_anew_what_is_over() {
    let world = World::new().await;
    let told = world.told(FAULTY).await;
    assert_eq!(told.len(), 2);
    assert!(told[0].message.starts_with("The delay 2s of route #1 is active until "));
    assert!(told[0].message.ends_with(" UTC (F-1)."), "{}", told[0].message);
    let place = |told: &Finding| (told.path.clone(), told.at.line);
    assert_eq!(place(&told[0]), ("spec.http[0].fault.delay".into(), 13));
    assert_eq!(place(&told[1]), ("spec.http[0].fault.abort".into(), 17));
    assert_eq!(told[0].severity, Severity::Info);
    let faults = world.control.0.mesh.faults().clone();
    faults.active().iter().for_each(|fault| assert!(faults.remove(fault.id)));
    assert_eq!(world.standings(), [FaultStanding::Over, FaultStanding::Over]);
    let again = world.told(FAULTY).await;
    assert!(again[0].message.ends_with(" UTC (F-3)."), "{}", again[0].message);
    assert_eq!(faults.active().len(), 2, "although the text is unchanged");
    assert_eq!(world.control.revision(), 2, "which is no revision");
}

#[tokio::test]
async fn an_apply_while_the_kill_switch_is_on_says_so_and_its_faults_begin_on_release() {
    let world = World::new().await;
    let faults = world.control.0.mesh.faults().clone();
    faults.end_all();
    let told = world.told(FAULTY).await;
    assert_eq!(told[0].severity, Severity::Warning);
    let said = "not injected: the kill switch is on; it starts on release.";
    assert!(told[0].message.ends_with(said), "{}", told[0].message);
    assert!(faults.active().is_empty());
    faults.release();
    assert_eq!(faults.active().len(), 2);
}

#[tokio::test]
async fn a_restore_says_what_changed_and_until_when_the_faults_it_began_are_active() {
    let world = World::new().await;
    world.told(FAULTY).await;
    world.told(PAYMENTS).await;
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec: \
                   {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n";
    world.told(gateway).await;
    assert!(world.control.0.mesh.faults().active().is_empty());
    let report = world.control.restore(2, "test").await.unwrap().report;
    let changes: Vec<_> =
        report.resources.iter().map(|r| (r.resource.kind.as_str(), r.change)).collect();
    assert_eq!(changes, [("Gateway", Change::Deleted), ("VirtualService", Change::Configured)]);
    let told: Vec<_> =
        report.findings.iter().filter(|f| f.code == istio::code::FAULT_LIFE).collect();
    assert_eq!(told.len(), 2, "{:?}", report.findings);
    assert!(told[0].message.contains("is active until"), "{}", told[0].message);
    assert_eq!(told[0].path, "spec.http[0].fault.delay");
    let again = world.control.restore(2, "test").await.unwrap().report;
    assert!(again.resources.is_empty(), "nothing changed");
}

#[tokio::test]
async fn revisions_are_listed_in_parts() {
    let world = World::new().await;
    for seconds in 1..=4 {
        world.told(&with_timeout(seconds)).await;
    }
    let numbers = |before, limit| {
        let listed = world.control.revisions_before(before, limit);
        listed.into_iter().map(|revision| revision.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(u64::MAX, 2), [5, 4]);
    assert_eq!(numbers(4, 2), [3, 2]);
    assert_eq!(numbers(2, 2), [1]);
    assert_eq!(numbers(1, 2), [0; 0]);
}

#[tokio::test]
async fn a_restart_gives_a_fault_of_a_resource_no_new_time() {
    let world = World::new().await;
    world.told(FAULTY).await;
    let mut kept = world.stores.revisions.faults().await.unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    // A minute is left of one; the other is removed by hand.
    let until_us = world.control.now_us() + 60_000_000;
    kept.iter_mut().for_each(|fault| fault.until_us = Some(until_us));
    world.stores.revisions.keep_faults(kept).await.unwrap();
    let world = world.restart().await;
    let active = world.control.0.mesh.faults().active();
    assert_eq!(active.len(), 2);
    assert!(active.iter().all(|fault| (fault.until_us - until_us).abs() < 5_000_000));

    assert!(world.control.0.mesh.faults().remove(active[1].id));
    let keeping = world.control.clone().follow_faults(world.supervisor.stopping());
    world.supervisor.spawn("faults-of-resources", keeping);
    world.control.keep_faults().await;
    let world = world.restart().await;
    assert!(matches!(world.standings()[..], [FaultStanding::Active { .. }, FaultStanding::Over]));
}

/// Injects a fault that is over at once.
async fn inject(world: &World) -> Result<FaultId, StoreError> {
    let spec = FaultSpec {
        kind: FaultKind::Hang,
        scope: FaultScope::default(),
        share: istio::policy::Share::ALL,
        ttl: Duration::from_secs(60),
        limit: None,
        like_istio: false,
        by: "test".to_owned(),
    };
    let faults = world.control.0.mesh.faults();
    let id = world.control.begin_faults(1, || faults.inject(spec)).await?.unwrap();
    assert!(faults.remove(id));
    Ok(id)
}

#[tokio::test]
async fn the_numbers_of_faults_go_on_where_the_run_before_stopped() {
    let world = World::new().await;
    assert_eq!(inject(&world).await.unwrap(), FaultId(1));
    let world = world.restart().await;
    assert_eq!(inject(&world).await.unwrap(), FaultId(2));
    world.told(FAULTY).await;
    assert_eq!(inject(&world).await.unwrap(), FaultId(5), "two began with the resource");
    // They begin again, under numbers of their own.
    let world = world.restart().await;
    assert_eq!(world.control.0.mesh.faults().last_number(), 7);
    assert_eq!(inject(&world).await.unwrap(), FaultId(8));
    let faults = world.control.0.mesh.faults();
    faults.end_all();
    world.told(&FAULTY.replace("value: 10", "value: 20")).await;
    world.control.begin_faults(super::faults::FAULTS_MAX, || faults.release()).await.unwrap();
    assert_eq!(inject(&world).await.unwrap(), FaultId(11), "two waited for the release");
    let kept = world.stores.revisions.fault_numbers().await.unwrap();
    assert_eq!(kept, 11, "none is set aside that is not given");
}

#[tokio::test]
async fn a_fault_whose_number_cannot_be_kept_does_not_begin() {
    let world = World::new().await;
    world.stores.close().await;
    assert!(inject(&world).await.is_err());
    let faults = world.control.0.mesh.faults();
    assert_eq!((faults.last_number(), faults.ended().1), (0, 0));
}

#[tokio::test]
async fn a_text_without_an_object_is_refused_and_makes_no_revision() {
    let world = World::new().await;
    let before = world.control.revision();
    for text in ["", "\n", "---\n", "# only a comment\n"] {
        let refused = world.control.apply(text, "test", None).await;
        assert!(matches!(refused, Err(ControlError::Nothing)), "{text:?}");
        assert!(
            matches!(world.control.dry_run(text).await, Err(ControlError::Nothing)),
            "{text:?}"
        );
    }
    let foreign = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
    assert!(world.control.apply(foreign, "test", None).await.is_ok(), "not ours is not nothing");
    assert_eq!(world.control.revision(), before);
}

#[tokio::test]
async fn requests_go_on_while_a_text_is_read_checked_and_compiled() {
    let world = World::new().await;
    // The change waits for what only this thread can do: the one that carries requests.
    let (go_on, waits) = std::sync::mpsc::sync_channel(1);
    let change = world.control.change(move |control| {
        let came = waits.recv_timeout(Duration::from_secs(10));
        assert!(came.is_ok(), "nothing went on meanwhile");
        let report = ApplyReport::default();
        Ok((control.configuration(), report, Made { who: "ada".to_owned(), restored: None }))
    });
    let request = async move {
        tokio::task::yield_now().await;
        go_on.send(()).unwrap();
    };
    let (changed, ()) = tokio::join!(change, request);
    assert_eq!(changed.unwrap().revision, 1);
}

#[tokio::test]
async fn what_is_tried_does_not_wait_for_who_looks_nor_who_looks_for_it() {
    let world = World::new().await;
    let control = &world.control;
    let (ends, lasts) = std::sync::mpsc::sync_channel::<()>(1);
    let mut look = Box::pin(control.look(move || lasts.recv()));
    assert!(futures::poll!(&mut look).is_pending());
    let mut others: Vec<_> = (0..ASIDES_MAX).map(|_| Box::pin(control.look(|| ()))).collect();
    for other in &mut others {
        assert!(futures::poll!(other).is_pending(), "one looks at a time");
    }
    control.dry_run(PAYMENTS).await.unwrap();
    drop(ends);
    assert!(look.await.is_ok());
    for other in others {
        other.await.unwrap();
    }
    let tried = (0..ASIDES_MAX).map(|_| {
        let (ends, lasts) = std::sync::mpsc::sync_channel::<()>(1);
        (ends, Box::pin(control.aside(move || lasts.recv())))
    });
    let mut tried: Vec<_> = tried.collect();
    for (_, tried) in &mut tried {
        assert!(futures::poll!(tried).is_pending());
    }
    control.look(|| ()).await.unwrap();
    for (ends, tried) in tried {
        drop(ends);
        assert!(tried.await.is_ok());
    }
}

#[tokio::test]
async fn no_more_texts_wait_to_be_tried_than_there_are_places_for_and_pages_wait_for_none() {
    let world = World::new().await;
    let control = &world.control;
    // The first keep their places until they are told, the others find nobody who would tell them.
    let channels = (0..ASIDES_MAX + WAITING_MAX).map(|_| std::sync::mpsc::sync_channel::<()>(1));
    let (mut ends, lasts): (Vec<_>, Vec<_>) = channels.unzip();
    ends.truncate(ASIDES_MAX);
    let tried = lasts.into_iter().map(|lasts| control.aside(move || lasts.recv().is_ok()));
    let mut tried: Vec<_> = tried.map(Box::pin).collect();
    for tried in &mut tried {
        assert!(futures::poll!(tried).is_pending());
    }
    let refused = control.dry_run(PAYMENTS).await;
    assert!(matches!(refused, Err(ControlError::Full)), "{refused:?}");
    control.view(|| ()).await.unwrap();
    let [said] = &*control.never_matched_of(PAYMENTS.to_owned()).await else { panic!("one") };
    let why = "The rules were not compared with the last requests: too many texts are being tried.";
    assert_eq!((said.severity, &*said.message), (Severity::Info, why));
    // Who goes away while it waits leaves its place to another.
    drop(tried.pop());
    let mut next = Box::pin(control.dry_run(PAYMENTS));
    assert!(futures::poll!(&mut next).is_pending());
    drop(ends);
    // Places are given in the order in which they were asked for.
    let (next, tried) = futures::future::join(next, futures::future::join_all(tried)).await;
    assert!(next.is_ok() && tried.iter().all(Result::is_ok));
}

#[tokio::test]
async fn what_was_applied_is_compared_with_the_last_requests_without_a_place_of_the_pages() {
    let world = World::new().await;
    let control = &world.control;
    let channels = (0..VIEWS_MAX).map(|_| std::sync::mpsc::sync_channel::<()>(1));
    let (ends, lasts): (Vec<_>, Vec<_>) = channels.unzip();
    let views = lasts.into_iter().map(|lasts| control.view(move || lasts.recv().is_ok()));
    let mut views: Vec<_> = views.map(Box::pin).collect();
    for view in &mut views {
        assert!(futures::poll!(view).is_pending());
    }
    assert!(control.never_matched_of(PAYMENTS.to_owned()).await.is_empty());
    drop(ends);
    futures::future::join_all(views).await;
}

#[tokio::test]
async fn the_kill_switch_is_held_over_a_restart_and_faults_wait_until_it_is_released() {
    let mut world = World::new().await;
    let faults = |world: &World| world.control.0.mesh.faults().clone();
    world.control.hold_kill_switch().await.unwrap();
    let since_us = faults(&world).killed_us();
    world = world.restart().await;
    assert_eq!(faults(&world).killed_us(), since_us);
    world.control.apply(FAULTY, "test", None).await.unwrap();
    assert_eq!(world.standings(), [FaultStanding::Waiting, FaultStanding::Waiting]);
    world.control.release_kill_switch().await.unwrap();
    world = world.restart().await;
    assert_eq!(faults(&world).killed_us(), None);
}
