//! The checks before an event is one, in their order: 404, 405, 415, 413, 401, 400.

use serde_json::json;

use super::{SHARED, own_path, raw, send, signed, stored, unsigned};
use crate::support::{Stage, VERIFICATION_TOKEN};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread")]
async fn each_check_stands_before_the_next() {
    let stage = Stage::set("checks").await;
    stage.bind_ready(&json!({})).await;
    stage
        .bind(
            "bare",
            &json!({"webhook": null, "postgres": {"table": "bare"}}),
        )
        .await;
    let big = vec![b'x'; 3 << 20];

    // 404 before everything: unknown, without spec.webhook, and paths that are nearly right.
    let namespace = stage.scene.name();
    for path in [
        format!("{SHARED}/{namespace}/unknown"),
        format!("{SHARED}/{namespace}/bare"),
        format!("{SHARED}/nowhere/projects"),
        format!("{SHARED}/"),
        format!("{SHARED}/{namespace}"),
        format!("{SHARED}/{namespace}/projects/"),
        format!("{SHARED}/{namespace}/project%73"),
        "/api/webhooks/notion%2F".to_owned(),
        "/api/webhooks//notion".to_owned(),
        "/api/webhooks/Notion".to_owned(),
    ] {
        let answer = send(&stage, "GET", &path, &[("content-type", "text/plain")], "x").await;
        assert_eq!(answer.code(404), "NotFound", "{path}");
    }
    for path in [SHARED.to_owned(), own_path(&stage, "projects")] {
        // 405 before 415, whatever the body.
        for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = send(&stage, method, &path, &[], "").await;
            assert_eq!(answer.code(405), "MethodNotAllowed", "{method} {path}");
            assert_eq!(answer.header("allow"), Some("POST"));
        }
        // 415 before 413.
        for wrong in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "",
        ] {
            let answer = send(
                &stage,
                "POST",
                &path,
                &[("content-type", wrong)],
                big.clone(),
            )
            .await;
            assert_eq!(answer.code(415), "UnsupportedMediaType", "{wrong}");
        }
        let answer = send(&stage, "POST", &path, &[], "{}").await;
        assert_eq!(answer.code(415), "UnsupportedMediaType", "no type at all");
        // 413 before 401.
        let answer = send(&stage, "POST", &path, &[JSON], big.clone()).await;
        assert_eq!(answer.code(413), "BodyTooLarge");
        // 401 before 400.
        let answer = send(&stage, "POST", &path, &[JSON], "not json").await;
        assert_eq!(answer.code(401), "SignatureMissing");
        let typed = ("content-type", "Application/JSON; charset=utf-8");
        let answer = send(&stage, "POST", &path, &[typed], "{}").await;
        assert_eq!(
            answer.code(401),
            "SignatureMissing",
            "a type with parameters is fine"
        );
    }
    assert_eq!(stored(&stage).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_no_event_is_told_from_what_is_no_json() {
    let stage = Stage::set("nojson").await;
    stage.bind_ready(&json!({})).await;
    let post = async |body: Vec<u8>| {
        let signature = notion_imitation::signature(VERIFICATION_TOKEN, &body);
        send(
            &stage,
            "POST",
            SHARED,
            &[JSON, ("x-notion-signature", &signature)],
            body,
        )
        .await
    };
    for body in [
        "",
        "not json",
        "{",
        "{\"a\":1e999999}",
        "{} {}",
        "\u{feff}{}",
    ] {
        assert_eq!(post(body.into()).await.code(400), "InvalidJson", "{body:?}");
    }
    assert_eq!(post(vec![b'"', 0xff, b'"']).await.code(400), "InvalidJson");
    for body in [
        "[]",
        "7",
        "null",
        "\"text\"",
        "{}",
        "{\"type\":\"page.updated\"}",
        "{\"type\":\"page.updated\",\"object\":null}",
        "{\"type\":\"page.updated\",\"object\":{\"id\":\"no id\"}}",
        "{\"id\":\"1\",\"type\":\"page.created\"}",
        "{\"source\":{\"type\":\"automation\"},\"data\":{}}",
    ] {
        assert_eq!(post(body.into()).await.code(400), "UnknownEvent", "{body}");
    }
    assert_eq!(stored(&stage).await, 0);
    // An unknown type in a real envelope is stored, whatever else it carries.
    let page = stage.linked("Alpha").await;
    let mut event = super::edited(&stage, page);
    event["type"] = "page.something_new".into();
    event["future"] = json!({"unknown": [null, {"fields": true}]});
    event["authors"] = json!(null);
    event["accessible_by"] = json!(null);
    event["data"]["updated_properties"] = json!(null);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    let without_data = json!({"id": "e1", "type": "file_upload.created", "entity":
        {"id": "e2", "type": "file_upload"}});
    let own = own_path(&stage, "projects");
    let answer = super::signed_with(&stage, VERIFICATION_TOKEN, &own, &without_data).await;
    assert_eq!(answer.said(), ("queued", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_two_lengths_is_refused_and_its_connection_closed() {
    let stage = Stage::set("lengths").await;
    stage.bind_ready(&json!({})).await;
    let head = format!("POST {SHARED} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
    let both = format!(
        "{head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n\
         GET /api/webhooks/notion HTTP/1.1\r\nHost: x\r\n\r\n"
    );
    let reply = raw(&stage, both.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(reply.contains("\"code\":\"AmbiguousLength\""), "{reply}");
    assert_eq!(
        reply.matches("HTTP/1.1 ").count(),
        1,
        "the second request is not answered: {reply}"
    );
    // Declared beyond the cap: refused before the body is sent.
    let declared = format!("{head}Content-Length: 3145728\r\nConnection: close\r\n\r\n");
    let mut stream = tokio::net::TcpStream::connect(stage.operator.http_address())
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, declared.as_bytes())
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut stream)
        .await
        .unwrap();
    let reply = super::read_to_end(&mut stream).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    // What was never signed is refused as such, also in chunks.
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
    let reply = raw(&stage, chunked.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 401 "), "{reply}");
    assert_eq!(
        unsigned(&stage, SHARED, &json!({})).await.code(401),
        "SignatureMissing"
    );
}
