//! Wall-clock time as an argument: real in the program, driven by tokio's (pausable) clock in
//! tests.
//!
//! The program's time passes steadily and follows the machine's date. A date that jumps is not
//! believed at once: a jump that is taken back within seconds leaves no trace. Forward (the machine
//! slept) it is followed then. Back, time does not go: deadlines, ejections and faults must end
//! when they said. It passes at half its pace until the date has caught up. Only a date that is
//! further back than that could make good is taken over as it is, with a warning.

use std::{
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Time and date that are no further apart agree: far more than lies between the two questions,
/// on a busy machine too.
const AGREE_US: i64 = 1_000_000;
/// A date that disagrees for so long is believed: longer than a time server takes to correct
/// itself, and short for somebody who set the date on purpose.
const DOUBT_US: i64 = 10_000_000;
/// Furthest that time waits for the date, microseconds: ten minutes are made good in twenty.
const WAIT_MAX_US: i64 = contract::live::TIME_BACK_MIN_US;

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

impl Clock {
    /// Microseconds that have passed since some moment of this run, whatever becomes of the date:
    /// for durations that nobody is shown the end of.
    #[must_use]
    pub fn steady_us(&self) -> i64 {
        match &self.0 {
            Source::System => micros(MACHINE.start.elapsed()),
            Source::Tokio { start, .. } => micros(start.elapsed()),
        }
    }
}

static MACHINE: LazyLock<Machine> = LazyLock::new(Machine::new);

/// Time that passes steadily, and what must be added to it for the date.
#[derive(Debug)]
struct Machine {
    start: Instant,
    /// Microseconds. While time and date agree, the largest that was seen.
    offset_us: AtomicI64,
    /// Whether there is a [`Doubt`]: agreement is nearly always, and asks for no lock.
    in_doubt: AtomicBool,
    doubt: Mutex<Option<Doubt>>,
}

/// Time and date disagree.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// The date is ahead of time, else behind.
    ahead: bool,
    /// Since when, in time since the start.
    since_us: i64,
    /// So far time has waited for the date.
    waited_us: i64,
    /// The latest time that was told.
    told_us: i64,
}

impl Machine {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn new() -> Self {
        Self {
            start: Instant::now(),
            offset_us: AtomicI64::new(i64::MIN),
            in_doubt: AtomicBool::new(false),
            doubt: Mutex::default(),
        }
    }

