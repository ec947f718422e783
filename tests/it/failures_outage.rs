//! A Postgres server of the stage's own goes away, hangs and restarts, while events arrive and
//! edits happen. A binding on another server keeps its pace.

use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;
use world::postgres::{Postgres, PostgresOptions};

use crate::failures::{CANARY, nothing_leaked, wait_fails};
use crate::support::{PATIENCE, Stage, USUAL_TABLE, eventually, title};

struct Outage {
    stage: Stage,
    server: Postgres,
    page: Uuid,
    other: Uuid,
}

/// The usual binding beside one, `away`, on a server of its own.
async fn set(topic: &str) -> Outage {
    let stage = Stage::set(topic).await;
    let server = stage
        .scene
        .own_postgres(&PostgresOptions::default())
        .await
        .unwrap();
    server.create_role("owner").await.unwrap();
    server.create_database("app", "owner").await.unwrap();
    let page = stage
        .notion
        .create_page(stage.source, json!({"Name": title("Alpha")}))
        .unwrap();
    let pool = server.pool("app", "owner").unwrap();
    sqlx::raw_sql(USUAL_TABLE).execute(&pool).await.unwrap();
    sqlx::query("INSERT INTO projects (\"notionPageId\") VALUES ($1)")
        .bind(page.to_string())
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let uri = server.uri("app", "owner").unwrap();
    stage
        .scene
        .apply_secret("away-db", &[("uri", &uri)])
        .await
        .unwrap();
    let other = stage.linked("Other").await;
    stage.bind_ready(&json!({})).await;
    let secret = json!({"postgres": {"connectionSecretRef": {"name": "away-db"}}});
    stage.bind("away", &secret).await;
    stage.wait_condition("away", "Ready", "True", None).await;
    Outage {
        stage,
        server,
        page,
        other,
    }
}

impl Outage {
    /// Edits the page of the server that is away and posts its event. The binding's own path is
    /// answered with success and error details (S12).
    async fn edit_and_post(&self, name: &str) -> (u16, serde_json::Value) {
        self.stage
            .notion
            .edit(self.page, json!({"Name": title(name)}))
            .unwrap();
        let event = self
            .stage
            .notion
            .event("page.properties_updated", self.page, &[]);
        let path = format!("/api/webhooks/notion/{}/away", self.stage.scene.name());
        self.stage.post_signed_to(&path, &event).await
    }

    /// An edit of the other binding's page arrives within a few seconds.
    async fn other_keeps_its_pace(&self) {
        let name = Uuid::new_v4().to_string();
        self.stage
            .notion
            .edit(self.other, json!({"Name": title(&name)}))
            .unwrap();
        let event = self
            .stage
            .notion
            .event("page.properties_updated", self.other, &[]);
        let since = Instant::now();
        let path = format!("/api/webhooks/notion/{}/projects", self.stage.scene.name());
        let (status, reply) = self.stage.post_signed_to(&path, &event).await;
        assert_eq!(
            (status, &reply["status"]),
            (200, &json!("queued")),
            "{reply}"
        );
        self.stage.wait_cell(self.other, "name", Some(&name)).await;
        assert!(
            since.elapsed() < Duration::from_secs(25),
            "{:?}",
            since.elapsed()
        );
        self.stage
            .wait_condition("projects", "Ready", "True", None)
            .await;
    }

    async fn name(&self) -> Option<String> {
        let pool = self.server.pool("app", "owner").ok()?;
        let query = "SELECT name FROM projects WHERE \"notionPageId\" = $1";
        let row = sqlx::query_scalar(query)
            .bind(self.page.to_string())
            .fetch_one(&pool)
            .await;
        pool.close().await;
        row.ok().flatten()
    }

    async fn wait_name(&self, name: &str) {
        eventually(&format!("the row catches up with {name}"), async || {
            (self.name().await.as_deref() == Some(name)).then_some(())
        })
        .await;
    }

