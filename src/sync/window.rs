//! How a complete scan walks past Notion's cap of 10,000 rows, and where an incremental pass starts
//! (`design/sync.md` §8).
//!
//! Pages are read by `created_time`, which never changes. A capped window goes on from the last
//! creation minute it saw; where that minute alone holds more than the cap, it is split by
//! `last_edited_time`. An edit during the scan only moves a page later in that order, so nothing is
//! passed by.

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use super::filter::PageFilter;

/// The order of a query's rows. Without one Notion defines none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueryOrder {
    /// By `created_time`, oldest first: full scans.
    CreatedAscending,
    /// By `last_edited_time`, oldest first: incremental passes and windows that are split.
    EditedAscending,
}

/// A query of a data source's pages. All bounds are inclusive; Notion compares minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryRequest {
    /// Only pages created at or after this.
    pub created_on_or_after: Option<Timestamp>,
    /// Only pages created at or before this.
    pub created_on_or_before: Option<Timestamp>,
    /// Only pages edited at or after this.
    pub edited_on_or_after: Option<Timestamp>,
    /// Only pages edited at or before this.
    pub edited_on_or_before: Option<Timestamp>,
    /// The order.
    pub order: QueryOrder,
    /// Where to go on, as the last answer said.
    pub cursor: Option<String>,
    /// The binding's own filter. It is not stored with a scan: the spec has it.
    #[serde(skip)]
    pub filter: Option<PageFilter>,
}

impl QueryRequest {
    /// All pages, oldest first.
    pub fn all() -> Self {
        Self {
            created_on_or_after: None,
            created_on_or_before: None,
            edited_on_or_after: None,
            edited_on_or_before: None,
            order: QueryOrder::CreatedAscending,
            cursor: None,
            filter: None,
        }
    }

    /// The same query, of pages that pass `filter` as well.
    #[must_use]
    pub fn filtered(self, filter: Option<&PageFilter>) -> Self {
        Self {
            filter: filter.cloned(),
            ..self
        }
    }

    /// Pages edited at or after `from`, in the order of their edits.
    pub fn edited_since(from: Timestamp) -> Self {
        Self {
            edited_on_or_after: Some(from),
            order: QueryOrder::EditedAscending,
            ..Self::all()
        }
    }
}

/// What a scan must know of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Creation minute of the last page of the answer.
    pub last_created: Option<Timestamp>,
    /// Edit minute of the last page of the answer.
    pub last_edited: Option<Timestamp>,
    /// Where the answer goes on.
    pub next_cursor: Option<String>,
    /// Whether Notion said that the result is capped.
    pub incomplete: bool,
}

/// Whether a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to read.
    More,
    /// Everything there is was read.
    Complete,
    /// The end was reached, but a minute held more pages than could be read.
    TooDense,
}

/// The state of a complete scan. It can be stored and resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    request: QueryRequest,
    /// Set while one creation minute is split by edit time.
    dense_minute: Option<Timestamp>,
    capped: bool,
    last_created: Option<Timestamp>,
    last_edited: Option<Timestamp>,
    too_dense: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            request: QueryRequest::all(),
            dense_minute: None,
            capped: false,
            last_created: None,
            last_edited: None,
            too_dense: false,
        }
    }
}

impl Scan {
    /// The query to send next.
    pub fn request(&self) -> &QueryRequest {
        &self.request
    }

    /// Starts the current window again, after Notion refused its cursor.
    pub fn restart_window(&mut self) {
        self.request.cursor = None;
        self.capped = false;
    }

    /// Takes one answer in and says whether to go on.
    pub fn advance(&mut self, answer: Answer) -> Step {
        self.capped |= answer.incomplete;
        self.last_created = answer.last_created.or(self.last_created);
        self.last_edited = answer.last_edited.or(self.last_edited);
        self.request.cursor = answer.next_cursor;
        if self.request.cursor.is_some() {
            return Step::More;
        }
        let capped = std::mem::take(&mut self.capped);
        match self.dense_minute {
            None if !capped => self.end(),
            None => self.next_window(),
            Some(minute) => self.next_slice(minute, capped),
        }
    }

    fn end(&self) -> Step {
        if self.too_dense {
            Step::TooDense
        } else {
            Step::Complete
        }
    }

    /// A capped window goes on from its last minute, or splits that minute where it is all of it.
    fn next_window(&mut self) -> Step {
        let Some(last) = self.last_created.map(floor_to_minute) else {
            // Capped and empty: Notion contradicts itself, and nothing is proved absent.
            self.too_dense = true;
            return self.end();
        };
        if self.request.created_on_or_after == Some(last) {
            self.dense_minute = Some(last);
            self.last_edited = None;
            self.request = QueryRequest {
                created_on_or_after: Some(last),
                created_on_or_before: Some(end_of_minute(last)),
                order: QueryOrder::EditedAscending,
                ..QueryRequest::all()
            };
        } else {
            self.request = QueryRequest {
                created_on_or_after: Some(last),
                ..QueryRequest::all()
            };
        }
        Step::More
    }

    /// The next slice of a dense minute, or the minute after it.
    fn next_slice(&mut self, minute: Timestamp, capped: bool) -> Step {
        let last = self.last_edited.map(floor_to_minute);
        if let Some(last) = last.filter(|_| capped) {
            let advanced = self.request.edited_on_or_after != Some(last);
            // A single edit minute beyond the cap is passed by; what was edited later is still read.
            self.too_dense |= !advanced;
            let from = if advanced { last } else { next_minute(last) };
            self.request.edited_on_or_after = Some(from);
            return Step::More;
        }
        self.too_dense |= capped;
        self.dense_minute = None;
        self.request = QueryRequest {
            created_on_or_after: Some(next_minute(minute)),
            ..QueryRequest::all()
        };
        Step::More
    }
}

