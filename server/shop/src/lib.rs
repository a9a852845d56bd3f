//! The demo shop: its services, the gateway in front of them, and the load generator.
//!
//! Each service is a folder: `mod.rs` is its router, `store.rs` the port to its own database, the
//! rest pure decisions. A service reaches another only through the mesh or by a message.

pub mod bank;
pub mod bus;
pub mod catalog;
pub mod gateway;
pub mod input;
pub mod inventory;
pub mod key;
pub mod load;
pub mod orders;
pub mod payments;
pub mod problem;
pub mod provider;
pub mod recommendations;
pub mod seed;
pub mod store;
pub mod users;
pub mod version;

pub use bus::BINDINGS;
pub use store::StoreError;
pub use version::Version;
