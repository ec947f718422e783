//! Notion in memory.
//!
//! It keeps what the real one promises and does what the real one does: times to the minute,
//! queries with bounds, order, cursors and a cap on rows, answers that lag behind, properties cut
//! short, pages in the trash, moved, archived or not shared. A script adds the faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::clock::VirtualClock;
use super::script::{Script, When};
use crate::notion::{
    Lane, NotionApi, NotionError, PropertyWrite, QueryOrder, QueryPage, QueryRequest,
};
use crate::sync::filter::PageFilter;
use crate::sync::identity::{DataSourceId, DatabaseId, PageId, PropertyId, UserId};
use crate::sync::page::{
    DataSource, PageProperty, PageSnapshot, PropertyRead, PropertyValue, Provenance,
};
use crate::sync::window::floor_to_minute;

mod nature;
pub(super) mod writer;

pub(super) use nature::{Behaviour, Failure};

/// Whoever edits pages here that is not the bot.
pub(super) const PERSON: UserId = UserId(Uuid::from_u128(0x9E6));

/// One call, as the log keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Query(QueryRequest, Lane),
    Page(PageId, Lane),
    DataSource,
    WholeProperty(PageId, PropertyId),
    Update(PageId, Vec<PropertyWrite>, Lane),
    Create(Vec<PropertyWrite>, Lane),
    Trash(PageId, bool, Lane),
    Find(Vec<PropertyWrite>, Lane),
}

#[derive(Debug)]
struct World {
    source: DataSource,
    /// Every page with its versions, oldest first, and when each was made.
    pages: BTreeMap<PageId, Vec<(Timestamp, PageSnapshot)>>,
    /// Properties that pages and queries cut short.
    truncated: BTreeSet<(PageId, PropertyId)>,
    /// Pages that this connection may not see any more.
    unshared: BTreeSet<PageId>,
    behaviour: Behaviour,
    log: Vec<Call>,
    /// Writes under way, and when they arrive.
    late: Vec<(Timestamp, writer::Write)>,
    /// How many pages the bot was asked to make.
    made: u128,
}

/// Notion in memory.
#[derive(Debug)]
pub(super) struct MemoryNotion {
    clock: VirtualClock,
    world: Mutex<World>,
    pub(super) script: Script<Call, Failure>,
}

