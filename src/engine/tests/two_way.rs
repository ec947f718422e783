//! Rows that users edit, pages that we write, and answers that leave open what happened.

use super::memory_notion::{Call, Failure, writer};
use super::memory_store::StoreCall;
use super::script::{Fault, When};
use super::*;
use crate::store::intents::IntentState;
use crate::sync::mapping::{ConflictPolicy, Direction};
use crate::sync::reason::FieldReason;

impl World {
    /// A settled world of so many pairs whose fields go both ways.
    pub(super) async fn two_way(count: u128, policy: ConflictPolicy) -> (Self, Vec<PageId>) {
        let mut world = Self::new();
        world.plan.bot = Some(writer::BOT);
        world.plan.binding.direction = Direction::TwoWay;
        for field in &mut world.plan.fields {
            field.mapping.direction = Direction::TwoWay;
            field.mapping.conflict_policy = policy;
        }
        world.store = MemoryStore::new(world.clock.clone(), world.plan.clone(), as_declared);
        let pages = (1..=count).map(|number| world.pair(number, "before"));
        let pages = pages.collect();
        world.run(Work::Complete).await;
        world.clock.advance(600);
        world.run(Work::Incremental).await;
        world.clock.advance(60);
        world.take_logs();
        (world, pages)
    }

    /// A user's UPDATE of one column.
    pub(super) fn user_edits(&self, key: &str, column: usize, text: &str) {
        self.store
            .user_updates(key, |row| row.values[column] = Some(text.to_owned()));
    }

    /// The name that the page has.
    pub(super) fn title_of(&self, page: PageId) -> PropertyValue {
        self.notion.value(page, "name")
    }

    /// How many writes to Notion a log holds, and how many reads of pages.
    fn notion_calls(&self) -> (usize, usize) {
        let log = self.notion.take_log();
        let writes = log.iter().filter(|call| is_write(call)).count();
        (writes, reads(&log).len())
    }

    fn pending(&self) -> usize {
        let state = self.store.state();
        let intents = state.intents.iter();
        let pending = intents.filter(|intent| intent.state == IntentState::Pending);
        pending.count()
    }
}

fn is_write(call: &Call) -> bool {
    matches!(call, Call::Update(..))
}

#[tokio::test]
async fn a_rows_change_reaches_the_page_once() {
    let (world, pages) = World::two_way(3, ConflictPolicy::NewestWins).await;
    world.user_edits("2", 0, "after");
    let report = world.run(Work::Events).await;
    assert_eq!(world.title_of(pages[1]), text("after"));
    assert_eq!(report.fields_sent, 1);
    assert_eq!(world.notion_calls(), (1, 1), "one read, one write");
    assert_eq!(world.store.state().changes.len(), 0);
    let sent = world.store.state().sent.clone();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (&sent[0].changes[0].from, &sent[0].changes[0].to),
        (&"before".into(), &"after".into())
    );
    assert!(sent[0].changes[0].overwrote.is_null());
    // The echo is nobody's edit: neither its event nor a pass writes anything.
    let event = world.announce(pages[1]);
    world.clock.advance(30);
    for work in [Work::Events, Work::Incremental, Work::Complete] {
        world.run(work).await;
    }
    assert_eq!(world.outcome(event), Some(Outcome::Unchanged));
    assert_eq!(world.notion_calls().0, 0);
    assert_eq!(world.written(), 0);
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn our_own_write_to_a_row_costs_notion_nothing() {
    let (world, pages) = World::two_way(1, ConflictPolicy::NewestWins).await;
    world.rename(pages[0], "from notion");
    world.announce(pages[0]);
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("from notion"));
    world.take_logs();
    assert_eq!(
        world.store.state().changes.len(),
        0,
        "settled in the same pass"
    );
    world.run(Work::Events).await;
    assert_eq!(world.notion_calls(), (0, 0));
}

