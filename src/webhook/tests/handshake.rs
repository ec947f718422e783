//! The challenge (S2) and the verification token (§2).

use super::server::*;
use crate::webhook::ports::{Handshake, ReceiverBinding};
use crate::webhook::testing::*;

const TOKEN: &str = r#"{"verification_token":"secret_new"}"#;
const EVENT: &str = r#"{"type":"page.updated","object":{"id":"00000000000000000000000000000009"}}"#;

fn waiting(text: &str) -> ReceiverBinding {
    ReceiverBinding {
        handshake: Handshake::Open,
        verified: false,
        ..binding(text)
    }
}

#[tokio::test]
async fn the_challenge_is_echoed_as_it_is_at_both_paths() {
    let world = World::of(vec![binding("projects")]).await;
    let body = br#"{"type":"webhook_challenge","challenge":"a\"b\u00e9"}"#;
    for path in [SHARED, OWN] {
        let answer = world.post(path, &[], body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json(), serde_json::json!({ "challenge": "a\"bé" }));
        let signed = [("X-Notion-Signature", "nonsense")];
        assert_eq!(world.post(path, &signed, body).await.status, 200);
    }
    assert!(world.sink.stored.lock().unwrap().is_empty());
    assert_eq!(
        world
            .post("/api/webhooks/notion/team-a/x", &[], body)
            .await
            .status,
        404
    );
    assert!(
        world
            .metrics()
            .contains(r#"{status="challenge",reason=""} 4"#)
    );
}

#[tokio::test]
async fn a_token_is_stored_once_and_works_at_once() {
    let world = World::of(vec![waiting("projects")]).await;
    world
        .credentials
        .set_empty("projects-webhook", "verification-token");
    // An early event makes the absence of a key known.
    assert_eq!(world.signed_by("secret_new", OWN, EVENT).await.status, 401);
    let answer = world.post(OWN, &[], TOKEN.as_bytes()).await;
    assert_eq!(
        answer.said(),
        (200, "verification_received".into(), String::new())
    );
    assert_eq!(
        world.signed_by("secret_new", OWN, EVENT).await.said().1,
        "queued"
    );
    let again = world
        .post(OWN, &[], br#"{"verification_token":"secret_other"}"#)
        .await;
    assert_eq!(
        again.said(),
        (200, "skipped".into(), "TokenAlreadyStored".into())
    );
    assert_eq!(
        world.signed_by("secret_other", OWN, EVENT).await.status,
        401
    );
}

#[tokio::test]
async fn a_closed_handshake_takes_nothing() {
    let world = World::of(vec![binding("projects")]).await;
    for path in [SHARED, OWN] {
        let answer = world.post(path, &[], TOKEN.as_bytes()).await;
        assert_eq!(
            answer.said(),
            (200, "skipped".into(), "TokenAlreadyStored".into())
        );
    }
    assert_eq!(world.signed_by("secret_new", OWN, EVENT).await.status, 401);
}

#[tokio::test]
async fn the_shared_path_needs_exactly_one_that_waits() {
    let world = World::of(vec![waiting("projects"), binding("tasks")]).await;
    world
        .credentials
        .set_empty("projects-webhook", "verification-token");
    let answer = world.post(SHARED, &[], TOKEN.as_bytes()).await;
    assert_eq!(answer.said().1, "verification_received");
    let world = World::of(vec![waiting("projects"), waiting("tasks")]).await;
    let answer = world.post(SHARED, &[], TOKEN.as_bytes()).await;
    assert_eq!(
        answer.said(),
        (409, "AmbiguousHandshake".into(), String::new())
    );
}

#[tokio::test]
async fn a_missing_secret_is_named() {
    let world = World::of(vec![waiting("projects")]).await;
    world
        .credentials
        .remove("projects-webhook", "verification-token");
    let answer = world.post(OWN, &[], TOKEN.as_bytes()).await;
    assert_eq!(
        answer.said(),
        (409, "WebhookSecretMissing".into(), String::new())
    );
}

#[tokio::test]
async fn of_many_tokens_at_once_one_is_stored() {
    let world = World::of(vec![waiting("projects")]).await;
    world
        .credentials
        .set_empty("projects-webhook", "verification-token");
    let bodies: Vec<_> = (0..20)
        .map(|n| format!(r#"{{"verification_token":"secret_{n}"}}"#))
        .collect();
    let posts = bodies
        .iter()
        .map(|body| world.post(OWN, &[], body.as_bytes()));
    let answers = futures::future::join_all(posts).await;
    let stored = answers
        .iter()
        .filter(|each| each.said().1 == "verification_received")
        .count();
    assert_eq!(stored, 1);
}
