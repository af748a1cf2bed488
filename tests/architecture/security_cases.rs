//! `docs/security-cases.md` names the tests that there are, and the documents name no test that there is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use postern_tests::repository;

use crate::all_sources;

/// How many rows the catalogue has: attacks, faults, promises.
const ROWS: [(char, usize); 3] = [('S', 53), ('F', 38), ('P', 21)];

/// The standards of SPIFFE, and how the tests of each begin.
const SECTIONS: [(&str, &str); 7] = [
    ("SPIFFE-ID", "spiffe_id_"),
    ("X509-SVID", "spiffe_x509_svid_"),
    ("JWT-SVID", "spiffe_jwt_svid_"),
    ("Trust Domain and Bundle", "spiffe_trust_domain_and_bundle_"),
    ("Workload Endpoint", "spiffe_workload_endpoint_"),
    ("Workload API", "spiffe_workload_api_"),
    ("Federation", "spiffe_federation_"),
];

#[test]
fn security_cases_and_tests_are_the_same() {
    let tests = tests_of_rows();
    let path = repository().join("docs/security-cases.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, renewed(&read(&path), &tests)).expect("the page can be written");
    }
    let page = read(&path);
    let mut mistakes = Vec::new();
    for (row, line) in rows(&page) {
        let prefix = prefix(&row);
        let there: BTreeSet<_> =
            tests.iter().filter(|test| test.starts_with(&prefix)).cloned().collect();
        let named: BTreeSet<_> =
            named_tests(line).into_iter().filter(|test| test.starts_with(&prefix)).collect();
        for test in there.difference(&named) {
            mistakes.push(format!("{row} does not name `{test}`"));
        }
        if there.is_empty() && !["open", "shown", "`make"].iter().any(|word| line.contains(word)) {
            mistakes.push(format!("{row} has no test of its own and does not say why"));
        }
    }
    let spiffe: BTreeSet<_> =
        tests.into_iter().filter(|test| test.starts_with("spiffe_")).collect();
    for test in spiffe.difference(&named_tests(&page)) {
        mistakes.push(format!("the sections of SPIFFE do not name `{test}`"));
    }
    assert!(
        mistakes.is_empty(),
        "docs/security-cases.md is stale, run `make reference`:\n{}",
        mistakes.join("\n")
    );
}

/// The page with the tests that there are in each row, in front of what the row says besides.
fn renewed(page: &str, tests: &BTreeSet<String>) -> String {
    let line = |line: &str| {
        let id = cell(line).unwrap_or("");
        let Some((_, section)) = SECTIONS.iter().find(|(name, _)| *name == id) else {
            return if rows(line).is_empty() {
                line.to_owned()
            } else {
                with_tests(line, &prefix(id), tests)
            };
        };
        with_tests(line, section, tests)
    };
    page.lines().map(line).map(|line| line + "\n").collect()
}

/// A line of a table whose last cell begins with the tests of this prefix.
fn with_tests(line: &str, prefix: &str, tests: &BTreeSet<String>) -> String {
    let (cells, last) = line.trim_end_matches(" |").rsplit_once(" | ").expect("a line of a table");
    let mut besides = last;
    while let Some((name, rest)) = besides.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
        if !name.starts_with(prefix) {
            break;
        }
        besides = rest.trim_start_matches([',', ';', ' ']);
    }
    let names =
        tests.iter().filter(|test| test.starts_with(prefix)).map(|test| format!("`{test}`"));
    let parts = [names.collect::<Vec<_>>().join(", "), besides.to_owned()];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{cells} | {} |", parts.join("; "))
}

/// How the tests of a row begin.
fn prefix(row: &str) -> String {
    format!("{}{}_", row[..1].to_lowercase(), &row[2..])
}

#[test]
fn security_cases_are_all_there() {
    let page = read(&repository().join("docs/security-cases.md"));
    let rows: Vec<_> = rows(&page).into_keys().collect();
    for (letter, count) in ROWS {
        for number in 1..=count {
            let row = format!("{letter}-{number:02}");
            assert!(rows.contains(&row), "docs/security-cases.md has no row {row}");
        }
    }
}

/// A promise in a document is a test that exists.
#[test]
fn documents_name_tests_that_there_are() {
    let tests = all_tests();
    let mut mistakes = Vec::new();
    for path in documents() {
        for test in named_tests(&read(&path)).difference(&tests) {
            let path = path.strip_prefix(repository()).expect("a document of ours");
            mistakes
                .push(format!("{} names the test `{test}`, which is not there", path.display()));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// The lines of the tables whose first cell is the id of a row.
fn rows(page: &str) -> BTreeMap<String, &str> {
    let row = |line| {
        let id = cell(line)?;
        let (letter, number) = id.split_once('-')?;
        let is_row = ROWS.iter().any(|(row, _)| letter == row.to_string())
            && number.len() == 2
            && number.parse::<u8>().is_ok();
        is_row.then(|| (id.to_owned(), line))
    };
    page.lines().filter_map(row).collect()
}

/// The first cell of a line of a table.
fn cell(line: &str) -> Option<&str> {
    line.strip_prefix("| ")?.split(" | ").next()
}

/// What stands in backticks and is called like the test of a row.
fn named_tests(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| is_test_of_a_row(name)).map(str::to_owned).collect()
}

/// `s12_…`, `f05_…`, `p03_…` or `spiffe_…`, and nothing but letters, digits and underscores.
fn is_test_of_a_row(name: &str) -> bool {
    let bytes = name.as_bytes();
    let numbered = bytes.len() > 4
        && b"sfp".contains(&bytes[0])
        && bytes[1..3].iter().all(u8::is_ascii_digit)
        && bytes[3] == b'_';
    let whole = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    whole && (numbered || name.starts_with("spiffe_"))
}

fn tests_of_rows() -> BTreeSet<String> {
    all_tests().into_iter().filter(|test| is_test_of_a_row(test)).collect()
}

/// Every function that stands below an attribute with `test` in it.
fn all_tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (_, text) in all_sources() {
        let mut below = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") {
                below |= line.contains("test]") || line.contains("::test(");
            } else if let Some(name) = function(line) {
                if below {
                    tests.insert(name.to_owned());
                }
                below = false;
            }
        }
    }
    tests
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/decisions"].map(|folder| repository().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let paths = files.map(|file| file.expect("a file").path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
