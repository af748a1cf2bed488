//! The body, taken apart by what it says it is.

use std::borrow::Cow;

use zentinel_modsec::parser::VariableName;

use super::{Facts, arguments, json, multipart, xml};
use crate::request::InspectedRequest;

pub(super) fn add<'a>(facts: &mut Facts<'a>, request: &InspectedRequest<'a>, forced: Option<&str>) {
    let length = request.body.len().to_string().into_bytes();
    facts.add_one(VariableName::RequestBodyLength, length);
    if request.body.is_empty() {
        return;
    }
    let content_type =
        request.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let kind = forced.and_then(forced_kind).unwrap_or_else(|| kind_of(content_type));
    let taken = match kind {
        Kind::Form => form(facts, request.body),
        Kind::Multipart => multipart::add(facts, request.body, content_type, request.body_complete),
        // A document that was cut is no document: what is there of it is looked at as text.
        Kind::Json if request.body_complete => json::add(facts, request.body),
        Kind::Xml if request.body_complete => xml::add(facts, request.body),
        Kind::Json | Kind::Xml | Kind::Text => false,
    };
    // As the field has it: a body that was taken apart as a document is not looked at as a whole, too.
    if kind == Kind::Form || !taken {
        facts.add_one(VariableName::RequestBody, request.body);
    }
    if !taken && looks_like_text(request.body) {
        facts.add_argument(Cow::Borrowed(b""), Cow::Borrowed(request.body));
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
    let media = content_type.split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default();
    let media = media.trim_ascii().to_ascii_lowercase();
    match media.as_slice() {
        b"application/x-www-form-urlencoded" => Kind::Form,
        media if media.starts_with(b"multipart/") => Kind::Multipart,
        media if media.ends_with(b"/json") || media.ends_with(b"+json") => Kind::Json,
        media if media.ends_with(b"/xml") || media.ends_with(b"+xml") => Kind::Xml,
        _ => Kind::Text,
    }
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
    arguments::of_form(body, |name, value| facts.add_argument(name, value));
    true
}

/// Whether the beginning of a body is text: pictures and archives are not, and would only make rules guess.
pub(super) fn looks_like_text(body: &[u8]) -> bool {
    let beginning = body.get(..512).unwrap_or(body);
    let odd = beginning.iter().filter(|byte| matches!(byte, 0..=8 | 14..=31 | 127)).count();
    odd * 50 <= beginning.len()
}
