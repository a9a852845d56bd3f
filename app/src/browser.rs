//! The few things pages want from the browser beyond markup. Called only from event handlers and
//! effects, which never run on the server.

use leptos::{ev, leptos_dom::helpers::request_animation_frame, prelude::*};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{HtmlDocument, HtmlElement, KeyboardEvent, Storage};

/// The browser's clock, milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> f64 {
    js_sys::Date::now()
}

/// Minutes the browser's time zone is east of UTC now.
#[must_use]
pub fn zone_minutes() -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 14 hours")]
    let minutes = js_sys::Date::new_0().get_timezone_offset() as i32;
    -minutes
}

/// A key nobody else has: 128 random bits in hex.
#[must_use]
pub fn random_key() -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^32")]
    let word = || (js_sys::Math::random() * f64::from(u32::MAX)) as u32;
    format!("{:08x}{:08x}{:08x}{:08x}", word(), word(), word(), word())
}

/// Sets a cookie of this site for a year.
pub fn set_cookie(name: &str, value: &str) {
    if let Some(document) = document().dyn_ref::<HtmlDocument>() {
        let cookie = format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax");
        let _ = document.set_cookie(&cookie);
    }
}

/// Sets a cookie of this site that lasts as long as the browser's session.
pub fn set_session_cookie(name: &str, value: &str) {
    if let Some(document) = document().dyn_ref::<HtmlDocument>() {
        let _ = document.set_cookie(&format!("{name}={value}; Path=/; SameSite=Lax"));
    }
}

/// The cookies of this site that a script may read.
#[must_use]
pub fn cookies() -> String {
    let document = document();
    let document = document.dyn_ref::<HtmlDocument>();
    document.and_then(|document| document.cookie().ok()).unwrap_or_default()
}

fn storage() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

fn session() -> Option<Storage> {
    window().session_storage().ok().flatten()
}

/// A value kept in this tab, also when it is loaded again.
#[must_use]
pub fn kept(key: &str) -> Option<String> {
    session()?.get_item(key).ok().flatten()
}

/// Keeps a value in this tab, or with none forgets it.
pub fn keep(key: &str, value: Option<&str>) {
    if let Some(session) = session() {
        let _ = match value {
            Some(value) => session.set_item(key, value),
            None => session.remove_item(key),
        };
    }
}

/// Scrolls to the element of that id, if there is one.
pub fn show(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        element.scroll_into_view();
    }
}

/// Gives the focus to the element of that id, or to the first field in it, and shows it.
pub fn focus(id: &str) {
    let Some(element) = document().get_element_by_id(id) else { return };
    element.scroll_into_view_with_bool(false);
    let field = element.query_selector("input, select, button, textarea").ok().flatten();
    if let Some(field) = field.unwrap_or(element).dyn_ref::<HtmlElement>() {
        let _ = field.focus();
    }
}

/// Gives the focus back to what had it; to the page where that is gone.
pub fn focus_again(before: Option<HtmlElement>) {
    let before = before.filter(|before| before.is_connected());
    let main = || document().query_selector("main").ok().flatten()?.dyn_into().ok();
    let element: Option<HtmlElement> = before.or_else(main);
    if let Some(element) = element {
        let _ = element.focus();
    }
}

/// Gives the focus to the page when what had it is taken away or cannot be used any more: a button
/// that has done its work, a banner that is over. The browser would begin again at the top of the
/// document.
pub fn catch_focus() {
    let last = StoredValue::new_local(None::<web_sys::Element>);
    let listener = window_event_listener(ev::focusin, move |event| {
        last.set_value(event.target().and_then(|target| target.dyn_into().ok()));
    });
    let check: Closure<dyn FnMut()> = Closure::new(move || {
        let gone = last.try_with_value(|last| last.as_ref().is_some_and(is_gone));
        if gone == Some(true) {
            last.set_value(None);
            // A dialog that closes gives it back by itself, and until then it holds it.
            request_animation_frame(|| {
                let active = document().active_element();
                if !has_focus() || active.as_ref().is_some_and(is_gone) {
                    focus_again(None);
                }
            });
        }
    });
    let observer = observer(check.as_ref());
    let kept = StoredValue::new_local((observer, check));
    on_cleanup(move || {
        listener.remove();
        kept.try_with_value(|(observer, _)| {
            let disconnect = observer.as_ref().and_then(|it| Some((it, method(it, "disconnect")?)));
            disconnect.map(|(observer, disconnect)| disconnect.call0(observer))
        });
    });
}

