//! The shipped objects, and the rights of the shipped account: enough, and no more.

use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{
    Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams,
};
use notion_sync_operator::api::NotionSyncBinding;
use serde::Deserialize as _;
use serde_json::{Value, json};
use world::World;
use world::control_plane::client_of;
use world::operator::Operator;
use world::scene::Scene;

use crate::support::{ADMIN_TOKEN, Stage, VERIFICATION_TOKEN, eventually, own_leases, title};

const ACCOUNT: &str = "system:serviceaccount:notion-sync-system:notion-sync-operator";

async fn shipped(kind: &str, name: &str) -> Value {
    let world = World::shared().await.unwrap();
    let arguments = ["-n", "notion-sync-system", "get", kind, name, "-o", "json"];
    let text = world
        .control_plane()
        .kubectl(&arguments)
        .await
        .unwrap()
        .ok()
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_objects_are_those_of_the_design() {
    let name = "notion-sync-operator";
    for kind in [
        "serviceaccount",
        "poddisruptionbudget",
        "networkpolicy",
        "role",
        "rolebinding",
        "clusterrole",
        "clusterrolebinding",
    ] {
        shipped(kind, name).await;
    }
    for role in ["notion-sync-view", "notion-sync-edit"] {
        shipped("clusterrole", role).await;
    }
    let deployment = shipped("deployment", name).await;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["memory"], "256Mi");
    let variables: Vec<_> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    let expected = "POD_NAME POD_NAMESPACE HTTP_ADDR METRICS_ADDR NOTION_API_URL WATCH_NAMESPACE \
                    LEADER_ELECT ADMIN_TOKEN_FILE DATABASE_HOSTS ALLOW_UNVERIFIED_WEBHOOKS \
                    LOG_FORMAT RUST_LOG";
    assert_eq!(variables, expected.split_whitespace().collect::<Vec<_>>());
    let service = shipped("service", name).await;
    assert_eq!(service["spec"]["ports"][0]["port"], 80);
    let metrics = shipped("service", "notion-sync-operator-metrics").await;
    assert_eq!(metrics["spec"]["ports"][0]["port"], 8081);
    // The file in the checkout says two; a world without nodes asks for none.
    let file = world::paths::repository().join("deploy/base/deployment.yaml");
    let file: Value = serde_yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(file["spec"]["replicas"], 2);
}

fn is_forbidden<T: std::fmt::Debug>(answer: Result<T, kube::Error>, what: &str) {
    match answer {
        Err(kube::Error::Api(status)) if is_403(&status) => {}
        other => panic!("{what}: {other:?}"),
    }
}

fn is_403(status: &kube::core::Status) -> bool {
    status.code == 403
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_can_do_no_more_than_its_work() {
    let stage = Stage::set("rights").await;
    stage.bind_ready(&json!({})).await;
    let client = client_of(&stage.operator.options().kubeconfig)
        .await
        .unwrap();
    let namespace = stage.scene.name();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let everywhere: Api<Secret> = Api::all(client.clone());
    is_forbidden(secrets.list(&ListParams::default()).await, "list");
    is_forbidden(everywhere.list(&ListParams::default()).await, "list all");
    let watched = secrets.watch(&WatchParams::default(), "0").await.map(drop);
    is_forbidden(watched, "watch");
    let mut fresh = Secret::default();
    fresh.metadata.name = Some("made".to_owned());
    is_forbidden(
        secrets.create(&PostParams::default(), &fresh).await,
        "create",
    );
    let apply = Patch::Apply(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "made"}, "stringData": {"a": "b"}}));
    let manager = PatchParams::apply("test");
    is_forbidden(
        secrets.patch("made", &manager, &apply).await,
        "apply a new one",
    );
    let deleted = secrets
        .delete("notion", &kube::api::DeleteParams::default())
        .await
        .map(drop);
    is_forbidden(deleted, "delete");
    let resource = ApiResource::erase::<NotionSyncBinding>(&());
    let bindings: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let suspend = Patch::Merge(json!({"spec": {"suspend": true}}));
    is_forbidden(
        bindings
            .patch("projects", &PatchParams::default(), &suspend)
            .await,
        "spec",
    );
    // Through status nothing of the spec changes.
    let patched = bindings
        .patch_status("projects", &PatchParams::default(), &suspend)
        .await
        .unwrap();
    assert_eq!(patched.data["spec"]["suspend"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_granted_what_the_design_lists() {
    let world = World::shared().await.unwrap();
    let scene = world.scene("can-i").await.unwrap();
    let may = async |namespace: &str, verb: &str, resource: &str| {
        let arguments = [
            "-n", namespace, "auth", "can-i", "--as", ACCOUNT, verb, resource,
        ];
        let output = world.control_plane().kubectl(&arguments).await.unwrap();
        output.stdout.trim() == "yes"
    };
    for (verb, resource) in [
        ("create", "secrets"),
        ("list", "secrets"),
        ("watch", "secrets"),
        ("update", "secrets"),
        ("delete", "secrets"),
        ("update", "notionsyncbindings"),
        ("patch", "notionsyncbindings"),
        ("delete", "notionsyncbindings"),
        ("update", "notionsyncbindings/status"),
        ("list", "events.events.k8s.io"),
        ("create", "events"),
        ("get", "namespaces"),
        ("list", "namespaces"),
        ("get", "leases.coordination.k8s.io"),
        ("create", "leases.coordination.k8s.io"),
        ("get", "pods"),
        ("create", "pods"),
        ("get", "configmaps"),
        ("impersonate", "users"),
    ] {
        assert!(
            !may(scene.name(), verb, resource).await,
            "{verb} {resource}"
        );
    }
    for (namespace, verb, resource) in [
        (scene.name(), "watch", "notionsyncbindings"),
        (scene.name(), "patch", "secrets"),
        (scene.name(), "create", "events.events.k8s.io"),
        ("notion-sync-system", "patch", "leases.coordination.k8s.io"),
        ("kube-system", "get", "namespaces/kube-system"),
    ] {
        assert!(may(namespace, verb, resource).await, "{verb} {resource}");
    }
    assert!(!may("notion-sync-system", "delete", "leases.coordination.k8s.io").await);
}

/// An operator under an account of the scene's own, with the shipped rights but for these
/// (resource and verb).
async fn lacking(stage: &Stage, name: &str, rights: &[(&str, &str)]) -> Operator {
    let scene = &stage.scene;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"namespace": scene.name(), "name": name}});
    scene.apply(&account).await.unwrap();
    for file in ["operator.yaml", "leases.yaml"] {
        let file = world::paths::repository().join("deploy/rbac").join(file);
        for object in less_rights(&file, scene, name, rights) {
            scene.apply(&object).await.unwrap();
        }
    }
    let kubeconfig = scene.directory().join(format!("{name}.kubeconfig"));
    let control_plane = scene.world().control_plane();
    control_plane
        .write_account_kubeconfig(scene.name(), name, &kubeconfig)
        .await
        .unwrap();
    let mut options = stage.operator.options().clone();
    options.kubeconfig = kubeconfig;
    options.leader_elect = true;
    options.pod_namespace = scene.name().to_owned();
    let operator = Operator::prepare(&scene.operator_directory(), options).unwrap();
    operator.launch().await.unwrap();
    operator
}

