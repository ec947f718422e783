//! Reading Notion at its limits: windows past the row cap, dense minutes, refused cursors, cut text.

use jiff::Timestamp;
use notion_imitation::{BulkSpec, PageSpec};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{eventually, title};
use crate::table::{ColumnSpec, Things};

const COLUMNS: &[ColumnSpec] = &[("name", "text", "Name"), ("notes", "text", "Notes")];

pub(crate) async fn stage(topic: &str) -> Things {
    let schema = json!({"Name": {"title": {}}, "Notes": {"rich_text": {}}});
    Things::set(topic, schema, COLUMNS, "").await
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Pages `Page <n>`, created `step_ms` apart.
pub(crate) fn bulk(
    things: &Things,
    first: u32,
    count: u32,
    created: &str,
    step_ms: i64,
) -> Vec<Uuid> {
    let spec = BulkSpec {
        data_source: things.source,
        count,
        properties: json!({"Name": title("Page {n}")}),
        first,
        created_time: Some(at(created)),
        step_ms,
    };
    things.stage.notion.bulk(&spec).unwrap()
}

/// A row for each of the pages.
pub(crate) async fn rows(things: &Things, pages: &[Uuid]) {
    for chunk in pages.chunks(5000) {
        let ids: Vec<_> = chunk.iter().map(|page| format!("('{page}')")).collect();
        let insert = format!(
            "INSERT INTO things (\"notionPageId\") VALUES {}",
            ids.join(", ")
        );
        things.stage.sql(&insert).await;
    }
}

pub(crate) async fn named(things: &Things) -> i64 {
    things
        .stage
        .count("SELECT count(DISTINCT name) FROM things")
        .await
}

pub(crate) async fn status(things: &Things) -> Value {
    things.stage.binding("things").await["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capped_source_is_read_by_windows() {
    let things = stage("scan-windows").await;
    things
        .stage
        .notion
        .switch(|switches| switches.query_cap = 200);
    let mut pages = bulk(&things, 0, 700, "2026-11-01T08:00:00Z", 1000);
    // 400 pages of one minute, which only their edits tell apart.
    for n in 0..400_i64 {
        let edited = at("2026-11-03T08:00:00Z") + jiff::SignedDuration::from_secs(n * 6);
        let spec = PageSpec {
            data_source: Some(things.source),
            properties: json!({"Name": title(&format!("Crowd {n}"))}),
            created_time: Some(at("2026-11-02T08:00:00Z")),
            last_edited_time: Some(edited),
            ..PageSpec::default()
        };
        pages.push(things.stage.notion.add_page(&spec).unwrap());
    }
    pages.extend(bulk(&things, 1000, 400, "2026-11-04T08:00:00Z", 500));
    rows(&things, &pages).await;
    things.bind(&things.spec(&json!({}))).await;
    assert_eq!(named(&things).await, 1500);
    things
        .stage
        .wait_condition("things", "ScanComplete", "True", Some("Complete"))
        .await;
    let status = status(&things).await;
    assert_eq!(
        status["counts"],
        json!({"pages": 1500, "rows": 1500, "linked": 1500})
    );
    assert_eq!(status["drift"]["count"], 0);
    // Every answer of a capped window said so, and the first window was not taken for the end.
    let windows = things
        .stage
        .notion
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/query"))
        .count();
    assert!(
        windows > 15,
        "{windows} queries cannot hold 1,500 pages of which 200 are shown"
    );
    things.expect_rest("windows").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_that_is_too_dense_proves_nothing_absent() {
    let things = stage("scan-dense").await;
    things
        .stage
        .notion
        .switch(|switches| switches.query_cap = 100);
    let mut pages = bulk(&things, 0, 150, "2026-11-01T08:00:00Z", 0);
    pages.extend(bulk(&things, 150, 150, "2026-11-02T08:00:00Z", 1000));
    let trashed = pages.pop().unwrap();
    rows(&things, &pages).await;
    rows(&things, &[trashed]).await;
    things.stage.notion.trash(trashed).unwrap();
    let object = world::manifests::binding(
        things.stage.scene.name(),
        "things",
        &things.spec(&json!({})),
    );
    things.stage.scene.apply(&object).await.unwrap();
    let condition = things
        .stage
        .wait_condition("things", "ScanComplete", "False", Some("WindowTooDense"))
        .await;
    assert!(!condition["message"].as_str().unwrap().is_empty());
    // All that could be read is used: 100 of the dense minute and everything after it.
    eventually("what was read has landed", async || {
        (things.stage.count("SELECT count(name) FROM things").await == 249).then_some(())
    })
    .await;
    let status = status(&things).await;
    assert_eq!(status["drift"]["missingPages"], 0, "{status}");
    assert_eq!(status["drift"]["orphanedPages"], 0, "{status}");
    things
        .stage
        .wait_condition("things", "Ready", "True", None)
        .await;
    assert_eq!(
        things.stage.condition("things", "Ready").await["status"],
        "True"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_incremental_read_is_never_taken_for_the_end() {
    let things = stage("scan-edits").await;
    let pages = bulk(&things, 0, 150, "2026-11-01T08:00:00Z", 60_000);
    rows(&things, &pages).await;
    things.bind(&things.spec(&json!({}))).await;
    assert_eq!(named(&things).await, 150);
    things
        .stage
        .notion
        .switch(|switches| switches.query_cap = 50);
    for (n, page) in pages.iter().enumerate() {
        things.edit(*page, json!({"Name": title(&format!("Edited {n}"))}));
    }
    things.pass().await;
    eventually("every edit has landed", async || {
        let query = "SELECT count(*) FROM things WHERE name LIKE 'Edited %'";
        (things.stage.count(query).await == 150).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_cursor_starts_its_window_again() {
    let things = stage("scan-cursor").await;
    let pages = bulk(&things, 0, 500, "2026-11-01T08:00:00Z", 1000);
    rows(&things, &pages).await;
    things.stage.notion.switch(|switches| {
        switches.reject_cursor_after = 2;
        switches.latency_ms = 200;
    });
    let object = world::manifests::binding(
        things.stage.scene.name(),
        "things",
        &things.spec(&json!({})),
    );
    things.stage.scene.apply(&object).await.unwrap();
    let refused = || {
        let requests = things.stage.notion.requests();
        requests
            .iter()
            .any(|request| request.path.ends_with("/query") && request.status == 400)
    };
    eventually("a cursor is refused", async || refused().then_some(())).await;
    things
        .stage
        .notion
        .switch(|switches| switches.reject_cursor_after = 0);
    things
        .stage
        .wait_condition("things", "ScanComplete", "True", Some("Complete"))
        .await;
    assert_eq!(named(&things).await, 500);
    assert_eq!(status(&things).await["counts"]["pages"], 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_answers_cut_short_is_read_whole() {
    let things = stage("scan-text").await;
    let person = things.stage.notion.person();
    let long: Vec<_> = (0..60)
        .map(|n| json!({"text": {"content": format!("segment {n} ")}, "annotations": {"bold": n % 2 == 0}}))
        .collect();
    let mentions: Vec<_> = (0..40)
        .map(|n| {
            let user = things
                .stage
                .notion
                .add_person(&format!("Person {n}"), &format!("p{n}@x.example"));
            json!({"mention": {"user": {"id": user}}})
        })
        .collect();
    things
        .stage
        .notion
        .switch(|switches| switches.truncate_text_segments = 25);
    let segments = things.page(json!({"Name": {"title": long}})).await;
    let mentioned = things.page(json!({"Name": {"title": mentions}})).await;
    let short = things
        .page(json!({"Name": {"title": [{"mention": {"user": {"id": person}}}]}}))
        .await;
    things.bind(&things.spec(&json!({}))).await;
    let whole: Vec<_> = (0..60).map(|n| format!("segment {n} ")).collect();
    let whole = whole.concat();
    assert_eq!(
        things.cells(segments).await[0].as_deref(),
        Some(whole.as_str())
    );
    let names = things.cells(mentioned).await[0].clone().unwrap();
    assert!(
        names.contains("Person 0") && names.contains("Person 39"),
        "{names}"
    );
    assert!(
        things.cells(short).await[0]
            .as_deref()
            .is_some_and(|text| !text.is_empty())
    );
    things.expect_rest("cut text").await;
}
