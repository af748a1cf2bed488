//! The tests of a rule set in go-ftw form, as the bytes that a client would send.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// One stage of one test.
pub(crate) struct RuleCase {
    /// The directory it lies in, which is that of its rules.
    pub(crate) folder: String,
    /// Its rule and number.
    pub(crate) name: String,
    /// What is sent.
    pub(crate) bytes: Vec<u8>,
    /// Rules that have to match.
    pub(crate) expected: Vec<u64>,
    /// Rules that must not.
    pub(crate) unexpected: Vec<u64>,
}

/// All cases below a directory that say something of rules, in the order of their files.
pub(crate) fn read(directory: &Path) -> anyhow::Result<Vec<RuleCase>> {
    let mut cases = Vec::new();
    for path in yaml_files(directory)? {
        let text = fs::read_to_string(&path)?;
        // A file may hold nothing but comments.
        let says = |line: &str| !matches!(line.trim(), "" | "---") && !line.starts_with('#');
        if text.lines().any(says) {
            let file: Value =
                serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
            cases.extend(cases_of(&path, &file));
        }
    }
    Ok(cases)
}

fn cases_of(path: &Path, file: &Value) -> Vec<RuleCase> {
    let name_of = |part: Option<&Path>| {
        part.and_then(Path::file_stem).unwrap_or_default().to_string_lossy().into_owned()
    };
    let mut cases = Vec::new();
    for test in list(&file["tests"]) {
        for stage in list(&test["stages"]) {
            let log = &stage["output"]["log"];
            let ids =
                |key: &str| list(&log[key]).iter().filter_map(Value::as_u64).collect::<Vec<_>>();
            let case = RuleCase {
                folder: name_of(path.parent()),
                name: format!("{} {}", name_of(Some(path)), test["test_id"]),
                bytes: bytes_of(&stage["input"]),
                expected: ids("expect_ids"),
                unexpected: ids("no_expect_ids"),
            };
            if !(case.expected.is_empty() && case.unexpected.is_empty()) {
                cases.push(case);
            }
        }
    }
    cases
}

fn bytes_of(input: &Value) -> Vec<u8> {
    if let Some(encoded) = input["encoded_request"].as_str() {
        let encoded: String = encoded.split_whitespace().collect();
        return BASE64_STANDARD.decode(encoded).unwrap_or_default();
    }
    let or = |key: &str, usual: &str| input[key].as_str().unwrap_or(usual).to_owned();
    let (method, target) = (or("method", "GET"), or("uri", "/"));
    let body = expanded(&text(&input["data"]));
    let mut head = format!("{method} {target} {}\r\n", or("version", "HTTP/1.1"));
    for (name, value) in fields(&input["headers"], &body, &input["autocomplete_headers"]) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body.as_bytes()].concat()
}

/// The headers, with those that the tests' own runner adds unless a test says no.
fn fields(written: &Value, body: &str, completed: &Value) -> Vec<(String, String)> {
    let written = written.as_object().into_iter().flatten();
    let mut fields: Vec<_> = written.map(|(name, value)| (name.clone(), text(value))).collect();
    if completed.as_bool() == Some(false) {
        return fields;
    }
    let length = body.len().to_string();
    let mut usual = vec![("Connection", "close")];
    if !body.is_empty() {
        usual.push(("Content-Length", &length));
        usual.push(("Content-Type", "application/x-www-form-urlencoded"));
    }
    for (name, value) in usual {
        if !fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            fields.push((name.to_owned(), value.to_owned()));
        }
    }
    fields
}

/// `{{ "x" | repeat 3 }}`, the one template that the tests use.
fn expanded(text: &str) -> String {
    let parts = || {
        let (before, rest) = text.split_once("{{")?;
        let (inner, after) = rest.split_once("}}")?;
        let (quoted, times) = inner.split_once('|')?;
        let times: usize = times.trim().strip_prefix("repeat")?.trim().parse().ok()?;
        let repeated = quoted.trim().trim_matches('"').repeat(times.min(1 << 20));
        Some(format!("{before}{repeated}{}", expanded(after)))
    };
    parts().unwrap_or_else(|| text.to_owned())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().map(text).collect(),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn yaml_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(yaml_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
