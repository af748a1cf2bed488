//! A stream of YAML documents, as `postern-k8s inject` reads and writes it.
//!
//! The stream is cut at its document markers, which YAML allows nowhere else at the beginning of a
//! line (YAML 1.2.2 §9.1.2). A document in which nothing changes is written as it was read, byte for
//! byte. A changed one keeps the comments above it; those inside are lost.

use aws_lc_rs::digest;
use serde_json::Value;

use super::workload::{self, Namespaces};
use super::{Outcome, Settings};

/// The most bytes of a stream (64 MiB): a cluster's worth of manifests.
pub const MAX_STREAM: usize = 64 << 20;
/// The deepest nesting of a document; a Pod needs about 12.
const MAX_DEPTH: usize = 100;

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A document that is no YAML.
    #[error("{0}")]
    Unparsable(String),
    /// Workloads that cannot be in the mesh, each by name.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
}

/// Injects every workload of a stream that has not opted out.
///
/// # Errors
/// [`StreamError::Unparsable`] at the first document that cannot be read, else
/// [`StreamError::Refused`] with all refusals.
pub fn inject(text: &str, settings: &Settings) -> Result<String, StreamError> {
    if text.len() > MAX_STREAM {
        return Err(StreamError::Unparsable(format!("more than {} MiB", MAX_STREAM >> 20)));
    }
    let documents = split(text).into_iter().map(Document::read).collect::<Result<Vec<_>, _>>()?;
    let mut namespaces = Namespaces::default();
    for document in &documents {
        workload::note_namespaces(&document.value, &mut namespaces);
    }
    let mut written = String::with_capacity(text.len() * 2);
    let mut refusals = Vec::new();
    for document in &documents {
        let secret = secret_of(document.chunk.text);
        match workload::inject(&document.value, &namespaces, settings, &secret) {
            Ok(Outcome::Unchanged(_)) => written.push_str(document.chunk.text),
            Ok(Outcome::Changed(value)) => document.write(&value, &mut written)?,
            Err(refused) => refusals.extend(
                refused.iter().map(|refused| format!("line {}: {refused}", document.chunk.line)),
            ),
        }
    }
    if refusals.is_empty() { Ok(written) } else { Err(StreamError::Refused(refusals)) }
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
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        legacy_octal_numbers: true,
    };
    serde_saphyr::from_str_with_options(chunk.text, options).map_err(|error| {
        let at = chunk.line;
        StreamError::Unparsable(format!("in the document that begins on line {at}: {error}"))
    })
}

/// Cuts a stream before every `---` and after every `...`.
fn split(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // Directives belong to the document whose marker follows them.
        let before = &text[start..at];
        if is_marker(line) && at > start && !before.lines().any(|line| line.starts_with('%')) {
            chunks.push(Chunk { text: before, line: start_line });
            (start, start_line) = (at, index + 1);
        }
        at += line.len();
        if is_end(line) {
            chunks.push(Chunk { text: &text[start..at], line: start_line });
            (start, start_line) = (at, index + 2);
        }
    }
    if start < text.len() {
        chunks.push(Chunk { text: &text[start..], line: start_line });
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
