//! The admin API on the running operator: who may ask, what each caller sees, and the shape of the
//! report (`GET /api/admin/sync/health`).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use world::World;
use world::operator::Operator;
use world::scene::Scene;

use crate::support::{ADMIN_TOKEN, PATIENCE, Stage, eventually, own_leases, title};

/// A reply of the admin API.
#[derive(Debug)]
struct Answer {
    status: u16,
    challenge: Option<String>,
    body: Value,
}

async fn ask(operator: &Operator, token: Option<&str>, query: &str) -> Answer {
    let url = operator.url(&format!("/api/admin/sync/health{query}"));
    let mut request = world::http::client().expect("a client").get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let reply = request.send().await.expect("the admin API answers");
    let challenge = reply.headers().get("www-authenticate");
    let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
    let status = reply.status().as_u16();
    let body = reply.json().await.expect("JSON");
    Answer {
        status,
        challenge,
        body,
    }
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

/// A binding with one difference, one orphaned page and one row without a page.
async fn drifting(stage: &Stage) {
    let page = stage.linked("Alpha").await;
    stage
        .notion
        .create_page(stage.source, json!({"Name": title("Nobody's")}))
        .unwrap();
    stage
        .sql("INSERT INTO projects (name) VALUES ('No page')")
        .await;
    stage.bind_ready(&json!({})).await;
    let edit = format!("UPDATE projects SET name = 'By hand' WHERE \"notionPageId\" = '{page}'");
    stage.sql(&edit).await;
    rescan(stage).await;
    stage
        .wait_condition("projects", "InSync", "False", Some("DriftFound"))
        .await;
}

async fn rescan(stage: &Stage) {
    let stamp = uuid::Uuid::new_v4();
    let asked = format!("notionsync.dev/fullScanRequestedAt={stamp}");
    let arguments = ["annotate", "nsb", "projects", &asked, "--overwrite"];
    stage.scene.kubectl(&arguments).await.unwrap().ok().unwrap();
    eventually("the scan is answered", async || {
        let status = stage.binding("projects").await["status"].clone();
        (status["lastHandledFullScanAt"] == stamp.to_string()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_has_the_agreed_shape() {
    let stage = Stage::set("admin-shape").await;
    drifting(&stage).await;
    let answer = ask(&stage.operator, Some(ADMIN_TOKEN), "").await;
    assert_eq!(answer.status, 200);
    let body = &answer.body;
    assert_eq!(keys(body), BTreeSet::from(["health", "bindings"]), "{body}");
    assert_eq!(body["health"], "Degraded");
    let [binding] = body["bindings"].as_array().unwrap().as_slice() else {
        panic!("one binding: {body}");
    };
    let expected = "namespace name health ready reason message counts drift discrepancies \
                    orphanedPages truncated checkedAt lastSyncTime lastFullScanTime";
    assert_eq!(
        keys(binding),
        expected.split_whitespace().collect(),
        "{body}"
    );
    assert_eq!(binding["namespace"], stage.scene.name());
    assert_eq!(binding["health"], "Degraded");
    assert_eq!(binding["ready"], true);
    assert_eq!(binding["reason"], "Synced");
    assert_eq!(
        binding["counts"],
        json!({"notion": 2, "postgres": 2, "linked": 1})
    );
    let drift = &binding["drift"];
    let expected = "count mismatched orphanedPages unlinkedRows missingPages conflicts failed held \
                    checkedAt";
    assert_eq!(keys(drift), expected.split_whitespace().collect(), "{body}");
    assert_eq!(keys(&drift["held"]), BTreeSet::from(["count", "token"]));
    let status = stage.binding("projects").await["status"]["drift"].clone();
    for kind in [
        "count",
        "mismatched",
        "orphanedPages",
        "unlinkedRows",
        "missingPages",
    ] {
        assert_eq!(drift[kind], status[kind], "{kind}: {drift} {status}");
    }
    assert_eq!(
        (&drift["mismatched"], &drift["count"]),
        (&json!(1), &json!(1))
    );
    let listed = binding["discrepancies"].as_array().unwrap();
    let found = listed
        .iter()
        .find(|one| one["kind"] == "Mismatch")
        .expect("the difference");
    let expected = "pageId rowKey column property kind notion postgres";
    assert_eq!(keys(found), expected.split_whitespace().collect(), "{body}");
    assert_eq!(
        (&found["column"], &found["rowKey"]),
        (&json!("name"), &json!("1"))
    );
    assert!(found["notion"].to_string().contains("Alpha"), "{found}");
    assert!(found["postgres"].to_string().contains("By hand"), "{found}");
    assert!(
        listed.iter().any(|one| one["kind"] == "UnlinkedRow"),
        "{body}"
    );
    assert_eq!(binding["orphanedPages"].as_array().unwrap().len(), 1);
    assert_eq!(binding["truncated"], false);
    for time in ["checkedAt", "lastSyncTime", "lastFullScanTime"] {
        let text = binding[time].as_str().unwrap_or_default();
        assert!(text.parse::<jiff::Timestamp>().is_ok(), "{time}: {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_needed_and_its_file_may_be_replaced() {
    let stage = Stage::set("admin-token").await;
    for token in [None, Some("wrong"), Some(""), Some("Bearer")] {
        let answer = ask(&stage.operator, token, "").await;
        assert_eq!(answer.status, 401, "{token:?}: {answer:?}");
        let challenge = answer.challenge.unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{token:?}: {challenge:?}");
        assert!(answer.body["error"]["code"].is_string(), "{}", answer.body);
    }
    assert_eq!(
        ask(&stage.operator, Some(ADMIN_TOKEN), "").await.status,
        200
    );
    // A file that is written with an editor ends with a line break.
    stage.operator.write_admin_token("another-token\n").unwrap();
    eventually("the new token counts", async || {
        let answer = ask(&stage.operator, Some("another-token"), "").await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(
        ask(&stage.operator, Some(ADMIN_TOKEN), "").await.status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_token_file_lets_nobody_in() {
    let stage = Stage::set_with("admin-empty", |options| {
        options.admin_token = Some("\n".to_owned());
    })
    .await;
    let request = world::http::client()
        .unwrap()
        .get(stage.operator.url("/api/admin/sync/health"));
    let reply = request
        .header("authorization", "Bearer ")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_choose_and_cut() {
    let stage = Stage::set("admin-query").await;
    for _ in 0..3 {
        stage
            .notion
            .create_page(stage.source, json!({"Name": title("Nobody's")}))
            .unwrap();
    }
    stage.bind_ready(&json!({})).await;
    let namespace = stage.scene.name();
    let get = async |query: String| ask(&stage.operator, Some(ADMIN_TOKEN), &query).await;
    let named = get(format!("?namespace={namespace}&name=projects")).await;
    assert_eq!(
        (
            named.status,
            named.body["bindings"].as_array().unwrap().len()
        ),
        (200, 1)
    );
    assert_eq!(named.body["bindings"][0]["truncated"], false);
    for query in [
        format!("?namespace={namespace}&name=nobody"),
        "?namespace=no-such-namespace&name=projects".to_owned(),
    ] {
        assert_eq!(get(query.clone()).await.status, 404, "{query}");
    }
    let cut = get("?limit=2".to_owned()).await;
    let binding = &cut.body["bindings"][0];
    assert_eq!(
        binding["orphanedPages"].as_array().unwrap().len(),
        2,
        "{}",
        cut.body
    );
    assert_eq!(binding["truncated"], true);
    assert_eq!(get("?limit=1000".to_owned()).await.status, 200);
    for limit in ["1001", "99999999999999999999", "-1", "many"] {
        let answer = get(format!("?limit={limit}")).await;
        assert_eq!(answer.status, 400, "limit={limit}");
        assert!(answer.body["error"]["message"].is_string());
    }
    let none = get("?namespace=no-such-namespace".to_owned()).await;
    assert_eq!((none.status, &none.body["bindings"]), (200, &json!([])));
}

/// A `ServiceAccount` with this role in the scene's namespace, and its token.
async fn account(scene: &Scene<'_>, name: &str, role: Option<&str>) -> String {
    let namespace = scene.name();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"namespace": namespace, "name": name}});
    scene.apply(&account).await.unwrap();
    if let Some(role) = role {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"namespace": namespace, "name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
        });
        scene.apply(&binding).await.unwrap();
    }
    scene
        .world()
        .control_plane()
        .account_token(namespace, name)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_cluster_shows_what_its_roles_allow() {
    let world = World::shared().await.unwrap();
    let other = world.scene("admin-other").await.unwrap();
    let watched = other.name().to_owned();
    let stage = Stage::set_with("admin-roles", |options| {
        options.watch_namespaces.push(watched);
    })
    .await;
    drifting(&stage).await;
    let spec = stage.spec(&json!({}));
    let stranger = world::manifests::binding(other.name(), "theirs", &spec);
    other.apply(&stranger).await.unwrap();
    eventually("both bindings are known", async || {
        let all = ask(&stage.operator, Some(ADMIN_TOKEN), "").await;
        (all.body["bindings"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    // By the cluster's own roles, to which those of the operator are aggregated.
    let viewer = account(&stage.scene, "viewer", Some("view")).await;
    let editor = account(&stage.scene, "editor", Some("edit")).await;
    let nobody = account(&stage.scene, "nobody", None).await;
    for (token, values) in [(&viewer, false), (&editor, true)] {
        let answer = ask(&stage.operator, Some(token), "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let shown = answer.body["bindings"].as_array().unwrap();
        assert_eq!(
            shown.len(),
            1,
            "the other namespace is left out: {}",
            answer.body
        );
        assert_eq!(shown[0]["namespace"], stage.scene.name());
        let listed = shown[0]["discrepancies"].as_array().unwrap();
        let found = listed.iter().find(|one| one["kind"] == "Mismatch").unwrap();
        assert_eq!(found.get("notion").is_some(), values, "{found}");
        assert_eq!(found.get("postgres").is_some(), values, "{found}");
        assert_eq!(answer.body.to_string().contains("By hand"), values);
        let query = format!("?namespace={}", other.name());
        assert_eq!(ask(&stage.operator, Some(token), &query).await.status, 403);
    }
    assert_eq!(ask(&stage.operator, Some(&nobody), "").await.status, 403);
    // A right that was given counts within the ten seconds that an answer is kept.
    account(&stage.scene, "nobody", Some("notion-sync-view")).await;
    eventually("the new right counts", async || {
        (ask(&stage.operator, Some(&nobody), "").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_binding_keeps_its_report() {
    let stage = Stage::set("admin-failing").await;
    drifting(&stage).await;
    stage
        .scene
        .apply_secret("notion", &[("token", "ntn_wrong")])
        .await
        .unwrap();
    stage
        .wait_condition("projects", "Ready", "False", Some("NotionUnauthorized"))
        .await;
    let answer = eventually("the report is Failing", async || {
        let answer = ask(&stage.operator, Some(ADMIN_TOKEN), "").await;
        (answer.body["health"] == "Failing").then_some(answer)
    })
    .await;
    let binding = &answer.body["bindings"][0];
    assert_eq!(answer.status, 200);
    assert_eq!(binding["ready"], false);
    assert_eq!(binding["reason"], "NotionUnauthorized");
    assert!(
        binding["message"].as_str().unwrap().contains("notion"),
        "{binding}"
    );
    assert_eq!(binding["counts"]["linked"], 1);
    assert!(!binding["discrepancies"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_never_worked_is_reported_too() {
    let stage = Stage::set("admin-never").await;
    let wrong = json!({"postgres": {"connectionSecretRef": {"name": "nowhere"}}});
    stage.bind("projects", &wrong).await;
    stage
        .wait_condition(
            "projects",
            "Ready",
            "False",
            Some("ConnectionSecretMissing"),
        )
        .await;
    let answer = eventually("the report is Failing", async || {
        let answer = ask(&stage.operator, Some(ADMIN_TOKEN), "?name=projects").await;
        (answer.body["health"] == "Failing").then_some(answer)
    })
    .await;
    let binding = &answer.body["bindings"][0];
    assert_eq!(binding["reason"], "ConnectionSecretMissing");
    assert_eq!(binding["discrepancies"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_answers_alike() {
    let stage = Stage::set("admin-follower").await;
    drifting(&stage).await;
    own_leases(&stage.scene).await;
    let mut options = stage.operator.options().clone();
    options.leader_elect = true;
    options.pod_namespace = stage.scene.name().to_owned();
    options.pod_name = "follower".to_owned();
    hold_lease(&stage.scene, "somebody-else").await;
    let follower = stage.scene.start_operator(options).await.unwrap();
    // What the leader wrote last reaches the two of them one after the other.
    world::wait::eventually(PATIENCE, "both answer alike", async || {
        let theirs = ask(&follower, Some(ADMIN_TOKEN), "").await;
        let ours = ask(&stage.operator, Some(ADMIN_TOKEN), "").await;
        anyhow::ensure!(theirs.status == 200, "{}", theirs.status);
        let (theirs, ours) = (&theirs.body["bindings"][0], &ours.body["bindings"][0]);
        anyhow::ensure!(ours["discrepancies"].is_array(), "{ours}");
        for key in [
            "health",
            "counts",
            "discrepancies",
            "orphanedPages",
            "truncated",
        ] {
            anyhow::ensure!(theirs[key] == ours[key], "{key}: {theirs} and {ours}");
        }
        Ok(())
    })
    .await
    .unwrap();
    let viewer = account(&stage.scene, "viewer", Some("view")).await;
    assert_eq!(ask(&follower, Some(&viewer), "").await.status, 200);
}

/// Puts a Lease into the scene's namespace that somebody holds for a long time.
async fn hold_lease(scene: &Scene<'_>, holder: &str) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": scene.name(), "name": "notion-sync-operator"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 3600},
    });
    scene.apply(&lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_binding_stays_healthy_between_two_status_writes() {
    let stage = Stage::set("admin-idle").await;
    stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"interval": "10s", "webhook": null}))
        .await;
    // Three intervals later status still has the time of its last write.
    let until = std::time::Instant::now() + Duration::from_secs(42);
    while std::time::Instant::now() < until {
        let answer = ask(&stage.operator, Some(ADMIN_TOKEN), "").await;
        assert_eq!(answer.body["health"], "Healthy", "{}", answer.body);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
