//! The live stream: one per tab, one store, one pure model.
//!
//! A page calls [`use_live`] and reads signals; it never sees a frame. Which frame changes what is
//! in [`model`], which signals follow is in [`store`], the connection itself is in [`stream`].

pub mod model;
pub mod part;
pub mod store;
pub mod stream;

pub use part::SnapshotPart;
pub use store::{Connection, Live, WantedCharts, provide_live, use_live};
