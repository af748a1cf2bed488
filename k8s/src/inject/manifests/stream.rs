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

use super::place::Places;
use super::workload::{self, Finding, Namespaces};
use crate::inject::{Outcome, Settings};

/// The most bytes of a stream (64 MiB): a cluster's worth of manifests.
pub const MAX_STREAM: usize = 64 << 20;
/// The deepest nesting of a document; a Pod needs about 12.
const MAX_DEPTH: usize = 100;

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
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
pub fn inject(text: &str, settings: &Settings) -> Result<Injected, StreamError> {
    if text.len() > MAX_STREAM {
        return Err(StreamError::Unparsable(format!("more than {} MiB", MAX_STREAM >> 20)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = split(text).into_iter().map(Document::read).collect::<Result<Vec<_>, _>>()?;
    let mut namespaces = Namespaces::default();
    let mut refusals = Vec::new();
    for document in &documents {
        refusals.extend(document.told(workload::note_namespaces(&document.value, &mut namespaces)));
    }
    let mut outcomes = Vec::new();
    let mut warnings = Vec::new();
    for document in &documents {
        let secret = secret_of(document.chunk.text);
        match workload::inject(&document.value, &namespaces, settings, &secret) {
            Ok(outcome) => outcomes.push((document, outcome)),
            Err(refused) => refusals.extend(document.told(refused)),
        }
        warnings.extend(document.told(workload::passed_over(
            &document.value,
            &namespaces,
            settings,
        )));
    }
    if !refusals.is_empty() {
        return Err(StreamError::Refused(refusals));
    }
    Ok(Injected { text: written(text, &outcomes)?, warnings })
}

/// The stream again, with what has changed.
fn written(text: &str, outcomes: &[(&Document<'_>, Outcome)]) -> Result<String, StreamError> {
    if outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Unchanged(_))) {
        return Ok(text.to_owned());
    }
    let mut written = String::with_capacity(text.len() * 2);
    for (document, outcome) in outcomes {
        document.separate(&mut written);
        match outcome {
            Outcome::Unchanged(_) => written.push_str(document.chunk.text),
            Outcome::Changed(value) => document.write(value, &mut written)?,
        }
    }
    Ok(written)
}

/// The same document always gets the same one, so that what is made from it does not change with
/// each run.
fn secret_of(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The text of one document, from its marker to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk<'a> {
    text: &'a str,
    /// Where it begins, from 1.
    line: usize,
    /// Whether it is one of several JSON documents with nothing between them.
    in_row: bool,
}

struct Document<'a> {
    chunk: Chunk<'a>,
    value: Value,
}

impl<'a> Document<'a> {
    fn read(chunk: Chunk<'a>) -> Result<Self, StreamError> {
        let content = chunk.text.lines().any(|line| !is_blank(line) && !is_marker(line));
        let value = match content || chunk.text.lines().any(has_inline_content) {
            true => parse(chunk)?,
            false => Value::Null,
        };
        Ok(Self { chunk, value })
    }

    /// Findings about it, each with its line in the file.
    fn told(&self, findings: Vec<Finding>) -> Vec<String> {
        if findings.is_empty() {
            return Vec::new();
        }
        let places = Places::of(self.chunk.text, self.chunk.line);
        let line = |finding: &Finding| places.line(&finding.pointer);
        findings.iter().map(|finding| format!("line {}: {finding}", line(finding))).collect()
    }

    /// What changes is written as YAML, between whose documents a marker must stand.
    fn separate(&self, out: &mut String) {
        if !self.chunk.in_row || self.chunk.text.lines().any(is_marker) {
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
        for line in self.chunk.text.split_inclusive('\n') {
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
fn parse(chunk: Chunk<'_>) -> Result<Value, StreamError> {
    let read = |text: &str| {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
            legacy_octal_numbers: true,
        };
        serde_saphyr::from_str_with_options::<Value>(text, options)
    };
    read(chunk.text).map_err(|error| {
        let at = chunk.line;
        // Once more, as far down as it stands in the file: the error then names lines of the file.
        let in_file = format!("{}{}", "\n".repeat(at.saturating_sub(1)), chunk.text);
        let error = read(&in_file).err().unwrap_or(error);
        let told = error.render_with_formatter(&Words);
        StreamError::Unparsable(format!("in the document that begins on line {at}: {told}"))
    })
}

/// The reader's own words, but where they speak to its programmer.
struct Words;

impl MessageFormatter for Words {
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
fn split(text: &str) -> Vec<Chunk<'_>> {
    at_markers(text).into_iter().flat_map(row).collect()
}

/// Cuts JSON documents that stand in a row.
fn row(chunk: Chunk<'_>) -> Vec<Chunk<'_>> {
    let ends = json_ends(chunk.text);
    if ends.len() < 2 {
        return vec![chunk];
    }
    let (mut start, mut line) = (0, chunk.line);
    let last = ends.len() - 1;
    let cut = ends.into_iter().enumerate().map(|(index, end)| {
        let end = if index == last { chunk.text.len() } else { end };
        let text = chunk.text.get(start..end).unwrap_or_default();
        let one = Chunk { text, line, in_row: true };
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
fn at_markers(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // Directives belong to the document whose marker follows them.
        let before = &text[start..at];
        if is_marker(line) && at > start && !before.lines().any(|line| line.starts_with('%')) {
            chunks.push(Chunk { text: before, line: start_line, in_row: false });
            (start, start_line) = (at, index + 1);
        }
        at += line.len();
        if is_end(line) {
            chunks.push(Chunk { text: &text[start..at], line: start_line, in_row: false });
            (start, start_line) = (at, index + 2);
        }
    }
    if start < text.len() {
        chunks.push(Chunk { text: &text[start..], line: start_line, in_row: false });
    }
    chunks
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
