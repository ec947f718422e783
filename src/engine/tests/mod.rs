//! The engine over in-memory ports: what a pass does, and what it does when something goes wrong.

use bigdecimal::{BigDecimal, RoundingMode};
use jiff::Timestamp;

use self::clock::{VirtualClock, time};
use self::memory_notion::{Call, MemoryNotion};
use self::memory_store::{MemoryStore, StoreCall};
use super::{Engine, EngineError, PassReport, ScanState, Signals, Work};
use crate::sync::column::{Column, ColumnKind};
use crate::sync::drift::DriftKind;
use crate::sync::event::{Dialect, EventSubject, NewEvent, Outcome};
use crate::sync::fixtures::{field, table, text};
use crate::sync::identity::{PageId, RowKey};
use crate::sync::mapping::TablePlan;
use crate::sync::page::{DataSource, PropertySchema, PropertyType, PropertyValue};

mod absent;
mod clock;
mod events;
mod memory_notion;
mod memory_store;
mod memory_writes;
mod passes;
mod payloads;
mod resilience;
mod resolutions;
mod scans;
mod script;
mod two_way;

/// Both sides, one binding, one clock.
struct World {
    clock: VirtualClock,
    notion: MemoryNotion,
    store: MemoryStore,
    plan: TablePlan,
    signals: Signals,
}

/// The moment at which every world begins.
const START: &str = "2026-11-20T10:00:30Z";

impl World {
    /// A data source of names and prices over a table of names and prices (`numeric(10,2)`).
    fn new() -> Self {
        Self::with_rounding(as_declared)
    }

    fn with_rounding(rounding: memory_store::Rounding) -> Self {
        let name = field(
            "name",
            PropertyType::Title,
            ColumnKind::Text { max_chars: None },
        );
        let declared = Some((10, 2));
        let price = field(
            "price",
            PropertyType::Number,
            ColumnKind::Numeric { declared },
        );
        let plan = table(vec![name, price]);
        let properties = plan.fields.iter().map(|field| {
            let property = &field.property;
            let (id, name) = (property.id.clone(), property.name.clone());
            PropertySchema::new(id, name, property.kind.clone())
        });
        let source = DataSource {
            id: plan.data_source,
            title: "Projects".to_owned(),
            in_trash: false,
            properties: properties.collect(),
        };
        let clock = VirtualClock::at(START);
        Self {
            notion: MemoryNotion::new(clock.clone(), source),
            store: MemoryStore::new(clock.clone(), plan.clone(), rounding),
            clock,
            plan,
            signals: Signals::default(),
        }
    }

    fn engine(&self) -> Engine<'_, MemoryNotion, MemoryStore> {
        let clock = self.clock.clone();
        Engine::new(
            &self.notion,
            &self.store,
            &self.plan,
            &self.signals,
            move || clock.now(),
        )
    }

    async fn try_run(&self, work: Work) -> Result<PassReport, EngineError> {
        Box::pin(self.engine().run(work, &mut None)).await
    }

    async fn run(&self, work: Work) -> PassReport {
        self.try_run(work).await.unwrap()
    }

    /// Goes on with a scan that was kept.
    async fn resume(&self, kept: &mut Option<ScanState>) -> Result<PassReport, EngineError> {
        Box::pin(self.engine().run(Work::Complete, kept)).await
    }

    /// A page named `name` and the row that is linked to it, in step but not looked at yet.
    fn pair(&self, number: u128, name: &str) -> PageId {
        let page = self
            .notion
            .create(number, vec![text(name), number_value(None)]);
        self.store
            .insert(&number.to_string(), Some(page), &[Some(name), None]);
        page
    }

    /// As many pairs, settled by a complete scan; the logs are empty afterwards.
    async fn settled(count: u128) -> (Self, Vec<PageId>) {
        let world = Self::new();
        let pages = (1..=count).map(|number| world.pair(number, "before"));
        let pages = pages.collect();
        world.run(Work::Complete).await;
        // Far enough for the first edits to be out of the watermark's overlap.
        world.clock.advance(600);
        world.run(Work::Incremental).await;
        // A minute later, so that a pass would move the watermark.
        world.clock.advance(60);
        world.take_logs();
        (world, pages)
    }

    fn take_logs(&self) -> (Vec<Call>, Vec<StoreCall>) {
        (self.notion.take_log(), self.store.take_log())
    }

    /// Delivers an envelope about an edit of values now.
    fn announce(&self, page: PageId) -> i64 {
        let now = self.clock.now();
        self.store.deliver(envelope(page, now))
    }

    fn rename(&self, page: PageId, name: &str) {
        self.notion.edit(page, "name", text(name));
    }

    /// The name that the page's row has.
    fn name_of(&self, page: PageId) -> Option<String> {
        self.value_of(page, 0)
    }

    fn value_of(&self, page: PageId, column: usize) -> Option<String> {
        let state = self.store.state();
        let row = state.rows.iter().find(|row| row.page_id == Some(page));
        row.unwrap().values[column].clone()
    }

    fn outcome(&self, event: i64) -> Option<Outcome> {
        let state = self.store.state();
        state.event(event).end.as_ref().map(|(outcome, _)| *outcome)
    }

    fn reason(&self, event: i64) -> Option<String> {
        let state = self.store.state();
        state.event(event).end.as_ref()?.1.clone()
    }

    /// Everything that is not in step: kind, page number, reason.
    fn drift(&self) -> Vec<(DriftKind, Option<u128>, Option<String>)> {
        let state = self.store.state();
        let found = state.discrepancies.iter().map(|one| {
            let page = one.page_id.map(|page| page.0.as_u128());
            (one.kind, page, one.reason.clone())
        });
        let mut found: Vec<_> = found.collect();
        found.sort();
        found
    }

    fn watermark(&self) -> Option<Timestamp> {
        self.store.state().progress.watermark
    }

    fn written(&self) -> usize {
        self.store.state().written.len()
    }
}

/// What Postgres makes of a value by its declared type.
fn as_declared(column: &Column, text: Option<&str>) -> Option<String> {
    let text = text?;
    match column.kind {
        ColumnKind::Numeric {
            declared: Some((_, scale)),
        } => {
            let number: BigDecimal = text.parse().unwrap();
            let rounded = number.with_scale_round(i64::from(scale), RoundingMode::HalfUp);
            Some(rounded.to_plain_string())
        }
        _ => Some(text.to_owned()),
    }
}

fn number_value(number: Option<&str>) -> PropertyValue {
    PropertyValue::Number(number.map(|number| number.parse().unwrap()))
}

/// A real envelope about an edit of values.
fn envelope(page: PageId, at: Timestamp) -> NewEvent {
    NewEvent {
        dialect: Dialect::Envelope,
        event_type: "page.properties_updated".to_owned(),
        subject: EventSubject::Page(page),
        data_source: None,
        occurred_at: Some(at),
        dedupe_key: format!("{page} {at}"),
        authenticated: true,
        authors: Vec::new(),
        body: "{}".to_owned(),
    }
}

/// Reads of single pages in a log.
fn reads(log: &[Call]) -> Vec<PageId> {
    let reads = log.iter().filter_map(|call| match call {
        Call::Page(page, _) => Some(*page),
        _ => None,
    });
    reads.collect()
}

/// How many queries a log holds.
fn queries(log: &[Call]) -> usize {
    let is_query = |call: &&Call| matches!(call, Call::Query(..));
    log.iter().filter(is_query).count()
}
