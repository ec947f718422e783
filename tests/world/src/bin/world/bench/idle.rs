//! What a binding costs while nothing happens.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use world::World;
use world::wait::eventually;

use super::{figure, usage};
use crate::playground::Playground;

const CYCLES: i64 = 4;
/// Longer than a session of Postgres keeps its counters to itself: 10 s where it is idle.
const INTERVAL: Duration = Duration::from_secs(20);
const COUNTED_AFTER: Duration = Duration::from_secs(12);

pub(crate) async fn run(world: &World) -> Result<()> {
    let play = Playground::set_in(world, "bench-idle").await?;
    play.bind().await?;
    let interval = format!("{}s", INTERVAL.as_secs());
    let patch = json!({"spec": {"interval": interval}}).to_string();
    let arguments = [
        "patch",
        "nsb",
        "projects",
        "--type=merge",
        "-p",
        patch.as_str(),
    ];
    play.scene.kubectl(&arguments).await?.ok()?;
    tokio::time::sleep(INTERVAL).await;
    wait_for_passes(&play, 1).await?;
    let pid = play.operator.pid().await.context("the operator runs")?;
    play.notion.reset_requests();
    let before = (counted(&play).await?, version(&play).await?, usage(pid)?);
    wait_for_passes(&play, CYCLES).await?;
    let requests = play.notion.requests().len();
    let after = (counted(&play).await?, version(&play).await?, usage(pid)?);
    figure("idle: passes at the interval", &CYCLES.to_string());
    figure("  requests to Notion", &requests.to_string());
    for (place, name) in ["bound schema", "state schema"].into_iter().enumerate() {
        figure(
            &format!("  rows written, {name}"),
            &(after.0[place] - before.0[place]).to_string(),
        );
    }
    let unchanged = before.1 == after.1;
    figure(
        "  writes of status",
        if unchanged { "0" } else { "1 or more" },
    );
    figure(
        "  operator, CPU",
        &format!("{:.2} s", after.2.cpu_seconds - before.2.cpu_seconds),
    );
    figure(
        "  operator, resident",
        &format!("{:.0} MiB", after.2.resident_mib),
    );
    Ok(())
}

/// Waits until so many more passes were made, and until Postgres tells what they wrote.
async fn wait_for_passes(play: &Playground<'_>, more: i64) -> Result<()> {
    let wanted = passes(play).await? + more;
    let patience = (INTERVAL * 2) * u32::try_from(more)?;
    eventually(patience, "the passes at the interval", async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let made = passes(play).await?;
        anyhow::ensure!(made >= wanted, "{made} of {wanted}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(COUNTED_AFTER).await;
    Ok(())
}

async fn passes(play: &Playground<'_>) -> Result<i64> {
    let metrics = play.operator.metrics().await?;
    let passes = metrics.sum("controller_runtime_reconcile_total", &[]);
    #[expect(clippy::cast_possible_truncation, reason = "a small count")]
    Ok(passes as i64)
}

async fn version(play: &Playground<'_>) -> Result<String> {
    let path = "jsonpath={.metadata.resourceVersion}";
    let read = ["get", "nsb", "projects", "-o", path];
    play.scene.kubectl(&read).await?.ok()
}

/// Rows written so far in the bound schema and in the state schema.
async fn counted(play: &Playground<'_>) -> Result<[i64; 2]> {
    let mut counted = [0; 2];
    for (place, schema) in ["public", "notion_sync"].into_iter().enumerate() {
        let written = format!(
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables \
             WHERE schemaname = '{schema}'"
        );
        let text = play.rows(&written).await?;
        counted[place] = text.trim_matches(['(', ')']).parse()?;
    }
    Ok(counted)
}
