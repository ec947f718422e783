//! The imitation, tested as its clients see it: over HTTP.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do: by panicking")]

mod basics;
mod client;
