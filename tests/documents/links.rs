//! Links within the repository: the file is there, and the heading in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::documents;

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut dead = Vec::new();
    let mut followed = 0;
    for (path, text) in documents() {
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            if !leads_somewhere(&path, &text, &target) {
                dead.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
    assert!(followed > 50, "{followed} links were found");
}

#[test]
fn every_guide_can_be_found_from_another_document() {
    let documents = documents();
    let guides = postern_tests::repository().join("docs");
    for (guide, _) in documents.iter().filter(|(path, _)| path.parent() == Some(&guides)) {
        let name = guide.file_name().unwrap().to_str().unwrap();
        let leads_here = |(path, text): &(PathBuf, String)| {
            let to = |target: &String| {
                target.split('#').next().unwrap().rsplit('/').next() == Some(name)
            };
            path != guide && links(text).iter().any(to)
        };
        assert!(documents.iter().any(leads_here), "no document leads to {name}");
    }
}

#[test]
fn links_and_headings_are_read_as_a_reader_sees_them() {
    let text =
        "# Lifetimes, in `ms`\n[a](b.md) and [c](#d)\n```\n# no heading [x](y)\n```\n`[z](w)`\n";
    assert_eq!(links(text), ["b.md", "#d"]);
    assert_eq!(headings(text), ["lifetimes-in-ms"]);
    let here = postern_tests::repository().join("README.md");
    assert!(leads_somewhere(&here, text, "#lifetimes-in-ms"));
    assert!(!leads_somewhere(&here, text, "#no-heading-xy"));
    assert!(leads_somewhere(&here, text, "CHANGELOG.md#unreleased"));
    assert!(!leads_somewhere(&here, text, "CHANGELOG.md#never"));
    assert!(!leads_somewhere(&here, text, "no-such-file.md"));
}

fn leads_somewhere(from: &Path, text: &str, target: &str) -> bool {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let there = from.parent().unwrap().join(file);
    let has = |text: &str| heading.is_empty() || headings(text).iter().any(|one| one == heading);
    match file {
        "" => has(text),
        // A directory, or a picture.
        _ if heading.is_empty() => there.exists(),
        _ => fs::read_to_string(there).is_ok_and(|text| has(&text)),
    }
}

/// The targets of `[words](target)`, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // Every second piece stands between backticks.
        for words in line.split('`').step_by(2) {
            let targets = words.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            found.extend(targets.map(|(target, _)| target.to_owned()));
        }
        // A link whose words are code: [`a`](b).
        let code = line.split("`](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(code.map(|(target, _)| target.to_owned()));
    }
    found.dedup();
    found
}

/// The names under which a page's headings are linked to: lower case, spaces as `-`, without punctuation.
fn headings(text: &str) -> Vec<String> {
    let titles = prose(text).filter(|line| line.starts_with('#'));
    titles.map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// The lines outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    })
}
