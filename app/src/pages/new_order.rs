//! The place-order form as a page of its own: works without JavaScript.

use crate::{ask, browser, model::format};
use contract::shop::{CustomerView, ProductView};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// What is offered: products and customers, or why not.
type Offer = Result<(Vec<ProductView>, Vec<CustomerView>), ask::AskError>;

async fn offer() -> Offer {
    Ok((ask::products().await?, ask::customers().await?))
}

/// A key for this form, so that sending it twice places one order.
fn form_key() -> String {
    if cfg!(feature = "ssr") {
        let nonce = leptos::nonce::Nonce::new().to_string();
        nonce.chars().filter(char::is_ascii_alphanumeric).collect()
    } else {
        browser::random_key()
    }
}

/// The page.
#[component]
pub fn NewOrderPage() -> impl IntoView {
    let query = use_query_map();
    let error = move || query.with(|query| query.get("error")).filter(|text| !text.is_empty());
    let offered = Resource::new(|| (), |()| offer());
    view! {
        <Title text="Place order"/>
        <article class="reading">
            <h1>"Place order"</h1>
            {move || error().map(|text| view! { <p class="form-error" role="alert">{text}</p> })}
            <Suspense>
                {move || Suspend::new(async move {
                    match offered.await {
                        Ok((products, customers)) => form(products, customers),
                        Err(error) => view! { <p class="form-error" role="alert">{error.to_string()}</p> }.into_any(),
                    }
                })}
            </Suspense>
        </article>
    }
    .into_any()
}

fn form(products: Vec<ProductView>, customers: Vec<CustomerView>) -> AnyView {
    let products = products
        .into_iter()
        .map(|product| {
            let text = format!("{}, {}", product.name, format::money(product.price));
            view! { <option value=product.product_id>{text}</option> }
        })
        .collect_view();
    let customers = customers
        .into_iter()
        .map(|customer| {
            let text = format!("{}, {}", customer.name, customer.note);
            view! { <option value=customer.user_id>{text}</option> }
        })
        .collect_view();
    view! {
        <form class="form panel" method="post" action="/orders/new">
            <input type="hidden" name="key" value=form_key()/>
            <label class="field">
                <span>"Customer"</span>
                <select name="user_id">{customers}</select>
            </label>
            <label class="field">
                <span>"Product"</span>
                <select name="product_id">{products}</select>
            </label>
            <label class="field">
                <span>"Quantity"</span>
                <input type="number" name="quantity" min="1" max="100" value="1"/>
            </label>
            <div class="actions">
                <button type="submit" class="button primary">"Place order"</button>
            </div>
        </form>
    }
    .into_any()
}
