//! Webhooks: subscriptions, the real envelope, its delivery in any weather, and other dialects.

pub(crate) mod courier;
pub(crate) mod dialects;
pub(crate) mod event;
pub(crate) mod post;
pub(crate) mod sign;
pub(crate) mod subscription;
pub(crate) mod worker;
