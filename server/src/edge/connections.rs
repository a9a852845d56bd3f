//! Connections: accepted up to a bound, served with a time for every head, ended in two stages.
//!
//! What is served is not its business.

use super::{
    linger::{leftovers, linger},
    patient::Patient,
};
use axum::{Router, extract::ConnectInfo};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at once: every viewer of the stream and more than half as many again, with the
/// databases' files still below the 1,024 that many systems allow a process.
const CONNECTIONS_MAX: usize = 800;
/// A request's head must be there so long after the connection waits for it. It also ends
/// connections that are kept open without a use.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head of a request, bytes; a longer one is answered 431. Heads are read into memory
/// before anybody can refuse them: 800 connections take at most 50 MB for them.
const HEAD_BYTES_MAX: usize = 64 * 1_024;
/// What is under way at the stop has so long to end; commands it began go on without it.
const DRAIN: Duration = Duration::from_secs(5);
/// What is answered must be read on after this, or the connection is closed: who asks and does not
/// read would keep its place for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the system could not accept (it may have no more files).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    connections: usize,
    head: Duration,
    drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS_MAX, head: HEAD_TIMEOUT, drain: DRAIN }
    }
}

/// Connections closed at once because there were too many. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct RefusedConnections(Arc<AtomicU64>);

impl RefusedConnections {
    /// So far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves until `stop` fires; then what is under way may end, and what does not is cut.
pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    refused: RefusedConnections,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::error!("no connection can be accepted: {error}");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(ACCEPT_PAUSE) => continue,
                }
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            refused.0.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let serving = connection((stream, peer), app.clone(), limits.head, stop.clone());
        let cut = cut.clone();
        connections.spawn(async move {
            let _place = place;
            tokio::select! {
                () = cut.cancelled() => {}
                () = serving => {}
            }
        });
    }
    // Who comes now is refused by the system.
    drop(listener);
    connections.close();
    if timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!("{} connections did not end in time and are cut", connections.len());
        cut.cancel();
        connections.wait().await;
    }
}

