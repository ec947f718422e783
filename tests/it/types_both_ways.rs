//! Property types that may be written: edits of the row arrive on the page, those of the page in the
//! row, and nothing comes back.

use notion_imitation::DataSourceSpec;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{eventually, title};
use crate::table::{ColumnSpec, Things, is};

const COLUMNS: &[ColumnSpec] = &[
    ("name", "text", "Name"),
    ("notes", "text", "Notes"),
    ("price", "numeric", "Price"),
    ("done", "boolean", "Done"),
    ("kind", "text", "Kind"),
    ("tags", "text[]", "Tags"),
    ("links", "uuid[]", "Links"),
    ("team", "text[]", "Team"),
    ("day", "date", "Day"),
    ("span", "jsonb", "Span"),
    ("mail", "text", "Mail"),
    ("number", "integer", "No"),
];

fn schema() -> Value {
    json!({"Name": {"title": {}}, "Notes": {"rich_text": {}}, "Price": {"number": {}},
        "Done": {"checkbox": {}}, "Kind": {"select": {"options": [{"name": "A"}]}},
        "Tags": {"multi_select": {"options": [{"name": "A"}, {"name": "B"}]}}, "Team": {"people": {}},
        "Day": {"date": {}}, "Span": {"date": {}}, "Mail": {"email": {}}, "No": {"unique_id": {}}})
}

fn ids(value: &Value) -> Vec<String> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

fn array(ids: &[Uuid]) -> String {
    let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// The names of the options of a multi-select.
fn option_names(value: &Value) -> Vec<&str> {
    let options = value.as_array().unwrap().iter();
    options.map(|one| one["name"].as_str().unwrap()).collect()
}

fn updates(things: &Things) -> usize {
    let log = things.stage.notion.requests();
    let updates = log.iter().filter(|one| one.operation == "pages.update");
    updates.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_writable_type_goes_both_ways() {
    let things = Things::set("types-both", schema(), COLUMNS, "").await;
    let notion = &things.stage.notion;
    let others = DataSourceSpec::new("Others", json!({"Name": {"title": {}}}));
    let others = notion.create_data_source(others).unwrap().id;
    let relation = json!({"relation": {"data_source_id": others, "single_property": {}}});
    notion
        .add_property(things.source, "Links", relation)
        .unwrap();
    let related: Vec<_> = (0..40)
        .map(|_| notion.create_page(others, json!({})).unwrap())
        .collect();
    let people: Vec<_> = (0..30)
        .map(|_| notion.add_person("Somebody", "p@example.com"))
        .collect();
    let page = things
        .page(json!({"Name": title("first"), "Price": {"number": 1},
            "Tags": {"multi_select": [{"name": "A"}]}}))
        .await;
    let mut spec = things.spec(&json!({"direction": "TwoWay"}));
    for column in [4, 5] {
        spec["properties"][column]["onUnknownValue"] = "Pass".into();
    }
    things.bind(&spec).await;
    eventually("the page's values are in the row", async || {
        (things.cells(page).await[0].as_deref() == Some("first")).then_some(())
    })
    .await;
    let long = "\u{e4}\u{1f600}".repeat(1_500);
    let (links, team) = (array(&related), array(&people));
    things
        .stage
        .sql(&format!(
            "UPDATE things SET name = 'second', notes = '{long}', price = 19.5, done = true,
                kind = 'New', tags = '{{B,C}}', links = '{links}', team = '{team}',
                day = '2026-06-27', span = '{{\"start\": \"2026-06-27T10:00:00Z\", \"end\": \"2026-06-28T10:00:00Z\"}}',
                mail = 'a@b.example'"
        ))
        .await;
    let shown = eventually("the row's values are on the page", async || {
        let shown = notion.page(page).unwrap()["properties"].clone();
        (shown["Mail"]["email"] == "a@b.example").then_some(shown)
    })
    .await;
    let names = option_names(&shown["Tags"]["multi_select"]);
    let segments = shown["Notes"]["rich_text"].as_array().unwrap();
    let notes: String = segments
        .iter()
        .map(|one| one["plain_text"].as_str().unwrap())
        .collect();
    assert_eq!(shown["Name"]["title"][0]["plain_text"], "second");
    assert!(notes == long && segments.len() == 3);
    assert_eq!(shown["Price"]["number"], json!(19.5));
    assert_eq!(shown["Done"]["checkbox"], true);
    assert_eq!(shown["Kind"]["select"]["name"], "New");
    assert_eq!(names, ["B", "C"]);
    let texts = |ids: &[Uuid]| ids.iter().map(Uuid::to_string).collect::<Vec<_>>();
    assert_eq!(ids(&shown["Links"]["relation"]), texts(&related));
    assert_eq!(ids(&shown["Team"]["people"]), texts(&people));
    assert_eq!(shown["Day"]["date"]["start"], "2026-06-27");
    assert_eq!(
        shown["Span"]["date"]["end"],
        "2026-06-28T10:00:00.000+00:00"
    );
    // The page shows the write before what came of it is stored.
    things.pass().await;
    things.expect_rest("written").await;
    assert_eq!(updates(&things), 1, "one write for one edit, and none back");
    things.edit(
        page,
        json!({"Tags": {"multi_select": []}, "Links": {"relation": [{"id": related[3]}]},
            "Span": {"date": {"start": "2026-07-01"}}, "Name": title("third")}),
    );
    things.pass().await;
    let number = shown["No"]["unique_id"]["number"].to_string();
    let expected = [
        is("third"),
        is(&long),
        is("19.5"),
        is("true"),
        is("New"),
        crate::table::Cell::Null,
        is(&array(&related[3..4])),
        is(&team),
        is("2026-06-27"),
        is(r#"{"end": null, "start": "2026-07-01"}"#),
        is("a@b.example"),
        is(&number),
    ];
    things.expect("edited", page, &expected).await;
    things.expect_rest("edited").await;
    assert_eq!(
        updates(&things),
        1,
        "an edit of the page is not written back"
    );
}
