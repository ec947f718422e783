//! An API server that hangs: what was read stays valid, and webhooks are stored.

use std::time::{Duration, Instant};

use notion_imitation::{DataSourceSpec, Imitation, Options};
use serde_json::json;
use world::manifests::{binding, merged, minimal_spec};
use world::{World, WorldOptions};

use crate::support::{
    ADMIN_TOKEN, USUAL_TABLE, VERIFICATION_TOKEN, eventually, title, usual_schema,
};

#[tokio::test(flavor = "multi_thread")]
async fn while_it_hangs_webhooks_are_stored_and_the_process_lives() {
    let world = World::start(WorldOptions::default()).await.unwrap();
    let scene = world.scene("api-server").await.unwrap();
    let notion = Imitation::start(Options::default()).await.unwrap();
    let source = notion.create_data_source(DataSourceSpec::new("Projects", usual_schema()));
    let source = source.unwrap().id;
    let page = notion
        .create_page(source, json!({"Name": title("Alpha")}))
        .unwrap();
    let pool = scene.pool().unwrap();
    sqlx::raw_sql(USUAL_TABLE).execute(&pool).await.unwrap();
    let link = "INSERT INTO projects (\"notionPageId\") VALUES ($1::uuid::text)";
    sqlx::query(link).bind(page).execute(&pool).await.unwrap();
    scene.apply_usual_secrets(&notion.token()).await.unwrap();
    let token = [("verification-token", VERIFICATION_TOKEN)];
    scene.apply_secret("notion-webhook", &token).await.unwrap();
    let mut options = scene.operator_options(notion.base_url()).await.unwrap();
    options.admin_token = Some(ADMIN_TOKEN.to_owned());
    options.leader_elect = true;
    let operator = scene.start_operator(options).await.unwrap();
    let spec = minimal_spec(&source.to_string(), "projects", &[("name", "Name")]);
    let webhook = json!({"webhook": {"verificationTokenSecretRef": {"name": "notion-webhook"}}});
    scene
        .apply(&binding(scene.name(), "projects", &merged(spec, &webhook)))
        .await
        .unwrap();
    let ready = [
        "wait",
        "nsb/projects",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    scene.kubectl(&ready).await.unwrap().ok().unwrap();
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
    let name = async || {
        let name = sqlx::query_scalar("SELECT name FROM projects")
            .fetch_one(&pool)
            .await;
        name.unwrap_or_else(|_| Option::<String>::None)
    };

    let paused = world.control_plane().pause().unwrap();
    let since = Instant::now();
    let mut edits = 0;
    while since.elapsed() < Duration::from_secs(22) {
        edits += 1;
        let asked = Instant::now();
        let (status, body) = post().await;
        assert!(status == 200 && body.contains("queued"), "{status}: {body}");
        assert!(
            asked.elapsed() < Duration::from_secs(5),
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
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(stored, edits + 1);
    notion.edit(page, json!({"Name": title("Beta")})).unwrap();
    assert_eq!(post().await.0, 200);
    drop(paused);
    eventually("the edit arrives", async || {
        (name().await.as_deref() == Some("Beta")).then_some(())
    })
    .await;
    assert!(operator.exited().await.is_none());
    operator.stop().await.unwrap();
    drop((operator, scene));
    world.stop().await;
}
