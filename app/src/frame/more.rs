//! What a phone has no room for in its bars: a sheet behind "More", and a page of its own for those
//! without JavaScript.

use super::{
    lazily::{Body, Lazily},
    load::LoadControl,
    state::{Command, use_commands, use_frame},
    top_bar::RangeChoice,
};
use crate::{
    live::use_live,
    widget::{Dialog, Icon, icon},
};
use leptos::prelude::*;
use leptos_meta::Title;

/// The sheet behind "More" in the bar at the bottom.
#[component]
pub(super) fn MoreSheet() -> impl IntoView {
    let frame = use_frame();
    view! {
        <Dialog open=frame.more title="More" class="sheet">
            <Lazily body=Body::More/>
        </Dialog>
    }
    .into_any()
}

/// The same as a page.
#[component]
pub fn MorePage() -> impl IntoView {
    view! {
        <Title text="More"/>
        <article class="reading">
            <h1>"More"</h1>
            <More/>
        </article>
    }
    .into_any()
}

/// What it shows.
pub(super) fn body() -> AnyView {
    view! { <More/> }.into_any()
}

#[component]
fn More() -> impl IntoView {
    let (frame, live, run) = (use_frame(), use_live(), use_commands());
    let close = move |_| frame.more.set(false);
    let theme = move |_| run.run(Command::Theme);
    view! {
        <div class="more-sheet">
            <a class="button" href="/traces" on:click=close>
                {icon(Icon::Spans)} <span>"Traces"</span>
            </a>
            <div class="more-row"><span>"Time range"</span> <RangeChoice/></div>
            <div class="more-row">
                <span>"Load"</span>
                <Suspense>
                    {move || Suspend::new(async move {
                        live.ready().await;
                        view! { <LoadControl/> }
                    })}
                </Suspense>
            </div>
            <button type="button" class="button" on:click=theme>
                {icon(Icon::Sun)} <span>"Switch theme"</span>
            </button>
            <a class="button" href="/shortcuts" on:click=close>
                {icon(Icon::Keyboard)} <span>"Shortcuts"</span>
            </a>
        </div>
    }
    .into_any()
}
