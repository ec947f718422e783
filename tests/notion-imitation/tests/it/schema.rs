//! Schemas: what the API may change, and what people do to columns.

use notion_imitation::DataSourceSpec;
use serde_json::{Value as Json, json};

use crate::client::{projects, rich, start, title};

#[tokio::test]
async fn the_api_adds_renames_retypes_and_deletes() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let path = format!("/v1/data_sources/{}", table.id);
    let page = notion
        .create_page(table, json!({"Text": rich("42"), "Name": title("n")}))
        .unwrap();
    let before = client.get(&path).await.ok();
    let text_id = before["properties"]["Text"]["id"].clone();
    let body = json!({"properties": {
        "Text": {"name": "Amount", "number": {"format": "euro"}},
        "Phone": null,
        "Extra": {"checkbox": {}},
        "U%60%3BC": {"name": "State"},
    }});
    let after = client.patch(&path, body).await.ok();
    let properties = &after["properties"];
    assert_eq!(
        (&properties["Amount"]["id"], &properties["Amount"]["type"]),
        (&text_id, &json!("number"))
    );
    assert_eq!(properties["State"]["id"], "U%60%3BC");
    assert!(properties.get("Phone").is_none() && properties.get("Text").is_none());
    let read = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(read["properties"]["Amount"]["number"], 42);
    assert_eq!(read["properties"]["Extra"]["checkbox"], false);

    for body in [
        json!({"Nope": null}),
        json!({"Name": null}),
        json!({"Second": {"title": {}}}),
        json!({"Nope": {"name": "Other"}}),
        json!({"Price": {"name": "Name"}}),
        json!({"Odd": {"type": "hologram", "hologram": {}}}),
        json!({"Kind": {"select": {"options": [{"name": "A", "color": "blue"}]}}}),
    ] {
        client
            .patch(&path, json!({"properties": body}))
            .await
            .refused(400, "validation_error");
    }
    assert_eq!(
        client.get(&path).await.ok()["properties"],
        after["properties"]
    );
}

#[tokio::test]
async fn options_are_replaced() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let path = format!("/v1/data_sources/{}", table.id);
    let page = notion
        .create_page(table, json!({"Stage": {"status": {"name": "Done"}}}))
        .unwrap();
    let body = json!({"properties": {"Stage": {"status": {"options": [
        {"name": "To do"}, {"name": "Doing"}, {"name": "Later"},
    ]}}}});
    let after = client.patch(&path, body).await.ok();
    let options = after["properties"]["Stage"]["status"]["options"]
        .as_array()
        .unwrap();
    let names: Vec<&Json> = options.iter().map(|option| &option["name"]).collect();
    assert_eq!(names, ["To do", "Doing", "Later"]);
    let groups = after["properties"]["Stage"]["status"]["groups"]
        .as_array()
        .unwrap();
    assert_eq!(groups.len(), 3);
    let read = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(
        read["properties"]["Stage"]["status"],
        Json::Null,
        "the option is gone"
    );

    let id = options[0]["id"].clone();
    let rename =
        json!({"properties": {"Stage": {"status": {"options": [{"id": id, "name": "Renamed"}]}}}});
    let after = client.patch(&path, rename).await.ok();
    let kept = &after["properties"]["Stage"]["status"]["options"][0]["name"];
    assert_eq!(
        kept, "To do",
        "a rename through the API is silently ignored"
    );
}

#[tokio::test]
async fn what_people_do_to_columns() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(
            table,
            json!({"Kind": {"select": {"name": "A"}}, "Price": {"number": 7}}),
        )
        .unwrap();
    let read =
        || async { client.get(format!("/v1/pages/{page}")).await.ok()["properties"].clone() };
    let id = notion.property_id(table, "Price").unwrap();

    notion.rename_property(table, "Price", "Cost").unwrap();
    assert_eq!(
        read().await["Cost"],
        json!({"id": id, "type": "number", "number": 7})
    );
    notion.rename_option(table, "Kind", "A", "Alpha").unwrap();
    assert_eq!(read().await["Kind"]["select"]["name"], "Alpha");
    notion.remove_option(table, "Kind", "Alpha").unwrap();
    assert_eq!(read().await["Kind"]["select"], Json::Null);
    notion
        .retype_property(table, "Cost", json!({"rich_text": {}}))
        .unwrap();
    assert_eq!(read().await["Cost"]["rich_text"][0]["plain_text"], "7");
    assert_eq!(notion.property_id(table, "Cost").unwrap(), id);

    notion.delete_property(table, "Cost").unwrap();
    notion
        .add_property(table, "Cost", json!({"number": {}}))
        .unwrap();
    assert_ne!(
        notion.property_id(table, "Cost").unwrap(),
        id,
        "a new property, whatever its name"
    );
    assert_eq!(read().await["Cost"]["number"], Json::Null);
}

#[tokio::test]
async fn a_database_may_have_several_data_sources() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let second = notion
        .create_data_source(DataSourceSpec {
            database: Some(table.database),
            ..DataSourceSpec::new("Second", json!({}))
        })
        .unwrap();
    let database = client
        .get(format!("/v1/databases/{}", table.database))
        .await
        .ok();
    assert_eq!(database["data_sources"].as_array().unwrap().len(), 2);
    assert!(database.get("properties").is_none());
    let shown = client
        .get(format!("/v1/data_sources/{}", second.id))
        .await
        .ok();
    assert_eq!(shown["properties"]["Name"]["id"], "title");
    let by_database = json!({"parent": {"database_id": table.database}, "properties": {}});
    client
        .post("/v1/pages", by_database)
        .await
        .refused(400, "validation_error");
}

#[tokio::test]
async fn a_schema_change_moves_the_data_sources_time_and_a_row_does_not() {
    let (notion, client) = start().await;
    notion.set_clock("2026-11-20T10:00:00Z".parse().unwrap());
    let table = projects(&notion);
    let edited = || async {
        client
            .get(format!("/v1/data_sources/{}", table.id))
            .await
            .ok()["last_edited_time"]
            .clone()
    };
    notion.advance(std::time::Duration::from_mins(5));
    notion.create_page(table, json!({})).unwrap();
    assert_eq!(edited().await, "2026-11-20T10:00:00.000Z");
    notion
        .add_property(table, "More", json!({"number": {}}))
        .unwrap();
    assert_eq!(edited().await, "2026-11-20T10:05:00.000Z");
}
