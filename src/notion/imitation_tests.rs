//! The client against the imitation of Notion: whole reads with the limits that Notion has.

use std::collections::HashSet;
use std::sync::Arc;

use notion_imitation::{
    BulkSpec, Capability, DataSourceRef, DataSourceSpec, Failure, Handle, Imitation, Options,
};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::stub::install_crypto;
use super::{Client, Clients, Lane, NotionApi, NotionError, QueryPage, QueryRequest};
use crate::metrics::Metrics;
use crate::sync::identity::{DataSourceId, DatabaseId, PageId, PropertyId, UserId};
use crate::sync::page::{PageSnapshot, PropertyRead, PropertyType, PropertyValue};
use crate::sync::reason::Reason;

struct World {
    notion: Handle,
    table: DataSourceRef,
    client: Arc<Client>,
}

impl World {
    async fn start() -> Self {
        install_crypto();
        let notion = Imitation::start(Options::default()).await.unwrap();
        let properties = json!({"Name": {"title": {}}, "Price": {"number": {}}, "Text": {"rich_text": {}},
            "Due": {"date": {}}, "Done": {"checkbox": {}}, "Where": {"place": {}},
            "Stage": {"status": {"options": [{"name": "Doing"}]}}});
        let table = DataSourceSpec::new("Projects", properties);
        let table = notion.create_data_source(table).unwrap();
        let clients = Clients::new(notion.base_url(), Metrics::default()).unwrap();
        let client = clients.get(&SecretString::from(notion.token())).unwrap();
        Self {
            notion,
            table,
            client,
        }
    }

    fn source(&self) -> DataSourceId {
        DataSourceId(self.table.id)
    }

    fn fill(&self, count: u32) {
        let rows = BulkSpec {
            data_source: self.table.id,
            count,
            properties: json!({"Name": {"title": [{"text": {"content": "Row {n}"}}]}}),
            ..BulkSpec::default()
        };
        self.notion.bulk(&rows).unwrap();
    }

    async fn query(&self, cursor: Option<String>) -> Result<QueryPage, NotionError> {
        let request = QueryRequest {
            cursor,
            ..QueryRequest::all()
        };
        let query = self.client.query(self.source(), &request, &[], Lane::Edit);
        query.await
    }

    fn wanted(&self, name: &str) -> PropertyId {
        PropertyId::new(&self.notion.property_id(self.table, name).unwrap())
    }

    async fn read(&self, properties: Value, names: &[&str]) -> PageSnapshot {
        let page = self.notion.create_page(self.table, properties).unwrap();
        let wanted: Vec<_> = names.iter().map(|name| self.wanted(name)).collect();
        let read = self.client.page(PageId(page), &wanted, Lane::Edit);
        read.await.unwrap()
    }
}

#[tokio::test]
async fn a_table_is_read_page_by_page() {
    let world = World::start().await;
    world.fill(250);
    let (mut ids, mut cursor) = (HashSet::new(), None);
    loop {
        let page = world.query(cursor).await.unwrap();
        assert!(page.server_date.is_some() && !page.incomplete);
        ids.extend(page.pages.iter().map(|page| page.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((ids.len(), world.notion.requests().len()), (250, 3));
}

#[tokio::test]
async fn a_cap_and_a_refused_cursor_are_seen() {
    let world = World::start().await;
    world.fill(250);
    world.notion.switch(|switches| {
        switches.query_cap = 150;
        switches.reject_cursor_after = 1;
    });
    let first = world.query(None).await.unwrap();
    assert!(first.incomplete);
    let error = world.query(first.next_cursor).await.unwrap_err();
    assert!(matches!(error, NotionError::CursorRejected), "{error:?}");
}

#[tokio::test]
async fn values_are_decoded() {
    let world = World::start().await;
    let properties = json!({"Price": {"number": 19.555}, "Done": {"checkbox": true},
        "Due": {"date": {"start": "2026-11-20"}}, "Stage": {"status": {"name": "Doing"}}});
    let names = ["Price", "Done", "Due", "Stage", "Where"];
    let page = world.read(properties, &names).await;
    assert_eq!(page.data_source, Some(world.source()));
    let read = |name| page.properties[&world.wanted(name)].read.clone();
    let number = PropertyValue::Number(Some("19.555".parse().unwrap()));
    assert_eq!(read("Price"), PropertyRead::Value(number));
    let done = PropertyValue::Checkbox(true);
    assert_eq!(read("Done"), PropertyRead::Value(done));
    let stage = PropertyValue::Choice(Some("Doing".to_owned()));
    assert_eq!(read("Stage"), PropertyRead::Value(stage));
    assert!(matches!(
        read("Due"),
        PropertyRead::Value(PropertyValue::Date(Some(_)))
    ));
    let nowhere = PropertyValue::Raw(serde_json::Value::Null);
    assert_eq!(read("Where"), PropertyRead::Value(nowhere));
    let kind = &page.properties[&world.wanted("Where")].kind;
    assert_eq!(*kind, PropertyType::Place);
}

#[tokio::test]
async fn text_that_notion_cut_is_read_whole() {
    let world = World::start().await;
    let people: Vec<String> = (0..30).map(|number| format!("Person {number}")).collect();
    let mut segments = Vec::new();
    for name in &people {
        let person = world.notion.add_person(name, "p@example.com");
        segments.push(json!({"mention": {"user": {"id": person}}}));
        segments.push(json!({"text": {"content": ", "}}));
    }
    let page = world
        .read(json!({"Text": {"rich_text": segments}}), &["Text"])
        .await;
    let text = world.wanted("Text");
    assert_eq!(page.properties[&text].read, PropertyRead::Truncated);
    let whole = world.client.whole_property(page.id, &text, Lane::Edit);
    let value = PropertyValue::Text {
        plain: format!("@{}, ", people.join(", @")),
        lossy: true,
    };
    assert_eq!(whole.await.unwrap(), PropertyRead::Value(value));
}

#[tokio::test]
async fn schema_and_database_are_read() {
    let world = World::start().await;
    let source = world.client.data_source(world.source()).await.unwrap();
    assert_eq!(
        (source.title.as_str(), source.properties.len()),
        ("Projects", 7)
    );
    let database = DatabaseId(world.table.database);
    let sources = world.client.data_sources_of(database).await.unwrap();
    assert_eq!(sources, [(world.source(), "Projects".to_owned())]);
    world
        .notion
        .trash_database(world.table.database, true)
        .unwrap();
    let source = world.client.data_source(world.source()).await.unwrap();
    assert!(source.in_trash);
}

#[tokio::test]
async fn refusals_name_their_condition() {
    let world = World::start().await;
    world.fill(1);
    let bot = world.client.me().await.unwrap();
    assert_eq!(bot, UserId(world.notion.bot(None).unwrap()));
    let elsewhere = DataSourceId(uuid::Uuid::new_v4());
    let error = world.client.data_source(elsewhere).await.unwrap_err();
    assert!(error.is_not_found());
    let capabilities = [Capability::InsertContent];
    world.notion.set_capabilities(None, &capabilities).unwrap();
    let error = world.query(None).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NotionForbidden);
}

#[tokio::test]
async fn a_slow_query_is_made_smaller() {
    let world = World::start().await;
    world.fill(30);
    let guidance = json!(["Reduce page_size."]);
    world.notion.fail(Failure {
        operation: Some("data_sources.query".to_owned()),
        status: 503,
        times: Some(2),
        additional_data: Map::from_iter([("retry_guidance".to_owned(), guidance)]),
        ..Failure::default()
    });
    assert_eq!(world.query(None).await.unwrap().pages.len(), 25);
}
