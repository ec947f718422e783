//! One bad object never stops the rest.

use std::sync::Arc;

use super::script::{Fault, When};
use super::*;
use crate::engine::ScanEnd;
use crate::sync::reason::Reason;
use jiff::SignedDuration;
use memory_notion::Failure;
use memory_store::{StoreFailure, StoreFault};

fn reads_of(page: PageId) -> impl Fn(&Call) -> bool + Send + 'static {
    move |call| matches!(call, Call::Page(read, _) if *read == page)
}

fn writes_of(page: PageId) -> impl Fn(&StoreCall) -> bool + Send + 'static {
    move |call| *call == StoreCall::Apply(page)
}

fn failed(page: u128) -> (DriftKind, Option<u128>, Option<String>) {
    (
        DriftKind::Failed,
        Some(page),
        Some("InternalError".to_owned()),
    )
}

#[tokio::test]
async fn a_panic_while_a_row_is_written_marks_it_and_the_pass_goes_on() {
    let (world, pages) = World::settled(3).await;
    for page in &pages {
        world.rename(*page, "after");
    }
    let event = world.announce(pages[1]);
    world
        .store
        .script
        .always(writes_of(pages[1]), When::Before, StoreFault::Panic);
    let report = world.run(Work::Complete).await;
    assert_eq!(
        (report.scan, report.rows_written),
        (Some(ScanEnd::Complete), 2)
    );
    assert_eq!(world.drift(), [failed(2)]);
    assert_eq!(world.outcome(event), Some(Outcome::Failed));
    // Its base is kept: the edit is still known to be Notion's, whatever the row's time says.
    world.store.script.clear();
    world.store.state().rows[1].updated_at =
        Some(world.clock.now() + SignedDuration::from_hours(1));
    world.run(Work::Complete).await;
    assert_eq!(world.name_of(pages[1]).as_deref(), Some("after"));
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn a_panic_in_the_decision_marks_the_row_and_the_pass_goes_on() {
    let (mut world, pages) = World::settled(3).await;
    for page in &pages {
        world.rename(*page, "after");
    }
    let event = world.announce(pages[1]);
    // No such column exists; the arithmetic over its width overflows where a page has a number.
    world.plan.fields[1].column.kind = ColumnKind::Integer { bits: 0 };
    world
        .notion
        .edit(pages[1], "price", number_value(Some("1")));
    let report = world.run(Work::Complete).await;
    assert_eq!(
        (report.scan, report.rows_written),
        (Some(ScanEnd::Complete), 2)
    );
    assert_eq!(world.drift(), [failed(2)]);
    assert_eq!(world.outcome(event), Some(Outcome::Failed));
}

#[tokio::test]
async fn a_row_that_postgres_refuses_is_marked_and_tried_again() {
    let (world, pages) = World::settled(3).await;
    for page in &pages {
        world.rename(*page, "after");
    }
    let before = world.watermark();
    let refused = StoreFault::Fail(StoreFailure::Refused);
    world
        .store
        .script
        .add(writes_of(pages[1]), When::Before, 0, 1, refused);
    let report = world.run(Work::Incremental).await;
    assert_eq!((report.rows_written, report.left_open), (2, 1));
    assert_eq!(world.drift(), [failed(2)]);
    // The watermark stays before it, so that the next pass sees it again.
    assert_eq!(world.watermark(), before);
    world.clock.advance(600);
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(pages[1]).as_deref(), Some("after"));
    assert!(world.drift().is_empty());
    assert!(world.watermark() > before);
}

#[tokio::test]
async fn an_event_whose_row_postgres_refuses_is_tried_five_times_more() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "after");
    let event = world.announce(pages[0]);
    let refused = StoreFault::Fail(StoreFailure::Refused);
    world
        .store
        .script
        .always(writes_of(pages[0]), When::Before, refused);
    for wait in [5, 15, 60, 120, 300] {
        world.run(Work::Events).await;
        assert_eq!(world.outcome(event), None);
        world.clock.advance(wait);
    }
    world.run(Work::Events).await;
    assert_eq!(world.outcome(event), Some(Outcome::Failed));
    assert_eq!(world.drift(), [failed(1)]);
}

#[tokio::test]
async fn a_database_that_is_away_ends_the_pass_and_loses_no_event() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "after");
    let event = world.announce(pages[0]);
    // The answer to the commit is lost: the row is written, and nobody knows.
    let lost = StoreFault::Fail(StoreFailure::Unavailable);
    world
        .store
        .script
        .once(writes_of(pages[0]), When::After, lost);
    let error = world.try_run(Work::Events).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DatabaseUnavailable);
    world.run(Work::Events).await;
    assert_eq!(
        (world.outcome(event), world.written()),
        (Some(Outcome::Applied), 1)
    );
}

#[tokio::test]
async fn a_process_that_was_replaced_writes_nothing_more() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "after");
    world.store.state().fenced = true;
    let error = world.try_run(Work::Incremental).await.unwrap_err();
    assert!(matches!(
        error,
        EngineError::Store(crate::store::StoreError::Fenced)
    ));
    assert_eq!(
        (world.written(), world.name_of(pages[0])),
        (0, Some("before".to_owned()))
    );
    let fault = StoreFault::Fail(StoreFailure::Fenced);
    world.store.state().fenced = false;
    world
        .store
        .script
        .once(writes_of(pages[0]), When::Before, fault);
    assert!(world.try_run(Work::Incremental).await.is_err());
    assert!(world.drift().is_empty(), "a fence marks no row");
}

