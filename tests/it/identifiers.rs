//! Names of schemas, tables and columns are resolved against the catalog or refused, never spliced.

use serde_json::{Value, json};
use world::manifests::{binding, merged, minimal_spec};

use crate::support::{Stage, eventually, title};

/// Every name that would do harm if it reached a statement unquoted. 63 bytes are the longest.
fn hostile_columns() -> Vec<String> {
    let long = format!("{}x", "ä".repeat(31));
    assert_eq!(long.len(), 63);
    [
        "select",
        "MiXeD Case",
        "with \"quotes\"",
        "\"",
        "'; DROP TABLE victims; --",
        "\"; DROP TABLE victims; --",
        "name\" = NULL, \"id",
        "a.b",
        "$1",
        "%s{}",
        " leading",
        "back\\slash",
        "tab\tand\nline",
        "emoji 🚀",
        "xmin_",
        "--",
        "/*",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([long])
    .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const SCHEMA: &str = "odd \"schema\"; DROP TABLE public.victims; --";
const TABLE: &str = "Odd \"table\"; DROP TABLE victims; --";
const AUDIT: &str = "audit' \"log\"; DROP TABLE victims; --";

async fn hostile_table(stage: &Stage, columns: &[String]) -> String {
    let schema = quoted(SCHEMA);
    let table = format!("{schema}.{}", quoted(TABLE));
    let defined: Vec<String> = columns
        .iter()
        .map(|name| format!("{} text", quoted(name)))
        .collect();
    let defined = defined.join(", ");
    stage
        .sql(&format!(
            "CREATE TABLE victims (id integer); CREATE SCHEMA {schema};
             CREATE TYPE {schema}.\"Odd; \"\"type\"\"\" AS ENUM ('One', 'T\"wo');
             CREATE TABLE {table} (\"Key \"\"part\"\"\" text, \"order\" integer,
                 \"Page \"\"Id\"\"\" text UNIQUE, \"updated at\" timestamptz,
                 kind {schema}.\"Odd; \"\"type\"\"\", {defined},
                 PRIMARY KEY (\"order\", \"Key \"\"part\"\"\"))"
        ))
        .await;
    table
}

fn hostile_spec(source: &str, columns: &[String]) -> Value {
    let mut properties: Vec<Value> = columns
        .iter()
        .map(|name| json!({"column": name, "property": "Name"}))
        .collect();
    properties.push(json!({"column": "kind", "property": "Kind"}));
    let spec = minimal_spec(source, TABLE, &[]);
    merged(
        spec,
        &json!({"postgres": {"schema": SCHEMA, "pageIdColumn": "Page \"Id\"",
        "updatedAtColumn": "updated at", "auditTable": AUDIT}, "properties": properties}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_just_names() {
    let stage = Stage::set("identifiers").await;
    let columns = hostile_columns();
    let table = hostile_table(&stage, &columns).await;
    let schema = json!({"Name": {"title": {}},
        "Kind": {"select": {"options": [{"name": "One"}, {"name": "T\"wo"}]}}});
    let source = notion_imitation::DataSourceSpec::new("Odd", schema);
    let source = stage.notion.create_data_source(source).unwrap().id;
    let value =
        json!({"Name": title("'; DROP TABLE victims; --"), "Kind": {"select": {"name": "One"}}});
    let page = stage.notion.create_page(source, value).unwrap();
    let key = "key'; DROP TABLE victims; --";
    stage
        .sql(&format!(
            "INSERT INTO {table} (\"Key \"\"part\"\"\", \"order\", \"Page \"\"Id\"\"\")
             VALUES ($k${key}$k$, 1, '{page}'), ($k${key}$k$, 2, NULL)"
        ))
        .await;
    let spec = hostile_spec(&source.to_string(), &columns);
    let object = binding(stage.scene.name(), "odd", &spec);
    stage.scene.apply(&object).await.unwrap();
    stage.wait_condition("odd", "Ready", "True", None).await;
    let schema_valid = stage.condition("odd", "SchemaValid").await;
    assert_eq!(schema_valid["status"], "True", "{schema_valid}");
    let filled = |text: &str| {
        let all: Vec<_> = columns
            .iter()
            .map(|name| format!("{} = $v${text}$v$", quoted(name)))
            .collect();
        format!("SELECT count(*) FROM {table} WHERE {}", all.join(" AND "))
    };
    eventually("every hostile column is filled", async || {
        (stage.count(&filled("'; DROP TABLE victims; --")).await == 1).then_some(())
    })
    .await;
    let edit = json!({"Name": title("second"), "Kind": {"select": {"name": "T\"wo"}}});
    stage.notion.edit(page, edit).unwrap();
    let asked = [
        "annotate",
        "nsb",
        "odd",
        "notionsync.dev/fullScanRequestedAt=1",
    ];
    stage.scene.kubectl(&asked).await.unwrap().ok().unwrap();
    eventually("the edit arrives", async || {
        (stage.count(&filled("second")).await == 1).then_some(())
    })
    .await;
    let kind = stage
        .text(&format!("SELECT kind FROM {table} WHERE \"order\" = 1"))
        .await;
    assert_eq!(kind.as_deref(), Some("T\"wo"));
    let audit = format!("SELECT count(*) FROM {}.{}", quoted(SCHEMA), quoted(AUDIT));
    assert_eq!(stage.count(&audit).await, 2);
    let status = &stage.binding("odd").await["status"];
    assert_eq!(
        status["counts"],
        json!({"pages": 1, "rows": 2, "linked": 1}),
        "{status}"
    );
    assert_eq!(
        stage.count("SELECT count(*) FROM victims").await,
        0,
        "the victim is alive"
    );
}

/// What a name that matches nothing leads to.
async fn refused(stage: &Stage, name: &str, changes: &Value, kind: &str, reason: &str) {
    stage.bind(name, changes).await;
    let condition = stage
        .wait_condition(name, kind, "False", Some(reason))
        .await;
    assert!(!condition["message"].as_str().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_match_nothing_are_refused() {
    let stage = Stage::set("identifiers-refused").await;
    let exact = "t".repeat(63);
    stage
        .sql(&format!(
            "CREATE TABLE victims (id integer);
             CREATE TABLE {exact} (id serial PRIMARY KEY, \"notionPageId\" text UNIQUE,
                 name text, status text, price numeric, \"updatedAt\" timestamptz);
             CREATE VIEW projects_view AS SELECT * FROM projects"
        ))
        .await;
    let table = |name: &str| json!({"postgres": {"table": name}});
    let tables = [
        "Projects",
        "PROJECTS",
        "projects\"; DROP TABLE victims; --",
        "public.projects",
        "\"projects\"",
        "projects ",
        "projects; DROP TABLE victims",
    ];
    for (number, name) in tables.iter().enumerate() {
        let binding = format!("table-{number}");
        refused(
            &stage,
            &binding,
            &table(name),
            "SchemaValid",
            "TableNotFound",
        )
        .await;
        assert_eq!(
            stage.condition(&binding, "Ready").await["status"],
            "False",
            "{name}"
        );
    }
    refused(
        &stage,
        "view",
        &table("projects_view"),
        "SchemaValid",
        "TableKindNotSupported",
    )
    .await;
    let schema = json!({"postgres": {"schema": "public\"; DROP TABLE victims; --"}});
    refused(&stage, "schema", &schema, "SchemaValid", "TableNotFound").await;
    // Postgres cuts names at 63 bytes: a longer one must not find its own beginning.
    for (number, name) in [format!("{exact}t"), format!("{exact}\"; DROP")]
        .iter()
        .enumerate()
    {
        let object = binding(
            stage.scene.name(),
            &format!("long-{number}"),
            &stage.spec(&table(name)),
        );
        let accepted = stage.scene.apply(&object).await.is_ok();
        assert!(
            !accepted,
            "a name of {} bytes is refused by the API server",
            name.len()
        );
    }
    // A column that is not there stops alone.
    let page = stage.linked("value").await;
    let columns = json!({"properties": [{"column": "name", "property": "Name"},
        {"column": "Status", "property": "Status"},
        {"column": "price\" = 1, \"name", "property": "Price"}]});
    refused(&stage, "columns", &columns, "SchemaValid", "ColumnNotFound").await;
    stage.wait_cell(page, "name", Some("value")).await;
    assert_eq!(stage.cell(page, "price").await, None);
    stage.wait_condition("columns", "Ready", "True", None).await;
    assert_eq!(
        stage.count("SELECT count(*) FROM victims").await,
        0,
        "the victim is alive"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn multi_byte_names_are_measured_in_bytes() {
    let stage = Stage::set("identifiers-bytes").await;
    // 32 letters of two bytes each: Postgres would cut the name, so nothing may match it.
    let long = "ä".repeat(32);
    let cut = "ä".repeat(31);
    stage
        .sql(&format!(
            "CREATE TABLE \"{cut}\" (id serial PRIMARY KEY, \"notionPageId\" text UNIQUE,
                 name text, status text, price numeric, \"updatedAt\" timestamptz)"
        ))
        .await;
    let object = |name: &str, table: &str| {
        let changes = json!({"postgres": {"table": table}});
        binding(stage.scene.name(), name, &stage.spec(&changes))
    };
    if stage.scene.apply(&object("long", &long)).await.is_ok() {
        stage
            .wait_condition("long", "SchemaValid", "False", Some("TableNotFound"))
            .await;
    }
    stage.scene.apply(&object("cut", &cut)).await.unwrap();
    stage.wait_condition("cut", "Ready", "True", None).await;
}
