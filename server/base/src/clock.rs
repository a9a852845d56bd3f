//! Wall-clock time as an argument: real in the program, driven by tokio's (pausable) clock in
//! tests.
//!
//! The program's time never goes back: it follows the machine's clock when that is set forward (or
//! the machine slept), and goes on at its own pace when that is set back. Deadlines, ejections and
//! faults must end when they said, whatever happens to the date.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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
    /// The machine's clock, as the module says; one for the whole process.
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
            // The date first: what passes between the two makes the offset smaller, never larger,
            // so that the largest one seen is the best.
            Source::System => {
                let date_us = date_us();
                MACHINE.at(date_us, micros(MACHINE.start.elapsed()))
            }
            Source::Tokio { epoch_us, start } => epoch_us.saturating_add(micros(start.elapsed())),
        }
    }
}

static MACHINE: LazyLock<Machine> = LazyLock::new(Machine::new);

/// Time that passes steadily, and what must be added to it for the date.
#[derive(Debug)]
struct Machine {
    start: Instant,
    /// The largest that was seen, microseconds.
    offset_us: AtomicI64,
}

impl Machine {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn new() -> Self {
        Self { start: Instant::now(), offset_us: AtomicI64::new(i64::MIN) }
    }

    /// The time when the machine's date is `date_us` and `steady_us` have passed since the start.
    fn at(&self, date_us: i64, steady_us: i64) -> i64 {
        let seen = date_us.saturating_sub(steady_us);
        let mut offset = self.offset_us.load(Ordering::Relaxed);
        if seen > offset {
            offset = self.offset_us.fetch_max(seen, Ordering::Relaxed).max(seen);
        }
        steady_us.saturating_add(offset)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
fn date_us() -> i64 {
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

    #[test]
    fn time_follows_a_date_set_forward_and_passes_on_when_it_is_set_back() {
        const HOUR: i64 = 3_600_000_000;
        let machine = Machine::new();
        assert_eq!(machine.at(50 * HOUR, 10), 50 * HOUR);
        assert_eq!(machine.at(50 * HOUR + 990, 1_000), 50 * HOUR + 990);
        let forward = machine.at(51 * HOUR, 2_000);
        assert_eq!(forward, 51 * HOUR);
        // Ten hours back: no jump, and the next millisecond lasts a millisecond.
        assert_eq!(machine.at(41 * HOUR, 3_000), forward + 1_000);
        assert_eq!(machine.at(41 * HOUR + 1_000, 4_000), forward + 2_000);
    }

    #[test]
    fn the_time_of_the_machine_is_its_date_and_never_goes_back() {
        let clock = Clock::system();
        let first = clock.now_us();
        assert!((date_us() - first).abs() < 60_000_000, "within a minute of the date");
        let later: Vec<i64> = (0..1_000).map(|_| clock.now_us()).collect();
        assert!(later.iter().try_fold(first, |last, now| (*now >= last).then_some(*now)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tokio_clock_follows_paused_time() {
        let clock = Clock::tokio(1_000);
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(clock.now_us(), 3_000);
    }
}
