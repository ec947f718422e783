//! Opens both sides of a binding and checks that they fit: Secrets, Notion, Postgres, claim,
//! properties, columns.
//!
//! The two sides are opened at the same time and judged apart, so that one condition never hides
//! the other. What is wrong becomes a [`Findings`] with the remedy; nothing here writes status.

use std::sync::Arc;

use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};

use super::conditions::Problem;
use super::context::Context;
use super::findings::{Findings, is_about_schema};
use super::secrets::{SecretRead, SecretValue};
use super::validate::{self, Source, ValidatedBinding};
use super::watch::binding_ref;
use super::{relations, writers};
use crate::api::{NotionSyncBinding, SecretKey, annotations};
use crate::notion::writer::NotionWriter;
use crate::notion::{Client, NotionApi};
use crate::store::catalog::{self, TableHandle};
use crate::store::claim::{self, Claim, ClaimRequest};
use crate::store::connection::ConnectionString;
use crate::store::patience::answered;
use crate::store::postgres::{BindingParts, PostgresBinding};
use crate::store::{StoreError, migrate};
use crate::sync::identity::{BindingRef, DataSourceId, DatabaseId};
use crate::sync::mapping::{PinnedProperty, TablePlan};
use crate::sync::page::DataSource;
use crate::sync::policy::{OnRowDeleted, OnUnlinkedRow};
use crate::sync::reason::Reason;
use crate::sync::schema::{self, Fitted, Rename};

/// Both sides, open and checked.
#[derive(Debug)]
pub struct Session {
    /// Notion, through the token's client.
    pub notion: Arc<Client>,
    /// The table and the state.
    pub store: PostgresBinding,
    /// What is synced.
    pub plan: Arc<TablePlan>,
    /// The table as it was inspected; another answer asks for a new session.
    pub table: TableHandle,
    /// The pool behind the store.
    pub pool: sqlx::PgPool,
    /// The data source's title.
    pub title: String,
    /// All pins, also of stopped fields.
    pub pinned: Vec<PinnedProperty>,
    /// The claim under which it works.
    pub claim: Claim,
    /// What keeps a policy from being acted on, and stops no column.
    pub notices: Vec<Problem>,
    /// The data sources that mapped relations point to.
    pub relations: Vec<DataSourceId>,
}

/// What an attempt to open gave.
#[derive(Debug)]
pub struct Opened {
    /// The session, unless something stops the whole binding.
    pub session: Option<Session>,
    /// What is wrong, of the whole or of single columns.
    pub findings: Findings,
    /// Properties that were renamed since the last look.
    pub renamed: Vec<Rename>,
    /// Whether the claim found another table under the name.
    pub table_replaced: bool,
}

impl Opened {
    fn stopped(findings: Findings) -> Self {
        Self {
            session: None,
            findings,
            renamed: Vec::new(),
            table_replaced: false,
        }
    }
}

/// The Notion side, reached.
struct NotionSide {
    client: Arc<Client>,
    source: DataSource,
}

/// The Postgres side, reached.
struct DatabaseSide {
    pool: sqlx::PgPool,
    table: TableHandle,
}

/// Opens a binding. `repin` names columns whose pin a person gave up.
pub async fn open(context: &Context, binding: &NotionSyncBinding, repin: &[String]) -> Opened {
    let mut findings = Findings::default();
    let validated = match validate::validate(binding, context.allow_unverified_webhooks) {
        Ok(validated) => validated,
        Err(problem) => {
            findings.stop(problem);
            return Opened::stopped(findings);
        }
    };
    if let Some(refused) = validated.refused {
        findings.stop(refused);
        return Opened::stopped(findings);
    }
    let namespace = binding.namespace().unwrap_or_default();
    let (notion, database) = tokio::join!(
        open_notion(context, binding, &namespace, &validated),
        open_database(context, binding, &namespace, &validated),
    );
    findings.notion_reached = notion.is_ok();
    // Who says that a table does not fit, answers.
    findings.database_reached = match &database {
        Ok(_) => true,
        Err(problem) => is_about_schema(problem.reason),
    };
    match (notion, database) {
        (Ok(notion), Ok(database)) => {
            join(
                context, binding, validated, notion, database, repin, findings,
            )
            .await
        }
        (notion, database) => {
            for problem in [notion.err(), database.err()].into_iter().flatten() {
                findings.stop(problem);
            }
            Opened::stopped(findings)
        }
    }
}

