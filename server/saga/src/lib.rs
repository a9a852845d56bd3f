//! A saga: steps forward, and after a refusal the compensations of what was done, backwards.
//!
//! Orchestrated: one coordinator sends a command, waits for its definite reply, and decides. The
//! machine here is pure: `next(state, event)` gives the next state, and a state says which command
//! is due. The log of events is the saga; replaying it gives its state. A step without an answer is
//! not failed but unknown: its command is delivered again until the answer is definite. Who loses
//! patience with a step says so, and the step is voided: a compensation that has to find out what
//! became of it, whose answer is definite in turn (Garcia-Molina and Salem, "Sagas", 1987, section
//! 3, backward recovery).

use serde::{Deserialize, Serialize};

/// One step of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// For people: "Reserve inventory".
    pub name: &'static str,
    /// For people: "Release inventory".
    pub compensation_name: &'static str,
    /// For people, of the compensation when the outcome is unknown: "Void payment".
    pub void_name: &'static str,
    /// Service that does it.
    pub service: &'static str,
}

/// The forward steps of a saga, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Name for people and telemetry.
    pub name: &'static str,
    /// At least one.
    pub steps: &'static [Step],
}

/// Where a saga is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// No event yet.
    #[default]
    NotStarted,
    /// The command of a step is out.
    Running {
        /// Index of the step.
        step: usize,
    },
    /// As [`State::Running`], but somebody asked to cancel: whatever the answer, go back.
    Cancelling {
        /// Index of the step.
        step: usize,
    },
    /// Every step is done.
    Completed,
    /// The compensation of a step is out.
    Compensating {
        /// Index of the step that is being undone.
        step: usize,
    },
    /// The compensation of a step whose outcome is unknown is out; an answer to the step itself may
    /// still come, and decides nothing.
    Voiding {
        /// Index of the step that was not answered in time.
        step: usize,
    },
    /// Everything done was undone.
    Compensated,
    /// A compensation was refused; a person must redrive it.
    Stuck {
        /// Index of the step that cannot be undone.
        step: usize,
    },
}

/// What can happen to a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Started,
    /// A step answered yes.
    StepDone {
        /// Index of the step.
        step: usize,
    },
    /// A step answered no, and had no effect.
    StepRefused {
        /// Index of the step.
        step: usize,
        /// Why.
        reason: String,
    },
    /// A step was not answered in time: whether it had an effect is unknown.
    StepTimedOut {
        /// Index of the step.
        step: usize,
    },
    /// Somebody wants it undone.
    CancelRequested,
    /// A compensation is done.
    Undone {
        /// Index of the step that was undone.
        step: usize,
    },
    /// A compensation was refused.
    UndoRefused {
        /// Index of the step that was not undone.
        step: usize,
        /// Why.
        reason: String,
    },
    /// Somebody wants the refused compensation tried again.
    Redriven,
}

/// A logged event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was logged, microseconds since the epoch.
    pub at_us: i64,
    /// What happened.
    pub event: Event,
}

/// The event cannot happen in this state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a saga that is {state:?}")]
pub struct Illegal {
    /// Where the saga is.
    pub state: State,
    /// What was said to have happened.
    pub event: Event,
}

/// The command that is due in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Do a step.
    Do(usize),
    /// Undo a step.
    Undo(usize),
}

impl State {
    /// The state after `event`.
    ///
    /// # Errors
    /// When the event cannot happen in this state; the state stays.
    pub fn next(self, definition: &Definition, event: &Event) -> Result<Self, Illegal> {
        use State as S;
        let last = definition.steps.len().saturating_sub(1);
        let back_from = |step: usize| match step.checked_sub(1) {
            Some(step) => S::Compensating { step },
            None => S::Compensated,
        };
        Ok(match (self, event) {
            (S::NotStarted, Event::Started) => S::Running { step: 0 },
            (S::Running { step }, Event::StepDone { step: done }) if step == *done => {
                if step == last { S::Completed } else { S::Running { step: step + 1 } }
            }
            (S::Cancelling { step }, Event::StepDone { step: done }) if step == *done => {
                S::Compensating { step }
            }
            (
                S::Running { step } | S::Cancelling { step },
                Event::StepRefused { step: refused, .. },
            ) if step == *refused => back_from(step),
            (
                S::Running { step } | S::Cancelling { step },
                Event::StepTimedOut { step: silent },
            ) if step == *silent => S::Voiding { step },
            // Too late to decide anything, and known all the same.
            (
                S::Voiding { step },
                Event::StepDone { step: late } | Event::StepRefused { step: late, .. },
            ) if step == *late => S::Voiding { step },
            (S::Running { step }, Event::CancelRequested) => S::Cancelling { step },
            (S::Completed, Event::CancelRequested) => S::Compensating { step: last },
            (S::Compensating { step } | S::Voiding { step }, Event::Undone { step: undone })
                if step == *undone =>
            {
                back_from(step)
            }
            (
                S::Compensating { step } | S::Voiding { step },
                Event::UndoRefused { step: refused, .. },
            ) if step == *refused => S::Stuck { step },
            (S::Stuck { step }, Event::Redriven) => S::Compensating { step },
            (state, event) => {
                return Err(Illegal { state, event: event.clone() });
            }
        })
    }

    /// The command this state waits for.
    #[must_use]
    pub const fn due(self) -> Option<Command> {
        match self {
            Self::Running { step } | Self::Cancelling { step } => Some(Command::Do(step)),
            Self::Compensating { step } | Self::Voiding { step } => Some(Command::Undo(step)),
            Self::NotStarted | Self::Completed | Self::Compensated | Self::Stuck { .. } => None,
        }
    }

    /// Whether the answer to a step is waited for.
    #[must_use]
    pub fn awaits(self, step: usize) -> bool {
        self.due() == Some(Command::Do(step))
    }

    /// Nothing is under way any more (a completed saga may still be cancelled).
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        self.due().is_none()
    }
}

/// The state after a whole log.
///
/// # Errors
/// When the log tells what cannot happen.
pub fn replay<'e>(
    definition: &Definition,
    log: impl IntoIterator<Item = &'e Entry>,
) -> Result<State, Illegal> {
    log.into_iter().try_fold(State::default(), |state, entry| state.next(definition, &entry.event))
}

#[cfg(test)]
mod tests;
