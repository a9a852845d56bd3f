//! The program as its user meets it on the terminal: what it is told, what it refuses and why, and
//! how it stops.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

use axum::{Router, body::Bytes};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use testkit::{Client, Launch, client::send, eventually, program::Finished};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine");
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// A stop that nobody has to wait for.
const QUICK: Duration = Duration::from_secs(3);

/// Every flag, with its environment variable.
const FLAGS: &[(&str, &str)] = &[
    ("--listen", "VITRINE_LISTEN"),
    ("--data-dir", "VITRINE_DATA_DIR"),
    ("--ephemeral", "VITRINE_EPHEMERAL"),
    ("--load", "VITRINE_LOAD"),
    ("--token", "VITRINE_TOKEN"),
    ("--seed", "VITRINE_SEED"),
    ("--jaeger-ui", "VITRINE_JAEGER_UI"),
];

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("the folder").next().is_none()
}

/// It ended with an error, said one sentence about it, and did not serve before.
fn assert_refused(what: &str, ended: &Finished, reason: &str) {
    assert!(!ended.status.success(), "{what} was accepted");
    assert!(ended.stderr.contains(reason), "{what}: {:?}", ended.stderr);
    assert_eq!(ended.stdout, "", "{what}");
    assert!(!ended.stderr.contains("panicked"), "{what}: {}", ended.stderr);
}

