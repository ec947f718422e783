use serde_json::{Value, json};

use super::*;

fn binding(change: impl FnOnce(&mut Value)) -> NotionSyncBinding {
    let mut object = json!({
        "apiVersion": "notionsync.dev/v1alpha1",
        "kind": "NotionSyncBinding",
        "metadata": { "name": "projects", "namespace": "team-a" },
        "spec": {
            "notion": {
                "dataSourceId": "71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10",
                "tokenSecretRef": { "name": "notion" },
            },
            "webhook": { "verificationTokenSecretRef": { "name": "hook" } },
            "postgres": {
                "connectionSecretRef": { "name": "db" },
                "table": "projects",
                "pageIdColumn": "notionPageId",
            },
            "interval": "5m",
            "fullScanInterval": "6h",
            "direction": "TwoWay",
            "conflictPolicy": "Manual",
            "properties": [
                { "column": "name", "property": "Name" },
                { "column": "status", "property": "id:a%3Ab", "conflictPolicy": "NotionWins",
                  "direction": "ToNotion", "onLossyWrite": "Overwrite",
                  "values": [{ "notion": "Done", "postgres": null }] },
            ],
        },
    });
    change(&mut object);
    serde_json::from_value(object).unwrap()
}

fn refused(change: impl FnOnce(&mut Value)) -> Problem {
    validate(&binding(change), false).unwrap_err()
}

#[test]
fn defaults_and_inheritance_are_applied() {
    let valid = validate(&binding(|_| ()), false).unwrap();
    let plan = &valid.plan;
    assert_eq!(
        (&*plan.schema, &*plan.audit_table),
        ("public", "audit_logs")
    );
    assert_eq!(valid.token.key, "token");
    assert_eq!(valid.connection.key, "uri");
    assert_eq!(valid.interval, Duration::from_mins(5));
    assert_eq!(valid.full_scan_interval, Duration::from_hours(6));
    let policies: Vec<_> = plan.fields.iter().map(|f| f.conflict_policy).collect();
    assert_eq!(
        policies,
        [ConflictPolicy::Manual, ConflictPolicy::NotionWins]
    );
    let directions: Vec<_> = plan.fields.iter().map(|f| f.direction).collect();
    assert_eq!(directions, [Direction::TwoWay, Direction::ToNotion]);
    let lossy: Vec<_> = plan.fields.iter().map(|f| f.on_lossy_write).collect();
    assert_eq!(lossy, [OnLossyWrite::Reject, OnLossyWrite::Overwrite]);
    assert_eq!(plan.drift_policy, DriftPolicy::Report);
    assert_eq!(plan.policies, Policies::default());
    assert_eq!(plan.fields[1].values[0].postgres, None);
    let webhook = valid.webhook.unwrap();
    assert_eq!(
        webhook.verification_tokens.unwrap().key,
        "verification-token"
    );
    assert!(webhook.shared_secret.is_none() && !webhook.unverified);
}

#[test]
fn what_an_older_schema_let_through_is_refused() {
    let cases = [
        ("spec.interval", "/spec/interval", json!("9s")),
        (
            "spec.fullScanInterval",
            "/spec/fullScanInterval",
            json!("soon"),
        ),
        ("spec.notion", "/spec/notion/dataSourceId", Value::Null),
        (
            "spec.notion.dataSourceId",
            "/spec/notion/dataSourceId",
            json!("x"),
        ),
        (
            "spec.postgres.table",
            "/spec/postgres/table",
            json!("ä".repeat(32)),
        ),
        ("spec.postgres", "/spec/postgres/table", json!("audit_logs")),
        (
            "spec.properties",
            "/spec/properties/0/column",
            json!("notionPageId"),
        ),
        (
            "spec.properties",
            "/spec/properties/0/property",
            json!("id:"),
        ),
        ("spec.properties", "/spec/properties", json!([])),
        ("spec.properties", "/spec/direction", json!("ToPostgres")),
        (
            "spec.properties",
            "/spec/properties/0/property",
            json!("id:a:b"),
        ),
        (
            "spec.webhook",
            "/spec/webhook",
            json!({ "authentication": ["SharedSecret"] }),
        ),
    ];
    for (path, pointer, value) in cases {
        let problem = refused(|o| *o.pointer_mut(pointer).unwrap() = value);
        assert_eq!(problem.reason, Reason::InvalidSpec);
        assert!(
            problem.remedy.starts_with(&format!("{path}: ")),
            "{problem:?}"
        );
    }
}

#[test]
fn unverified_events_need_the_operators_consent() {
    let open = binding(|o| o["spec"]["webhook"] = json!({ "authentication": ["None"] }));
    let closed = validate(&open, false).unwrap();
    assert_eq!(closed.refused.unwrap().reason, Reason::UnverifiedNotAllowed);
    assert!(!closed.webhook.unwrap().unverified);
    let allowed = validate(&open, true).unwrap();
    assert!(allowed.refused.is_none() && allowed.webhook.unwrap().unverified);
}

#[test]
fn policies_are_carried_over() {
    let binding = binding(|o| {
        o["spec"]["interval"] = "30s".into();
        o["spec"]["notion"]["filter"] =
            json!({ "property": "Live", "checkbox": { "equals": true } });
    });
    let policies = validate(&binding, false).unwrap().plan.policies;
    assert_eq!(policies.interval, SignedDuration::from_secs(30));
    assert_eq!(policies.filter.unwrap()["property"], "Live");
}

#[test]
fn policies_that_cannot_be_acted_on_are_refused() {
    let cases = [(
        "spec.notion.filter",
        refused(|o| o["spec"]["notion"]["filter"] = json!({ "and": [] })),
    )];
    for (path, problem) in cases {
        assert_eq!(problem.reason, Reason::InvalidSpec);
        assert!(problem.remedy.starts_with(path), "{problem:?}");
    }
}
