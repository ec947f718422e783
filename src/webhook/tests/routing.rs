//! Whose event it is (§1).

use super::server::*;
use crate::sync::identity::DatabaseId;
use crate::sync::reason::Reason;
use crate::webhook::ports::{OnDatabaseError, ReceiverBinding};
use crate::webhook::testing::*;
use uuid::Uuid;

fn page_event(id: &str, parent: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"page.moved","entity":{{"id":"{}","type":"page"}},
           "data":{{"parent":{parent}}}}}"#,
        page_id(9)
    )
}

fn in_source(n: u128) -> String {
    format!(
        r#"{{"type":"database","data_source_id":"{}"}}"#,
        source_id(n)
    )
}

/// A binding of another data source whose connection, and so key, is the same.
fn with_source(text: &str, n: u128) -> ReceiverBinding {
    ReceiverBinding {
        data_source: Some(source_id(n)),
        ..binding(text)
    }
}

async fn sharing(bindings: Vec<ReceiverBinding>) -> World {
    let names: Vec<_> = bindings
        .iter()
        .map(|each| each.binding.name.clone())
        .collect();
    let world = World::of(bindings).await;
    for name in names {
        world
            .credentials
            .set(&format!("{name}-webhook"), "verification-token", KEY);
    }
    world
}

fn receivers(world: &World) -> Vec<String> {
    let mut names: Vec<_> = world
        .sink
        .stored
        .lock()
        .unwrap()
        .drain(..)
        .map(|(to, _)| to.name)
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn all_bindings_that_match_get_the_event() {
    let world = sharing(vec![
        with_source("projects", 1),
        with_source("mirror", 1),
        with_source("tasks", 2),
        with_source("linked", 3),
    ])
    .await;
    world
        .sink
        .links
        .lock()
        .unwrap()
        .insert((name("linked"), page_id(9)));
    assert_eq!(
        world
            .signed(SHARED, &page_event("1", &in_source(1)))
            .await
            .said()
            .1,
        "queued"
    );
    assert_eq!(receivers(&world), ["linked", "mirror", "projects"]);
    let answer = world
        .signed(SHARED, &page_event("2", r#"{"type":"space"}"#))
        .await;
    assert_eq!(answer.said().1, "queued");
    assert_eq!(receivers(&world), ["linked"]);
    world.sink.links.lock().unwrap().clear();
    let answer = world.signed(SHARED, &page_event("3", &in_source(7))).await;
    assert_eq!(answer.said(), (200, "unlinked".into(), "NoBinding".into()));
    assert!(receivers(&world).is_empty());
}

#[tokio::test]
async fn another_data_sources_event_is_not_stored_at_an_own_path_either() {
    let world = World::of(vec![binding("projects")]).await;
    let elsewhere = page_event("1", &in_source(2));
    let answer = world.signed(OWN, &elsewhere).await;
    assert_eq!(answer.said(), (200, "unlinked".into(), "NoBinding".into()));
    assert!(receivers(&world).is_empty());
    world
        .sink
        .links
        .lock()
        .unwrap()
        .insert((name("projects"), page_id(9)));
    assert_eq!(world.signed(OWN, &elsewhere).await.said().1, "queued");
    let schema = format!(
        r#"{{"id":"2","type":"data_source.schema_updated","entity":{{"id":"{}","type":"data_source"}}}}"#,
        source_id(2)
    );
    assert_eq!(world.signed(OWN, &schema).await.said().1, "unlinked");
}

#[tokio::test]
async fn a_page_without_a_row_is_kept_where_its_data_source_is_ours() {
    let world = World::of(vec![binding("projects")]).await;
    assert_eq!(
        world
            .signed(OWN, &page_event("1", &in_source(1)))
            .await
            .said()
            .1,
        "queued"
    );
    let legacy = r#"{"type":"page.updated","object":{"id":"00000000-0000-0000-0000-000000000009","last_edited_time":"2026-11-20T10:15:00.000Z","properties":null}}"#;
    assert_eq!(world.signed(OWN, legacy).await.said().1, "queued");
    // The shared path knows a legacy event's binding by the link alone.
    assert_eq!(world.signed(SHARED, legacy).await.said().1, "unlinked");
    world
        .sink
        .links
        .lock()
        .unwrap()
        .insert((name("projects"), page_id(9)));
    assert_eq!(world.signed(SHARED, legacy).await.said().1, "duplicate");
}

#[tokio::test]
async fn a_legacy_database_event_goes_by_either_id() {
    let mut ours = binding("projects");
    ours.database = Some(DatabaseId(Uuid::from_u128(70)));
    let world = World::of(vec![ours]).await;
    for (n, status) in [(1, "queued"), (70, "queued"), (2, "unlinked")] {
        for path in [SHARED, OWN] {
            world.sink.stored.lock().unwrap().clear();
            let id = Uuid::from_u128(n).simple();
            let body = format!(r#"{{"type":"database.updated","object":{{"id":"{id}"}}}}"#);
            assert_eq!(
                world.signed(path, &body).await.said().1,
                status,
                "{n} {path}"
            );
        }
    }
}

#[tokio::test]
async fn one_binding_that_keeps_the_event_is_enough() {
    let retry = ReceiverBinding {
        on_database_error: OnDatabaseError::Retry,
        ..with_source("tasks", 1)
    };
    let world = sharing(vec![with_source("projects", 1), retry]).await;
    let fail = |each: &str| {
        let mode = Mode::Fails(Reason::DatabaseUnavailable);
        world.sink.modes.lock().unwrap().insert(name(each), mode);
    };
    fail("tasks");
    let body = page_event("1", &in_source(1));
    assert_eq!(world.signed(SHARED, &body).await.said().1, "queued");
    assert_eq!(world.signed(SHARED, &body).await.said().1, "duplicate");
    fail("projects");
    assert_eq!(world.signed(SHARED, &body).await.said().0, 503);
    world.sink.modes.lock().unwrap().remove(&name("tasks"));
    assert_eq!(world.signed(SHARED, &body).await.said().1, "queued");
}

#[tokio::test]
async fn a_binding_that_hangs_does_not_keep_another_from_storing() {
    let world = sharing(vec![with_source("projects", 1), with_source("tasks", 1)]).await;
    world
        .sink
        .modes
        .lock()
        .unwrap()
        .insert(name("projects"), Mode::Hangs);
    assert_eq!(
        world
            .signed(SHARED, &page_event("1", &in_source(1)))
            .await
            .said()
            .1,
        "queued"
    );
    assert_eq!(receivers(&world), ["tasks"]);
}
