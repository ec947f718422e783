//! The bound table as `pg_catalog` describes it.
//!
//! Names from the resource are compared with the catalog as bound parameters and never become part
//! of a statement; what is returned carries the catalog's own names. What stops the whole binding is
//! an error; what stops one column is returned beside the others, which go on.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use sqlx::postgres::PgPool;

use super::error::{ROW_SECURITY_REMEDY, StoreError};
use super::ident::{Table, quote};
use crate::sync::column::{Column, ColumnKind};
use crate::sync::mapping::{BindingPlan, FieldMapping, StoppedField};
use crate::sync::policy::{OnPageTrashed, OnUnlinkedPage};
use crate::sync::reason::Reason;
use crate::sync::schema::{Lacking, TableShape};
use attribute::Attribute;
use grants::Grants;
use relation::Relation;

mod attribute;
mod grants;
mod relation;

/// The bound table, resolved and checked for one binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHandle {
    /// The table's OID: a claim is made on it, not on the name.
    pub oid: u32,
    /// The table by the catalog's own names; quote it with [`super::ident::Statement::table`].
    pub table: Table,
    /// The columns of the row key, in key order.
    pub key: Vec<Column>,
    /// Whether every key column is an integer or a uuid, so that row keys may be shown.
    pub key_is_plain: bool,
    /// The column that holds the page id: text, varchar or uuid.
    pub page_id: Column,
    /// The column that says when the row changed: timestamp or timestamptz.
    pub updated_at: Option<Column>,
    /// The mapped columns that can be used, by their name in the spec.
    pub columns: BTreeMap<String, Column>,
    /// The mapped columns that cannot; the others go on.
    pub stopped: Vec<StoppedField>,
    /// The columns of `linking.matchOn` that can be read, by their name in the spec.
    pub key_columns: BTreeMap<String, Column>,
    /// Those that cannot.
    pub key_stopped: Vec<StoppedField>,
    /// Whether a unique index keeps two rows from carrying one page.
    pub page_id_is_unique: bool,
    /// Columns that every insert must fill: NOT NULL, without default, not computed.
    pub required: Vec<String>,
    /// Remedies for privileges that the policies need and the role lacks.
    pub lacking: LackingRights,
}

/// What the role may not do although a policy asks for it: the GRANT that is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LackingRights {
    /// To write the page id column.
    pub link: Option<String>,
    /// To insert rows.
    pub insert: Option<String>,
    /// To delete rows.
    pub delete: Option<String>,
}

impl TableHandle {
    /// The table as far as fields and policies depend on it.
    pub fn shape(&self) -> TableShape<'_> {
        TableShape {
            columns: &self.columns,
            stopped: &self.stopped,
            key_columns: &self.key_columns,
            key_stopped: &self.key_stopped,
            page_id: &self.page_id,
            page_id_is_unique: self.page_id_is_unique,
            required: &self.required,
            lacking: Lacking {
                link: self.lacking.link.as_deref(),
                insert: self.lacking.insert.as_deref(),
                delete: self.lacking.delete.as_deref(),
            },
            key_is_plain: self.key_is_plain,
        }
    }
}

/// Resolves the table of a binding and checks everything that does not depend on Notion.
pub async fn inspect(pool: &PgPool, plan: &BindingPlan) -> Result<TableHandle, StoreError> {
    let mut connection = pool.acquire().await?;
    let relation = Relation::find(&mut connection, &plan.schema, &plan.table).await?;
    let attributes = Attribute::all(&mut connection, relation.oid).await?;
    let inspection = Inspection {
        relation: &relation,
        attributes: &attributes,
        plan,
    };
    if !relation.usable {
        return Err(missing(&inspection.grants(true)));
    }
    let page_id = inspection.page_id()?;
    let updated_at = inspection.updated_at()?;
    let key = inspection.key(&mut connection).await?;
    inspection.check_privileges(&key, page_id, updated_at)?;
    let (columns, stopped) = inspection.mapped();
    let (key_columns, key_stopped) = inspection.matched();
    let unique = relation::unique_column(&mut connection, relation.oid, page_id.number).await?;
    // Asked for last: while a privilege is missing, that is the thing to say.
    if relation.row_security {
        return Err(StoreError::refused(
            Reason::RowSecurityActive,
            ROW_SECURITY_REMEDY,
        ));
    }
    Ok(TableHandle {
        oid: relation.oid,
        key_is_plain: key.iter().all(|attribute| is_plain(&attribute.column)),
        key: key.into_iter().map(|key| key.column.clone()).collect(),
        page_id: page_id.column.clone(),
        updated_at: updated_at.map(|attribute| attribute.column.clone()),
        columns,
        stopped,
        key_columns,
        key_stopped,
        page_id_is_unique: unique,
        required: (attributes.iter().filter(|attribute| attribute.required))
            .map(|attribute| attribute.column.name.clone())
            .collect(),
        lacking: inspection.lacking(page_id),
        table: relation.table,
    })
}

