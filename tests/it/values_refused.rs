//! Values that the row refuses or changes, columns that cannot hold a property: each stops alone,
//! and none is tried again while nothing moves.

use serde_json::json;

use crate::support::title;
use crate::table::{Cell, ColumnSpec, Things, is};

const REFUSED: fn(Option<&'static str>) -> Cell = |kept| Cell::Failed("NotAccepted", kept);

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_rewrites_is_reported_and_not_fought() {
    let schema = json!({"Name": {"title": {}}, "Notes": {"rich_text": {}}, "Price": {"number": {}},
        "Link": {"url": {}}});
    let columns: &[ColumnSpec] = &[
        ("shouted", "text", "Name"),
        ("plain", "text", "Notes"),
        ("frozen", "numeric", "Price"),
        ("link", "text", "Link"),
    ];
    let things = Things::set("values-trigger", schema, columns, "").await;
    things
        .stage
        .sql(
            "CREATE FUNCTION rewrite() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.shouted := upper(NEW.shouted); NEW.frozen := OLD.frozen; RETURN NEW; END $$;
        CREATE TRIGGER rewrites BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION rewrite()",
        )
        .await;
    let page = |name: &str, price: i32| {
        json!({"Name": title(name), "Price": {"number": price},
        "Notes": {"rich_text": [{"text": {"content": name}}]}})
    };
    let steps = [
        (
            "rewritten",
            page("quiet", 5),
            vec![
                REFUSED(Some("QUIET")),
                is("quiet"),
                REFUSED(None),
                Cell::Null,
            ],
        ),
        (
            "again",
            page("louder", 6),
            vec![
                REFUSED(Some("LOUDER")),
                is("louder"),
                REFUSED(None),
                Cell::Null,
            ],
        ),
        (
            "what the trigger leaves alone",
            page("LOUD", 6),
            vec![is("LOUD"), is("LOUD"), REFUSED(None), Cell::Null],
        ),
    ];
    things.walk(&json!({}), &steps).await;
    // An edit of another property does not make the parked field a reason to try again.
    let id = things.stage.notion.pages_of(things.source)[0];
    things.edit(id, json!({"Link": {"url": "https://example.org"}}));
    things.pass().await;
    things
        .expect(
            "link",
            id,
            &[
                is("LOUD"),
                is("LOUD"),
                REFUSED(None),
                is("https://example.org"),
            ],
        )
        .await;
    things.expect_rest("link").await;
    let status = &things.stage.binding("things").await["status"];
    assert_eq!(status["drift"]["failed"], 1, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_on_one_column_keeps_no_other_from_its_value() {
    let schema =
        json!({"Name": {"title": {}}, "Price": {"number": {}}, "Notes": {"rich_text": {}}});
    let columns: &[ColumnSpec] = &[
        ("name", "text", "Name"),
        ("price", "numeric(10,2) CHECK (price >= 0)", "Price"),
        ("notes", "lower_text", "Notes"),
        ("code", "text UNIQUE", "Notes"),
    ];
    let types = "CREATE DOMAIN lower_text AS text CHECK (VALUE = lower(VALUE))";
    let things = Things::set("values-check", schema, columns, types).await;
    things
        .stage
        .sql("INSERT INTO things (code) VALUES ('taken')")
        .await;
    let page = |name: &str, price: f64, notes: &str| {
        json!({"Name": title(name),
        "Price": {"number": price}, "Notes": {"rich_text": [{"text": {"content": notes}}]}})
    };
    let steps = [
        (
            "one refused of four",
            page("a", -1.5, "fine"),
            vec![is("a"), REFUSED(None), is("fine"), is("fine")],
        ),
        (
            "a domain refuses",
            page("b", 2.5, "Fine"),
            vec![is("b"), is("2.50"), REFUSED(Some("fine")), is("Fine")],
        ),
        (
            "a unique index refuses",
            page("c", -0.01, "taken"),
            vec![
                is("c"),
                REFUSED(Some("2.50")),
                is("taken"),
                REFUSED(Some("Fine")),
            ],
        ),
        (
            "all is well",
            page("d", 0.0, "free"),
            vec![is("d"), is("0.00"), is("free"), is("free")],
        ),
    ];
    things.walk(&json!({}), &steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_trigger_marks_its_row_and_stops_no_other() {
    let schema = json!({"Name": {"title": {}}});
    let columns: &[ColumnSpec] = &[("name", "text", "Name")];
    let things = Things::set("values-broken", schema, columns, "").await;
    let broken = things.page(json!({"Name": title("broken")})).await;
    let sound = things.page(json!({"Name": title("sound")})).await;
    let swallowed = things.page(json!({"Name": title("swallowed")})).await;
    things
        .stage
        .sql(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.name = 'broken' THEN PERFORM 1 FROM no_such_table; END IF;
            IF NEW.name = 'swallowed' THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER fails BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        .await;
    things.bind(&things.spec(&json!({}))).await;
    things.expect("broken", broken, &[REFUSED(None)]).await;
    things.expect("sound", sound, &[is("sound")]).await;
    things
        .expect("swallowed", swallowed, &[REFUSED(None)])
        .await;
    things.expect_rest("broken").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_pair_is_a_mismatch_of_that_column_alone() {
    let schema = json!({"Name": {"title": {}}, "Notes": {"rich_text": {}}, "Price": {"number": {}},
        "Ready": {"checkbox": {}}, "Due": {"date": {}}, "Link": {"url": {}},
        "Kind": {"select": {"options": [{"name": "A"}]}}, "Created": {"created_time": {}},
        "Edited": {"last_edited_time": {}}});
    let columns: &[ColumnSpec] = &[
        ("good", "text", "Name"),
        ("x01", "integer", "Name"),
        ("x02", "text[]", "Name"),
        ("x03", "jsonb", "Name"),
        ("x04", "bytea", "Notes"),
        ("x05", "uuid", "Notes"),
        ("x06", "kind_name", "Notes"),
        ("x07", "text", "Price"),
        ("x08", "money", "Price"),
        ("x09", "boolean", "Price"),
        ("x10", "jsonb", "Price"),
        ("x11", "integer", "Ready"),
        ("x12", "text", "Ready"),
        ("x13", "text", "Due"),
        ("x14", "time", "Due"),
        ("x15", "tsrange", "Due"),
        ("x16", "json", "Due"),
        ("x17", "numeric", "Link"),
        ("x18", "text[]", "Kind"),
        ("x19", "boolean", "Kind"),
        ("x20", "timestamp", "Created"),
        ("x21", "date", "Created"),
        ("x22", "text", "Edited"),
        ("x23", "interval", "Edited"),
        ("x24", "whole", "Name"),
        (
            "x25",
            "text GENERATED ALWAYS AS ('generated') STORED",
            "Name",
        ),
    ];
    let types = "CREATE TYPE kind_name AS ENUM ('A'); CREATE DOMAIN whole AS integer";
    let things = Things::set("values-mismatch", schema, columns, types).await;
    let page = things
        .page(json!({"Name": title("7"), "Price": {"number": 7},
        "Ready": {"checkbox": true}, "Due": {"date": {"start": "2026-06-27"}},
        "Notes": {"rich_text": [{"text": {"content": "A"}}]}, "Link": {"url": "7"},
        "Kind": {"select": {"name": "A"}}}))
        .await;
    things.bind(&things.spec(&json!({}))).await;
    things
        .stage
        .wait_condition("things", "SchemaValid", "False", Some("ColumnTypeMismatch"))
        .await;
    let mut expected = vec![is("7")];
    expected.extend(vec![Cell::Null; columns.len() - 2]);
    expected.push(is("generated"));
    things.expect("mismatch", page, &expected).await;
    things.expect_rest("mismatch").await;
    // Each by itself, too: the message names the one column that is left.
    for (column, ..) in &columns[1..] {
        let mut spec = things.spec(&json!({}));
        let kept =
            |entry: &serde_json::Value| entry["column"] == "good" || entry["column"] == *column;
        spec["properties"].as_array_mut().unwrap().retain(kept);
        let object = world::manifests::binding(things.stage.scene.name(), "things", &spec);
        things.stage.scene.apply(&object).await.unwrap();
        crate::support::eventually(&format!("{column} is a mismatch"), async || {
            let condition = things.stage.condition("things", "SchemaValid").await;
            let message = condition["message"].as_str().unwrap_or_default().to_owned();
            (condition["reason"] == "ColumnTypeMismatch" && message.contains(column)).then_some(())
        })
        .await;
    }
    assert_eq!(
        things.stage.condition("things", "Ready").await["status"],
        "True"
    );
}
