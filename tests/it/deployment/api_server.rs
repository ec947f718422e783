//! An API server that hangs: what was read stays valid, and webhooks are stored.

use std::time::{Duration, Instant};

use serde_json::json;
use world::{World, WorldOptions};

use super::Sides;
use crate::support::{ADMIN_TOKEN, VERIFICATION_TOKEN, eventually, title};

#[tokio::test(flavor = "multi_thread")]
async fn while_it_hangs_webhooks_are_stored_and_the_process_lives() {
    let world = World::start(WorldOptions::default()).await.unwrap();
    let scene = world.scene("api-server").await.unwrap();
    let sides = Sides::set(&scene).await;
    let (notion, page) = (&sides.notion, sides.page);
    let mut options = scene.operator_options(notion.base_url()).await.unwrap();
    options.admin_token = Some(ADMIN_TOKEN.to_owned());
    options.leader_elect = true;
    let operator = scene.start_operator(options).await.unwrap();
    let webhook = json!({"webhook": {"verificationTokenSecretRef": {"name": "notion-webhook"}}});
    sides.bind(&scene, &webhook).await;
    let client = world::http::client().unwrap();
    let post = async || {
        let body = notion
            .event("page.properties_updated", page, &[])
            .to_string();
        let signature = notion_imitation::signature(VERIFICATION_TOKEN, body.as_bytes());
        let request = client
            .post(operator.webhook_url())
            .header("content-type", "application/json");
        let reply = request
            .header("X-Notion-Signature", signature)
            .body(body)
            .send()
            .await
            .unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    assert_eq!(post().await.0, 200);
    let paused = world.control_plane().pause().unwrap();
    let since = Instant::now();
    let mut edits = 0;
    while since.elapsed() < Duration::from_secs(22) {
        edits += 1;
        let asked = Instant::now();
        let (status, body) = post().await;
        assert!(status == 200 && body.contains("queued"), "{status}: {body}");
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{:?}",
            asked.elapsed()
        );
        for path in ["/livez", "/readyz"] {
            let reply = client.get(operator.metrics_url(path)).send().await.unwrap();
            assert_eq!(
                reply.status().as_u16(),
                200,
                "{path} after {:?}",
                since.elapsed()
            );
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let report = client
        .get(operator.url("/api/admin/sync/health"))
        .bearer_auth(ADMIN_TOKEN);
    let report = report.send().await.unwrap();
    assert_eq!(report.status().as_u16(), 200);
    assert!(report.text().await.unwrap().contains("projects"));
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM notion_sync.inbox")
        .fetch_one(&sides.pool)
        .await
        .unwrap();
    assert_eq!(stored, edits + 1);
    notion.edit(page, json!({"Name": title("Beta")})).unwrap();
    assert_eq!(post().await.0, 200);
    drop(paused);
    eventually("the edit arrives", async || {
        (sides.name().await.as_deref() == Some("Beta")).then_some(())
    })
    .await;
    assert!(operator.exited().await.is_none());
    operator.stop().await.unwrap();
    drop((operator, scene));
    world.stop().await;
}
