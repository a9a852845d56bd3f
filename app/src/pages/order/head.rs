//! The head of an order: what became of it and why, in one line each.

use super::{Story, actions};
use crate::{
    frame::place_order::method_label,
    live::{Connection, use_live},
    model::{fine, format, story, tone::Tone},
    widget::{Badge, Clock, ClockStyle, Icon, copy_button, icon},
};
use contract::order::OrderStatus;
use leptos::prelude::*;

pub(super) fn head(story: Story) -> AnyView {
    let order = story.order;
    let (id, correlation) =
        order.with_untracked(|o| (o.row.order_id.clone(), o.correlation_id.clone()));
    view! {
        <header class="order-head">
            <div class="order-what">
                <div class="order-name">
                    <a class="quiet-link" href="/orders">"Orders"</a>
                    <span class="crumb" aria-hidden="true">"/"</span>
                    <h1>{id}</h1>
                    {move || badge(story)}
                    {stale(story)}
                    {correlation_id(correlation)}
                </div>
                <p class="order-sentence" aria-live="polite">
                    {move || order.with(|o| sentence(&o.sentence))}
                </p>
            </div>
            {facts(story)}
            {actions::actions(story)}
        </header>
    }
    .into_any()
}

fn badge(story: Story) -> AnyView {
    let (text, tone) = story.order.with(|o| story::outcome(o));
    let glyph = match tone {
        Tone::Ok => Icon::Check,
        Tone::Comp => Icon::Back,
        Tone::Error => Icon::Alert,
        _ => Icon::Clock,
    };
    view! { <Badge tone=tone glyph=glyph text=text.to_owned()/> }.into_any()
}

/// While disconnected nobody knows how far a running order has come.
fn stale(story: Story) -> impl IntoView {
    let connection = use_live().connection();
    move || {
        let running = story.order.with(|o| o.row.status == OrderStatus::Processing);
        let lost = matches!(connection.get(), Connection::Lost { .. });
        (running && lost).then(|| view! { <span class="sub">"may have moved on"</span> })
    }
}

/// The sentence, with the names of services in it set off.
fn sentence(text: &str) -> Vec<AnyView> {
    let is_service = |word: &str| contract::service::SERVICES.iter().any(|s| s.name == word);
    text.split_inclusive(' ')
        .map(|word| {
            let bare = word.trim_end_matches([' ', ',', '.', ':']);
            if is_service(bare) && bare.contains('-') {
                let rest = word[bare.len()..].to_owned();
                view! { <strong>{bare.to_owned()}</strong>{rest} }.into_any()
            } else {
                word.to_owned().into_any()
            }
        })
        .collect()
}

fn facts(story: Story) -> AnyView {
    let order = story.order;
    let placed = Signal::derive(move || order.with(|o| o.row.placed_at_us));
    let items = move || {
        order.with(|o| {
            let line = |l: &contract::order::OrderLineView| {
                format!("{} × {} at {}", l.quantity, l.name, format::money(l.unit_price))
            };
            o.lines.iter().map(line).collect::<Vec<_>>().join("\n")
        })
    };
    let total = move || {
        order.with(|o| format!("Total, by {}", method_label(o.payment_method).to_lowercase()))
    };
    let customer = move || {
        order.with(|o| match &o.customer {
            Ok(name) => name.clone(),
            Err(error) => format!("The name is not known now. {error}"),
        })
    };
    view! {
        <dl class="order-facts">
            <div title=items>
                <dt>{total}</dt>
                <dd>{move || order.with(|o| format::money(o.row.total))}</dd>
            </div>
            <div>
                <dt>"Customer"</dt>
                <dd title=customer>
                    {move || order.with(|o| o.row.user_id.clone())}
                </dd>
            </div>
            <div>
                <dt>"Placed"</dt>
                <dd><Clock at_us=placed style=ClockStyle::Millis/></dd>
            </div>
            <div>
                <dt>{move || story.order.with(|o| story::took_label(o))}</dt>
                <dd>{took(story)}</dd>
            </div>
        </dl>
    }
    .into_any()
}

/// The id that stands on every event and log line of the order, and goes with every call.
fn correlation_id(id: String) -> AnyView {
    let (to_copy, title) = (id.clone(), id.clone());
    view! {
        <span class="correlation">
            "Correlation id "
            <code title=title>{id}</code>
            {copy_button(to_copy, "Copy the correlation id")}
        </span>
    }
    .into_any()
}

/// How long it took; while it runs, how long it has been running.
fn took(story: Story) -> impl IntoView {
    let now = use_live().now_us();
    move || {
        let row = story.order.with(|o| (o.row.took_us, o.row.placed_at_us, o.row.status));
        match row {
            (Some(took), ..) => fine::duration_us(took),
            (None, placed, OrderStatus::Processing) => {
                let running = now.get() - placed;
                if running > 0 { format::took(running) } else { "running".into() }
            }
            (None, ..) => "–".into(),
        }
    }
}

/// The link to the whole trace, while it is kept.
pub(super) fn trace_link(story: Story) -> AnyView {
    let kept = move || story.order.with(|o| o.trace_id.clone().filter(|id| o.keeps(id)));
    (move || {
        kept().map(|id| {
            let short = format::short_trace(&id).to_owned();
            view! {
                <a class="button" href=format!("/traces/{id}")>
                    {icon(Icon::Spans)}
                    <span>"Trace"</span>
                    <code>{short}</code>
                </a>
            }
        })
    })
    .into_any()
}
