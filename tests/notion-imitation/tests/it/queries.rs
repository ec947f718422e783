//! Queries: filters, sorts, paging, the cap, and who is in the result.

use std::collections::HashSet;

use notion_imitation::{BulkSpec, Controls, DataSourceRef, PageSpec};
use serde_json::{Value as Json, json};

use crate::client::{Client, projects, rich, start, title};

fn fill(notion: &Controls, table: DataSourceRef, count: u32) -> Vec<uuid::Uuid> {
    notion
        .bulk(&BulkSpec {
            data_source: table.id,
            count,
            properties: json!({"Name": title("Row {n}"), "Price": {"number": "{n}"}}),
            created_time: Some("2026-11-20T10:00:00Z".parse().unwrap()),
            step_ms: 10_000,
            ..BulkSpec::default()
        })
        .unwrap()
}

fn names(rows: &[Json]) -> Vec<String> {
    let name = |row: &Json| {
        row["properties"]["Name"]["title"][0]["plain_text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    rows.iter().map(name).collect()
}

async fn matching(client: &Client, table: DataSourceRef, filter: Json) -> Vec<String> {
    let (rows, _) = client.query_all(table, json!({"filter": filter})).await;
    let mut names = names(&rows);
    names.sort();
    names
}

#[tokio::test]
async fn pages_of_a_result_are_complete_and_disjoint() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let ids: HashSet<String> = fill(&notion, table, 250)
        .iter()
        .map(ToString::to_string)
        .collect();
    for body in [
        json!({}),
        json!({"page_size": 7}),
        json!({"sorts": [{"timestamp": "created_time", "direction": "ascending"}]}),
    ] {
        let (rows, last) = client.query_all(table, body).await;
        let seen: HashSet<String> = rows
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!((rows.len(), &seen), (250, &ids));
        assert!(last.get("request_status").is_none());
    }
    let (scattered, _) = client.query_all(table, json!({})).await;
    let (sorted, _) = client
        .query_all(
            table,
            json!({"sorts": [{"property": "Price", "direction": "ascending"}]}),
        )
        .await;
    assert_ne!(names(&scattered), names(&sorted), "no order without sorts");
    assert_eq!(names(&sorted)[..2], ["Row 1", "Row 2"]);
    let (again, _) = client.query_all(table, json!({})).await;
    assert_eq!(names(&scattered), names(&again));
}

#[tokio::test]
async fn a_capped_result_says_so_on_every_page() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    fill(&notion, table, 50);
    notion.switch(|switches| switches.query_cap = 40);
    let mut body = json!({"page_size": 20, "sorts": [{"timestamp": "created_time", "direction": "ascending"}]});
    let first = client.query(table, body.clone()).await.ok();
    assert_eq!(first["request_status"]["type"], "incomplete");
    assert_eq!(
        first["request_status"]["incomplete_reason"],
        "query_result_limit_reached"
    );
    body["start_cursor"] = first["next_cursor"].clone();
    let second = client.query(table, body.clone()).await.ok();
    assert_eq!(second["request_status"]["type"], "incomplete");
    assert_eq!(
        (&second["has_more"], &second["next_cursor"]),
        (&json!(false), &Json::Null)
    );
    let last = second["results"][19]["created_time"].clone();
    let window =
        json!({"filter": {"timestamp": "created_time", "created_time": {"on_or_after": last}}});
    let (rest, _) = client.query_all(table, window).await;
    assert!(rest.len() >= 11, "{} rows in the next window", rest.len());
    notion.switch(|switches| switches.query_cap = 50);
    let whole = client.query(table, json!({})).await.ok();
    assert!(
        whole.get("request_status").is_none(),
        "exactly the cap is not capped"
    );
}

#[tokio::test]
async fn time_filters() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    for (name, at) in [("a", "10:00:59"), ("b", "10:01:10"), ("c", "10:02:00")] {
        let at = format!("2026-11-20T{at}Z").parse().unwrap();
        notion
            .add_page(&PageSpec {
                data_source: Some(table.id),
                properties: json!({"Name": title(name)}),
                created_time: Some(at),
                ..PageSpec::default()
            })
            .unwrap();
    }
    let at = "2026-11-20T10:01:00.000Z";
    for key in ["created_time", "last_edited_time"] {
        for (operator, expected) in [
            ("equals", vec!["b"]),
            ("before", vec!["a"]),
            ("after", vec!["c"]),
            ("on_or_before", vec!["a", "b"]),
            ("on_or_after", vec!["b", "c"]),
        ] {
            let filter = json!({"timestamp": key, key: {operator: at}});
            assert_eq!(
                matching(&client, table, filter).await,
                expected,
                "{key} {operator}"
            );
        }
    }
    let between = json!({"and": [
        {"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": at}},
        {"timestamp": "last_edited_time", "last_edited_time": {"before": "2026-11-20T10:02:00Z"}},
    ]});
    assert_eq!(matching(&client, table, between).await, ["b"]);
    let property = json!({"property": "Edited", "last_edited_time": {"on_or_after": at}});
    assert_eq!(matching(&client, table, property).await, ["b", "c"]);
}

