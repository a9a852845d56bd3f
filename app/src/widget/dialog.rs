//! A modal dialog on the browser's own `<dialog>`: focus stays inside, Esc closes.

use super::icon::{Icon, icon};
use leptos::{html, prelude::*};

/// A dialog that is shown while `open` is true.
#[component]
pub fn Dialog(
    /// Shown or not; set to false by Esc, the cross and a click beside it.
    open: RwSignal<bool>,
    /// Its heading; none for a dialog that brings its own.
    #[prop(optional)]
    title: Option<&'static str>,
    /// Its name for screen readers, if it has no heading.
    #[prop(optional)]
    label: Option<&'static str>,
    /// More classes.
    #[prop(default = "")]
    class: &'static str,
    /// What it holds; made each time it opens.
    children: ChildrenFn,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let shown = open.get();
        let Some(dialog) = node.get() else { return };
        if shown && !dialog.open() {
            let _ = dialog.show_modal();
        } else if !shown && dialog.open() {
            dialog.close();
        }
    });
    let beside = move |event: leptos::ev::MouseEvent| {
        let target = event.target();
        let on_itself = node.get_untracked().is_some_and(|dialog| {
            let dialog: &web_sys::EventTarget = dialog.as_ref();
            target.as_ref() == Some(dialog)
        });
        if on_itself {
            open.set(false);
        }
    };
    let children = StoredValue::new(children);
    view! {
        <dialog
            node_ref=node
            class=format!("dialog {class}")
            aria-label=label.or(title)
            on:close=move |_| open.set(false)
            on:mousedown=beside
        >
            <Show when=move || open.get()>
                <div class="dialog-body">
                    {title.map(|title| view! {
                        <header class="dialog-head">
                            <h2>{title}</h2>
                            <button
                                type="button"
                                class="button ghost square"
                                aria-label="Close"
                                on:click=move |_| open.set(false)
                            >
                                {icon(Icon::Cross)}
                            </button>
                        </header>
                    })}
                    {children.with_value(|children| children())}
                </div>
            </Show>
        </dialog>
    }
    .into_any()
}
