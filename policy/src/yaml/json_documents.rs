//! JSON documents in a row, as `kubectl get -o json` in a loop and many tools write them: YAML would want `---` between
//! them.

use serde::de::IgnoredAny;

use super::SourcePosition;

/// A part of a file that is to be parsed by itself, and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilePart<'t> {
    pub(super) text: &'t str,
    pub(super) at: SourcePosition,
}

/// The parts of a file: one for each JSON document, where several stand in a row; else the file as a whole. What
/// follows the last whole JSON document and does not begin like one belongs to it, so that the parser says what is
/// wrong there.
pub(super) fn parts(text: &str) -> Vec<FilePart<'_>> {
    let mut parts = Vec::new();
    let mut rest = FilePart { text, at: SourcePosition { line: 1, column: 1 } };
    while let Some(end) = end_of_document(rest.text) {
        let (document, after) = rest.text.split_at(end);
        let at = advanced(rest.at, document);
        parts.push(FilePart { text: document, at: rest.at });
        rest = FilePart { text: after, at };
    }
    parts.push(rest);
    parts
}

/// Where the JSON document ends that the text begins with, blanks included, when another one follows.
fn end_of_document(text: &str) -> Option<usize> {
    let begins = |text: &str| text.starts_with(['{', '[']);
    let json = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if !begins(json) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let after = &json[values.byte_offset()..];
    let next = after.trim_start_matches([' ', '\t', '\r', '\n']);
    begins(next).then(|| text.len() - next.len())
}

/// The place behind some text that begins at a place.
fn advanced(at: SourcePosition, text: &str) -> SourcePosition {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let last = text.rsplit('\n').next().unwrap_or_default();
    let columns = number(last.trim_start_matches('\u{feff}').chars().count());
    match number(text.matches('\n').count()) {
        0 => SourcePosition { line: at.line, column: at.column.saturating_add(columns) },
        lines => SourcePosition {
            line: at.line.saturating_add(lines),
            column: columns.saturating_add(1),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_documents() {
        for (text, expect) in [
            ("a: 1\n---\nb: 2\n", &[("a: 1\n---\nb: 2\n", 1, 1)][..]),
            ("{\"a\": 1}", &[("{\"a\": 1}", 1, 1)]),
            ("{} {}", &[("{} ", 1, 1), ("{}", 1, 4)]),
            ("{}\n\n{}\n", &[("{}\n\n", 1, 1), ("{}\n", 3, 1)]),
            ("[1]{\n}[2]", &[("[1]", 1, 1), ("{\n}", 1, 4), ("[2]", 2, 2)]),
            ("\u{feff}{}{}", &[("\u{feff}{}", 1, 1), ("{}", 1, 3)]),
            ("{} x", &[("{} x", 1, 1)]),
            ("{}\n{", &[("{}\n", 1, 1), ("{", 2, 1)]),
            ("{a: 1}\n{b: 2}", &[("{a: 1}\n{b: 2}", 1, 1)]),
            ("", &[("", 1, 1)]),
        ] {
            let found = parts(text);
            let found: Vec<_> =
                found.iter().map(|part| (part.text, part.at.line, part.at.column)).collect();
            assert_eq!(found, expect, "{text:?}");
        }
    }
}
