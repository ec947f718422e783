//! Dates and times into every column type that their line of `docs/TYPES.md` names.

use serde_json::{Value, json};

use crate::table::{Cell, ColumnSpec, Things, is};

const COLUMNS: &[ColumnSpec] = &[
    ("day", "date", "Due"),
    ("local", "timestamp", "Due"),
    ("local_seconds", "timestamp(0)", "Due"),
    ("moment", "timestamptz", "Due"),
    ("moment_seconds", "timestamptz(0)", "Due"),
    ("days", "daterange", "Due"),
    ("moments", "tstzrange", "Due"),
    ("document", "jsonb", "Due"),
    ("day_domain", "due_day", "Due"),
    (
        "required",
        "timestamptz NOT NULL DEFAULT '2000-01-01 00:00:00+00'",
        "Due",
    ),
];

fn due(date: &Value) -> Value {
    json!({"Due": {"date": date}})
}

/// The cells of a date that every column can hold.
fn held(day: &str, clock: &str, days: &str, moments: &str, document: &str) -> Vec<Cell> {
    let (local, moment) = (format!("{day} {clock}"), format!("{day} {clock}+00"));
    vec![
        is(day),
        is(&local),
        is(&local),
        is(&moment),
        is(&moment),
        is(days),
        is(moments),
        is(document),
        is(day),
        is(&moment),
    ]
}

fn range(from: &str, to: &str) -> String {
    format!("[\"{from}+00\",\"{to}+00\"]")
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_go_into_every_column_for_dates() {
    let schema = json!({"Name": {"title": {}}, "Due": {"date": {}}});
    let types = "CREATE DOMAIN due_day AS date CHECK (VALUE > '1900-01-01')";
    let things = Things::set("values-dates", schema, COLUMNS, types).await;
    let (midnight, half) = ("2026-06-27 00:00:00", "2026-06-27 08:30:00");
    let mut backwards = held(
        "2026-07-02",
        "00:00:00",
        "[2026-06-28,2026-07-02)",
        "",
        r#"{"end": "2026-07-01", "start": "2026-07-02"}"#,
    );
    backwards[5] = Cell::Failed("NotRepresentable", Some("[2026-06-28,2026-07-02)"));
    backwards[6] = Cell::Failed(
        "NotRepresentable",
        Some(r#"["2026-06-28 04:30:00+00","2026-07-01 09:00:00+00"]"#),
    );
    let mut empty = vec![Cell::Null; 9];
    empty.push(Cell::Failed(
        "NotRepresentable",
        Some("2026-07-02 00:00:00+00"),
    ));
    let steps = [
        (
            "a day",
            due(&json!({"start": "2026-06-27"})),
            held(
                "2026-06-27",
                "00:00:00",
                "[2026-06-27,2026-06-28)",
                &range(midnight, midnight),
                r#"{"end": null, "start": "2026-06-27"}"#,
            ),
        ),
        (
            "a moment with a zone",
            due(&json!({"start": "2026-06-27T10:30:00+02:00"})),
            held(
                "2026-06-27",
                "08:30:00",
                "[2026-06-27,2026-06-28)",
                &range(half, half),
                r#"{"end": null, "start": "2026-06-27T08:30:00Z"}"#,
            ),
        ),
        (
            "days",
            due(&json!({"start": "2026-06-27", "end": "2026-06-30"})),
            held(
                "2026-06-27",
                "00:00:00",
                "[2026-06-27,2026-07-01)",
                &range(midnight, "2026-06-30 00:00:00"),
                r#"{"end": "2026-06-30", "start": "2026-06-27"}"#,
            ),
        ),
        (
            "moments, the first on another day in UTC",
            due(&json!({"start": "2026-06-27T23:30:00-05:00", "end": "2026-07-01T09:00:00Z"})),
            held(
                "2026-06-28",
                "04:30:00",
                "[2026-06-28,2026-07-02)",
                &range("2026-06-28 04:30:00", "2026-07-01 09:00:00"),
                r#"{"end": "2026-07-01T09:00:00Z", "start": "2026-06-28T04:30:00Z"}"#,
            ),
        ),
        (
            "an end before its start",
            due(&json!({"start": "2026-07-02", "end": "2026-07-01"})),
            backwards,
        ),
        ("empty", due(&json!(null)), empty),
        (
            "a zone by name",
            due(&json!({"start": "2026-01-15T09:00:00", "time_zone": "Europe/Berlin"})),
            held(
                "2026-01-15",
                "08:00:00",
                "[2026-01-15,2026-01-16)",
                &range("2026-01-15 08:00:00", "2026-01-15 08:00:00"),
                r#"{"end": null, "start": "2026-01-15T08:00:00Z"}"#,
            ),
        ),
    ];
    things.walk(&json!({}), &steps).await;

    // A day turns into its own midnight and back: no side holds another value, nothing is written.
    let page = things.stage.notion.pages_of(things.source)[0];
    things.edit(page, due(&json!({"start": "2026-01-15"})));
    things.pass().await;
    let before = things.attempts().await;
    things.edit(page, due(&json!({"start": "2026-01-15T00:00:00Z"})));
    things.pass().await;
    // Only the document tells the two apart.
    assert_eq!(things.attempts().await, before + 1);
    things.expect_rest("midnight").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seconds_that_notion_kept_are_rounded_where_the_column_rounds_them() {
    let schema = json!({"Name": {"title": {}}, "Due": {"date": {}}});
    let things = Things::set(
        "values-seconds",
        schema,
        COLUMNS,
        "CREATE DOMAIN due_day AS date",
    )
    .await;
    things
        .stage
        .notion
        .switch(|switches| switches.floor_dates = false);
    let page = things
        .page(due(&json!({"start": "2026-06-27T08:30:15.600Z"})))
        .await;
    things.bind(&things.spec(&json!({}))).await;
    let cells = things.cells(page).await;
    assert_eq!(cells[2].as_deref(), Some("2026-06-27 08:30:16"));
    assert_eq!(cells[3].as_deref(), Some("2026-06-27 08:30:15.6+00"));
    assert_eq!(cells[4].as_deref(), Some("2026-06-27 08:30:16+00"));
    things.expect_rest("seconds").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_times_of_a_page_go_into_timestamptz() {
    let schema = json!({"Name": {"title": {}}, "Created": {"created_time": {}},
        "Edited": {"last_edited_time": {}}});
    let columns: &[ColumnSpec] = &[
        ("created", "timestamptz", "Created"),
        ("created_seconds", "timestamptz(0)", "Created"),
        ("edited", "timestamptz(3)", "Edited"),
        ("edited_domain", "moment", "Edited"),
    ];
    let things = Things::set(
        "values-times",
        schema,
        columns,
        "CREATE DOMAIN moment AS timestamptz",
    )
    .await;
    things
        .stage
        .notion
        .set_clock("2026-11-20T10:15:42Z".parse().unwrap());
    let page = things.page(json!({})).await;
    things.bind(&things.spec(&json!({}))).await;
    let (created, edited) = ("2026-11-20 10:15:00+00", "2026-11-20 10:18:00+00");
    things
        .expect(
            "created",
            page,
            &[is(created), is(created), is(created), is(created)],
        )
        .await;
    things.expect_rest("created").await;
    things
        .stage
        .notion
        .set_clock("2026-11-20T10:18:01Z".parse().unwrap());
    things.edit(page, json!({"Name": crate::support::title("edited")}));
    things.pass().await;
    things
        .expect(
            "edited",
            page,
            &[is(created), is(created), is(edited), is(edited)],
        )
        .await;
    things.expect_rest("edited").await;
}
