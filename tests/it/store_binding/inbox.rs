use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use notion_sync_operator::store::capture::due;
use notion_sync_operator::store::inbox::{
    Accepted, DEADLINE, Inbox, InboxCounts, LinkTarget, Receipts,
};
use notion_sync_operator::store::migrate::migrate;
use notion_sync_operator::sync::event::{Dialect, Skip};
use sqlx::postgres::PgPoolOptions;

use super::world::{Database, event, page_id};

const OWNER: &str = "cluster/team-a/projects";

async fn inbox() -> (Database, Inbox) {
    let database = Database::create().await;
    let pool = database.pool(None).await;
    migrate(&pool).await.unwrap();
    (database, Inbox::start(pool))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_are_stored_once_each_in_few_commits() {
    let (database, inbox) = inbox().await;
    let before = database
        .number("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        .await;
    let sent = (0..1000).map(|number| {
        let event = event(
            Dialect::Envelope,
            number,
            &format!("key {}", number % 900),
            None,
        );
        let inbox = inbox.clone();
        tokio::spawn(async move { inbox.insert(OWNER, event).await.unwrap() })
    });
    let mut answers: HashMap<String, usize> = HashMap::new();
    for answer in join_all(sent).await {
        *answers.entry(format!("{:?}", answer.unwrap())).or_default() += 1;
    }
    assert_eq!(answers["Queued"], 900);
    assert_eq!(answers["Duplicate"], 100);
    assert_eq!(
        database
            .number("SELECT count(*) FROM notion_sync.inbox")
            .await,
        900
    );
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let after = database
        .number("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        .await;
    assert!(after - before < 200, "{}", after - before);
}

#[tokio::test]
async fn one_event_that_cannot_be_stored_fails_alone() {
    let (database, inbox) = inbox().await;
    database
        .execute("ALTER TABLE notion_sync.inbox ADD CHECK (dedupe_key <> 'poison')")
        .await;
    let keys = ["a", "poison", "b"];
    let sent = keys.map(|key| inbox.insert(OWNER, event(Dialect::Envelope, 1, key, None)));
    let answers = join_all(sent).await;
    assert_eq!(answers[0].as_ref().unwrap(), &Accepted::Queued);
    assert!(answers[1].is_err());
    assert_eq!(answers[2].as_ref().unwrap(), &Accepted::Queued);
}

#[tokio::test]
async fn a_key_of_any_length_is_one_key() {
    let (_database, inbox) = inbox().await;
    let key: String = (0..2000)
        .map(|_| uuid::Uuid::new_v4().to_string())
        .collect();
    for expected in [Accepted::Queued, Accepted::Duplicate] {
        let sent = event(Dialect::Envelope, 1, &key, None);
        assert_eq!(inbox.insert(OWNER, sent).await.unwrap(), expected);
    }
    let sent = event(Dialect::Envelope, 1, &key, None);
    assert_eq!(
        inbox.insert("cluster/team-b/x", sent).await.unwrap(),
        Accepted::Queued
    );
}

#[tokio::test]
async fn legacy_events_follow_the_rule_of_the_seed() {
    let (database, inbox) = inbox().await;
    let send = |page, key: &'static str, at: Option<&'static str>| {
        let inbox = inbox.clone();
        async move {
            inbox
                .insert(OWNER, event(Dialect::Legacy, page, key, at))
                .await
                .unwrap()
        }
    };
    let not_newer = Accepted::Skipped(Skip::NotNewer);
    assert_eq!(
        send(1, "a", Some("2026-11-20T10:00:00Z")).await,
        Accepted::Queued
    );
    // The redelivery is not newer before it is a duplicate.
    assert_eq!(send(1, "a", Some("2026-11-20T10:00:00Z")).await, not_newer);
    assert_eq!(send(1, "b", Some("2026-11-20T09:59:00Z")).await, not_newer);
    assert_eq!(
        send(1, "c", Some("2026-11-20T10:01:00Z")).await,
        Accepted::Queued
    );
    assert_eq!(
        send(2, "d", Some("2026-11-20T09:00:00Z")).await,
        Accepted::Queued
    );
    let stored = "SELECT concat_ws('|', dedupe_key, skipped) FROM notion_sync.inbox
                  WHERE NOT reread_only ORDER BY id";
    assert_eq!(database.texts(stored).await, ["a", "b|NotNewer", "c", "d"]);
    let rereads = "SELECT concat_ws('|', not_before > now(), not_before < now() + interval '61 s',
                       not_before = date_trunc('minute', not_before), event_type = '', body = '')
                   FROM notion_sync.inbox WHERE reread_only";
    for reread in database.texts(rereads).await {
        assert_eq!(reread, "t|t|t|t|t");
    }

    let recently = Accepted::Skipped(Skip::ProcessedRecently);
    assert_eq!(send(3, "e", None).await, Accepted::Queued);
    assert_eq!(send(3, "f", None).await, recently);
    database
        .execute("UPDATE notion_sync.inbox SET received_at = received_at - interval '61 s'")
        .await;
    assert_eq!(send(3, "g", None).await, Accepted::Queued);
    // Both in one commit: the rule holds within it.
    let both = join_all([send(4, "h", None), send(4, "i", None)]).await;
    assert_eq!(both, [Accepted::Queued, recently]);
    let again = [
        send(5, "j", Some("2026-11-20T10:00:00Z")),
        send(5, "k", Some("2026-11-20T10:00:00Z")),
        send(5, "l", Some("2026-11-20T10:02:00Z")),
    ];
    assert_eq!(
        join_all(again).await,
        [Accepted::Queued, not_newer, Accepted::Queued]
    );
    // Real events are judged by their key alone.
    for key in ["m", "n"] {
        let real = event(Dialect::Envelope, 1, key, Some("2026-11-20T09:00:00Z"));
        assert_eq!(inbox.insert(OWNER, real).await.unwrap(), Accepted::Queued);
    }
}

#[tokio::test]
async fn a_page_is_read_again_once_for_each_minute() {
    let (database, inbox) = inbox().await;
    let now = Timestamp::now();
    let at = now.to_string();
    for key in ["a", "b", "c", "d"] {
        let sent = event(Dialect::Legacy, 1, key, Some(&at));
        inbox.insert(OWNER, sent).await.unwrap();
    }
    let count = database
        .number("SELECT count(*) FROM notion_sync.inbox WHERE reread_only")
        .await;
    let end = Timestamp::from_second((now.as_second() / 60 + 1) * 60).unwrap();
    if Timestamp::now() < end {
        assert_eq!(count, 1);
        let at = database
            .text(
                "SELECT not_before::timestamptz(0)::text FROM notion_sync.inbox WHERE reread_only",
            )
            .await;
        assert_eq!(at.parse::<Timestamp>().unwrap(), end);
    }
}

#[tokio::test]
async fn without_the_schema_or_the_server_it_says_so() {
    let database = Database::create().await;
    let inbox = Inbox::start(database.pool(None).await);
    let sent = event(Dialect::Legacy, 1, "a", None);
    let error = inbox.insert(OWNER, sent).await.unwrap_err();
    assert_eq!(error.reason().as_str(), "StateSchemaMissing");

    let nowhere = PgPoolOptions::new()
        .acquire_timeout(Duration::from_mins(1))
        .connect_lazy("postgres://u:p@127.0.0.1:1/none")
        .unwrap();
    let inbox = Inbox::start(nowhere);
    let begun = std::time::Instant::now();
    let sent =
        (0..50).map(|number| inbox.insert(OWNER, event(Dialect::Envelope, number, "a", None)));
    for answer in join_all(sent).await {
        assert_eq!(answer.unwrap_err().reason().as_str(), "DatabaseUnavailable");
    }
    assert!(begun.elapsed() < DEADLINE * 3);
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_deadline_and_nothing_more() {
    let (database, inbox) = inbox().await;
    let mut lock = database.admin.begin().await.unwrap();
    sqlx::query("LOCK TABLE notion_sync.inbox IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let begun = std::time::Instant::now();
    let error = inbox
        .insert(OWNER, event(Dialect::Envelope, 1, "a", None))
        .await
        .unwrap_err();
    assert_eq!(error.reason().as_str(), "DatabaseUnavailable");
    assert!(begun.elapsed() < DEADLINE * 3);
    lock.rollback().await.unwrap();
    let answer = inbox
        .insert(OWNER, event(Dialect::Envelope, 2, "b", None))
        .await
        .unwrap();
    assert_eq!(answer, Accepted::Queued);
}

#[tokio::test]
async fn a_connection_that_died_is_replaced_at_once() {
    let (database, inbox) = inbox().await;
    for key in ["a", "b", "c"] {
        let sent = event(Dialect::Envelope, 1, key, None);
        assert_eq!(inbox.insert(OWNER, sent).await.unwrap(), Accepted::Queued);
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(database.number(end).await > 0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn links_are_found_in_pairs_and_in_the_table() {
    let (database, inbox) = inbox().await;
    for kind in ["text", "uuid", "varchar(40)"] {
        let ddl = format!(
            "DROP TABLE IF EXISTS \"T x\"; CREATE TABLE \"T x\" (\"Page\" {kind});
             INSERT INTO \"T x\" VALUES ('{}')",
            page_id(1).0.simple()
        );
        database.execute(&ddl).await;
        let target = LinkTarget {
            schema: "public",
            table: "T x",
            page_id_column: "Page",
        };
        assert!(
            inbox.is_linked(OWNER, target, page_id(1)).await.unwrap(),
            "{kind}"
        );
        assert!(
            !inbox.is_linked(OWNER, target, page_id(2)).await.unwrap(),
            "{kind}"
        );
    }
    database
        .execute(&format!(
            "INSERT INTO notion_sync.bindings (cluster_id, namespace, name, uid, table_schema, table_name,
                 state_oid, page_id_column, data_source_id, holder)
             VALUES ('cluster', 'team-a', 'projects', '', '', '', 0, '', gen_random_uuid(), '');
             INSERT INTO notion_sync.pairs (binding_id, page_id, row_key) VALUES (1, '{}', '[\"1\"]')",
            page_id(2)
        ))
        .await;
    let target = LinkTarget {
        schema: "public",
        table: "gone",
        page_id_column: "x",
    };
    assert!(inbox.is_linked(OWNER, target, page_id(2)).await.unwrap());
    assert!(
        !inbox
            .is_linked("cluster/team-b/projects", target, page_id(2))
            .await
            .unwrap()
    );
    assert!(!inbox.is_linked(OWNER, target, page_id(3)).await.unwrap());
}

#[tokio::test]
async fn receipts_add_up() {
    let (database, inbox) = inbox().await;
    assert_eq!(inbox.receipts(OWNER).await.unwrap(), Receipts::default());
    inbox.note_event(OWNER, false).await.unwrap();
    assert_eq!(inbox.receipts(OWNER).await.unwrap().verified_at, None);
    // The first verified one is noted at once, whatever was noted just before.
    inbox.note_event(OWNER, true).await.unwrap();
    assert!(inbox.receipts(OWNER).await.unwrap().verified_at.is_some());
    let version = "SELECT xmin::text FROM notion_sync.receipts";
    let before = database.text(version).await;
    inbox.note_event(OWNER, true).await.unwrap();
    assert_eq!(database.text(version).await, before);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (late, early) = (at("2026-11-20T10:00:00Z"), at("2026-11-20T09:00:00Z"));
    inbox
        .note_rejections(OWNER, 3, "SignatureInvalid", late)
        .await
        .unwrap();
    inbox
        .note_rejections(OWNER, 2, "SignatureMissing", early)
        .await
        .unwrap();
    let receipts = inbox.receipts(OWNER).await.unwrap();
    assert_eq!(receipts.rejections, 5);
    assert_eq!(
        receipts.last_rejection_reason.as_deref(),
        Some("SignatureInvalid")
    );
    assert_eq!(receipts.last_rejection_at, Some(late));
    assert!(receipts.last_event_at.is_some());
}

#[tokio::test]
async fn due_owners_are_found_and_old_events_go() {
    let (database, inbox) = inbox().await;
    for owner in [
        "cluster/a/x",
        "cluster/b/y",
        "cluster/c/z",
        "cluster2/a/x",
        "Cluster/a/x",
    ] {
        for key in ["1", "2"] {
            inbox
                .insert(owner, event(Dialect::Envelope, 1, key, None))
                .await
                .unwrap();
        }
    }
    database
        .execute("UPDATE notion_sync.inbox SET state = 'done', finished_at = now() WHERE owner = 'cluster/b/y';
                  UPDATE notion_sync.inbox SET not_before = now() + interval '1 h' WHERE owner = 'cluster/c/z'")
        .await;
    let due = due(inbox.pool(), "cluster").await.unwrap();
    let due: Vec<_> = due.iter().map(|due| due.binding.to_string()).collect();
    assert_eq!(due, ["a/x"]);
    let counts = InboxCounts {
        pending: 2,
        deferred: 2,
    };
    assert_eq!(inbox.counts("cluster").await.unwrap(), counts);
    database
        .execute(
            "INSERT INTO notion_sync.inbox (owner, dedupe_key, dialect, event_type, subject, authenticated,
                 body, state, finished_at)
             SELECT 'cluster/a/x', 'old ' || g, 'Envelope', '', '\"Other\"', true, '', 'done',
                    now() - interval '8 days' FROM generate_series(1, 2500) AS g",
        )
        .await;
    assert_eq!(inbox.prune().await.unwrap(), 2500);
    assert_eq!(
        database
            .number("SELECT count(*) FROM notion_sync.inbox")
            .await,
        10
    );
}
