//! Rich text: what may be written and how it comes back.
//!
//! Sizes are counted in UTF-16 units, as JavaScript does.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::ids::parse_uuid;
use crate::properties::date;
use crate::properties::value::Text;
use crate::properties::write::WriteContext;

/// Segments of one text at most.
const MAX_SEGMENTS: usize = 100;

/// Reads an array of segments. `None` is empty text; `place` is named in errors.
pub(crate) fn parse(
    context: &WriteContext<'_>,
    place: &str,
    given: &Json,
) -> Result<Option<Text>, ApiError> {
    let Json::Array(segments) = given else {
        return Err(ApiError::body(
            place,
            &format!("an array, instead was `{given}`"),
        ));
    };
    if context.has_limits() && segments.len() > MAX_SEGMENTS {
        return Err(too_long(place, MAX_SEGMENTS, segments.len()));
    }
    let mut runs: Vec<Json> = Vec::with_capacity(segments.len());
    for (index, segment) in segments.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let Some(run) = parse_segment(context, &place, segment)? else {
            continue;
        };
        match runs.last_mut() {
            Some(last) if context.switches().merge_text_segments && joins(last, &run) => {
                join(last, &run);
            }
            _ => runs.push(run),
        }
    }
    Ok(compact(runs))
}

fn compact(runs: Vec<Json>) -> Option<Text> {
    match runs.as_slice() {
        [] => None,
        [only] if *only == plain_run(only["plain_text"].as_str().unwrap_or_default()) => Some(
            Text::Plain(only["plain_text"].as_str().unwrap_or_default().into()),
        ),
        _ => Some(Text::Runs(runs.into_boxed_slice())),
    }
}

/// The text as a read shows it.
pub(crate) fn read(text: &Text) -> Vec<Json> {
    match text {
        Text::Plain(plain) => vec![plain_run(plain)],
        Text::Runs(runs) => runs.to_vec(),
    }
}

/// One unstyled segment as a read shows it.
pub(crate) fn plain_run(text: &str) -> Json {
    run(
        "text",
        json!({"content": text, "link": null}),
        &Json::Null,
        text,
        &Json::Null,
    )
}

