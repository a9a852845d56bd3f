//! The place-order form: a dialog with a filled basket, and a page for those without JavaScript.

use super::{
    lazily::{Body, Lazily},
    offline::use_offline,
    state::use_frame,
    toast::use_toasts,
};
use crate::{
    ask, browser,
    model::{
        format,
        placing::{Sent, Tries},
    },
    widget::{
        Choice, Dialog, Icon, Segmented,
        field::{self, Field, Unread},
        icon,
    },
};
use contract::{
    Money,
    shop::{BasketLine, CustomerView, PaymentMethod, PlaceOrder, ProductView},
};
use leptos::{html, prelude::*, task::spawn_local};
use std::cell::RefCell;

/// Lines of the basket the form starts with, at most.
const FIRST_LINES: usize = 2;
/// Lines the form can hold.
const LINES_MAX: usize = 8;
/// The fields of their quantities: accessible name, and name in the form.
const QUANTITIES: [(&str, &str); LINES_MAX] = [
    ("Quantity 1", "quantity-1"),
    ("Quantity 2", "quantity-2"),
    ("Quantity 3", "quantity-3"),
    ("Quantity 4", "quantity-4"),
    ("Quantity 5", "quantity-5"),
    ("Quantity 6", "quantity-6"),
    ("Quantity 7", "quantity-7"),
    ("Quantity 8", "quantity-8"),
];
/// Pieces of one product in one order, as the API takes them.
const QUANTITY_MAX: u32 = 100;

/// Reads a quantity, or says what one is.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn quantity(text: &str) -> Result<u32, String> {
    let read = text.trim().parse().ok();
    let valid = read.filter(|quantity| (1..=QUANTITY_MAX).contains(quantity));
    valid.ok_or_else(|| format!("A whole number from 1 to {QUANTITY_MAX}."))
}

/// What an order can be paid with: the API's words, and words for people.
pub const PAYMENT_METHODS: [Choice; 3] =
    [("wallet", "Wallet"), ("card", "Card"), ("debit", "Direct debit")];

/// The word for people.
#[must_use]
pub fn method_label(method: PaymentMethod) -> &'static str {
    let known = PAYMENT_METHODS.iter().find(|(word, _)| *word == method.as_str());
    known.map_or("", |(_, label)| label)
}

/// What a basket costs, at the catalog's prices; none if a product is not sold or it is too much.
#[must_use]
pub fn total(products: &[ProductView], lines: &[BasketLine]) -> Option<Money> {
    lines.iter().try_fold(Money::eur(0), |sum, line| {
        let product = products.iter().find(|product| product.product_id == line.product_id)?;
        sum.plus(product.price.times(line.quantity).ok()?).ok()
    })
}

/// The first product that is not in the basket yet.
#[must_use]
pub fn next_product<'a>(
    products: &'a [ProductView],
    lines: &[BasketLine],
) -> Option<&'a ProductView> {
    products.iter().find(|product| lines.iter().all(|line| line.product_id != product.product_id))
}

/// A basket to start with: one each of the first products.
#[must_use]
pub fn first_basket(products: &[ProductView]) -> Vec<BasketLine> {
    let ids = products.iter().take(FIRST_LINES).map(|product| product.product_id.clone());
    ids.map(|product_id| BasketLine { product_id, quantity: 1 }).collect()
}

/// The dialog behind `P`.
#[component]
pub(super) fn PlaceOrderDialog() -> impl IntoView {
    let frame = use_frame();
    view! {
        <Dialog open=frame.placing title="Place order" class="narrow">
            <Lazily body=Body::PlaceOrder/>
        </Dialog>
    }
    .into_any()
}

/// What it shows.
pub(super) fn body() -> AnyView {
    view! { <Loaded/> }.into_any()
}

