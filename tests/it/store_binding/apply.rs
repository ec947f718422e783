use std::time::Duration;

use notion_sync_operator::store::{Applied, BindingStore, PairChange, PairRecord, StoreError};
use notion_sync_operator::sync::event::Outcome;
use notion_sync_operator::sync::mapping::ConflictPolicy;
use notion_sync_operator::sync::page::{PropertyType, PropertyValue, Provenance};
use serde_json::json;

use super::world::{Mapped, World, number, page_id, text};

const NAME: Mapped<'static> = ("name", PropertyType::Title);
const AT: &str = "2026-11-20T10:00:00Z";
const LATER: &str = "2026-11-20T10:05:00Z";

/// A table of one text column, with one linked row.
async fn named(policy: ConflictPolicy) -> World {
    let ddl = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page uuid, name text, changed timestamptz);
         INSERT INTO t VALUES (1, '{}', 'old', '2026-11-20 09:00Z'), (2, NULL, 'other', NULL)",
        page_id(1)
    );
    World::with(&ddl, &[NAME], |plan| {
        plan.updated_at_column = Some("changed".into());
        plan.fields[0].conflict_policy = policy;
    })
    .await
}

#[tokio::test]
async fn a_change_is_written_remembered_and_audited_once() {
    let world = named(ConflictPolicy::NewestWins).await;
    let page = world.page(1, AT, &[text("new")]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 1));
    let row = "SELECT concat_ws('|', name, changed = (SELECT created_at FROM audit_logs)) FROM t WHERE id = 1";
    assert_eq!(world.database.text(row).await, "new|t");
    let details = world.audited().await;
    let expected = json!({"event": null, "result": {
        "binding": "team-a/projects", "outcome": "Applied", "reason": null,
        "changes": [{"column": "name", "side": "Postgres", "from": "old", "to": "new", "overwrote": "old"}]
    }});
    assert_eq!(details, expected);
    let head = "SELECT concat_ws('|', action, resource_type, resource_id) FROM audit_logs";
    let expected = format!("notion_sync|notion_page|{}", page_id(1));
    assert_eq!(world.database.text(head).await, expected);

    // Our own updatedAt is no edit of a person's, and nothing is written twice.
    assert_eq!(world.written(&page).await, (Outcome::Unchanged, 0));
    let newer = world.page(1, AT, &[text("newer")]);
    assert_eq!(world.written(&newer).await, (Outcome::Applied, 1));
    let read = world
        .store
        .read_pairs(&[page_id(1)])
        .await
        .unwrap()
        .remove(0);
    let own = read.head.unwrap().own_write.unwrap();
    assert_eq!(Some(own.written), read.rows[0].updated_at);
    assert_eq!(own.before, "2026-11-20T09:00:00Z".parse().ok());
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM audit_logs")
            .await,
        2
    );
    let overwrote = "SELECT details #>> '{result,changes,0,overwrote}' FROM audit_logs
                     ORDER BY created_at DESC LIMIT 1";
    assert_eq!(world.database.text(overwrote).await, "NULL");
    let metric = world
        .metrics
        .field_writes
        .get_or_create(&notion_sync_operator::metrics::SideLabel::new("Postgres"));
    assert_eq!(metric.get(), 2);
}

#[tokio::test]
async fn only_changed_columns_are_written() {
    let ddl = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page uuid, name text, price numeric(10,2));
         INSERT INTO t VALUES (1, '{}', 'same', 1);
         CREATE TABLE touched (column_name text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN INSERT INTO public.touched VALUES (TG_ARGV[0]); RETURN NEW; END$$;
         CREATE TRIGGER a BEFORE UPDATE OF name ON t FOR EACH ROW EXECUTE FUNCTION note('name');
         CREATE TRIGGER b BEFORE UPDATE OF price ON t FOR EACH ROW EXECUTE FUNCTION note('price')",
        page_id(1)
    );
    let world = World::new(&ddl, &[NAME, ("price", PropertyType::Number)]).await;
    let page = world.page(1, AT, &[text("same"), number("19.555")]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 1));
    assert_eq!(
        world
            .database
            .texts("SELECT column_name FROM touched")
            .await,
        ["price"]
    );
    assert_eq!(
        world.database.text("SELECT price::text FROM t").await,
        "19.56"
    );
    assert_eq!(world.written(&page).await, (Outcome::Unchanged, 0));
    let base = world
        .store
        .read_bases(&[page_id(1)])
        .await
        .unwrap()
        .remove(&page_id(1))
        .unwrap();
    assert_eq!(base["price"].notion, number("19.555"));
    assert_eq!(base["price"].postgres.as_deref(), Some("19.56"));
    assert_eq!(base["price"].reason, None);
    assert_eq!(base["name"].postgres.as_deref(), Some("same"));
    // 2^53 + 1 goes in exactly; a rounding never looks like an edit.
    let large = world.page(1, LATER, &[text("same"), number("1e7")]);
    assert_eq!(world.written(&large).await, (Outcome::Applied, 1));
    assert_eq!(
        world.database.text("SELECT price::text FROM t").await,
        "10000000.00"
    );
}

