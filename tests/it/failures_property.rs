//! Properties change under the binding: missing, renamed, retyped, recreated, unmapped options.

use serde_json::{Value, json};

use crate::failures::{CANARY, annotate, event, nothing_leaked, request_full_scan, request_pass};
use crate::support::{Stage, eventually, title};

async fn stopped(stage: &Stage, reason: &str) -> String {
    let condition = stage
        .wait_condition("projects", "SchemaValid", "False", Some(reason))
        .await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    let status = stage.binding("projects").await["status"].clone();
    assert_eq!(status["health"], "Degraded", "{status}");
    condition["message"].as_str().unwrap().to_owned()
}

fn price(value: u32) -> Value {
    json!({"Price": {"number": value}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_is_not_there_stops_its_column_until_it_is() {
    let stage = Stage::set("property-missing").await;
    let page = stage.linked("Alpha").await;
    stage.sql("UPDATE projects SET notes = 'kept'").await;
    let properties = json!([{"column": "name", "property": "Name"},
        {"column": "notes", "property": "Remarks"}]);
    stage
        .bind(
            "projects",
            &json!({"interval": "10s", "properties": properties}),
        )
        .await;
    let message = stopped(&stage, "PropertyMissing").await;
    assert!(message.contains("Remarks"), "{message}");
    assert_eq!(
        event(&stage, "projects", "PropertyMissing").await["note"],
        message
    );
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Alpha"));
    assert_eq!(stage.cell(page, "notes").await.as_deref(), Some("kept"));
    stage
        .notion
        .add_property(stage.source, "Remarks", json!({"rich_text": {}}))
        .unwrap();
    request_pass(&stage, "projects").await;
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_property_is_followed() {
    let stage = Stage::set("renamed").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    stage
        .notion
        .rename_property(stage.source, "Price", "Cost")
        .unwrap();
    stage
        .notion
        .add_property(stage.source, "Price", json!({"number": {}}))
        .unwrap();
    stage
        .notion
        .edit(page, json!({"Cost": {"number": 8}, "Price": {"number": 9}}))
        .unwrap();
    request_pass(&stage, "projects").await;
    stage.wait_cell(page, "price", Some("8.00")).await;
    let told = event(&stage, "projects", "PropertyRenamed").await;
    let note = told["note"].as_str().unwrap();
    assert!(note.contains("Price") && note.contains("Cost"), "{note}");
    assert_eq!(told["type"], "Normal");
    let status = stage.binding("projects").await["status"].clone();
    assert_eq!(
        status["notion"]["properties"][2]["propertyName"], "Cost",
        "{status}"
    );
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
    // An old order to pin anew does not lose the property under another process either.
    stage.notion.delete_property(stage.source, "Price").unwrap();
    annotate(&stage, "projects", "repin", "price").await;
    stage.operator.restart().await.unwrap();
    stage
        .notion
        .edit(page, json!({"Cost": {"number": 10}}))
        .unwrap();
    stage.wait_cell(page, "price", Some("10.00")).await;
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retyped_property_empties_nothing() {
    let stage = Stage::set("retyped").await;
    let page = stage.linked("Alpha").await;
    stage.notion.edit(page, price(3)).unwrap();
    stage.bind_ready(&json!({"interval": "10s"})).await;
    stage.wait_cell(page, "price", Some("3.00")).await;
    stage
        .notion
        .retype_property(stage.source, "Price", json!({"checkbox": {}}))
        .unwrap();
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    request_pass(&stage, "projects").await;
    let message = stopped(&stage, "PropertyRetyped").await;
    assert!(
        message.contains("Price") && message.contains("repin"),
        "{message}"
    );
    stage.wait_cell(page, "name", Some("Beta")).await;
    assert_eq!(stage.cell(page, "price").await.as_deref(), Some("3.00"));
    stage
        .notion
        .retype_property(stage.source, "Price", json!({"number": {}}))
        .unwrap();
    stage.notion.edit(page, price(4)).unwrap();
    request_pass(&stage, "projects").await;
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
    stage.wait_cell(page, "price", Some("4.00")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_property_waits_for_repin_and_then_empties_nothing() {
    let stage = Stage::set("recreated").await;
    let page = stage.linked("Alpha").await;
    stage.notion.edit(page, price(3)).unwrap();
    stage.bind_ready(&json!({"interval": "10s"})).await;
    stage.wait_cell(page, "price", Some("3.00")).await;
    stage.notion.delete_property(stage.source, "Price").unwrap();
    stage
        .notion
        .add_property(stage.source, "Price", json!({"number": {}}))
        .unwrap();
    request_full_scan(&stage, "projects").await;
    let message = stopped(&stage, "PropertyMissing").await;
    assert!(
        message.contains("Price") && message.contains("repin"),
        "{message}"
    );
    assert_eq!(stage.cell(page, "price").await.as_deref(), Some("3.00"));
    annotate(&stage, "projects", "repin", "price").await;
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
    request_full_scan(&stage, "projects").await;
    assert_eq!(stage.cell(page, "price").await.as_deref(), Some("3.00"));
    stage.notion.edit(page, price(5)).unwrap();
    stage.wait_cell(page, "price", Some("5.00")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_without_mapping_marks_that_field_alone() {
    let stage = Stage::set("option").await;
    let page = stage.linked("Alpha").await;
    stage
        .notion
        .edit(page, json!({"Status": {"status": {"name": "Done"}}}))
        .unwrap();
    let values = json!([{"notion": "Done", "postgres": "DONE"}]);
    let properties = json!([{"column": "name", "property": "Name"},
        {"column": "status", "property": "Status", "values": values}]);
    stage
        .bind_ready(&json!({"interval": "10s", "properties": properties}))
        .await;
    stage.wait_cell(page, "status", Some("DONE")).await;
    let edit = json!({"Name": title(CANARY), "Status": {"status": {"name": "In progress"}}});
    stage.notion.edit(page, edit).unwrap();
    request_pass(&stage, "projects").await;
    stage.wait_cell(page, "name", Some(CANARY)).await;
    assert_eq!(stage.cell(page, "status").await.as_deref(), Some("DONE"));
    let status = eventually("the field is counted as failed", async || {
        let status = stage.binding("projects").await["status"].clone();
        (status["drift"]["failed"] == 1).then_some(status)
    })
    .await;
    assert_eq!(
        status["drift"]["samples"][0]["column"], "status",
        "{status}"
    );
    assert_eq!(status["drift"]["samples"][0]["kind"], "Failed", "{status}");
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    stage
        .wait_condition("projects", "InSync", "False", Some("DriftFound"))
        .await;
    nothing_leaked(&stage, &[]).await;
    stage
        .notion
        .edit(page, json!({"Status": {"status": {"name": "Done"}}}))
        .unwrap();
    stage
        .wait_condition("projects", "InSync", "True", None)
        .await;
}
