use std::time::{Duration, Instant};

use notion_sync_operator::store::StoreError;
use notion_sync_operator::store::connection::ConnectionString;
use notion_sync_operator::store::hosts::HostPolicy;
use notion_sync_operator::store::pool::Pools;
use notion_sync_operator::sync::reason::Reason;
use sqlx::Row;
use tokio::net::TcpListener;

use super::database::Database;

fn open() -> Pools {
    Pools::new(HostPolicy::default())
}

async fn error_of(pools: &Pools, uri: &str) -> StoreError {
    let connection = ConnectionString::parse(uri, None).unwrap();
    pools.get(&connection).await.expect_err("no pool")
}

#[tokio::test]
async fn sessions_have_their_settings_whatever_role_and_triggers_say() {
    let database = Database::create().await;
    let role = database.role().await;
    database
        .execute(&format!(
            "ALTER ROLE \"{role}\" SET search_path = evil, public;
             ALTER ROLE \"{role}\" SET \"DateStyle\" = 'German';
             ALTER ROLE \"{role}\" SET synchronous_commit = off;
             ALTER ROLE \"{role}\" SET default_transaction_isolation = serializable"
        ))
        .await;
    let pool = database.pool_of(&role).await;
    for _ in 0..2 {
        let row = sqlx::query(
            "SELECT current_setting('search_path') || '|' || current_setting('row_security') || '|'
                 || current_setting('DateStyle') || '|' || current_setting('TimeZone') || '|'
                 || current_setting('synchronous_commit') || '|'
                 || current_setting('transaction_isolation') || '|'
                 || current_setting('statement_timeout') || '|'
                 || current_setting('lock_timeout') || '|' || current_setting('application_name')",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(
            row.get::<String, _>(0),
            "pg_catalog, pg_temp|off|ISO, YMD|UTC|on|read committed|30s|5s|notion-sync-operator"
        );
        // As a user's trigger may do in our session.
        sqlx::query("SELECT set_config('search_path', 'public', false)")
            .execute(&pool)
            .await
            .unwrap();
        sqlx::query("SELECT set_config('TimeZone', 'Asia/Tokyo', false)")
            .execute(&pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_connection_string_has_one_pool_of_at_most_ten_connections() {
    let database = Database::create().await;
    let role = database.role().await;
    let pools = open();
    let connection = ConnectionString::parse(&database.uri(&role), None).unwrap();
    let mut held = Vec::new();
    for _ in 0..9 {
        let pool = pools.get(&connection).await.unwrap();
        held.push(pool.acquire().await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(3100)).await;
    // Busy is not down.
    pools.get(&connection).await.unwrap();
    let used = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'");
    let connections = database.number(&used).await;
    assert!((9..=10).contains(&connections), "{connections}");
}

#[tokio::test]
async fn a_wrong_password_or_database_is_unauthorized() {
    let database = Database::create().await;
    let role = database.role().await;
    let right = database.uri(&role);
    let wrong_database = format!("{right}x");
    let error = error_of(&open(), &wrong_database).await;
    assert_eq!(error.reason(), Reason::DatabaseUnauthorized);
    database
        .execute(&format!("ALTER ROLE \"{role}\" NOLOGIN"))
        .await;
    let error = error_of(&open(), &right).await;
    assert_eq!(error.reason(), Reason::DatabaseUnauthorized);
    assert!(!error.to_string().contains(&role), "{error}");
}

#[tokio::test]
async fn a_role_that_may_not_connect_is_unauthorized() {
    let database = Database::create().await;
    let role = database.role().await;
    database
        .execute(
            "DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC',
                 current_database()); END $$",
        )
        .await;
    let error = error_of(&open(), &database.uri(&role)).await;
    assert_eq!(error.reason(), Reason::DatabaseUnauthorized);
    assert!(error.to_string().contains("GRANT CONNECT"), "{error}");
}

#[tokio::test]
async fn a_read_only_server_is_unavailable() {
    let database = Database::create().await;
    let role = database.role().await;
    database
        .execute(&format!(
            "ALTER ROLE \"{role}\" SET default_transaction_read_only = on"
        ))
        .await;
    let error = error_of(&open(), &database.uri(&role)).await;
    assert_eq!(error.reason(), Reason::DatabaseUnavailable);
}

#[tokio::test]
async fn a_server_that_refuses_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = error_of(&open(), &format!("postgres://u:p@127.0.0.1:{port}/d")).await;
    assert_eq!(error.reason(), Reason::DatabaseUnavailable);
    assert_eq!(error.to_string(), "Postgres does not answer");
}

#[tokio::test]
async fn a_server_that_hangs_costs_one_deadline_for_everybody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = tokio::spawn(async move {
        let mut accepted = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            accepted.push(socket);
        }
    });
    let pools = open();
    let uri = format!("postgres://u:p@127.0.0.1:{port}/d?connect_timeout=2");
    let started = Instant::now();
    let all = (0..300).map(|_| error_of(&pools, &uri));
    for error in futures::future::join_all(all).await {
        assert_eq!(error.reason(), Reason::DatabaseUnavailable);
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    accepting.abort();
}

#[tokio::test]
async fn a_pool_outlives_the_end_of_its_connections() {
    let database = Database::create().await;
    let role = database.role().await;
    let pools = open();
    let connection = ConnectionString::parse(&database.uri(&role), None).unwrap();
    pools
        .get(&connection)
        .await
        .unwrap()
        .acquire()
        .await
        .unwrap();
    database
        .execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        ))
        .await;
    let pool = pools.get(&connection).await.unwrap();
    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
}

#[tokio::test]
async fn hosts_are_checked_before_anything_is_sent() {
    let pools = Pools::new("db.example,10.0.0.0/8".parse().unwrap());
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let error = error_of(&pools, &format!("postgres://u:p@{host}/d")).await;
        assert_eq!(error.reason(), Reason::HostNotAllowed, "{host}");
    }
    let uri = "postgres://u:p@169.254.169.254:80/d";
    assert_eq!(
        error_of(&open(), uri).await.reason(),
        Reason::HostNotAllowed
    );
    let uri = "postgres://u:p@no-such-host.invalid/d";
    assert_eq!(
        error_of(&open(), uri).await.reason(),
        Reason::DatabaseUnavailable
    );
}
