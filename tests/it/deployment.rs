//! The operator as `deploy/` ships it: objects and rights, replicas, the process and its options,
//! an API server that is away, and the variant for one namespace.

mod api_server;
mod metrics;
mod namespaced;
mod options;
mod replicas;
mod rights;
