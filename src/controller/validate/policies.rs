//! Linking, deletes, safety and mode: from the resource to the domain.

use serde_json::{Map, Value};

use super::{identifier, invalid, selector};
use crate::api::policies as api;
use crate::api::rules;
use crate::controller::conditions::Problem;
use crate::sync::filter::PageFilter;
use crate::sync::policy::{
    Deletion, KeyMapping, Linking, Mode, OnPageTrashed, OnRowDeleted, OnUnlinkedPage,
    OnUnlinkedRow, Safety,
};

pub(super) fn linking(spec: &api::LinkingSpec, page_id_column: &str) -> Result<Linking, Problem> {
    let linking = Linking {
        on_unlinked_page: match spec.on_unlinked_page {
            api::OnUnlinkedPage::Ignore => OnUnlinkedPage::Ignore,
            api::OnUnlinkedPage::Match => OnUnlinkedPage::Match,
            api::OnUnlinkedPage::Insert => OnUnlinkedPage::Insert,
        },
        on_unlinked_row: match spec.on_unlinked_row {
            api::OnUnlinkedRow::Ignore => OnUnlinkedRow::Ignore,
            api::OnUnlinkedRow::Match => OnUnlinkedRow::Match,
            api::OnUnlinkedRow::Create => OnUnlinkedRow::Create,
        },
        match_on: spec.match_on.iter().map(key).collect::<Result<_, _>>()?,
    };
    let needs_key = linking.on_unlinked_page == OnUnlinkedPage::Match
        || linking.on_unlinked_row != OnUnlinkedRow::Ignore;
    if needs_key && linking.match_on.is_empty() {
        return Err(invalid("spec.linking", rules::KEY_NEEDED.1));
    }
    if linking
        .match_on
        .iter()
        .any(|key| key.column == page_id_column)
    {
        return Err(invalid("spec.linking", rules::PAGE_ID_IS_NO_KEY.1));
    }
    Ok(linking)
}

fn key(spec: &api::KeySpec) -> Result<KeyMapping, Problem> {
    Ok(KeyMapping {
        column: identifier("spec.linking.matchOn", &spec.column)?,
        property: selector("spec.linking.matchOn", &spec.property)?,
    })
}

/// The API's own shape is all that can be judged before Notion is asked.
pub(super) fn filter(spec: Option<&Map<String, Value>>) -> Result<Option<Value>, Problem> {
    let Some(filter) = spec else { return Ok(None) };
    let parsed = PageFilter::parse(&Value::Object(filter.clone()));
    let parsed = parsed.map_err(|error| invalid("spec.notion.filter", &error.to_string()))?;
    Ok(parsed.map(|filter| filter.as_json().clone()))
}

pub(super) const fn deletion(spec: api::DeletionSpec) -> Deletion {
    Deletion {
        on_page_trashed: match spec.on_page_trashed {
            api::OnPageTrashed::Ignore => OnPageTrashed::Ignore,
            api::OnPageTrashed::Unlink => OnPageTrashed::Unlink,
            api::OnPageTrashed::DeleteRow => OnPageTrashed::DeleteRow,
        },
        on_row_deleted: match spec.on_row_deleted {
            api::OnRowDeleted::Ignore => OnRowDeleted::Ignore,
            api::OnRowDeleted::TrashPage => OnRowDeleted::TrashPage,
        },
    }
}

pub(super) fn safety(spec: api::SafetySpec) -> Result<Safety, Problem> {
    let percent = |field: &str, value: i32| {
        let percent = u8::try_from(value).ok().filter(|percent| *percent <= 100);
        percent.ok_or_else(|| {
            invalid(
                &format!("spec.safety.{field}"),
                "write a number from 0 to 100",
            )
        })
    };
    Ok(Safety {
        max_delete_percent: percent("maxDeletePercent", spec.max_delete_percent)?,
        max_change_percent: percent("maxChangePercent", spec.max_change_percent)?,
    })
}

pub(super) const fn mode(spec: api::Mode) -> Mode {
    match spec {
        api::Mode::Sync => Mode::Sync,
        api::Mode::DryRun => Mode::DryRun,
    }
}