async fn open_notion(
    context: &Context,
    binding: &NotionSyncBinding,
    namespace: &str,
    validated: &ValidatedBinding,
) -> Result<NotionSide, Problem> {
    let missing = Reason::NotionTokenMissing;
    let token = read_text(context, namespace, &validated.token, missing).await?;
    let client = context.notion.get(&token);
    let client = client.map_err(|error| Problem::of_notion(&error, ""))?;
    // Bindings that share the token take turns.
    let client = Arc::new(client.for_binding(&validated.plan.binding));
    let id = match (validated.source, resolved_source(binding)) {
        (Source::DataSource(id), _) | (Source::Database(_), Some(id)) => id,
        (Source::Database(database), None) => resolve_database(&client, database).await?,
    };
    let source = client.data_source(id).await.map_err(|error| {
        tracing::debug!(error = ?error, "the data source cannot be read");
        Problem::of_notion(&error, &format!("data source {id}"))
    })?;
    if source.in_trash {
        let remedy = format!("data source {id} lies in Notion's trash; restore it there");
        return Err(Problem::new(Reason::DataSourceTrashed, remedy));
    }
    Ok(NotionSide { client, source })
}

/// A database is resolved once; from then on the data source that it held is pinned.
fn resolved_source(binding: &NotionSyncBinding) -> Option<DataSourceId> {
    binding
        .status
        .as_ref()?
        .notion
        .as_ref()?
        .data_source_id
        .as_deref()?
        .parse()
        .ok()
}

async fn resolve_database(client: &Client, database: DatabaseId) -> Result<DataSourceId, Problem> {
    let found = client.data_sources_of(database).await;
    let found =
        found.map_err(|error| Problem::of_notion(&error, &format!("database {database}")))?;
    match found.as_slice() {
        [(id, _)] => Ok(*id),
        [] => {
            let remedy = format!(
                "database {database} shows no data source; share it with the connection in Notion"
            );
            Err(Problem::new(Reason::DataSourceNotFound, remedy))
        }
        several => {
            let ids: Vec<String> = several
                .iter()
                .take(5)
                .map(|(id, _)| id.to_string())
                .collect();
            let remedy = format!(
                "database {database} holds {} data sources; make a new binding with \
                 spec.notion.dataSourceId, one of: {}",
                several.len(),
                ids.join(", ")
            );
            Err(Problem::new(Reason::SeveralDataSources, remedy))
        }
    }
}

async fn open_database(
    context: &Context,
    binding: &NotionSyncBinding,
    namespace: &str,
    validated: &ValidatedBinding,
) -> Result<DatabaseSide, Problem> {
    let connection = connection(context, binding, namespace).await?;
    let opened = async {
        let pool = context.pools.get(&connection).await?;
        migrate::migrate(&pool).await?;
        context
            .inboxes
            .open(&binding_ref(binding), &connection)
            .await?;
        let table = catalog::inspect(&pool, &validated.plan).await?;
        Ok::<_, StoreError>(DatabaseSide { pool, table })
    };
    answered(opened).await.map_err(|error| {
        tracing::debug!(error = ?error, "the database side cannot be opened");
        Problem::of_store(&error)
    })
}

/// The connection string of a binding, from its Secrets.
pub async fn connection(
    context: &Context,
    binding: &NotionSyncBinding,
    namespace: &str,
) -> Result<ConnectionString, Problem> {
    let postgres = &binding.spec.postgres;
    let missing = Reason::ConnectionSecretMissing;
    let reference = SecretKey::from(&postgres.connection_secret_ref);
    let uri = read_text(context, namespace, &reference, missing).await?;
    let ca = match &postgres.ca_secret_ref {
        Some(reference) => {
            let reference = SecretKey::from(reference);
            Some(read_key(context, namespace, &reference, missing).await?)
        }
        None => None,
    };
    let ca = ca.as_ref().map(SecretValue::bytes);
    ConnectionString::parse(uri.expose_secret(), ca).map_err(|error| {
        let remedy = format!("Secret {} key {}: {error}", reference.name, reference.key);
        Problem::new(Reason::ConnectionStringInvalid, remedy)
    })
}

/// A key of a Secret as text, without the line feed that `echo` leaves behind.
async fn read_text(
    context: &Context,
    namespace: &str,
    key: &SecretKey,
    missing: Reason,
) -> Result<SecretString, Problem> {
    let value = read_key(context, namespace, key, missing).await?;
    value.text().ok_or_else(|| {
        Problem::new(
            missing,
            format!("Secret {} key {} is not text", key.name, key.key),
        )
    })
}

async fn read_key(
    context: &Context,
    namespace: &str,
    key: &SecretKey,
    missing: Reason,
) -> Result<SecretValue, Problem> {
    match context.secrets.read(namespace, key).await {
        Ok(SecretRead::Found(value)) => Ok(value),
        Ok(SecretRead::MissingSecret) => {
            let remedy = format!("create Secret {} with key {}", key.name, key.key);
            Err(Problem::new(missing, remedy))
        }
        Ok(SecretRead::MissingKey(_)) => {
            let remedy = format!("add key {} to Secret {}", key.key, key.name);
            Err(Problem::new(missing, remedy))
        }
        Err(error) => {
            tracing::warn!(secret.name = %key.name, error = %error, "a Secret cannot be read");
            let remedy = "the API server does not hand out a Secret; it is asked again";
            Err(Problem::new(Reason::InternalError, remedy))
        }
    }
}

