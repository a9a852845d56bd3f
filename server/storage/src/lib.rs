//! All SQL of Vitrine: one database per service, SQLite by default.
//!
//! Each module implements one port of the shop. Decisions are made by pure functions of the shop
//! between a read and a write of one transaction; nothing is decided here.

mod bank;
mod catalog;
mod database;
mod inbox;
mod inventory;
mod keys;
mod migrations;
mod open;
mod orders;
mod outbox;
mod payments;
mod provider;
mod recommendations;
mod resource_faults;
mod retention;
mod revisions;
mod users;

pub use open::{Durability, OpenError, Stores, open};
pub use resource_faults::SavedFault;
pub use revisions::{RevisionLog, SavedRevision};
