//! Media types of bodies.

use std::collections::HashMap;
use std::sync::Arc;

use crate::body::{BodyKind, Content, Parts};
use crate::media::MediaType;
use crate::reader::{Part, Reader};
use crate::schema::shape::{Shape, Types, WITHOUT_TYPE};
use crate::schema::{Direction, Schemas};

/// The most media types of one body.
const MAX_MEDIA_TYPES: usize = 100;

/// Reads the media types of a body.
pub(super) fn content<'a>(
    reader: &mut Reader<'a>,
    schemas: &mut Schemas,
    all: &Part<'a>,
    direction: Direction,
) -> Content {
    let mut kinds: Vec<(MediaType, Arc<BodyKind>)> = Vec::new();
    let entries = all.entries();
    if entries.len() > MAX_MEDIA_TYPES {
        reader.problem(&all.pointer, format!("more than {MAX_MEDIA_TYPES} media types"));
        return Content::default();
    }
    for (name, part) in entries {
        let Some(range) = MediaType::read(name) else {
            reader.problem(&part.pointer, "no media type");
            continue;
        };
        if kinds.iter().any(|(known, _)| *known == range) {
            reader.problem(&part.pointer, "this media type twice");
        }
        let kind = kind(reader, schemas, &range, &part, direction);
        kinds.push((range, Arc::new(kind)));
    }
    Content { kinds }
}

fn kind<'a>(
    reader: &mut Reader<'a>,
    schemas: &mut Schemas,
    range: &MediaType,
    part: &Part<'a>,
    direction: Direction,
) -> BodyKind {
    if reader.fields(part, &["schema", "example", "examples", "encoding"]).is_none() {
        return BodyKind::Other;
    }
    if range.is_range() && direction == Direction::Request && part.field("schema").is_some() {
        let message = "a schema for a range of media types: a request could name one whose bodies are not read; name them";
        reader.problem(&part.pointer, message);
    }
    let schema = part.field("schema").map(|schema| schemas.root(reader, &schema, direction));
    if range.is_json() || range.is_range() {
        return BodyKind::Json(schema);
    }
    let Some(schema) = schema else {
        return BodyKind::Other;
    };
    if range.is_form() {
        let delimiters = delimiters(reader, part);
        let shape = schemas.shape(schema);
        if shape.is_vague_within {
            reader.problem(&part.pointer, WITHOUT_TYPE);
        }
        return BodyKind::Form { schema, shape, delimiters };
    }
    if range.is_multipart_form() {
        return BodyKind::Multipart(parts(schemas.shape(schema)));
    }
    BodyKind::Other
}

fn parts(shape: Shape) -> Parts {
    let known = shape.properties.iter();
    Parts {
        known: known.map(|(name, types, _)| (name.clone(), types.has(Types::ARRAY))).collect(),
        required: shape.required,
        others: !shape.closed,
    }
}

/// What stands between the items of fields that are lists and written in one field.
fn delimiters(reader: &mut Reader<'_>, part: &Part<'_>) -> HashMap<Box<str>, char> {
    let mut delimiters = HashMap::new();
    for (name, encoding) in part.field("encoding").map(|all| all.entries()).unwrap_or_default() {
        reader.fields(&encoding, &["contentType", "headers", "style", "explode", "allowReserved"]);
        let style = reader.text(&encoding, "style").unwrap_or("form");
        let explode = reader.truth(&encoding, "explode", style == "form");
        let delimiter = match style {
            "form" => ',',
            "spaceDelimited" => ' ',
            "pipeDelimited" => '|',
            _ => {
                reader
                    .problem(&encoding.below("style"), "a style that is not understood in a form");
                continue;
            }
        };
        if !explode {
            delimiters.insert(name.into(), delimiter);
        }
    }
    delimiters
}
