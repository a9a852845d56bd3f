//! The page's controls for browsers without JavaScript: plain forms, answered with a redirect.

use super::Edge;
use app::frame::mine;
use axum::{
    Form,
    extract::{Path, State, rejection::FormRejection},
    response::{IntoResponse, Redirect, Response},
};
use contract::{
    ApiError,
    shop::{BasketLine, LoadChange, PaymentMethod, PlaceOrder},
};
use http::{HeaderMap, HeaderValue, Uri, header};

/// What the place-order form says.
#[derive(Debug, Default, PartialEq)]
struct PlaceForm {
    order: PlaceOrder,
    key: String,
}

/// Reads the form: product and quantity come once for each line, and lines without a product are
/// left out.
fn read(fields: Vec<(String, String)>) -> Result<PlaceForm, &'static str> {
    const INCOMPLETE: &str = "The form was not complete.";
    let mut form = PlaceForm::default();
    let (mut products, mut quantities) = (Vec::new(), Vec::new());
    for (name, value) in fields {
        match name.as_str() {
            "user_id" => form.order.user_id = value,
            "key" => form.key = value,
            "product_id" => products.push(value),
            "quantity" => quantities.push(value),
            "payment_method" => {
                form.order.payment_method = PaymentMethod::parse(&value).ok_or(INCOMPLETE)?;
            }
            _ => {}
        }
    }
    if form.order.user_id.is_empty() || products.len() != quantities.len() {
        return Err(INCOMPLETE);
    }
    for (product_id, quantity) in products.into_iter().zip(quantities) {
        if product_id.is_empty() {
            continue;
        }
        let quantity = quantity.trim().parse();
        let quantity =
            quantity.map_err(|_| "The quantity must be a whole number from 1 to 100.")?;
        form.order.items.push(BasketLine { product_id, quantity });
    }
    if form.order.items.is_empty() { Err(INCOMPLETE) } else { Ok(form) }
}

pub(super) async fn place(
    State(edge): State<Edge>,
    headers: HeaderMap,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let fields = form.map(|Form(fields)| fields).unwrap_or_default();
    let filled_in = filled_in(&fields);
    let refused = |reason: &str| {
        let error = escaped(reason);
        Redirect::to(&format!("/orders/new?error={error}{filled_in}")).into_response()
    };
    let PlaceForm { order, key } = match read(fields) {
        Ok(form) => form,
        Err(sentence) => return refused(sentence),
    };
    let key = if key.is_empty() { edge.shop.ids.unique() } else { key };
    match edge.host.shop.place_order(order, key).await {
        Ok(placed) => {
            let to = Redirect::to(&format!("/orders/{}", placed.order_id));
            ([(header::SET_COOKIE, theirs(&headers, &placed.order_id))], to).into_response()
        }
        Err(error) => refused(&sentence(&error)),
    }
}

/// The cookie that says which orders a browser placed, with another one.
fn theirs(headers: &HeaderMap, order_id: &str) -> String {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    let ids = mine::with(mine::in_cookies(&cookies), order_id);
    format!("{}={ids}; Path=/; SameSite=Lax", mine::COOKIE)
}

/// Most lines of a form that come back with it; an order cannot have more.
const LINES_MAX: usize = 50;

/// What was filled in, as the page reads it from its address: nobody types it twice.
fn filled_in(fields: &[(String, String)]) -> String {
    let values = |name: &'static str| {
        fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    };
    let mut query = String::new();
    let mut add = |name: &str, value: &str| {
        if shop::input::is_id(value) {
            query.push_str(&format!("&{name}={value}"));
        }
    };
    values("user_id").take(1).for_each(|user| add("customer", user));
    values("payment_method").take(1).for_each(|method| add("payment", method));
    let lines = values("product_id").zip(values("quantity"));
    let lines = lines.filter(|(product, _)| shop::input::is_id(product));
    for (product, quantity) in lines.take(LINES_MAX) {
        let quantity: u32 = quantity.trim().parse().unwrap_or(1);
        add("product", product);
        add("quantity", &quantity.to_string());
    }
    query
}

/// Why an order was refused, in the words of the form.
fn sentence(error: &ApiError) -> String {
    told(error, label)
}