#[tokio::test]
async fn a_page_that_cannot_be_read_does_not_stop_the_others() {
    for failure in [
        Failure::Status(500),
        Failure::Status(400),
        Failure::Unreadable,
    ] {
        let (world, pages) = World::settled(2).await;
        world
            .notion
            .script
            .always(reads_of(pages[0]), When::Before, Fault::Fail(failure));
        for page in &pages {
            world.rename(*page, "after");
        }
        let [bad, good] = [0, 1].map(|index| world.announce(pages[index]));
        let report = world.run(Work::Events).await;
        assert_eq!(report.retries_due, 1, "{failure:?}");
        assert_eq!(world.outcome(good), Some(Outcome::Applied));
        // It is tried again later and later, for ever, and is read as soon as it can be.
        for wait in [5, 15, 60, 120, 300, 300] {
            world.clock.advance(wait - 1);
            world.notion.take_log();
            world.run(Work::Events).await;
            assert!(world.notion.take_log().is_empty(), "{wait}");
            world.clock.advance(1);
            world.run(Work::Events).await;
            assert_eq!(reads(&world.notion.take_log()), [pages[0]], "{wait}");
        }
        assert_eq!(world.outcome(bad), None);
        world.notion.script.clear();
        world.clock.advance(300);
        world.run(Work::Events).await;
        assert_eq!(world.name_of(pages[0]).as_deref(), Some("after"));
    }
}

#[tokio::test]
async fn however_many_pages_cannot_be_read_the_others_are() {
    let (world, pages) = World::settled(9).await;
    world
        .notion
        .behave(|how| how.query_lag = SignedDuration::from_hours(1));
    for page in &pages[..8] {
        world.notion.script.always(
            reads_of(*page),
            When::Before,
            Fault::Fail(Failure::Status(500)),
        );
    }
    for page in &pages {
        world.rename(*page, "after");
        world.announce(*page);
    }
    let report = world.run(Work::Complete).await;
    assert_eq!(
        (report.scan, report.retries_due),
        (Some(ScanEnd::Complete), 8)
    );
    assert_eq!(world.name_of(pages[8]).as_deref(), Some("after"));
}

#[tokio::test]
async fn a_notion_that_is_away_ends_the_pass_soon_and_keeps_the_events() {
    let (world, pages) = World::settled(9).await;
    world
        .notion
        .script
        .always(|_| true, When::Before, Fault::Fail(Failure::Unreachable));
    let events: Vec<i64> = pages.iter().map(|page| world.announce(*page)).collect();
    for page in &pages {
        world.rename(*page, "after");
    }
    let error = world.try_run(Work::Events).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NotionUnavailable);
    assert!(world.notion.take_log().len() <= 5);
    world.notion.script.clear();
    world.clock.advance(5);
    world.run(Work::Events).await;
    assert!(events.iter().all(|event| world.outcome(*event).is_some()));
}

#[tokio::test]
async fn a_refused_token_ends_the_pass_at_once() {
    let (world, pages) = World::settled(1).await;
    world
        .notion
        .script
        .always(|_| true, When::Before, Fault::Fail(Failure::Status(401)));
    world.announce(pages[0]);
    let error = world.try_run(Work::Events).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NotionUnauthorized);
}

#[tokio::test]
async fn an_old_query_row_whose_page_cannot_be_read_is_left_open() {
    let (world, pages) = World::settled(2).await;
    world
        .notion
        .behave(|how| how.query_lag = SignedDuration::from_secs(100));
    world.rename(pages[0], "old");
    world.clock.advance(60);
    world.rename(pages[0], "new");
    world.announce(pages[0]);
    world.run(Work::Events).await;
    world.clock.advance(40);
    let before = world.watermark();
    world.notion.script.always(
        reads_of(pages[0]),
        When::Before,
        Fault::Fail(Failure::Status(500)),
    );
    let report = world.run(Work::Incremental).await;
    assert_eq!((report.left_open, report.rows_written), (1, 0));
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("new"));
    assert_eq!(world.watermark(), before);
}

#[tokio::test]
async fn values_that_were_cut_short_are_read_to_their_end() {
    let (world, pages) = World::settled(2).await;
    for page in &pages {
        world.notion.truncate(*page, "name");
        world.rename(*page, "whole");
    }
    let bad = pages[0];
    let is_bad = move |call: &Call| matches!(call, Call::WholeProperty(page, _) if *page == bad);
    world
        .notion
        .script
        .always(is_bad, When::Before, Fault::Fail(Failure::Status(500)));
    let before = world.watermark();
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("before"));
    assert_eq!(world.name_of(pages[1]).as_deref(), Some("whole"));
    let reason = Some("Truncated".to_owned());
    assert_eq!(world.drift(), [(DriftKind::Failed, Some(1), reason)]);
    assert_eq!(world.watermark(), before);
    world.notion.script.clear();
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("whole"));
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn a_link_that_moves_while_its_row_is_written_is_looked_at_again() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "after");
    let event = world.announce(pages[0]);
    let world = Arc::new(world);
    let weak = Arc::downgrade(&world);
    let unlink = StoreFault::run(move || {
        let world = weak.upgrade().unwrap();
        world.store.state().rows[0].page_id = None;
    });
    world
        .store
        .script
        .once(writes_of(pages[0]), When::Before, unlink);
    world.run(Work::Events).await;
    assert_eq!((world.outcome(event), world.written()), (None, 0));
    world.clock.advance(5);
    world.run(Work::Events).await;
    assert_eq!(world.outcome(event), Some(Outcome::Unlinked));
}
