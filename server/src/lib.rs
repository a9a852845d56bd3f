//! The program `vitrine`: reads its configuration, wires the shop, serves it, shuts it down.
//!
//! The only place that knows HTTP, Leptos and every engine. `config` is what it is told, `shop`
//! wires the services, `instances` says how many of which version there are, `control` puts
//! resources in force, `live` makes the stream of changes, `retention` forgets what is over, `host`
//! answers the dashboard, `edge` is everything a browser or program reaches, `run` is the life of
//! the process, `temporary` the folder of a run that keeps nothing. `cli` and `remote` are the same
//! program as a client of one that runs.

pub mod cli;
pub mod config;
pub mod control;
pub mod edge;
pub mod host;
pub mod instances;
pub mod live;
pub mod remote;
pub mod retention;
pub mod run;
pub mod shop;
mod temporary;
