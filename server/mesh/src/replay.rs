//! A body that can be sent again: what passes is recorded up to a limit, on the way.
//!
//! Nothing is read ahead, so the first reader is never held up by the recording. Of those who read
//! the body again one is current at a time: taking another reader supersedes the one before, which
//! then sees an error. Who shares the body with others forks it when it is there to its end.

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::watch;

/// Frames kept of one body, so that a body of tiny frames cannot cost more than its bytes.
const FRAMES_MAX: usize = 1024;

/// The recording of one body.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    recording: Arc<Mutex<Recording>>,
    /// Counts readers that were dropped.
    idle: watch::Receiver<u64>,
    /// Held by the one of all forks who reads the rest for them.
    reading_on: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Recording {
    frames: Vec<Bytes>,
    bytes: usize,
    limit: usize,
    trailers: Option<HeaderMap>,
    /// What was not read yet; [`None`] at the end.
    rest: Option<Body>,
    /// The beginning is lost: more passed than is kept, or reading failed.
    lost: bool,
    /// The number of the current reader.
    reader: u64,
    idle: watch::Sender<u64>,
}

/// A newer reader took over.
#[derive(Debug, thiserror::Error)]
#[error("this reader of the body was superseded by a later try")]
struct Superseded;

impl Replay {
    /// Records `body` while it passes, up to `limit` bytes, and gives its first reader.
    pub(crate) fn new(body: Body, limit: usize) -> (Self, Body) {
        let lower = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let (idle, watch) = watch::channel(0);
        let recording = Arc::new(Mutex::new(Recording {
            frames: Vec::new(),
            bytes: 0,
            limit,
            trailers: None,
            rest: Some(body),
            lost: lower > limit,
            reader: 0,
            idle,
        }));
        let first = Reader::current(recording.clone());
        (Self { recording, idle: watch, reading_on: Arc::default() }, first)
    }

    /// Whether all that passed so far is kept.
    pub(crate) fn is_kept(&self) -> bool {
        !self.recording.lock().lost
    }

    /// Another reader from the beginning; [`None`] once more passed than is kept.
    pub(crate) fn again(&self) -> Option<Body> {
        let mut recording = self.recording.lock();
        if recording.lost {
            return None;
        }
        recording.reader += 1;
        drop(recording);
        Some(Reader::current(self.recording.clone()))
    }

    /// A reader beside others, which supersedes none and which none supersedes: each has its own
    /// place in what was recorded, and nothing is left for them to take from each other, for the
    /// rest is read first. [`None`] when there is more than is kept, or when it could not be read.
    pub(crate) async fn fork(&self) -> Option<Body> {
        let _one_reads = self.reading_on.lock().await;
        let whole = std::future::poll_fn(|cx| self.recording.lock().poll_whole(cx)).await;
        whole.then(|| Reader::numbered(self.recording.clone(), None))
    }

    /// Waits until the first reader has been dropped, which it is at the end of its call.
    pub(crate) async fn first_reader_gone(&mut self) {
        // An error means that the recording is gone, and with it every reader.
        let _ = self.idle.wait_for(|gone| *gone > 0).await;
    }
}

impl Recording {
    fn keep(&mut self, data: &Bytes) {
        if self.lost || data.is_empty() {
            return;
        }
        self.bytes += data.len();
        if self.bytes > self.limit || self.frames.len() == FRAMES_MAX {
            self.lost = true;
            self.frames = Vec::new();
        } else {
            self.frames.push(data.clone());
        }
    }

    /// The next frame of what was not read yet, recorded.
    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(rest) = self.rest.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(rest).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.keep(&data.clone());
                } else if let Some(trailers) = frame.trailers_ref() {
                    self.trailers = Some(trailers.clone());
                }
            }
            Some(Err(_)) => (self.lost, self.rest) = (true, None),
            None => self.rest = None,
        }
        Poll::Ready(frame)
    }

    /// Reads to the end; whether all of it is recorded. What is lost is not read further.
    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while !self.lost && self.rest.is_some() {
            let _recorded = ready!(self.poll_rest(cx));
        }
        Poll::Ready(!self.lost)
    }

    fn left(&self, at: usize) -> u64 {
        let frames = self.frames.get(at..).unwrap_or_default();
        frames.iter().map(|frame| u64::try_from(frame.len()).unwrap_or(u64::MAX)).sum()
    }
}

/// Reads the recording, then the rest.
#[derive(Debug)]
struct Reader {
    recording: Arc<Mutex<Recording>>,
    /// None of a fork, which is never superseded.
    number: Option<u64>,
    /// Frames of the recording that were given out.
    at: usize,
    trailers_given: bool,
}

impl Reader {
    /// The reader whose number is the recording's.
    fn current(recording: Arc<Mutex<Recording>>) -> Body {
        let number = recording.lock().reader;
        Self::numbered(recording, Some(number))
    }

