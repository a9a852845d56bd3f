//! The full saga stepper: forward steps on top, compensations under the step they undo.
//!
//! Says what each card and each arrow is; where they stand is a matter of the style sheet.

use super::{fine, tone::Tone};
use contract::{
    order::StepMark,
    saga::{SagaStatus, SagaStepView, SagaView},
};

/// Steps that have a place in the style sheet's grid; a longer saga wraps.
pub const STEPS_MAX: usize = 6;

/// The mark of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// Check.
    Done,
    /// Clock.
    Running,
    /// Cross.
    Failed,
    /// Back arrow.
    Undone,
    /// Dash.
    NotReached,
    /// Exclamation: a person is needed.
    Stuck,
    /// Exclamation: not answered in time.
    Unknown,
}

/// One card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// "1 Reserve inventory", "Release inventory".
    pub title: String,
    /// "3 units, 15 ms", "not reached".
    pub detail: String,
    /// Its colour.
    pub tone: Tone,
    /// Its mark.
    pub glyph: Glyph,
    /// The state as a word, for those who do not see the mark.
    pub word: &'static str,
    /// Versions of the events it caused.
    pub versions: Vec<u64>,
    /// Who does it.
    pub service: String,
    /// When its command was recorded, as an offset; on the arrow that leads to it.
    pub began: Option<String>,
    /// When its command was recorded and when its reply.
    pub time_us: (Option<i64>, Option<i64>),
}

/// What leads to a compensation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrow {
    /// Down from the step above it.
    Down,
    /// Left from the compensation at its right.
    Left,
    /// From a step so many columns further right that has nothing to undo itself.
    Corner(usize),
}

/// One column: a step and, below it, what undid it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The forward step.
    pub step: Card,
    /// The arrow to the next step was taken.
    pub leads_on: bool,
    /// The compensation and what leads to it.
    pub undo: Option<(Card, Arrow)>,
}

/// The whole stepper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stepper {
    /// In order of the forward steps.
    pub columns: Vec<Column>,
    /// One sentence under the steps that were not reached.
    pub outcome: String,
    /// Anything is being undone: there is a second row.
    pub compensates: bool,
}

/// The stepper of a saga; offsets count from `zero_us`.
#[must_use]
pub fn stepper(saga: &SagaView, zero_us: i64) -> Stepper {
    let undo = |i: usize| saga.compensations.get(i).and_then(Option::as_ref);
    let columns: Vec<Column> = saga
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| Column {
            step: card(step, Some(i + 1), zero_us),
            leads_on: saga.steps.get(i + 1).is_some_and(|next| next.mark != StepMark::NotReached),
            undo: undo(i).map(|c| (card(c, None, zero_us), leads_into(saga, i))),
        })
        .collect();
    let compensates = columns.iter().any(|c| c.undo.is_some());
    Stepper { outcome: outcome(saga, zero_us), columns, compensates }
}

/// Where the arrow into a compensation comes from: the one that ran before it.
fn leads_into(saga: &SagaView, index: usize) -> Arrow {
    let has_undo = |i: usize| saga.compensations.get(i).is_some_and(Option::is_some);
    let last_reached =
        saga.steps.iter().rposition(|s| s.mark != StepMark::NotReached).unwrap_or(index);
    if (index + 1..saga.steps.len()).any(has_undo) {
        Arrow::Left
    } else if last_reached > index {
        Arrow::Corner(last_reached - index)
    } else {
        Arrow::Down
    }
}

fn card(step: &SagaStepView, number: Option<usize>, zero_us: i64) -> Card {
    let undoes = number.is_none();
    let (tone, glyph, word) = match step.mark {
        StepMark::NotReached => (Tone::Neutral, Glyph::NotReached, "not reached"),
        StepMark::Running if undoes => (Tone::Comp, Glyph::Running, "running"),
        StepMark::Running => (Tone::Info, Glyph::Running, "running"),
        StepMark::Done if undoes => (Tone::Comp, Glyph::Undone, "done"),
        StepMark::Done | StepMark::Undone if !undoes => (Tone::Ok, Glyph::Done, "done"),
        StepMark::Failed => (Tone::Error, Glyph::Failed, "failed"),
        StepMark::Stuck => (Tone::Error, Glyph::Stuck, "stuck, needs a person"),
        StepMark::Unknown => (Tone::Warn, Glyph::Unknown, "timed out, outcome unknown"),
        StepMark::Done | StepMark::Undone => (Tone::Comp, Glyph::Undone, "undone"),
    };
    let took = step.started_us.zip(step.ended_us).map(|(from, to)| to - from);
    // What is recorded together with its command takes no time.
    let took = took.filter(|took_us| *took_us > 0).map(fine::duration_us);
    // One try is what everybody expects.
    let tries = step.tries.filter(|tries| *tries > 1).map(|tries| format!("{tries} tries"));
    let said = Some(step.detail.clone()).filter(|detail| !detail.is_empty());
    let parts: Vec<String> = [said, tries, took].into_iter().flatten().collect();
    let detail = if parts.is_empty() { word.to_owned() } else { parts.join(", ") };
    Card {
        title: number.map_or_else(|| step.name.clone(), |n| format!("{n} {}", step.name)),
        detail,
        tone,
        glyph,
        word,
        versions: step.versions.clone(),
        service: step.service.clone(),
        began: step.started_us.map(|at| fine::offset_us(at - zero_us)),
        time_us: (step.started_us, step.ended_us),
    }
}

