//! A database of its own for each test, with roles to lack rights.

use std::str::FromStr;

use ::world::postgres::SUPERUSER;
use notion_sync_operator::store::connection::ConnectionString;
use notion_sync_operator::store::hosts::HostPolicy;
use notion_sync_operator::store::pool::Pools;
use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

/// The shared server's superuser, as a URI.
async fn admin_uri() -> String {
    let world = ::world::World::shared().await.expect("the world starts");
    let server = world.postgres();
    server
        .uri("postgres", SUPERUSER)
        .expect("the superuser has a URI")
}

/// A database that only this test knows.
pub(crate) struct Database {
    options: PgConnectOptions,
    superuser: String,
    name: String,
    admin: PgPool,
}

impl Database {
    /// Creates an empty one.
    pub(crate) async fn create() -> Self {
        let admin = admin_uri().await;
        let options = PgConnectOptions::from_str(&admin).expect("a URI");
        let name = unique("test");
        let server = PgPool::connect_with(options.clone()).await.unwrap();
        let create = format!("CREATE DATABASE \"{name}\"");
        sqlx::query(AssertSqlSafe(create))
            .execute(&server)
            .await
            .unwrap();
        server.close().await;
        Self::open(options, admin, name)
    }

    fn open(options: PgConnectOptions, superuser: String, name: String) -> Self {
        let admin = PgPoolOptions::new()
            .max_connections(2)
            .connect_lazy_with(options.clone().database(&name));
        Self {
            options,
            superuser,
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
        let mut uri = Url::parse(&self.superuser).unwrap();
        uri.set_path(&self.name);
        open(uri.as_str()).await
    }

    /// A pool of the operator's own making.
    pub(crate) async fn pool_of(&self, role: &str) -> PgPool {
        open(&self.uri(role)).await
    }
}

async fn open(uri: &str) -> PgPool {
    let connection = ConnectionString::parse(uri, None).unwrap();
    let pools = Pools::new(HostPolicy::default());
    pools.get(&connection).await.unwrap()
}

fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}
