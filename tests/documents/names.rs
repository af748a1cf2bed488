//! What the documents name in the sources is there: files in ARCHITECTURE.md and docs/extending.md, tests in SECURITY.md.
//! And the other way round: the pages that sources name.

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

/// Pages that are mentioned and that are nobody's: names that this folder's own tests make up, and a standard's.
const NOT_OURS: [&str; 4] =
    ["b.md", "no-such-file.md", "SPIFFE_Workload_API.md", "health-checking.md"];

#[test]
fn every_page_that_a_file_names_exists() {
    let pages: Vec<PathBuf> = crate::documents().into_iter().map(|(path, _)| path).collect();
    let stems: Vec<_> = pages.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let mut missing = Vec::new();
    let read = sources().into_iter().chain(crate::documents()).chain(manifests());
    for (path, text) in read.filter(|(path, _)| !path.ends_with(file!())) {
        for name in page_names(&text).filter(|name| !NOT_OURS.contains(name)) {
            if !pages.iter().any(|page| page.ends_with(name)) {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
        for name in cited_pages(&text) {
            if !stems.contains(&name) {
                missing.push(format!("{}: {name}, for an invariant", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "pages that are nowhere:\n{}", missing.join("\n"));
}

#[test]
fn pages_are_found_in_a_text() {
    let text = "See `docs/a.md#b`, (NOTES, invariant 3), PLAN invariants 1 and 2, the invariant and RFC 9110.";
    assert_eq!(page_names(text).collect::<Vec<_>>(), ["a.md"]);
    assert_eq!(cited_pages(text).collect::<Vec<_>>(), ["NOTES", "PLAN"]);
}

/// The last parts of paths that end in `.md`.
fn page_names(text: &str) -> impl Iterator<Item = &str> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let words = text.split(move |c| !in_name(c)).map(|word| word.trim_end_matches('.'));
    words.filter(|word| word.len() > 3 && word.ends_with(".md"))
}

/// Pages in capitals that are cited for an invariant of theirs.
fn cited_pages(text: &str) -> impl Iterator<Item = &str> {
    let before = text.split("invariant").map(|before| before.trim_end().trim_end_matches(','));
    let words = before.filter_map(|before| before.rsplit(|c: char| !c.is_ascii_uppercase()).next());
    words.filter(|word| word.len() > 2)
}

/// Every manifest and TOML file of the repository, with its text.
fn manifests() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    crate::collect(repository(), "toml", &mut found);
    found
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