/// Asks for products and customers when the dialog opens.
#[component]
fn Loaded() -> impl IntoView {
    let offered = RwSignal::new(None);
    spawn_local(async move {
        let products = ask::products().await;
        let customers = ask::customers().await;
        offered.try_set(Some(products.and_then(|products| Ok((products, customers?)))));
    });
    move || match offered.get() {
        None => view! { <div class="skeleton-form" aria-busy="true"></div> }.into_any(),
        Some(Err(error)) => {
            view! { <p class="form-error" role="alert">{error.to_string()}</p> }.into_any()
        }
        Some(Ok((products, customers))) => {
            view! { <Form products=products customers=customers/> }.into_any()
        }
    }
}

thread_local! {
    /// The order of this tab whose outcome is not known. The form is made anew each time it opens,
    /// and may be closed before its answer comes. Only browsers send orders from here, so on the
    /// server, where a thread serves many, it stays empty.
    static TRIES: RefCell<Tries> = RefCell::default();
}

/// What is said while nobody knows what became of the last order.
const UNKNOWN: &str = "Whether it was placed is not known; placing it again finds out.";

/// What a form says that opens while that is so.
fn left_open() -> Option<String> {
    TRIES
        .with_borrow(Tries::is_open)
        .then(|| format!("Your last order was not answered. {UNKNOWN}"))
}

/// What the form holds while it is open.
#[derive(Clone, Copy)]
struct Draft {
    products: StoredValue<Vec<ProductView>>,
    user_id: RwSignal<String>,
    lines: RwSignal<Vec<BasketLine>>,
    /// What stands in the fields of quantities and is none.
    unread: Unread,
    method: RwSignal<PaymentMethod>,
    busy: RwSignal<bool>,
    error: RwSignal<Option<String>>,
    /// An earlier order of this form that turned out to be placed.
    earlier: RwSignal<Option<String>>,
}

#[component]
fn Form(products: Vec<ProductView>, customers: Vec<CustomerView>) -> impl IntoView {
    let draft = Draft {
        user_id: RwSignal::new(customers.first().map(|c| c.user_id.clone()).unwrap_or_default()),
        lines: RwSignal::new(first_basket(&products)),
        unread: Unread::default(),
        method: RwSignal::new(PaymentMethod::default()),
        products: StoredValue::new(products),
        busy: RwSignal::new(false),
        error: RwSignal::new(left_open()),
        earlier: RwSignal::new(None),
    };
    let button = NodeRef::<html::Button>::new();
    Effect::new(move |_| {
        if let Some(button) = button.get() {
            let _ = button.focus();
        }
    });
    let offline = use_offline();
    let submit = use_submit(draft);
    let wrong = Memo::new(move |_| draft.unread.first());
    let why = move || offline.reason().map(str::to_owned).or_else(|| wrong.get());
    let sum = move || {
        if wrong.with(Option::is_some) {
            return "–".to_owned();
        }
        let sum = draft.products.with_value(|products| draft.lines.with(|l| total(products, l)));
        sum.map_or_else(|| "–".to_owned(), format::money)
    };
    let options = customers
        .into_iter()
        .map(|customer| {
            let text = format!("{}, {}", customer.name, customer.note);
            view! { <option value=customer.user_id>{text}</option> }
        })
        .collect_view();
    view! {
        <form class="form" on:submit=submit>
            <label class="field">
                <span>"Customer"</span>
                <select on:change=move |event| draft.user_id.set(event_target_value(&event))>
                    {options}
                </select>
            </label>
            <Basket draft=draft/>
            {pay_field(draft)}
            <div class="sum">
                <span>"Total"</span>
                <strong>{sum}</strong>
            </div>
            {move || said(draft)}
            <div class="actions">
                <button
                    node_ref=button type="submit" class="button primary"
                    aria-busy=move || draft.busy.get().to_string()
                    disabled=move || why().is_some() title=why
                >
                    {move || if draft.busy.get() { "Placing" } else { "Place order" }}
                </button>
            </div>
        </form>
    }
    .into_any()
}

/// What became of the last try, unless it is done.
fn said(draft: Draft) -> AnyView {
    if let Some(id) = draft.earlier.get() {
        let href = format!("/orders/{id}");
        return view! {
            <p role="alert">
                "Your earlier order was placed as " <a href=href>{id}</a>
                ". What stands here now is not ordered."
            </p>
        }
        .into_any();
    }
    let error = draft.error.get().map(|error| {
        view! {
            <p class="form-error" role="alert">{icon(Icon::Cross)} <span>{error}</span></p>
        }
    });
    error.into_any()
}

