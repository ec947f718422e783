//! The database's side fails before a table is looked at: connection strings, hosts, passwords,
//! privileges.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::failures::{CANARY, nothing_leaked, request_pass, wait_fails, wait_ready_within};
use crate::support::{Stage, eventually};

const BACK: Duration = Duration::from_secs(5);
const SECRET_SEEN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_connection_string_is_refused_by_parameter_name() {
    let stage = Stage::set("connection-string").await;
    let uri = stage.scene.database_uri().unwrap();
    let bad = format!("{uri}?sslrootcert=/etc/{CANARY}");
    stage
        .scene
        .apply_secret("app-db", &[("uri", &bad)])
        .await
        .unwrap();
    stage.bind("projects", &json!({})).await;
    let message = wait_fails(
        &stage,
        "projects",
        "DatabaseReachable",
        "ConnectionStringInvalid",
    )
    .await;
    assert!(
        message.contains("app-db") && message.contains("sslrootcert"),
        "{message}"
    );
    let keywords = format!("host=127.0.0.1 user=x password={CANARY} dbname=x");
    stage
        .scene
        .apply_secret("app-db", &[("uri", &keywords)])
        .await
        .unwrap();
    eventually("the keyword form is refused, too", async || {
        let condition = stage.condition("projects", "DatabaseReachable").await;
        let message = condition["message"].as_str().unwrap_or_default();
        (!message.contains("sslrootcert")).then_some(())
    })
    .await;
    stage
        .wait_condition(
            "projects",
            "DatabaseReachable",
            "False",
            Some("ConnectionStringInvalid"),
        )
        .await;
    stage
        .scene
        .apply_secret("app-db", &[("uri", &uri)])
        .await
        .unwrap();
    wait_ready_within(&stage, "projects", SECRET_SEEN).await;
    nothing_leaked(&stage, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_allowed_is_never_dialled() {
    let stage = Stage::set_with("hosts", |options| {
        options.database_hosts = vec![".example.com".into(), "db.internal".into()];
    })
    .await;
    stage.bind("projects", &json!({})).await;
    let message = wait_fails(&stage, "projects", "DatabaseReachable", "HostNotAllowed").await;
    assert!(!message.contains("127.0.0.1"), "{message}");
    let count = stage
        .count("SELECT count(*) FROM pg_namespace WHERE nspname = 'notion_sync'")
        .await;
    assert_eq!(count, 0);
    nothing_leaked(&stage, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_local_address_is_refused() {
    let stage = Stage::set("link-local").await;
    for address in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"] {
        let uri = format!("postgres://user:{CANARY}@{address}/db");
        stage
            .scene
            .apply_secret("app-db", &[("uri", &uri)])
            .await
            .unwrap();
        let name = format!("at-{}", Uuid::new_v4().simple());
        stage.bind(&name, &json!({})).await;
        wait_fails(&stage, &name, "DatabaseReachable", "HostNotAllowed").await;
    }
    nothing_leaked(&stage, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_recovers_when_it_is_right() {
    let stage = Stage::set("password").await;
    let page = stage.linked(CANARY).await;
    let mut uri = reqwest::Url::parse(&stage.scene.database_uri().unwrap()).unwrap();
    uri.set_password(Some("wrong-canary")).unwrap();
    stage
        .scene
        .apply_secret("app-db", &[("uri", uri.as_str())])
        .await
        .unwrap();
    stage.bind("projects", &json!({})).await;
    let message = wait_fails(
        &stage,
        "projects",
        "DatabaseReachable",
        "DatabaseUnauthorized",
    )
    .await;
    assert!(message.contains("pg_hba.conf"), "{message}");
    nothing_leaked(&stage, &["wrong-canary"]).await;
    // The server takes that password from now on: the connection works again.
    let role = stage.scene.name();
    stage
        .sql(&format!("ALTER ROLE \"{role}\" PASSWORD 'wrong-canary'"))
        .await;
    wait_ready_within(&stage, "projects", BACK).await;
    stage.wait_cell(page, "name", Some(CANARY)).await;
}

/// A role that may create the state schema and nothing else; its connection string goes into the
/// Secret.
async fn limited_role(stage: &Stage) -> String {
    let role = format!("limited-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let postgres = stage.scene.world().postgres();
    postgres.create_role(&role).await.unwrap();
    let grant = format!(
        "GRANT CREATE ON DATABASE \"{}\" TO \"{role}\"",
        stage.scene.name()
    );
    postgres.execute("postgres", &grant).await.unwrap();
    let uri = postgres.uri(stage.scene.name(), &role).unwrap();
    stage
        .scene
        .apply_secret("app-db", &[("uri", &uri)])
        .await
        .unwrap();
    role
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_privileges_come_with_the_grants_that_mend_them() {
    let stage = Stage::set("privileges").await;
    let page = stage.linked(CANARY).await;
    let role = limited_role(&stage).await;
    stage
        .sql(
            "CREATE TABLE audit_logs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), \
        action text, resource_type text, resource_id text, details jsonb, \
        created_at timestamptz DEFAULT now())",
        )
        .await;
    stage
        .sql(&format!("GRANT SELECT, INSERT ON audit_logs TO \"{role}\""))
        .await;
    stage.bind("projects", &json!({})).await;
    let message = wait_fails(&stage, "projects", "SchemaValid", "PrivilegeMissing").await;
    let from = message
        .find("GRANT")
        .unwrap_or_else(|| panic!("no GRANT in {message}"));
    assert!(message[from..].contains(&role), "{message}");
    stage
        .wait_condition("projects", "DatabaseReachable", "True", Some("Reachable"))
        .await;
    stage.sql(&message[from..]).await;
    request_pass(&stage, "projects").await;
    wait_ready_within(&stage, "projects", Duration::from_secs(10)).await;
    stage.wait_cell(page, "name", Some(CANARY)).await;

    // The right is taken away while the operator runs.
    stage
        .sql(&format!(
            "REVOKE UPDATE ON projects FROM \"{role}\"; \
        REVOKE UPDATE (name, status, price, \"updatedAt\") ON projects FROM \"{role}\""
        ))
        .await;
    stage
        .notion
        .edit(page, json!({"Price": {"number": 5}}))
        .unwrap();
    request_pass(&stage, "projects").await;
    let message = wait_fails(&stage, "projects", "SchemaValid", "PrivilegeMissing").await;
    let from = message
        .find("GRANT")
        .unwrap_or_else(|| panic!("no GRANT in {message}"));
    stage.sql(&message[from..]).await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    stage.wait_cell(page, "price", Some("5.00")).await;
    nothing_leaked(&stage, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_create_the_state_schema_the_file_is_named() {
    let stage = Stage::set("no-state").await;
    let role = format!("bare-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let postgres = stage.scene.world().postgres();
    postgres.create_role(&role).await.unwrap();
    let uri = postgres.uri(stage.scene.name(), &role).unwrap();
    stage
        .scene
        .apply_secret("app-db", &[("uri", &uri)])
        .await
        .unwrap();
    stage.bind("projects", &json!({})).await;
    let message = wait_fails(&stage, "projects", "SchemaValid", "StateSchemaMissing").await;
    assert!(
        message.contains("migrations/") && message.contains("GRANT"),
        "{message}"
    );
}
