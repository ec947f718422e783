//! A stage: one test's namespace, database, Notion and operator.

use std::future::Future;
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use notion_imitation::{DataSourceSpec, Handle, Imitation, Options};
use notion_sync_operator::api::NotionSyncBinding;
use serde::Deserialize as _;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, Row};
use uuid::Uuid;
use world::World;
use world::manifests::{binding, merged, minimal_spec};
use world::operator::{Operator, OperatorOptions};
use world::paths;
use world::scene::Scene;

/// The static admin token of every stage.
pub(crate) const ADMIN_TOKEN: &str = "admin-token-of-the-tests";
/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// The verification token of every stage's webhook.
pub(crate) const VERIFICATION_TOKEN: &str = "secret_tests_verification_token";

/// One test's world.
pub(crate) struct Stage {
    pub(crate) scene: Scene<'static>,
    pub(crate) notion: Handle,
    pub(crate) operator: Operator,
    pub(crate) pool: PgPool,
    pub(crate) source: Uuid,
    /// The administrator's. It is asked often, and kubectl is a process for each question.
    pub(crate) client: kube::Client,
}

/// The usual schema: a title, a status with three options, a number, a text.
pub(crate) fn usual_schema() -> Value {
    json!({
        "Name": {"title": {}},
        "Status": {"status": {"options": [
            {"name": "Not started"}, {"name": "In progress"}, {"name": "Done"}]}},
        "Price": {"number": {}},
        "Notes": {"rich_text": {}},
    })
}

/// The usual table: one column for each property of [`usual_schema`].
pub(crate) const USUAL_TABLE: &str = r#"
    CREATE TABLE projects (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text, status text, price numeric(10,2), notes text,
        "notionPageId" text UNIQUE, "updatedAt" timestamptz)"#;

/// The title of a page, in the form in which the API writes it.
pub(crate) fn title(text: &str) -> Value {
    json!({"title": [{"text": {"content": text}}]})
}

impl Stage {
    /// A stage with the usual schema, table and Secrets, and an operator that is ready. No binding
    /// yet.
    pub(crate) async fn set(topic: &str) -> Self {
        Self::set_with(topic, |_| {}).await
    }

    /// The same with other options of the operator.
    pub(crate) async fn set_with(topic: &str, change: impl FnOnce(&mut OperatorOptions)) -> Self {
        let world = World::shared().await.expect("the world starts");
        let scene = world.scene(topic).await.expect("a scene");
        let notion = Imitation::start(Options::default())
            .await
            .expect("the imitation starts");
        let source = notion.create_data_source(DataSourceSpec::new("Projects", usual_schema()));
        let source = source.expect("a data source").id;
        scene
            .apply_usual_secrets(&notion.token())
            .await
            .expect("the usual Secrets");
        let token = [("verification-token", VERIFICATION_TOKEN)];
        scene
            .apply_secret("notion-webhook", &token)
            .await
            .expect("the webhook's Secret");
        let mut options = scene
            .operator_options(notion.base_url())
            .await
            .expect("options");
        options.admin_token = Some(ADMIN_TOKEN.to_owned());
        "info,notion_sync_operator=debug".clone_into(&mut options.log_filter);
        change(&mut options);
        let operator = scene
            .start_operator(options)
            .await
            .expect("the operator is ready");
        let pool = scene.pool().expect("a pool");
        let client = scene.client().await.expect("a client");
        let stage = Self {
            scene,
            notion,
            operator,
            pool,
            source,
            client,
        };
        stage.sql(USUAL_TABLE).await;
        stage
    }

    /// The usual binding's spec; `changes` is laid over it.
    pub(crate) fn spec(&self, changes: &Value) -> Value {
        let properties = [("name", "Name"), ("status", "Status"), ("price", "Price")];
        let mut spec = minimal_spec(&self.source.to_string(), "projects", &properties);
        spec["postgres"]["updatedAtColumn"] = "updatedAt".into();
        spec["webhook"] = json!({"verificationTokenSecretRef": {"name": "notion-webhook"}});
        spec["properties"][1]["values"] = json!([
            {"notion": "Not started", "postgres": "TODO"},
            {"notion": "In progress", "postgres": "IN_PROGRESS"},
            {"notion": "Done", "postgres": "DONE"},
        ]);
        merged(spec, changes)
    }

    /// Applies a binding of this name.
    pub(crate) async fn bind(&self, name: &str, changes: &Value) {
        let object = binding(self.scene.name(), name, &self.spec(changes));
        self.scene
            .apply(&object)
            .await
            .expect("the binding is accepted");
    }

    /// Applies the usual binding and waits until it is Ready.
    pub(crate) async fn bind_ready(&self, changes: &Value) {
        self.bind("projects", changes).await;
        self.wait_condition("projects", "Ready", "True", None).await;
    }

    /// The binding as the API server has it.
    pub(crate) async fn binding(&self, name: &str) -> Value {
        let resource = ApiResource::erase::<NotionSyncBinding>(&());
        let namespace = self.scene.name();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let binding = api.get(name).await.expect("the binding exists");
        serde_json::to_value(binding).expect("an object is JSON")
    }

