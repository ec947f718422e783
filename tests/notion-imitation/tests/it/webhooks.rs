//! Webhooks: what is sent, to whom, how it is signed, and everything that goes wrong.

use std::time::Duration;

use notion_imitation::{ConnectionSpec, Post, Subscription, signature};
use serde_json::{Value as Json, json};

use crate::client::{projects, start, title};
use crate::receiver::{Received, Receiver};

fn types(arrived: &[Received]) -> Vec<String> {
    arrived
        .iter()
        .map(|it| it.json()["type"].as_str().unwrap().to_owned())
        .collect()
}

fn to(receiver: &Receiver) -> Subscription {
    Subscription {
        url: receiver.url.clone(),
        ..Subscription::default()
    }
}

#[tokio::test]
async fn every_change_is_told() {
    let (notion, client) = start().await;
    let receiver = Receiver::start().await;
    let (table, other) = (projects(&notion), projects(&notion));
    let subscription = notion.subscribe(to(&receiver)).unwrap();
    notion.set_clock("2026-11-20T10:15:42.317Z".parse().unwrap());
    let page = notion.create_page(table, json!({})).unwrap();
    let edit = json!({"properties": {"Stage": {"status": {"name": "Doing"}}, "Name": title("x")}});
    client.patch(format!("/v1/pages/{page}"), edit).await.ok();
    notion.edit_content(page).unwrap();
    notion.trash(page).unwrap();
    notion.restore(page).unwrap();
    notion.move_page(page, Some(other.id)).unwrap();
    notion.lock(page, true).unwrap();
    notion
        .add_property(table, "New", json!({"number": {}}))
        .unwrap();
    notion.delete_property(table, "New").unwrap();
    notion.trash_data_source(table, true).unwrap();
    notion.trash_database(table.database, true).unwrap();
    let arrived = receiver.wait(11).await;
    let expected = [
        "page.created",
        "page.properties_updated",
        "page.content_updated",
        "page.deleted",
        "page.undeleted",
        "page.moved",
        "page.locked",
        "data_source.schema_updated",
        "data_source.schema_updated",
        "data_source.deleted",
        "database.deleted",
    ];
    assert_eq!(types(&arrived), expected);
    for delivery in &arrived {
        let expected = signature(&subscription.verification_token, &delivery.body);
        assert_eq!(delivery.signature(), expected);
        assert_eq!(delivery.headers["content-type"], "application/json");
    }
    let updated = arrived[1].json();
    assert_eq!(
        updated["authors"],
        json!([{"id": notion.bot(None).unwrap(), "type": "bot"}])
    );
    assert_eq!(updated["timestamp"], "2026-11-20T10:15:42.317Z");
    assert_eq!(
        (&updated["attempt_number"], &updated["api_version"]),
        (&json!(1), &json!("2026-03-11"))
    );
    assert_eq!(updated["entity"], json!({"id": page, "type": "page"}));
    let parent = json!({"id": table.database, "type": "database", "data_source_id": table.id});
    assert_eq!(updated["data"]["parent"], parent);
    let mut ids: Vec<&str> = updated["data"]["updated_properties"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Json::as_str)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["U%60%3BC", "title"]);
    assert_eq!(
        arrived[0].json()["authors"][0],
        json!({"id": notion.person(), "type": "person"})
    );
    assert_eq!(
        arrived[5].json()["data"]["parent"]["data_source_id"],
        json!(other.id)
    );
    let deleted = &arrived[8].json()["data"]["updated_properties"][0];
    assert_eq!(
        (&deleted["name"], &deleted["action"]),
        (&Json::Null, &json!("deleted"))
    );
}

