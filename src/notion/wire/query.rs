//! Queries of a data source: the request's body and the answer.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::object::{Object, read};
use super::page::PageObject;
use super::{lacking, parse};
use crate::notion::error::NotionError;
use crate::notion::{QueryOrder, QueryPage, QueryRequest};
use crate::sync::filter::PageFilter;
use crate::sync::identity::PropertyId;
use crate::sync::page::Provenance;

/// The body of a query for at most `page_size` pages.
pub(in crate::notion) fn query_body(request: &QueryRequest, page_size: u32) -> Value {
    let timestamp = match request.order {
        QueryOrder::CreatedAscending => "created_time",
        QueryOrder::EditedAscending => "last_edited_time",
    };
    let mut body = json!({
        "result_type": "page",
        "page_size": page_size,
        "sorts": [{ "timestamp": timestamp, "direction": "ascending" }],
    });
    let bounds = [
        ("created_time", "on_or_after", request.created_on_or_after),
        ("created_time", "on_or_before", request.created_on_or_before),
        (
            "last_edited_time",
            "on_or_after",
            request.edited_on_or_after,
        ),
        (
            "last_edited_time",
            "on_or_before",
            request.edited_on_or_before,
        ),
    ];
    let filters: Vec<Value> = bounds
        .into_iter()
        .filter_map(|(field, operator, bound)| Some(time_filter(field, operator, bound?)))
        .collect();
    if let Some(filter) = PageFilter::join(request.filter.as_ref(), &filters) {
        body["filter"] = filter;
    }
    if let Some(cursor) = &request.cursor {
        body["start_cursor"] = json!(cursor);
    }
    body
}

fn time_filter(field: &str, operator: &str, bound: Timestamp) -> Value {
    json!({ "timestamp": field, field: { operator: format!("{bound:.3}") } })
}

#[derive(Deserialize)]
struct QueryAnswer<'a> {
    #[serde(borrow)]
    results: Option<Vec<PageObject<'a>>>,
    has_more: Option<&'a RawValue>,
    next_cursor: Option<&'a RawValue>,
    request_status: Option<&'a RawValue>,
}

/// The answer to a query that started at `cursor`.
pub(in crate::notion) fn query_page(
    body: &[u8],
    cursor: Option<&str>,
    wanted: &[PropertyId],
    server_date: Option<Timestamp>,
) -> Result<QueryPage, NotionError> {
    let answer: QueryAnswer<'_> = parse(body, "query")?;
    let pages = answer
        .results
        .ok_or_else(|| lacking("query"))?
        .iter()
        // A wiki lists data sources among its pages.
        .filter(|page| page.object().is_none_or(|object| object == "page"))
        .map(|page| page.snapshot(Provenance::Query, wanted))
        .collect::<Result<_, _>>()?;
    Ok(QueryPage {
        pages,
        next_cursor: next_cursor(answer.has_more, answer.next_cursor, cursor)?,
        incomplete: is_incomplete(answer.request_status),
        server_date,
    })
}

/// Where a list goes on. A list that claims to have more but does not say where, or that starts
/// again where it started, would be taken for complete or read for ever.
pub(super) fn next_cursor(
    has_more: Option<&RawValue>,
    next: Option<&RawValue>,
    current: Option<&str>,
) -> Result<Option<String>, NotionError> {
    if has_more.and_then(read) != Some(true) {
        return Ok(None);
    }
    let next = next.and_then(read::<String>);
    let next = next.filter(|next| Some(next.as_str()) != current);
    Ok(Some(next.ok_or_else(|| lacking("cursor"))?))
}

/// Whether Notion says that the result is capped. Its absence is the rule in complete answers.
fn is_incomplete(status: Option<&RawValue>) -> bool {
    status.is_some_and(|status| Object::read(status).text("type").as_deref() == Some("incomplete"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_plain_query_has_no_filter() {
        assert_eq!(
            query_body(&QueryRequest::all(), 100),
            json!({"result_type": "page", "page_size": 100,
                "sorts": [{"timestamp": "created_time", "direction": "ascending"}]})
        );
    }

    #[test]
    fn all_bounds_are_joined_by_and() {
        let request = QueryRequest {
            created_on_or_after: Some(at("2026-01-01T00:00:00Z")),
            created_on_or_before: Some(at("2026-01-02T00:00:00Z")),
            edited_on_or_after: Some(at("2026-01-03T00:00:00Z")),
            edited_on_or_before: Some(at("2026-01-04T00:00:00Z")),
            order: QueryOrder::EditedAscending,
            cursor: Some("c".to_owned()),
            filter: None,
        };
        let body = query_body(&request, 50);
        assert_eq!(body["start_cursor"], "c");
        assert_eq!(body["sorts"][0]["timestamp"], "last_edited_time");
        assert_eq!(
            body["filter"],
            json!({"and": [
                {"timestamp": "created_time", "created_time": {"on_or_after": "2026-01-01T00:00:00.000Z"}},
                {"timestamp": "created_time", "created_time": {"on_or_before": "2026-01-02T00:00:00.000Z"}},
                {"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": "2026-01-03T00:00:00.000Z"}},
                {"timestamp": "last_edited_time", "last_edited_time": {"on_or_before": "2026-01-04T00:00:00.000Z"}},
            ]})
        );
    }

    fn answer(text: &str, cursor: Option<&str>) -> Result<QueryPage, NotionError> {
        query_page(text.as_bytes(), cursor, &[], None)
    }

    #[test]
    fn a_capped_answer_is_incomplete_although_it_has_no_more() {
        let page = answer(
            r#"{"results":[],"has_more":false,"next_cursor":null,"request_status":
                {"type":"incomplete","incomplete_reason":"query_result_limit_reached"}}"#,
            None,
        )
        .unwrap();
        assert!(page.incomplete);
        let page = answer(
            r#"{"results":[],"request_status":{"type":"complete"}}"#,
            None,
        )
        .unwrap();
        assert!(!page.incomplete);
    }

    #[test]
    fn a_list_that_does_not_go_on_is_an_error() {
        let more = r#"{"results":[],"has_more":true,"next_cursor":"b"}"#;
        let next = answer(more, Some("a")).unwrap().next_cursor;
        assert_eq!(next.as_deref(), Some("b"));
        assert!(answer(more, Some("b")).is_err());
        assert!(answer(r#"{"results":[],"has_more":true}"#, None).is_err());
        assert!(answer(r#"{"has_more":false}"#, None).is_err());
    }

    #[test]
    fn data_sources_are_passed_by_and_partial_pages_are_refused() {
        let id = "38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c";
        let wiki = format!(
            r#"{{"results":[{{"object":"data_source","id":"{id}","properties":{{}}}},
                {{"object":"page","id":"{id}","properties":{{}}}}]}}"#
        );
        assert_eq!(answer(&wiki, None).unwrap().pages.len(), 1);
        let partial = format!(r#"{{"results":[{{"object":"page","id":"{id}"}}]}}"#);
        assert!(matches!(
            answer(&partial, None),
            Err(NotionError::ContentNotReadable)
        ));
    }
}
