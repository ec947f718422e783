use notion_sync_operator::store::StoreError;
use notion_sync_operator::store::catalog::{TableHandle, inspect};
use notion_sync_operator::store::ident::Statement;
use notion_sync_operator::sync::column::ColumnKind;
use notion_sync_operator::sync::identity::BindingRef;
use notion_sync_operator::sync::mapping::{
    BindingPlan, ConflictPolicy, Direction, DriftPolicy, FieldMapping, OnLossyWrite,
    OnUnknownValue, PropertySelector,
};
use notion_sync_operator::sync::policy::Policies;
use notion_sync_operator::sync::reason::Reason;

use super::database::Database;

/// A plan that maps the columns to properties of the same name.
pub(crate) fn plan(schema: &str, table: &str, page_id: &str, columns: &[&str]) -> BindingPlan {
    let field = |column: &&str| FieldMapping {
        column: (*column).to_owned(),
        property: PropertySelector::Name((*column).to_owned()),
        values: Vec::new(),
        on_unknown_value: OnUnknownValue::Reject,
        direction: Direction::ToPostgres,
        conflict_policy: ConflictPolicy::NewestWins,
        on_lossy_write: OnLossyWrite::Reject,
    };
    BindingPlan {
        binding: BindingRef {
            namespace: "team-a".into(),
            name: "projects".into(),
        },
        schema: schema.into(),
        table: table.into(),
        page_id_column: page_id.into(),
        updated_at_column: None,
        audit_table: "audit_logs".into(),
        direction: Direction::ToPostgres,
        drift_policy: DriftPolicy::Report,
        policies: Policies::default(),
        fields: columns.iter().map(field).collect(),
    }
}

async fn look(database: &Database, plan: &BindingPlan) -> Result<TableHandle, StoreError> {
    inspect(&database.pool().await, plan).await
}

async fn reason(database: &Database, plan: &BindingPlan) -> Reason {
    look(database, plan).await.expect_err("refused").reason()
}

#[tokio::test]
async fn weird_names_are_found_and_quoted() {
    let database = Database::create().await;
    let cases = [
        ("public", "projects", "notionPageId", "name"),
        ("Team A", "Order", "select", "Mixed Case"),
        (
            "s\"x",
            "t\"; DROP TABLE victim; --",
            "p\"\"q",
            "c'); DELETE",
        ),
        ("ünï", "таблица", "页", "😀"),
        ("a.b", "c.d", " lead", "trail "),
        ("$1", "{}", "%s", "\\"),
    ];
    database
        .execute("CREATE TABLE public.victim (id int)")
        .await;
    for (schema, table, page_id, column) in cases {
        let q = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        database
            .execute(&format!(
                "CREATE SCHEMA IF NOT EXISTS {0}; CREATE TABLE {0}.{1}
                 ({2} text, {3} text, \"the Id\" int PRIMARY KEY);
                 INSERT INTO {0}.{1} VALUES ('p', 'v', 5)",
                q(schema),
                q(table),
                q(page_id),
                q(column)
            ))
            .await;
        let handle = look(&database, &plan(schema, table, page_id, &[column]))
            .await
            .unwrap();
        assert_eq!(
            (handle.table.schema.as_str(), handle.table.name.as_str()),
            (schema, table)
        );
        let sql = Statement::new("SELECT ")
            .column(&handle.columns[column])
            .text(" FROM ")
            .table(&handle.table)
            .text(" WHERE ")
            .column(&handle.key[0])
            .text(" = ")
            .parameter(1)
            .text("::text::")
            .type_of(&handle.key[0])
            .sql();
        let value: String = sqlx::query_scalar(sql)
            .bind("5")
            .fetch_one(&database.pool().await)
            .await
            .unwrap();
        assert_eq!(value, "v");
    }
    assert_eq!(
        database.number("SELECT count(*) FROM public.victim").await,
        0
    );
    let wrong_case = plan("public", "projects", "notionpageid", &[]);
    let error = look(&database, &wrong_case).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ColumnNotFound);
    assert!(error.to_string().contains("\"notionPageId\""), "{error}");
    for table in ["projects\"", "projects; --", "Projects", "", "pro\0jects"] {
        let plan = plan("public", table, "notionPageId", &[]);
        assert_eq!(
            reason(&database, &plan).await,
            Reason::TableNotFound,
            "{table:?}"
        );
    }
}

