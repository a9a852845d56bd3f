//! The shared parts of the pages. Thin: markup and classes; computations are in `model`s.
//!
//! No widget asks the host or holds data: values and callbacks come as arguments.

pub mod badge;
pub mod breaker;
pub mod chart;
pub mod copy;
pub mod dialog;
pub mod empty;
pub mod field;
pub mod icon;
pub mod segmented;
pub mod service_code;
pub mod span_bar;
pub mod sparkline;
pub mod stepper;
pub mod time;

pub use badge::Badge;
pub use breaker::{BreakerGlyph, BreakerMark};
pub use copy::copy_button;
pub use dialog::Dialog;
pub use empty::EmptyState;
pub use field::{Field, Unread};
pub use icon::{Icon, icon};
pub use segmented::{Choice, LinkTabs, Segmented};
pub use service_code::{ServiceCode, service_class};
pub use span_bar::{bar_class, bar_rect, bar_text, hatch_definition};
pub use sparkline::Sparkline;
pub use stepper::MiniStepper;
pub use time::{Clock, ClockStyle, use_zone};