fn less_rights(file: &Path, scene: &Scene<'_>, name: &str, rights: &[(&str, &str)]) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let unique = format!("{}-{name}", scene.name());
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents
        .map(|document| {
            let mut object = Value::deserialize(document).unwrap();
            object["metadata"]["name"] = unique.clone().into();
            if object["metadata"].get("namespace").is_some() {
                object["metadata"]["namespace"] = scene.name().into();
            }
            if object.get("roleRef").is_some() {
                object["roleRef"]["name"] = unique.clone().into();
                object["subjects"] =
                    json!([{"kind": "ServiceAccount", "namespace": scene.name(), "name": name}]);
            }
            let rules = object.get_mut("rules").and_then(Value::as_array_mut);
            for rule in rules.into_iter().flatten() {
                let resource = rule["resources"][0].as_str().unwrap().to_owned();
                let verbs = rule["verbs"].as_array_mut().unwrap();
                verbs.retain(|verb| !rights.contains(&(&resource, verb.as_str().unwrap())));
            }
            if let Some(rules) = object.get_mut("rules").and_then(Value::as_array_mut) {
                rules.retain(|rule| {
                    rule["verbs"]
                        .as_array()
                        .is_some_and(|verbs| !verbs.is_empty())
                });
            }
            object
        })
        .collect()
}

async fn log_has(operator: &Operator, text: &str) {
    eventually(&format!("the log says {text:?}"), async || {
        operator
            .log()
            .unwrap_or_default()
            .contains(text)
            .then_some(())
    })
    .await;
}

