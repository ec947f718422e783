//! Complete and incremental passes over two healthy sides.

use std::sync::Arc;

use super::*;
use crate::sync::reason::FieldReason;
use jiff::SignedDuration;

#[tokio::test]
async fn the_first_scan_settles_agreeing_pairs_and_the_newer_side_wins_the_others() {
    let world = World::new();
    let agreeing = world.pair(1, "same");
    let newer_page = world.pair(2, "notion");
    let newer_row = world.pair(3, "notion");
    let same_minute = world.pair(4, "notion");
    let timeless = world.pair(5, "notion");
    {
        let mut state = world.store.state();
        for (row, updated) in [
            (1, Some("2026-11-20T09:59:59Z")),
            (2, Some("2026-11-20T10:00:01Z")),
            (3, Some("2026-11-20T10:00:00Z")),
            (4, None),
        ] {
            state.rows[row].values[0] = Some("postgres".to_owned());
            state.rows[row].updated_at = updated.map(time);
        }
    }
    let report = world.run(Work::Complete).await;
    assert_eq!((report.pages_read, report.rows_written), (5, 2));
    assert_eq!(world.name_of(agreeing).as_deref(), Some("same"));
    assert_eq!(world.name_of(newer_page).as_deref(), Some("notion"));
    assert_eq!(world.name_of(timeless).as_deref(), Some("notion"));
    // S8: strictly later, and Notion's times are whole minutes.
    assert_eq!(world.name_of(newer_row).as_deref(), Some("postgres"));
    assert_eq!(world.name_of(same_minute).as_deref(), Some("postgres"));
    let mismatch = |number| (DriftKind::Mismatch, Some(number), None);
    assert_eq!(world.drift(), [mismatch(3), mismatch(4)]);
    let state = world.store.state();
    let base = &state.pairs[&agreeing].base;
    assert_eq!(base.keys().collect::<Vec<_>>(), ["name", "price"]);
    let overwrote = state
        .audit
        .iter()
        .map(|row| row.changes[0].overwrote.clone());
    assert_eq!(
        overwrote.collect::<Vec<_>>(),
        vec![Some("postgres".to_owned()); 2]
    );
}

#[tokio::test]
async fn an_incremental_pass_applies_an_edit_whatever_the_rows_time() {
    let (world, pages) = World::settled(5).await;
    world.store.state().rows[2].updated_at =
        Some(world.clock.now() + SignedDuration::from_hours(1));
    world.rename(pages[2], "after");
    let report = world.run(Work::Incremental).await;
    assert_eq!((report.rows_written, report.fields_written), (1, 1));
    assert_eq!(report.unannounced_edit, Some(time("2026-11-20T10:11:00Z")));
    assert_eq!(world.name_of(pages[2]).as_deref(), Some("after"));
    let (notion, _) = world.take_logs();
    assert_eq!((notion.len(), queries(&notion)), (1, 1));
}

#[tokio::test]
async fn two_edits_in_one_minute_with_a_pass_between_them_both_arrive() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "first");
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("first"));
    world.clock.advance(10);
    world.rename(pages[0], "second");
    world.clock.advance(90);
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("second"));
}

#[tokio::test]
async fn an_old_query_row_decides_nothing_and_a_direct_read_does() {
    let (world, pages) = World::settled(1).await;
    world
        .notion
        .behave(|how| how.query_lag = SignedDuration::from_secs(100));
    world.rename(pages[0], "old");
    world.clock.advance(60);
    world.rename(pages[0], "new");
    world.announce(pages[0]);
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("new"));
    world.take_logs();
    // The query shows the first edit only.
    world.clock.advance(40);
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("new"));
    let (notion, _) = world.take_logs();
    assert_eq!(reads(&notion), [pages[0]]);
    assert_eq!(world.written(), 1);
}

