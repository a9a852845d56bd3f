//! What every engine stands on: time, ids, seeded randomness, and named tasks with an owner.
//!
//! Time, ids and randomness are values passed by argument, so a run can be repeated from its seed.
//! Nothing here knows HTTP, SQL or the shop.

pub mod carried;
pub mod clock;
pub mod ids;
pub mod secret;
pub mod supervisor;
pub mod trace_context;

pub use clock::Clock;
pub use ids::IdSource;
pub use supervisor::{Commands, Supervisor, TaskEnd};
pub use trace_context::{LASTED_US, METRIC_COUNT, METRIC_DURATION, TOOK_US, TraceContext};
