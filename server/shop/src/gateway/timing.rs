//! `Server-Timing` (W3C Server Timing): which service behind the gateway took how long for one
//! answer. Version 2 tells; without [`tell`] around the handlers [`timed`] measures nothing.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue};
use std::{cell::RefCell, fmt::Write, time::Duration};
use tokio::{task_local, time::Instant};

/// The header.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Parts named of one answer; no handler makes so many calls.
const PARTS_MAX: usize = 16;

task_local! {
    /// The parts of the answer this task is making. Handlers and what they join run in one task.
    static PARTS: RefCell<Vec<(&'static str, Duration)>>;
}

/// Waits for one part of an answer and notes how long it took.
pub(super) async fn timed<T>(part: &'static str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let outcome = work.await;
    // Without a list nobody wants to know.
    let _ = PARTS.try_with(|parts| {
        let mut parts = parts.borrow_mut();
        if parts.len() < PARTS_MAX {
            parts.push((part, began.elapsed()));
        }
    });
    outcome
}

/// A middleware: puts the parts and the whole on the answer.
pub(super) async fn tell(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let answering = async {
        let answer = next.run(request).await;
        (answer, PARTS.with(RefCell::take))
    };
    let (mut answer, mut parts) = PARTS.scope(RefCell::default(), answering).await;
    parts.push(("total", began.elapsed()));
    if let Ok(value) = HeaderValue::from_str(&written(&parts)) {
        answer.headers_mut().insert(SERVER_TIMING, value);
    }
    answer
}

/// As the header is written: durations in milliseconds.
fn written(parts: &[(&str, Duration)]) -> String {
    let mut text = String::new();
    for (name, took) in parts {
        let comma = if text.is_empty() { "" } else { ", " };
        // A text takes everything.
        let _ = write!(text, "{comma}{name};dur={:.1}", took.as_secs_f64() * 1e3);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, middleware::from_fn, routing::get};
    use tower::ServiceExt;

    #[tokio::test(start_paused = true)]
    async fn the_answer_says_what_each_part_and_the_whole_took() {
        let sleep = |ms| tokio::time::sleep(Duration::from_millis(ms));
        let handler = move || async move {
            tokio::join!(timed("users", sleep(3)), timed("orders", sleep(7)));
            timed("catalog", sleep(5)).await;
        };
        let plain = Router::new().route("/", get(handler));
        let ask = |router: Router| async {
            let answer = router.oneshot(http::Request::new(Body::empty())).await.unwrap();
            answer.headers().get(SERVER_TIMING).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(ask(plain.clone()).await, None);
        let told = ask(plain.layer(from_fn(tell))).await;
        let expected = "users;dur=3.0, orders;dur=7.0, catalog;dur=5.0, total;dur=12.0";
        assert_eq!(told.as_deref(), Some(expected));
    }
}
