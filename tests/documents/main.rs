//! What the documents point to is there, and what they tell people to type is understood. Needs no namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod decisions;
mod lines;
mod links;
mod names;
mod resources;
mod walks;

use std::fs;
use std::path::{Path, PathBuf};

/// Every document of the repository, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(postern_tests::repository(), "md", &mut found);
    assert!(found.len() > 50, "the decisions alone are more than {}", found.len());
    found
}

/// The files with this extension below a directory, without what was built.
fn collect(directory: &Path, extension: &str, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && !matches!(name, "target" | "node_modules") {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}
