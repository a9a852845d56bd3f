//! Event sourcing: an aggregate is what its events say, in order, from version 1 without gaps.
//!
//! Pure: how events are stored is the store's business, what they mean the aggregate's.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// State rebuilt from events. `Default` is the state before the first event.
pub trait Aggregate: Default {
    /// What can happen to it.
    type Event: DomainEvent;

    /// The state after `event`. Must not fail: what is recorded has happened.
    fn apply(&mut self, event: &Self::Event);
}

/// Something that happened, as plain data with a name.
pub trait DomainEvent: Serialize + DeserializeOwned {
    /// Its name in the stream: `OrderPlaced`.
    fn name(&self) -> &'static str;
}

/// A recorded event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded<E> {
    /// 1 for the first event of its stream.
    pub version: u64,
    /// When it was recorded, microseconds since the epoch.
    pub at_us: i64,
    /// What happened.
    pub event: E,
}

/// The stream is not what a stream must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {expected} is missing: the stream goes on with version {found}")]
pub struct GapError {
    /// The version that should have come.
    pub expected: u64,
    /// The version that came.
    pub found: u64,
}

/// Somebody else appended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is at version {actual}, not at {expected}")]
pub struct VersionConflict {
    /// The version the decision was made on.
    pub expected: u64,
    /// The version the stream has.
    pub actual: u64,
}

/// Rebuilds an aggregate, and says at which version it is.
///
/// # Errors
/// When a version is missing or comes twice.
pub fn replay<'e, A>(
    events: impl IntoIterator<Item = &'e Recorded<A::Event>>,
) -> Result<(A, u64), GapError>
where
    A: Aggregate,
    A::Event: 'e,
{
    let mut state = A::default();
    let mut version = 0;
    for recorded in events {
        if recorded.version != version + 1 {
            return Err(GapError { expected: version + 1, found: recorded.version });
        }
        state.apply(&recorded.event);
        version = recorded.version;
    }
    Ok((state, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug, PartialEq)]
    struct Counter(i64);

    #[derive(Serialize, Deserialize)]
    struct Added(i64);

    impl DomainEvent for Added {
        fn name(&self) -> &'static str {
            "Added"
        }
    }

    impl Aggregate for Counter {
        type Event = Added;

        fn apply(&mut self, event: &Added) {
            self.0 += event.0;
        }
    }

    fn at(version: u64) -> Recorded<Added> {
        Recorded { version, at_us: 0, event: Added(10) }
    }

    #[test]
    fn replay_gives_the_state_and_the_version() {
        assert_eq!(replay::<Counter>(&[at(1), at(2)]), Ok((Counter(20), 2)));
        assert_eq!(replay::<Counter>(&[]), Ok((Counter(0), 0)));
    }

    #[test]
    fn a_missing_or_repeated_version_is_an_error_and_not_a_wrong_state() {
        let gap = replay::<Counter>(&[at(1), at(3)]);
        assert_eq!(gap, Err(GapError { expected: 2, found: 3 }));
        let twice = replay::<Counter>(&[at(1), at(1)]);
        assert_eq!(twice, Err(GapError { expected: 2, found: 1 }));
    }
}
