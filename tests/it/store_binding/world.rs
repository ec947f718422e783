//! A bound table of its own for each test.

use std::str::FromStr;
use std::sync::Arc;

use ::world::postgres::SUPERUSER;
use notion_sync_operator::metrics::Metrics;
use notion_sync_operator::store::BindingStore;
use notion_sync_operator::store::catalog::inspect;
use notion_sync_operator::store::claim::{ClaimRequest, claim, owner};
use notion_sync_operator::store::connection::ConnectionString;
use notion_sync_operator::store::hosts::HostPolicy;
use notion_sync_operator::store::migrate::migrate;
use notion_sync_operator::store::pool::Pools;
use notion_sync_operator::store::postgres::{BindingParts, PostgresBinding};
use notion_sync_operator::store::{Applied, PairChange, StoreError};
use notion_sync_operator::sync::event::{Dialect, EventSubject, InboxEvent, NewEvent, Outcome};
use notion_sync_operator::sync::identity::{BindingRef, DataSourceId, PageId, PropertyId};
use notion_sync_operator::sync::mapping::{
    BindingPlan, ConflictPolicy, Direction, DriftPolicy, Field, FieldMapping, OnLossyWrite,
    OnUnknownValue, PinnedProperty, PropertySelector, TablePlan,
};
use notion_sync_operator::sync::page::{
    PageProperty, PageSnapshot, PropertyRead, PropertyType, PropertyValue, Provenance,
};
use notion_sync_operator::sync::policy::Policies;
use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

/// A database that only one test knows.
pub(crate) struct Database {
    superuser: String,
    pub(crate) name: String,
    pub(crate) admin: PgPool,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let shared = ::world::World::shared().await.expect("the world starts");
        let superuser = shared.postgres().uri("postgres", SUPERUSER).expect("a URI");
        let options = PgConnectOptions::from_str(&superuser).expect("a URI");
        let name = format!("test_{}", Uuid::new_v4().simple());
        let server = PgPool::connect_with(options.clone()).await.unwrap();
        let create = format!("CREATE DATABASE \"{name}\"");
        sqlx::query(AssertSqlSafe(create))
            .execute(&server)
            .await
            .unwrap();
        server.close().await;
        let admin = PgPoolOptions::new()
            .max_connections(4)
            .connect_lazy_with(options.database(&name));
        Self {
            superuser,
            name,
            admin,
        }
    }

    /// Runs statements as superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.admin)
            .await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The first column of the rows, as text.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let text = |row: &PgRow| {
            row.get::<Option<String>, _>(0)
                .unwrap_or_else(|| "NULL".into())
        };
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&self.admin)
            .await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
            .iter()
            .map(text)
            .collect()
    }

    /// The only value, as text.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let mut texts = self.texts(sql).await;
        assert_eq!(texts.len(), 1, "{sql}: {texts:?}");
        texts.remove(0)
    }

    /// The only value, a number.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.text(&format!("SELECT ({sql})::text"))
            .await
            .parse()
            .unwrap()
    }

    /// A pool of the operator's own making, for the superuser or another role.
    pub(crate) async fn pool(&self, role: Option<&str>) -> PgPool {
        let mut uri = Url::parse(&self.superuser).unwrap();
        uri.set_path(&self.name);
        if let Some(role) = role {
            uri.set_username(role).unwrap();
            uri.set_password(Some("p@ss")).unwrap();
        }
        let connection = ConnectionString::parse(uri.as_str(), None).unwrap();
        Pools::new(HostPolicy::default())
            .get(&connection)
            .await
            .unwrap()
    }
}

/// A mapped column: its name and the type of the property of the same name.
pub(crate) type Mapped<'a> = (&'a str, PropertyType);

/// A binding over table `t` of schema `public`, unless the plan is changed.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) pool: PgPool,
    pub(crate) store: PostgresBinding,
    pub(crate) plan: Arc<TablePlan>,
    pub(crate) owner: String,
    pub(crate) metrics: Metrics,
}

pub(crate) fn binding_plan(fields: &[Mapped<'_>]) -> BindingPlan {
    let field = |(name, _): &Mapped<'_>| FieldMapping {
        column: (*name).to_owned(),
        property: PropertySelector::Name((*name).to_owned()),
        values: Vec::new(),
        on_unknown_value: OnUnknownValue::Pass,
        direction: Direction::ToPostgres,
        conflict_policy: ConflictPolicy::NotionWins,
        on_lossy_write: OnLossyWrite::Reject,
    };
    BindingPlan {
        binding: BindingRef {
            namespace: "team-a".into(),
            name: "projects".into(),
        },
        schema: "public".into(),
        table: "t".into(),
        page_id_column: "page".into(),
        updated_at_column: None,
        audit_table: "audit_logs".into(),
        direction: Direction::ToPostgres,
        drift_policy: DriftPolicy::Report,
        policies: Policies::default(),
        fields: fields.iter().map(field).collect(),
    }
}

