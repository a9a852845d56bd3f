//! The bodies of the dialogs and of Live's drawer, in a file of their own: the first page works
//! without them.
//!
//! The file is fetched in the background once the page stands, so that a key opens its dialog at
//! once; a dialog that is opened earlier shows its shape until the file is there. What is said to
//! those who cannot see changes is in it, too.

use super::{announce, faults, load, more, palette, place_order, shortcuts, toast};
use crate::{
    apart::apart,
    browser,
    live::use_live,
    pages::live::{Selection, drawer},
};
use leptos::{prelude::*, task::spawn_local, wasm_split::SplitLoaderError};
use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};

/// What a dialog shows.
#[derive(Clone, Debug)]
pub enum Body {
    /// The active faults, on a phone.
    Faults,
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
    /// What was chosen on the map.
    Drawer(Selection),
    /// Messages.
    Toasts,
    /// Nothing to be seen: it puts what changes into words for those who cannot see it, and catches
    /// the focus of what goes. Before the file is there, nothing that is worth saying has changed,
    /// and nothing has gone.
    Announcements(RwSignal<String>),
}

apart! {
    fn made(body: Body) -> AnyView {
        match body {
            Body::Faults => faults::body(),
            Body::Palette => palette::body(),
            Body::PlaceOrder => place_order::body(),
            Body::Load => load::body(),
            Body::More => more::body(),
            Body::Shortcuts => shortcuts::body(),
            Body::Drawer(selection) => drawer::body(selection),
            Body::Toasts => toast::cards(),
            Body::Announcements(text) => {
                announce::listen(text);
                browser::catch_focus();
                ().into_any()
            }
        }
    }
    fetched by load_dialogs as dialogs
}

/// Puts what is said of changes into `text` as soon as the file is there.
pub(super) fn announce(text: RwSignal<String>) {
    let Dialogs(file) = expect_context();
    Effect::new(move |_| {
        if file.get() == File::There {
            // It is there, so nothing is waited for.
            let _ = now(made(Body::Announcements(text)));
        }
    });
}

/// Where the file of the bodies is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    Coming,
    There,
    Missing,
}

#[derive(Clone, Copy)]
struct Dialogs(RwSignal<File>);

/// Fetches the bodies in the background, for every [`Lazily`] below.
pub(super) fn provide() {
    // The server has nothing to wait for: what it draws is whole.
    let there = cfg!(feature = "ssr") || EARLY.load(Ordering::Relaxed);
    let first = if there { File::There } else { File::Coming };
    let file = RwSignal::new(first);
    provide_context(Dialogs(file));
    Effect::new(move |_| {
        if !there {
            fetch(file);
        }
    });
}

fn fetch(file: RwSignal<File>) {
    spawn_local(async move {
        let came = load_dialogs().await.is_ok();
        let _ = file.try_set(if came { File::There } else { File::Missing });
    });
}

/// Whether the file came before the page was brought to life.
static EARLY: AtomicBool = AtomicBool::new(false);

/// Fetches the file before a page comes to life that the server sent with one of the bodies in it.
///
/// # Errors
/// When it cannot be fetched.
pub(crate) async fn preload() -> Result<(), SplitLoaderError> {
    load_dialogs().await?;
    EARLY.store(true, Ordering::Relaxed);
    Ok(())
}

/// The body, as soon as its file is there; a file that did not come is asked for again.
#[component]
pub fn Lazily(
    /// Which.
    body: Body,
) -> impl IntoView {
    let file = asked_again();
    // The body is made in this closure and not in a future: its effects belong to the dialog that
    // shows it and end with it.
    move || match file.get() {
        File::Coming => view! { <div class="skeleton-form" aria-busy="true"></div> }.into_any(),
        File::There => now(made(body.clone())).and_then(Result::ok).unwrap_or_else(not_loaded),
        File::Missing => not_loaded(),
    }
}

/// The body, and `plain` until its file is there or when it does not come.
pub(super) fn or_plain(body: Body, plain: fn() -> AnyView) -> impl Fn() -> AnyView {
    let file = asked_again();
    move || match file.get() {
        File::There => now(made(body.clone())).and_then(Result::ok).unwrap_or_else(plain),
        File::Coming | File::Missing => plain(),
    }
}

/// Where the file is; one that did not come is asked for again.
fn asked_again() -> RwSignal<File> {
    let Dialogs(file) = expect_context();
    if file.get_untracked() == File::Missing {
        file.set(File::Coming);
        fetch(file);
    }
    file
}

/// What the future gives without waiting; a split function does when its file is there.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn not_loaded() -> AnyView {
    let why = if use_live().missed_file() {
        "This could not be loaded: the server has another version by now. Reload the page."
    } else {
        "This could not be loaded: Vitrine cannot be reached. Open it again when it is back."
    };
    view! { <p class="form-error" role="alert">{why}</p> }.into_any()
}
