//! Injected failures, limits and latencies.

use std::time::{Duration, Instant};

use notion_imitation::{Failure, How, When};
use reqwest::Method;
use serde_json::json;

use crate::client::{projects, start, title};

fn on(operation: &str) -> Failure {
    Failure {
        operation: Some(operation.to_owned()),
        ..Failure::default()
    }
}

#[tokio::test]
async fn before_and_after_the_work() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(table, json!({"Price": {"number": 1}}))
        .unwrap();
    let path = format!("/v1/pages/{page}");
    let write = |number: i32| json!({"properties": {"Price": {"number": number}}});
    let price = || notion.page(page).unwrap()["properties"]["Price"]["number"].clone();

    notion.fail(Failure {
        status: 500,
        ..on("pages.update")
    });
    client
        .patch(&path, write(2))
        .await
        .refused(500, "internal_server_error");
    assert_eq!(price(), 1);
    let id = notion.fail(Failure {
        status: 504,
        when: When::After,
        ..on("pages.update")
    });
    client
        .patch(&path, write(3))
        .await
        .refused(504, "gateway_timeout");
    assert_eq!(price(), 3, "the ambiguous write was done");
    client.patch(&path, write(4)).await.ok();
    assert_eq!(
        notion
            .failures()
            .iter()
            .map(|known| known.struck)
            .collect::<Vec<_>>(),
        [1, 1]
    );

    let log = notion.requests();
    let ambiguous = log
        .iter()
        .find(|record| record.failure == Some(id))
        .unwrap();
    assert!((ambiguous.applied, ambiguous.status) == (true, 504));
    assert_eq!(ambiguous.body, Some(write(3)));
    assert_eq!(
        ambiguous.token,
        notion_imitation::fingerprint(&notion.token())
    );

    notion.fail(Failure {
        when: When::After,
        ..on("pages.update")
    });
    client
        .patch(&path, json!({"nonsense": 1}))
        .await
        .refused(400, "validation_error");
}

#[tokio::test]
async fn a_503_names_what_it_created() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    notion.fail(Failure {
        when: When::After,
        ..on("pages.create")
    });
    let create =
        json!({"parent": {"data_source_id": table.id}, "properties": {"Name": title("x")}});
    let answer = client.post("/v1/pages", create).await;
    let id = answer.body["additional_data"]["committed_resource_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(answer.body["additional_data"]["retry_guidance"].is_array());
    answer.refused(503, "service_unavailable");
    client.get(format!("/v1/pages/{id}")).await.ok();
}

#[tokio::test]
async fn a_late_write_lands_after_its_504() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(table, json!({"Price": {"number": 1}}))
        .unwrap();
    notion.fail(Failure {
        status: 504,
        when: When::Late { ms: 500 },
        ..on("pages.update")
    });
    let write = json!({"properties": {"Price": {"number": 2}}});
    client
        .patch(format!("/v1/pages/{page}"), write)
        .await
        .refused(504, "gateway_timeout");
    assert_eq!(
        notion.page(page).unwrap()["properties"]["Price"]["number"],
        1
    );
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(
        notion.page(page).unwrap()["properties"]["Price"]["number"],
        2
    );
}

#[tokio::test]
async fn broken_connections_and_bodies() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let create = || Some(json!({"parent": {"data_source_id": table.id}}));
    notion.fail(Failure {
        how: How::Drop,
        when: When::After,
        ..on("pages.create")
    });
    client
        .attempt(Method::POST, "/v1/pages", create())
        .await
        .unwrap_err();
    assert_eq!(
        notion.pages_of(table).len(),
        1,
        "done, but the connection broke"
    );
    notion.fail(Failure {
        how: How::Drop,
        ..on("pages.create")
    });
    client
        .attempt(Method::POST, "/v1/pages", create())
        .await
        .unwrap_err();
    assert_eq!(notion.pages_of(table).len(), 1);
    assert_eq!(notion.requests().last().unwrap().status, 0);

    notion.fail(Failure {
        how: How::Malformed,
        ..on("users.*")
    });
    let broken = client.get("/v1/users/me").await;
    assert!(broken.status == 200 && broken.body.is_string());
    notion.fail(Failure {
        how: How::EdgePage,
        status: 502,
        ..on("users.me")
    });
    let edge = client.get("/v1/users/me").await;
    assert!(edge.status == 502 && edge.body.is_string());
    assert!(
        edge.headers.contains_key("cf-ray") && !edge.headers.contains_key("x-notion-request-id")
    );

    notion.fail(Failure {
        how: How::Hang,
        ..on("users.me")
    });
    let hanging = tokio::time::timeout(Duration::from_millis(200), client.get("/v1/users/me"));
    assert!(hanging.await.is_err());
}

#[tokio::test]
async fn chosen_requests_only() {
    let (notion, client) = start().await;
    notion.fail(Failure {
        skip: 1,
        times: Some(2),
        status: 529,
        retry_after: Some(3),
        ..on("users.me")
    });
    client.get("/v1/users/me").await.ok();
    let overloaded = client.get("/v1/users/me").await;
    assert_eq!(overloaded.headers["retry-after"], "3");
    overloaded.refused(529, "service_overload");
    client.get("/v1/users").await.ok();
    client
        .get("/v1/users/me")
        .await
        .refused(529, "service_overload");
    client.get("/v1/users/me").await.ok();
    let blocked = json!({"rate_limit_reason": "public_api_request_blocked"});
    notion.fail(Failure {
        status: 429,
        times: None,
        path: Some("/users".to_owned()),
        method: Some("get".to_owned()),
        additional_data: blocked.as_object().unwrap().clone(),
        ..Failure::default()
    });
    let answer = client.get("/v1/users/me").await;
    assert_eq!(
        answer.body["additional_data"]["rate_limit_reason"],
        "public_api_request_blocked"
    );
    answer.refused(429, "rate_limited");
    notion.clear_failures(None);
    client.get("/v1/users/me").await.ok();
}

#[tokio::test]
async fn rate_limits() {
    let (notion, client) = start().await;
    notion.switch(|switches| switches.requests_per_minute = 3);
    for _ in 0..3 {
        client.get("/v1/users/me").await.ok();
    }
    let limited = client.get("/v1/users/me").await;
    let seconds = limited.headers["retry-after"].to_str().unwrap().to_owned();
    assert_eq!(limited.body["additional_data"]["retry_after"], seconds);
    assert_eq!(
        limited.body["additional_data"]["rate_limit_reason"],
        "public_api_request_rate_limit"
    );
    assert!((1..=60).contains(&seconds.parse::<u32>().unwrap()));
    limited.refused(429, "rate_limited");
    notion.reset_rate_limits();
    client.get("/v1/users/me").await.ok();
    assert_eq!(notion.counts().by_status[&429], 1);
}

#[tokio::test]
async fn latencies() {
    let (notion, client) = start().await;
    notion.switch(|switches| {
        switches
            .operation_latency_ms
            .0
            .insert("users.me".to_owned(), 150);
    });
    client.get("/v1/users").await.ok();
    let started = Instant::now();
    client.get("/v1/users/me").await.ok();
    assert!(started.elapsed() >= Duration::from_millis(150));
    let own: Vec<u64> = notion
        .requests()
        .iter()
        .map(|record| record.duration_ms)
        .collect();
    assert!(own[0] < 150 && own[1] >= 150, "{own:?}");
}