    /// The condition of that type.
    pub(crate) async fn condition(&self, name: &str, kind: &str) -> Value {
        let object = self.binding(name).await;
        let conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .into_iter()
            .find(|one| one["type"] == kind)
            .unwrap_or(Value::Null)
    }

    /// Waits until a condition has this status and, where given, this reason; gives it back.
    pub(crate) async fn wait_condition(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: Option<&str>,
    ) -> Value {
        let what = format!("{name}: {kind}={status}/{}", reason.unwrap_or("*"));
        let seen = std::sync::Mutex::new(Value::Null);
        let found = eventually(&what, async || {
            let condition = self.condition(name, kind).await;
            *seen.lock().unwrap() = condition.clone();
            let fits = condition["status"] == status
                && reason.is_none_or(|reason| condition["reason"] == reason);
            fits.then_some(condition)
        });
        let found = tokio::time::timeout(PATIENCE * 2, found).await;
        found.unwrap_or_else(|_| panic!("{what}: last seen {}", seen.lock().unwrap()))
    }

    /// Adds a page with this title, and a row that carries its id.
    pub(crate) async fn linked(&self, name: &str) -> Uuid {
        let page = self
            .notion
            .create_page(self.source, json!({"Name": title(name)}));
        let page = page.expect("a page");
        self.sql(&format!(
            "INSERT INTO projects (\"notionPageId\") VALUES ('{page}')"
        ))
        .await;
        page
    }

    /// Runs statements as the owner of the database.
    pub(crate) async fn sql(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// The first value of the first row, as text; `None` where there is no row or it is NULL.
    pub(crate) async fn text(&self, query: &str) -> Option<String> {
        let wrapped = format!("SELECT (q.v)::text FROM ({query}) AS q (v)");
        let row = sqlx::query(AssertSqlSafe(wrapped))
            .fetch_optional(&self.pool)
            .await;
        let row = row.unwrap_or_else(|error| panic!("{query}: {error}"));
        row.and_then(|row| row.get(0))
    }

    /// A column of the row that carries this page's id.
    pub(crate) async fn cell(&self, page: Uuid, column: &str) -> Option<String> {
        let query = format!("SELECT {column} FROM projects WHERE \"notionPageId\" = '{page}'");
        self.text(&query).await
    }

    /// Waits until a column of the page's row has this value.
    pub(crate) async fn wait_cell(&self, page: Uuid, column: &str, value: Option<&str>) {
        let what = format!("{column} of {page} is {value:?}");
        eventually(&what, async || {
            (self.cell(page, column).await.as_deref() == value).then_some(())
        })
        .await;
    }

    /// Posts an event, signed with the stage's verification token, to the shared path.
    pub(crate) async fn post_signed(&self, body: &Value) -> (u16, Value) {
        self.post_signed_to("/api/webhooks/notion", body).await
    }

    /// The same to another path.
    pub(crate) async fn post_signed_to(&self, path: &str, body: &Value) -> (u16, Value) {
        let bytes = body.to_string();
        let signature = notion_imitation::signature(VERIFICATION_TOKEN, bytes.as_bytes());
        self.post(path, &[("X-Notion-Signature", &signature)], bytes)
            .await
    }

    /// Posts a body with these headers, as JSON.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let client = world::http::client().expect("a client");
        let mut request = client
            .post(self.operator.url(path))
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.send().await.expect("the receiver answers");
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap_or_default();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// The admin API's report of this stage.
    pub(crate) async fn health(&self) -> Value {
        let path = format!("/api/admin/sync/health?namespace={}", self.scene.name());
        let client = world::http::client().expect("a client");
        let reply = client
            .get(self.operator.url(&path))
            .bearer_auth(ADMIN_TOKEN)
            .send()
            .await;
        let text = reply
            .expect("the admin API answers")
            .text()
            .await
            .expect("a body");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// `details.result` of the newest audit row about this page.
    pub(crate) async fn audited(&self, action: &str, page: Uuid) -> Option<Value> {
        let query = format!(
            "SELECT details -> 'result' FROM audit_logs WHERE action = '{action}' \
             AND resource_id = '{page}' ORDER BY created_at DESC, id LIMIT 1"
        );
        let exists = self.text("SELECT to_regclass('audit_logs')").await;
        exists.as_ref()?;
        self.text(&query)
            .await
            .and_then(|text| serde_json::from_str(&text).ok())
    }

    /// How many audit rows there are with this condition.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        self.text(query)
            .await
            .and_then(|text| text.parse().ok())
            .unwrap_or(-1)
    }
}

/// Grants the operator's account in the scene's namespace what `deploy/` grants it over Leases in its
/// own, so that operators of one scene elect a leader among themselves.
pub(crate) async fn own_leases(scene: &Scene<'_>) {
    let shipped = paths::repository().join("deploy/rbac/leases.yaml");
    let shipped = std::fs::read_to_string(shipped).expect("the shipped Role");
    for document in serde_yaml::Deserializer::from_str(&shipped) {
        let mut object = Value::deserialize(document).expect("YAML");
        object["metadata"]["namespace"] = scene.name().into();
        scene.apply(&object).await.expect("the Role is accepted");
    }
}

/// Asks until there is an answer, and fails with `what` after [`PATIENCE`].
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "this did not happen in time: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
