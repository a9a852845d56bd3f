//! The only thing the browser loads: it brings the server-rendered dashboard to life.

use leptos::prelude::window;

/// Called by the page's script once the file is loaded.
#[wasm_bindgen::prelude::wasm_bindgen]
pub async fn hydrate() {
    console_error_panic_hook::set_once();
    let location = window().location();
    let (path, search) =
        (location.pathname().unwrap_or_default(), location.search().unwrap_or_default());
    // Without the file of its page the document stays as the server wrote it, which can be read.
    if app::pages::lazy::preload(&path, &search).await {
        leptos::mount::hydrate_lazy(app::App);
    }
}