#[tokio::test]
async fn the_help_lists_every_flag_with_its_variable_and_nothing_else() {
    let help = Launch::new(PROGRAM).args(&["--help"]).finish().await;
    assert!(help.status.success());
    let listed = help.stdout.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let listed: BTreeSet<_> = listed.flat_map(|line| line.split([' ', ',', '='])).collect();
    let listed: BTreeSet<_> = listed.into_iter().filter(|word| word.starts_with("--")).collect();
    let known = FLAGS.iter().map(|(flag, _)| *flag).chain(["--help", "--version"]);
    assert_eq!(listed, known.collect());
    for (flag, variable) in FLAGS {
        assert!(help.stdout.contains(&format!("[env: {variable}")), "{flag} has no variable");
    }
    let version = Launch::new(PROGRAM).args(&["--version"]).finish().await;
    assert_eq!(version.stdout, format!("vitrine {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_bad_value_is_refused_with_the_reason_before_anything_starts() {
    for (flag, value, reason) in [
        ("--listen", "3000", "like 127.0.0.1:3000"),
        ("--listen", "127.0.0.1:99999", "like 127.0.0.1:3000"),
        ("--load", "201", "must be 0 to 200"),
        ("--seed", "x", "like 7"),
        ("--load", "-1", "must be 0 to 200"),
        ("--load", "NaN", "must be 0 to 200"),
        ("--load", "fast", "not a number"),
        ("--token", "short", "at least 16"),
        ("--token", "a token with blanks in it", "at least 16"),
        ("--seed", "-1", "whole number"),
        ("--seed", "18446744073709551616", "to 18446744073709551615"),
        ("--jaeger-ui", "localhost:16686", "must be an address"),
        ("--jaeger-ui", "javascript:alert(1)", "must be an address"),
        ("--ephemeral", "perhaps", "invalid"),
        ("--no-such-flag", "1", "unexpected argument"),
    ] {
        let data = folder();
        let inside = data.path().join("data");
        let as_flag = Launch::new(PROGRAM).env("VITRINE_DATA_DIR", &inside.to_string_lossy());
        let ended = as_flag.args(&[&format!("{flag}={value}")]).finish().await;
        assert_refused(flag, &ended, reason);
        // A value given twice is another mistake: the variable is tried where no flag is given.
        if let Some((_, variable)) = FLAGS.iter().find(|(known, _)| *known == flag) {
            let bare = Launch::new(PROGRAM).env("VITRINE_DATA_DIR", &inside.to_string_lossy());
            assert_refused(variable, &bare.env(variable, value).finish().await, reason);
        }
        assert!(is_empty(data.path()), "{flag}: something was begun");
    }
}

#[tokio::test]
async fn a_malformed_standard_variable_is_refused_by_name() {
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address"),
        ("VITRINE_LOG", "vitrine=loud"),
    ] {
        let data = folder();
        let shop = Launch::shop(PROGRAM, &data.path().join("data"), "0");
        assert_refused(variable, &shop.env(variable, value).finish().await, variable);
        assert!(is_empty(data.path()), "{variable}: something was begun");
    }
}

#[tokio::test]
async fn what_is_told_of_telemetry_at_start_is_where_it_goes_and_what_is_not_read() {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0"];
    let launch = Launch::new(PROGRAM).args(&throwaway).env("OTEL_METRICS_EXPORTER", "otlp");
    // Nobody listens there.
    let launch = launch.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let (mut program, client) = launch.start().await;
    let goes = "Spans go to http://127.0.0.1:9/v1/traces as OTLP over HTTP.";
    eventually(PATIENCE, goes, async || program.stdout().contains(goes).then_some(())).await;
    let ignored = "OTEL_METRICS_EXPORTER is ignored";
    eventually(PATIENCE, ignored, async || program.stderr().contains(ignored).then_some(())).await;
    assert_eq!(client.get("/api/v1/products").await.status, 200);
    let fails = "Spans do not reach";
    eventually(PATIENCE, fails, async || program.stderr().contains(fails).then_some(())).await;
    let line = program.stderr();
    let line = line.lines().find(|line| line.contains(fails)).unwrap_or_default().to_owned();
    assert_eq!(line.matches("127.0.0.1:9/").count(), 1, "said once: {line}");
    // A collector that is away keeps nobody waiting, and what it did not take is told.
    assert_eq!(client.get("/api/v1/products").await.status, 200);
    let asked = Instant::now();
    program.terminate();
    assert!(program.exit(PATIENCE).await.success());
    assert!(asked.elapsed() < QUICK, "{:?}", asked.elapsed());
    let last = async || program.stdout().contains(" not taken: ").then_some(());
    eventually(PATIENCE, "what was lost is told", last).await;
}

#[tokio::test]
async fn an_address_behind_a_slash_too_many_leads_to_its_page() {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0"];
    let (program, client) = Launch::new(PROGRAM).args(&throwaway).start().await;
    for page in ["/orders", "/traces", "/traffic", "/resilience"] {
        let answer = client.get(&format!("{page}/?status=confirmed")).await;
        assert_eq!(answer.status, 308, "{page}/");
        assert_eq!(answer.header("location"), format!("{page}?status=confirmed"));
        assert_eq!(client.get(page).await.status, 200);
    }
    assert_eq!(client.get("//evil.example/").await.status, 404);
    assert_eq!(client.post("/orders/", &Value::Null).await.status, 404, "no command is repeated");
    program.stop().await;
}

#[tokio::test]
async fn a_terminal_that_goes_away_stops_it_cleanly() {
    let data = folder();
    let (mut program, _client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
    program.signal("HUP");
    let status = program.exit(PATIENCE).await;
    assert!(status.success(), "it ended with {status}: {}", program.stderr());
}

#[tokio::test]
async fn two_programs_do_not_share_a_data_folder() {
    let data = folder();
    let (first, client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
    let second = Launch::shop(PROGRAM, data.path(), "0").finish().await;
    assert_refused("the second", &second, "another Vitrine uses the data folder");
    assert!(second.stderr.contains(&*data.path().to_string_lossy()), "{}", second.stderr);
    assert_eq!(client.get("/readyz").await.status, 200, "the first went down with it");
    first.stop().await;
    Launch::shop(PROGRAM, data.path(), "0").start().await.0.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let ended = Launch::new(PROGRAM).args(&["--listen", &address, "--ephemeral"]).finish().await;
    assert_refused("the port", &ended, &format!("cannot listen on {address}"));
    assert!(ended.stderr.contains("--listen"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_one_is_named() {
    let place = folder();
    let file = place.path().join("file");
    fs::write(&file, "not a folder").expect("a file");
    for bad in [file.clone(), file.join("below"), "/proc/vitrine".into()] {
        let ended = Launch::shop(PROGRAM, &bad, "0").finish().await;
        assert_refused(&bad.to_string_lossy(), &ended, "data folder");
        assert!(ended.stderr.contains(&*bad.to_string_lossy()), "{}", ended.stderr);
    }
    assert_eq!(fs::read_to_string(&file).expect("the file"), "not a folder");
}

#[tokio::test]
async fn a_broken_database_is_named_and_left_as_it_is() {
    for name in ["orders", "bank-customer"] {
        let data = folder();
        Launch::shop(PROGRAM, data.path(), "0").start().await.0.stop().await;
        let file = data.path().join(format!("{name}.sqlite"));
        let garbage = b"this was a database once".repeat(200);
        // Its log, which a stop leaves where the disk was too slow to close in time, holds every
        // page of a small database: with it SQLite would mend the file.
        for log in ["wal", "shm"] {
            let _ = fs::remove_file(data.path().join(format!("{name}.sqlite-{log}")));
        }
        fs::write(&file, &garbage).expect("a broken file");
        let ended = Launch::shop(PROGRAM, data.path(), "0").finish().await;
        assert_refused(name, &ended, &format!("the database of {name}"));
        assert!(ended.stderr.contains(&*file.to_string_lossy()), "{}", ended.stderr);
        assert!(ended.stderr.contains("--data-dir"), "no way out: {}", ended.stderr);
        assert_eq!(fs::read(&file).expect("the file"), garbage, "{name} was changed");
    }
}

#[tokio::test]
async fn asked_to_stop_it_says_goodbye_to_every_viewer_and_ends_at_once() {
    let data = folder();
    let (mut program, client) = Launch::shop(PROGRAM, data.path(), "20").start().await;
    let mut stream = client.stream("/ui/live").await;
    assert_eq!(stream.media_type(), "text/event-stream");
    let mut seen = String::new();
    // It flows.
    while !seen.contains("\"body\":{\"orders\"") {
        seen.push_str(&stream.next().await.expect("another frame"));
    }

    let asked = Instant::now();
    program.terminate();
    while let Some(more) = stream.next().await {
        seen.push_str(&more);
    }
    let status = program.exit(PATIENCE).await;

    assert!(status.success(), "{status}: {}", program.stderr());
    assert!(asked.elapsed() < QUICK, "it took {:?}", asked.elapsed());
    let mut frames = seen.lines().filter_map(|line| line.strip_prefix("data:"));
    let last: Value = serde_json::from_str(frames.next_back().expect("a frame")).expect("JSON");
    assert_eq!(last["body"], "bye");
    assert!(!program.stderr().contains("panicked"), "{}", program.stderr());
}

#[tokio::test]
async fn the_stream_brings_the_points_of_charts_only_to_a_page_that_asks_for_them() {
    let data = folder();
    let (program, client) = Launch::shop(PROGRAM, data.path(), "20").start().await;
    // Given two seconds that are over, told to every viewer; the first is that of the start,
    let mut stream = client.stream("/ui/live").await;
    let mut seen = String::new();
    while seen.matches("\"body\":{\"red\"").count() < 2 {
        seen.push_str(&stream.next().await.expect("another frame"));
    }
    assert!(seen.contains("\"red\":[]"), "a page without charts was sent points: {seen}");
    // when a page with charts comes, then its first frame has the seconds that were.
    let mut charts = client.stream("/ui/live?minutes=5").await;
    let mut first = String::new();
    while !first.contains("\n\n") {
        first.push_str(&charts.next().await.expect("the snapshot"));
    }
    assert!(first.contains("\"red\":[{\"at_us\":"), "{first}");
    assert!(first.contains("\"durations\":[["), "durations are counts in buckets: {first}");
    assert_eq!(client.get("/ui/live?minutes=long").await.status, 400);
    drop((stream, charts));
    program.stop().await;
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_refused_before_its_sender_goes_on() {
    let throwaway = ["--ephemeral", "--load", "0", "--listen", "127.0.0.1:0"];
    let (program, client) = Launch::new(PROGRAM).args(&throwaway).start().await;
    let address = client.url().trim_start_matches("http://").parse().expect("an address");
    for path in ["/api/v1/orders", "/ui/place-order", "/traffic", "/control/istio"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: 999999999\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        );
        let answer = testkit::raw(address, head.as_bytes()).await;
        assert_eq!(answer.status, 413, "{path}: {}", answer.text());
        assert!(answer.text().contains("larger than"), "{path}: {}", answer.text());
    }
    program.stop().await;
}

#[tokio::test]
async fn a_request_that_never_ends_holds_up_no_stop() {
    let data = folder();
    let mut program = Launch::shop(PROGRAM, data.path(), "0").spawn();
    let mut half = TcpStream::connect(program.address().await).expect("a connection");
    half.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").expect("half a request");
    program.terminate();
    let status = program.exit(PATIENCE).await;
    assert!(status.success(), "{status}: {}", program.stderr());
}

#[tokio::test]
async fn a_service_that_answers_slowly_holds_up_no_stop() {
    let data = folder();
    // Hardly any request, but the suppliers look at every shelf and wallet, one after the other.
    let (mut program, client) = Launch::shop(PROGRAM, data.path(), "0.001").start().await;
    for to in ["inventory", "bank-customer", "payments"] {
        let fault = serde_json::json!({
            "kind": "delay", "from": "", "to": to, "subset": "", "instance": "", "terms": [],
            "percent": 100.0, "delay_ms": 1_900, "jitter_ms": 0, "ttl_s": 300,
            "like_istio": false,
        });
        assert_eq!(client.post("/control/faults", &fault).await.status, 201);
    }
    eventually(PATIENCE, "a look at the shelves", async || {
        let faults = client.get("/control/faults").await.json();
        let active = faults["active"].as_array()?;
        active.iter().any(|fault| fault["injected"].as_u64() > Some(0)).then_some(())
    })
    .await;
    let asked = Instant::now();
    program.terminate();
    let status = program.exit(PATIENCE).await;
    assert!(status.success(), "{status}: {}", program.stderr());
    assert!(asked.elapsed() < QUICK, "it took {:?}", asked.elapsed());
}

#[tokio::test]
async fn nobody_has_to_read_what_it_prints() {
    let data = folder();
    // Free a moment ago; nobody else here asks for this very one.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let address = address.expect("a port");
    let mut command = Command::new(PROGRAM);
    command.env_clear().args(["--load", "0", "--listen", &address.to_string(), "--data-dir"]);
    command.arg(data.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the program starts");
    drop(process.stdout.take());
    let mut ended = None;
    eventually(PATIENCE, "an answer or the end", async || {
        ended = process.try_wait().expect("its state");
        (ended.is_some() || TcpStream::connect(address).is_ok()).then_some(())
    })
    .await;
    // It listens before it prints: only what it answers shows that it has printed.
    let answer = match ended {
        None => send(Client::new(address).request(http::Method::GET, "/livez")).await.ok(),
        Some(_) => None,
    };
    // It may have ended by itself.
    let _ = process.kill();
    let output = process.wait_with_output().expect("its end");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(answer.map(|answer| answer.status), Some(200), "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
}

#[tokio::test]
async fn the_run_is_the_instance_of_every_service() {
    let data = folder();
    let (bodies, mut received) = mpsc::channel(64);
    let receiver = Router::new().fallback(async move |body: Bytes| {
        // Nobody reads any more once the test has seen enough.
        let _ = bodies.try_send(body);
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let collector = format!("http://{}", listener.local_addr().expect("its address"));
    let mut collecting = JoinSet::new();
    collecting.spawn(async { axum::serve(listener, receiver).await });
    let launch = Launch::shop(PROGRAM, data.path(), "0");
    let launch = launch.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector);
    let (program, client) = launch.start().await;
    let snapshot = client.stream("/ui/live").await.next().await.expect("a snapshot");
    let run = snapshot.split("\"run_id\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let run = run.expect("the run's id").to_owned();
    assert!(run.starts_with("run-"), "{run}");
    assert_eq!(client.get("/api/v1/products").await.status, 200);
    let body = timeout(PATIENCE, received.recv()).await.expect("spans in time").expect("spans");
    // Protobuf has strings as they are.
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains("service.instance.id") && body.contains(&run), "{body}");
    program.stop().await;
}

#[tokio::test]
async fn who_changes_styles_sees_them_without_another_program() {
    let (data, site) = (folder(), folder());
    fs::create_dir(site.path().join("pkg")).expect("a folder");
    fs::write(site.path().join("secret"), "not of the site").expect("a file");
    let root = site.path().join("pkg").to_string_lossy().into_owned();
    fs::create_dir(site.path().join("pkg/pkg")).expect("a folder");
    let style = site.path().join("pkg/pkg/vitrine.css");
    let launch = Launch::shop(PROGRAM, data.path(), "0").env("LEPTOS_SITE_ROOT", &root);
    let (program, client) = launch.start().await;
    let page = client.get("/orders").await.text();
    let href = page.split('"').find(|text| text.ends_with("/vitrine.css")).expect("its style");
    for colour in ["red", "blue"] {
        fs::write(&style, colour).expect("a style");
        let answer = client.get(href).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, colour), "{href}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for way in ["..%2F..%2Fsecret", "%2Fetc%2Fpasswd", "nothing.css"] {
        let path = href.replace("vitrine.css", way);
        assert_eq!(client.get(&path).await.status, 404, "{path}");
    }
    assert!(program.stdout().contains(&root), "{}", program.stdout());
    program.stop().await;
}

#[tokio::test]
async fn a_variable_that_is_empty_is_not_set_and_one_that_is_bad_is_named() {
    let data = folder();
    let launch = Launch::shop(PROGRAM, data.path(), "0");
    let names = FLAGS.iter().map(|(_, variable)| *variable);
    let empty = names.fold(launch.clone(), |launch, name| launch.env(name, ""));
    let (program, client) = empty.start().await;
    assert_eq!(client.get("/livez").await.status, 200);
    program.stop().await;
    let bad = Launch::new(PROGRAM).env("VITRINE_LOAD", "fast").finish().await;
    assert_refused("VITRINE_LOAD", &bad, "invalid value 'fast' for 'VITRINE_LOAD'");
    let both = Launch::new(PROGRAM).env("VITRINE_LOAD", "1").args(&["--load", "fast"]);
    assert_refused("--load", &both.finish().await, "for '--load <RATE>'");
}

#[tokio::test]
async fn who_takes_no_brotli_gets_gzip_and_who_takes_neither_gets_it_plain() {
    let data = folder();
    let (program, client) = Launch::shop(PROGRAM, data.path(), "0").start().await;
    let get = async |path: &str, accept: &str| {
        let request = client.request(http::Method::GET, path).header("accept-encoding", accept);
        send(request).await.expect("an answer")
    };
    let unpacked = |packed: &[u8]| {
        let mut text = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut text).expect("gzip");
        text
    };
    for (path, has) in [("/orders", "<html"), ("/metrics", "vitrine_dead_letters")] {
        let packed = get(path, "gzip, deflate").await;
        assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"), "{path}");
        let text = unpacked(&packed.body);
        assert!(String::from_utf8_lossy(&text).contains(has), "{path}");
        assert!(
            packed.body.len() < text.len() / 2,
            "{path}: {} of {}",
            packed.body.len(),
            text.len()
        );
        assert_eq!(get(path, "gzip;q=0").await.header("content-encoding"), "", "{path}");
    }
    let page = client.get("/orders").await.text();
    let href = page.split('"').find(|text| text.ends_with("/vitrine.css")).expect("its style");
    let plain = get(href, "identity").await;
    assert_eq!((plain.status, plain.header("content-encoding")), (200, ""), "the site is built");
    for _ in 0..2 {
        let packed = get(href, "br;q=0, gzip").await;
        assert_eq!(
            (packed.header("content-encoding"), packed.header("vary")),
            ("gzip", "accept-encoding")
        );
        assert_eq!(unpacked(&packed.body), plain.body);
    }
    assert_eq!(get(href, "gzip, br").await.header("content-encoding"), "br");
    let stream = client.request(http::Method::GET, "/ui/live").header("accept-encoding", "gzip");
    let stream = stream.send().await.expect("a stream");
    assert!(!stream.headers().contains_key("content-encoding"), "a stream is held back by nothing");
    program.stop().await;
}

#[tokio::test]
async fn it_runs_from_any_folder_and_keeps_its_data_where_the_platform_does() {
    let (elsewhere, home) = (folder(), folder());
    let launch = Launch::new(PROGRAM)
        .args(&["--listen", "127.0.0.1:0", "--load", "0"])
        .env("HOME", &home.path().to_string_lossy())
        .folder(elsewhere.path());
    let (program, client) = launch.start().await;
    let page = client.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(program.stdout().contains(&*home.path().to_string_lossy()), "{}", program.stdout());
    program.stop().await;
    assert!(is_empty(elsewhere.path()), "something was left where it was started");
    assert!(!is_empty(home.path()), "no data where the platform keeps them");
}

#[tokio::test]
async fn an_ephemeral_shop_leaves_nothing_behind() {
    let (temporary, home) = (folder(), folder());
    let launch = Launch::new(PROGRAM)
        .args(&["--listen", "127.0.0.1:0", "--load", "50", "--ephemeral"])
        .env("HOME", &home.path().to_string_lossy())
        .env("TMPDIR", &temporary.path().to_string_lossy());
    let (program, client) = launch.start().await;
    eventually(PATIENCE, "a first order", async || {
        let orders = client.get("/api/v1/orders").await.json();
        orders["orders"].as_array().is_some_and(|all| !all.is_empty()).then_some(())
    })
    .await;
    program.stop().await;
    assert!(is_empty(temporary.path()), "the temporary folder stays");
    assert!(is_empty(home.path()), "something was written at home");
}
