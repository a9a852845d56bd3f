//! The types browser and server both speak: ids, money, views, live frames, errors.
//!
//! Nothing here knows how a value is made or shown. Every type is plain serde data; times are
//! microseconds since the Unix epoch (`*_us`) or durations in microseconds (`*_us`), said in the
//! name.

pub mod attributes;
pub mod balance;
pub mod durations;
pub mod error;
pub mod find;
pub mod istio;
pub mod live;
pub mod money;
pub mod order;
pub mod resilience;
pub mod saga;
pub mod service;
pub mod shop;
pub mod trace;
pub mod traffic;
pub mod transaction;

pub use durations::Durations;
pub use error::{ApiError, FieldError, Problem};
pub use money::{Currency, Money, MoneyError};
