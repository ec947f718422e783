use notion_sync_operator::store::StoreError;
use notion_sync_operator::store::catalog::{TableHandle, inspect};
use notion_sync_operator::sync::mapping::BindingPlan;
use notion_sync_operator::sync::reason::Reason;
use sqlx::PgPool;

use super::catalog::plan;
use super::database::Database;

struct Tenant {
    database: Database,
    role: String,
    pool: PgPool,
    plan: BindingPlan,
}

impl Tenant {
    async fn create() -> Self {
        let database = Database::create().await;
        database
            .execute(
                "CREATE SCHEMA \"Team A\"; CREATE SCHEMA types;
                 CREATE TYPE types.mood AS ENUM ('ok');
                 CREATE TABLE \"Team A\".\"Pro\"\"jects\" (id int PRIMARY KEY, \"pageId\" uuid,
                     \"updatedAt\" timestamptz, name text, \"Status\" text, mood types.mood)",
            )
            .await;
        let role = database.role().await;
        let pool = database.pool_of(&role).await;
        let plan = BindingPlan {
            updated_at_column: Some("updatedAt".into()),
            ..plan("Team A", "Pro\"jects", "pageId", &["name", "Status"])
        };
        Self {
            database,
            role,
            pool,
            plan,
        }
    }

    async fn look(&self) -> Result<TableHandle, StoreError> {
        inspect(&self.pool, &self.plan).await
    }

    /// The statements that the refusal tells to run.
    async fn told(&self) -> String {
        let error = self.look().await.expect_err("a privilege is missing");
        assert_eq!(error.reason(), Reason::PrivilegeMissing);
        self.statements(&error.to_string())
    }

    fn statements(&self, remedy: &str) -> String {
        let (_, statements) = remedy.split_once("privileges: ").unwrap();
        assert!(
            statements.ends_with(&format!("TO \"{}\";", self.role)),
            "{statements}"
        );
        statements.to_owned()
    }
}

#[tokio::test]
async fn what_the_refusal_says_is_enough() {
    let tenant = Tenant::create().await;
    let told = tenant.told().await;
    assert!(
        told.contains("GRANT USAGE ON SCHEMA \"Team A\" TO"),
        "{told}"
    );
    assert!(
        told.contains(
            "GRANT SELECT, UPDATE (\"Status\", \"name\", \"updatedAt\") \
             ON \"Team A\".\"Pro\"\"jects\" TO"
        ),
        "{told}"
    );
    tenant.database.execute(&told).await;
    let handle = tenant.look().await.unwrap();
    assert_eq!(handle.columns.len(), 2);
    assert!(handle.stopped.is_empty());
}

#[tokio::test]
async fn each_missing_right_is_named_alone() {
    let tenant = Tenant::create().await;
    tenant.database.execute(&tenant.told().await).await;
    let table = "\"Team A\".\"Pro\"\"jects\"";
    let role = format!("\"{}\"", tenant.role);
    tenant
        .database
        .execute(&format!(
            "REVOKE SELECT ON {table} FROM {role};
             GRANT SELECT (id, \"pageId\", \"updatedAt\", name, \"Status\") ON {table} TO {role}"
        ))
        .await;
    tenant.look().await.unwrap();
    for (right, binding_level) in [
        ("SELECT (\"id\")", true),
        ("SELECT (\"pageId\")", true),
        ("SELECT (\"updatedAt\")", true),
        ("UPDATE (\"updatedAt\")", true),
        ("SELECT (\"name\")", false),
        ("UPDATE (\"Status\")", false),
    ] {
        tenant
            .database
            .execute(&format!("REVOKE {right} ON {table} FROM {role}"))
            .await;
        let expected = format!("GRANT {right} ON {table} TO {role};");
        let told = if binding_level {
            tenant.told().await
        } else {
            let handle = tenant.look().await.unwrap();
            assert_eq!(handle.columns.len(), 1, "the other column goes on");
            let [stopped] = handle.stopped.as_slice() else {
                panic!("one column is stopped")
            };
            assert_eq!(stopped.reason, Reason::PrivilegeMissing);
            tenant.statements(&stopped.remedy)
        };
        assert_eq!(told, expected);
        tenant.database.execute(&told).await;
        assert!(tenant.look().await.unwrap().stopped.is_empty());
    }
}

#[tokio::test]
async fn the_schema_of_an_enum_must_be_usable() {
    let mut tenant = Tenant::create().await;
    tenant
        .plan
        .fields
        .extend(plan("", "", "", &["mood"]).fields);
    tenant.database.execute(&tenant.told().await).await;
    let handle = tenant.look().await.unwrap();
    let told = tenant.statements(&handle.stopped[0].remedy);
    assert_eq!(
        told,
        format!("GRANT USAGE ON SCHEMA \"types\" TO \"{}\";", tenant.role)
    );
    tenant.database.execute(&told).await;
    assert!(tenant.look().await.unwrap().stopped.is_empty());
}

#[tokio::test]
async fn row_level_security_is_refused_and_not_taken_for_absence() {
    let tenant = Tenant::create().await;
    tenant.database.execute(&tenant.told().await).await;
    let table = "\"Team A\".\"Pro\"\"jects\"";
    tenant
        .database
        .execute(&format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
             CREATE POLICY mine ON {table} USING (id < 10)"
        ))
        .await;
    assert_eq!(
        tenant.look().await.unwrap_err().reason(),
        Reason::RowSecurityActive
    );
    // Switched on after the look: the session refuses to read less than everything.
    let read = sqlx::query("SELECT id FROM \"Team A\".\"Pro\"\"jects\"")
        .fetch_all(&tenant.pool)
        .await
        .map_err(StoreError::from);
    assert_eq!(read.unwrap_err().reason(), Reason::RowSecurityActive);
    tenant
        .database
        .execute(&format!("ALTER ROLE \"{}\" BYPASSRLS", tenant.role))
        .await;
    tenant.look().await.unwrap();
}
