//! Signature, shared secret and none; keys in Secrets that change while the operator runs.

use notion_imitation::signature;
use serde_json::json;

use super::{SHARED, edited, own_path, send, signed, signed_with, stored, unsigned, with_secret};
use crate::support::{Stage, VERIFICATION_TOKEN, eventually};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_over_the_raw_bytes_and_there_is_one_of_it() {
    let stage = Stage::set("signature").await;
    stage.bind_ready(&json!({})).await;
    let page = stage.linked("Alpha").await;
    let spaced = format!(" {} \n", edited(&stage, page));
    let right = signature(VERIFICATION_TOKEN, spaced.as_bytes());
    let post = async |signatures: &[&str]| {
        let mut headers = vec![JSON];
        headers.extend(
            signatures
                .iter()
                .map(|value| ("x-notion-signature", *value)),
        );
        send(&stage, "POST", SHARED, &headers, spaced.clone()).await
    };
    let digits = right.strip_prefix("sha256=").unwrap();
    let other = signature("secret_other", spaced.as_bytes());
    for wrong in [
        &[other.as_str()][..],
        &[digits],
        &[&right[..right.len() - 1]],
        &[&format!("{right}0")],
        &[&format!("sha1={digits}")],
        &[""],
        &[&right, &right],
        &[&other, &right],
        &[&format!("{right},{right}")],
    ] {
        assert_eq!(post(wrong).await.code(401), "SignatureInvalid", "{wrong:?}");
    }
    // A request with the header is judged by it alone.
    let bearer = ("authorization", "Bearer whatever");
    let headers = [JSON, bearer, ("x-notion-signature", other.as_str())];
    let answer = send(&stage, "POST", SHARED, &headers, spaced.clone()).await;
    assert_eq!(answer.code(401), "SignatureInvalid");
    assert_eq!(
        send(&stage, "POST", SHARED, &[JSON, bearer], "{}")
            .await
            .code(401),
        "SignatureMissing"
    );
    assert_eq!(stored(&stage).await, 0);
    let upper = format!("sha256={}", digits.to_uppercase());
    assert_eq!(post(&[&upper]).await.said(), ("queued", ""));
    assert_eq!(post(&[&right]).await.said(), ("duplicate", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_keys_in_one_secret_and_rotation_without_a_restart() {
    let stage = Stage::set("rotation").await;
    let keys = |text: &'static str| [("verification-token", text)];
    stage
        .scene
        .apply_secret("notion-webhook", &keys("secret_old\nsecret_new\n"))
        .await
        .unwrap();
    stage.bind_ready(&json!({})).await;
    let page = stage.linked("Alpha").await;
    for key in ["secret_old", "secret_new"] {
        let answer = signed_with(&stage, key, SHARED, &edited(&stage, page)).await;
        assert_eq!(answer.said(), ("queued", ""), "{key}");
    }
    let both = signed_with(
        &stage,
        "secret_old\nsecret_new",
        SHARED,
        &edited(&stage, page),
    )
    .await;
    assert_eq!(
        both.code(401),
        "SignatureInvalid",
        "the keys are lines, not one text"
    );
    assert_eq!(
        signed_with(&stage, "", SHARED, &edited(&stage, page))
            .await
            .code(401),
        "SignatureInvalid"
    );

    stage
        .scene
        .apply_secret("notion-webhook", &keys("secret_rotated"))
        .await
        .unwrap();
    eventually("the rotated key is accepted", async || {
        let answer = signed_with(&stage, "secret_rotated", SHARED, &edited(&stage, page)).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let answer = signed_with(&stage, "secret_old", SHARED, &edited(&stage, page)).await;
    assert_eq!(answer.code(401), "SignatureInvalid", "the old key is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_secret_admits_senders_that_cannot_sign() {
    let stage = Stage::set("secret").await;
    let entries = [
        ("shared-secret", "correct horse"),
        ("verification-token", VERIFICATION_TOKEN),
    ];
    stage
        .scene
        .apply_secret("notion-webhook", &entries)
        .await
        .unwrap();
    let webhook = json!({"webhook": {"authentication": ["SharedSecret"],
        "verificationTokenSecretRef": null, "sharedSecretRef": {"name": "notion-webhook"}}});
    stage.bind_ready(&webhook).await;
    let page = stage.linked("Alpha").await;
    let automation = || stage.notion.automation_event(page, None);
    let own = own_path(&stage, "projects");
    for path in [SHARED, &own] {
        let answer = with_secret(&stage, path, "correct horse", &automation()).await;
        assert_eq!(answer.said(), ("queued", ""), "{path}");
        let answer = with_secret(&stage, path, "correct hors", &automation()).await;
        assert_eq!(answer.code(401), "SecretInvalid", "{path}");
        let answer = unsigned(&stage, path, &automation()).await;
        assert_eq!(answer.code(401), "SecretInvalid", "nothing sent, {path}");
        // A signature is no credential here, although its key is known.
        let answer = signed_with(&stage, VERIFICATION_TOKEN, path, &automation()).await;
        assert_eq!(answer.code(401), "SignatureInvalid", "{path}");
    }
    stage
        .wait_condition("projects", "WebhookVerified", "True", Some("Verified"))
        .await;

    // Both ways listed: either admits any dialect, and nothing sent is a missing signature.
    let both = json!({"spec": {"webhook": {"authentication": ["Signature", "SharedSecret"],
        "verificationTokenSecretRef": {"name": "notion-webhook"}}}});
    super::patch(&stage, "projects", &both).await;
    eventually("a signature is accepted", async || {
        (signed(&stage, &automation()).await.status == 200).then_some(())
    })
    .await;
    let answer = with_secret(&stage, SHARED, "correct horse", &edited(&stage, page)).await;
    assert_eq!(answer.said(), ("queued", ""));
    assert_eq!(
        unsigned(&stage, SHARED, &automation()).await.code(401),
        "SignatureMissing"
    );
    assert_eq!(
        unsigned(&stage, &own, &automation()).await.code(401),
        "SignatureMissing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn none_needs_the_operators_flag() {
    let stage = Stage::set("none").await;
    let webhook =
        json!({"webhook": {"authentication": ["None"], "verificationTokenSecretRef": null}});
    stage.bind("projects", &webhook).await;
    let stalled = Some("UnverifiedNotAllowed");
    stage
        .wait_condition("projects", "Stalled", "True", stalled)
        .await;
    stage
        .wait_condition("projects", "Ready", "False", stalled)
        .await;
    let page = stage.linked("Alpha").await;
    let own = own_path(&stage, "projects");
    for path in [SHARED, &own] {
        let answer = unsigned(&stage, path, &edited(&stage, page)).await;
        assert_eq!(answer.code(401), "SignatureMissing", "{path}");
    }
    assert_eq!(
        signed(&stage, &edited(&stage, page)).await.code(401),
        "SignatureInvalid"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn none_with_the_flag_admits_everybody() {
    let stage = Stage::set_with("open", |options| options.allow_unverified_webhooks = true).await;
    let page = stage.linked("Alpha").await;
    let webhook =
        json!({"webhook": {"authentication": ["None"], "verificationTokenSecretRef": null}});
    stage.bind_ready(&webhook).await;
    assert_eq!(
        unsigned(&stage, SHARED, &edited(&stage, page)).await.said(),
        ("queued", "")
    );
    let own = own_path(&stage, "projects");
    let answer = unsigned(&stage, &own, &stage.notion.legacy_event(page)).await;
    assert_eq!(answer.said(), ("queued", ""));
    eventually("it is audited", async || {
        stage.audited("notion_webhook", page).await
    })
    .await;
}
