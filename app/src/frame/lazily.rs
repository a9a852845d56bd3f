//! Bodies of dialogs in files of their own: the first page works without them.
//!
//! They are fetched in the background once the page stands, so that a key opens its dialog at once,
//! and when the dialog opens at the latest.

use super::{load, more, palette, place_order, shortcuts};
use crate::live::use_live;
use leptos::{
    prelude::*,
    task::spawn_local,
    wasm_split::{SplitLoaderError, wasm_split},
};

#[wasm_split(
    palette_body,
    wasm_split_path = leptos::wasm_split,
    preload(load_palette_body),
    fallible
)]
fn palette_body() -> Result<AnyView, SplitLoaderError> {
    Ok(palette::body())
}

#[wasm_split(
    place_order_body,
    wasm_split_path = leptos::wasm_split,
    preload(load_place_order_body),
    fallible
)]
fn place_order_body() -> Result<AnyView, SplitLoaderError> {
    Ok(place_order::body())
}

#[wasm_split(
    load_form_body,
    wasm_split_path = leptos::wasm_split,
    preload(load_load_form_body),
    fallible
)]
fn load_form_body() -> Result<AnyView, SplitLoaderError> {
    Ok(load::body())
}

#[wasm_split(
    more_body,
    wasm_split_path = leptos::wasm_split,
    preload(load_more_body),
    fallible
)]
fn more_body() -> Result<AnyView, SplitLoaderError> {
    Ok(more::body())
}

#[wasm_split(
    shortcuts_body,
    wasm_split_path = leptos::wasm_split,
    preload(load_shortcuts_body),
    fallible
)]
fn shortcuts_body() -> Result<AnyView, SplitLoaderError> {
    Ok(shortcuts::body())
}

/// What a dialog shows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// The palette.
    Palette,
    /// The place-order form.
    PlaceOrder,
    /// Rate, shape and mix of the load.
    Load,
    /// What a phone has no room for.
    More,
    /// The list of keys.
    Shortcuts,
}

impl Body {
    async fn made(self) -> Result<AnyView, SplitLoaderError> {
        match self {
            Self::Palette => palette_body().await,
            Self::PlaceOrder => place_order_body().await,
            Self::Load => load_form_body().await,
            Self::More => more_body().await,
            Self::Shortcuts => shortcuts_body().await,
        }
    }
}

/// Fetches them all, in the background. What does not come is asked for again when it is needed.
pub(super) fn fetch() {
    Effect::new(|_| {
        spawn_local(async {
            let _ = load_palette_body().await;
            let _ = load_place_order_body().await;
            let _ = load_load_form_body().await;
            let _ = load_more_body().await;
            let _ = load_shortcuts_body().await;
        });
    });
}

/// The body, as soon as its file is there.
#[component]
pub(super) fn Lazily(
    /// Which.
    body: Body,
) -> impl IntoView {
    view! {
        <Suspense fallback=|| view! { <div class="skeleton-form" aria-busy="true"></div> }>
            {move || Suspend::new(async move {
                body.made().await.unwrap_or_else(|_| not_loaded())
            })}
        </Suspense>
    }
    .into_any()
}

fn not_loaded() -> AnyView {
    use_live().found_update();
    view! {
        <p class="form-error" role="alert">
            "This could not be loaded: the server has another version by now, or cannot be reached. \
             Reload the page."
        </p>
    }
    .into_any()
}
