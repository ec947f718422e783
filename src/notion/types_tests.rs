//! Every property type against the imitation of Notion: written and read back, and read whole where
//! pages and queries show a part.

use std::sync::Arc;

use notion_imitation::{DataSourceRef, DataSourceSpec, Handle, Imitation, Options};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::stub::install_crypto;
use super::{Client, Clients, Lane, NotionApi, NotionWriter, QueryRequest, WriteTerms};
use crate::metrics::Metrics;
use crate::sync::convert::{same, writable};
use crate::sync::fixtures::text;
use crate::sync::identity::{DataSourceId, PageId, PropertyId};
use crate::sync::page::{DateOrTime, NotionDate, PropertyRead, PropertyType, PropertyValue};

struct World {
    notion: Handle,
    table: DataSourceRef,
    client: Arc<Client>,
    others: Vec<Uuid>,
    people: Vec<Uuid>,
}

impl World {
    async fn start() -> Self {
        install_crypto();
        let notion = Imitation::start(Options::default()).await.unwrap();
        let names = json!({"Name": {"title": {}}});
        let others = DataSourceSpec::new("Others", names);
        let others = notion.create_data_source(others).unwrap();
        let relation = json!({"data_source_id": others.id, "single_property": {}});
        let properties = json!({"title": {"title": {}}, "rich_text": {"rich_text": {}},
            "number": {"number": {}}, "checkbox": {"checkbox": {}}, "date": {"date": {}},
            "select": {"select": {"options": [{"name": "A"}]}},
            "status": {"status": {"options": [{"name": "A"}]}},
            "multi_select": {"multi_select": {"options": [{"name": "A"}]}}, "url": {"url": {}},
            "email": {"email": {}}, "phone_number": {"phone_number": {}},
            "relation": {"relation": relation}, "people": {"people": {}}, "rollup": {"rollup":
            {"relation_property_name": "relation", "rollup_property_name": "Name",
            "function": "show_original"}}, "formula": {"formula": {"expression": "1"}}});
        let table = DataSourceSpec::new("Projects", properties);
        let table = notion.create_data_source(table).unwrap();
        let clients = Clients::new(notion.base_url(), Metrics::default()).unwrap();
        let client = clients.get(&SecretString::from(notion.token())).unwrap();
        let other = |_| notion.create_page(others, json!({})).unwrap();
        let person = |_| notion.add_person("Somebody", "p@example.com");
        Self {
            others: (0..100).map(other).collect(),
            people: (0..100).map(person).collect(),
            notion,
            table,
            client,
        }
    }

    fn id(&self, name: &str) -> PropertyId {
        PropertyId::new(&self.notion.property_id(self.table, name).unwrap())
    }

    fn page(&self, properties: Value) -> PageId {
        PageId(self.notion.create_page(self.table, properties).unwrap())
    }

    /// What a page holds, read to its end.
    async fn whole(&self, page: PageId, kind: &PropertyType) -> PropertyRead {
        let id = self.id(kind.name());
        let wanted = std::slice::from_ref(&id);
        let shown = self.client.page(page, wanted, Lane::Edit).await.unwrap();
        match &shown.properties[&id].read {
            PropertyRead::Truncated => {
                let whole = self.client.whole_property(page, &id, Lane::Edit);
                whole.await.unwrap()
            }
            read => read.clone(),
        }
    }

    async fn write(&self, page: PageId, kind: &PropertyType, value: PropertyValue) {
        let guard = &|| true;
        let lane = Lane::Edit;
        let write = [(self.id(kind.name()), kind.clone(), value)];
        let terms = WriteTerms { lane, guard };
        let echo = self.client.update_page(page, &write, &[], terms).await;
        echo.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
    }
}

fn lines() -> Vec<(PropertyType, PropertyValue)> {
    use PropertyType as P;
    use PropertyValue as V;
    let line = |length: usize| V::Line(Some("\u{e4}".repeat(length)));
    let url = V::Line(Some(format!("https://a.example/{}", "x".repeat(1_982))));
    let choice = |name: &str| V::Choice(Some(name.to_owned()));
    vec![
        (P::Title, text("a title")),
        (P::RichText, text(&"\u{1f600}b".repeat(66_600))),
        (P::RichText, text("line\nline")),
        (P::Number, V::Number(Some("-19.555".parse().unwrap()))),
        (
            P::Number,
            V::Number(Some("9007199254740992".parse().unwrap())),
        ),
        (P::Checkbox, V::Checkbox(true)),
        (P::Select, choice("New")),
        (P::Status, choice("A")),
        (P::Url, url),
        (P::Email, line(200)),
        (P::PhoneNumber, line(200)),
    ]
}

