//! A database of its own for each test, with roles to lack rights.

use std::str::FromStr;

use notion_sync_operator::store::connection::ConnectionString;
use notion_sync_operator::store::hosts::HostPolicy;
use notion_sync_operator::store::pool::Pools;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

/// The server's superuser, as a URI.
fn admin_uri() -> String {
    std::env::var("TEST_POSTGRES_URI")
        .expect("TEST_POSTGRES_URI must name a superuser of a Postgres server for tests")
}

/// A database that only this test knows.
pub(crate) struct Database {
    options: PgConnectOptions,
    name: String,
    admin: PgPool,
}

impl Database {
    /// Creates an empty one.
    pub(crate) async fn create() -> Self {
        let options = PgConnectOptions::from_str(&admin_uri()).expect("TEST_POSTGRES_URI");
        let name = unique("test");
        let server = PgPool::connect_with(options.clone()).await.unwrap();
        let create = format!("CREATE DATABASE \"{name}\"");
        sqlx::query(AssertSqlSafe(create))
            .execute(&server)
            .await
            .unwrap();
        server.close().await;
        Self::open(options, name)
    }

    fn open(options: PgConnectOptions, name: String) -> Self {
        let admin = PgPoolOptions::new()
            .max_connections(2)
            .connect_lazy_with(options.clone().database(&name));
        Self {
            options,
            name,
            admin,
        }
    }

    /// Runs statements as superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.admin)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Asks for one number as superuser.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.admin)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
            .get(0)
    }

    /// Creates a role that may log in and nothing else.
    pub(crate) async fn role(&self) -> String {
        let role = unique("role");
        self.execute(&format!("CREATE ROLE \"{role}\" LOGIN PASSWORD 'p@ss'"))
            .await;
        role
    }

    /// The connection string of a role.
    pub(crate) fn uri(&self, role: &str) -> String {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        format!("postgres://{role}:p%40ss@{host}:{port}/{}", self.name)
    }

    /// A pool of the operator's own making, for the superuser.
    pub(crate) async fn pool(&self) -> PgPool {
        let user = self.options.get_username().to_owned();
        self.pool_of(&user).await
    }

    /// A pool of the operator's own making.
    pub(crate) async fn pool_of(&self, role: &str) -> PgPool {
        let connection = ConnectionString::parse(&self.uri(role), None).unwrap();
        let pools = Pools::new(HostPolicy::default());
        pools.get(&connection).await.unwrap()
    }
}

fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}
