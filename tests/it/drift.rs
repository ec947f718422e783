//! What is out of step, as status and the admin API count and show it, and what a link is.

use serde_json::{Value, json};
use uuid::Uuid;
use world::manifests::{binding, minimal_spec};

use crate::support::{Stage, eventually, title};
use crate::table::{ColumnSpec, Things};

const COLUMNS: &[ColumnSpec] = &[("name", "text", "Name"), ("price", "smallint", "Price")];

async fn stage(topic: &str) -> Things {
    let schema = json!({"Name": {"title": {}}, "Price": {"number": {}}});
    Things::set(topic, schema, COLUMNS, "").await
}

fn page(name: &str, price: i64) -> Value {
    json!({"Name": title(name), "Price": {"number": price}})
}

async fn status(things: &Things) -> Value {
    things.stage.binding("things").await["status"].clone()
}

async fn linked(things: &Things) -> Value {
    status(things).await["counts"]["linked"].clone()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one state, looked at from every side"
)]
async fn the_arithmetic_of_drift() {
    let things = stage("drift-sum").await;
    let drifts = things.page(page("canary-notion-value", 1)).await;
    let _fails = things.page(page("fails", 40_000)).await;
    let trashed = things.page(page("trashed", 3)).await;
    let orphan = things
        .stage
        .notion
        .create_page(things.source, page("orphan", 4))
        .unwrap();
    things
        .stage
        .sql("INSERT INTO things (name) VALUES ('unlinked'), ('unlinked too')")
        .await;
    things.bind(&things.spec(&json!({}))).await;
    things.stage.notion.trash(trashed).unwrap();
    things
        .stage
        .sql(&format!(
            "UPDATE things SET name = 'canary-row-value', price = 9
             WHERE \"notionPageId\" = '{drifts}'"
        ))
        .await;
    things.full_scan().await;
    let status = status(&things).await;
    let drift = &status["drift"];
    // Two mismatched fields, one failed field, one missing page; the rest stands beside it.
    for (name, count) in [
        ("mismatched", 2),
        ("failed", 1),
        ("missingPages", 1),
        ("conflicts", 0),
        ("orphanedPages", 1),
        ("unlinkedRows", 2),
        ("count", 4),
    ] {
        assert_eq!(drift[name], count, "{name} in {drift}");
    }
    assert_eq!(drift["held"]["count"], 0, "{drift}");
    assert_eq!(
        status["counts"],
        json!({"pages": 3, "rows": 5, "linked": 3}),
        "{status}"
    );
    assert!(!drift["checkedAt"].is_null(), "{drift}");
    things
        .stage
        .wait_condition("things", "InSync", "False", Some("DriftFound"))
        .await;

    let samples = drift["samples"].as_array().unwrap();
    let mut kinds: Vec<_> = samples
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "Failed",
            "Mismatch",
            "Mismatch",
            "MissingPage",
            "OrphanedPage",
            "UnlinkedRow",
            "UnlinkedRow"
        ]
    );
    let mismatch = samples
        .iter()
        .find(|one| one["kind"] == "Mismatch")
        .unwrap();
    assert_eq!(mismatch["pageId"], drifts.to_string());
    assert_eq!(mismatch["rowKey"], "1", "an integer key is shown in clear");
    let allowed = ["pageId", "rowKey", "column", "kind"];
    for sample in samples {
        let known = sample
            .as_object()
            .unwrap()
            .keys()
            .all(|key| allowed.contains(&key.as_str()));
        assert!(known, "keys only: {sample}");
    }
    assert!(
        !status.to_string().contains("canary"),
        "no value in status: {status}"
    );

    // The static token may see both values.
    let health = things.stage.health().await;
    let shown = &health["bindings"][0];
    let name = shown["discrepancies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["kind"] == "Mismatch" && one["column"] == "name")
        .unwrap();
    assert_eq!(
        (&name["notion"], &name["postgres"]),
        (&json!("canary-notion-value"), &json!("canary-row-value")),
        "{name}"
    );
    assert_eq!(shown["orphanedPages"], json!([orphan.to_string()]));
    assert_eq!(shown["drift"]["count"], 4);
    assert_eq!(shown["health"], "Degraded");
    things.expect_rest("drift").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_keys_are_shown_as_hashes() {
    let things = stage("drift-key").await;
    let page = things
        .stage
        .notion
        .create_page(things.source, page("here", 1))
        .unwrap();
    things
        .stage
        .sql(&format!(
            "CREATE TABLE keyed (mail text, part integer, page uuid, name text, PRIMARY KEY (mail, part));
             INSERT INTO keyed VALUES ('canary@example.org', 7, '{page}', 'there')"
        ))
        .await;
    let mut spec = minimal_spec(&things.source.to_string(), "keyed", &[("name", "Name")]);
    spec["postgres"]["pageIdColumn"] = "page".into();
    spec["conflictPolicy"] = "PostgresWins".into();
    let object = binding(things.stage.scene.name(), "keyed", &spec);
    things.stage.scene.apply(&object).await.unwrap();
    things
        .stage
        .wait_condition("keyed", "InSync", "False", Some("DriftFound"))
        .await;
    let status = &things.stage.binding("keyed").await["status"];
    // printf 'canary@example.org\x1f7' | sha256sum | cut -c-12
    let query =
        "SELECT left(encode(sha256(convert_to(E'canary@example.org\\x1f7', 'UTF8')), 'hex'), 12)";
    let expected = things.stage.text(query).await.unwrap();
    assert_eq!(
        status["drift"]["samples"][0]["rowKey"], expected,
        "{status}"
    );
    assert!(!status.to_string().contains("canary"), "{status}");
    let health = things.stage.health().await;
    assert_eq!(
        health["bindings"][0]["discrepancies"][0]["rowKey"], expected,
        "{health}"
    );
    assert!(!health.to_string().contains("canary@"), "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rows_with_one_page_id_are_both_left_alone() {
    let things = stage("drift-twice").await;
    things
        .stage
        .sql("ALTER TABLE things DROP CONSTRAINT \"things_notionPageId_key\"")
        .await;
    let twice = things.page(page("twice", 1)).await;
    let once = things.page(page("once", 2)).await;
    let other_spelling = twice.simple().to_string().to_uppercase();
    things
        .stage
        .sql(&format!(
            "INSERT INTO things (\"notionPageId\") VALUES ('{other_spelling}')"
        ))
        .await;
    things.bind(&things.spec(&json!({}))).await;
    assert_eq!(
        things
            .stage
            .count("SELECT count(*) FROM things WHERE name IS NULL")
            .await,
        2
    );
    assert_eq!(things.cells(once).await[0].as_deref(), Some("once"));
    let reason = format!(
        "SELECT reason FROM notion_sync.discrepancies WHERE page_id = '{twice}' AND kind = 'Failed'"
    );
    assert_eq!(
        things.stage.text(&reason).await.as_deref(),
        Some("DuplicateLink")
    );
    assert_eq!(status(&things).await["drift"]["count"], 1);
    things.expect_rest("duplicate").await;
    things
        .stage
        .sql(&format!(
            "DELETE FROM things WHERE \"notionPageId\" = '{other_spelling}'"
        ))
        .await;
    things.full_scan().await;
    assert_eq!(things.cells(twice).await[0].as_deref(), Some("twice"));
    assert_eq!(status(&things).await["drift"]["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_link_takes_its_base_along_and_a_cleared_one_drops_it() {
    let things = stage("drift-link").await;
    let page = things.page(page("first", 1)).await;
    things
        .stage
        .sql("INSERT INTO things (name, price) VALUES ('second', 2)")
        .await;
    things
        .bind(&things.spec(&json!({"conflictPolicy": "NotionWins"})))
        .await;
    let move_to = |row: i32| {
        format!(
            "UPDATE things SET \"notionPageId\" = NULL;
        UPDATE things SET \"notionPageId\" = '{page}' WHERE id = {row}"
        )
    };
    things.stage.sql(&move_to(2)).await;
    things.full_scan().await;
    // With its base the page did not move and the row did: drift. Without one Notion would win.
    let cells = things.cells(page).await;
    assert_eq!(cells, [Some("second".to_owned()), Some("2".to_owned())]);
    let seen = status(&things).await;
    assert_eq!(seen["drift"]["mismatched"], 2, "{seen}");
    assert_eq!(seen["counts"]["linked"], 1);
    things.expect_rest("moved").await;
    // Cleared: no pair, no drift, an orphan; the row keeps its values.
    things
        .stage
        .sql("UPDATE things SET \"notionPageId\" = NULL")
        .await;
    things.full_scan().await;
    assert_eq!(linked(&things).await, 0);
    let seen = status(&things).await;
    assert_eq!(
        (&seen["drift"]["count"], &seen["drift"]["orphanedPages"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        things
            .stage
            .count("SELECT count(*) FROM notion_sync.pairs")
            .await,
        0
    );
    assert_eq!(
        things
            .stage
            .text("SELECT name FROM things WHERE id = 2")
            .await
            .as_deref(),
        Some("second")
    );
    // Linked again it is a first contact.
    things.stage.sql(&move_to(2)).await;
    things.full_scan().await;
    let cells = things.cells(page).await;
    assert_eq!(cells, [Some("first".to_owned()), Some("1".to_owned())]);
    assert_eq!(status(&things).await["drift"]["count"], 0);
}

/// Binds a table of this name, whose page id column has this type and holds these ids and a NULL.
async fn spelled(stage: &Stage, source: Uuid, kind: &str, name: &str, ids: &[String]) {
    let values: Vec<_> = ids.iter().map(|id| format!("('{id}')")).collect();
    stage
        .sql(&format!(
            "CREATE TABLE {name} (id serial PRIMARY KEY, \"Page\" {kind}, name text);
             INSERT INTO {name} (\"Page\") VALUES {}, (NULL)",
            values.join(", ")
        ))
        .await;
    let mut spec = minimal_spec(&source.to_string(), name, &[("name", "Name")]);
    spec["postgres"]["pageIdColumn"] = "Page".into();
    let name = name.replace('_', "-");
    let object = binding(stage.scene.name(), &name, &spec);
    stage.scene.apply(&object).await.unwrap();
    stage.wait_condition(&name, "Ready", "True", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_ids_are_found_in_every_spelling_and_type() {
    let things = stage("drift-spelling").await;
    let stage = &things.stage;
    let pages: Vec<Uuid> = (0..5)
        .map(|n| {
            let id: Uuid = format!("abcdef0{n}-00aa-4bbb-8ccc-00000000000{n}")
                .parse()
                .unwrap();
            let spec = notion_imitation::PageSpec {
                id: Some(id),
                data_source: Some(things.source),
                properties: page(&format!("page {n}"), n),
                ..notion_imitation::PageSpec::default()
            };
            stage.notion.add_page(&spec).unwrap()
        })
        .collect();
    let spellings = [
        pages[0].to_string(),
        pages[1].to_string().to_uppercase(),
        pages[2].simple().to_string(),
        pages[3].simple().to_string().to_uppercase(),
        pages[4].to_string().replacen("abc", "aBc", 1),
    ];
    for (kind, name) in [
        ("text", "as_text"),
        ("varchar(36)", "as_varchar"),
        ("uuid", "as_uuid"),
        ("page_ref", "as_domain"),
    ] {
        if kind == "page_ref" {
            stage.sql("CREATE DOMAIN page_ref AS text").await;
        }
        spelled(stage, things.source, kind, name, &spellings).await;
        let query = format!("SELECT string_agg(name, ',' ORDER BY id) FROM {name}");
        eventually(&format!("{kind}: {query}"), async || {
            let names = stage.text(&query).await;
            (names.as_deref() == Some("page 0,page 1,page 2,page 3,page 4")).then_some(())
        })
        .await;
        // The column itself is never rewritten.
        let first = stage
            .text(&format!("SELECT \"Page\" FROM {name} WHERE id = 5"))
            .await;
        let kept = if kind == "uuid" {
            pages[4].to_string()
        } else {
            spellings[4].clone()
        };
        assert_eq!(first, Some(kept));
        let counts = &stage.binding(&name.replace('_', "-")).await["status"]["counts"];
        assert_eq!(
            *counts,
            json!({"pages": 5, "rows": 6, "linked": 5}),
            "{kind}"
        );
    }
}
