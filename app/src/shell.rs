//! The document around every page: head, scripts with the nonce of the response, theme.

use crate::{App, frame::theme::Theme};
use leptos::{config::LeptosOptions, prelude::*};
use leptos_meta::MetaTags;

/// The whole document.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = Theme::of_request().map(Theme::word);
    let styles = format!("/{}/vitrine.css", options.site_pkg_dir);
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="dark light"/>
                <link rel="stylesheet" href=styles/>
                <link rel="icon" type="image/svg+xml" href="/favicon.svg"/>
                <AutoReload options=options.clone()/>
                <HydrationScripts options=options/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}
