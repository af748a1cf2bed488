//! The layers of the data plane, kept as the arrows between crates are: no file uses a layer above its own, and no large
//! circle of files forms within one.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest; those in one group use each other where they must.
const LAYERS: [&[&str]; 5] = [
    &["clock", "labels", "limits", "ports", "telemetry"],
    &["connection"],
    &["http"],
    &["traffic"],
    &["control"],
];

/// The most files that use each other in a circle. A module and the file that declares it are one already.
const LARGEST_CIRCLE: usize = 9;

#[test]
fn no_file_uses_a_layer_above_its_own() {
    for (module, uses) in &uses() {
        for used in uses {
            let (own, other) = (layer(module), layer(used));
            assert!(own >= other, "{module} uses {used}, which stands above it");
        }
    }
}

/// Telemetry is used by everything and knows nothing of it.
#[test]
fn telemetry_uses_nothing_but_what_stands_beside_it() {
    let beside = ["clock", "labels", "limits", "ports", "telemetry"];
    for (module, uses) in uses().iter().filter(|(module, _)| module.starts_with("telemetry")) {
        for used in uses {
            assert!(beside.contains(&first(used)), "{module} uses {used}");
        }
    }
}

#[test]
fn circles_of_files_are_small() {
    let uses = uses();
    let reach: BTreeMap<_, _> = uses.keys().map(|from| (from, reached(&uses, from))).collect();
    for (module, there) in &reach {
        let circle: BTreeSet<_> =
            there.iter().filter(|other| reach[other].contains(*module)).collect();
        assert!(
            circle.len() <= LARGEST_CIRCLE,
            "{} files use each other in a circle: {circle:?}",
            circle.len()
        );
    }
}

/// Everything that a module leads to.
fn reached(uses: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(module) = next.pop() {
        for used in &uses[&module] {
            if found.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    found
}

fn first(module: &str) -> &str {
    module.split("::").next().unwrap()
}

fn layer(module: &str) -> usize {
    let of = |layer: &&[&str]| layer.contains(&first(module));
    let found = LAYERS.iter().position(of);
    found.unwrap_or_else(|| panic!("{module} belongs to no layer: name it in LAYERS"))
}

/// Each file as a module, with the modules that it names. Tests may use whatever they need.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let module = |file: &Path| {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        inside.to_str().unwrap().replace('/', "::")
    };
    let modules: BTreeSet<String> =
        files.iter().map(|file| module(file)).filter(|module| module != "lib").collect();
    let of = |file: &PathBuf| {
        let name = module(file);
        let text = fs::read_to_string(file).unwrap();
        let named = paths(&text, &name).into_iter().filter_map(|path| owner(&path, &modules));
        (name.clone(), named.filter(|used| *used != name).collect())
    };
    let all = files.iter().map(of).filter(|(name, _)| modules.contains(name));
    all.collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name == "tests" || name.ends_with("_tests") {
            continue;
        }
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// The module that holds what a path names: its longest beginning that is a file.
fn owner(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut path = path;
    loop {
        if modules.contains(path) {
            return Some(path.to_owned());
        }
        path = path.rsplit_once("::")?.0;
    }
}

/// The paths within the crate that a file names, in `use` or in place, from the root of the crate.
fn paths(text: &str, module: &str) -> Vec<String> {
    let code: Vec<&str> =
        text.lines().take_while(|line| *line != "#[cfg(test)]").map(without_comment).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..start].chars().next_back();
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && !"_:$".contains(c));
        if begins {
            let tree: String = code[start..].chars().take_while(|c| *c != ';').collect();
            expand(&tree, String::new(), &mut found);
        }
    }
    let mut found: Vec<String> = found.into_iter().map(|path| absolute(&path, module)).collect();
    // What a module uses of its own children; a crate of that name is no module, and falls out later.
    for (start, _) in code.match_indices("use ") {
        let tree: String = code[start + 4..].chars().take_while(|c| *c != ';').collect();
        if !["crate::", "super::"].iter().any(|known| tree.starts_with(known)) {
            let mut children = Vec::new();
            expand(&tree, String::new(), &mut children);
            found.extend(children.into_iter().map(|child| format!("{module}::{child}")));
        }
    }
    found
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// `crate::a::{b, c::D}` as `crate::a::b` and `crate::a::c::D`. Ends where the tree does; gives back how much it took.
fn expand(tree: &str, prefix: String, found: &mut Vec<String>) -> usize {
    let mut path = prefix.clone();
    let mut at = 0;
    while let Some(c) = tree[at..].chars().next() {
        match c {
            '{' => {
                let inner = path.clone();
                at += 1;
                loop {
                    at += expand(&tree[at..], inner.clone(), found);
                    let end = tree[at..].chars().next();
                    at += end.map_or(0, char::len_utf8);
                    if end != Some(',') {
                        return at;
                    }
                }
            }
            c if c.is_alphanumeric() || "_:".contains(c) => path.push(c),
            c if c.is_whitespace() && path == prefix => {}
            _ => break,
        }
        at += c.len_utf8();
    }
    // ` as alias` says nothing of where it is.
    at += tree[at..].find(['}', ',']).filter(|_| tree[at..].starts_with(" as ")).unwrap_or(0);
    if path != prefix {
        found.push(path);
    }
    at
}

fn absolute(path: &str, module: &str) -> String {
    if let Some(path) = path.strip_prefix("crate::") {
        return path.to_owned();
    }
    let (mut base, mut path) = (module, path);
    while let Some(rest) = path.strip_prefix("super::") {
        base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
        path = rest;
    }
    if base.is_empty() { path.to_owned() } else { format!("{base}::{path}") }
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let text = [
        "use crate::a::{self, b::C, d};",
        "use super::e::{F as G, h};",
        "use k::L;",
        "fn x() { crate::i::j(); }",
    ];
    let expect = ["a::self", "a::b::C", "a::d", "m::e::F", "m::e::h", "i::j", "m::n::k::L"];
    let found: BTreeSet<String> = paths(&text.join("\n"), "m::n").into_iter().collect();
    assert_eq!(found, expect.map(str::to_owned).into());
}
