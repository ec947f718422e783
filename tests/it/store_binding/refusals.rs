use notion_sync_operator::metrics::ReasonLabel;
use notion_sync_operator::store::{Applied, BindingStore};
use notion_sync_operator::sync::drift::DriftKind;
use notion_sync_operator::sync::event::Outcome;
use notion_sync_operator::sync::mapping::ConflictPolicy;
use notion_sync_operator::sync::page::{PropertyType, PropertyValue};
use notion_sync_operator::sync::reason::FieldReason;

use super::world::{Mapped, World, number, page_id, text};

const NAME: Mapped<'static> = ("name", PropertyType::Title);
const AT: &str = "2026-11-20T10:00:00Z";

async fn world(columns: &str, more: &str, fields: &[Mapped<'_>]) -> World {
    let ddl = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page text, {columns});
         INSERT INTO t (id, page) VALUES (1, '{}'); {more}",
        page_id(1)
    );
    World::new(&ddl, fields).await
}

async fn parked(world: &World, column: &str) -> Option<FieldReason> {
    let mut bases = world.store.read_bases(&[page_id(1)]).await.unwrap();
    bases
        .remove(&page_id(1))
        .and_then(|base| base[column].reason)
}

/// The version of the only row: another one after any write.
async fn version(world: &World) -> String {
    world
        .database
        .text("SELECT concat(xmin, ctid) FROM t")
        .await
}

#[tokio::test]
async fn one_bad_column_does_not_keep_the_others() {
    let fields = [
        NAME,
        ("price", PropertyType::Number),
        ("note", PropertyType::RichText),
    ];
    let columns = "name text, price integer CHECK (price < 100), note text";
    let world = world(columns, "", &fields).await;
    let page = world.page(1, AT, &[text("a"), number("100"), text("b")]);
    let applied = world.apply(&page).await;
    let Applied::Done {
        outcome,
        fields_written,
        discrepancies,
        ..
    } = applied
    else {
        panic!("{applied:?}");
    };
    assert_eq!(
        (outcome, fields_written, discrepancies.len()),
        (Outcome::Applied, 2, 1)
    );
    assert_eq!(discrepancies[0].kind, DriftKind::Failed);
    assert_eq!(discrepancies[0].reason.as_deref(), Some("NotAccepted"));
    assert_eq!(
        world
            .database
            .text("SELECT concat_ws('|', name, price, note) FROM t")
            .await,
        "a|b"
    );
    assert_eq!(
        parked(&world, "price").await,
        Some(FieldReason::NotAccepted)
    );
    assert_eq!(world.audited().await["result"]["reason"], "NotAccepted");
    let failures = world
        .metrics
        .field_failures
        .get_or_create(&ReasonLabel::new("NotAccepted"));
    assert_eq!(failures.get(), 1);

    // It is parked: nothing is tried again until either side changes.
    let before = version(&world).await;
    assert_eq!(world.written(&page).await, (Outcome::Failed, 0));
    assert_eq!(version(&world).await, before);
    assert_eq!(failures.get(), 1);
    let page = world.page(1, AT, &[text("a"), number("99"), text("b")]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 1));
    assert_eq!(parked(&world, "price").await, None);
}

#[tokio::test]
async fn columns_that_depend_on_each_other_find_their_order() {
    let fields = [
        ("first", PropertyType::Number),
        ("last", PropertyType::Number),
        ("bad", PropertyType::Number),
    ];
    let columns = "first int DEFAULT 1, last int DEFAULT 2, bad int CHECK (bad < 0), \
                   CHECK (first <= last)";
    let world = world(columns, "", &fields).await;
    let page = world.page(1, AT, &[number("10"), number("20"), number("5")]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 2));
    assert_eq!(
        world
            .database
            .text("SELECT concat_ws('|', first, last, bad) FROM t")
            .await,
        "10|20"
    );
}

