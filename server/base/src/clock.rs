//! Wall-clock time as an argument: real in the program, driven by tokio's (pausable) clock in
//! tests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Says what time it is, in microseconds since the Unix epoch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Tokio { epoch_us: i64, start: Arc<tokio::time::Instant> },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `epoch_us` now and goes on as tokio's time does: paused time in
    /// tests moves it.
    #[must_use]
    pub fn tokio(epoch_us: i64) -> Self {
        Self(Source::Tokio { epoch_us, start: Arc::new(tokio::time::Instant::now()) })
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        match &self.0 {
            Source::System => system_us(),
            Source::Tokio { epoch_us, start } => epoch_us.saturating_add(micros(start.elapsed())),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
fn system_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros)
}

/// A duration in whole microseconds; what does not fit becomes the largest value.
#[must_use]
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tokio_clock_follows_paused_time() {
        let clock = Clock::tokio(1_000);
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(clock.now_us(), 3_000);
    }
}
