//! Names of the span attributes that the engine writes and the pages read, each defined once.
//!
//! Where OpenTelemetry's semantic conventions have a name it is used; the others are Vitrine's own:
//! `mesh.*` is what the data plane decided about one call, `vitrine.*` what goes through a trace.

/// Status of the answer (semantic conventions).
pub const HTTP_STATUS: &str = "http.response.status_code";
/// On a try after the first: how many came before it (semantic conventions).
pub const RESEND_COUNT: &str = "http.request.resend_count";
/// On a client span: the host that was addressed, mostly the name of the called service; on the
/// span of a try: the instance (semantic conventions).
pub const SERVER_ADDRESS: &str = "server.address";
/// On a client span: the called service, where it was addressed by another name (semantic
/// conventions).
pub const PEER_SERVICE: &str = "peer.service";
/// On a client span: the address at the other end of the connection, where there is one (semantic
/// conventions).
pub const PEER_ADDRESS: &str = "network.peer.address";
/// The port there (semantic conventions).
pub const PEER_PORT: &str = "network.peer.port";
/// Why a call failed (semantic conventions).
pub const ERROR_TYPE: &str = "error.type";
/// On spans of a message: its topic (semantic conventions).
pub const MESSAGE_TOPIC: &str = "messaging.destination.name";
/// On spans of a message: its id (semantic conventions).
pub const MESSAGE_ID: &str = "messaging.message.id";
/// On the span of a statement: the database (semantic conventions).
pub const DB_SYSTEM: &str = "db.system.name";

/// Revision of the policy that decided about the call.
pub const MESH_REVISION: &str = "mesh.revision";
/// The `VirtualService` whose rule matched.
pub const MESH_VIRTUAL_SERVICE: &str = "mesh.virtual_service";
/// That rule: `virtual service/route`.
pub const MESH_ROUTE: &str = "mesh.route";
/// The subset the call went to.
pub const MESH_SUBSET: &str = "mesh.subset";
/// The weight it was drawn with, if the rule splits.
pub const MESH_SUBSET_WEIGHT: &str = "mesh.subset.weight";
/// The instance that was tried last.
pub const MESH_INSTANCE: &str = "mesh.instance";
/// The version of that instance: its label `version`.
pub const MESH_INSTANCE_VERSION: &str = "mesh.instance.version";
/// How many tries were made.
pub const MESH_TRIES: &str = "mesh.tries";
/// Only on the span of one try: its number, from 1.
pub const MESH_TRY: &str = "mesh.try";
/// On the span of a failed try: the `retryOn` token by which the next one was made.
pub const MESH_RETRY_REASON: &str = "mesh.retry.reason";
/// What was left for the whole call when it began, milliseconds.
pub const MESH_TIMEOUT_MS: &str = "mesh.timeout_ms";
/// How long one try may take, milliseconds.
pub const MESH_PER_TRY_TIMEOUT_MS: &str = "mesh.per_try_timeout_ms";
/// State of the caller's breaker when the call came to it: `closed`, `open`, `half-open`.
pub const MESH_BREAKER_STATE: &str = "mesh.breaker.state";
/// The transition the call caused: `closed to open`.
pub const MESH_BREAKER_TRANSITION: &str = "mesh.breaker.transition";
/// Envoy's response flags, comma separated.
pub const MESH_RESPONSE_FLAGS: &str = "mesh.response_flags";
/// The faults that acted on this very call or try, comma separated.
pub const MESH_FAULT_ID: &str = "mesh.fault.id";
/// How long they held it, measured, milliseconds with fractions.
pub const MESH_FAULT_DELAY_MS: &str = "mesh.fault.delay_ms";
/// `true` on a copy of a call.
pub const MESH_MIRROR: &str = "mesh.mirror";

/// The faults that what this span is about has met, here or before, nearest to the cause first.
/// It travels in baggage; log lines inherit it.
pub const FAULT_ID: &str = "vitrine.fault.id";
/// `X-Correlation-ID` of the request that began it all.
pub const CORRELATION_ID: &str = "vitrine.correlation.id";

/// The order something belongs to.
pub const ORDER_ID: &str = "order.id";
/// On the span that records an event of an order: its name.
pub const EVENT_NAME: &str = "order.event.name";
/// On the same span: its version.
pub const EVENT_VERSION: &str = "order.event.version";
/// On the span that records the event by which an order was placed: who placed it, in the words
/// of [`crate::order::Origin`].
pub const ORDER_ORIGIN: &str = "order.origin";
/// On the span that records an event after which an order has another status: that one.
pub const ORDER_STATUS: &str = "order.status";
/// On spans of a two-phase commit: its transaction.
pub const TRANSACTION_ID: &str = "transaction.id";
/// On the span of a participant that was asked to prepare: how it voted, `yes` or `no`.
pub const TRANSACTION_VOTE: &str = "transaction.vote";
/// On the span that logs the coordinator's decision, and on those of the participants that are told
/// it: `commit` or `abort`.
pub const TRANSACTION_DECISION: &str = "transaction.decision";
/// `true` on the span of a step that undoes another.
pub const SAGA_COMPENSATION: &str = "saga.compensation";
