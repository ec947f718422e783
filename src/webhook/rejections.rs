//! Counts refused requests in memory, for each binding.
//!
//! A forged request must cost neither a transaction nor a write of status, so refusals are only
//! added up here and handed on once a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::ports::{EventSink, RejectionNote};
use super::reply::Refusal;
use crate::sync::identity::BindingRef;

/// What was refused since the last flush.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<BTreeMap<BindingRef, RejectionNote>>);

impl Rejections {
    /// Counts one refusal.
    pub fn count(&self, binding: &BindingRef, refusal: Refusal, at: Timestamp) {
        self.add(RejectionNote {
            binding: binding.clone(),
            count: 1,
            last_reason: refusal.code(),
            last_at: at,
        });
    }

    /// Hands everything to the sink. What it does not take is kept for the next time.
    pub async fn flush(&self, sink: &dyn EventSink) {
        let notes: Vec<_> = {
            let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tallies).into_values().collect()
        };
        if notes.is_empty() {
            return;
        }
        if let Err(error) = sink.note_rejections(notes.clone()).await {
            tracing::debug!(error = %error, "rejected webhook requests could not be noted");
            for note in notes {
                self.add(note);
            }
        }
    }

    fn add(&self, note: RejectionNote) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = tallies.get_mut(&note.binding) else {
            tallies.insert(note.binding.clone(), note);
            return;
        };
        known.count += note.count;
        if note.last_at >= known.last_at {
            known.last_reason = note.last_reason;
            known.last_at = note.last_at;
        }
    }
}