#[tokio::test]
async fn every_type_is_described() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE TYPE public.mood AS ENUM ('sad', 'ok');
             ALTER TYPE public.mood ADD VALUE 'meh' BEFORE 'ok';
             CREATE DOMAIN public.short AS varchar(10);
             CREATE DOMAIN public.shorter AS public.short NOT NULL;
             CREATE DOMAIN public.feeling AS public.mood;
             CREATE DOMAIN public.feelings AS public.mood[] NOT NULL;
             CREATE TABLE public.t (
                 id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, page varchar(36),
                 a text NOT NULL, b varchar(20), c char(3), d public.shorter, e public.feeling,
                 f boolean, g smallint, h integer, i numeric, j numeric(10,2), k real,
                 l double precision, m date, n timestamp(0), o timestamptz(3), p uuid, q jsonb,
                 r text[], r2 varchar(20)[], r3 uuid[], r4 public.feeling[], r5 public.feelings,
                 r6 public.short[], r7 numeric(10,2)[], r8 timestamptz(0)[], r9 point[],
                 r10 int2vector, s integer GENERATED ALWAYS AS (g + 1) STORED, t timestamptz, u bpchar)",
        )
        .await;
    let letters = ('a'..='u').map(String::from);
    let names: Vec<String> = letters.chain((2..=10).map(|n| format!("r{n}"))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let handle = look(&database, &plan("public", "t", "page", &names))
        .await
        .unwrap();
    assert!(handle.stopped.is_empty() && handle.key_is_plain);
    assert!(handle.key[0].generated && !handle.key[0].nullable);
    let text = |max_chars| ColumnKind::Text { max_chars };
    let mood = ColumnKind::Enum {
        labels: vec!["sad".into(), "meh".into(), "ok".into()],
    };
    let array = |element| ColumnKind::Array {
        element: Box::new(element),
    };
    let expected = [
        ("a", text(None)),
        ("b", text(Some(20))),
        ("c", text(Some(3))),
        ("d", text(Some(10))),
        ("e", mood.clone()),
        ("f", ColumnKind::Boolean),
        ("g", ColumnKind::Integer { bits: 16 }),
        ("h", ColumnKind::Integer { bits: 32 }),
        ("i", ColumnKind::Numeric { declared: None }),
        (
            "j",
            ColumnKind::Numeric {
                declared: Some((10, 2)),
            },
        ),
        ("k", ColumnKind::Float { bits: 32 }),
        ("l", ColumnKind::Float { bits: 64 }),
        ("m", ColumnKind::Date),
        ("n", ColumnKind::Timestamp { precision: 0 }),
        ("o", ColumnKind::TimestampTz { precision: 3 }),
        ("p", ColumnKind::Uuid),
        ("q", ColumnKind::Json),
        ("r", array(text(None))),
        ("r2", array(text(Some(20)))),
        ("r3", array(ColumnKind::Uuid)),
        ("r4", array(mood.clone())),
        ("r5", array(mood)),
        ("r6", array(text(Some(10)))),
        (
            "r7",
            array(ColumnKind::Numeric {
                declared: Some((10, 2)),
            }),
        ),
        ("r8", array(ColumnKind::TimestampTz { precision: 0 })),
        ("r9", ColumnKind::Other("point[]".into())),
        ("r10", ColumnKind::Other("int2vector".into())),
        ("s", ColumnKind::Integer { bits: 32 }),
        ("t", ColumnKind::TimestampTz { precision: 6 }),
        ("u", text(None)),
    ];
    for (name, kind) in expected {
        assert_eq!(handle.columns[name].kind, kind, "{name}");
    }
    assert_eq!(handle.columns["d"].type_sql, "\"pg_catalog\".\"varchar\"");
    assert_eq!(handle.columns["e"].type_sql, "\"public\".\"mood\"");
    assert_eq!(handle.columns["r2"].type_sql, "\"pg_catalog\".\"_varchar\"");
    assert_eq!(handle.columns["r5"].type_sql, "\"public\".\"_mood\"");
    assert!(handle.columns["r4"].nullable && !handle.columns["r5"].nullable);
    assert!(!handle.columns["a"].nullable && !handle.columns["d"].nullable);
    assert!(handle.columns["b"].nullable && handle.columns["s"].generated);
}

