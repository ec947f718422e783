//! The integration tests: one binary, against a real control plane, a real Postgres and the
//! imitation of Notion. `support` makes a stage for each test; the operator runs as a process under
//! the `ServiceAccount` that `deploy/` ships.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod absence;
mod admin;
mod capture;
mod crd;
mod deployment;
mod drift;
mod failures;
mod failures_claim;
mod failures_database;
mod failures_notion;
mod failures_outage;
mod failures_poison;
mod failures_property;
mod failures_table;
mod flow;
mod grants;
mod identifiers;
mod kube_leaves;
mod layering;
mod policies;
mod readme;
mod receiver;
mod scans;
mod scans_and_edits;
mod status;
mod store_base;
mod store_binding;
mod support;
mod table;
mod two_way;
mod types;
mod types_both_ways;
mod values_dates;
mod values_numbers;
mod values_options;
mod values_refused;
mod values_text;