impl MemoryNotion {
    /// A Notion with this empty data source.
    pub(super) fn new(clock: VirtualClock, source: DataSource) -> Self {
        let world = World {
            source,
            pages: BTreeMap::new(),
            truncated: BTreeSet::new(),
            unshared: BTreeSet::new(),
            behaviour: Behaviour::default(),
            log: Vec::new(),
            late: Vec::new(),
            made: 0,
        };
        Self {
            clock,
            world: Mutex::new(world),
            script: Script::default(),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap();
        world.arrive(self.clock.now());
        world
    }

    /// Changes how it behaves.
    pub(super) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.world().behaviour);
    }

    /// Changes the data source itself.
    pub(super) fn change_source(&self, change: impl FnOnce(&mut DataSource)) {
        change(&mut self.world().source);
    }

    /// Makes a page now, with these values in the order of the schema.
    pub(super) fn create(&self, number: u128, values: Vec<PropertyValue>) -> PageId {
        let id = PageId(Uuid::from_u128(number));
        let now = self.clock.now();
        let mut world = self.world();
        let minute = floor_to_minute(now);
        let properties = world.source.properties.iter().zip(values);
        let properties = properties.map(|(schema, value)| {
            let property = PageProperty {
                kind: schema.kind.clone(),
                read: PropertyRead::Value(value),
            };
            (schema.id.clone(), property)
        });
        let page = PageSnapshot {
            id,
            provenance: Provenance::Get,
            data_source: Some(world.source.id),
            in_trash: false,
            is_archived: false,
            created_time: Some(minute),
            last_edited_time: Some(minute),
            last_edited_by: Some(PERSON),
            properties: properties.collect(),
        };
        world.pages.insert(id, vec![(now, page)]);
        id
    }

    /// The value that a page has now.
    pub(super) fn value(&self, id: PageId, property: &str) -> PropertyValue {
        let mut world = self.world();
        world.arrive(self.clock.now());
        let (_, page) = world.pages[&id].last().unwrap();
        match &page.properties[&PropertyId::new(property)].read {
            PropertyRead::Value(value) => value.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Edits one property now.
    pub(super) fn edit(&self, id: PageId, property: &str, value: PropertyValue) {
        self.change(id, |page| {
            let property = page.properties.get_mut(&PropertyId::new(property)).unwrap();
            property.read = PropertyRead::Value(value);
        });
    }

    /// Changes a page now, which moves its time.
    pub(super) fn change(&self, id: PageId, change: impl FnOnce(&mut PageSnapshot)) {
        let now = self.clock.now();
        let mut world = self.world();
        let versions = world.pages.get_mut(&id).unwrap();
        let mut page = versions.last().unwrap().1.clone();
        page.last_edited_time = Some(floor_to_minute(now));
        page.last_edited_by = Some(PERSON);
        change(&mut page);
        versions.push((now, page));
    }

    /// Cuts a property short wherever the page is read as a whole.
    pub(super) fn truncate(&self, id: PageId, property: &str) {
        let key = (id, PropertyId::new(property));
        self.world().truncated.insert(key);
    }

    /// Takes the page away from this connection.
    pub(super) fn unshare(&self, id: PageId) {
        self.world().unshared.insert(id);
    }

    /// The log so far.
    pub(super) fn log(&self) -> Vec<Call> {
        self.world().log.clone()
    }

    /// Gives the log and starts a new one.
    pub(super) fn take_log(&self) -> Vec<Call> {
        std::mem::take(&mut self.world().log)
    }

    async fn begin(&self, call: Call) -> Result<super::script::Guard, NotionError> {
        self.world().log.push(call.clone());
        tokio::task::yield_now().await;
        let guard = self.script.act(&call, When::Before).await;
        guard.map_err(Failure::error)
    }

    async fn end(&self, call: &Call) -> Result<(), NotionError> {
        let guard = self.script.act(call, When::After).await;
        guard.map(drop).map_err(Failure::error)
    }
}

impl World {
    /// The page as it was `lag` ago.
    fn version(&self, id: PageId, now: Timestamp, lag: SignedDuration) -> Option<&PageSnapshot> {
        let versions = self.pages.get(&id)?;
        let visible = versions.iter().rev().find(|(made, _)| *made + lag <= now);
        visible.map(|(_, page)| page)
    }

    /// The page as a read of it shows it.
    fn shown(&self, page: &PageSnapshot, from: Provenance, wanted: &[PropertyId]) -> PageSnapshot {
        let mut page = page.clone();
        page.provenance = from;
        page.properties.retain(|id, _| wanted.contains(id));
        for (id, property) in &mut page.properties {
            if self.truncated.contains(&(page.id, id.clone())) {
                property.read = PropertyRead::Truncated;
            }
        }
        page
    }

    fn query(&self, request: &QueryRequest, wanted: &[PropertyId], now: Timestamp) -> QueryPage {
        let lag = self.behaviour.query_lag;
        let visible = self.pages.keys().filter(|id| !self.unshared.contains(id));
        let pages = visible.filter_map(|id| self.version(*id, now, lag));
        let mut found: Vec<_> = pages
            .filter(|page| page.data_source == Some(self.source.id))
            .filter(|page| !page.in_trash && !page.is_archived && is_within(request, page))
            .filter(|page| passes(request.filter.as_ref(), page))
            .map(|page| (sort_key(request.order, page), page))
            .collect();
        found.sort_by_key(|(key, _)| *key);
        let (before, after) = match &request.cursor {
            None => (0, None),
            Some(cursor) => read_cursor(cursor),
        };
        let rest: Vec<_> = found
            .into_iter()
            .filter(|(key, _)| after.is_none_or(|after| *key > after))
            .collect();
        let room = self.behaviour.cap - before;
        let take = self.behaviour.page_size.min(room).min(rest.len());
        let given = before + take;
        let is_over = take == rest.len();
        let is_capped = !is_over && given == self.behaviour.cap;
        let last = rest[..take].last().map(|(key, _)| *key);
        let next = last.map(|(moment, id)| format!("{given}|{}|{id}", moment.as_second()));
        let pages = rest[..take]
            .iter()
            .map(|(_, page)| self.shown(page, Provenance::Query, wanted));
        QueryPage {
            pages: pages.collect(),
            next_cursor: next.filter(|_| !is_over && !is_capped),
            incomplete: is_capped,
            server_date: self.behaviour.date.map(|ahead| now + ahead),
        }
    }
}

fn sort_key(order: QueryOrder, page: &PageSnapshot) -> (Timestamp, PageId) {
    let moment = match order {
        QueryOrder::CreatedAscending => page.created_time,
        QueryOrder::EditedAscending => page.last_edited_time,
    };
    (moment.unwrap(), page.id)
}

fn read_cursor(cursor: &str) -> (usize, Option<(Timestamp, PageId)>) {
    let mut parts = cursor.split('|');
    let given = parts.next().unwrap().parse().unwrap();
    let second = parts.next().unwrap().parse().unwrap();
    let id = parts.next().unwrap().parse().unwrap();
    (given, Some((Timestamp::from_second(second).unwrap(), id)))
}

fn is_within(request: &QueryRequest, page: &PageSnapshot) -> bool {
    let (created, edited) = (page.created_time.unwrap(), page.last_edited_time.unwrap());
    let from = |bound: Option<Timestamp>, moment| bound.is_none_or(|bound| moment >= bound);
    let to = |bound: Option<Timestamp>, moment| bound.is_none_or(|bound| moment <= bound);
    from(request.created_on_or_after, created)
        && to(request.created_on_or_before, created)
        && from(request.edited_on_or_after, edited)
        && to(request.edited_on_or_before, edited)
}

/// Whether a page passes a filter of the one form that is known here: a property, by its id, whose
/// value as text `equals` another.
fn passes(filter: Option<&PageFilter>, page: &PageSnapshot) -> bool {
    let Some(filter) = filter.map(PageFilter::as_json) else {
        return true;
    };
    let id = filter["property"].as_str().expect("a filter of this form");
    let property = &page.properties[&PropertyId::new(id)];
    let PropertyRead::Value(value) = &property.read else {
        return false;
    };
    value.to_json() == filter[property.kind.name()]["equals"]
}

fn not_found() -> NotionError {
    Failure::Status(404).error()
}

impl NotionApi for MemoryNotion {
    async fn data_sources_of(
        &self,
        _database: DatabaseId,
    ) -> Result<Vec<(DataSourceId, String)>, NotionError> {
        let world = self.world();
        Ok(vec![(world.source.id, world.source.title.clone())])
    }

    async fn data_source(&self, id: DataSourceId) -> Result<DataSource, NotionError> {
        let _held = self.begin(Call::DataSource).await?;
        let source = self.world().source.clone();
        if source.id != id {
            return Err(not_found());
        }
        self.end(&Call::DataSource).await?;
        Ok(source)
    }

    async fn query(
        &self,
        id: DataSourceId,
        request: &QueryRequest,
        wanted: &[PropertyId],
        lane: Lane,
    ) -> Result<QueryPage, NotionError> {
        let call = Call::Query(request.clone(), lane);
        let _held = self.begin(call.clone()).await?;
        let answer = {
            let world = self.world();
            if world.source.id != id {
                return Err(not_found());
            }
            world.query(request, wanted, self.clock.now())
        };
        self.end(&call).await?;
        Ok(answer)
    }

    async fn page(
        &self,
        id: PageId,
        wanted: &[PropertyId],
        lane: Lane,
    ) -> Result<PageSnapshot, NotionError> {
        let call = Call::Page(id, lane);
        let _held = self.begin(call.clone()).await?;
        let page = {
            let world = self.world();
            let lag = world.behaviour.get_lag;
            let shared = !world.unshared.contains(&id);
            let page = world.version(id, self.clock.now(), lag).filter(|_| shared);
            let page = page.ok_or_else(not_found)?;
            world.shown(page, Provenance::Get, wanted)
        };
        self.end(&call).await?;
        Ok(page)
    }

    async fn whole_property(
        &self,
        page: PageId,
        property: &PropertyId,
        _lane: Lane,
    ) -> Result<PropertyRead, NotionError> {
        let call = Call::WholeProperty(page, property.clone());
        let _held = self.begin(call.clone()).await?;
        let read = {
            let world = self.world();
            let version = world.version(page, self.clock.now(), SignedDuration::ZERO);
            let found = version.and_then(|page| page.properties.get(property));
            found.ok_or_else(not_found)?.read.clone()
        };
        self.end(&call).await?;
        Ok(read)
    }
}
