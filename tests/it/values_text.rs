//! Text-like properties into every column type that their line of `docs/TYPES.md` names.

use serde_json::{Value, json};

use crate::support::title;
use crate::table::{Cell, ColumnSpec, Things, is};

const COLUMNS: &[ColumnSpec] = &[
    ("title_text", "text", "Name"),
    ("title_varchar", "varchar(20)", "Name"),
    ("title_citext", "citext", "Name"),
    ("title_required", "text NOT NULL DEFAULT 'unset'", "Name"),
    ("notes_text", "text", "Notes"),
    ("notes_unbounded", "varchar", "Notes"),
    ("notes_domain", "short_text", "Notes"),
    ("notes_required", "required_text DEFAULT 'unset'", "Notes"),
    ("link_text", "text", "Link"),
    ("link_varchar", "varchar(24)", "Link"),
    ("mail_citext", "citext", "Mail"),
    ("phone_text", "text NOT NULL DEFAULT ''", "Phone"),
];

/// A server without its contributed modules has no citext: a domain of text takes its place there.
const TYPES: &str = "DO $$ BEGIN
        CREATE EXTENSION IF NOT EXISTS citext;
    EXCEPTION WHEN feature_not_supported OR undefined_file THEN
        CREATE DOMAIN citext AS text;
    END $$;
    CREATE DOMAIN short_text AS varchar(20);
    CREATE DOMAIN required_text AS text NOT NULL";

fn rich(text: &str) -> Value {
    let characters: Vec<char> = text.chars().collect();
    let segments = characters.chunks(2000).map(|chunk| {
        let content: String = chunk.iter().collect();
        json!({"text": {"content": content}})
    });
    json!({"rich_text": segments.collect::<Vec<_>>()})
}

fn all(name: &str, notes: &str, line: Option<&str>) -> Value {
    json!({"Name": title(name), "Notes": rich(notes), "Link": {"url": line},
        "Mail": {"email": line}, "Phone": {"phone_number": line}})
}

/// The expectation of the four title columns, the four notes columns, the four line columns.
fn row(title: [Cell; 4], notes: [Cell; 4], lines: [Cell; 4]) -> Vec<Cell> {
    [title, notes, lines].concat()
}

fn same(text: &str) -> [Cell; 4] {
    [is(text), is(text), is(text), is(text)]
}

#[tokio::test(flavor = "multi_thread")]
async fn text_goes_into_every_text_column() {
    const FAILED: fn(Option<&'static str>) -> Cell = |kept| Cell::Failed("NotRepresentable", kept);
    let schema = json!({"Name": {"title": {}}, "Notes": {"rich_text": {}}, "Link": {"url": {}},
        "Mail": {"email": {}}, "Phone": {"phone_number": {}}});
    let things = Things::set("values-text", schema, COLUMNS, TYPES).await;
    let citext = "SELECT count(*) FROM pg_extension WHERE extname = 'citext'";
    if things.stage.count(citext).await == 0 {
        println!("NOT TESTED: columns of type citext, which this server does not have");
    }
    let emoji = "🚀".repeat(20);
    let long = "långt 🚀 ".repeat(12_500);
    let long = long.trim_end().to_owned() + "!";
    assert!(long.len() > 100_000);
    let quoted = r#"'"; DROP "#;
    let steps = [
        (
            "plain",
            all("Ünï 🚀", "one\ntwo\t", Some("a@b.example")),
            row(same("Ünï 🚀"), same("one\ntwo\t"), same("a@b.example")),
        ),
        (
            "exactly as many characters as fit",
            all(&emoji, &emoji, Some("123456789012345678901234")),
            row(same(&emoji), same(&emoji), same("123456789012345678901234")),
        ),
        (
            "long",
            all(
                "The title does not fit",
                &long,
                Some("A@B.example/very/long/line"),
            ),
            row(
                [
                    is("The title does not fit"),
                    FAILED(Some("🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀")),
                    is("The title does not fit"),
                    is("The title does not fit"),
                ],
                [
                    is(&long),
                    is(&long),
                    FAILED(Some("🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀")),
                    is(&long),
                ],
                [
                    is("A@B.example/very/long/line"),
                    FAILED(Some("123456789012345678901234")),
                    is("A@B.example/very/long/line"),
                    is("A@B.example/very/long/line"),
                ],
            ),
        ),
        (
            "letters change their case alone",
            all("THE TITLE", quoted, Some("a@b.EXAMPLE")),
            row(same("THE TITLE"), same(quoted), same("a@b.EXAMPLE")),
        ),
        (
            "the case again",
            all("the title", quoted, Some("a@b.example")),
            row(same("the title"), same(quoted), same("a@b.example")),
        ),
        (
            "NUL",
            all("nul\0title", "nul\0notes", Some("nul\0line")),
            row(
                [0; 4].map(|_| FAILED(Some("the title"))),
                [0; 4].map(|_| FAILED(Some("'\"; DROP "))),
                [0; 4].map(|_| FAILED(Some("a@b.example"))),
            ),
        ),
        (
            "empty",
            all("", "", None),
            row(
                [Cell::Null, Cell::Null, Cell::Null, is("")],
                [Cell::Null, Cell::Null, Cell::Null, is("")],
                [Cell::Null, Cell::Null, Cell::Null, is("")],
            ),
        ),
        (
            "blanks",
            all("  x  ", " ", Some(" ")),
            row(same("  x  "), same(" "), same(" ")),
        ),
    ];
    things.walk(&json!({}), &steps).await;
}
