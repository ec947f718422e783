//! Who is admitted (§1).

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::server::*;
use crate::webhook::ports::{Authentication, Proof, ReceiverBinding};
use crate::webhook::testing::*;

const EVENT: &str = r#"{"type":"page.updated","object":{"id":"00000000000000000000000000000009"}}"#;

fn admitting(signature: bool, shared_secret: bool, none: bool) -> ReceiverBinding {
    let mut ours = binding("projects");
    ours.authentication = Authentication {
        signature,
        shared_secret,
        none,
    };
    ours
}

/// Sends with a wrong or right signature and secret; returns the code or JSON status.
async fn tried(world: &World, signature: Option<bool>, bearer: Option<&str>) -> String {
    let signature =
        signature.map(|right| sign(if right { KEY } else { "wrong" }, EVENT.as_bytes()));
    let mut headers = Vec::new();
    if let Some(signature) = &signature {
        headers.push(("X-Notion-Signature", signature.as_str()));
    }
    if let Some(bearer) = bearer {
        headers.push(("Authorization", bearer));
    }
    world.post(OWN, &headers, EVENT.as_bytes()).await.said().1
}

const SECRET: Option<&str> = Some("Bearer bearer_projects");
const WRONG: Option<&str> = Some("Bearer x");

#[tokio::test]
async fn signature_alone() {
    let world = World::of(vec![admitting(true, false, false)]).await;
    assert_eq!(tried(&world, Some(true), None).await, "queued");
    assert_eq!(tried(&world, Some(true), WRONG).await, "queued");
    assert_eq!(tried(&world, Some(false), None).await, "SignatureInvalid");
    assert_eq!(tried(&world, None, SECRET).await, "SignatureMissing");
    assert_eq!(tried(&world, None, None).await, "SignatureMissing");
    assert!(
        world
            .sink
            .stored
            .lock()
            .unwrap()
            .iter()
            .all(|(_, event)| event.authenticated)
    );
}

#[tokio::test]
async fn shared_secret_alone() {
    let world = World::of(vec![admitting(false, true, false)]).await;
    assert_eq!(tried(&world, None, SECRET).await, "queued");
    assert_eq!(tried(&world, None, WRONG).await, "SecretInvalid");
    assert_eq!(
        tried(&world, None, Some("Basic eDp5")).await,
        "SecretInvalid"
    );
    assert_eq!(tried(&world, None, None).await, "SecretInvalid");
    assert_eq!(tried(&world, Some(true), SECRET).await, "SignatureInvalid");
    assert_eq!(world.sink.noted.lock().unwrap()[0].1, Proof::SharedSecret);
}

#[tokio::test]
async fn a_signature_is_judged_alone_where_both_are_listed() {
    let world = World::of(vec![admitting(true, true, false)]).await;
    assert_eq!(tried(&world, Some(false), SECRET).await, "SignatureInvalid");
    assert_eq!(tried(&world, Some(true), WRONG).await, "queued");
    assert_eq!(tried(&world, None, SECRET).await, "queued");
    assert_eq!(tried(&world, None, WRONG).await, "SecretInvalid");
    assert_eq!(tried(&world, None, None).await, "SignatureMissing");
}

#[tokio::test]
async fn none_counts_only_where_the_operator_allows_it() {
    let world = World::of(vec![admitting(false, false, true)]).await;
    assert_eq!(tried(&world, None, None).await, "SignatureMissing");
    let world = World::of(vec![admitting(false, true, true)]).await;
    assert_eq!(tried(&world, None, None).await, "SecretInvalid");
    let world = World::with(vec![admitting(false, false, true)], quick(), true).await;
    assert_eq!(tried(&world, None, None).await, "queued");
    assert_eq!(tried(&world, Some(true), None).await, "queued");
    assert_eq!(world.sink.noted.lock().unwrap()[0].1, Proof::Unverified);
    let world = World::with(vec![admitting(true, false, true)], quick(), true).await;
    assert_eq!(tried(&world, None, None).await, "queued");
    assert_eq!(tried(&world, Some(false), None).await, "SignatureInvalid");
}

