//! `deploy/namespaced/`: the operator for its own namespace, without any cluster right.

use serde_json::{Value, json};
use world::World;
use world::manifests::{SERVICE_ACCOUNT, install_namespaced};

use super::Sides;
use crate::support::{ADMIN_TOKEN, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn roles_alone_are_enough() {
    let world = World::shared().await.unwrap();
    let scene = world.scene("namespaced").await.unwrap();
    let control_plane = world.control_plane();
    install_namespaced(
        control_plane,
        scene.name(),
        &scene.directory().join("overlay"),
    )
    .await
    .unwrap();
    let account = format!("system:serviceaccount:{}:{SERVICE_ACCOUNT}", scene.name());
    let may = async |arguments: &[&str]| {
        let all = [&["auth", "can-i", "--as", &account], arguments].concat();
        scene.kubectl(&all).await.unwrap().stdout.trim() == "yes"
    };
    assert!(may(&["list", "notionsyncbindings"]).await);
    for denied in [
        &["list", "notionsyncbindings", "--all-namespaces"][..],
        &["list", "secrets"],
        &["create", "tokenreviews.authentication.k8s.io"],
        &["get", "namespaces/kube-system", "--namespace=kube-system"],
    ] {
        assert!(!may(denied).await, "{denied:?}");
    }

    let sides = Sides::set(&scene).await;
    let mut options = scene
        .operator_options(sides.notion.base_url())
        .await
        .unwrap();
    let kubeconfig = scene.directory().join("namespaced.kubeconfig");
    control_plane
        .write_account_kubeconfig(scene.name(), SERVICE_ACCOUNT, &kubeconfig)
        .await
        .unwrap();
    options.kubeconfig = kubeconfig;
    options.leader_elect = true;
    options.pod_namespace = scene.name().to_owned();
    options.admin_token = Some(ADMIN_TOKEN.to_owned());
    let operator = scene.start_operator(options).await.unwrap();
    sides.bind(&scene, &json!({})).await;
    assert_eq!(sides.name().await.as_deref(), Some("Alpha"));

    let uid = [
        "get",
        "namespace",
        scene.name(),
        "-o",
        "jsonpath={.metadata.uid}",
    ];
    let uid = scene.kubectl(&uid).await.unwrap().ok().unwrap();
    let cluster: String = sqlx::query_scalar("SELECT cluster_id FROM notion_sync.bindings")
        .fetch_one(&sides.pool)
        .await
        .unwrap();
    assert_eq!(cluster, uid);

    let client = world::http::client().unwrap();
    let health = async |token: &str| {
        let request = client
            .get(operator.url("/api/admin/sync/health"))
            .bearer_auth(token);
        let reply = request.send().await.unwrap();
        (
            reply.status().as_u16(),
            reply.json::<Value>().await.unwrap(),
        )
    };
    let (status, report) = health(ADMIN_TOKEN).await;
    assert_eq!(
        (status, &report["bindings"][0]["health"]),
        (200, &json!("Healthy")),
        "{report}"
    );
    let theirs = control_plane
        .account_token(scene.name(), SERVICE_ACCOUNT)
        .await
        .unwrap();
    assert_eq!(
        health(&theirs).await.0,
        401,
        "nobody can review a token here"
    );
    eventually("the Events are written", async || {
        let events = scene
            .kubectl(&["events", "--for", "nsb/projects"])
            .await
            .unwrap();
        events.stdout.contains("Synced").then_some(())
    })
    .await;
}