impl World {
    /// Makes the table by `ddl` and binds it.
    pub(crate) async fn new(ddl: &str, fields: &[Mapped<'_>]) -> Self {
        Self::with(ddl, fields, |_| {}).await
    }

    /// The same with another plan.
    pub(crate) async fn with(
        ddl: &str,
        fields: &[Mapped<'_>],
        change: impl FnOnce(&mut BindingPlan),
    ) -> Self {
        let database = Database::create().await;
        database.execute(ddl).await;
        let pool = database.pool(None).await;
        migrate(&pool).await.unwrap();
        let mut plan = binding_plan(fields);
        change(&mut plan);
        Self::bind(database, pool, plan, fields).await.unwrap()
    }

    /// Claims the table and opens the store.
    pub(crate) async fn bind(
        database: Database,
        pool: PgPool,
        binding: BindingPlan,
        types: &[Mapped<'_>],
    ) -> Result<Self, StoreError> {
        let table = inspect(&pool, &binding).await?;
        let data_source = DataSourceId(Uuid::from_u128(1));
        let fields = binding
            .fields
            .iter()
            .zip(types)
            .map(|(mapping, (name, kind))| Field {
                mapping: mapping.clone(),
                property: PinnedProperty {
                    column: (*name).to_owned(),
                    selector: mapping.property.clone(),
                    id: PropertyId::new(name),
                    name: (*name).to_owned(),
                    kind: kind.clone(),
                    options: Vec::new(),
                    repinned: false,
                    is_key: false,
                },
                column: table.columns[*name].clone(),
            });
        let plan = Arc::new(TablePlan {
            data_source,
            fields: fields.collect(),
            stopped: Vec::new(),
            match_on: Vec::new(),
            bot: None,
            key_is_plain: table.key_is_plain,
            binding,
        });
        let request = ClaimRequest {
            cluster_id: "cluster",
            binding: &plan.binding.binding,
            uid: "uid",
            data_source,
            holder: "holder",
            take_over: false,
            is_live: &|_, _| true,
        };
        let claim = claim(&pool, &table, request).await?;
        let owner = owner("cluster", &plan.binding.binding);
        let metrics = Metrics::default();
        let store = PostgresBinding::open(BindingParts {
            pool: pool.clone(),
            plan: Arc::clone(&plan),
            table,
            claim,
            owner: owner.clone(),
            metrics: metrics.clone(),
        });
        let store = store.await?;
        Ok(Self {
            database,
            pool,
            store,
            plan,
            owner,
            metrics,
        })
    }

    /// A page with these values, read directly.
    pub(crate) fn page(&self, id: u128, edited: &str, values: &[PropertyValue]) -> PageSnapshot {
        let properties = self.plan.fields.iter().zip(values).map(|(field, value)| {
            let property = PageProperty {
                kind: field.property.kind.clone(),
                read: PropertyRead::Value(value.clone()),
            };
            (field.property.id.clone(), property)
        });
        PageSnapshot {
            id: page_id(id),
            provenance: Provenance::Get,
            data_source: Some(self.plan.data_source),
            in_trash: false,
            is_archived: false,
            created_time: None,
            last_edited_time: edited.parse().ok(),
            last_edited_by: None,
            properties: properties.collect(),
        }
    }

    /// Applies a page without events.
    pub(crate) async fn apply(&self, page: &PageSnapshot) -> Applied {
        self.store
            .apply(PairChange {
                page,
                events: &[],
                sent: &[],
                row_changed_at: None,
            })
            .await
            .unwrap()
    }

    /// The number of columns that were written, which is the whole outcome.
    pub(crate) async fn written(&self, page: &PageSnapshot) -> (Outcome, usize) {
        match self.apply(page).await {
            Applied::Done {
                outcome,
                fields_written,
                ..
            } => (outcome, fields_written),
            other => panic!("{other:?}"),
        }
    }

    /// `details.result` of the only audit row.
    pub(crate) async fn audited(&self) -> serde_json::Value {
        let text = self
            .database
            .text("SELECT details::text FROM audit_logs")
            .await;
        serde_json::from_str(&text).unwrap()
    }
}

/// An id with letters and digits.
pub(crate) fn page_id(id: u128) -> PageId {
    PageId(Uuid::from_u128(
        0xabcd_ef00_0000_4000_8000_0000_0000_0000 | id,
    ))
}

pub(crate) fn text(plain: &str) -> PropertyValue {
    PropertyValue::Text {
        plain: plain.to_owned(),
        lossy: false,
    }
}

pub(crate) fn number(digits: &str) -> PropertyValue {
    PropertyValue::Number(Some(digits.parse().unwrap()))
}

/// An event about a page.
pub(crate) fn event(dialect: Dialect, id: u128, key: &str, at: Option<&str>) -> NewEvent {
    NewEvent {
        dialect,
        event_type: "page.updated".into(),
        subject: EventSubject::Page(page_id(id)),
        data_source: None,
        occurred_at: at.map(|at| at.parse().unwrap()),
        dedupe_key: key.into(),
        authenticated: true,
        authors: Vec::new(),
        body: format!("{{\"id\":\"{key}\"}}"),
    }
}

/// The ids of events.
pub(crate) fn numbers(events: &[InboxEvent]) -> Vec<i64> {
    events.iter().map(|event| event.id).collect()
}
