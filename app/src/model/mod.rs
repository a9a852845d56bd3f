//! Pure computations shared by the pages: formatting and tones. Nothing here knows a browser.

pub mod balance;
pub mod band;
pub mod breaker;
pub mod critical_path;
pub mod diff;
#[cfg(any(feature = "ssr", test))]
pub mod expect;
pub mod fault;
pub mod fine;
pub mod format;
pub mod json;
pub mod mesh_decision;
pub mod placing;
pub mod route;
pub mod saga;
pub mod scatter;
pub mod share;
pub mod span_tree;
pub mod story;
pub mod swimlane;
pub mod time_scale;
pub mod tone;
pub mod trace_look;
pub mod trace_query;
pub mod tries;
pub mod undo;
pub mod walk;
pub mod waterfall;
pub mod what_if;