    fn numbered(recording: Arc<Mutex<Recording>>, number: Option<u64>) -> Body {
        Body::new(Self { recording, number, at: 0, trailers_given: false })
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let mut recording = this.recording.lock();
        if this.number.is_some_and(|number| recording.reader != number) {
            return Poll::Ready(Some(Err(axum::Error::new(Superseded))));
        }
        if let Some(frame) = recording.frames.get(this.at) {
            this.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(frame.clone()))));
        }
        if recording.rest.is_none() {
            let trailers = recording.trailers.clone().filter(|_| !this.trailers_given);
            this.trailers_given = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(recording.poll_rest(cx));
        if let Some(Ok(frame)) = &frame {
            this.at = recording.frames.len();
            this.trailers_given |= frame.is_trailers();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let recording = self.recording.lock();
        recording.rest.as_ref().is_none_or(http_body::Body::is_end_stream)
            && self.at >= recording.frames.len()
            && (self.trailers_given || recording.trailers.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        let recording = self.recording.lock();
        let left = recording.left(self.at);
        let Some(rest) = &recording.rest else { return SizeHint::with_exact(left) };
        let rest = rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(left));
        }
        hint.set_lower(rest.lower().saturating_add(left));
        hint
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.recording.lock().idle.send_modify(|gone| *gone += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::BodyExt;

    const LIMIT: usize = 8;

    fn streamed(frames: &[&'static str]) -> Body {
        let frames: Vec<Result<_, std::io::Error>> = frames.iter().map(|f| Ok(*f)).collect();
        Body::from_stream(stream::iter(frames))
    }

    async fn text(body: Body) -> String {
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_body_is_the_same_each_time_it_is_read() {
        let (replay, first) = Replay::new(streamed(&["abc", "", "def"]), LIMIT);
        assert_eq!(text(first).await, "abcdef");
        assert_eq!(text(replay.again().unwrap()).await, "abcdef");
        assert_eq!(text(replay.again().unwrap()).await, "abcdef");
    }

    #[tokio::test]
    async fn what_one_reader_left_the_next_one_reads() {
        let (replay, mut first) = Replay::new(streamed(&["abc", "def"]), LIMIT);
        assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        drop(first);
        assert_eq!(text(replay.again().unwrap()).await, "abcdef");
    }

    #[tokio::test]
    async fn a_body_longer_than_the_limit_passes_once() {
        for body in [streamed(&["abcdef", "ghi"]), Body::from("abcdefghi")] {
            let (replay, first) = Replay::new(body, LIMIT);
            assert_eq!(text(first).await, "abcdefghi");
            assert!(replay.again().is_none());
        }
    }

    #[tokio::test]
    async fn a_superseded_reader_fails_and_does_not_steal() {
        let (replay, mut first) = Replay::new(streamed(&["abc", "def"]), LIMIT);
        let _ = first.frame().await;
        let second = replay.again().unwrap();
        assert!(first.frame().await.unwrap().is_err());
        assert_eq!(text(second).await, "abcdef");
    }

    #[tokio::test]
    async fn readers_beside_each_other_each_read_all_of_it_in_their_own_time() {
        let (replay, mut live) = Replay::new(streamed(&["abc", "", "def"]), LIMIT);
        let _ = live.frame().await;
        drop(live);
        let (mut slow, quick) = (replay.fork().await.unwrap(), replay.fork().await.unwrap());
        assert_eq!(slow.size_hint().exact(), Some(6));
        assert_eq!(slow.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert_eq!(text(quick).await, "abcdef");
        assert_eq!(text(slow).await, "def");
    }

    #[tokio::test]
    async fn of_a_body_longer_than_the_limit_there_is_no_second_reader_beside_the_first() {
        for frames in [["abcdef", "ghi"], ["abcdefghi", ""]] {
            let (replay, live) = Replay::new(streamed(&frames), LIMIT);
            drop(live);
            assert!(replay.fork().await.is_none(), "{frames:?}");
        }
    }

    #[tokio::test]
    async fn the_length_that_is_known_stays_known() {
        let (replay, first) = Replay::new(Body::from("abcdef"), LIMIT);
        assert_eq!(first.size_hint().exact(), Some(6));
        let _ = text(first).await;
        assert_eq!(replay.again().unwrap().size_hint().exact(), Some(6));
    }

    #[tokio::test]
    async fn whoever_waits_for_the_first_reader_hears_when_it_is_dropped() {
        let (mut replay, first) = Replay::new(Body::from("abc"), LIMIT);
        let waiting = futures::FutureExt::now_or_never(replay.first_reader_gone());
        assert!(waiting.is_none());
        drop(first);
        replay.first_reader_gone().await;
    }
}
