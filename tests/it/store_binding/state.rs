use std::time::Duration;

use notion_sync_operator::store::{BindingStore, PairRecord, Progress};
use notion_sync_operator::sync::drift::{Discrepancy, DriftKind};
use notion_sync_operator::sync::identity::{PropertyId, RowKey};
use notion_sync_operator::sync::page::PropertyType;
use notion_sync_operator::sync::pair::{FieldBase, PairHash};
use notion_sync_operator::sync::reason::FieldReason;
use serde_json::{Value, json};

use super::world::{World, page_id, text};

/// Rows 1 to 8; page ids in `column_type` as `pages` has them.
async fn world(column_type: &str, pages: &[(i64, String)]) -> World {
    let row =
        |(id, page): &(i64, String)| format!("INSERT INTO t VALUES ({id}, '{page}', 'row {id}');");
    let ddl = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page {column_type}, name text); {}",
        pages.iter().map(row).collect::<String>()
    );
    World::new(&ddl, &[("name", PropertyType::Title)]).await
}

fn mixed(id: u128) -> String {
    let lower = page_id(id).to_string();
    lower.replacen('a', "A", 1)
}

fn record(id: u128) -> PairRecord {
    PairRecord {
        resolved: Vec::new(),
        page_id: page_id(id),
        row_key: Some(RowKey(vec![id.to_string()])),
        hash: Some(PairHash([7; 16])),
        last_edited: "2026-11-20T10:00:00Z".parse().ok(),
        settle: Vec::new(),
        discrepancies: Vec::new(),
    }
}

fn base(notion: &str, reason: Option<FieldReason>) -> FieldBase {
    FieldBase {
        property: PropertyId::new("name"),
        kind: PropertyType::Title,
        notion: text(notion),
        postgres: Some(notion.to_owned()),
        reason,
    }
}

fn found(id: u128, kind: DriftKind, column: Option<&str>, value: Value) -> Discrepancy {
    Discrepancy {
        kind,
        page_id: Some(page_id(id)),
        row_key: Some(RowKey(vec![id.to_string()])),
        column: column.map(str::to_owned),
        property: Some(PropertyId::new("a%25b")),
        reason: None,
        notion: Some(value),
        postgres: Some(Value::Null),
    }
}

