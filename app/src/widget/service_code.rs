//! The two-letter code of a service on its colour.

use contract::service;
use leptos::prelude::*;

/// Classes that set `--svc` to the colour of a service: `svc svc-orders`.
#[must_use]
pub fn service_class(name: &str) -> String {
    if service::SERVICES.iter().any(|known| known.name == name) {
        format!("svc svc-{name}")
    } else {
        "svc svc-other".into()
    }
}

/// The code. Where the name stands beside it, it is hidden from screen readers.
#[component]
pub fn ServiceCode(
    /// Name of the service.
    #[prop(into)]
    service: String,
    /// The name does not stand beside it: give it an accessible name and a tooltip.
    #[prop(optional)]
    alone: bool,
) -> impl IntoView {
    let class = format!("code {}", service_class(&service));
    let code = service::code(&service);
    if alone {
        let name = service.clone();
        view! { <span class=class role="img" aria-label=name title=service>{code}</span> }
            .into_any()
    } else {
        view! { <span class=class aria-hidden="true">{code}</span> }.into_any()
    }
}
