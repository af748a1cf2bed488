//! Parameters of requests, and headers of answers.

use http::HeaderName;
use serde_json::Value;

use crate::media::MediaType;
use crate::parameter::{Form, Parameter, Place, Style};
use crate::reader::{Part, Reader};
use crate::schema::shape::{Shape, WITHOUT_TYPE};
use crate::schema::{Direction, SchemaId, Schemas};

/// Fields that parameters and headers share.
const SHARED: [&str; 11] = [
    "description",
    "required",
    "deprecated",
    "allowEmptyValue",
    "style",
    "explode",
    "allowReserved",
    "schema",
    "example",
    "examples",
    "content",
];
/// Headers that OpenAPI describes elsewhere, so that a parameter of that name means nothing.
const ELSEWHERE: [&str; 3] = ["accept", "content-type", "authorization"];

/// Reads a parameter; `None` where it means nothing, or is wrong.
pub(super) fn parameter<'a>(
    reader: &mut Reader<'a>,
    schemas: &mut Schemas,
    part: &Part<'a>,
) -> Option<Parameter> {
    let mut known = vec!["name", "in"];
    known.extend(SHARED);
    reader.fields(part, &known)?;
    let name = part.field("name").and_then(|name| name.value.as_str());
    let place = part.field("in").and_then(|place| place.value.as_str()).and_then(Place::named);
    let (Some(name), Some(place)) = (name, place) else {
        reader.problem(&part.pointer, "no `name`, or no `in` of path, query, header or cookie");
        return None;
    };
    if place == Place::Header && ELSEWHERE.contains(&name.to_ascii_lowercase().as_str()) {
        return None;
    }
    let parameter = shared(reader, schemas, part, name, place, Direction::Request)?;
    if place == Place::Path && !parameter.required {
        reader.problem(&part.pointer, "a parameter of the path without `required: true`");
    }
    Some(parameter)
}

/// Reads a header of an answer.
pub(super) fn header<'a>(
    reader: &mut Reader<'a>,
    schemas: &mut Schemas,
    name: &str,
    part: &Part<'a>,
) -> Option<Parameter> {
    reader.fields(part, &SHARED)?;
    if name.eq_ignore_ascii_case("content-type") {
        return None;
    }
    shared(reader, schemas, part, name, Place::Header, Direction::Answer)
}

fn shared<'a>(
    reader: &mut Reader<'a>,
    schemas: &mut Schemas,
    part: &Part<'a>,
    name: &str,
    place: Place,
    direction: Direction,
) -> Option<Parameter> {
    let name = if place == Place::Header { name.to_ascii_lowercase() } else { name.to_owned() };
    if place == Place::Header && HeaderName::from_bytes(name.as_bytes()).is_err() {
        reader.problem(&part.pointer, "the name of no header");
        return None;
    }
    let required = reader.truth(part, "required", false);
    let allow_empty = reader.truth(part, "allowEmptyValue", false) && place == Place::Query;
    reader.truth(part, "allowReserved", false);
    let (form, schema) = match (part.field("schema"), part.field("content")) {
        (Some(schema), None) => {
            (style(reader, part, place)?, Some(schemas.root(reader, &schema, direction)))
        }
        (None, Some(content)) => written(reader, schemas, &content, direction)?,
        _ => {
            reader.problem(&part.pointer, "neither a `schema` nor a `content`, or both");
            return None;
        }
    };
    let shape =
        schema.map_or_else(|| Shape::of(&Value::Null, &Value::Bool(true)), |id| schemas.shape(id));
    if matches!(form, Form::Style { .. }) && (shape.is_vague || shape.is_vague_within) {
        reader.problem(&part.pointer, WITHOUT_TYPE);
    }
    Some(Parameter { name: name.into(), place, required, allow_empty, form, schema, shape })
}

fn style(reader: &mut Reader<'_>, part: &Part<'_>, place: Place) -> Option<Form> {
    let allowed: &[Style] = match place {
        Place::Path => &[Style::Simple, Style::Label, Style::Matrix],
        Place::Query => {
            &[Style::Form, Style::SpaceDelimited, Style::PipeDelimited, Style::DeepObject]
        }
        Place::Header => &[Style::Simple],
        Place::Cookie => &[Style::Form],
    };
    let default = allowed.first().copied().unwrap_or(Style::Simple);
    let style = match part.field("style") {
        None => default,
        Some(field) => {
            let named = field.value.as_str().and_then(Style::named);
            let Some(style) = named.filter(|style| allowed.contains(style)) else {
                reader
                    .problem(&field.pointer, "a style that a parameter in this place cannot have");
                return None;
            };
            style
        }
    };
    // Cookies have no `&`, so that what is not said cannot be meant.
    let explode = reader.truth(part, "explode", style == Style::Form && place != Place::Cookie);
    Some(Form::Style { style, explode })
}

/// A parameter that is written in a media type.
fn written<'a>(
    reader: &mut Reader<'a>,
    schemas: &mut Schemas,
    content: &Part<'a>,
    direction: Direction,
) -> Option<(Form, Option<SchemaId>)> {
    let entries = content.entries();
    let [(name, entry)] = entries.as_slice() else {
        reader.problem(&content.pointer, "another number of media types than one");
        return None;
    };
    reader.fields(entry, &["schema", "example", "examples", "encoding"])?;
    if !MediaType::read(name).is_some_and(|media| media.is_json()) {
        return Some((Form::Other, None));
    }
    let schema = entry.field("schema").map(|schema| schemas.root(reader, &schema, direction));
    Some((Form::Json, schema))
}
