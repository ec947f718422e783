//! Pools, one for each connection string.
//!
//! [`Pools::get`] hands out a pool only after the server was seen to answer, to accept writes and to
//! keep sessions. What it saw is shared for a few seconds, so that hundreds of bindings on a server
//! that is down cost one connection attempt and not hundreds.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use tokio::time::{Instant, timeout};

use super::connection::{ConnectionString, Fingerprint, literal};
use super::error::{StoreError, is_tls};
use super::hosts::HostPolicy;
use super::session;
use crate::sync::reason::Reason;

/// The most connections of one pool. One more may be open to look at the server while all of them
/// are busy, which makes ten.
const MAX_CONNECTIONS: u32 = 9;
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a connection lives at most, so that a failover of names is followed in the end.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// How long the result of a look at the server is shared.
const SHARED_FOR: Duration = Duration::from_secs(3);
/// How long an established pool may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused pool is kept. Longer than that between two passes, it is made anew.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// All pools of the process.
#[derive(Debug)]
pub struct Pools {
    hosts: HostPolicy,
    entries: Mutex<HashMap<Fingerprint, Arc<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    last_used: Mutex<Instant>,
    /// Held while the server is looked at, so that everybody else waits for that look.
    state: tokio::sync::Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pool: Option<PgPool>,
    looked: Option<(Instant, Result<(), Seen>)>,
}

/// A failure as it is shared; what Postgres said goes to the first caller only.
#[derive(Debug, Clone)]
struct Seen {
    reason: Reason,
    remedy: String,
}

impl Pools {
    /// Makes an empty registry under the rules of `--database-hosts`.
    pub fn new(hosts: HostPolicy) -> Self {
        Self {
            hosts,
            entries: Mutex::default(),
        }
    }

    /// The pool of this connection string, once the server was looked at within the last seconds.
    ///
    /// Ends within `connect_timeout` (5 s by default), also where the server hangs.
    pub async fn get(&self, connection: &ConnectionString) -> Result<PgPool, StoreError> {
        let entry = self.entry(connection.fingerprint());
        let mut state = entry.state.lock().await;
        if let Some((at, result)) = &state.looked
            && at.elapsed() < SHARED_FOR
        {
            match (result, &state.pool) {
                (Ok(()), Some(pool)) => return Ok(pool.clone()),
                (Err(seen), _) => return Err(StoreError::refused(seen.reason, &*seen.remedy)),
                (Ok(()), None) => {}
            }
        }
        let result = match &state.pool {
            Some(pool) => probe(pool).await.map(|()| pool.clone()),
            None => self.establish(connection).await,
        };
        let shared = result.as_ref().map(drop).map_err(Seen::of);
        state.looked = Some((Instant::now(), shared));
        match result {
            Ok(pool) => {
                state.pool = Some(pool.clone());
                Ok(pool)
            }
            Err(error) => {
                retire(state.pool.take());
                Err(error)
            }
        }
    }

    fn entry(&self, fingerprint: Fingerprint) -> Arc<Entry> {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|key, entry| *key == fingerprint || entry.idle_for(now) < FORGOTTEN_AFTER);
        let entry = entries.entry(fingerprint).or_insert_with(|| {
            Arc::new(Entry {
                last_used: Mutex::new(now),
                state: tokio::sync::Mutex::default(),
            })
        });
        *entry
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
        Arc::clone(entry)
    }

    /// Finds out how the server can be reached, and makes a pool of that.
    async fn establish(&self, connection: &ConnectionString) -> Result<PgPool, StoreError> {
        let reached = timeout(connection.connect_timeout, async {
            let targets = self.targets(connection).await?;
            let (options, mut first) = dial(connection, &targets).await?;
            let mut second = PgConnection::connect_with(&options).await?;
            session::check_server(&mut first).await?;
            let proved = session::prove(&mut first, &mut second).await;
            session::close(second).await;
            session::close(first).await;
            proved.map(|()| options)
        });
        let options = reached.await.unwrap_or_else(|_| Err(no_answer()))?;
        Ok(pool(connection, options))
    }

    /// Resolves the host, checks it, and says what to dial: the name, or the checked addresses.
    async fn targets(&self, connection: &ConnectionString) -> Result<Vec<String>, StoreError> {
        let addresses = match literal(&connection.host) {
            Some(address) => vec![address],
            None => resolve(&connection.host, connection.port).await?,
        };
        self.hosts.check(&connection.host, &addresses)?;
        if self.hosts.pins(connection.tls) {
            return Ok(addresses.iter().map(ToString::to_string).collect());
        }
        Ok(vec![connection.host.clone()])
    }
}

