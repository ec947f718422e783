//! The admin API (§5, S14).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use secrecy::SecretSlice;
use serde_json::{Value, json};

use super::server::*;
use crate::sync::drift::{Counts, Discrepancy, DriftCounts, DriftKind};
use crate::sync::identity::{BindingRef, PropertyId, RowKey};
use crate::webhook::Limits;
use crate::webhook::admin::ports::*;
use crate::webhook::testing::page_id;

#[derive(Default)]
pub(super) struct FakeAdmin {
    bindings: Mutex<Vec<BindingHealth>>,
    rights: Mutex<Vec<(&'static str, Right)>>,
    reviews: AtomicUsize,
    failing: AtomicBool,
    discrepancies: AtomicUsize,
    value_size: AtomicUsize,
}

impl Reviewer for FakeAdmin {
    fn static_token(&self) -> Option<SecretSlice<u8>> {
        Some(b"admin\n".to_vec().into())
    }

    fn review_token<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Identity>, ReviewError>> {
        self.reviews.fetch_add(1, Ordering::SeqCst);
        let identity = Identity {
            user: token.to_owned(),
            uid: String::new(),
            groups: Vec::new(),
            extra: BTreeMap::new(),
        };
        let failing = self.failing.load(Ordering::SeqCst);
        async move {
            if failing {
                return Err(ReviewError { source: None });
            }
            Ok((identity.user == "jane").then_some(identity))
        }
        .boxed()
    }

    fn may<'a>(
        &'a self,
        _: &'a Identity,
        namespace: &'a str,
        right: Right,
    ) -> BoxFuture<'a, Result<bool, ReviewError>> {
        self.reviews.fetch_add(1, Ordering::SeqCst);
        let allowed = self.rights.lock().unwrap().contains(&match namespace {
            "team-a" => ("team-a", right),
            _ => ("other", right),
        });
        async move { Ok(allowed) }.boxed()
    }
}

impl HealthSource for FakeAdmin {
    fn bindings(&self) -> Vec<BindingHealth> {
        self.bindings.lock().unwrap().clone()
    }

    fn details<'a>(
        &'a self,
        _: &'a BindingRef,
        limit: usize,
        values: bool,
    ) -> BoxFuture<'a, Result<HealthDetails, HealthError>> {
        let all = self.discrepancies.load(Ordering::SeqCst);
        let text = "x".repeat(self.value_size.load(Ordering::SeqCst));
        let one = |n: usize| Discrepancy {
            kind: DriftKind::Mismatch,
            page_id: Some(page_id(n as u128)),
            row_key: Some(RowKey(vec![n.to_string()])),
            column: Some("status".into()),
            property: Some(PropertyId::new("abc")),
            reason: None,
            notion: values.then(|| json!(text)),
            postgres: None,
        };
        let details = HealthDetails {
            discrepancies: (0..all.min(limit)).map(one).collect(),
            orphaned_pages: vec![page_id(99)],
            plain_keys: true,
            truncated: all > limit,
        };
        async move { Ok(details) }.boxed()
    }
}

fn health(namespace: &str, name: &str, health: Health) -> BindingHealth {
    let drift = DriftSummary {
        counts: DriftCounts {
            mismatched: 2,
            orphaned_pages: 1,
            held: 3,
            ..DriftCounts::default()
        },
        held_token: Some("h-1".into()),
        checked_at: "2026-11-20T10:15:00Z".parse().ok(),
    };
    BindingHealth {
        binding: BindingRef {
            namespace: namespace.into(),
            name: name.into(),
        },
        health,
        ready: true,
        reason: "Synced".into(),
        message: String::new(),
        counts: Some(Counts {
            pages: 5,
            rows: 4,
            linked: 3,
        }),
        drift: Some(drift),
        last_sync: None,
        last_full_scan: None,
    }
}

async fn world() -> (Arc<FakeAdmin>, World) {
    let fake = Arc::new(FakeAdmin::default());
    *fake.bindings.lock().unwrap() = vec![
        health("team-b", "tasks", Health::Failing),
        health("team-a", "projects", Health::Degraded),
        health("team-a", "archive", Health::Suspended),
    ];
    fake.discrepancies.store(2, Ordering::SeqCst);
    let limits = Limits {
        review_cache: Duration::from_secs(1),
        admin_reply: 64 * 1024,
        ..quick()
    };
    let world = World::with_admin(Vec::new(), limits, false, fake.clone()).await;
    (fake, world)
}

/// Asks in HTTP/1.0, whose replies end with the connection and are not chunked.
async fn get(world: &World, token: &str, query: &str) -> Answer {
    let path = "/api/admin/sync/health";
    let token = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    world
        .raw(format!("GET {path}?{query} HTTP/1.0\r\n{token}\r\n").as_bytes())
        .await
}

fn names(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let name = |each: &Value| format!("{}/{}", each["namespace"], each["name"]).replace('"', "");
    json["bindings"]
        .as_array()
        .unwrap()
        .iter()
        .map(name)
        .collect()
}

