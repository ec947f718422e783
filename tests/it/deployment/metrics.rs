//! `/metrics` after some traffic: every name of the design with its labels and plausible values.

use std::collections::BTreeSet;

use notion_imitation::Failure;
use serde_json::json;
use world::metrics::Metrics;

use crate::support::{PATIENCE, Stage, eventually, title};

/// Every metric, and the labels that each of its samples has (beside `le`).
const METRICS: [(&str, &[&str]); 16] = [
    ("notion_sync_webhook_requests_total", &["status", "reason"]),
    ("notion_sync_webhook_accept_seconds_count", &[]),
    ("notion_sync_apply_seconds_count", &["direction"]),
    ("notion_sync_inbox_events", &["state"]),
    ("notion_sync_changes_pending", &[]),
    ("notion_sync_notion_requests_total", &["operation", "code"]),
    ("notion_sync_notion_throttled_seconds_total", &["reason"]),
    ("notion_sync_field_writes_total", &["side"]),
    ("notion_sync_field_failures_total", &["reason"]),
    ("notion_sync_conflicts_total", &["winner"]),
    (
        "notion_sync_binding_health",
        &["namespace", "name", "health"],
    ),
    ("notion_sync_binding_drift", &["namespace", "name", "kind"]),
    (
        "notion_sync_binding_lag_seconds",
        &["namespace", "name", "side"],
    ),
    (
        "controller_runtime_reconcile_total",
        &["controller", "result"],
    ),
    (
        "controller_runtime_reconcile_time_seconds_count",
        &["controller"],
    ),
    (
        "controller_runtime_reconcile_time_seconds_bucket",
        &["controller", "le"],
    ),
];

/// An edit that arrives, one that cannot be stored, one that both sides made, a request that Notion
/// refuses for a while, and requests that the receiver refuses.
async fn traffic(stage: &Stage) {
    let page = stage.linked("Alpha").await;
    let changes = json!({"conflictPolicy": "NotionWins", "interval": "10s"});
    stage.bind_ready(&changes).await;
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = stage.notion.event("page.properties_updated", page, &[]);
    assert_eq!(stage.post_signed(&event).await.0, 200);
    stage.wait_cell(page, "name", Some("Beta")).await;
    assert_eq!(stage.post_signed(&event).await.1["status"], "duplicate");
    assert_eq!(stage.post("/api/webhooks/notion", &[], "{}").await.0, 401);
    let update = format!("UPDATE projects SET name = 'Mine' WHERE \"notionPageId\" = '{page}'");
    stage.sql(&update).await;
    stage.notion.fail(Failure {
        status: 429,
        retry_after: Some(1),
        ..Failure::default()
    });
    let both = json!({"Name": title("Gamma"), "Price": {"number": 1e30}});
    stage.notion.edit(page, both).unwrap();
    let event = stage.notion.event("page.properties_updated", page, &[]);
    assert_eq!(stage.post_signed(&event).await.0, 200);
    stage.wait_cell(page, "name", Some("Gamma")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_there_with_its_labels() {
    let stage = Stage::set("metrics").await;
    traffic(&stage).await;
    let what = "every metric has a sample, and a plausible one";
    let metrics = world::wait::eventually(PATIENCE, what, async || {
        let metrics = stage.operator.metrics().await?;
        for (name, _) in METRICS {
            let found = metrics.matching(name, &[]).next().is_some();
            anyhow::ensure!(found, "{name} has no sample");
        }
        plausible(&stage, &metrics)?;
        Ok(metrics)
    })
    .await
    .unwrap();
    for (name, labels) in METRICS {
        let expected: BTreeSet<_> = labels.iter().copied().collect();
        for sample in metrics.matching(name, &[]) {
            let found: BTreeSet<_> = sample.labels.keys().map(String::as_str).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
    let text = world::http::client()
        .unwrap()
        .get(stage.operator.metrics_url("/metrics"));
    let text = text.send().await.unwrap().text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let page = stage.notion.pages_of(stage.source)[0].to_string();
    for secret in [page.as_str(), "Beta", &stage.notion.token()] {
        assert!(!text.contains(secret), "metrics tell {secret}");
    }
    forgotten(&stage).await;
}

fn plausible(stage: &Stage, metrics: &Metrics) -> anyhow::Result<()> {
    let has = |name: &str, labels: &[(&str, &str)], least: f64| {
        let sum = metrics.sum(name, labels);
        anyhow::ensure!(sum >= least, "{name} {labels:?}: {sum}");
        Ok(())
    };
    has(
        "notion_sync_webhook_requests_total",
        &[("status", "queued")],
        2.0,
    )?;
    has(
        "notion_sync_webhook_requests_total",
        &[("status", "duplicate")],
        1.0,
    )?;
    let refused = [("status", "401"), ("reason", "SignatureMissing")];
    has("notion_sync_webhook_requests_total", &refused, 1.0)?;
    has("notion_sync_webhook_accept_seconds_count", &[], 3.0)?;
    has(
        "notion_sync_apply_seconds_count",
        &[("direction", "ToPostgres")],
        2.0,
    )?;
    has("notion_sync_notion_requests_total", &[("code", "200")], 3.0)?;
    has("notion_sync_notion_requests_total", &[("code", "429")], 1.0)?;
    has("notion_sync_notion_throttled_seconds_total", &[], 0.5)?;
    has(
        "notion_sync_field_writes_total",
        &[("side", "Postgres")],
        2.0,
    )?;
    has(
        "notion_sync_field_failures_total",
        &[("reason", "NotRepresentable")],
        1.0,
    )?;
    has("notion_sync_conflicts_total", &[("winner", "Notion")], 1.0)?;
    let own = [("namespace", stage.scene.name()), ("name", "projects")];
    let health: Vec<_> = metrics
        .matching("notion_sync_binding_health", &own)
        .collect();
    anyhow::ensure!(health.len() == 5, "{health:?}");
    let total: f64 = health.iter().map(|sample| sample.value).sum();
    anyhow::ensure!((total - 1.0).abs() < f64::EPSILON, "{health:?}");
    let failed = [own[0], own[1], ("kind", "Failed")];
    has("notion_sync_binding_drift", &failed, 1.0)?;
    let controller = [("controller", "notionsyncbinding"), ("result", "success")];
    has("controller_runtime_reconcile_total", &controller, 2.0)?;
    Ok(())
}

/// A binding that is gone leaves no gauge behind.
async fn forgotten(stage: &Stage) {
    let delete = ["delete", "nsb", "projects", "--timeout=20s"];
    stage.scene.kubectl(&delete).await.unwrap().ok().unwrap();
    eventually("the gauges are gone", async || {
        let metrics = stage.operator.metrics().await.unwrap();
        let left = metrics.matching("notion_sync_binding_health", &[]).count()
            + metrics.matching("notion_sync_binding_drift", &[]).count()
            + metrics
                .matching("notion_sync_binding_lag_seconds", &[])
                .count();
        (left == 0).then_some(())
    })
    .await;
}
