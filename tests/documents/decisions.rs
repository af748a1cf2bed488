//! The index of decisions is theirs; `UPDATE_DOCS=1` writes it anew.

use std::fs;

use postern_tests::repository;

/// What stands before the index.
const HEADING: &str = "## All of them\n\n";

#[test]
fn every_decision_is_in_the_index() {
    let directory = repository().join("docs/decisions");
    let mut pages = Vec::new();
    crate::collect(&directory, "md", &mut pages);
    pages.sort();
    let index: String = pages
        .iter()
        .filter(|(path, _)| !path.ends_with("README.md"))
        .map(|(path, text)| {
            let file = path.file_name().unwrap().to_str().unwrap();
            let number = file.get(..4).unwrap();
            let title = text.lines().next().unwrap();
            let title = title.strip_prefix(&format!("# {number}: "));
            let title = title.unwrap_or_else(|| panic!("{file} does not begin `# {number}: …`"));
            format!("- [{number}]({file}): {title}\n")
        })
        .collect();
    let readme = directory.join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let (before, written) = text.split_once(HEADING).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&readme, format!("{before}{HEADING}{index}")).unwrap();
    } else {
        assert!(written == index, "docs/decisions/README.md is stale: run `make reference`");
    }
}