fn outcome(saga: &SagaView, zero_us: i64) -> String {
    let ended = saga
        .steps
        .iter()
        .chain(saga.compensations.iter().flatten())
        .filter_map(|s| s.ended_us)
        .max()
        .map(|at| fine::offset_us(at - zero_us));
    let at = ended.map_or_else(String::new, |at| format!(" at {at}"));
    match saga.status {
        SagaStatus::Running => "Forward steps are under way.".into(),
        SagaStatus::Completed => format!("Completed{at}. Every step is done."),
        SagaStatus::Compensating => "Undoing what was done, backwards.".into(),
        SagaStatus::Compensated => format!("Ended cancelled{at}. Every completed step was undone."),
        SagaStatus::Stuck => "Stuck: a compensation cannot finish by itself.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, mark: StepMark, from_ms: i64, to_ms: i64) -> SagaStepView {
        SagaStepView {
            name: name.into(),
            service: "inventory".into(),
            mark,
            detail: "3 units".into(),
            started_us: (mark != StepMark::NotReached).then_some(from_ms * 1_000),
            ended_us: matches!(mark, StepMark::Done | StepMark::Failed).then_some(to_ms * 1_000),
            versions: vec![2],
            tries: None,
        }
    }

    fn declined(second_undo: bool) -> SagaView {
        let undo = |name| Some(step(name, StepMark::Done, 2_177, 2_192));
        SagaView {
            saga_id: "ord-7F3K9Q".into(),
            status: SagaStatus::Compensated,
            steps: vec![
                step("Reserve inventory", StepMark::Done, 31, 46),
                step("Authorize payment", StepMark::Failed, 49, 2_174),
                step("Confirm order", StepMark::NotReached, 0, 0),
            ],
            compensations: vec![
                undo("Release inventory"),
                undo("Void").filter(|_| second_undo),
                None,
            ],
            took_us: Some(2_150_000),
        }
    }

    #[test]
    fn forward_steps_are_numbered_and_say_how_long_they_took() {
        let drawn = stepper(&declined(false), 0);
        assert_eq!(drawn.columns[0].step.title, "1 Reserve inventory");
        assert_eq!(drawn.columns[0].step.detail, "3 units, 15 ms");
        assert_eq!(drawn.columns[1].step.began.as_deref(), Some("+49 ms"));
        assert_eq!(
            drawn.columns.iter().map(|c| c.leads_on).collect::<Vec<_>>(),
            [true, false, false]
        );
        assert_eq!(drawn.columns[2].step.glyph, Glyph::NotReached);
    }

    #[test]
    fn a_step_says_how_often_it_was_tried_where_that_was_more_than_once() {
        let mut saga = declined(false);
        (saga.steps[0].tries, saga.steps[1].tries) = (Some(1), Some(3));
        saga.steps[1].detail = "declined".into();
        let undo = saga.compensations[0].as_mut().unwrap();
        (undo.tries, undo.detail) = (Some(2), String::new());
        let drawn = stepper(&saga, 0);
        assert_eq!(drawn.columns[0].step.detail, "3 units, 15 ms");
        assert_eq!(drawn.columns[1].step.detail, "declined, 3 tries, 2.12 s");
        let undo = &drawn.columns[0].undo.as_ref().unwrap().0;
        assert_eq!(undo.detail, "2 tries, 15 ms");
        assert_eq!(drawn.columns[2].step.detail, "3 units");
    }

    #[test]
    fn compensations_run_from_right_to_left_under_the_step_they_undo() {
        let both = stepper(&declined(true), 0);
        let arrows: Vec<Option<Arrow>> =
            both.columns.iter().map(|c| c.undo.as_ref().map(|u| u.1)).collect();
        assert_eq!(arrows, [Some(Arrow::Left), Some(Arrow::Down), None]);
        let one = stepper(&declined(false), 0);
        assert_eq!(one.columns[0].undo.as_ref().map(|u| u.1), Some(Arrow::Corner(1)));
        assert!(one.compensates);
    }

    #[test]
    fn the_outcome_is_a_sentence_with_its_moment() {
        let sentence = stepper(&declined(true), 0).outcome;
        assert_eq!(sentence, "Ended cancelled at +2.192 s. Every completed step was undone.");
    }

    #[test]
    fn a_compensation_that_needs_a_person_is_an_error_and_says_so() {
        let mut saga = declined(false);
        saga.status = SagaStatus::Stuck;
        saga.compensations[0] = Some(step("Release inventory", StepMark::Stuck, 1, 1));
        let card = stepper(&saga, 0).columns[0].undo.clone().unwrap().0;
        assert_eq!((card.tone, card.word), (Tone::Error, "stuck, needs a person"));
    }

    #[test]
    fn a_step_that_timed_out_is_no_failure_and_its_void_stands_below_it() {
        let mut saga = declined(true);
        saga.steps[1] = step("Authorize payment", StepMark::Unknown, 49, 10_049);
        let drawn = stepper(&saga, 0);
        let card = &drawn.columns[1].step;
        assert_eq!((card.tone, card.glyph), (Tone::Warn, Glyph::Unknown));
        assert_eq!(card.word, "timed out, outcome unknown");
        let (void, arrow) = drawn.columns[1].undo.as_ref().unwrap();
        assert_eq!((void.title.as_str(), *arrow), ("Void", Arrow::Down));
    }

    #[test]
    fn a_confirmed_saga_has_one_row() {
        let mut saga = declined(false);
        saga.compensations = vec![None, None, None];
        saga.status = SagaStatus::Completed;
        assert!(!stepper(&saga, 0).compensates);
    }
}
