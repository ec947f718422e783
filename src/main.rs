//! The operator process.

use std::process::ExitCode;

use anyhow::Context as _;
use notion_sync_operator::config::{Command, CommandLine, Config};
use notion_sync_operator::{api, app, shutdown, telemetry};

fn main() -> ExitCode {
    let outcome = match CommandLine::read().command {
        Command::Crd => api::crd_yaml()
            .map(|yaml| print!("{yaml}"))
            .map_err(Into::into),
        Command::Run(config) => run(*config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("notion-sync-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    scrub_environment()?;
    // Before anything speaks TLS: with no provider chosen rustls panics at its first use.
    let provider = rustls::crypto::ring::default_provider();
    provider
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed"))?;
    telemetry::init(config.log_format, &config.log_filter).context("RUST_LOG")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = shutdown::on_signal()?;
        app::run(config, stop).await
    })
}

/// Starts the process anew without `PG*` variables, where there are any: the Postgres client reads
/// them, and a binding's connection must come from its Secret alone (`design/state.md` §4).
fn scrub_environment() -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;

    let variables = notion_sync_operator::store::connection::postgres_variables();
    if variables.is_empty() {
        return Ok(());
    }
    let mut again = std::process::Command::new(std::env::current_exe()?);
    again.args(std::env::args_os().skip(1));
    for variable in variables {
        again.env_remove(variable);
    }
    Err(again.exec()).context("starting anew without PG* variables")
}
