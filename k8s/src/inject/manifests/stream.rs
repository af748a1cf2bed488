//! A stream of documents, as `postern-k8s inject` reads and writes it.
//!
//! The stream is cut at its document markers, which YAML allows nowhere else at the beginning of a
//! line (YAML 1.2.2 §9.1.2), and between JSON documents in a row, which `kubectl` takes too. A document
//! in which nothing changes is written as it was read, byte for byte. A changed one keeps the comments
//! above it; those inside are lost.

use std::borrow::Cow;

use aws_lc_rs::digest;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use super::source_lines::SourceLines;
use super::workload::{self, ManifestFinding, StreamNamespaces};
use crate::inject::{InjectionOutcome, InjectionSettings};

/// The most bytes of a stream (64 MiB): a cluster's worth of manifests.
pub const MAX_STREAM: usize = 64 << 20;
/// The deepest nesting of a document; a Pod needs about 12.
const MAX_DEPTH: usize = 100;

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectedStream {
    /// The stream with every workload in the mesh.
    pub text: String,
    /// What looks like a workload and is passed as it is, and what of ours has no effect where it stands; each with its
    /// line and name.
    pub warnings: Vec<String>,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A document that is no YAML.
    #[error("{0}")]
    Unparsable(String),
    /// Workloads that cannot be in the mesh, each with its line, its name and the field.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
}

/// Injects every workload of a stream that has not opted out.
///
/// # Errors
/// [`StreamError::Unparsable`] at the first document that cannot be read, else
/// [`StreamError::Refused`] with all refusals.
pub fn inject(text: &str, settings: &InjectionSettings) -> Result<InjectedStream, StreamError> {
    if text.len() > MAX_STREAM {
        return Err(StreamError::Unparsable(format!("more than {} MiB", MAX_STREAM >> 20)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents =
        split(text).into_iter().map(StreamDocument::read).collect::<Result<Vec<_>, _>>()?;
    let mut namespaces = StreamNamespaces::default();
    let mut refusals = Vec::new();
    for document in &documents {
        refusals.extend(
            document.with_lines(workload::note_namespaces(&document.value, &mut namespaces)),
        );
    }
    let mut outcomes = Vec::new();
    let mut warnings = Vec::new();
    for document in &documents {
        let secret = secret_of(document.source.text);
        match workload::inject(&document.value, &namespaces, settings, &secret) {
            Ok(outcome) => outcomes.push((document, outcome)),
            Err(refused) => refusals.extend(document.with_lines(refused)),
        }
        warnings.extend(document.with_lines(workload::warnings(
            &document.value,
            &namespaces,
            settings,
        )));
    }
    if !refusals.is_empty() {
        return Err(StreamError::Refused(refusals));
    }
    Ok(InjectedStream { text: written(text, &outcomes)?, warnings })
}

/// The stream again, with what has changed.
fn written(
    text: &str,
    outcomes: &[(&StreamDocument<'_>, InjectionOutcome)],
) -> Result<String, StreamError> {
    if outcomes.iter().all(|(_, outcome)| matches!(outcome, InjectionOutcome::Unchanged(_))) {
        return Ok(text.to_owned());
    }
    let mut written = String::with_capacity(text.len() * 2);
    for (document, outcome) in outcomes {
        document.separate(&mut written);
        match outcome {
            InjectionOutcome::Unchanged(_) => written.push_str(document.source.text),
            InjectionOutcome::Changed(value) => document.write(value, &mut written)?,
        }
    }
    Ok(written)
}

/// The same document always gets the same one, so that what is made from it does not change with
/// each run.
fn secret_of(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let first = digest.as_ref().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    format!("{first:032x}")
}

/// The text of one document, from its marker to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DocumentText<'a> {
    text: &'a str,
    /// Where it begins, from 1.
    line: usize,
    /// Whether it is one of several JSON documents with nothing between them.
    in_row: bool,
}

struct StreamDocument<'a> {
    source: DocumentText<'a>,
    value: Value,
}

impl<'a> StreamDocument<'a> {
    fn read(source: DocumentText<'a>) -> Result<Self, StreamError> {
        let content = source.text.lines().any(|line| !is_blank(line) && !is_marker(line));
        let value = match content || source.text.lines().any(has_inline_content) {
            true => parse(source)?,
            false => Value::Null,
        };
        Ok(Self { source, value })
    }

    /// Findings about it, each with its line in the file.
    fn with_lines(&self, findings: Vec<ManifestFinding>) -> Vec<String> {
        if findings.is_empty() {
            return Vec::new();
        }
        let places = SourceLines::of(self.source.text, self.source.line);
        let line = |finding: &ManifestFinding| places.line(&finding.pointer);
        findings.iter().map(|finding| format!("line {}: {finding}", line(finding))).collect()
    }

    /// What changes is written as YAML, between whose documents a marker must stand.
    fn separate(&self, out: &mut String) {
        if !self.source.in_row || self.source.text.lines().any(is_marker) {
            return;
        }
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str("---\n");
    }

    fn write(&self, value: &Value, out: &mut String) -> Result<(), StreamError> {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        for line in self.source.text.split_inclusive('\n') {
            if has_inline_content(line) {
                out.push_str("---\n");
                break;
            }
            if !is_blank(line) && !is_marker(line) && !line.starts_with('%') {
                break;
            }
            out.push_str(line);
        }
        let text = serde_saphyr::to_string(value)
            .map_err(|error| StreamError::Unparsable(error.to_string()))?;
        out.push_str(text.trim_start_matches("---\n"));
        if !out.ends_with('\n') {
            out.push('\n');
        }
        Ok(())
    }
}

/// Reads a document as Kubernetes' own tools do: `0644` is octal, `yes` is true, no key comes twice.
fn parse(source: DocumentText<'_>) -> Result<Value, StreamError> {
    let read = |text: &str| {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
            legacy_octal_numbers: true,
        };
        serde_saphyr::from_str_with_options::<Value>(text, options)
    };
    read(source.text).map_err(|error| {
        let at = source.line;
        // Parsed again below as many empty lines as precede it in the file: the error then names lines of the file.
        let in_file = format!("{}{}", "\n".repeat(at.saturating_sub(1)), source.text);
        let error = read(&in_file).err().unwrap_or(error);
        let message = error.render_with_formatter(&ErrorMessages);
        StreamError::Unparsable(format!("in the document that begins on line {at}: {message}"))
    })
}

/// The parser's own messages, except those that address its programmer.
struct ErrorMessages;

impl MessageFormatter for ErrorMessages {
    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        match error {
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                Cow::Owned(format!("the key {key} stands twice; remove one"))
            }
            Error::DuplicateMappingKey { .. } => Cow::Borrowed("a key stands twice; remove one"),
            _ => UserMessageFormatter.format_message(error),
        }
    }
}

