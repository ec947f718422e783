//! Senders that are slow, broken or hostile: never a 5xx, and never a connection held for ever.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{SHARED, edited, read_to_end, signed};
use crate::support::Stage;

const HEAD: &str =
    "POST /api/webhooks/notion HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn connect(stage: &Stage) -> TcpStream {
    TcpStream::connect(stage.operator.http_address())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_without_end_is_cut_at_the_cap() {
    let stage = Stage::set("chunks").await;
    stage.bind_ready(&json!({})).await;
    let mut stream = connect(&stage).await;
    let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sender = tokio::spawn(async move {
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let mut sent = 0_usize;
        // The server takes what it throws away only up to a limit, then it hangs up.
        while writer.write_all(chunk.as_bytes()).await.is_ok() && sent < 256 << 20 {
            sent += chunk.len();
        }
        sent
    });
    let mut reply = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut reply);
    let read = tokio::time::timeout(Duration::from_mins(1), read).await;
    let _ = read.expect("the connection is closed");
    let reply = String::from_utf8_lossy(&reply);
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(reply.contains("\"code\":\"BodyTooLarge\""), "{reply}");
    let sent = sender.await.unwrap();
    assert!(sent < 64 << 20, "the server read on: {sent} bytes");
    assert!(stage.operator.exited().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_answered_or_dropped_in_time() {
    let stage = Stage::set("slow").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let (mut silent, mut head, mut body) = (
        connect(&stage).await,
        connect(&stage).await,
        connect(&stage).await,
    );
    head.write_all(b"POST /api/webhooks/notion HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    let half = format!("{HEAD}Content-Length: 100\r\n\r\n{{\"half\":");
    body.write_all(half.as_bytes()).await.unwrap();
    let started = Instant::now();
    // Bytes that drip prolong nothing.
    let dripping = tokio::spawn({
        let mut drip = connect(&stage).await;
        async move {
            let since = Instant::now();
            drip.write_all(b"POST /api/webhooks/notion HTTP/1.1\r\n")
                .await
                .unwrap();
            while drip.write_all(b"x").await.is_ok() && since.elapsed() < Duration::from_mins(1) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            since.elapsed()
        }
    });
    // Meanwhile others are served.
    assert_eq!(
        signed(&stage, &edited(&stage, page)).await.said(),
        ("queued", "")
    );
    let (a, b, c) = tokio::join!(
        read_to_end(&mut silent),
        read_to_end(&mut head),
        read_to_end(&mut body)
    );
    assert!(
        started.elapsed() < Duration::from_secs(40),
        "{:?}",
        started.elapsed()
    );
    assert!(!a.contains(" 5") && !b.contains(" 500"), "{a}{b}");
    assert!(c.starts_with("HTTP/1.1 408 "), "{c}");
    let dripped = dripping.await.unwrap();
    assert!(
        dripped < Duration::from_secs(40),
        "a head dripped for {dripped:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_the_wire_never_gives_a_fault() {
    let stage = Stage::set("nonsense").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let long = format!(
        "POST {SHARED} HTTP/1.1\r\nX: {}\r\n\r\n",
        "y".repeat(100_000)
    );
    let many = (0..500).map(|number| format!("H{number}: v\r\n"));
    let many = many.collect::<Vec<_>>().concat();
    let many = format!("{HEAD}{many}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}");
    let cases: [&[u8]; 10] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /api/webhooks/notion HTTP/1.1\r\n\r\n",
        b"POST * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST http://elsewhere/api/webhooks/notion HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
          Content-Length: 0\r\n\r\n",
        b"POST /api/webhooks/notion HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
          Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/webhooks/notion HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for (index, case) in cases.iter().enumerate() {
        let mut stream = connect(&stage).await;
        let _ = stream.write_all(case).await;
        let _ = stream.shutdown().await;
        let reply = read_to_end(&mut stream).await;
        let first = reply.lines().next().unwrap_or_default();
        assert!(!first.contains(" 5"), "case {index}: {first}");
        assert!(!first.contains(" 200"), "case {index}: {first}");
    }
    assert_eq!(
        signed(&stage, &edited(&stage, page)).await.said(),
        ("queued", "")
    );
    let panicked = stage.operator.log().unwrap().contains("panic");
    assert!(!panicked, "nothing panicked");
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_large_bodies_are_answered() {
    let stage = Stage::set("large").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let key = crate::support::VERIFICATION_TOKEN;
    let post = async |body: String| {
        let signature = notion_imitation::signature(key, body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-notion-signature", &*signature),
        ];
        super::send(&stage, "POST", SHARED, &headers, body).await
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(post(deep).await.code(400), "InvalidJson");
    let mut largest = edited(&stage, page);
    largest["pad"] = "x".repeat((256 << 10) - 1024).into();
    assert_eq!(post(largest.to_string()).await.said(), ("queued", ""));
    let mut larger = edited(&stage, page);
    larger["pad"] = "x".repeat(256 << 10).into();
    assert_eq!(post(larger.to_string()).await.code(413), "BodyTooLarge");
}
