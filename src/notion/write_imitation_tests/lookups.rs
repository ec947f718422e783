//! Looking pages up: by the key that a page was made with, by the binding's filter, and what the
//! schema says of other data sources.

use std::time::Duration;

use jiff::Timestamp;
use notion_imitation::{DataSourceSpec, How, RequestRecord, When};
use serde_json::json;
use uuid::Uuid;

use super::{EDIT, World, committed};
use crate::notion::{Lane, NotionApi, NotionWriter, PropertyWrite, QueryRequest};
use crate::sync::filter::PageFilter;
use crate::sync::fixtures::text;
use crate::sync::identity::{DataSourceId, PropertyId};
use crate::sync::page::{DateOrTime, NotionDate, PropertyType, PropertyValue};

#[tokio::test]
async fn a_page_that_was_made_is_found_by_its_id_or_by_its_key() {
    let world = World::start().await;
    world.weather("pages.create", When::After, How::Answer, 503);
    let result = world.make(&[world.named("one")]).await;
    let made = committed(result).unwrap();
    assert_eq!(world.truth(made, "Name")["title"][0]["plain_text"], "one");

    world.weather("pages.create", When::After, How::Drop, 503);
    let key = [world.named("two"), world.price("2")];
    assert_eq!(committed(world.make(&key).await), None);
    assert_eq!(world.find(&key).await.len(), 1);
    world.weather("pages.create", When::Before, How::Answer, 504);
    let key = [world.named("three")];
    assert_eq!(committed(world.make(&key).await), None);
    assert_eq!(world.find(&key).await, []);
}

#[tokio::test]
async fn only_exact_keys_are_found() {
    let world = World::start().await;
    // The filter of Notion, and of its imitation, ignores case.
    for name in ["Row 1", "row 1", "Row 10"] {
        world
            .make(&[world.named(name), world.price("7")])
            .await
            .unwrap();
    }
    let exact = world.find(&[world.named("Row 1")]).await;
    assert_eq!(exact.len(), 1);
    assert_eq!(
        world.truth(exact[0], "Name")["title"][0]["plain_text"],
        "Row 1"
    );
    let other = world.find(&[world.named("Row 1"), world.price("8")]).await;
    assert_eq!(other, []);
    assert_eq!(world.find(&[world.price("7")]).await.len(), 3);
    world
        .make(&[world.named("x"), world.price("7.0")])
        .await
        .unwrap();
    assert_eq!(
        world.find(&[world.price("7")]).await.len(),
        3,
        "three are enough"
    );
    world
        .client
        .set_trashed(exact[0], true, &[], EDIT)
        .await
        .unwrap();
    assert_eq!(world.find(&[world.named("Row 1")]).await, []);
}