#[tokio::test]
async fn edits_of_different_fields_go_both_ways() {
    let (world, pages) = World::two_way(1, ConflictPolicy::Manual).await;
    world.rename(pages[0], "from notion");
    world.user_edits("1", 1, "7.50");
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("from notion"));
    assert_eq!(
        world.notion.value(pages[0], "price"),
        number_value(Some("7.50"))
    );
    assert_eq!(world.title_of(pages[0]), text("from notion"));
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn the_policy_decides_where_both_changed_and_the_loser_is_kept() {
    for (policy, winner) in [
        (ConflictPolicy::NotionWins, "notion"),
        (ConflictPolicy::PostgresWins, "row"),
    ] {
        let (world, pages) = World::two_way(1, policy).await;
        world.rename(pages[0], "notion");
        world.user_edits("1", 0, "row");
        world.run(Work::Events).await;
        assert_eq!(world.name_of(pages[0]).as_deref(), Some(winner));
        assert_eq!(world.title_of(pages[0]), text(winner));
        let state = world.store.state();
        let lost = if winner == "row" {
            state.sent[0].changes[0].overwrote.clone()
        } else {
            state.audit[0].changes[0].overwrote.clone().into()
        };
        assert_ne!(lost, serde_json::Value::from(winner));
        assert!(!lost.is_null());
    }
}

#[tokio::test]
async fn a_manual_conflict_touches_neither_side() {
    let (world, pages) = World::two_way(1, ConflictPolicy::Manual).await;
    world.rename(pages[0], "notion");
    world.user_edits("1", 0, "row");
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("row"));
    assert_eq!(world.title_of(pages[0]), text("notion"));
    assert_eq!(world.drift(), [(DriftKind::Conflict, Some(1), None)]);
    // It closes itself when the sides come to agree.
    world.user_edits("1", 0, "notion");
    world.run(Work::Events).await;
    assert!(world.drift().is_empty());
    assert_eq!(world.notion_calls().0, 0);
}

#[tokio::test]
async fn what_capture_lost_is_found_by_comparison() {
    let (world, pages) = World::two_way(2, ConflictPolicy::NewestWins).await;
    world.store.state().capture_is_lost = true;
    world.user_edits("1", 0, "after");
    world.run(Work::Events).await;
    assert_eq!(world.title_of(pages[0]), text("before"));
    world.run(Work::Complete).await;
    assert_eq!(world.title_of(pages[0]), text("after"));
}

#[tokio::test]
async fn an_ambiguous_write_that_arrived_is_settled_by_a_read_and_not_repeated() {
    let (world, pages) = World::two_way(1, ConflictPolicy::NewestWins).await;
    world.user_edits("1", 0, "after");
    let script = &world.notion.script;
    script.once(is_write, When::After, Fault::Fail(Failure::Status(504)));
    let report = world.run(Work::Events).await;
    assert!(report.come_back.is_some());
    assert_eq!(world.pending(), 1);
    world.take_logs();
    world.clock.advance(66);
    world.run(Work::Events).await;
    assert_eq!(world.pending(), 0);
    assert_eq!(world.notion_calls().0, 0, "it had arrived");
    assert_eq!(world.store.state().sent.len(), 1, "one audit row");
    assert_eq!(world.title_of(pages[0]), text("after"));
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("after"));
}

#[tokio::test]
async fn an_ambiguous_write_that_never_arrived_is_repeated_after_its_time() {
    let (world, pages) = World::two_way(1, ConflictPolicy::NewestWins).await;
    world.user_edits("1", 0, "after");
    let script = &world.notion.script;
    script.once(is_write, When::Before, Fault::Fail(Failure::Status(502)));
    world.run(Work::Events).await;
    world.take_logs();
    // Until then the page takes no other write, also not of a newer value.
    world.user_edits("1", 0, "newer");
    world.clock.advance(30);
    world.run(Work::Events).await;
    world.run(Work::Complete).await;
    assert_eq!(world.notion_calls().0, 0);
    assert_eq!(world.title_of(pages[0]), text("before"));
    world.clock.advance(40);
    world.run(Work::Events).await;
    assert_eq!(world.title_of(pages[0]), text("newer"));
    assert_eq!(world.notion_calls().0, 1);
    assert_eq!(world.pending(), 0);
}

