//! Tokens, capabilities, and what is shared.

use notion_imitation::{Capability, ConnectionSpec};
use serde_json::json;

use crate::client::{projects, start};

#[tokio::test]
async fn what_is_not_shared_does_not_exist() {
    let (notion, client) = start().await;
    let (table, other) = (projects(&notion), projects(&notion));
    notion
        .add_property(
            table,
            "Peers",
            json!({"relation": {"data_source_id": other.id}}),
        )
        .unwrap();
    let peer = notion.create_page(other, json!({})).unwrap();
    let page = notion
        .create_page(table, json!({"Peers": {"relation": [{"id": peer}]}}))
        .unwrap();
    notion.unshare(other, None).unwrap();
    client
        .get(format!("/v1/data_sources/{}", other.id))
        .await
        .refused(404, "object_not_found");
    client
        .query(other, json!({}))
        .await
        .refused(404, "object_not_found");
    client
        .get(format!("/v1/pages/{peer}"))
        .await
        .refused(404, "object_not_found");
    let read = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(
        read["properties"]["Peers"]["relation"],
        json!([]),
        "empty, without an error"
    );
    notion.share(other, None).unwrap();
    let read = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(
        read["properties"]["Peers"]["relation"],
        json!([{"id": peer}])
    );
}

#[tokio::test]
async fn connections_see_their_own_share() {
    let (notion, mut client) = start().await;
    let table = projects(&notion);
    let page = notion.create_page(table, json!({})).unwrap();
    let spec = ConnectionSpec {
        token: "ntn_other".to_owned(),
        name: "Other".to_owned(),
        sees_everything: false,
        ..ConnectionSpec::default()
    };
    let bot = notion.add_connection(&spec).unwrap();
    client.token = "ntn_other".to_owned();
    let path = format!("/v1/pages/{page}");
    let missing = client.get(&path).await;
    assert_eq!(
        missing.body["additional_data"]["integration_id"],
        json!(bot)
    );
    missing.refused(404, "object_not_found");
    notion.share(table.database, Some("ntn_other")).unwrap();
    client.get(&path).await.ok();
    let edited = client
        .patch(&path, json!({"properties": {"Price": {"number": 1}}}))
        .await
        .ok();
    assert_eq!(edited["last_edited_by"]["id"], json!(bot));
    notion.unshare(page, Some("ntn_other")).unwrap();
    client.get(&path).await.refused(404, "object_not_found");
}

#[tokio::test]
async fn capabilities() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion.create_page(table, json!({})).unwrap();
    let path = format!("/v1/pages/{page}");
    notion
        .set_capabilities(None, &[Capability::ReadContent])
        .unwrap();
    client.get(&path).await.ok();
    client
        .patch(&path, json!({"in_trash": true}))
        .await
        .refused(403, "restricted_resource");
    let create = json!({"parent": {"data_source_id": table.id}});
    client
        .post("/v1/pages", create)
        .await
        .refused(403, "restricted_resource");
    notion.set_capabilities(None, &[]).unwrap();
    client.get(&path).await.refused(403, "restricted_resource");
    client.get("/v1/users/me").await.ok();
}

#[tokio::test]
async fn a_trashed_data_source() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion.create_page(table, json!({})).unwrap();
    notion.trash_data_source(table, true).unwrap();
    let shown = client
        .get(format!("/v1/data_sources/{}", table.id))
        .await
        .ok();
    assert_eq!(shown["in_trash"], true);
    client
        .query(table, json!({}))
        .await
        .refused(404, "object_not_found");
    notion.switch(|switches| {
        switches.trashed_query_is_empty = true;
        switches.trash_covers_pages = true;
    });
    assert_eq!(
        client.query(table, json!({})).await.ok()["results"],
        json!([])
    );
    assert_eq!(
        client.get(format!("/v1/pages/{page}")).await.ok()["in_trash"],
        true
    );
    notion.trash_data_source(table, false).unwrap();
    assert_eq!(client.query_all(table, json!({})).await.0.len(), 1);
    notion.trash_database(table.database, true).unwrap();
    assert_eq!(
        client
            .get(format!("/v1/databases/{}", table.database))
            .await
            .ok()["in_trash"],
        true
    );
    let shown = client
        .get(format!("/v1/data_sources/{}", table.id))
        .await
        .ok();
    assert_eq!(shown["in_trash"], true);
}

#[tokio::test]
async fn users() {
    let (notion, client) = start().await;
    let grace = notion.add_person("Grace", "grace@example.com");
    let user = client.get(format!("/v1/users/{grace}")).await.ok();
    assert_eq!(user["person"]["email"], "grace@example.com");
    let all = client.get("/v1/users?page_size=2").await.ok();
    assert_eq!(
        (all["results"].as_array().unwrap().len(), &all["has_more"]),
        (2, &json!(true))
    );
    let next = all["next_cursor"].as_str().unwrap();
    let rest = client
        .get(format!("/v1/users?page_size=2&start_cursor={next}"))
        .await
        .ok();
    assert_eq!(rest["results"].as_array().unwrap().len(), 1);
    client
        .get(format!("/v1/users/{}", uuid::Uuid::new_v4()))
        .await
        .refused(404, "object_not_found");
}

#[tokio::test]
async fn moving_through_the_api() {
    let (notion, client) = start().await;
    let (table, other) = (projects(&notion), projects(&notion));
    let page = notion
        .create_page(
            table,
            json!({"Price": {"number": 4}, "Stage": {"status": {"name": "Done"}}}),
        )
        .unwrap();
    let path = format!("/v1/pages/{page}/move");
    let moved = client
        .post(&path, json!({"parent": {"data_source_id": other.id}}))
        .await
        .ok();
    assert_eq!(moved["parent"]["database_id"], json!(other.database));
    assert_eq!(moved["properties"]["Price"]["number"], 4);
    assert_eq!(moved["properties"]["Stage"]["status"]["name"], "Done");
    notion.move_page(page, None).unwrap();
    let out = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(out["parent"]["type"], "page_id");
    assert_eq!(out["properties"].as_object().unwrap().len(), 1);
}
