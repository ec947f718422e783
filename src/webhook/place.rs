//! Whether an event concerns a binding, as far as the event itself tells.
//!
//! Pure. Where this answers anything but [`Standing::Here`], a link of the page may still claim the
//! event: `page.moved` names only the new parent, and a legacy event may name none.

use super::ports::ReceiverBinding;
use crate::sync::identity::{DataSourceId, DatabaseId};

/// Where an event says that its object lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The data source, named as such.
    pub data_source: Option<DataSourceId>,
    /// The database, named as such.
    pub database: Option<DatabaseId>,
    /// An id that was called a database's and may be a data source's.
    pub perhaps_data_source: Option<DataSourceId>,
    /// The event names a parent. If it is none of the above, the object is no row at all.
    pub elsewhere: bool,
}

/// What an event's place means for one binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The event is about this binding's data source.
    Here,
    /// It is about something else.
    Elsewhere,
    /// It does not say, or the binding is not resolved far enough to tell.
    Unnamed,
}

impl Place {
    /// Compares the place with the data source of a binding.
    pub fn standing(&self, binding: &ReceiverBinding) -> Standing {
        let judged = |same: bool| {
            if same {
                Standing::Here
            } else {
                Standing::Elsewhere
            }
        };
        if binding.data_source.is_some() && self.perhaps_data_source == binding.data_source {
            return Standing::Here;
        }
        // A database may hold several data sources, so it decides only where nothing nearer does.
        let by_data_source = self
            .data_source
            .zip(binding.data_source)
            .map(|(a, b)| a == b);
        let by_database = self.database.zip(binding.database).map(|(a, b)| a == b);
        // Without a data source to compare, the database decides: also for a binding that is not
        // resolved yet, which keeps what happens in its database (S13).
        if let Some(same) = by_data_source.or(by_database) {
            return judged(same);
        }
        let names_a_place = self.data_source.is_some() || self.database.is_some();
        if self.elsewhere && !names_a_place {
            Standing::Elsewhere
        } else {
            Standing::Unnamed
        }
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
