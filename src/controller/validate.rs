//! From the resource to the domain: the only place that knows both.
//!
//! The schema has refused nearly everything that cannot be acted on. It is looked at again here,
//! because an older schema may be installed or a stored object may be older than a rule; what fails
//! then is `Stalled`, with the same remedy.

mod policies;

use std::time::Duration;

use jiff::SignedDuration;
use kube::ResourceExt;

use super::conditions::Problem;
use crate::api::v1alpha1::{self as api, NotionSyncBinding, PropertySpec};
use crate::api::{SecretKey, rules};
use crate::sync::identity::{BindingRef, DataSourceId, DatabaseId};
use crate::sync::mapping::{
    BindingPlan, ConflictPolicy, Direction, DriftPolicy, FieldMapping, OnLossyWrite,
    OnUnknownValue, PropertySelector, ValuePair,
};
use crate::sync::policy::Policies;
use crate::sync::reason::Reason;

/// How the spec names the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The data source itself.
    DataSource(DataSourceId),
    /// A database that is expected to hold exactly one.
    Database(DatabaseId),
}

/// How the receiver treats a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookPlan {
    /// Where the verification tokens are, if `Signature` is listed.
    pub verification_tokens: Option<SecretKey>,
    /// Where the shared secret is, if `SharedSecret` is listed.
    pub shared_secret: Option<SecretKey>,
    /// Whether events without credential are accepted: `None` is listed and the operator allows it.
    pub unverified: bool,
    /// Whether an event that could not be stored is answered with 503.
    pub retry_on_database_error: bool,
}

/// A binding that can be acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedBinding {
    /// What is to be done.
    pub plan: BindingPlan,
    /// Where from.
    pub source: Source,
    /// Where the Notion token is.
    pub token: SecretKey,
    /// Where the connection string is.
    pub connection: SecretKey,
    /// Where the certificate authority of the server is.
    pub ca: Option<SecretKey>,
    /// The receiver.
    pub webhook: Option<WebhookPlan>,
    /// How often an incremental pass runs.
    pub interval: Duration,
    /// How often a complete pass runs.
    pub full_scan_interval: Duration,
    /// Something the spec asks for and does not get, although the rest can be acted on
    /// (`UnverifiedNotAllowed`).
    pub refused: Option<Problem>,
}

/// Checks a binding. `allow_unverified` is the operator's `--allow-unverified-webhooks`.
pub fn validate(
    binding: &NotionSyncBinding,
    allow_unverified: bool,
) -> Result<ValidatedBinding, Problem> {
    let spec = &binding.spec;
    let at_least = |field: &str, value: Option<Duration>, least: Duration, rule: rules::CelRule| {
        value
            .filter(|value| *value >= least)
            .ok_or_else(|| invalid(&format!("spec.{field}"), rule.1))
    };
    let interval = at_least("interval", spec.interval(), MIN_INTERVAL, rules::INTERVAL)?;
    let full_scan_interval = at_least(
        "fullScanInterval",
        spec.full_scan_interval(),
        MIN_FULL_SCAN_INTERVAL,
        rules::FULL_SCAN_INTERVAL,
    )?;
    let webhook = spec.webhook.as_ref();
    let webhook = webhook
        .map(|webhook| webhook_plan(webhook, allow_unverified))
        .transpose()?;
    let asks_unverified = (spec.webhook.iter())
        .any(|webhook| webhook.authentication.contains(&api::Authentication::None));
    Ok(ValidatedBinding {
        plan: plan(binding, interval)?,
        source: source(&spec.notion)?,
        token: (&spec.notion.token_secret_ref).into(),
        connection: (&spec.postgres.connection_secret_ref).into(),
        ca: spec.postgres.ca_secret_ref.as_ref().map(SecretKey::from),
        webhook,
        interval,
        full_scan_interval,
        refused: (asks_unverified && !allow_unverified).then(unverified_not_allowed),
    })
}