#[tokio::test]
async fn keys_of_every_type_are_found() {
    let world = World::start().await;
    let long = "ä".repeat(3_000);
    let day = NotionDate {
        start: DateOrTime::Day("2026-11-20".parse().unwrap()),
        end: None,
    };
    let noon = NotionDate {
        start: DateOrTime::Moment("2026-11-20T12:00:00+02:00".parse().unwrap()),
        end: None,
    };
    let choice = PropertyValue::Choice(Some("Done".to_owned()));
    let mail = PropertyValue::Line(Some("a@b.example".to_owned()));
    let keys = [
        (world.id("Text"), PropertyType::RichText, text(&long)),
        (
            world.id("Due"),
            PropertyType::Date,
            PropertyValue::Date(Some(day)),
        ),
        (
            world.id("Due"),
            PropertyType::Date,
            PropertyValue::Date(Some(noon)),
        ),
        (world.id("Stage"), PropertyType::Status, choice),
        (world.id("Mail"), PropertyType::Email, mail),
        (
            world.id("Done"),
            PropertyType::Checkbox,
            PropertyValue::Checkbox(true),
        ),
    ];
    for key in keys {
        let made = world.make(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(
            world.find(std::slice::from_ref(&key)).await,
            [made.id],
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn the_index_lags_behind_a_page_that_was_just_made() {
    let world = World::start().await;
    world.notion.switch(|switches| switches.query_lag_ms = 600);
    let key = [world.named("new")];
    world.make(&key).await.unwrap();
    assert_eq!(world.find(&key).await, []);
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(world.find(&key).await.len(), 1);
}

#[tokio::test]
async fn a_key_that_a_query_row_may_have_cut_is_read_whole() {
    let world = World::start().await;
    // Twenty-five segments: as many as some say that Notion shows.
    let long = "0123456789".repeat(5_000);
    let key = [(world.id("Text"), PropertyType::RichText, text(&long))];
    let made = world.make(&key).await.unwrap();
    let shorter = [(world.id("Text"), PropertyType::RichText, text(&long[1..]))];
    world.make(&shorter).await.unwrap();
    assert_eq!(world.find(&key).await, [made.id]);
    let whole = |record: &RequestRecord| record.operation == "pages.properties.retrieve";
    assert_eq!(
        world
            .notion
            .requests()
            .iter()
            .filter(|it| whole(it))
            .count(),
        1
    );
}

#[tokio::test]
async fn sets_are_found_whatever_their_order() {
    let world = World::start().await;
    let tags = json!({"multi_select": {"options": [{"name": "a"}, {"name": "b"}]}});
    let relation = json!({"relation": {"data_source_id": world.table.id,
        "type": "single_property", "single_property": {}}});
    let tasks = json!({"Name": {"title": {}}, "Tags": tags, "Project": relation});
    let tasks = DataSourceSpec::new("Tasks", tasks);
    let tasks = world.notion.create_data_source(tasks).unwrap();
    let id = |name| PropertyId::new(&world.notion.property_id(tasks, name).unwrap());
    let pages = [world.page().0, world.page().0];
    let names = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect();
        (
            id("Tags"),
            PropertyType::MultiSelect,
            PropertyValue::Names(names),
        )
    };
    let ids = |ids: &[Uuid]| {
        let ids = PropertyValue::Ids(ids.to_vec());
        (id("Project"), PropertyType::Relation, ids)
    };
    let source = DataSourceId(tasks.id);
    let made = world
        .client
        .create_page(source, &[names(&["a", "b"]), ids(&pages)], &[], EDIT)
        .await
        .unwrap();
    let find = async |key: PropertyWrite| {
        let key = [key];
        let found = world.client.find_pages(source, &key, &[], Lane::Edit);
        let found = found.await.unwrap();
        found.iter().map(|page| page.id).collect::<Vec<_>>()
    };
    assert_eq!(find(names(&["b", "a"])).await, [made.id]);
    assert_eq!(find(names(&["a"])).await, []);
    assert_eq!(find(ids(&[pages[1], pages[0]])).await, [made.id]);
    assert_eq!(find(ids(&pages[..1])).await, []);
}

#[tokio::test]
async fn a_query_keeps_to_the_filter() {
    let world = World::start().await;
    for (name, price) in [("a", "1"), ("b", "2"), ("c", "3")] {
        world
            .make(&[world.named(name), world.price(price)])
            .await
            .unwrap();
    }
    let at_least =
        |number| json!({"property": "Price", "number": {"greater_than_or_equal_to": number}});
    let named = |name| json!({"property": "Name", "title": {"equals": name}});
    let filter = json!({"or": [{"and": [at_least(2), named("b")]}, named("a")]});
    let filter = PageFilter::parse(&filter).unwrap();
    let long_ago: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    for request in [QueryRequest::all(), QueryRequest::edited_since(long_ago)] {
        let request = request.filtered(filter.as_ref());
        let query = world
            .client
            .query(world.source(), &request, &[], Lane::Edit);
        assert_eq!(query.await.unwrap().pages.len(), 2);
    }
}

#[tokio::test]
async fn a_relation_and_its_target_are_read_from_the_schema() {
    let world = World::start().await;
    let relation = json!({"relation": {"data_source_id": world.table.id, "type": "single_property",
        "single_property": {}}});
    let tasks = DataSourceSpec::new("Tasks", json!({"Name": {"title": {}}, "Project": relation}));
    let tasks = world.notion.create_data_source(tasks).unwrap();
    let source = world
        .client
        .data_source(DataSourceId(tasks.id))
        .await
        .unwrap();
    let property = source.properties.iter().find(|it| it.name == "Project");
    assert_eq!(property.unwrap().relation_target, Some(world.source()));
    let projects = world.client.data_source(world.source()).await.unwrap();
    let stage = projects.properties.iter().find(|it| it.name == "Stage");
    assert_eq!(stage.unwrap().options, ["To do", "Done"]);
    let name = projects.properties.iter().find(|it| it.name == "Name");
    assert_eq!(name.unwrap().relation_target, None);

    let answers = |id| world.client.related_source_answers(DataSourceId(id));
    assert!(answers(world.table.id).await.unwrap());
    assert!(!answers(Uuid::new_v4()).await.unwrap());
    world.notion.trash_data_source(tasks.id, true).unwrap();
    assert!(!answers(tasks.id).await.unwrap());
}