#[tokio::test]
async fn any_of_several_keys_may_match_and_blank_lines_are_none() {
    let world = World::of(vec![binding("projects")]).await;
    let keys = "\n  first \r\n\nsecond\n \n";
    world
        .credentials
        .set("projects-webhook", "verification-token", keys);
    for key in ["first", "second"] {
        assert_eq!(
            world.signed_by(key, OWN, EVENT).await.said().1,
            "queued",
            "{key}"
        );
    }
    assert_eq!(world.signed_by("  first ", OWN, EVENT).await.status, 401);
    world
        .credentials
        .set("projects-webhook", "verification-token", "\n\n");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.signed_by("first", OWN, EVENT).await.status, 401);
}

#[tokio::test]
async fn a_rotated_key_works_at_once_and_forgeries_cause_few_reads() {
    let world = World::of(vec![binding("projects")]).await;
    assert_eq!(world.signed(OWN, EVENT).await.status, 200);
    tokio::time::sleep(Duration::from_millis(120)).await;
    world
        .credentials
        .set("projects-webhook", "verification-token", "rotated");
    assert_eq!(world.signed_by("rotated", OWN, EVENT).await.status, 200);
    let before = world.credentials.reads.load(Ordering::SeqCst);
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(world.signed_by("forged", OWN, EVENT).await.status, 401);
    }
    let reads = world.credentials.reads.load(Ordering::SeqCst) - before;
    let allowed = begun.elapsed().as_millis() / quick().key_reread.as_millis() + 1;
    assert!(
        reads as u128 <= allowed,
        "{reads} reads for 20 forged requests"
    );
}

#[tokio::test]
async fn the_last_keys_stay_valid_while_the_api_server_is_away() {
    let world = World::of(vec![binding("projects"), binding("tasks")]).await;
    assert_eq!(world.signed(OWN, EVENT).await.status, 200);
    world.credentials.away.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.signed(OWN, EVENT).await.status, 200);
    assert_eq!(world.signed_by("forged", OWN, EVENT).await.status, 401);
    // A key that was never read proves nothing either way.
    let unknown = "/api/webhooks/notion/team-a/tasks";
    let answer = world.signed_by("secret_of_tasks", unknown, EVENT).await;
    assert_eq!(
        answer.said(),
        (503, "KeysUnavailable".into(), String::new())
    );
    assert!(answer.header("retry-after").is_some());
    assert_eq!(world.post(unknown, &[], EVENT.as_bytes()).await.status, 401);
}

#[tokio::test]
async fn at_the_shared_path_the_credential_finds_the_binding() {
    let mut tasks = binding("tasks");
    tasks.authentication = Authentication {
        shared_secret: true,
        ..Authentication::default()
    };
    let world = World::of(vec![binding("projects"), tasks]).await;
    let event = r#"{"id":"e1","type":"page.created","entity":{"id":"00000000-0000-0000-0000-000000000009","type":"page"},"data":{"parent":{"type":"database","data_source_id":"00000000-0000-0000-0000-000000000001"}}}"#;
    assert_eq!(world.signed(SHARED, event).await.said().1, "queued");
    let secret = [("Authorization", "Bearer bearer_tasks")];
    assert_eq!(
        world.post(SHARED, &secret, event.as_bytes()).await.said().1,
        "queued"
    );
    let to: Vec<_> = world
        .sink
        .stored
        .lock()
        .unwrap()
        .iter()
        .map(|(to, _)| to.name.clone())
        .collect();
    assert_eq!(to, ["projects", "tasks"]);
    // The key of one binding opens no other.
    let theirs = "/api/webhooks/notion/team-a/tasks";
    assert_eq!(
        world.signed(theirs, event).await.said().1,
        "SignatureInvalid"
    );
    let bad = [("Authorization", "Bearer x")];
    assert_eq!(
        world.post(SHARED, &bad, b"{}").await.said().1,
        "SecretInvalid"
    );
    assert_eq!(
        world.post(SHARED, &[], b"{}").await.said().1,
        "SignatureMissing"
    );
    assert_eq!(
        world.signed_by("x", SHARED, "{}").await.said().1,
        "SignatureInvalid"
    );
}
