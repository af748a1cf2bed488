//! Prose stays within 120 columns, so that a difference between two versions can be read.

use postern_tests::repository;

use crate::documents;

/// The longest line of prose.
const MOST_COLUMNS: usize = 120;

#[test]
fn no_line_of_prose_is_longer_than_120_columns() {
    let printed = repository().join("docs/reference");
    let mut long = Vec::new();
    for (path, text) in documents().iter().filter(|(path, _)| !path.starts_with(&printed)) {
        let path = path.strip_prefix(repository()).unwrap().display();
        long.extend(
            long_lines(text).iter().map(|(number, line)| format!("{path}:{number}: {line}")),
        );
    }
    assert!(long.is_empty(), "lines of more than {MOST_COLUMNS} columns:\n{}", long.join("\n"));
}

/// The lines of prose that are too long, with their numbers. Not prose: what stands in fences or is indented as code, tables,
/// and what cannot be broken.
fn long_lines(text: &str) -> Vec<(usize, &str)> {
    let (mut fenced, mut long) = (false, Vec::new());
    for (at, line) in text.lines().enumerate() {
        let begins = line.trim_start();
        let fence = begins.starts_with("```");
        fenced ^= fence;
        let is_code = fence || fenced || line.starts_with("    ");
        let is_prose = !is_code && !begins.starts_with('|') && !is_one_link(begins);
        if is_prose && line.chars().count() > MOST_COLUMNS {
            long.push((at + 1, line));
        }
    }
    long
}

/// True for an address alone, a link alone, the definition of a link, and a page in the printed index of decisions.
fn is_one_link(line: &str) -> bool {
    let line = line.trim_start_matches(['-', '*', ' ']);
    if line.split_whitespace().count() == 1 {
        return true;
    }
    let Some((words, behind)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let is_number = words.len() == 4 && words.bytes().all(|byte| byte.is_ascii_digit());
    let is_alone = behind.starts_with('(') && behind.find(')') == Some(behind.len() - 1);
    behind.starts_with(": ") || is_alone || (is_number && behind.contains(".md): "))
}

#[test]
fn long_lines_are_found_in_prose_alone() {
    let words = "word ".repeat(25);
    let check = |text: String, expect: &[usize]| {
        let found: Vec<_> = long_lines(&text).into_iter().map(|(number, _)| number).collect();
        assert_eq!(found, expect, "{text}");
    };
    check(format!("short\n{words}\n"), &[2]);
    check(format!("- {words}\n  {words}\n"), &[1, 2]);
    check(format!("see [a]({words}) and"), &[1]);
    check("é".repeat(120), &[]);
    check(format!("| {words} |\n```\n{words}\n```\n\n    {words}"), &[]);
    check(format!("[{words}](b.md)\n[a]: {words}\nhttps://{}", "a".repeat(200)), &[]);
    check(format!("- [0208](b.md): {words}"), &[]);
}
