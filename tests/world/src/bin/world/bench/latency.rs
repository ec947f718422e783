//! From an accepted webhook to the committed row, one event at a time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use world::World;

use super::{figure, millis, percentile};
use crate::playground::{Playground, title};

const SAMPLES: usize = 200;
/// An event costs two reads of the page here, the operator's and the one that is measured. Only the
/// operator's counts against the 180 requests a minute that it allows itself.
const PACE: Duration = Duration::from_millis(400);
/// How often the row is looked at: looking all the time takes a core from what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(crate) async fn run(world: &World) -> Result<()> {
    let play = Playground::set_in(world, "bench-latency").await?;
    play.bind().await?;
    let token = play.subscribe_quietly().await?;
    let page = play.pages[0];
    let client = world::http::client()?;
    let read = format!("{}/v1/pages/{page}", play.notion.base_url());
    let mut reads = Vec::new();
    let mut arrivals = Vec::new();
    for number in 0..SAMPLES {
        tokio::time::sleep(PACE).await;
        let name = format!("Edit {number}");
        play.notion.edit(page, json!({"Name": title(&name)}))?;
        let asked = Instant::now();
        let reply = client
            .get(&read)
            .bearer_auth(play.notion.token())
            .header("notion-version", "2026-03-11")
            .send()
            .await?;
        reply.error_for_status()?.bytes().await?;
        reads.push(asked.elapsed());
        let body = play
            .notion
            .event("page.properties_updated", page, &["title".to_owned()]);
        let body = body.to_string();
        let signature = notion_imitation::signature(&token, body.as_bytes());
        let reply = client
            .post(play.operator.webhook_url())
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
        let accepted = Instant::now();
        let query = format!("SELECT name FROM projects WHERE \"notionPageId\" = '{page}'");
        while !play.rows(&query).await?.contains(&name) {
            ensure!(
                accepted.elapsed() < Duration::from_secs(20),
                "{name} did not arrive"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        arrivals.push(accepted.elapsed());
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        figure(
            &format!("page read (imitation of Notion), {name}"),
            &millis(percentile(&mut reads, share)),
        );
    }
    figure(
        "webhook accepted -> row committed, idle, p50",
        &millis(percentile(&mut arrivals, 0.5)),
    );
    figure(
        "webhook accepted -> row committed, idle, p99",
        &millis(percentile(&mut arrivals, 0.99)),
    );
    Ok(())
}
