//! Conditions on property values, by family of operators.

use serde_json::Value as Json;

use crate::error::ApiError;
use crate::filter::FilterContext;
use crate::filter::date::{DateTest, only_entry, unknown_operator};
use crate::properties::date::to_ms;
use crate::properties::kind::Kind;
use crate::properties::read::date_ms;
use crate::properties::schema::Property;
use crate::properties::value::{Value, get};
use crate::state::page::{Page, Snapshot};
use crate::state::world::World;

/// A condition on one property.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Date(DateTest),
    /// Operator and operand of a text.
    Text(String, String),
    Number(String, f64),
    Checkbox(bool),
    /// Whether the value must be, or must not be, one of these: option names, ids of pages or users.
    AnyOf {
        wanted: Vec<String>,
        negated: bool,
    },
    Empty(bool),
    /// `any`, `every` or `none` of a rollup's elements.
    Elements(String, Box<Condition>),
}

/// A value as conditions look at it.
enum Probe {
    Text(String),
    Number(Option<f64>),
    Bool(bool),
    Time(Option<i64>),
    Names(Vec<String>),
    Elements(Vec<Probe>),
}

impl Condition {
    /// Reads the condition under `key` for a property.
    pub(crate) fn parse(
        context: &FilterContext<'_>,
        property: &Property,
        key: &str,
        given: &Json,
    ) -> Result<Self, ApiError> {
        let kind = property.kind.name();
        let fits = key == kind || (is_text(key) && is_text(kind));
        if !fits {
            return Err(ApiError::validation(format!(
                "database property {kind} does not match filter {key}"
            )));
        }
        match property.kind {
            Kind::Formula => {
                let (inner, given) = only_entry(key, given)?;
                let family = if inner == "string" {
                    "rich_text"
                } else {
                    inner
                };
                Self::of_family(context, property, family, given)
            }
            Kind::Rollup => {
                let (inner, given) = only_entry(key, given)?;
                if !matches!(inner, "any" | "every" | "none") {
                    return Self::of_family(context, property, inner, given);
                }
                let (family, given) = only_entry(inner, given)?;
                let condition = Self::of_family(context, property, family, given)?;
                Ok(Self::Elements(inner.to_owned(), Box::new(condition)))
            }
            _ => Self::of_family(context, property, key, given),
        }
    }

    fn of_family(
        context: &FilterContext<'_>,
        property: &Property,
        family: &str,
        given: &Json,
    ) -> Result<Self, ApiError> {
        let (operator, operand) = only_entry(family, given)?;
        if let "is_empty" | "is_not_empty" = operator {
            if *operand != Json::Bool(true) {
                return Err(ApiError::body(
                    &format!("filter.{family}.{operator}"),
                    "`true`",
                ));
            }
            return Ok(Self::Empty(operator == "is_empty"));
        }
        let wrong = |what: &str| {
            ApiError::body(
                &format!("filter.{family}.{operator}"),
                &format!("{what}, instead was `{operand}`"),
            )
        };
        match family {
            "date" | "created_time" | "last_edited_time" => {
                DateTest::parse(context.now_ms, family, given).map(Self::Date)
            }
            "number" | "unique_id" => {
                let number = operand.as_f64().ok_or_else(|| wrong("a number"))?;
                check(family, operator, NUMBER)?;
                Ok(Self::Number(operator.to_owned(), number))
            }
            "checkbox" => {
                let wanted = operand.as_bool().ok_or_else(|| wrong("a boolean"))?;
                check(family, operator, &["equals", "does_not_equal"])?;
                Ok(Self::Checkbox(wanted == (operator == "equals")))
            }
            "select" | "status" | "verification" => {
                check(family, operator, &["equals", "does_not_equal", "status"])?;
                let wanted = strings(operand).ok_or_else(|| wrong("a string or strings"))?;
                let wanted = with_groups(property, wanted);
                Ok(Self::AnyOf {
                    wanted,
                    negated: operator == "does_not_equal",
                })
            }
            "multi_select" | "people" | "relation" | "created_by" | "last_edited_by" => {
                check(family, operator, &["contains", "does_not_contain"])?;
                let wanted = strings(operand).ok_or_else(|| wrong("a string or strings"))?;
                let wanted = wanted
                    .iter()
                    .map(|it| canonical(context, family, it))
                    .collect();
                Ok(Self::AnyOf {
                    wanted,
                    negated: operator == "does_not_contain",
                })
            }
            text if is_text(text) => {
                check(family, operator, TEXT)?;
                let text = operand.as_str().ok_or_else(|| wrong("a string"))?;
                Ok(Self::Text(operator.to_owned(), text.to_lowercase()))
            }
            other => Err(unknown_operator(other, operator)),
        }
    }