/// Notion's times overlap by this much between passes: a query may lag behind the edits it lists.
const OVERLAP: SignedDuration = SignedDuration::from_mins(2);

/// From when on the pass after this one must read: the HTTP `Date` of its first answer (its start
/// by our clock if there is none), floored to the minute, less two minutes.
pub fn watermark(first_answer: Option<Timestamp>, started: Timestamp) -> Timestamp {
    overlap_before(first_answer.unwrap_or(started))
}

/// The minute of `moment`, less the overlap.
pub fn overlap_before(moment: Timestamp) -> Timestamp {
    floor_to_minute(moment)
        .saturating_sub(OVERLAP)
        .unwrap_or(moment)
}

/// The minute that a moment lies in.
pub fn floor_to_minute(moment: Timestamp) -> Timestamp {
    let floor = TimestampRound::new()
        .smallest(Unit::Minute)
        .mode(RoundMode::Floor);
    moment.round(floor).unwrap_or(moment)
}

fn end_of_minute(minute: Timestamp) -> Timestamp {
    minute
        .saturating_add(SignedDuration::from_millis(59_999))
        .unwrap_or(minute)
}

fn next_minute(minute: Timestamp) -> Timestamp {
    minute
        .saturating_add(SignedDuration::from_mins(1))
        .unwrap_or(minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages as (creation minute, edit minute); a query returns at most `cap` of them.
    struct Source {
        pages: Vec<(i64, i64)>,
        cap: usize,
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    impl Source {
        /// Answers in chunks of `chunk`; the cursor is an index.
        fn answer(&self, request: &QueryRequest, chunk: usize) -> (Vec<usize>, Answer) {
            let inside = |bound: Option<Timestamp>, minute: i64, after: bool| {
                bound.is_none_or(|bound| {
                    if after {
                        at(minute) >= bound
                    } else {
                        at(minute) <= bound
                    }
                })
            };
            let mut found: Vec<usize> = (0..self.pages.len())
                .filter(|&index| {
                    let (created, edited) = self.pages[index];
                    inside(request.created_on_or_after, created, true)
                        && inside(request.created_on_or_before, created, false)
                        && inside(request.edited_on_or_after, edited, true)
                })
                .collect();
            match request.order {
                QueryOrder::CreatedAscending => found.sort_by_key(|&index| self.pages[index].0),
                QueryOrder::EditedAscending => found.sort_by_key(|&index| self.pages[index].1),
            }
            let incomplete = found.len() > self.cap;
            found.truncate(self.cap);
            let start: usize = request
                .cursor
                .as_deref()
                .map_or(0, |text| text.parse().unwrap());
            let end = (start + chunk).min(found.len());
            let slice = found[start..end].to_vec();
            let last = slice.last().map(|&index| self.pages[index]);
            let answer = Answer {
                last_created: last.map(|(created, _)| at(created)),
                last_edited: last.map(|(_, edited)| at(edited)),
                next_cursor: (end < found.len()).then(|| end.to_string()),
                incomplete,
            };
            (slice, answer)
        }

        fn scan(&self) -> (usize, Step) {
            let mut scan = Scan::default();
            let mut seen = std::collections::HashSet::new();
            for _ in 0..10_000 {
                let (found, answer) = self.answer(scan.request(), 7);
                seen.extend(found);
                let step = scan.advance(answer);
                if step != Step::More {
                    return (seen.len(), step);
                }
            }
            panic!("the scan does not end");
        }
    }

    #[test]
    fn a_small_source_is_read_in_one_window() {
        let pages = (0..50).map(|n| (n / 10, n)).collect();
        assert_eq!(Source { pages, cap: 100 }.scan(), (50, Step::Complete));
        assert_eq!(
            Source {
                pages: Vec::new(),
                cap: 100
            }
            .scan(),
            (0, Step::Complete)
        );
    }

    #[test]
    fn a_capped_source_is_read_in_windows() {
        let pages = (0..1000).map(|n| (n / 10, n)).collect();
        assert_eq!(Source { pages, cap: 100 }.scan(), (1000, Step::Complete));
    }

    #[test]
    fn a_crowded_minute_is_split_by_edits() {
        let pages = (0..1000).map(|n| (n / 700, n / 20)).collect();
        assert_eq!(Source { pages, cap: 100 }.scan(), (1000, Step::Complete));
    }

    #[test]
    fn a_minute_that_cannot_be_split_is_too_dense_but_the_rest_is_read() {
        let mut pages: Vec<_> = (0..300).map(|_| (5, 5)).collect();
        pages.extend((0..50).map(|n| (5, 6 + n)));
        pages.extend((0..300).map(|n| (10 + n / 10, n)));
        assert_eq!(Source { pages, cap: 100 }.scan(), (450, Step::TooDense));
    }

    #[test]
    fn the_watermark_overlaps_by_two_minutes() {
        let moment: Timestamp = "2026-11-20T10:05:42Z".parse().unwrap();
        let expected: Timestamp = "2026-11-20T10:03:00Z".parse().unwrap();
        assert_eq!(watermark(Some(moment), at(0)), expected);
        assert_eq!(watermark(None, moment), expected);
    }
}
