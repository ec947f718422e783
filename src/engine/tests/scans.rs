//! Complete scans at Notion's limits, and scans that are interrupted.

use std::sync::Arc;

use super::script::{Fault, When};
use super::*;
use crate::engine::ScanEnd;
use memory_notion::Failure;
use memory_store::{StoreFailure, StoreFault};
use tokio::sync::{Notify, Semaphore};

fn is_query(call: &Call) -> bool {
    matches!(call, Call::Query(..))
}

/// Pages made in groups of `dense`, one group a minute, each with a row that Notion must win.
fn crowd(world: &World, count: u128, dense: u128) -> Vec<PageId> {
    let made = (1..=count).map(|number| {
        if number % dense == 0 {
            world.clock.advance(60);
        }
        let page = world.pair(number, "page");
        let key = RowKey(vec![number.to_string()]);
        let mut state = world.store.state();
        let row = state.rows.last_mut().filter(|row| row.key == key);
        row.unwrap().values[0] = Some("row".to_owned());
        page
    });
    made.collect()
}

fn all_applied(world: &World) -> bool {
    let state = world.store.state();
    let applied = state
        .rows
        .iter()
        .all(|row| row.values[0].as_deref() == Some("page"));
    applied && state.written.len() == state.rows.len()
}

#[tokio::test]
async fn more_rows_than_a_query_returns_are_read_in_windows() {
    let world = World::new();
    for number in 1..=12_000 {
        world.pair(number, "in step");
        world.clock.advance(if number % 500 == 0 { 60 } else { 0 });
    }
    let report = world.run(Work::Complete).await;
    assert_eq!(report.scan, Some(ScanEnd::Complete));
    assert_eq!(report.pages_read, 12_000);
    assert_eq!(world.store.state().pairs.len(), 12_000);
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn an_incremental_pass_that_is_capped_does_not_move_the_watermark() {
    let (world, pages) = World::settled(4).await;
    let before = world.watermark();
    world.notion.behave(|how| how.cap = 3);
    for page in &pages {
        world.rename(*page, "after");
    }
    let report = world.run(Work::Incremental).await;
    assert!(report.complete_scan_due);
    assert_eq!(report.rows_written, 3);
    assert_eq!(world.watermark(), before);
}

#[tokio::test]
async fn a_failed_incremental_pass_does_not_move_the_watermark() {
    let (world, pages) = World::settled(3).await;
    let before = world.watermark();
    world.notion.behave(|how| how.page_size = 1);
    for page in &pages {
        world.rename(*page, "after");
    }
    world.notion.script.add(
        is_query,
        When::Before,
        1,
        1,
        Fault::Fail(Failure::Unreachable),
    );
    assert!(world.try_run(Work::Incremental).await.is_err());
    assert_eq!((world.written(), world.watermark()), (1, before));
    world.run(Work::Incremental).await;
    assert_eq!(world.written(), 3);
    assert!(world.watermark() > before);
}

#[tokio::test]
async fn a_rejected_cursor_restarts_the_window_and_looks_at_no_page_twice() {
    let world = World::new();
    world
        .notion
        .behave(|how| (how.page_size, how.cap) = (10, 40));
    crowd(&world, 100, 10);
    let rejected = Fault::Fail(Failure::CursorRejected);
    world
        .notion
        .script
        .add(is_query, When::Before, 6, 1, rejected);
    let report = world.run(Work::Complete).await;
    assert_eq!(
        (report.scan, report.pages_read),
        (Some(ScanEnd::Complete), 100)
    );
    assert!(all_applied(&world));
    let log = world.notion.take_log();
    let restarted = log.windows(2).filter(|calls| match calls {
        [Call::Query(refused, _), Call::Query(next, _)] => {
            refused.cursor.is_some()
                && next.cursor.is_none()
                && next.created_on_or_after == refused.created_on_or_after
        }
        _ => false,
    });
    assert_eq!(restarted.count(), 1);
}

#[tokio::test]
async fn a_rejected_cursor_restarts_an_incremental_pass() {
    let (world, pages) = World::settled(3).await;
    world.notion.behave(|how| how.page_size = 1);
    for page in &pages {
        world.rename(*page, "after");
    }
    world.notion.script.add(
        is_query,
        When::Before,
        1,
        1,
        Fault::Fail(Failure::CursorRejected),
    );
    let before = world.watermark();
    let report = world.run(Work::Incremental).await;
    assert_eq!((report.rows_written, report.complete_scan_due), (3, false));
    assert!(world.watermark() > before);
}

#[tokio::test]
async fn cursors_that_are_always_rejected_end_the_pass_but_not_the_next_one() {
    let world = World::new();
    world.notion.behave(|how| how.page_size = 10);
    crowd(&world, 30, 10);
    let with_cursor = |call: &Call| matches!(call, Call::Query(how, _) if how.cursor.is_some());
    let rejected = Fault::Fail(Failure::CursorRejected);
    world
        .notion
        .script
        .always(with_cursor, When::Before, rejected);
    let mut kept = None;
    for _ in 0..3 {
        assert!(world.resume(&mut kept).await.is_err());
        assert!(
            world.notion.take_log().len() > 1,
            "the window is tried again in each pass"
        );
    }
    world.notion.script.clear();
    let report = world.resume(&mut kept).await.unwrap();
    assert_eq!(report.scan, Some(ScanEnd::Complete));
    assert!(all_applied(&world));
}

/// A world of five answers of ten pages each.
fn five_answers() -> World {
    let world = World::new();
    world.notion.behave(|how| how.page_size = 10);
    crowd(&world, 50, 10);
    world
}

#[tokio::test]
async fn an_aborted_scan_goes_on_where_it_was() {
    let world = five_answers();
    world.notion.script.add(
        is_query,
        When::Before,
        3,
        1,
        Fault::Fail(Failure::Status(503)),
    );
    let mut kept = None;
    assert!(world.resume(&mut kept).await.is_err());
    assert_eq!(world.written(), 30);
    assert_eq!(world.watermark(), None);
    world.clock.advance(600);
    world.notion.take_log();
    let report = world.resume(&mut kept).await.unwrap();
    assert_eq!(
        (report.scan, report.pages_read),
        (Some(ScanEnd::Complete), 20)
    );
    assert_eq!(queries(&world.notion.take_log()), 2);
    assert!(all_applied(&world));
    // What was edited since the first answer is read by the next incremental pass.
    assert_eq!(world.watermark(), Some(time("2026-11-20T10:03:00Z")));
    assert!(kept.is_none());
}

#[tokio::test]
async fn a_batch_whose_handling_failed_is_handled_by_the_next_pass() {
    let is_read = |call: &StoreCall| matches!(call, StoreCall::ReadPairs(_));
    let is_apply = |call: &StoreCall| matches!(call, StoreCall::Apply(_));
    for at in 0..5 {
        let world = five_answers();
        let fault = || StoreFault::Fail(StoreFailure::Unavailable);
        world
            .store
            .script
            .add(is_read, When::Before, at, 1, fault());
        let mut kept = None;
        assert!(world.resume(&mut kept).await.is_err());
        // And again while its rows are written.
        world.store.script.add(is_apply, When::After, 3, 1, fault());
        assert!(world.resume(&mut kept).await.is_err());
        let report = world.resume(&mut kept).await.unwrap();
        assert_eq!(report.scan, Some(ScanEnd::Complete));
        assert!(all_applied(&world), "{at}");
        assert!(world.drift().is_empty());
    }
}

#[tokio::test]
async fn a_batch_is_not_lost_when_the_pass_is_dropped() {
    let is_apply = |call: &StoreCall| matches!(call, StoreCall::Apply(_));
    for at in [0, 5, 10, 25, 49] {
        let world = five_answers();
        let (reached, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let tell = Arc::clone(&reached);
        let tell = StoreFault::run(move || tell.notify_one());
        world.store.script.add(is_apply, When::Before, at, 1, tell);
        world
            .store
            .script
            .add(is_apply, When::Before, at, 1, StoreFault::Hold(gate));
        let mut kept = None;
        tokio::select! {
            _ = world.resume(&mut kept) => panic!("the pass cannot end"),
            () = reached.notified() => {}
        }
        assert!(world.written() < 50);
        let report = world.resume(&mut kept).await.unwrap();
        assert_eq!(report.scan, Some(ScanEnd::Complete));
        assert!(all_applied(&world), "{at}");
    }
}

#[tokio::test]
async fn a_scan_under_another_mapping_starts_from_the_beginning() {
    let mut world = five_answers();
    world.notion.script.add(
        is_query,
        When::Before,
        3,
        1,
        Fault::Fail(Failure::Status(503)),
    );
    let mut kept = None;
    assert!(world.resume(&mut kept).await.is_err());
    world.plan.fields[0].mapping.conflict_policy = crate::sync::mapping::ConflictPolicy::NotionWins;
    let report = world.resume(&mut kept).await.unwrap();
    assert_eq!(report.pages_read, 50);
}

#[tokio::test]
async fn events_are_settled_while_a_query_is_held_back() {
    let world = five_answers();
    let gate = Arc::new(Semaphore::new(0));
    world
        .notion
        .script
        .add(is_query, When::Before, 2, 1, Fault::Hold(Arc::clone(&gate)));
    let last = PageId(uuid::Uuid::from_u128(50));
    let mut kept = None;
    let meanwhile = async {
        while world.written() < 20 {
            tokio::task::yield_now().await;
        }
        let event = world.announce(last);
        world.signals.events.notify_one();
        while world.outcome(event).is_none() {
            tokio::task::yield_now().await;
        }
        let written = world.written();
        gate.add_permits(1);
        written
    };
    let both = async { tokio::join!(world.resume(&mut kept), meanwhile) };
    let patience = std::time::Duration::from_secs(20);
    let (report, written) = tokio::time::timeout(patience, both).await.unwrap();
    assert_eq!(written, 21);
    assert_eq!(report.unwrap().scan, Some(ScanEnd::Complete));
    assert!(all_applied(&world));
}

#[tokio::test]
async fn a_query_that_waits_before_an_events_read_in_the_limiter_lets_it_pass() {
    let world = five_answers();
    // One place for all requests, given in the order of asking, as a limiter gives it.
    let place = Arc::new(Semaphore::new(1));
    world
        .notion
        .script
        .always(|_| true, When::Before, Fault::Hold(Arc::clone(&place)));
    let last = PageId(uuid::Uuid::from_u128(50));
    let mut kept = None;
    let meanwhile = async {
        while world.written() < 10 {
            tokio::task::yield_now().await;
        }
        let held = place.acquire().await.unwrap();
        while world.written() < 20 {
            tokio::task::yield_now().await;
        }
        // The batch has a few steps left after its last row, and only then is the event waited for.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        world.announce(last);
        world.signals.events.notify_one();
        let asked = |log: &[Call]| log.contains(&Call::Page(last, crate::notion::Lane::Edit));
        while !asked(&world.notion.log()) {
            tokio::task::yield_now().await;
        }
        drop(held);
    };
    let both = async { tokio::join!(world.resume(&mut kept), meanwhile) };
    let patience = std::time::Duration::from_secs(20);
    let (report, ()) = tokio::time::timeout(patience, both).await.unwrap();
    assert_eq!(report.unwrap().scan, Some(ScanEnd::Complete));
    assert!(all_applied(&world));
}

#[tokio::test]
async fn the_progress_of_a_scan_is_told_and_then_taken_back() {
    let world = five_answers();
    let mut heard = world.signals.progress.subscribe();
    let mut kept = None;
    let listen = async {
        let mut done = Vec::new();
        while heard.changed().await.is_ok() {
            let Some(progress) = *heard.borrow_and_update() else {
                return done;
            };
            done.push(progress.done);
        }
        done
    };
    let (report, done) = tokio::join!(world.resume(&mut kept), listen);
    report.unwrap();
    assert!(done.is_sorted() && done.last() == Some(&50), "{done:?}");
}
