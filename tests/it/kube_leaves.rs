//! What the controller does to the API server, with the rights that `deploy/` ships and no others:
//! Secrets by name, the Lease, status and Events.
//!
//! `admin` may do everything; `operator` carries the token of the shipped `ServiceAccount`. Where
//! `deploy/` grants a right in the operator's own namespace, the scene's namespace plays that part.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use notion_sync_operator::api::status::{Health, NotionSyncBindingStatus};
use notion_sync_operator::api::{NotionSyncBinding, SecretKey};
use notion_sync_operator::controller::conditions::{Check, Problem, Truth, is, kind};
use notion_sync_operator::controller::events::{Publisher, transitions};
use notion_sync_operator::controller::lease::{Elector, LEASE_NAME, Leadership};
use notion_sync_operator::controller::secrets::{SecretRead, Secrets, Stored};
use notion_sync_operator::controller::status::{Observation, PassFact, Subject, compute};
use notion_sync_operator::controller::status_writer::{StatusWriter, Target, Written};
use notion_sync_operator::sync::reason::Reason;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use world::World;
use world::control_plane::client_of;
use world::scene::Scene;

use crate::support::own_leases;

async fn scene() -> (Scene<'static>, Client) {
    let world = World::shared().await.expect("the world starts");
    let scene = world.scene("leaves").await.expect("a scene");
    let options = scene
        .operator_options("http://127.0.0.1:9")
        .await
        .expect("options");
    let operator = client_of(&options.kubeconfig).await.expect("a client");
    (scene, operator)
}

fn key(key: &str) -> SecretKey {
    SecretKey {
        name: "leaves".to_owned(),
        key: key.to_owned(),
    }
}

/// Reading, polling and completing a Secret, and what the operator may not do.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_read_and_completed() {
    let (scene, operator) = scene().await;
    let (admin, namespace) = (scene.client().await.unwrap(), scene.name());
    let api: Api<Secret> = Api::namespaced(admin, namespace);
    let theirs: Api<Secret> = Api::namespaced(operator.clone(), namespace);
    let secrets = Secrets::new(operator);
    let value = SecretString::from("first");
    assert!(theirs.list(&ListParams::default()).await.is_err());
    assert_eq!(secrets.version(namespace, "leaves").await.unwrap(), None);
    let read = secrets.read(namespace, &key("a")).await.unwrap();
    assert!(matches!(read, SecretRead::MissingSecret));
    let stored = secrets.store(namespace, &key("a"), &value).await.unwrap();
    assert_eq!(stored, Stored::MissingSecret);
    assert!(
        api.get_opt("leaves").await.unwrap().is_none(),
        "the handshake made a Secret"
    );

    let made = secret(&[("other", "kept\n")]);
    api.create(&PostParams::default(), &made).await.unwrap();
    let before = secrets.version(namespace, "leaves").await.unwrap().unwrap();
    let read = secrets.read(namespace, &key("a")).await.unwrap();
    assert!(matches!(read, SecretRead::MissingKey(version) if version == before));
    for (name, text) in [("a", "first"), ("b", "second")] {
        let stored = secrets
            .store(namespace, &key(name), &SecretString::from(text))
            .await;
        assert_eq!(stored.unwrap(), Stored::Stored);
    }
    let stored = secrets
        .store(namespace, &key("a"), &SecretString::from("third"))
        .await;
    assert_eq!(stored.unwrap(), Stored::AlreadySet);
    for (name, text) in [("a", "first"), ("b", "second"), ("other", "kept")] {
        let SecretRead::Found(found) = secrets.read(namespace, &key(name)).await.unwrap() else {
            panic!("{name} is gone");
        };
        assert_eq!(found.text().unwrap().expose_secret(), text);
    }
    assert_ne!(
        secrets.version(namespace, "leaves").await.unwrap().unwrap(),
        before
    );

    let removal = json!({ "data": { "a": null } });
    api.patch("leaves", &PatchParams::default(), &Patch::Merge(removal))
        .await
        .unwrap();
    let stored = secrets
        .store(namespace, &key("a"), &SecretString::from("again"))
        .await;
    assert_eq!(stored.unwrap(), Stored::Stored);
    let data = api.get("leaves").await.unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["a", "b", "other"]);
    api.delete("leaves", &DeleteParams::default())
        .await
        .unwrap();
}

fn secret(data: &[(&str, &str)]) -> Secret {
    let data: BTreeMap<String, String> = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    serde_json::from_value(json!({ "metadata": { "name": "leaves" }, "stringData": data })).unwrap()
}

/// How long what happens at once may take on a busy machine. A Lease that nobody releases holds
/// for longer.
const BUSY: Duration = Duration::from_secs(12);

