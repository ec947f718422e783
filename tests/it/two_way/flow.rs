//! Edits on both sides reach the other one, once, and nothing comes back.

use notion_imitation::Subscription;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Stage, VERIFICATION_TOKEN, eventually, title};

impl Stage {
    /// A binding that goes both ways; `changes` is laid over it.
    pub(crate) async fn bind_both_ways(&self, changes: &Value) {
        let mut spec = json!({"direction": "TwoWay", "interval": "1h", "fullScanInterval": "24h"});
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        self.bind_ready(&spec).await;
    }

    /// What a page's title is in Notion.
    pub(crate) fn name_in_notion(&self, page: Uuid) -> String {
        let page = self.notion.page(page).expect("the page");
        let segments = page["properties"]["Name"]["title"].as_array();
        let segments = segments.into_iter().flatten();
        let texts = segments.filter_map(|segment| segment["plain_text"].as_str());
        texts.collect()
    }

    /// Waits until a page has this title.
    pub(crate) async fn wait_name_in_notion(&self, page: Uuid, name: &str) {
        eventually(&format!("page {page} is named {name}"), async || {
            (self.name_in_notion(page) == name).then_some(())
        })
        .await;
    }

    /// How many requests wrote to Notion so far.
    pub(crate) fn notion_writes(&self) -> usize {
        let requests = self.notion.requests();
        let is_write = |method: &str, path: &str| {
            method == "PATCH" || (method == "POST" && path.ends_with("/pages"))
        };
        let writes = requests
            .iter()
            .filter(|request| is_write(&request.method, &request.path));
        writes.count()
    }

    /// Lets Notion deliver its events to the operator.
    pub(crate) fn subscribe(&self) {
        let subscription = Subscription {
            url: self.operator.webhook_url(),
            verification_token: Some(VERIFICATION_TOKEN.to_owned()),
            active: true,
            ..Subscription::default()
        };
        self.notion.subscribe(subscription).expect("a subscription");
    }

    /// Asks for a complete pass and waits for its receipt.
    pub(crate) async fn scan_again(&self) {
        let asked = Uuid::new_v4().to_string();
        let annotation = format!("notionsync.dev/fullScanRequestedAt={asked}");
        let annotate = ["annotate", "nsb", "projects", &annotation, "--overwrite"];
        let output = self.scene.kubectl(&annotate).await;
        output.expect("kubectl runs").ok().expect("it is annotated");
        eventually("the scan is answered", async || {
            let binding = self.binding("projects").await;
            (binding["status"]["lastHandledFullScanAt"] == asked).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_reach_the_other_side_once_and_none_comes_back() {
    let stage = Stage::set("two-way").await;
    let page = stage.linked("Alpha").await;
    let other = stage.linked("Other").await;
    stage.bind_both_ways(&json!({})).await;
    stage.wait_cell(page, "name", Some("Alpha")).await;
    stage.wait_cell(other, "name", Some("Other")).await;
    stage.subscribe();

    // The interval is an hour: only capture can have told.
    stage
        .sql(&format!(
            "UPDATE projects SET name = 'From the row', status = 'DONE', price = 7.5
             WHERE \"notionPageId\" = '{page}'"
        ))
        .await;
    stage.wait_name_in_notion(page, "From the row").await;
    let shown = stage.notion.page(page).unwrap();
    assert_eq!(shown["properties"]["Status"]["status"]["name"], "Done");
    assert_eq!(shown["properties"]["Price"]["number"], 7.5);
    let result = eventually("the audit row", async || {
        stage.audited("notion_sync", page).await.filter(|result| {
            let changes = result["changes"].as_array();
            changes.is_some_and(|changes| changes.iter().all(|one| one["side"] == "Notion"))
        })
    })
    .await;
    assert_eq!(result["outcome"], "Applied", "{result}");
    assert_eq!(result["changes"][0]["from"], "Alpha");
    assert_eq!(result["changes"][0]["to"], "From the row");
    assert!(result["changes"][0]["overwrote"].is_null());

    stage
        .notion
        .edit(other, json!({"Name": title("From Notion")}))
        .unwrap();
    stage.wait_cell(other, "name", Some("From Notion")).await;

    // Echoes of both: events, captured changes, and two complete comparisons.
    let updated = stage.cell(other, "\"updatedAt\"").await;
    let writes = stage.notion_writes();
    assert_eq!(writes, 1);
    stage.scan_again().await;
    stage.scan_again().await;
    assert_eq!(stage.notion_writes(), writes);
    assert_eq!(stage.cell(other, "\"updatedAt\"").await, updated);
    assert_eq!(stage.name_in_notion(page), "From the row");
    stage
        .wait_condition("projects", "InSync", "True", Some("InSync"))
        .await;
    let waiting = stage
        .count("SELECT count(*) FROM notion_sync.changes")
        .await;
    assert_eq!(waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_capture_missed_is_found_by_a_complete_comparison() {
    let stage = Stage::set("two-way-missed").await;
    let page = stage.linked("Alpha").await;
    stage.bind_both_ways(&json!({})).await;
    stage.wait_cell(page, "name", Some("Alpha")).await;
    stage
        .sql("DROP FUNCTION IF EXISTS notion_sync.capture() CASCADE")
        .await;
    stage
        .sql(&format!(
            "ALTER TABLE projects DISABLE TRIGGER USER;
             UPDATE projects SET name = 'Unseen' WHERE \"notionPageId\" = '{page}';
             ALTER TABLE projects ENABLE TRIGGER USER"
        ))
        .await;
    stage.scan_again().await;
    stage.wait_name_in_notion(page, "Unseen").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_permitted_direction_is_written() {
    let stage = Stage::set("one-way-out").await;
    let page = stage.linked("Alpha").await;
    stage
        .sql("UPDATE projects SET name = 'Beta', status = 'TODO'")
        .await;
    let properties = json!([
        {"column": "name", "property": "Name", "conflictPolicy": "PostgresWins"},
        {"column": "price", "property": "Price"},
    ]);
    let spec = json!({"direction": "ToNotion", "properties": properties});
    stage.bind_both_ways(&spec).await;
    stage.wait_name_in_notion(page, "Beta").await;
    stage
        .notion
        .edit(page, json!({"Name": title("Edited in Notion")}))
        .unwrap();
    stage.scan_again().await;
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Beta"));
    assert_eq!(stage.name_in_notion(page), "Edited in Notion");
    stage
        .wait_condition("projects", "InSync", "False", Some("DriftFound"))
        .await;
    // `Repair` puts the row's value back.
    let patch = r#"{"spec":{"driftPolicy":"Repair"}}"#;
    let patch = ["patch", "nsb", "projects", "--type=merge", "-p", patch];
    stage.scene.kubectl(&patch).await.unwrap().ok().unwrap();
    stage.wait_name_in_notion(page, "Beta").await;
}
