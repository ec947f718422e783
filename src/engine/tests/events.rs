//! Events of the inbox.

use super::script::{Fault, When};
use super::*;
use crate::notion::Lane;
use crate::sync::event::Skip;
use jiff::SignedDuration;

fn is_get(call: &Call) -> bool {
    matches!(call, Call::Page(..))
}

#[tokio::test]
async fn an_event_reads_its_page_in_the_lane_of_edits() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "after");
    let event = world.announce(pages[0]);
    let report = world.run(Work::Events).await;
    assert_eq!(world.notion.take_log(), [Call::Page(pages[0], Lane::Edit)]);
    assert_eq!((report.events_settled, report.rows_written), (1, 1));
    assert_eq!(report.unannounced_edit, None);
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("after"));
    assert_eq!(world.outcome(event), Some(Outcome::Applied));
}

#[tokio::test]
async fn events_of_one_page_that_wait_together_are_settled_by_one_read() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "after");
    let events = [(); 4].map(|()| world.announce(pages[0]));
    world.run(Work::Events).await;
    assert_eq!(reads(&world.notion.take_log()), [pages[0]]);
    assert_eq!(
        events.map(|event| world.outcome(event)),
        [Some(Outcome::Applied); 4]
    );
    let state = world.store.state();
    assert_eq!((state.written.len(), state.audit.len()), (1, 4));
}

#[tokio::test]
async fn three_dirty_pages_are_read_by_one_query_from_the_oldest_event() {
    let (world, pages) = World::settled(4).await;
    for page in &pages[..3] {
        world.rename(*page, "after");
        world.announce(*page);
        world.clock.advance(60);
    }
    world.run(Work::Events).await;
    let log = world.notion.take_log();
    let [Call::Query(request, Lane::Edit)] = &log[..] else {
        panic!("{log:?}");
    };
    assert_eq!(
        request.edited_on_or_after,
        Some(time("2026-11-20T10:09:00Z"))
    );
    for page in &pages[..3] {
        assert_eq!(world.name_of(*page).as_deref(), Some("after"));
    }
}

#[tokio::test]
async fn two_dirty_pages_are_read_one_by_one() {
    let (world, pages) = World::settled(2).await;
    for page in &pages {
        world.announce(*page);
    }
    world.run(Work::Events).await;
    let log = world.notion.take_log();
    assert_eq!((queries(&log), reads(&log)), (0, pages));
}

#[tokio::test]
async fn a_dirty_page_that_the_query_lacks_or_shows_too_old_gets_its_own_read() {
    let (world, pages) = World::settled(3).await;
    // The query shows the second edit of the second page not yet, and the third page not at all.
    world.rename(pages[0], "after");
    world.rename(pages[1], "between");
    world.clock.advance(120);
    world
        .notion
        .behave(|how| how.query_lag = SignedDuration::from_secs(60));
    world.rename(pages[1], "after");
    world.rename(pages[2], "after");
    let early = envelope(pages[0], time("2026-11-20T10:11:30Z"));
    world.store.deliver(early);
    world.announce(pages[1]);
    world.announce(pages[2]);
    world.run(Work::Events).await;
    let log = world.notion.take_log();
    assert_eq!((queries(&log), reads(&log)), (1, pages[1..].to_vec()));
    for page in pages {
        assert_eq!(world.name_of(page).as_deref(), Some("after"));
    }
}

#[tokio::test]
async fn a_batch_query_that_fails_or_costs_more_than_it_saves_leaves_each_page_its_own_read() {
    for failure in [
        Some(memory_notion::Failure::Status(503)),
        Some(memory_notion::Failure::CursorRejected),
        None,
    ] {
        let (world, pages) = World::settled(9).await;
        let is_query = |call: &Call| matches!(call, Call::Query(..));
        if let Some(failure) = failure {
            world
                .notion
                .script
                .once(is_query, When::Before, Fault::Fail(failure));
        }
        world.notion.behave(|how| how.page_size = 1);
        for page in &pages {
            world.rename(*page, "after");
        }
        for page in &pages[6..] {
            world.announce(*page);
        }
        let report = world.run(Work::Events).await;
        assert_eq!(report.events_settled, 3, "{failure:?}");
        let log = world.notion.take_log();
        let expected = if failure.is_some() { 1 } else { 3 };
        assert_eq!(
            (queries(&log), reads(&log)),
            (expected, pages[6..].to_vec())
        );
    }
}

#[tokio::test]
async fn a_read_older_than_its_event_is_repeated_after_2_5_and_15_seconds_then_left() {
    let (world, pages) = World::settled(1).await;
    world
        .notion
        .behave(|how| how.get_lag = SignedDuration::from_secs(3_600));
    world.clock.advance(3_600);
    world.notion.take_log();
    world.rename(pages[0], "after");
    let event = world.announce(pages[0]);
    for wait in [2, 5, 15] {
        world.run(Work::Events).await;
        assert_eq!(reads(&world.notion.take_log()), pages);
        assert_eq!(world.outcome(event), None);
        world.clock.advance(wait - 1);
        world.run(Work::Events).await;
        assert!(world.notion.take_log().is_empty(), "{wait}");
        world.clock.advance(1);
    }
    world.run(Work::Events).await;
    assert_eq!(reads(&world.notion.take_log()), pages);
    assert_eq!(world.outcome(event), Some(Outcome::Unchanged));
    world.clock.advance(600);
    world.run(Work::Events).await;
    assert!(world.notion.take_log().is_empty());
}

