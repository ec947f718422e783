//! The world that `world demo` tells about and `world up` leaves running: a table, three pages, the
//! Secrets, the operator under its shipped rights, and a binding.

use std::time::Duration;

use anyhow::{Context as _, Result};
use notion_imitation::{DataSourceSpec, Handle, Subscription};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, Row};
use uuid::Uuid;
use world::World;
use world::manifests::{binding, merged, minimal_spec};
use world::operator::Operator;
use world::scene::Scene;
use world::{notion, wait};

/// The namespace, the database and its owner.
pub(crate) const NAME: &str = "team-a";
/// The binding.
pub(crate) const BINDING: &str = "projects";
/// The static token of the admin API.
pub(crate) const ADMIN_TOKEN: &str = "a-token-for-the-local-world";
/// How long any step may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// The bound table.
pub(crate) const TABLE: &str = r#"CREATE TABLE projects (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text,
    status         text,
    budget         numeric(10,2),
    "notionPageId" uuid UNIQUE,
    "updatedAt"    timestamptz
)"#;

/// Everything to play with.
pub(crate) struct Playground<'w> {
    pub(crate) scene: Scene<'w>,
    pub(crate) notion: Handle,
    pub(crate) source: Uuid,
    pub(crate) pages: Vec<Uuid>,
    pub(crate) operator: Operator,
    pool: PgPool,
}

/// The title of a page, in the form in which the API writes it.
pub(crate) fn title(text: &str) -> Value {
    json!({"title": [{"text": {"content": text}}]})
}

impl<'w> Playground<'w> {
    /// Sets everything up but the binding.
    pub(crate) async fn set(world: &'w World) -> Result<Self> {
        Self::set_in(world, NAME).await
    }

    /// The same in another namespace and database.
    pub(crate) async fn set_in(world: &'w World, name: &str) -> Result<Self> {
        let notion = notion::start(notion::Options::default()).await?;
        let scene = world.scene_named(name.to_owned()).await?;
        let schema = json!({
            "Name": {"title": {}},
            "Status": {"status": {"options": [
                {"name": "Not started"}, {"name": "In progress"}, {"name": "Done"}]}},
            "Budget": {"number": {"format": "euro"}},
        });
        let source = notion
            .create_data_source(DataSourceSpec::new("Projects", schema))?
            .id;
        let pool = scene.pool()?;
        sqlx::raw_sql(TABLE).execute(&pool).await?;
        let mut pages = Vec::new();
        for name in ["Harbour", "Lighthouse", "Nobody's yet"] {
            let page = json!({"Name": title(name), "Status": {"status": {"name": "Not started"}}});
            pages.push(notion.create_page(source, page)?);
        }
        for page in &pages[..2] {
            sqlx::query("INSERT INTO projects (\"notionPageId\") VALUES ($1)")
                .bind(page)
                .execute(&pool)
                .await?;
        }
        scene.apply_usual_secrets(&notion.token()).await?;
        scene.apply_secret("notion-webhook", &[]).await?;
        let mut options = scene.operator_options(notion.base_url()).await?;
        options.admin_token = Some(ADMIN_TOKEN.to_owned());
        let operator = scene.start_operator(options).await?;
        Ok(Self {
            scene,
            notion,
            source,
            pages,
            operator,
            pool,
        })
    }

    /// The binding as a manifest.
    pub(crate) fn manifest(&self) -> Value {
        let columns = [("name", "Name"), ("status", "Status"), ("budget", "Budget")];
        let spec = minimal_spec(&self.source.to_string(), "projects", &columns);
        let spec = merged(
            spec,
            &json!({
                "webhook": {"verificationTokenSecretRef": {"name": "notion-webhook"}},
                "postgres": {"updatedAtColumn": "updatedAt"},
                "interval": "30s",
            }),
        );
        let mut object = binding(self.scene.name(), BINDING, &spec);
        object["spec"]["properties"][1]["values"] = json!([
            {"notion": "Not started", "postgres": "TODO"},
            {"notion": "In progress", "postgres": "IN_PROGRESS"},
            {"notion": "Done", "postgres": "DONE"},
        ]);
        object
    }

    /// Applies the binding and waits until it is Ready.
    pub(crate) async fn bind(&self) -> Result<String> {
        self.bind_within(60).await
    }

    /// The same with both directions.
    pub(crate) async fn bind_both_ways(&self) -> Result<String> {
        let mut object = self.manifest();
        object["spec"]["direction"] = "TwoWay".into();
        self.scene.apply(&object).await?;
        self.ready_within(120).await
    }

