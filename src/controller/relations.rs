//! Whether the targets of mapped relations answer.
//!
//! Notion shows a relation as empty while its target is not shared with the connection, so such a
//! value says nothing (`design/sync.md` §5).

use super::conditions::Problem;
use crate::notion::{Client, NotionApi};
use crate::sync::identity::DataSourceId;
use crate::sync::mapping::{StoppedField, TablePlan};
use crate::sync::page::{DataSource, PropertyType};
use crate::sync::reason::Reason;
use crate::sync::schema::Pinning;

/// The data sources that the relations of a plan point to, other than their own.
pub fn targets(plan: &TablePlan, source: &DataSource) -> Vec<DataSourceId> {
    let fields = plan.fields.iter().chain(&plan.match_on);
    let mut targets: Vec<DataSourceId> = fields
        .filter(|field| field.property.kind == PropertyType::Relation)
        .filter_map(|field| {
            let mut properties = source.properties.iter();
            properties.find(|property| property.id == field.property.id)
        })
        .filter_map(|property| property.relation_target)
        .filter(|target| *target != source.id)
        .collect();
    targets.sort_unstable_by_key(|target| target.0);
    targets.dedup();
    targets
}

/// Whether all of these answer; an error that is about anything else is given back.
pub async fn answer(client: &Client, targets: &[DataSourceId]) -> Result<bool, Problem> {
    for target in targets {
        if !answers(client, *target).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn answers(client: &Client, target: DataSourceId) -> Result<bool, Problem> {
    match client.data_source(target).await {
        Ok(_) => Ok(true),
        Err(error) if error.reason() == Reason::DataSourceNotFound => Ok(false),
        Err(error) => Err(Problem::of_notion(&error, &format!("data source {target}"))),
    }
}

/// Stops the columns whose relation points to something that does not answer.
pub async fn check(
    client: &Client,
    source: &DataSource,
    pinning: &mut Pinning,
) -> Result<(), Problem> {
    let mut asked: Vec<(DataSourceId, bool)> = Vec::new();
    let mut problems = Vec::new();
    for pin in &pinning.pinned {
        let mut properties = source.properties.iter();
        let target = properties
            .find(|property| property.id == pin.id && pin.kind == PropertyType::Relation)
            .and_then(|property| property.relation_target)
            .filter(|target| *target != source.id);
        let Some(target) = target else { continue };
        let known = asked.iter().find(|(known, _)| *known == target);
        let is_shared = match known {
            Some((_, is_shared)) => *is_shared,
            None => answers(client, target).await?,
        };
        asked.push((target, is_shared));
        if !is_shared {
            problems.push((pin.is_key, unshared(&pin.column, &pin.name)));
        }
    }
    for (is_key, problem) in problems {
        if is_key {
            pinning.key_problems.push(problem);
        } else {
            pinning.stopped.push(problem);
        }
    }
    Ok(())
}

fn unshared(column: &str, property: &str) -> StoppedField {
    StoppedField {
        column: column.to_owned(),
        reason: Reason::RelatedDataSourceNotShared,
        remedy: format!(
            "relation \"{property}\" points to a data source that the connection cannot read, and \
             looks empty; share that one with the connection in Notion (... > Connections) too"
        ),
    }
}
