//! Who sees what. Access is given object by object and inherited downwards.

use uuid::Uuid;

use crate::error::ApiError;
use crate::state::change::Scope;
use crate::state::connection::Connection;
use crate::state::page::Parent;
use crate::state::world::World;

impl World {
    /// Whether a connection sees a data source: by itself or through its database.
    pub(crate) fn sees_data_source(&self, connection: &Connection, id: Uuid) -> bool {
        let Some(source) = self.data_sources.get(&id) else {
            return false;
        };
        connection
            .says(id)
            .unwrap_or_else(|| connection.sees(source.database))
    }

    /// Whether a connection sees a page that lies under `parent`.
    pub(crate) fn sees_page(&self, connection: &Connection, id: Uuid, parent: Parent) -> bool {
        connection.says(id).unwrap_or_else(|| match parent {
            Parent::DataSource(source) => self.sees_data_source(connection, source),
            Parent::Page(page) => connection.sees(page),
        })
    }

    /// Whether a connection is told about a change.
    pub(crate) fn sees(&self, connection: &Connection, scope: Scope) -> bool {
        match scope {
            Scope::Page(id, parent) => self.sees_page(connection, id, parent),
            Scope::DataSource(id) => self.sees_data_source(connection, id),
            Scope::Database(id) => connection.sees(id),
        }
    }

    /// The slot of a page that a connection sees, else 404.
    pub(crate) fn visible_page(&self, connection: &Connection, id: Uuid) -> Result<u32, ApiError> {
        self.slot(id)
            .filter(|slot| self.sees_page(connection, id, self.page(*slot).current.parent))
            .ok_or_else(|| ApiError::not_found("page", id, &connection.name, connection.bot))
    }

    /// Checks that a connection sees a data source, else 404.
    pub(crate) fn visible_data_source(
        &self,
        connection: &Connection,
        id: Uuid,
    ) -> Result<(), ApiError> {
        if self.sees_data_source(connection, id) {
            return Ok(());
        }
        Err(ApiError::not_found(
            "data source",
            id,
            &connection.name,
            connection.bot,
        ))
    }
}