fn is_plain(column: &Column) -> bool {
    matches!(column.kind, ColumnKind::Integer { .. } | ColumnKind::Uuid)
}

fn missing(grants: &Grants<'_>) -> StoreError {
    StoreError::refused(Reason::PrivilegeMissing, grants.to_string())
}

fn lacks(grants: &Grants<'_>) -> Option<String> {
    (!grants.is_empty()).then(|| grants.to_string())
}

/// One look at a table for one binding.
struct Inspection<'a> {
    relation: &'a Relation,
    attributes: &'a [Attribute],
    plan: &'a BindingPlan,
}

impl<'a> Inspection<'a> {
    fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.column.name == name)
    }

    fn required(&self, name: &str) -> Result<&'a Attribute, StoreError> {
        self.attribute(name)
            .ok_or_else(|| StoreError::refused(Reason::ColumnNotFound, self.not_found(name)))
    }

    fn not_found(&self, name: &str) -> String {
        let folded = self
            .attributes
            .iter()
            .find(|attribute| attribute.column.name.eq_ignore_ascii_case(name));
        let table = self.relation.table.quoted();
        let name = quote(name);
        match folded {
            Some(other) => format!(
                "table {table} has no column {name}, but it has {}: names are compared exactly",
                quote(&other.column.name)
            ),
            None => {
                format!("table {table} has no column {name}: add it, or correct the binding's spec")
            }
        }
    }

    fn page_id(&self) -> Result<&'a Attribute, StoreError> {
        let attribute = self.required(&self.plan.page_id_column)?;
        if attribute.can_hold_page_id() {
            return Ok(attribute);
        }
        Err(StoreError::refused(
            Reason::ColumnTypeMismatch,
            format!(
                "pageIdColumn {} must be text, varchar or uuid",
                quote(&attribute.column.name)
            ),
        ))
    }

    fn updated_at(&self) -> Result<Option<&'a Attribute>, StoreError> {
        let Some(name) = &self.plan.updated_at_column else {
            return Ok(None);
        };
        let attribute = self.required(name)?;
        let column = &attribute.column;
        let is_time = matches!(
            column.kind,
            ColumnKind::Timestamp { .. } | ColumnKind::TimestampTz { .. }
        );
        if is_time && !column.generated {
            return Ok(Some(attribute));
        }
        Err(StoreError::refused(
            Reason::ColumnTypeMismatch,
            format!(
                "updatedAtColumn {} must be timestamp or timestamptz and not generated",
                quote(&column.name)
            ),
        ))
    }

    async fn key(&self, connection: &mut PgConnection) -> Result<Vec<&'a Attribute>, StoreError> {
        let candidates = relation::unique_indexes(connection, self.relation.oid).await?;
        let by_number = |number: &i16| {
            self.attributes
                .iter()
                .find(|attribute| attribute.number == *number)
        };
        candidates
            .iter()
            .filter_map(|numbers| numbers.iter().map(by_number).collect::<Option<Vec<_>>>())
            .find(|columns| columns.iter().all(|attribute| !attribute.column.nullable))
            .ok_or_else(|| {
                StoreError::refused(
                    Reason::NoRowKey,
                    format!(
                        "table {} needs a primary key, or a unique index over NOT NULL columns",
                        self.relation.table.quoted()
                    ),
                )
            })
    }

    /// Checks what no row can be read or written without, and names all of it at once.
    fn check_privileges(
        &self,
        key: &[&Attribute],
        page_id: &Attribute,
        updated_at: Option<&Attribute>,
    ) -> Result<(), StoreError> {
        let needed = key.iter().copied().chain([page_id]).chain(updated_at);
        let readable = needed.clone().all(|attribute| attribute.selectable);
        let writable = updated_at.is_none_or(|attribute| attribute.updatable);
        if readable && writable {
            return Ok(());
        }
        let none_readable = self.attributes.iter().all(|each| !each.selectable);
        let mut grants = self.grants(none_readable);
        for attribute in needed {
            grants.select(attribute);
        }
        Err(missing(&grants))
    }

    /// The grants that the mapped columns lack; `whole` asks to read the whole table at once.
    fn grants(&self, whole: bool) -> Grants<'a> {
        let mut grants = Grants::new(self.relation);
        if whole {
            grants.select_all();
        }
        for field in &self.plan.fields {
            if let Some(attribute) = self.attribute(&field.column) {
                grants.select(attribute);
                if field.direction.writes_postgres() {
                    grants.update(attribute);
                }
            }
        }
        let updated_at = self.plan.updated_at_column.as_deref();
        if let Some(attribute) = updated_at.and_then(|name| self.attribute(name)) {
            grants.update(attribute);
        }
        grants
    }

    fn mapped(&self) -> (BTreeMap<String, Column>, Vec<StoppedField>) {
        let mut columns = BTreeMap::new();
        let mut stopped = Vec::new();
        for field in &self.plan.fields {
            let checked = match self.attribute(&field.column) {
                None => Err((Reason::ColumnNotFound, self.not_found(&field.column))),
                Some(attribute) => self.granted(attribute, field).map(|()| &attribute.column),
            };
            match checked {
                Ok(column) => {
                    columns.insert(field.column.clone(), column.clone());
                }
                Err((reason, remedy)) => stopped.push(StoppedField {
                    column: field.column.clone(),
                    reason,
                    remedy,
                }),
            }
        }
        (columns, stopped)
    }

    fn granted(&self, attribute: &Attribute, field: &FieldMapping) -> Result<(), (Reason, String)> {
        let mut grants = Grants::new(self.relation);
        grants.select(attribute);
        if field.direction.writes_postgres() {
            grants.update(attribute);
            grants.use_type(attribute);
        }
        match lacks(&grants) {
            None => Ok(()),
            Some(remedy) => Err((Reason::PrivilegeMissing, remedy)),
        }
    }

    /// The columns of the key, which are read and not written.
    fn matched(&self) -> (BTreeMap<String, Column>, Vec<StoppedField>) {
        let mut columns = BTreeMap::new();
        let mut stopped = Vec::new();
        for key in &self.plan.policies.linking.match_on {
            let problem = match self.attribute(&key.column) {
                None => Some((Reason::ColumnNotFound, self.not_found(&key.column))),
                Some(attribute) => {
                    columns.insert(key.column.clone(), attribute.column.clone());
                    let mut grants = Grants::new(self.relation);
                    grants.select(attribute);
                    lacks(&grants).map(|remedy| (Reason::PrivilegeMissing, remedy))
                }
            };
            stopped.extend(problem.map(|(reason, remedy)| StoppedField {
                column: key.column.clone(),
                reason,
                remedy,
            }));
        }
        (columns, stopped)
    }

    /// What the policies of the binding need beyond reading and updating mapped columns.
    fn lacking(&self, page_id: &Attribute) -> LackingRights {
        let policies = &self.plan.policies;
        let trashed = policies.deletion.on_page_trashed;
        let grants = |fill: &dyn Fn(&mut Grants<'a>)| {
            let mut grants = Grants::new(self.relation);
            fill(&mut grants);
            lacks(&grants)
        };
        let links = policies.linking.writes_page_id() || trashed == OnPageTrashed::Unlink;
        let inserts = policies.linking.on_unlinked_page == OnUnlinkedPage::Insert;
        let deletes = trashed == OnPageTrashed::DeleteRow;
        LackingRights {
            link: links
                .then(|| grants(&|grants| grants.update(page_id)))
                .flatten(),
            insert: inserts
                .then(|| grants(&|grants| self.insertable(grants, page_id)))
                .flatten(),
            delete: deletes.then(|| grants(&Grants::delete)).flatten(),
        }
    }

    /// Every column that an insert fills.
    fn insertable(&self, grants: &mut Grants<'a>, page_id: &Attribute) {
        let keys = self.plan.policies.linking.match_on.iter();
        let named = (self.plan.fields.iter().map(|field| &field.column))
            .chain(keys.map(|key| &key.column))
            .chain(&self.plan.updated_at_column);
        for attribute in named.filter_map(|name| self.attribute(name)) {
            grants.insert(attribute);
        }
        grants.insert(page_id);
    }
}
