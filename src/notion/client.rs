//! The client over HTTP.
