//! Every property type that `docs/TYPES.md` adds to the plain ones, into every column that its line
//! names: lists, people, files, what Notion computes, and a type that nobody has seen.

use notion_imitation::DataSourceSpec;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::title;
use crate::table::{Cell, ColumnSpec, Things, is};

const COLUMNS: &[ColumnSpec] = &[
    ("tags", "text[]", "Tags"),
    ("tags_short", "varchar(9)[]", "Tags"),
    ("tags_enum", "tag_name[]", "Tags"),
    ("tags_domain", "tag_names DEFAULT '{}'", "Tags"),
    ("tags_json", "jsonb", "Tags"),
    ("tags_required", "text[] NOT NULL DEFAULT '{}'", "Tags"),
    ("links", "uuid[]", "Links"),
    ("links_text", "text[]", "Links"),
    ("links_json", "jsonb", "Links"),
    ("link", "uuid", "Links"),
    ("link_text", "text", "Links"),
    ("team", "uuid[]", "Team"),
    ("member", "text", "Team"),
    ("docs", "text[]", "Docs"),
    ("docs_json", "jsonb", "Docs"),
    ("author", "text", "Made by"),
    ("author_id", "uuid", "Made by"),
    ("editor", "varchar(80)", "Edited by"),
    ("number", "integer", "No"),
    ("number_text", "text", "No"),
    ("calc", "text", "Calc"),
    ("calc_number", "numeric", "Calc"),
    ("sum", "numeric", "Sum"),
    ("sum_list", "text[]", "Sum"),
    ("sum_json", "jsonb", "Sum"),
    ("state", "text", "Checked"),
    ("button", "jsonb", "Push"),
    ("place", "jsonb", "Where"),
    ("unseen", "jsonb", "New"),
];

const TYPES: &str = "CREATE TYPE tag_name AS ENUM ('A', 'B');
    CREATE DOMAIN tag_names AS tag_name[] NOT NULL";

fn schema() -> Value {
    json!({"Name": {"title": {}},
        "Tags": {"multi_select": {"options": [{"name": "A"}, {"name": "B"}, {"name": "Too long for 9"}]}},
        "Team": {"people": {}}, "Docs": {"files": {}}, "Made by": {"created_by": {}},
        "Edited by": {"last_edited_by": {}}, "No": {"unique_id": {"prefix": "TASK"}},
        "Calc": {"formula": {"expression": "1"}},
        "Checked": {"verification": {}}, "Push": {"button": {}}, "Where": {"place": {}},
        "New": {"type": "hologram", "hologram": {}}})
}

/// A stage whose table has a relation to pages of another data source, which are given back.
async fn related(topic: &str, columns: &[ColumnSpec]) -> (Things, Vec<Uuid>) {
    let things = Things::set(topic, schema(), columns, TYPES).await;
    let notion = &things.stage.notion;
    let others = notion.create_data_source(DataSourceSpec::new(
        "Others",
        json!({"Name": {"title": {}}}),
    ));
    let others = others.expect("a data source").id;
    let relation = json!({"relation": {"data_source_id": others, "single_property": {}}});
    notion
        .add_property(things.source, "Links", relation)
        .expect("a relation");
    let rollup = json!({"rollup": {"relation_property_name": "Links",
        "rollup_property_name": "Name", "function": "show_original"}});
    notion
        .add_property(things.source, "Sum", rollup)
        .expect("a rollup");
    let pages = (0..40).map(|number| {
        let properties = json!({"Name": title(&format!("Other {number}"))});
        notion.create_page(others, properties).expect("a page")
    });
    let pages = pages.collect();
    (things, pages)
}

fn references(ids: &[Uuid]) -> Value {
    ids.iter().map(|id| json!({"id": id})).collect()
}

fn options(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"name": name})).collect()
}