#[tokio::test]
async fn whatever_the_server_judges_marks_the_field_alone() {
    let fields = [
        ("name", PropertyType::Title),
        ("unique_name", PropertyType::RichText),
        ("short", PropertyType::RichText),
        ("parent", PropertyType::Number),
        ("kind", PropertyType::Select),
        ("indexed", PropertyType::RichText),
        ("required", PropertyType::Number),
    ];
    let columns = "name text, unique_name text UNIQUE, short three, \
                   parent bigint REFERENCES t DEFERRABLE INITIALLY DEFERRED, kind letters, \
                   indexed text, required int NOT NULL DEFAULT 7";
    let ddl = format!(
        "CREATE DOMAIN three AS text CHECK (length(VALUE) <= 3); CREATE TYPE letters AS ENUM ('a');
         CREATE TABLE t (id bigint PRIMARY KEY, page text, {columns});
         CREATE INDEX ON t (indexed);
         INSERT INTO t (id, page, unique_name) VALUES (1, '{}', 'mine'), (2, NULL, 'taken')",
        page_id(1)
    );
    let world = World::new(&ddl, &fields).await;
    let random: String = (0..1_000)
        .map(|_| uuid::Uuid::new_v4().to_string())
        .collect();
    let page = world.page(
        1,
        AT,
        &[
            text("fine"),
            text("taken"),
            text("four"),
            number("99"),
            PropertyValue::Choice(Some("b".into())),
            text(&random),
            PropertyValue::Number(None),
        ],
    );
    let applied = world.apply(&page).await;
    let Applied::Done {
        outcome,
        fields_written,
        discrepancies,
        ..
    } = applied
    else {
        panic!("{applied:?}");
    };
    assert_eq!((outcome, fields_written), (Outcome::Applied, 1));
    let failed: Vec<_> = discrepancies
        .iter()
        .map(|one| {
            (
                one.column.as_deref().unwrap(),
                one.reason.as_deref().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("unique_name", "NotAccepted"),
        ("short", "NotAccepted"),
        ("parent", "NotAccepted"),
        ("kind", "NotRepresentable"),
        ("indexed", "NotAccepted"),
        ("required", "NotRepresentable"),
    ];
    assert_eq!(failed, expected);
    let before = world
        .database
        .text("SELECT concat(xmin, ctid) FROM t WHERE id = 1")
        .await;
    assert_eq!(world.written(&page).await, (Outcome::Failed, 0));
    let after = world
        .database
        .text("SELECT concat(xmin, ctid) FROM t WHERE id = 1")
        .await;
    assert_eq!(before, after);
}

const SHOUT: &str = "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN NEW.name := upper(NEW.name); RETURN NEW; END$$;
    CREATE TRIGGER shout BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION shout()";

#[tokio::test]
async fn a_trigger_that_changes_the_value_is_not_fought() {
    let world = world("name text", SHOUT, &[NAME]).await;
    let page = world.page(1, AT, &[text("quiet")]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 1));
    assert_eq!(world.audited().await["result"]["changes"][0]["to"], "QUIET");
    assert_eq!(parked(&world, "name").await, Some(FieldReason::NotAccepted));
    let before = version(&world).await;
    for _ in 0..3 {
        assert_eq!(world.written(&page).await, (Outcome::Failed, 0));
    }
    assert_eq!(version(&world).await, before);
    // An edit that the trigger leaves alone is in step again.
    let page = world.page(1, AT, &[text("LOUD")]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 1));
    assert_eq!(parked(&world, "name").await, None);
}

#[tokio::test]
async fn triggers_that_swallow_or_refuse_the_update_park_the_field() {
    for body in ["RETURN NULL;", "RAISE EXCEPTION 'no'; RETURN NEW;"] {
        let trigger = format!(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body} END$$;
             CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()"
        );
        let world = world("name text", &trigger, &[NAME]).await;
        let page = world.page(1, AT, &[text("new")]);
        assert_eq!(world.written(&page).await, (Outcome::Failed, 0), "{body}");
        assert_eq!(parked(&world, "name").await, Some(FieldReason::NotAccepted));
        assert_eq!(
            world
                .database
                .number("SELECT count(*) FROM audit_logs")
                .await,
            0
        );
    }
}

#[tokio::test]
async fn errors_that_are_not_about_the_row_are_errors() {
    let world = world("name text", "", &[NAME]).await;
    world
        .database
        .execute("ALTER TABLE t RENAME COLUMN name TO other")
        .await;
    let page = world.page(1, AT, &[text("new")]);
    let change = notion_sync_operator::store::PairChange {
        page: &page,
        events: &[],
        sent: &[],
        row_changed_at: None,
    };
    let reason = world.store.apply(change).await.unwrap_err().reason();
    assert_eq!(reason.as_str(), "ColumnNotFound");
}

#[tokio::test]
async fn a_conflict_waits_for_a_person_and_closes_itself() {
    let ddl = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page text, name text);
         INSERT INTO t VALUES (1, '{}', 'postgres')",
        page_id(1)
    );
    let manual = |plan: &mut notion_sync_operator::sync::mapping::BindingPlan| {
        plan.fields[0].conflict_policy = ConflictPolicy::Manual;
    };
    let world = World::with(&ddl, &[NAME], manual).await;
    let page = world.page(1, AT, &[text("notion")]);
    for _ in 0..2 {
        assert_eq!(world.written(&page).await, (Outcome::Conflict, 0));
    }
    let open = "SELECT concat_ws('|', \"column\", row_key, notion, postgres, closed_at)
                FROM notion_sync.conflicts";
    assert_eq!(
        world.database.text(open).await,
        "name|[\"1\"]|\"notion\"|\"postgres\""
    );
    assert_eq!(world.audited().await["result"]["outcome"], "Conflict");
    let page = world.page(1, AT, &[text("notion 2")]);
    world.written(&page).await;
    assert_eq!(
        world.database.text(open).await,
        "name|[\"1\"]|\"notion 2\"|\"postgres\""
    );
    let page = world.page(1, AT, &[text("postgres")]);
    assert_eq!(world.written(&page).await, (Outcome::Unchanged, 0));
    let closed = "SELECT count(*) FROM notion_sync.conflicts WHERE closed_at IS NOT NULL";
    assert_eq!(world.database.number(closed).await, 1);
    assert_eq!(world.store.report().await.unwrap().drift.conflicts, 0);
}
