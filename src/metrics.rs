//! Every metric of the process, in one place.
//!
//! Names are fixed by `DESIGN.md` §4. Labels are words of a closed vocabulary or a binding's
//! namespace and name; never a page id, a path or anything derived from a secret.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($field:ident),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub struct $name { $(#[allow(missing_docs)] pub $field: String),+ }

        impl $name {
            /// The labels with these values.
            pub fn new($($field: impl Into<String>),+) -> Self {
                Self { $($field: $field.into()),+ }
            }
        }
    };
}

labels!(
    /// Reply status and reason of a webhook request.
    WebhookLabels { status, reason }
);
labels!(
    /// Operation and answer of a request to Notion.
    NotionLabels { operation, code }
);
labels!(
    /// One reason.
    ReasonLabel { reason }
);
labels!(
    /// The direction of a write.
    DirectionLabel { direction }
);
labels!(
    /// The side of a write.
    SideLabel { side }
);
labels!(
    /// Who won a conflict.
    WinnerLabel { winner }
);
labels!(
    /// The state of an inbox event.
    StateLabel { state }
);
labels!(
    /// A binding and one health.
    HealthLabels { namespace, name, health }
);
labels!(
    /// A binding and one kind of drift.
    DriftLabels { namespace, name, kind }
);
labels!(
    /// A binding and one side.
    LagLabels { namespace, name, side }
);
labels!(
    /// A controller and the result of a reconcile.
    ReconcileLabels { controller, result }
);
labels!(
    /// A controller.
    ControllerLabel { controller }
);

/// A gauge of a fractional number.
pub type FloatGauge = Gauge<f64, AtomicU64>;
/// A counter of a fractional number.
pub type FloatCounter = Counter<f64, AtomicU64>;

/// Buckets of every duration, in seconds: from a local commit to a stalled peer.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0,
];

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

/// All metric families; cheap to clone, every clone counts into the same families.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each field is the metric of that name")]
pub struct Metrics {
    pub webhook_requests: Family<WebhookLabels, Counter>,
    pub webhook_accept_seconds: Histogram,
    pub apply_seconds: Family<DirectionLabel, Histogram>,
    pub inbox_events: Family<StateLabel, Gauge>,
    pub changes_pending: Gauge,
    pub notion_requests: Family<NotionLabels, Counter>,
    pub notion_throttled_seconds: Family<ReasonLabel, FloatCounter>,
    pub field_writes: Family<SideLabel, Counter>,
    pub field_failures: Family<ReasonLabel, Counter>,
    pub conflicts: Family<WinnerLabel, Counter>,
    pub binding_health: Family<HealthLabels, Gauge>,
    pub binding_drift: Family<DriftLabels, Gauge>,
    pub binding_lag_seconds: Family<LagLabels, FloatGauge>,
    pub reconcile: Family<ReconcileLabels, Counter>,
    pub reconcile_seconds: Family<ControllerLabel, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            webhook_requests: Family::default(),
            webhook_accept_seconds: histogram(),
            apply_seconds: Family::new_with_constructor(histogram),
            inbox_events: Family::default(),
            changes_pending: Gauge::default(),
            notion_requests: Family::default(),
            notion_throttled_seconds: Family::default(),
            field_writes: Family::default(),
            field_failures: Family::default(),
            conflicts: Family::default(),
            binding_health: Family::default(),
            binding_drift: Family::default(),
            binding_lag_seconds: Family::default(),
            reconcile: Family::default(),
            reconcile_seconds: Family::new_with_constructor(histogram),
        }
    }
}

impl Metrics {
    /// Makes the families and registers them under their names.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        metrics.register_own(registry.sub_registry_with_prefix("notion_sync"));
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles by result",
            metrics.reconcile.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconcile",
            metrics.reconcile_seconds.clone(),
        );
        metrics
    }

    /// Forgets the gauges of every binding: another replica works on them and tells theirs.
    pub fn forget_bindings(&self) {
        self.binding_health.clear();
        self.binding_drift.clear();
        self.binding_lag_seconds.clear();
        self.inbox_events.clear();
    }

    fn register_own(&self, own: &mut Registry) {
        own.register(
            "webhook_requests",
            "Webhook requests by reply",
            self.webhook_requests.clone(),
        );
        own.register(
            "webhook_accept_seconds",
            "From the end of a request's body to its reply",
            self.webhook_accept_seconds.clone(),
        );
        own.register(
            "apply_seconds",
            "From acceptance or commit of a change to its write on the other side",
            self.apply_seconds.clone(),
        );
        own.register(
            "inbox_events",
            "Events in the inbox by state",
            self.inbox_events.clone(),
        );
        own.register(
            "changes_pending",
            "Captured changes not yet applied",
            self.changes_pending.clone(),
        );
        own.register(
            "notion_requests",
            "Requests to Notion by operation and answer",
            self.notion_requests.clone(),
        );
        own.register(
            "notion_throttled_seconds",
            "Time spent waiting for the request budget",
            self.notion_throttled_seconds.clone(),
        );
        own.register(
            "field_writes",
            "Fields written by side",
            self.field_writes.clone(),
        );
        own.register(
            "field_failures",
            "Fields that could not be brought into step, by reason",
            self.field_failures.clone(),
        );
        own.register("conflicts", "Conflicts by winner", self.conflicts.clone());
        own.register(
            "binding_health",
            "1 for the binding's health",
            self.binding_health.clone(),
        );
        own.register("binding_drift", "Drift by kind", self.binding_drift.clone());
        own.register(
            "binding_lag_seconds",
            "Age of the oldest change not yet applied",
            self.binding_lag_seconds.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn names_are_those_of_the_design() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics
            .webhook_requests
            .get_or_create(&WebhookLabels::new("queued", ""))
            .inc();
        metrics
            .reconcile
            .get_or_create(&ReconcileLabels::new("notionsyncbinding", "ok"))
            .inc();
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("notion_sync_webhook_requests_total{status=\"queued\",reason=\"\"} 1")
        );
        assert!(text.contains("controller_runtime_reconcile_total{"));
        assert!(text.contains("notion_sync_webhook_accept_seconds_bucket"));
    }
}
