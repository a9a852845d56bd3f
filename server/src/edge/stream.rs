//! The live stream: one per tab, a snapshot and then what changes, until the viewer or we go.

use super::Edge;
use crate::live::{Live, Sent, Viewer, gap};
use axum::{
    extract::{Query, State},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use contract::{live::RED_MINUTES_MAX, service};
use futures::{Stream, StreamExt, stream};
use http::StatusCode;
use serde::Deserialize;
use shop::problem::Problem;
use std::{convert::Infallible, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Viewers at once; each costs a task and its part of the frames.
const VIEWERS_MAX: u32 = 500;
/// A line without meaning is sent so often, so that dead connections are noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time for the last frame after the stop.
const GOODBYE: Duration = Duration::from_millis(500);

/// What a viewer wants besides the frames.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    /// Length of the charts in the first frame, minutes; none without it: only one page has them.
    minutes: u32,
    /// The service the charts are of; the gateway without it.
    of: String,
}

impl Wanted {
    /// The service the charts are of, by the name the shop knows it by.
    fn of(&self) -> &'static str {
        let known = service::SERVICES.iter().find(|known| known.name == self.of);
        known.map_or(service::GATEWAY, |known| known.name)
    }
}

/// `GET /ui/live`.
pub(super) async fn live(State(edge): State<Edge>, Query(wanted): Query<Wanted>) -> Response {
    if edge.live.viewers() >= VIEWERS_MAX {
        let detail = format!("{VIEWERS_MAX} pages are open already. Close some and try again.");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    }
    let stop = edge.stop.clone();
    let end = async move {
        stop.cancelled().await;
        tokio::time::sleep(GOODBYE).await;
    };
    let events = frames(edge.live, wanted.minutes.min(RED_MINUTES_MAX), wanted.of())
        .take_until(Box::pin(end))
        .map(|frame| {
            let event = Event::default().id(frame.seq.to_string()).data(&frame.json);
            Ok::<Event, Infallible>(event)
        });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// One viewer's place in the stream.
struct Viewing {
    live: Live,
    frames: Receiver<Sent>,
    /// Length of the charts in a snapshot.
    minutes: u32,
    /// The service the charts are of.
    of: &'static str,
    /// Frames up to this number are known.
    seen: u64,
    /// To be sent before the next frame.
    first: Option<Sent>,
    over: bool,
    _viewer: Viewer,
}

fn frames(live: Live, minutes: u32, of: &'static str) -> impl Stream<Item = Sent> {
    let viewer = live.viewer();
    let (snapshot, frames) = live.join(minutes, of);
    let (seen, first) = (snapshot.seq, Some(snapshot));
    let place = Viewing { live, frames, minutes, of, seen, first, over: false, _viewer: viewer };
    stream::unfold(place, |mut place| async move {
        let frame = place.next().await?;
        Some((frame, place))
    })
}

impl Viewing {
    async fn next(&mut self) -> Option<Sent> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.over {
            return None;
        }
        loop {
            match self.frames.recv().await {
                Ok(frame) if frame.seq <= self.seen => {}
                Ok(frame) => {
                    self.seen = frame.seq;
                    self.over = frame.last;
                    return Some(self.own(frame));
                }
                Err(RecvError::Lagged(missed)) => {
                    let (snapshot, frames) = self.live.join(self.minutes, self.of);
                    let gap = gap(self.seen, self.live.now_us(), missed);
                    self.seen = snapshot.seq;
                    self.frames = frames;
                    self.first = Some(snapshot);
                    return Some(gap);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The frame as this viewer gets it: a point of the charts is of its own service.
    fn own(&self, frame: Sent) -> Sent {
        match frame.red_second {
            Some(second) if self.of != service::GATEWAY => {
                self.live.red_frame(frame.seq, second, self.of)
            }
            _ => frame,
        }
    }
}
