//! Kubernetes Events: one for each transition, none for each pass.
//!
//! Notes are constant texts with names of objects and the remedy. Events are written by server-side
//! apply like everything else, and repeats of one note are folded into a series. (The `Recorder` of
//! kube-runtime creates and merges, and folds by reason alone, so that a second problem of the same
//! reason would be shown with the remedy of the first.)

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::conditions::{MESSAGE_MAX, Truth, cut, find, kind, truth_of};
use super::status_writer::Target;
use crate::api::{GROUP, KIND, VERSION};
use crate::sync::reason::Reason;

/// The field manager of Events.
const EVENT_MANAGER: &str = "notion-sync-operator/events";
/// Who reports.
const CONTROLLER: &str = "notionsync.dev/notion-sync-operator";
/// What was being done when something happened.
const ACTION: &str = "Sync";
/// How long repeats of one note are folded into one Event.
const FOLD: Duration = Duration::from_mins(6);
/// The longest name of a Kubernetes object.
const NAME_MAX: usize = 253;

/// How an Event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Something to know.
    Normal,
    /// Something to do.
    Warning,
}

/// Something to tell about a binding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notice {
    /// How it is shown.
    pub severity: Severity,
    /// The reason, as conditions and metrics spell it, or one of [`notice`].
    pub reason: String,
    /// A constant text with names of objects and the remedy; never a value.
    pub note: String,
}

/// Reasons of Events that are not about a condition.
pub mod notice {
    /// A property has another name now and is followed.
    pub const PROPERTY_RENAMED: &str = "PropertyRenamed";
}

impl Notice {
    /// A property was renamed and is followed by its id.
    pub fn property_renamed(column: &str, from: &str, to: &str) -> Self {
        Self {
            severity: Severity::Normal,
            reason: notice::PROPERTY_RENAMED.to_owned(),
            note: format!(
                "column {column}: the property {from:?} is now called {to:?} and is followed by its id"
            ),
        }
    }
}

/// What the change from one list of conditions to the next is worth telling.
///
/// Each reason is told once, by the condition that is nearest to its cause.
pub fn transitions(old: &[Condition], new: &[Condition]) -> Vec<Notice> {
    let causes = new
        .iter()
        .filter(|condition| condition.type_ != kind::READY);
    let ready = new
        .iter()
        .filter(|condition| condition.type_ == kind::READY);
    let mut notices: Vec<Notice> = Vec::new();
    for condition in causes.chain(ready) {
        let told = |notice: &Notice| notice.reason == condition.reason;
        if let Some(severity) = worth_telling(find(old, &condition.type_), condition)
            && !notices.iter().any(told)
        {
            notices.push(Notice {
                severity,
                reason: condition.reason.clone(),
                note: note(condition),
            });
        }
    }
    notices
}

fn worth_telling(old: Option<&Condition>, new: &Condition) -> Option<Severity> {
    let was = old.map(truth_of);
    let is = truth_of(new);
    let changed = was != Some(is) || old.is_some_and(|old| old.reason != new.reason);
    match (&*new.type_, is) {
        _ if !changed => None,
        (kind::RECONCILING, _) => None,
        (kind::READY, Truth::False) if new.reason == Reason::InitialScan.as_str() => {
            Some(Severity::Normal)
        }
        (kind::READY, _) if new.reason == Reason::Suspended.as_str() => Some(Severity::Normal),
        (kind::STALLED, _) | (_, Truth::False) => Some(Severity::Warning),
        (kind::READY | kind::WEBHOOK_VERIFIED, Truth::True) => Some(Severity::Normal),
        (_, Truth::True) => (was == Some(Truth::False)).then_some(Severity::Normal),
        (_, Truth::Unknown) => None,
    }
}

/// The text of an Event: the condition's message, but without numbers that change.
fn note(condition: &Condition) -> String {
    let constant = [
        (
            Reason::DriftFound,
            "The two sides differ; status.drift has counts and samples.",
        ),
        (
            Reason::ConflictsFound,
            "Conflicts wait for a decision; status.drift has counts and samples.",
        ),
        (
            Reason::Held,
            "Changes are held for approval; status.drift has counts and samples.",
        ),
    ];
    let found = constant
        .iter()
        .find(|(reason, _)| reason.as_str() == condition.reason);
    found.map_or_else(|| condition.message.clone(), |(_, text)| (*text).to_owned())
}

/// An Event that may yet be repeated.
#[derive(Clone)]
struct Told {
    name: String,
    first: Timestamp,
    last: Timestamp,
    count: i32,
}

/// Publishes Events; one for the whole process, because it folds repeats.
pub struct Publisher {
    client: Client,
    instance: String,
    told: Mutex<HashMap<(String, Notice), Told>>,
}

impl Publisher {
    /// A publisher that reports as `instance` (`POD_NAME`).
    pub fn new(client: Client, instance: &str) -> Self {
        Self {
            client,
            instance: instance.to_owned(),
            told: Mutex::default(),
        }
    }

