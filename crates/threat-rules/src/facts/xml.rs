//! An XML body: the text of each element, and each attribute. Entities are never expanded.

use std::borrow::Cow;

use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zentinel_modsec::parser::VariableName;

use super::body::is_plain_charset;
use super::{Facts, MOST_VALUES};
use crate::inspection::NotRead;

/// Deeper documents are looked at as text.
const DEEPEST: usize = 64;

/// Adds what the document says; whether it could be read, and has no declarations of its own, which only the text shows.
pub(super) fn add(facts: &mut Facts<'_>, body: &[u8], complete: bool) -> bool {
    facts.processor = "XML";
    let mut found = Vec::new();
    let read = read(body, &mut found);
    let is_too_much = found.len() > MOST_VALUES;
    for (key, value) in found {
        facts.add(VariableName::Xml, key, Cow::Owned(value.into_bytes()));
    }
    if is_too_much {
        facts.leave_out(NotRead::TooMany);
    }
    if read.is_none() && complete {
        facts.leave_out(NotRead::Malformed);
        facts.body_error = Some("the body is no XML, or has entities of its own, or is too much");
    }
    read == Some(Declarations::None)
}

/// Whether a document declares anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Declarations {
    None,
    Some,
}

type Found = Vec<(&'static [u8], String)>;

/// Reads a document; `None` where it cannot be read as a whole. Texts that references of characters take apart are put
/// together, so that nothing hides between them.
fn read(body: &[u8], found: &mut Found) -> Option<Declarations> {
    let mut reader = Reader::from_reader(body);
    reader.config_mut().check_end_names = true;
    let mut declarations = Declarations::None;
    let mut open: Vec<String> = Vec::new();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(element) => {
                attributes(&reader, &element, found)?;
                open.push(String::new());
            }
            Event::Empty(element) => attributes(&reader, &element, found)?,
            Event::End(_) => push(found, b"/*", open.pop()?)?,
            Event::Text(text) => append(&mut open, &text.decode().ok()?)?,
            Event::CData(text) => append(&mut open, &String::from_utf8_lossy(&text))?,
            Event::GeneralRef(name) => append(&mut open, &character(&name.decode().ok()?)?)?,
            Event::Decl(words) => encoding_is_plain(&words)?,
            Event::DocType(_) => declarations = Declarations::Some,
            Event::Eof => return open.is_empty().then_some(declarations),
            _ => {}
        }
        if open.len() > DEEPEST {
            return None;
        }
    }
}

fn attributes(reader: &Reader<&[u8]>, element: &BytesStart<'_>, found: &mut Found) -> Option<()> {
    for attribute in element.attributes() {
        let value = attribute
            .ok()?
            .decoded_and_normalized_value(XmlVersion::Implicit1_0, reader.decoder())
            .ok()?;
        push(found, b"//@*", value.into_owned())?;
    }
    Some(())
}

fn push(found: &mut Found, key: &'static [u8], value: String) -> Option<()> {
    if !value.trim().is_empty() {
        found.push((key, value));
    }
    (found.len() <= MOST_VALUES).then_some(())
}

/// Outside of all elements there are only blanks.
fn append(open: &mut [String], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(current) => current.push_str(text),
        None if text.trim_matches('\u{feff}').trim().is_empty() => {}
        None => return None,
    }
    Some(())
}

fn encoding_is_plain(declaration: &BytesDecl<'_>) -> Option<()> {
    match declaration.encoding() {
        None => Some(()),
        Some(name) => is_plain_charset(&name.ok()?).then_some(()),
    }
}

/// What a reference to a character means; an entity of the document's own means nothing here.
fn character(name: &str) -> Option<String> {
    if let Some(known) = quick_xml::escape::resolve_predefined_entity(name) {
        return Some(known.to_owned());
    }
    let digits = name.strip_prefix('#')?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    char::from_u32(code).map(String::from)
}