/// Cuts a stream into documents.
fn split(text: &str) -> Vec<DocumentText<'_>> {
    at_markers(text).into_iter().flat_map(json_row).collect()
}

/// Cuts JSON documents that stand in a row.
fn json_row(source: DocumentText<'_>) -> Vec<DocumentText<'_>> {
    let ends = json_ends(source.text);
    if ends.len() < 2 {
        return vec![source];
    }
    let (mut start, mut line) = (0, source.line);
    let last = ends.len() - 1;
    let cut = ends.into_iter().enumerate().map(|(index, end)| {
        let end = if index == last { source.text.len() } else { end };
        let text = source.text.get(start..end).unwrap_or_default();
        let one = DocumentText { text, line, in_row: true };
        line += text.matches('\n').count();
        start = end;
        one
    });
    cut.collect()
}

/// Where JSON documents in a row end; nothing when the text is no such row.
fn json_ends(text: &str) -> Vec<usize> {
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        if !is_blank(line) && !is_marker(line) {
            break;
        }
        if has_inline_content(line) {
            begin += 3;
            break;
        }
        begin += line.len();
    }
    let rest = text.get(begin..).unwrap_or_default();
    if !rest.trim_start().starts_with('{') {
        return Vec::new();
    }
    let mut documents = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    let mut ends = Vec::new();
    while let Some(Ok(_)) = documents.next() {
        ends.push(begin + documents.byte_offset());
    }
    let after = ends.last().and_then(|end| text.get(*end..)).unwrap_or_default();
    let nothing = after.lines().all(|line| is_blank(line) || is_end(line));
    if nothing { ends } else { Vec::new() }
}

/// Cuts a stream before every `---` and after every `...`.
fn at_markers(text: &str) -> Vec<DocumentText<'_>> {
    let mut sources = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // Directives belong to the document whose marker follows them.
        let before = &text[start..at];
        if is_marker(line) && at > start && !before.lines().any(|line| line.starts_with('%')) {
            sources.push(DocumentText { text: before, line: start_line, in_row: false });
            (start, start_line) = (at, index + 1);
        }
        at += line.len();
        if is_end(line) {
            sources.push(DocumentText { text: &text[start..at], line: start_line, in_row: false });
            (start, start_line) = (at, index + 2);
        }
    }
    if start < text.len() {
        sources.push(DocumentText { text: &text[start..], line: start_line, in_row: false });
    }
    sources
}

/// A line that begins a document.
fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

/// A line that ends one.
fn is_end(line: &str) -> bool {
    line.strip_prefix("...")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// A marker with a part of the document on its line.
fn has_inline_content(line: &str) -> bool {
    is_marker(line) && !is_blank(&line[3..])
}
