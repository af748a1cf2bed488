//! Bodies of `application/x-www-form-urlencoded`: an object whose properties are the fields.

use std::collections::HashMap;

use serde_json::Value;

use crate::limits::JsonLimits;
use crate::parameter::{Fields, object};
use crate::percent;
use crate::refusal::SchemaRefusal;
use crate::schema::shape::{Shape, Types};
use crate::schema::{CompiledSchemas, SchemaId};

pub(super) fn check(
    schemas: &CompiledSchemas,
    schema: SchemaId,
    shape: &Shape,
    delimiters: &HashMap<Box<str>, char>,
    body: &[u8],
    limits: &JsonLimits,
) -> Result<(), SchemaRefusal> {
    let refusal = |keyword| SchemaRefusal::mismatch("body", keyword);
    if body.len() > limits.max_bytes {
        return Err(refusal("maxBytes"));
    }
    let text = std::str::from_utf8(body).map_err(|_| refusal("encoding"))?;
    let mut fields: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in Fields::read(text, "body")?.take_all(|_| true) {
        let value = percent::decode_form(value).ok_or_else(|| refusal("encoding"))?;
        let delimiter = delimiters.get(name.as_str());
        let is_list = shape.property(&name).is_some_and(|(types, _)| types.has(Types::ARRAY));
        let values = fields.entry(name).or_default();
        match delimiter.filter(|_| is_list) {
            Some(delimiter) => values.extend(value.split(*delimiter).map(str::to_owned)),
            None => values.push(value),
        }
    }
    let mut told = Ok(());
    for as_text in [false, true] {
        let value: Value = object(&fields, shape, as_text).ok_or_else(|| refusal("repeated"))?;
        match schemas.check(schema, &value, "/body") {
            Ok(()) => return Ok(()),
            refused if !as_text => told = refused.map_err(SchemaRefusal::of_body),
            Err(_) => {}
        }
    }
    told
}