#[tokio::test]
async fn an_old_query_row_that_equals_the_row_settles_nothing() {
    let (world, pages) = World::settled(1).await;
    world
        .notion
        .behave(|how| how.query_lag = SignedDuration::from_secs(100));
    world.rename(pages[0], "old");
    world.clock.advance(60);
    world.rename(pages[0], "new");
    world.announce(pages[0]);
    world.run(Work::Events).await;
    // Somebody writes into the row what the page held before.
    world.store.state().rows[0].values[0] = Some("old".to_owned());
    world.clock.advance(40);
    world.run(Work::Incremental).await;
    assert_eq!(world.drift(), [(DriftKind::Mismatch, Some(1), None)]);
    let state = world.store.state();
    assert_eq!(state.pairs[&pages[0]].base["name"].notion, text("new"));
}

#[tokio::test]
async fn an_idle_incremental_pass_costs_one_request_and_no_write() {
    let (world, _) = World::settled(3).await;
    let report = world.run(Work::Incremental).await;
    assert!(report.is_idle());
    let (notion, store) = world.take_logs();
    assert_eq!((notion.len(), queries(&notion)), (1, 1));
    let writes = store.iter().filter(|call| memory_store::is_write(call));
    assert_eq!(writes.collect::<Vec<_>>(), [&StoreCall::SaveProgress]);
}

#[tokio::test]
async fn a_scan_of_known_pairs_writes_nothing() {
    let (world, pages) = World::settled(3).await;
    // One pair that drifts, and one that is in step again.
    world.store.state().rows[1].values[0] = Some("by hand".to_owned());
    world.rename(pages[2], "after");
    world.run(Work::Complete).await;
    assert_eq!(world.drift(), [(DriftKind::Mismatch, Some(2), None)]);
    world.take_logs();
    let report = world.run(Work::Complete).await;
    assert_eq!((report.pages_read, report.rows_written), (3, 0));
    let (_, store) = world.take_logs();
    let of_pairs = |call: &&StoreCall| matches!(call, StoreCall::Record(_) | StoreCall::Apply(_));
    assert_eq!(store.iter().find(of_pairs), None);
    assert_eq!(world.written(), 1);
}

#[tokio::test]
async fn a_value_that_the_column_rounds_is_written_once() {
    let (world, pages) = World::settled(1).await;
    world
        .notion
        .edit(pages[0], "price", number_value(Some("19.555")));
    world.run(Work::Incremental).await;
    assert_eq!(world.value_of(pages[0], 1).as_deref(), Some("19.56"));
    assert!(world.drift().is_empty());
    world.take_logs();
    for work in [Work::Incremental, Work::Complete] {
        world.run(work).await;
    }
    let (_, store) = world.take_logs();
    let of_pairs = |call: &&StoreCall| matches!(call, StoreCall::Record(_) | StoreCall::Apply(_));
    assert_eq!(store.iter().find(of_pairs), None);
    assert_eq!(world.written(), 1);
}

