//! Attribute names the pipeline gives a meaning to; the services set them, this crate reads them.
//!
//! Where OpenTelemetry's semantic conventions have a name it is used; the others are Vitrine's own.

/// The service a span or log line belongs to (semantic conventions).
pub const SERVICE_NAME: &str = "service.name";
/// The service of spans that name none and have no parent in this process.
pub const SERVICE_FALLBACK: &str = "vitrine";
/// `service.namespace` of every service.
pub const SERVICE_NAMESPACE: &str = "vitrine-shop";
/// The service whose server spans make the RED charts.
pub const GATEWAY: &str = "gateway";
/// On a client span: the called service (semantic conventions).
pub const SERVER_ADDRESS: &str = "server.address";
/// Status of the answer (semantic conventions).
pub const HTTP_STATUS: &str = "http.response.status_code";
/// Method of a request (semantic conventions).
pub const HTTP_METHOD: &str = "http.request.method";
/// The method a client invented, where [`HTTP_METHOD`] is `_OTHER` (semantic conventions).
pub const HTTP_METHOD_ORIGINAL: &str = "http.request.method_original";
/// Route template of a request (semantic conventions).
pub const HTTP_ROUTE: &str = "http.route";
/// Why a call failed (semantic conventions).
pub const ERROR_TYPE: &str = "error.type";
/// On a server span: who called, where the caller has no span of its own ([`BROWSER`]).
pub const MESH_CALLER: &str = "mesh.caller";
/// On a call's span: the subset of the callee that its route named.
pub const MESH_SUBSET: &str = "mesh.subset";
/// The value of [`MESH_CALLER`] for calls from outside.
pub const BROWSER: &str = "browser";
/// On a consumer span: the producing service (semantic conventions for CloudEvents).
pub const EVENT_SOURCE: &str = "cloudevents.event_source";
/// On a consumer span: microseconds from recorded in the outbox to handled.
pub const LAG_US: &str = "messaging.lag_us";
/// The bus topic (semantic conventions).
pub const TOPIC: &str = "messaging.destination.name";
/// On spans of a two-phase commit: its transaction.
pub const TRANSACTION_ID: &str = "transaction.id";
/// The order something belongs to.
pub const ORDER_ID: &str = "order.id";
/// The same in fields of log lines.
pub const ORDER_ID_FIELD: &str = "order_id";
/// What a run of a business process is known by across services.
pub const CORRELATION_ID: &str = "correlation_id";
/// `true` on the span of a step that undoes another.
pub const SAGA_COMPENSATION: &str = "saga.compensation";
