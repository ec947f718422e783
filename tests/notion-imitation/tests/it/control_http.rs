//! The control API does what the typed controls do.

use serde_json::{Value as Json, json};

use crate::client::{Answer, Client, start};
use crate::receiver::Receiver;

async fn control(client: &Client, path: &str, body: Json) -> Json {
    let answer: Answer = client.post(format!("/_control{path}"), body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[tokio::test]
async fn a_whole_story_by_curl() {
    let (notion, client) = start().await;
    let info = client.get("/_control").await.ok();
    assert_eq!(info["token"], notion.token());
    let schema = json!({"Name": {"title": {}}, "Price": {"number": {}}, "Kind": {"select": {"options": [{"name": "A"}]}}});
    let table = control(
        &client,
        "/data_sources",
        json!({"title": "T", "properties": schema}),
    )
    .await;
    let source = table["id"].as_str().unwrap();
    let page = control(
        &client,
        "/pages",
        json!({"data_source": source, "properties": {"Price": {"number": 3}}}),
    )
    .await;
    let page = page["id"].as_str().unwrap();
    let bulk =
        json!({"data_source": source, "count": 3, "properties": {"Price": {"number": "{n}"}}});
    assert_eq!(
        control(&client, "/pages/bulk", bulk)
            .await
            .as_array()
            .unwrap()
            .len(),
        3
    );
    client
        .patch(
            format!("/_control/pages/{page}"),
            json!({"properties": {"Price": {"number": 4}}}),
        )
        .await
        .ok();
    assert_eq!(
        client.get(format!("/_control/pages/{page}")).await.ok()["properties"]["Price"]["number"],
        4
    );
    client
        .patch(
            format!("/_control/data_sources/{source}/schema"),
            json!({"Price": {"name": "Cost"}}),
        )
        .await
        .ok();
    let rename = json!({"property": "Kind", "option": "A", "name": "B"});
    control(
        &client,
        &format!("/data_sources/{source}/options/rename"),
        rename,
    )
    .await;
    let shown = client
        .get(format!("/_control/data_sources/{source}"))
        .await
        .ok();
    assert_eq!(
        shown["properties"]["Kind"]["select"]["options"][0]["name"],
        "B"
    );
    assert!(shown["properties"]["Cost"].is_object());
    for verb in [
        "trash",
        "restore",
        "archive",
        "unarchive",
        "lock",
        "unlock",
        "edit_content",
        "move",
    ] {
        control(&client, &format!("/pages/{page}/{verb}"), json!({})).await;
    }
    control(&client, &format!("/pages/{page}/purge"), json!({})).await;
    client
        .get(format!("/v1/pages/{page}"))
        .await
        .refused(404, "object_not_found");
}

#[tokio::test]
async fn steering_by_curl() {
    let (notion, client) = start().await;
    let turned = client
        .patch("/_control/switches", json!({"query_cap": 7}))
        .await
        .ok();
    assert_eq!(
        (&turned["query_cap"], &turned["relation_limit"]),
        (&json!(7), &json!(25))
    );
    assert_eq!(
        client
            .patch("/_control/switches", json!({"nope": 7}))
            .await
            .status,
        400
    );
    assert_eq!(notion.switches().query_cap, 7);

    let failure = json!({"operation": "users.me", "status": 502, "when": {"late": {"ms": 1}}, "how": "answer"});
    control(&client, "/failures", failure).await;
    client.get("/v1/users/me").await.refused(502, "bad_gateway");
    assert_eq!(client.get("/_control/failures").await.ok()[0]["struck"], 1);
    client.delete("/_control/failures").await.ok();

    let clock = json!({"mode": "fixed", "at": "2026-11-20T10:15:42Z"});
    let set = client
        .attempt(reqwest::Method::PUT, "/_control/clock", Some(clock))
        .await
        .unwrap()
        .ok();
    assert_eq!(set["now"], "2026-11-20T10:15:42Z");
    assert_eq!(
        control(&client, "/clock/advance", json!({"ms": 1_000})).await["now"],
        "2026-11-20T10:15:43Z"
    );

    client.get("/v1/users").await.ok();
    let log = client.get("/_control/requests?since=1").await.ok();
    assert_eq!(
        (log.as_array().unwrap().len(), &log[0]["operation"]),
        (1, &json!("users.list"))
    );
    assert!(
        !log.to_string().contains(&notion.token()),
        "tokens are never logged"
    );
    assert_eq!(
        client.get("/_control/requests/counts").await.ok()["by_operation"]["users.me"],
        1
    );
    client.delete("/_control/requests").await.ok();
    assert_eq!(notion.counts().total, 0);

    control(
        &client,
        "/connections",
        json!({"token": "ntn_b", "name": "B"}),
    )
    .await;
    control(&client, "/connections/revoke", json!({"token": "ntn_b"})).await;
    let mut revoked = client.clone();
    revoked.token = "ntn_b".to_owned();
    revoked
        .get("/v1/users/me")
        .await
        .refused(401, "unauthorized");
    assert_eq!(client.get("/_control/nothing").await.status, 404);
}

#[tokio::test]
async fn webhooks_by_curl() {
    let (notion, client) = start().await;
    let receiver = Receiver::start().await;
    let subscription = control(
        &client,
        "/subscriptions",
        json!({"url": receiver.url, "active": false}),
    )
    .await;
    let path = format!("/subscriptions/{}", subscription["id"].as_str().unwrap());
    assert_eq!(
        control(&client, &format!("{path}/handshake"), json!({})).await["status"],
        200
    );
    let token = json!({"verification_token": subscription["verification_token"]});
    assert_eq!(
        control(&client, &format!("{path}/verify"), token).await["verified"],
        true
    );
    client
        .patch(format!("/_control{path}"), json!({"extra_fields": true}))
        .await
        .ok();
    let table = notion
        .create_data_source(notion_imitation::DataSourceSpec::default())
        .unwrap();
    let page = notion.create_page(table, json!({})).unwrap();
    receiver.wait(4).await;
    let log = client.get("/_control/deliveries").await.ok();
    assert_eq!(
        log.as_array().unwrap().last().unwrap()["event_type"],
        "page.created"
    );
    let event = control(&client, "/events/legacy", json!({"id": page})).await;
    let reply = control(
        &client,
        "/send",
        json!({"url": receiver.url, "json": event, "sign_with": "k"}),
    )
    .await;
    assert_eq!(
        (&reply["status"], &reply["body"]),
        (&json!(200), &json!("{\"status\":\"queued\"}"))
    );
    client.delete(format!("/_control{path}")).await.ok();
    assert!(notion.subscriptions().is_empty());
}
