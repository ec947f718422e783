//! Every bound of the server, in one place.
//!
//! Sizes and times are those of `design/receiver.md` §4; the rest is chosen so that resident memory
//! stays under 200 MiB with every bound reached at once. Tests shorten the times.

use std::time::Duration;

/// Bounds of sizes, numbers and times.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body: usize,
    /// All bodies in flight together, in bytes.
    pub bodies_in_flight: usize,
    /// Largest body that is looked at before it is authenticated (challenge and handshake).
    pub unauthenticated_body: usize,
    /// Connections held at once; beyond it the one that has waited longest for a head gives way.
    pub connections: usize,
    /// Buffer for heads and chunks of one connection, in bytes; also the largest head.
    pub connection_buffer: usize,
    /// From the first byte of a head (or the accepting of the connection) to its end.
    pub head: Duration,
    /// From the end of the head to the end of the body.
    pub body_read: Duration,
    /// How long a connection may lie idle between two requests.
    pub idle: Duration,
    /// How long a peer may take to read its reply.
    pub write: Duration,
    /// From the last byte of a body to the reply, a little below the promised 5 s.
    pub reply: Duration,
    /// How long reading one Secret may take.
    pub secret_read: Duration,
    /// How long keys are cached.
    pub key_cache: Duration,
    /// The shortest time between two reads of a key that did not match.
    pub key_reread: Duration,
    /// How many keys one request that matches none may have read again (oldest first).
    pub key_rereads_per_request: usize,
    /// How long the presence of a Notion token is cached.
    pub token_cache: Duration,
    /// How often rejections are handed to the sink.
    pub flush: Duration,
    /// What `Retry-After` says.
    pub retry_after: Duration,
    /// How much of a refused body is read and thrown away, so that the reply is not lost in a reset.
    pub discard: usize,
    /// How long requests under way may take after shutdown began.
    pub drain: Duration,
    /// How long answers of token and access reviews are cached.
    pub review_cache: Duration,
    /// How long one review may take.
    pub review: Duration,
    /// Admin requests at once.
    pub admin_requests: usize,
    /// Largest reply of the admin API, in bytes.
    pub admin_reply: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 256 * KIB,
            bodies_in_flight: 32 * MIB,
            unauthenticated_body: 64 * KIB,
            connections: 1024,
            connection_buffer: 16 * KIB,
            head: Duration::from_secs(10),
            body_read: Duration::from_secs(15),
            idle: Duration::from_secs(90),
            write: Duration::from_secs(30),
            reply: Duration::from_millis(4500),
            secret_read: Duration::from_millis(1500),
            key_cache: Duration::from_mins(1),
            key_reread: Duration::from_secs(5),
            key_rereads_per_request: 64,
            token_cache: Duration::from_secs(2),
            flush: Duration::from_mins(1),
            retry_after: Duration::from_secs(10),
            discard: 8 * MIB,
            drain: Duration::from_secs(20),
            review_cache: Duration::from_secs(10),
            review: Duration::from_secs(3),
            admin_requests: 8,
            admin_reply: 4 * MIB,
        }
    }
}

impl Limits {
    /// Leaves at least half of the process's file descriptors to Postgres, Notion and the API
    /// server: running out of them would stop all of these, not only the receiver.
    #[must_use]
    pub fn within_open_files(mut self) -> Self {
        if let Some(files) = open_files() {
            self.connections = self.connections.min((files / 2).max(1));
        }
        self
    }
}

/// The soft limit on open files; `None` where it cannot be read or there is none.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
