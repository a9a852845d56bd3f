//! The place-order form as a page of its own: works without JavaScript.

use crate::{ask, model::format};
use contract::shop::{CustomerView, ProductView};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

/// What the form offers, and what is chosen in it already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Offer {
    products: Vec<ProductView>,
    customers: Vec<CustomerView>,
    /// Customer, product and quantity of the order to place again.
    again: Option<(String, String, u32)>,
}

async fn offer(again: Option<String>) -> Result<Offer, ask::AskError> {
    let again = match again {
        None => None,
        // An order that is not kept any more is no reason to refuse the form.
        Some(id) => ask::order(id).await.ok().and_then(|order| {
            let line = order.lines.into_iter().next()?;
            Some((order.row.user_id, line.product_id, line.quantity))
        }),
    };
    let (products, customers) = (ask::products().await?, ask::customers().await?);
    Ok(Offer { products, customers, again })
}

/// A key for this form, so that sending it twice places one order.
#[cfg(feature = "ssr")]
fn form_key() -> String {
    let nonce = leptos::nonce::Nonce::new().to_string();
    nonce.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// In the browser the key is only needed when the page was reached without loading it.
#[cfg(not(feature = "ssr"))]
fn form_key() -> String {
    crate::browser::random_key()
}

/// The page.
#[component]
pub fn NewOrderPage() -> impl IntoView {
    let query = use_query_map();
    let error = move || query.with(|query| query.get("error")).filter(|text| !text.is_empty());
    let again = Memo::new(move |_| query.with(|query| query.get("again")));
    let offered = Resource::new(move || again.get(), offer);
    view! {
        <Title text="Place order"/>
        <article class="reading">
            <h1>"Place order"</h1>
            {move || error().map(|text| view! { <p class="form-error" role="alert">{text}</p> })}
            <Suspense>
                {move || Suspend::new(async move {
                    match offered.await {
                        Ok(offer) => form(offer),
                        Err(error) => {
                            let text = error.to_string();
                            view! { <p class="form-error" role="alert">{text}</p> }.into_any()
                        }
                    }
                })}
            </Suspense>
        </article>
    }
    .into_any()
}

fn form(offer: Offer) -> AnyView {
    let (user, product, quantity) = offer.again.unwrap_or((String::new(), String::new(), 1));
    let products = offer
        .products
        .into_iter()
        .map(|item| {
            let text = format!("{}, {}", item.name, format::money(item.price));
            let chosen = item.product_id == product;
            view! { <option value=item.product_id selected=chosen>{text}</option> }
        })
        .collect_view();
    let customers = offer
        .customers
        .into_iter()
        .map(|customer| {
            let text = format!("{}, {}", customer.name, customer.note);
            let chosen = customer.user_id == user;
            view! { <option value=customer.user_id selected=chosen>{text}</option> }
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
                <input type="number" name="quantity" min="1" max="100" value=quantity/>
            </label>
            <div class="actions">
                <button type="submit" class="button primary">"Place order"</button>
            </div>
        </form>
    }
    .into_any()
}
