//! What README and the pages beside it tell people to run is run here, block by block, in a world
//! of its own, and does what the text says.

use std::path::PathBuf;
use std::process::Stdio;

use notion_imitation::{DataSourceSpec, Imitation, Options, Subscription};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;
use world::operator::Operator;
use world::scene::Scene;
use world::{World, WorldOptions, paths};

use crate::support::{ADMIN_TOKEN, eventually, title};

/// A fenced block: its language and its text.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

/// The blocks of a page of the repository.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(paths::repository().join(page)).expect("the page");
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            continue;
        };
        let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(Block {
            language: language.to_owned(),
            text: text.join("\n"),
        });
    }
    blocks
}

/// A person at a terminal, with what README says they have.
struct Reader<'w> {
    scene: Scene<'w>,
    notion: notion_imitation::Handle,
    operator: Operator,
    pool: PgPool,
    source: Uuid,
    subscription: Option<Uuid>,
}

impl<'w> Reader<'w> {
    async fn sit_down(world: &'w World) -> Self {
        let scene = world.scene_named("readme".to_owned()).await.unwrap();
        let notion = Imitation::start(Options::default()).await.unwrap();
        let schema = json!({
            "Name": {"title": {}},
            "Status": {"status": {"options": [
                {"name": "Not started"}, {"name": "In progress"}, {"name": "Done"}]}},
        });
        let source = notion
            .create_data_source(DataSourceSpec::new("Projects", schema))
            .unwrap()
            .id;
        // The account that it runs as comes with the first block.
        let kubeconfig = scene.directory().join("operator.kubeconfig");
        let mut options = world::operator::OperatorOptions::new(&kubeconfig, notion.base_url());
        options.admin_token = Some(ADMIN_TOKEN.to_owned());
        options.leader_elect = true;
        let operator = Operator::prepare(&scene.operator_directory(), options).unwrap();
        let pool = scene.pool().unwrap();
        Self {
            scene,
            notion,
            operator,
            pool,
            source,
            subscription: None,
        }
    }

