//! The local world by hand: `world up` starts it and stays, `world down` ends it.

mod down;
mod state;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A real control plane, a real Postgres and an imitation of Notion on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the world, print how to use it, and stay until Ctrl-C or `world down`.
    Up {
        /// Return once the world is up; it goes on in the background.
        #[arg(long)]
        detach: bool,
    },
    /// End the world that `world up` started from this checkout.
    Down,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "this is a program for the terminal")]
async fn main() -> ExitCode {
    let log_filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(log_filter)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match Cli::parse().command {
        Command::Up { detach: false } => up::stay().await,
        Command::Up { detach: true } => up::detach().await,
        Command::Down => down::run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("world: {error:#}");
            ExitCode::FAILURE
        }
    }
}
