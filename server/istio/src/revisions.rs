//! The history of configurations: who made which, when, what it changed in words and by line.
//!
//! Pure data; time comes in by argument. What is in force is the program's business.

use crate::{configuration::Configuration, diff, summary};
use contract::istio::{ResourceDiff, RevisionView};
use std::collections::VecDeque;

/// Most revisions that are kept; the oldest goes first. Resources that did not change are shared
/// between them.
pub const REVISIONS_MAX: usize = 200;

/// One state of the configuration.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Counts up from 1, without gaps.
    pub number: u64,
    /// Who made it.
    pub who: String,
    /// When, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// What changed, in words.
    pub summary: String,
    /// The revision this one brought back, if it is a restore.
    pub restored: Option<u64>,
    /// What changed, by line.
    pub diffs: Vec<ResourceDiff>,
    /// All of it.
    pub configuration: Configuration,
}

impl Revision {
    /// The same, said to have brought back an old one.
    #[must_use]
    pub fn restoring(self, number: u64) -> Self {
        let summary = format!("Rolled back to r{number}: {}", self.summary);
        Self { summary, restored: Some(number), ..self }
    }

    /// As pages see it.
    #[must_use]
    pub fn view(&self) -> RevisionView {
        RevisionView {
            number: self.number,
            who: self.who.clone(),
            at_us: self.at_us,
            summary: self.summary.clone(),
            restored: self.restored,
            diffs: self.diffs.clone(),
        }
    }
}

/// There is no such revision, or it is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no revision {number}; {oldest} to {newest} are kept")]
pub struct NoRevision {
    /// The one that was asked for.
    pub number: u64,
    /// The oldest there is; 0 if there is none.
    pub oldest: u64,
    /// The newest there is; 0 if there is none.
    pub newest: u64,
}

/// The last revisions, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Revisions {
    kept: VecDeque<Revision>,
    newest: u64,
}

impl Revisions {
    /// A history that goes on after a number, with nothing kept of what was before.
    #[must_use]
    pub fn after(number: u64) -> Self {
        Self { kept: VecDeque::new(), newest: number }
    }

    /// The newest revision.
    #[must_use]
    pub fn newest(&self) -> Option<&Revision> {
        self.kept.back()
    }

    /// The revision of that number.
    ///
    /// # Errors
    /// It is not kept.
    pub fn get(&self, number: u64) -> Result<&Revision, NoRevision> {
        self.kept.iter().find(|revision| revision.number == number).ok_or(NoRevision {
            number,
            oldest: self.kept.front().map_or(0, |revision| revision.number),
            newest: self.kept.back().map_or(0, |revision| revision.number),
        })
    }

    /// Those that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Revision> {
        self.kept.iter()
    }

    /// Makes a configuration the newest revision, and returns its number. One that is the same as
    /// the newest makes none: the number is the newest's.
    pub fn record(&mut self, configuration: Configuration, who: &str, at_us: i64) -> u64 {
        let next = self.next(configuration, who, at_us);
        next.map_or(self.newest, |next| self.add(next))
    }

    /// Makes a new revision with the content of an old one, and returns its number.
    ///
    /// # Errors
    /// The old one is not kept.
    pub fn restore(&mut self, number: u64, who: &str, at_us: i64) -> Result<u64, NoRevision> {
        let configuration = self.get(number)?.configuration.clone();
        let next = self.next(configuration, who, at_us);
        Ok(next.map_or(self.newest, |next| self.add(next.restoring(number))))
    }

    /// What would be the newest revision. Of large resources this takes its time: what changed is
    /// compared by line. None if nothing did.
    #[must_use]
    pub fn next(&self, configuration: Configuration, who: &str, at_us: i64) -> Option<Revision> {
        let before = self.kept.back().map(|revision| revision.configuration.clone());
        if before.as_ref() == Some(&configuration) {
            return None;
        }
        let changes = diff::changes(&before.unwrap_or_default(), &configuration);
        Some(Revision {
            number: self.newest + 1,
            who: who.to_owned(),
            at_us,
            summary: summary::words(&changes),
            restored: None,
            diffs: changes.iter().map(diff::lines).collect(),
            configuration,
        })
    }

    /// Makes what [`Self::next`] gave the newest revision, and returns its number.
    pub fn add(&mut self, revision: Revision) -> u64 {
        self.newest = revision.number;
        if self.kept.len() == REVISIONS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(revision);
        self.newest
    }
}
