//! Notion's side fails: Secrets, tokens, capabilities, sharing, trash, several data sources.

use std::time::Duration;

use notion_imitation::{Capability, ConnectionSpec, DataSourceSpec, DatabaseSpec};
use serde_json::{Value, json};

use crate::failures::{CANARY, nothing_leaked, request_pass, table, wait_fails, wait_ready_within};
use crate::support::{Stage, eventually, title, usual_schema};

/// A token that works again starts a pass within this time.
const BACK: Duration = Duration::from_secs(5);
/// A changed Secret is seen within this time.
const SECRET_SEEN: Duration = Duration::from_secs(15);

/// The usual binding beside the one that fails, over a table and with a token of its own.
async fn neighbour(stage: &Stage) {
    table(stage, "neighbours").await;
    let connection = ConnectionSpec {
        token: "ntn_neighbour".into(),
        ..Default::default()
    };
    stage.notion.add_connection(&connection).unwrap();
    stage
        .scene
        .apply_secret("neighbour", &[("token", "ntn_neighbour")])
        .await
        .unwrap();
    let changes = json!({"notion": {"tokenSecretRef": {"name": "neighbour"}},
        "postgres": {"table": "neighbours"}, "interval": "10s", "webhook": null});
    stage.bind("neighbour", &changes).await;
    stage
        .wait_condition("neighbour", "Ready", "True", None)
        .await;
}

