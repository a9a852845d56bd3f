//! What the command palette finds: orders, traces, customers, products.

use super::ask::look;
use crate::shop::Shop;
use contract::{
    find::{FIND_MAX, FIND_MIN, HITS_MAX, Hit, HitKind},
    service::{CATALOG, ORDERS, USERS},
};
use shop::{
    catalog::Products,
    input::is_id,
    orders::{OrderStory, RecentPage},
    users::Users,
};
use telemetry::Telemetry;

/// Parts of an id are looked for among the orders of so long.
const RECENT_US: i64 = 15 * 60 * 1_000_000;
/// Fewer digits begin too many traces; dashboards show eight.
const DIGITS_MIN: usize = 6;
/// A short id has this many characters at least.
const SHORT_ID_MIN: usize = 4;

/// Everything that matches. A service that does not answer finds nothing: the rest is still shown.
pub(super) async fn find(shop: &Shop, telemetry: &Telemetry, text: &str) -> Vec<Hit> {
    let needle = text.trim().to_lowercase();
    if !(FIND_MIN..=FIND_MAX).contains(&needle.chars().count()) {
        return Vec::new();
    }
    let (orders, users, products) = tokio::join!(
        orders(shop, &needle),
        look::<Users>(&shop.mesh, USERS, "/users"),
        look::<Products>(&shop.mesh, CATALOG, "/products"),
    );
    let mut hits = orders;
    hits.extend(traces(telemetry, &needle));
    let users = users.map(|list| list.users).unwrap_or_default();
    let customers = users.into_iter().map(|user| Hit {
        kind: HitKind::Customer,
        id: user.user_id,
        title: user.name,
        note: user.note,
    });
    hits.extend(matching(customers, &needle));
    let products = products.map(|list| list.products).unwrap_or_default();
    let products = products.into_iter().map(|product| Hit {
        kind: HitKind::Product,
        id: product.product_id,
        title: product.name,
        note: product.price.to_string(),
    });
    hits.extend(matching(products, &needle));
    hits
}

fn matching(all: impl Iterator<Item = Hit>, needle: &str) -> impl Iterator<Item = Hit> {
    let has = move |text: &str| text.to_lowercase().contains(needle);
    all.filter(move |hit| has(&hit.title) || has(&hit.id)).take(HITS_MAX)
}

fn traces(telemetry: &Telemetry, needle: &str) -> Vec<Hit> {
    if needle.len() < DIGITS_MIN || !needle.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Vec::new();
    }
    let rows = telemetry.traces_beginning(needle).into_iter().take(HITS_MAX);
    rows.map(|row| Hit {
        kind: HitKind::Trace,
        title: row.trace_id.clone(),
        note: format!("{}, {}", row.operation, row.service),
        id: row.trace_id,
    })
    .collect()
}

fn order(id: String, note: String) -> Hit {
    Hit { kind: HitKind::Order, title: id.clone(), note, id }
}

/// Orders placed lately with the text anywhere in their id; older ones by their whole id.
async fn orders(shop: &Shop, needle: &str) -> Vec<Hit> {
    let short = needle.strip_prefix("ord-").unwrap_or(needle).to_uppercase();
    if short.len() < SHORT_ID_MIN || !is_id(&short) {
        return Vec::new();
    }
    let since_us = shop.clock.now_us() - RECENT_US;
    let recent = format!("/orders/recent?since_us={since_us}&containing={short}&limit={HITS_MAX}");
    let recent = look::<RecentPage>(&shop.mesh, ORDERS, recent).await;
    let recent = recent.map(|page| page.orders).unwrap_or_default().into_iter();
    let hits: Vec<Hit> =
        recent.map(|recent| order(recent.order_id, recent.status.to_string())).collect();
    if !hits.is_empty() {
        return hits;
    }
    let id = format!("ord-{short}");
    let story = look::<OrderStory>(&shop.mesh, ORDERS, format!("/orders/{id}/story")).await;
    story.map(|story| vec![order(story.order_id, "older".into())]).unwrap_or_default()
}
