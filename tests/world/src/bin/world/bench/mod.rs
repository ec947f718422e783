//! `world bench`: the figures of `docs/PERFORMANCE.md`, each printed with what was measured. Postgres
//! waits for the disk here, as it does in production; the operator is the release build.

mod capture;
mod idle;
mod ingest;
mod latency;
mod many;
mod outbound;
mod scan;

use std::time::Duration;

use anyhow::{Context as _, Result};
use world::postgres::PostgresOptions;
use world::{World, WorldOptions};

/// Runs every measurement, or the one of that name.
pub(crate) async fn run(only: Option<&str>) -> Result<()> {
    let postgres = PostgresOptions {
        durable: true,
        ..PostgresOptions::default()
    };
    let world = World::start(WorldOptions {
        postgres,
        ..WorldOptions::default()
    })
    .await?;
    let outcome = measure(&world, only).await;
    world.stop().await;
    outcome
}

async fn measure(world: &World, only: Option<&str>) -> Result<()> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    if wanted("latency") {
        latency::run(world).await?;
    }
    if wanted("outbound") {
        outbound::run(world).await?;
    }
    if wanted("ingest") {
        ingest::run(world).await?;
    }
    if wanted("scan") {
        scan::run(world).await?;
    }
    if wanted("idle") {
        idle::run(world).await?;
    }
    if wanted("capture") {
        capture::run(world).await?;
    }
    if wanted("many") {
        many::run(world).await?;
    }
    Ok(())
}

/// Prints one figure.
#[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
pub(crate) fn figure(name: &str, value: &str) {
    println!("{name:<58} {value}");
}

/// The value below which this share of the sorted samples lies.
pub(crate) fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a count"
    )]
    let index = ((samples.len() as f64 * share) as usize).min(samples.len().saturating_sub(1));
    samples.get(index).copied().unwrap_or_default()
}

/// Milliseconds with two decimals.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// What a process has used so far: CPU seconds, and MiB resident now and at most.
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_mib: f64,
    pub(crate) peak_mib: f64,
}

/// Reads the usage of a process from `/proc`.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    /// Clock ticks per second, the same on every Linux that this runs on.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit_once(')').context("/proc/pid/stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> {
        Ok(fields
            .get(index)
            .context("/proc/pid/stat is short")?
            .parse()?)
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mib = |name: &str| -> Result<f64> {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .context("/proc/pid/status")?;
        let kib: f64 = line
            .split_whitespace()
            .nth(1)
            .context("a number")?
            .parse()?;
        Ok(kib / 1024.0)
    };
    Ok(Usage {
        cpu_seconds: (ticks(11)? + ticks(12)?) / TICKS,
        resident_mib: mib("VmRSS:")?,
        peak_mib: mib("VmHWM:")?,
    })
}
