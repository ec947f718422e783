//! The operator as `deploy/` ships it: objects and rights, replicas, the process and its options,
//! an API server that is away, and the variant for one namespace.

mod api_server;
mod metrics;
mod namespaced;
mod options;
mod replicas;
mod rights;

use notion_imitation::{DataSourceSpec, Handle, Imitation, Options};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;
use world::manifests::{binding, merged, minimal_spec};
use world::scene::Scene;

use crate::support::{USUAL_TABLE, VERIFICATION_TOKEN, title, usual_schema};

/// Both sides of one binding, for tests that start an operator of their own.
struct Sides {
    notion: Handle,
    source: Uuid,
    page: Uuid,
    pool: PgPool,
}

impl Sides {
    /// A page called Alpha, its row, and every Secret.
    async fn set(scene: &Scene<'_>) -> Self {
        let notion = Imitation::start(Options::default()).await.unwrap();
        let source = DataSourceSpec::new("Projects", usual_schema());
        let source = notion.create_data_source(source).unwrap().id;
        let page = notion.create_page(source, json!({"Name": title("Alpha")}));
        let page = page.unwrap();
        let pool = scene.pool().unwrap();
        sqlx::raw_sql(USUAL_TABLE).execute(&pool).await.unwrap();
        let link = "INSERT INTO projects (\"notionPageId\") VALUES ($1::uuid::text)";
        sqlx::query(link).bind(page).execute(&pool).await.unwrap();
        scene.apply_usual_secrets(&notion.token()).await.unwrap();
        let token = [("verification-token", VERIFICATION_TOKEN)];
        scene.apply_secret("notion-webhook", &token).await.unwrap();
        Self {
            notion,
            source,
            page,
            pool,
        }
    }

    /// Applies the binding `projects` and waits until it is Ready.
    async fn bind(&self, scene: &Scene<'_>, changes: &Value) {
        let spec = minimal_spec(&self.source.to_string(), "projects", &[("name", "Name")]);
        let object = binding(scene.name(), "projects", &merged(spec, changes));
        scene.apply(&object).await.unwrap();
        let ready = [
            "wait",
            "nsb/projects",
            "--for=condition=Ready",
            "--timeout=60s",
        ];
        scene.kubectl(&ready).await.unwrap().ok().unwrap();
    }

    /// The name in the row.
    async fn name(&self) -> Option<String> {
        let name = sqlx::query_scalar("SELECT name FROM projects")
            .fetch_one(&self.pool)
            .await;
        name.unwrap()
    }
}