#[tokio::test]
async fn a_value_that_a_trigger_changes_is_reported_and_not_written_again() {
    fn refuse_names(column: &Column, text: Option<&str>) -> Option<String> {
        let text = as_declared(column, text)?;
        Some(text.to_uppercase())
    }
    let world = World::with_rounding(refuse_names);
    let page = world.pair(1, "BEFORE");
    world.run(Work::Complete).await;
    world.rename(page, "after");
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(page).as_deref(), Some("AFTER"));
    let reason = Some(FieldReason::NotAccepted.as_str().to_owned());
    assert_eq!(world.drift(), [(DriftKind::Failed, Some(1), reason)]);
    world.take_logs();
    world.run(Work::Complete).await;
    let (_, store) = world.take_logs();
    assert!(!store.iter().any(|call| matches!(call, StoreCall::Apply(_))));
    // As soon as a side moves, it is tried again.
    world.rename(page, "LATER");
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(page).as_deref(), Some("LATER"));
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn a_page_without_a_row_is_orphaned_until_it_gets_one() {
    let (world, _) = World::settled(1).await;
    let page = world
        .notion
        .create(9, vec![text("new"), number_value(None)]);
    world.run(Work::Incremental).await;
    assert_eq!(world.drift(), [(DriftKind::OrphanedPage, Some(9), None)]);
    world.store.insert("9", Some(page), &[Some("new"), None]);
    world.run(Work::Complete).await;
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn two_rows_with_one_page_id_are_marked_and_neither_is_written() {
    let (world, pages) = World::settled(2).await;
    world
        .store
        .insert("twin", Some(pages[0]), &[Some("twin"), None]);
    world.rename(pages[0], "after");
    world.rename(pages[1], "after");
    world.run(Work::Incremental).await;
    let reason = Some(FieldReason::DuplicateLink.as_str().to_owned());
    assert_eq!(world.drift(), [(DriftKind::Failed, Some(1), reason)]);
    {
        let mut state = world.store.state();
        assert_eq!(state.rows[0].values[0].as_deref(), Some("before"));
        assert_eq!(state.rows[2].values[0].as_deref(), Some("twin"));
        assert_eq!(state.rows[1].values[0].as_deref(), Some("after"));
        state.rows.truncate(2);
    }
    // The base survived: the edit is known to be Notion's although the row claims to be newer.
    world.store.state().rows[0].updated_at =
        Some(world.clock.now() + SignedDuration::from_hours(1));
    world.run(Work::Complete).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("after"));
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn the_watermark_is_the_servers_minute_less_two() {
    let (world, _) = World::settled(1).await;
    // The server's clock is five minutes ahead of ours.
    world
        .notion
        .behave(|how| how.date = Some(SignedDuration::from_mins(5)));
    world.run(Work::Incremental).await;
    assert_eq!(world.watermark(), Some(time("2026-11-20T10:14:00Z")));
    world.notion.behave(|how| how.date = None);
    world.run(Work::Incremental).await;
    assert_eq!(world.watermark(), Some(time("2026-11-20T10:09:00Z")));
}

#[tokio::test]
async fn the_watermark_comes_from_the_first_answer() {
    for work in [Work::Complete, Work::Incremental] {
        for date in [Some(SignedDuration::ZERO), None] {
            let (world, pages) = World::settled(3).await;
            for page in pages {
                world.rename(page, "after");
            }
            world
                .notion
                .behave(|how| (how.page_size, how.date) = (1, date));
            let world = Arc::new(world);
            let weak = Arc::downgrade(&world);
            // Later answers are an hour late and carry a date.
            let later = script::Fault::run(move || {
                let world = weak.upgrade().unwrap();
                world.clock.advance(3_600);
                world
                    .notion
                    .behave(|how| how.date = Some(SignedDuration::ZERO));
            });
            let is_query = |call: &Call| matches!(call, Call::Query(..));
            world
                .notion
                .script
                .add(is_query, script::When::Before, 1, 1, later);
            world.run(work).await;
            assert_eq!(
                world.watermark(),
                Some(time("2026-11-20T10:09:00Z")),
                "{work:?} {date:?}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_watermark_a_complete_scan_is_due() {
    let world = World::new();
    let page = world.pair(1, "a");
    let report = world.run(Work::Incremental).await;
    assert!(report.complete_scan_due);
    assert!(world.notion.take_log().is_empty());
    assert!(!world.engine().is_scanned().await.unwrap());
    world.run(Work::Complete).await;
    assert!(world.engine().is_scanned().await.unwrap());
    assert_eq!(world.name_of(page).as_deref(), Some("a"));
}

#[tokio::test]
async fn another_mapping_asks_for_a_complete_scan() {
    let (mut world, pages) = World::settled(1).await;
    assert!(world.engine().is_scanned().await.unwrap());
    world.plan.fields[0].mapping.conflict_policy = crate::sync::mapping::ConflictPolicy::NotionWins;
    assert!(!world.engine().is_scanned().await.unwrap());
    // An incremental pass under the new mapping does not pretend to be that scan.
    world.run(Work::Incremental).await;
    assert!(!world.engine().is_scanned().await.unwrap());
    world.run(Work::Complete).await;
    assert!(world.engine().is_scanned().await.unwrap());
    // The pairs were looked at again under it.
    let (_, store) = world.take_logs();
    assert!(store.contains(&StoreCall::Record(vec![pages[0]])));
}
