//! What people and tools see of a binding: columns, conditions through its whole life, Events, and
//! how little is written while nothing happens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, WatchEvent, WatchParams};
use notion_sync_operator::api::NotionSyncBinding;
use serde_json::{Value, json};
use world::manifests::{binding, merged};

use crate::support::{Stage, eventually, title};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_finds_and_waits() {
    let stage = Stage::set("columns").await;
    stage.linked("Alpha").await;
    stage.bind("projects", &json!({})).await;
    let kubectl =
        async |arguments: &[&str]| stage.scene.kubectl(arguments).await.unwrap().ok().unwrap();
    kubectl(&[
        "wait",
        "nsb/projects",
        "--for=condition=Ready",
        "--timeout=60s",
    ])
    .await;
    let narrow = [
        "NAME", "READY", "HEALTH", "DRIFT", "PAGES", "ROWS", "LAST", "SYNC", "AGE",
    ];
    let head = |text: &str| -> Vec<String> {
        let line = text.lines().next().unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    };
    for name in [
        "nsb",
        "notionsyncbindings",
        "notionsyncbinding",
        "notionsync",
    ] {
        assert_eq!(head(&kubectl(&["get", name]).await), narrow, "{name}");
    }
    let wide = kubectl(&["get", "nsb", "-o", "wide"]).await;
    let expected = [&narrow[..], &["TABLE", "DIRECTION", "WEBHOOK", "MESSAGE"]].concat();
    assert_eq!(head(&wide), expected);
    let row = wide.lines().nth(1).unwrap();
    assert!(
        row.contains("projects   ToPostgres   AwaitingVerification   The last pass"),
        "{row}"
    );
    for (selector, found) in [
        (
            "spec.postgres.table=projects,spec.direction=ToPostgres",
            true,
        ),
        ("spec.postgres.table=other", false),
        ("spec.direction=TwoWay", false),
    ] {
        let listed = kubectl(&["get", "nsb", "-o", "name", "--field-selector", selector]).await;
        assert_eq!(listed.contains("/projects"), found, "{selector}: {listed}");
    }
    let explained = kubectl(&["explain", "nsb.spec.interval"]).await;
    assert!(explained.contains("DESCRIPTION"), "{explained}");
}

/// Every version of a binding that the API server shows, from now on.
async fn watched(
    stage: &Stage,
    name: &str,
) -> (Arc<Mutex<Vec<Value>>>, tokio::task::JoinHandle<()>) {
    let client = stage.scene.client().await.unwrap();
    let resource = ApiResource::erase::<NotionSyncBinding>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client, stage.scene.name(), &resource);
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let versions = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&versions);
    let watch = tokio::spawn(async move {
        let mut events = api.watch(&params, "0").await.unwrap().boxed();
        while let Some(Ok(event)) = events.next().await {
            if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                seen.lock()
                    .unwrap()
                    .push(serde_json::to_value(object).unwrap());
            }
        }
    });
    (versions, watch)
}

fn conditions(object: &Value) -> BTreeMap<String, Value> {
    let listed = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let count = listed.len();
    let named: BTreeMap<_, _> = listed
        .into_iter()
        .map(|one| (one["type"].as_str().unwrap().to_owned(), one))
        .collect();
    assert_eq!(named.len(), count, "a type is there twice: {object}");
    named
}

/// What `kstatus` makes of an object (sigs.k8s.io/cli-utils: generation, then Stalled, Reconciling,
/// Ready).
fn kstatus(object: &Value) -> &'static str {
    let conditions = conditions(object);
    let is = |kind: &str, status: &str| {
        conditions
            .get(kind)
            .is_some_and(|condition| condition["status"] == status)
    };
    if object["status"]["observedGeneration"] != object["metadata"]["generation"] {
        "InProgress"
    } else if is("Stalled", "True") {
        "Failed"
    } else if is("Reconciling", "True") || !is("Ready", "True") {
        "InProgress"
    } else {
        "Current"
    }
}