#[tokio::test]
async fn a_row_that_a_user_changes_meanwhile_is_read_and_planned_again() {
    let world = named(ConflictPolicy::PostgresWins).await;
    let page = world.page(1, AT, &[text("old")]);
    world.written(&page).await;
    let mut user = world.database.admin.begin().await.unwrap();
    sqlx::query("UPDATE t SET name = 'user' WHERE id = 1")
        .execute(&mut *user)
        .await
        .unwrap();
    let page = world.page(1, LATER, &[text("new")]);
    let apply = world.apply(&page);
    let commit = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        user.commit().await.unwrap();
    };
    let (applied, ()) = tokio::join!(apply, commit);
    // Both sides changed by the time the row was locked, so the policy decided.
    match applied {
        Applied::Done {
            outcome,
            fields_written: 0,
            discrepancies,
            ..
        } => {
            assert_eq!((outcome, discrepancies.len()), (Outcome::Unchanged, 1));
            assert_eq!(discrepancies[0].postgres, Some(json!("user")));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        world.database.text("SELECT name FROM t WHERE id = 1").await,
        "user"
    );
}

#[tokio::test]
async fn a_link_that_moved_takes_its_base_along_and_a_doubled_one_stops() {
    let world = named(ConflictPolicy::PostgresWins).await;
    world.written(&world.page(1, AT, &[text("old")])).await;
    world
        .database
        .execute("UPDATE t SET page = NULL WHERE id = 1")
        .await;
    let page = world.page(1, LATER, &[text("new")]);
    assert_eq!(world.apply(&page).await, Applied::Relinked);
    let link = format!(
        "UPDATE t SET page = '{}', name = 'old' WHERE id = 2",
        page_id(1)
    );
    world.database.execute(&link).await;
    // The base came along: only Notion changed, so no policy is asked.
    assert_eq!(world.written(&page).await, (Outcome::Applied, 1));
    let read = world
        .store
        .read_pairs(&[page_id(1)])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(read.head.unwrap().row_key.0, ["2"]);
    world
        .database
        .execute("UPDATE t SET page = (SELECT page FROM t WHERE id = 2)")
        .await;
    assert_eq!(
        world.apply(&world.page(1, LATER, &[text("x")])).await,
        Applied::Relinked
    );
    assert_eq!(
        world
            .database
            .texts("SELECT DISTINCT name FROM t ORDER BY 1")
            .await,
        ["new", "old"]
    );
}

#[tokio::test]
async fn old_snapshots_are_stale_unless_they_are_direct_reads() {
    let world = named(ConflictPolicy::NotionWins).await;
    world.written(&world.page(1, LATER, &[text("b")])).await;
    for provenance in [Provenance::Query, Provenance::Payload] {
        let mut old = world.page(1, AT, &[text("a")]);
        old.provenance = provenance;
        assert_eq!(world.apply(&old).await, Applied::Stale);
    }
    assert_eq!(
        world.written(&world.page(1, AT, &[text("c")])).await,
        (Outcome::Applied, 1)
    );
}

#[tokio::test]
async fn values_of_a_payload_are_provisional_until_a_read() {
    let world = named(ConflictPolicy::NotionWins).await;
    let mut payload = world.page(1, LATER, &[text("claimed")]);
    payload.provenance = Provenance::Payload;
    assert_eq!(world.written(&payload).await, (Outcome::Applied, 1));
    let head = || async {
        let read = world
            .store
            .read_pairs(&[page_id(1)])
            .await
            .unwrap()
            .remove(0);
        read.head.unwrap()
    };
    assert!(head().await.provisional);
    assert_eq!(head().await.hash, None);
    // The truth is older than the payload said, and it is not shut out by that.
    assert_eq!(
        world.written(&world.page(1, AT, &[text("true")])).await,
        (Outcome::Applied, 1)
    );
    assert!(!head().await.provisional);
    assert_eq!(head().await.last_edited_seen, AT.parse().ok());
}

