//! A linked pair: a page, its row, and what both held when they last agreed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::identity::{PageId, PropertyId, RowKey};
use super::mapping::TablePlan;
use super::page::{PageSnapshot, PropertyType, PropertyValue, Provenance};
use super::reason::FieldReason;
use super::side::Resolutions;

/// What one field held on each side at the last agreement.
///
/// Two values, each compared only with its own side: 19.555 in `numeric(10,2)` is 19.56, and with
/// one value the two sides would differ for ever (`design/sync.md` §2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldBase {
    /// The property that the Notion value belongs to; a base of another property is no base.
    pub property: PropertyId,
    /// The property's type then: a base of another type is none either, also under the same id.
    pub kind: PropertyType,
    /// Notion's value.
    pub notion: PropertyValue,
    /// Postgres' value in its text form; `None` is NULL.
    pub postgres: Option<String>,
    /// Why the two do not agree although nothing more is to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FieldReason>,
}

/// The bases of a pair, by column name.
pub type PairBase = BTreeMap<String, FieldBase>;

/// The `updatedAt` that our own write set, and the one before it.
///
/// A time that we produced ourselves says nothing about people, so it counts as the time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnWrite {
    /// The value as the row returned it.
    pub written: Timestamp,
    /// The row's time before our write.
    pub before: Option<Timestamp>,
}

/// The `last_edited_time` that our own write to the page produced, and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnEdit {
    /// The time that the echo showed.
    pub written: Timestamp,
    /// The page's time before our write.
    pub before: Option<Timestamp>,
    /// When the write was settled, by our clock: for five minutes no query row is believed.
    pub settled: Timestamp,
}

/// What our own writes left behind on both sides of a pair, so that they are taken for nobody's
/// edit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traces {
    /// Our last write to the row.
    pub own_write: Option<OwnWrite>,
    /// Our last write to the page.
    pub own_edit: Option<OwnEdit>,
    /// Values that writes of the last ten minutes sent to the page: one that shows up after a later
    /// one is a late arrival.
    pub sent: Vec<(PropertyId, PropertyValue)>,
    /// When the row was changed by somebody else, as it was captured; where no column says it.
    pub row_changed_at: Option<Timestamp>,
    /// What a person chose for conflicts of this pair.
    pub resolutions: Resolutions,
}

/// A row of the bound table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRead {
    /// Its key.
    pub key: RowKey,
    /// The value of `updatedAtColumn`.
    pub updated_at: Option<Timestamp>,
    /// The values of the mapped columns in text form, in the order of [`TablePlan::fields`].
    pub values: Vec<Option<String>>,
}

/// What is remembered about a pair, without its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairHead {
    /// The row that the page was linked to.
    pub row_key: RowKey,
    /// The fingerprint of the last look at it.
    pub hash: Option<PairHash>,
    /// The newest `last_edited_time` seen for the page.
    pub last_edited_seen: Option<Timestamp>,
    /// Our own last write of `updatedAtColumn`.
    pub own_write: Option<OwnWrite>,
    /// Our own last write to the page.
    pub own_edit: Option<OwnEdit>,
    /// Whether the last values came from a payload and a read has yet to settle them.
    pub provisional: bool,
    /// Whether something about the pair is recorded as out of step.
    pub is_marked: bool,
}

impl PairHead {
    /// How long after a write of ours only direct reads of the page are believed.
    const ECHO_SECONDS: i64 = 300;

    /// Whether a row of a query must decide nothing: it is older than what was seen, or we wrote to
    /// the page so recently that the query may not know of it (`design/sync.md` §4).
    pub fn outdates(&self, page: &PageSnapshot, now: Timestamp) -> bool {
        outdates(self.last_edited_seen, self.own_edit, page, now)
    }
}

/// See [`PairHead::outdates`].
pub fn outdates(
    seen: Option<Timestamp>,
    own_edit: Option<OwnEdit>,
    page: &PageSnapshot,
    now: Timestamp,
) -> bool {
    let is_older = seen
        .zip(page.last_edited_time)
        .is_some_and(|(seen, edited)| edited < seen);
    let is_echo = own_edit
        .is_some_and(|own| now.duration_since(own.settled).as_secs() < PairHead::ECHO_SECONDS);
    page.provenance < Provenance::Get && (is_older || is_echo)
}

/// Everything that is known about a pair on the Postgres side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairRead {
    /// The page.
    pub page_id: PageId,
    /// The rows that carry its id: none is an orphaned page, several are a `DuplicateLink`.
    pub rows: Vec<RowRead>,
    /// What is remembered.
    pub head: Option<PairHead>,
    /// When the row was last changed by somebody else, of the captured changes that wait; only where
    /// the row itself does not say it.
    pub row_changed_at: Option<Timestamp>,
    /// What a person chose for conflicts of this pair that are open.
    pub resolutions: Resolutions,
}

/// A fingerprint over both sides of a pair and the mapping.
///
/// Two forms: of a pair in step it covers the values alone; of any other it covers the times too,
/// because `NewestWins` may decide differently when only a time moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairHash(pub [u8; 16]);

impl PairHash {
    /// The fingerprint of a pair in step.
    pub fn in_step(
        fingerprint: &[u8; 32],
        plan: &TablePlan,
        page: &PageSnapshot,
        row: &RowRead,
    ) -> Self {
        Self::finish(Self::values(fingerprint, plan, page, row))
    }

    /// The fingerprint of a pair that is not in step.
    pub fn out_of_step(
        fingerprint: &[u8; 32],
        plan: &TablePlan,
        page: &PageSnapshot,
        row: &RowRead,
    ) -> Self {
        let mut hasher = Self::values(fingerprint, plan, page, row);
        hasher.update(format!("{:?}", (page.last_edited_time, row.updated_at)));
        for field in &plan.fields {
            // An option that is new may be what a value was waiting for.
            hasher.update(format!("{:?}", field.property.options));
        }
        Self::finish(hasher)
    }

    fn values(
        fingerprint: &[u8; 32],
        plan: &TablePlan,
        page: &PageSnapshot,
        row: &RowRead,
    ) -> Sha256 {
        let mut hasher = Sha256::new();
        hasher.update(fingerprint);
        hasher.update(format!("{:?}", row.key));
        for (field, value) in plan.fields.iter().zip(&row.values) {
            let property = page.properties.get(&field.property.id);
            hasher.update(format!("{property:?}\u{1e}{value:?}\u{1e}"));
        }
        hasher
    }

    fn finish(hasher: Sha256) -> Self {
        let digest = hasher.finalize();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self(hash)
    }
}
