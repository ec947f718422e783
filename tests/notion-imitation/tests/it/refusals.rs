//! What Notion refuses is refused, and changes nothing.

use serde_json::{Value as Json, json};

use crate::client::{projects, rich, start, title};

fn segments(count: usize) -> Json {
    json!({"rich_text": vec![json!({"text": {"content": "x"}}); count]})
}

#[tokio::test]
async fn refused_values() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion
        .create_page(table, json!({"Name": title("Row")}))
        .unwrap();
    let path = format!("/v1/pages/{page}");
    let before = notion.page(page).unwrap();
    let many: Vec<Json> = (0..101).map(|n| json!({"name": format!("t{n}")})).collect();
    for (name, value) in [
        ("Nope", json!({"number": 1})),
        ("Price", json!({"rich_text": []})),
        ("Price", json!({"number": "3"})),
        ("Price", json!(3)),
        ("Text", rich(&"x".repeat(2_001))),
        ("Text", rich("")),
        ("Text", segments(101)),
        ("Text", json!({"rich_text": "plain"})),
        (
            "Text",
            json!({"rich_text": [{"text": {"content": "x", "link": {"url": "u".repeat(2_001)}}}]}),
        ),
        (
            "Text",
            json!({"rich_text": [{"equation": {"expression": "x".repeat(1_001)}}]}),
        ),
        ("Stage", json!({"status": {"name": "Unheard of"}})),
        ("Kind", json!({"select": {"name": "a,b"}})),
        ("Kind", json!({"select": {"name": ""}})),
        ("Kind", json!({"select": {"id": "no such"}})),
        ("Tags", json!({"multi_select": many})),
        ("Due", json!({"date": {"start": "soon"}})),
        (
            "Due",
            json!({"date": {"start": "2026-11-20", "time_zone": "Europe/Berlin"}}),
        ),
        ("Link", json!({"url": ""})),
        ("Link", json!({"url": "u".repeat(2_001)})),
        ("Mail", json!({"email": "m".repeat(201)})),
        ("Phone", json!({"phone_number": ""})),
        ("Who", json!({"people": [{"id": "nobody"}]})),
        ("Open", json!({"checkbox": null})),
        ("Where", json!({"place": {"lat": 1}})),
        ("Checked", json!({"verification": {"state": "maybe"}})),
        ("Calc", json!({"formula": {"type": "number", "number": 3}})),
        ("Born", json!({"created_time": "2026-11-20T10:15:00.000Z"})),
        ("Number", json!({"unique_id": {"number": 7}})),
        ("Future", json!({"hologram": {}})),
    ] {
        let body = json!({"properties": {name: value, "Open": {"checkbox": true}}});
        let body = if name == "Open" {
            json!({"properties": {name: value}})
        } else {
            body
        };
        client
            .patch(&path, body)
            .await
            .refused(400, "validation_error");
    }
    assert_eq!(notion.page(page).unwrap(), before);
}

#[tokio::test]
async fn the_largest_values_are_accepted() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion.create_page(table, json!({})).unwrap();
    let full = json!({"rich_text": vec![json!({"text": {"content": "y".repeat(2_000)}}); 100]});
    let body = json!({"properties": {"Text": full, "Link": {"url": "u".repeat(2_000)}}});
    client.patch(format!("/v1/pages/{page}"), body).await.ok();
}

#[tokio::test]
async fn refused_bodies() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion.create_page(table, json!({})).unwrap();
    let path = format!("/v1/pages/{page}");
    client
        .patch(&path, json!({"archived": true}))
        .await
        .refused(400, "validation_error");
    client
        .patch(&path, json!({"color": "red"}))
        .await
        .refused(400, "validation_error");
    client
        .patch(&path, json!({"in_trash": "yes"}))
        .await
        .refused(400, "validation_error");
    client
        .patch(&path, json!({"properties": []}))
        .await
        .refused(400, "validation_error");
    let parentless = json!({"properties": {}});
    client
        .post("/v1/pages", parentless)
        .await
        .refused(400, "validation_error");
    let large = json!({"properties": {"Nope": {"rich_text": "z".repeat(512_000)}}});
    let message = client
        .patch(&path, large)
        .await
        .refused(400, "validation_error");
    assert!(message.contains("body.length"), "{message}");

    let mut older = client.clone();
    older.version = "2025-09-03".to_owned();
    let trashed = older.patch(&path, json!({"archived": true})).await.ok();
    assert_eq!(
        (&trashed["archived"], &trashed["in_trash"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn relations_stay_within_their_data_source() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let other = projects(&notion);
    let relation = json!({"relation": {"data_source_id": other.id, "single_property": {}}});
    notion.add_property(table, "Peers", relation).unwrap();
    let (page, stranger) = (
        notion.create_page(table, json!({})).unwrap(),
        notion.create_page(table, json!({})).unwrap(),
    );
    let friend = notion.create_page(other, json!({})).unwrap();
    let path = format!("/v1/pages/{page}");
    let write = |id| json!({"properties": {"Peers": {"relation": [{"id": id}]}}});
    client.patch(&path, write(friend)).await.ok();
    client
        .patch(&path, write(stranger))
        .await
        .refused(400, "validation_error");
    client
        .patch(&path, write(uuid::Uuid::new_v4()))
        .await
        .refused(404, "object_not_found");
    let many = vec![json!({"id": friend}); 101];
    let many = json!({"properties": {"Peers": {"relation": many}}});
    client
        .patch(&path, many)
        .await
        .refused(400, "validation_error");
}

#[tokio::test]
async fn trashed_pages_take_no_edit_until_they_are_restored() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion.create_page(table, json!({})).unwrap();
    notion.trash(page).unwrap();
    let path = format!("/v1/pages/{page}");
    let edit = json!({"properties": {"Price": {"number": 1}}});
    client
        .patch(&path, edit.clone())
        .await
        .refused(400, "validation_error");
    client.patch(&path, json!({"in_trash": false})).await.ok();
    client.patch(&path, edit).await.ok();
}

#[tokio::test]
async fn two_switches_bend_the_refusals() {
    let (notion, client) = start().await;
    let table = projects(&notion);
    let page = notion.create_page(table, json!({})).unwrap();
    notion.switch(|switches| {
        switches.drop_unknown_properties = true;
        switches.accept_empty_text = true;
    });
    let body = json!({"properties": {"Nope": {"number": 1}, "Text": rich("")}});
    let page = client.patch(format!("/v1/pages/{page}"), body).await.ok();
    assert!(page["properties"].get("Nope").is_none());
    assert_eq!(page["properties"]["Text"]["rich_text"], json!([]));
}