#[tokio::test]
async fn nothing_is_written_once_another_process_holds_the_binding() {
    let world = named(ConflictPolicy::NotionWins).await;
    let before = world
        .database
        .text("SELECT pg_current_xact_id()::text")
        .await;
    world
        .database
        .execute("UPDATE notion_sync.bindings SET epoch = epoch + 1")
        .await;
    let page = world.page(1, AT, &[text("new")]);
    let change = PairChange {
        page: &page,
        events: &[],
        sent: &[],
        row_changed_at: None,
    };
    assert!(matches!(
        world.store.apply(change).await,
        Err(StoreError::Fenced)
    ));
    let record = PairRecord {
        resolved: Vec::new(),
        page_id: page_id(1),
        row_key: None,
        hash: None,
        last_edited: None,
        settle: Vec::new(),
        discrepancies: Vec::new(),
    };
    let refused = [
        world.store.record(vec![record]).await,
        world.store.forget(&[page_id(1)]).await,
        world
            .store
            .save_progress(&notion_sync_operator::store::Progress::default())
            .await,
        world
            .store
            .defer_events(&[1], "2026-11-20T10:00:00Z".parse().unwrap(), true)
            .await,
        world.store.count_table().await.map(drop),
    ];
    for (place, refused) in refused.into_iter().enumerate() {
        assert!(matches!(refused, Err(StoreError::Fenced)), "{place}");
    }
    assert_eq!(
        world.database.text("SELECT name FROM t WHERE id = 1").await,
        "old"
    );
    assert!(!before.is_empty());
}

#[tokio::test]
async fn names_that_need_quoting_are_quoted_everywhere() {
    let fields = [
        ("c'); DROP TABLE x; --", PropertyType::Title),
        ("select", PropertyType::Checkbox),
    ];
    let ddl = format!(
        "CREATE SCHEMA \"S \"\"x\";
         CREATE TYPE \"S \"\"x\".\"My Enum\" AS ENUM ('a', 'B\"b');
         CREATE TABLE \"S \"\"x\".\"t; --\" (\"Key A\" text, \"key\"\"b\" \"S \"\"x\".\"My Enum\",
             \"Page Id\" varchar(36), \"c'); DROP TABLE x; --\" varchar(20), \"select\" boolean,
             \"updatedAt\" timestamp(0), PRIMARY KEY (\"Key A\", \"key\"\"b\"));
         INSERT INTO \"S \"\"x\".\"t; --\" VALUES ('it''s', 'B\"b', '{}', NULL, NULL, NULL)",
        page_id(1).0.simple().to_string().to_uppercase()
    );
    let world = World::with(&ddl, &fields, |plan| {
        plan.schema = "S \"x".into();
        plan.table = "t; --".into();
        plan.page_id_column = "Page Id".into();
        plan.updated_at_column = Some("updatedAt".into());
        plan.audit_table = "Audit \"log\"".into();
    })
    .await;
    assert_eq!(world.store.audit_problem().await, None);
    let page = world.page(1, AT, &[text("v"), PropertyValue::Checkbox(true)]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 2));
    assert_eq!(world.written(&page).await, (Outcome::Unchanged, 0));
    let row =
        "SELECT concat_ws('|', \"c'); DROP TABLE x; --\", \"select\", \"updatedAt\" IS NOT NULL)
               FROM \"S \"\"x\".\"t; --\"";
    assert_eq!(world.database.text(row).await, "v|t|t");
    let read = world
        .store
        .read_pairs(&[page_id(1)])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(read.rows[0].key.0, ["it's", "B\"b"]);
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM \"S \"\"x\".\"Audit \"\"log\"\"\"")
            .await,
        1
    );
    world.store.count_table().await.unwrap();
    world.store.forget(&[page_id(1)]).await.unwrap();
    assert_eq!(world.store.linked_pages().await.unwrap(), [page_id(1)]);
}

#[tokio::test]
async fn rows_of_partitions_are_written_and_move() {
    let ddl = format!(
        "CREATE TABLE t (id bigint, page text, name text, PRIMARY KEY (id, name)) PARTITION BY LIST (name);
         CREATE TABLE a PARTITION OF t FOR VALUES IN ('a');
         CREATE TABLE b PARTITION OF t FOR VALUES IN ('b');
         INSERT INTO t VALUES (1, '{}', 'a')",
        page_id(1)
    );
    let world = World::new(&ddl, &[NAME]).await;
    let page = world.page(1, AT, &[text("b")]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 1));
    let row = world
        .database
        .text("SELECT concat_ws('|', tableoid::regclass, id, name) FROM t");
    assert_eq!(row.await, "b|1|b");
    // The key is mapped itself: the pair follows it.
    let read = world
        .store
        .read_pairs(&[page_id(1)])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(read.head.unwrap().row_key.0, ["1", "b"]);
    // No partition takes this value: the field is parked.
    let page = world.page(1, LATER, &[text("c")]);
    assert_eq!(world.written(&page).await, (Outcome::Failed, 0));
}
