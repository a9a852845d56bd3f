//! A part of the page that could not be told: what happened, its code, and a way to try again. The
//! other parts go on.

use super::{Story, refetch};
use crate::{
    live::use_live,
    widget::{Icon, icon},
};
use contract::ApiError;
use leptos::{ev::MouseEvent, prelude::*};

/// What stands in a panel whose part could not be told.
pub(super) fn failed(story: Story, what: &str, error: &ApiError) -> AnyView {
    view! {
        <div class="part-failed" role="alert">
            {icon(Icon::Alert)}
            <p><strong>{what.to_owned()}</strong>" "{error.to_string()}</p>
            <code>{error.code()}</code>
            {retry(story)}
        </div>
    }
    .into_any()
}

/// The line over a panel that shows what was told before.
pub(super) fn old(story: Story, error: &ApiError) -> AnyView {
    view! {
        <div class="part-failed part-old" role="status">
            {icon(Icon::Alert)}
            <p>"As told before. "{error.to_string()}</p>
            <code>{error.code()}</code>
            {retry(story)}
        </div>
    }
    .into_any()
}

/// The line under the head while the whole page is older than the last try to fetch it. Without the
/// connection the frame says so already.
pub(super) fn behind(story: Story) -> AnyView {
    let connection = use_live().connection();
    let lost = move || matches!(connection.get(), crate::live::Connection::Lost { .. });
    (move || {
        let error = story.fetched.with(|f| f.all.clone()).filter(|_| !lost())?;
        Some(view! {
            <div class="part-failed part-behind" role="status">
                {icon(Icon::Alert)}
                <p>"Shown as it was told before. "{error.to_string()}</p>
                <code>{error.code()}</code>
                {retry(story)}
            </div>
        })
    })
    .into_any()
}

/// A link to this very page, so that it works without JavaScript; in the browser in place.
fn retry(story: Story) -> AnyView {
    let href = move || {
        let (id, version) = (story.order.with(|o| o.row.order_id.clone()), story.version.get());
        let v = version.map_or_else(String::new, |v| format!("?v={v}"));
        format!("/orders/{id}{v}")
    };
    let again = move |event: MouseEvent| {
        event.prevent_default();
        refetch(story);
    };
    view! { <a class="button small" href=href on:click=again>"Retry"</a> }.into_any()
}