#[tokio::test]
async fn property_filters() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let person = notion.person();
    let one = json!({
        "Name": title("one"), "Text": rich("Hello World"), "Price": {"number": 5},
        "Stage": {"status": {"name": "Doing"}}, "Kind": {"select": {"name": "A"}},
        "Tags": {"multi_select": [{"name": "x"}]}, "Due": {"date": {"start": "2026-11-20"}},
        "Who": {"people": [{"id": person}]}, "Open": {"checkbox": true},
        "Link": {"url": "https://x.example"}, "Calc": {"formula": {"type": "number", "number": 9}},
    });
    notion.create_page(table, one).unwrap();
    notion
        .create_page(table, json!({"Name": title("two")}))
        .unwrap();
    for (filter, expected) in [
        (
            json!({"property": "Name", "title": {"equals": "ONE"}}),
            vec!["one"],
        ),
        (
            json!({"property": "Text", "rich_text": {"contains": "world"}}),
            vec!["one"],
        ),
        (
            json!({"property": "Text", "rich_text": {"is_empty": true}}),
            vec!["two"],
        ),
        (
            json!({"property": "Price", "number": {"greater_than": 4}}),
            vec!["one"],
        ),
        (
            json!({"property": "Price", "number": {"does_not_equal": 5}}),
            vec!["two"],
        ),
        (
            json!({"property": "U%60%3BC", "status": {"equals": "Doing"}}),
            vec!["one"],
        ),
        (
            json!({"property": "Stage", "status": {"equals": "In progress"}}),
            vec!["one"],
        ),
        (
            json!({"property": "Stage", "status": {"does_not_equal": ["Doing", "Done"]}}),
            vec!["two"],
        ),
        (
            json!({"property": "Kind", "select": {"is_not_empty": true}}),
            vec!["one"],
        ),
        (
            json!({"property": "Tags", "multi_select": {"contains": "x"}}),
            vec!["one"],
        ),
        (
            json!({"property": "Due", "date": {"on_or_before": "2026-11-20"}}),
            vec!["one"],
        ),
        (
            json!({"property": "Who", "people": {"contains": person}}),
            vec!["one"],
        ),
        (
            json!({"property": "Open", "checkbox": {"equals": false}}),
            vec!["two"],
        ),
        (
            json!({"property": "Link", "url": {"starts_with": "https"}}),
            vec!["one"],
        ),
        (
            json!({"property": "Calc", "formula": {"number": {"equals": 9}}}),
            vec!["one"],
        ),
        (
            json!({"property": "Number", "unique_id": {"equals": 2}}),
            vec!["two"],
        ),
        (
            json!({"property": "Maker", "created_by": {"contains": person}}),
            vec!["one", "two"],
        ),
        (
            json!({"or": [
                {"property": "Price", "number": {"equals": 5}},
                {"and": [{"property": "Price", "number": {"is_empty": true}}, {"property": "Open", "checkbox": {"equals": false}}]},
            ]}),
            vec!["one", "two"],
        ),
    ] {
        assert_eq!(
            matching(&client, table, filter.clone()).await,
            expected,
            "{filter}"
        );
    }
}

#[tokio::test]
async fn refused_queries() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let leaf = json!({"property": "Price", "number": {"equals": 1}});
    for body in [
        json!({"page_size": 101}),
        json!({"page_size": 0}),
        json!({"start_cursor": "nonsense"}),
        json!({"result_type": "block"}),
        json!({"sorts": [{"property": "Nope", "direction": "ascending"}]}),
        json!({"sorts": [{"property": "Price", "direction": "up"}]}),
        json!({"filter": {"property": "Nope", "number": {"equals": 1}}}),
        json!({"filter": {"property": "Price", "select": {"equals": "A"}}}),
        json!({"filter": {"property": "Price", "number": {"is_near": 1}}}),
        json!({"filter": {"timestamp": "created_time", "property": "Price", "created_time": {"after": "today"}}}),
        json!({"filter": {"timestamp": "created_time", "created_time": {"after": "soon"}}}),
        json!({"filter": {"and": [{"or": [{"and": [leaf]}]}]}}),
        json!({"in_trash": true}),
        json!({"sort": []}),
    ] {
        client
            .query(table, body.clone())
            .await
            .refused(400, "validation_error");
    }
}

