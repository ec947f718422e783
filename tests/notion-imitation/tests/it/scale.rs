//! Large tables stay quick. Bounds are generous: they catch a scan per row, not a slow machine.

use std::time::{Duration, Instant};

use notion_imitation::BulkSpec;
use serde_json::json;

use crate::client::{projects, start, title};

#[tokio::test]
async fn thirty_thousand_pages() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    notion
        .bulk(&BulkSpec {
            data_source: table.id,
            count: 30_000,
            properties: json!({"Name": title("Row {n}"), "Price": {"number": "{n}"}, "Open": {"checkbox": true}}),
            created_time: Some("2026-11-01T00:00:00Z".parse().unwrap()),
            step_ms: 6_000,
            ..BulkSpec::default()
        })
        .unwrap();
    let sorts = json!([{"timestamp": "created_time", "direction": "ascending"}]);
    let filter = json!({"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": "2026-11-03T01:50:00Z"}});
    for body in [
        json!({"sorts": sorts, "page_size": 1}),
        json!({"filter": filter, "page_size": 1}),
        json!({"page_size": 1}),
    ] {
        let started = Instant::now();
        client.query(table, body.clone()).await.ok();
        let took = started.elapsed();
        assert!(took < Duration::from_millis(500), "{body} took {took:?}");
    }
    let started = Instant::now();
    let mut body = json!({"sorts": sorts});
    let mut rows = 0;
    loop {
        let path = format!(
            "/v1/data_sources/{}/query?filter_properties=title",
            table.id
        );
        let answer = client.post(path, body.clone()).await.ok();
        assert_eq!(answer["request_status"]["type"], "incomplete");
        rows += answer["results"].as_array().unwrap().len();
        if answer["has_more"] == false {
            break;
        }
        body["start_cursor"] = answer["next_cursor"].clone();
    }
    assert_eq!(rows, 10_000);
    assert!(
        started.elapsed() < Duration::from_mins(1),
        "{:?}",
        started.elapsed()
    );
}