fn pay_field(draft: Draft) -> AnyView {
    let chosen = Signal::derive(move || draft.method.get().as_str().to_owned());
    let choose = Callback::new(move |word: String| {
        if let Some(method) = PaymentMethod::parse(&word) {
            draft.method.set(method);
        }
    });
    view! {
        <div class="field">
            <span>"Pay with"</span>
            <Segmented
                label="Pay with" name="payment_method" choices=PAYMENT_METHODS.to_vec()
                value=chosen on_choose=choose
            />
        </div>
    }
    .into_any()
}

/// Places the order once, however often the form is submitted. One whose outcome is not known is
/// asked for before another goes out.
fn use_submit(draft: Draft) -> impl Fn(leptos::ev::SubmitEvent) + Copy {
    let (frame, toasts, offline) = (use_frame(), use_toasts(), use_offline());
    move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let unread = untrack(|| draft.unread.first()).is_some();
        if draft.busy.get_untracked() || unread || offline.refuses("Order not placed") {
            return;
        }
        draft.busy.set(true);
        draft.error.set(None);
        draft.earlier.set(None);
        let order = PlaceOrder {
            user_id: draft.user_id.get_untracked(),
            items: draft.lines.get_untracked(),
            payment_method: draft.method.get_untracked(),
        };
        spawn_local(async move {
            match place(order).await {
                Sent::Placed(placed) => {
                    frame.mine.add(&placed.order_id);
                    toasts.placed(&placed.order_id);
                    frame.placing.set(false);
                }
                Sent::Earlier(placed) => {
                    frame.mine.add(&placed.order_id);
                    toasts.placed(&placed.order_id);
                    draft.earlier.try_set(Some(placed.order_id));
                }
                Sent::Unknown(error) => {
                    draft.error.try_set(Some(format!("{error} {UNKNOWN}")));
                }
                Sent::Refused(error) => {
                    draft.error.try_set(Some(error));
                }
                Sent::Again => {}
            }
            draft.busy.try_set(false);
        });
    }
}

/// Sends what the form holds, after what is not known to be placed.
async fn place(order: PlaceOrder) -> Sent {
    loop {
        let sent = TRIES.with_borrow_mut(|tries| {
            let sent = tries.next(order.clone(), browser::random_key());
            tries.sends(sent.clone());
            sent
        });
        let answer =
            ask::place_order(sent.0.clone(), sent.1.clone()).await.map_err(|error| error.0);
        let told = TRIES.with_borrow_mut(|tries| tries.answered(&order, sent, answer));
        if told != Sent::Again {
            return told;
        }
    }
}

/// The lines of the basket.
#[component]
fn Basket(draft: Draft) -> impl IntoView {
    let count = Memo::new(move |_| draft.lines.with(Vec::len));
    let add = move |_| {
        let next = draft.products.with_value(|products| {
            draft.lines.with_untracked(|lines| next_product(products, lines).cloned())
        });
        if let Some(product) = next {
            let line = BasketLine { product_id: product.product_id, quantity: 1 };
            draft.lines.update(|lines| lines.push(line));
        }
    };
    let full = move || count.get() >= draft.products.with_value(Vec::len).min(LINES_MAX);
    view! {
        <fieldset class="basket">
            <legend>"Basket"</legend>
            {move || (0..count.get()).map(|at| basket_line(draft, at, count)).collect_view()}
            <button type="button" class="button ghost" disabled=full on:click=add>
                {icon(Icon::Plus)} <span>"Add product"</span>
            </button>
        </fieldset>
    }
    .into_any()
}

