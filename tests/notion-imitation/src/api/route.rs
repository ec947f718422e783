//! Which call a method and path mean. Paths are compared segment by segment, still encoded.

/// A call, with ids as they stand in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Me,
    Users,
    User(String),
    Database(String),
    DataSource(String),
    UpdateDataSource(String),
    Query(String),
    CreatePage,
    Page(String),
    UpdatePage(String),
    MovePage(String),
    Property { page: String, property: String },
    DeleteBlock(String),
}

impl Call {
    /// The call of a request; `None` where Notion answers `invalid_request_url`.
    pub(crate) fn of(method: &str, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        let owned = |text: &&str| (*text).to_owned();
        Some(match (method, segments.as_slice()) {
            ("GET", ["users", "me"]) => Self::Me,
            ("GET", ["users"]) => Self::Users,
            ("GET", ["users", id]) => Self::User(owned(id)),
            ("GET", ["databases", id]) => Self::Database(owned(id)),
            ("GET", ["data_sources", id]) => Self::DataSource(owned(id)),
            ("PATCH", ["data_sources", id]) => Self::UpdateDataSource(owned(id)),
            ("POST", ["data_sources", id, "query"]) => Self::Query(owned(id)),
            ("POST", ["pages"]) => Self::CreatePage,
            ("GET", ["pages", id]) => Self::Page(owned(id)),
            ("PATCH", ["pages", id]) => Self::UpdatePage(owned(id)),
            ("POST", ["pages", id, "move"]) => Self::MovePage(owned(id)),
            ("GET", ["pages", page, "properties", property]) => Self::Property {
                page: owned(page),
                property: owned(property),
            },
            ("DELETE", ["blocks", id]) => Self::DeleteBlock(owned(id)),
            _ => return None,
        })
    }

    /// The name of the operation in the log, in failures and in latencies.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Me => "users.me",
            Self::Users => "users.list",
            Self::User(_) => "users.retrieve",
            Self::Database(_) => "databases.retrieve",
            Self::DataSource(_) => "data_sources.retrieve",
            Self::UpdateDataSource(_) => "data_sources.update",
            Self::Query(_) => "data_sources.query",
            Self::CreatePage => "pages.create",
            Self::Page(_) => "pages.retrieve",
            Self::UpdatePage(_) => "pages.update",
            Self::MovePage(_) => "pages.move",
            Self::Property { .. } => "pages.properties.retrieve",
            Self::DeleteBlock(_) => "blocks.delete",
        }
    }

    /// Whether it changes something.
    pub(crate) fn is_write(&self) -> bool {
        matches!(
            self,
            Self::UpdateDataSource(_)
                | Self::CreatePage
                | Self::UpdatePage(_)
                | Self::MovePage(_)
                | Self::DeleteBlock(_)
        )
    }

    /// Whether it exists only since 2025-09-03.
    pub(crate) fn needs_data_sources(&self) -> bool {
        matches!(
            self,
            Self::DataSource(_) | Self::UpdateDataSource(_) | Self::Query(_)
        )
    }
}
