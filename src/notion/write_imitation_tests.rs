//! Writes against the imitation of Notion: what a page holds afterwards, whatever the weather.

use std::sync::Arc;
use std::time::Duration;

use notion_imitation::{
    Capability, DataSourceRef, DataSourceSpec, Failure, Handle, How, Imitation, Options,
    Subscription, When,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::stub::install_crypto;
use super::{
    Client, Clients, Lane, NotionError, NotionWriter, PropertyWrite, WriteError, WriteTerms,
};
use crate::metrics::Metrics;
use crate::sync::fixtures::text;
use crate::sync::identity::{DataSourceId, PageId, PropertyId, UserId};
use crate::sync::page::{
    DateOrTime, NotionDate, PageSnapshot, PropertyRead, PropertyType, PropertyValue, Provenance,
};

mod lookups;

const EDIT: WriteTerms<'static> = WriteTerms {
    lane: Lane::Edit,
    guard: &|| true,
};

struct World {
    notion: Handle,
    table: DataSourceRef,
    client: Arc<Client>,
}

impl World {
    async fn start() -> Self {
        install_crypto();
        let notion = Imitation::start(Options::default()).await.unwrap();
        let properties = json!({"Name": {"title": {}}, "Price": {"number": {}}, "Due": {"date": {}},
            "Mail": {"email": {}}, "Done": {"checkbox": {}}, "Text": {"rich_text": {}},
            "Stage": {"status": {"options": [{"name": "To do"}, {"name": "Done"}]}, "default": "To do"}});
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

    fn id(&self, name: &str) -> PropertyId {
        PropertyId::new(&self.notion.property_id(self.table, name).unwrap())
    }

    fn named(&self, name: &str) -> PropertyWrite {
        (self.id("Name"), PropertyType::Title, text(name))
    }

    fn price(&self, number: &str) -> PropertyWrite {
        let number = PropertyValue::Number(Some(number.parse().unwrap()));
        (self.id("Price"), PropertyType::Number, number)
    }

    fn page(&self) -> PageId {
        let name = json!({"Name": {"title": [{"text": {"content": "before"}}]}});
        PageId(self.notion.create_page(self.table, name).unwrap())
    }

    async fn update(
        &self,
        page: PageId,
        properties: &[PropertyWrite],
    ) -> Result<PageSnapshot, WriteError> {
        let wanted: Vec<_> = properties.iter().map(|(id, ..)| id.clone()).collect();
        let write = self.client.update_page(page, properties, &wanted, EDIT);
        write.await
    }

    async fn make(&self, properties: &[PropertyWrite]) -> Result<PageSnapshot, WriteError> {
        let write = self
            .client
            .create_page(self.source(), properties, &[], EDIT);
        write.await
    }

    async fn find(&self, key: &[PropertyWrite]) -> Vec<PageId> {
        let found = self.client.find_pages(self.source(), key, &[], Lane::Edit);
        found.await.unwrap().iter().map(|page| page.id).collect()
    }

    fn truth(&self, page: PageId, name: &str) -> Value {
        self.notion.page(page.0).unwrap()["properties"][name].clone()
    }

    fn weather(&self, operation: &str, when: When, how: How, status: u16) {
        self.notion.fail(Failure {
            operation: Some(operation.to_owned()),
            when,
            how,
            status,
            ..Failure::default()
        });
    }

    fn writes(&self) -> usize {
        let log = self.notion.requests();
        log.iter()
            .filter(|record| matches!(record.operation.as_str(), "pages.update" | "pages.create"))
            .count()
    }
}

fn committed(result: Result<PageSnapshot, WriteError>) -> Option<PageId> {
    match result {
        Err(WriteError::Ambiguous { committed, .. }) => committed,
        other => panic!("nobody knows whether it was written: {other:?}"),
    }
}

#[tokio::test]
async fn an_update_is_echoed_as_notion_keeps_it() {
    let world = World::start().await;
    let page = world.page();
    let moment = DateOrTime::Moment("2026-11-20T10:15:42Z".parse().unwrap());
    let date = PropertyValue::Date(Some(NotionDate {
        start: moment,
        end: None,
    }));
    let properties = [
        world.named("after"),
        world.price("19.555"),
        (world.id("Due"), PropertyType::Date, date),
        (
            world.id("Stage"),
            PropertyType::Status,
            PropertyValue::Choice(None),
        ),
    ];
    let echo = world.update(page, &properties).await.unwrap();
    let read = |name| echo.properties[&world.id(name)].read.clone();
    assert_eq!(read("Name"), PropertyRead::Value(text("after")));
    let PropertyRead::Value(PropertyValue::Date(Some(due))) = read("Due") else {
        panic!("{:?}", read("Due"));
    };
    let minute = "2026-11-20T10:15:00Z".parse().unwrap();
    assert_eq!(due.start, DateOrTime::Moment(minute));
    // A cleared status comes back as its default.
    let stage = PropertyValue::Choice(Some("To do".to_owned()));
    assert_eq!(read("Stage"), PropertyRead::Value(stage));
    assert_eq!(echo.provenance, Provenance::Get);
    assert_eq!(echo.data_source, Some(world.source()));
    let bot = NotionWriter::me(&*world.client).await.unwrap();
    assert_eq!(bot, UserId(world.notion.bot(None).unwrap()));
    assert_eq!(echo.last_edited_by, Some(bot));
    let seconds = echo.last_edited_time.unwrap().as_second();
    assert_eq!(seconds % 60, 0);
    // What was not sent stays.
    assert_eq!(world.truth(page, "Price")["number"], 19.555);
    assert_eq!(world.truth(page, "Mail")["email"], Value::Null);
}

#[tokio::test]
async fn a_page_is_trashed_and_comes_back() {
    let world = World::start().await;
    let page = world.page();
    let trashed = world.client.set_trashed(page, true, &[], EDIT).await;
    assert!(trashed.unwrap().in_trash);
    assert_eq!(world.notion.page(page.0).unwrap()["in_trash"], true);
    // A page in the trash takes no other write.
    let refused = world.update(page, &[world.price("1")]).await;
    assert!(matches!(refused, Err(WriteError::NotWritten(_))));
    let restored = world.client.set_trashed(page, false, &[], EDIT).await;
    assert!(!restored.unwrap().in_trash);
}

#[tokio::test]
async fn what_fails_before_the_work_or_after_it_looks_the_same() {
    let world = World::start().await;
    for status in [500, 502, 503, 504] {
        for (when, written) in [(When::Before, false), (When::After, true)] {
            let page = world.page();
            world.weather("pages.update", when, How::Answer, status);
            let before = world.writes();
            let result = world.update(page, &[world.price("2")]).await;
            assert_eq!(committed(result), None);
            assert_eq!(world.writes(), before + 1, "a write is never repeated");
            let is_written = world.truth(page, "Price")["number"] == 2;
            assert_eq!(is_written, written, "{status}");
        }
    }
}

#[tokio::test]
async fn a_lost_or_broken_answer_is_ambiguous() {
    let world = World::start().await;
    for how in [How::Drop, How::Malformed, How::EdgePage] {
        for (when, written) in [(When::Before, false), (When::After, true)] {
            let page = world.page();
            world.weather("pages.update", when, how, 502);
            let result = world.update(page, &[world.price("2")]).await;
            assert_eq!(committed(result), None);
            let is_written = world.truth(page, "Price")["number"] == 2;
            assert_eq!(is_written, written, "{how:?}");
        }
    }
}

#[tokio::test]
async fn a_write_may_land_long_after_its_answer() {
    let world = World::start().await;
    let page = world.page();
    world.weather("pages.update", When::Late { ms: 400 }, How::Answer, 504);
    let result = world.update(page, &[world.price("2")]).await;
    assert_eq!(committed(result), None);
    assert_eq!(world.truth(page, "Price")["number"], Value::Null);
    for _ in 0..100 {
        if world.truth(page, "Price")["number"] == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the write never arrived");
}

#[tokio::test]
async fn refusals_leave_the_page_alone() {
    let world = World::start().await;
    let page = world.page();
    for status in [401, 403, 404, 409] {
        world.weather("pages.update", When::Before, How::Answer, status);
        let result = world.update(page, &[world.price("2")]).await;
        let Err(WriteError::NotWritten(NotionError::Answered { status: said, .. })) = result else {
            panic!("{result:?}");
        };
        assert_eq!(said, status);
    }
    let unknown = PropertyValue::Choice(Some("Never heard of".to_owned()));
    let unknown = (world.id("Stage"), PropertyType::Status, unknown);
    let result = world.update(page, &[unknown, world.price("2")]).await;
    assert!(matches!(
        result,
        Err(WriteError::NotWritten(NotionError::Answered {
            status: 400,
            ..
        }))
    ));
    assert_eq!(world.truth(page, "Price")["number"], Value::Null);
}

#[tokio::test]
async fn our_own_writes_are_announced_with_the_bot_as_author() {
    let world = World::start().await;
    let page = world.page();
    let receiver = super::stub::Stub::start(vec![super::stub::ok("{}")]).await;
    let subscription = Subscription {
        url: receiver.base().to_owned(),
        ..Subscription::default()
    };
    world.notion.subscribe(subscription).unwrap();
    world.update(page, &[world.price("2")]).await.unwrap();
    assert!(world.notion.delivered(Duration::from_secs(20)).await);
    let sent = world.notion.deliveries();
    let event: Value = serde_json::from_str(&sent[0].body).unwrap();
    assert_eq!(event["type"], "page.properties_updated");
    let bot = world.notion.bot(None).unwrap();
    assert_eq!(event["authors"], json!([{"id": bot, "type": "bot"}]));
    let written = PropertyId::new(event["data"]["updated_properties"][0].as_str().unwrap());
    assert_eq!(written, world.id("Price"));
}

#[tokio::test]
async fn a_connection_that_may_not_read_still_learns_what_it_made() {
    let world = World::start().await;
    let capabilities = [Capability::InsertContent];
    world.notion.set_capabilities(None, &capabilities).unwrap();
    let result = world.make(&[world.named("blind")]).await;
    let made = match result {
        Ok(page) => Some(page.id),
        result => committed(result),
    };
    assert!(made.is_some());
}
