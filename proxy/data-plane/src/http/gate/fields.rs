//! One pass over the header fields of a request: what there is to look at.

use http::header::{HeaderMap, HeaderValue};
use policy::header_names::is_plain;

use crate::http::field_set::FieldSet;

/// What RFC 9113 §6.5.2 adds to each field's size.
const OVERHEAD: usize = 32;

/// What was seen. The common request sets none of the flags and needs no second look.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct FieldSummary {
    /// Field lines.
    pub(crate) count: usize,
    /// Bytes of names and values, with 32 for each field.
    pub(crate) bytes: usize,
    /// Lines of `Host`.
    pub(crate) host: usize,
    /// Lines of `Content-Length`.
    pub(crate) content_length: usize,
    /// Lines of `Transfer-Encoding`.
    pub(crate) transfer_encoding: usize,
    /// Lines of `Expect`.
    pub(crate) expect: usize,
    /// Lines of `Upgrade`.
    pub(crate) upgrade: usize,
    /// What kinds of fields there are.
    pub(crate) kinds: FieldSet,
    /// There is a name with something else in it than letters, digits and `-`.
    pub(crate) signs: bool,
    /// There is a value with a blank at one of its ends.
    pub(crate) edge_blanks: bool,
}

impl FieldSummary {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let name = name.as_str();
            fields.count += 1;
            fields.bytes += name.len() + value.len() + OVERHEAD;
            fields.edge_blanks |= has_edge_blanks(value.as_bytes());
            fields.note(name);
        }
        fields
    }

    fn note(&mut self, name: &str) {
        let kind = FieldSet::of_name(name);
        self.kinds = self.kinds.union(kind);
        match kind {
            FieldSet::HOST => self.host += 1,
            FieldSet::CONTENT_LENGTH => self.content_length += 1,
            FieldSet::EXPECT => self.expect += 1,
            FieldSet::TRANSFER_ENCODING => self.transfer_encoding += 1,
            FieldSet::UPGRADE => self.upgrade += 1,
            _ => self.signs |= !is_plain(name),
        }
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn has_edge_blanks(value: &[u8]) -> bool {
    value.first().is_some_and(is_blank) || value.last().is_some_and(is_blank)
}

/// Takes the blanks off both ends of every value.
pub(crate) fn trim(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if has_edge_blanks(value.as_bytes()) {
            let trimmed = value.as_bytes().trim_ascii();
            // A part of a valid value is one.
            *value = HeaderValue::from_bytes(trimmed).unwrap_or(HeaderValue::from_static(""));
        }
    }
}
