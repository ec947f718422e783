//! A person resolves conflicts; an events-only pass carries the choice out.

use super::memory_store::StoreCall;
use super::script::{Fault, When};
use super::*;
use crate::sync::mapping::{ConflictPolicy, Direction};
use crate::sync::side::Side;

/// A pair whose name both sides changed.
async fn contested() -> (World, PageId) {
    let (world, pages) = World::two_way(1, ConflictPolicy::Manual).await;
    world.rename(pages[0], "notion");
    world.user_edits("1", 0, "row");
    world.run(Work::Events).await;
    assert_eq!(world.drift(), [(DriftKind::Conflict, Some(1), None)]);
    (world, pages[0])
}

fn is_closed(world: &World) -> bool {
    world.store.state().resolutions.is_empty()
}

#[tokio::test]
async fn notions_value_goes_to_the_row_and_the_lost_one_to_the_audit() {
    let (world, page) = contested().await;
    world.store.state().choose(Side::Notion);
    world.run(Work::Events).await;
    assert_eq!(world.name_of(page).as_deref(), Some("notion"));
    assert_eq!(world.title_of(page), text("notion"));
    assert!(world.drift().is_empty());
    assert!(is_closed(&world));
    let audit = world.store.state().audit.last().unwrap().changes.clone();
    assert_eq!(audit[0].overwrote.as_deref(), Some("row"));
}

#[tokio::test]
async fn the_rows_value_goes_to_the_page_and_the_lost_one_to_the_audit() {
    let (world, page) = contested().await;
    world.store.state().choose(Side::Postgres);
    world.run(Work::Events).await;
    assert_eq!(world.title_of(page), text("row"));
    assert_eq!(world.name_of(page).as_deref(), Some("row"));
    assert!(world.drift().is_empty());
    assert!(is_closed(&world));
    let sent = world.store.state().sent.last().unwrap().changes.clone();
    assert_eq!(sent[0].overwrote, serde_json::json!("notion"));
    // Once it is closed, the next conflict waits again.
    world.rename(page, "notion again");
    world.user_edits("1", 0, "row again");
    world.run(Work::Events).await;
    assert_eq!(world.drift(), [(DriftKind::Conflict, Some(1), None)]);
}

#[tokio::test]
async fn a_choice_outlives_a_write_that_failed() {
    let (world, page) = contested().await;
    world.store.state().choose(Side::Postgres);
    let settle = |call: &StoreCall| matches!(call, StoreCall::BeginIntent(_));
    let failure = super::memory_store::StoreFailure::Unavailable;
    world
        .store
        .script
        .once(settle, When::Before, Fault::Fail(failure));
    assert!(world.try_run(Work::Events).await.is_err());
    assert!(!is_closed(&world));
    world.run(Work::Events).await;
    assert_eq!(world.title_of(page), text("row"));
    assert!(is_closed(&world));
}

#[tokio::test]
async fn a_choice_whose_value_may_not_be_written_parks_the_field() {
    let (mut world, page) = contested().await;
    world.plan.binding.direction = Direction::ToNotion;
    for field in &mut world.plan.fields {
        field.mapping.direction = Direction::ToNotion;
    }
    world.store.replan(world.plan.clone());
    world.store.state().choose(Side::Notion);
    for work in [Work::Events, Work::Complete, Work::Events] {
        world.run(work).await;
        assert_eq!(world.drift(), [(DriftKind::Mismatch, Some(1), None)]);
        assert!(is_closed(&world));
    }
    assert_eq!(world.name_of(page).as_deref(), Some("row"));
    assert_eq!(world.title_of(page), text("notion"));
    world.user_edits("1", 0, "newer");
    world.run(Work::Events).await;
    assert_eq!(world.title_of(page), text("newer"));
}
