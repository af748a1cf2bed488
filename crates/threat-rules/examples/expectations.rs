//! How far a rule set's own published tests (go-ftw form) agree with what the rules say here:
//!
//! ```text
//! cargo run --release -p threat-rules --example expectations -- RULES TESTS [--verbose]
//! ```
//!
//! RULES is a file or directory of rules, TESTS a directory of `*.yaml`. Each stage of each test is one case: it agrees
//! when all rules it expects matched and none of those it does not expect.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that says what it found")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use serde::Deserialize;
use threat_rules::{InspectedRequest, InspectionSettings, RuleSet};

#[derive(Deserialize)]
struct File {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    test_id: u32,
    #[serde(default)]
    stages: Vec<Stage>,
}

#[derive(Deserialize)]
struct Stage {
    input: Input,
    #[serde(default)]
    output: Output,
}

#[derive(Deserialize, Default)]
struct Input {
    method: Option<String>,
    uri: Option<String>,
    version: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Scalar>,
    data: Option<Scalar>,
    encoded_request: Option<String>,
    autocomplete_headers: Option<bool>,
}

#[derive(Deserialize, Default)]
struct Output {
    log: Option<Log>,
}

#[derive(Deserialize, Default)]
struct Log {
    #[serde(default)]
    expect_ids: Vec<u32>,
    #[serde(default)]
    no_expect_ids: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(i64),
    Fraction(f64),
    Truth(bool),
    Text(String),
    Lines(Vec<String>),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::Text(text) => text.clone(),
            Self::Lines(lines) => lines.concat(),
        }
    }
}

#[derive(Default)]
struct Count {
    agree: u32,
    differ: u32,
    not_sent: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rules, tests, options @ ..] = arguments.as_slice() else {
        return Err("usage: expectations RULES TESTS [--verbose]".into());
    };
    let rules = RuleSet::read(Path::new(rules), &[901_410]).map_err(|problems| {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        format!("{} problems", problems.len())
    })?;
    println!("{} rules of requests, {} of answers", rules.rules(), rules.rules_of_answers());
    let verbose = options.iter().any(|option| option == "--verbose");
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for path in yaml_files(Path::new(tests))? {
        let text = std::fs::read_to_string(&path)?;
        // A file may hold nothing but comments.
        if text
            .lines()
            .all(|line| line.trim().is_empty() || line.starts_with('#') || line.trim() == "---")
        {
            continue;
        }
        let file: File = serde_saphyr::from_str(&text)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let folder = path
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let count = counts.entry(folder).or_default();
        for test in file.tests {
            for stage in test.stages {
                let name = format!(
                    "{} {}",
                    path.file_stem().unwrap_or_default().to_string_lossy(),
                    test.test_id
                );
                judge(&rules, &stage, &name, verbose, count);
            }
        }
    }
    print_table(&counts);
    Ok(())
}

fn judge(rules: &RuleSet, stage: &Stage, name: &str, verbose: bool, count: &mut Count) {
    let Some(log) = stage
        .output
        .log
        .as_ref()
        .filter(|log| !(log.expect_ids.is_empty() && log.no_expect_ids.is_empty()))
    else {
        count.not_sent += 1;
        return;
    };
    if stage.input.encoded_request.is_some() {
        count.not_sent += 1;
        return;
    }
    let fired = send(rules, &stage.input);
    let missing: Vec<_> = log.expect_ids.iter().filter(|id| !fired.contains(id)).collect();
    let needless: Vec<_> = log.no_expect_ids.iter().filter(|id| fired.contains(id)).collect();
    if missing.is_empty() && needless.is_empty() {
        count.agree += 1;
        return;
    }
    count.differ += 1;
    if verbose {
        let data = stage.input.data.as_ref().map(Scalar::text);
        println!(
            "{name}: missing {missing:?}, needless {needless:?}: {:?} {:?}",
            stage.input.uri, data
        );
    }
}

fn send(rules: &RuleSet, input: &Input) -> Vec<u32> {
    let body = expanded(&input.data.as_ref().map(Scalar::text).unwrap_or_default());
    let mut headers = HeaderMap::new();
    for (name, value) in &input.headers {
        let pair = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.text().as_bytes()),
        );
        if let (Ok(name), Ok(value)) = pair {
            headers.append(name, value);
        }
    }
    if input.autocomplete_headers.unwrap_or(true) {
        complete(&mut headers, &body);
    }
    let version = match input.version.as_deref() {
        Some("HTTP/1.0") => Version::HTTP_10,
        Some("HTTP/0.9") => Version::HTTP_09,
        Some("HTTP/2" | "HTTP/2.0") => Version::HTTP_2,
        Some("HTTP/3" | "HTTP/3.0") => Version::HTTP_3,
        _ => Version::HTTP_11,
    };
    let request = InspectedRequest {
        method: input.method.as_deref().unwrap_or("GET"),
        target: input.uri.as_deref().unwrap_or("/"),
        version,
        headers: &headers,
        body: body.as_bytes(),
        body_complete: true,
        client: [127, 0, 0, 1].into(),
    };
    rules.fired(&request, &InspectionSettings { paranoia: 4, exclusions: &[] })
}

/// `{{ "x" | repeat 3 }}`, the one template that the tests use.
fn expanded(text: &str) -> String {
    let parts = || {
        let (before, rest) = text.split_once("{{")?;
        let (inner, after) = rest.split_once("}}")?;
        let (quoted, times) = inner.split_once('|')?;
        let times: usize = times.trim().strip_prefix("repeat")?.trim().parse().ok()?;
        Some(format!(
            "{before}{}{}",
            quoted.trim().trim_matches('"').repeat(times.min(1 << 20)),
            expanded(after)
        ))
    };
    parts().unwrap_or_else(|| text.to_owned())
}

/// What the tests' own runner adds unless a test says no.
fn complete(headers: &mut HeaderMap, body: &str) {
    let mut add = |name: &'static str, value: &str| {
        if let (false, Ok(value)) = (headers.contains_key(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    };
    add("connection", "close");
    if !body.is_empty() {
        add("content-length", &body.len().to_string());
        add("content-type", "application/x-www-form-urlencoded");
    }
}

fn yaml_files(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
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

fn print_table(counts: &BTreeMap<String, Count>) {
    println!("{:<55} {:>6} {:>6} {:>8} {:>8}", "rules", "agree", "differ", "not sent", "percent");
    let mut all = Count::default();
    for (name, count) in counts {
        print_row(name, count);
        all.agree += count.agree;
        all.differ += count.differ;
        all.not_sent += count.not_sent;
    }
    print_row("all", &all);
}

fn print_row(name: &str, count: &Count) {
    let percent = 100.0 * f64::from(count.agree) / f64::from((count.agree + count.differ).max(1));
    println!(
        "{name:<55} {:>6} {:>6} {:>8} {percent:>8.1}",
        count.agree, count.differ, count.not_sent
    );
}
