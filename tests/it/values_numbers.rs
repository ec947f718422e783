//! Numbers and checkboxes into every column type that their line of `docs/TYPES.md` names.

use serde_json::json;

use crate::table::{Cell, ColumnSpec, Things, is};

const COLUMNS: &[ColumnSpec] = &[
    ("small", "smallint", "Price"),
    ("whole", "integer", "Price"),
    ("big", "bigint", "Price"),
    ("exact", "numeric", "Price"),
    ("scaled", "numeric(10,2)", "Price"),
    ("single", "real", "Price"),
    ("double", "double precision", "Price"),
    ("amount", "amount", "Price"),
    ("required", "required_count DEFAULT 7", "Price"),
    ("ready", "boolean", "Ready"),
    ("ready_required", "boolean NOT NULL DEFAULT true", "Ready"),
];

const TYPES: &str = "CREATE DOMAIN amount AS numeric(10,2);
    CREATE DOMAIN required_count AS integer NOT NULL";

const OUT: Cell = Cell::Failed("NotRepresentable", None);

fn kept(text: &'static str) -> Cell {
    Cell::Failed("NotRepresentable", Some(text))
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
async fn numbers_go_into_every_numeric_column() {
    let schema = json!({"Name": {"title": {}}, "Price": {"number": {}}, "Ready": {"checkbox": {}}});
    let things = Things::set("values-numbers", schema, COLUMNS, TYPES).await;
    let hundred = format!("1{}", "0".repeat(300));
    let both = |price: serde_json::Value, ready: bool| json!({"Price": {"number": price}, "Ready": {"checkbox": ready}});
    let steps = [
        // NULL and an empty checkbox are one and the same; nothing is written for it.
        (
            "a fraction",
            both(json!(19.555), false),
            vec![
                OUT,
                OUT,
                OUT,
                is("19.555"),
                is("19.56"),
                is("19.555"),
                is("19.555"),
                is("19.56"),
                kept("7"),
                Cell::Null,
                is("false"),
            ],
        ),
        (
            "whole",
            both(json!(42), true),
            vec![
                is("42"),
                is("42"),
                is("42"),
                is("42"),
                is("42.00"),
                is("42"),
                is("42"),
                is("42.00"),
                is("42"),
                is("true"),
                is("true"),
            ],
        ),
        (
            "beyond smallint",
            both(json!(-40_000), false),
            vec![
                kept("42"),
                is("-40000"),
                is("-40000"),
                is("-40000"),
                is("-40000.00"),
                is("-40000"),
                is("-40000"),
                is("-40000.00"),
                is("-40000"),
                is("false"),
                is("false"),
            ],
        ),
        (
            "the edge of doubles",
            both(json!(9_007_199_254_740_991_i64), true),
            vec![
                kept("42"),
                kept("-40000"),
                is("9007199254740991"),
                is("9007199254740991"),
                kept("-40000.00"),
                kept("-40000"),
                is("9.007199254740991e+15"),
                kept("-40000.00"),
                kept("-40000"),
                is("true"),
                is("true"),
            ],
        ),
        (
            "half a cent",
            both(json!(-0.005), true),
            vec![
                kept("42"),
                kept("-40000"),
                kept("9007199254740991"),
                is("-0.005"),
                is("-0.01"),
                is("-0.005"),
                is("-0.005"),
                is("-0.01"),
                kept("-40000"),
                is("true"),
                is("true"),
            ],
        ),
        (
            "a huge exponent",
            both(json!(1e300), true),
            vec![
                kept("42"),
                kept("-40000"),
                kept("9007199254740991"),
                is(&hundred),
                kept("-0.01"),
                kept("-0.005"),
                is("1e+300"),
                kept("-0.01"),
                kept("-40000"),
                is("true"),
                is("true"),
            ],
        ),
        (
            "a tiny number",
            both(json!(1e-7), true),
            vec![
                kept("42"),
                kept("-40000"),
                kept("9007199254740991"),
                is("0.0000001"),
                is("0.00"),
                is("1e-07"),
                is("1e-07"),
                is("0.00"),
                kept("-40000"),
                is("true"),
                is("true"),
            ],
        ),
        (
            "empty",
            both(json!(null), false),
            vec![
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Null,
                kept("-40000"),
                is("false"),
                is("false"),
            ],
        ),
        (
            "zero",
            both(json!(0), true),
            vec![
                is("0"),
                is("0"),
                is("0"),
                is("0"),
                is("0.00"),
                is("0"),
                is("0"),
                is("0.00"),
                is("0"),
                is("true"),
                is("true"),
            ],
        ),
    ];
    things.walk(&json!({}), &steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_beyond_doubles_are_stored_as_the_json_says() {
    let schema = json!({"Name": {"title": {}}, "Price": {"number": {}}});
    let columns: &[ColumnSpec] = &[
        ("big", "bigint", "Price"),
        ("exact", "numeric", "Price"),
        ("double", "double precision", "Price"),
    ];
    let things = Things::set("values-2-53", schema, columns, "").await;
    // The imitation keeps doubles, as Notion does: 2^53 + 1 is shown as 2^53, in its own spelling.
    let page = things
        .page(json!({"Price": {"number": 9_007_199_254_740_993_i64}}))
        .await;
    things.bind(&things.spec(&json!({}))).await;
    let cells = things.cells(page).await;
    assert_eq!(cells[0].as_deref(), Some("9007199254740992"));
    let exact: f64 = cells[1].as_deref().unwrap().parse().unwrap();
    assert!(
        (exact - 9_007_199_254_740_992.0).abs() < f64::EPSILON,
        "{cells:?}"
    );
    assert_eq!(cells[2].as_deref(), Some("9.007199254740992e+15"));
    things.expect_rest("2^53").await;
    // The other direction's loss is no reason to write either: 2^53 + 1 is drift and stays.
    things
        .stage
        .sql("UPDATE things SET big = 9007199254740993")
        .await;
    things.full_scan().await;
    assert_eq!(
        things.cells(page).await[0].as_deref(),
        Some("9007199254740993")
    );
    assert_eq!(
        things.stage.binding("things").await["status"]["drift"]["mismatched"],
        1
    );
    things.expect_rest("2^53 + 1 by hand").await;
}
