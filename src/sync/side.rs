//! The two sides of a pair, as resolutions, held sets and plans name them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A side of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// The page.
    Notion,
    /// The row.
    Postgres,
}

impl Side {
    /// The side as conflicts, annotations and metrics spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notion => "Notion",
            Self::Postgres => "Postgres",
        }
    }
}

/// Which side's value a person chose for conflicts of a pair that are still open, by column.
pub type Resolutions = BTreeMap<String, Side>;