/// A stage whose own operator has ended, so that others can be tried.
async fn empty_stage(topic: &str) -> Stage {
    let stage = Stage::set(topic).await;
    stage.operator.stop().await.unwrap();
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_right_to_begin_it_never_begins() {
    let stage = empty_stage("needs-begin").await;
    for (name, resource, verb) in [
        ("list", "notionsyncbindings", "list"),
        ("namespaces", "namespaces", "get"),
    ] {
        let operator = lacking(&stage, name, &[(resource, verb)]).await;
        log_has(&operator, "forbidden").await;
        let client = world::http::client().unwrap();
        let ready = client
            .get(operator.metrics_url("/readyz"))
            .send()
            .await
            .unwrap();
        assert_eq!(ready.status().as_u16(), 503, "{name}");
        let reply = client
            .post(operator.webhook_url())
            .body("{}")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status().as_u16(), 503, "{name}");
        assert!(reply.headers().contains_key("retry-after"));
        // It also ends when it is asked to.
        assert_eq!(operator.stop().await.unwrap().code, 0, "{name}");
    }
    for verb in ["get", "create", "patch"] {
        let delete = [
            "delete",
            "lease",
            "notion-sync-operator",
            "--ignore-not-found",
        ];
        stage.scene.kubectl(&delete).await.unwrap().ok().unwrap();
        let operator = lacking(&stage, verb, &[("leases", verb)]).await;
        operator.wait_ready().await.unwrap();
        log_has(&operator, "the Lease cannot be read or renewed").await;
        assert!(
            !operator.log().unwrap().contains("this replica leads"),
            "{verb}"
        );
        operator.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_right_that_work_is_not_done() {
    let stage = empty_stage("needs-work").await;
    let page = stage.linked("Alpha").await;
    for (number, verb) in ["patch", "get"].into_iter().enumerate() {
        let resource = ["notionsyncbindings/status", "notionsyncbindings"][number];
        let operator = lacking(&stage, &format!("status-{verb}"), &[(resource, verb)]).await;
        operator.wait_ready().await.unwrap();
        stage.bind("projects", &json!({})).await;
        log_has(&operator, "status could not be written").await;
        assert_eq!(stage.binding("projects").await.get("status"), None);
        stage.wait_cell(page, "name", Some("Alpha")).await;
        operator.stop().await.unwrap();
    }
    let rights = [
        ("secrets", "get"),
        ("events", "patch"),
        ("subjectaccessreviews", "create"),
    ];
    let operator = lacking(&stage, "reader", &rights).await;
    operator.wait_ready().await.unwrap();
    stage
        .wait_condition("projects", "Ready", "False", None)
        .await;
    log_has(&operator, "an Event could not be written").await;
    let viewer = admin_status(&stage, &operator).await;
    assert_eq!(viewer, 403);
    operator.stop().await.unwrap();
}

/// What the admin API answers a token of the administrator of the scene's namespace.
async fn admin_status(stage: &Stage, operator: &Operator) -> u16 {
    let scene = &stage.scene;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"namespace": scene.name(), "name": "person"}});
    scene.apply(&account).await.unwrap();
    let binding = [
        "create",
        "rolebinding",
        "person",
        "--clusterrole=edit",
        &format!("--serviceaccount={}:person", scene.name()),
    ];
    scene.kubectl(&binding).await.unwrap();
    let control_plane = scene.world().control_plane();
    let token = control_plane
        .account_token(scene.name(), "person")
        .await
        .unwrap();
    let client = world::http::client().unwrap();
    let request = client
        .get(operator.url("/api/admin/sync/health"))
        .bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_further_right_is_needed_for_one_thing() {
    let stage = empty_stage("needs-extra").await;
    stage
        .scene
        .kubectl(&["delete", "secret", "notion-webhook"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    let empty = ["create", "secret", "generic", "notion-webhook"];
    stage.scene.kubectl(&empty).await.unwrap().ok().unwrap();
    let rights = [
        ("secrets", "patch"),
        ("events", "create"),
        ("tokenreviews", "create"),
    ];
    let operator = lacking(&stage, "extra", &rights).await;
    operator.wait_ready().await.unwrap();
    stage.bind_ready(&json!({})).await;
    log_has(&operator, "an Event could not be written").await;
    assert_eq!(admin_status(&stage, &operator).await, 401);
    let handshake = json!({"verification_token": VERIFICATION_TOKEN}).to_string();
    let post = async |operator: &Operator| {
        let client = world::http::client().unwrap();
        let request = client
            .post(operator.webhook_url())
            .header("content-type", "application/json");
        request
            .body(handshake.clone())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(post(&operator).await, 503);
    operator.stop().await.unwrap();
    // With all of them the same things work.
    own_leases(&stage.scene).await;
    let whole = lacking(&stage, "whole", &[]).await;
    whole.wait_ready().await.unwrap();
    assert_eq!(admin_status(&stage, &whole).await, 200);
    assert_eq!(post(&whole).await, 200);
    let page = stage.linked("Beta").await;
    let now = format!(
        "notionsync.dev/fullScanRequestedAt={}",
        uuid::Uuid::new_v4()
    );
    let ask = ["annotate", "nsb", "projects", &now, "--overwrite"];
    stage.scene.kubectl(&ask).await.unwrap().ok().unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
    stage
        .notion
        .edit(page, json!({"Name": title("Gamma")}))
        .unwrap();
    let client = world::http::client().unwrap();
    let body = stage
        .notion
        .event("page.properties_updated", page, &[])
        .to_string();
    let signature = notion_imitation::signature(VERIFICATION_TOKEN, body.as_bytes());
    let request = client
        .post(whole.webhook_url())
        .header("content-type", "application/json");
    let reply = request
        .header("X-Notion-Signature", signature)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status().as_u16(), 200);
    stage.wait_cell(page, "name", Some("Gamma")).await;
    let request = client
        .get(whole.url("/api/admin/sync/health"))
        .bearer_auth(ADMIN_TOKEN);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
}
