//! Reading the value of one property of a write, type by type.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::ids::parse_uuid;
use crate::properties::kind::Kind;
use crate::properties::schema::Property;
use crate::properties::text::{check_length, too_long};
use crate::properties::value::{File, Value};
use crate::properties::write::{NewOption, WriteContext};
use crate::properties::{date, text};
use crate::state::page::Parent;

/// Items of a relation, people, multi-select or files value of one request at most.
const MAX_ITEMS: usize = 100;

/// The write of one property.
pub(crate) struct PropertyWrite<'a, 'b> {
    pub(crate) context: WriteContext<'a>,
    pub(crate) property: &'a Property,
    pub(crate) index: u16,
    /// Named in errors.
    pub(crate) place: String,
    pub(crate) new_options: &'b mut Vec<NewOption>,
}

impl PropertyWrite<'_, '_> {
    /// The stored form of a value; `None` is empty.
    pub(crate) fn parse(&mut self, given: &Json) -> Result<Option<Value>, ApiError> {
        match &self.property.kind {
            Kind::Title | Kind::RichText => {
                Ok(text::parse(&self.context, &self.place, given)?.map(Value::Text))
            }
            Kind::Number => self.number(given),
            Kind::Checkbox => match given {
                Json::Bool(checked) => Ok(checked.then_some(Value::Checked)),
                _ => Err(self.should_be("a boolean", given)),
            },
            Kind::Select | Kind::Status => self.choice(given),
            Kind::MultiSelect => self.choices(given),
            Kind::Date => self.date(given),
            Kind::Url => self.line(given, 2_000),
            Kind::Email | Kind::PhoneNumber => self.line(given, 200),
            Kind::People => self.people(given),
            Kind::Relation => self.relation(given),
            Kind::Files => self.files(given),
            Kind::Place => self.place_value(given),
            Kind::Verification => self.verification(given),
            Kind::Formula | Kind::Rollup | Kind::Unknown(_) => {
                Ok((!given.is_null()).then(|| Value::Json(Box::new(given.clone()))))
            }
            Kind::CreatedTime
            | Kind::LastEditedTime
            | Kind::CreatedBy
            | Kind::LastEditedBy
            | Kind::UniqueId
            | Kind::Button => Err(self.should_be("left out", given)),
        }
    }

    fn should_be(&self, what: &str, given: &Json) -> ApiError {
        ApiError::body(&self.place, &format!("{what}, instead was `{given}`"))
    }

