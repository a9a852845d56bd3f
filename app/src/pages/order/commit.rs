//! The panels of the two-phase commits: one each, or why there is none.

use super::{Story, part, swimlane};
use crate::{
    live::use_live,
    model::{
        fine,
        swimlane::{Doubt, Lock, swimlane as drawn},
        tone::Tone,
    },
    widget::Badge,
};
use contract::{
    order::OrderStatus,
    transaction::{TransactionView, TxState},
};
use leptos::prelude::*;

/// How to read the drawing.
const NOT_TO_SCALE: &str = "in order, not to scale; offsets from the order's start";

pub(super) fn panels(story: Story) -> AnyView {
    let ids = Memo::new(move |_| {
        story.order.with(|o| {
            let told = o.transactions.as_ref().ok()?;
            Some(told.iter().map(|t| t.transaction_id.clone()).collect::<Vec<_>>())
        })
    });
    let each = move || ids.get().unwrap_or_default();
    let none = move || match ids.get() {
        Some(ids) if !ids.is_empty() => None,
        Some(_) => Some(none_yet(story)),
        None => Some(untold(story)),
    };
    view! {
        {none}
        <For each=each key=Clone::clone children=move |id| panel(story, id)/>
    }
    .into_any()
}

/// Payments has not told: nobody knows whether there was one.
fn untold(story: Story) -> AnyView {
    let body = move || {
        story.order.with(|o| {
            let error = o.transactions.as_ref().err()?;
            Some(part::failed(story, "Payments cannot be asked.", error))
        })
    };
    empty_panel(body.into_any())
}

fn none_yet(story: Story) -> AnyView {
    let text = move || {
        story.order.with(|o| match o.row.status {
            OrderStatus::Processing => {
                "It begins when the stock is reserved: payments asks both sides to prepare."
            }
            _ => "None was begun: the saga did not come to the payment.",
        })
    };
    empty_panel(view! { <p class="panel-empty">{text}</p> }.into_any())
}

fn empty_panel(body: AnyView) -> AnyView {
    view! {
        <section class="panel order-commit outline" aria-labelledby="no-commit-title">
            <header class="panel-head">
                <h2 id="no-commit-title">"Two-phase commit"</h2>
            </header>
            {body}
        </section>
    }
    .into_any()
}

fn panel(story: Story, id: String) -> AnyView {
    let wanted = id.clone();
    let tx = Memo::new(move |_| {
        story.order.with(|o| {
            let told = o.transactions.as_ref().ok()?;
            told.iter().find(|t| t.transaction_id == wanted).cloned()
        })
    });
    let title = format!("title-{id}");
    let labelled = title.clone();
    let body = move || {
        tx.with(|tx| {
            let tx = tx.as_ref()?;
            Some(if tx.never_begun() { never_begun() } else { swimlane::drawing(story, tx) })
        })
    };
    let head = move || tx.with(|tx| tx.as_ref().map(|tx| head(story, tx)));
    let old = move || story.fetched.with(|f| f.commits.as_ref().map(|e| part::old(story, e)));
    view! {
        <section class="panel order-commit" aria-labelledby=labelled>
            <header class="panel-head">
                <h2 id=title>"Two-phase commit"</h2>
                <code>{id}</code>
                {head}
            </header>
            {old}
            {body}
        </section>
    }
    .into_any()
}

/// All there is of a payment that was voided before payments had begun it.
fn never_begun() -> AnyView {
    let text = "The void came before the payment was begun. No participant was asked to prepare, \
                so nobody voted, holds a lock or has to be told. All that is left of it is the \
                abort in the coordinator's log: a payment.authorize that still arrives finds it \
                and is refused.";
    view! { <p class="panel-empty">{text}</p> }.into_any()
}

fn head(story: Story, tx: &TransactionView) -> AnyView {
    let (word, tone) = match tx.state {
        _ if tx.never_begun() => ("Aborted before phase 1", Tone::Comp),
        TxState::Preparing => ("Preparing", Tone::Info),
        TxState::Prepared => ("Prepared", Tone::Half),
        TxState::Committing => ("Committing", Tone::Ok),
        TxState::Committed => ("Committed", Tone::Ok),
        TxState::Aborting => ("Aborting", Tone::Comp),
        TxState::Aborted => ("Aborted", Tone::Comp),
        TxState::Damaged => ("Log damaged", Tone::Error),
    };
    let zero_us = story.order.with_untracked(|o| o.zero_us);
    let locks = drawn(tx, zero_us).locks;
    let wide = (!tx.never_begun())
        .then(|| view! { <span class="wide-only">{format!(", {NOT_TO_SCALE}")}</span> });
    view! {
        <Badge tone=tone text=word.to_owned()/>
        <span class="sub">
            <span class="purpose">{tx.purpose.clone()}</span>
            {wide}
        </span>
        <span class="locks">{locks_view(locks)}</span>
    }
    .into_any()
}

/// How long the locks were held, or are; of those in doubt how long they were.
fn locks_view(locks: Vec<Lock>) -> Vec<AnyView> {
    let doubted = locks.iter().any(|l| l.doubt != Doubt::None);
    let told =
        move |lock: &Lock| !doubted || lock.doubt != Doubt::None || lock.released_us.is_none();
    locks
        .into_iter()
        .filter(told)
        .enumerate()
        .map(|(i, lock)| {
            let gap = if i > 0 { ", " } else { "" };
            let held = lock.held_us().map(fine::duration_us);
            let (name, since_us) = (lock.service, lock.since_us);
            match (lock.doubt, held) {
                (Doubt::Over(doubt), held) => {
                    let held = held.map(|h| format!(", lock held {h}"));
                    let doubt = fine::duration_us(doubt);
                    view! { {gap}{name}" in doubt for "<b>{doubt}</b>{held} }.into_any()
                }
                (Doubt::Open, _) => view! {
                    {gap}{name}" in doubt for "<b class="in-doubt">{elapsed(since_us)}</b>
                    ", lock held"
                }
                .into_any(),
                (Doubt::None, Some(held)) => {
                    // The first of them says of all what was held.
                    let locked = if i > 0 { " " } else { " locked " };
                    view! { {gap}{name}{locked}<b>{held}</b> }.into_any()
                }
                (Doubt::None, None) => view! { {gap}{name}" holds its locks" }.into_any(),
            }
        })
        .collect()
}

/// How long it is by the clock of the page: counts up while it is live.
fn elapsed(since_us: i64) -> impl IntoView {
    let now = use_live().now_us();
    move || fine::duration_us((now.get() - since_us).max(0))
}