const MIN_INTERVAL: Duration = Duration::from_secs(10);
const MIN_FULL_SCAN_INTERVAL: Duration = Duration::from_mins(1);

fn invalid(path: &str, message: &str) -> Problem {
    Problem::new(Reason::InvalidSpec, format!("{path}: {message}"))
}

fn unverified_not_allowed() -> Problem {
    Problem::new(
        Reason::UnverifiedNotAllowed,
        "spec.webhook.authentication lists None, which this operator does not allow: remove it, or \
         run the operator with --allow-unverified-webhooks",
    )
}

fn source(notion: &api::NotionSpec) -> Result<Source, Problem> {
    let wrong = |field: &str| invalid(&format!("spec.notion.{field}"), rules::NOTION_ID.1);
    match (&notion.data_source_id, &notion.database_id) {
        (Some(id), None) => {
            let id = id.parse().map_err(|_| wrong("dataSourceId"))?;
            Ok(Source::DataSource(id))
        }
        (None, Some(id)) => {
            let id = id.parse().map_err(|_| wrong("databaseId"))?;
            Ok(Source::Database(id))
        }
        _ => Err(invalid("spec.notion", rules::ONE_SOURCE.1)),
    }
}

fn webhook_plan(
    webhook: &api::WebhookSpec,
    allow_unverified: bool,
) -> Result<WebhookPlan, Problem> {
    let lists = |way| webhook.authentication.contains(&way);
    let needed = |listed: bool, key: Option<SecretKey>, rule: rules::CelRule| match key {
        None if listed => Err(invalid("spec.webhook", rule.1)),
        key => Ok(key.filter(|_| listed)),
    };
    let tokens = webhook.verification_token_secret_ref.as_ref();
    let shared = webhook.shared_secret_ref.as_ref();
    Ok(WebhookPlan {
        verification_tokens: needed(
            lists(api::Authentication::Signature),
            tokens.map(SecretKey::from),
            rules::SIGNATURE_NEEDS_SECRET,
        )?,
        shared_secret: needed(
            lists(api::Authentication::SharedSecret),
            shared.map(SecretKey::from),
            rules::SHARED_SECRET_NEEDS_SECRET,
        )?,
        unverified: allow_unverified && lists(api::Authentication::None),
        retry_on_database_error: webhook.on_database_error == api::OnDatabaseError::Retry,
    })
}

fn plan(binding: &NotionSyncBinding, interval: Duration) -> Result<BindingPlan, Problem> {
    let spec = &binding.spec;
    let postgres = &spec.postgres;
    let name = |field: &str, name: &str| identifier(&format!("spec.postgres.{field}"), name);
    let plan = BindingPlan {
        binding: BindingRef {
            namespace: binding.namespace().unwrap_or_default(),
            name: binding.name_any(),
        },
        schema: name("schema", &postgres.schema)?,
        table: name("table", &postgres.table)?,
        page_id_column: name("pageIdColumn", &postgres.page_id_column)?,
        updated_at_column: (postgres.updated_at_column.as_ref())
            .map(|column| name("updatedAtColumn", column))
            .transpose()?,
        audit_table: name("auditTable", &postgres.audit_table)?,
        direction: direction(spec.direction),
        drift_policy: match spec.drift_policy {
            api::DriftPolicy::Report => DriftPolicy::Report,
            api::DriftPolicy::Repair => DriftPolicy::Repair,
        },
        policies: Policies {
            interval: SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX),
            filter: policies::filter(spec.notion.filter.as_ref())?,
            ..Policies::default()
        },
        fields: (spec.properties.iter())
            .map(|property| field(property, spec))
            .collect::<Result<_, _>>()?,
    };
    columns_fit(&plan)?;
    directions_fit(&plan)?;
    Ok(plan)
}

