//! The body, taken apart by what it says it is.

use std::borrow::Cow;

use zentinel_modsec::parser::VariableName;

use super::{Facts, arguments, json, multipart, xml};
use crate::inspection::NotRead;
use crate::request::InspectedRequest;

pub(super) fn add<'a>(facts: &mut Facts<'a>, request: &InspectedRequest<'a>, forced: Option<&str>) {
    let length = request.body.len().to_string().into_bytes();
    facts.add_one(VariableName::RequestBodyLength, length);
    if request.body.is_empty() {
        return;
    }
    let mut types = request.headers.get_all(http::header::CONTENT_TYPE).iter();
    let content_type = types.next().map_or(&b""[..], |value| value.as_bytes());
    if types.next().is_some()
        || media_type(content_type).contains(&b',')
        || !has_plain_charset(content_type)
    {
        facts.leave_out(NotRead::Malformed);
    }
    let kind = forced.and_then(forced_kind).unwrap_or_else(|| kind_of(content_type));
    let taken = match kind {
        Kind::Form => form(facts, request.body),
        Kind::Multipart => multipart::add(facts, request.body, content_type, request.body_complete),
        // A document that was cut is no document: what is there of it is looked at as text, too.
        Kind::Json => json::add(facts, request.body, request.body_complete),
        Kind::Xml => xml::add(facts, request.body, request.body_complete),
        Kind::Text => false,
    };
    // As the field has it: a body that was taken apart as a document is not looked at as a whole, too.
    if kind == Kind::Form || !taken {
        facts.add_one(VariableName::RequestBody, request.body);
    }
    let is_json = kind == Kind::Text && json::add_from_text(facts, request.body);
    let is_declared = kind != Kind::Text || media_type(content_type).starts_with(b"text/");
    if !taken && (is_json || is_declared || looks_like_text(request.body)) {
        add_text(facts, request.body);
    }
}

/// A text as it is, and without the escapes of JSON, which few rules undo.
pub(super) fn add_text<'a>(facts: &mut Facts<'a>, text: &'a [u8]) {
    facts.add_argument(Cow::Borrowed(b""), Cow::Borrowed(text));
    let decode = crate::transform::by_name("jsdecode");
    if let Some(plain) = decode.and_then(|decode| decode(text)) {
        facts.add_argument(Cow::Borrowed(b""), Cow::Owned(plain));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Form,
    Multipart,
    Json,
    Xml,
    Text,
}

fn kind_of(content_type: &[u8]) -> Kind {
    let media = media_type(content_type);
    let first = media.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    match first {
        b"application/x-www-form-urlencoded" => Kind::Form,
        media if media.starts_with(b"multipart/") => Kind::Multipart,
        media if media.ends_with(b"/json") || media.ends_with(b"+json") => Kind::Json,
        media if media.ends_with(b"/xml") || media.ends_with(b"+xml") => Kind::Xml,
        _ => Kind::Text,
    }
}

/// The content type without its parameters, in lower case.
fn media_type(content_type: &[u8]) -> Vec<u8> {
    super::split_once(content_type, b';').0.trim_ascii().to_ascii_lowercase()
}

/// Whether no parameter says that letters are other bytes than those of ASCII.
pub(super) fn has_plain_charset(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"charset";
    let text = content_type.to_ascii_lowercase();
    let mut places = text.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    places.all(|(place, _)| {
        let after = text.get(place + NAME.len()..).unwrap_or_default().trim_ascii_start();
        let Some(value) = after.strip_prefix(b"=") else { return !after.starts_with(b"*") };
        let value = value.split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default();
        let value = value.trim_ascii();
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        is_plain_charset(bare.unwrap_or(value))
    })
}

/// Encodings in which the letters and marks of ASCII are their own bytes and nothing else is.
pub(super) fn is_plain_charset(name: &[u8]) -> bool {
    const PLAIN: &[&[u8]] = &[
        b"utf-8",
        b"utf8",
        b"us-ascii",
        b"ascii",
        b"iso-8859-1",
        b"iso-8859-15",
        b"latin1",
        b"windows-1252",
    ];
    PLAIN.iter().any(|plain| name.eq_ignore_ascii_case(plain))
}

fn forced_kind(name: &str) -> Option<Kind> {
    match name.to_ascii_uppercase().as_str() {
        "URLENCODED" => Some(Kind::Form),
        "MULTIPART" => Some(Kind::Multipart),
        "JSON" => Some(Kind::Json),
        "XML" => Some(Kind::Xml),
        _ => None,
    }
}

fn form<'a>(facts: &mut Facts<'a>, body: &'a [u8]) -> bool {
    facts.processor = "URLENCODED";
    if !arguments::of_form(body, |name, value| facts.add_argument(name, value)) {
        facts.leave_out(NotRead::TooMany);
    }
    true
}

/// Whether the beginning of a body is text: pictures and archives are not, and would only make rules guess.
fn looks_like_text(body: &[u8]) -> bool {
    let beginning = body.get(..512).unwrap_or(body);
    let odd = beginning.iter().filter(|byte| matches!(byte, 0..=8 | 14..=31 | 127)).count();
    odd * 50 <= beginning.len()
}