/// The other side went away before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    app: Router,
    head: Duration,
    stop: CancellationToken,
) {
    // Who is at the other end, for what is counted or allowed by address.
    let app = TowerToHyperService::new(app);
    let (left, leftovers) = leftovers();
    let app = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.call(linger(request, &left))
    });
    // Frames of the stream are small and should not wait for company; it works without.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(HEAD_BYTES_MAX)
        // Who has nothing more to send may say so and still wait for the answer; one who went away
        // altogether is found out when it is written.
        .half_close(true)
        .serve_connection(TokioIo::new(Patient::new(stream, WRITE_TIMEOUT)), app);
    let mut connection = pin!(connection);
    let serving = async {
        tokio::select! {
            served = connection.as_mut() => served,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    // The service has the other end, and goes with the connection.
    let reading = async {
        leftovers.read().await;
        std::future::pending().await
    };
    let served = tokio::select! {
        served = serving => served,
        served = reading => served,
    };
    if let Err(error) = served {
        // The other side's doing; it knows.
        tracing::debug!("a connection ended early: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::linger::LINGER_BYTES_MAX;
    use axum::{
        body::Bytes,
        extract::DefaultBodyLimit,
        routing::{get, post},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::mpsc,
        task::JoinSet,
        time::Instant,
    };

    const LIMITS: Limits =
        Limits { connections: 1, head: Duration::from_secs(30), drain: Duration::from_secs(5) };
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A served app. Time stands still unless everything waits for it.
    struct World {
        address: SocketAddr,
        refused: RefusedConnections,
        stop: CancellationToken,
        serving: JoinSet<()>,
    }

    impl World {
        async fn of(app: Router) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (refused, stop) = (RefusedConnections::default(), CancellationToken::new());
            let mut serving = JoinSet::new();
            serving.spawn(serve(listener, app, LIMITS, refused.clone(), stop.clone()));
            Self { address, refused, stop, serving }
        }

        /// What is answered, until the other side closes or one answer is there.
        async fn ask(&self) -> (TcpStream, String) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let (mut answer, mut buffer) = (String::new(), [0; 1_024]);
            // Who is refused may find the connection closed in the middle of anything.
            let _ = stream.write_all(REQUEST).await;
            while let Ok(count) = stream.read(&mut buffer).await
                && count > 0
            {
                answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                if answer.ends_with("hello") {
                    break;
                }
            }
            (stream, answer)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_too_long_is_refused() {
        let mut status = Vec::new();
        for (bytes, end) in [(HEAD_BYTES_MAX / 2, "\r\n\r\n"), (HEAD_BYTES_MAX, "")] {
            let world = World::of(Router::new().route("/", get(|| async { "hello" }))).await;
            let mut stream = TcpStream::connect(world.address).await.unwrap();
            let mut request = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ".to_owned();
            // No more than is read: a connection that is closed before may lose its answer.
            request.push_str(&"x".repeat(bytes - request.len()));
            request.push_str(end);
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            status.push(String::from_utf8(answer.to_vec()).unwrap());
        }
        assert_eq!(status, ["HTTP/1.1 200", "HTTP/1.1 431"]);
    }

    /// Sends a whole request with a body of so many bytes, and only then reads. The status line, or
    /// why there is none.
    async fn status_after_sending(world: &World, bytes: usize) -> Result<String, io::Error> {
        let mut stream = TcpStream::connect(world.address).await?;
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&vec![b'x'; bytes]).await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        Ok(String::from_utf8_lossy(&status).into_owned())
    }

    #[tokio::test]
    async fn who_sends_more_than_is_taken_hears_so_and_who_sends_without_measure_is_cut() {
        let small = DefaultBodyLimit::max(64 * 1_024);
        let app = Router::new().route("/", post(async |_: Bytes| "taken").layer(small));
        let status = async |bytes| {
            let world = World::of(app.clone()).await;
            status_after_sending(&world, bytes).await
        };
        let told = status(6 * 1_024 * 1_024).await;
        assert_eq!(told.as_deref().ok(), Some("HTTP/1.1 413"), "{told:?}");
        let cut = status(4 * usize::try_from(LINGER_BYTES_MAX).unwrap()).await;
        assert!(cut.is_err(), "{cut:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_beyond_the_bound_is_closed_and_counted() {
        let world = World::of(Router::new().route("/", get(|| async { "hello" }))).await;
        let (first, answer) = world.ask().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        let (_, answer) = world.ask().await;
        assert_eq!((answer.as_str(), world.refused.count()), ("", 1));
        // When the first has gone there is room again.
        drop(first);
        let mut tries = 0;
        while world.ask().await.1.is_empty() {
            tries += 1;
            assert!(tries < 1_000, "the place stays taken");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_ends_the_connection() {
        let world = World::of(Router::new()).await;
        let began = Instant::now();
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(&REQUEST[..20]).await.unwrap();
        let mut answer = Vec::new();
        // Closed with or without a word.
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(began.elapsed().as_secs(), LIMITS.head.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_and_does_not_read_keeps_no_place() {
        // More than the buffers of both systems hold.
        let large = || async { vec![b'x'; 64 * 1_024 * 1_024] };
        let app = Router::new().route("/large", get(large)).route("/", get(|| async { "hello" }));
        let world = World::of(app).await;
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        // The answer has begun, and so the connection has the place.
        stream.read_exact(&mut [0; 12]).await.unwrap();
        let began = Instant::now();
        while world.ask().await.1.is_empty() {
            assert!(began.elapsed() < 10 * WRITE_TIMEOUT, "the place stays taken");
            sleep(Duration::from_secs(1)).await;
        }
        assert!(began.elapsed() >= WRITE_TIMEOUT, "it is waited for: {:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_closes_its_sending_half_after_the_request_has_its_answer_all_the_same() {
        let slow = get(|| async {
            sleep(Duration::from_secs(1)).await;
            "hello"
        });
        let world = World::of(Router::new().route("/", slow)).await;
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_after_the_stop_is_cut() {
        let (entered, mut entries) = mpsc::channel(1);
        let hanging = get(async move || {
            entered.send(()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut world = World::of(Router::new().route("/", hanging)).await;
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        entries.recv().await.unwrap();
        let began = Instant::now();
        world.stop.cancel();
        world.serving.join_next().await.unwrap().unwrap();
        assert_eq!(began.elapsed().as_secs(), LIMITS.drain.as_secs());
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_without_a_request_do_not_hold_up_the_stop() {
        let mut world = World::of(Router::new().route("/", get(|| async { "hello" }))).await;
        let (_kept_alive, answer) = world.ask().await;
        assert!(answer.ends_with("hello"), "{answer}");
        let began = Instant::now();
        world.stop.cancel();
        world.serving.join_next().await.unwrap().unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
