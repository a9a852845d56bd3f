//! Attribute names the pipeline gives a meaning to; the services set them, this crate reads them.
//!
//! Where OpenTelemetry's semantic conventions have a name it is used; the others are Vitrine's own.

pub use contract::attributes::{
    CORRELATION_ID, ERROR_TYPE, EVENT_NAME, FAULT_ID, HTTP_STATUS, MESH_FAULT_ID, MESH_TRY,
    ORDER_ID, ORDER_ORIGIN, ORDER_STATUS, PEER_SERVICE, SAGA_COMPENSATION, SERVER_ADDRESS,
    TRANSACTION_ID,
};

/// The service a span or log line belongs to (semantic conventions).
pub const SERVICE_NAME: &str = "service.name";
/// The service of spans that name none and have no parent in this process.
pub const SERVICE_FALLBACK: &str = "vitrine";
/// `service.namespace` of every service.
pub const SERVICE_NAMESPACE: &str = "vitrine-shop";
/// Method of a request (semantic conventions).
pub const HTTP_METHOD: &str = "http.request.method";
/// The method a client invented, where [`HTTP_METHOD`] is `_OTHER` (semantic conventions).
pub const HTTP_METHOD_ORIGINAL: &str = "http.request.method_original";
/// Route template of a request (semantic conventions).
pub const HTTP_ROUTE: &str = "http.route";
/// On a server span: who called, where the caller has no span of its own ([`BROWSER`]).
pub const MESH_CALLER: &str = "mesh.caller";
/// On a call's span: the subset of the callee that its route named.
pub const MESH_SUBSET: &str = "mesh.subset";
/// On a call's span: the version of the instance that was tried last.
pub const MESH_INSTANCE_VERSION: &str = "mesh.instance.version";
/// The value of [`MESH_CALLER`] for calls from outside.
pub const BROWSER: &str = "browser";
/// The value of [`ORDER_STATUS`] when an order ended without effect.
pub const CANCELLED: &str = "cancelled";
/// The value of [`ORDER_ORIGIN`] for orders of the load generator.
pub const LOAD: &str = "load";
/// On a consumer span: the producing service (semantic conventions for CloudEvents).
pub const EVENT_SOURCE: &str = "cloudevents.event_source";
/// On the span of a delivery: the message (semantic conventions for messaging).
pub const MESSAGE_ID: &str = "messaging.message.id";
/// On a consumer span: microseconds from recorded in the outbox to handled.
pub const LAG_US: &str = "messaging.lag_us";
/// The bus topic (semantic conventions).
pub const TOPIC: &str = "messaging.destination.name";
/// [`ORDER_ID`] in fields of log lines.
pub const ORDER_ID_FIELD: &str = "order_id";
/// [`CORRELATION_ID`] in fields of log lines.
pub const CORRELATION_ID_FIELD: &str = "correlation_id";
