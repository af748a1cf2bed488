//! An XML body: the text of each element, and each attribute. Entities are never expanded.

use std::borrow::Cow;

use zentinel_modsec::parser::VariableName;
use zentinel_modsec::variables::{Collection, RequestData};

use super::Facts;

/// Adds what the document says; whether it could be read.
pub(super) fn add(facts: &mut Facts<'_>, body: &[u8]) -> bool {
    facts.processor = "XML";
    let mut document = RequestData::new();
    document.append_body(body);
    let read = document.parse_xml_body();
    for (name, value) in document.args_post.all() {
        let key = if name.contains(".@") { &b"//@*"[..] } else { &b"/*"[..] };
        facts.add(VariableName::Xml, key, Cow::Owned(value.as_bytes().to_vec()));
    }
    if read.is_err() {
        facts.body_error = Some("the body is no XML, or has entities of its own, or is too much");
    }
    read.is_ok() && !declares(body)
}

/// Whether the document declares anything of its own, which is looked at as text besides.
fn declares(body: &[u8]) -> bool {
    body.windows(3)
        .any(|window| window == b"<!D" || window == b"<!d" || window == b"<!E" || window == b"<!e")
}
