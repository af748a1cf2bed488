//! Values of `format`: those that are checked, those that say nothing about a JSON value, and no others.
//!
//! JSON Schema lets a validator pass over a format it does not know. Whoever writes one means a restriction, so an
//! unknown format is refused when the description is read.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value, json};

/// Formats of text that are checked.
const CHECKED: &[&str] = &[
    "date",
    "date-time",
    "time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "iri",
    "iri-reference",
    "uri-template",
    "uuid",
    "json-pointer",
    "relative-json-pointer",
    "regex",
    "byte",
    "base64url",
];

/// Formats that say how a value is shown, kept or made, and so nothing about it.
const SAYING_NOTHING: &[&str] = &["binary", "password", "float", "double", "html", "commonmark"];

/// What a format adds to a schema.
pub(crate) enum Format {
    /// Text that is checked by the format itself.
    Checked,
    /// Bounds of a number.
    Bounds(Map<String, Value>),
    /// Nothing.
    SaysNothing,
}

/// What a format means; `None` where it is unknown.
pub(crate) fn meaning(name: &str) -> Option<Format> {
    if CHECKED.contains(&name) {
        return Some(Format::Checked);
    }
    if SAYING_NOTHING.contains(&name) {
        return Some(Format::SaysNothing);
    }
    let (minimum, maximum) = match name {
        "int8" => (json!(i8::MIN), json!(i8::MAX)),
        "uint8" => (json!(u8::MIN), json!(u8::MAX)),
        "int16" => (json!(i16::MIN), json!(i16::MAX)),
        "uint16" => (json!(u16::MIN), json!(u16::MAX)),
        "int32" => (json!(i32::MIN), json!(i32::MAX)),
        "uint32" => (json!(u32::MIN), json!(u32::MAX)),
        "int64" => (json!(i64::MIN), json!(i64::MAX)),
        "uint64" => (json!(u64::MIN), json!(u64::MAX)),
        // What a double holds without rounding.
        "double-int" => (json!(-(1_i64 << 53) + 1), json!((1_i64 << 53) - 1)),
        _ => return None,
    };
    let bounds = [("minimum".to_owned(), minimum), ("maximum".to_owned(), maximum)];
    Some(Format::Bounds(bounds.into_iter().collect()))
}

/// base64 with its padding (RFC 4648, section 4).
pub(crate) fn is_base64(text: &str) -> bool {
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// base64url with or without padding (RFC 4648, section 5).
pub(crate) fn is_base64url(text: &str) -> bool {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet::URL_SAFE, EITHER).decode(text).is_ok()
}
