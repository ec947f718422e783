//! What page and query answers cut, and the property endpoint gives in full.

use serde_json::{Value as Json, json};

use crate::client::{Client, projects, start};

async fn whole(client: &Client, page: uuid::Uuid, property: &str) -> Vec<Json> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/pages/{page}/properties/{property}?page_size=10{cursor}");
        let mut answer = client.get(path).await.ok();
        assert_eq!(
            (&answer["object"], &answer["type"]),
            (&json!("list"), &json!("property_item"))
        );
        items.append(answer["results"].as_array_mut().unwrap());
        match answer["next_cursor"].as_str() {
            Some(next) => {
                assert_eq!(answer["has_more"], true);
                assert!(
                    answer["property_item"]["next_url"]
                        .as_str()
                        .unwrap()
                        .contains(next)
                );
                cursor = format!("&start_cursor={next}");
            }
            None => return items,
        }
    }
}

#[tokio::test]
async fn relations_and_people_are_cut_at_25() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    notion
        .add_property(
            table,
            "Peers",
            json!({"relation": {"data_source_id": table.id}}),
        )
        .unwrap();
    let peers: Vec<Json> = (0..30)
        .map(|_| json!({"id": notion.create_page(table, json!({})).unwrap()}))
        .collect();
    let people: Vec<Json> = (0..30)
        .map(|n| json!({"id": notion.add_person(&format!("P{n}"), "p@example.com")}))
        .collect();
    let page = notion
        .create_page(
            table,
            json!({"Peers": {"relation": peers}, "Who": {"people": people}}),
        )
        .unwrap();
    let read = client.get(format!("/v1/pages/{page}")).await.ok();
    let properties = &read["properties"];
    assert_eq!(
        properties["Peers"]["relation"].as_array().unwrap().len(),
        25
    );
    assert_eq!(properties["Peers"]["has_more"], true);
    assert_eq!(properties["Who"]["people"].as_array().unwrap().len(), 25);
    assert!(
        properties["Who"].get("has_more").is_none(),
        "people are cut without a word"
    );

    let id = notion.property_id(table, "Peers").unwrap();
    let items = whole(&client, page, &id).await;
    let given: Vec<&Json> = items.iter().map(|item| &item["relation"]).collect();
    assert_eq!(given, peers.iter().collect::<Vec<_>>());
    assert_eq!(
        whole(&client, page, &notion.property_id(table, "Who").unwrap())
            .await
            .len(),
        30
    );
    let filter =
        json!({"filter": {"property": "Peers", "relation": {"contains": peers[29]["id"]}}});
    assert_eq!(
        client.query_all(table, filter).await.0.len(),
        1,
        "filters see all"
    );
}

#[tokio::test]
async fn text_is_cut_by_its_mentions() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let mention = |id| json!({"mention": {"user": {"id": id}}});
    let people: Vec<Json> = (0..30)
        .map(|n| mention(notion.add_person(&format!("P{n}"), "p@example.com")))
        .collect();
    let same = vec![mention(notion.person()); 50];
    let many = notion
        .create_page(table, json!({"Text": {"rich_text": people}}))
        .unwrap();
    let few = notion
        .create_page(table, json!({"Text": {"rich_text": same}}))
        .unwrap();
    let length = |page| {
        let client = client.clone();
        async move {
            let read = client.get(format!("/v1/pages/{page}")).await.ok();
            read["properties"]["Text"]["rich_text"]
                .as_array()
                .unwrap()
                .len()
        }
    };
    assert_eq!((length(many).await, length(few).await), (25, 50));
    let id = notion.property_id(table, "Text").unwrap();
    assert_eq!(whole(&client, many, &id).await.len(), 30);
    notion.switch(|switches| switches.truncate_text_segments = 10);
    assert_eq!(length(few).await, 10);
    assert_eq!(whole(&client, few, &id).await.len(), 50);
}

#[tokio::test]
async fn single_values_are_single_items() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(
            table,
            json!({"Tags": {"multi_select": [{"name": "x"}]}, "Price": {"number": 3}}),
        )
        .unwrap();
    let tags = notion.property_id(table, "Tags").unwrap();
    let item = client
        .get(format!("/v1/pages/{page}/properties/{tags}"))
        .await
        .ok();
    assert_eq!(
        (&item["object"], &item["type"]),
        (&json!("property_item"), &json!("multi_select"))
    );
    assert_eq!(item["multi_select"][0]["name"], "x");
    let status = client
        .get(format!("/v1/pages/{page}/properties/U%60%3BC"))
        .await
        .ok();
    assert_eq!(status["id"], "U%60%3BC");
    let title = client
        .get(format!("/v1/pages/{page}/properties/title"))
        .await
        .ok();
    assert_eq!(
        (&title["results"], &title["property_item"]["title"]),
        (&json!([]), &json!({}))
    );
    let double = format!("/v1/pages/{page}/properties/U%2560%253BC");
    client.get(double).await.refused(400, "validation_error");
    let cursor = format!("/v1/pages/{page}/properties/title?start_cursor=x");
    client.get(cursor).await.refused(400, "validation_error");
}

#[tokio::test]
async fn rollups_count_only_on_their_last_page() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    notion
        .add_property(
            table,
            "Peers",
            json!({"relation": {"data_source_id": table.id}}),
        )
        .unwrap();
    let rollup = json!({"rollup": {"relation_property_name": "Peers", "rollup_property_name": "Price", "function": "show_original"}});
    notion.add_property(table, "Sums", rollup).unwrap();
    let values: Vec<Json> = (0..12)
        .map(|n| json!({"type": "number", "number": n}))
        .collect();
    let sums = json!({"rollup": {"type": "array", "array": values, "function": "show_original"}});
    let page = notion.create_page(table, json!({"Sums": sums})).unwrap();
    let read = client.get(format!("/v1/pages/{page}")).await.ok();
    assert_eq!(
        read["properties"]["Sums"]["rollup"]["array"]
            .as_array()
            .unwrap()
            .len(),
        12
    );
    let id = notion.property_id(table, "Sums").unwrap();
    let first = client
        .get(format!("/v1/pages/{page}/properties/{id}?page_size=10"))
        .await
        .ok();
    assert_eq!(first["property_item"]["rollup"]["type"], "incomplete");
    let items = whole(&client, page, &id).await;
    assert_eq!((items.len(), &items[11]["number"]), (12, &json!(11)));
    let last = client
        .get(format!("/v1/pages/{page}/properties/{id}"))
        .await
        .ok();
    assert_eq!(
        last["property_item"]["rollup"],
        json!({"type": "array", "array": [], "function": "show_original"})
    );
}
