//! Bodies: which media types are described, and what a body of each is to be.

mod form;
mod multipart;

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;

use crate::limits::JsonLimits;
use crate::media::MediaType;
use crate::refusal::{RefusalKind, SchemaRefusal};
use crate::schema::shape::Shape;
use crate::schema::{CompiledSchemas, SchemaId};
pub(crate) use multipart::Parts;

/// What a body of one media type is to be.
#[derive(Debug, Clone)]
pub(crate) enum BodyKind {
    /// JSON, with its schema where there is one.
    Json(Option<SchemaId>),
    /// `application/x-www-form-urlencoded` with a schema; fields that are lists may be written in one field each.
    Form { schema: SchemaId, shape: Shape, delimiters: HashMap<Box<str>, char> },
    /// `multipart/form-data`: its parts by their names.
    Multipart(Parts),
    /// Anything else: its media type is all that is looked at.
    Other,
}

/// The media types that are described, and what a body of each is to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) kinds: Vec<(MediaType, Arc<BodyKind>)>,
}

impl Content {
    /// What a body of a message with these headers is to be; `None`: it need not be read to be judged.
    pub(crate) fn of(
        &self,
        headers: &HeaderMap,
    ) -> Result<(Option<&Arc<BodyKind>>, MediaType), SchemaRefusal> {
        let unexpected = || SchemaRefusal {
            kind: RefusalKind::ContentTypeUnexpected,
            place: "header.content-type".to_owned(),
            keyword: "content".to_owned(),
        };
        let media = MediaType::of(headers).ok().flatten().ok_or_else(unexpected)?;
        let (_, kind) = self
            .kinds
            .iter()
            .filter(|(range, _)| range.takes(&media))
            .max_by_key(|(range, _)| range.narrowness())
            .ok_or_else(unexpected)?;
        match &**kind {
            // What a range describes as JSON is JSON only where it says so.
            BodyKind::Json(_) if !media.is_json() => Ok((None, media)),
            BodyKind::Json(_) | BodyKind::Form { .. } | BodyKind::Multipart(_)
                if !media.has_charset_that_is_read() =>
            {
                Err(unexpected())
            }
            read => Ok((read.is_read().then_some(kind), media)),
        }
    }
}

impl BodyKind {
    /// Whether a body has to be read to be judged.
    fn is_read(&self) -> bool {
        match self {
            Self::Json(_) | Self::Form { .. } => true,
            Self::Multipart(parts) => parts.say_something(),
            Self::Other => false,
        }
    }

    /// Looks whether a body is as described.
    pub(crate) fn check(
        &self,
        schemas: &CompiledSchemas,
        boundary: Option<&str>,
        body: &[u8],
        limits: &JsonLimits,
    ) -> Result<(), SchemaRefusal> {
        match self {
            Self::Json(schema) => {
                let value = limits.read(body)?;
                schema.map_or(Ok(()), |schema| {
                    schemas.check(schema, &value, "/body").map_err(SchemaRefusal::of_body)
                })
            }
            Self::Form { schema, shape, delimiters } => {
                form::check(schemas, *schema, shape, delimiters, body, limits)
            }
            Self::Multipart(parts) => parts.check(boundary, body, limits),
            Self::Other => Ok(()),
        }
    }
}
