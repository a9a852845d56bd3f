//! The pages. Each renders on the server with real values and goes on live in the browser.

mod follow;
pub mod lazy;
pub mod live;
pub mod new_order;
pub mod order;
pub mod orders;
pub mod resilience;
pub mod traces;
pub mod traffic;

use leptos::{prelude::*, text_prop::TextProp};
use leptos_meta::Title;
use std::sync::Arc;

/// How a page says its HTTP status. The server gives one to each request; the browser has none.
#[derive(Clone)]
pub struct StatusLine(pub Arc<dyn Fn(u16) + Send + Sync>);

/// Sets the HTTP status of the page being rendered; does nothing in the browser.
pub fn set_status(code: u16) {
    if let Some(line) = use_context::<StatusLine>() {
        (line.0)(code);
    }
}

/// The title of a page that follows its address. On the server it is said at once: the head of the
/// document is written when the page is drawn, and what belongs to the page may be gone by then.
pub(crate) fn title(text: impl Fn() -> String + Send + Sync + 'static) -> TextProp {
    if cfg!(feature = "ssr") { untrack(text).into() } else { text.into() }
}

/// An address nothing stands at.
#[component]
pub fn NotFound() -> impl IntoView {
    set_status(404);
    view! {
        <Title text="Not found"/>
        <article class="reading">
            <h1>"Nothing stands here"</h1>
            <p>"No page has this address. Perhaps a link is older than this version."</p>
            <p><a class="button" href="/">"Go to Live"</a></p>
        </article>
    }
    .into_any()
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn the_title_of_a_page_that_was_drawn_outlasts_it() {
        let owner = Owner::new();
        let text = owner.with(|| {
            let id = RwSignal::new("ord-7F3K9Q".to_owned());
            title(move || id.get())
        });
        owner.cleanup();
        drop(owner);
        assert_eq!(&*text.get(), "ord-7F3K9Q");
    }
}