    fn array<'g>(&self, given: &'g Json) -> Result<&'g [Json], ApiError> {
        let items = given
            .as_array()
            .ok_or_else(|| self.should_be("an array", given))?;
        if self.context.has_limits() && items.len() > MAX_ITEMS {
            return Err(too_long(&self.place, MAX_ITEMS, items.len()));
        }
        Ok(items)
    }

    fn number(&self, given: &Json) -> Result<Option<Value>, ApiError> {
        match given {
            Json::Null => Ok(None),
            Json::Number(number) => number
                .as_f64()
                .filter(|number| number.is_finite())
                .map(|number| Some(Value::Number(number)))
                .ok_or_else(|| self.should_be("a number", given)),
            _ => Err(self.should_be("a number or null", given)),
        }
    }

    fn line(&self, given: &Json, limit: usize) -> Result<Option<Value>, ApiError> {
        match given {
            Json::Null => Ok(None),
            Json::String(line) if line.is_empty() => Err(ApiError::body(
                &self.place,
                "populated or `null`, instead was `\"\"`",
            )),
            Json::String(line) => {
                check_length(&self.context, &self.place, line, limit)?;
                Ok(Some(Value::Line(line.as_str().into())))
            }
            _ => Err(self.should_be("a string or `null`", given)),
        }
    }

    fn date(&self, given: &Json) -> Result<Option<Value>, ApiError> {
        if given.is_null() {
            return Ok(None);
        }
        let floor = self.context.switches().floor_dates;
        date::parse(given, floor)
            .map(|date| Some(Value::Date(Box::new(date))))
            .map_err(|should| self.should_be(should, given))
    }

    fn choice(&mut self, given: &Json) -> Result<Option<Value>, ApiError> {
        if given.is_null() {
            let fallback = (self.property.kind == Kind::Status)
                .then_some(self.property.default_option)
                .flatten()
                .filter(|index| self.property.option(*index).is_some());
            return Ok(fallback.map(Value::Choice));
        }
        self.option(given).map(|index| Some(Value::Choice(index)))
    }

    fn choices(&mut self, given: &Json) -> Result<Option<Value>, ApiError> {
        let mut indexes = Vec::new();
        for item in self.array(given)? {
            let index = self.option(item)?;
            if !indexes.contains(&index) {
                indexes.push(index);
            }
        }
        Ok((!indexes.is_empty()).then(|| Value::Choices(indexes.into_boxed_slice())))
    }

    fn option(&mut self, given: &Json) -> Result<u16, ApiError> {
        let (id, name) = (given["id"].as_str(), given["name"].as_str());
        if let Some(index) = id.and_then(|id| self.property.option_with_id(id)) {
            return Ok(index);
        }
        let kind = self.property.kind.name();
        let Some(name) = name else {
            return Err(match id {
                Some(id) => ApiError::validation(format!("{kind} option \"{id}\" does not exist.")),
                None => self.should_be("an option with `name` or `id`", given),
            });
        };
        if let Some(index) = self.property.option_named(name) {
            return Ok(index);
        }
        if self.property.kind == Kind::Status {
            return Err(ApiError::validation(format!(
                "Invalid status option. Status option \"{name}\" does not exist."
            )));
        }
        self.new_option(given, name)
    }

    fn new_option(&mut self, given: &Json, name: &str) -> Result<u16, ApiError> {
        if name.is_empty() || name.contains(',') || name.encode_utf16().count() > 100 {
            return Err(ApiError::validation(format!(
                "Invalid {} option, it must be 1 to 100 characters without commas: \"{name}\".",
                self.property.kind.name()
            )));
        }
        let known = self.property.options.len();
        let mut mine = self
            .new_options
            .iter()
            .filter(|new| new.property == self.index);
        let found = mine
            .clone()
            .position(|new| new.name.to_lowercase() == name.to_lowercase());
        let position = found.unwrap_or(mine.by_ref().count());
        if found.is_none() {
            self.new_options.push(NewOption {
                property: self.index,
                name: name.to_owned(),
                color: given["color"].as_str().map(str::to_owned),
            });
        }
        u16::try_from(known + position).map_err(|_| ApiError::validation("Too many options."))
    }

    fn ids(&self, given: &Json) -> Result<Vec<Uuid>, ApiError> {
        let mut ids = Vec::new();
        for (index, item) in self.array(given)?.iter().enumerate() {
            let id = item["id"].as_str().and_then(parse_uuid).ok_or_else(|| {
                let place = format!("{}[{index}].id", self.place);
                ApiError::body(
                    &place,
                    &format!("a valid uuid, instead was `{}`", item["id"]),
                )
            })?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    fn people(&self, given: &Json) -> Result<Option<Value>, ApiError> {
        let ids = self.ids(given)?;
        Ok((!ids.is_empty()).then(|| Value::People(ids.into_boxed_slice())))
    }

    fn relation(&self, given: &Json) -> Result<Option<Value>, ApiError> {
        let ids = self.ids(given)?;
        if let Some(connection) = self.context.connection {
            let world = self.context.world;
            let target = self
                .property
                .config
                .get("data_source_id")
                .and_then(Json::as_str);
            for id in &ids {
                let slot = world.visible_page(connection, *id)?;
                let parent = world.page(slot).current.parent;
                let fits = matches!(parent, Parent::DataSource(source)
                    if target.is_none_or(|target| parse_uuid(target) == Some(source)));
                if !fits {
                    return Err(ApiError::validation(format!(
                        "Page {id} does not belong to the data source that {} relates to.",
                        self.property.name
                    )));
                }
            }
        }
        Ok((!ids.is_empty()).then(|| Value::Relation(ids.into_boxed_slice())))
    }

    fn files(&self, given: &Json) -> Result<Option<Value>, ApiError> {
        let mut files = Vec::new();
        for (index, item) in self.array(given)?.iter().enumerate() {
            let place = format!("{}[{index}]", self.place);
            let name = item["name"].as_str().unwrap_or("file");
            check_length(&self.context, &format!("{place}.name"), name, 100)?;
            if let Some(url) = item["external"]["url"].as_str() {
                check_length(&self.context, &format!("{place}.external.url"), url, 2_000)?;
                if url.is_empty() {
                    return Err(ApiError::body(
                        &format!("{place}.external.url"),
                        "populated",
                    ));
                }
                files.push(File::External {
                    name: name.into(),
                    url: url.into(),
                });
            } else if let Some(key) = hosted_key(item) {
                files.push(File::Hosted {
                    name: name.into(),
                    key,
                });
            } else {
                return Err(ApiError::body(&place, "an external file or a file upload"));
            }
        }
        Ok((!files.is_empty()).then(|| Value::Files(files.into_boxed_slice())))
    }

    fn place_value(&self, given: &Json) -> Result<Option<Value>, ApiError> {
        if given.is_null() {
            return Ok(None);
        }
        if !given["lat"].is_number() || !given["lon"].is_number() {
            return Err(self.should_be("a place with `lat` and `lon`", given));
        }
        let field = |name: &str| given.get(name).cloned().unwrap_or(Json::Null);
        let mut place = json!({"lat": given["lat"], "lon": given["lon"]});
        for name in ["name", "address", "aws_place_id", "google_place_id"] {
            place[name] = field(name);
        }
        Ok(Some(Value::Json(Box::new(place))))
    }

    fn verification(&self, given: &Json) -> Result<Option<Value>, ApiError> {
        let state = given["state"].as_str().unwrap_or_default();
        let allowed = if self.context.has_limits() {
            matches!(state, "verified" | "unverified")
        } else {
            matches!(state, "verified" | "unverified" | "expired")
        };
        if !allowed {
            return Err(self.should_be("a verification with a known state", given));
        }
        let date = match &given["date"] {
            Json::Null => Json::Null,
            given
                if given["start"]
                    .as_str()
                    .is_none_or(|start| start.len() == 10) =>
            {
                return Err(self.should_be("a verification whose date has a time", given));
            }
            given => date::read(
                &date::parse(given, self.context.switches().floor_dates)
                    .map_err(|should| self.should_be(should, given))?,
            ),
        };
        let by = self.context.connection.map(|connection| connection.bot);
        let by = by.unwrap_or(self.context.world.person);
        let verified_by = if state == "unverified" {
            Json::Null
        } else {
            self.context.world.user_object(by)
        };
        let value = json!({"state": state, "verified_by": verified_by, "date": date});
        Ok(Some(Value::Json(Box::new(value))))
    }
}

/// The key of a file that Notion stores: from a file upload, or from what a read gave back.
fn hosted_key(item: &Json) -> Option<Uuid> {
    if let Some(id) = item["file_upload"]["id"].as_str() {
        return parse_uuid(id);
    }
    let url = item["file"]["url"].as_str()?;
    let found = url.split('/').find_map(parse_uuid);
    Some(found.unwrap_or_else(|| {
        let mut random = crate::random::Random::new(url.bytes().map(u64::from).sum());
        random.uuid()
    }))
}
