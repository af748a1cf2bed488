//! The wall between the two programs: they share the messages and nothing else.

use std::fs;
use std::path::Path;

/// What a side may name in this crate beside itself.
const SHARED: [&str; 3] = ["crate::api", "crate::page", "crate::program"];

fn sources(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

fn check(side: &str, other: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(side);
    let sources = sources(&root);
    assert!(sources.len() > 5, "{side} has moved?");
    for (path, text) in sources {
        for (number, line) in text.lines().enumerate() {
            let place = format!("{path}:{}: {line}", number + 1);
            assert!(!line.contains("super::super"), "{place}");
            assert!(!line.contains(&format!("cert_agent::{other}")), "{place}");
            for (at, _) in line.match_indices("crate::") {
                let named = &line[at..];
                let allowed = SHARED.iter().any(|shared| named.starts_with(shared))
                    || named.starts_with(&format!("crate::{side}"));
                assert!(allowed, "{place}");
            }
        }
    }
}

#[test]
fn the_agent_names_nothing_of_the_authority() {
    check("agent", "authority");
}

#[test]
fn the_authority_names_nothing_of_the_agent() {
    check("authority", "agent");
}

#[test]
fn each_program_names_one_side() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert!(!read("postern-cert-agent.rs").contains("cert_agent::authority"));
    assert!(!read("postern-authority.rs").contains("cert_agent::agent"));
}
