//! Queries of a data source: selection, order, cap, and paginations that go on.
//!
//! A pagination remembers its result (session-bound cursors, as Notion has since April 2026), so
//! later answers cost nothing but rendering. Rows that left the result meanwhile are passed over.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::filter::{Filter, FilterContext, TimeKind};
use crate::ids::parse_uuid;
use crate::properties::read::View;
use crate::random::mix;
use crate::sort::{Sort, SortBy};
use crate::state::connection::Connection;
use crate::state::page::{Page, Parent, Snapshot};
use crate::state::world::World;

/// How many paginations are remembered; the oldest cursors become invalid beyond it.
const SESSIONS: usize = 256;

/// A pagination.
#[derive(Debug)]
pub(crate) struct Session {
    id: Uuid,
    /// The query it belongs to; another query with its cursor is refused.
    fingerprint: String,
    slots: Arc<[u32]>,
    capped: bool,
    answers: u32,
}

/// A query after reading its body.
pub(crate) struct Query {
    pub(crate) source: Uuid,
    pub(crate) filter: Option<Filter>,
    pub(crate) sorts: Vec<Sort>,
    pub(crate) archived: bool,
    /// False where only data sources are asked for, which no table holds.
    pub(crate) pages: bool,
    pub(crate) page_size: usize,
    pub(crate) cursor: Option<String>,
    pub(crate) fingerprint: String,
    /// The properties to show.
    pub(crate) only: Option<Vec<u16>>,
}

/// What a filter of this data source is read against.
pub(crate) fn filter_context<'a>(
    world: &'a World,
    source: Uuid,
    connection: &Connection,
) -> FilterContext<'a> {
    FilterContext {
        schema: world.schema_of(Parent::DataSource(source)),
        now_ms: world.moment.now_ms,
        bot: connection.bot,
    }
}

/// Answers a query.
pub(crate) fn run(
    world: &mut World,
    connection: &Connection,
    view: impl Fn(&World, &Page, &Snapshot) -> Json,
    query: &Query,
) -> Result<Json, ApiError> {
    let (session, from) = match &query.cursor {
        None => (start(world, connection, query), 0),
        Some(cursor) => resume(world, connection, query, cursor)?,
    };
    let rows_limit = match world.switches.query_rows_per_page {
        0 => query.page_size,
        limit => limit.min(query.page_size),
    };
    let known = &world.sessions[session];
    let slots = Arc::clone(&known.slots);
    let (id, capped) = (known.id, known.capped);
    let until = slots.len().min(from + rows_limit);
    let cut = horizon(world);
    let mut results = Vec::with_capacity(until - from);
    for slot in &slots[from..until] {
        let page = world.page(*slot);
        if let Some(state) = page.as_of(cut)
            && belongs(world, connection, query, page, state)
        {
            results.push(view(world, page, state));
        }
    }
    let next = slots
        .get(until)
        .map(|slot| format!("s:{id}:{}", world.page(*slot).id));
    let mut answer = json!({
        "object": "list",
        "results": results,
        "next_cursor": next,
        "has_more": next.is_some(),
        "type": "page_or_data_source",
        "page_or_data_source": {},
    });
    if capped {
        answer["request_status"] = json!({
            "type": "incomplete",
            "incomplete_reason": "query_result_limit_reached",
        });
    }
    Ok(answer)
}

fn start(world: &mut World, connection: &Connection, query: &Query) -> usize {
    let (slots, capped) = select(world, connection, query);
    if world.sessions.len() >= SESSIONS {
        world.sessions.pop_front();
    }
    let id = world.random.uuid();
    world.sessions.push_back(Session {
        id,
        fingerprint: query.fingerprint.clone(),
        slots,
        capped,
        answers: 1,
    });
    world.sessions.len() - 1
}

/// The session of a cursor and where in its result to go on.
fn resume(
    world: &mut World,
    connection: &Connection,
    query: &Query,
    cursor: &str,
) -> Result<(usize, usize), ApiError> {
    let refused =
        || ApiError::validation(format!("The start_cursor provided is invalid: {cursor}"));
    let mut parts = cursor.strip_prefix("s:").unwrap_or_default().split(':');
    let ids = (
        parts.next().and_then(parse_uuid),
        parts.next().and_then(parse_uuid),
    );
    let (Some(session), Some(page)) = ids else {
        return Err(refused());
    };
    let at = world
        .sessions
        .iter()
        .position(|known| known.id == session && known.fingerprint == query.fingerprint)
        .ok_or_else(refused)?;
    let slot = world.slots.get(&page).copied().ok_or_else(refused)?;
    let from = world.sessions[at]
        .slots
        .iter()
        .position(|known| *known == slot)
        .ok_or_else(refused)?;
    let limit = world.switches.reject_cursor_after;
    if limit > 0 && world.sessions[at].answers >= limit {
        return Err(refused());
    }
    world.sessions[at].answers += 1;
    if world.switches.live_cursors {
        let (slots, capped) = select(world, connection, query);
        let session = &mut world.sessions[at];
        (session.slots, session.capped) = (slots, capped);
        return Ok((at, from.min(world.sessions[at].slots.len())));
    }
    Ok((at, from))
}