#[tokio::test]
async fn the_handshake_is_signed_with_the_token_it_carries() {
    let token = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";
    let (notion, _) = start().await;
    let receiver = Receiver::start().await;
    let table = projects(&notion);
    let spec = Subscription {
        active: false,
        verification_token: Some(token.to_owned()),
        ..to(&receiver)
    };
    let subscription = notion.subscribe(spec).unwrap();
    let reply = notion.handshake(subscription.id).await.unwrap();
    assert_eq!(
        (reply.status, &reply.json()["status"]),
        (200, &json!("queued"))
    );
    let arrived = receiver.wait(1).await;
    assert_eq!(
        arrived[0].body,
        format!("{{\"verification_token\":\"{token}\"}}")
    );
    let recorded = "sha256=461e8cbcba8a75c3edd866f0e71280f5a85cbf21eff040ebd10fe266df38a735";
    assert_eq!(arrived[0].signature(), recorded);
    notion.create_page(table, json!({})).unwrap();
    assert!(!notion.verify(subscription.id, "secret_wrong").unwrap());
    assert!(notion.verify(subscription.id, token).unwrap());
    notion.create_page(table, json!({})).unwrap();
    receiver.wait(2).await;
    assert!(notion.delivered(Duration::from_secs(2)).await);
    assert_eq!(receiver.count(), 2, "nothing is sent before it is verified");
}

