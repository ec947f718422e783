//! Whom an event at the shared path reaches: by credential, then by data source or link.

use notion_imitation::DataSourceSpec;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{SHARED, edited, legacy, own_path, signed, signed_with};
use crate::support::{Stage, VERIFICATION_TOKEN, eventually, title, usual_schema};

/// Which bindings have an event of this page, or data source, in their inbox.
async fn keepers(stage: &Stage, key: &str) -> Vec<String> {
    let query = format!(
        "SELECT coalesce(json_agg(split_part(owner, '/', 3) ORDER BY owner), '[]') \
         FROM notion_sync.inbox WHERE dedupe_key = '{key}'"
    );
    let text = stage.text(&query).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

fn id(event: &Value) -> &str {
    event["id"].as_str().unwrap()
}

/// Two bindings: `projects` with the stage's key, `others` with another data source and key.
async fn two_bindings() -> (Stage, Uuid, Uuid, Uuid) {
    let stage = Stage::set("routing").await;
    stage
        .sql("CREATE TABLE others (LIKE projects INCLUDING ALL)")
        .await;
    let second = stage
        .notion
        .create_data_source(DataSourceSpec::new("Others", usual_schema()));
    let second = second.unwrap().id;
    stage
        .scene
        .apply_secret("other-hook", &[("verification-token", "secret_b")])
        .await
        .unwrap();
    let mine = stage.linked("Mine").await;
    let theirs = stage
        .notion
        .create_page(second, json!({"Name": title("Theirs")}))
        .unwrap();
    stage
        .sql(&format!(
            "INSERT INTO others (\"notionPageId\") VALUES ('{theirs}')"
        ))
        .await;
    stage.bind_ready(&json!({})).await;
    let other = json!({"notion": {"dataSourceId": second}, "postgres": {"table": "others"},
        "webhook": {"verificationTokenSecretRef": {"name": "other-hook"}}});
    stage.bind("others", &other).await;
    stage.wait_condition("others", "Ready", "True", None).await;
    (stage, second, mine, theirs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_reaches_its_own_bindings_only() {
    let (stage, second, mine, theirs) = two_bindings().await;
    let event = edited(&stage, mine);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    assert_eq!(keepers(&stage, id(&event)).await, ["projects"]);
    let event = edited(&stage, theirs);
    assert_eq!(
        signed_with(&stage, "secret_b", SHARED, &event).await.said(),
        ("queued", "")
    );
    assert_eq!(keepers(&stage, id(&event)).await, ["others"]);
    // The first key says nothing about the second binding's pages, and the other way round.
    for (key, page) in [(VERIFICATION_TOKEN, theirs), ("secret_b", mine)] {
        let event = edited(&stage, page);
        let answer = signed_with(&stage, key, SHARED, &event).await;
        assert_eq!(answer.said(), ("unlinked", "NoBinding"));
        assert!(keepers(&stage, id(&event)).await.is_empty());
        let event = stage.notion.legacy_event(page);
        let answer = signed_with(&stage, key, SHARED, &event).await;
        assert_eq!(answer.said(), ("unlinked", "NoBinding"));
    }
    let own = own_path(&stage, "others");
    let event = edited(&stage, theirs);
    assert_eq!(
        signed_with(&stage, VERIFICATION_TOKEN, &own, &event)
            .await
            .code(401),
        "SignatureInvalid"
    );
    // At its own path, an event about another data source is nobody's and is not kept.
    let event = edited(&stage, mine);
    let answer = signed_with(&stage, "secret_b", &own, &event).await;
    assert_eq!(answer.said(), ("unlinked", "NoBinding"));
    assert!(keepers(&stage, id(&event)).await.is_empty());
    // Of the data source itself: by its id.
    let event = stage
        .notion
        .event("data_source.schema_updated", second, &[]);
    assert_eq!(
        signed(&stage, &event).await.said(),
        ("unlinked", "NoBinding")
    );
    assert_eq!(
        signed_with(&stage, "secret_b", SHARED, &event).await.said(),
        ("queued", "")
    );
    assert_eq!(keepers(&stage, id(&event)).await, ["others"]);
    let legacy_database = stage.notion.legacy_database_event(second);
    assert_eq!(
        signed(&stage, &legacy_database).await.said(),
        ("unlinked", "NoBinding")
    );
    let answer = signed_with(&stage, "secret_b", SHARED, &legacy_database).await;
    assert_eq!(answer.said(), ("queued", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_page_is_found_by_its_link_and_a_strangers_is_not() {
    let (stage, second, mine, _) = two_bindings().await;
    let stranger = stage
        .notion
        .create_page(second, json!({"Name": title("Stranger")}))
        .unwrap();
    // `page.moved` names only the new parent.
    stage.notion.move_page(mine, Some(second)).unwrap();
    let event = stage.notion.event("page.moved", mine, &[]);
    assert_eq!(
        event["data"]["parent"]["data_source_id"],
        json!(second),
        "{event}"
    );
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    assert_eq!(keepers(&stage, id(&event)).await, ["projects"]);
    let event = stage.notion.event("page.moved", stranger, &[]);
    assert_eq!(
        signed(&stage, &event).await.said(),
        ("unlinked", "NoBinding")
    );
    // A legacy event names no parent at all: the link decides, in any spelling of the id.
    let row = stage.linked("Linked").await;
    let plain = row.simple().to_string();
    let answer = signed(
        &stage,
        &legacy(row, Some("2026-01-01T00:00:00Z"), &json!({})),
    )
    .await;
    assert_eq!(answer.said(), ("queued", ""));
    let mut spelled = legacy(row, Some("2026-01-01T00:01:00Z"), &json!({}));
    spelled["object"]["id"] = plain.into();
    assert_eq!(signed(&stage, &spelled).await.said(), ("queued", ""));
    let unknown = legacy(Uuid::new_v4(), None, &json!({}));
    assert_eq!(
        signed(&stage, &unknown).await.said(),
        ("unlinked", "NoBinding")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bindings_that_match_get_the_event() {
    let stage = Stage::set("several").await;
    stage
        .sql("CREATE TABLE copies (LIKE projects INCLUDING ALL)")
        .await;
    let page = stage.linked("Alpha").await;
    stage
        .sql(&format!(
            "INSERT INTO copies (\"notionPageId\") VALUES ('{page}')"
        ))
        .await;
    // The same token, and the same value in a Secret of its own.
    let copy = [("verification-token", VERIFICATION_TOKEN)];
    stage
        .scene
        .apply_secret("copied-hook", &copy)
        .await
        .unwrap();
    stage.bind_ready(&json!({})).await;
    let copies = json!({"postgres": {"table": "copies"},
        "webhook": {"verificationTokenSecretRef": {"name": "copied-hook"}}});
    stage.bind("copies", &copies).await;
    stage.wait_condition("copies", "Ready", "True", None).await;
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = edited(&stage, page);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    assert_eq!(keepers(&stage, id(&event)).await, ["copies", "projects"]);
    stage.wait_cell(page, "name", Some("Beta")).await;
    eventually("the copy has it too", async || {
        let name = stage.text("SELECT name FROM copies").await;
        (name.as_deref() == Some("Beta")).then_some(())
    })
    .await;
    // Known to one, new to the other: what was kept is said.
    let event = edited(&stage, page);
    let own = own_path(&stage, "copies");
    let answer = signed_with(&stage, VERIFICATION_TOKEN, &own, &event).await;
    assert_eq!(answer.said(), ("queued", ""));
    assert_eq!(keepers(&stage, id(&event)).await, ["copies"]);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    assert_eq!(signed(&stage, &event).await.said(), ("duplicate", ""));
}
