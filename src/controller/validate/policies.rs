//! The filter: from the resource to the domain.

use serde_json::{Map, Value};

use super::invalid;
use crate::controller::conditions::Problem;
use crate::sync::filter::PageFilter;

/// The API's own shape is all that can be judged before Notion is asked.
pub(super) fn filter(spec: Option<&Map<String, Value>>) -> Result<Option<Value>, Problem> {
    let Some(filter) = spec else { return Ok(None) };
    let parsed = PageFilter::parse(&Value::Object(filter.clone()));
    let parsed = parsed.map_err(|error| invalid("spec.notion.filter", &error.to_string()))?;
    Ok(parsed.map(|filter| filter.as_json().clone()))
}
