//! The binding's own filter of pages, and how it joins the bounds of a scan.
//!
//! `spec.notion.filter` is the API's filter object. Notion nests groups two levels deep at most
//! (`facts/notion-api.md` §2.5), and a scan adds conditions of its own, so the two are joined
//! without a level more: whatever the API takes by itself can be scanned. What is read here is the
//! shape; whether a property exists and has the operator is for Notion to say.

use serde_json::{Map, Value, json};

/// How deep groups may nest.
const DEEPEST: usize = 2;
/// The groups that the API knows.
const GROUPS: [&str; 2] = ["and", "or"];

/// Why a filter is refused. Messages name the place in the filter and never a value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Groups within groups within groups.
    #[error("{0}: groups may be nested two levels deep only")]
    TooDeep(String),
    /// A group without members, which has no meaning.
    #[error("{0}: the list is empty: leave it out")]
    EmptyGroup(String),
    /// A group that is no list.
    #[error("{0}: a list of filters must stand here")]
    NoList(String),
    /// `and`, `or` or a condition together in one object.
    #[error("{0}: `and`, `or` and a condition exclude each other: nest them")]
    Mixed(String),
    /// Neither a group nor a condition.
    #[error(
        "{0}: either `and`, `or`, or `property` (or `timestamp`) with exactly one condition beside it"
    )]
    NoCondition(String),
}

/// A filter that the API takes in its shape, together with the bounds of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFilter(Value);

impl PageFilter {
    /// Reads `spec.notion.filter`; `None` for an empty object, which keeps every page.
    ///
    /// # Errors
    /// Where the filter's shape is not the API's.
    pub fn parse(filter: &Value) -> Result<Option<Self>, FilterError> {
        if filter.as_object().is_some_and(Map::is_empty) {
            return Ok(None);
        }
        check(filter, "filter", 0)?;
        Ok(Some(Self(filter.clone())))
    }

    /// The filter as the API takes it.
    pub const fn as_json(&self) -> &Value {
        &self.0
    }

    /// The filter for pages that satisfy all `bounds`, and `filter` if there is one; `None` where
    /// nothing is asked for. Bounds are single conditions.
    pub fn join(filter: Option<&Self>, bounds: &[Value]) -> Option<Value> {
        let Some(Self(own)) = filter else {
            return (!bounds.is_empty()).then(|| json!({ "and": bounds }));
        };
        if bounds.is_empty() {
            return Some(own.clone());
        }
        let and = |more: &[Value]| {
            let all: Vec<Value> = bounds.iter().chain(more).cloned().collect();
            json!({ "and": all })
        };
        Some(match group(own) {
            Some(("and", members)) => and(members),
            Some((_, members)) if members.iter().any(|member| group(member).is_some()) => {
                or(members, and)
            }
            _ => and(std::slice::from_ref(own)),
        })
    }
}

/// Joins bounds to an `or` of groups: they go into each of its branches, because around it they
/// would be a third level.
fn or(members: &[Value], and: impl Fn(&[Value]) -> Value) -> Value {
    let branches = members.iter().flat_map(|member| match group(member) {
        Some(("and", inner)) => vec![and(inner)],
        // An `or` within an `or` adds its members to it.
        Some((_, inner)) => inner
            .iter()
            .map(|it| and(std::slice::from_ref(it)))
            .collect(),
        None => vec![and(std::slice::from_ref(member))],
    });
    json!({ "or": branches.collect::<Vec<_>>() })
}

/// The kind and the members of a group.
fn group(filter: &Value) -> Option<(&'static str, &[Value])> {
    GROUPS.into_iter().find_map(|name| {
        let members = filter.get(name)?.as_array()?;
        Some((name, members.as_slice()))
    })
}

fn check(filter: &Value, place: &str, depth: usize) -> Result<(), FilterError> {
    let no_condition = || FilterError::NoCondition(place.to_owned());
    let object = filter.as_object().ok_or_else(no_condition)?;
    let Some(name) = GROUPS.into_iter().find(|name| object.contains_key(*name)) else {
        return is_condition(object).then_some(()).ok_or_else(no_condition);
    };
    if object.len() > 1 {
        return Err(FilterError::Mixed(place.to_owned()));
    }
    let place = format!("{place}.{name}");
    let Some(members) = object[name].as_array() else {
        return Err(FilterError::NoList(place));
    };
    if depth == DEEPEST {
        return Err(FilterError::TooDeep(place));
    }
    if members.is_empty() {
        return Err(FilterError::EmptyGroup(place));
    }
    members
        .iter()
        .enumerate()
        .try_for_each(|(index, member)| check(member, &format!("{place}[{index}]"), depth + 1))
}

