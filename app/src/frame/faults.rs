//! Faults on every page: the banner that announces them, the way to end each, the kill switch.
//!
//! Without JavaScript every control here is a form that posts to `/resilience/…`. On a phone the
//! banner is one line that opens a sheet with all of it.

use super::{
    lazily::{Body, Lazily},
    offline::use_offline,
    state::use_frame,
    toast::{ToastAction, Toasts, use_toasts},
};
use crate::{
    ask,
    live::{Connection, Live, use_live},
    model::fault,
    widget::{Dialog, Icon, icon},
};
use contract::resilience::{EndFaults, FaultView, InjectFault};
use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use std::sync::Arc;

/// Chips in the banner at most; a link beside them leads to all.
const CHIPS_MAX: usize = 3;

/// "Undo" of a removal: injects the same again.
fn undo(again: InjectFault, live: Live, toasts: Toasts) -> ToastAction {
    let run = move || {
        let again = again.clone();
        spawn_local(async move {
            match ask::inject_fault(again).await {
                Ok(fault) => {
                    toasts.success(&format!("{} injected", fault.id), &fault.what, None);
                    live.expect_fault(fault);
                }
                Err(error) => toasts.failure("Fault not injected", &error.to_string()),
            }
        });
    };
    ToastAction { label: "Undo", run: Arc::new(run) }
}

/// Ends faults or releases the kill switch, and shows what came of it at once.
#[must_use]
pub fn use_end_faults() -> Callback<EndFaults> {
    let (live, toasts) = (use_live(), use_toasts());
    Callback::new(move |command: EndFaults| {
        let removed = live.faults().with_untracked(|faults| {
            let EndFaults::One(id) = &command else { return None };
            faults.active.iter().find(|fault| fault.id == *id).cloned()
        });
        spawn_local(async move {
            let done = match &command {
                EndFaults::One(id) => format!("{id} removed"),
                EndFaults::All => "All faults removed".into(),
                EndFaults::Release => "Faults can be injected again".into(),
            };
            // A breaker is of the calls and not of a fault: what has opened it is no matter to it.
            let all = matches!(command, EndFaults::All);
            let after = if all { "An open breaker waits its time and probes." } else { "" };
            match ask::end_faults(command).await {
                Ok(faults) => {
                    live.expect_faults(faults);
                    let what = removed.as_ref().map_or(after, |f| &f.what).to_owned();
                    let again = removed.and_then(|fault| fault.again);
                    match again.map(|again| undo(again, live, toasts)) {
                        Some(action) => toasts.done(&done, &what, action),
                        None => toasts.success(&done, &what, None),
                    }
                }
                Err(error) => toasts.failure("Not done", &error.to_string()),
            }
        });
    })
}

/// A form of one button that ends faults; posts to `action` without JavaScript.
pub fn end_form(
    command: EndFaults,
    class: &'static str,
    label: Option<String>,
    inside: AnyView,
) -> AnyView {
    let end = use_end_faults();
    let offline = use_offline();
    let (action, id) = match &command {
        EndFaults::One(id) => ("/resilience/remove", Some(id.clone())),
        EndFaults::All => ("/resilience/remove-all", None),
        EndFaults::Release => ("/resilience/release", None),
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if !offline.refuses("Not removed") {
            end.run(command.clone());
        }
    };
    view! {
        <form class="inline" method="post" action=action on:submit=submit>
            {id.map(|id| view! { <input type="hidden" name="id" value=id/> })}
            <button
                class=class aria-label=label disabled=move || offline.now()
                title=move || offline.reason()
            >
                {inside}
            </button>
        </form>
    }
    .into_any()
}

/// "Remove all": asks once, in a dialog.
pub fn remove_all(class: &'static str) -> AnyView {
    let (frame, offline) = (use_frame(), use_offline());
    let ask = move |event: SubmitEvent| {
        event.prevent_default();
        if !offline.refuses("Faults not removed") {
            frame.ending.set(false);
            frame.killing.set(true);
        }
    };
    view! {
        <form class="inline" method="post" action="/resilience/remove-all" on:submit=ask>
            <button
                class=class disabled=move || offline.now()
                title=move || offline.reason().unwrap_or("Shift F")
            >
                "Remove all"
            </button>
        </form>
    }
    .into_any()
}

/// The banner: which faults are in force, or that faults are held off. Nothing otherwise.
#[component]
pub(super) fn FaultBanner() -> impl IntoView {
    let live = use_live();
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                live.ready().await;
                view! { <Announced/> }
            })}
        </Suspense>
    }
    .into_any()
}

/// What a chip is made of; it changes only with the fault, not with its counts.
type Chip = (String, String, String);

/// The chips of all faults in force.
fn use_chips() -> Memo<Vec<Chip>> {
    let faults = use_live().faults();
    Memo::new(move |_| {
        faults.with(|faults| {
            let chip = |f: &FaultView| (f.id.clone(), f.what.clone(), f.place.clone());
            faults.active.iter().map(chip).collect::<Vec<Chip>>()
        })
    })
}

#[component]
fn Announced() -> impl IntoView {
    let faults = use_live().faults();
    let chips = use_chips();
    let held = Memo::new(move |_| faults.with(|faults| faults.held_us.is_some()));
    move || {
        let chips = chips.get();
        match (chips.len(), held.get()) {
            (0, false) => ().into_any(),
            (0, true) => held_off(),
            _ => active(chips),
        }
    }
}

