//! Faults asked for from the page, and what may not be asked for.

use super::{breakers, faults, strips};
use axum::{Router, http::StatusCode, routing::get};
use base::Clock;
use contract::{
    ApiError,
    resilience::{
        BreakerChange, BreakerSettings, BreakerState, ChangeBreaker, CrashPoint, FaultKind,
        InjectFault, TrialVerdict,
    },
    traffic::MatchTerm,
};
use mesh::{BreakerParams, Endpoint, Instance, Mesh, Phase};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn mesh() -> Mesh {
    let mesh = Mesh::new(Clock::system(), BreakerParams::default());
    mesh.register("payments", Router::new());
    mesh
}

/// One instance that answers everything with 200.
fn mesh_of(service: &str, name: &str) -> Mesh {
    let mesh = Mesh::new(Clock::system(), BreakerParams::default());
    mesh.add_instance(Instance {
        service: service.to_owned(),
        name: name.to_owned(),
        labels: vec![],
        endpoint: Endpoint::Router(Router::new().fallback(async || ())),
    });
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
    let partial = InjectFault { after_bytes: Some(7), ..asked(FaultKind::PartialBody) };
    for fault in FaultKind::ALL.map(asked).into_iter().chain([partial]) {
        let kind = fault.kind;
        let id = mesh.faults().inject(faults::spec(&fault, &mesh).unwrap()).unwrap();
        let view = faults::view(&mesh.faults().get(id).unwrap(), &mesh.in_force().policy);
        assert_eq!(view.kind, kind);
        assert!(view.until_us.is_some(), "{kind:?} ends");
        let again = faults::spec(&view.again.unwrap(), &mesh).unwrap();
        let first = mesh.faults().get(id).unwrap().spec;
        assert_eq!(format!("{again:?}"), format!("{first:?}"), "the same can be injected again");
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
    assert_eq!(field(&|fault| fault.limit = Some(0)), "limit");
    assert_eq!(field(&|fault| fault.to = "paymnts".into()), "to");
    assert_eq!(field(&|fault| fault.to = String::new()), "to");
    assert_eq!(field(&|fault| fault.subset = "v9".into()), "subset");
    let on_instance = InjectFault { like_istio: true, ..asked(FaultKind::KillInstance) };
    assert_eq!(field(&|fault| fault.clone_from(&on_instance)), "like_istio");
    let terms = vec![MatchTerm { name: "x-user".into(), ..MatchTerm::default() }];
    let on_bus = InjectFault { kind: FaultKind::MessageLoss, terms, ..asked(FaultKind::Abort) };
    assert_eq!(field(&|fault| fault.clone_from(&on_bus)), "terms");
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

#[tokio::test]
async fn a_bank_that_is_to_crash_is_up_until_a_transaction_comes_to_the_point() {
    let mesh = mesh_of("bank-merchant", "bank-merchant-v1-1");
    let stop = CancellationToken::new();
    let following = faults::follow_instances(mesh.clone(), stop.clone());
    tokio::pin!(following);
    assert!(futures::poll!(&mut following).is_pending());
    let asked = InjectFault {
        to: "bank-merchant".into(),
        instance: "bank-merchant-v1-1".into(),
        crash_at: Some(CrashPoint::AfterVote),
        ..asked(FaultKind::KillInstance)
    };
    let id = mesh.faults().inject(faults::spec(&asked, &mesh).unwrap()).unwrap();
    assert!(futures::poll!(&mut following).is_pending());
    assert_eq!(mesh.endpoints()[0].phase, Phase::Ready, "it waits");
    assert!(faults::outages(&mesh).is_empty());
    let view = || faults::view(&mesh.faults().get(id).unwrap(), &mesh.in_force().policy);
    assert_eq!((view().what.as_str(), view().then.as_str()), ("Crash after vote", "ends"));
    let ask = |path: &'static str| {
        let caller = mesh.caller("payments");
        async move { caller.post("bank-merchant", path).send().await }
    };
    assert!(ask("/transactions/tx-1/finish").await.is_ok(), "that is another point");
    assert!(ask("/transactions/tx-1/prepare").await.is_ok(), "its vote gets out");
    assert!(ask("/transactions/tx-1/finish").await.is_err(), "and the decision does not arrive");
    assert!(futures::poll!(&mut following).is_pending());
    assert_eq!(mesh.endpoints()[0].phase, Phase::Killed);
    assert_eq!(view().then, "restarts");
    let outages = faults::outages(&mesh);
    assert_eq!((outages.len(), outages[0].killed), (1, true));
    let again = view().again.and_then(|again| again.crash_at);
    assert_eq!(again, Some(CrashPoint::AfterVote));
    mesh.faults().end_all();
    assert!(futures::poll!(&mut following).is_pending());
    assert_eq!(mesh.endpoints()[0].phase, Phase::Ready);
}

#[test]
fn only_a_bank_crashes_at_a_point_of_a_two_phase_commit_and_every_point_can_be_chosen() {
    let bank = mesh_of("bank-merchant", "bank-merchant-v1-1");
    for point in CrashPoint::ALL {
        let fault = InjectFault { crash_at: Some(point), ..asked(FaultKind::KillInstance) };
        let refused = faults::spec(&fault, &mesh()).unwrap_err();
        assert!(matches!(refused, ApiError::Invalid { fields } if fields[0].field == "instance"));
        let (to, instance) = ("bank-merchant".into(), "bank-merchant-v1-1".into());
        let fault = InjectFault { to, instance, ..fault };
        let id = bank.faults().inject(faults::spec(&fault, &bank).unwrap()).unwrap();
        let status = bank.faults().get(id).unwrap();
        let view = faults::view(&status, &bank.in_force().policy);
        assert_eq!(view.again.and_then(|again| again.crash_at), Some(point));
        let to = "bank-merchant".into();
        let delayed = InjectFault { to, crash_at: Some(point), ..asked(FaultKind::Delay) };
        let refused = faults::spec(&delayed, &bank).unwrap_err();
        assert!(matches!(refused, ApiError::Invalid { fields } if fields[0].field == "crash_at"));
    }
}

#[test]
fn the_id_of_a_breaker_names_its_edge() {
    let edge = breakers::edge("orders~payments~v2");
    assert_eq!((&*edge.caller, &*edge.destination), ("orders", "payments"));
    assert_eq!(edge.subset.as_deref(), Some("v2"));
    assert_eq!(breakers::edge("orders~users").subset, None);
}

#[test]
fn a_fault_is_said_in_words_with_its_place() {
    let mesh = mesh();
    let said = |fault: InjectFault| {
        let id = mesh.faults().inject(faults::spec(&fault, &mesh).unwrap()).unwrap();
        let view = faults::view(&mesh.faults().get(id).unwrap(), &mesh.in_force().policy);
        format!("{}; {}; {}", view.what, view.place, view.then)
    };
    assert_eq!(said(asked(FaultKind::Delay)), "Delay 2 s on 10%; payments; ends");
    let kill = "Kill instance; payments-0; restarts";
    assert_eq!(said(asked(FaultKind::KillInstance)), kill);
    let from = InjectFault { from: "payments".into(), ..asked(FaultKind::MessageLoss) };
    assert_eq!(said(from), "Message loss on 10%; payments → payments; ends");
    let bus = InjectFault { to: String::new(), ..asked(FaultKind::MessageDelay) };
    assert_eq!(said(bus), "Message delay 2 s on 10%; bus; ends");
}

#[tokio::test]
async fn a_breaker_shows_who_holds_it_and_takes_only_the_thresholds_it_has() {
    let mesh = mesh();
    let _ = mesh.caller("orders").get("payments", "/").send().await;
    let id = "orders~payments".to_owned();
    let change = |change| {
        let command = ChangeBreaker { id: id.clone(), change };
        breakers::change(mesh.breaker_control(), &breakers::edge(&id), &command)
    };
    let card = || breakers::card(&mesh.breakers()[0], i64::MAX);
    let settings = card().settings;
    assert_eq!((settings.failures_in_a_row, settings.wait_ms), (5, 60_000));
    let other = BreakerSettings { failures_in_a_row: 3, wait_ms: 2_500 };
    change(BreakerChange::Thresholds(other)).unwrap();
    assert_eq!(card().settings, other);
    assert_eq!(card().history[0].why, "thresholds: 5 in a row, 60 s → 3 in a row, 2.5 s, by page");
    let wrong = [
        BreakerSettings { failures_in_a_row: 0, ..settings },
        BreakerSettings { failures_in_a_row: 101, ..settings },
        BreakerSettings { wait_ms: 0, ..settings },
        BreakerSettings { wait_ms: 3_600_001, ..settings },
    ];
    for wrong in wrong {
        assert!(matches!(change(BreakerChange::Thresholds(wrong)), Err(ApiError::Invalid { .. })));
    }
    assert_eq!(card().settings, other, "what is refused changes nothing");
    assert!(change(BreakerChange::ForceOpen(3_601)).is_err());
    change(BreakerChange::ForceOpen(300)).unwrap();
    let line = card().line;
    assert_eq!((line.state, line.half_open_at_us), (BreakerState::Open, None));
    assert_eq!(line.forced.map(|forced| forced.to), Some(BreakerState::Open));
    change(BreakerChange::Release).unwrap();
    assert_eq!((card().line.state, card().line.forced), (BreakerState::Closed, None));
    assert!(matches!(change(BreakerChange::Release), Err(ApiError::Conflict { .. })));
    change(BreakerChange::ForceOpen(300)).unwrap();
    change(BreakerChange::Reset).unwrap();
    let card = card();
    assert_eq!((card.line.state, card.line.forced), (BreakerState::Closed, None));
    let steps: Vec<_> = card.history.iter().map(|step| (step.from, step.to, &*step.why)).collect();
    let (open, closed) = (BreakerState::Open, BreakerState::Closed);
    let expected =
        [(open, closed, "reset, by page"), (closed, open, "forced open for 300 s, by page")];
    assert_eq!(steps[..2], expected);
    assert_eq!(steps[2], (open, closed, "no longer held, by page"));
}

/// A service whose `/bad` answers 503, behind a breaker that opens at three and waits ten seconds.
fn failing() -> Mesh {
    let params = BreakerParams { failure_threshold: 3, open_for: Duration::from_secs(10) };
    let mesh = Mesh::new(Clock::tokio(1_000_000_000), params);
    let bad = || async { StatusCode::SERVICE_UNAVAILABLE };
    let router = Router::new().route("/bad", get(bad)).route("/good", get(|| async {}));
    mesh.register("recommendations", router);
    mesh
}

async fn calls(mesh: &Mesh, paths: &[&str]) {
    for path in paths {
        let _ = mesh.caller("gateway").get("recommendations", *path).send().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_card_tells_the_run_of_failures_that_opens_it_and_not_failures_elsewhere() {
    let mesh = failing();
    let card = || breakers::card(&mesh.breakers()[0], 1_000_000_000);
    calls(&mesh, &["/bad", "/bad", "/good", "/bad"]).await;
    let line = card().line;
    assert_eq!((&*line.marks, line.opens_at, line.distance), ("xxox", 3, Some(2)));
    assert_eq!(app::model::breaker::distance(&line), "2 more in a row open it");
    let outcomes: Vec<_> = card().window.into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, ["503", "503", "200", "503"], "each call says what came back");
    calls(&mesh, &["/bad", "/bad"]).await;
    let line = card().line;
    assert_eq!((line.state, line.distance), (BreakerState::Open, None));
    assert_eq!(app::model::breaker::run_text(&line), "3 failed in a row");
    assert_eq!(card().history[0].why, "3 failed in a row");
}

#[tokio::test(start_paused = true)]
async fn a_card_blames_no_fault_of_a_call_that_was_answered_all_the_same() {
    let mesh = failing();
    let inject = |kind| {
        let spec = mesh::fault::FaultSpec {
            kind,
            scope: mesh::fault::FaultScope::default(),
            share: istio::policy::Share::ALL,
            ttl: Duration::from_secs(60),
            limit: Some(1),
            like_istio: false,
            by: "test".into(),
        };
        mesh.faults().inject(spec).unwrap().to_string()
    };
    let held = inject(mesh::fault::FaultKind::Delay(Duration::from_millis(100)));
    calls(&mesh, &["/good"]).await;
    // None that is tried again.
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let abort = || mesh::fault::FaultKind::Abort { status, grpc_status: None };
    // Another call failed by a fault, and the run was broken: it did not open the breaker.
    inject(abort());
    calls(&mesh, &["/good", "/good"]).await;
    let hit = inject(abort());
    calls(&mesh, &["/good", "/bad", "/bad"]).await;
    let card = breakers::card(&mesh.breakers()[0], 1_000_000_000);
    assert_eq!((card.line.state, card.causes), (BreakerState::Open, vec![hit]));
    assert_eq!(card.window[0].fault_id, Some(held), "it is told at the call itself");
}

#[tokio::test(start_paused = true)]
async fn an_open_card_tells_what_it_refuses_what_happens_instead_and_how_each_trial_went() {
    let mesh = failing();
    calls(&mesh, &["/bad", "/bad", "/bad"]).await;
    tokio::time::advance(Duration::from_secs(4)).await;
    calls(&mesh, &["/good"; 8]).await;
    let card = |seconds: i64| breakers::card(&mesh.breakers()[0], (1_000 + seconds) * 1_000_000);
    let open = card(4);
    assert_eq!((open.refused, open.refused_per_second), (8, 2.0));
    assert_eq!(open.meanwhile, "products come without recommendations");
    assert!(open.trials.is_empty());
    tokio::time::advance(Duration::from_secs(6)).await;
    calls(&mesh, &["/bad"]).await;
    tokio::time::advance(Duration::from_secs(10)).await;
    calls(&mesh, &["/good"]).await;
    let closed = card(20);
    let verdicts: Vec<_> = closed.trials.iter().map(|trial| trial.verdict).collect();
    assert_eq!(verdicts, [TrialVerdict::Failed, TrialVerdict::Passed]);
    assert_eq!((closed.line.state, closed.refused_per_second), (BreakerState::Closed, 0.0));
    calls(&mesh, &["/bad", "/bad", "/bad"]).await;
    assert!(card(20).trials.is_empty(), "trials are those since it opened");
}

#[test]
fn a_fault_is_limited_broken_off_answered_by_grpc_and_known_by_who_asked() {
    let mesh = mesh();
    let spec = |fault: &InjectFault| faults::spec(fault, &mesh).unwrap();
    let next = InjectFault { limit: Some(1), by: "marie@pc".into(), ..asked(FaultKind::Delay) };
    let id = mesh.faults().inject(spec(&next)).unwrap();
    let status = mesh.faults().get(id).unwrap();
    assert_eq!(status.spec.limit, Some(1));
    assert_eq!(faults::view(&status, &mesh.in_force().policy).by, "marie@pc");
    let own = spec(&asked(FaultKind::Delay));
    assert_eq!((own.limit, &*own.by), (None, "page"));
    let grpc = InjectFault { grpc_status: "UNAVAILABLE".into(), ..asked(FaultKind::Abort) };
    assert_eq!(spec(&grpc).kind.to_string(), "abort gRPC 14");
    let partial = InjectFault { after_bytes: Some(7), ..asked(FaultKind::PartialBody) };
    assert_eq!(spec(&partial).kind.to_string(), "partial body, 7 bytes");
    for (wrong, field) in [
        (InjectFault { limit: Some(1), ..asked(FaultKind::KillInstance) }, "limit"),
        (InjectFault { grpc_status: "14".into(), ..asked(FaultKind::Delay) }, "grpc_status"),
        (InjectFault { grpc_status: "UNAVAILBLE".into(), ..grpc.clone() }, "grpc_status"),
        (InjectFault { grpc_status: "OK".into(), ..grpc.clone() }, "grpc_status"),
        (InjectFault { after_bytes: Some(1), ..asked(FaultKind::Hang) }, "after_bytes"),
        (InjectFault { route: "a/b".into(), ..asked(FaultKind::Hang) }, "route"),
    ] {
        let Err(ApiError::Invalid { fields }) = faults::spec(&wrong, &mesh) else {
            panic!("{wrong:?} was taken");
        };
        assert_eq!(fields[0].field, field);
    }
}

#[test]
fn a_fault_of_one_route_names_a_route_in_force() {
    let mesh = mesh();
    let known = crate::instances::known(&mesh);
    let text = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split}
spec:
  hosts: [payments]
  http:
  - name: canary
    match: [{headers: {x-canary: {exact: '1'}}}]
    route: [{destination: {host: payments}}]
  - route: [{destination: {host: payments}}]
";
    let applied = istio::Configuration::default().apply(text, &known).unwrap();
    mesh.apply(std::sync::Arc::new(applied.configuration.compile(&known, 1)));
    let on = |route: &str, to: &str| InjectFault {
        route: route.into(),
        to: to.into(),
        ..asked(FaultKind::Abort)
    };
    for route in ["split/canary", "default/split/canary"] {
        let scope = faults::spec(&on(route, ""), &mesh).unwrap().scope;
        let (origin, name) = scope.route.unwrap();
        assert_eq!((&*origin.kind, &*origin.name, &*name), ("VirtualService", "split", "canary"));
        assert_eq!(scope.destination, None);
    }
    assert!(faults::spec(&on("split/#2", "payments"), &mesh).unwrap().scope.destination.is_some());
    let wrong = faults::spec(&on("split/canry", ""), &mesh).unwrap_err();
    assert!(wrong.to_string().contains("split/canary"), "{wrong}");
}

#[test]
fn a_fault_of_a_resource_keeps_its_names_when_the_resource_is_gone() {
    let mesh = mesh();
    let known = crate::instances::known(&mesh);
    let put_in_force = |text: &str, revision: u64| {
        let applied = istio::Configuration::default().apply(text, &known).unwrap();
        mesh.apply(std::sync::Arc::new(applied.configuration.compile(&known, revision)));
    };
    let resource = |name: &str, spec: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: {name}}}\nspec: {spec}\n---\n"
        )
    };
    let abort = "fault: {abort: {httpStatus: 503, percentage: {value: 10}}}";
    let to = "route: [{destination: {host: payments}}]";
    let alone = resource(
        "fault-injection",
        &format!("{{hosts: [payments], http: [{{name: all, {abort}, {to}}}]}}"),
    );
    // A rule of a delegate is one of the service of its root.
    let root = "{hosts: [payments], http: [{name: root, delegate: {name: leaf}}]}";
    let leaf = format!("{{http: [{{name: all, {abort}, {to}}}]}}");
    let delegated = format!("{}{}", resource("root", root), resource("leaf", &leaf));
    for (revision, text, route) in [(1, alone, "all"), (3, delegated, "root-all")] {
        put_in_force(&text, revision);
        let active = faults::all(&mesh).active.remove(0);
        put_in_force("", revision + 1);
        let ended = faults::all(&mesh).ended.remove(0);
        assert!(ended.ended_us.is_some() && ended.id == active.id);
        for fault in [active, ended] {
            assert_eq!(fault.to, "payments");
            assert_eq!(fault.place, format!("payments, route {route}"));
            assert_eq!(fault.object.as_deref(), Some("/traffic/payments?view=yaml"));
        }
    }
}

