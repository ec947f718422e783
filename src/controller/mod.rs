//! The Kubernetes side: watches bindings, runs passes, writes status.
