//! The seed's rows one by one, as its receiver had them: path, challenge, dialects, mapping, times,
//! audit, unlinked pages.

use serde_json::{Value, json};
use sqlx::Row;

use super::{SHARED, edited, flood, legacy, own_path, raw, signed, signed_with, stored, unsigned};
use crate::support::{Stage, VERIFICATION_TOKEN, eventually, title};

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_as_it_is_and_nothing_is_stored() {
    let stage = Stage::set("challenge").await;
    stage.bind_ready(&json!({})).await;
    let own = own_path(&stage, "projects");
    for path in [SHARED, &own] {
        for text in ["x", "", "\"quoted\" \u{1f600}"] {
            let challenge = json!({"type": "webhook_challenge", "challenge": text});
            let answer = unsigned(&stage, path, &challenge).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, json!({"challenge": text}), "{path}");
        }
        // Also where a signature is sent that cannot be right yet.
        let challenge = json!({"type": "webhook_challenge", "challenge": "x"});
        let answer = signed_with(&stage, "wrong", path, &challenge).await;
        assert_eq!(answer.body, json!({"challenge": "x"}), "{path}");
    }
    assert_eq!(stored(&stage).await, 0);
}

/// Makes an event of one dialect.
type Event<'a> = Box<dyn Fn() -> Value + Send + Sync + 'a>;