#[tokio::test]
async fn a_write_that_arrives_late_is_no_edit_of_anybody() {
    let (world, pages) = World::two_way(1, ConflictPolicy::NotionWins).await;
    world.user_edits("1", 0, "first");
    let script = &world.notion.script;
    // Later than Notion promises: the next write overtakes it.
    script.once(is_write, When::Before, Fault::Fail(Failure::Late(90)));
    world.run(Work::Events).await;
    world.user_edits("1", 0, "second");
    world.clock.advance(70);
    world.run(Work::Events).await;
    assert_eq!(world.title_of(pages[0]), text("second"));
    world.clock.advance(30);
    assert_eq!(world.title_of(pages[0]), text("first"), "it arrived");
    world.announce(pages[0]);
    world.run(Work::Events).await;
    assert_eq!(world.name_of(pages[0]).as_deref(), Some("second"));
    assert_eq!(
        world.title_of(pages[0]),
        text("second"),
        "and is written again"
    );
}

#[tokio::test]
async fn a_process_that_dies_after_the_write_makes_no_second_one() {
    let (world, pages) = World::two_way(1, ConflictPolicy::NewestWins).await;
    world.user_edits("1", 0, "after");
    let settles = |call: &StoreCall| matches!(call, StoreCall::SettleIntent(_));
    let script = &world.store.script;
    let failure = super::memory_store::StoreFailure::Unavailable;
    script.once(settles, When::Before, Fault::Fail(failure));
    assert!(world.try_run(Work::Events).await.is_err());
    assert_eq!(world.title_of(pages[0]), text("after"));
    world.take_logs();
    world.clock.advance(300);
    world.run(Work::Events).await;
    assert_eq!(world.notion_calls().0, 0);
    assert_eq!(world.pending(), 0);
    assert_eq!(world.store.state().sent.len(), 1);
}

#[tokio::test]
async fn one_value_that_notion_refuses_does_not_keep_the_others() {
    let (world, pages) = World::two_way(1, ConflictPolicy::NewestWins).await;
    world.user_edits("1", 0, "after");
    world.user_edits("1", 1, "7.00");
    let script = &world.notion.script;
    let refuses = |call: &Call| match call {
        Call::Update(_, properties, _) => properties.iter().any(|(id, ..)| id.as_str() == "name"),
        _ => false,
    };
    script.always(refuses, When::Before, Fault::Fail(Failure::Status(400)));
    world.run(Work::Events).await;
    assert_eq!(
        world.notion.value(pages[0], "price"),
        number_value(Some("7.00"))
    );
    let reason = Some(FieldReason::NotAccepted.as_str().to_owned());
    assert_eq!(world.drift(), [(DriftKind::Failed, Some(1), reason)]);
    // Parked: nothing is sent again until either side changes.
    world.take_logs();
    world.run(Work::Complete).await;
    assert_eq!(world.notion_calls().0, 0);
}

#[tokio::test]
async fn many_edits_on_both_sides_make_as_many_writes_and_none_back() {
    let (world, pages) = World::two_way(200, ConflictPolicy::Manual).await;
    for (number, page) in pages.iter().enumerate() {
        let number = number + 1;
        if number % 2 == 0 {
            world.rename(*page, &format!("from notion {number}"));
            world.announce(*page);
        } else {
            let name = format!("from the row {number}");
            world.user_edits(&number.to_string(), 0, &name);
        }
    }
    world.run(Work::Events).await;
    world.clock.advance(120);
    world.run(Work::Incremental).await;
    world.run(Work::Complete).await;
    assert_eq!(world.notion_calls().0, 100);
    assert_eq!(world.written(), 100);
    for (number, page) in pages.iter().enumerate() {
        let name = world.name_of(*page).unwrap();
        assert_eq!(world.title_of(*page), text(&name), "{number}");
    }
    assert!(world.drift().is_empty());
}

#[tokio::test]
async fn leaving_the_filter_is_no_deletion_and_ends_no_sync() {
    let mut world = World::new();
    let filter = serde_json::json!({"property": "name", "title": {"equals": "in"}});
    world.plan.binding.policies.filter = Some(filter);
    let inside = world.pair(1, "in");
    let outside = world.pair(2, "out");
    let stranger = world
        .notion
        .create(3, vec![text("out"), number_value(None)]);
    world.run(Work::Complete).await;
    assert!(world.drift().is_empty(), "{stranger} is none of ours");
    world.rename(outside, "out, edited");
    world.rename(inside, "no longer in");
    world.clock.advance(600);
    world.run(Work::Complete).await;
    assert_eq!(world.name_of(outside).as_deref(), Some("out, edited"));
    assert_eq!(world.name_of(inside).as_deref(), Some("no longer in"));
    assert!(world.drift().is_empty());
}