impl Entry {
    fn idle_for(&self, now: Instant) -> Duration {
        let last_used = self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        now.duration_since(*last_used)
    }
}

impl Seen {
    fn of(error: &StoreError) -> Self {
        let remedy = match error {
            StoreError::Refused { remedy, .. } => remedy.clone(),
            other => other.to_string(),
        };
        Self {
            reason: error.reason(),
            remedy,
        }
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<IpAddr>, StoreError> {
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<IpAddr> = found
        .map_err(sqlx::Error::Io)?
        .map(|address: SocketAddr| address.ip())
        .collect();
    Ok(addresses)
}

/// Connects to the first target that lets us in, by the first mode that it accepts.
async fn dial(
    connection: &ConnectionString,
    targets: &[String],
) -> Result<(PgConnectOptions, PgConnection), StoreError> {
    let mut last = None;
    for target in targets {
        for mode in session::attempts(connection.tls) {
            let options = session::options(connection, target, *mode);
            match PgConnection::connect_with(&options).await {
                Ok(session) => return Ok((options, session)),
                Err(error) => {
                    let again = another_mode_may_do(&error, *mode);
                    last = Some(error);
                    if !again {
                        break;
                    }
                }
            }
        }
    }
    Err(last.map_or_else(no_answer, not_let_in))
}

/// What an error means when it comes before the session is there.
fn not_let_in(error: sqlx::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Refused {
            reason: Reason::PrivilegeMissing,
            source,
            ..
        } => StoreError::Refused {
            reason: Reason::DatabaseUnauthorized,
            remedy: "the role may not connect to the database: GRANT CONNECT ON DATABASE".into(),
            source,
        },
        StoreError::Database(error) => StoreError::Unavailable(error),
        other => other,
    }
}

/// Whether the failure is about encryption: a handshake that failed, or a server whose rules refuse
/// this kind of connection (`28000`, where a wrong password is `28P01`).
fn another_mode_may_do(error: &sqlx::Error, mode: PgSslMode) -> bool {
    let refused = error
        .as_database_error()
        .and_then(DatabaseError::code)
        .is_some_and(|code| code == "28000");
    refused || (matches!(mode, PgSslMode::Prefer) && is_tls(error))
}

fn no_answer() -> StoreError {
    StoreError::Unavailable(sqlx::Error::PoolTimedOut)
}

fn pool(connection: &ConnectionString, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .min_connections(0)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(MAX_LIFETIME)
        .acquire_timeout(connection.connect_timeout)
        // `renew` is the test, and does something useful with its round trip.
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move { session::prepare(connection).await.map(drop) })
        })
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(session::renew(connection).await.is_ok()) })
        })
        .connect_lazy_with(options)
}

/// Looks at the server through a pool that worked before, within [`PROBE_TIMEOUT`].
///
/// A pool whose connections are all in use says nothing about the server, so then the look takes a
/// connection of its own.
async fn probe(pool: &PgPool) -> Result<(), StoreError> {
    let look = timeout(PROBE_TIMEOUT, async {
        if !is_busy(pool)
            && let Ok(acquired) = timeout(PROBE_TIMEOUT / 2, pool.acquire()).await
        {
            return session::check_server(&mut *acquired?).await;
        }
        if !is_busy(pool) {
            return Err(no_answer());
        }
        let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
        let checked = session::check_server(&mut connection).await;
        session::close(connection).await;
        checked
    });
    look.await.unwrap_or_else(|_| Err(no_answer()))
}

fn is_busy(pool: &PgPool) -> bool {
    pool.size() >= MAX_CONNECTIONS && pool.num_idle() == 0
}

/// Closes a pool in the background: connections in use end with their work.
fn retire(pool: Option<PgPool>) {
    if let Some(pool) = pool {
        tokio::spawn(async move { pool.close().await });
    }
}
