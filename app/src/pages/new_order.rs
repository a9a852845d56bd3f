//! The place-order form as a page of its own: works without JavaScript.

use crate::{
    ask,
    frame::place_order::{PAYMENT_METHODS, first_basket, total},
    model::format,
    widget::Segmented,
};
use contract::{
    order::OrderLineView,
    shop::{BasketLine, CustomerView, PaymentMethod, PlaceOrder, ProductView},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use serde::{Deserialize, Serialize};

/// Lines of the form; an order that is placed again may have more.
const LINES: usize = 5;

/// What the form offers, and what is chosen in it already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Offer {
    products: Vec<ProductView>,
    customers: Vec<CustomerView>,
    /// The order to place again.
    again: Option<PlaceOrder>,
}

/// What the address asks for: an order to place again, or what is chosen already. A form that was
/// refused comes back with all of it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wanted {
    again: Option<String>,
    customer: Option<String>,
    products: Vec<String>,
    /// Of each product; one where it is missing.
    quantities: Vec<String>,
    payment: Option<String>,
}

impl Wanted {
    fn read(query: &ParamsMap) -> Self {
        Self {
            again: query.get("again"),
            customer: query.get("customer"),
            products: query.get_all("product").unwrap_or_default(),
            quantities: query.get_all("quantity").unwrap_or_default(),
            payment: query.get("payment"),
        }
    }

    /// The order that is half filled in, if anything is.
    fn chosen(self) -> Option<PlaceOrder> {
        if self.customer.is_none() && self.products.is_empty() {
            return None;
        }
        let quantities = self.quantities.iter().map(|text| text.parse().unwrap_or(1));
        let quantities = quantities.chain(std::iter::repeat(1));
        let lines = self.products.into_iter().zip(quantities);
        let items =
            lines.map(|(product_id, quantity)| BasketLine { product_id, quantity }).collect();
        let payment_method = self.payment.and_then(|word| PaymentMethod::parse(&word));
        Some(PlaceOrder {
            user_id: self.customer.unwrap_or_default(),
            items,
            payment_method: payment_method.unwrap_or_default(),
        })
    }
}

async fn offer(wanted: Wanted) -> Result<Offer, ask::AskError> {
    let again = match wanted.again.clone() {
        None => wanted.chosen(),
        // An order that is not kept any more is no reason to refuse the form.
        Some(id) => ask::order(id).await.ok().map(|order| {
            let lines = order.lines.into_iter();
            let line =
                |l: OrderLineView| BasketLine { product_id: l.product_id, quantity: l.quantity };
            PlaceOrder {
                user_id: order.row.user_id,
                items: lines.map(line).collect(),
                payment_method: order.payment_method,
            }
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
    let wanted = Memo::new(move |_| query.with(Wanted::read));
    let offered = Resource::new(move || wanted.get(), offer);
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
    let again = offer.again.unwrap_or_default();
    let method = again.payment_method;
    let customers = offer
        .customers
        .into_iter()
        .map(|customer| {
            let text = format!("{}, {}", customer.name, customer.note);
            let chosen = customer.user_id == again.user_id;
            view! { <option value=customer.user_id selected=chosen>{text}</option> }
        })
        .collect_view();
    let filled = match again.items.is_empty() {
        true => first_basket(&offer.products),
        false => again.items,
    };
    let rows = LINES.max(filled.len());
    let filled = filled.into_iter().chain(std::iter::repeat_with(nothing)).take(rows);
    let basket = RwSignal::new(filled.collect::<Vec<_>>());
    let products = StoredValue::new(offer.products);
    let lines = (0..rows).map(|at| line(products, at, basket)).collect_view();
    let sum = move || {
        let wanted = basket.with(|basket| {
            let wanted = basket.iter().filter(|line| !line.product_id.is_empty());
            wanted.cloned().collect::<Vec<_>>()
        });
        let sum = products.with_value(|products| total(products, &wanted));
        sum.map_or_else(|| "–".to_owned(), format::money)
    };
    view! {
        <form class="form panel" method="post" action="/orders/new">
            <input type="hidden" name="key" value=form_key()/>
            <label class="field">
                <span>"Customer"</span>
                <select name="user_id">{customers}</select>
            </label>
            <fieldset class="basket">
                <legend>"Basket"</legend>
                {lines}
            </fieldset>
            <div class="sum needs-script">
                <span>"Total"</span>
                <strong>{sum}</strong>
            </div>
            <div class="field">
                <span>"Pay with"</span>
                <Segmented
                    label="Pay with" name="payment_method" choices=PAYMENT_METHODS.to_vec()
                    value=Signal::stored(method.as_str().to_owned())
                    on_choose=Callback::new(|_: String| ())
                />
            </div>
            <div class="actions">
                <button type="submit" class="button primary">"Place order"</button>
            </div>
        </form>
    }
    .into_any()
}

/// A line that is left empty.
const fn nothing() -> BasketLine {
    BasketLine { product_id: String::new(), quantity: 1 }
}

/// One line of the basket. All but the first may be left empty; of those that are, a script shows
/// only the next.
fn line(
    products: StoredValue<Vec<ProductView>>,
    at: usize,
    basket: RwSignal<Vec<BasketLine>>,
) -> AnyView {
    let number = at + 1;
    let now = basket.with_untracked(|basket| basket.get(at).cloned()).unwrap_or_else(nothing);
    let options = products.with_value(|products| {
        let option = |item: &ProductView| {
            let text = format!("{}, {}", item.name, format::money(item.price));
            let chosen = now.product_id == item.product_id;
            view! { <option value=item.product_id.clone() selected=chosen>{text}</option> }
        };
        products.iter().map(option).collect_view()
    });
    let none = (at > 0).then(|| {
        let chosen = now.product_id.is_empty();
        view! { <option value="" selected=chosen>"Nothing more"</option> }
    });
    let set = move |change: &dyn Fn(&mut BasketLine)| {
        basket.update(|basket| {
            if let Some(line) = basket.get_mut(at) {
                change(line);
            }
        });
    };
    let product = move |event: leptos::ev::Event| {
        let id = event_target_value(&event);
        set(&|line| line.product_id.clone_from(&id));
    };
    let quantity = move |event: leptos::ev::Event| {
        let typed = event_target_value(&event).parse().unwrap_or(1);
        set(&|line| line.quantity = typed);
    };
    let later = move || {
        basket.with(|basket| {
            let filled = basket.iter().rposition(|line| !line.product_id.is_empty());
            filled.is_none_or(|last| at > last + 1)
        })
    };
    view! {
        <div class="basket-line" class:later=later>
            <select
                name="product_id" aria-label=format!("Product {number}") on:change=product
            >
                {none}
                {options}
            </select>
            <input
                type="number" name="quantity" min="1" max="100"
                aria-label=format!("Quantity {number}") value=now.quantity on:input=quantity
            />
        </div>
    }
    .into_any()
}