fn basket_line(draft: Draft, at: usize, count: Memo<usize>) -> AnyView {
    let line = draft.lines.with_untracked(|lines| lines.get(at).cloned());
    let Some(line) = line else { return ().into_any() };
    let set = move |change: &dyn Fn(&mut BasketLine)| {
        draft.lines.update(|lines| {
            if let Some(line) = lines.get_mut(at) {
                change(line);
            }
        });
    };
    let options = draft.products.with_value(|products| {
        products
            .iter()
            .map(|product| {
                let text = format!("{}, {}", product.name, format::money(product.price));
                let chosen = product.product_id == line.product_id;
                view! { <option value=product.product_id.clone() selected=chosen>{text}</option> }
            })
            .collect_view()
    });
    let product = move |event: leptos::ev::Event| {
        let id = event_target_value(&event);
        set(&|line| line.product_id.clone_from(&id));
    };
    let remove = move |_| {
        // The lines below move up, and what was typed in them would not.
        draft.unread.clear();
        draft.lines.update(|lines| {
            if lines.len() > 1 && at < lines.len() {
                lines.remove(at);
            }
        });
    };
    view! {
        <div class="basket-line">
            <select aria-label=format!("Product {}", at + 1) on:change=product>{options}</select>
            {quantity_field(draft, at)}
            <button
                type="button" class="button ghost square"
                aria-label=format!("Remove product {}", at + 1)
                disabled=move || count.get() <= 1 on:click=remove
            >
                {icon(Icon::Cross)}
            </button>
        </div>
    }
    .into_any()
}

/// How many of a line's product: what is no quantity stays in its field, with the reason.
fn quantity_field(draft: Draft, at: usize) -> AnyView {
    let Some((label, name)) = QUANTITIES.get(at).copied() else { return ().into_any() };
    let value = Signal::derive(move || {
        let quantity = draft.lines.with(|lines| lines.get(at).map(|line| line.quantity));
        quantity.unwrap_or(1).to_string()
    });
    let set = Callback::new(move |text: String| {
        let Ok(quantity) = quantity(&text) else { return };
        draft.lines.update(|lines| {
            if let Some(line) = lines.get_mut(at) {
                line.quantity = quantity;
            }
        });
    });
    let read = Callback::new(|text: String| quantity(&text).map(|_| ()));
    field::number(Field::plain(label, name, value, set).readable(draft.unread, read), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_a_whole_number_that_the_api_takes_and_never_another_one() {
        assert_eq!(
            ["1", " 7 ", "100"].map(|text| quantity(text).ok()),
            [Some(1), Some(7), Some(100)]
        );
        for wrong in ["", "0", "101", "500", "-4", "1.5", "two", "99999999999"] {
            assert_eq!(quantity(wrong), Err("A whole number from 1 to 100.".into()), "{wrong}");
        }
    }

    fn product(id: &str, minor: i64) -> ProductView {
        ProductView { product_id: id.into(), name: id.into(), price: Money::eur(minor) }
    }

    #[test]
    fn the_total_is_the_sum_of_prices_times_quantities() {
        let products = [product("a", 250), product("b", 1_000)];
        let mut basket = first_basket(&products);
        basket[0].quantity = 3;
        assert_eq!(total(&products, &basket), Some(Money::eur(1_750)));
    }

    #[test]
    fn every_payment_method_is_offered_by_the_word_the_api_reads() {
        for (word, label) in PAYMENT_METHODS {
            assert_eq!(PaymentMethod::parse(word).map(method_label), Some(label));
        }
        assert_eq!(method_label(PaymentMethod::Card), "Card");
    }

    #[test]
    fn a_total_that_cannot_be_computed_is_not_guessed() {
        let line = |id: &str, quantity| BasketLine { product_id: id.into(), quantity };
        assert_eq!(total(&[product("a", 250)], &[line("z", 1)]), None);
        assert_eq!(total(&[product("a", i64::MAX)], &[line("a", 2)]), None);
    }

    #[test]
    fn a_new_line_takes_a_product_that_is_not_in_the_basket() {
        let products = [product("a", 1), product("b", 1)];
        let basket = vec![BasketLine { product_id: "a".into(), quantity: 1 }];
        assert_eq!(next_product(&products, &basket).map(|p| p.product_id.as_str()), Some("b"));
        assert_eq!(next_product(&products[..1], &basket), None);
    }
}
