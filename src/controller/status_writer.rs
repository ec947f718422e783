//! Writes status: by server-side apply, whole, and only when it is worth a write.
//!
//! What is compared is a fresh read, never the watch's cache, which may be older than our own last
//! write: a comparison with it once kept a failure in status for ever. The trigger of the
//! controller ignores status, so a write starts no pass.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::api::status::NotionSyncBindingStatus;
use crate::api::{GROUP, KIND, NotionSyncBinding, VERSION};

/// The field manager of everything in status.
pub const STATUS_MANAGER: &str = "notion-sync-operator/status";

/// Times alone are written at most this often, or once an interval if that is longer.
pub(super) const IDLE_WRITE: Duration = Duration::from_mins(5);

/// The object whose status is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: another object may have taken the name meanwhile.
    pub uid: String,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// Status was patched.
    Patched {
        /// Status before.
        old: Box<NotionSyncBindingStatus>,
        /// Status now.
        new: Box<NotionSyncBindingStatus>,
    },
    /// Nothing in it was worth a write.
    Unchanged(Box<NotionSyncBindingStatus>),
    /// The object is gone, or another one has its name.
    Gone,
}

/// Writes the status of bindings.
#[derive(Clone)]
pub struct StatusWriter {
    client: Client,
}

impl StatusWriter {
    /// A writer that speaks through this client.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Reads status, computes the new one from it and writes it if it is worth a write.
    pub async fn write(
        &self,
        target: &Target,
        interval: Duration,
        compute: impl FnOnce(Option<&NotionSyncBindingStatus>) -> NotionSyncBindingStatus,
    ) -> Result<Written, kube::Error> {
        let resource = ApiResource::erase::<NotionSyncBinding>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &target.namespace, &resource);
        let Some(object) = api.get_opt(&target.name).await? else {
            return Ok(Written::Gone);
        };
        if object.metadata.uid.as_deref() != Some(&*target.uid) {
            return Ok(Written::Gone);
        }
        let old = read(&object.data);
        let new = compute(old.as_ref());
        if !worth_writing(old.as_ref(), &new, interval) {
            return Ok(Written::Unchanged(Box::new(new)));
        }
        let patch = Patch::Apply(body(target, &new));
        let params = PatchParams::apply(STATUS_MANAGER).force();
        match api.patch_status(&target.name, &params, &patch).await {
            Ok(_) => Ok(Written::Patched {
                old: Box::new(old.unwrap_or_default()),
                new: Box::new(new),
            }),
            // With force, a conflict can only be the UID.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Written::Gone),
            Err(error) => Err(error),
        }
    }
}

fn body(target: &Target, status: &NotionSyncBindingStatus) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": target.name, "namespace": target.namespace, "uid": target.uid },
        "status": status,
    })
}

/// Status as another version of the operator may have written it: unreadable is like absent.
fn read(object: &Value) -> Option<NotionSyncBindingStatus> {
    let status = object.get("status")?;
    serde_json::from_value(status.clone()).ok()
}

/// Whether the new status says more than that time has passed.
///
/// Transitions, counts, drift, receipts, progress and full scans are written at once. Times that
/// move with every pass wait for five minutes or the interval, whichever is longer.
pub fn worth_writing(
    old: Option<&NotionSyncBindingStatus>,
    new: &NotionSyncBindingStatus,
    interval: Duration,
) -> bool {
    let Some(old) = old else { return true };
    if without_times(old) != without_times(new) {
        return true;
    }
    match (&old.last_sync_time, &new.last_sync_time) {
        (Some(old), Some(new)) => elapsed(old.0, new.0) >= interval.max(IDLE_WRITE),
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn without_times(status: &NotionSyncBindingStatus) -> NotionSyncBindingStatus {
    let mut status = status.clone();
    status.last_sync_time = None;
    status.lag = None;
    if let Some(drift) = &mut status.drift {
        drift.checked_at = None;
    }
    if let Some(webhook) = &mut status.webhook {
        webhook.last_event_time = None;
        webhook.last_rejection_time = None;
    }
    status
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::status::{CountsStatus, Health, LagStatus};

    fn idle(second: i64) -> NotionSyncBindingStatus {
        let time = Time(Timestamp::from_second(second).unwrap());
        NotionSyncBindingStatus {
            health: Some(Health::Healthy),
            last_sync_time: Some(time),
            lag: Some(LagStatus {
                notion: Some(format!("{second}s")),
                postgres: None,
            }),
            ..Default::default()
        }
    }

    #[test]
    fn idle_passes_write_once_in_five_minutes_or_an_interval() {
        let short = Duration::from_secs(10);
        assert!(!worth_writing(Some(&idle(0)), &idle(299), short));
        assert!(worth_writing(Some(&idle(0)), &idle(300), short));
        let long = Duration::from_hours(1);
        assert!(!worth_writing(Some(&idle(0)), &idle(3599), long));
        assert!(worth_writing(Some(&idle(0)), &idle(3600), long));
    }

    #[test]
    fn news_is_written_at_once() {
        let interval = Duration::from_mins(5);
        assert!(worth_writing(None, &idle(0), interval));
        let mut new = idle(1);
        new.counts = Some(CountsStatus::default());
        assert!(worth_writing(Some(&idle(0)), &new, interval));
        let mut new = idle(1);
        new.last_handled_reconcile_at = Some("now".to_owned());
        assert!(worth_writing(Some(&idle(0)), &new, interval));
        let mut first = idle(0);
        first.last_sync_time = None;
        assert!(worth_writing(Some(&first), &idle(1), interval));
    }

    #[test]
    fn a_status_of_another_version_is_read_as_far_as_it_goes() {
        let object = json!({ "status": {
            "health": "Sleepy", "drift": { "count": 3, "new": 1 }, "future": true,
        }});
        let status = read(&object).unwrap();
        assert_eq!(status.health, Some(Health::Unknown));
        assert_eq!(status.drift.unwrap().count, 3);
        assert_eq!(read(&json!({ "status": 7 })), None);
    }
}
