//! Reference pages that are printed from the code, so that they cannot go stale. Run with
//! `UPDATE_DOCS=1` to rewrite them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::path::PathBuf;

use proxy::config::Limits;

fn docs(page: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page)
}

/// The page with what stands between `<!-- NAME -->` and `<!-- /NAME -->` replaced.
fn with_section(page: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let from = page.find(&begin).expect("the page has the section") + begin.len();
    let to = page.find(&end).expect("the section ends");
    format!("{}{section}{}", &page[..from], &page[to..])
}

fn check(page: &str, name: &str, section: &str) {
    let path = docs(page);
    let written = std::fs::read_to_string(&path).unwrap();
    let expected = with_section(&written, name, section);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    } else {
        assert!(
            written == expected,
            "docs/{page} is stale: UPDATE_DOCS=1 cargo test -p proxy --test documentation"
        );
    }
}

#[test]
fn every_limit_is_on_the_configuration_page() {
    let mut table = String::from(
        "| limit | default | bounds | what | why that number |\n|---|---|---|---|---|\n",
    );
    for limit in Limits::reference() {
        let bounds = format!("{} to {}", limit.least, limit.most);
        writeln!(
            table,
            "| `{}` | {} | {bounds} | {} | {} |",
            limit.key, limit.default, limit.meaning, limit.reason
        )
        .unwrap();
    }
    check("configuration.md", "limits", &table);
}

/// A setting that no code reads would promise what nothing keeps.
#[test]
fn every_limit_is_read_somewhere() {
    let sources = sources(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"));
    for limit in Limits::reference() {
        let field = snake_case(limit.key);
        let used = sources.iter().any(|(path, text)| {
            !path.ends_with("config/limits.rs") && text.contains(&format!(".{field}"))
        });
        let in_head = ["header_fields", "header_bytes"].contains(&field.as_str());
        assert!(used || in_head, "limits.{} is read nowhere", limit.key);
    }
}

fn snake_case(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn sources(directory: &std::path::Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}
