//! One listening connection for each database whose bindings this process leads.
//!
//! It wakes a binding when a user's change was committed. Without it changes are found by the poll,
//! one second later at most.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::PgPool;

use super::context::Context;
use super::inbox_poll::ByDatabase;
use crate::store::capture::ChangeListener;
use crate::store::connection::Fingerprint;
use crate::sync::identity::BindingRef;

/// The listeners of this term of leadership; dropping them ends them.
#[derive(Debug, Default)]
pub struct Ears(HashMap<Fingerprint, ChangeListener>);

impl Ears {
    /// Lets go of databases that nobody lives in any more.
    pub fn retain(&mut self, databases: &ByDatabase) {
        self.0
            .retain(|database, _| databases.contains_key(database));
    }

    /// Makes sure that somebody listens in this database; says whether that is so yet.
    pub fn listen(&mut self, context: &Arc<Context>, database: Fingerprint, pool: &PgPool) -> bool {
        let known = self.0.get(&database).filter(|ear| !ear.is_closed());
        if let Some(ear) = known {
            return ear.listens();
        }
        let cluster_id = context.cluster_id().to_owned();
        let waking = Arc::clone(context);
        let wake = Arc::new(move |binding: BindingRef| wake(&waking, &binding));
        let ear = ChangeListener::start(pool.clone(), cluster_id, wake);
        self.0.insert(database, ear);
        false
    }
}

/// Starts a pass for captured changes. A binding that is gone or suspended would only be asked for
/// again and again; when it works again it compares everything.
pub fn wake(context: &Context, binding: &BindingRef) {
    let works = context
        .find(binding)
        .is_some_and(|found| !found.spec.suspend);
    if works && context.nudges.worker(binding).minds_changes() {
        context.nudges.events(binding);
    }
}
