//! The schema of the resource, on a real API server: every rule with what it accepts and refuses.
//!
//! The examples are data (`data/crd/rules.yaml`). They are created strictly and as dry runs, as
//! `kubectl create` would; those of transition rules replace an object that is stored before.

use std::collections::BTreeMap;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Request,
};
use kube::{Client, Resource};
use notion_sync_operator::api::{NotionSyncBinding, crd};
use serde::Deserialize;
use serde_json::{Value, json};
use world::World;
use world::scene::Scene;

const BASE: &str = include_str!("data/crd/base.yaml");
const RULES: &str = include_str!("data/crd/rules.yaml");

/// JSON pointers and the values to set there; the key `unset` lists what is taken away.
type Change = BTreeMap<String, Value>;

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "rule")]
    title: String,
    accepted: Vec<Change>,
    refused: Vec<Change>,
    message: String,
    #[serde(default)]
    from: Option<Change>,
}

fn rules() -> Vec<Rule> {
    serde_yaml::from_str(RULES).unwrap()
}

fn base() -> Value {
    serde_yaml::from_str(BASE).unwrap()
}

fn changed(change: &Change) -> Value {
    let mut object = base();
    for (pointer, value) in change {
        if pointer == "unset" {
            for pointer in value.as_array().unwrap() {
                let (parent, key) = split(pointer.as_str().unwrap());
                match object.pointer_mut(parent).unwrap() {
                    Value::Array(list) => drop(list.remove(key.parse().unwrap())),
                    Value::Object(map) => drop(map.remove(key).unwrap()),
                    other => panic!("{pointer}: nothing to unset in {other}"),
                }
            }
            continue;
        }
        let (parent, key) = split(pointer);
        match object.pointer_mut(parent).unwrap() {
            Value::Array(list) if key == "-" => list.push(value.clone()),
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            Value::Object(map) => drop(map.insert(key.to_owned(), value.clone())),
            other => panic!("{pointer}: nothing to set in {other}"),
        }
    }
    object
}

fn split(pointer: &str) -> (&str, &str) {
    pointer.rsplit_once('/').unwrap()
}

struct Server {
    client: Client,
    namespace: String,
}

impl Server {
    fn requests(&self) -> Request {
        Request::new(NotionSyncBinding::url_path(&(), Some(&self.namespace)))
    }

    /// Creates strictly; what comes back is the stored object or the refusal's message.
    async fn create(&self, object: &Value, dry_run: bool) -> Result<Value, String> {
        let params = PostParams {
            dry_run,
            ..Default::default()
        };
        let body = serde_json::to_vec(object).unwrap();
        let mut request = self.requests().create(&params, body).unwrap();
        let uri = format!("{}&fieldValidation=Strict", request.uri());
        *request.uri_mut() = uri.parse().unwrap();
        answer(self.client.request(request).await)
    }

    async fn replace(&self, stored: &Value, object: &Value) -> Result<Value, String> {
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
        let params = PostParams {
            dry_run: true,
            ..Default::default()
        };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let body = serde_json::to_vec(&object).unwrap();
        let request = self.requests().replace(&name, &params, body).unwrap();
        answer(self.client.request(request).await)
    }

    async fn delete(&self, name: &str) {
        let resource = ApiResource::erase::<NotionSyncBinding>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
}

fn answer(answer: Result<Value, kube::Error>) -> Result<Value, String> {
    answer.map_err(|error| match error {
        kube::Error::Api(status) if matches!(status.code, 400 | 422) => status.message.clone(),
        other => panic!("the API server did not judge the object: {other}"),
    })
}

async fn scene() -> Scene<'static> {
    let world = World::shared().await.expect("the world starts");
    world.scene("crd").await.expect("a scene")
}

/// Every example of every rule.
#[tokio::test(flavor = "multi_thread")]
async fn every_rule_holds() {
    let scene = scene().await;
    let (client, namespace) = (scene.client().await.unwrap(), scene.name());
    let server = Server {
        client,
        namespace: namespace.to_owned(),
    };
    for rule in rules() {
        let stored = match &rule.from {
            None => None,
            Some(from) => Some(server.create(&changed(from), false).await.unwrap()),
        };
        for (examples, accepted) in [(&rule.accepted, true), (&rule.refused, false)] {
            for example in examples {
                let object = changed(example);
                let answer = match &stored {
                    None => server.create(&object, true).await,
                    Some(stored) => server.replace(stored, &object).await,
                };
                let title = format!("{}: {example:?}", rule.title);
                match answer {
                    Ok(_) => assert!(accepted, "{title} was accepted"),
                    Err(text) => {
                        assert!(!accepted, "{title} was refused: {text}");
                        assert!(
                            text.contains(&rule.message),
                            "{title} was refused with: {text}"
                        );
                    }
                }
            }
        }
        if stored.is_some() {
            server.delete("rules").await;
        }
    }
}

