//! The only thing the browser loads: it brings the server-rendered dashboard to life.

/// Called by the page's script once the file is loaded.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_lazy(app::App);
}
