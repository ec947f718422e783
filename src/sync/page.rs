//! A Notion page as the sync rule sees it.
//!
//! The wire form stays in `notion/`; here a page is its identity, its times and the decoded values
//! of the properties somebody asked for.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::identity::{DataSourceId, PageId, PropertyId, UserId};

macro_rules! property_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// The type of a property.
        ///
        /// A type outside this list is carried as [`PropertyType::Other`], never refused: Notion
        /// adds types at any time (`facts/notion-api.md` §1).
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum PropertyType {
            $($(#[$doc])* $variant,)+
            /// Any other type, by Notion's name.
            #[serde(untagged)]
            Other(String),
        }

        impl PropertyType {
            /// Reads Notion's name of a type.
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }

            /// Notion's name of the type.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(name) => name,
                }
            }

            /// Every type that has a name here.
            #[cfg(test)]
            pub(crate) fn all() -> Vec<Self> {
                vec![$(Self::$variant),+]
            }
        }
    };
}

property_types!(
    /// The title of the page; every data source has exactly one.
    Title = "title",
    /// Formatted text.
    RichText = "rich_text",
    /// A number.
    Number = "number",
    /// One option of a list.
    Select = "select",
    /// Any number of options of a list.
    MultiSelect = "multi_select",
    /// One option of a grouped list.
    Status = "status",
    /// True or false; never empty.
    Checkbox = "checkbox",
    /// A day or a moment, with an optional end.
    Date = "date",
    /// A URL.
    Url = "url",
    /// An e-mail address.
    Email = "email",
    /// A phone number, in any form.
    PhoneNumber = "phone_number",
    /// Pages of another data source, or of the same.
    Relation = "relation",
    /// Users and groups.
    People = "people",
    /// Files, stored by Notion or elsewhere; never written.
    Files = "files",
    /// When the page was created; read-only.
    CreatedTime = "created_time",
    /// When the page was last edited, to the minute; read-only.
    LastEditedTime = "last_edited_time",
    /// Who created the page; read-only.
    CreatedBy = "created_by",
    /// Who edited the page last; read-only.
    LastEditedBy = "last_edited_by",
    /// A number that Notion gives each page, with an optional prefix; read-only.
    UniqueId = "unique_id",
    /// A value that Notion computes from the page; read-only.
    Formula = "formula",
    /// A value that Notion computes from related pages; read-only.
    Rollup = "rollup",
    /// Whether somebody vouches for a page of a wiki; read-only here.
    Verification = "verification",
    /// Something to click, without a value.
    Button = "button",
    /// A place on the map; read-only here.
    Place = "place",
);

impl PropertyType {
    /// Whether values of the type only ever go to Postgres (`design/sync.md` §5).
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Title
            | Self::RichText
            | Self::Number
            | Self::Select
            | Self::MultiSelect
            | Self::Status
            | Self::Checkbox
            | Self::Date
            | Self::Url
            | Self::Email
            | Self::PhoneNumber
            | Self::Relation
            | Self::People => false,
            Self::Files
            | Self::CreatedTime
            | Self::LastEditedTime
            | Self::CreatedBy
            | Self::LastEditedBy
            | Self::UniqueId
            | Self::Formula
            | Self::Rollup
            | Self::Verification
            | Self::Button
            | Self::Place
            | Self::Other(_) => true,
        }
    }

    /// Whether the order of a value's elements means nothing (`design/sync.md` §2).
    pub fn is_set(&self) -> bool {
        matches!(self, Self::MultiSelect | Self::Relation | Self::People)
    }

    /// Whether Notion computes the value from other pages.
    pub fn is_computed(&self) -> bool {
        matches!(self, Self::Formula | Self::Rollup)
    }
}

/// One end of a date: a day, or a moment.
///
/// People switch a cell between the two at any time, so both forms occur in one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrTime {
    /// A day without a time.
    Day(civil::Date),
    /// A moment; Notion keeps minutes only.
    Moment(Timestamp),
}

/// The value of a date property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotionDate {
    /// The start.
    pub start: DateOrTime,
    /// The end of a range.
    pub end: Option<DateOrTime>,
}

/// A user as `created_by` and `last_edited_by` show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The name, where the connection may see it and the user has one.
    pub name: Option<String>,
}

impl User {
    /// The name, else the id.
    pub fn shown(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }
}

/// The value of a unique id property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueId {
    /// The prefix that the property was given, if any.
    pub prefix: Option<String>,
    /// The number of the page.
    pub number: i64,
}

impl std::fmt::Display for UniqueId {
    /// `PREFIX-n`, or `n`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.prefix {
            Some(prefix) => write!(f, "{prefix}-{}", self.number),
            None => self.number.fmt(f),
        }
    }
}

