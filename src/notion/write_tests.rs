//! Writes against a scripted peer: what is sent, what is sent again, what is made of answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::json;

use super::outcome::{Outcome, outcome};
use super::stub::{Script, Stub, install_crypto, ok, refusal};
use super::transport::Call;
use super::{
    Client, Clients, Lane, NotionError, NotionWriter, PropertyWrite, WriteError, WriteTerms,
};
use crate::metrics::Metrics;
use crate::sync::fixtures::text;
use crate::sync::identity::{DataSourceId, PageId, PropertyId};
use crate::sync::page::{PageSnapshot, PropertyRead, PropertyType, PropertyValue, Provenance};

const ID: &str = "38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c";
const PAGE: &str = r#"{"object":"page","id":"38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c",
    "properties":{"Name":{"id":"title","type":"title","title":[{"plain_text":"a"}]},
    "Done":{"id":"U%60%3BC","type":"checkbox","checkbox":true}}}"#;

const EDIT: WriteTerms<'static> = WriteTerms {
    lane: Lane::Edit,
    guard: &|| true,
};

fn page_id() -> PageId {
    ID.parse().unwrap()
}

fn source_id() -> DataSourceId {
    "71c7c1b00b3e4a558b0c7d8f5a0c2e10".parse().unwrap()
}

fn done() -> [PropertyWrite; 1] {
    let id = PropertyId::new("U%60%3BC");
    [(id, PropertyType::Checkbox, PropertyValue::Checkbox(true))]
}

async fn create(client: &Client) -> Result<PageSnapshot, WriteError> {
    client.create_page(source_id(), &done(), &[], EDIT).await
}

async fn update(client: &Client, terms: WriteTerms<'_>) -> Result<PageSnapshot, WriteError> {
    let wanted = [PropertyId::new("U`;C")];
    client.update_page(page_id(), &done(), &wanted, terms).await
}

fn not_written(result: Result<PageSnapshot, WriteError>) -> NotionError {
    match result {
        Err(WriteError::NotWritten(error)) => error,
        other => panic!("nothing was written: {other:?}"),
    }
}

/// The page that an ambiguous answer names. It must be one that says when it was sent.
fn committed(result: Result<PageSnapshot, WriteError>, before: Timestamp) -> Option<PageId> {
    match result {
        Err(WriteError::Ambiguous {
            committed, sent_at, ..
        }) => {
            assert!(before <= sent_at && sent_at <= Timestamp::now());
            committed
        }
        other => panic!("nobody knows whether it was written: {other:?}"),
    }
}

#[tokio::test]
async fn properties_go_out_by_id_and_the_echo_comes_back() {
    let stub = Stub::start(vec![ok(PAGE)]).await;
    let echo = update(&stub.client, EDIT).await.unwrap();
    assert_eq!((echo.id, echo.provenance), (page_id(), Provenance::Get));
    let read = &echo.properties[&PropertyId::new("U`;C")].read;
    assert_eq!(*read, PropertyRead::Value(PropertyValue::Checkbox(true)));
    assert_eq!(echo.properties.len(), 1);
    let seen = &stub.seen()[0];
    assert_eq!(seen.line(), format!("PATCH /v1/pages/{ID}"));
    let body = json!({"properties": {"U%60%3BC": {"checkbox": true}}});
    assert_eq!(seen.body, body);
}

#[tokio::test]
async fn a_page_is_made_and_trashed() {
    let stub = Stub::start(vec![ok(PAGE)]).await;
    assert_eq!(create(&stub.client).await.unwrap().id, page_id());
    let trashed = stub.client.set_trashed(page_id(), true, &[], EDIT);
    trashed.await.unwrap();
    let seen = stub.seen();
    assert_eq!(seen[0].line(), "POST /v1/pages");
    let parent = json!({"type": "data_source_id", "data_source_id": source_id()});
    assert_eq!(seen[0].body["parent"], parent);
    assert_eq!(seen[0].body["properties"]["U%60%3BC"]["checkbox"], true);
    assert_eq!(seen[1].line(), format!("PATCH /v1/pages/{ID}"));
    assert_eq!(seen[1].body, json!({"in_trash": true}));
}

#[tokio::test]
async fn what_notion_refused_was_not_written_and_is_not_repeated() {
    for (status, code) in [
        (400, "validation_error"),
        (401, "unauthorized"),
        (403, "restricted_resource"),
        (404, "object_not_found"),
        (409, "conflict_error"),
    ] {
        let stub = Stub::start(vec![refusal(status, code)]).await;
        let error = not_written(update(&stub.client, EDIT).await);
        assert!(
            matches!(error, NotionError::Answered { status: said, .. } if said == status),
            "{error:?}"
        );
        assert_eq!(stub.seen().len(), 1);
    }
}

#[tokio::test]
async fn what_may_have_been_written_is_not_repeated() {
    let edge = || Script::Answer(520, "", b"<html>".to_vec());
    for script in [
        refusal(500, "internal_server_error"),
        refusal(502, "bad_gateway"),
        refusal(503, "service_unavailable"),
        refusal(504, "gateway_timeout"),
        edge(),
        Script::BreakOff,
        Script::Silence(Duration::from_millis(50)),
        ok("<html>"),
        ok("{}"),
    ] {
        let stub = Stub::start(vec![script]).await;
        let before = Timestamp::now();
        assert_eq!(committed(update(&stub.client, EDIT).await, before), None);
        assert_eq!(stub.seen().len(), 1);
    }
}

