//! `world demo`: the main job step by step, each with what was run and what came back. It ends with
//! status 0 only if every step held.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use world::wait::eventually;
use world::{World, WorldOptions};

use crate::playground::{ADMIN_TOKEN, BINDING, PATIENCE, Playground, TABLE, title};

mod two_way;

/// Tells the story of one binding.
#[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
pub(crate) async fn run() -> Result<()> {
    let started = Instant::now();
    let mut teller = Teller { step: 0 };
    teller.step("Start a control plane, Postgres and an imitation of Notion; install deploy/");
    teller.ran("kubectl apply --server-side -k deploy/");
    let world = World::start(WorldOptions::default()).await?;
    let outcome = tell(&world, &mut teller).await;
    world.stop().await;
    outcome?;
    println!("\nEvery step held, in {} s.", started.elapsed().as_secs());
    Ok(())
}

async fn tell(world: &World, teller: &mut Teller) -> Result<()> {
    let play = Playground::set(world).await?;
    teller.came(&format!("API server {}", world.control_plane().server()));
    binds(&play, teller).await?;
    edits(&play, teller).await?;
    shows_drift(&play, teller).await?;
    two_way::tell(&play, teller).await
}

/// A table, two rows that carry the id of a page, a binding.
async fn binds(play: &Playground<'_>, teller: &mut Teller) -> Result<()> {
    teller.step("A table whose rows carry the id of their page, and nothing else yet");
    teller.ran(TABLE);
    teller.came(
        &play
            .rows("SELECT id, name, status, \"notionPageId\" FROM projects")
            .await?,
    );

    teller.step("Bind it to the data source; the operator runs as the ServiceAccount of deploy/");
    teller.ran(
        "kubectl apply -f - && kubectl wait notionsyncbindings/projects --for=condition=Ready",
    );
    teller.came(&serde_json::to_string(&play.manifest()["spec"])?);
    teller.came(play.bind().await?.trim());

    teller.step("The first scan filled the rows");
    let query = "SELECT id, name, status FROM projects ORDER BY id";
    teller.ran(query);
    teller.came(&play.until(query, "Lighthouse").await?);
    Ok(())
}

/// Handshake, edit, webhook, row, audit row, `kubectl get`.
async fn edits(play: &Playground<'_>, teller: &mut Teller) -> Result<()> {
    teller.step("Subscribe to Notion's webhooks: the operator keeps the token that Notion sends");
    teller.ran("kubectl get secret notion-webhook -o jsonpath='{.data.verification-token}'");
    play.subscribe().await?;
    teller.came("the token is in the Secret, and Notion accepts it");

    teller
        .step("A person edits a page; a signed webhook arrives; the page is read; the row changes");
    let edit = json!({"Name": title("Harbour, phase two"), "Budget": {"number": 19.555},
        "Status": {"status": {"name": "In progress"}}});
    teller.ran("(in Notion) Name: Harbour, phase two · Status: In progress · Budget: 19.555");
    let edited = Instant::now();
    play.notion.edit(play.pages[0], edit)?;
    let query = "SELECT id, name, status, budget FROM projects ORDER BY id";
    let rows = play.until(query, "phase two").await?;
    teller.ran(query);
    teller.came(&rows);
    teller.came(&format!(
        "{} ms after the edit",
        edited.elapsed().as_millis()
    ));

    teller.step("Every event is a row of the audit table");
    let query = "SELECT action, resource_type, details -> 'result' FROM audit_logs \
                 WHERE action = 'notion_webhook' ORDER BY created_at DESC LIMIT 1";
    teller.ran(query);
    let audited = play.until(query, "Applied").await?;
    ensure!(
        audited.contains("IN_PROGRESS"),
        "the change is not in the audit row: {audited}"
    );
    teller.came(&audited);

    teller.step("Health and drift in one line");
    teller
        .get(play, |row| row[1] == "True" && row[3] == "0")
        .await
}

/// What is not in step is counted, and listed for those who may see values.
async fn shows_drift(play: &Playground<'_>, teller: &mut Teller) -> Result<()> {
    teller.step("Somebody changes a row by hand: Notion leads here, so that is drift, and shown");
    let update = "UPDATE projects SET name = 'Changed by hand' WHERE name = 'Lighthouse'";
    teller.ran(update);
    play.execute(update).await?;
    let asked = "notionsync.dev/fullScanRequestedAt=now";
    teller.ran(&format!(
        "kubectl annotate notionsyncbinding {BINDING} {asked}"
    ));
    let annotate = [
        "annotate",
        "notionsyncbinding",
        BINDING,
        asked,
        "--overwrite",
    ];
    play.scene.kubectl(&annotate).await?.ok()?;
    teller.get(play, |row| row[3] == "1").await?;

    teller.step("The admin API lists the discrepancies");
    let url = play.operator.url("/api/admin/sync/health");
    teller.ran(&format!(
        "curl -H 'Authorization: Bearer {ADMIN_TOKEN}' {url}"
    ));
    let health = play.health().await?;
    let shown = &health["bindings"][0];
    ensure!(
        shown["discrepancies"][0]["postgres"] == "Changed by hand",
        "{health}"
    );
    ensure!(
        shown["orphanedPages"] == json!([play.pages[2].to_string()]),
        "{health}"
    );
    let pick = json!({"health": health["health"], "counts": shown["counts"],
        "discrepancies": shown["discrepancies"], "orphanedPages": shown["orphanedPages"]});
    teller.came(&serde_json::to_string_pretty::<Value>(&pick)?);
    Ok(())
}

/// Numbers the steps and prints them.
struct Teller {
    step: usize,
}

impl Teller {
    #[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
    fn step(&mut self, text: &str) {
        self.step += 1;
        println!("\n{}. {text}", self.step);
    }

    #[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
    #[expect(clippy::unused_self, reason = "a step is told by its teller")]
    fn ran(&self, text: &str) {
        for line in text.lines() {
            println!("   > {line}");
        }
    }

    #[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
    #[expect(clippy::unused_self, reason = "a step is told by its teller")]
    fn came(&self, text: &str) {
        for line in text.lines() {
            println!("     {line}");
        }
    }

    /// Prints `kubectl get` once its row is as expected.
    async fn get(&self, play: &Playground<'_>, fits: impl Fn(&[&str]) -> bool) -> Result<()> {
        self.ran("kubectl get notionsyncbindings");
        let text = eventually(PATIENCE, "kubectl get shows it", async || {
            let text = play
                .scene
                .kubectl(&["get", "notionsyncbindings"])
                .await?
                .ok()?;
            let row: Vec<&str> = text
                .lines()
                .nth(1)
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            ensure!(row.len() > 5 && fits(&row), "it shows: {text}");
            Ok(text)
        })
        .await?;
        self.came(&text);
        Ok(())
    }
}
