//! What a binding costs while nothing happens.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use world::World;

use super::{figure, usage};
use crate::playground::Playground;

const CYCLES: u32 = 6;
const INTERVAL: Duration = Duration::from_secs(10);

pub(crate) async fn run(world: &World) -> Result<()> {
    let play = Playground::set_in(world, "bench-idle").await?;
    play.bind().await?;
    let patch = json!({"spec": {"interval": "10s"}}).to_string();
    let arguments = [
        "patch",
        "nsb",
        "projects",
        "--type=merge",
        "-p",
        patch.as_str(),
    ];
    play.scene.kubectl(&arguments).await?.ok()?;
    tokio::time::sleep(INTERVAL * 2).await;
    let version = "get nsb projects -o jsonpath={.metadata.resourceVersion}";
    let version: Vec<&str> = version.split(' ').collect();
    let written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE schemaname = 'public'), \
                   sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE schemaname = 'notion_sync') \
                   FROM pg_stat_user_tables";
    let pid = play.operator.pid().await.context("the operator runs")?;
    play.notion.reset_requests();
    let before = (
        play.rows(written).await?,
        play.scene.kubectl(&version).await?.ok()?,
        usage(pid)?,
    );
    tokio::time::sleep(INTERVAL * CYCLES + Duration::from_secs(2)).await;
    let after = (
        play.rows(written).await?,
        play.scene.kubectl(&version).await?.ok()?,
        usage(pid)?,
    );
    figure(
        "idle, 60 s at an interval of 10 s: requests to Notion",
        &play.notion.requests().len().to_string(),
    );
    figure(
        "  rows written (bound schema, state schema), before",
        &before.0,
    );
    figure("  the same, after", &after.0);
    figure(
        "  writes of status",
        if before.1 == after.1 {
            "0"
        } else {
            "1 or more"
        },
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