#[tokio::test]
async fn who_only_looks_is_no_traffic_of_the_layers() {
    let mesh = mesh_of("orders", "orders-0");
    let look = mesh.caller(contract::service::DASHBOARD).look("orders", "/held");
    assert_eq!(look.send().await.unwrap().status(), StatusCode::OK);
    let before = strips::Counted::default();
    assert!(strips::strips(&mesh, &before).is_empty());
    mesh.caller("gateway").get("orders", "/held").send().await.unwrap();
    let strips = strips::strips(&mesh, &before);
    assert_eq!(strips.len(), 1, "{strips:?}");
    assert_eq!((&*strips[0].from, strips[0].layers[0].of), ("gateway", 1));
}

#[tokio::test]
async fn a_fault_on_what_only_resources_know_leads_to_a_page_that_there_is() {
    use mesh::fault::{FaultKind, FaultScope, FaultSpec};
    let mesh = mesh_of("orders", "orders-0");
    let object = |to: &str, route: Option<&str>| {
        let origin = istio::policy::Origin {
            kind: "VirtualService".into(),
            namespace: "default".into(),
            name: "echo".into(),
        };
        let spec = FaultSpec {
            kind: FaultKind::Delay(Duration::from_millis(100)),
            scope: FaultScope {
                destination: Some(to.into()),
                route: route.map(|route| (origin, route.into())),
                routed: route.map(|_| to.into()),
                ..FaultScope::default()
            },
            share: istio::policy::Share::ALL,
            ttl: Duration::from_secs(60),
            limit: None,
            like_istio: false,
            by: "test".to_owned(),
        };
        mesh.faults().inject(spec).unwrap();
        let view = faults::all(&mesh).active.remove(0);
        mesh.faults().end_all();
        mesh.faults().release();
        view.object
    };
    assert_eq!(object("users", None).as_deref(), Some("/traffic/users"));
    assert_eq!(object("stripe", None).as_deref(), Some("/traffic/stripe"));
    assert_eq!(object("echo.internal", None), None);
    // A rule of it is among the resources, as long as there is one.
    assert_eq!(object("echo.internal", Some("all")), None);
}