    async fn run(&self, block: &str) -> String {
        let bin = paths::control_plane().unwrap();
        let bin: PathBuf = bin.parent().unwrap().to_owned();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let control_plane = self.scene.world().control_plane();
        let output = tokio::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(paths::repository())
            .env("PATH", path)
            .env("KUBECONFIG", control_plane.kubeconfig())
            .env(
                "KUBECACHEDIR",
                control_plane.directory().join("kubectl-cache"),
            )
            .env("NOTION_TOKEN", self.notion.token())
            .env("DATABASE_URI", self.scene.database_uri().unwrap())
            .env("DATA_SOURCE_ID", self.source.to_string())
            .env("ADMIN_TOKEN", ADMIN_TOKEN)
            .env("OPERATOR_URL", self.operator.url(""))
            .stdin(Stdio::null())
            .output()
            .await
            .expect("bash runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}\n{error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn sql(&self, block: &str) -> usize {
        let rows = sqlx::raw_sql(AssertSqlSafe(block.to_owned()))
            .fetch_all(&self.pool)
            .await;
        rows.unwrap_or_else(|error| panic!("{block}: {error}"))
            .len()
    }

    /// The operator as the Deployment would run it.
    async fn start_operator(&self) {
        let options = self
            .scene
            .operator_options(self.notion.base_url())
            .await
            .unwrap();
        assert_eq!(options.kubeconfig, self.operator.options().kubeconfig);
        self.operator.start_again().await.unwrap();
    }

    async fn binding(&self) -> Value {
        let command = "kubectl -n team-a get notionsyncbinding projects -o json";
        serde_json::from_str(&self.run(command).await).unwrap()
    }

    /// A page and its row, before the binding is there.
    async fn link(&self) -> Uuid {
        let properties = json!({"Name": title("Alpha"), "Status": {"status": {"name": "Done"}}});
        let page = self.notion.create_page(self.source, properties).unwrap();
        let row = "INSERT INTO projects (\"notionPageId\") VALUES ($1)";
        sqlx::query(row)
            .bind(page)
            .execute(&self.pool)
            .await
            .unwrap();
        page
    }

    /// Creates the subscription, as in Notion's dialog: the token comes by post.
    async fn subscribe(&mut self) {
        let subscription = Subscription {
            url: self.operator.webhook_url(),
            ..Subscription::default()
        };
        let subscription = self.notion.subscribe(subscription).unwrap();
        let reply = self.notion.handshake(subscription.id).await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        self.subscription = Some(subscription.id);
    }

    /// Pastes the token; from here on events arrive.
    async fn verify(&self, token: &str, page: Uuid) {
        let subscription = self.subscription.expect("it was created");
        assert!(
            self.notion.verify(subscription, token).unwrap(),
            "{token:?} is another token"
        );
        self.notion
            .edit(page, json!({"Name": title("Beta")}))
            .unwrap();
        eventually("the edit arrives", async || {
            let name = sqlx::query_scalar("SELECT name FROM projects")
                .fetch_one(&self.pool)
                .await;
            (name.unwrap_or(None::<String>).as_deref() == Some("Beta")).then_some(())
        })
        .await;
    }
}

#[test]
fn the_sample_is_the_one_in_readme() {
    let shown = blocks("README.md")
        .into_iter()
        .find(|block| block.language == "yaml")
        .unwrap();
    let file = paths::repository().join("deploy/samples/projects.yaml");
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        format!("{}\n", shown.text)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_does_what_the_text_says() {
    let options = WorldOptions {
        bare: true,
        ..WorldOptions::default()
    };
    let world = World::start(options).await.unwrap();
    let mut reader = Reader::sit_down(&world).await;
    let mut page = None;
    for block in blocks("README.md") {
        match block.language.as_str() {
            "sql" => {
                let rows = reader.sql(&block.text).await;
                if block.text.contains("CREATE TABLE projects") {
                    page = Some(reader.link().await);
                } else if block.text.contains("audit_logs") {
                    assert!(rows > 0, "{}", block.text);
                }
            }
            "sh" => {
                if block.text.contains("jsonpath") {
                    reader.subscribe().await;
                }
                let output = reader.run(&block.text).await;
                after(&reader, &block.text, &output, page).await;
            }
            _ => {}
        }
    }
    for block in blocks("docs/TYPES.md")
        .iter()
        .filter(|block| block.language == "sh")
    {
        reader.run(&block.text).await;
    }
    install(&reader).await;
    reader.operator.stop().await.unwrap();
    drop(reader);
    world.stop().await;
}

/// What a block of README promises.
async fn after(reader: &Reader<'_>, block: &str, output: &str, page: Option<Uuid>) {
    if block.contains("-k deploy/") {
        reader.start_operator().await;
    } else if block.contains("kubectl apply -f -") {
        assert!(output.contains("projects   True"), "{output}");
        let status: String = sqlx::query_scalar("SELECT status FROM projects")
            .fetch_one(&reader.pool)
            .await
            .unwrap();
        assert_eq!(status, "DONE");
    } else if block.contains("jsonpath") {
        reader.verify(output, page.expect("a page")).await;
    } else if block.contains("annotate") {
        assert!(output.contains("Synced"), "the Events are shown: {output}");
        eventually("both requests are answered", async || {
            let binding = reader.binding().await;
            let of = |key: &str| binding["metadata"]["annotations"][key].clone();
            let status = &binding["status"];
            (status["lastHandledReconcileAt"] == of("notionsync.dev/requestedAt")
                && status["lastHandledFullScanAt"] == of("notionsync.dev/fullScanRequestedAt"))
            .then_some(())
        })
        .await;
    } else if block.contains("curl") {
        let report: Value = serde_json::from_str(output).expect("JSON");
        assert_eq!(report["bindings"][0]["name"], "projects", "{output}");
        assert_eq!(report["health"], "Healthy", "{output}");
    }
}

/// The commands of the page about installing, to the end of the operator.
async fn install(reader: &Reader<'_>) {
    for block in blocks("docs/INSTALL.md")
        .iter()
        .filter(|block| block.language == "sh")
    {
        reader.run(&block.text).await;
    }
    let left = reader
        .run("kubectl api-resources --api-group notionsync.dev -o name")
        .await;
    assert_eq!(left.trim(), "", "the definition stays");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM projects")
        .fetch_one(&reader.pool)
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn every_option_is_in_the_page_about_installing() {
    let page = paths::repository().join("docs/INSTALL.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut help = std::process::Command::new(paths::operator().unwrap());
    let help = help.args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    let variables = help
        .split("[env: ")
        .skip(1)
        .filter_map(|rest| rest.split('=').next());
    for name in flags.chain(variables).filter(|name| *name != "--help") {
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not in docs/INSTALL.md"
        );
    }
}
