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
/// Caller: somebody's browser or program.
pub const BROWSER: &str = "browser";
/// Caller: the load generator.
pub const LOAD: &str = "load";

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

/// The code of a service; the first two letters of a name from elsewhere, in capitals.
#[must_use]
pub fn code(name: &str) -> String {
    SERVICES.iter().find(|s| s.name == name).map_or_else(
        || name.chars().take(2).collect::<String>().to_uppercase(),
        |s| s.code.to_owned(),
    )
}

/// Further names a service answers to, without a point: those also stand for their forms with
/// namespace and cluster domain (`payment-service.default.svc.cluster.local`).
#[must_use]
pub fn names(service: &str) -> &'static [&'static str] {
    match service {
        GATEWAY => &["api-gateway", "web-app"],
        CATALOG => &["product-service"],
        USERS => &["user-service"],
        ORDERS => &["order-service"],
        INVENTORY => &["inventory-service"],
        PAYMENTS => &["payment-service"],
        RECOMMENDATIONS => &["recommendation-service"],
        _ => &[],
    }
}
