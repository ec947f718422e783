//! Durable ingest against what the same server commits by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use uuid::Uuid;
use world::World;

use super::{figure, millis, percentile, usage};
use crate::playground::Playground;

const FOR: Duration = Duration::from_secs(8);

pub(crate) async fn run(world: &World) -> Result<()> {
    let play = Playground::set_in(world, "bench-ingest").await?;
    play.bind().await?;
    let token = play.subscribe_quietly().await?;
    // Events of a kind that nothing acts on: the receiver is measured, not the reads.
    for clients in [1, 64] {
        let rate = pgbench(world, &play, clients).await?;
        figure(
            &format!("pgbench, one-row inserts, {clients} clients"),
            &format!("{rate:.0}/s"),
        );
        let (accepted, mut times) = post(&play, &token, clients).await?;
        figure(
            &format!("events accepted, {clients} connections"),
            &format!("{accepted:.0}/s ({:.2} of pgbench)", accepted / rate),
        );
        figure("  reply p50", &millis(percentile(&mut times, 0.5)));
        figure("  reply p99", &millis(percentile(&mut times, 0.99)));
    }
    let pid = play.operator.pid().await.context("the operator runs")?;
    figure(
        "  operator, resident at most",
        &format!("{:.0} MiB", usage(pid)?.peak_mib),
    );
    Ok(())
}

/// Transactions per second of `pgbench` with one insert each.
async fn pgbench(world: &World, play: &Playground<'_>, clients: u32) -> Result<f64> {
    play.execute("CREATE TABLE IF NOT EXISTS bench (id bigserial PRIMARY KEY, body text)")
        .await?;
    let script = play.scene.directory().join("insert.sql");
    std::fs::write(
        &script,
        "INSERT INTO bench (body) VALUES (repeat('x', 800));\n",
    )?;
    let program = world.postgres().programs().join("pgbench");
    let program = if program.exists() {
        program
    } else {
        Path::new("pgbench").to_owned()
    };
    let output = Command::new(program)
        .arg("--no-vacuum")
        .arg("--file")
        .arg(&script)
        .args(["--client", &clients.to_string(), "--jobs", "2"])
        .args(["--time", &FOR.as_secs().to_string()])
        .arg(play.scene.database_uri()?)
        .output()
        .await
        .context("pgbench")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find(|line| line.starts_with("tps ="))
        .context("pgbench says no tps")?;
    Ok(line
        .split_whitespace()
        .nth(2)
        .context("a number")?
        .parse()?)
}

/// Posts distinct signed events for a while; gives their rate and the times of the replies.
async fn post(play: &Playground<'_>, token: &str, clients: u32) -> Result<(f64, Vec<Duration>)> {
    let url = Arc::new(play.operator.webhook_url());
    let template = play.notion.event("page.locked", play.pages[0], &[]);
    let token = Arc::new(token.to_owned());
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (url, token, template) = (Arc::clone(&url), Arc::clone(&token), template.clone());
        tasks.push(tokio::spawn(async move {
            let client = world::http::client()?;
            let mut times = Vec::new();
            while started.elapsed() < FOR {
                let mut event = template.clone();
                event["id"] = Uuid::new_v4().to_string().into();
                event["type"] = "comment.created".into();
                let body = event.to_string();
                let signature = notion_imitation::signature(&token, body.as_bytes());
                let asked = Instant::now();
                let reply = client
                    .post(url.as_str())
                    .header("content-type", "application/json")
                    .header("x-notion-signature", signature)
                    .body(body)
                    .send()
                    .await?;
                ensure!(
                    reply.status().is_success(),
                    "the receiver answered {}",
                    reply.status()
                );
                reply.bytes().await?;
                times.push(asked.elapsed());
            }
            Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let seconds = started.elapsed().as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of seconds' worth of requests"
    )]
    let rate = times.len() as f64 / seconds;
    Ok((rate, times))
}
