//! What is written comes back as Notion gives it back.

use notion_imitation::DataSourceRef;
use serde_json::{Value as Json, json};

use crate::client::{Client, projects, rich, start, title};

async fn echo(client: &Client, table: DataSourceRef, name: &str, value: Json) -> Json {
    let body = json!({"parent": {"data_source_id": table.id}, "properties": {name: value}});
    let page = client.post("/v1/pages", body).await.ok();
    page["properties"][name].clone()
}

#[tokio::test]
async fn scalars_round_trip() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    for (name, written, read) in [
        (
            "Price",
            json!({"number": 19.555}),
            json!({"number": 19.555}),
        ),
        ("Price", json!({"number": null}), json!({"number": null})),
        ("Open", json!({"checkbox": true}), json!({"checkbox": true})),
        (
            "Link",
            json!({"url": "https://x.example"}),
            json!({"url": "https://x.example"}),
        ),
        (
            "Mail",
            json!({"email": "a@example.com"}),
            json!({"email": "a@example.com"}),
        ),
        (
            "Phone",
            json!({"phone_number": "call me"}),
            json!({"phone_number": "call me"}),
        ),
        ("Mail", json!({"email": null}), json!({"email": null})),
        ("Name", json!({"title": []}), json!({"title": []})),
    ] {
        let kind = read.as_object().unwrap().keys().next().unwrap().clone();
        let shown = echo(&client, table, name, written).await;
        assert_eq!(
            (&shown[&kind], &shown["type"]),
            (&read[&kind], &json!(kind))
        );
    }
    let dated = echo(
        &client,
        table,
        "Due",
        json!({"date": {"start": "2026-11-20T10:15:28Z"}}),
    )
    .await;
    let read = json!({"start": "2026-11-20T10:15:00.000+00:00", "end": null, "time_zone": null});
    assert_eq!(dated["date"], read);
    let range = json!({"date": {"start": "2026-11-20", "end": "2026-11-22"}});
    assert_eq!(
        echo(&client, table, "Due", range).await["date"]["end"],
        "2026-11-22"
    );
}

#[tokio::test]
async fn numbers_are_doubles() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let raw = format!(
        r#"{{"parent":{{"data_source_id":"{}"}},"properties":{{"Price":{{"number":9007199254740993}}}}}}"#,
        table.id
    );
    let body = serde_json::from_str(&raw).unwrap();
    let page = client.post("/v1/pages", body).await.ok();
    assert_eq!(
        page["properties"]["Price"]["number"].to_string(),
        "9007199254740992"
    );
}

#[tokio::test]
async fn options() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let kind = echo(&client, table, "Kind", json!({"select": {"name": "a"}})).await;
    assert_eq!(
        (&kind["select"]["name"], &kind["select"]["color"]),
        (&json!("A"), &json!("red"))
    );
    let id = kind["select"]["id"].clone();
    let by_id = echo(&client, table, "Kind", json!({"select": {"id": id}})).await;
    assert_eq!(by_id["select"]["name"], "A");

    let new = echo(
        &client,
        table,
        "Kind",
        json!({"select": {"name": "New one"}}),
    )
    .await;
    let again = echo(
        &client,
        table,
        "Kind",
        json!({"select": {"name": "New one"}}),
    )
    .await;
    assert_eq!(
        new["select"]["id"], again["select"]["id"],
        "an option is created once"
    );

    let tags = json!({"multi_select": [{"name": "y"}, {"name": "fresh"}, {"name": "x"}, {"name": "Fresh"}]});
    let tags = echo(&client, table, "Tags", tags).await;
    let names: Vec<&Json> = tags["multi_select"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, [&json!("y"), &json!("fresh"), &json!("x")]);

    let doing = echo(
        &client,
        table,
        "Stage",
        json!({"status": {"name": "Doing"}}),
    )
    .await;
    assert_eq!(doing["status"]["color"], "blue");
    let reset = echo(&client, table, "Stage", json!({"status": null})).await;
    assert_eq!(
        reset["status"]["name"], "To do",
        "an emptied status returns to its default"
    );
}

#[tokio::test]
async fn text_with_styles_links_mentions_and_equations() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let other = notion
        .create_page(table, json!({"Name": title("Other")}))
        .unwrap();
    let person = notion.add_person("Grace", "grace@example.com");
    let written = json!({"rich_text": [
        {"text": {"content": "bold "}, "annotations": {"bold": true, "color": "red"}},
        {"text": {"content": "link", "link": {"url": "https://x.example"}}},
        {"mention": {"page": {"id": other}}},
        {"mention": {"user": {"id": person}}},
        {"mention": {"date": {"start": "2026-11-20"}}},
        {"equation": {"expression": "e=mc^2"}},
    ]});
    let text = echo(&client, table, "Text", written).await["rich_text"].clone();
    assert_eq!(text[0]["annotations"]["bold"], true);
    assert_eq!(text[0]["annotations"]["italic"], false);
    assert_eq!(text[1]["href"], "https://x.example");
    assert_eq!(text[2]["mention"]["type"], "page");
    assert_eq!(text[2]["plain_text"], "Other");
    assert_eq!(text[3]["plain_text"], "@Grace");
    assert_eq!(
        text[3]["mention"]["user"]["person"]["email"],
        "grace@example.com"
    );
    assert_eq!(text[4]["plain_text"], "2026-11-20");
    assert_eq!(text[5]["type"], "equation");
    let again = echo(&client, table, "Text", json!({"rich_text": text.clone()})).await;
    assert_eq!(again["rich_text"], text, "what was read may be written");
}