#[tokio::test]
async fn the_repeated_read_brings_the_edit_and_no_poll_takes_the_credit() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "first");
    world.clock.advance(60);
    world
        .notion
        .behave(|how| how.get_lag = SignedDuration::from_secs(2));
    world.rename(pages[0], "second");
    let event = world.announce(pages[0]);
    // The first edit is in the old read already and is applied at once.
    let report = world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("first"));
    assert_eq!((report.unannounced_edit, report.retries_due), (None, 1));
    world.clock.advance(2);
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("second"));
    assert_eq!(world.outcome(event), Some(Outcome::Applied));
}

#[tokio::test]
async fn an_event_that_failed_often_does_not_spoil_the_repeats_of_a_new_one() {
    let (world, pages) = World::settled(1).await;
    world.clock.advance(120);
    let old = world.announce(pages[0]);
    world.store.state().inbox[0].event.attempts = 3;
    world
        .notion
        .behave(|how| how.get_lag = SignedDuration::from_secs(2));
    world.rename(pages[0], "after");
    let new = world.announce(pages[0]);
    world.run(Work::Events).await;
    assert_eq!(world.outcome(new), None);
    world.clock.advance(2);
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("after"));
    assert_eq!(
        [old, new].map(|event| world.outcome(event)),
        [Some(Outcome::Applied); 2]
    );
}

#[tokio::test]
async fn an_edit_of_content_alone_is_not_read_again() {
    let (world, pages) = World::settled(1).await;
    let mut event = envelope(pages[0], world.clock.now());
    event.event_type = "page.content_updated".to_owned();
    let event = world.store.deliver(event);
    world.run(Work::Events).await;
    assert_eq!(world.outcome(event), Some(Outcome::Unchanged));
}

#[tokio::test]
async fn an_event_about_a_page_without_a_row_is_unlinked() {
    let (world, _) = World::settled(1).await;
    let page = world
        .notion
        .create(9, vec![text("new"), number_value(None)]);
    let event = world.announce(page);
    world.run(Work::Events).await;
    assert_eq!(world.outcome(event), Some(Outcome::Unlinked));
    assert_eq!(world.drift(), [(DriftKind::OrphanedPage, Some(9), None)]);
    // So is one about a page that this connection does not see, which is nobody's orphan.
    let strange = PageId(uuid::Uuid::from_u128(77));
    let event = world.announce(strange);
    world.run(Work::Events).await;
    assert_eq!(world.outcome(event), Some(Outcome::Unlinked));
    assert_eq!(world.drift().len(), 1);
}

#[tokio::test]
async fn an_event_about_a_page_with_two_rows_fails() {
    let (world, pages) = World::settled(1).await;
    world
        .store
        .insert("twin", Some(pages[0]), &[Some("twin"), None]);
    world.rename(pages[0], "after");
    let event = world.announce(pages[0]);
    world.run(Work::Events).await;
    assert_eq!(world.outcome(event), Some(Outcome::Failed));
    assert_eq!(world.reason(event).as_deref(), Some("DuplicateLink"));
    assert_eq!(world.written(), 0);
}

#[tokio::test]
async fn events_that_need_no_read_end_without_one() {
    let (world, pages) = World::settled(1).await;
    let skips = [Skip::NotNewer, Skip::ProcessedRecently].map(|skip| {
        let event = world.announce(pages[0]);
        world.store.state().inbox.last_mut().unwrap().event.skipped = Some(skip);
        event
    });
    let mut schema = envelope(pages[0], world.clock.now());
    schema.subject = EventSubject::Schema {
        data_source: Some(world.plan.data_source),
        database: None,
    };
    let schema = world.store.deliver(schema);
    let mut other = envelope(pages[0], world.clock.now());
    other.subject = EventSubject::Other;
    let other = world.store.deliver(other);
    let report = world.run(Work::Events).await;
    assert!(world.notion.take_log().is_empty());
    assert!(report.schema_check_due);
    let reasons = skips.map(|event| world.reason(event).unwrap());
    assert_eq!(reasons, ["NotNewer", "ProcessedRecently"]);
    assert_eq!(
        skips.map(|event| world.outcome(event)),
        [Some(Outcome::Skipped); 2]
    );
    assert_eq!(
        [schema, other].map(|event| world.outcome(event)),
        [Some(Outcome::Unchanged); 2]
    );
}

#[tokio::test]
async fn a_page_that_is_due_for_another_read_leaves_no_audit_row() {
    let (world, pages) = World::settled(1).await;
    let event = world.announce(pages[0]);
    {
        let mut state = world.store.state();
        let stored = &mut state.inbox[0];
        stored.event.reread_only = true;
        stored.not_before = world.clock.now() + SignedDuration::from_secs(30);
    }
    world.rename(pages[0], "after");
    world.run(Work::Events).await;
    assert!(world.notion.take_log().is_empty());
    world.clock.advance(30);
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("after"));
    assert_eq!(world.outcome(event), Some(Outcome::Applied));
    assert!(world.store.state().audit.is_empty());
}

#[tokio::test]
async fn more_events_than_one_batch_are_settled_in_one_pass() {
    let (world, pages) = World::settled(1).await;
    world.rename(pages[0], "after");
    for _ in 0..1_001 {
        world.announce(pages[0]);
    }
    let report = world.run(Work::Events).await;
    assert_eq!(report.events_settled, 1_001);
    assert_eq!(
        world
            .notion
            .take_log()
            .iter()
            .filter(|call| is_get(call))
            .count(),
        3
    );
}
