//! The `ToPostgres` column of the decision table (`docs/SYNC.md`), for all four conflict policies.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::eventually;
use crate::table::{ColumnSpec, Things};

/// One column for each policy, in this order everywhere below.
const COLUMNS: &[ColumnSpec] = &[
    ("newest", "numeric", "A"),
    ("notion", "numeric", "B"),
    ("postgres", "numeric", "C"),
    ("manual", "numeric", "D"),
];

async fn stage(topic: &str) -> Things {
    let schema = json!({"Name": {"title": {}}, "A": {"number": {}}, "B": {"number": {}},
        "C": {"number": {}}, "D": {"number": {}}});
    let things = Things::set(topic, schema, COLUMNS, "").await;
    things
        .stage
        .notion
        .set_clock("2026-11-20T10:15:00Z".parse().unwrap());
    things
}

fn spec(things: &Things) -> Value {
    let mut spec = things.spec(&json!({}));
    for (column, policy) in ["NewestWins", "NotionWins", "PostgresWins", "Manual"]
        .into_iter()
        .enumerate()
    {
        spec["properties"][column]["conflictPolicy"] = policy.into();
    }
    spec
}

fn numbers(value: i64) -> Value {
    json!({"A": {"number": value}, "B": {"number": value}, "C": {"number": value},
        "D": {"number": value}})
}

/// Sets all four columns of a page's row, and its `updatedAt` where one is given.
async fn write(things: &Things, page: Uuid, value: i64, updated_at: Option<&str>) {
    let stamp = updated_at
        .map(|at| format!(", \"updatedAt\" = '{at}'"))
        .unwrap_or_default();
    things
        .stage
        .sql(&format!(
            "UPDATE things SET newest = {value}, notion = {value}, postgres = {value},
                 manual = {value}{stamp} WHERE \"notionPageId\" = '{page}'"
        ))
        .await;
}

async fn expect(things: &Things, step: &str, page: Uuid, cells: [&str; 4]) {
    let found = things.cells(page).await;
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, cells.map(Some), "{step}");
}

/// The kind of the discrepancy of each column of a page.
async fn kinds(things: &Things, page: Uuid) -> Vec<Option<String>> {
    let mut kinds = Vec::new();
    for (column, ..) in COLUMNS {
        let query = format!(
            "SELECT kind FROM notion_sync.discrepancies
             WHERE page_id = '{page}' AND column_name = '{column}'"
        );
        kinds.push(things.stage.text(&query).await);
    }
    kinds
}

fn kinds_are(kinds: [&str; 4]) -> Vec<Option<String>> {
    kinds
        .iter()
        .map(|kind| (!kind.is_empty()).then(|| (*kind).to_owned()))
        .collect()
}

