//! The audit rows of events: one for each distinct event and binding, with every key.

use serde_json::{Value, json};

use super::{edited, legacy, signed};
use crate::support::{Stage, eventually, title};

/// Details of the audit rows about events of this page, oldest first.
async fn rows(stage: &Stage, resource: &str) -> Vec<Value> {
    let query = format!(
        "SELECT coalesce(jsonb_agg(details ORDER BY created_at), '[]') FROM audit_logs \
         WHERE action = 'notion_webhook' AND resource_id = '{resource}'"
    );
    let exists = stage
        .text("SELECT to_regclass('audit_logs')")
        .await
        .is_some();
    let text = if exists {
        stage.text(&query).await
    } else {
        None
    };
    text.map(|text| serde_json::from_str(&text).unwrap())
        .unwrap_or_default()
}

fn sorted_keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_for_each_event_and_binding_and_none_for_a_redelivery() {
    let stage = Stage::set("audit").await;
    stage
        .sql("CREATE TABLE second (LIKE projects INCLUDING ALL)")
        .await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    stage
        .bind("second", &json!({"postgres": {"table": "second"}}))
        .await;
    stage.wait_condition("second", "Ready", "True", None).await;
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = edited(&stage, page);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    let mut again = event.clone();
    again["attempt_number"] = 2.into();
    assert_eq!(signed(&stage, &again).await.said(), ("duplicate", ""));
    let resource = page.to_string();
    let found = eventually("both bindings wrote theirs", async || {
        let found = rows(&stage, &resource).await;
        (found.len() == 2).then_some(found)
    })
    .await;
    for details in &found {
        assert_eq!(sorted_keys(details), ["event", "result"]);
        assert_eq!(details["event"], event);
        assert_eq!(
            sorted_keys(&details["result"]),
            ["binding", "changes", "outcome", "reason"]
        );
        let binding = details["result"]["binding"].as_str().unwrap();
        let linked = binding == format!("{}/projects", stage.scene.name());
        assert!(
            linked || binding == format!("{}/second", stage.scene.name()),
            "{binding}"
        );
        let outcome = if linked { "Applied" } else { "Unlinked" };
        assert_eq!(details["result"]["outcome"], outcome, "{details}");
    }
    assert_eq!(signed(&stage, &again).await.said(), ("duplicate", ""));
    let next = edited(&stage, page);
    assert_eq!(signed(&stage, &next).await.said(), ("queued", ""));
    eventually("the next event is settled", async || {
        (rows(&stage, &resource).await.len() == 4).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_tells_what_changed_and_what_was_overwritten() {
    let stage = Stage::set("details").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    stage
        .sql("UPDATE projects SET name = 'Mine', \"updatedAt\" = now() - interval '1 day'")
        .await;
    stage.notion.advance(std::time::Duration::from_mins(2));
    let edit = json!({"Name": title("Beta"), "Price": {"number": 3}});
    stage.notion.edit(page, edit).unwrap();
    assert_eq!(
        signed(&stage, &edited(&stage, page)).await.said(),
        ("queued", "")
    );
    let found = eventually("audited", async || {
        rows(&stage, &page.to_string()).await.pop()
    })
    .await;
    let result = &found["result"];
    assert_eq!(result["outcome"], "Applied", "{found}");
    assert_eq!(result["reason"], Value::Null);
    let changes = result["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{found}");
    for change in changes {
        assert_eq!(
            sorted_keys(change),
            ["column", "from", "overwrote", "side", "to"]
        );
        assert_eq!(change["side"], "Postgres");
    }
    assert_eq!(changes[0]["column"], "name");
    assert_eq!(changes[0]["from"], "Mine");
    assert_eq!(changes[0]["to"], "Beta");
    assert_eq!(changes[0]["overwrote"], "Mine", "the lost edit: {found}");
    assert_eq!(changes[1]["column"], "price");
    assert_eq!(changes[1]["from"], Value::Null);
    assert_eq!(changes[1]["overwrote"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_event_has_its_row_too_and_odd_text_is_kept() {
    let stage = Stage::set("odd").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let time = stage.notion.page(page).unwrap()["last_edited_time"]
        .as_str()
        .unwrap()
        .to_owned();
    let first = legacy(page, Some(&time), &json!({}));
    assert_eq!(signed(&stage, &first).await.said(), ("queued", ""));
    let mut other = first.clone();
    other["object"]["last_edited_time"] = "2020-01-01T00:00:00Z".into();
    assert_eq!(signed(&stage, &other).await.said(), ("skipped", "NotNewer"));
    assert_eq!(signed(&stage, &other).await.said(), ("skipped", "NotNewer"));
    let found = eventually("both are audited", async || {
        let found = rows(&stage, &page.to_string()).await;
        (found.len() >= 2).then_some(found)
    })
    .await;
    let skipped: Vec<_> = found
        .iter()
        .filter(|row| row["result"]["outcome"] == "Skipped")
        .collect();
    assert_eq!(skipped.len(), 1, "{found:?}");
    assert_eq!(skipped[0]["result"]["reason"], "NotNewer");
    assert_eq!(skipped[0]["event"], other);

    // NUL and lone surrogates, in names and values, stored as U+FFFD.
    let event = edited(&stage, page).to_string();
    let odd = r#"{"odd":"a\u0000b\ud83dc","k\u0000\udc00":"\\u0000 \ud83d\ude00","#;
    let body = event.replacen('{', odd, 1);
    let signature =
        notion_imitation::signature(crate::support::VERIFICATION_TOKEN, body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-notion-signature", &*signature),
    ];
    let answer = super::send(&stage, "POST", super::SHARED, &headers, body).await;
    assert_eq!(answer.said(), ("queued", ""));
    let found = eventually("it is audited", async || {
        let found = rows(&stage, &page.to_string()).await;
        found
            .into_iter()
            .find(|row| row["event"]["odd"].is_string())
    })
    .await;
    assert_eq!(found["event"]["odd"], "a\u{fffd}b\u{fffd}c");
    assert_eq!(found["event"]["k\u{fffd}\u{fffd}"], "\\u0000 \u{1f600}");
}
