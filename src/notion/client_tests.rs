//! The client against a scripted peer: what is sent, what is tried again, what is made of answers.

use std::time::{Duration, Instant};

use super::retry::{Attempts, Next};
use super::stub::{Script, Seen, Stub, ok, refusal};
use super::transport::Call;
use super::{Lane, NotionApi, NotionError, QueryRequest};
use crate::metrics::NotionLabels;
use crate::sync::identity::{DataSourceId, PageId, PropertyId};
use crate::sync::page::{PropertyRead, PropertyValue};

const PAGE: &str = r#"{"object":"page","id":"38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c",
    "properties":{"Name":{"id":"title","type":"title","title":[{"plain_text":"a\ud83d"}]}}}"#;
const NO_PAGES: &str = r#"{"object":"list","results":[],"has_more":false,"next_cursor":null}"#;

fn page_id() -> PageId {
    "38b9ce7b60a4810aa3e0d0c7fde33f0c".parse().unwrap()
}

fn source_id() -> DataSourceId {
    "71c7c1b00b3e4a558b0c7d8f5a0c2e10".parse().unwrap()
}

fn text(plain: &str) -> PropertyRead {
    PropertyRead::Value(PropertyValue::Text {
        plain: plain.to_owned(),
        lossy: false,
    })
}

async fn read_page(stub: &Stub) -> Result<PropertyRead, NotionError> {
    let wanted = [PropertyId::new("title")];
    let page = stub.client.page(page_id(), &wanted, Lane::Edit).await?;
    Ok(page.properties[&wanted[0]].read.clone())
}

