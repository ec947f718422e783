//! From a committed row to the page in Notion: one change at a time, and many at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use uuid::Uuid;
use world::World;

use super::{figure, millis, percentile};
use crate::playground::{Playground, title};

const SAMPLES: usize = 100;
/// A change costs a read and a write of its page, against the 180 requests a minute that the
/// operator allows itself.
const PACE: Duration = Duration::from_millis(750);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Rows of the bulk change: two requests each.
const BULK: usize = 300;

pub(crate) async fn run(world: &World) -> Result<()> {
    let play = Playground::set_in(world, "bench-outbound").await?;
    let pages = prepare(&play).await?;
    play.bind_both_ways().await?;
    one_by_one(&play).await?;
    in_bulk(&play, &pages).await
}

/// Pages and rows for the bulk change, in step.
async fn prepare(play: &Playground<'_>) -> Result<Vec<Uuid>> {
    let mut pages = Vec::new();
    for number in 0..BULK {
        let name = format!("Page {number}");
        let page = play
            .notion
            .create_page(play.source, json!({"Name": title(&name)}))?;
        play.execute(&format!(
            "INSERT INTO projects (name, \"notionPageId\") VALUES ('{name}', '{page}')"
        ))
        .await?;
        pages.push(page);
    }
    Ok(pages)
}

async fn one_by_one(play: &Playground<'_>) -> Result<()> {
    let page = play.pages[0];
    let mut samples = Vec::new();
    for number in 0..SAMPLES {
        tokio::time::sleep(PACE).await;
        let name = format!("Change {number}");
        play.execute(&format!(
            "UPDATE projects SET name = '{name}' WHERE \"notionPageId\" = '{page}'"
        ))
        .await?;
        let committed = Instant::now();
        while play.name_in_notion(page)? != name {
            ensure!(
                committed.elapsed() < Duration::from_secs(30),
                "{name} did not arrive"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        samples.push(committed.elapsed());
    }
    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        figure(
            &format!("row committed -> page written, idle, {name}"),
            &millis(percentile(&mut samples, share)),
        );
    }
    Ok(())
}

async fn in_bulk(play: &Playground<'_>, pages: &[Uuid]) -> Result<()> {
    // The minute's budget is whole again.
    tokio::time::sleep(Duration::from_secs(61)).await;
    play.notion.reset_requests();
    let begun = Instant::now();
    play.execute("UPDATE projects SET name = name || ' anew' WHERE name LIKE 'Page %'")
        .await?;
    loop {
        let mut done = 0;
        for page in pages {
            done += usize::from(play.name_in_notion(*page)?.ends_with(" anew"));
        }
        if done == pages.len() {
            break;
        }
        ensure!(
            begun.elapsed() < Duration::from_mins(15),
            "{done} pages were written"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = begun.elapsed();
    let requests = play.notion.requests().len();
    figure(
        &format!("{BULK} rows changed by one UPDATE, all pages written after"),
        &format!("{:.1} s", took.as_secs_f64()),
    );
    figure("  requests", &requests.to_string());
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let floor = (requests as f64 - 180.0).max(0.0) / 3.0;
    figure(
        "  floor: one burst of 180, then 180 a minute",
        &format!("{floor:.1} s"),
    );
    Ok(())
}
