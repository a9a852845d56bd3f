//! A saga as pages see it: forward steps, then compensations backwards.

use crate::order::StepMark;
use serde::{Deserialize, Serialize};

/// The state of the whole saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SagaStatus {
    /// Forward steps are under way.
    Running,
    /// Every forward step is done.
    Completed,
    /// Compensations are under way.
    Compensating,
    /// Every completed step was undone.
    Compensated,
    /// A compensation cannot finish by itself.
    Stuck,
}

/// One forward step or one compensation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaStepView {
    /// "Reserve inventory", "Release inventory" …
    pub name: String,
    /// Service that does it.
    pub service: String,
    /// How far.
    pub mark: StepMark,
    /// One line: "3 units", "declined: insufficient funds", "not reached".
    pub detail: String,
    /// When its command was recorded.
    pub started_us: Option<i64>,
    /// When its reply was recorded.
    pub ended_us: Option<i64>,
    /// Versions of the order's events it caused.
    pub versions: Vec<u64>,
    /// How often its command was sent before it was taken; none when no trace is kept that tells.
    #[serde(default)]
    pub tries: Option<u32>,
}

/// One saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaView {
    /// Same as the order's id.
    pub saga_id: String,
    /// The state of the whole.
    pub status: SagaStatus,
    /// Forward steps in order.
    pub steps: Vec<SagaStepView>,
    /// Compensation of the step at the same index, if one was started.
    pub compensations: Vec<Option<SagaStepView>>,
    /// From its start to its end.
    pub took_us: Option<i64>,
}