/// A decoded property value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyValue {
    /// Title and rich text: `plain_text` of every segment, joined.
    Text {
        /// The joined text; empty where the property is empty.
        plain: String,
        /// Whether it holds mentions, equations or links, which plain text would destroy.
        #[serde(default)]
        lossy: bool,
    },
    /// A number, exactly as the JSON wrote it.
    Number(Option<BigDecimal>),
    /// A checkbox.
    Checkbox(bool),
    /// The name of the chosen option of a select or status.
    Choice(Option<String>),
    /// A date.
    Date(Option<NotionDate>),
    /// URL, e-mail address, phone number; the state of a verification.
    Line(Option<String>),
    /// Created time, last edited time.
    Moment(Timestamp),
    /// The names of the chosen options of a multi-select, in Notion's order; a set.
    Names(Vec<String>),
    /// The ids of a relation's pages or of people, in Notion's order, complete; a set.
    Ids(Vec<Uuid>),
    /// URLs of files without their queries, which sign them for an hour.
    Files(Vec<String>),
    /// Who created or last edited the page.
    User(Option<User>),
    /// A unique id.
    UniqueId(Option<UniqueId>),
    /// The elements of a rollup.
    List(Vec<PropertyValue>),
    /// A value without a form here, as received: button, place, types that nobody has seen.
    Raw(serde_json::Value),
}

impl PropertyValue {
    /// The value as the audit row and the admin API show it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text { plain, .. } => plain.as_str().into(),
            Self::Number(number) => number.as_ref().map(super::column::number_json).into(),
            Self::Checkbox(checked) => (*checked).into(),
            Self::Choice(text) | Self::Line(text) => text.as_deref().into(),
            Self::Date(date) => date.as_ref().map(super::convert::date_json).into(),
            Self::Moment(moment) => moment.to_string().into(),
            Self::Names(texts) | Self::Files(texts) => texts.as_slice().into(),
            Self::Ids(ids) => ids.iter().map(Uuid::to_string).collect(),
            Self::User(user) => user.as_ref().map(User::shown).into(),
            Self::UniqueId(id) => id.as_ref().map(UniqueId::to_string).into(),
            Self::List(elements) => elements.iter().map(Self::to_json).collect(),
            Self::Raw(value) => value.clone(),
        }
    }
}

/// What a read of a property gave.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyRead {
    /// The whole value.
    Value(PropertyValue),
    /// Notion may have cut the value short: it must be read by itself before it is compared.
    Truncated,
    /// A type, or a form of it, that is not supported.
    Unsupported,
}

/// One property of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageProperty {
    /// Its type as this page says.
    pub kind: PropertyType,
    /// What was read.
    pub read: PropertyRead,
}

/// Where a snapshot comes from; later variants are trusted more (`facts/notion-api.md` §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// Values that a webhook carried: provisional, the next read settles them.
    Payload,
    /// A row of a query, which may lag behind.
    Query,
    /// A direct read of the page.
    Get,
}

/// A page at the moment it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct PageSnapshot {
    /// The page.
    pub id: PageId,
    /// Where it was read.
    pub provenance: Provenance,
    /// The data source it belongs to, where its parent is one.
    pub data_source: Option<DataSourceId>,
    /// Whether it lies in the trash.
    pub in_trash: bool,
    /// Whether it is archived: retired from views and queries, but alive.
    pub is_archived: bool,
    /// When it was created, to the minute.
    pub created_time: Option<Timestamp>,
    /// When it was last edited, to the minute. Absent only in payloads.
    pub last_edited_time: Option<Timestamp>,
    /// Who edited it last.
    pub last_edited_by: Option<UserId>,
    /// The wanted properties, by id.
    pub properties: BTreeMap<PropertyId, PageProperty>,
}

/// One property of a data source's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertySchema {
    /// The stable id.
    pub id: PropertyId,
    /// Today's name.
    pub name: String,
    /// The type.
    pub kind: PropertyType,
    /// The data source whose pages a relation names; `None` for other types.
    pub relation_target: Option<DataSourceId>,
    /// The names of the options of a select, multi-select or status, in Notion's order; empty for
    /// other types.
    pub options: Vec<String>,
}

impl PropertySchema {
    /// A property without options and without a target.
    pub fn new(id: PropertyId, name: String, kind: PropertyType) -> Self {
        Self {
            id,
            name,
            kind,
            relation_target: None,
            options: Vec::new(),
        }
    }
}

/// A data source as Notion describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSource {
    /// The data source.
    pub id: DataSourceId,
    /// Its title in plain text.
    pub title: String,
    /// Whether it, or its database, lies in the trash.
    pub in_trash: bool,
    /// Its properties.
    pub properties: Vec<PropertySchema>,
}