#[tokio::test]
async fn only_what_is_wanted_and_seen() {
    let (notion, _) = start().await;
    let receiver = Receiver::start().await;
    let (table, hidden) = (projects(&notion), projects(&notion));
    notion
        .add_connection(&ConnectionSpec {
            token: "ntn_b".to_owned(),
            ..ConnectionSpec::default()
        })
        .unwrap();
    notion.unshare(hidden, Some("ntn_b")).unwrap();
    let events = vec!["page.c*".to_owned(), "page.deleted".to_owned()];
    notion
        .subscribe(Subscription {
            events,
            token: Some("ntn_b".to_owned()),
            ..to(&receiver)
        })
        .unwrap();
    let unseen = notion.create_page(hidden, json!({})).unwrap();
    let page = notion.create_page(table, json!({})).unwrap();
    notion.edit(page, json!({"Price": {"number": 1}})).unwrap();
    notion.trash(unseen).unwrap();
    notion.trash(page).unwrap();
    let arrived = receiver.wait(2).await;
    assert!(notion.delivered(Duration::from_secs(2)).await);
    assert_eq!(types(&arrived), ["page.created", "page.deleted"]);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn aggregation_merges_and_collapses() {
    let (notion, client) = start().await;
    let receiver = Receiver::start().await;
    let table = projects(&notion);
    let page = notion.create_page(table, json!({})).unwrap();
    notion
        .subscribe(Subscription {
            aggregate_ms: 300,
            ..to(&receiver)
        })
        .unwrap();
    notion.edit(page, json!({"Price": {"number": 1}})).unwrap();
    let edit = json!({"properties": {"Open": {"checkbox": true}}});
    client.patch(format!("/v1/pages/{page}"), edit).await.ok();
    let short_lived = notion.create_page(table, json!({})).unwrap();
    notion.trash(short_lived).unwrap();
    let arrived = receiver.wait(1).await;
    assert!(notion.delivered(Duration::from_secs(2)).await);
    assert_eq!(receiver.count(), 1);
    let event = arrived[0].json();
    assert_eq!(event["authors"].as_array().unwrap().len(), 2);
    assert_eq!(
        event["data"]["updated_properties"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let collapsed = notion
        .deliveries()
        .iter()
        .filter(|it| it.outcome == "collapsed")
        .count();
    assert_eq!(collapsed, 1);
}

#[tokio::test]
async fn retries_count_their_attempts() {
    let (notion, _) = start().await;
    let receiver = Receiver::start().await;
    let table = projects(&notion);
    notion
        .subscribe(Subscription {
            retry_backoff_ms: 20,
            max_attempts: 3,
            ..to(&receiver)
        })
        .unwrap();
    receiver.answer(&[500, 302, 503]);
    notion.create_page(table, json!({})).unwrap();
    let arrived = receiver.wait(3).await;
    assert!(notion.delivered(Duration::from_secs(2)).await);
    assert_eq!(receiver.count(), 3, "no attempt beyond the last");
    let attempts: Vec<Json> = arrived
        .iter()
        .map(|it| it.json()["attempt_number"].clone())
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(arrived[0].json()["id"], arrived[2].json()["id"]);
    let statuses: Vec<_> = notion.deliveries().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [Some(500), Some(302), Some(503)]);
}

#[tokio::test]
async fn bad_weather_on_the_way() {
    let (notion, _) = start().await;
    let receiver = Receiver::start().await;
    let table = projects(&notion);
    let subscription = notion.subscribe(to(&receiver)).unwrap();
    let change = |change: fn(&mut Subscription)| {
        notion.change_subscription(subscription.id, change).unwrap();
    };
    change(|it| it.drop_probability = 1.0);
    notion.create_page(table, json!({})).unwrap();
    assert_eq!(notion.deliveries()[0].outcome, "dropped");
    change(|it| (it.drop_probability, it.duplicate_probability) = (0.0, 1.0));
    notion.create_page(table, json!({})).unwrap();
    let twice = receiver.wait(2).await;
    assert_eq!(twice[0].body, twice[1].body);
    change(|it| (it.duplicate_probability, it.wrong_signature_probability) = (0.0, 1.0));
    notion.create_page(table, json!({})).unwrap();
    let wrong = receiver.wait(3).await;
    assert_ne!(
        wrong[2].signature(),
        signature(&subscription.verification_token, &wrong[2].body)
    );
    change(|it| (it.unsigned, it.extra_fields) = (true, true));
    notion.create_page(table, json!({})).unwrap();
    let unsigned = receiver.wait(4).await;
    assert!(!unsigned[3].headers.contains_key("x-notion-signature"));
    assert!(unsigned[3].json()["data"]["undocumented"].is_object());
    change(|it| (it.delay_ms, it.reorder_ms) = (20, 200));
    let created: Vec<Json> = (0..20)
        .map(|_| json!(notion.create_page(table, json!({})).unwrap()))
        .collect();
    let late = receiver.wait(24).await;
    let mut sent: Vec<Json> = late[4..]
        .iter()
        .map(|it| it.json()["entity"]["id"].clone())
        .collect();
    assert_ne!(sent, created, "the order is not that of the changes");
    let by_text = |id: &Json| id.to_string();
    let mut all = created;
    all.sort_by_key(by_text);
    sent.sort_by_key(by_text);
    assert_eq!(sent, all, "and every change is told once");
}

#[tokio::test]
async fn events_by_hand() {
    let (notion, _) = start().await;
    let receiver = Receiver::start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(table, json!({"Name": title("By hand")}))
        .unwrap();
    let legacy = notion.legacy_event(page);
    assert_eq!(
        (&legacy["type"], &legacy["object"]["id"]),
        (&json!("page.updated"), &json!(page))
    );
    assert_eq!(
        legacy["object"]["properties"]["Name"]["title"][0]["plain_text"],
        "By hand"
    );
    let automation = notion.automation_event(page, None);
    assert_eq!(automation["source"]["type"], "automation");
    assert_eq!(
        (&automation["data"]["object"], &automation["data"]["id"]),
        (&json!("page"), &json!(page))
    );
    let database = notion.legacy_database_event(table);
    assert_eq!(database["type"], "database.updated");
    let real = notion.event("page.properties_updated", page, &["title".to_owned()]);
    assert_eq!(real["data"]["updated_properties"], json!(["title"]));

    let post = Post {
        url: receiver.url.clone(),
        json: Some(legacy.clone()),
        sign_with: Some("k".to_owned()),
        headers: vec![("authorization".to_owned(), "Bearer s".to_owned())],
        ..Post::default()
    };
    assert_eq!(notion.send(&post).await.unwrap().status, 200);
    let raw = Post {
        url: receiver.url.clone(),
        hex: Some("ff7b".to_owned()),
        no_content_type: true,
        ..Post::default()
    };
    notion.send(&raw).await.unwrap();
    let arrived = receiver.wait(2).await;
    assert_eq!(
        arrived[0].signature(),
        signature("k", legacy.to_string().as_bytes())
    );
    assert_eq!(arrived[0].headers["authorization"], "Bearer s");
    assert_eq!(&arrived[1].body[..], &[0xff, 0x7b]);
    assert!(!arrived[1].headers.contains_key("content-type"));
}