/// Whether an element can have no focus any more.
fn is_gone(element: &web_sys::Element) -> bool {
    !element.is_connected() || element.matches(":disabled").unwrap_or(false)
}

/// Has `changed` called whenever elements came or went, or could be used no more.
fn observer(changed: &JsValue) -> Option<JsValue> {
    let made = method(&window(), "MutationObserver")?;
    let observer = js_sys::Reflect::construct(&made, &js_sys::Array::of1(changed)).ok()?;
    let all = js_sys::Object::new();
    for of in ["childList", "subtree"] {
        js_sys::Reflect::set(&all, &JsValue::from_str(of), &JsValue::TRUE).ok()?;
    }
    let disabled = js_sys::Array::of1(&JsValue::from_str("disabled"));
    js_sys::Reflect::set(&all, &JsValue::from_str("attributeFilter"), &disabled).ok()?;
    let body = document().body()?;
    method(&observer, "observe")?.call2(&observer, &body, &all).ok()?;
    Some(observer)
}

/// A function of an object.
fn method(of: &JsValue, name: &str) -> Option<js_sys::Function> {
    js_sys::Reflect::get(of, &JsValue::from_str(name)).ok()?.dyn_into().ok()
}

/// Gives the focus to the last element like this; false when there is none.
pub fn focus_last(selector: &str) -> bool {
    let Ok(all) = document().query_selector_all(selector) else { return false };
    let last = all.length().checked_sub(1).and_then(|last| all.item(last));
    last.is_some_and(|last| last.dyn_ref::<HtmlElement>().is_some_and(|it| it.focus().is_ok()))
}

/// Takes the fragment out of the address: what it held is used once.
#[must_use]
pub fn take_fragment() -> String {
    let location = window().location();
    let hash = location.hash().unwrap_or_default();
    if !hash.is_empty() {
        let path = location.pathname().unwrap_or_default();
        let search = location.search().unwrap_or_default();
        if let Ok(history) = window().history() {
            let state = history.state().unwrap_or(JsValue::NULL);
            let _ = history.replace_state_with_url(&state, "", Some(&format!("{path}{search}")));
        }
    }
    hash
}

/// The address of this page without its fragment.
#[must_use]
pub fn address() -> String {
    let href = window().location().href().unwrap_or_default();
    href.split('#').next().unwrap_or_default().to_owned()
}

/// Gives the focus to the next row of the page (what carries `data-row`), or to the one before it,
/// counted from where the focus is. False when there is none.
pub fn focus_row(forward: bool) -> bool {
    let Ok(rows) = document().query_selector_all("[data-row]") else { return false };
    let active = document().active_element();
    let at = (0..rows.length()).find(|at| {
        let row = rows.item(*at);
        row.is_some() && row.as_ref() == active.as_ref().map(AsRef::as_ref)
    });
    let next = match (at, forward) {
        (None, _) => Some(0),
        (Some(at), true) => at.checked_add(1),
        (Some(at), false) => at.checked_sub(1),
    };
    let Some(row) = next.and_then(|at| rows.item(at)) else { return false };
    row.dyn_ref::<HtmlElement>().is_some_and(|row| row.focus().is_ok())
}

/// Marks a link that gets the focus while its text (`cut`) has no room, so that the style can show
/// all of it as long as it has the focus.
pub fn mark_cut(event: &web_sys::FocusEvent, cut: &str) {
    let link = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
    let Some(link) = link else { return };
    // What it shows now is as long as it is.
    let _ = link.remove_attribute("data-cut");
    let Ok(Some(text)) = link.query_selector(cut) else { return };
    if text.scroll_width() > text.client_width() {
        let _ = link.set_attribute("data-cut", "");
    }
}

/// Loads the whole document of an address of this site.
pub fn load(address: &str) {
    let _ = window().location().set_href(address);
}

/// While `wanted`, links load the whole document: the router leaves alone what is marked as
/// external.
pub fn load_links(wanted: impl Fn() -> bool + 'static) {
    let mark = move |event: web_sys::Event| {
        let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let link = target.and_then(|target| target.closest("a[href]").ok().flatten());
        if let Some(link) = link.filter(|_| wanted()) {
            let _ = link.set_attribute("rel", "external");
        }
    };
    let mark: Closure<dyn FnMut(web_sys::Event)> = Closure::new(mark);
    // Before the router hears of the click, which listens on its way up.
    let _ = window().add_event_listener_with_callback_and_bool(
        "click",
        mark.as_ref().unchecked_ref(),
        true,
    );
    let kept = StoredValue::new_local(mark);
    on_cleanup(move || {
        kept.try_with_value(|mark| {
            let _ = window().remove_event_listener_with_callback_and_bool(
                "click",
                mark.as_ref().unchecked_ref(),
                true,
            );
        });
    });
}

