//! The grants that docs/INSTALL.md lists: enough for a fresh role, each of them needed, and each
//! named by a condition when it is missing.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::readme::blocks;
use crate::support::{Stage, eventually, title};

/// The statements of the page, for this role.
fn statements(role: &str) -> Vec<String> {
    let mut found = blocks("docs/INSTALL.md")
        .into_iter()
        .filter(|block| block.language == "sql");
    let block = found.next().expect("one block");
    assert!(found.next().is_none(), "one block holds all grants");
    let text = block.text.replace("<role>", &format!("\"{role}\""));
    text.split(';')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A stage whose table is README's, a fresh role, and a page with its row.
async fn tenant(topic: &str) -> (Stage, String, Uuid) {
    let stage = Stage::set(topic).await;
    let table = blocks("README.md")
        .into_iter()
        .find(|block| block.text.contains("CREATE TABLE"));
    stage
        .sql(&format!("DROP TABLE projects; {}", table.unwrap().text))
        .await;
    let role = format!("{}_role", stage.scene.name());
    stage
        .scene
        .world()
        .postgres()
        .create_role(&role)
        .await
        .unwrap();
    let page = stage
        .notion
        .create_page(stage.source, json!({"Name": title("Alpha")}))
        .unwrap();
    let row = format!("INSERT INTO projects (\"notionPageId\") VALUES ('{page}')");
    stage.sql(&row).await;
    let uri = stage
        .scene
        .world()
        .postgres()
        .uri(stage.scene.name(), &role)
        .unwrap();
    stage
        .scene
        .apply_secret("app-db", &[("uri", &uri)])
        .await
        .unwrap();
    // What a careful owner takes from everybody. Up to Postgres 14 the owner of a database does not
    // own its schema `public`.
    superuser(&stage, "REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
    superuser(
        &stage,
        &format!("ALTER SCHEMA public OWNER TO \"{}\"", stage.scene.name()),
    )
    .await;
    (stage, role, page)
}

async fn superuser(stage: &Stage, statement: &str) {
    let server = stage.scene.world().postgres();
    server.execute(stage.scene.name(), statement).await.unwrap();
}

/// README's binding.
fn readme_spec() -> Value {
    json!({
        "properties": [
            {"column": "name", "property": "Name"},
            {"column": "status", "property": "Status", "values": [
                {"notion": "Not started", "postgres": "TODO"},
                {"notion": "In progress", "postgres": "IN_PROGRESS"},
                {"notion": "Done", "postgres": "DONE"}]},
        ],
        "interval": "10s",
    })
}

/// The binding is Ready, and an edit reaches row and audit table.
async fn works(stage: &Stage, page: Uuid) {
    stage.bind("projects", &readme_spec()).await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
    stage
        .notion
        .edit(
            page,
            json!({"Name": title("Beta"), "Status": {"status": {"name": "Done"}}}),
        )
        .unwrap();
    let event = stage.notion.event("page.properties_updated", page, &[]);
    assert_eq!(stage.post_signed(&event).await.0, 200);
    let cell =
        format!("SELECT name || '/' || status FROM projects WHERE \"notionPageId\" = '{page}'");
    eventually("the edit arrives", async || {
        (stage.text(&cell).await.as_deref() == Some("Beta/DONE")).then_some(())
    })
    .await;
    eventually("it is audited", async || {
        stage.audited("notion_webhook", page).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listed_grants_are_enough() {
    let (stage, role, page) = tenant("grants").await;
    for statement in statements(&role) {
        stage.sql(&statement).await;
    }
    works(&stage, page).await;
}

/// Applies all files of the state schema as their owner.
async fn apply_by_hand(stage: &Stage) {
    let folder = world::paths::repository().join("migrations");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        stage.sql(&std::fs::read_to_string(file).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_state_applied_by_hand_creating_is_not_needed() {
    let (stage, role, page) = tenant("grants-hand").await;
    apply_by_hand(&stage).await;
    for statement in statements(&role) {
        stage
            .sql(&statement.replace(
                "USAGE, CREATE ON SCHEMA notion_sync",
                "USAGE ON SCHEMA notion_sync",
            ))
            .await;
    }
    works(&stage, page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_create_schema_and_table_needs_less() {
    let (stage, role, page) = tenant("grants-create").await;
    for statement in statements(&role) {
        if statement.starts_with("GRANT") && statement.contains("public")
            || statement.contains("projects")
        {
            stage.sql(&statement).await;
        }
    }
    let database = stage.scene.name();
    stage
        .sql(&format!(
            "GRANT CREATE ON DATABASE \"{database}\" TO \"{role}\""
        ))
        .await;
    stage
        .sql(&format!("GRANT CREATE ON SCHEMA public TO \"{role}\""))
        .await;
    // The reader of the audit table below is its owner's superior.
    superuser(&stage, &format!("GRANT \"{role}\" TO \"{database}\"")).await;
    works(&stage, page).await;
}

/// What is taken, and the condition that names it: type, reason, and part of the remedy.
const TAKEN: [(&str, &str, &str, &str); 9] = [
    (
        "USAGE ON SCHEMA public",
        "SchemaValid",
        "PrivilegeMissing",
        "GRANT USAGE ON SCHEMA \"public\"",
    ),
    (
        "SELECT ON projects",
        "SchemaValid",
        "PrivilegeMissing",
        "GRANT SELECT",
    ),
    (
        "UPDATE (name) ON projects",
        "SchemaValid",
        "PrivilegeMissing",
        "UPDATE (\"name\")",
    ),
    (
        "UPDATE (status) ON projects",
        "SchemaValid",
        "PrivilegeMissing",
        "UPDATE (\"status\")",
    ),
    (
        "UPDATE (\"updatedAt\") ON projects",
        "SchemaValid",
        "PrivilegeMissing",
        "UPDATE (\"updatedAt\")",
    ),
    (
        "INSERT ON audit_logs",
        "SchemaValid",
        "AuditTableInvalid",
        "GRANT INSERT",
    ),
    (
        "USAGE ON SCHEMA notion_sync",
        "SchemaValid",
        "StateSchemaMissing",
        "GRANT USAGE ON SCHEMA notion_sync",
    ),
    (
        "UPDATE ON ALL TABLES IN SCHEMA notion_sync",
        "SchemaValid",
        "StateSchemaMissing",
        "UPDATE",
    ),
    (
        "DELETE ON ALL TABLES IN SCHEMA notion_sync",
        "SchemaValid",
        "StateSchemaMissing",
        "DELETE",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_grant_is_needed_and_named() {
    let (stage, role, page) = tenant("grants-each").await;
    apply_by_hand(&stage).await;
    let grants = statements(&role);
    for statement in &grants {
        stage.sql(statement).await;
    }
    works(&stage, page).await;
    for (right, kind, reason, remedy) in TAKEN {
        let revoke = format!("REVOKE {right} FROM \"{role}\"");
        stage.sql(&revoke).await;
        ask_again(&stage).await;
        let condition = stage
            .wait_condition("projects", kind, "False", Some(reason))
            .await;
        let message = condition["message"].as_str().unwrap();
        assert!(
            message.contains(remedy) && message.contains(&role),
            "{right}: {message}"
        );
        for statement in &grants {
            stage.sql(statement).await;
        }
        ask_again(&stage).await;
        stage
            .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
            .await;
    }
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
}

async fn ask_again(stage: &Stage) {
    let asked = format!("notionsync.dev/requestedAt={}", Uuid::new_v4());
    let arguments = ["annotate", "nsb", "projects", &asked, "--overwrite"];
    stage.scene.kubectl(&arguments).await.unwrap().ok().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_state_schema_its_file_is_named() {
    let (stage, role, _) = tenant("grants-none").await;
    for statement in statements(&role) {
        if !statement.contains("notion_sync") {
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&stage.pool)
                .await
                .unwrap();
        }
    }
    stage.bind("projects", &readme_spec()).await;
    let condition = stage
        .wait_condition(
            "projects",
            "SchemaValid",
            "False",
            Some("StateSchemaMissing"),
        )
        .await;
    let message = condition["message"].as_str().unwrap();
    assert!(
        message.contains("migrations/0001_state.sql") && message.contains("GRANT"),
        "{message}"
    );
}
