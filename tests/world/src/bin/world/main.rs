//! The local world by hand: `world demo` shows the main job, `world up` starts the same world and
//! stays, `world down` ends it.

mod bench;
mod demo;
mod down;
mod playground;
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
    /// Measure, and print the figures.
    Bench {
        /// One of latency, ingest, scan, idle, many; all without it.
        only: Option<String>,
    },
    /// Show the main job, step by step.
    Demo,
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
        Command::Bench { only } => Box::pin(bench::run(only.as_deref())).await,
        Command::Demo => Box::pin(demo::run()).await,
        Command::Up { detach: false } => Box::pin(up::stay()).await,
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