    /// The same, for a first scan that may take so many seconds.
    pub(crate) async fn bind_within(&self, seconds: u32) -> Result<String> {
        self.scene.apply(&self.manifest()).await?;
        self.ready_within(seconds).await
    }

    async fn ready_within(&self, seconds: u32) -> Result<String> {
        let name = format!("notionsyncbindings/{BINDING}");
        let timeout = format!("--timeout={seconds}s");
        let wait = [
            "wait",
            name.as_str(),
            "--for=condition=Ready",
            timeout.as_str(),
        ];
        self.scene.kubectl(&wait).await?.ok()
    }

    /// Asks for a complete scan and waits for its receipt.
    pub(crate) async fn scan_again(&self) -> Result<()> {
        let asked = format!("{}", Uuid::new_v4());
        let annotation = format!("notionsync.dev/fullScanRequestedAt={asked}");
        let annotate = [
            "annotate",
            "nsb",
            BINDING,
            annotation.as_str(),
            "--overwrite",
        ];
        self.scene.kubectl(&annotate).await?.ok()?;
        let read = [
            "get",
            "nsb",
            BINDING,
            "-o",
            "jsonpath={.status.lastHandledFullScanAt}",
        ];
        wait::eventually(
            Duration::from_mins(10),
            "the scan is answered",
            async || {
                let handled = self.scene.kubectl(&read).await?.ok()?;
                anyhow::ensure!(handled == asked, "it says {handled}");
                Ok(())
            },
        )
        .await
    }

    /// Gives the webhook a token of our own and sends nothing by itself: for measurements that post
    /// their own events. Returns the token.
    pub(crate) async fn subscribe_quietly(&self) -> Result<String> {
        let token = format!("secret_{}", Uuid::new_v4().simple());
        self.scene
            .apply_secret("notion-webhook", &[("verification-token", &token)])
            .await?;
        Ok(token)
    }

    /// Subscribes the receiver to Notion's webhooks, handshake included: the operator puts the token
    /// into the Secret, and it is read from there and given back, as a person would paste it.
    pub(crate) async fn subscribe(&self) -> Result<()> {
        let subscription = Subscription {
            url: self.operator.webhook_url(),
            active: false,
            ..Subscription::default()
        };
        let id = self.notion.subscribe(subscription)?.id;
        self.notion.handshake(id).await?;
        let secret = ["get", "secret", "notion-webhook", "-o", "json"];
        let secret: Value = serde_json::from_str(&self.scene.kubectl(&secret).await?.ok()?)?;
        let token = secret["data"]["verification-token"].as_str();
        let token = decoded(token.context("the Secret holds no verification token")?)?;
        anyhow::ensure!(self.notion.verify(id, &token)?, "Notion refuses the token");
        Ok(())
    }

    /// The name that a page has in Notion.
    pub(crate) fn name_in_notion(&self, page: Uuid) -> Result<String> {
        let page = self.notion.page(page)?;
        let text = &page["properties"]["Name"]["title"][0]["plain_text"];
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Runs a query and gives its rows as lines.
    pub(crate) async fn rows(&self, query: &str) -> Result<String> {
        let text = format!("SELECT q::text FROM ({query}) AS q");
        let rows = sqlx::query(AssertSqlSafe(text))
            .fetch_all(&self.pool)
            .await?;
        let lines: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        Ok(lines?.join("\n"))
    }

    /// Runs a statement.
    pub(crate) async fn execute(&self, statement: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Runs a query until its rows contain `text`.
    pub(crate) async fn until(&self, query: &str, text: &str) -> Result<String> {
        wait::eventually(PATIENCE, &format!("{query} shows {text}"), async || {
            let rows = self.rows(query).await?;
            anyhow::ensure!(rows.contains(text), "it shows: {rows}");
            Ok(rows)
        })
        .await
    }

    /// Asks the admin API.
    pub(crate) async fn health(&self) -> Result<Value> {
        let url = self.operator.url("/api/admin/sync/health");
        let reply = world::http::client()?
            .get(url)
            .bearer_auth(ADMIN_TOKEN)
            .send()
            .await?;
        Ok(serde_json::from_str(
            &reply.error_for_status()?.text().await?,
        )?)
    }
}

/// Reads the base64 of a Secret.
fn decoded(text: &str) -> Result<String> {
    use k8s_openapi::ByteString;
    let bytes: ByteString = serde_json::from_value(text.into())?;
    Ok(String::from_utf8(bytes.0)?)
}
