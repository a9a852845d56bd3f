//! Waiting on a level: look, and look again, until it is so or the deadline passes.

use std::time::Duration;
use tokio::time::Instant;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` finds something.
///
/// # Panics
/// When it is not found within the deadline, saying `what` was waited for.
pub async fn eventually<T>(
    within: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not happen within {within:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
