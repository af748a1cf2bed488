//! What the documents name in the sources is there: files in ARCHITECTURE.md and docs/extending.md, tests in SECURITY.md.

use std::fs;
use std::path::PathBuf;

use postern_tests::repository;

#[test]
fn every_file_that_a_map_names_exists() {
    let sources = sources();
    for (document, least) in [("ARCHITECTURE.md", 30), ("docs/extending.md", 20)] {
        let text = fs::read_to_string(repository().join(document)).unwrap();
        let named: Vec<_> = code(&text).filter(|word| word.ends_with(".rs")).collect();
        assert!(named.len() > least, "{document}: {named:?}");
        for name in named {
            let found = sources.iter().any(|(path, _)| path.ends_with(name));
            assert!(found, "{document} names {name}, which is nowhere");
        }
    }
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let sources = sources();
    let text = fs::read_to_string(repository().join("SECURITY.md")).unwrap();
    let promises: Vec<_> = text.lines().filter(|line| line.starts_with("| ")).collect();
    let named: Vec<_> = promises.iter().filter_map(|row| row.rsplit_once(" | ")).collect();
    assert!(named.len() > 15, "{named:?}");
    for (promise, tests) in named.iter().skip(1) {
        assert!(code(tests).next().is_some(), "no test shows: {promise}");
        for test in code(tests) {
            let function = format!("fn {test}(");
            let found = sources.iter().any(|(_, text)| text.contains(&function));
            assert!(found, "SECURITY.md names the test {test}, which is nowhere");
        }
    }
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every Rust file of the repository, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    crate::collect(repository(), "rs", &mut found);
    assert!(found.len() > 200, "{} sources", found.len());
    found
}
