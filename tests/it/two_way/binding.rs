//! Bindings that write to Notion, on the running operator: directions, who may write a property, and
//! what table and properties must offer.

use notion_imitation::DataSourceSpec;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Stage, eventually, title};

/// The title that Notion shows for a page.
fn shown(stage: &Stage, page: Uuid) -> String {
    let page = stage.notion.page(page).expect("the page exists");
    let text = &page["properties"]["Name"]["title"][0]["plain_text"];
    text.as_str().unwrap_or_default().to_owned()
}

async fn wait_shown(stage: &Stage, page: Uuid, name: &str) {
    let what = format!("Notion shows {name:?}");
    eventually(&what, async || (shown(stage, page) == name).then_some(())).await;
}

fn writes(stage: &Stage) -> usize {
    let requests = stage.notion.requests();
    (requests.iter())
        .filter(|request| request.method == "PATCH")
        .count()
}

async fn rename(stage: &Stage, page: Uuid, name: &str) {
    let update = format!("UPDATE projects SET name = '{name}' WHERE \"notionPageId\" = '{page}'");
    stage.sql(&update).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_either_side_reaches_the_other_and_does_not_come_back() {
    let stage = Stage::set("two-way").await;
    let page = stage.linked("Alpha").await;
    let changes = json!({"direction": "TwoWay", "webhook": null, "interval": "10s"});
    stage.bind_ready(&changes).await;
    stage.wait_cell(page, "name", Some("Alpha")).await;
    stage.notion.reset_requests();

    rename(&stage, page, "Beta").await;
    wait_shown(&stage, page, "Beta").await;
    let edit = json!({"Name": title("Gamma")});
    stage.notion.edit(page, edit).unwrap();
    stage.wait_cell(page, "name", Some("Gamma")).await;
    // Two passes later nothing has come back.
    tokio::time::sleep(std::time::Duration::from_secs(25)).await;
    assert_eq!(writes(&stage), 1);
    assert_eq!(shown(&stage, page), "Gamma");
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Gamma"));
    let drift = stage.binding("projects").await["status"]["drift"]["count"].clone();
    assert_eq!(drift, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrower_property_goes_one_way_and_repair_puts_it_back() {
    let stage = Stage::set("narrow").await;
    let page = stage.linked("Alpha").await;
    let properties = json!([
        {"column": "name", "property": "Name", "direction": "ToPostgres"},
        {"column": "price", "property": "Price", "direction": "ToNotion"},
    ]);
    let changes = json!({"direction": "TwoWay", "properties": properties, "webhook": null,
        "interval": "10s", "driftPolicy": "Repair"});
    stage.bind_ready(&changes).await;
    stage.wait_cell(page, "name", Some("Alpha")).await;
    let update =
        format!("UPDATE projects SET price = 7, name = 'Beta' WHERE \"notionPageId\" = '{page}'");
    stage.sql(&update).await;
    eventually("the price is in Notion", async || {
        let found = stage.notion.page(page).unwrap();
        (found["properties"]["Price"]["number"] == json!(7)).then_some(())
    })
    .await;
    stage.wait_cell(page, "name", Some("Alpha")).await;
    assert_eq!(shown(&stage, page), "Alpha");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_binding_keeps_a_property_that_two_would_write() {
    let stage = Stage::set("writers").await;
    stage.linked("Alpha").await;
    stage
        .sql(
            "CREATE TABLE others (id bigint PRIMARY KEY, title text, \"notionPageId\" text UNIQUE)",
        )
        .await;
    let two_way = json!({"direction": "TwoWay", "webhook": null});
    stage.bind_ready(&two_way).await;
    let id = stage.binding("projects").await["status"]["notion"]["properties"][0]["propertyId"]
        .as_str()
        .unwrap()
        .to_owned();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut spec = stage.spec(&two_way);
    spec["postgres"]["table"] = "others".into();
    spec["postgres"]
        .as_object_mut()
        .unwrap()
        .remove("updatedAtColumn");
    spec["properties"] = json!([{"column": "title", "property": format!("id:{id}")}]);
    let object = world::manifests::binding(stage.scene.name(), "others", &spec);
    stage.scene.apply(&object).await.unwrap();
    let stalled = stage
        .wait_condition("others", "Stalled", "True", Some("PropertyAlreadyWritten"))
        .await;
    let message = stalled["message"].as_str().unwrap();
    assert!(
        message.contains("binding projects") && message.contains("column title"),
        "{message}"
    );
    let ready = stage.condition("projects", "Ready").await;
    assert_eq!(ready["status"], "True");

    // The first one lets go, and the second one starts by itself.
    stage
        .bind(
            "projects",
            &json!({"direction": "ToPostgres", "webhook": null}),
        )
        .await;
    stage.wait_condition("others", "Ready", "True", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_property_is_read_under_two_way_and_never_written() {
    let stage = Stage::set("read-only").await;
    stage.linked("Alpha").await;
    stage.sql("ALTER TABLE projects ADD made timestamptz").await;
    stage
        .notion
        .add_property(stage.source, "Made", json!({"created_time": {}}))
        .unwrap();
    let with = |direction: Value| {
        let mut made = json!({"column": "made", "property": "Made"});
        if !direction.is_null() {
            made["direction"] = direction;
        }
        json!({"direction": "TwoWay", "webhook": null,
            "properties": [{"column": "name", "property": "Name"}, made]})
    };
    stage.bind_ready(&with(Value::Null)).await;
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
    stage.bind("projects", &with("ToNotion".into())).await;
    stage
        .wait_condition("projects", "SchemaValid", "False", Some("PropertyReadOnly"))
        .await;
    let ready = stage.condition("projects", "Ready").await;
    assert_eq!(ready["status"], "True");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relation_is_left_alone_while_its_target_is_not_shared() {
    let stage = Stage::set("relation").await;
    let target = stage
        .notion
        .create_data_source(DataSourceSpec::new("Teams", json!({"Name": {"title": {}}})));
    let target = target.unwrap().id;
    let team = stage
        .notion
        .create_page(target, json!({"Name": title("Red")}))
        .unwrap();
    let relation = json!({"relation": {"data_source_id": target, "single_property": {}}});
    stage
        .notion
        .add_property(stage.source, "Team", relation)
        .unwrap();
    stage.sql("ALTER TABLE projects ADD team uuid[]").await;
    let page = stage.linked("Alpha").await;
    stage
        .notion
        .edit(page, json!({"Team": {"relation": [{"id": team}]}}))
        .unwrap();
    let changes = json!({"webhook": null, "interval": "10s", "properties": [
        {"column": "name", "property": "Name"}, {"column": "team", "property": "Team"}]});
    stage.bind_ready(&changes).await;
    let ids = format!("{{{team}}}");
    stage.wait_cell(page, "team", Some(&ids)).await;

    stage.notion.unshare(target, None).unwrap();
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
    stage
        .wait_condition(
            "projects",
            "SchemaValid",
            "False",
            Some("RelatedDataSourceNotShared"),
        )
        .await;
    assert_eq!(stage.cell(page, "team").await.as_deref(), Some(&*ids));
    stage.notion.share(target, None).unwrap();
    stage
        .wait_condition("projects", "SchemaValid", "True", Some("Valid"))
        .await;
    assert_eq!(stage.cell(page, "team").await.as_deref(), Some(&*ids));
}