fn dates() -> Vec<(PropertyType, PropertyValue)> {
    let day = |text: &str| DateOrTime::Day(text.parse().unwrap());
    let moment = |text: &str| DateOrTime::Moment(text.parse().unwrap());
    let date = |start, end| {
        let date = PropertyValue::Date(Some(NotionDate { start, end }));
        (PropertyType::Date, date)
    };
    vec![
        date(day("2026-06-27"), None),
        date(day("2026-06-27"), Some(day("2026-07-01"))),
        date(moment("2026-06-27T10:15:42Z"), None),
        date(
            moment("2026-06-27T10:15:00+09:00"),
            Some(moment("2026-06-27T10:15:00Z")),
        ),
    ]
}

#[tokio::test]
async fn what_is_written_at_its_largest_is_read_back() {
    let world = World::start().await;
    let names = (0..100).map(|number| format!("Option {number}")).collect();
    let mut cases = lines();
    cases.extend(dates());
    cases.extend([
        (PropertyType::MultiSelect, PropertyValue::Names(names)),
        (
            PropertyType::Relation,
            PropertyValue::Ids(world.others.clone()),
        ),
        (
            PropertyType::People,
            PropertyValue::Ids(world.people.clone()),
        ),
    ]);
    let page = world.page(json!({}));
    for (kind, value) in cases {
        assert_eq!(writable(&value, &kind), Ok(()), "{kind:?}");
        world.write(page, &kind, value.clone()).await;
        let PropertyRead::Value(read) = world.whole(page, &kind).await else {
            panic!("{kind:?} was not read");
        };
        assert!(same(&read, &value), "{kind:?}");
    }
}

#[tokio::test]
async fn every_value_can_be_cleared() {
    use PropertyType as P;
    use PropertyValue as V;
    let world = World::start().await;
    let page = world.page(json!({"multi_select": {"multi_select": [{"name": "A"}]},
        "relation": {"relation": [{"id": world.others[0]}]}, "url": {"url": "https://a.example"},
        "people": {"people": [{"id": world.people[0]}]}, "date": {"date": {"start": "2026-06-27"}},
        "number": {"number": 7}, "select": {"select": {"name": "A"}}}));
    for (kind, value) in [
        (P::MultiSelect, V::Names(vec![])),
        (P::Relation, V::Ids(vec![])),
        (P::People, V::Ids(vec![])),
        (P::Url, V::Line(None)),
        (P::Date, V::Date(None)),
        (P::Number, V::Number(None)),
        (P::Select, V::Choice(None)),
        (P::RichText, text("")),
    ] {
        world.write(page, &kind, value.clone()).await;
        let read = world.whole(page, &kind).await;
        assert_eq!(read, PropertyRead::Value(value), "{kind:?}");
    }
}

#[tokio::test]
async fn a_value_that_notion_cut_is_read_whole_from_queries_and_pages() {
    let world = World::start().await;
    let references = |ids: &[Uuid]| -> Value { ids.iter().map(|id| json!({"id": id})).collect() };
    let elements: Vec<_> = (0..60)
        .map(|n| json!({"type": "number", "number": n}))
        .collect();
    let page = world.page(
        json!({"relation": {"relation": references(&world.others[..60])},
        "people": {"people": references(&world.people[..60])},
        "formula": {"formula": {"type": "number", "number": 60}},
        "rollup": {"rollup": {"type": "array", "array": elements}}}),
    );
    let kinds = ["relation", "people", "rollup", "formula"].map(PropertyType::from_name);
    let wanted: Vec<_> = kinds.iter().map(|kind| world.id(kind.name())).collect();
    let source = DataSourceId(world.table.id);
    let request = QueryRequest::all();
    let query = world.client.query(source, &request, &wanted, Lane::Edit);
    let row = query.await.unwrap().pages.remove(0);
    for id in &wanted {
        assert_eq!(row.properties[id].read, PropertyRead::Truncated, "{id}");
    }
    let number = |n: u32| PropertyValue::Number(Some(n.into()));
    let whole = [
        PropertyValue::Ids(world.others[..60].to_vec()),
        PropertyValue::Ids(world.people[..60].to_vec()),
        PropertyValue::List((0..60).map(number).collect()),
        number(60),
    ];
    for (kind, value) in kinds.iter().zip(whole) {
        let read = world.whole(page, kind).await;
        assert_eq!(read, PropertyRead::Value(value), "{kind:?}");
    }
}