/// Ids as Postgres prints an array of them, and as it prints a document.
fn printed(ids: &[Uuid]) -> (String, String) {
    let array: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    let document: Vec<_> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    (
        format!("{{{}}}", array.join(",")),
        format!("[{}]", document.join(", ")),
    )
}

fn unfit(kept: Option<&'static str>) -> Cell {
    Cell::Failed("NotRepresentable", kept)
}

fn titles(count: usize) -> Value {
    let element =
        |number: usize| json!({"type": "select", "select": {"name": format!("S{number}")}});
    json!({"type": "array", "array": (0..count).map(element).collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
async fn every_type_arrives_in_every_column_of_its_line() {
    let (things, others) = related("types", COLUMNS).await;
    let notion = &things.stage.notion;
    let people: Vec<_> = (0..30)
        .map(|number| notion.add_person(&format!("Person {number}"), "p@example.com"))
        .collect();
    let stored = Uuid::from_u128(0x4000_8000_0000_0000_0001);
    let first = json!({"Name": title("first"), "Tags": {"multi_select": options(&["B", "A"])},
        "Links": {"relation": references(&others[..2])}, "Team": {"people": references(&people[..1])},
        "Docs": {"files": [
            {"name": "a", "external": {"url": "https://files.example/a?token=1#page=2"}},
            {"name": "b.pdf", "file_upload": {"id": stored}}]},
        "Calc": {"formula": {"type": "string", "string": "fine"}},
        "Sum": {"rollup": {"type": "number", "number": 3.5}},
        "Checked": {"verification": {"state": "verified"}},
        "Where": {"place": {"lat": 52.5, "lon": 13.4}},
        "New": {"hologram": {"deep": [1, "x"]}}});
    let page = things.page(first).await;
    things.bind(&things.spec(&json!({}))).await;
    let shown = notion.page(page).expect("the page")["properties"].clone();
    let author = &shown["Made by"]["created_by"];
    let (author, author_id) = (
        author["name"].as_str().unwrap(),
        author["id"].as_str().unwrap(),
    );
    let number = shown["No"]["unique_id"]["number"].to_string();
    let hosted = shown["Docs"]["files"][1]["file"]["url"].as_str().unwrap();
    let hosted = hosted.split('?').next().unwrap();
    let (links, links_json) = printed(&others[..2]);
    let (team, _) = printed(&people[..1]);
    let steady = |editor: &str| {
        vec![
            is(author),
            is(author_id),
            is(editor),
            is(&number),
            is(&format!("TASK-{number}")),
        ]
    };
    let mut expected = vec![
        is("{B,A}"),
        is("{B,A}"),
        is("{B,A}"),
        is("{B,A}"),
        is(r#"["B", "A"]"#),
        is("{B,A}"),
        is(&links),
        is(&links),
        is(&links_json),
        unfit(None),
        unfit(None),
        is(&team),
        is(&people[0].to_string()),
        is(&format!("{{https://files.example/a#page=2,{hosted}}}")),
        is(&format!(
            r#"["https://files.example/a#page=2", "{hosted}"]"#
        )),
    ];
    expected.extend(steady(author));
    expected.extend([
        is("fine"),
        unfit(None),
        is("3.5"),
        unfit(None),
        unfit(None),
        is("verified"),
        is("{}"),
        is(
            r#"{"lat": 52.5, "lon": 13.4, "name": null, "address": null, "aws_place_id": null, "google_place_id": null}"#,
        ),
        is(r#"{"deep": [1, "x"]}"#),
    ]);
    things.expect("first", page, &expected).await;
    things.expect_rest("first").await;

    // More than Notion shows in a page: read whole.
    things.edit(
        page,
        json!({"Tags": {"multi_select": options(&["Too long for 9"])},
            "Links": {"relation": references(&others)}, "Team": {"people": references(&people)},
            "Docs": {"files": []}, "Calc": {"formula": {"type": "number", "number": 2.5}},
            "Sum": {"rollup": titles(40)}, "Checked": {"verification": {"state": "unverified"}},
            "Where": {"place": null}, "New": {"hologram": 7}}),
    );
    things.pass().await;
    let (links, links_json) = printed(&others);
    let (team, _) = printed(&people);
    let elements: Vec<_> = (0..40).map(|number| format!("S{number}")).collect();
    let mut expected = vec![
        is("{\"Too long for 9\"}"),
        unfit(Some("{B,A}")),
        unfit(Some("{B,A}")),
        unfit(Some("{B,A}")),
        is(r#"["Too long for 9"]"#),
        is("{\"Too long for 9\"}"),
        is(&links),
        is(&links),
        is(&links_json),
        unfit(None),
        unfit(None),
        is(&team),
        // As every value that has no successor, the one member stays.
        unfit(Some(String::leak(people[0].to_string()))),
        Cell::Null,
        Cell::Null,
    ];
    expected.extend(steady(author));
    expected.extend([
        unfit(Some("fine")),
        is("2.5"),
        unfit(Some("3.5")),
        is(&format!("{{{}}}", elements.join(","))),
        is(&format!("[\"{}\"]", elements.join("\", \""))),
        is("unverified"),
        is("{}"),
        Cell::Null,
        is("7"),
    ]);
    things.expect("whole", page, &expected).await;
    things.expect_rest("whole").await;

    // Empty, and one of what may be one.
    things.edit(
        page,
        json!({"Tags": {"multi_select": []}, "Links": {"relation": references(&others[..1])},
            "Team": {"people": []}, "Calc": {"formula": {"type": "boolean", "boolean": null}},
            "Sum": {"rollup": titles(0)}, "New": {"hologram": null}}),
    );
    things.pass().await;
    let (links, links_json) = printed(&others[..1]);
    let one = others[0].to_string();
    let mut expected = vec![
        Cell::Null,
        Cell::Null,
        Cell::Null,
        is("{}"),
        Cell::Null,
        is("{}"),
        is(&links),
        is(&links),
        is(&links_json),
        is(&one),
        is(&one),
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
    ];
    expected.extend(steady(author));
    expected.extend([
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        is("unverified"),
        is("{}"),
        Cell::Null,
        Cell::Null,
    ]);
    things.expect("empty", page, &expected).await;
    things.expect_rest("empty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_people_reordered_is_in_step_and_a_formula_that_nobody_computes_is_marked() {
    let columns: &[ColumnSpec] = &[
        ("tags", "text[]", "Tags"),
        ("links", "text[]", "Links"),
        ("calc", "text", "Calc"),
        ("sum", "jsonb", "Sum"),
    ];
    let (things, others) = related("types-order", columns).await;
    let page = json!({"Tags": {"multi_select": options(&["A", "B"])},
        "Links": {"relation": references(&others[..2])},
        "Calc": {"formula": {"type": "unsupported", "unsupported": {}}},
        "Sum": {"rollup": {"type": "unsupported", "unsupported": {}}}});
    let page = things.page(page).await;
    let undashed = others[..2].iter().rev().map(|id| id.simple().to_string());
    let undashed = format!("{{{}}}", undashed.collect::<Vec<_>>().join(","));
    things
        .stage
        .sql(&format!(
            "UPDATE things SET tags = '{{B,A,B}}', links = '{undashed}'"
        ))
        .await;
    things.bind(&things.spec(&json!({}))).await;
    let marked = Cell::Failed("Unsupported", None);
    let expected = [is("{B,A,B}"), is(&undashed), marked.clone(), marked.clone()];
    things.expect("reordered", page, &expected).await;
    things.expect_rest("reordered").await;
    assert_eq!(things.attempts().await, 1, "only the test's own update");
    things.edit(page, json!({"Tags": {"multi_select": options(&["B"])}}));
    things.pass().await;
    let expected = [is("{B}"), is(&undashed), marked.clone(), marked];
    things.expect("edited", page, &expected).await;
    things.expect_rest("edited").await;
}