/// The bounds that are too long to write down, and the largest object within all of them.
#[tokio::test(flavor = "multi_thread")]
async fn bounds_hold() {
    let scene = scene().await;
    let (client, namespace) = (scene.client().await.unwrap(), scene.name());
    let server = Server {
        client,
        namespace: namespace.to_owned(),
    };
    let property = |n: usize, values: usize| {
        let values: Vec<Value> = (0..values)
            .map(|v| json!({ "notion": format!("o{v}"), "postgres": format!("v{v}") }))
            .collect();
        json!({ "column": format!("c{n}"), "property": format!("P{n}"), "values": values })
    };
    let with = |properties: Vec<Value>| {
        let mut object = base();
        object["spec"]["properties"] = properties.into();
        object
    };
    let named = |characters: usize| {
        let name = "表".repeat(characters);
        let values = json!([{ "notion": name, "postgres": name }]);
        with(vec![
            json!({ "column": "c", "property": name, "values": values }),
        ])
    };
    let largest = with((0..200).map(|n| property(n, 100)).collect());
    let mut two_way = largest.clone();
    two_way["spec"]["direction"] = "TwoWay".into();
    for object in [largest, two_way, named(256)] {
        server.create(&object, true).await.unwrap();
    }
    let too_many = with((0..201).map(|n| property(n, 0)).collect());
    let too_many_values = with(vec![property(0, 101)]);
    for (object, message) in [
        (too_many, "must have at most 200 items"),
        (too_many_values, "must have at most 100 items"),
        (named(257), "Too long"),
    ] {
        let text = server.create(&object, true).await.unwrap_err();
        assert!(text.contains(message), "{text}");
    }
}

/// Defaults are part of the stored object; an explicit null takes the default too.
#[tokio::test(flavor = "multi_thread")]
async fn defaults_are_written_out() {
    let scene = scene().await;
    let (client, namespace) = (scene.client().await.unwrap(), scene.name());
    let server = Server {
        client,
        namespace: namespace.to_owned(),
    };
    let change: Change = serde_json::from_value(json!({
        "/spec/interval": null, "/spec/notion/tokenSecretRef/key": null,
        "/spec/properties/1/values/0/postgres": null,
    }))
    .unwrap();
    let stored = server.create(&changed(&change), true).await.unwrap();
    let expected = json!({
        "/notion/tokenSecretRef/key": "token",
        "/webhook/authentication": ["Signature"],
        "/webhook/verificationTokenSecretRef/key": "verification-token",
        "/webhook/onDatabaseError": "Acknowledge",
        "/postgres/connectionSecretRef/key": "uri",
        "/postgres/caSecretRef/key": "ca.crt",
        "/postgres/schema": "public",
        "/postgres/auditTable": "audit_logs",
        "/direction": "ToPostgres",
        "/conflictPolicy": "NewestWins",
        "/driftPolicy": "Report",
        "/properties/0/onUnknownValue": "Reject",
        "/properties/0/onLossyWrite": "Reject",
        "/properties/1/values/0/postgres": null,
        "/interval": "5m",
        "/fullScanInterval": "6h",
        "/suspend": false,
    });
    for (pointer, value) in expected.as_object().unwrap() {
        assert_eq!(stored["spec"].pointer(pointer), Some(value), "{pointer}");
    }
    for inherited in ["conflictPolicy", "direction"] {
        let pointer = format!("/properties/0/{inherited}");
        assert_eq!(stored["spec"].pointer(&pointer), None, "{pointer}");
    }
}

/// A spec that is applied again and again, as a tool that watches a repository does, stays one generation.
#[tokio::test(flavor = "multi_thread")]
async fn applying_again_changes_nothing() {
    let scene = scene().await;
    let (client, namespace) = (scene.client().await.unwrap(), scene.name());
    let resource = ApiResource::erase::<NotionSyncBinding>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let mut object = base();
    object["metadata"]["name"] = "again".into();
    object["spec"]["properties"][1]["values"][0]["postgres"] = Value::Null;
    let params = PatchParams::apply("gitops").validation_strict();
    let first = api
        .patch("again", &params, &Patch::Apply(&object))
        .await
        .unwrap();
    let second = api
        .patch("again", &params, &Patch::Apply(&object))
        .await
        .unwrap();
    assert_eq!(
        first.metadata.resource_version,
        second.metadata.resource_version
    );
    assert_eq!(second.metadata.generation, Some(1));
    let null = second.data["spec"].pointer("/properties/1/values/0/postgres");
    assert_eq!(null, Some(&Value::Null));
    api.delete("again", &DeleteParams::default()).await.unwrap();
}

/// A rule that is added to the schema needs its examples.
#[test]
fn every_message_of_the_schema_has_an_example() {
    let definition = serde_json::to_value(crd()).unwrap();
    let mut messages = Vec::new();
    collect_messages(&definition, &mut messages);
    assert!(messages.len() > 20, "{messages:?}");
    let told: Vec<String> = rules().into_iter().map(|rule| rule.message).collect();
    for message in messages {
        let found = told
            .iter()
            .any(|told| !told.is_empty() && message.contains(told.as_str()));
        assert!(found, "no refused example for: {message}");
    }
    for rule in rules() {
        assert!(
            !rule.accepted.is_empty() && !rule.refused.is_empty(),
            "{}",
            rule.title
        );
    }
}

fn collect_messages(value: &Value, messages: &mut Vec<String>) {
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_messages(item, messages)),
        Value::Object(map) => {
            for (key, value) in map {
                if key == "x-kubernetes-validations" {
                    let rules = value.as_array().unwrap();
                    let texts = rules
                        .iter()
                        .map(|rule| rule["message"].as_str().unwrap().to_owned());
                    messages.extend(texts);
                } else {
                    collect_messages(value, messages);
                }
            }
        }
        _ => {}
    }
}
