//! Bytes that no honest sender sends (§4, S15).

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::*;
use crate::webhook::Limits;
use crate::webhook::testing::*;

const EVENT: &str = r#"{"type":"page.updated","object":{"id":"00000000000000000000000000000009"}}"#;
const HEAD: &str = "HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

fn with_signature(lines: &str, body: &str) -> String {
    let signature = sign(KEY, body.as_bytes());
    format!("POST {OWN} {HEAD}X-Notion-Signature: {signature}\r\n{lines}\r\n")
}

/// How long until the server closes the connection.
async fn closed_after(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    read.expect("the connection is closed").ok();
    begun.elapsed()
}

#[tokio::test]
async fn two_lengths_are_refused_and_the_connection_closed() {
    let world = World::of(vec![binding("projects")]).await;
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream
            .write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(answer(&mut stream).await.status, 404);
        let both = format!("POST {OWN} {HEAD}{lines}\r\n0\r\n\r\nGET /");
        stream.write_all(both.as_bytes()).await.unwrap();
        let refused = answer(&mut stream).await;
        assert_eq!(
            refused.said(),
            (400, "AmbiguousLength".into(), String::new())
        );
        assert_eq!(refused.header("connection"), Some("close"));
        closed_after(&mut stream).await;
    }
}

#[tokio::test]
async fn chunked_bodies_are_read_under_the_same_cap() {
    let world = World::of(vec![binding("projects")]).await;
    let chunk = |part: &[u8]| format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part));
    let chunks = EVENT
        .as_bytes()
        .chunks(7)
        .map(chunk)
        .collect::<Vec<_>>()
        .concat();
    let head = with_signature("Transfer-Encoding: chunked\r\n", EVENT);
    let answer = world
        .raw(format!("{head}{chunks}0\r\n\r\n").as_bytes())
        .await;
    assert_eq!(answer.said().1, "queued");
    let large = format!("{:x}\r\n{}\r\n", 64 * 1024, "x".repeat(64 * 1024)).repeat(48);
    let answer = world
        .raw(format!("{head}{large}0\r\n\r\n").as_bytes())
        .await;
    assert_eq!(answer.said(), (413, "BodyTooLarge".into(), String::new()));
}

