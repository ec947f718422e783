//! Every property of every recorded page: read by its type, as a value.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::item::{ItemPage, PropertyItems};
use super::page::page;
use super::recorded::root;
use crate::sync::identity::PropertyId;
use crate::sync::page::{PropertyRead, PropertyType, PropertyValue};

/// The page objects below `directory`, those of query answers among them.
fn pages(directory: &Path, found: &mut Vec<(String, Value)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // One recording had its ids masked by its authors.
        let text = text.replace("****", "38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c");
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let name = path.display().to_string();
        let listed = body["results"].as_array().cloned().unwrap_or_default();
        let objects = listed.into_iter().chain([body]);
        found.extend(
            objects
                .filter(|object| object["object"] == "page" && object["properties"].is_object())
                .map(|object| (name.clone(), object)),
        );
    }
}

#[test]
fn every_recorded_property_has_a_value() {
    let (mut found, mut seen) = (Vec::new(), BTreeMap::<String, usize>::new());
    pages(&root(), &mut found);
    for (file, object) in found {
        for (name, property) in object["properties"].as_object().unwrap() {
            let Some(id) = property["id"].as_str().map(PropertyId::new) else {
                continue;
            };
            let snapshot = page(object.to_string().as_bytes(), std::slice::from_ref(&id)).unwrap();
            let read = &snapshot.properties[&id];
            assert!(
                matches!(read.read, PropertyRead::Value(_)),
                "{file}: {name}: {:?}",
                read.read
            );
            *seen.entry(read.kind.name().to_owned()).or_default() += 1;
        }
    }
    for kind in PropertyType::all() {
        assert!(seen.contains_key(kind.name()), "no recording of {kind:?}");
    }
}

fn item(file: &str) -> PropertyRead {
    let body = std::fs::read(root().join(file)).unwrap();
    match PropertyItems::default().push(&body).unwrap() {
        ItemPage::Whole(read) => read,
        ItemPage::More(_) => panic!("{file} has no end"),
    }
}

#[test]
fn recorded_items_of_every_form_are_read() {
    let hkob = |name: &str| {
        item(&format!(
            "hkob__notion_ruby_mapping/property_item/retrieve_property_{name}.json"
        ))
    };
    let ultimate = |name: &str| {
        item(&format!(
            "ultimate-notion__ultimate-notion/property_item/test_retrieve_property__{name}.json"
        ))
    };
    let files = "brd6__notion-sdk-php/property_item/\
                 client_pages_retrieve_page_property_files_200.json";
    let shown = |read: PropertyRead| match read {
        PropertyRead::Value(value) => value.to_json(),
        other => panic!("{other:?}"),
    };
    let cases = [
        (
            hkob("relation"),
            json!(["860753bb-6d1f-48de-9621-1fa6e0e31f82"]),
        ),
        (hkob("unique_id"), json!("ST-3")),
        (hkob("button"), json!({})),
        (hkob("place"), json!(null)),
        (
            ultimate("010_GET_pages.ID.properties.created_by"),
            json!("Ultimate Notion Tests"),
        ),
        (ultimate("019_GET_pages.ID.properties.formula"), json!("")),
        (
            item(files),
            json!([
                "https://s3.us-west-2.amazonaws.com/secure.notion-static.com/\
                de74d9fa-014c-4c9c-aa5b-2509bfc4fd33/test.svg"
            ]),
        ),
    ];
    for (read, expected) in cases {
        assert_eq!(shown(read), expected);
    }
    let relation = hkob("relation");
    assert!(matches!(
        relation,
        PropertyRead::Value(PropertyValue::Ids(_))
    ));
}
