//! Memory stays bounded whatever is sent (S15): there is no limit by rate, but one by bytes.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{SHARED, edited, flood, send, signed, within};
use crate::support::Stage;

/// What the design promises, in KiB.
const PROMISED: u64 = 200 << 10;

/// A line of the operator's `/proc/<pid>/status`, in KiB.
async fn kib(stage: &Stage, line: &str) -> u64 {
    let pid = stage.operator.pid().await.expect("the operator runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let found = status
        .lines()
        .find_map(|text| text.strip_prefix(line))
        .unwrap();
    found.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_large_bodies_is_answered_within_the_memory_promised() {
    let stage = Stage::set("memory").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    // Bodies that arrive nearly to their end and wait there hold their room: 300 of 256 KiB are
    // more than all bodies may have.
    let mut held = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(stage.operator.http_address())
            .await
            .unwrap();
        let opening = format!(
            "POST {SHARED} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: 262144\r\n\r\n"
        );
        stream.write_all(opening.as_bytes()).await.unwrap();
        let body = vec![b'['; 262_143];
        let sent = stream.write_all(&body);
        // One that was refused is not read to its end.
        let _ = tokio::time::timeout(Duration::from_secs(2), sent).await;
        held.push(stream);
    }
    let headers = [("content-type", "application/json")];
    let refused = send(&stage, "POST", SHARED, &headers, vec![b'x'; 200 << 10]).await;
    if refused.status == 503 {
        assert_eq!(refused.code(503), "Overloaded");
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
    }
    let large = (0..200).map(|_| "x".repeat(3 << 20)).collect();
    for answer in flood(&stage, large).await {
        assert!([413, 503].contains(&answer.status), "{answer:?}");
    }
    drop(held);
    within(
        Duration::from_mins(1),
        "events are taken again",
        async || (signed(&stage, &edited(&stage, page)).await.status == 200).then_some(()),
    )
    .await;
    let peak = kib(&stage, "VmHWM:").await;
    assert!(peak < PROMISED, "{peak} KiB at the peak");
}