/// Of two candidates one leads; the other follows at once after a release, and in less than 20 s
/// after a death, with room for a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn one_leads_and_another_follows() {
    let (scene, operator) = scene().await;
    let (admin, namespace) = (scene.client().await.unwrap(), scene.name());
    own_leases(&scene).await;
    let leases: Api<Lease> = Api::namespaced(admin, namespace);
    let stop = [
        CancellationToken::new(),
        CancellationToken::new(),
        CancellationToken::new(),
    ];
    let start = |me: &str, stop: &CancellationToken| {
        let (elector, leadership) = Elector::new(operator.clone(), namespace, me);
        (tokio::spawn(elector.run(stop.clone())), leadership)
    };
    let (first, mut a) = start("a", &stop[0]);
    let (second, mut b) = start("b", &stop[1]);
    let won = async {
        tokio::select! {
            won = a.wait_for(Leadership::leads) => drop(won.unwrap()),
            won = b.wait_for(Leadership::leads) => drop(won.unwrap()),
        }
    };
    timeout(BUSY, won).await.unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(
        a.borrow().leads() != b.borrow().leads(),
        "both lead, or none"
    );
    let a_leads = a.borrow().leads();
    // Seven seconds on, only a Lease that is renewed has so much left.
    let leader = if a_leads { &mut a } else { &mut b };
    let renewed = leader.wait_for(|leadership| leadership.left() > Duration::from_secs(12));
    drop(timeout(BUSY, renewed).await.unwrap().unwrap());
    let (winner, mut loser) = if a_leads { (0, b) } else { (1, a) };

    let released = Instant::now();
    stop[winner].cancel();
    timeout(BUSY, loser.wait_for(Leadership::leads))
        .await
        .unwrap()
        .unwrap();
    println!("take-over after a release: {:?}", released.elapsed());
    let lease = leases.get(LEASE_NAME).await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(1));
    assert_eq!(lease.holder_identity.as_deref(), Some(["b", "a"][winner]));
    assert_eq!(lease.lease_duration_seconds, Some(15));

    let (heir, mut c) = start("c", &stop[2]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!c.borrow().leads());
    let died = Instant::now();
    if a_leads {
        second.abort();
    } else {
        first.abort();
    }
    timeout(Duration::from_secs(30), c.wait_for(Leadership::leads))
        .await
        .unwrap()
        .unwrap();
    println!("take-over after a death: {:?}", died.elapsed());
    assert!(!loser.borrow().leads(), "the dead one still leads");
    stop[2].cancel();
    heir.await.unwrap();
    assert_eq!(
        leases
            .get(LEASE_NAME)
            .await
            .unwrap()
            .spec
            .unwrap()
            .holder_identity,
        None
    );
    leases
        .delete(LEASE_NAME, &DeleteParams::default())
        .await
        .unwrap();
}

fn subject() -> Subject {
    Subject {
        generation: 1,
        suspended: false,
        webhook_configured: true,
        webhook_path: "/api/webhooks/notion/x/leaves".to_owned(),
        interval: Duration::from_mins(5),
    }
}

/// Status and Events of a binding that fails, recovers and is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn status_and_events_tell_a_story() {
    let (scene, operator) = scene().await;
    let (admin, namespace) = (scene.client().await.unwrap(), scene.name());
    let resource = ApiResource::erase::<NotionSyncBinding>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(admin.clone(), namespace, &resource);
    let mut object: Value = serde_yaml::from_str(include_str!("data/crd/base.yaml")).unwrap();
    object["metadata"]["name"] = "leaves".into();
    let object = serde_json::from_value(object).unwrap();
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let target = Target {
        namespace: namespace.to_owned(),
        name: "leaves".to_owned(),
        uid: made.metadata.uid.unwrap(),
    };
    let writer = StatusWriter::new(operator.clone());
    let publisher = Publisher::new(operator, "pod-1");
    let missing = Problem::new(
        Reason::NotionTokenMissing,
        "create Secret notion with key token",
    );
    let broken = Observation {
        notion: Check::Failed(missing),
        ..Default::default()
    };
    let working = Observation {
        notion: Check::Passed,
        pass: PassFact::Done,
        last_sync: Some(Timestamp::now()),
        ..Default::default()
    };
    let write = async |seen: &Observation| {
        let interval = Duration::from_mins(5);
        let now = Timestamp::now();
        let written = writer
            .write(&target, interval, |old| compute(&subject(), seen, old, now))
            .await;
        if let Written::Patched { old, new } = written.as_ref().unwrap() {
            publisher
                .publish(&target, &transitions(&old.conditions, &new.conditions))
                .await;
        }
        written.unwrap()
    };
    assert!(matches!(write(&broken).await, Written::Patched { .. }));
    assert!(matches!(write(&broken).await, Written::Unchanged(_)));
    assert_eq!(stored(&api).await.health, Some(Health::Failing));
    assert!(matches!(write(&working).await, Written::Patched { .. }));
    assert!(matches!(write(&working).await, Written::Unchanged(_)));
    let status = stored(&api).await;
    assert_eq!(status.health, Some(Health::Healthy));
    assert!(is(&status.conditions, kind::READY, Truth::True));
    assert!(matches!(write(&broken).await, Written::Patched { .. }));

    let events: Api<Event> = Api::namespaced(admin, namespace);
    let told = events.list(&ListParams::default()).await.unwrap().items;
    let of = |reason: &str| -> Vec<&Event> {
        let about = |e: &&Event| e.regarding.as_ref().unwrap().uid.as_ref() == Some(&target.uid);
        told.iter()
            .filter(about)
            .filter(|e| e.reason.as_deref() == Some(reason))
            .collect()
    };
    let missing = of("NotionTokenMissing");
    assert_eq!(missing.len(), 1, "a repeat is no second Event");
    assert_eq!(
        missing[0].note.as_deref(),
        Some("create Secret notion with key token")
    );
    assert_eq!(missing[0].type_.as_deref(), Some("Warning"));
    assert_eq!(missing[0].series.as_ref().unwrap().count, 2);
    assert_eq!(of("Synced").len(), 1);

    api.delete("leaves", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(write(&working).await, Written::Gone);
    api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(
        write(&working).await,
        Written::Gone,
        "another object has the name"
    );
    api.delete("leaves", &DeleteParams::default())
        .await
        .unwrap();
}

async fn stored(api: &Api<DynamicObject>) -> NotionSyncBindingStatus {
    let object = api.get("leaves").await.unwrap();
    serde_json::from_value(object.data["status"].clone()).unwrap()
}