/// The real time whose state queries show.
fn horizon(world: &World) -> u64 {
    let lagged = world
        .moment
        .elapsed_ms
        .saturating_sub(world.switches.query_lag_ms);
    world.frozen_ms.map_or(lagged, |frozen| frozen.min(lagged))
}

fn belongs(
    world: &World,
    connection: &Connection,
    query: &Query,
    page: &Page,
    state: &Snapshot,
) -> bool {
    state.parent == Parent::DataSource(query.source)
        && !state.in_trash
        && state.is_archived == query.archived
        && world.sees_page(connection, page.id, state.parent)
}

/// All rows of a query in order, up to the cap, and whether the cap cut any off.
fn select(world: &World, connection: &Connection, query: &Query) -> (Arc<[u32]>, bool) {
    if !query.pages {
        return (Arc::from([]), false);
    }
    let cap = world.switches.query_cap;
    let cut = horizon(world);
    let wanted = |slot: &u32| {
        let page = world.page(*slot);
        page.as_of(cut).is_some_and(|state| {
            belongs(world, connection, query, page, state)
                && query
                    .filter
                    .as_ref()
                    .is_none_or(|filter| filter.passes(world, page, state))
        })
    };
    let (candidates, ordered) = candidates(world, query, cut);
    let mut slots: Vec<u32> = if ordered {
        candidates
            .filter(|slot| wanted(slot))
            .take(cap.saturating_add(1))
            .collect()
    } else {
        candidates.filter(|slot| wanted(slot)).collect()
    };
    if !ordered {
        put_in_order(world, query, cut, &mut slots);
    }
    let capped = slots.len() > cap;
    slots.truncate(cap);
    (slots.into(), capped)
}

/// Pages that may match, and whether they already come in the wanted order.
fn candidates<'a>(
    world: &'a World,
    query: &Query,
    cut: u64,
) -> (Box<dyn Iterator<Item = u32> + 'a>, bool) {
    let nothing: (Box<dyn Iterator<Item = u32>>, bool) = (Box::new(std::iter::empty()), true);
    let Some(source) = world.data_sources.get(&query.source) else {
        return nothing;
    };
    if cut < world.moment.elapsed_ms {
        // Indexes know the present only; a lagging query looks at every page's past.
        let count = u32::try_from(world.pages.len()).unwrap_or(u32::MAX);
        return (Box::new(0..count), false);
    }
    let by_time = match query.sorts.as_slice() {
        [
            Sort {
                by: SortBy::Time(kind),
                descending,
            },
        ] => Some((*kind, *descending)),
        _ => None,
    };
    let bounds = |kind| {
        query
            .filter
            .as_ref()
            .map_or((i64::MIN, i64::MAX), |it| it.bounds(kind))
    };
    let kind = by_time.map_or_else(
        || {
            let narrowed = bounds(TimeKind::Edited) != (i64::MIN, i64::MAX);
            if narrowed {
                TimeKind::Edited
            } else {
                TimeKind::Created
            }
        },
        |(kind, _)| kind,
    );
    let index = match kind {
        TimeKind::Created => &source.by_created,
        TimeKind::Edited => &source.by_edited,
    };
    let (low, high) = bounds(kind);
    if low > high {
        return nothing;
    }
    let range = index
        .range((
            Bound::Included((low, 0, 0)),
            Bound::Included((high, u32::MAX, u32::MAX)),
        ))
        .map(|(_, _, slot)| *slot);
    match by_time {
        Some((_, false)) => (Box::new(range), true),
        Some((_, true)) => (Box::new(range.rev()), true),
        None => (Box::new(range), false),
    }
}

/// Sorts; what the sorts leave open is scattered, since Notion defines no order there.
fn put_in_order(world: &World, query: &Query, cut: u64, slots: &mut Vec<u32>) {
    if query.sorts.is_empty() {
        slots.sort_by_cached_key(|slot| mix(world.seed, u64::from(*slot)));
        return;
    }
    let mut keyed: Vec<(Vec<crate::sort::Key>, u64, u32)> = slots
        .iter()
        .filter_map(|slot| {
            let page = world.page(*slot);
            let state = page.as_of(cut)?;
            let keys = query
                .sorts
                .iter()
                .map(|sort| sort.key(world, page, state))
                .collect();
            Some((keys, mix(world.seed, u64::from(*slot)), *slot))
        })
        .collect();
    keyed.sort_by(|first, second| {
        let by_keys = query
            .sorts
            .iter()
            .zip(first.0.iter().zip(&second.0))
            .map(|(sort, (a, b))| sort.compare(a, b))
            .find(|order| *order != Ordering::Equal);
        by_keys.unwrap_or_else(|| first.1.cmp(&second.1))
    });
    *slots = keyed.into_iter().map(|(_, _, slot)| slot).collect();
}

/// A function that shows pages as a connection sees them.
pub(crate) fn shower<'a>(
    connection: &'a Connection,
    version: crate::properties::read::Version,
    only: Option<&'a [u16]>,
) -> impl Fn(&World, &Page, &Snapshot) -> Json + 'a {
    move |world, page, state| {
        View {
            world,
            connection: Some(connection),
            version,
        }
        .page(page, state, only)
    }
}