/// Why a form was refused. `label` says what the form calls a field; a field that it does not show
/// has a reason that says everything.
fn told(error: &ApiError, label: impl Fn(&str) -> Option<String>) -> String {
    let ApiError::Invalid { fields } = error else { return error.to_string() };
    let told = fields.iter().map(|bad| match label(&bad.field) {
        Some(label) => format!("{label}: {}", bad.reason),
        None => bad.reason.clone(),
    });
    told.collect::<Vec<_>>().join(" ")
}

/// Why a form of the pages Live, Resilience or Traffic was refused, in its words.
pub(super) fn refusal(error: &ApiError) -> String {
    told(error, |field| control(field).map(str::to_owned))
}

/// What those forms call a field.
fn control(field: &str) -> Option<&'static str> {
    Some(match field {
        "kind" => "What",
        "from" => "From",
        "to" => "To",
        "subset" => "Version",
        "instance" => "Instance",
        "percent" => "Share",
        "delay_ms" | "delay_s" => "Delay",
        "jitter_ms" | "jitter_s" => "Plus or minus",
        "status" => "Status",
        "ttl_s" => "Ends after",
        "limit" => "Only next",
        "crash_at" => "When",
        "force_open" => "Force open",
        "force_closed" => "Force closed",
        "failures_in_a_row" => "Failures in a row",
        "wait_ms" | "wait_s" => "Wait",
        _ => return None,
    })
}

/// What the form calls a field of an order.
fn label(pointer: &str) -> Option<String> {
    match pointer.split('/').collect::<Vec<_>>()[..] {
        ["", "user_id"] => Some("Customer".to_owned()),
        ["", "items"] => Some("Basket".to_owned()),
        ["", "payment_method"] => Some("Pay with".to_owned()),
        ["", "items", line, name @ ("product_id" | "quantity")] => {
            let name = if name == "quantity" { "Quantity" } else { "Product" };
            line.parse().ok().map(|line: usize| format!("{name} {}", line.saturating_add(1)))
        }
        _ => None,
    }
}

pub(super) async fn cancel(State(edge): State<Edge>, Path(id): Path<String>) -> Redirect {
    let done = edge.host.shop.cancel_order(id.clone()).await.map(drop);
    back(&id, done)
}

pub(super) async fn ship(State(edge): State<Edge>, Path(id): Path<String>) -> Redirect {
    let done = edge.host.shop.ship_order(id.clone()).await.map(drop);
    back(&id, done)
}

pub(super) async fn redrive(State(edge): State<Edge>, Path(id): Path<String>) -> Redirect {
    let done = edge.host.shop.redrive_order(id.clone()).await.map(drop);
    back(&id, done)
}

/// The control stands on every page, so the answer leads back to the one it was used on.
pub(super) async fn load(
    State(edge): State<Edge>,
    headers: HeaderMap,
    form: Result<Form<LoadChange>, FormRejection>,
) -> Redirect {
    let page = came_from(&headers);
    let Ok(Form(load)) = form else {
        return failed(&page, "The load must be a number.");
    };
    match edge.host.live.set_load(load).await {
        Ok(_) => Redirect::to(&page),
        Err(error) => failed(&page, &refusal(&error)),
    }
}

