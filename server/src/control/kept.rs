//! What was in force before: revisions read back from their texts.

use istio::{Configuration, Known, Revisions};
use storage::SavedRevision;

/// The history as it was. What stands before a text that cannot be read any more (an older version
/// of the program took what this one refuses) is forgotten with it; numbers go on.
pub(super) fn replay(saved: &[SavedRevision], known: &Known) -> Revisions {
    let mut revisions = Revisions::default();
    for revision in saved {
        match Configuration::default().apply(&revision.yaml, known) {
            Ok(applied) => {
                // What did not change from one to the next is there once, as it was.
                let before = revisions.newest().map(|newest| newest.configuration.clone());
                let before = before.unwrap_or_default();
                take(&mut revisions, revision, applied.configuration.sharing(&before));
            }
            Err(refused) => {
                tracing::error!(
                    target: "vitrine",
                    "revision r{} of an earlier run is left out: {refused}",
                    revision.number
                );
                revisions = Revisions::after(revision.number);
            }
        }
    }
    revisions
}

fn take(revisions: &mut Revisions, saved: &SavedRevision, configuration: Configuration) {
    let next = revisions.newest().map_or(0, |newest| newest.number) + 1;
    if next != saved.number {
        *revisions = Revisions::after(saved.number.saturating_sub(1));
    }
    let brought_back = saved.restored.filter(|number| {
        revisions.get(*number).is_ok_and(|old| old.configuration == configuration)
    });
    let again = brought_back.map(|number| revisions.restore(number, &saved.who, saved.at_us));
    if !matches!(again, Some(Ok(_))) {
        revisions.record(configuration, &saved.who, saved.at_us);
    }
}
