//! What change capture costs users: one-row updates at 32 clients and one update of 50,000 rows.
//!
//! The state schema is made by its own files and the triggers as the operator makes them. Nobody
//! drains what is captured, and nobody listens: it is the price of a user's statement alone.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::process::Command;
use world::World;
use world::scene::Scene;

use super::{figure, millis};

const ROWS: u32 = 50_000;
const CLIENTS: u32 = 32;
const FOR: Duration = Duration::from_secs(10);
const ROUNDS: u32 = 3;

const TABLE: &str = "
    CREATE TABLE bench_rows (id bigint PRIMARY KEY, page uuid, name text, status text,
                             other integer NOT NULL DEFAULT 0) WITH (fillfactor = 80);
    INSERT INTO bench_rows (id, page, name, status)
    SELECT i, gen_random_uuid(), 'Row ' || i, 'Open' FROM generate_series(1, 50000) AS i;
    INSERT INTO notion_sync.bindings (cluster_id, namespace, name, uid, table_schema, table_name,
        table_oid, state_oid, page_id_column, data_source_id, holder)
    VALUES ('bench', 'bench', 'bench', '', 'public', 'bench_rows', 'bench_rows'::regclass,
            'notion_sync.bindings'::regclass, 'page', gen_random_uuid(), 'bench');
    INSERT INTO notion_sync.captures (binding_id, relid, until, key_sql, page_id_sql, compared_sql)
    SELECT id, table_oid, now() + interval '1 day', '\"id\"::text', '\"page\"::text',
           '\"page\", \"name\", \"status\"'
    FROM notion_sync.bindings";

const TRIGGERS: &str = "
    CREATE TRIGGER notion_sync_update AFTER UPDATE ON bench_rows
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION notion_sync.capture()";

/// How the table is watched.
#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    /// What puts the table into this mode.
    prepare: &'static str,
    /// The column that is updated.
    column: &'static str,
}

const MODES: [Mode; 4] = [
    Mode {
        name: "without capture",
        prepare: "SELECT",
        column: "status",
    },
    Mode {
        name: "captured",
        prepare: TRIGGERS,
        column: "status",
    },
    Mode {
        name: "captured, a column that is not mapped",
        prepare: "SELECT",
        column: "other",
    },
    Mode {
        name: "captured, armed all the time",
        prepare: "UPDATE notion_sync.captures SET armed = true",
        column: "status",
    },
];

pub(crate) async fn run(world: &World) -> Result<()> {
    let scene = world.scene_named("bench-capture".to_owned()).await?;
    let pool = scene.pool()?;
    let folder = world::paths::repository().join("migrations");
    for file in ["0001_state.sql", "0002_capture.sql"] {
        let statements = std::fs::read_to_string(folder.join(file))?;
        execute(&pool, &statements).await?;
    }
    execute(&pool, TABLE).await?;
    for mode in MODES {
        execute(&pool, mode.prepare).await?;
        clean(&pool).await?;
        let rate = pgbench(&scene, mode).await?;
        figure(
            &format!("one-row updates, {CLIENTS} clients, {}", mode.name),
            &format!("{rate:.0}/s"),
        );
        let mut best = Duration::MAX;
        for round in 0..ROUNDS {
            clean(&pool).await?;
            best = best.min(bulk(&pool, mode, round).await?);
        }
        figure(
            &format!("  one update of {ROWS} rows, best of {ROUNDS}"),
            &millis(best),
        );
    }
    Ok(())
}

async fn execute(pool: &PgPool, statements: &str) -> Result<()> {
    let statements = AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements).execute(pool).await?;
    Ok(())
}

/// Removes what the measurement before left behind.
async fn clean(pool: &PgPool) -> Result<()> {
    for statement in [
        "TRUNCATE notion_sync.changes",
        "VACUUM FULL bench_rows",
        "VACUUM notion_sync.captures",
    ] {
        execute(pool, statement).await?;
    }
    Ok(())
}

/// How long one update of every row takes.
async fn bulk(pool: &PgPool, mode: Mode, round: u32) -> Result<Duration> {
    let value = if mode.column == "other" {
        format!("{round} + 1")
    } else {
        format!("'Status {round}'")
    };
    let statement = format!("UPDATE bench_rows SET {} = {value}", mode.column);
    let begun = Instant::now();
    execute(pool, &statement).await?;
    Ok(begun.elapsed())
}

/// Updates per second of random rows, each a transaction.
async fn pgbench(scene: &Scene<'_>, mode: Mode) -> Result<f64> {
    let value = if mode.column == "other" {
        ":value"
    } else {
        "'S' || :value"
    };
    let column = mode.column;
    let script = scene.directory().join("update.sql");
    std::fs::write(
        &script,
        format!(
            "\\set id random(1, {ROWS})\n\\set value random(1, 1000000)\n\
             UPDATE bench_rows SET {column} = {value} WHERE id = :id;\n"
        ),
    )?;
    let program = scene.world().postgres().programs().join("pgbench");
    let program = if program.exists() {
        program
    } else {
        Path::new("pgbench").to_owned()
    };
    let output = Command::new(program)
        .args(["--no-vacuum", "--protocol=prepared", "--file"])
        .arg(&script)
        .args(["--client", &CLIENTS.to_string(), "--jobs", "2"])
        .args(["--time", &FOR.as_secs().to_string()])
        .arg(scene.database_uri()?)
        .output()
        .await
        .context("pgbench")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find(|line| line.starts_with("tps ="))
        .context("pgbench says no tps")?;
    let rate = line.split_whitespace().nth(2).context("a number")?;
    Ok(rate.parse()?)
}