#[tokio::test]
async fn text_segments_are_joined_where_that_is_switched_on() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let written = json!({"rich_text": [{"text": {"content": "a"}}, {"text": {"content": "b"}}]});
    let apart = echo(&client, table, "Text", written.clone()).await;
    assert_eq!(apart["rich_text"].as_array().unwrap().len(), 2);
    notion.switch(|switches| switches.merge_text_segments = true);
    let joined = echo(&client, table, "Text", written).await;
    let at_once = echo(&client, table, "Text", rich("ab")).await;
    assert_eq!(joined["rich_text"], at_once["rich_text"]);
}

#[tokio::test]
async fn people_relations_files_and_places() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    notion
        .add_property(
            table,
            "Peers",
            json!({"relation": {"data_source_id": table.id, "single_property": {}}}),
        )
        .unwrap();
    let person = notion.person();
    let who = echo(&client, table, "Who", json!({"people": [{"id": person}]})).await;
    assert_eq!(who["people"][0]["type"], "person");

    let peer = notion.create_page(table, json!({})).unwrap();
    let peers = echo(&client, table, "Peers", json!({"relation": [{"id": peer}]})).await;
    assert_eq!(
        (&peers["relation"], &peers["has_more"]),
        (&json!([{"id": peer}]), &json!(false))
    );

    let files = json!({"files": [
        {"name": "a.png", "external": {"url": "https://x.example/a.png"}},
        {"name": "b.png", "type": "file_upload", "file_upload": {"id": "0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11"}},
    ]});
    let files = echo(&client, table, "Files", files).await["files"].clone();
    assert_eq!(files[0]["external"]["url"], "https://x.example/a.png");
    assert!(
        files[1]["file"]["url"]
            .as_str()
            .unwrap()
            .contains("X-Amz-Expires=3600")
    );
    let place = echo(
        &client,
        table,
        "Where",
        json!({"place": {"lat": 1.5, "lon": 2, "name": "X"}}),
    )
    .await;
    assert_eq!(place["place"]["name"], "X");
    assert_eq!(place["place"]["address"], Json::Null);
}

#[tokio::test]
async fn signed_urls_change_and_the_file_does_not() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    notion.set_clock("2026-11-20T10:00:00Z".parse().unwrap());
    let upload =
        json!([{"name": "b.png", "file_upload": {"id": "0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11"}}]);
    let page = notion
        .create_page(table, json!({"Files": {"files": upload}}))
        .unwrap();
    let file = || async {
        let read = client.get(format!("/v1/pages/{page}")).await.ok();
        read["properties"]["Files"]["files"][0]["file"].clone()
    };
    let first = file().await;
    assert_eq!(first["expiry_time"], "2026-11-20T11:00:00.000Z");
    notion.advance(std::time::Duration::from_mins(1));
    let second = file().await;
    let (first, second) = (
        first["url"].as_str().unwrap(),
        second["url"].as_str().unwrap(),
    );
    assert_ne!(first, second);
    assert_eq!(first.split('?').next(), second.split('?').next());
}

#[tokio::test]
async fn read_only_types_are_set_by_control_in_their_read_shape() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    notion.set_clock("2026-11-20T10:15:42Z".parse().unwrap());
    let page = notion.create_page(table, json!({})).unwrap();
    notion.advance(std::time::Duration::from_hours(1));
    let computed = json!({
        "Calc": {"formula": {"type": "number", "number": 3}},
        "Future": {"hologram": {"rays": [1, 2]}},
    });
    notion.edit(page, computed).unwrap();
    let read = client.get(format!("/v1/pages/{page}")).await.ok();
    let properties = &read["properties"];
    assert_eq!(
        properties["Calc"]["formula"],
        json!({"type": "number", "number": 3})
    );
    assert_eq!(properties["Future"]["hologram"], json!({"rays": [1, 2]}));
    assert_eq!(properties["Future"]["type"], "hologram");
    assert_eq!(
        read["last_edited_time"], "2026-11-20T10:15:00.000Z",
        "a recomputation is no edit"
    );
    assert_eq!(
        properties["Born"]["created_time"],
        "2026-11-20T10:15:00.000Z"
    );
    assert_eq!(properties["Maker"]["created_by"]["type"], "person");
    assert_eq!(properties["Button"]["button"], json!({}));
    assert_eq!(properties["Checked"]["verification"]["state"], "unverified");
}

#[tokio::test]
async fn two_way_relations_follow() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let tasks = notion
        .create_data_source(notion_imitation::DataSourceSpec::new(
            "Tasks",
            json!({"Project": {"relation": {
                "data_source_id": table.id,
                "dual_property": {"synced_property_name": "Tasks"},
            }}}),
        ))
        .unwrap();
    let project = notion.create_page(table, json!({})).unwrap();
    let task = notion
        .create_page(tasks, json!({"Project": {"relation": [{"id": project}]}}))
        .unwrap();
    let read = client.get(format!("/v1/pages/{project}")).await.ok();
    assert_eq!(
        read["properties"]["Tasks"]["relation"],
        json!([{"id": task}])
    );
    client
        .patch(
            format!("/v1/pages/{project}"),
            json!({"properties": {"Tasks": {"relation": []}}}),
        )
        .await
        .ok();
    let read = client.get(format!("/v1/pages/{task}")).await.ok();
    assert_eq!(read["properties"]["Project"]["relation"], json!([]));
}
