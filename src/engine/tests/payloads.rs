//! Seed row S6: values of a payload stand in for a read that failed.

use super::memory_notion::Failure;
use super::script::{Fault, When};
use super::*;

/// An authenticated event that carries a name, in a dialect that may.
fn carrying(dialect: Dialect, page: PageId, name: &str, edited: &str) -> NewEvent {
    let page_json = serde_json::json!({
        "object": "page",
        "id": page.to_string(),
        "last_edited_time": edited,
        "properties": {
            "name": { "id": "name", "type": "title", "title": [{ "plain_text": name }] },
            "price": { "id": "price", "type": "number", "number": null },
        },
    });
    let (event_type, body) = match dialect {
        Dialect::Automation => (
            "automation",
            serde_json::json!({ "source": { "type": "automation" }, "data": page_json }),
        ),
        _ => (
            "page.updated",
            serde_json::json!({ "type": "page.updated", "object": page_json }),
        ),
    };
    NewEvent {
        dialect,
        event_type: event_type.to_owned(),
        occurred_at: Some(time(edited)),
        dedupe_key: format!("{page}/{edited}"),
        body: body.to_string(),
        ..envelope(page, time(edited))
    }
}

/// Delivers one event while every read fails; gives the row's name afterwards and the event.
async fn fall_back(event: impl FnOnce(PageId) -> NewEvent, failure: Failure) -> (World, i64) {
    let (world, pages) = World::settled(1).await;
    let is_read = |call: &Call| matches!(call, Call::Page(..));
    world
        .notion
        .script
        .always(is_read, When::Before, Fault::Fail(failure));
    let event = world.store.deliver(event(pages[0]));
    let _ = world.try_run(Work::Events).await;
    (world, event)
}

const NOW: &str = "2026-11-20T10:11:00.000Z";
const PAGE: PageId = PageId(uuid::Uuid::from_u128(1));

fn legacy(page: PageId) -> NewEvent {
    carrying(Dialect::Legacy, page, "carried", NOW)
}

#[tokio::test]
async fn values_stand_in_where_notion_said_nothing() {
    for failure in [
        Failure::Status(429),
        Failure::Status(500),
        Failure::Status(502),
        Failure::Status(504),
        Failure::Status(529),
        Failure::Unreachable,
        Failure::Throttled,
    ] {
        let (world, event) = fall_back(legacy, failure).await;
        assert_eq!(
            world.name_of(PAGE).as_deref(),
            Some("carried"),
            "{failure:?}"
        );
        assert_eq!(world.outcome(event), Some(Outcome::Applied), "{failure:?}");
        assert!(world.store.state().pairs[&PAGE].provisional);
    }
}

#[tokio::test]
async fn values_never_stand_in_where_notion_said_no() {
    for failure in [
        Failure::Status(400),
        Failure::Status(401),
        Failure::Status(403),
        Failure::Status(404),
        Failure::Unreadable,
    ] {
        let (world, _) = fall_back(legacy, failure).await;
        assert_eq!(
            world.name_of(PAGE).as_deref(),
            Some("before"),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn automations_carry_values_and_envelopes_do_not() {
    let automation = |page| carrying(Dialect::Automation, page, "carried", NOW);
    let (world, _) = fall_back(automation, Failure::Status(503)).await;
    assert_eq!(world.name_of(PAGE).as_deref(), Some("carried"));
    let envelope = |page| NewEvent {
        dialect: Dialect::Envelope,
        ..legacy(page)
    };
    let (world, event) = fall_back(envelope, Failure::Status(503)).await;
    assert_eq!(world.name_of(PAGE).as_deref(), Some("before"));
    assert_eq!(world.outcome(event), None);
}

#[tokio::test]
async fn values_of_an_event_that_nobody_vouched_for_are_not_used() {
    let stranger = |page| NewEvent {
        authenticated: false,
        ..legacy(page)
    };
    let (world, event) = fall_back(stranger, Failure::Status(503)).await;
    assert_eq!(world.name_of(PAGE).as_deref(), Some("before"));
    // Its page is read as soon as it can be.
    world.notion.script.clear();
    world.rename(PAGE, "real");
    world.clock.advance(5);
    world.run(Work::Events).await;
    assert_eq!(world.name_of(PAGE).as_deref(), Some("real"));
    assert_eq!(world.outcome(event), Some(Outcome::Applied));
}

#[tokio::test]
async fn values_older_than_the_newest_seen_are_not_used() {
    // The scan of before has seen the page at 10:00.
    for (edited, expected) in [
        ("2026-11-20T09:59:00.000Z", "before"),
        ("2026-11-20T10:00:00.000Z", "carried"),
    ] {
        let aged = |page| carrying(Dialect::Legacy, page, "carried", edited);
        let (world, _) = fall_back(aged, Failure::Status(503)).await;
        assert_eq!(world.name_of(PAGE).as_deref(), Some(expected), "{edited}");
        assert_eq!(reads(&world.notion.take_log()), [PAGE], "{edited}");
    }
}

#[tokio::test]
async fn the_newest_of_several_payloads_is_used() {
    let (world, pages) = World::settled(1).await;
    world
        .notion
        .script
        .always(|_| true, When::Before, Fault::Fail(Failure::Status(503)));
    let events = [("10:09", "old"), ("10:11", "new"), ("10:10", "late")].map(|(at, name)| {
        let edited = format!("2026-11-20T{at}:00.000Z");
        let event = carrying(Dialect::Legacy, pages[0], name, &edited);
        world.store.deliver(event)
    });
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("new"));
    assert_eq!(
        events.map(|event| world.outcome(event)),
        [Some(Outcome::Applied); 3]
    );
}

#[tokio::test]
async fn values_of_many_pages_stand_in_where_notion_is_away() {
    let (world, pages) = World::settled(9).await;
    world
        .notion
        .script
        .always(|_| true, When::Before, Fault::Fail(Failure::Unreachable));
    for page in &pages {
        world.store.deliver(legacy(*page));
    }
    let report = world.run(Work::Events).await;
    assert_eq!((report.rows_written, report.events_settled), (9, 9));
}

#[tokio::test]
async fn the_next_read_settles_what_a_payload_wrote() {
    let (world, _) = fall_back(legacy, Failure::Status(503)).await;
    world.notion.script.clear();
    // Nobody edited the page to what the payload claims.
    world.rename(PAGE, "real");
    world.run(Work::Incremental).await;
    assert_eq!(world.name_of(PAGE).as_deref(), Some("real"));
    assert!(!world.store.state().pairs[&PAGE].provisional);
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn a_read_that_shows_what_a_payload_claimed_settles_it_too() {
    let (world, _) = fall_back(legacy, Failure::Status(503)).await;
    world.notion.script.clear();
    world.rename(PAGE, "carried");
    world.run(Work::Incremental).await;
    assert!(!world.store.state().pairs[&PAGE].provisional);
    assert_eq!(world.written(), 1);
}

#[tokio::test]
async fn a_page_without_a_row_stays_without_one() {
    let (world, _) = World::settled(1).await;
    world
        .notion
        .script
        .always(|_| true, When::Before, Fault::Fail(Failure::Status(503)));
    let page = PageId(uuid::Uuid::from_u128(9));
    let event = world.store.deliver(legacy(page));
    world.run(Work::Events).await;
    assert_eq!(world.outcome(event), Some(Outcome::Unlinked));
    assert_eq!(world.written(), 0);
}
