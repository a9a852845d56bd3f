//! Products and customers.

use super::{Answer, Context, Gateway, ok, schema, timing::timed};
use crate::{
    catalog::{Product, Products},
    input::{Parameters, path_id},
    orders::{Listed, ListedPage},
    payments::{PaymentList, PaymentRow},
    problem::Problem,
    recommendations::Recommended,
    users::{User, Users},
};
use axum::{
    Extension,
    extract::{Path, State},
};
use contract::service::{CATALOG, ORDERS, PAYMENTS, RECOMMENDATIONS, USERS};
use http::Uri;
use mesh::{CallContext, CallError};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Recommendations are optional: this is how long a product page waits for them.
const RECOMMENDATIONS_TIMEOUT: Duration = Duration::from_secs(1);
/// Recent orders and payments on a customer's page.
const RECENT: usize = 5;
/// Entries of one page unless asked otherwise, and at most.
pub(super) const PAGE_DEFAULT: usize = 50;
/// See [`PAGE_DEFAULT`].
pub(super) const PAGE_MAX: usize = 200;

/// Which page of a list.
#[derive(Debug)]
struct Paging {
    cursor: Option<String>,
    limit: usize,
}

impl Paging {
    fn read(address: &Uri) -> Result<Self, Problem> {
        let mut asked = Parameters::read(address, &["cursor", "limit"])?;
        let limit = asked.limit(PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
        Ok(Self { cursor: asked.take("cursor"), limit })
    }

    /// The page after the entry the cursor names, and the cursor of the next.
    fn cut<T>(
        &self,
        all: Vec<T>,
        id: impl Fn(&T) -> &str,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = self.limit;
        let from = match &self.cursor {
            None => 0,
            Some(cursor) => {
                let last = all.iter().position(|entry| id(entry) == cursor);
                last.ok_or_else(|| Problem::field("cursor", "Not a cursor this list gave."))? + 1
            }
        };
        let more = all.len() > from + limit;
        let page: Vec<T> = all.into_iter().skip(from).take(limit).collect();
        let next = page.last().filter(|_| more).map(|entry| id(entry).to_owned());
        Ok((page, next))
    }
}

/// A page of products.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProductPage {
    products: Vec<Product>,
    next: Option<String>,
}

/// A product with what goes with it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProductDetails {
    #[serde(flatten)]
    product: Product,
    /// Products bought together with it; empty when the service has none or did not answer.
    recommendations: Vec<Product>,
    /// Part and reason, for each part that failed: `recommendations`.
    errors: BTreeMap<&'static str, String>,
}

/// A page of customers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct UserPage {
    users: Vec<User>,
    next: Option<String>,
}

/// A customer with recent orders and payments. A part that could not be fetched is empty, or null
/// where it is no list, and `errors` says why: `users` for the profile, `orders`, `payments`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct UserDetails {
    /// Stable id: `c-1042`.
    user_id: String,
    /// Name for people.
    name: Option<String>,
    /// Where to write to.
    email: Option<String>,
    /// Where they live.
    city: Option<String>,
    /// One line about the wallet.
    note: Option<String>,
    /// The five newest orders.
    #[schema(value_type = Vec<schema::OrderRow>)]
    orders: Vec<Listed>,
    /// The five newest payments.
    #[schema(value_type = Vec<schema::Payment>)]
    payments: Vec<PaymentRow>,
    /// Part and reason, for each part that failed.
    errors: BTreeMap<&'static str, String>,
}

#[utoipa::path(
    get,
    path = "/products",
    tag = "browse",
    params(("cursor" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses((status = 200, body = ProductPage), (status = 400, body = Problem)),
)]
pub(super) async fn products(
    State(gateway): State<Gateway>,
    Extension(context): Context,
    address: Uri,
) -> Answer {
    let paging = Paging::read(&address)?;
    let asked = gateway.caller.get(CATALOG, "/products").route("/products").context(&context);
    let all: Products = timed(CATALOG, asked.receive()).await?;
    let (products, next) = paging.cut(all.products, |p| &p.product_id)?;
    Ok(ok(&ProductPage { products, next }))
}