#[tokio::test]
async fn the_report_has_the_shape_of_the_design() {
    let (_, world) = world().await;
    let answer = get(&world, "admin", "namespace=team-a&name=projects&limit=1").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    let checked = "2026-11-20T10:15:00Z";
    assert_eq!(
        answer.json(),
        json!({
            "health": "Degraded",
            "bindings": [{
                "namespace": "team-a", "name": "projects", "health": "Degraded", "ready": true,
                "reason": "Synced", "message": "",
                "counts": {"notion": 5, "postgres": 4, "linked": 3},
                "drift": {
                    "count": 5, "mismatched": 2, "orphanedPages": 1, "unlinkedRows": 0,
                    "missingPages": 0, "conflicts": 0, "failed": 0,
                    "held": {"count": 3, "token": "h-1"}, "checkedAt": checked,
                },
                "discrepancies": [{
                    "pageId": page_id(0).to_string(), "rowKey": "0", "column": "status",
                    "property": "abc", "kind": "Mismatch", "notion": "", "postgres": null,
                }],
                "orphanedPages": [page_id(99).to_string()], "truncated": true,
                "checkedAt": checked, "lastSyncTime": null, "lastFullScanTime": null,
            }],
        })
    );
}

#[tokio::test]
async fn the_static_token_sees_all_and_the_worst_health_is_on_top() {
    let (_, world) = world().await;
    let answer = get(&world, "admin", "").await;
    assert_eq!(
        names(&answer),
        ["team-a/archive", "team-a/projects", "team-b/tasks"]
    );
    assert_eq!(answer.json()["health"], "Failing");
    let answer = get(&world, "admin", "namespace=team-a&name=").await;
    assert_eq!(answer.json()["health"], "Degraded");
    let answer = get(&world, "admin", "limit=2").await;
    assert_eq!(
        (names(&answer).len(), &answer.json()["truncated"]),
        (2, &json!(true))
    );
    assert_eq!(get(&world, "admin", "name=unknown").await.status, 404);
    assert_eq!(
        get(&world, "admin", "namespace=unknown").await.json()["bindings"],
        json!([])
    );
}

#[tokio::test]
async fn a_reviewed_token_sees_what_it_may() {
    let (fake, world) = world().await;
    assert_eq!(
        get(&world, "jane", "").await.said(),
        (403, "Forbidden".into(), String::new())
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    fake.rights.lock().unwrap().push(("team-a", Right::Health));
    let answer = get(&world, "jane", "").await;
    assert_eq!(names(&answer), ["team-a/archive", "team-a/projects"]);
    assert_eq!(answer.json()["health"], "Degraded");
    let discrepancy = &answer.json()["bindings"][0]["discrepancies"][0];
    assert!(discrepancy.get("notion").is_none() && discrepancy.get("postgres").is_none());
    // What exists elsewhere is not told apart from what does not.
    assert_eq!(
        get(&world, "jane", "namespace=team-b&name=tasks")
            .await
            .status,
        403
    );
    assert_eq!(
        get(&world, "jane", "namespace=team-b&name=unknown")
            .await
            .status,
        403
    );
    assert_eq!(get(&world, "jane", "name=tasks").await.status, 404);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    fake.rights.lock().unwrap().push(("team-a", Right::Values));
    let answer = get(&world, "jane", "").await;
    assert_eq!(
        answer.json()["bindings"][0]["discrepancies"][0]["notion"],
        ""
    );
}

#[tokio::test]
async fn nobodys_token_is_refused_and_so_is_one_that_cannot_be_reviewed() {
    let (fake, world) = world().await;
    for token in ["", "joe", "admi", "admin1"] {
        let answer = get(&world, token, "limit=x").await;
        assert_eq!(answer.said(), (401, "Unauthorized".into(), String::new()));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    fake.failing.store(true, Ordering::SeqCst);
    assert_eq!(get(&world, "jane", "").await.status, 401);
    fake.failing.store(false, Ordering::SeqCst);
    assert_eq!(get(&world, "jane", "").await.status, 403);
}

#[tokio::test]
async fn reviews_are_cached_briefly() {
    let (fake, world) = world().await;
    for _ in 0..3 {
        get(&world, "jane", "").await;
        get(&world, "joe", "").await;
    }
    assert_eq!(fake.reviews.load(Ordering::SeqCst), 4);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    get(&world, "jane", "").await;
    assert_eq!(fake.reviews.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn methods_and_limits_are_checked() {
    let (_, world) = world().await;
    let post = world
        .raw(&request("POST", "/api/admin/sync/health", &[], 0))
        .await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET")));
    for limit in ["1001", "-1", "x", "1e3", "99999999999999999999"] {
        let answer = get(&world, "admin", &format!("limit={limit}")).await;
        assert_eq!(
            answer.said(),
            (400, "InvalidParameter".into(), String::new()),
            "{limit}"
        );
    }
    for limit in ["0", "1000", ""] {
        assert_eq!(
            get(&world, "admin", &format!("limit={limit}")).await.status,
            200,
            "{limit}"
        );
    }
    for path in [
        "/api/admin/sync/health/",
        "/api/admin/sync/healt%68",
        "/api/admin/sync",
    ] {
        let bytes = format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer admin\r\n\r\n");
        assert_eq!(world.raw(bytes.as_bytes()).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_reply_has_a_largest_size() {
    let (fake, world) = world().await;
    fake.discrepancies.store(1000, Ordering::SeqCst);
    fake.value_size.store(10_000, Ordering::SeqCst);
    let answer = get(&world, "admin", "limit=1000").await;
    assert!(answer.body.len() < 128 * 1024, "{}", answer.body.len());
    let bindings = &answer.json()["bindings"];
    assert_eq!(bindings.as_array().unwrap().len(), 3);
    assert!(
        bindings
            .as_array()
            .unwrap()
            .iter()
            .all(|each| each["truncated"] == true)
    );
}
