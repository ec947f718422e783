//! Keeps a Notion database and a Postgres table in step, declared as a Kubernetes resource.
//!
//! The layers and the arrows between them are in `docs/ARCHITECTURE.md`; `tests/it/layering.rs`
//! enforces them.

pub mod api;
pub mod app;
pub mod config;
pub mod controller;
pub mod engine;
pub mod metrics;
pub mod notion;
pub mod probes;
pub mod shutdown;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod webhook;
