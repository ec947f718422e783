//! The JSON of the admin API (`design/receiver.md` §5).
//!
//! Keys are always present; what is not known is null. The two values of a discrepancy are the
//! exception: they are present only for those who may see values.

use serde::Serialize;
use serde_json::Value;

use super::ports::{BindingHealth, DriftSummary, Health, HealthDetails};
use crate::sync::drift::{Counts, Discrepancy};

/// The reply.
#[derive(Serialize)]
pub(super) struct HealthView {
    /// The worst of the bindings shown.
    pub health: &'static str,
    pub bindings: Vec<BindingView>,
    /// Present, and true, only where bindings were left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BindingView {
    namespace: String,
    name: String,
    health: &'static str,
    ready: bool,
    reason: String,
    message: String,
    counts: Option<CountsView>,
    drift: Option<DriftView>,
    discrepancies: Vec<DiscrepancyView>,
    orphaned_pages: Vec<String>,
    truncated: bool,
    checked_at: Option<String>,
    last_sync_time: Option<String>,
    last_full_scan_time: Option<String>,
}

#[derive(Serialize)]
struct CountsView {
    notion: i64,
    postgres: i64,
    linked: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DriftView {
    count: i64,
    mismatched: i64,
    orphaned_pages: i64,
    unlinked_rows: i64,
    missing_pages: i64,
    conflicts: i64,
    failed: i64,
    held: HeldView,
    checked_at: Option<String>,
}

#[derive(Serialize)]
struct HeldView {
    count: i64,
    token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiscrepancyView {
    page_id: Option<String>,
    row_key: Option<String>,
    column: Option<String>,
    property: Option<String>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notion: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres: Option<Value>,
}

impl HealthView {
    /// The reply over these bindings.
    pub(super) fn new(
        shown: &[BindingHealth],
        bindings: Vec<BindingView>,
        truncated: bool,
    ) -> Self {
        let worst = shown
            .iter()
            .map(|binding| binding.health)
            .max()
            .unwrap_or(Health::Unknown);
        Self {
            health: worst.as_str(),
            bindings,
            truncated,
        }
    }
}

impl BindingView {
    /// One binding. `values` is whether the caller may see values.
    pub(super) fn new(binding: &BindingHealth, details: HealthDetails, values: bool) -> Self {
        let plain = details.plain_keys;
        let discrepancies = details.discrepancies.into_iter();
        let discrepancies = discrepancies.map(|each| DiscrepancyView::new(each, plain, values));
        let checked = binding.drift.as_ref().and_then(|drift| drift.checked_at);
        Self {
            namespace: binding.binding.namespace.clone(),
            name: binding.binding.name.clone(),
            health: binding.health.as_str(),
            ready: binding.ready,
            reason: binding.reason.clone(),
            message: binding.message.clone(),
            counts: binding.counts.map(CountsView::from),
            drift: binding.drift.as_ref().map(DriftView::from),
            discrepancies: discrepancies.collect(),
            orphaned_pages: details
                .orphaned_pages
                .iter()
                .map(ToString::to_string)
                .collect(),
            truncated: details.truncated,
            checked_at: checked.map(|at| at.to_string()),
            last_sync_time: binding.last_sync.map(|at| at.to_string()),
            last_full_scan_time: binding.last_full_scan.map(|at| at.to_string()),
        }
    }
}

impl DiscrepancyView {
    fn new(each: Discrepancy, plain_keys: bool, values: bool) -> Self {
        let value = |value: Option<Value>| values.then(|| value.unwrap_or(Value::Null));
        Self {
            page_id: each.page_id.map(|page| page.to_string()),
            row_key: each.row_key.map(|key| key.shown(plain_keys)),
            column: each.column,
            property: each.property.map(|property| property.to_string()),
            kind: each.kind.as_str(),
            notion: value(each.notion),
            postgres: value(each.postgres),
        }
    }
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        Self {
            notion: counts.pages,
            postgres: counts.rows,
            linked: counts.linked,
        }
    }
}

impl From<&DriftSummary> for DriftView {
    fn from(drift: &DriftSummary) -> Self {
        let counts = drift.counts;
        Self {
            count: counts.count(),
            mismatched: counts.mismatched,
            orphaned_pages: counts.orphaned_pages,
            unlinked_rows: counts.unlinked_rows,
            missing_pages: counts.missing_pages,
            conflicts: counts.conflicts,
            failed: counts.failed,
            held: HeldView {
                count: counts.held,
                token: drift.held_token.clone(),
            },
            checked_at: drift.checked_at.map(|at| at.to_string()),
        }
    }
}
