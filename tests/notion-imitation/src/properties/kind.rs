//! The property types of Notion.

/// A property type. `Unknown` carries a type that Notion may add one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Title,
    RichText,
    Number,
    Select,
    MultiSelect,
    Status,
    Date,
    People,
    Files,
    Checkbox,
    Url,
    Email,
    PhoneNumber,
    Relation,
    Formula,
    Rollup,
    CreatedTime,
    LastEditedTime,
    CreatedBy,
    LastEditedBy,
    UniqueId,
    Verification,
    Button,
    Place,
    Unknown(Box<str>),
}

const NAMES: &[(&str, Kind)] = &[
    ("title", Kind::Title),
    ("rich_text", Kind::RichText),
    ("number", Kind::Number),
    ("select", Kind::Select),
    ("multi_select", Kind::MultiSelect),
    ("status", Kind::Status),
    ("date", Kind::Date),
    ("people", Kind::People),
    ("files", Kind::Files),
    ("checkbox", Kind::Checkbox),
    ("url", Kind::Url),
    ("email", Kind::Email),
    ("phone_number", Kind::PhoneNumber),
    ("relation", Kind::Relation),
    ("formula", Kind::Formula),
    ("rollup", Kind::Rollup),
    ("created_time", Kind::CreatedTime),
    ("last_edited_time", Kind::LastEditedTime),
    ("created_by", Kind::CreatedBy),
    ("last_edited_by", Kind::LastEditedBy),
    ("unique_id", Kind::UniqueId),
    ("verification", Kind::Verification),
    ("button", Kind::Button),
    ("place", Kind::Place),
];

impl Kind {
    /// The type of a known name.
    pub(crate) fn known(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| kind.clone())
    }

    /// The type of any name.
    pub(crate) fn of(name: &str) -> Self {
        Self::known(name).unwrap_or_else(|| Self::Unknown(name.into()))
    }

    /// As Notion writes it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Unknown(name) => name,
            known => NAMES
                .iter()
                .find(|(_, kind)| kind == known)
                .map_or("unknown", |(name, _)| name),
        }
    }

    /// Whether the value is computed by Notion: the API refuses to write it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.is_computed()
            || matches!(
                self,
                Self::CreatedTime
                    | Self::LastEditedTime
                    | Self::CreatedBy
                    | Self::LastEditedBy
                    | Self::UniqueId
                    | Self::Button
            )
    }

    /// Whether a change of the value is a recomputation, which edits no page.
    pub(crate) fn is_computed(&self) -> bool {
        matches!(self, Self::Formula | Self::Rollup | Self::Unknown(_))
    }

    pub(crate) fn has_options(&self) -> bool {
        matches!(self, Self::Select | Self::MultiSelect | Self::Status)
    }

    /// Whether the property endpoint answers with a list.
    pub(crate) fn is_paged(&self) -> bool {
        matches!(
            self,
            Self::Title | Self::RichText | Self::People | Self::Relation | Self::Rollup
        )
    }
}
