//! Notion's handshake: one key of an existing Secret gets its first value, and keeps it.

use serde_json::{Value, json};

use super::{SHARED, edited, own_path, remove_secret, signed_with, unsigned};
use crate::support::{Stage, eventually};

const KEY: &str = "verification-token";

fn token(text: &str) -> Value {
    json!({"verification_token": text})
}

/// The Secret's data, as the API server has it (base64).
async fn data(stage: &Stage, name: &str) -> Value {
    let output = stage
        .scene
        .kubectl(&["get", "secret", name, "-o", "json"])
        .await
        .unwrap();
    let text = output.ok().expect("the Secret exists");
    serde_json::from_str::<Value>(&text).unwrap()["data"].clone()
}

/// A stage whose webhook Secret has one other key and no token.
async fn stage_without_token(topic: &str) -> Stage {
    let stage = Stage::set(topic).await;
    let entries = [("other", "kept"), (KEY, "placeholder")];
    stage
        .scene
        .apply_secret("notion-webhook", &entries)
        .await
        .unwrap();
    remove_secret(&stage, "notion-webhook", Some(KEY)).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_from_its_first_token_to_the_next() {
    let stage = stage_without_token("handshake").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let kind = "WebhookVerified";
    let awaiting = Some("AwaitingVerification");
    let condition = stage
        .wait_condition("projects", kind, "False", awaiting)
        .await;
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("/api/webhooks/notion"), "{message}");
    let answer = signed_with(&stage, "secret_first", SHARED, &edited(&stage, page)).await;
    assert_eq!(
        answer.code(401),
        "SignatureInvalid",
        "no token is stored yet"
    );

    let answer = unsigned(&stage, SHARED, &token("secret_first")).await;
    assert_eq!(answer.said(), ("verification_received", ""));
    let stored = data(&stage, "notion-webhook").await;
    assert_eq!(
        stored,
        json!({"other": "a2VwdA==", KEY: "c2VjcmV0X2ZpcnN0"})
    );
    stage
        .wait_condition("projects", kind, "Unknown", awaiting)
        .await;
    for path in [SHARED, &own_path(&stage, "projects")] {
        let answer = unsigned(&stage, path, &token("secret_evil")).await;
        assert_eq!(answer.said(), ("skipped", "TokenAlreadyStored"), "{path}");
    }
    assert_eq!(data(&stage, "notion-webhook").await, stored);

    let answer = signed_with(&stage, "secret_first", SHARED, &edited(&stage, page)).await;
    assert_eq!(answer.said(), ("queued", ""));
    stage
        .wait_condition("projects", kind, "True", Some("Verified"))
        .await;
    let answer = unsigned(&stage, SHARED, &token("secret_evil")).await;
    assert_eq!(answer.said(), ("skipped", "TokenAlreadyStored"));

    // Removing the key asks for the next one.
    remove_secret(&stage, "notion-webhook", Some(KEY)).await;
    stage
        .wait_condition("projects", kind, "False", awaiting)
        .await;
    let own = own_path(&stage, "projects");
    let answer = unsigned(&stage, &own, &token("secret_second")).await;
    assert_eq!(answer.said(), ("verification_received", ""));
    let stored = data(&stage, "notion-webhook").await;
    assert_eq!(
        stored,
        json!({"other": "a2VwdA==", KEY: "c2VjcmV0X3NlY29uZA=="})
    );
    stage
        .wait_condition("projects", kind, "Unknown", awaiting)
        .await;
    let answer = signed_with(&stage, "secret_first", SHARED, &edited(&stage, page)).await;
    assert_eq!(answer.code(401), "SignatureInvalid");
    let answer = signed_with(&stage, "secret_second", SHARED, &edited(&stage, page)).await;
    assert_eq!(answer.said(), ("queued", ""));
    stage
        .wait_condition("projects", kind, "True", Some("Verified"))
        .await;
    let log = stage.operator.log().unwrap();
    for secret in ["secret_first", "secret_second", "secret_evil"] {
        assert!(!log.contains(secret), "the log holds a token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_wait_are_told_apart_by_their_own_paths() {
    let stage = stage_without_token("ambiguous").await;
    stage
        .sql("CREATE TABLE second (LIKE projects INCLUDING ALL)")
        .await;
    stage
        .sql("CREATE TABLE third (LIKE projects INCLUDING ALL)")
        .await;
    stage
        .scene
        .apply_secret("second-hook", &[("other", "kept")])
        .await
        .unwrap();
    stage.bind_ready(&json!({})).await;
    let second = json!({"postgres": {"table": "second"},
        "webhook": {"verificationTokenSecretRef": {"name": "second-hook"}}});
    stage.bind("second", &second).await;
    // A binding that waits for a shared secret waits for no token.
    let third = json!({"postgres": {"table": "third"}, "webhook": {
        "authentication": ["SharedSecret"], "verificationTokenSecretRef": null,
        "sharedSecretRef": {"name": "absent"}}});
    stage.bind("third", &third).await;
    let awaiting = Some("AwaitingVerification");
    for name in ["projects", "second"] {
        stage
            .wait_condition(name, "WebhookVerified", "False", awaiting)
            .await;
    }
    let missing = Some("WebhookSecretMissing");
    stage
        .wait_condition("third", "WebhookVerified", "False", missing)
        .await;

    let answer = unsigned(&stage, SHARED, &token("secret_x")).await;
    assert_eq!(answer.code(409), "AmbiguousHandshake");
    let third = own_path(&stage, "third");
    let answer = unsigned(&stage, &third, &token("secret_x")).await;
    assert_eq!(answer.said(), ("skipped", "TokenAlreadyStored"));
    let second = own_path(&stage, "second");
    let answer = unsigned(&stage, &second, &token("secret_b")).await;
    assert_eq!(answer.said(), ("verification_received", ""));
    stage
        .wait_condition("second", "WebhookVerified", "Unknown", awaiting)
        .await;
    // Now only one waits for a token.
    eventually("the shared path knows whom", async || {
        let answer = unsigned(&stage, SHARED, &token("secret_a")).await;
        (answer.status == 200).then(|| assert_eq!(answer.said(), ("verification_received", "")))
    })
    .await;
    let of = async |name: &str| data(&stage, name).await[KEY].clone();
    assert_eq!(of("notion-webhook").await, "c2VjcmV0X2E=");
    assert_eq!(of("second-hook").await, "c2VjcmV0X2I=");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_never_created() {
    let stage = Stage::set("nosecret").await;
    remove_secret(&stage, "notion-webhook", None).await;
    stage.bind("projects", &json!({})).await;
    let kind = "WebhookVerified";
    stage
        .wait_condition("projects", kind, "False", Some("WebhookSecretMissing"))
        .await;
    for path in [SHARED, &own_path(&stage, "projects")] {
        let answer = unsigned(&stage, path, &token("secret_x")).await;
        assert_eq!(answer.code(409), "WebhookSecretMissing", "{path}");
    }
    let output = stage
        .scene
        .kubectl(&["get", "secret", "notion-webhook"])
        .await
        .unwrap();
    assert!(output.ok().is_err(), "the operator made a Secret");
    // Once it is there, the token that is sent again is taken.
    stage
        .scene
        .apply_secret("notion-webhook", &[("other", "kept")])
        .await
        .unwrap();
    stage
        .wait_condition("projects", kind, "False", Some("AwaitingVerification"))
        .await;
    let answer = unsigned(&stage, SHARED, &token("secret_x")).await;
    assert_eq!(answer.said(), ("verification_received", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_is_no_handshake() {
    let stage = stage_without_token("notoken").await;
    stage.bind_ready(&json!({})).await;
    let awaiting = Some("AwaitingVerification");
    stage
        .wait_condition("projects", "WebhookVerified", "False", awaiting)
        .await;
    for body in [
        json!({"verification_token": ""}),
        json!({"verification_token": 7}),
        json!({"verification_token": null}),
        json!({"verification_token": "two\nlines"}),
        json!({"verification_token": "x".repeat(5000)}),
        json!({"verification_token": "secret_x", "entity": {"id": "1", "type": "page"}}),
        json!([{"verification_token": "secret_x"}]),
    ] {
        let answer = unsigned(&stage, SHARED, &body).await;
        assert_eq!(answer.code(401), "SignatureMissing", "{body}");
    }
    assert!(data(&stage, "notion-webhook").await[KEY].is_null());
    // Two at once: one of them gets in.
    let (one, two) = (token("secret_1"), token("secret_2"));
    let (one, two) = tokio::join!(
        unsigned(&stage, SHARED, &one),
        unsigned(&stage, SHARED, &two)
    );
    let mut said = [one.said(), two.said()];
    said.sort_unstable();
    assert_eq!(
        said,
        [
            ("skipped", "TokenAlreadyStored"),
            ("verification_received", "")
        ]
    );
}
