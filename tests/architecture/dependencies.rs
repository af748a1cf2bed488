//! What is linked in: `deny.toml`, as far as it can be checked without a network and without `cargo deny`.
//!
//! Known vulnerabilities are a list that others keep; `cargo deny check advisories` asks it.

use std::collections::{BTreeMap, BTreeSet};

use postern_tests::repository;

use crate::cargo;

/// A crate of the tree, ours left out.
struct Crate {
    name: String,
    version: String,
    licence: String,
}

#[test]
fn licences_are_those_of_deny_toml() {
    let deny = deny_toml();
    let allowed = entries(section(&deny, "allow = ["), "\"");
    assert!(!allowed.is_empty(), "deny.toml allows no licence");
    for one in tree() {
        let Crate { name, licence, .. } = &one;
        assert!(permitted(licence, &allowed), "{name} has the licence {licence}");
    }
}

#[test]
fn one_cryptographic_library_and_no_banned_crate() {
    let deny = deny_toml();
    let banned = section(&deny, "deny = [");
    for line in banned.lines().filter(|line| !line.contains("wrappers")) {
        let Some(name) = entries(line, "crate = \"").into_iter().next() else { continue };
        let found = tree().into_iter().find(|one| one.name == name);
        assert!(found.is_none(), "`cargo tree --workspace -i {name}` says who brought it in");
    }
}

/// A banned crate that some may carry all the same is carried by exactly those.
#[test]
fn banned_crates_are_carried_by_those_who_may() {
    let deny = deny_toml();
    for line in section(&deny, "deny = [").lines().filter(|line| line.contains("wrappers")) {
        let name = entries(line, "crate = \"").into_iter().next().unwrap();
        let list = line.split_once("wrappers = [").unwrap().1.split(']').next().unwrap();
        let wrappers: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
        let arguments =
            ["tree", "--workspace", "--offline", "-i", &name, "--depth", "1", "--prefix", "none"];
        let tree = cargo(&arguments);
        let parents = tree.lines().skip(1).filter_map(|line| line.split(' ').next());
        assert_eq!(parents.collect::<BTreeSet<_>>(), wrappers, "who carries {name}");
    }
}

/// Beside the newest version of a crate stand only those that deny.toml names, each with its reason.
#[test]
fn one_version_of_each_crate() {
    let mut versions: BTreeMap<String, BTreeSet<(Vec<u32>, String)>> = BTreeMap::new();
    for one in tree() {
        let number = one.version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        versions.entry(one.name).or_default().insert((number, one.version));
    }
    let older = versions.into_iter().flat_map(|(name, mut versions)| {
        versions.pop_last();
        versions.into_iter().map(move |(_, version)| format!("{name}@{version}"))
    });
    let older: BTreeSet<_> = older.collect();
    let skipped = entries(section(&deny_toml(), "skip = ["), "crate = \"");
    let unnamed: Vec<_> = older.difference(&skipped).collect();
    assert!(
        unnamed.is_empty(),
        "older versions beside others: {unnamed:?}; `cargo tree --workspace -i NAME@VERSION` says whose"
    );
    let needless: Vec<_> = skipped.difference(&older).collect();
    assert!(needless.is_empty(), "deny.toml skips what is no second version: {needless:?}");
}

/// One place names the crates of others, each with its use.
#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).expect("our own");
    let (_, dependencies) = manifest.split_once("[workspace.dependencies]").expect("the section");
    let (dependencies, _) = dependencies.split_once("\n[").expect("a section after it");
    let theirs =
        dependencies.lines().filter(|line| line.contains(" = ") && !line.contains("path ="));
    for line in theirs {
        assert!(line.contains(" # "), "Cargo.toml does not say what this is for: {line}");
    }
}

/// Everything that is built for Linux, tests and build scripts included.
fn tree() -> Vec<Crate> {
    let arguments = [
        "tree",
        "--workspace",
        "--offline",
        "--features",
        "cert-agent/pkcs11",
        "--edges",
        "normal,build,dev",
        "--target",
        "x86_64-unknown-linux-gnu",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ];
    let lines = cargo(&arguments);
    // A path or an address stands after crates that are not from crates.io: ours.
    let others = lines.lines().filter(|line| !line.contains(&repository().display().to_string()));
    let read = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split(' ');
        let name = words.next()?.to_owned();
        let version = words.next()?.strip_prefix('v')?.to_owned();
        let from = words.find(|word| *word != "(proc-macro)" && *word != "(*)");
        assert_eq!(from, None, "{name} is not from crates.io");
        Some(Crate { name, version, licence: licence.trim_end_matches(" (*)").to_owned() })
    };
    others.filter_map(read).collect()
}

/// Whether one of the alternatives of an SPDX expression asks for nothing but what is allowed. Parentheses are read
/// from the inside; all that occur hold alternatives.
fn permitted(licence: &str, allowed: &BTreeSet<String>) -> bool {
    if let Some(open) = licence.rfind('(')
        && let Some(length) = licence[open..].find(')')
    {
        let inner = &licence[open + 1..open + length];
        let verdict = if permitted(inner, allowed) { "MIT" } else { "none" };
        let rest = [&licence[..open], verdict, &licence[open + length + 1..]].concat();
        return permitted(&rest, allowed);
    }
    let alternatives = licence.replace(" / ", " OR ").replace('/', " OR ");
    let mut alternatives = alternatives.split(" OR ");
    alternatives.any(|alternative| alternative.split(" AND ").all(|one| allowed.contains(one)))
}

fn deny_toml() -> String {
    std::fs::read_to_string(repository().join("deny.toml")).expect("deny.toml is there")
}

/// The lines of a list, without those that are comments.
fn section(text: &str, begin: &str) -> String {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("deny.toml has no `{begin}`"));
    let lines = rest.lines().take_while(|line| !line.starts_with(']'));
    lines.filter(|line| !line.trim().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// What stands between `begin` and the next quotation mark, once a line.
fn entries(text: impl AsRef<str>, begin: &str) -> BTreeSet<String> {
    let entry = |line: &str| Some(line.split_once(begin)?.1.split('"').next()?.to_owned());
    text.as_ref().lines().filter_map(entry).collect()
}

#[test]
fn licences_are_read_as_they_are_written() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0".to_owned()]);
    for (licence, expect) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("Unlicense/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("ISC AND (Apache-2.0 OR GPL-3.0)", true),
        ("(GPL-3.0 OR AGPL-3.0) AND MIT", false),
        ("", false),
    ] {
        assert_eq!(permitted(licence, &allowed), expect, "{licence}");
    }
}
