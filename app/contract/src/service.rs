//! The services of the demo shop: their names, as `service.name` in telemetry, and their short
//! codes.

/// What a service is called everywhere, with its two-letter code and its place on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    /// `service.name` of its OpenTelemetry resource, and its mesh host.
    pub name: &'static str,
    /// Two letters, always shown beside or instead of the name.
    pub code: &'static str,
}

/// The public face.
pub const GATEWAY: &str = "gateway";
/// Products and prices.
pub const CATALOG: &str = "catalog";
/// Customers.
pub const USERS: &str = "users";
/// Event-sourced orders and the saga that runs each.
pub const ORDERS: &str = "orders";
/// Stock and reservations.
pub const INVENTORY: &str = "inventory";
/// Coordinator of the two-phase commit between the banks.
pub const PAYMENTS: &str = "payments";
/// Optional: what goes with a product.
pub const RECOMMENDATIONS: &str = "recommendations";
/// The message bus.
pub const BUS: &str = "bus";
/// The customers' bank.
pub const BANK_CUSTOMER: &str = "bank-customer";
/// The merchant's bank.
pub const BANK_MERCHANT: &str = "bank-merchant";
/// The external payment provider: a stand-in that is really called, over HTTP.
pub const STRIPE: &str = "stripe";
/// The host its callers address: the provider's own name out there.
pub const STRIPE_HOST: &str = "api.stripe.com";
/// Its other name, by which it is asked for direct debits.
pub const EXTERNAL_HOST: &str = "external-service";
/// Caller: somebody's browser or program.
pub const BROWSER: &str = "browser";
/// Caller: the load generator.
pub const LOAD: &str = "load";
/// Caller: the dashboard, which only looks. What it asks is no traffic of the shop.
pub const DASHBOARD: &str = "dashboard";

/// Every service that has a colour, in the order of the palette.
pub const SERVICES: [ServiceInfo; 10] = [
    ServiceInfo { name: GATEWAY, code: "GW" },
    ServiceInfo { name: CATALOG, code: "CA" },
    ServiceInfo { name: USERS, code: "US" },
    ServiceInfo { name: ORDERS, code: "OR" },
    ServiceInfo { name: INVENTORY, code: "IN" },
    ServiceInfo { name: PAYMENTS, code: "PA" },
    ServiceInfo { name: RECOMMENDATIONS, code: "RE" },
    ServiceInfo { name: BUS, code: "EB" },
    ServiceInfo { name: BANK_CUSTOMER, code: "BC" },
    ServiceInfo { name: BANK_MERCHANT, code: "BM" },
];

/// The further names each service answers to: those of Istio resources written for Kubernetes, and
/// of what is outside. A name without a point also stands for `NAME.default.svc.cluster.local` and
/// the forms between.
pub const FURTHER_NAMES: [(&str, &[&str]); 8] = [
    (GATEWAY, &["api-gateway", "web-app"]),
    (CATALOG, &["product-service"]),
    (USERS, &["user-service"]),
    (ORDERS, &["order-service"]),
    (INVENTORY, &["inventory-service"]),
    (PAYMENTS, &["payment-service"]),
    (RECOMMENDATIONS, &["recommendation-service"]),
    (STRIPE, &[STRIPE_HOST, EXTERNAL_HOST]),
];

/// The further names of one service.
#[must_use]
pub fn further_names(name: &str) -> &'static [&'static str] {
    FURTHER_NAMES.iter().find(|(service, _)| *service == name).map_or(&[], |(_, names)| names)
}

/// Services that send messages.
pub const PRODUCERS: [&str; 3] = [ORDERS, INVENTORY, PAYMENTS];
/// Services that messages are delivered to.
pub const CONSUMERS: [&str; 4] = [ORDERS, INVENTORY, PAYMENTS, RECOMMENDATIONS];

/// Whether a service has a page under Traffic: those of the program, and the provider. The bus is
/// not called, and what resources add is listed with the resources.
#[must_use]
pub fn has_page(name: &str) -> bool {
    name == STRIPE || name != BUS && SERVICES.iter().any(|known| known.name == name)
}

/// A request to it may move money, so that a copy of one may move it twice.
#[must_use]
pub fn moves_money(name: &str) -> bool {
    [PAYMENTS, BANK_CUSTOMER, BANK_MERCHANT, STRIPE].contains(&name)
}

/// The host that callers of a service address: its name, or what it is called outside.
#[must_use]
pub fn host_called(name: &str) -> &str {
    if name == STRIPE { STRIPE_HOST } else { name }
}

/// The code of a service; the first two letters of a name from elsewhere, in capitals.
#[must_use]
pub fn code(name: &str) -> String {
    SERVICES.iter().find(|s| s.name == name).map_or_else(
        || name.chars().take(2).collect::<String>().to_uppercase(),
        |s| s.code.to_owned(),
    )
}