    /// Whether a page's value passes.
    pub(crate) fn passes(&self, world: &World, page: &Page, state: &Snapshot, index: u16) -> bool {
        let property = &world.schema_of(state.parent)[usize::from(index)];
        self.holds(&probe(page, state, property, get(&state.values, index)))
    }

    fn holds(&self, probe: &Probe) -> bool {
        match (self, probe) {
            (Self::Elements(quantor, condition), Probe::Elements(elements)) => {
                let mut hits = elements.iter().map(|element| condition.holds(element));
                match quantor.as_str() {
                    "any" => hits.any(|hit| hit),
                    "every" => hits.all(|hit| hit),
                    _ => !hits.any(|hit| hit),
                }
            }
            (Self::Empty(wanted), probe) => *wanted == probe.is_empty(),
            (Self::Date(test), Probe::Time(ms)) => test.passes(*ms),
            (Self::Text(operator, wanted), Probe::Text(text)) => {
                text_holds(operator, &text.to_lowercase(), wanted)
            }
            (Self::Number(operator, wanted), Probe::Number(number)) => number
                .map_or(operator == "does_not_equal", |number| {
                    number_holds(operator, number, *wanted)
                }),
            (Self::Checkbox(wanted), Probe::Bool(value)) => wanted == value,
            (Self::AnyOf { wanted, negated }, Probe::Names(names)) => {
                names.iter().any(|name| wanted.contains(name)) != *negated
            }
            _ => false,
        }
    }
}

impl Probe {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Number(number) => number.is_none(),
            Self::Bool(_) => false,
            Self::Time(ms) => ms.is_none(),
            Self::Names(names) => names.is_empty(),
            Self::Elements(elements) => elements.is_empty(),
        }
    }
}

const TEXT: &[&str] = &[
    "equals",
    "does_not_equal",
    "contains",
    "does_not_contain",
    "starts_with",
    "ends_with",
];
const NUMBER: &[&str] = &[
    "equals",
    "does_not_equal",
    "greater_than",
    "less_than",
    "greater_than_or_equal_to",
    "less_than_or_equal_to",
];

fn is_text(key: &str) -> bool {
    matches!(
        key,
        "title" | "rich_text" | "url" | "email" | "phone_number"
    )
}

fn check(family: &str, operator: &str, known: &[&str]) -> Result<(), ApiError> {
    if known.contains(&operator) {
        Ok(())
    } else {
        Err(unknown_operator(family, operator))
    }
}

