//! The GRANTs that are missing, as they can be pasted into psql.

use std::collections::BTreeSet;
use std::fmt;

use super::attribute::Attribute;
use super::relation::Relation;
use crate::store::ident::quote;

/// Missing privileges, collected into as few statements as possible.
pub(super) struct Grants<'a> {
    relation: &'a Relation,
    select_all: bool,
    select: BTreeSet<String>,
    update: BTreeSet<String>,
    insert: BTreeSet<String>,
    delete: bool,
    schemas: BTreeSet<String>,
}

impl<'a> Grants<'a> {
    /// Nothing but the right to use the table's schema, where that is missing.
    pub(super) fn new(relation: &'a Relation) -> Self {
        let mut schemas = BTreeSet::new();
        if !relation.usable {
            schemas.insert(quote(&relation.table.schema));
        }
        Self {
            relation,
            select_all: false,
            select: BTreeSet::new(),
            update: BTreeSet::new(),
            insert: BTreeSet::new(),
            delete: false,
            schemas,
        }
    }

    /// Reading the whole table.
    pub(super) fn select_all(&mut self) {
        self.select_all = !self.relation.selectable;
    }

    /// Reading a column, unless the role may.
    pub(super) fn select(&mut self, attribute: &Attribute) {
        if !attribute.selectable {
            self.select.insert(quote(&attribute.column.name));
        }
    }

    /// Writing a column, unless the role may or nobody can.
    pub(super) fn update(&mut self, attribute: &Attribute) {
        if !attribute.updatable && !attribute.column.generated {
            self.update.insert(quote(&attribute.column.name));
        }
    }

    /// Filling a column of a new row, unless the role may or nobody can.
    pub(super) fn insert(&mut self, attribute: &Attribute) {
        if !attribute.insertable && !attribute.column.generated {
            self.insert.insert(quote(&attribute.column.name));
        }
    }

    /// Deleting rows, unless the role may.
    pub(super) fn delete(&mut self) {
        self.delete = !self.relation.deletable;
    }

    /// Naming a column's type, unless the role may.
    pub(super) fn use_type(&mut self, attribute: &Attribute) {
        if !attribute.type_usable {
            self.schemas.insert(quote(&attribute.type_schema));
        }
    }

    /// Whether nothing is missing.
    pub(super) fn is_empty(&self) -> bool {
        !self.select_all
            && self.select.is_empty()
            && self.update.is_empty()
            && self.insert.is_empty()
            && !self.delete
            && self.schemas.is_empty()
    }
}

impl fmt::Display for Grants<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = quote(&self.relation.role);
        let listed =
            |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        f.write_str("the role lacks privileges:")?;
        if !self.schemas.is_empty() {
            write!(
                f,
                " GRANT USAGE ON SCHEMA {} TO {role};",
                listed(&self.schemas)
            )?;
        }
        let mut privileges = Vec::new();
        if self.select_all {
            privileges.push("SELECT".to_owned());
        } else if !self.select.is_empty() {
            privileges.push(format!("SELECT ({})", listed(&self.select)));
        }
        if !self.update.is_empty() {
            privileges.push(format!("UPDATE ({})", listed(&self.update)));
        }
        if !self.insert.is_empty() {
            privileges.push(format!("INSERT ({})", listed(&self.insert)));
        }
        if self.delete {
            privileges.push("DELETE".to_owned());
        }
        if !privileges.is_empty() {
            let table = self.relation.table.quoted();
            write!(f, " GRANT {} ON {table} TO {role};", privileges.join(", "))?;
        }
        Ok(())
    }
}
