//! What can be done with an order. Each action is a plain form or link, so it works without
//! JavaScript; in the browser the same forms are sent in place.

use super::{Story, head, refetch};
use crate::{
    ask::{self, AskError},
    live::{Connection, use_live},
};
use contract::{order::OrderStatus, shop::PlacedOrder};
use leptos::{ev::SubmitEvent, prelude::*};

/// A command to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Cancel,
    Ship,
    Redrive,
}

impl Command {
    const fn path(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Ship => "ship",
            Self::Redrive => "redrive",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Cancel => "Cancel order",
            Self::Ship => "Ship order",
            Self::Redrive => "Try the compensation again",
        }
    }

    const fn busy(self) -> &'static str {
        match self {
            Self::Cancel => "Cancelling",
            Self::Ship => "Shipping",
            Self::Redrive => "Trying again",
        }
    }

    async fn send(self, order_id: String) -> Result<PlacedOrder, AskError> {
        match self {
            Self::Cancel => ask::cancel_order(order_id).await,
            Self::Ship => ask::ship_order(order_id).await,
            Self::Redrive => ask::redrive_order(order_id).await,
        }
    }
}

/// What is going on with the actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Idle,
    /// Cancelling asks once.
    Asking,
    Busy(&'static str),
    Failed(String),
}

pub(super) fn actions(story: Story) -> AnyView {
    let progress = RwSignal::new(Progress::Idle);
    let order = story.order;
    let id = order.with_untracked(|o| o.row.order_id.clone());
    let can = move |command: Command| {
        order.with(|o| match command {
            Command::Cancel => o.can_cancel,
            Command::Ship => o.can_ship,
            Command::Redrive => o.can_redrive,
        })
    };
    // What may yet be possible has its place already: nothing moves when it is.
    let coming = move |command: Command| {
        let runs = order.with(|o| o.row.status == OrderStatus::Processing);
        (runs && !can(command)).then(|| {
            view! { <span class="button reserved" aria-hidden="true">{command.label()}</span> }
        })
    };
    let failed = move || match progress.get() {
        Progress::Failed(reason) => {
            Some(view! { <p class="order-failed" role="alert">{reason}</p> })
        }
        _ => None,
    };
    view! {
        <div class="order-actions">
            <a class="button" href=format!("/orders/new?again={id}")>"Place again"</a>
            {move || can(Command::Ship).then(|| form(story, Command::Ship, progress))}
            {move || coming(Command::Ship)}
            {move || can(Command::Redrive).then(|| form(story, Command::Redrive, progress))}
            {move || can(Command::Cancel).then(|| form(story, Command::Cancel, progress))}
            {move || coming(Command::Cancel)}
            {head::trace_link(story)}
            {failed}
        </div>
    }
    .into_any()
}

fn form(story: Story, command: Command, progress: RwSignal<Progress>) -> AnyView {
    let id = story.order.with_untracked(|o| o.row.order_id.clone());
    let action = format!("/orders/{id}/{}", command.path());
    let asking = move || command == Command::Cancel && progress.get() == Progress::Asking;
    let busy = move || progress.get() == Progress::Busy(command.busy());
    let connection = use_live().connection();
    let lost = move || matches!(connection.get(), Connection::Lost { .. });
    let text = move || {
        if busy() {
            command.busy()
        } else if asking() {
            "Yes, cancel it"
        } else {
            command.label()
        }
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if matches!(progress.get_untracked(), Progress::Busy(_)) {
            return;
        }
        if command == Command::Cancel && progress.get_untracked() != Progress::Asking {
            progress.set(Progress::Asking);
            return;
        }
        run(story, command, id.clone(), progress);
    };
    view! {
        <form method="post" action=action class="order-form" on:submit=submit>
            <button
                type="submit"
                class="button"
                class:danger=command == Command::Cancel
                aria-busy=move || busy().then_some("true")
                // Not while it is busy: a button that is disabled loses the focus.
                disabled=lost
                title=move || lost().then_some("Disconnected: it could not be sent")
            >
                {text}
            </button>
            {move || {
                asking().then(|| view! {
                    <button
                        type="button"
                        class="button"
                        on:click=move |_| progress.set(Progress::Idle)
                    >
                        "Keep it"
                    </button>
                })
            }}
        </form>
    }
    .into_any()
}

fn run(story: Story, command: Command, id: String, progress: RwSignal<Progress>) {
    progress.set(Progress::Busy(command.busy()));
    leptos::task::spawn_local(async move {
        let next = match command.send(id).await {
            Ok(_) => Progress::Idle,
            Err(error) => Progress::Failed(format!("{} failed. {error}", command.label())),
        };
        progress.try_set(next);
        refetch(story);
    });
}