fn strings(given: &Json) -> Option<Vec<String>> {
    match given {
        Json::String(text) => Some(vec![text.clone()]),
        Json::Array(items) => items
            .iter()
            .map(|it| it.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// Adds the options of status groups that are named like an option.
fn with_groups(property: &Property, mut wanted: Vec<String>) -> Vec<String> {
    for (at, group) in property.groups.iter().enumerate() {
        if wanted.contains(&group.name) {
            let members = property.options.iter().filter(|option| option.group == at);
            wanted.extend(members.map(|option| option.name.clone()));
        }
    }
    wanted
}

fn canonical(context: &FilterContext<'_>, family: &str, given: &str) -> String {
    match family {
        "multi_select" => given.to_owned(),
        _ if given == "me" => context.bot.to_string(),
        _ => crate::ids::parse_uuid(given).map_or_else(|| given.to_owned(), |id| id.to_string()),
    }
}

fn text_holds(operator: &str, text: &str, wanted: &str) -> bool {
    match operator {
        "equals" => text == wanted,
        "does_not_equal" => text != wanted,
        "contains" => text.contains(wanted),
        "does_not_contain" => !text.contains(wanted),
        "starts_with" => text.starts_with(wanted),
        _ => text.ends_with(wanted),
    }
}

#[expect(clippy::float_cmp, reason = "a filter compares exactly")]
fn number_holds(operator: &str, number: f64, wanted: f64) -> bool {
    match operator {
        "equals" => number == wanted,
        "does_not_equal" => number != wanted,
        "greater_than" => number > wanted,
        "less_than" => number < wanted,
        "greater_than_or_equal_to" => number >= wanted,
        _ => number <= wanted,
    }
}

fn probe(page: &Page, state: &Snapshot, property: &Property, value: Option<&Value>) -> Probe {
    match (&property.kind, value) {
        (Kind::CreatedTime, _) => Probe::Time(Some(page.created_ms)),
        (Kind::LastEditedTime, _) => Probe::Time(Some(state.edited_ms)),
        (Kind::CreatedBy, _) => Probe::Names(vec![page.created_by.to_string()]),
        (Kind::LastEditedBy, _) => Probe::Names(vec![state.edited_by.to_string()]),
        (Kind::UniqueId, _) => Probe::Number(Some(f64::from(page.unique_number))),
        (Kind::Checkbox, value) => Probe::Bool(value.is_some()),
        (_, Some(Value::Text(text))) => Probe::Text(text.plain()),
        (_, Some(Value::Line(line))) => Probe::Text(line.to_string()),
        (_, Some(Value::Number(number))) => Probe::Number(Some(*number)),
        (_, Some(Value::Date(date))) => Probe::Time(date_ms(date)),
        (_, Some(Value::Choice(index))) => Probe::Names(names(property, &[*index])),
        (_, Some(Value::Choices(indexes))) => Probe::Names(names(property, indexes)),
        (_, Some(Value::People(ids) | Value::Relation(ids))) => {
            Probe::Names(ids.iter().map(ToString::to_string).collect())
        }
        (_, Some(Value::Files(files))) => Probe::Names(vec![String::new(); files.len()]),
        (Kind::Verification, Some(Value::Json(value))) => Probe::Names(
            value["state"]
                .as_str()
                .map(str::to_owned)
                .into_iter()
                .collect(),
        ),
        (_, Some(Value::Json(value))) => json_probe(value),
        (kind, Some(Value::Checked) | None) => empty_probe(kind),
    }
}

fn empty_probe(kind: &Kind) -> Probe {
    match kind {
        Kind::Number => Probe::Number(None),
        Kind::Date => Probe::Time(None),
        Kind::Select
        | Kind::Status
        | Kind::MultiSelect
        | Kind::People
        | Kind::Relation
        | Kind::Files => Probe::Names(Vec::new()),
        Kind::Rollup => Probe::Elements(Vec::new()),
        _ => Probe::Text(String::new()),
    }
}

fn names(property: &Property, indexes: &[u16]) -> Vec<String> {
    let living = indexes.iter().filter_map(|index| property.option(*index));
    living.map(|option| option.name.clone()).collect()
}

/// Formula and rollup values carry their own type.
fn json_probe(value: &Json) -> Probe {
    let kind = value["type"].as_str().unwrap_or_default();
    match (kind, &value[kind]) {
        ("number", number) => Probe::Number(number.as_f64()),
        ("boolean" | "checkbox", flag) => Probe::Bool(flag.as_bool().unwrap_or(false)),
        ("date", date) => Probe::Time(date["start"].as_str().and_then(to_ms)),
        ("array", Json::Array(elements)) => {
            Probe::Elements(elements.iter().map(json_probe).collect())
        }
        ("select" | "status", option) => Probe::Names(
            option["name"]
                .as_str()
                .map(str::to_owned)
                .into_iter()
                .collect(),
        ),
        ("title" | "rich_text", Json::Array(runs)) => Probe::Text(
            runs.iter()
                .filter_map(|run| run["plain_text"].as_str())
                .collect(),
        ),
        (_, other) => Probe::Text(other.as_str().unwrap_or_default().to_owned()),
    }
}
