//! The life of the process: start, serve, and stop in two stages under one deadline.

use crate::{
    config::{Config, ConfigError, DataFolder},
    control::Control,
    edge::{self, Access, Edge, RefusedConnections},
    host, instances,
    live::Live,
    shop::Shop,
    temporary::{below, sweep},
};
use base::{Clock, IdSource, Supervisor, TaskEnd};
use contract::{service, shop::LoadChange};
use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use storage::{Durability, OpenError, Stores};
use telemetry::{ExportStats, Telemetry, TelemetryError, TelemetryGuard};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc, time::Instant};

/// Everything that is under way has so long to end.
const GRACE: Duration = Duration::from_secs(8);
/// Telemetry has so long to be sent after that.
const FLUSH: Duration = Duration::from_secs(3);

/// Why the program ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It was told something it cannot do.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A command to a running Vitrine failed.
    #[error(transparent)]
    Remote(#[from] crate::remote::RemoteError),
    /// The control plane cannot start.
    #[error("the resources of the mesh cannot be put in force: {0}")]
    Control(#[from] crate::control::ControlError),
    /// Telemetry cannot start.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The data cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A database that was kept cannot be read.
    #[error(
        "{error}: {}; its file is {}. Put a copy of the whole folder back, or choose another with \
         --data-dir, where a new shop begins",
        error.cause, file.display()
    )]
    Database {
        /// Whose, and what it said.
        error: shop::StoreError,
        /// Where it is.
        file: PathBuf,
    },
    /// The shop cannot start.
    #[error(transparent)]
    Start(#[from] crate::shop::StartError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}; choose another with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The system refused something basic.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    /// A task ended that should not have.
    #[error("{} ended unexpectedly{}", .0.name, if .0.panicked { " (it panicked)" } else { "" })]
    Task(TaskEnd),
    /// Something did not end in time.
    #[error("not everything ended within {} s of the stop", GRACE.as_secs())]
    Grace,
}

/// Says on standard error why the program ended.
#[expect(clippy::print_stderr, reason = "the one place that speaks to the terminal about failure")]
pub fn complain(error: &RunError) {
    eprintln!("vitrine: {error}");
}

/// The address is for the terminal and for scripts.
fn announce(lines: &[String]) {
    let mut stdout = io::stdout().lock();
    for line in lines {
        // A closed pipe on the other side is no reason to stop.
        let _ = writeln!(stdout, "{line}");
    }
    let _ = stdout.flush();
}

/// Runs until a signal or a failure.
///
/// # Errors
/// See [`RunError`].
pub fn run(config: Config) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(life(config));
    // Whatever did not end by itself is left behind.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn life(config: Config) -> Result<(), RunError> {
    let began = Instant::now();
    let Config { args, mut telemetry, data } = config;
    let clock = Clock::system();
    let seed = match args.seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?,
    };
    let ids = IdSource::seeded(seed);
    let run_id = ids.short("run", 8);
    telemetry.instance_id.clone_from(&run_id);
    let notices = std::mem::take(&mut telemetry.notices);
    let spans_to = telemetry.export.as_ref().map(telemetry::ExportConfig::told);
    let (telemetry, guard) = Telemetry::install(telemetry)?;
    notices.iter().for_each(|notice| tracing::warn!("{notice}"));
    let listener = listen(args.listen).await?;
    let address = listener.local_addr()?;
    let access = Access::new(address, args.token.clone())?;
    let data = Data::open(data, &clock).await?;
    let (supervisor, ends) = Supervisor::new();
    let (shop, control) = start(data.stores, &supervisor, clock, ids, args.load).await?;
    let live = Live::new(shop.clone(), telemetry.clone(), control.clone(), &run_id);
    let instances =
        host::resilience::faults::follow_instances(shop.mesh.clone(), supervisor.stopping());
    supervisor.spawn("instances", instances);
    let keeping = control.clone().follow_faults(supervisor.stopping());
    supervisor.spawn("faults-of-resources", keeping);
    supervisor.spawn("live-facts", live.clone().gather_facts(supervisor.stopping()));
    supervisor.spawn("live", live.clone().run(supervisor.stopping()));
    let host = host::host(&shop, &control, &live, &telemetry, args.jaeger_ui.clone());
    let (stores, mirrors) = (shop.stores.clone(), shop.mesh.mirrors().clone());
    let looking = telemetry.clone();
    let edge = Edge {
        browser: shop.mesh.caller(service::BROWSER),
        shop,
        control,
        live,
        telemetry,
        host,
        access: access.clone(),
        refused: RefusedConnections::default(),
        stop: supervisor.stopping(),
    };
    supervisor.spawn("edge", edge::serve(listener, edge));
    let mut lines = greeting(&access, address, began.elapsed(), &data.folder);
    lines.extend(spans_to);
    announce(&lines);
    let outcome = wait(ends).await;
    let ended = stop(&supervisor, guard, mirrors, &looking).await;
    // What cannot be closed in time is in the log of the databases all the same.
    let _ = tokio::time::timeout(FLUSH, stores.close()).await;
    outcome.and(ended)
}

