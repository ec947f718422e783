//! `world down`.

use std::time::Duration;

use anyhow::{Result, ensure};
use world::wait::eventually;

use crate::state::State;

const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// Asks the running world to end and returns when nothing of it is left.
#[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
pub(crate) async fn run() -> Result<()> {
    let state = State::of_checkout();
    let Some(pid) = state.owner() else {
        println!("No world is up.");
        return state.remove();
    };
    state.ask_to_stop()?;
    eventually(STOP_TIMEOUT, "the world ends", async || {
        ensure!(
            !state.exists() || state.owner().is_none(),
            "process {pid} is still there"
        );
        Ok(())
    })
    .await?;
    println!("The world has ended.");
    state.remove()
}
