//! The imitation, tested as its clients see it: over HTTP.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do: by panicking"
)]

mod access;
mod basics;
mod client;
mod control_http;
mod lag;
mod queries;
mod receiver;
mod refusals;
mod scale;
mod schema;
mod shapes;
mod truncation;
mod values;
mod weather;
mod webhooks;