    async fn last_full_scan(&self) -> serde_json::Value {
        self.stage.binding("away").await["status"]["lastFullScanTime"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_for_half_a_minute_costs_time_only() {
    let outage = set("outage-down").await;
    let scanned = outage.last_full_scan().await;
    let stopped = Instant::now();
    outage.server.stop().await.unwrap();
    wait_fails(
        &outage.stage,
        "away",
        "DatabaseReachable",
        "DatabaseUnavailable",
    )
    .await;
    let (status, reply) = outage.edit_and_post(CANARY).await;
    assert_eq!(status, 200, "{reply}");
    assert_ne!(reply["status"], "queued", "{reply}");
    outage.other_keeps_its_pace().await;
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(stopped.elapsed())).await;
    outage.other_keeps_its_pace().await;
    outage.server.start_again().await.unwrap();
    outage
        .stage
        .wait_condition("away", "Ready", "True", None)
        .await;
    // Nobody announces that edit again: the first pass afterwards is complete.
    outage.wait_name(CANARY).await;
    assert_ne!(outage.last_full_scan().await, scanned);
    let (_, reply) = outage.edit_and_post("Later").await;
    assert_eq!(reply["status"], "queued", "{reply}");
    outage.wait_name("Later").await;
    let uri = outage.server.uri("app", "owner").unwrap();
    nothing_leaked(&outage.stage, &[&uri]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_slows_nobody_else() {
    let outage = set("outage-hang").await;
    let (_, reply) = outage.edit_and_post("Before").await;
    assert_eq!(reply["status"], "queued", "{reply}");
    outage.wait_name("Before").await;
    outage.server.pause().await.unwrap();
    let (status, reply) = outage.edit_and_post("During").await;
    assert_eq!(status, 200, "{reply}");
    assert_ne!(reply["status"], "queued", "{reply}");
    outage.other_keeps_its_pace().await;
    wait_fails(
        &outage.stage,
        "away",
        "DatabaseReachable",
        "DatabaseUnavailable",
    )
    .await;
    outage.other_keeps_its_pace().await;
    outage.server.resume().await.unwrap();
    outage
        .stage
        .wait_condition("away", "Ready", "True", None)
        .await;
    outage.wait_name("During").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_in_the_middle_of_a_statement_is_noticed() {
    let outage = set("outage-middle").await;
    let pool = outage.server.pool("app", "owner").unwrap();
    let mut user = pool.begin().await.unwrap();
    sqlx::query("UPDATE projects SET notes = 'mine'")
        .execute(&mut *user)
        .await
        .unwrap();
    let (_, reply) = outage.edit_and_post("Middle").await;
    assert_eq!(reply["status"], "queued", "{reply}");
    eventually("the pass waits for the row", async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE application_name = 'notion-sync-operator' AND wait_event_type = 'Lock'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    // Now nobody ends the statement: neither the user, nor the server by its timeouts.
    outage.server.pause().await.unwrap();
    outage.other_keeps_its_pace().await;
    wait_fails(
        &outage.stage,
        "away",
        "DatabaseReachable",
        "DatabaseUnavailable",
    )
    .await;
    outage.server.resume().await.unwrap();
    user.rollback().await.unwrap();
    outage
        .stage
        .wait_condition("away", "Ready", "True", None)
        .await;
    outage.wait_name("Middle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_loses_no_queued_event() {
    let outage = set("outage-restart").await;
    for round in 0..4 {
        let name = format!("Round {round}");
        let deadline = Instant::now() + PATIENCE;
        // What was queued before must be applied; what was refused is found by the next pass.
        let (status, reply) = outage.edit_and_post(&name).await;
        assert_eq!(status, 200, "{reply}");
        if round % 2 == 0 {
            outage.server.kill().await.unwrap();
        } else {
            outage.server.stop().await.unwrap();
        }
        outage.server.start_again().await.unwrap();
        outage.wait_name(&name).await;
        assert!(Instant::now() < deadline + PATIENCE);
    }
    outage
        .stage
        .wait_condition("away", "Ready", "True", None)
        .await;
    outage.other_keeps_its_pace().await;
}
