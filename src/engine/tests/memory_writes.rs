//! The Notion in memory writes as the real one does, and fails as the real one does.

use serde_json::json;

use super::clock::VirtualClock;
use super::memory_notion::{Call, Failure, MemoryNotion, writer};
use super::script::{Fault, When};
use super::{World, number_value};
use crate::notion::{
    Lane, NotionApi, NotionError, NotionWriter, PropertyWrite, QueryRequest, WriteError, WriteTerms,
};
use crate::sync::filter::PageFilter;
use crate::sync::fixtures::text;
use crate::sync::identity::{PageId, PropertyId};
use crate::sync::page::{PageSnapshot, PropertyRead, PropertyType, PropertyValue};

const EDIT: WriteTerms<'static> = WriteTerms {
    lane: Lane::Edit,
    guard: &|| true,
};

fn name(value: &str) -> PropertyWrite {
    (PropertyId::new("name"), PropertyType::Title, text(value))
}

fn wanted() -> [PropertyId; 2] {
    [PropertyId::new("name"), PropertyId::new("price")]
}

/// A page, its Notion and the clock of both.
fn page() -> (World, PageId) {
    let world = World::new();
    let page = world.pair(1, "before");
    (world, page)
}

async fn rename(notion: &MemoryNotion, page: PageId) -> Result<PageSnapshot, WriteError> {
    notion
        .update_page(page, &[name("after")], &wanted(), EDIT)
        .await
}

async fn name_of(notion: &MemoryNotion, page: PageId) -> PropertyValue {
    let read = notion.page(page, &wanted(), Lane::Edit).await.unwrap();
    match &read.properties[&PropertyId::new("name")].read {
        PropertyRead::Value(value) => value.clone(),
        other => panic!("{other:?}"),
    }
}

fn is_write(call: &Call) -> bool {
    matches!(call, Call::Update(..) | Call::Create(..) | Call::Trash(..))
}

fn committed(result: Result<PageSnapshot, WriteError>, clock: &VirtualClock) -> Option<PageId> {
    match result {
        Err(WriteError::Ambiguous {
            committed, sent_at, ..
        }) => {
            assert_eq!(sent_at, clock.now());
            committed
        }
        other => panic!("nobody knows whether it was written: {other:?}"),
    }
}

#[tokio::test]
async fn the_echo_shows_the_bot_and_the_minute() {
    let (world, page) = page();
    world.clock.advance(90);
    let echo = rename(&world.notion, page).await.unwrap();
    assert_eq!(echo.last_edited_by, Some(writer::BOT));
    let minute = echo.last_edited_time.unwrap().to_string();
    assert_eq!(minute, "2026-11-20T10:02:00Z");
    assert_eq!(name_of(&world.notion, page).await, text("after"));
    let call = Call::Update(page, vec![name("after")], Lane::Edit);
    assert!(world.notion.log().contains(&call));
}

#[tokio::test]
async fn every_fault_leaves_the_page_as_its_name_says() {
    let cases = [
        (When::Before, Failure::Status(409), false, false),
        (When::Before, Failure::Throttled, false, false),
        (When::Before, Failure::Status(504), true, false),
        (When::Before, Failure::Unreachable, true, false),
        (When::After, Failure::Status(502), true, true),
        (When::After, Failure::Unreadable, true, true),
    ];
    for (when, failure, ambiguous, written) in cases {
        let (world, page) = page();
        let script = &world.notion.script;
        script.once(is_write, when, Fault::Fail(failure));
        let result = rename(&world.notion, page).await;
        let is_ambiguous = matches!(result, Err(WriteError::Ambiguous { .. }));
        assert_eq!(is_ambiguous, ambiguous, "{failure:?}: {result:?}");
        let is_written = name_of(&world.notion, page).await == text("after");
        assert_eq!(is_written, written, "{failure:?}");
    }
}

#[tokio::test]
async fn a_late_write_lands_on_what_the_page_is_then() {
    let (world, page) = page();
    let script = &world.notion.script;
    script.once(is_write, When::Before, Fault::Fail(Failure::Late(50)));
    assert_eq!(
        committed(rename(&world.notion, page).await, &world.clock),
        None
    );
    let price = number_value(Some("7"));
    world.notion.edit(page, "price", price.clone());
    world.clock.advance(49);
    assert_eq!(name_of(&world.notion, page).await, text("before"));
    world.clock.advance(1);
    assert_eq!(name_of(&world.notion, page).await, text("after"));
    let read = world
        .notion
        .page(page, &wanted(), Lane::Edit)
        .await
        .unwrap();
    let held = &read.properties[&PropertyId::new("price")].read;
    assert_eq!(*held, PropertyRead::Value(price));
    assert_eq!(read.last_edited_by, Some(writer::BOT));
}

#[tokio::test]
async fn pages_are_made_found_and_trashed() {
    let (world, _) = page();
    let notion = &world.notion;
    let source = world.plan.data_source;
    let create = |value: &'static str| async move {
        let properties = [name(value)];
        notion
            .create_page(source, &properties, &wanted(), EDIT)
            .await
    };
    let made = create("new").await.unwrap();
    let price = &made.properties[&PropertyId::new("price")].read;
    assert_eq!(*price, PropertyRead::Value(number_value(None)));
    let script = &notion.script;
    script.once(is_write, When::After, Fault::Fail(Failure::Status(503)));
    let named = committed(create("new").await, &world.clock).unwrap();
    assert_ne!(named, made.id);
    script.once(is_write, When::Before, Fault::Fail(Failure::Late(30)));
    assert_eq!(committed(create("new").await, &world.clock), None);
    let find = async || {
        let key = [name("new")];
        let found = notion.find_pages(source, &key, &[], Lane::Background).await;
        found.unwrap().len()
    };
    assert_eq!(find().await, 2);
    world.clock.advance(30);
    assert_eq!(find().await, 3);
    let trashed = notion.set_trashed(named, true, &[], EDIT).await.unwrap();
    assert!(trashed.in_trash);
    assert_eq!(find().await, 2);
    let refused = rename(notion, named).await;
    assert!(matches!(refused, Err(WriteError::NotWritten(_))));
}

#[tokio::test]
async fn a_guard_that_says_no_sends_nothing() {
    let (world, page) = page();
    let never = WriteTerms {
        guard: &|| false,
        ..EDIT
    };
    let write = world.notion.set_trashed(page, true, &[], never);
    let refused = write.await;
    assert!(matches!(
        refused,
        Err(WriteError::NotWritten(NotionError::SendRefused))
    ));
    assert!(!world.notion.log().iter().any(is_write));
}

#[tokio::test]
async fn a_query_keeps_to_its_filter() {
    let (world, page) = page();
    world.pair(2, "other");
    let filter = json!({"property": "name", "title": {"equals": "before"}});
    let filter = PageFilter::parse(&filter).unwrap();
    let request = QueryRequest::all().filtered(filter.as_ref());
    let source = world.plan.data_source;
    let wanted = wanted();
    let answer = world.notion.query(source, &request, &wanted, Lane::Edit);
    let ids: Vec<_> = answer.await.unwrap().pages.iter().map(|it| it.id).collect();
    assert_eq!(ids, [page]);
}