    /// Publishes notices about a binding. Events are a courtesy: status has everything too, so a
    /// failure is logged and otherwise ignored.
    pub async fn publish(&self, target: &Target, notices: &[Notice]) {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &target.namespace);
        for notice in notices {
            let told = self.tell(target, notice, Timestamp::now());
            let body = Patch::Apply(self.body(target, notice, &told));
            let params = PatchParams::apply(EVENT_MANAGER).force();
            if let Err(error) = api.patch(&told.name, &params, &body).await {
                tracing::warn!(
                    binding.namespace = target.namespace, binding.name = target.name,
                    event.reason = notice.reason, error = %error, "an Event could not be written"
                );
            }
        }
    }

    /// Counts a notice, as a repeat if it was told a short while ago.
    fn tell(&self, target: &Target, notice: &Notice, now: Timestamp) -> Told {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, told| now.duration_since(told.last).unsigned_abs() < FOLD);
        let entry = told
            .entry((target.uid.clone(), notice.clone()))
            .and_modify(|told| {
                told.count += 1;
                told.last = now;
            })
            .or_insert_with(|| Told {
                name: event_name(&target.name, notice, now),
                first: now,
                last: now,
                count: 1,
            });
        entry.clone()
    }

    fn body(&self, target: &Target, notice: &Notice, told: &Told) -> Value {
        let severity = match notice.severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        let event = Event {
            metadata: ObjectMeta {
                name: Some(told.name.clone()),
                namespace: Some(target.namespace.clone()),
                ..Default::default()
            },
            event_time: Some(MicroTime(told.first)),
            action: Some(ACTION.to_owned()),
            reason: Some(notice.reason.clone()),
            note: Some(cut(&notice.note, MESSAGE_MAX).to_owned()),
            type_: Some(severity.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(format!("{GROUP}/{VERSION}")),
                kind: Some(KIND.to_owned()),
                namespace: Some(target.namespace.clone()),
                name: Some(target.name.clone()),
                uid: Some(target.uid.clone()),
                ..Default::default()
            }),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(cut(&self.instance, 128).to_owned()),
            series: (told.count > 1).then_some(EventSeries {
                count: told.count,
                last_observed_time: MicroTime(told.last),
            }),
            ..Default::default()
        };
        json!(event)
    }
}

/// The binding's name, cut where it would leave no room, and something that is never the same.
fn event_name(binding: &str, notice: &Notice, now: Timestamp) -> String {
    let text = format!(
        "{}\u{1e}{}\u{1e}{}",
        notice.reason,
        notice.note,
        now.as_nanosecond()
    );
    let digest = hex::encode(&Sha256::digest(text.as_bytes())[..8]);
    let room = NAME_MAX - 1 - digest.len();
    let stem = cut(binding, room).trim_end_matches(['-', '.']);
    format!("{stem}.{digest}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn condition(type_: &str, status: &str, reason: Reason) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_string(),
            message: format!("message of {reason}, 7 times"),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn reasons(old: &[Condition], new: &[Condition]) -> Vec<(String, Severity)> {
        let told = transitions(old, new);
        told.into_iter().map(|n| (n.reason, n.severity)).collect()
    }

    #[test]
    fn a_cause_is_told_once_and_only_when_it_comes() {
        let broken = [
            condition(kind::READY, "False", Reason::NotionTokenMissing),
            condition(kind::NOTION_REACHABLE, "False", Reason::NotionTokenMissing),
            condition(kind::SCHEMA_VALID, "Unknown", Reason::NotionTokenMissing),
        ];
        let warning = |reason: Reason| (reason.to_string(), Severity::Warning);
        assert_eq!(reasons(&[], &broken), [warning(Reason::NotionTokenMissing)]);
        assert_eq!(reasons(&broken, &broken), []);
        let other = [
            condition(kind::READY, "False", Reason::NotionUnauthorized),
            condition(kind::NOTION_REACHABLE, "False", Reason::NotionUnauthorized),
        ];
        assert_eq!(
            reasons(&broken, &other),
            [warning(Reason::NotionUnauthorized)]
        );
    }

    #[test]
    fn recovery_is_told_too() {
        let broken = [
            condition(kind::READY, "False", Reason::NotionUnavailable),
            condition(kind::NOTION_REACHABLE, "False", Reason::NotionUnavailable),
            condition(kind::DATABASE_REACHABLE, "True", Reason::Reachable),
        ];
        let well = [
            condition(kind::READY, "True", Reason::Synced),
            condition(kind::NOTION_REACHABLE, "True", Reason::Reachable),
            condition(kind::DATABASE_REACHABLE, "True", Reason::Reachable),
        ];
        let normal = |reason: Reason| (reason.to_string(), Severity::Normal);
        let expected = [normal(Reason::Reachable), normal(Reason::Synced)];
        assert_eq!(reasons(&broken, &well), expected);
        assert_eq!(reasons(&[], &well), [normal(Reason::Synced)]);
    }

    #[test]
    fn counts_stay_out_of_events() {
        let drift = [condition(kind::IN_SYNC, "False", Reason::DriftFound)];
        let told = transitions(&[], &drift);
        assert!(!told[0].note.contains('7'), "{}", told[0].note);
    }

    #[test]
    fn names_fit_and_differ() {
        let notice = Notice::property_renamed("a", "b", "c");
        let long = "x".repeat(NAME_MAX);
        let at = |second| event_name(&long, &notice, Timestamp::from_second(second).unwrap());
        assert_eq!(at(1).len(), NAME_MAX);
        assert_ne!(at(1), at(2));
        assert!(event_name("a", &notice, Timestamp::UNIX_EPOCH).starts_with("a."));
    }
}
