//! Authentication, envelopes, and the life of a page.

use serde_json::json;
use uuid::Uuid;

use crate::client::{projects, start, title};

#[tokio::test]
async fn a_page_lives() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let created = client
        .post(
            "/v1/pages",
            json!({
                "parent": {"type": "data_source_id", "data_source_id": table.id},
                "properties": {"Name": title("Row 1"), "Price": {"number": 19.5}},
            }),
        )
        .await
        .ok();
    let id = created["id"].as_str().unwrap();
    assert_eq!(created["object"], "page");
    assert_eq!(created["properties"]["Price"]["number"], 19.5);
    assert_eq!(created["properties"]["Stage"]["status"]["name"], "To do");
    assert_eq!(
        created["properties"]["Number"]["unique_id"],
        json!({"prefix": "PRJ", "number": 1})
    );
    assert_eq!(
        created["last_edited_by"]["id"],
        json!(notion.bot(None).unwrap())
    );

    let undashed = id.replace('-', "");
    let read = client.get(format!("/v1/pages/{undashed}")).await.ok();
    assert_eq!(
        (&read["id"], &read["properties"]),
        (&created["id"], &created["properties"])
    );

    let patch = json!({"properties": {"U%60%3BC": {"status": {"name": "Doing"}}}});
    let patched = client.patch(format!("/v1/pages/{id}"), patch).await.ok();
    assert_eq!(patched["properties"]["Stage"]["status"]["name"], "Doing");
    assert_eq!(patched["properties"]["Price"]["number"], 19.5);

    notion
        .edit(id.parse().unwrap(), json!({"Price": {"number": 3}}))
        .unwrap();
    let read = client.get(format!("/v1/pages/{id}")).await.ok();
    assert_eq!(read["properties"]["Price"]["number"], 3);
    assert_eq!(read["last_edited_by"]["id"], json!(notion.person()));

    let (rows, _) = client.query_all(table, json!({})).await;
    assert_eq!(rows.len(), 1);
    let gone = client.delete(format!("/v1/blocks/{id}")).await.ok();
    assert_eq!(gone["in_trash"], true);
    let (rows, _) = client.query_all(table, json!({})).await;
    assert!(rows.is_empty());
    assert_eq!(
        client.get(format!("/v1/pages/{id}")).await.ok()["in_trash"],
        true
    );
}

#[tokio::test]
async fn answers_carry_request_id_and_date() {
    let (notion, client) = start().await;
    notion.set_clock("2026-11-20T10:15:42.317Z".parse().unwrap());
    let answer = client.get("/v1/users/me").await;
    assert_eq!(answer.headers["date"], "Fri, 20 Nov 2026 10:15:42 GMT");
    assert_eq!(
        answer.headers["x-notion-request-id"],
        answer.body["request_id"].as_str().unwrap()
    );
    assert_eq!(answer.ok()["id"], json!(notion.bot(None).unwrap()));
    notion.switch(|switches| switches.date_header = false);
    assert!(
        client
            .get("/v1/users/me")
            .await
            .headers
            .get("date")
            .is_none()
    );
}

#[tokio::test]
async fn who_is_refused() {
    let (notion, mut client) = start().await;
    let table = projects(&notion);
    let path = format!("/v1/data_sources/{}", table.id);
    client.version = String::new();
    client.get(&path).await.refused(400, "missing_version");
    client.version = "2022-06-28".to_owned();
    client.get(&path).await.refused(400, "invalid_request_url");
    client.version = "2026-03-11".to_owned();
    client
        .get("/v1/nothing")
        .await
        .refused(400, "invalid_request_url");
    client
        .get("/v1/pages/AAA")
        .await
        .refused(400, "validation_error");
    let missing = client.get(format!("/v1/pages/{}", Uuid::new_v4())).await;
    assert_eq!(
        missing.body["additional_data"]["integration_id"],
        json!(notion.bot(None).unwrap())
    );
    missing.refused(404, "object_not_found");
    let token = std::mem::take(&mut client.token);
    client.get(&path).await.refused(401, "unauthorized");
    client.token = token.clone();
    notion.revoke(&token, true).unwrap();
    client.get(&path).await.refused(401, "unauthorized");
}