fn check_version(object: &Value) {
    let Some(status) = object.get("status") else {
        return;
    };
    let conditions = conditions(object);
    for (kind, condition) in &conditions {
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        assert!(
            ["True", "False", "Unknown"].contains(&&*text("status")),
            "{kind}: {condition}"
        );
        assert!(
            text("reason").starts_with(|first: char| first.is_ascii_uppercase()),
            "{condition}"
        );
        assert!(!text("message").is_empty(), "{condition}");
        assert!(
            text("lastTransitionTime")
                .parse::<jiff::Timestamp>()
                .is_ok(),
            "{condition}"
        );
        assert!(condition["observedGeneration"].is_i64(), "{condition}");
    }
    let always =
        "Ready NotionReachable DatabaseReachable SchemaValid WebhookVerified InSync ScanComplete";
    for kind in always.split_whitespace() {
        assert!(conditions.contains_key(kind), "{kind} is not set: {status}");
    }
    let both = conditions.contains_key("Stalled") && conditions.contains_key("Reconciling");
    assert!(!both, "a binding does not move and cannot move: {status}");
    if conditions.contains_key("Stalled") {
        assert_eq!(conditions["Ready"]["status"], "False", "{status}");
    }
    assert!(status["health"].is_string(), "{status}");
}

/// A transition time moves exactly when the status does.
fn check_transitions(versions: &[Value]) {
    for pair in versions.windows(2) {
        let (old, new) = (conditions(&pair[0]), conditions(&pair[1]));
        for (kind, condition) in &new {
            let Some(before) = old.get(kind) else {
                continue;
            };
            if before["status"] == condition["status"] {
                let (was, is) = (
                    &before["lastTransitionTime"],
                    &condition["lastTransitionTime"],
                );
                assert_eq!(was, is, "{kind} moved its time without a transition");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_to_the_rules_through_a_life() {
    let stage = Stage::set("life").await;
    stage.linked("Alpha").await;
    let (versions, watch) = watched(&stage, "projects").await;
    let token = stage.notion.token();
    let delete = ["delete", "secret", "notion"];
    stage.scene.kubectl(&delete).await.unwrap().ok().unwrap();
    stage.bind("projects", &json!({})).await;
    stage
        .wait_condition("projects", "Ready", "False", Some("NotionTokenMissing"))
        .await;
    stage
        .scene
        .apply_secret("notion", &[("token", &token)])
        .await
        .unwrap();
    stage
        .wait_condition("projects", "Ready", "True", Some("Synced"))
        .await;
    eventually("kstatus says Current", async || {
        (kstatus(&stage.binding("projects").await) == "Current").then_some(())
    })
    .await;
    let open = json!({"webhook": {"authentication": ["None"]}});
    stage.bind("projects", &open).await;
    stage
        .wait_condition("projects", "Stalled", "True", Some("UnverifiedNotAllowed"))
        .await;
    assert_eq!(kstatus(&stage.binding("projects").await), "Failed");
    assert_eq!(
        stage.binding("projects").await["status"]["health"],
        "Failing"
    );
    stage.bind("projects", &json!({"suspend": true})).await;
    stage
        .wait_condition("projects", "Ready", "False", Some("Suspended"))
        .await;
    assert_eq!(
        stage.binding("projects").await["status"]["health"],
        "Suspended"
    );
    stage.bind("projects", &json!({})).await;
    stage
        .wait_condition("projects", "Ready", "True", Some("Synced"))
        .await;
    // Ready, and suspended from there: it stays True.
    stage.bind("projects", &json!({"suspend": true})).await;
    stage
        .wait_condition("projects", "Ready", "True", Some("Suspended"))
        .await;
    let delete = ["delete", "nsb", "projects", "--timeout=20s"];
    stage.scene.kubectl(&delete).await.unwrap().ok().unwrap();
    watch.abort();
    let versions = versions.lock().unwrap();
    assert!(versions.len() > 8, "{} versions", versions.len());
    versions.iter().for_each(check_version);
    check_transitions(&versions);
    let walk: Vec<_> = versions.iter().map(kstatus).collect();
    assert!(
        walk.contains(&"Current") && walk.contains(&"Failed"),
        "{walk:?}"
    );
}

/// The Events about a binding: reason, type, and how often.
async fn told(stage: &Stage, name: &str) -> Vec<(String, String, i64)> {
    let arguments = ["get", "events.events.k8s.io", "-o", "json"];
    let text = stage.scene.kubectl(&arguments).await.unwrap().ok().unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let about = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["regarding"]["name"] == name);
    about
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            (
                text("reason"),
                text("type"),
                one["series"]["count"].as_i64().unwrap_or(1),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_transitions_and_nothing_twice() {
    let stage = Stage::set("events").await;
    stage.linked("Alpha").await;
    stage
        .scene
        .apply_secret("notion", &[("token", "ntn_wrong")])
        .await
        .unwrap();
    stage.bind("projects", &json!({"interval": "10s"})).await;
    stage
        .wait_condition("projects", "Ready", "False", Some("NotionUnauthorized"))
        .await;
    let passes = async || {
        let metrics = stage.operator.metrics().await.unwrap();
        metrics.sum("controller_runtime_reconcile_total", &[])
    };
    let before = passes().await;
    eventually("it fails three times more", async || {
        (passes().await >= before + 3.0).then_some(())
    })
    .await;
    let warning = ("NotionUnauthorized".to_owned(), "Warning".to_owned(), 1);
    let mut warnings = told(&stage, "projects").await;
    warnings.retain(|(_, kind, _)| kind == "Warning");
    warnings.retain(|(reason, ..)| reason != "AwaitingVerification");
    assert_eq!(warnings, [warning]);
    let token = stage.notion.token();
    stage
        .scene
        .apply_secret("notion", &[("token", &token)])
        .await
        .unwrap();
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    eventually("the recovery is told", async || {
        told(&stage, "projects")
            .await
            .iter()
            .any(|(reason, ..)| reason == "Synced")
            .then_some(())
    })
    .await;
    // More passes, more edits: nothing to tell.
    let events = told(&stage, "projects").await;
    let before = passes().await;
    stage
        .notion
        .create_page(stage.source, json!({"Name": title("Nobody's")}))
        .unwrap();
    eventually("it works twice more", async || {
        (passes().await >= before + 2.0).then_some(())
    })
    .await;
    assert_eq!(told(&stage, "projects").await, events);
    let described = stage
        .scene
        .kubectl(&["events", "--for", "nsb/projects"])
        .await
        .unwrap();
    let described = described.ok().unwrap();
    assert!(described.contains("NotionUnauthorized"), "{described}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_binding_writes_status_at_most_once_in_five_minutes() {
    let stage = Stage::set("idle").await;
    stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"interval": "10s", "webhook": null}))
        .await;
    let passes = async || {
        let metrics = stage.operator.metrics().await.unwrap();
        metrics.sum("controller_runtime_reconcile_total", &[])
    };
    let wait_for = async |more: f64| {
        let before = passes().await;
        let what = format!("{more} more passes");
        eventually(&what, async || {
            (passes().await >= before + more).then_some(())
        })
        .await;
    };
    wait_for(1.0).await;
    let (versions, watch) = watched(&stage, "projects").await;
    wait_for(2.0).await;
    wait_for(2.0).await;
    watch.abort();
    // The first version is the one that was there.
    assert!(
        versions.lock().unwrap().len() <= 2,
        "{}",
        versions.lock().unwrap().len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_bindings_at_once_all_become_ready() {
    const COUNT: usize = 50;
    let stage = Stage::set("fifty").await;
    let mut objects = Vec::new();
    for number in 0..COUNT {
        let table = format!("projects_{number}");
        let made = format!("CREATE TABLE {table} (LIKE projects INCLUDING ALL)");
        stage.sql(&made).await;
        let spec = merged(
            stage.spec(&json!({"webhook": null})),
            &json!({"postgres": {"table": table}}),
        );
        objects.push(binding(
            stage.scene.name(),
            &format!("projects-{number}"),
            &spec,
        ));
    }
    let started = Instant::now();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    stage.scene.apply(&list).await.unwrap();
    let arguments = [
        "wait",
        "nsb",
        "--all",
        "--for=condition=Ready",
        "--timeout=180s",
    ];
    stage.scene.kubectl(&arguments).await.unwrap().ok().unwrap();
    println!("{COUNT} bindings were Ready after {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_mins(3));
}
