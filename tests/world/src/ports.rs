//! Free ports on the loopback interface for programs that cannot be handed a listener.
//!
//! A port is free only until somebody takes it. Those handed out here lie below the range from
//! which the kernel picks ports of outgoing connections, are never handed out twice by one
//! process, and start at a random place, so that neighbours hardly ever meet; callers that can
//! try again with another one do so.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context as _, Result};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static HANDED_OUT: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// An address on 127.0.0.1 where nobody listens.
pub fn free_address() -> Result<SocketAddr> {
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    let start = u16::try_from((high ^ low) % u64::from(COUNT)).unwrap_or_default();
    (0..COUNT)
        .map(|step| FIRST + (start + step) % COUNT)
        .filter(|port| !handed_out.contains(port))
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .inspect(|address| {
            handed_out.insert(address.port());
        })
        .context("no free port on the loopback interface")
}
