//! Bad input and bad weather on the running system: what every such test asks.
//!
//! A failure must name the condition, the Event, the health and the remedy, must leave other
//! bindings alone, and must show no token, password or value anywhere. The tests themselves are in
//! the `failures_*` modules beside this one.

use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use crate::support::{Stage, USUAL_TABLE, VERIFICATION_TOKEN, eventually};

/// A value that tests put into rows and pages, and that nobody may repeat elsewhere.
pub(crate) const CANARY: &str = "canary-7f3a9c1e";
/// What a busy machine may add to a promised time.
pub(crate) const SLACK: Duration = Duration::from_secs(20);

/// Waits until the condition is False for this reason, and checks everything else that must say
/// so; gives back the message.
pub(crate) async fn wait_fails(stage: &Stage, name: &str, kind: &str, reason: &str) -> String {
    let condition = stage
        .wait_condition(name, kind, "False", Some(reason))
        .await;
    let message = condition["message"].as_str().unwrap().to_owned();
    stage
        .wait_condition(name, "Ready", "False", Some(reason))
        .await;
    let object = stage.binding(name).await;
    assert_eq!(
        object["status"]["health"], "Failing",
        "{}",
        object["status"]
    );
    // An earlier failure for the same reason may have its own Event, with another note.
    eventually(
        &format!("an Event {reason} about {name}: {message}"),
        async || {
            let told = |event: &Value| {
                event["reason"] == reason
                    && event["regarding"]["name"] == name
                    && event["type"] == "Warning"
                    && event["note"] == *message
            };
            events(stage).await.iter().any(told).then_some(())
        },
    )
    .await;
    message
}

/// Waits for the Event of this reason about that binding.
pub(crate) async fn event(stage: &Stage, name: &str, reason: &str) -> Value {
    eventually(&format!("an Event {reason} about {name}"), async || {
        let events = events(stage).await;
        events
            .into_iter()
            .find(|event| event["reason"] == reason && event["regarding"]["name"] == name)
    })
    .await
}

/// All Events of the stage.
pub(crate) async fn events(stage: &Stage) -> Vec<Value> {
    let api: Api<Event> = Api::namespaced(stage.client.clone(), stage.scene.name());
    let list = api.list(&ListParams::default()).await.unwrap();
    let events = list.items.into_iter().map(serde_json::to_value);
    events.collect::<Result<_, _>>().unwrap()
}

/// Sets an annotation; the prefix is added.
pub(crate) async fn annotate(stage: &Stage, name: &str, key: &str, value: &str) {
    let annotation = format!("notionsync.dev/{key}={value}");
    let arguments = ["annotate", "--overwrite", "nsb", name, &annotation];
    stage.scene.kubectl(&arguments).await.unwrap().ok().unwrap();
}

/// Asks for a pass now, and waits for its receipt.
pub(crate) async fn request_pass(stage: &Stage, name: &str) {
    let value = uuid::Uuid::new_v4().to_string();
    annotate(stage, name, "requestedAt", &value).await;
    eventually(&format!("the receipt of a pass of {name}"), async || {
        let object = stage.binding(name).await;
        (object["status"]["lastHandledReconcileAt"] == *value).then_some(())
    })
    .await;
}

/// The same for a complete pass.
pub(crate) async fn request_full_scan(stage: &Stage, name: &str) {
    let value = uuid::Uuid::new_v4().to_string();
    annotate(stage, name, "fullScanRequestedAt", &value).await;
    eventually(
        &format!("the receipt of a full scan of {name}"),
        async || {
            let object = stage.binding(name).await;
            (object["status"]["lastHandledFullScanAt"] == *value).then_some(())
        },
    )
    .await;
}

/// Waits for Ready and checks that it came in `promised`, as far as a busy machine allows.
pub(crate) async fn wait_ready_within(stage: &Stage, name: &str, promised: Duration) {
    let since = Instant::now();
    stage.wait_condition(name, "Ready", "True", None).await;
    let took = since.elapsed();
    assert!(
        took < promised + SLACK,
        "{name} took {took:?} instead of {promised:?}"
    );
}

/// One more table of the usual form.
pub(crate) async fn table(stage: &Stage, name: &str) {
    let text = USUAL_TABLE.replace("TABLE projects", &format!("TABLE {name}"));
    stage.sql(&text).await;
}

/// Checks that neither log, Events, status nor metrics repeat a secret of the stage, the canary or
/// one of the others.
pub(crate) async fn nothing_leaked(stage: &Stage, others: &[&str]) {
    let uri = stage.scene.database_uri().unwrap();
    let password = reqwest::Url::parse(&uri)
        .unwrap()
        .password()
        .unwrap()
        .to_owned();
    let token = stage.notion.token();
    let mut secrets = vec![CANARY, VERIFICATION_TOKEN, &uri, &password, &token];
    secrets.extend(others);
    let objects = stage
        .scene
        .kubectl(&["get", "nsb", "-o", "yaml"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    let events = Value::Array(events(stage).await).to_string();
    let metrics = reqwest::get(stage.operator.metrics_url("/metrics"))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let log = stage.operator.log().unwrap();
    assert!(!log.is_empty(), "the log is empty: {log}");
    for (place, text) in [
        ("status", objects),
        ("Events", events),
        ("metrics", metrics),
        ("the log", log),
    ] {
        for secret in &secrets {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(
                line.is_none(),
                "{place} repeats {secret}: {}",
                line.unwrap_or_default()
            );
        }
    }
}