fn sizes(seen: &[Seen]) -> Vec<u64> {
    seen.iter()
        .map(|request| request.body["page_size"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn requests_carry_token_and_version() {
    let stub = Stub::start(vec![ok(PAGE)]).await;
    assert_eq!(read_page(&stub).await.unwrap(), text("a\u{fffd}"));
    let seen = &stub.seen()[0];
    assert_eq!(
        seen.line(),
        "GET /v1/pages/38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c"
    );
    for header in [
        "authorization: bearer ntn_secret",
        "notion-version: 2026-03-11",
    ] {
        assert!(seen.head.iter().any(|line| line == header), "{seen:?}");
    }
    let agent = |line: &String| line.starts_with("user-agent: notion-sync-operator/");
    assert!(seen.head.iter().any(agent));
    let labels = NotionLabels::new("pages.retrieve", "200");
    let counted = stub.metrics.notion_requests.get_or_create(&labels).get();
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let html = Script::Answer(502, "", b"<html>".to_vec());
    let script = vec![
        html,
        Script::BreakOff,
        refusal(409, "conflict_error"),
        ok(PAGE),
    ];
    let stub = Stub::start(script).await;
    assert_eq!(read_page(&stub).await.unwrap(), text("a\u{fffd}"));
    assert_eq!(stub.seen().len(), 4);
    for code in ["502", "unreachable", "409", "200"] {
        let labels = NotionLabels::new("pages.retrieve", code);
        let counted = stub.metrics.notion_requests.get_or_create(&labels).get();
        assert_eq!(counted, 1, "{code}");
    }
}

#[tokio::test]
async fn what_notion_said_is_not_asked_again() {
    for (status, code) in [
        (401, "unauthorized"),
        (403, "restricted_resource"),
        (404, "object_not_found"),
        (400, "validation_error"),
    ] {
        let stub = Stub::start(vec![refusal(status, code)]).await;
        let error = read_page(&stub).await.unwrap_err();
        let NotionError::Answered {
            status: said,
            code: word,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((*said, word.as_str()), (status, code));
        assert_eq!(stub.seen().len(), 1);
        assert!(!error.allows_payload());
    }
}

#[tokio::test]
async fn a_refusal_for_the_limit_is_waited_out_if_there_is_time() {
    let limited = |seconds| {
        let body = br#"{"code":"rate_limited","additional_data":
            {"rate_limit_reason":"public_api_request_rate_limit"}}"#;
        Script::Answer(429, seconds, body.to_vec())
    };
    let stub = Stub::start(vec![limited("retry-after: 1\r\n"), ok(PAGE)]).await;
    let begun = Instant::now();
    read_page(&stub).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let stub = Stub::start(vec![limited("retry-after: 30\r\n")]).await;
    let begun = Instant::now();
    let error = read_page(&stub).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(error.allows_payload());
    let NotionError::Answered { retry_after, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_query_asks_for_less_when_notion_is_slow() {
    let slow = || refusal(504, "gateway_timeout");
    let dated = Script::Answer(
        200,
        "date: Tue, 15 Nov 1994 08:12:31 GMT\r\n",
        NO_PAGES.into(),
    );
    let stub = Stub::start(vec![slow(), slow(), slow(), dated]).await;
    let request = QueryRequest::all();
    let page = stub
        .client
        .query(source_id(), &request, &[], Lane::Edit)
        .await
        .unwrap();
    assert_eq!(sizes(&stub.seen()), [100, 50, 25, 10]);
    assert_eq!(
        page.server_date.unwrap().to_string(),
        "1994-11-15T08:12:31Z"
    );
    assert_eq!(
        stub.seen()[0].line(),
        "POST /v1/data_sources/71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10/query"
    );
}

#[tokio::test]
async fn an_answer_beyond_the_cap_is_not_read_to_its_end() {
    let huge = || Script::Answer(200, "", vec![b' '; 17 * 1024 * 1024]);
    let stub = Stub::start(vec![huge(), ok(NO_PAGES)]).await;
    let request = QueryRequest::all();
    let query = stub.client.query(source_id(), &request, &[], Lane::Edit);
    query.await.unwrap();
    assert_eq!(sizes(&stub.seen()), [100, 50]);

    let stub = Stub::start(vec![huge()]).await;
    let error = read_page(&stub).await.unwrap_err();
    assert!(matches!(error, NotionError::Unreadable { .. }), "{error:?}");
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_cursor_is_told_apart() {
    let stub = Stub::start(vec![refusal(400, "validation_error")]).await;
    let mut request = QueryRequest::all();
    let query = stub.client.query(source_id(), &request, &[], Lane::Edit);
    assert!(matches!(
        query.await.unwrap_err(),
        NotionError::Answered { status: 400, .. }
    ));
    request.cursor = Some("gone".to_owned());
    let query = stub.client.query(source_id(), &request, &[], Lane::Edit);
    assert!(matches!(
        query.await.unwrap_err(),
        NotionError::CursorRejected
    ));
}

#[tokio::test]
async fn a_property_is_read_to_its_end_and_again_if_its_cursor_is_refused() {
    let item = |text: &str, next: &str| {
        ok(&format!(
            r#"{{"object":"list","results":[{{"object":"property_item","type":"title",
            "title":{{"type":"text","plain_text":"{text}"}}}}],"has_more":{},"next_cursor":{next},
            "property_item":{{"id":"title","type":"title","title":{{}}}}}}"#,
            next != "null"
        ))
    };
    let script = vec![
        item("a", "\"c/1\""),
        refusal(400, "validation_error"),
        item("a", "\"c/2\""),
        item("b", "null"),
    ];
    let stub = Stub::start(script).await;
    let property = PropertyId::new("U%60%3BC");
    let read = stub
        .client
        .whole_property(page_id(), &property, Lane::Background)
        .await
        .unwrap();
    assert_eq!(read, text("ab"));
    let first =
        "GET /v1/pages/38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c/properties/U%60%3BC?page_size=100";
    let lines: Vec<String> = stub
        .seen()
        .iter()
        .map(|seen| seen.line().to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            first.to_owned(),
            format!("{first}&start_cursor=c%2F1"),
            first.to_owned(),
            format!("{first}&start_cursor=c%2F2")
        ]
    );
}

#[tokio::test]
async fn silence_is_a_timeout_that_a_payload_may_stand_in_for() {
    let stub = Stub::start(vec![Script::Silence(Duration::from_mins(1))]).await;
    let call = Call::get("pages.retrieve", format!("pages/{}", page_id()));
    let failure = stub
        .transport()
        .send(&call, Duration::from_millis(300))
        .await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.code(), "timeout");
    let next = Attempts::new(Lane::Edit).after(&failure, Duration::ZERO, 0.0);
    assert!(matches!(next, Next::RetrySmaller { anyway: true, .. }));
    let error = NotionError::from(failure);
    assert!(error.allows_payload());
    assert!(!format!("{error:?}").contains("38b9ce7b"), "{error:?}");
}

#[tokio::test]
async fn many_probes_are_one_request() {
    let user = r#"{"object":"user","id":"0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11"}"#;
    let stub = Stub::start(vec![refusal(401, "unauthorized"), ok(user)]).await;
    let probes = futures::future::join_all((0..20).map(|_| stub.client.me())).await;
    assert!(probes.iter().all(Result::is_err));
    assert_eq!(stub.seen().len(), 1);
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    let bot = stub.client.me().await.unwrap();
    assert_eq!(bot.to_string(), "0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11");
}