#[tokio::test]
async fn a_large_declared_body_is_refused_before_it_is_sent() {
    let world = World::of(vec![binding("projects")]).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = request("POST", OWN, &[("Expect", "100-continue")], 3_000_000);
    stream.write_all(&head).await.unwrap();
    assert_eq!(answer(&mut stream).await.status, 413);
    // A sender that does not wait still gets to read its reply.
    let answer = world.post(OWN, &[], &vec![b'x'; 3_000_000]).await;
    assert_eq!(answer.said().1, "BodyTooLarge");
    assert_eq!(
        world.post(OWN, &[], &vec![b' '; 256 * 1024]).await.status,
        401
    );
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off() {
    let world = World::of(vec![binding("projects")]).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let begun = Instant::now();
    let drip = async {
        for byte in format!("POST {OWN} {HEAD}").bytes().cycle() {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(8), drip)
        .await
        .expect("the connection is closed");
    assert!(begun.elapsed() >= quick().head);
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    assert!(closed_after(&mut silent).await >= quick().head / 2);
}

#[tokio::test]
async fn a_body_that_drips_is_answered_and_cut_off() {
    let world = World::of(vec![binding("projects")]).await;
    for lines in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream
            .write_all(with_signature(lines, EVENT).as_bytes())
            .await
            .unwrap();
        stream.write_all(b"5\r\n").await.unwrap();
        let late = answer(&mut stream).await;
        assert_eq!(late.said(), (408, "BodyTimeout".into(), String::new()));
        closed_after(&mut stream).await;
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests_also_when_they_come_at_once() {
    let world = World::of(vec![binding("projects")]).await;
    let one = with_signature(&format!("Content-Length: {}\r\n", EVENT.len()), EVENT) + EVENT;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(one.repeat(20).as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut chunk = [0; 4096];
    while text.matches(r#"{"status":"queued"}"#).count() < 20 {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut chunk)).await;
        let count = read.expect("an answer").unwrap();
        assert!(count > 0, "closed after {text}");
        text += &String::from_utf8_lossy(&chunk[..count]);
    }
    // Between requests a connection may rest for longer than a head may take.
    tokio::time::sleep(quick().head + Duration::from_millis(300)).await;
    stream.write_all(one.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.said().1, "queued");
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_off() {
    let world = World::of(vec![binding("projects")]).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let flood = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let cut = async { while stream.write_all(flood.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), cut)
        .await
        .expect("the connection is closed");
}

#[tokio::test]
async fn bodies_beyond_the_budget_are_put_off() {
    let limits = Limits {
        bodies_in_flight: 64 * 1024,
        ..quick()
    };
    let world = World::with(vec![binding("projects")], limits, false).await;
    let mut hog = TcpStream::connect(world.address).await.unwrap();
    hog.write_all(&request("POST", OWN, &[], 100_000))
        .await
        .unwrap();
    hog.write_all(&vec![b'x'; 60_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let refused = world.signed(OWN, EVENT).await;
    assert_eq!(refused.said(), (503, "Overloaded".into(), String::new()));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(answer(&mut hog).await.status, 408);
    assert_eq!(world.signed(OWN, EVENT).await.said().1, "queued");
}

#[tokio::test]
async fn silent_connections_give_way_and_busy_ones_do_not() {
    let limits = Limits {
        connections: 8,
        head: Duration::from_secs(30),
        ..quick()
    };
    let world = World::with(vec![binding("projects")], limits, false).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(world.address).await.unwrap());
        assert_eq!(world.signed(OWN, EVENT).await.said().1, "queued");
    }
    let mut busy = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream
            .write_all(&request("POST", OWN, &[], 100))
            .await
            .unwrap();
        busy.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let refused = world.signed(OWN, EVENT).await;
    assert_eq!(refused.said(), (503, "Overloaded".into(), String::new()));
    for mut stream in busy {
        assert_eq!(answer(&mut stream).await.status, 408);
    }
}

#[tokio::test]
async fn nonsense_gets_no_5xx() {
    let world = World::of(vec![binding("projects")]).await;
    let many = "X: y\r\n".repeat(300);
    let long = format!("X: {}\r\n", "y".repeat(20_000));
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        format!("POST {OWN} HTTP/9.9\r\n\r\n").into_bytes(),
        format!("POST {OWN} {HEAD}Content-Length: -1\r\n\r\n").into_bytes(),
        format!("POST {OWN} {HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx").into_bytes(),
        format!("POST {OWN} {HEAD}Transfer-Encoding: gzip\r\n\r\nx").into_bytes(),
        format!("POST {OWN} {HEAD}{many}\r\n").into_bytes(),
        format!("POST {OWN} {HEAD}{long}\r\n").into_bytes(),
        format!("POST /{} {HEAD}\r\n", "x".repeat(70_000)).into_bytes(),
        format!("POST {OWN} {HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        format!("OPTIONS * {HEAD}\r\n").into_bytes(),
        format!("CONNECT x:1 {HEAD}\r\n").into_bytes(),
    ] {
        let answer = world.raw(&bytes).await;
        assert!(
            answer.status < 500,
            "{}: {answer:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    assert_eq!(world.signed(OWN, EVENT).await.said().1, "queued");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_fault_of_ours() {
    let world = World::of(vec![binding("projects")]).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream
        .write_all(&request("POST", OWN, &[], 100))
        .await
        .unwrap();
    stream.write_all(b"{").await.unwrap();
    stream.shutdown().await.unwrap();
    let broken = answer(&mut stream).await;
    assert_eq!(broken.said(), (400, "BodyIncomplete".into(), String::new()));
}

#[tokio::test]
async fn shutting_down_lets_a_request_end_and_takes_no_new_one() {
    let world = World::of(vec![binding("projects")]).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = with_signature(&format!("Content-Length: {}\r\n", EVENT.len()), EVENT);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    idle.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(answer(&mut idle).await.status, 404);
    world.shutdown.cancel();
    closed_after(&mut idle).await;
    assert!(TcpStream::connect(world.address).await.is_err());
    stream.write_all(EVENT.as_bytes()).await.unwrap();
    let last = answer(&mut stream).await;
    assert_eq!(last.said().1, "queued");
    assert_eq!(last.header("connection"), Some("close"));
    tokio::time::timeout(Duration::from_secs(1), world.done)
        .await
        .unwrap()
        .unwrap();
}