#[utoipa::path(
    get,
    path = "/products/{id}",
    tag = "browse",
    params(("id" = String, Path)),
    responses((status = 200, body = ProductDetails), (status = 404, body = Problem)),
)]
pub(super) async fn product(
    State(gateway): State<Gateway>,
    Extension(context): Context,
    Path(id): Path<String>,
) -> Answer {
    let id = path_id("product", id)?;
    let asked = gateway.caller.get(CATALOG, format!("/products/{id}")).route("/products/{id}");
    let product = timed(CATALOG, asked.context(&context).receive::<Product>());
    let recommended = timed(RECOMMENDATIONS, recommended(&gateway, &context, &id));
    // Without the product nobody waits for what goes with it.
    let (product, recommended) =
        tokio::try_join!(product, async { Ok::<_, CallError>(recommended.await) })?;
    let mut errors = BTreeMap::new();
    let recommendations = part("recommendations", recommended, &mut errors).unwrap_or_default();
    Ok(ok(&ProductDetails { product, recommendations, errors }))
}

/// Ids from recommendations, names and prices from catalog, within the time for both.
async fn recommended(
    gateway: &Gateway,
    context: &CallContext,
    id: &str,
) -> Result<Vec<Product>, CallError> {
    let mut context = context.clone();
    let limit = tokio::time::Instant::now() + RECOMMENDATIONS_TIMEOUT;
    context.deadline = Some(context.deadline.map_or(limit, |deadline| deadline.min(limit)));
    let Recommended { product_ids, .. } = gateway
        .caller
        .get(RECOMMENDATIONS, format!("/recommendations/{id}"))
        .route("/recommendations/{id}")
        .context(&context)
        .receive()
        .await?;
    if product_ids.is_empty() {
        return Ok(Vec::new());
    }
    let path = format!("/products?ids={}", product_ids.join(","));
    let mut found: Products =
        gateway.caller.get(CATALOG, path).route("/products").context(&context).receive().await?;
    // catalog knows nothing of the order they are recommended in.
    found.products.sort_by_key(|p| product_ids.iter().position(|id| *id == p.product_id));
    Ok(found.products)
}

#[utoipa::path(
    get,
    path = "/users",
    tag = "browse",
    params(("cursor" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses((status = 200, body = UserPage), (status = 400, body = Problem)),
)]
pub(super) async fn users(
    State(gateway): State<Gateway>,
    Extension(context): Context,
    address: Uri,
) -> Answer {
    let paging = Paging::read(&address)?;
    let asked = gateway.caller.get(USERS, "/users").route("/users").context(&context);
    let all: Users = timed(USERS, asked.receive()).await?;
    let (users, next) = paging.cut(all.users, |u| &u.user_id)?;
    Ok(ok(&UserPage { users, next }))
}

#[utoipa::path(
    get,
    path = "/users/{id}",
    tag = "browse",
    params(("id" = String, Path)),
    responses((status = 200, body = UserDetails), (status = 404, body = Problem)),
)]
pub(super) async fn user(
    State(gateway): State<Gateway>,
    Extension(context): Context,
    Path(id): Path<String>,
) -> Answer {
    let id = path_id("customer", id)?;
    let ask = |service, path: String, route| {
        gateway.caller.get(service, path).route(route).context(&context)
    };
    let user = ask(USERS, format!("/users/{id}"), "/users/{id}");
    let orders = ask(ORDERS, format!("/orders?user_id={id}&limit={RECENT}"), "/orders");
    let payments = ask(PAYMENTS, format!("/payments?user_id={id}&limit={RECENT}"), "/payments");
    let (user, orders, payments) = tokio::join!(
        timed(USERS, user.receive::<User>()),
        timed(ORDERS, orders.receive::<ListedPage>()),
        timed(PAYMENTS, payments.receive::<PaymentList>()),
    );
    // Without such a customer there is nothing to show; without an answer there is.
    let user = match user {
        Err(error) if error.refusal().is_some() => return Err(error.into()),
        user => user,
    };
    let mut errors = BTreeMap::new();
    let user = part("users", user, &mut errors);
    let orders = part("orders", orders, &mut errors).map_or_else(Vec::new, |page| page.orders);
    let payments = part("payments", payments, &mut errors).map_or_else(Vec::new, |l| l.payments);
    let of = |field: fn(&User) -> &String| user.as_ref().map(|user| field(user).clone());
    Ok(ok(&UserDetails {
        name: of(|user| &user.name),
        email: of(|user| &user.email),
        city: of(|user| &user.city),
        note: of(|user| &user.note),
        user_id: id,
        orders,
        payments,
        errors,
    }))
}

fn part<T>(
    name: &'static str,
    fetched: Result<T, CallError>,
    errors: &mut BTreeMap<&'static str, String>,
) -> Option<T> {
    fetched.map_err(|error| errors.insert(name, error.to_string())).ok()
}