#[tokio::test]
async fn the_page_that_was_made_all_the_same_is_named() {
    let body = format!(
        r#"{{"code":"service_unavailable","additional_data":{{"committed_resource_id":"{ID}"}}}}"#
    );
    let unreadable = format!(r#"{{"object":"page","id":"{ID}"}}"#);
    for script in [Script::Answer(503, "", body.into_bytes()), ok(&unreadable)] {
        let stub = Stub::start(vec![script]).await;
        let before = Timestamp::now();
        assert_eq!(
            committed(create(&stub.client).await, before),
            Some(page_id())
        );
    }
}

#[tokio::test]
async fn a_refusal_for_the_limit_is_waited_out_if_there_is_time() {
    let limited = |status, headers| {
        let body = r#"{"code":"rate_limited"}"#;
        Script::Answer(status, headers, body.into())
    };
    for status in [429, 529] {
        let stub = Stub::start(vec![limited(status, "retry-after: 1\r\n"), ok(PAGE)]).await;
        update(&stub.client, EDIT).await.unwrap();
        assert_eq!(stub.seen().len(), 2);
    }
    let stub = Stub::start(vec![limited(429, "retry-after: 50\r\n")]).await;
    let error = not_written(update(&stub.client, EDIT).await);
    assert!(
        matches!(error, NotionError::Answered { status: 429, .. }),
        "{error:?}"
    );
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn the_guard_is_asked_before_every_request() {
    let stub = Stub::start(vec![ok(PAGE)]).await;
    let never = WriteTerms {
        guard: &|| false,
        ..EDIT
    };
    let error = not_written(update(&stub.client, never).await);
    assert!(matches!(error, NotionError::SendRefused));
    assert_eq!(stub.seen().len(), 0);

    let limited = Script::Answer(429, "retry-after: 1\r\n", b"{}".to_vec());
    let stub = Stub::start(vec![limited, ok(PAGE)]).await;
    let asked = AtomicU32::new(0);
    let once = || asked.fetch_add(1, Ordering::Relaxed) == 0;
    let once = WriteTerms {
        guard: &once,
        ..EDIT
    };
    let error = not_written(update(&stub.client, once).await);
    assert!(matches!(error, NotionError::SendRefused));
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_that_is_not_made_is_tried_again() {
    install_crypto();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let clients = Clients::new(&base, Metrics::default()).unwrap();
    let client = clients.get(&SecretString::from("ntn_a")).unwrap();
    let asked = AtomicU32::new(0);
    let twice = || asked.fetch_add(1, Ordering::Relaxed) < 2;
    let twice = WriteTerms {
        guard: &twice,
        ..EDIT
    };
    let error = not_written(update(&client, twice).await);
    assert!(matches!(error, NotionError::SendRefused), "{error:?}");
    assert_eq!(asked.into_inner(), 3);
}

#[tokio::test]
async fn a_value_that_cannot_be_written_sends_nothing() {
    let stub = Stub::start(vec![ok(PAGE)]).await;
    let odd = [(PropertyId::new("x"), PropertyType::Checkbox, text("yes"))];
    let write = stub.client.update_page(page_id(), &odd, &[], EDIT);
    let error = not_written(write.await);
    assert!(matches!(error, NotionError::NotWritable(_)));
    let found = stub
        .client
        .find_pages(source_id(), &[], &[], Lane::Edit)
        .await;
    assert!(matches!(found, Err(NotionError::NotSearchable)));
    assert_eq!(stub.seen().len(), 0);
}

#[tokio::test]
async fn silence_may_have_been_written() {
    let stub = Stub::start(vec![Script::Silence(Duration::from_mins(1))]).await;
    let call = Call::patch("pages.update", format!("pages/{ID}"), json!({}));
    let short = Duration::from_millis(300);
    let failure = stub.transport().send(&call, short).await.unwrap_err();
    assert_eq!(failure.code(), "timeout");
    assert_eq!(outcome(&failure), Outcome::Unknown);
}

#[tokio::test]
async fn the_bot_is_asked_for_once() {
    let user = r#"{"object":"user","id":"0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11"}"#;
    let stub = Stub::start(vec![refusal(503, "service_unavailable"), ok(user)]).await;
    let client: &Arc<Client> = &stub.client;
    assert!(NotionWriter::me(&**client).await.is_err());
    for _ in 0..3 {
        let bot = NotionWriter::me(&**client).await.unwrap();
        assert_eq!(bot.to_string(), "0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11");
    }
    assert_eq!(stub.seen().len(), 2);
}

#[test]
fn an_intent_outlasts_its_write() {
    use super::writer::{MAY_ARRIVE, is_sendable, not_after, send_patience};
    let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    for lane in [Lane::Edit, Lane::Background] {
        let end = not_after(now, lane);
        let last = now + send_patience(lane);
        assert!(is_sendable(now, end) && is_sendable(last, end));
        assert!(!is_sendable(last + SignedDuration::from_secs(1), end));
        assert!(end >= last + SignedDuration::from_secs(10) + MAY_ARRIVE);
    }
}
