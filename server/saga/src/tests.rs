//! The machine against every pair of state and event, and every way a run can go.

use super::*;

const STEP: Step =
    Step { name: "do", compensation_name: "undo", void_name: "void", service: "somewhere" };
const THREE: Definition = Definition { name: "three", steps: &[STEP, STEP, STEP] };

fn refused(step: usize) -> Event {
    Event::StepRefused { step, reason: "no".into() }
}

fn undo_refused(step: usize) -> Event {
    Event::UndoRefused { step, reason: "no".into() }
}

fn all_states() -> Vec<State> {
    use State::*;
    let mut states = vec![NotStarted, Completed, Compensated];
    for step in 0..3 {
        states.extend([
            Running { step },
            Cancelling { step },
            Compensating { step },
            Voiding { step },
            Stuck { step },
        ]);
    }
    states
}

fn all_events() -> Vec<Event> {
    let mut events = vec![Event::Started, Event::CancelRequested, Event::Redriven];
    for step in 0..3 {
        events.extend([
            Event::StepDone { step },
            refused(step),
            Event::StepTimedOut { step },
            Event::Undone { step },
            undo_refused(step),
        ]);
    }
    events
}

/// Written again from the description, pair by pair; everything else must be refused.
fn expected(state: State, event: &Event) -> Option<State> {
    use State::*;
    let legal = [
        (NotStarted, Event::Started, Running { step: 0 }),
        (Running { step: 0 }, Event::StepDone { step: 0 }, Running { step: 1 }),
        (Running { step: 1 }, Event::StepDone { step: 1 }, Running { step: 2 }),
        (Running { step: 2 }, Event::StepDone { step: 2 }, Completed),
        (Running { step: 0 }, refused(0), Compensated),
        (Running { step: 1 }, refused(1), Compensating { step: 0 }),
        (Running { step: 2 }, refused(2), Compensating { step: 1 }),
        (Running { step: 0 }, Event::CancelRequested, Cancelling { step: 0 }),
        (Running { step: 1 }, Event::CancelRequested, Cancelling { step: 1 }),
        (Running { step: 2 }, Event::CancelRequested, Cancelling { step: 2 }),
        (Cancelling { step: 0 }, Event::StepDone { step: 0 }, Compensating { step: 0 }),
        (Cancelling { step: 1 }, Event::StepDone { step: 1 }, Compensating { step: 1 }),
        (Cancelling { step: 2 }, Event::StepDone { step: 2 }, Compensating { step: 2 }),
        (Cancelling { step: 0 }, refused(0), Compensated),
        (Cancelling { step: 1 }, refused(1), Compensating { step: 0 }),
        (Cancelling { step: 2 }, refused(2), Compensating { step: 1 }),
        (Completed, Event::CancelRequested, Compensating { step: 2 }),
        (Compensating { step: 2 }, Event::Undone { step: 2 }, Compensating { step: 1 }),
        (Compensating { step: 1 }, Event::Undone { step: 1 }, Compensating { step: 0 }),
        (Compensating { step: 0 }, Event::Undone { step: 0 }, Compensated),
        (Compensating { step: 2 }, undo_refused(2), Stuck { step: 2 }),
        (Compensating { step: 1 }, undo_refused(1), Stuck { step: 1 }),
        (Compensating { step: 0 }, undo_refused(0), Stuck { step: 0 }),
        (Running { step: 0 }, Event::StepTimedOut { step: 0 }, Voiding { step: 0 }),
        (Running { step: 1 }, Event::StepTimedOut { step: 1 }, Voiding { step: 1 }),
        (Running { step: 2 }, Event::StepTimedOut { step: 2 }, Voiding { step: 2 }),
        (Cancelling { step: 0 }, Event::StepTimedOut { step: 0 }, Voiding { step: 0 }),
        (Cancelling { step: 1 }, Event::StepTimedOut { step: 1 }, Voiding { step: 1 }),
        (Cancelling { step: 2 }, Event::StepTimedOut { step: 2 }, Voiding { step: 2 }),
        (Voiding { step: 0 }, Event::StepDone { step: 0 }, Voiding { step: 0 }),
        (Voiding { step: 1 }, Event::StepDone { step: 1 }, Voiding { step: 1 }),
        (Voiding { step: 2 }, Event::StepDone { step: 2 }, Voiding { step: 2 }),
        (Voiding { step: 0 }, refused(0), Voiding { step: 0 }),
        (Voiding { step: 1 }, refused(1), Voiding { step: 1 }),
        (Voiding { step: 2 }, refused(2), Voiding { step: 2 }),
        (Voiding { step: 2 }, Event::Undone { step: 2 }, Compensating { step: 1 }),
        (Voiding { step: 1 }, Event::Undone { step: 1 }, Compensating { step: 0 }),
        (Voiding { step: 0 }, Event::Undone { step: 0 }, Compensated),
        (Voiding { step: 2 }, undo_refused(2), Stuck { step: 2 }),
        (Voiding { step: 1 }, undo_refused(1), Stuck { step: 1 }),
        (Voiding { step: 0 }, undo_refused(0), Stuck { step: 0 }),
        (Stuck { step: 2 }, Event::Redriven, Compensating { step: 2 }),
        (Stuck { step: 1 }, Event::Redriven, Compensating { step: 1 }),
        (Stuck { step: 0 }, Event::Redriven, Compensating { step: 0 }),
    ];
    legal.into_iter().find(|(s, e, _)| *s == state && e == event).map(|(_, _, next)| next)
}

#[test]
fn every_pair_of_state_and_event_is_as_described_or_refused() {
    for state in all_states() {
        for event in all_events() {
            let next = state.next(&THREE, &event);
            match expected(state, &event) {
                Some(expected) => assert_eq!(next, Ok(expected), "{state:?} {event:?}"),
                None => assert_eq!(next, Err(Illegal { state, event })),
            }
        }
    }
}

/// Answers every command, refusing the forward step `refuses`; gives the commands in order.
fn run(refuses: Option<usize>) -> (Vec<Command>, State) {
    let mut state = State::default().next(&THREE, &Event::Started).unwrap();
    let mut commands = Vec::new();
    while let Some(command) = state.due() {
        commands.push(command);
        let event = match command {
            Command::Do(step) if Some(step) == refuses => refused(step),
            Command::Do(step) => Event::StepDone { step },
            Command::Undo(step) => Event::Undone { step },
        };
        state = state.next(&THREE, &event).unwrap();
    }
    (commands, state)
}

#[test]
fn what_was_done_before_a_refusal_is_undone_backwards() {
    use Command::{Do, Undo};
    assert_eq!(run(None), (vec![Do(0), Do(1), Do(2)], State::Completed));
    assert_eq!(run(Some(0)), (vec![Do(0)], State::Compensated));
    assert_eq!(run(Some(1)), (vec![Do(0), Do(1), Undo(0)], State::Compensated));
    assert_eq!(run(Some(2)), (vec![Do(0), Do(1), Do(2), Undo(1), Undo(0)], State::Compensated));
}