/// Claims the table, pins the properties and joins both sides.
async fn join(
    context: &Context,
    binding: &NotionSyncBinding,
    validated: ValidatedBinding,
    notion: NotionSide,
    database: DatabaseSide,
    repin: &[String],
    mut findings: Findings,
) -> Opened {
    let name = binding_ref(binding);
    let claimed = answered(claim_table(context, binding, &name, &notion, &database)).await;
    let mut claim = match claimed {
        Ok(claim) => claim,
        Err(error) => {
            findings.stop(Problem::of_store(&error));
            return Opened::stopped(findings);
        }
    };
    let keys = &validated.plan.policies.linking.match_on;
    let before = &claim.pinned;
    let mut pinning = schema::pin(&validated.plan.fields, keys, before, &notion.source, repin);
    let fitted = async {
        relations::check(&notion.client, &notion.source, &mut pinning).await?;
        let shape = database.table.shape();
        let fitted = schema::table_plan(validated.plan, notion.source.id, &pinning, shape);
        finish_plan(context, binding, &notion, fitted).await
    };
    let Fitted { plan, notices } = match fitted.await {
        Ok(fitted) => fitted,
        Err(problem) => {
            findings.stop(problem);
            return Opened::stopped(findings);
        }
    };
    let plan = Arc::new(plan);
    let table_replaced = claim.table_replaced;
    for stopped in &plan.stopped {
        findings.add(Problem::new(stopped.reason, stopped.remedy.clone()));
    }
    let notices: Vec<Problem> = (notices.into_iter())
        .map(|(reason, remedy)| Problem::new(reason, remedy))
        .collect();
    let parts = async {
        if pinning.pinned != claim.pinned {
            claim
                .save_pinned(&database.pool, pinning.pinned.clone())
                .await?;
        }
        PostgresBinding::open(BindingParts {
            pool: database.pool.clone(),
            plan: Arc::clone(&plan),
            table: database.table.clone(),
            claim: claim.clone(),
            owner: claim::owner(context.cluster_id(), &name),
            metrics: context.metrics.clone(),
        })
        .await
    };
    let store = match answered(parts).await {
        Ok(store) => store,
        Err(error) => {
            findings.stop(Problem::of_store(&error));
            return Opened::stopped(findings);
        }
    };
    if let Some(remedy) = store.audit_problem().await {
        findings.add(Problem::new(Reason::AuditTableInvalid, remedy));
    }
    let renamed = pinning.renamed;
    if plan.fields.is_empty() {
        // Not one column works: nothing to run a pass for.
        findings.schema_stops = true;
        return Opened {
            session: None,
            findings,
            renamed,
            table_replaced,
        };
    }
    let session = Session {
        relations: relations::targets(&plan, &notion.source),
        notion: notion.client,
        store,
        plan,
        table: database.table,
        pool: database.pool,
        claim,
        title: notion.source.title,
        pinned: pinning.pinned,
        notices,
    };
    Opened {
        session: Some(session),
        findings,
        renamed,
        table_replaced,
    }
}

/// What depends on the other bindings of the cluster, and on who the token is.
async fn finish_plan(
    context: &Context,
    binding: &NotionSyncBinding,
    notion: &NotionSide,
    mut fitted: Fitted,
) -> Result<Fitted, Problem> {
    let plan = &mut fitted.plan;
    if let Some(problem) = writers::twice(plan) {
        return Err(problem);
    }
    if let Some(problem) = writers::elsewhere(binding, plan, &context.bindings.state()) {
        return Err(problem);
    }
    if writes_to_notion(plan) {
        let bot = NotionWriter::me(&*notion.client).await;
        plan.bot = Some(bot.map_err(|error| Problem::of_notion(&error, ""))?);
    }
    Ok(fitted)
}

/// Whether anything goes to Notion: values, pages of rows, or pages into the trash.
pub fn writes_to_notion(plan: &TablePlan) -> bool {
    let policies = &plan.binding.policies;
    plan.writes_notion()
        || policies.linking.on_unlinked_row == OnUnlinkedRow::Create
        || policies.deletion.on_row_deleted == OnRowDeleted::TrashPage
}

async fn claim_table(
    context: &Context,
    binding: &NotionSyncBinding,
    name: &BindingRef,
    notion: &NotionSide,
    database: &DatabaseSide,
) -> Result<Claim, StoreError> {
    let is_live = |other: &BindingRef, uid: &str| context.is_live(other, uid);
    let request = ClaimRequest {
        cluster_id: context.cluster_id(),
        binding: name,
        uid: &binding.uid().unwrap_or_default(),
        data_source: notion.source.id,
        holder: &context.holder,
        take_over: binding.annotation(annotations::TAKE_OVER) == Some("true"),
        is_live: &is_live,
    };
    claim::claim(&database.pool, &database.table, request).await
}