/// The page of this site that a form was sent from; the first one if that is not known. An earlier
/// refusal is not said again.
fn came_from(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let referer = text(header::REFERER).and_then(|text| text.parse::<Uri>().ok());
    let here = referer.filter(|uri| uri.authority().map(|a| a.as_str()) == text(header::HOST));
    let Some(uri) = here else { return "/".to_owned() };
    // Two slashes at the beginning would be the address of another site.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    let kept = |pair: &&str| !pair.is_empty() && !pair.starts_with("error=");
    let query: Vec<_> = uri.query().unwrap_or_default().split('&').filter(kept).collect();
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

fn back(id: &str, done: Result<(), ApiError>) -> Redirect {
    let page = if shop::input::is_id(id) { format!("/orders/{id}") } else { "/orders".to_owned() };
    match done {
        Ok(()) => Redirect::to(&page),
        Err(error) => failed(&page, &error.to_string()),
    }
}

/// Back to a page, which shows the sentence. The page's address may have a query already.
pub(super) fn failed(page: &str, sentence: &str) -> Redirect {
    let joint = if page.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{page}{joint}error={}", escaped(sentence)))
}

/// A value of a query.
pub(super) fn escaped(value: &str) -> String {
    let one = |byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    value.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Result<PlaceForm, &'static str> {
        read(fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    const WHO: (&str, &str) = ("user_id", "c-1");

    #[test]
    fn a_form_leads_back_to_the_page_of_this_site_it_was_sent_from() {
        let back = |referer: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:3000"));
            headers.insert(header::REFERER, HeaderValue::from_static(referer));
            came_from(&headers)
        };
        assert_eq!(back("http://127.0.0.1:3000/traces?service=orders"), "/traces?service=orders");
        assert_eq!(back("http://127.0.0.1:3000/orders?error=No.&range=5"), "/orders?range=5");
        assert_eq!(back("http://127.0.0.1:3000//elsewhere.example/"), "/elsewhere.example/");
        assert_eq!(back("http://elsewhere.example/orders"), "/");
        assert_eq!(back("nonsense"), "/");
        assert_eq!(came_from(&HeaderMap::new()), "/");
    }

    #[test]
    fn every_line_with_a_product_is_ordered_and_paid_as_chosen() {
        let read = form(&[
            WHO,
            ("product_id", "p-1"),
            ("quantity", " 2 "),
            ("product_id", ""),
            ("quantity", "1"),
            ("product_id", "p-3"),
            ("quantity", "7"),
            ("payment_method", "card"),
            ("key", "k"),
        ]);
        let line = |id: &str, quantity| BasketLine { product_id: id.into(), quantity };
        let order = PlaceOrder {
            user_id: "c-1".into(),
            items: vec![line("p-1", 2), line("p-3", 7)],
            payment_method: PaymentMethod::Card,
        };
        assert_eq!(read, Ok(PlaceForm { order, key: "k".into() }));
    }

    #[test]
    fn a_refused_form_comes_back_as_it_was_filled_in_and_says_which_field_is_bad() {
        let pairs = [
            WHO,
            ("product_id", "p-1"),
            ("quantity", "0"),
            ("product_id", ""),
            ("quantity", "1"),
            ("product_id", "p-3&x=<"),
            ("quantity", "1"),
            ("product_id", "p-4"),
            ("quantity", "many"),
            ("payment_method", "card"),
            ("key", "k"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            filled_in(&pairs),
            "&customer=c-1&payment=card&product=p-1&quantity=0&product=p-4&quantity=1"
        );
        let fields = [
            ("/items/0/quantity", "Must be 1."),
            ("/items/11/product_id", "Is unknown."),
            ("/user_id", "Is missing."),
            ("", "Is odd."),
        ];
        let fields = fields.map(|(field, reason)| contract::FieldError::new(field, reason)).into();
        let told = "Quantity 1: Must be 1. Product 12: Is unknown. Customer: Is missing. Is odd.";
        assert_eq!(sentence(&ApiError::Invalid { fields }), told);
    }

    #[test]
    fn a_refused_control_is_called_what_the_page_calls_it() {
        let refused = |fields: &[(&str, &str)]| {
            let fields = fields.iter().map(|(f, r)| contract::FieldError::new(*f, *r)).collect();
            refusal(&ApiError::Invalid { fields })
        };
        let fault = [("to", "No service named nope."), ("ttl_s", "must be 1 to 900 s")];
        assert_eq!(refused(&fault), "To: No service named nope. Ends after: must be 1 to 900 s");
        let load = ("per_second", "The load must be 0 to 1000 requests a second.");
        assert_eq!(refused(&[load]), load.1);
        // Every field that a command of the page may have wrong has a name there.
        for field in ["percent", "delay_ms", "status", "limit", "failures_in_a_row", "wait_ms"] {
            assert!(control(field).is_some(), "{field}");
        }
    }

    #[test]
    fn a_form_without_a_line_or_with_half_a_line_is_not_complete() {
        let product = ("product_id", "p-1");
        for fields in [
            &[WHO][..],
            &[WHO, product],
            &[WHO, ("product_id", ""), ("quantity", "1")],
            &[product, ("quantity", "1")],
            &[WHO, product, ("quantity", "1"), ("payment_method", "cash")],
        ] {
            assert_eq!(form(fields), Err("The form was not complete."), "{fields:?}");
        }
        let half = form(&[WHO, product, ("quantity", "1.5")]);
        assert!(half.is_err_and(|sentence| sentence.contains("whole number")));
    }
}
