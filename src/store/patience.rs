//! How long a server may leave a piece of work without an end.
//!
//! Postgres ends statements by `statement_timeout`, unless it is Postgres that hangs: a stopped
//! machine, a cut network. Then nothing ends by itself on our side either, so every piece of work
//! of a pass has a deadline here.

use std::future::Future;
use std::time::Duration;

use futures::future::BoxFuture;

use super::StoreError;

/// Longer than one statement may take (`statement_timeout` is 30 s).
const DEADLINE: Duration = Duration::from_secs(45);

/// The outcome of `work`, or [`StoreError::Unavailable`] where it does not end in time.
/// Whether its transaction was committed is unknown then, as after a lost connection.
pub fn answered<'a, T: Send + 'a>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, StoreError>> {
    answered_within(DEADLINE, work)
}

/// The same with another deadline, for what is only shown.
pub fn answered_within<'a, T: Send + 'a>(
    deadline: Duration,
    work: impl Future<Output = Result<T, StoreError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, StoreError>> {
    // On the heap: what is waited for here is large, and every caller would carry it along.
    let work = Box::pin(work);
    Box::pin(async move {
        let done = tokio::time::timeout(deadline, work).await;
        done.unwrap_or_else(|_| Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::reason::Reason;

    #[tokio::test]
    async fn work_without_an_end_counts_as_a_server_that_does_not_answer() {
        let endless = std::future::pending::<Result<(), _>>();
        let error = answered_within(Duration::from_millis(10), endless).await;
        assert_eq!(error.unwrap_err().reason(), Reason::DatabaseUnavailable);
        assert_eq!(answered(async { Ok(7) }).await.unwrap(), 7);
    }
}
