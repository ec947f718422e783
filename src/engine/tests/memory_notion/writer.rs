//! Writes to the Notion in memory, by the bot.
//!
//! A scripted failure *before* the call leaves the page alone, one *after* it was done all the
//! same; whether the caller learns that nothing was written depends on the failure, as with the
//! real one. A late one is answered at once and done when the clock comes to it.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Call, Failure, MemoryNotion, When, World, not_found};
use crate::notion::writer::FOUND_AT_MOST;
use crate::notion::{Lane, NotionError, NotionWriter, PropertyWrite, WriteError, WriteTerms};
use crate::sync::convert::same;
use crate::sync::identity::{DataSourceId, PageId, PropertyId, UserId};
use crate::sync::page::{
    DateOrTime, NotionDate, PageProperty, PageSnapshot, PropertyRead, PropertyType, PropertyValue,
    Provenance,
};
use crate::sync::window::floor_to_minute;

/// The bot user that writes are made by.
pub(in crate::engine::tests) const BOT: UserId = UserId(Uuid::from_u128(0xB07));
/// Pages that the bot makes are numbered from here on.
pub(in crate::engine::tests) const FIRST_MADE: u128 = 1_000_000;

/// A write, as it waits for its late arrival.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Update(PageId, Vec<PropertyWrite>),
    Create(PageId, Vec<PropertyWrite>),
    Trash(PageId, bool),
}

impl Failure {
    /// What the caller of a write learns.
    fn of_write(self, committed: Option<PageId>, sent_at: Timestamp) -> WriteError {
        match self {
            Self::Throttled | Self::Status(400..=407 | 409..=498 | 529) => {
                WriteError::NotWritten(self.error())
            }
            _ => WriteError::Ambiguous {
                source: self.error(),
                committed,
                sent_at,
            },
        }
    }
}

impl World {
    /// Does what is due by now.
    pub(super) fn arrive(&mut self, now: Timestamp) {
        let mut due: Vec<_> = self.late.extract_if(.., |(at, _)| *at <= now).collect();
        due.sort_by_key(|(at, _)| *at);
        for (at, write) in due {
            // Nobody is left to hear of a refusal.
            let _ = self.apply(&write, at);
        }
    }

    fn apply(&mut self, write: &Write, at: Timestamp) -> Result<PageSnapshot, NotionError> {
        let page = match write {
            Write::Create(id, properties) => self.made(*id, properties, at),
            Write::Update(id, properties) => {
                let mut page = self.last(*id)?;
                if page.in_trash {
                    return Err(Failure::Status(400).error());
                }
                set(&mut page, properties);
                page
            }
            Write::Trash(id, in_trash) => PageSnapshot {
                in_trash: *in_trash,
                ..self.last(*id)?
            },
        };
        let page = PageSnapshot {
            last_edited_time: Some(floor_to_minute(at)),
            last_edited_by: Some(BOT),
            ..page
        };
        let versions = self.pages.entry(page.id).or_default();
        versions.push((at, page.clone()));
        Ok(page)
    }

    fn last(&self, id: PageId) -> Result<PageSnapshot, NotionError> {
        let shared = !self.unshared.contains(&id);
        let versions = self.pages.get(&id).filter(|_| shared);
        let (_, page) = versions.and_then(|all| all.last()).ok_or_else(not_found)?;
        Ok(page.clone())
    }

    /// A new page, empty but for these properties.
    fn made(&self, id: PageId, properties: &[PropertyWrite], at: Timestamp) -> PageSnapshot {
        let mut page = PageSnapshot {
            id,
            provenance: Provenance::Get,
            data_source: Some(self.source.id),
            in_trash: false,
            is_archived: false,
            created_time: Some(floor_to_minute(at)),
            last_edited_time: None,
            last_edited_by: None,
            properties: std::collections::BTreeMap::new(),
        };
        for schema in &self.source.properties {
            let property = PageProperty {
                kind: schema.kind.clone(),
                read: empty(&schema.kind, at),
            };
            page.properties.insert(schema.id.clone(), property);
        }
        set(&mut page, properties);
        page
    }

    fn find(
        &self,
        key: &[PropertyWrite],
        wanted: &[PropertyId],
        now: Timestamp,
    ) -> Vec<PageSnapshot> {
        let lag = self.behaviour.query_lag;
        let visible = self.pages.keys().filter(|id| !self.unshared.contains(id));
        let mut found: Vec<_> = visible
            .filter_map(|id| self.version(*id, now, lag))
            .filter(|page| page.data_source == Some(self.source.id))
            .filter(|page| !page.in_trash && !page.is_archived && has(page, key))
            .map(|page| self.shown(page, Provenance::Query, wanted))
            .collect();
        found.sort_by_key(|page| std::cmp::Reverse(page.created_time));
        found.truncate(FOUND_AT_MOST);
        found
    }
}