/// Whether an object is one condition on one property or on one of the page's times.
fn is_condition(object: &Map<String, Value>) -> bool {
    let subject = |name: &str| object.get(name).and_then(Value::as_str);
    let mut conditions = object
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "property" | "timestamp" | "type"));
    let (Some((name, condition)), None) = (conditions.next(), conditions.next()) else {
        return false;
    };
    let subjects = match (subject("property"), subject("timestamp")) {
        (Some(_), None) => !object.contains_key("timestamp"),
        (None, Some(time)) => !object.contains_key("property") && time == name,
        _ => false,
    };
    subjects && condition.as_object().is_some_and(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(name: &str) -> Value {
        json!({"property": name, "number": {"equals": 1}})
    }

    fn bound() -> Value {
        json!({"timestamp": "created_time", "created_time": {"on_or_after": "2026-01-01"}})
    }

    fn joined(filter: &Value) -> Value {
        let filter = PageFilter::parse(filter).unwrap().unwrap();
        PageFilter::join(Some(&filter), &[bound()]).unwrap()
    }

    fn levels(filter: &Value) -> usize {
        group(filter).map_or(0, |(_, members)| {
            1 + members.iter().map(levels).max().unwrap_or(0)
        })
    }

    #[test]
    fn nothing_asked_is_nothing_sent() {
        assert_eq!(PageFilter::parse(&json!({})), Ok(None));
        assert_eq!(PageFilter::join(None, &[]), None);
        let filter = PageFilter::parse(&condition("A")).unwrap();
        let alone = PageFilter::join(filter.as_ref(), &[]);
        assert_eq!(alone, Some(condition("A")));
        let bounds = PageFilter::join(None, &[bound()]);
        assert_eq!(bounds, Some(json!({"and": [bound()]})));
    }

    #[test]
    fn bounds_join_without_a_level_more_than_the_api_takes() {
        let (a, b, c) = (condition("A"), condition("B"), condition("C"));
        let cases = [
            (a.clone(), json!({"and": [bound(), a]})),
            (json!({"and": [a, b]}), json!({"and": [bound(), a, b]})),
            (
                json!({"or": [a, b]}),
                json!({"and": [bound(), {"or": [a, b]}]}),
            ),
            (
                json!({"and": [{"or": [a, b]}, c]}),
                json!({"and": [bound(), {"or": [a, b]}, c]}),
            ),
            (
                json!({"or": [{"and": [a, b]}, c]}),
                json!({"or": [{"and": [bound(), a, b]}, {"and": [bound(), c]}]}),
            ),
            (
                json!({"or": [{"or": [a, b]}, c]}),
                json!({"or": [{"and": [bound(), a]}, {"and": [bound(), b]}, {"and": [bound(), c]}]}),
            ),
        ];
        for (filter, expected) in cases {
            assert_eq!(joined(&filter), expected);
            assert!(levels(&expected) <= DEEPEST);
        }
    }

    #[test]
    fn what_has_not_the_shape_of_a_filter_is_refused_with_its_place() {
        let a = condition("A");
        let refused = |filter: Value| PageFilter::parse(&filter).unwrap_err().to_string();
        let deep = json!({"and": [a, {"or": [{"and": [a]}]}]});
        assert!(refused(deep).starts_with("filter.and[1].or[0].and: groups"));
        assert!(refused(json!({"and": []})).starts_with("filter.and: the list is empty"));
        assert!(refused(json!({"or": a})).starts_with("filter.or: a list"));
        assert!(refused(json!({"or": [a], "property": "A"})).starts_with("filter: `and`"));
        for filter in [
            json!([]),
            json!("Done"),
            json!({"property": "A"}),
            json!({"number": {"equals": 1}}),
            json!({"property": "A", "number": {"equals": 1}, "checkbox": {"equals": true}}),
            json!({"property": "A", "number": {}}),
            json!({"property": 7, "number": {"equals": 1}}),
            json!({"timestamp": "created_time", "last_edited_time": {"past_week": {}}}),
            json!({"timestamp": "created_time", "property": "A", "created_time": {"past_week": {}}}),
        ] {
            assert!(refused(filter).starts_with("filter: either"));
        }
    }
}
