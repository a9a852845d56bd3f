//! What tests need around the shop: its program as a process, a client to talk to it, its books to
//! check when it stands still, and waiting that never sleeps blindly.
//!
//! For tests and benchmarks alone. A world that cannot be set up ends the test where it stands.

#![expect(clippy::expect_used, reason = "without its world a test can only stop")]

pub mod books;
pub mod client;
mod faults;
pub mod openapi;
pub mod openmetrics;
pub mod program;
pub mod raw;
pub mod wait;

pub use books::Books;
pub use client::{Answer, Client};
pub use program::{Launch, Program};
pub use raw::raw;
pub use wait::eventually;

use std::hash::{BuildHasher, Hasher, RandomState};

/// Names the seed of a run that is to be repeated.
const SEED: &str = "VITRINE_TEST_SEED";

/// The seed of this run: `VITRINE_TEST_SEED`, or a new one. Print it, so that a failure can be
/// repeated (as far as the machine's own timing allows).
///
/// # Panics
/// When the variable is no number.
#[must_use]
pub fn seed() -> u64 {
    std::env::var(SEED).map_or_else(
        // The standard library's hash maps are keyed from the system's randomness.
        |_| RandomState::new().build_hasher().finish() % 1_000_000_007,
        |text| text.parse().expect("VITRINE_TEST_SEED is a number"),
    )
}