/// The shop under the resources that are in force: they are before anything that a stop left in an
/// outbox or unfinished goes on.
async fn start(
    stores: Stores,
    supervisor: &Supervisor,
    clock: Clock,
    ids: IdSource,
    load: f64,
) -> Result<(Shop, Control), RunError> {
    let shop = Shop::assemble(stores, supervisor, clock.clone(), ids).await?;
    let known = instances::known(&shop.mesh);
    let log = shop.stores.revisions.clone();
    let (mesh, built_in) = (shop.mesh.clone(), instances::BASELINE);
    let control = Control::open(mesh, clock, known, log, built_in, supervisor).await?;
    // The configuration checked the range.
    let _ = shop.load.set(LoadChange::rate(load));
    shop.go(supervisor).await?;
    Ok((shop, control))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|cause| RunError::Listen { address, cause })
}

fn greeting(access: &Access, address: SocketAddr, took: Duration, folder: &Path) -> Vec<String> {
    let mut lines = vec![format!(
        "Vitrine is ready at {} after {} ms.",
        access.address(address),
        took.as_millis()
    )];
    if let Some(ip) = address.ip().is_unspecified().then(own_address).flatten() {
        let elsewhere = access.address(SocketAddr::new(ip, address.port()));
        lines.push(format!("Other machines open {elsewhere}."));
    }
    lines.push(format!("Its data is in {}. Ctrl C stops it.", folder.display()));
    if let Some(folder) = edge::site_root() {
        lines.push(format!("Styles and scripts are read from {}.", folder.display()));
    }
    if !edge::has_assets() {
        lines.push(
            "It was built without the browser's part (scripts/build-site): pages are read-only."
                .into(),
        );
    }
    lines
}

/// What this machine is called by others, if it is on a network: the address it would send from. A
/// socket for datagrams finds that out without sending any (the destination is of the documentation
/// addresses, RFC 5737).
fn own_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

/// Until somebody wants the end or a task brings it.
async fn wait(mut ends: mpsc::Receiver<TaskEnd>) -> Result<(), RunError> {
    tokio::select! {
        signal = signalled() => signal.map_err(RunError::System),
        Some(end) = ends.recv() => Err(RunError::Task(end)),
    }
}

#[cfg(unix)]
async fn signalled() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    // Its terminal went away: nobody will press Ctrl C any more.
    let mut hung_up = if outlives_terminal() { None } else { Some(signal(SignalKind::hangup())?) };
    let gone = async {
        match &mut hung_up {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
        _ = gone => Ok(()),
    }
}

/// Whether it was started to outlive its terminal (`nohup`): then the signal is ignored from the
/// beginning, and listening for it would undo that. Where that cannot be read, it stays as it is.
#[cfg(unix)]
fn outlives_terminal() -> bool {
    const HANGUP: u32 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask & (1 << (HANGUP - 1)) != 0)
}

#[cfg(not(unix))]
async fn signalled() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Streams end, nobody new comes in, what is under way ends; the edge cuts connections that do
/// not, well within the grace time. Telemetry goes last.
async fn stop(
    supervisor: &Supervisor,
    guard: TelemetryGuard,
    mirrors: mesh::mirror::Mirrors,
    telemetry: &Telemetry,
) -> Result<(), RunError> {
    let in_time = supervisor.shutdown(GRACE).await;
    // Copies write to the stores like any call; one that takes longer has nobody to answer.
    let _ = tokio::time::timeout(FLUSH, mirrors.shutdown()).await;
    let before = telemetry.export_stats();
    let export = before.clone();
    if let (Some(endpoint), true) = (export.endpoint, export.queue > 0) {
        let (last, within) = (spans(export.queue), FLUSH.as_secs());
        announce(&[format!("Sending the last {last} to {endpoint}, at most {within} s.")]);
    }
    guard.shutdown(FLUSH).await;
    announce(&not_taken(&before, &telemetry.export_stats()).into_iter().collect::<Vec<_>>());
    if in_time { Ok(()) } else { Err(RunError::Grace) }
}

fn spans(count: usize) -> String {
    if count == 1 { "span".to_owned() } else { format!("{count} spans") }
}

/// What became of the spans that waited for the collector at the end, if it did not take them.
fn not_taken(before: &ExportStats, after: &ExportStats) -> Option<String> {
    let taken = after.exported.saturating_sub(before.exported);
    let left = before.queue.saturating_sub(usize::try_from(taken).unwrap_or(usize::MAX));
    let said = match left {
        0 => return None,
        1 => "1 span was not taken".to_owned(),
        more => format!("{more} spans were not taken"),
    };
    Some(match &after.last_error {
        Some(why) => format!("{said}: {}.", why.trim_end_matches('.')),
        None => format!("{said}."),
    })
}

/// The opened data folder.
struct Data {
    stores: Stores,
    folder: PathBuf,
    /// Held to the end of the life, however it ends.
    _temporary: Option<TempDir>,
}

