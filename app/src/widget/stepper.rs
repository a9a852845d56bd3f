//! The mini saga stepper: three bars, always with a word beside them.

use contract::order::StepMark;
use leptos::prelude::*;

/// Class of one bar.
#[must_use]
pub const fn step_class(mark: StepMark) -> &'static str {
    match mark {
        StepMark::NotReached => "step",
        StepMark::Running => "step step-running",
        StepMark::Done => "step step-done",
        StepMark::Failed => "step step-failed",
        StepMark::Undone => "step step-undone",
        StepMark::Stuck => "step step-stuck",
        StepMark::Unknown => "step step-unknown",
    }
}

/// Three bars. Hidden from screen readers: the word beside them says the same.
#[component]
pub fn MiniStepper(
    /// Reserve, pay, confirm.
    #[prop(into)]
    steps: Signal<[StepMark; 3]>,
    /// The running step takes long.
    #[prop(optional, into)]
    slow: Signal<bool>,
) -> impl IntoView {
    let bar = move |i: usize| {
        move || {
            let mark = steps.with(|steps| steps.get(i).copied().unwrap_or(StepMark::NotReached));
            let slow = mark == StepMark::Running && slow.get();
            if slow { "step step-running step-slow" } else { step_class(mark) }
        }
    };
    view! {
        <span class="stepper" aria-hidden="true">
            <i class=bar(0)></i>
            <i class=bar(1)></i>
            <i class=bar(2)></i>
        </span>
    }
}