async fn drift(things: &Things) -> Value {
    things.stage.binding("things").await["status"]["drift"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_base_the_policy_decides() {
    let things = stage("policy-first").await;
    // Notion's time of every page is 10:15.
    let cases = [
        ("earlier", Some("2026-11-20T10:14:59Z"), "1"),
        ("later", Some("2026-11-20T10:15:01Z"), "2"),
        ("the same time", Some("2026-11-20T10:15:00Z"), "2"),
        ("unknown", None, "1"),
    ];
    let mut pages = Vec::new();
    for (_, updated_at, _) in cases {
        let page = things.page(numbers(1)).await;
        write(&things, page, 2, updated_at).await;
        pages.push(page);
    }
    things.bind(&spec(&things)).await;
    for (page, (case, _, newest)) in pages.iter().zip(cases) {
        expect(&things, case, *page, [newest, "1", "2", "2"]).await;
        let newest = if newest == "1" { "" } else { "Mismatch" };
        let expected = kinds_are([newest, "", "Mismatch", "Conflict"]);
        assert_eq!(kinds(&things, *page).await, expected, "{case}");
    }
    let drift = drift(&things).await;
    assert_eq!(
        (&drift["mismatched"], &drift["conflicts"]),
        (&json!(6), &json!(4)),
        "{drift}"
    );
    assert_eq!(drift["count"], 10);
    // Our own updatedAt makes no row newer: the same passes decide the same.
    things.expect_rest("first contact").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_side_that_changed_is_no_conflict() {
    let things = stage("policy-one").await;
    let page = things.page(numbers(1)).await;
    write(&things, page, 1, None).await;
    things.bind(&spec(&things)).await;
    assert_eq!(drift(&things).await["count"], 0);
    // Notion alone moved, however new the row claims to be.
    things
        .stage
        .sql("UPDATE things SET \"updatedAt\" = '2027-01-01T00:00:00Z'")
        .await;
    things.edit(page, numbers(2));
    things.pass().await;
    expect(&things, "Notion moved", page, ["2", "2", "2", "2"]).await;
    assert_eq!(drift(&things).await["count"], 0);
    // Postgres alone moved: drift under every policy, and nothing is written anywhere.
    write(&things, page, 3, Some("2027-01-02T00:00:00Z")).await;
    let requests = things.stage.notion.requests().len();
    things.full_scan().await;
    expect(&things, "Postgres moved", page, ["3", "3", "3", "3"]).await;
    assert_eq!(kinds(&things, page).await, kinds_are(["Mismatch"; 4]));
    let sent = &things.stage.notion.requests()[requests..];
    assert!(
        sent.iter().all(|request| request.method != "PATCH"),
        "{sent:?}"
    );
    things.expect_rest("Postgres moved").await;
    // It moved back: the drift is gone without a write.
    let attempts = things.attempts().await;
    write(&things, page, 2, None).await;
    things.full_scan().await;
    assert_eq!(drift(&things).await["count"], 0);
    assert_eq!(
        things.attempts().await,
        attempts + 1,
        "only the test's own update"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_both_changed_the_policy_decides() {
    let things = stage("policy-both").await;
    let mut pages = Vec::new();
    for _ in 0..3 {
        let page = things.page(numbers(1)).await;
        write(&things, page, 0, Some("2026-11-20T09:00:00Z")).await;
        pages.push(page);
    }
    // Notion wins the first contact: the bases are 1, the rows' times are our own.
    let mut all_notion = things.spec(&json!({"conflictPolicy": "NotionWins"}));
    things.bind(&all_notion).await;
    for page in &pages {
        expect(&things, "agreed", *page, ["1", "1", "1", "1"]).await;
    }
    all_notion = spec(&things);
    things.bind(&all_notion).await;
    things.full_scan().await;
    // Both sides move. The first row keeps the time that our write gave it, which counts as 09:00;
    // a person stamps the others.
    let stamps = [
        None,
        Some("2026-11-20T10:15:30Z"),
        Some("2026-11-20T10:16:30Z"),
    ];
    for (page, stamp) in pages.iter().zip(stamps) {
        write(&things, *page, 5, stamp).await;
    }
    things
        .stage
        .notion
        .set_clock("2026-11-20T10:16:20Z".parse().unwrap());
    for page in &pages {
        things.edit(*page, numbers(2));
    }
    things.full_scan().await;
    for (page, newest) in pages.iter().zip(["2", "2", "5"]) {
        expect(&things, "both moved", *page, [newest, "2", "5", "5"]).await;
        let newest = if newest == "2" { "" } else { "Mismatch" };
        assert_eq!(
            kinds(&things, *page).await,
            kinds_are([newest, "", "Mismatch", "Conflict"])
        );
    }
    // The loser's value is kept.
    let result = things.stage.audited("notion_sync", pages[0]).await.unwrap();
    let changes = result["changes"].as_array().unwrap();
    let lost: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change["column"].as_str().unwrap(),
                change["overwrote"].clone(),
            )
        })
        .collect();
    assert_eq!(
        lost,
        [("newest", json!(5)), ("notion", json!(5))],
        "{result}"
    );
    things.expect_rest("both moved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_conflict_is_shown_and_closes_itself() {
    let things = stage("policy-manual").await;
    let page = things.page(numbers(1)).await;
    write(&things, page, 1, None).await;
    let spec = things.spec(&json!({"conflictPolicy": "Manual"}));
    things.bind(&spec).await;
    write(&things, page, 3, None).await;
    things.edit(page, numbers(2));
    things.full_scan().await;
    expect(&things, "conflict", page, ["3", "3", "3", "3"]).await;
    things
        .stage
        .wait_condition("things", "InSync", "False", Some("ConflictsFound"))
        .await;
    let query = "SELECT jsonb_agg(jsonb_build_array(\"column\", kind, base -> 'postgres', notion,
        postgres, closed_at IS NULL) ORDER BY id) FROM notion_sync.conflicts";
    let rows: Value = serde_json::from_str(&things.stage.text(query).await.unwrap()).unwrap();
    let expected: Vec<_> = COLUMNS
        .iter()
        .map(|(column, ..)| json!([column, "BothChanged", "1", 2, 3, true]))
        .collect();
    let mut found = rows.as_array().unwrap().clone();
    found.sort_by_key(|row| COLUMNS.iter().position(|(column, ..)| row[0] == *column));
    assert_eq!(found, expected);
    let status = &things.stage.binding("things").await["status"];
    assert_eq!(
        (&status["drift"]["conflicts"], &status["drift"]["count"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(status["health"], "Degraded");
    things.expect_rest("conflict").await;
    // The sides come to agree, here by an edit in Notion, there by a write to the row.
    things.edit(page, json!({"A": {"number": 3}, "B": {"number": 3}}));
    things
        .stage
        .sql("UPDATE things SET postgres = 2, manual = 2")
        .await;
    things.full_scan().await;
    things
        .stage
        .wait_condition("things", "InSync", "True", Some("InSync"))
        .await;
    let open = "SELECT count(*) FROM notion_sync.conflicts WHERE closed_at IS NULL";
    assert_eq!(things.stage.count(open).await, 0);
    assert_eq!(
        things
            .stage
            .count("SELECT count(*) FROM notion_sync.conflicts")
            .await,
        4
    );
    expect(&things, "agreed", page, ["3", "3", "2", "2"]).await;
    // From there on Notion's edits flow again.
    things.edit(page, numbers(7));
    things.pass().await;
    expect(&things, "after", page, ["7", "7", "7", "7"]).await;
    things.expect_rest("after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bindings_policy_holds_where_a_property_has_none() {
    let things = stage("policy-binding").await;
    let page = things.page(numbers(1)).await;
    write(&things, page, 2, None).await;
    let mut spec = things.spec(&json!({"conflictPolicy": "PostgresWins"}));
    spec["properties"][1]["conflictPolicy"] = "NotionWins".into();
    things.bind(&spec).await;
    expect(&things, "PostgresWins", page, ["2", "1", "2", "2"]).await;
    // Another policy for the binding is acted upon without an edit.
    let mut spec = things.spec(&json!({"conflictPolicy": "NotionWins"}));
    spec["properties"][2]["conflictPolicy"] = "PostgresWins".into();
    things.bind(&spec).await;
    eventually("the new policy decides", async || {
        (things.cells(page).await[0].as_deref() == Some("1")).then_some(())
    })
    .await;
    expect(&things, "NotionWins", page, ["1", "1", "2", "1"]).await;
}
