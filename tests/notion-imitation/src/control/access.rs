//! Controls of connections: tokens, capabilities, and what is shared with them.

use std::sync::Arc;

use uuid::Uuid;

use crate::control::{ControlError, ControlResult, Controls};
use crate::state::connection::{Capability, Connection, ConnectionSpec};

impl Controls {
    /// Adds a connection; gives the id of its bot user.
    pub fn add_connection(&self, spec: &ConnectionSpec) -> ControlResult<Uuid> {
        if spec.token.is_empty() {
            return Err(ControlError::new("a connection needs a token"));
        }
        self.shared.with(|world| Ok(world.add_connection(spec).bot))
    }

    /// The token of the first connection.
    pub fn token(&self) -> String {
        self.shared.with(|world| world.first_token.clone())
    }

    /// The id of a connection's bot user; `None` is the first connection.
    pub fn bot(&self, token: Option<&str>) -> ControlResult<Uuid> {
        self.shared.with(|world| {
            let token = token.unwrap_or(&world.first_token);
            let found = world.connections.get(token);
            found
                .map(|it| it.bot)
                .ok_or_else(|| ControlError::new("no such connection"))
        })
    }

    fn change_connections(
        &self,
        token: Option<&str>,
        change: impl Fn(&mut Connection),
    ) -> ControlResult<()> {
        self.shared.with(|world| {
            let mut hits = 0;
            for (known, connection) in &mut world.connections {
                if token.is_none_or(|token| token == known) {
                    change(Arc::make_mut(connection));
                    hits += 1;
                }
            }
            if hits == 0 {
                Err(ControlError::new("no such connection"))
            } else {
                Ok(())
            }
        })
    }

    /// Revokes a token (401 from now on) or takes that back.
    pub fn revoke(&self, token: &str, revoked: bool) -> ControlResult<()> {
        self.change_connections(Some(token), |connection| connection.revoked = revoked)
    }

    /// Sets what a connection may do; `None` means all connections.
    pub fn set_capabilities(
        &self,
        token: Option<&str>,
        capabilities: &[Capability],
    ) -> ControlResult<()> {
        self.change_connections(token, |connection| {
            connection.capabilities = capabilities.to_vec();
        })
    }

    /// Takes a page, data source or database (and what lies below it) from a connection; `None`
    /// means from all.
    pub fn unshare(&self, id: impl Into<Uuid>, token: Option<&str>) -> ControlResult<()> {
        let id = id.into();
        self.change_connections(token, |connection| {
            connection.shared.remove(&id);
            connection.hidden.insert(id);
        })
    }

    /// Gives a page, data source or database (and what lies below it) to a connection; `None`
    /// means to all.
    pub fn share(&self, id: impl Into<Uuid>, token: Option<&str>) -> ControlResult<()> {
        let id = id.into();
        self.change_connections(token, |connection| {
            connection.hidden.remove(&id);
            connection.shared.insert(id);
        })
    }
}
