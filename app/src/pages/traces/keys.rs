//! The keys of an open trace, and keeping the selected row in view.

use super::{open::Open, waterfall::Scroll};
use crate::{frame::use_keys, model::waterfall::ROW_HEIGHT};
use leptos::{ev::KeyboardEvent, prelude::*};
use wasm_bindgen::JsCast;

/// J and K move through the spans, C and W switch what is shown, Esc closes the drawer.
pub(super) fn listen(open: Open) {
    use_keys(move |key, _| {
        match key {
            "j" | "J" => step(open, 1),
            "k" | "K" => step(open, -1),
            "c" | "C" => open.place.look(|look| look.no_path = !look.no_path),
            "w" | "W" => open.place.look(|look| look.all_waits = !look.all_waits),
            "Escape" if crate::browser::popover_open() => return false,
            "Escape" if open.selected.get_untracked().is_some() => open.place.select(None),
            _ => return false,
        }
        true
    });
}

/// Arrow keys while the focus is in the tree.
pub(super) fn in_tree(open: Open, event: &KeyboardEvent) {
    let row = open.selected.get_untracked();
    match event.key().as_str() {
        "ArrowDown" => step(open, 1),
        "ArrowUp" => step(open, -1),
        "Home" => open.select(0),
        "End" => {
            if let Some(last) = open.visible.with_untracked(|rows| rows.last().copied()) {
                open.select(last);
            }
        }
        "ArrowLeft" => {
            let Some(row) = row else { return };
            if !open.fold(row, true) {
                let parent = open.traced.with_value(|t| t.tree.nodes[row].parent);
                if let Some(parent) = parent {
                    open.select(parent);
                }
            }
        }
        "ArrowRight" => {
            let Some(row) = row else { return };
            if !open.fold(row, false) {
                let child = open.traced.with_value(|t| t.tree.children(row).next());
                if let Some(child) = child {
                    open.select(child);
                }
            }
        }
        _ => return,
    }
    event.prevent_default();
}

/// Selects the row so many rows below the selected one, among those that are not hidden.
fn step(open: Open, by: isize) {
    let next = open.visible.with_untracked(|rows| {
        let here =
            open.selected.get_untracked().and_then(|row| rows.iter().position(|r| *r == row));
        let there = match here {
            Some(here) => here.saturating_add_signed(by).min(rows.len().saturating_sub(1)),
            None => 0,
        };
        rows.get(there).copied()
    });
    if let Some(next) = next {
        open.select(next);
    }
}

/// Scrolls to the selected row when it changes, and moves the focus with it inside the tree.
pub(super) fn reveal(open: Open, scroll: Scroll) {
    Effect::new(move |_| {
        let Some(row) = open.selected.get() else {
            return;
        };
        let Some(node) = scroll.node.get() else {
            return;
        };
        let place = open.visible.with_untracked(|rows| rows.iter().position(|r| *r == row));
        let Some(place) = place else { return };
        let height = i32::try_from(ROW_HEIGHT).unwrap_or(20);
        let top = i32::try_from(place).unwrap_or(0) * height;
        let (from, shown) = (node.scroll_top(), node.client_height());
        if top < from {
            node.set_scroll_top(top);
        } else if top + 2 * height > from + shown {
            node.set_scroll_top(top + 3 * height - shown);
        }
        let inside =
            document().active_element().is_some_and(|focused| node.contains(Some(&focused)));
        if inside {
            request_animation_frame(move || {
                let link = node.query_selector(&format!("[data-row='{row}']")).ok().flatten();
                if let Some(link) = link.and_then(|l| l.dyn_into::<web_sys::HtmlElement>().ok()) {
                    let _ = link.focus();
                }
            });
        }
    });
}
