//! A Notion page as the sync rule sees it.
//!
//! The wire form stays in `notion/`; here a page is its identity, its times and the decoded values
//! of the properties somebody asked for.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};

use super::identity::{DataSourceId, PageId, PropertyId, UserId};

/// The type of a property.
///
/// A type outside this list is carried as [`PropertyType::Other`], never refused: Notion adds types
/// at any time (`facts/notion-api.md` §1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyType {
    /// The title of the page; every data source has exactly one.
    Title,
    /// Formatted text.
    RichText,
    /// A number.
    Number,
    /// One option of a list.
    Select,
    /// One option of a grouped list.
    Status,
    /// True or false; never empty.
    Checkbox,
    /// A day or a moment, with an optional end.
    Date,
    /// A URL.
    Url,
    /// An e-mail address.
    Email,
    /// A phone number, in any form.
    PhoneNumber,
    /// When the page was created; read-only.
    CreatedTime,
    /// When the page was last edited, to the minute; read-only.
    LastEditedTime,
    /// Any other type, by Notion's name.
    #[serde(untagged)]
    Other(String),
}

impl PropertyType {
    /// Reads Notion's name of a type.
    pub fn from_name(name: &str) -> Self {
        match name {
            "title" => Self::Title,
            "rich_text" => Self::RichText,
            "number" => Self::Number,
            "select" => Self::Select,
            "status" => Self::Status,
            "checkbox" => Self::Checkbox,
            "date" => Self::Date,
            "url" => Self::Url,
            "email" => Self::Email,
            "phone_number" => Self::PhoneNumber,
            "created_time" => Self::CreatedTime,
            "last_edited_time" => Self::LastEditedTime,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Notion's name of the type.
    pub fn name(&self) -> &str {
        match self {
            Self::Title => "title",
            Self::RichText => "rich_text",
            Self::Number => "number",
            Self::Select => "select",
            Self::Status => "status",
            Self::Checkbox => "checkbox",
            Self::Date => "date",
            Self::Url => "url",
            Self::Email => "email",
            Self::PhoneNumber => "phone_number",
            Self::CreatedTime => "created_time",
            Self::LastEditedTime => "last_edited_time",
            Self::Other(name) => name,
        }
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
    /// URL, e-mail address, phone number.
    Line(Option<String>),
    /// Created time, last edited time.
    Moment(Timestamp),
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