impl Data {
    async fn open(data: DataFolder, clock: &Clock) -> Result<Self, RunError> {
        let (folder, durability, temporary) = match data {
            DataFolder::Kept(folder) => (folder, Durability::Synced, None),
            DataFolder::Temporary => {
                let (parent, now_us) = (std::env::temp_dir(), clock.now_us());
                let temporary = below(&parent, now_us)
                    .map_err(|cause| OpenError::Folder { folder: parent.clone(), cause })?;
                // Beside the start: what is swept may be large.
                drop(tokio::task::spawn_blocking(move || sweep(&parent, now_us)));
                (temporary.path().to_owned(), Durability::Process, Some(temporary))
            }
        };
        let stores = storage::open(&folder, durability, clock).await;
        let stores = stores.map_err(|error| match error {
            OpenError::Database { error } if temporary.is_none() => {
                let file = folder.join(format!("{}.sqlite", error.service));
                RunError::Database { error, file }
            }
            error => error.into(),
        })?;
        Ok(Self { stores, _temporary: temporary, folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::TraceContext;
    use contract::{Money, order::Origin, service::PAYMENTS, shop::PaymentMethod};
    use messaging::NewMessage;
    use shop::orders::{
        NewOrder, OrderEvent,
        decide::{self, Input, MovePayment, OrderRecord},
    };

    #[test]
    fn what_the_collector_did_not_take_at_the_end_is_told_with_the_reason() {
        let stats = |queue, exported, why: Option<&str>| ExportStats {
            queue,
            exported,
            last_error: why.map(Into::into),
            ..ExportStats::default()
        };
        let told =
            |left, taken: u64, why| not_taken(&stats(left, 7, None), &stats(0, 7 + taken, why));
        assert_eq!(told(0, 0, Some("connection refused")), None, "nothing waited");
        assert_eq!(told(100, 100, None), None);
        assert_eq!(told(100, 130, None), None, "what ended meanwhile was taken too");
        let refused = told(100, 0, Some("connection refused")).unwrap();
        assert_eq!(refused, "100 spans were not taken: connection refused.");
        assert_eq!(told(100, 99, None).unwrap(), "1 span was not taken.");
    }

    /// Enough that a split of the versions is seen, few enough for one look of a relay.
    const WAITING: u64 = 60;

    /// An order whose only message is the command to pay for it.
    fn waiting(n: u64) -> NewOrder {
        let (order_id, user_id, amount) = (format!("ord-{n}"), "c-1001".to_owned(), Money::eur(1));
        let (method, trace) = (PaymentMethod::Wallet, TraceContext::default());
        let placed = OrderEvent::OrderPlaced {
            user_id: user_id.clone(),
            lines: vec![],
            total: amount,
            origin: Origin::Api,
            payment_method: method,
        };
        let record = OrderRecord { order_id: order_id.clone(), ..OrderRecord::default() };
        let mut change = decide::decide(&record, Input::Place(placed)).unwrap();
        let payment = MovePayment { user_id, amount, method, paid_by: None };
        let topic = shop::bus::PAYMENT_AUTHORIZE;
        change.messages = vec![NewMessage::new(topic, &order_id, "1", &payment)];
        NewOrder { order_id, correlation_id: "cor-1".into(), trace, key: None, change }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_waited_in_an_outbox_is_delivered_under_the_policy_that_is_in_force() {
        let clock = Clock::system();
        let data = Data::open(DataFolder::Temporary, &clock).await.unwrap();
        for n in 0..WAITING {
            data.stores.orders.place(waiting(n)).await.unwrap();
        }
        let (supervisor, _ends) = Supervisor::new();
        let ids = IdSource::seeded(1);
        let (shop, _control) = start(data.stores, &supervisor, clock, ids, 0.0).await.unwrap();
        let taken = |version: &str| -> u64 {
            let label = ("version".to_owned(), version.to_owned());
            let endpoints = shop.mesh.endpoints().into_iter();
            let of_version = endpoints.filter(|e| &*e.service == PAYMENTS);
            of_version.filter(|e| e.labels.contains(&label)).map(|e| e.requests).sum()
        };
        testkit::eventually(GRACE, "every command is taken", async || {
            (taken("v1") + taken("v2") >= WAITING).then_some(())
        })
        .await;
        assert_eq!(taken("v2"), 0, "the baseline gives version 2 of {PAYMENTS} no weight");
        assert!(supervisor.shutdown(GRACE).await, "something did not end");
    }

    #[tokio::test]
    async fn a_shop_that_did_not_start_leaves_no_temporary_folder_behind() {
        let data = Data::open(DataFolder::Temporary, &Clock::system()).await;
        let Ok(Data { stores, folder, _temporary: temporary }) = data else { panic!("a folder") };
        assert!(folder.join("orders.sqlite").is_file());
        // What follows the opening fails; what has the databases open still works in them.
        drop(temporary);
        assert!(!folder.exists(), "{} stays", folder.display());
        drop(stores);
    }
}
