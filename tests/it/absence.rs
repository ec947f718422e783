//! Pages that are no longer there: what a complete scan makes of them, and what it leaves alone.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{eventually, title};
use crate::table::{ColumnSpec, Things};

const COLUMNS: &[ColumnSpec] = &[("name", "text", "Name")];

async fn stage(topic: &str) -> Things {
    Things::set(topic, json!({"Name": {"title": {}}}), COLUMNS, "").await
}

async fn page(things: &Things, name: &str) -> Uuid {
    things.page(json!({"Name": title(name)})).await
}

async fn drift(things: &Things) -> Value {
    things.stage.binding("things").await["status"]["drift"].clone()
}

async fn how(things: &Things, page: Uuid) -> Option<String> {
    let query = format!(
        "SELECT reason FROM notion_sync.discrepancies
         WHERE page_id = '{page}' AND kind = 'MissingPage'"
    );
    things.stage.text(&query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_pages_are_told_apart_and_nothing_is_emptied() {
    let things = stage("absence").await;
    let names = [
        "trashed", "moved", "unshared", "purged", "archived", "alive",
    ];
    let mut pages = Vec::new();
    for name in names {
        pages.push(page(&things, name).await);
    }
    let loose = things
        .stage
        .notion
        .create_page(things.source, json!({"Name": title("loose")}));
    let loose = loose.unwrap();
    things.bind(&things.spec(&json!({}))).await;
    let notion = &things.stage.notion;
    notion.trash(pages[0]).unwrap();
    notion
        .move_page(pages[1], Some(things.stage.source))
        .unwrap();
    notion.unshare(pages[2], None).unwrap();
    notion.purge(pages[3]).unwrap();
    notion.archive(pages[4], true).unwrap();
    notion.trash(loose).unwrap();
    things.full_scan().await;
    let found = [
        how(&things, pages[0]).await,
        how(&things, pages[1]).await,
        how(&things, pages[2]).await,
        how(&things, pages[3]).await,
        how(&things, pages[4]).await,
        how(&things, pages[5]).await,
    ];
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(
        found,
        [
            Some("Trashed"),
            Some("MovedAway"),
            Some("Unreachable"),
            Some("Unreachable"),
            None,
            None
        ]
    );
    let seen = drift(&things).await;
    assert_eq!(
        (
            &seen["missingPages"],
            &seen["count"],
            &seen["orphanedPages"]
        ),
        (&json!(4), &json!(4), &json!(0)),
        "{seen}"
    );
    // Every row is there with its value and its link.
    for (page, name) in pages.iter().zip(names) {
        assert_eq!(things.cells(*page).await[0].as_deref(), Some(name));
    }
    let counts = &things.stage.binding("things").await["status"]["counts"];
    assert_eq!(*counts, json!({"pages": 2, "rows": 6, "linked": 6}));
    things.expect_rest("missing").await;
    // An archived page lives: its edits arrive.
    things.edit(pages[4], json!({"Name": title("archived and edited")}));
    things.full_scan().await;
    assert_eq!(
        things.cells(pages[4]).await[0].as_deref(),
        Some("archived and edited")
    );
    // What comes back is in step again.
    notion.restore(pages[0]).unwrap();
    notion.move_page(pages[1], Some(things.source)).unwrap();
    notion.share(pages[2], None).unwrap();
    things.full_scan().await;
    assert_eq!(
        drift(&things).await["missingPages"],
        1,
        "only the purged one is gone for good"
    );
    things.edit(pages[0], json!({"Name": title("restored and edited")}));
    things.pass().await;
    assert_eq!(
        things.cells(pages[0]).await[0].as_deref(),
        Some("restored and edited")
    );
}

/// Trashes the data source and asks for a pass; every page below must stay as it was.
async fn trash_source(topic: &str, quietly: bool) {
    let things = stage(topic).await;
    let linked = page(&things, "linked").await;
    let orphan = things
        .stage
        .notion
        .create_page(things.source, json!({"Name": title("orphan")}));
    orphan.unwrap();
    things
        .bind(&things.spec(&json!({"interval": "10s", "fullScanInterval": "1m"})))
        .await;
    things.stage.notion.switch(|switches| {
        switches.trash_covers_pages = quietly;
        switches.trashed_query_is_empty = quietly;
    });
    things
        .stage
        .notion
        .trash_data_source(things.source, true)
        .unwrap();
    things
        .annotate("fullScanRequestedAt", "while-trashed")
        .await;
    things
        .stage
        .wait_condition(
            "things",
            "NotionReachable",
            "False",
            Some("DataSourceTrashed"),
        )
        .await;
    let seen = drift(&things).await;
    assert_eq!(
        (&seen["missingPages"], &seen["orphanedPages"]),
        (&json!(0), &json!(1)),
        "{seen}"
    );
    assert_eq!(how(&things, linked).await, None);
    assert_eq!(things.cells(linked).await[0].as_deref(), Some("linked"));
    things
        .stage
        .notion
        .trash_data_source(things.source, false)
        .unwrap();
    things
        .stage
        .wait_condition("things", "Ready", "True", None)
        .await;
    things.edit(linked, json!({"Name": title("restored")}));
    eventually("the edit arrives", async || {
        (things.cells(linked).await[0].as_deref() == Some("restored")).then_some(())
    })
    .await;
    assert_eq!(drift(&things).await["missingPages"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_trashed_data_source_nothing_is_classified() {
    trash_source("absence-source", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_where_the_trashed_data_source_answers_with_no_rows() {
    trash_source("absence-empty", true).await;
}
