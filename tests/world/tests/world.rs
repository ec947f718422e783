//! The world checked on itself: real API server, real rights, real Postgres, nothing left over.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use world::World;
use world::control_plane::client_of;
use world::postgres::PostgresOptions;
use world::wait::eventually;

#[tokio::test]
async fn applies_and_reads_objects() {
    let world = World::shared().await.unwrap();
    let scene = world.scene("objects").await.unwrap();
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": scene.name(), "name": "settings"},
        "data": {"colour": "green"},
    });
    scene.apply(&object).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(scene.client().await.unwrap(), scene.name());
    let read = maps.get("settings").await.unwrap();
    assert_eq!(read.data.unwrap()["colour"], "green");
    let arguments = [
        "get",
        "configmap",
        "settings",
        "-o",
        "jsonpath={.data.colour}",
    ];
    assert_eq!(
        scene.kubectl(&arguments).await.unwrap().ok().unwrap(),
        "green"
    );
    scene
        .kubectl(&["get", "configmap", "nothing"])
        .await
        .unwrap()
        .refused()
        .unwrap();
}

#[tokio::test]
async fn gives_the_operator_the_rights_it_is_shipped_with() {
    let world = World::shared().await.unwrap();
    let scene = world.scene("rights").await.unwrap();
    scene.apply_usual_secrets("ntn_token").await.unwrap();
    let options = scene.operator_options("http://127.0.0.1:9").await.unwrap();
    let client = client_of(&options.kubeconfig).await.unwrap();
    let secrets = Api::<Secret>::namespaced(client, scene.name());
    let read = secrets.get("notion").await.unwrap();
    assert_eq!(read.data.unwrap()["token"].0, b"ntn_token");
    let refusal = secrets.list(&ListParams::default()).await.unwrap_err();
    let kube::Error::Api(status) = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(status.code, 403);
}

#[tokio::test]
async fn installs_an_operator_for_one_namespace() {
    let world = World::shared().await.unwrap();
    let scene = world.scene("namespaced").await.unwrap();
    let options = scene
        .namespaced_operator_options("http://127.0.0.1:9")
        .await
        .unwrap();
    let client = client_of(&options.kubeconfig).await.unwrap();
    scene
        .apply_secret("notion", &[("token", "ntn_token")])
        .await
        .unwrap();
    Api::<Secret>::namespaced(client.clone(), scene.name())
        .get("notion")
        .await
        .unwrap();
    let elsewhere = Api::<Secret>::namespaced(client, "default")
        .get("notion")
        .await
        .unwrap_err();
    let kube::Error::Api(status) = elsewhere else {
        panic!("{elsewhere}")
    };
    assert_eq!(status.code, 403);
}

#[tokio::test]
async fn serves_each_scene_its_own_database() {
    let world = World::shared().await.unwrap();
    let scene = world.scene("database").await.unwrap();
    let pool = scene.pool().unwrap();
    sqlx::raw_sql("CREATE TABLE projects (id int); INSERT INTO projects VALUES (1)")
        .execute(&pool)
        .await
        .unwrap();
    let database: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(database, scene.name());
    let version: String = sqlx::query_scalar("SELECT current_setting('server_version_num')")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(
        version.parse::<u32>().unwrap() / 10_000,
        world.postgres().major()
    );
}

#[tokio::test]
async fn stops_pauses_and_starts_a_server_with_its_data() -> Result<()> {
    let world = World::shared().await?;
    let scene = world.scene("outage").await?;
    let server = scene.own_postgres(&PostgresOptions::default()).await?;
    server.create_role("owner").await?;
    server.create_database("app", "owner").await?;
    server.execute("app", "CREATE TABLE kept (id int)").await?;

    server.stop().await?;
    ensure!(
        server.connect("app", "owner").await.is_err(),
        "a stopped server answered"
    );
    server.start_again().await?;
    server.connect("app", "owner").await?;

    server.pause().await?;
    let answer = tokio::time::timeout(Duration::from_millis(500), server.connect("app", "owner"));
    ensure!(answer.await.is_err(), "a paused server answered");
    server.resume().await?;
    server.connect("app", "owner").await?;

    server.kill().await?;
    eventually(Duration::from_secs(30), "the server recovers", async || {
        server.start_again().await
    })
    .await?;
    server.execute("app", "INSERT INTO kept VALUES (1)").await
}

#[tokio::test]
async fn leaves_nothing_behind() {
    let world = World::start(world::WorldOptions {
        bare: true,
        ..Default::default()
    });
    let world = world.await.unwrap();
    let folder = world.directory().to_owned();
    let address = world.postgres().address();
    assert!(folder.is_dir());
    world.stop().await;
    assert!(!folder.exists(), "{} stayed", folder.display());
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "Postgres stayed"
    );
}

#[tokio::test]
async fn answers_as_notion() {
    let notion = world::notion::start(world::notion::Options::default())
        .await
        .unwrap();
    let answer = world::http::client()
        .unwrap()
        .get(format!("{}/v1/users/me", notion.base_url()))
        .bearer_auth(notion.token())
        .header("Notion-Version", "2026-03-11")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}
