//! Linked pages that a scan does not see.

use super::script::{Fault, When};
use super::*;
use crate::engine::ScanEnd;
use crate::sync::identity::DataSourceId;
use memory_notion::Failure;

fn missing(page: u128, how: &str) -> (DriftKind, Option<u128>, Option<String>) {
    (DriftKind::MissingPage, Some(page), Some(how.to_owned()))
}

/// Five pairs: one lives, the others are trashed, moved, not shared any more, and archived.
async fn losses() -> (World, Vec<PageId>) {
    let (world, pages) = World::settled(5).await;
    world.notion.change(pages[1], |page| page.in_trash = true);
    world.notion.change(pages[2], |page| {
        page.data_source = Some(DataSourceId(uuid::Uuid::from_u128(99)));
    });
    world.notion.unshare(pages[3]);
    world
        .notion
        .change(pages[4], |page| page.is_archived = true);
    (world, pages)
}

#[tokio::test]
async fn what_a_complete_scan_misses_is_read_and_classified() {
    let (world, pages) = losses().await;
    world.run(Work::Incremental).await;
    assert!(world.drift().is_empty());
    world.notion.edit(pages[4], "name", text("archived"));
    world.notion.take_log();
    let report = world.run(Work::Complete).await;
    assert_eq!(report.scan, Some(ScanEnd::Complete));
    let gone = [
        missing(2, "Trashed"),
        missing(3, "MovedAway"),
        missing(4, "Unreachable"),
    ];
    let mut gone = gone.to_vec();
    gone.sort();
    assert_eq!(world.drift(), gone);
    // An archived page lives and is synced.
    assert_eq!(world.name_of(pages[4]).as_deref(), Some("archived"));
    let mut read = reads(&world.notion.take_log());
    read.sort_unstable();
    assert_eq!(read, pages[1..]);
    // Nobody touched a row or a link.
    let state = world.store.state();
    assert_eq!((state.written.len(), state.pairs.len()), (1, 5));
    assert!(state.rows.iter().all(|row| row.page_id.is_some()));
}

#[tokio::test]
async fn a_page_that_returns_is_in_step_again_with_its_base() {
    let (world, pages) = losses().await;
    world.run(Work::Complete).await;
    world.notion.change(pages[1], |page| page.in_trash = false);
    world.rename(pages[1], "back");
    world.store.state().rows[1].updated_at = Some(time("2030-01-01T00:00:00Z"));
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(pages[1]).as_deref(), Some("back"));
    assert!(!world.drift().contains(&missing(2, "Trashed")));
}

#[tokio::test]
async fn below_a_trashed_data_source_nothing_is_classified() {
    let (world, pages) = losses().await;
    world.notion.change_source(|source| source.in_trash = true);
    world.notion.take_log();
    let report = world.run(Work::Complete).await;
    assert!(report.schema_check_due);
    assert!(world.drift().is_empty());
    assert!(reads(&world.notion.take_log()).is_empty());
    // Nor does an event classify anything there.
    let event = world.announce(pages[1]);
    let report = world.run(Work::Events).await;
    assert!(report.schema_check_due);
    assert_eq!(world.outcome(event), Some(Outcome::Unchanged));
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn below_an_unreadable_data_source_nothing_is_classified() {
    let (world, _) = losses().await;
    let is_source = |call: &Call| *call == Call::DataSource;
    let fault = Fault::Fail(Failure::Status(404));
    world.notion.script.once(is_source, When::Before, fault);
    let mut kept = None;
    let error = world.resume(&mut kept).await.unwrap_err();
    assert_eq!(
        error.reason(),
        crate::sync::reason::Reason::DataSourceNotFound
    );
    assert!(world.drift().is_empty());
    // The scan that was kept ends when it is there again.
    let report = world.resume(&mut kept).await.unwrap();
    assert_eq!(report.scan, Some(ScanEnd::Complete));
    assert_eq!(world.drift().len(), 3);
}

#[tokio::test]
async fn an_event_about_a_trashed_page_says_so() {
    let (world, pages) = losses().await;
    let event = world.announce(pages[1]);
    world.run(Work::Events).await;
    assert_eq!(world.drift(), [missing(2, "Trashed")]);
    assert_eq!(world.outcome(event), Some(Outcome::Unchanged));
    assert_eq!(world.reason(event).as_deref(), Some("MissingPage"));
}

#[tokio::test]
async fn an_absent_page_that_cannot_be_read_does_not_stop_the_scan() {
    let (world, pages) = losses().await;
    let bad = pages[1];
    let is_bad = move |call: &Call| matches!(call, Call::Page(page, _) if *page == bad);
    let fault = Fault::Fail(Failure::Status(500));
    world.notion.script.always(is_bad, When::Before, fault);
    let report = world.run(Work::Complete).await;
    assert_eq!(report.scan, Some(ScanEnd::Complete));
    let drift = world.drift();
    assert_eq!(drift.len(), 2);
    assert!(!drift.contains(&missing(2, "Trashed")));
}

#[tokio::test]
async fn a_capped_scan_that_is_too_dense_proves_nothing_absent() {
    let (world, pages) = losses().await;
    world.notion.behave(|how| (how.cap, how.page_size) = (1, 1));
    // Two pages share creation and edit minute, so that no window can part them.
    world
        .notion
        .change(pages[4], |page| page.is_archived = false);
    world.rename(pages[0], "after");
    let before = world.store.state().progress.clone();
    let report = world.run(Work::Complete).await;
    assert_eq!(report.scan, Some(ScanEnd::TooDense));
    // What was read is used.
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("after"));
    assert!(world.drift().is_empty());
    assert_eq!(world.store.state().progress, before);
}

#[tokio::test]
async fn a_scan_that_ends_early_proves_nothing_absent() {
    let (world, _) = losses().await;
    world.notion.behave(|how| how.page_size = 1);
    let is_query = |call: &Call| matches!(call, Call::Query(..));
    let fault = Fault::Fail(Failure::Unreachable);
    // One page is left to see, so the first query is the only one.
    world.notion.script.once(is_query, When::After, fault);
    assert!(world.try_run(Work::Complete).await.is_err());
    assert!(world.drift().is_empty());
    assert!(world.store.state().progress.scanned_mapping.is_some());
}

#[tokio::test]
async fn pages_that_are_gone_and_linked_to_nothing_are_forgotten() {
    let (world, pages) = World::settled(2).await;
    let orphan = world
        .notion
        .create(9, vec![text("new"), number_value(None)]);
    world.run(Work::Incremental).await;
    world.notion.change(orphan, |page| page.in_trash = true);
    world.store.state().rows[1].page_id = None;
    world.notion.change(pages[1], |page| page.in_trash = true);
    world.run(Work::Complete).await;
    assert_eq!(world.drift(), [(DriftKind::UnlinkedRow, None, None)]);
    assert!(!world.store.state().pairs.contains_key(&pages[1]));
    assert!(world.store.state().pairs.contains_key(&pages[0]));
}