/// A value kept in this browser.
#[must_use]
pub fn stored(key: &str) -> Option<String> {
    storage()?.get_item(key).ok().flatten()
}

/// Keeps a value in this browser.
pub fn store(key: &str, value: &str) {
    if let Some(storage) = storage() {
        let _ = storage.set_item(key, value);
    }
}

/// Sets (or, with none, removes) an attribute of the document's root element.
pub fn set_root_attribute(name: &str, value: Option<&str>) {
    if let Some(root) = document().document_element() {
        let _ = match value {
            Some(value) => root.set_attribute(name, value),
            None => root.remove_attribute(name),
        };
    }
}

/// Whether nothing shall move by itself, as who looks asked the system for.
#[must_use]
pub fn still() -> bool {
    media("(prefers-reduced-motion: reduce)")
}

/// Whether a media query holds now.
#[must_use]
pub fn media(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|list| list.matches())
}

/// A signal that follows a media query: none until the page is hydrated.
#[must_use]
pub fn use_media(query: &'static str) -> ReadSignal<Option<bool>> {
    let matches = RwSignal::new(None);
    Effect::new(move |_| {
        let Some(list) = window().match_media(query).ok().flatten() else { return };
        matches.set(Some(list.matches()));
        let again = list.clone();
        let changed: Closure<dyn FnMut()> = Closure::new(move || {
            matches.try_set(Some(again.matches()));
        });
        list.set_onchange(Some(changed.as_ref().unchecked_ref()));
        let kept = StoredValue::new_local((list, changed));
        on_cleanup(move || {
            kept.try_with_value(|(list, _)| list.set_onchange(None));
        });
    });
    matches.read_only()
}

/// Whether the page has something like this.
#[must_use]
pub fn has(selector: &str) -> bool {
    document().query_selector(selector).ok().flatten().is_some()
}

/// Whether the tab cannot be seen.
#[must_use]
pub fn hidden() -> bool {
    document().hidden()
}

/// Whether anything on the page has the focus, so that its keys are its own.
#[must_use]
pub fn has_focus() -> bool {
    let body = document().body();
    document().active_element().is_some_and(|focused| Some(&focused) != body.as_deref())
}

/// Whether a key press goes to a field or an open dialog, and so is not a shortcut.
#[must_use]
pub fn is_typing(event: &KeyboardEvent) -> bool {
    let Some(target) = event.target() else { return false };
    let Some(element) = target.dyn_ref::<HtmlElement>() else { return false };
    let name = element.tag_name();
    let field = match name.as_str() {
        "INPUT" => !matches!(
            element.get_attribute("type").as_deref(),
            Some("radio" | "checkbox" | "button" | "submit")
        ),
        "TEXTAREA" | "SELECT" => true,
        _ => element.is_content_editable(),
    };
    field || element.closest("dialog").ok().flatten().is_some()
}

/// Whether the focus is on something that Space already operates. It does nothing on a link, nor
/// on a choice that is chosen already.
#[must_use]
pub fn is_operating(event: &KeyboardEvent) -> bool {
    let Some(target) = event.target() else { return false };
    let Some(element) = target.dyn_ref::<HtmlElement>() else { return false };
    let operated = "button, summary, input:not([type=radio]:checked), [role=button]";
    element.closest(operated).ok().flatten().is_some()
}

/// Whether this is a Mac, where Ctrl is shown as ⌘.
#[must_use]
pub fn is_mac() -> bool {
    window().navigator().platform().is_ok_and(|name| name.starts_with("Mac"))
}

/// Whether a popover is open: Esc is its then.
#[must_use]
pub fn popover_open() -> bool {
    matches!(document().query_selector("[popover]:popover-open"), Ok(Some(_)))
}

/// Puts a text into the clipboard, where the browser allows it.
pub fn copy(text: &str) {
    let get = |of: &JsValue, name: &str| js_sys::Reflect::get(of, &JsValue::from_str(name)).ok();
    let navigator: JsValue = window().navigator().into();
    let Some(clipboard) = get(&navigator, "clipboard").filter(|c| !c.is_undefined()) else {
        return;
    };
    if let Some(write) = method(&clipboard, "writeText") {
        let _ = write.call1(&clipboard, &JsValue::from_str(text));
    }
}
