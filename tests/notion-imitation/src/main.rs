//! The imitation of Notion as a program.
//!
//! Prints one line of JSON with its address once it listens, and ends on SIGTERM, SIGINT or, with
//! `--stop-with-stdin`, when its standard input ends.

use anyhow::Context;
use clap::Parser;
use notion_imitation::{Imitation, Options};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// An imitation of Notion's public API, with every limit a switch.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// End when standard input ends, which is when the parent process does.
    #[arg(long)]
    stop_with_stdin: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    let notion = Imitation::start(cli.options).await?;
    let ready = json!({
        "base_url": notion.base_url(),
        "control_url": format!("{}/_control", notion.base_url()),
        "token": notion.token(),
    });
    println!("{ready}");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_ends(), if cli.stop_with_stdin => {}
    }
    Ok(())
}

/// Returns when standard input ends. A thread reads it, which the end of the process ends.
async fn stdin_ends() {
    let (ended, ends) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        // An error is an end, too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(ended);
    });
    let _ = ends.await;
}