/// The rules between columns, where the schema could not be asked.
fn columns_fit(plan: &BindingPlan) -> Result<(), Problem> {
    if plan.updated_at_column.as_ref() == Some(&plan.page_id_column) {
        return Err(invalid("spec.postgres", rules::TIME_IS_NOT_PAGE_ID.1));
    }
    if plan.audit_table == plan.table {
        return Err(invalid("spec.postgres", rules::AUDIT_IS_NOT_TABLE.1));
    }
    let columns: Vec<&str> = plan.fields.iter().map(|field| &*field.column).collect();
    if columns.is_empty() {
        return Err(invalid("spec.properties", "map at least one property"));
    }
    if columns.contains(&&*plan.page_id_column) {
        return Err(invalid("spec.properties", rules::PAGE_ID_NOT_MAPPED.1));
    }
    if plan
        .updated_at_column
        .as_deref()
        .is_some_and(|column| columns.contains(&column))
    {
        return Err(invalid("spec.properties", rules::UPDATED_AT_NOT_MAPPED.1));
    }
    Ok(())
}

/// The rules between directions, likewise.
fn directions_fit(plan: &BindingPlan) -> Result<(), Problem> {
    let narrower = |field: &FieldMapping| {
        plan.direction == Direction::TwoWay || field.direction == plan.direction
    };
    if !plan.fields.iter().all(narrower) {
        return Err(invalid("spec.properties", rules::DIRECTION_NARROWER.1));
    }
    let writes = |field: &&FieldMapping| field.direction.writes_notion();
    let written: Vec<_> = (plan.fields.iter().filter(writes))
        .map(|field| &field.property)
        .collect();
    let twice = (written.iter().enumerate()).any(|(index, it)| written[..index].contains(it));
    if twice {
        return Err(invalid("spec.properties", rules::ONE_COLUMN_WRITES.1));
    }
    Ok(())
}

const fn direction(direction: api::Direction) -> Direction {
    match direction {
        api::Direction::ToPostgres => Direction::ToPostgres,
        api::Direction::ToNotion => Direction::ToNotion,
        api::Direction::TwoWay => Direction::TwoWay,
    }
}

fn selector(path: &str, property: &str) -> Result<PropertySelector, Problem> {
    if property.is_empty() || property == "id:" {
        return Err(invalid(path, rules::PROPERTY.1));
    }
    Ok(PropertySelector::parse(property))
}

fn field(
    property: &PropertySpec,
    spec: &api::NotionSyncBindingSpec,
) -> Result<FieldMapping, Problem> {
    Ok(FieldMapping {
        column: identifier("spec.properties", &property.column)?,
        property: selector("spec.properties", &property.property)?,
        values: (property.values.iter())
            .map(|pair| ValuePair {
                notion: pair.notion.clone(),
                postgres: pair.postgres.clone(),
            })
            .collect(),
        on_unknown_value: match property.on_unknown_value {
            api::OnUnknownValue::Reject => OnUnknownValue::Reject,
            api::OnUnknownValue::Pass => OnUnknownValue::Pass,
        },
        direction: direction(property.direction.unwrap_or(spec.direction)),
        on_lossy_write: match property.on_lossy_write {
            api::OnLossyWrite::Reject => OnLossyWrite::Reject,
            api::OnLossyWrite::Overwrite => OnLossyWrite::Overwrite,
        },
        conflict_policy: match property.conflict_policy.unwrap_or(spec.conflict_policy) {
            api::ConflictPolicy::NewestWins => ConflictPolicy::NewestWins,
            api::ConflictPolicy::NotionWins => ConflictPolicy::NotionWins,
            api::ConflictPolicy::PostgresWins => ConflictPolicy::PostgresWins,
            api::ConflictPolicy::Manual => ConflictPolicy::Manual,
        },
    })
}

/// A name that Postgres could have. It is not quoted here: the catalog decides whether it exists.
fn identifier(path: &str, name: &str) -> Result<String, Problem> {
    if name.is_empty() || name.len() > rules::IDENTIFIER_MAX || name.contains('\0') {
        return Err(invalid(path, rules::IDENTIFIER.1));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests;