#[tokio::test]
async fn rows_are_found_however_their_page_id_is_spelled() {
    let rows = [
        (1, page_id(1).to_string()),
        (2, page_id(2).to_string().to_uppercase()),
        (3, page_id(3).0.simple().to_string()),
        (4, page_id(4).0.simple().to_string().to_uppercase()),
        (5, mixed(5)),
        (6, "not an id".to_owned()),
        (7, page_id(1).0.simple().to_string()),
        (8, mixed(4)),
    ];
    for kind in ["text", "varchar", "varchar(40)"] {
        let world = world(kind, &rows).await;
        let pages: Vec<_> = [1, 2, 3, 4, 5, 9, 2].map(page_id).into();
        let mut read = world.store.read_pairs(&pages).await.unwrap();
        read.sort_by_key(|pair| pair.page_id);
        let keys = |pair: &notion_sync_operator::sync::pair::PairRead| {
            let mut keys: Vec<_> = pair.rows.iter().map(|row| row.key.0.join(",")).collect();
            keys.sort();
            keys.join(" ")
        };
        let keys: Vec<_> = read.iter().map(keys).collect();
        assert_eq!(keys, ["1 7", "2", "3", "4 8", "5", ""], "{kind}");
        assert_eq!(read[1].rows[0].values, [Some("row 2".to_owned())]);
        let linked = world.store.linked_pages().await.unwrap();
        assert_eq!(linked, [1, 2, 3, 4, 5].map(page_id));
        // A spelling that appears later is found as soon as the last look is too old.
        world
            .database
            .execute(&format!("INSERT INTO t VALUES (9, '{}', NULL)", mixed(9)))
            .await;
        let found = async {
            while world.store.read_pairs(&[page_id(9)]).await.unwrap()[0]
                .rows
                .is_empty()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found)
            .await
            .expect("found");
    }
    let world = world("uuid", &rows[..5]).await;
    let read = world
        .store
        .read_pairs(&[1, 2, 3, 4, 5, 9].map(page_id))
        .await
        .unwrap();
    assert_eq!(read.iter().map(|pair| pair.rows.len()).sum::<usize>(), 5);
    assert!(world.store.read_pairs(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn looks_are_recorded_and_equal_ones_write_nothing() {
    let world = world("uuid", &[]).await;
    let mut first = record(1);
    first.settle = vec![("name".into(), base("a", Some(FieldReason::NotAccepted)))];
    first.discrepancies = vec![
        found(1, DriftKind::Failed, Some("name"), json!("nul \0 inside")),
        found(
            1,
            DriftKind::Mismatch,
            Some("other"),
            json!({"n": 1e15, "t": "\\u0000"}),
        ),
    ];
    let mut second = record(2);
    second.discrepancies = vec![found(2, DriftKind::OrphanedPage, None, Value::Null)];
    let batch = || vec![first.clone(), second.clone()];
    world.store.record(batch()).await.unwrap();
    let versions = "SELECT string_agg(v, ' ' ORDER BY v) FROM (
        SELECT concat('p', xmin, ctid) AS v FROM notion_sync.pairs
        UNION ALL SELECT concat('d', xmin, id) FROM notion_sync.discrepancies) AS s";
    let before = world.database.text(versions).await;
    world.store.record(batch()).await.unwrap();
    assert_eq!(world.database.text(versions).await, before);
    let value = "SELECT notion #>> '{}' FROM notion_sync.discrepancies WHERE kind = 'Failed'";
    assert_eq!(world.database.text(value).await, "nul \u{fffd} inside");

    // New bases join the old ones; a settled field loses its reason; the newest time stays.
    let mut next = record(1);
    next.last_edited = "2026-11-20T09:00:00Z".parse().ok();
    next.row_key = Some(RowKey(vec!["5".into()]));
    next.settle = vec![
        ("name".into(), base("a", None)),
        ("more".into(), base("b", None)),
    ];
    world.store.record(vec![next]).await.unwrap();
    let bases = world
        .store
        .read_bases(&[page_id(1), page_id(2)])
        .await
        .unwrap();
    assert_eq!(bases.len(), 1);
    assert_eq!(bases[&page_id(1)]["name"], base("a", None));
    assert_eq!(bases[&page_id(1)].len(), 2);
    let head = world
        .store
        .read_pairs(&[page_id(1)])
        .await
        .unwrap()
        .remove(0)
        .head
        .unwrap();
    assert_eq!(head.row_key.0, ["5"]);
    assert_eq!(head.last_edited_seen, "2026-11-20T10:00:00Z".parse().ok());
    assert_eq!(head.hash, Some(PairHash([7; 16])));
    assert_eq!(
        world
            .database
            .texts("SELECT kind FROM notion_sync.discrepancies")
            .await,
        ["OrphanedPage"]
    );

    let mut gone = record(2);
    gone.row_key = None;
    world.store.record(vec![gone]).await.unwrap();
    assert_eq!(world.store.recorded_pages().await.unwrap(), [page_id(1)]);
}

#[tokio::test]
async fn a_base_of_an_unknown_form_is_no_base() {
    let world = world("uuid", &[]).await;
    let mut one = record(1);
    one.settle = vec![
        ("name".into(), base("a", None)),
        ("other".into(), base("b", None)),
    ];
    world.store.record(vec![one]).await.unwrap();
    world
        .database
        .execute("UPDATE notion_sync.pairs SET base = jsonb_set(base, '{other,notion}', '{\"hologram\": 1}')")
        .await;
    let bases = world.store.read_bases(&[page_id(1)]).await.unwrap();
    assert_eq!(bases[&page_id(1)].keys().collect::<Vec<_>>(), ["name"]);
}

#[tokio::test]
async fn forgetting_keeps_the_base_of_a_deleted_row_only() {
    let rows = [
        (1, page_id(1).to_string()),
        (2, page_id(2).to_string()),
        (3, page_id(3).to_string()),
    ];
    let world = world("text", &rows).await;
    let mut records: Vec<_> = [1, 2, 3].map(record).into();
    records[0].discrepancies = vec![found(1, DriftKind::Mismatch, Some("name"), json!(1))];
    world.store.record(records).await.unwrap();
    world
        .database
        .execute("UPDATE t SET page = NULL WHERE id = 1; DELETE FROM t WHERE id = 2")
        .await;
    world.store.forget(&[1, 2, 3].map(page_id)).await.unwrap();
    let left = "SELECT row_key ->> 0 FROM notion_sync.pairs ORDER BY 1";
    assert_eq!(world.database.texts(left).await, ["2", "3"]);
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM notion_sync.discrepancies")
            .await,
        0
    );
}

#[tokio::test]
async fn the_report_adds_up() {
    let rows = [1_u8, 2, 3, 4].map(|id| (i64::from(id), page_id(id.into()).to_string()));
    let world = world("text", &rows).await;
    world
        .database
        .execute("INSERT INTO t SELECT g, NULL, '' FROM generate_series(101, 1300) AS g")
        .await;
    let mut records: Vec<_> = (1..=4).map(record).collect();
    records[0].discrepancies = (0..20)
        .map(|number| {
            found(
                1,
                DriftKind::Mismatch,
                Some(&format!("c{number}")),
                json!(number),
            )
        })
        .collect();
    records[1].discrepancies = vec![found(2, DriftKind::MissingPage, None, Value::Null)];
    records[2].discrepancies = vec![found(3, DriftKind::Conflict, Some("name"), json!("x"))];
    let mut orphan = record(9);
    orphan.row_key = None;
    orphan.discrepancies = vec![found(9, DriftKind::OrphanedPage, None, Value::Null)];
    records.push(orphan);
    world.store.record(records).await.unwrap();
    let counted = world.store.count_table().await.unwrap();
    assert_eq!(
        (
            counted.rows,
            counted.unlinked,
            counted.unlinked_samples.len()
        ),
        (1204, 1200, 1000)
    );
    assert_eq!(counted.unlinked_samples[0].0, ["101"]);
    let version = "SELECT concat(max(id), (SELECT xmin FROM notion_sync.bindings)) FROM notion_sync.discrepancies";
    let before = world.database.text(version).await;
    world.store.count_table().await.unwrap();
    assert_eq!(world.database.text(version).await, before);

    let progress = Progress {
        last_full_scan: "2026-11-20T10:00:00Z".parse().ok(),
        ..Progress::default()
    };
    world.store.save_progress(&progress).await.unwrap();
    assert_eq!(world.store.progress().await.unwrap(), progress);
    let report = world.store.report().await.unwrap();
    assert_eq!(report.checked_at, progress.last_full_scan);
    let drift = report.drift;
    assert_eq!(
        (drift.mismatched, drift.missing_pages, drift.conflicts),
        (20, 1, 1)
    );
    assert_eq!(
        (drift.orphaned_pages, drift.unlinked_rows, drift.count()),
        (1, 1200, 22)
    );
    let counts = report.counts;
    assert_eq!((counts.pages, counts.rows, counts.linked), (4, 1204, 4));
    assert_eq!(report.samples.len(), 10);
    for kind in [
        DriftKind::Mismatch,
        DriftKind::Conflict,
        DriftKind::MissingPage,
        DriftKind::OrphanedPage,
        DriftKind::UnlinkedRow,
    ] {
        assert!(
            report.samples.iter().any(|sample| sample.kind == kind),
            "{kind:?}"
        );
    }
    // An id that holds a percent sign survives.
    assert_eq!(report.samples[0].property, Some(PropertyId::new("a%25b")));
}
