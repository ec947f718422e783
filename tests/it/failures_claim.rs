//! Whose table it is, and what people ask for: two claims, adoption, suspend, receipts, intervals,
//! changed specs, restarts, several namespaces, objects of another version.

use serde_json::{Value, json};

use crate::failures::{
    event, nothing_leaked, request_full_scan, request_pass, table, wait_ready_within,
};
use crate::support::{Stage, eventually, title};

async fn delete(stage: &Stage, name: &str) {
    stage
        .scene
        .kubectl(&["delete", "nsb", name])
        .await
        .unwrap()
        .ok()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_claimant_stalls_until_the_first_is_deleted() {
    let stage = Stage::set("two-claims").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    stage.bind("second", &json!({"interval": "10s"})).await;
    let stalled = stage
        .wait_condition("second", "Stalled", "True", Some("TableAlreadyBound"))
        .await;
    assert!(
        stalled["message"].as_str().unwrap().contains("projects"),
        "{stalled}"
    );
    stage
        .wait_condition("second", "Ready", "False", Some("TableAlreadyBound"))
        .await;
    event(&stage, "second", "TableAlreadyBound").await;
    assert_eq!(stage.binding("second").await["status"]["health"], "Failing");
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    delete(&stage, "projects").await;
    wait_ready_within(&stage, "second", std::time::Duration::from_secs(5)).await;
    assert_eq!(stage.condition("second", "Stalled").await, Value::Null);
    let metrics = reqwest::get(stage.operator.metrics_url("/metrics"))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        !metrics.contains("name=\"projects\""),
        "a deleted binding keeps its gauges"
    );
    assert!(metrics.contains("name=\"second\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_adopts_links_and_base() {
    let stage = Stage::set("adopted").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let pairs = "SELECT count(*) FROM notion_sync.pairs";
    let before = stage.text("SELECT id FROM notion_sync.bindings").await;
    assert_eq!(stage.count(pairs).await, 1);
    delete(&stage, "projects").await;
    // Only Postgres changes: with the base it is drift, without one NewestWins would decide.
    stage
        .sql("UPDATE projects SET name = 'mine', \"updatedAt\" = '2000-01-01'")
        .await;
    stage.bind("successor", &json!({})).await;
    stage
        .wait_condition("successor", "Ready", "True", None)
        .await;
    assert_eq!(
        stage.text("SELECT id FROM notion_sync.bindings").await,
        before
    );
    assert_eq!(stage.count(pairs).await, 1);
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("mine"));
    stage
        .wait_condition("successor", "InSync", "False", Some("DriftFound"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_binding_rests_and_resumes_with_a_full_scan() {
    let stage = Stage::set("suspended").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    stage
        .bind("projects", &json!({"interval": "10s", "suspend": true}))
        .await;
    stage
        .wait_condition("projects", "Ready", "True", Some("Suspended"))
        .await;
    assert_eq!(
        stage.binding("projects").await["status"]["health"],
        "Suspended"
    );
    let scanned = stage.binding("projects").await["status"]["lastFullScanTime"].clone();
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let (status, reply) = stage
        .post_signed(&stage.notion.event("page.properties_updated", page, &[]))
        .await;
    assert_eq!(status, 200, "{reply}");
    stage.notion.reset_requests();
    tokio::time::sleep(std::time::Duration::from_secs(13)).await;
    assert_eq!(stage.notion.requests().len(), 0);
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Alpha"));
    stage.operator.restart().await.unwrap();
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Alpha"));
    stage
        .bind("projects", &json!({"interval": "10s", "suspend": false}))
        .await;
    stage.wait_cell(page, "name", Some("Beta")).await;
    stage
        .wait_condition("projects", "Ready", "True", Some("Synced"))
        .await;
    let status = eventually("a full scan ends", async || {
        let status = stage.binding("projects").await["status"].clone();
        (status["lastFullScanTime"] != scanned).then_some(status)
    })
    .await;
    assert_eq!(status["health"], "Healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_full_scans_and_a_changed_spec() {
    let stage = Stage::set("receipts").await;
    let page = stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"interval": "1h", "fullScanInterval": "1h"}))
        .await;
    stage
        .notion
        .edit(page, json!({"Name": title("Beta"), "Price": {"number": 3}}))
        .unwrap();
    request_pass(&stage, "projects").await;
    stage.wait_cell(page, "name", Some("Beta")).await;
    let time = async || stage.binding("projects").await["status"]["lastFullScanTime"].clone();
    let before = time().await;
    // Status has whole seconds.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    request_full_scan(&stage, "projects").await;
    assert_ne!(time().await, before);
    // An annotation once answered is not answered again by another process.
    let before = time().await;
    stage.operator.restart().await.unwrap();
    request_pass(&stage, "projects").await;
    assert_eq!(time().await, before);
    // Another mapping starts a full scan: the page did not change.
    let properties = json!([{"column": "notes", "property": "Name"},
        {"column": "price", "property": "Price"}]);
    let changes = json!({"interval": "1h", "properties": properties});
    stage.bind("projects", &changes).await;
    stage.wait_cell(page, "notes", Some("Beta")).await;
    eventually("the generation is observed", async || {
        let object = stage.binding("projects").await;
        (object["status"]["observedGeneration"] == object["metadata"]["generation"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_rewrites_nothing_and_scans_only_out_of_order() {
    let stage = Stage::set("restart").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    let version = "SELECT xmin::text FROM projects";
    let before = stage.text(version).await;
    let scanned = stage.binding("projects").await["status"]["lastFullScanTime"].clone();
    stage.operator.restart().await.unwrap();
    request_pass(&stage, "projects").await;
    assert_eq!(stage.text(version).await, before);
    assert_eq!(
        stage.binding("projects").await["status"]["lastFullScanTime"],
        scanned
    );
    // A restart while Notion is away loses nothing and poisons nothing.
    stage.operator.kill().await.unwrap();
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    stage.operator.start_again().await.unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
    nothing_leaked(&stage, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_another_version_is_left_out_and_the_others_go_on() {
    let stage = Stage::set("unreadable").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    table(&stage, "others").await;
    // Status is not pruned as strictly as the spec: an enum value of tomorrow.
    let patch = json!({"status": {"health": "Sleepy"}}).to_string();
    let patched = stage
        .scene
        .kubectl(&[
            "patch",
            "nsb",
            "projects",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ])
        .await
        .unwrap();
    let _ = patched;
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
    stage
        .bind("others", &json!({"postgres": {"table": "others"}}))
        .await;
    stage.wait_condition("others", "Ready", "True", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_audit_comes_by_the_clock() {
    let stage = Stage::set("full-interval").await;
    stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"interval": "30s", "fullScanInterval": "1m"}))
        .await;
    let time = async || stage.binding("projects").await["status"]["lastFullScanTime"].clone();
    let first = time().await;
    assert!(first.is_string());
    tokio::time::sleep(std::time::Duration::from_secs(40)).await;
    assert_eq!(time().await, first);
    eventually("the next complete pass", async || {
        (time().await != first).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_listed_namespaces_are_served() {
    let world = world::World::shared().await.unwrap();
    let second = world.scene("watched-too").await.unwrap();
    let third = world.scene("not-watched").await.unwrap();
    let listed = second.name().to_owned();
    let stage = Stage::set_with("watched", |options| options.watch_namespaces.push(listed)).await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    for scene in [&second, &third] {
        scene
            .apply_usual_secrets(&stage.notion.token())
            .await
            .unwrap();
        let pool = scene.pool().unwrap();
        sqlx::raw_sql(crate::support::USUAL_TABLE)
            .execute(&pool)
            .await
            .unwrap();
        let mut spec = stage.spec(&json!({"webhook": null}));
        spec["interval"] = "10s".into();
        let object = world::manifests::binding(scene.name(), "projects", &spec);
        scene.apply(&object).await.unwrap();
    }
    let ready = [
        "wait",
        "--for=condition=Ready",
        "nsb/projects",
        "--timeout=30s",
    ];
    second.kubectl(&ready).await.unwrap().ok().unwrap();
    let status = ["get", "nsb", "projects", "-o", "jsonpath={.status}"];
    assert_eq!(third.kubectl(&status).await.unwrap().ok().unwrap(), "");
    // A deletion in one namespace leaves the other alone.
    second
        .kubectl(&["delete", "nsb", "projects"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
}