    /// The time when the machine's date is `date_us` and `steady_us` have passed since the start.
    fn at(&self, date_us: i64, steady_us: i64) -> i64 {
        let seen = date_us.saturating_sub(steady_us);
        let offset = self.offset_us.load(Ordering::Relaxed);
        let first = offset == i64::MIN;
        if !first && seen.saturating_sub(offset).abs() > AGREE_US {
            return self.doubt(seen, steady_us);
        }
        if self.in_doubt.load(Ordering::Relaxed) {
            self.in_doubt.store(false, Ordering::Relaxed);
            *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let offset = match seen > offset {
            true => self.offset_us.fetch_max(seen, Ordering::Relaxed).max(seen),
            false => offset,
        };
        steady_us.saturating_add(offset)
    }

    /// The same when the two disagree.
    #[cold]
    fn doubt(&self, seen: i64, steady_us: i64) -> i64 {
        let mut kept = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = self.offset_us.load(Ordering::Relaxed);
        let ahead = seen > offset;
        let begins = Doubt { ahead, since_us: steady_us, waited_us: steady_us, told_us: i64::MIN };
        let mut doubt = kept.filter(|doubt| doubt.ahead == ahead).unwrap_or(begins);
        self.in_doubt.store(true, Ordering::Relaxed);
        let believed = steady_us.saturating_sub(doubt.since_us) >= DOUBT_US;
        let back = offset.saturating_sub(seen);
        let (offset, news) = if !believed {
            doubt.waited_us = steady_us;
            (offset, None)
        } else if ahead {
            (seen, Some("is ahead, and time follows it"))
        } else if back > WAIT_MAX_US {
            doubt.told_us = i64::MIN;
            (seen, Some("is back, and time goes back to it"))
        } else {
            let begins = doubt.waited_us < doubt.since_us.saturating_add(DOUBT_US);
            let passed = steady_us.saturating_sub(doubt.waited_us).max(0);
            doubt.waited_us = doubt.waited_us.max(steady_us);
            let waits = offset.saturating_sub((passed / 2).min(back));
            (waits, begins.then_some("is back, and time passes at half its pace until then"))
        };
        self.offset_us.store(offset, Ordering::Relaxed);
        doubt.told_us = doubt.told_us.max(steady_us.saturating_add(offset));
        *kept = Some(doubt);
        // Whoever writes the line asks for the time.
        drop(kept);
        if let Some(news) = news {
            tracing::warn!(by_s = back.abs() / 1_000_000, "the machine's date {news}");
        }
        doubt.told_us
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

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3_600 * SECOND;

    /// Asks every tenth of a second of a while, at a date that is so far ahead of the first one;
    /// the last time, and the shortest step between two.
    fn pass(machine: &Machine, from: i64, until: i64, ahead: i64) -> (i64, i64) {
        let times = (from * 10..=until * 10).map(|tenth| {
            let steady = tenth * SECOND / 10;
            machine.at(50 * HOUR + ahead + steady, steady)
        });
        let times: Vec<i64> = times.collect();
        let steps = times.windows(2).map(|two| two[1] - two[0]);
        (times[times.len() - 1] - 50 * HOUR, steps.min().unwrap_or(i64::MAX))
    }

    #[test]
    fn a_date_that_jumps_and_is_corrected_leaves_no_trace() {
        for jump in [HOUR, 24 * 365 * HOUR, -HOUR, -24 * 365 * HOUR] {
            let machine = Machine::new();
            assert_eq!(pass(&machine, 0, 10, 0).0, 10 * SECOND);
            let (during, step) = pass(&machine, 11, 19, jump);
            assert_eq!((during, step), (19 * SECOND, SECOND / 10), "{jump}");
            assert_eq!(pass(&machine, 20, 40, 0).0, 40 * SECOND, "{jump}");
            // Nor does a second one that begins soon after.
            assert_eq!(pass(&machine, 41, 49, jump).0, 49 * SECOND, "{jump}");
        }
    }

    #[test]
    fn time_follows_a_date_that_was_set_forward() {
        let machine = Machine::new();
        pass(&machine, 0, 10, 0);
        assert_eq!(pass(&machine, 11, 30, 9 * HOUR).0, 9 * HOUR + 30 * SECOND);
        // Small steps at once, as a time server takes them.
        assert_eq!(pass(&machine, 31, 31, 9 * HOUR + 500_000).0, 9 * HOUR + 31_500_000);
    }

    #[test]
    fn time_waits_at_half_its_pace_for_a_date_that_was_set_back_and_never_goes_back() {
        let machine = Machine::new();
        pass(&machine, 0, 10, 0);
        let back = -300 * SECOND;
        let (waiting, step) = pass(&machine, 11, 321, back);
        // Ten seconds of doubt, then half of three hundred and a tenth.
        assert_eq!(waiting, (321 - 150) * SECOND - SECOND / 20);
        assert_eq!(step, SECOND / 20);
        let (caught_up, step) = pass(&machine, 322, 700, back);
        assert!((caught_up - (700 * SECOND + back)).abs() <= AGREE_US, "{caught_up}");
        assert!(step >= SECOND / 20, "{step}");
        // One question after a long silence makes good what passed meanwhile, and no more.
        let machine = Machine::new();
        pass(&machine, 0, 10, 0);
        pass(&machine, 11, 22, back);
        let last = pass(&machine, 22, 22, back).0;
        assert_eq!(pass(&machine, 122, 122, back).0, last + 50 * SECOND);
    }

    #[test]
    fn time_that_was_far_ahead_goes_back_to_the_date() {
        let machine = Machine::new();
        pass(&machine, 0, 10, 0);
        assert_eq!(pass(&machine, 11, 600, 24 * HOUR).0, 24 * HOUR + 600 * SECOND);
        assert_eq!(pass(&machine, 601, 610, 0).0, 24 * HOUR + 610 * SECOND, "it is in doubt");
        assert_eq!(pass(&machine, 611, 630, 0).0, 630 * SECOND);
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
        assert_eq!((clock.now_us(), clock.steady_us()), (3_000, 2_000));
    }
}
