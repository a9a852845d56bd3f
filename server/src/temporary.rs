//! The folder of a run that keeps nothing: removed at the end, and by a later run where the end did
//! not come.
//!
//! Whoever works in a data folder holds a lock on a file in it (see `storage::open`), which the
//! system releases however the process ends. A folder without that file is left alone.

use std::{fs::OpenOptions, io, path::Path};
use tempfile::TempDir;

/// The file that is locked by whoever works in a folder.
const LOCK: &str = "lock";
/// A folder younger than this may be one that is being opened, microseconds.
const YOUNG_US: i64 = 60_000_000;

/// A folder of this process below `parent`, for its user alone, removed when it is dropped.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn below(parent: &Path, now_us: i64) -> io::Result<TempDir> {
    let prefix = format!("vitrine-{}-{now_us}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)
}

/// Removes what runs left behind that were killed.
pub(crate) fn sweep(parent: &Path, now_us: i64) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for folder in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let old = made_us(&folder).is_some_and(|made_us| made_us < now_us - YOUNG_US);
        if !old || !is_abandoned(&folder) {
            continue;
        }
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => tracing::info!("removed {}, which a killed run left", folder.display()),
            Err(error) => tracing::warn!("{} stays: {error}", folder.display()),
        }
    }
}

/// The time in `vitrine-PROCESS-TIME-RANDOM`; none for a name that is not ours.
fn made_us(folder: &Path) -> Option<i64> {
    let name = folder.file_name()?.to_str()?.strip_prefix("vitrine-")?;
    let mut parts = name.split('-');
    let (process, time, _random) = (parts.next()?, parts.next()?, parts.next()?);
    process.parse::<u32>().ok()?;
    time.parse().ok().filter(|time| *time >= 0)
}

fn is_abandoned(folder: &Path) -> bool {
    let lock = OpenOptions::new().read(true).write(true).open(folder.join(LOCK));
    lock.is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 10 * YOUNG_US;

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_is_in_use_or_somebody_elses_stays() {
        let parent = tempfile::tempdir().unwrap();
        let ours = below(parent.path(), NOW_US - YOUNG_US - 1).unwrap();
        std::fs::write(ours.path().join(LOCK), "").unwrap();
        let make = |name: &str, lock: bool| {
            let folder = parent.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("orders.sqlite"), "x").unwrap();
            if lock {
                std::fs::write(folder.join(LOCK), "").unwrap();
            }
            folder
        };
        let (killed, used) = (make("vitrine-1-2-x", true), make("vitrine-1-4-y", true));
        let lock = OpenOptions::new().write(true).open(used.join(LOCK)).unwrap();
        lock.lock().unwrap();
        let young = make(&format!("vitrine-1-{}-z", NOW_US - 1), true);
        let others =
            [make("vitrine-1-3-x", false), make("vitrine-a-2-x", true), make("vitrine-1", true)];
        sweep(parent.path(), NOW_US);
        assert!(!killed.exists() && !ours.path().exists());
        assert!(used.exists() && young.exists() && others.iter().all(|folder| folder.exists()));
        drop(lock);
        sweep(parent.path(), NOW_US);
        assert!(!used.exists());
    }
}
