//! The first scan of 12,000 linked pages, against the request floor of the limiter.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use notion_imitation::BulkSpec;
use serde_json::json;
use world::World;

use super::{figure, usage};
use crate::playground::{Playground, title};

const PAGES: u32 = 12_000;
/// What Notion allows a connection of the smaller plans in a minute.
const PER_MINUTE: u32 = 180;

pub(crate) async fn run(world: &World) -> Result<()> {
    let play = Playground::set_in(world, "bench-scan").await?;
    let pages = play.notion.bulk(&BulkSpec {
        data_source: play.source,
        count: PAGES,
        properties: json!({"Name": title("Page {n}"), "Budget": {"number": "{n}"},
            "Status": {"status": {"name": "In progress"}}}),
        step_ms: 5_000,
        created_time: "2026-01-01T00:00:00Z".parse().ok(),
        ..BulkSpec::default()
    })?;
    for chunk in pages.chunks(1000) {
        let values: Vec<String> = chunk.iter().map(|page| format!("('{page}')")).collect();
        let insert = format!(
            "INSERT INTO projects (\"notionPageId\") VALUES {}",
            values.join(",")
        );
        play.execute(&insert).await?;
    }
    play.notion
        .switch(|switches| switches.requests_per_minute = PER_MINUTE);
    play.notion.reset_requests();
    let pid = play.operator.pid().await.context("the operator runs")?;
    let before = usage(pid)?;
    let started = Instant::now();
    play.bind_within(600).await?;
    let seconds = started.elapsed().as_secs_f64();
    let after = usage(pid)?;
    let landed = play
        .rows("SELECT count(*) FROM projects WHERE name LIKE 'Page %'")
        .await?;
    ensure!(
        landed == format!("({PAGES})"),
        "{landed} rows landed of {PAGES}"
    );
    let requests = play.notion.requests();
    let refused = requests
        .iter()
        .filter(|request| request.status == 429)
        .count();
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let floor = requests.len() as f64 * 60.0 / f64::from(PER_MINUTE);
    figure(
        "first scan of 12,000 pages, rows landed",
        &PAGES.to_string(),
    );
    figure("  time", &format!("{seconds:.1} s"));
    figure(
        "  requests, of them refused",
        &format!("{}, {refused}", requests.len()),
    );
    figure(
        "  floor without bursts: requests / (180/min)",
        &format!("{floor:.1} s"),
    );
    figure(
        "  operator, CPU",
        &format!("{:.2} s", after.cpu_seconds - before.cpu_seconds),
    );
    figure(
        "  operator, resident at most",
        &format!("{:.0} MiB", after.peak_mib),
    );
    // The same again where nothing changed: reading and comparing alone, once the limiter's window is
    // empty.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let before = usage(pid)?;
    let started = Instant::now();
    play.scan_again().await?;
    let after = usage(pid)?;
    figure(
        "second scan, nothing changed: time",
        &format!("{:.1} s", started.elapsed().as_secs_f64()),
    );
    figure(
        "  operator, CPU",
        &format!("{:.2} s", after.cpu_seconds - before.cpu_seconds),
    );
    Ok(())
}
