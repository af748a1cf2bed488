//! Styles of parameters (OpenAPI, "Style Values"): from text to a value.
//!
//! A value is taken apart after its escapes were undone, because clients and servers differ on whether the commas of a
//! list are escaped. A text can be a value in several ways, where a schema takes several types: all of them are tried.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::limits::check_number;
use crate::schema::shape::{Shape, Types};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    SpaceDelimited,
    PipeDelimited,
    DeepObject,
}

impl Style {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "simple" => Some(Self::Simple),
            "label" => Some(Self::Label),
            "matrix" => Some(Self::Matrix),
            "form" => Some(Self::Form),
            "spaceDelimited" => Some(Self::SpaceDelimited),
            "pipeDelimited" => Some(Self::PipeDelimited),
            "deepObject" => Some(Self::DeepObject),
            _ => None,
        }
    }

    /// What stands between the parts of a list or an object.
    fn delimiter(self, explode: bool) -> char {
        match self {
            Self::SpaceDelimited => ' ',
            Self::PipeDelimited => '|',
            Self::Label if explode => '.',
            Self::Matrix if explode => ';',
            _ => ',',
        }
    }
}

/// All that a text may be read as, the likeliest first; nothing where it is not of the style.
pub(super) fn read(
    text: &str,
    style: Style,
    explode: bool,
    name: &str,
    shape: &Shape,
) -> Vec<Value> {
    let mut candidates = Vec::new();
    let Some(body) = body(text, style) else {
        return candidates;
    };
    // `;name=` stands before the whole, but for a list or an object that is spread.
    let own = match style {
        Style::Matrix => strip_name(body, name),
        _ => Some(body),
    };
    for as_text in [false, true] {
        if shape.types.has(Types::ARRAY) {
            candidates.extend(list(body, own, style, explode, name, shape.items, as_text));
        }
        if shape.types.has(Types::OBJECT) {
            let pairs = if explode {
                spread(body, style)
            } else {
                own.and_then(|own| alternating(own, style))
            };
            candidates.extend(pairs.and_then(|pairs| object(&pairs, shape, as_text)));
        }
        if let Some(own) = own {
            candidates.push(coerce(own, shape.types, as_text));
        }
    }
    candidates.dedup();
    candidates
}

fn body(text: &str, style: Style) -> Option<&str> {
    match style {
        Style::Label => text.strip_prefix('.'),
        Style::Matrix => text.strip_prefix(';'),
        _ => Some(text),
    }
}

fn strip_name<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    body.strip_prefix(name)?.strip_prefix('=')
}

fn list(
    body: &str,
    own: Option<&str>,
    style: Style,
    explode: bool,
    name: &str,
    items: Types,
    as_text: bool,
) -> Option<Value> {
    let delimiter = style.delimiter(explode);
    let texts: Option<Vec<&str>> = if style == Style::Matrix && explode {
        body.split(delimiter).map(|item| strip_name(item, name)).collect()
    } else {
        own.map(|own| own.split(delimiter).collect())
    };
    let values = texts?.into_iter().map(|item| coerce(item.trim(), items, as_text)).collect();
    Some(Value::Array(values))
}

/// `a=1,b=2`.
fn spread(body: &str, style: Style) -> Option<HashMap<String, Vec<String>>> {
    let mut pairs: HashMap<String, Vec<String>> = HashMap::new();
    for pair in body.split(style.delimiter(true)) {
        let (name, value) = pair.split_once('=')?;
        pairs.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    Some(pairs)
}

/// `a,1,b,2`.
fn alternating(own: &str, style: Style) -> Option<HashMap<String, Vec<String>>> {
    let mut pairs: HashMap<String, Vec<String>> = HashMap::new();
    let mut parts = own.split(style.delimiter(false));
    while let Some(name) = parts.next() {
        pairs.entry(name.to_owned()).or_default().push(parts.next()?.to_owned());
    }
    Some(pairs)
}

/// An object of fields; `None` where a field that is no list stands twice.
pub(crate) fn object(
    fields: &HashMap<String, Vec<String>>,
    shape: &Shape,
    as_text: bool,
) -> Option<Value> {
    let mut found = Map::new();
    for (name, values) in fields {
        let (types, items) = shape.property(name).unwrap_or((Types::STRING, Types::STRING));
        let value = match values.as_slice() {
            [value] if !types.has(Types::ARRAY) || types == Types::ALL => {
                coerce(value, types, as_text)
            }
            _ if types.has(Types::ARRAY) => {
                Value::Array(values.iter().map(|value| coerce(value, items, as_text)).collect())
            }
            _ => return None,
        };
        found.insert(name.clone(), value);
    }
    Some(Value::Object(found))
}

/// A text as the likeliest of the types that it may have; `as_text` where text goes before everything else.
pub(crate) fn coerce(text: &str, types: Types, as_text: bool) -> Value {
    if as_text && types.has(Types::STRING) {
        return Value::String(text.to_owned());
    }
    if types.has(Types::NUMBER)
        && check_number(text).is_ok()
        && let Ok(number) = serde_json::from_str(text)
    {
        return Value::Number(number);
    }
    match text {
        "true" if types.has(Types::BOOLEAN) => Value::Bool(true),
        "false" if types.has(Types::BOOLEAN) => Value::Bool(false),
        "null" if types.has(Types::NULL) && !types.has(Types::STRING) => Value::Null,
        _ => Value::String(text.to_owned()),
    }
}
