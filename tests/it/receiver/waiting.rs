//! Events that are kept for later: no Notion token yet (S13), a suspended binding, another replica's.

use serde_json::json;

use super::{SHARED, edited, own_path, patch, remove_secret, signed, signed_with, stored};
use crate::support::{Stage, VERIFICATION_TOKEN, eventually, title};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_notion_token_events_are_stored_and_wait() {
    let stage = Stage::set("notoken").await;
    let page = stage.linked("Alpha").await;
    remove_secret(&stage, "notion", None).await;
    stage.bind("projects", &json!({})).await;
    let missing = Some("NotionTokenMissing");
    stage
        .wait_condition("projects", "NotionReachable", "False", missing)
        .await;
    let own = own_path(&stage, "projects");
    let events = [
        (SHARED, edited(&stage, page)),
        (SHARED, stage.notion.legacy_event(page)),
        (&own, stage.notion.automation_event(page, None)),
    ];
    for (path, event) in &events {
        let answer = signed_with(&stage, VERIFICATION_TOKEN, path, event).await;
        assert_eq!(answer.said(), ("skipped", "NotionTokenMissing"), "{event}");
    }
    assert_eq!(stored(&stage).await, 3);
    assert_eq!(signed(&stage, &events[0].1).await.said(), ("duplicate", ""));
    // A key that is empty is no token either.
    stage
        .scene
        .apply_secret("notion", &[("token", "")])
        .await
        .unwrap();
    assert_eq!(stage.cell(page, "name").await, None);
    assert!(
        stage.notion.requests().is_empty(),
        "nobody asked Notion without a token"
    );

    stage
        .scene
        .apply_secret("notion", &[("token", &stage.notion.token())])
        .await
        .unwrap();
    stage.wait_cell(page, "name", Some("Alpha")).await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    let audited = format!(
        "SELECT count(*) FROM audit_logs WHERE action = 'notion_webhook' \
                           AND resource_id = '{page}'"
    );
    eventually("each event has its outcome", async || {
        (stage.count(&audited).await == 3).then_some(())
    })
    .await;
    assert_eq!(
        signed(&stage, &edited(&stage, page)).await.said(),
        ("queued", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_binding_goes_on_storing() {
    let stage = Stage::set("suspended").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    patch(&stage, "projects", &json!({"spec": {"suspend": true}})).await;
    eventually("it is suspended", async || {
        let health = stage.binding("projects").await["status"]["health"].clone();
        (health == "Suspended").then_some(())
    })
    .await;
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = edited(&stage, page);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    assert_eq!(signed(&stage, &event).await.said(), ("duplicate", ""));
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert_eq!(
        stage.cell(page, "name").await.as_deref(),
        Some("Alpha"),
        "passes are stopped"
    );
    assert_eq!(stored(&stage).await, 1);
    patch(&stage, "projects", &json!({"spec": {"suspend": false}})).await;
    stage.wait_cell(page, "name", Some("Beta")).await;
    eventually("the stored event is settled", async || {
        stage.audited("notion_webhook", page).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_queued_survives_the_process() {
    let stage = Stage::set("killed").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let slow = notion_imitation::Failure {
        operation: Some("pages.retrieve".to_owned()),
        how: notion_imitation::How::Hang,
        times: None,
        ..notion_imitation::Failure::default()
    };
    stage.notion.fail(slow);
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = edited(&stage, page);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    stage.operator.kill().await.unwrap();
    stage.notion.clear_failures(None);
    stage.operator.start_again().await.unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
    eventually("it has its outcome", async || {
        stage.audited("notion_webhook", page).await
    })
    .await;
    assert_eq!(signed(&stage, &event).await.said(), ("duplicate", ""));
}
