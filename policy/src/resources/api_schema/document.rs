//! `document` of an ApiSchema: the description itself, or the file that it is in.

use std::path::Path;
use std::sync::Arc;

use api_schema::DescriptionProblem;

use crate::api_schema::{ApiDocument, DocumentFile, InlineDescription, MAX_DOCUMENT_BYTES};
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue, parse_size};

/// The problems of one description that are told at once.
const MAX_TOLD: usize = 20;
/// The longest path of a file, in bytes, as Linux has it.
const MAX_PATH: usize = 4095;
/// The sizes that `json.maxBytes` may be.
const JSON_BYTES: std::ops::RangeInclusive<usize> = 1024..=16 * 1024 * 1024;

pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    base_path: Option<&str>,
) -> Option<ApiDocument> {
    let mut map = reader.mapping(value)?;
    let inline = map.take("inline");
    let path = map.take("path");
    map.finish(reader);
    match (inline, path) {
        (Some(inline), None) => read_inline(reader, inline, base_path).map(ApiDocument::Inline),
        (None, Some(path)) => {
            let expected = "the absolute path of a file beside the proxy";
            reader.parsed(path, expected, file_path).map(|path| {
                let base_path = base_path.map(Into::into);
                ApiDocument::File(Arc::new(DocumentFile { path, base_path }))
            })
        }
        _ => {
            let (found, expected) =
                ("a `document` in two places, or in none", "`inline` or `path`");
            reader.report(value.node.mark, found, expected, None);
            None
        }
    }
}

/// Every problem is told with its place in the description.
fn read_inline(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    base_path: Option<&str>,
) -> Option<Arc<InlineDescription>> {
    let Some(text) = value.scalar() else {
        let expected = "the description as one text";
        let fix = "write `inline: |`, and the description indented below it".to_owned();
        reader.report_value_with_code(DiagnosticCode::Form, value, expected, Some(fix));
        return None;
    };
    if text.len() > MAX_DOCUMENT_BYTES {
        let found = format!("a description of {} KiB", text.len() / 1024);
        reader.report(value.node.mark, found, "at most 1 MiB", None);
        return None;
    }
    match InlineDescription::read(text, base_path) {
        Ok(read) => Some(read),
        Err(problems) => {
            problems.iter().take(MAX_TOLD).for_each(|problem| report(reader, value, problem));
            None
        }
    }
}

fn report(reader: &mut YamlReader, value: YamlValue<'_>, problem: &DescriptionProblem) {
    let found = format!("in the description: {problem}");
    reader.report(value.node.mark, found, "an OpenAPI description of version 3.0 or 3.1", None);
}

fn file_path(text: &str) -> Result<Box<str>, &'static str> {
    let is_plain = !text.chars().any(char::is_control) && text.len() <= MAX_PATH;
    match Path::new(text).is_absolute() && is_plain {
        true => Ok(text.into()),
        false => Err("such as /etc/postern/api/cart.yaml"),
    }
}

pub(super) fn size(text: &str) -> Result<usize, &'static str> {
    let size = parse_size(text).and_then(|size| usize::try_from(size).ok());
    size.filter(|size| JSON_BYTES.contains(size)).ok_or("such as 1MiB")
}