#[tokio::test(flavor = "multi_thread")]
async fn all_three_dialects_bring_an_edit_to_the_row() {
    let stage = Stage::set("dialects").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let own = own_path(&stage, "projects");
    let dialects: [(&str, Event<'_>); 3] = [
        ("envelope", Box::new(|| edited(&stage, page))),
        ("legacy", Box::new(|| stage.notion.legacy_event(page))),
        (
            "automation",
            Box::new(|| stage.notion.automation_event(page, None)),
        ),
    ];
    for (index, (name, event)) in dialects.iter().enumerate() {
        for (turn, path) in [SHARED, &own].into_iter().enumerate() {
            // Each edit in a minute of its own: the seed's rule knows no finer time.
            let minute = index * 2 + turn;
            stage.notion.advance(std::time::Duration::from_mins(1));
            let text = format!("{name} {minute}");
            stage
                .notion
                .edit(page, json!({"Name": title(&text)}))
                .unwrap();
            let answer = signed_with(&stage, VERIFICATION_TOKEN, path, &event()).await;
            assert_eq!(answer.said(), ("queued", ""), "{name} at {path}");
            stage.wait_cell(page, "name", Some(&text)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_content_and_life_are_taken_too() {
    let stage = Stage::set("kinds").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    for kind in [
        "page.content_updated",
        "page.created",
        "page.deleted",
        "page.undeleted",
        "page.moved",
        "page.locked",
        "data_source.schema_updated",
        "data_source.content_updated",
        "data_source.deleted",
        "comment.created",
    ] {
        let of_source = kind.starts_with("data_source");
        let entity = if of_source { stage.source } else { page };
        let event = stage.notion.event(kind, entity, &[]);
        assert_eq!(
            signed(&stage, &event).await.said(),
            ("queued", ""),
            "{kind}"
        );
    }
    eventually("all are settled", async || {
        let open = "SELECT count(*) FROM notion_sync.inbox WHERE state = 'pending'";
        (stage.count(open).await == 0).then_some(())
    })
    .await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_event_starts_a_schema_check_and_a_pass() {
    let stage = Stage::set("schema").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let source = stage.source;
    let database = stage.notion.data_source(source)["parent"]["database_id"].clone();
    let mut events = vec![
        stage.notion.legacy_database_event(source),
        stage
            .notion
            .event("data_source.schema_updated", source, &[]),
    ];
    if let Some(id) = database.as_str() {
        let event = json!({"id": uuid::Uuid::new_v4(), "type": "database.schema_updated",
            "entity": {"id": id, "type": "database"},
            "data": {"parent": {"id": id, "type": "database", "data_source_id": source}}});
        events.push(event);
    }
    for (turn, event) in events.iter().enumerate() {
        // An edit that no event announces, and a rename: the pass finds the one, the check the other.
        let (text, name) = (format!("Edit {turn}"), format!("Name {turn}"));
        let before = if turn == 0 {
            "Name".to_owned()
        } else {
            format!("Name {}", turn - 1)
        };
        stage
            .notion
            .rename_property(source, &before, &name)
            .unwrap();
        stage
            .notion
            .edit(page, json!({&name: title(&text)}))
            .unwrap();
        assert_eq!(
            signed(&stage, event).await.said(),
            ("queued", ""),
            "{event}"
        );
        stage.wait_cell(page, "name", Some(&text)).await;
        eventually("the rename is followed", async || {
            let binding = stage.binding("projects").await;
            let seen = &binding["status"]["notion"]["properties"][0]["propertyName"];
            (seen == &json!(name)).then_some(())
        })
        .await;
    }
    let query = "SELECT count(*) FROM audit_logs WHERE action = 'notion_webhook' \
                 AND resource_type = 'notion_database'";
    assert_eq!(
        stage.count(query).await,
        i64::try_from(events.len()).unwrap()
    );
    let id = stage.text(
        "SELECT DISTINCT resource_id FROM audit_logs \
                         WHERE resource_type = 'notion_database'",
    );
    assert_eq!(id.await, Some(source.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_row_wins_where_it_is_newer_and_nothing_is_written_where_nothing_differs() {
    let stage = Stage::set("newest").await;
    let newer = stage.linked("Notion").await;
    let older = stage.linked("Notion").await;
    let set = |page, time| {
        format!(
            "UPDATE projects SET name = 'Postgres', \"updatedAt\" = {time} \
                 WHERE \"notionPageId\" = '{page}'"
        )
    };
    stage.sql(&set(newer, "now() + interval '1 hour'")).await;
    stage.sql(&set(older, "now() - interval '1 day'")).await;
    stage.bind_ready(&json!({})).await;
    stage.wait_cell(older, "name", Some("Notion")).await;
    assert_eq!(stage.cell(newer, "name").await.as_deref(), Some("Postgres"));
    // S9: an event about what is the same already writes nothing.
    let version = "SELECT xmin::text || ctid::text FROM projects WHERE \"notionPageId\" = ";
    let version = format!("{version}'{older}'");
    let before = stage.text(&version).await;
    assert_eq!(
        signed(&stage, &stage.notion.legacy_event(older))
            .await
            .said(),
        ("queued", "")
    );
    let result = eventually("audited", async || {
        stage.audited("notion_webhook", older).await
    })
    .await;
    assert_eq!(result["outcome"], "Unchanged");
    assert_eq!(result["changes"], json!([]));
    assert_eq!(stage.text(&version).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_row_is_an_orphan_and_stays_one() {
    let stage = Stage::set("orphan").await;
    stage.linked("Alpha").await;
    let orphan = stage
        .notion
        .create_page(stage.source, json!({"Name": title("Nobody's")}));
    let orphan = orphan.unwrap();
    stage.bind_ready(&json!({})).await;
    // Known from the first scan: its events are taken even where they name no place.
    let event = stage.notion.legacy_event(orphan);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    let result = eventually("audited", async || {
        stage.audited("notion_webhook", orphan).await
    })
    .await;
    assert_eq!(result["outcome"], "Unlinked", "{result}");
    assert_eq!(result["changes"], json!([]));
    // Made while the operator runs: announced by a real event.
    let second = stage
        .notion
        .create_page(stage.source, json!({"Name": title("New")}))
        .unwrap();
    let event = stage.notion.event("page.created", second, &[]);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    let result = eventually("audited", async || {
        stage.audited("notion_webhook", second).await
    })
    .await;
    assert_eq!(result["outcome"], "Unlinked", "{result}");
    eventually("both are counted", async || {
        let binding = stage.binding("projects").await;
        (binding["status"]["drift"]["orphanedPages"] == 2).then_some(())
    })
    .await;
    let health = stage.health().await;
    let listed = health["bindings"][0]["orphanedPages"]
        .as_array()
        .unwrap()
        .clone();
    for page in [orphan, second] {
        assert!(listed.contains(&json!(page.to_string())), "{health}");
    }
    let rows = "SELECT count(*) FROM projects WHERE name IS DISTINCT FROM 'Alpha'";
    assert_eq!(stage.count(rows).await, 0);
    assert_eq!(
        stage.binding("projects").await["status"]["drift"]["count"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_query_works_as_written() {
    let stage = Stage::set("query").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let body = legacy(page, Some("2026-01-01T00:00:00Z"), &json!({"Name": null}));
    assert_eq!(signed(&stage, &body).await.said(), ("queued", ""));
    eventually("audited", async || {
        stage.audited("notion_webhook", page).await
    })
    .await;
    let rows = sqlx::query(
        "SELECT * FROM audit_logs WHERE action='notion_webhook' ORDER BY created_at DESC LIMIT 100",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(row.get::<String, _>("action"), "notion_webhook");
    assert_eq!(row.get::<String, _>("resource_type"), "notion_page");
    assert_eq!(row.get::<String, _>("resource_id"), page.to_string());
    assert_eq!(row.get::<Value, _>("details")["event"], body);
    let age = "SELECT created_at > now() - interval '5 minutes' FROM audit_logs";
    assert_eq!(stage.text(age).await.as_deref(), Some("true"));
    assert!(row.try_get::<uuid::Uuid, _>("id").is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_not_limited_by_rate() {
    let stage = Stage::set("rate").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let events = (0..300).map(|_| edited(&stage, page).to_string()).collect();
    for answer in flood(&stage, events).await {
        assert_eq!(answer.said(), ("queued", ""));
    }
    assert_eq!(stored(&stage).await, 300);
    // Events that wait together are settled by few reads.
    eventually("all are settled", async || {
        let open = "SELECT count(*) FROM notion_sync.inbox WHERE state = 'pending'";
        (stage.count(open).await == 0).then_some(())
    })
    .await;
    let reads = stage
        .notion
        .requests()
        .iter()
        .filter(|one| one.operation == "pages.retrieve")
        .count();
    assert!(reads < 100, "{reads} reads for 300 events of one page");
    let reply = raw(&stage, b"GET /api/webhooks/notion HTTP/1.0\r\n\r\n").await;
    assert!(reply.contains(" 405 "), "{reply}");
}