fn held_off() -> AnyView {
    let inside = view! { "Release" }.into_any();
    view! {
        <div class="banner tone-info">
            {icon(Icon::Bolt)}
            <strong role="status">"Faults are held off"</strong>
            <span class="grow">"The kill switch was used: new faults are refused."</span>
            {end_form(EndFaults::Release, "button ghost", None, inside)}
        </div>
    }
    .into_any()
}

fn active(chips: Vec<Chip>) -> AnyView {
    let frame = use_frame();
    let all = chips.len();
    let count = if all == 1 { "1 active fault".into() } else { format!("{all} active faults") };
    let more = (all > 1).then(|| {
        let text = format!("all {all}");
        view! { <a class="more" href="/resilience#faults" aria-label="All faults">{text}</a> }
    });
    let ids = chips.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>().join(", ");
    let open = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        event.stop_propagation();
        frame.ending.set(true);
    };
    view! {
        <div
            class="banner fault-banner tone-warn" role="region" aria-label="Active faults"
        >
            {icon(Icon::Bolt)}
            <a
                class="fault-line" href="/resilience#faults" aria-haspopup="dialog"
                on:click=open
            >
                <strong role="status">{count.clone()}</strong>
                <span class="grow">{ids}</span>
                {icon(Icon::Right)}
            </a>
            <a class="fault-count" href="/resilience#faults">
                <strong role="status">{count}</strong>
            </a>
            <div class="fault-chips">
                {chips.into_iter().take(CHIPS_MAX).map(chip).collect_view()}
            </div>
            {more}
            {remove_all("button ghost")}
        </div>
    }
    .into_any()
}

fn chip((id, what, place): Chip) -> AnyView {
    let live = use_live();
    let frame = use_frame();
    let (of, href) = (id.clone(), format!("/resilience?fault={id}#faults"));
    let ends = Memo::new(move |_| {
        let lost = matches!(live.connection().get(), Connection::Lost { .. });
        live.faults().with(|faults| {
            let fault = faults.active.iter().find(|fault| fault.id == of)?;
            fault::countdown(fault, live.now_us().get(), lost)
        })
    });
    let whole = move || ends.with(|ends| ends.as_ref().map(|(then, left)| format!("{then}{left}")));
    let then = move || ends.with(|ends| ends.as_ref().map(|(then, _)| then.clone()));
    let left = move || ends.with(|ends| ends.as_ref().map(|(_, left)| left.clone()));
    let label = Some(format!("Remove {id}"));
    let cross = end_form(EndFaults::One(id.clone()), "remove-cross", label, icon(Icon::Cross));
    view! {
        <span class="banner-chip">
            <a href=href on:click=move |_| frame.ending.set(false)>
                <b>{id}</b>
                <span class="what" title=what.clone()>{what.clone()}</span>
                <span class="place" title=place.clone()>{place.clone()}</span>
                <span class="ends" title=whole><span class="then">{then}</span>{left}</span>
            </a>
            {cross}
        </span>
    }
    .into_any()
}

/// What the one line of a phone's banner opens: every fault, and the ways to end them.
#[component]
pub(super) fn FaultSheet() -> impl IntoView {
    let frame = use_frame();
    let faults = use_live().faults();
    Effect::new(move |_| {
        // It goes with the last fault.
        if faults.with(|faults| faults.active.is_empty()) && frame.ending.get_untracked() {
            frame.ending.set(false);
        }
    });
    view! {
        <Dialog open=frame.ending title="Active faults" class="sheet">
            <Lazily body=Body::Faults/>
        </Dialog>
    }
    .into_any()
}

/// What it shows.
pub(super) fn body() -> AnyView {
    let chips = use_chips();
    view! {
        <div class="fault-sheet">
            {move || chips.get().into_iter().map(chip).collect_view()}
            <div class="actions">{remove_all("button danger")}</div>
        </div>
    }
    .into_any()
}

/// A fault's id as a chip that leads to it.
pub fn fault_link(id: &str) -> AnyView {
    let href = format!("/resilience?fault={id}#faults");
    view! { <a class="fault-id" href=href>{icon(Icon::Bolt)} {id.to_owned()}</a> }.into_any()
}

/// Asks once before all faults end.
#[component]
pub(super) fn KillDialog() -> impl IntoView {
    let frame = use_frame();
    view! {
        <Dialog open=frame.killing title="Remove all faults" class="narrow">
            {kill_form()}
        </Dialog>
    }
    .into_any()
}

fn kill_form() -> AnyView {
    let (frame, end, offline) = (use_frame(), use_end_faults(), use_offline());
    let count = use_live().faults().with_untracked(|faults| faults.active.len());
    let count = u64::try_from(count).unwrap_or_default();
    let text = crate::model::format::plural(count, "fault ends", "faults end");
    let go = move |event: SubmitEvent| {
        event.prevent_default();
        if offline.refuses("Faults not removed") {
            return;
        }
        frame.killing.set(false);
        end.run(EndFaults::All);
    };
    view! {
        <form class="form" on:submit=go>
            <p>{text} " at once. New ones are refused until they are released."</p>
            <div class="actions">
                <button type="button" class="button" on:click=move |_| frame.killing.set(false)>
                    "Keep them"
                </button>
                <button
                    type="submit" class="button danger" autofocus=true
                    disabled=move || offline.now() title=move || offline.reason()
                >
                    "Remove all"
                </button>
            </div>
        </form>
    }
    .into_any()
}
