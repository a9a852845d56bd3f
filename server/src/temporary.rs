//! The folder of a run that keeps nothing: removed at the end, and by a later run where the end did
//! not come.
//!
//! Whoever works in a data folder holds a lock on a file in it (see `storage::open`), which the
//! system releases however the process ends. A folder without that file is left alone.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

/// The file that is locked by whoever works in a folder.
const LOCK: &str = "lock";
/// A folder younger than this may be one that is being opened, microseconds.
const YOUNG_US: i64 = 60_000_000;

/// A folder that is removed when nobody works in it any more, also when nobody got as far as that.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    /// Of this process, below `parent`; whoever opens it makes it.
    pub(crate) fn below(parent: &Path, now_us: i64) -> Self {
        Self(parent.join(format!("vitrine-{}-{now_us}", std::process::id())))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!("the temporary folder {} stays: {error}", self.0.display());
            }
        }
    }
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

/// The time in `vitrine-PROCESS-TIME`; none for a name that is not ours.
fn made_us(folder: &Path) -> Option<i64> {
    let name = folder.file_name()?.to_str()?.strip_prefix("vitrine-")?;
    let (process, time) = name.split_once('-')?;
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
        let make = |name: &str, lock: bool| {
            let folder = parent.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("orders.sqlite"), "x").unwrap();
            if lock {
                std::fs::write(folder.join(LOCK), "").unwrap();
            }
            folder
        };
        let (killed, used) = (make("vitrine-1-2", true), make("vitrine-1-4", true));
        let lock = OpenOptions::new().write(true).open(used.join(LOCK)).unwrap();
        lock.lock().unwrap();
        let young = make(&format!("vitrine-1-{}", NOW_US - 1), true);
        let others = [make("vitrine-1-3", false), make("vitrine-a-2", true), make("other", true)];
        sweep(parent.path(), NOW_US);
        assert!(!killed.exists());
        assert!(used.exists() && young.exists() && others.iter().all(|folder| folder.exists()));
        drop(lock);
        sweep(parent.path(), NOW_US);
        assert!(!used.exists());
    }
}