/// An edit reaches the neighbour's table.
async fn neighbour_goes_on(stage: &Stage) {
    let name = uuid::Uuid::new_v4().to_string();
    let page = stage
        .notion
        .create_page(stage.source, json!({"Name": title("New")}))
        .unwrap();
    stage
        .sql(&format!(
            "INSERT INTO neighbours (\"notionPageId\") VALUES ('{page}')"
        ))
        .await;
    stage
        .notion
        .edit(page, json!({"Name": title(&name)}))
        .unwrap();
    let query = format!("SELECT name FROM neighbours WHERE \"notionPageId\" = '{page}'");
    eventually("the neighbour goes on", async || {
        (stage.text(&query).await.as_deref() == Some(&name)).then_some(())
    })
    .await;
    stage
        .wait_condition("neighbour", "Ready", "True", None)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_secrets_and_keys_are_named_and_waited_for() {
    let stage = Stage::set("missing-secrets").await;
    let page = stage.linked(CANARY).await;
    stage
        .bind(
            "projects",
            &json!({"notion": {"tokenSecretRef": {"name": "absent", "key": "pass"}}}),
        )
        .await;
    let message = wait_fails(&stage, "projects", "NotionReachable", "NotionTokenMissing").await;
    assert!(
        message.contains("absent") && message.contains("pass"),
        "{message}"
    );
    // One side does not hide the other.
    stage
        .wait_condition("projects", "DatabaseReachable", "True", Some("Reachable"))
        .await;
    table(&stage, "others").await;
    let changes =
        json!({"postgres": {"table": "others", "connectionSecretRef": {"name": "no-db"}}});
    stage.bind("others", &changes).await;
    let message = wait_fails(
        &stage,
        "others",
        "DatabaseReachable",
        "ConnectionSecretMissing",
    )
    .await;
    assert!(
        message.contains("no-db") && message.contains("uri"),
        "{message}"
    );
    stage
        .wait_condition("others", "NotionReachable", "True", Some("Reachable"))
        .await;
    neighbour(&stage).await;
    neighbour_goes_on(&stage).await;

    stage
        .scene
        .apply_secret("absent", &[("other", "x")])
        .await
        .unwrap();
    eventually("the message names the key", async || {
        let condition = stage.condition("projects", "NotionReachable").await;
        (condition["message"] == "add key pass to Secret absent").then_some(())
    })
    .await;
    let uri = stage.scene.database_uri().unwrap();
    stage
        .scene
        .apply_secret("no-db", &[("uri", &uri)])
        .await
        .unwrap();
    let token = stage.notion.token();
    stage
        .scene
        .apply_secret("absent", &[("pass", &token)])
        .await
        .unwrap();
    wait_ready_within(&stage, "projects", SECRET_SEEN).await;
    wait_ready_within(&stage, "others", SECRET_SEEN).await;
    stage.wait_cell(page, "name", Some(CANARY)).await;
    nothing_leaked(&stage, &["ntn_neighbour"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_a_missing_capability_and_what_is_not_shared() {
    let stage = Stage::set("refused").await;
    let page = stage.linked(CANARY).await;
    neighbour(&stage).await;
    stage.bind_ready(&json!({})).await;
    let token = stage.notion.token();

    stage.notion.revoke(&token, true).unwrap();
    request_pass(&stage, "projects").await;
    let message = wait_fails(&stage, "projects", "NotionReachable", "NotionUnauthorized").await;
    assert!(message.contains("tokenSecretRef"), "{message}");
    neighbour_goes_on(&stage).await;
    stage
        .notion
        .edit(page, json!({"Price": {"number": 1}}))
        .unwrap();
    stage.notion.revoke(&token, false).unwrap();
    wait_ready_within(&stage, "projects", BACK).await;
    stage.wait_cell(page, "price", Some("1.00")).await;

    stage
        .notion
        .set_capabilities(Some(&token), &[Capability::InsertContent])
        .unwrap();
    request_pass(&stage, "projects").await;
    let message = wait_fails(&stage, "projects", "NotionReachable", "NotionForbidden").await;
    assert!(message.contains("Read content"), "{message}");
    neighbour_goes_on(&stage).await;
    stage
        .notion
        .set_capabilities(Some(&token), &[Capability::ReadContent])
        .unwrap();
    wait_ready_within(&stage, "projects", BACK).await;

    stage.notion.unshare(stage.source, Some(&token)).unwrap();
    request_pass(&stage, "projects").await;
    let message = wait_fails(&stage, "projects", "NotionReachable", "DataSourceNotFound").await;
    assert!(message.contains(&stage.source.to_string()), "{message}");
    neighbour_goes_on(&stage).await;
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some(CANARY));
    stage.notion.share(stage.source, Some(&token)).unwrap();
    wait_ready_within(&stage, "projects", Duration::from_secs(20)).await;
    nothing_leaked(&stage, &["ntn_neighbour"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_replaced_in_its_secret() {
    let stage = Stage::set("wrong-token").await;
    let page = stage.linked(CANARY).await;
    stage
        .scene
        .apply_secret("notion", &[("token", "ntn_wrong_canary")])
        .await
        .unwrap();
    stage.bind("projects", &json!({})).await;
    wait_fails(&stage, "projects", "NotionReachable", "NotionUnauthorized").await;
    stage
        .scene
        .apply_secret("notion", &[("token", &stage.notion.token())])
        .await
        .unwrap();
    wait_ready_within(&stage, "projects", SECRET_SEEN).await;
    stage.wait_cell(page, "name", Some(CANARY)).await;
    nothing_leaked(&stage, &["ntn_wrong_canary"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trashed_data_source_deletes_and_empties_nothing() {
    let stage = Stage::set("trashed").await;
    let page = stage.linked(CANARY).await;
    stage.bind_ready(&json!({})).await;
    stage.notion.trash_data_source(stage.source, true).unwrap();
    request_pass(&stage, "projects").await;
    let message = wait_fails(&stage, "projects", "NotionReachable", "DataSourceTrashed").await;
    assert!(message.contains(&stage.source.to_string()), "{message}");
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some(CANARY));
    stage.notion.trash_data_source(stage.source, false).unwrap();
    wait_ready_within(&stage, "projects", Duration::from_secs(10)).await;
    let object = stage.binding("projects").await;
    assert_eq!(
        object["status"]["drift"]["missingPages"], 0,
        "{}",
        object["status"]
    );
    nothing_leaked(&stage, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_several_data_sources_is_refused_and_one_resolved_stays() {
    let stage = Stage::set("several").await;
    let database = DatabaseSpec {
        title: "One".into(),
        ..Default::default()
    };
    let database = stage.notion.create_database(database).unwrap();
    let mut source = DataSourceSpec::new("First", usual_schema());
    source.database = Some(database);
    let first = stage.notion.create_data_source(source.clone()).unwrap().id;
    let by_database = |database: uuid::Uuid, table: &str| {
        let notion = json!({"dataSourceId": null, "databaseId": database.to_string()});
        json!({"notion": notion, "postgres": {"table": table}})
    };
    let page = stage
        .notion
        .create_page(first, json!({"Name": title(CANARY)}))
        .unwrap();
    stage
        .sql(&format!(
            "INSERT INTO projects (\"notionPageId\") VALUES ('{page}')"
        ))
        .await;
    stage.bind_ready(&by_database(database, "projects")).await;
    let resolved = |object: &Value| object["status"]["notion"]["dataSourceId"].clone();
    assert_eq!(
        resolved(&stage.binding("projects").await),
        first.to_string()
    );

    // A second one appears: the first stays pinned, also for another process.
    source.title = "Second".into();
    let second = stage.notion.create_data_source(source).unwrap().id;
    request_pass(&stage, "projects").await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    stage.operator.restart().await.unwrap();
    stage
        .notion
        .edit(page, json!({"Price": {"number": 2}}))
        .unwrap();
    request_pass(&stage, "projects").await;
    stage.wait_cell(page, "price", Some("2.00")).await;
    assert_eq!(
        resolved(&stage.binding("projects").await),
        first.to_string()
    );

    table(&stage, "others").await;
    stage.bind("others", &by_database(database, "others")).await;
    let message = wait_fails(&stage, "others", "NotionReachable", "SeveralDataSources").await;
    assert!(message.contains("spec.notion.dataSourceId"), "{message}");
    assert!(message.contains(&first.to_string()) && message.contains(&second.to_string()));
    stage.notion.trash_data_source(second, true).unwrap();
    nothing_leaked(&stage, &[]).await;
}