/// The columns of a row key, and whether it may be shown in clear.
type Key<'a> = (&'a [&'a str], bool);

#[tokio::test]
async fn a_row_key_is_found_or_missed() {
    let database = Database::create().await;
    let cases: [(&str, Option<Key<'_>>); 8] = [
        ("id int, page uuid, PRIMARY KEY (id)", Some((&["id"], true))),
        (
            "a int, b text, page uuid, PRIMARY KEY (b, a)",
            Some((&["b", "a"], false)),
        ),
        (
            "a int NOT NULL, b int NOT NULL, page uuid, UNIQUE (b, a), UNIQUE (a)",
            Some((&["a"], true)),
        ),
        ("a int, page uuid, UNIQUE (a)", None),
        ("a int NOT NULL, page uuid", None),
        (
            "a public.needed, page uuid, UNIQUE (a)",
            Some((&["a"], true)),
        ),
        (
            "a int NOT NULL, b text, page uuid, EXCLUDE (a WITH =)",
            None,
        ),
        (
            "a uuid NOT NULL UNIQUE, b int NOT NULL, page uuid",
            Some((&["a"], true)),
        ),
    ];
    database
        .execute("CREATE DOMAIN public.needed AS int NOT NULL")
        .await;
    for (index, (columns, expected)) in cases.into_iter().enumerate() {
        let table = format!("t{index}");
        database
            .execute(&format!("CREATE TABLE public.{table} ({columns})"))
            .await;
        let found = look(&database, &plan("public", &table, "page", &[])).await;
        match expected {
            Some((names, plain)) => {
                let handle = found.unwrap();
                let key: Vec<&str> = handle.key.iter().map(|key| key.name.as_str()).collect();
                assert_eq!(
                    (key.as_slice(), handle.key_is_plain),
                    (names, plain),
                    "{columns}"
                );
            }
            None => assert_eq!(found.unwrap_err().reason(), Reason::NoRowKey, "{columns}"),
        }
    }
    database
        .execute(
            "CREATE TABLE public.partial (a int NOT NULL, page uuid);
             CREATE UNIQUE INDEX ON public.partial (a) WHERE a > 0;
             CREATE UNIQUE INDEX ON public.partial ((a + 1))",
        )
        .await;
    let plan = plan("public", "partial", "page", &[]);
    assert_eq!(reason(&database, &plan).await, Reason::NoRowKey);
}

#[tokio::test]
async fn only_tables_are_bound() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE TABLE public.part (id int, page uuid, PRIMARY KEY (id)) PARTITION BY HASH (id);
             CREATE VIEW public.v AS SELECT * FROM public.part;
             CREATE MATERIALIZED VIEW public.m AS SELECT * FROM public.part;
             CREATE SEQUENCE public.s; CREATE SCHEMA notion_sync;
             CREATE TABLE notion_sync.bindings (id int PRIMARY KEY, page uuid)",
        )
        .await;
    look(&database, &plan("public", "part", "page", &[]))
        .await
        .unwrap();
    for (schema, table) in [
        ("public", "v"),
        ("public", "m"),
        ("public", "s"),
        ("public", "part_pkey"),
        ("pg_catalog", "pg_class"),
        ("information_schema", "sql_features"),
        ("notion_sync", "bindings"),
    ] {
        let plan = plan(schema, table, "page", &[]);
        let reason = reason(&database, &plan).await;
        assert_eq!(reason, Reason::TableKindNotSupported, "{schema}.{table}");
    }
    assert_eq!(
        reason(&database, &plan("no", "t", "page", &[])).await,
        Reason::TableNotFound
    );
}

#[tokio::test]
async fn page_id_and_updated_at_have_their_types() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE DOMAIN public.page_ref AS uuid;
             CREATE TABLE public.t (id int PRIMARY KEY, a text, b varchar(40), c uuid,
                 d public.page_ref, e int, f char(36), g jsonb, h timestamptz, i timestamp, j date)",
        )
        .await;
    for column in ["a", "b", "c", "d"] {
        look(&database, &plan("public", "t", column, &[]))
            .await
            .unwrap();
    }
    for column in ["e", "f", "g"] {
        let plan = plan("public", "t", column, &[]);
        assert_eq!(
            reason(&database, &plan).await,
            Reason::ColumnTypeMismatch,
            "{column}"
        );
    }
    let with = |updated_at: &str| BindingPlan {
        updated_at_column: Some(updated_at.into()),
        ..plan("public", "t", "a", &[])
    };
    assert_eq!(
        look(&database, &with("h"))
            .await
            .unwrap()
            .updated_at
            .unwrap()
            .name,
        "h"
    );
    look(&database, &with("i")).await.unwrap();
    assert_eq!(
        reason(&database, &with("j")).await,
        Reason::ColumnTypeMismatch
    );
    assert_eq!(reason(&database, &with("z")).await, Reason::ColumnNotFound);
    let handle = look(&database, &plan("public", "t", "a", &["b", "nope"]))
        .await
        .unwrap();
    assert!(handle.columns.contains_key("b"));
    assert_eq!(handle.stopped[0].reason, Reason::ColumnNotFound);
}
