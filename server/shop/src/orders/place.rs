//! Placing an order: who buys and what it costs is asked of the services that know, then the order
//! is recorded with its saga and the first command in one transaction.

use super::{
    IdempotencyKey, Line, NewOrder, OrderBody, OrderEvent, Orders, Placed, busy,
    decide::{self, Input, OrderRecord},
    key_reused, lost, state, told,
};
use crate::{catalog::Products, problem::Problem, users::User};
use axum::{Json, extract::State};
use base::TraceContext;
use contract::{
    FieldError, Money,
    order::Origin,
    service::{CATALOG, USERS},
    shop::{BasketLine, PaymentMethod, PlaceOrder},
};
use event_sourcing::Recorded;
use http::StatusCode;
use mesh::CallContext;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

/// Tries to find an id nobody has: 32^8 ids make a second try rare.
const ID_TRIES: usize = 5;

/// The gateway's command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Command {
    /// What is ordered; checked for form by the gateway.
    pub order: PlaceOrder,
    /// Who placed it.
    pub origin: Origin,
    /// The client's `Idempotency-Key`, or the gateway's.
    pub key: Option<String>,
}

pub(crate) async fn place(
    State(orders): State<Orders>,
    context: CallContext,
    Json(command): Json<Command>,
) -> Result<(StatusCode, Json<OrderBody>), Problem> {
    accept(orders, &context, command).await
}

/// Accepts a command, whoever read it. The key is looked up first: what was accepted once is
/// answered again although a product is gone, or a service that was asked then does not answer.
pub(super) async fn accept(
    orders: Orders,
    context: &CallContext,
    command: Command,
) -> Result<(StatusCode, Json<OrderBody>), Problem> {
    let key = command
        .key
        .as_ref()
        .map(|key| IdempotencyKey { key: key.clone(), fingerprint: fingerprint(&command) });
    if let Some(key) = key.clone()
        && let Some(found) = orders.store.placed(key).await?
    {
        return Ok((StatusCode::ACCEPTED, Json(before(found)?)));
    }
    let (user, products) = tokio::join!(
        orders
            .caller
            .get(USERS, format!("/users/{}", command.order.user_id))
            .route("/users/{id}")
            .context(context)
            .receive::<User>(),
        orders
            .caller
            .get(CATALOG, format!("/products?ids={}", ids(&command.order.items)))
            .route("/products")
            .context(context)
            .receive::<Products>(),
    );
    let event = priced(&command, user, products)?;
    let correlation_id =
        context.correlation_id.clone().unwrap_or_else(|| orders.ids.uuid().to_string());
    let engine = orders.clone();
    let recording = async move { record(&engine, event, correlation_id, key).await };
    let recorded = orders.commands.detach_as("order-placement", recording.in_current_span());
    let recorded = recorded.ok_or_else(busy)?.await;
    Ok((StatusCode::ACCEPTED, Json(recorded.map_err(|_| lost())??)))
}

/// The answer to a key that was used before.
fn before(found: Placed) -> Result<OrderBody, Problem> {
    match found {
        Placed::Before(story) => told(*story),
        Placed::KeyReused => Err(key_reused()),
        Placed::Now | Placed::IdTaken => Err(lost()),
    }
}

/// Two commands of one key must be one command. The wallet, which was all there was once, is not
/// named.
fn fingerprint(command: &Command) -> String {
    let method = command.order.payment_method;
    let order = PlaceOrder { payment_method: PaymentMethod::Wallet, ..command.order.clone() };
    let order = serde_json::to_string(&order).unwrap_or_default();
    match method {
        PaymentMethod::Wallet => order,
        method => format!("{order} {}", method.as_str()),
    }
}

fn ids(items: &[BasketLine]) -> String {
    items.iter().map(|line| line.product_id.as_str()).collect::<Vec<_>>().join(",")
}

/// The order's first event, with the catalog's names and prices.
fn priced(
    command: &Command,
    user: Result<User, mesh::CallError>,
    products: Result<Products, mesh::CallError>,
) -> Result<OrderEvent, Problem> {
    let mut errors = Vec::new();
    let user_id = command.order.user_id.clone();
    match user {
        Ok(_) => {}
        Err(error)
            if error.refusal().is_some_and(|(status, _)| status == StatusCode::NOT_FOUND) =>
        {
            errors.push(FieldError::new("/user_id", format!("There is no customer {user_id}.")));
        }
        Err(error) => return Err(error.into()),
    }
    let known = products?.products;
    let mut total = Money::eur(0);
    let mut lines = Vec::new();
    for (index, item) in command.order.items.iter().enumerate() {
        let Some(product) = known.iter().find(|p| p.product_id == item.product_id) else {
            let field = format!("/items/{index}/product_id");
            errors
                .push(FieldError::new(field, format!("There is no product {}.", item.product_id)));
            continue;
        };
        let sum = product.price.times(item.quantity).and_then(|price| total.plus(price));
        match sum {
            Ok(sum) => total = sum,
            Err(error) => errors.push(FieldError::new("/items", format!("The total: {error}."))),
        }
        lines.push(Line {
            product_id: product.product_id.clone(),
            name: product.name.clone(),
            quantity: item.quantity,
            unit_price: product.price,
        });
    }
    if errors.is_empty() {
        let (origin, payment_method) = (command.origin, command.order.payment_method);
        Ok(OrderEvent::OrderPlaced { user_id, lines, total, origin, payment_method })
    } else {
        Err(Problem::invalid(errors))
    }
}

async fn record(
    orders: &Orders,
    event: OrderEvent,
    correlation_id: String,
    key: Option<IdempotencyKey>,
) -> Result<OrderBody, Problem> {
    for _ in 0..ID_TRIES {
        let order_id = orders.ids.short("ord", 8);
        let record = OrderRecord { order_id: order_id.clone(), ..OrderRecord::default() };
        let change = decide::decide(&record, Input::Place(event.clone()))
            .map_err(|refusal| Problem::conflict(refusal.to_string()))?;
        let (at_us, events) = (orders.clock.now_us(), change.events.iter().cloned());
        let events = (1..).zip(events).map(|(version, event)| Recorded { version, at_us, event });
        let events: Vec<_> = events.collect();
        let new = NewOrder {
            order_id: order_id.clone(),
            correlation_id: correlation_id.clone(),
            trace: TraceContext::current(),
            key: key.clone(),
            change,
        };
        match orders.store.place(new).await? {
            Placed::Now => {
                tracing::Span::current().record(contract::attributes::ORDER_ID, order_id.as_str());
                if let OrderEvent::OrderPlaced { total, lines, .. } = &event {
                    // As the event says it: three of one thing are three items.
                    let items: u64 = lines.iter().map(|line| u64::from(line.quantity)).sum();
                    tracing::info!(
                        order_id,
                        correlation_id,
                        "order placed, {}, {total}",
                        match items {
                            1 => "1 item".to_owned(),
                            count => format!("{count} items"),
                        }
                    );
                }
                // From what was recorded: reading it back could fail, and the order runs.
                return state(&order_id, correlation_id, &events);
            }
            found @ (Placed::Before(_) | Placed::KeyReused) => return before(found),
            Placed::IdTaken => {}
        }
    }
    Err(lost())
}
