//! Times to the minute, and reads that show the past.

use std::time::Duration;

use serde_json::json;

use crate::client::{projects, start, title};

#[tokio::test]
async fn times_are_minutes_unless_switched_off() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    notion.set_clock("2026-11-20T10:15:42.317Z".parse().unwrap());
    let page = notion.create_page(table, json!({})).unwrap();
    let read = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(read["created_time"], "2026-11-20T10:15:00.000Z");
    notion.advance(Duration::from_secs(10));
    notion.edit(page, json!({"Price": {"number": 1}})).unwrap();
    let again = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(
        again["last_edited_time"], read["last_edited_time"],
        "two edits in one minute look alike"
    );
    notion.switch(|switches| switches.minute_times = false);
    notion.edit(page, json!({"Price": {"number": 2}})).unwrap();
    let fine = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(fine["last_edited_time"], "2026-11-20T10:15:52.317Z");
    let schema = client
        .get(format!("/v1/databases/{}", table.database))
        .await
        .ok();
    assert!(schema["created_time"].as_str().unwrap().ends_with("+00:00"));
}

#[tokio::test]
async fn queries_lag_and_reads_do_not() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(table, json!({"Price": {"number": 1}}))
        .unwrap();
    notion.switch(|switches| switches.query_lag_ms = 1_000);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    notion.edit(page, json!({"Price": {"number": 2}})).unwrap();
    notion
        .create_page(table, json!({"Name": title("new")}))
        .unwrap();
    let stale = client.query(table, json!({})).await.ok();
    assert_eq!(
        stale["results"].as_array().unwrap().len(),
        1,
        "the new page is not there yet"
    );
    assert_eq!(stale["results"][0]["properties"]["Price"]["number"], 1);
    let direct = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(direct["properties"]["Price"]["number"], 2);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let fresh = client
        .query(
            table,
            json!({"filter": {"property": "Price", "number": {"equals": 2}}}),
        )
        .await
        .ok();
    assert_eq!(fresh["results"].as_array().unwrap().len(), 1);
    assert_eq!(
        client.query(table, json!({})).await.ok()["results"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_frozen_index_shows_the_moment_of_freezing() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(table, json!({"Price": {"number": 1}}))
        .unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    notion.freeze_queries();
    tokio::time::sleep(Duration::from_millis(5)).await;
    for number in 2..5 {
        notion
            .edit(page, json!({"Price": {"number": number}}))
            .unwrap();
    }
    notion.trash(page).unwrap();
    let frozen = client.query(table, json!({})).await.ok();
    assert_eq!(frozen["results"][0]["properties"]["Price"]["number"], 1);
    notion.thaw_queries();
    assert!(
        client.query(table, json!({})).await.ok()["results"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn reads_may_lag_too_and_echoes_never_do() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(table, json!({"Price": {"number": 1}}))
        .unwrap();
    notion.switch(|switches| switches.get_lag_ms = 1_000);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let path = format!("/v1/pages/{page}");
    let echo = client
        .patch(&path, json!({"properties": {"Price": {"number": 2}}}))
        .await
        .ok();
    assert_eq!(echo["properties"]["Price"]["number"], 2);
    assert_eq!(
        client.get(&path).await.ok()["properties"]["Price"]["number"],
        1
    );
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(
        client.get(&path).await.ok()["properties"]["Price"]["number"],
        2
    );
}
