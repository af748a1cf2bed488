//! The walks of ARCHITECTURE.md stay short enough to be walked: a reader opens few files to follow one request.

use std::collections::BTreeSet;
use std::fs;

use postern_tests::repository;

/// The most files that the table of a walk names. What is beside the way stands below the table.
const MOST_FILES: usize = 15;

#[test]
fn a_request_is_followed_through_fifteen_files_at_most() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    for walk in ["One inbound HTTP request", "One outbound HTTP request"] {
        let files = files_of_table(&text, walk);
        assert!(files.len() > 10, "{walk}: {files:?}");
        assert!(
            files.len() <= MOST_FILES,
            "{walk}: {} files, more than {MOST_FILES}: {files:?}",
            files.len()
        );
    }
}

/// The different source files that the first table names below the heading that begins so.
fn files_of_table<'t>(text: &'t str, heading: &str) -> BTreeSet<&'t str> {
    let below = text.lines().skip_while(|line| !line.starts_with(&format!("## {heading}")));
    let table = below.skip_while(|line| !line.starts_with('|'));
    let table = table.take_while(|line| line.starts_with('|'));
    let code = table.flat_map(|line| line.split('`').skip(1).step_by(2));
    code.filter(|word| word.ends_with(".rs")).collect()
}

#[test]
fn files_of_a_table_are_counted_once() {
    let text = "## A walk, b\n`x.rs`\n\n| | file |\n|---|---|\n| 1 | `a.rs`, `T` |\n| 2 | `b/c.rs`, `a.rs` |\n\n`d.rs`\n\n\
                ## Other\n| `e.rs` |\n";
    assert_eq!(files_of_table(text, "A walk"), BTreeSet::from(["a.rs", "b/c.rs"]));
    assert_eq!(files_of_table(text, "Other"), BTreeSet::from(["e.rs"]));
}
