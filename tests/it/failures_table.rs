//! The table is not what the binding says: columns, types, kinds, keys, and a table that goes.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::failures::{CANARY, event, nothing_leaked, request_pass, wait_fails, wait_ready_within};
use crate::support::{Stage, USUAL_TABLE, title};

/// The binding's columns beside one more that cannot work.
fn with_column(column: &str, property: &str) -> serde_json::Value {
    json!({"webhook": null, "interval": "10s", "properties": [
        {"column": "name", "property": "Name"}, {"column": column, "property": property}]})
}

/// Checks that one column is stopped and the others go on; gives back the message.
async fn stops_alone(stage: &Stage, reason: &str) -> String {
    let condition = stage
        .wait_condition("projects", "SchemaValid", "False", Some(reason))
        .await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    let status = stage.binding("projects").await["status"].clone();
    assert_eq!(status["health"], "Degraded", "{status}");
    let message = condition["message"].as_str().unwrap().to_owned();
    assert_eq!(event(stage, "projects", reason).await["note"], *message);
    message
}

async fn edit_arrives(stage: &Stage, page: Uuid) {
    let name = Uuid::new_v4().to_string();
    stage
        .notion
        .edit(page, json!({"Name": title(&name)}))
        .unwrap();
    stage.wait_cell(page, "name", Some(&name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_column_stops_alone_and_works_once_it_is_there() {
    let stage = Stage::set("column-missing").await;
    let page = stage.linked("Alpha").await;
    stage
        .notion
        .edit(page, json!({"Price": {"number": 7}}))
        .unwrap();
    stage.bind("projects", &with_column("cost", "Price")).await;
    let message = stops_alone(&stage, "ColumnNotFound").await;
    assert!(
        message.contains("\"cost\"") && message.contains("projects"),
        "{message}"
    );
    edit_arrives(&stage, page).await;
    stage.sql("ALTER TABLE projects ADD cost numeric").await;
    stage.wait_cell(page, "cost", Some("7")).await;
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
    // It goes again while the operator runs: no deletion, no failure of the others.
    stage.sql("ALTER TABLE projects DROP cost").await;
    stage
        .wait_condition("projects", "SchemaValid", "False", Some("ColumnNotFound"))
        .await;
    edit_arrives(&stage, page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_cannot_hold_the_property_stops_that_column() {
    let stage = Stage::set("column-type").await;
    let page = stage.linked("Alpha").await;
    stage
        .sql("ALTER TABLE projects ADD flag boolean DEFAULT true")
        .await;
    stage.bind("projects", &with_column("flag", "Price")).await;
    let message = stops_alone(&stage, "ColumnTypeMismatch").await;
    assert!(
        message.contains("flag") && message.contains("bool"),
        "{message}"
    );
    edit_arrives(&stage, page).await;
    assert_eq!(stage.cell(page, "flag").await.as_deref(), Some("true"));
    // All columns stopped: nothing works.
    let only = json!({"webhook": null, "properties": [{"column": "flag", "property": "Price"}]});
    stage.bind("projects", &only).await;
    wait_fails(&stage, "projects", "SchemaValid", "ColumnTypeMismatch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_table_is_no_deletion_and_a_new_one_is_filled() {
    let stage = Stage::set("dropped").await;
    let page = stage.linked(CANARY).await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    stage.wait_cell(page, "name", Some(CANARY)).await;
    stage.sql("DROP TABLE projects").await;
    request_pass(&stage, "projects").await;
    let message = wait_fails(&stage, "projects", "SchemaValid", "TableNotFound").await;
    assert!(message.contains("projects"), "{message}");
    stage
        .wait_condition("projects", "DatabaseReachable", "True", Some("Reachable"))
        .await;
    assert!(stage.notion.page(page).unwrap()["in_trash"] == false);
    stage.sql(USUAL_TABLE).await;
    stage
        .sql(&format!(
            "INSERT INTO projects (\"notionPageId\", name) VALUES ('{page}', 'old')"
        ))
        .await;
    wait_ready_within(&stage, "projects", Duration::from_secs(20)).await;
    // Without base and without a time of the row Notion's value is the later one.
    stage.wait_cell(page, "name", Some(CANARY)).await;
    edit_arrives(&stage, page).await;
    nothing_leaked(&stage, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_keyless_tables_and_hidden_rows_are_refused_and_mended() {
    let stage = Stage::set("kinds").await;
    let page = stage.linked("Alpha").await;
    stage
        .sql("ALTER TABLE projects RENAME TO base; CREATE VIEW projects AS SELECT * FROM base")
        .await;
    stage.bind("projects", &json!({"interval": "10s"})).await;
    let message = wait_fails(&stage, "projects", "SchemaValid", "TableKindNotSupported").await;
    assert!(message.contains("a view"), "{message}");
    stage
        .sql(
            "DROP VIEW projects; ALTER TABLE base RENAME TO projects; \
        ALTER TABLE projects DROP CONSTRAINT projects_pkey",
        )
        .await;
    request_pass(&stage, "projects").await;
    let message = wait_fails(&stage, "projects", "SchemaValid", "NoRowKey").await;
    assert!(message.contains("primary key"), "{message}");
    stage
        .sql(
            "ALTER TABLE projects ADD PRIMARY KEY (id); \
        ALTER TABLE projects ENABLE ROW LEVEL SECURITY; \
        ALTER TABLE projects FORCE ROW LEVEL SECURITY",
        )
        .await;
    request_pass(&stage, "projects").await;
    let message = wait_fails(&stage, "projects", "SchemaValid", "RowSecurityActive").await;
    assert!(message.contains("BYPASSRLS"), "{message}");
    stage
        .sql("ALTER TABLE projects NO FORCE ROW LEVEL SECURITY")
        .await;
    request_pass(&stage, "projects").await;
    wait_ready_within(&stage, "projects", Duration::from_secs(10)).await;
    stage.wait_cell(page, "name", Some("Alpha")).await;
}