/// How many different pages and users a text mentions.
pub(crate) fn mentions(runs: &[Json]) -> usize {
    let mut ids: Vec<&str> = runs
        .iter()
        .filter_map(|run| {
            let mention = &run["mention"];
            mention["user"]["id"]
                .as_str()
                .or_else(|| mention["page"]["id"].as_str())
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

fn run(kind: &str, value: Json, styles: &Json, plain: &str, href: &Json) -> Json {
    let style = |name: &str| styles[name].as_bool().unwrap_or(false);
    let mut segment = json!({
        "type": kind,
        "annotations": {
            "bold": style("bold"),
            "italic": style("italic"),
            "strikethrough": style("strikethrough"),
            "underline": style("underline"),
            "code": style("code"),
            "color": styles["color"].as_str().unwrap_or("default"),
        },
        "plain_text": plain,
        "href": href,
    });
    segment[kind] = value;
    segment
}

fn parse_segment(
    context: &WriteContext<'_>,
    place: &str,
    segment: &Json,
) -> Result<Option<Json>, ApiError> {
    let styles = &segment["annotations"];
    if segment["text"].is_object() {
        return parse_plain(context, place, segment);
    }
    if let Some(expression) = segment["equation"]["expression"].as_str() {
        check_length(
            context,
            &format!("{place}.equation.expression"),
            expression,
            1_000,
        )?;
        let value = json!({"expression": expression});
        return Ok(Some(run(
            "equation",
            value,
            styles,
            expression,
            &Json::Null,
        )));
    }
    if segment["mention"].is_object() {
        return parse_mention(context, place, segment).map(Some);
    }
    Err(ApiError::body(
        place,
        "a rich text object with `text`, `mention` or `equation`",
    ))
}

fn parse_plain(
    context: &WriteContext<'_>,
    place: &str,
    segment: &Json,
) -> Result<Option<Json>, ApiError> {
    let text = segment["text"]["content"]
        .as_str()
        .ok_or_else(|| ApiError::body(&format!("{place}.text.content"), "a string"))?;
    check_length(context, &format!("{place}.text.content"), text, 2_000)?;
    if text.is_empty() {
        if context.has_limits() && !context.switches().accept_empty_text {
            return Err(ApiError::body(
                &format!("{place}.text.content"),
                "populated",
            ));
        }
        return Ok(None);
    }
    let url = &segment["text"]["link"]["url"];
    if let Some(url) = url.as_str() {
        check_length(context, &format!("{place}.text.link.url"), url, 2_000)?;
        if url.is_empty() {
            return Err(ApiError::body(
                &format!("{place}.text.link.url"),
                "populated",
            ));
        }
    }
    let link = if url.is_string() {
        json!({"url": url})
    } else {
        Json::Null
    };
    let value = json!({"content": text, "link": link});
    Ok(Some(run("text", value, &segment["annotations"], text, url)))
}

fn parse_mention(
    context: &WriteContext<'_>,
    place: &str,
    segment: &Json,
) -> Result<Json, ApiError> {
    let mention = &segment["mention"];
    let id_of = |kind: &str| mention[kind]["id"].as_str().and_then(parse_uuid);
    let link = |id: Uuid| json!(format!("https://app.notion.com/p/{}", id.simple()));
    let (value, plain, href) = if let Some(id) = id_of("user") {
        let name = context
            .world
            .users
            .get(&id)
            .map_or("Anonymous", |user| user.name.as_str());
        let user = context.world.user_object(id);
        (
            json!({"type": "user", "user": user}),
            format!("@{name}"),
            Json::Null,
        )
    } else if let Some(id) = id_of("page") {
        let title = context
            .world
            .title_of(id)
            .unwrap_or_else(|| "Untitled".to_owned());
        (json!({"type": "page", "page": {"id": id}}), title, link(id))
    } else if let Some(id) = id_of("database") {
        let title = context
            .world
            .databases
            .get(&id)
            .map_or("Untitled", |it| it.title.as_str());
        (
            json!({"type": "database", "database": {"id": id}}),
            title.to_owned(),
            link(id),
        )
    } else if mention["date"].is_object() {
        let date = date::parse(&mention["date"], context.switches().floor_dates)
            .map_err(|should| ApiError::body(&format!("{place}.mention.date"), should))?;
        let plain = date.start.to_string();
        (
            json!({"type": "date", "date": date::read(&date)}),
            plain,
            Json::Null,
        )
    } else if !context.has_limits() && mention["type"].is_string() {
        let plain = segment["plain_text"]
            .as_str()
            .unwrap_or("mention")
            .to_owned();
        (mention.clone(), plain, segment["href"].clone())
    } else {
        return Err(ApiError::body(
            &format!("{place}.mention"),
            "a mention that may be written",
        ));
    };
    Ok(run(
        "mention",
        value,
        &segment["annotations"],
        &plain,
        &href,
    ))
}

fn joins(first: &Json, second: &Json) -> bool {
    first["type"] == "text"
        && second["type"] == "text"
        && first["annotations"] == second["annotations"]
        && first["href"] == second["href"]
}

fn join(first: &mut Json, second: &Json) {
    let joined = first["plain_text"].as_str().unwrap_or_default().to_owned()
        + second["plain_text"].as_str().unwrap_or_default();
    first["text"]["content"] = json!(joined);
    first["plain_text"] = json!(joined);
}

/// Refuses text that is longer than a limit.
pub(crate) fn check_length(
    context: &WriteContext<'_>,
    place: &str,
    text: &str,
    limit: usize,
) -> Result<(), ApiError> {
    let length = text.encode_utf16().count();
    if context.has_limits() && length > limit {
        return Err(too_long(place, limit, length));
    }
    Ok(())
}

/// The refusal of something that is too long.
pub(crate) fn too_long(place: &str, limit: usize, length: usize) -> ApiError {
    ApiError::validation(format!(
        "body failed validation: body.{place}.length should be ≤ `{limit}`, instead was `{length}`."
    ))
}
