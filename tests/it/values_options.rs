//! Options through `values`: every way in which a name may be listed, unlisted, shared or refused.

use serde_json::{Value, json};

use crate::table::{Cell, ColumnSpec, Things, is};

const COLUMNS: &[ColumnSpec] = &[
    ("mapped", "text", "Stage"),
    ("mapped_enum", "stage_name", "Stage"),
    ("passed", "varchar(10)", "Stage"),
    ("required", "text NOT NULL DEFAULT 'unset'", "Stage"),
    ("kind_text", "text", "Kind"),
    ("kind_enum", "kind_name", "Kind"),
    ("kind_required", "kind_domain DEFAULT 'Alpha'", "Kind"),
    ("kind_listed", "text", "Kind"),
];

const TYPES: &str = "CREATE TYPE stage_name AS ENUM ('todo', 'doing');
    CREATE TYPE kind_name AS ENUM ('Alpha', 'Beta gamma');
    CREATE DOMAIN kind_domain AS kind_name NOT NULL";

fn schema() -> Value {
    let options = |names: &[&str]| {
        names
            .iter()
            .map(|name| json!({"name": name}))
            .collect::<Vec<_>>()
    };
    json!({"Name": {"title": {}},
        "Stage": {"status": {"options":
            options(&["Open", "Running", "Review", "Done", "Blocked for long", "Void"])}},
        "Kind": {"select": {"options": options(&["Alpha", "Beta gamma", "Delta", "ALPHA-1"])}}})
}

fn spec(things: &Things) -> Value {
    let mut spec = things.spec(&json!({}));
    let stage = json!([{"notion": "Open", "postgres": "todo"},
        {"notion": "Running", "postgres": "doing"}, {"notion": "Review", "postgres": "doing"},
        {"notion": "Done", "postgres": "shipped"}, {"notion": "Void", "postgres": null}]);
    for (column, change) in [
        (0, json!({"values": stage})),
        (1, json!({"values": stage})),
        (2, json!({"values": stage, "onUnknownValue": "Pass"})),
        (3, json!({"values": stage})),
        (
            7,
            json!({"values": [{"notion": "Alpha", "postgres": "ALPHA-1"}]}),
        ),
    ] {
        for (key, value) in change.as_object().unwrap() {
            spec["properties"][column][key] = value.clone();
        }
    }
    spec
}

fn page(stage: Option<&str>, kind: Option<&str>) -> Value {
    let option = |name: Option<&str>| name.map(|name| json!({"name": name}));
    json!({"Stage": {"status": option(stage)}, "Kind": {"select": option(kind)}})
}

fn unknown(kept: &'static str) -> Cell {
    Cell::Failed("UnknownOption", Some(kept))
}

fn unfit(kept: Option<&'static str>) -> Cell {
    Cell::Failed("NotRepresentable", kept)
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
async fn options_go_through_values() {
    let things = Things::set("values-options", schema(), COLUMNS, TYPES).await;
    let spec = spec(&things);
    let steps = [
        (
            "listed",
            page(Some("Open"), Some("Alpha")),
            vec![
                is("todo"),
                is("todo"),
                is("todo"),
                is("todo"),
                is("Alpha"),
                is("Alpha"),
                is("Alpha"),
                is("ALPHA-1"),
            ],
        ),
        (
            "a name with a blank",
            page(Some("Running"), Some("Beta gamma")),
            vec![
                is("doing"),
                is("doing"),
                is("doing"),
                is("doing"),
                is("Beta gamma"),
                is("Beta gamma"),
                is("Beta gamma"),
                unknown("ALPHA-1"),
            ],
        ),
        // Review shares its value with Running: nothing to write.
        (
            "another name for the value; a column's own value as an option",
            page(Some("Review"), Some("ALPHA-1")),
            vec![
                is("doing"),
                is("doing"),
                is("doing"),
                is("doing"),
                is("ALPHA-1"),
                unfit(Some("Beta gamma")),
                unfit(Some("Beta gamma")),
                is("ALPHA-1"),
            ],
        ),
        (
            "a label that the enum lacks",
            page(Some("Done"), Some("Delta")),
            vec![
                is("shipped"),
                unfit(Some("doing")),
                is("shipped"),
                is("shipped"),
                is("Delta"),
                unfit(Some("Beta gamma")),
                unfit(Some("Beta gamma")),
                unknown("ALPHA-1"),
            ],
        ),
        (
            "an option without mapping, too long to pass",
            page(Some("Blocked for long"), None),
            vec![
                unknown("shipped"),
                Cell::Failed("UnknownOption", Some("doing")),
                unfit(Some("shipped")),
                unknown("shipped"),
                Cell::Null,
                Cell::Null,
                unfit(Some("Beta gamma")),
                Cell::Null,
            ],
        ),
        (
            "an option that means NULL",
            page(Some("Void"), Some("Alpha")),
            vec![
                Cell::Null,
                Cell::Null,
                Cell::Null,
                is(""),
                is("Alpha"),
                is("Alpha"),
                is("Alpha"),
                is("ALPHA-1"),
            ],
        ),
        (
            "back",
            page(Some("Open"), None),
            vec![
                is("todo"),
                is("todo"),
                is("todo"),
                is("todo"),
                Cell::Null,
                Cell::Null,
                unfit(Some("Alpha")),
                Cell::Null,
            ],
        ),
        (
            "empty",
            page(None, None),
            vec![
                Cell::Null,
                Cell::Null,
                Cell::Null,
                is(""),
                Cell::Null,
                Cell::Null,
                unfit(Some("Alpha")),
                Cell::Null,
            ],
        ),
    ];
    let first = things.page(steps[0].1.clone()).await;
    things.bind(&spec).await;
    for (number, (step, properties, expected)) in steps.iter().enumerate() {
        if number > 0 {
            things.edit(first, properties.clone());
            things.pass().await;
        }
        things.expect(step, first, expected).await;
        things.expect_rest(step).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_passes_is_used_as_it_is_and_one_that_is_rejected_heals() {
    let columns: &[ColumnSpec] = &[("strict", "text", "Stage"), ("open", "text", "Stage")];
    let things = Things::set("values-heal", schema(), columns, "").await;
    let listed = json!([{"notion": "Open", "postgres": "todo"}]);
    let mut spec = things.spec(&json!({}));
    spec["properties"][0]["values"] = listed.clone();
    spec["properties"][1]["values"] = listed;
    spec["properties"][1]["onUnknownValue"] = "Pass".into();
    let page = things.page(self::page(Some("Done"), None)).await;
    things.bind(&spec).await;
    things
        .expect(
            "passes",
            page,
            &[Cell::Failed("UnknownOption", None), is("Done")],
        )
        .await;
    let status = &things.stage.binding("things").await["status"];
    assert_eq!(
        (&status["drift"]["failed"], &status["drift"]["count"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(status["health"], "Degraded", "{status}");
    // The mapping gains the option: its values arrive without any edit.
    spec["properties"][0]["values"] = json!([{"notion": "Open", "postgres": "todo"},
        {"notion": "Done", "postgres": "done"}]);
    let object = world::manifests::binding(things.stage.scene.name(), "things", &spec);
    things.stage.scene.apply(&object).await.unwrap();
    crate::support::eventually("the new mapping is applied", async || {
        (things.cells(page).await[0].as_deref() == Some("done")).then_some(())
    })
    .await;
    things.pass().await;
    assert_eq!(things.failure(page, "strict").await, None);
}
