//! Change capture on a real server: what is recorded, what never fails because of it, and when it is
//! not trusted.
//!
//! Every test has a database of its own on the shared server.

#[path = "capture/consuming.rs"]
mod consuming;
#[path = "capture/harmless.rs"]
mod harmless;
#[path = "capture/installing.rs"]
mod installing;
#[path = "capture/listening.rs"]
mod listening;
#[path = "capture/partitions.rs"]
mod partitions;
#[path = "capture/recording.rs"]
mod recording;
#[path = "capture/scene.rs"]
mod scene;
#[path = "capture/waking.rs"]
mod waking;
