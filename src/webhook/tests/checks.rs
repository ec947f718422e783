//! The order of checks (§4): each request is wrong in this way and in every later one.

use super::server::*;
use crate::webhook::testing::*;
use std::sync::atomic::Ordering;

const EVENT: &str = r#"{"id":"e1","type":"page.created","entity":{"id":"00000000-0000-0000-0000-000000000009","type":"page"}}"#;

#[tokio::test]
async fn paths_are_compared_byte_for_byte() {
    let world = World::of(vec![binding("projects")]).await;
    for path in [
        "/",
        "/api/webhooks",
        "/api/webhooks/notion/",
        "/api/webhooks/notion//",
        "/api/webhooks/notion/team-a",
        "/api/webhooks/notion/team-a/",
        "/api/webhooks/notion/team-a/projects/",
        "/api/webhooks/notion//team-a/projects",
        "//api/webhooks/notion",
        "/api/webhooks/./notion",
        "/api/webhooks/x/../notion",
        "/api/webhooks/notio%6e",
        "/api/webhooks/notion/team-a/%70rojects",
        "/api/webhooks/notion/team-a/projects%2e",
        "/api/webhooks/notion/team-a/unknown",
        "/api/webhooks/notionx",
        "/API/webhooks/notion",
        "/livez",
    ] {
        let answer = world.signed(path, EVENT).await;
        assert_eq!(
            answer.said(),
            (404, "NotFound".into(), String::new()),
            "{path}"
        );
    }
    assert_eq!(
        world
            .signed("/api/webhooks/notion/team-a/projects?x=/y", EVENT)
            .await
            .status,
        200
    );
    assert!(
        world
            .metrics()
            .contains(r#"webhook_requests_total{status="404",reason="NotFound"}"#)
    );
}

#[tokio::test]
async fn each_check_comes_before_the_next() {
    let world = World::of(vec![binding("projects")]).await;
    let large = vec![b'['; 256 * 1024 + 1];
    let text = [("Content-Type", "text/plain")];
    let mut get = request("GET", OWN, &text, large.len());
    get.extend_from_slice(&large);
    let answer = world.raw(&get).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(world.post(OWN, &text, &large).await.said().0, 415);
    let answer = world.post(OWN, &[], &large).await;
    assert_eq!(answer.said(), (413, "BodyTooLarge".into(), String::new()));
    let answer = world.post(OWN, &[], b"[").await;
    assert_eq!(
        answer.said(),
        (401, "SignatureMissing".into(), String::new())
    );
    let answer = world
        .post(OWN, &[("X-Notion-Signature", "sha256=00")], b"[")
        .await;
    assert_eq!(
        answer.said(),
        (401, "SignatureInvalid".into(), String::new())
    );
    let answer = world.signed(OWN, "[").await;
    assert_eq!(answer.said(), (400, "InvalidJson".into(), String::new()));
    for body in [
        "[]",
        "7",
        "{}",
        "null",
        r#"{"type":"x"}"#,
        r#"{"id":"a","type":"b"}"#,
    ] {
        let answer = world.signed(OWN, body).await;
        assert_eq!(
            answer.said(),
            (400, "UnknownEvent".into(), String::new()),
            "{body}"
        );
    }
    for body in [
        "",
        "{",
        "\u{feff}{}",
        r#"{"a":1e999999}"#,
        &"[".repeat(100_000),
    ] {
        let answer = world.signed(OWN, body).await;
        assert_eq!(answer.said(), (400, "InvalidJson".into(), String::new()));
    }
    let answer = world.signed(OWN, EVENT).await;
    assert_eq!(answer.said(), (200, "queued".into(), String::new()));
    assert_eq!(world.sink.stored.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn no_other_method_is_answered_by_anything_else() {
    let world = World::of(vec![binding("projects")]).await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for path in [SHARED, OWN] {
            let answer = world.raw(&request(method, path, &[], 0)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
    let head = world.raw(&request("HEAD", SHARED, &[], 0)).await;
    assert_eq!(head.status, 405);
}

#[tokio::test]
async fn only_json_is_accepted() {
    let world = World::of(vec![binding("projects")]).await;
    for good in [
        "application/json",
        "APPLICATION/JSON; charset=utf-8",
        "application/json ;x=y",
    ] {
        let answer = world.post(OWN, &[("Content-Type", good)], b"{}").await;
        assert_eq!(answer.status, 401, "{good}");
    }
    for bad in [
        "",
        "text/json",
        "application/jsonx",
        "application/x-www-form-urlencoded",
    ] {
        assert_eq!(
            world
                .post(OWN, &[("Content-Type", bad)], b"{}")
                .await
                .status,
            415,
            "{bad}"
        );
    }
    let twice = [
        ("Content-Type", "application/json"),
        ("Content-Type", "text/plain"),
    ];
    assert_eq!(world.post(OWN, &twice, b"{}").await.status, 415);
    let none = format!("POST {OWN} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}");
    assert_eq!(
        world.raw(none.as_bytes()).await.said().1,
        "UnsupportedMediaType"
    );
}

#[tokio::test]
async fn a_process_that_knows_no_bindings_yet_says_so() {
    let world = World::of(vec![binding("projects")]).await;
    world.directory.unready.store(true, Ordering::SeqCst);
    for path in [SHARED, OWN] {
        let answer = world.signed(path, EVENT).await;
        assert_eq!(answer.said(), (503, "NotReady".into(), String::new()));
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(world.signed("/api/webhooks/x", EVENT).await.status, 404);
    world.directory.unready.store(false, Ordering::SeqCst);
    assert_eq!(world.signed(OWN, EVENT).await.status, 200);
}

#[tokio::test]
async fn rejections_are_counted_and_reported_for_each_binding() {
    let world = World::of(vec![binding("projects"), binding("tasks")]).await;
    world.sink.rejections_fail.store(true, Ordering::SeqCst);
    world
        .post(OWN, &[("Content-Type", "text/plain")], b"")
        .await;
    world.post(OWN, &[], b"{}").await;
    world.signed(OWN, "[]").await;
    // Nobody can say whose these were, and these are no requests of a sender.
    world.post(SHARED, &[], b"{}").await;
    world.raw(&request("GET", OWN, &[], 0)).await;
    tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    world.sink.rejections_fail.store(false, Ordering::SeqCst);
    eventually("the report", || {
        !world.sink.rejected.lock().unwrap().is_empty()
    })
    .await;
    let notes = world.sink.rejected.lock().unwrap().clone();
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].binding, name("projects"));
    assert_eq!((notes[0].count, notes[0].last_reason), (3, "UnknownEvent"));
    let metrics = world.metrics();
    assert!(
        metrics.contains(r#"{status="401",reason="SignatureMissing"} 2"#),
        "{metrics}"
    );
    assert!(
        metrics.contains("notion_sync_webhook_accept_seconds_count 3"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_last_rejections_are_reported_at_shutdown() {
    let limits = crate::webhook::Limits {
        flush: std::time::Duration::from_mins(1),
        ..quick()
    };
    let world = World::with(vec![binding("projects")], limits, false).await;
    world.post(SHARED, &[], b"{}").await;
    world.shutdown.cancel();
    world.done.await.unwrap();
    let notes = world.sink.rejected.lock().unwrap();
    assert_eq!((notes.len(), notes[0].last_reason), (1, "SignatureMissing"));
}
