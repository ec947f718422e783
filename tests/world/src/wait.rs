//! Waiting for a state that comes about in its own time.
//!
//! A test never sleeps for a guessed time: it asks until the answer is right, and when that never
//! comes, it says what it waited for and what the last answer was.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Repeats `attempt` until it succeeds, at most for `timeout`.
///
/// An error of `attempt` means "not yet, because ..."; the last one is part of the failure's
/// message, after `what`. An attempt that hangs counts as not finished.
pub async fn eventually<T>(
    timeout: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let deadline = started + timeout;
    let mut attempts = 0_u32;
    let mut last = anyhow!("the first attempt did not finish");
    while let Ok(outcome) = timeout_at(deadline, attempt()).await {
        attempts += 1;
        match outcome {
            Ok(value) => return Ok(value),
            Err(reason) => last = reason,
        }
        if Instant::now() + POLL_INTERVAL >= deadline {
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
    Err(last.context(format!(
        "{what}: not within {timeout:?} ({attempts} attempts finished in {:.1} s); the last one",
        started.elapsed().as_secs_f64()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn repeats_until_the_attempt_succeeds() {
        let mut left = 3;
        let value = eventually(Duration::from_secs(5), "three attempts", async || {
            left -= 1;
            anyhow::ensure!(left == 0, "{left} left");
            Ok("done")
        })
        .await;
        assert_eq!(value.unwrap(), "done");
    }

    #[tokio::test]
    async fn tells_what_was_awaited_and_the_last_reason() {
        let failure = eventually(Duration::from_millis(120), "the moon", async || {
            Err::<(), _>(anyhow!("it is day"))
        })
        .await
        .unwrap_err();
        let message = format!("{failure:#}");
        assert!(
            message.starts_with("the moon: not within 120ms"),
            "{message}"
        );
        assert!(message.ends_with("it is day"), "{message}");
    }

    #[tokio::test]
    async fn does_not_wait_for_an_attempt_that_hangs() {
        let failure = eventually(Duration::from_millis(100), "an answer", async || {
            std::future::pending::<Result<()>>().await
        })
        .await
        .unwrap_err();
        assert!(format!("{failure:#}").contains("the first attempt did not finish"));
    }
}