/// What a property holds that nobody set.
fn empty(kind: &PropertyType, at: Timestamp) -> PropertyRead {
    PropertyRead::Value(match kind {
        PropertyType::Title | PropertyType::RichText => kept(&crate::sync::fixtures::text("")),
        PropertyType::Number => PropertyValue::Number(None),
        PropertyType::Select | PropertyType::Status => PropertyValue::Choice(None),
        PropertyType::Checkbox => PropertyValue::Checkbox(false),
        PropertyType::Date => PropertyValue::Date(None),
        PropertyType::MultiSelect => PropertyValue::Names(Vec::new()),
        PropertyType::Relation | PropertyType::People => PropertyValue::Ids(Vec::new()),
        PropertyType::Files => PropertyValue::Files(Vec::new()),
        PropertyType::Url | PropertyType::Email | PropertyType::PhoneNumber => {
            PropertyValue::Line(None)
        }
        PropertyType::CreatedTime | PropertyType::LastEditedTime => {
            PropertyValue::Moment(floor_to_minute(at))
        }
        _ => return PropertyRead::Unsupported,
    })
}

fn has(page: &PageSnapshot, key: &[PropertyWrite]) -> bool {
    key.iter().all(|(id, _, wanted)| {
        let property = page.properties.get(id);
        matches!(property.map(|it| &it.read), Some(PropertyRead::Value(value)) if same(value, wanted))
    })
}

fn set(page: &mut PageSnapshot, properties: &[PropertyWrite]) {
    for (id, kind, value) in properties {
        let property = PageProperty {
            kind: kind.clone(),
            read: PropertyRead::Value(kept(value)),
        };
        page.properties.insert(id.clone(), property);
    }
}

/// What Notion keeps of a value: plain text, minutes.
fn kept(value: &PropertyValue) -> PropertyValue {
    let minute = |end: DateOrTime| match end {
        DateOrTime::Moment(moment) => DateOrTime::Moment(floor_to_minute(moment)),
        day @ DateOrTime::Day(_) => day,
    };
    match value {
        PropertyValue::Text { plain, .. } => PropertyValue::Text {
            plain: plain.clone(),
            lossy: false,
        },
        PropertyValue::Line(line) => {
            PropertyValue::Line(line.clone().filter(|line| !line.is_empty()))
        }
        PropertyValue::Date(Some(date)) => PropertyValue::Date(Some(NotionDate {
            start: minute(date.start),
            end: date.end.map(minute),
        })),
        other => other.clone(),
    }
}

impl MemoryNotion {
    async fn send(
        &self,
        call: Call,
        write: Write,
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> Result<PageSnapshot, WriteError> {
        if !(terms.guard)() {
            return Err(WriteError::NotWritten(NotionError::SendRefused));
        }
        let sent_at = self.clock.now();
        self.world().log.push(call.clone());
        tokio::task::yield_now().await;
        let _held = match self.script.act(&call, When::Before).await {
            Ok(held) => held,
            Err(failure) => {
                if let Failure::Late(seconds) = failure {
                    let at = sent_at + SignedDuration::from_secs(seconds);
                    self.world().late.push((at, write));
                }
                return Err(failure.of_write(None, sent_at));
            }
        };
        let applied = self.world().apply(&write, self.clock.now());
        let echo = applied.map_err(WriteError::NotWritten)?;
        if let Err(failure) = self.script.act(&call, When::After).await {
            let named = matches!((&write, failure), (Write::Create(..), Failure::Status(503)));
            let named = named && self.world().behaviour.names_committed;
            return Err(failure.of_write(named.then_some(echo.id), sent_at));
        }
        Ok(self.world().shown(&echo, Provenance::Get, wanted))
    }
}

impl NotionWriter for MemoryNotion {
    async fn me(&self) -> Result<UserId, NotionError> {
        Ok(BOT)
    }

    async fn update_page(
        &self,
        page: PageId,
        properties: &[PropertyWrite],
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> Result<PageSnapshot, WriteError> {
        let call = Call::Update(page, properties.to_vec(), terms.lane);
        let write = Write::Update(page, properties.to_vec());
        self.send(call, write, wanted, terms).await
    }

    async fn create_page(
        &self,
        source: DataSourceId,
        properties: &[PropertyWrite],
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> Result<PageSnapshot, WriteError> {
        let id = {
            let mut world = self.world();
            if world.source.id != source {
                return Err(WriteError::NotWritten(not_found()));
            }
            world.made += 1;
            PageId(Uuid::from_u128(FIRST_MADE + world.made))
        };
        let call = Call::Create(properties.to_vec(), terms.lane);
        let write = Write::Create(id, properties.to_vec());
        self.send(call, write, wanted, terms).await
    }

    async fn set_trashed(
        &self,
        page: PageId,
        in_trash: bool,
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> Result<PageSnapshot, WriteError> {
        let call = Call::Trash(page, in_trash, terms.lane);
        let write = Write::Trash(page, in_trash);
        self.send(call, write, wanted, terms).await
    }

    async fn find_pages(
        &self,
        source: DataSourceId,
        key: &[PropertyWrite],
        wanted: &[PropertyId],
        lane: Lane,
    ) -> Result<Vec<PageSnapshot>, NotionError> {
        let call = Call::Find(key.to_vec(), lane);
        let _held = self.begin(call.clone()).await?;
        let found = {
            let world = self.world();
            if world.source.id != source {
                return Err(not_found());
            }
            world.find(key, wanted, self.clock.now())
        };
        self.end(&call).await?;
        Ok(found)
    }
}