#[tokio::test]
async fn who_is_in_the_result() {
    let (notion, client) = start().await;
    let (table, other) = (projects(&notion), projects(&notion));
    let ids = fill(&notion, table, 6);
    notion.trash(ids[0]).unwrap();
    notion.archive(ids[1], true).unwrap();
    notion.move_page(ids[2], Some(other.id)).unwrap();
    notion.unshare(ids[3], None).unwrap();
    notion.purge(ids[4]).unwrap();
    let left = |body| async { names(&client.query_all(table, body).await.0) };
    assert_eq!(left(json!({})).await, ["Row 6"]);
    assert_eq!(left(json!({"is_archived": true})).await, ["Row 2"]);
    assert_eq!(
        left(json!({"result_type": "data_source"})).await,
        Vec::<String>::new()
    );
    assert_eq!(client.query_all(other, json!({})).await.0.len(), 1);
    let moved = client.get(format!("/v1/pages/{}", ids[2])).await.ok();
    assert_eq!(moved["parent"]["data_source_id"], json!(other.id));
    assert_eq!(
        moved["properties"]["Name"]["title"][0]["plain_text"],
        "Row 3"
    );
    for gone in [ids[3], ids[4]] {
        client
            .get(format!("/v1/pages/{gone}"))
            .await
            .refused(404, "object_not_found");
    }
    notion.restore(ids[0]).unwrap();
    notion.archive(ids[1], false).unwrap();
    assert_eq!(left(json!({})).await.len(), 3);
}

#[tokio::test]
async fn trimmed_properties_in_both_spellings() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    fill(&notion, table, 1);
    for query in [
        "filter_properties=title&filter_properties=U%2560%253BC",
        "filter_properties[]=title&filter_properties[]=U%60%3BC",
    ] {
        let rows = client
            .post(
                format!("/v1/data_sources/{}/query?{query}", table.id),
                json!({}),
            )
            .await
            .ok();
        let keys: Vec<&String> = rows["results"][0]["properties"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        assert_eq!(keys, ["Name", "Stage"]);
    }
}

#[tokio::test]
async fn cursors_belong_to_their_query_and_may_be_refused() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    fill(&notion, table, 30);
    let first = client.query(table, json!({"page_size": 10})).await.ok();
    let cursor = first["next_cursor"].clone();
    let other = json!({"page_size": 10, "start_cursor": cursor, "filter": {"property": "Price", "number": {"equals": 1}}});
    client
        .query(table, other)
        .await
        .refused(400, "validation_error");
    notion.switch(|switches| switches.reject_cursor_after = 2);
    let second = client
        .query(table, json!({"page_size": 10, "start_cursor": cursor}))
        .await
        .ok();
    let third = json!({"page_size": 10, "start_cursor": second["next_cursor"]});
    client
        .query(table, third)
        .await
        .refused(400, "validation_error");
    notion.switch(|switches| switches.query_rows_per_page = 4);
    let short = client.query(table, json!({"page_size": 10})).await.ok();
    assert_eq!(
        (
            short["results"].as_array().unwrap().len(),
            &short["has_more"]
        ),
        (4, &json!(true))
    );
}

#[tokio::test]
async fn live_cursors_lose_rows_that_move() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let ids = fill(&notion, table, 30);
    notion.switch(|switches| switches.live_cursors = true);
    let body = json!({"page_size": 10, "sorts": [{"timestamp": "last_edited_time", "direction": "ascending"}]});
    let first = client.query(table, body.clone()).await.ok();
    assert_eq!(first["results"].as_array().unwrap().len(), 10);
    notion
        .edit(ids[0], json!({"Open": {"checkbox": true}}))
        .unwrap();
    let mut rest = body;
    rest["start_cursor"] = first["next_cursor"].clone();
    let (rest, _) = client.query_all(table, rest).await;
    let mut seen = names(first["results"].as_array().unwrap());
    seen.extend(names(&rest));
    let distinct: HashSet<&String> = seen.iter().collect();
    assert_eq!(
        (seen.len(), distinct.len()),
        (30, 29),
        "one row twice, one never"
    );
}
