//! Files that use each other in a circle can be read, tested and moved together only: circles stay small.

use std::collections::{BTreeMap, BTreeSet};

use postern_tests::repository;

use crate::paths::{child_paths, code_of, module_of, named_paths};
use crate::{is_test, sources};

/// The most files of the data plane in one circle. A module and the file that declares it are one already.
const LARGEST_CIRCLE: usize = 9;

/// Each module with the modules that it names.
type Uses = BTreeMap<String, BTreeSet<String>>;

#[test]
fn circles_of_files_are_small() {
    let uses = uses("proxy/data-plane/src");
    let reach: Uses = uses.keys().map(|from| (from.clone(), reached(&uses, from))).collect();
    for (module, there) in &reach {
        let circle: Vec<_> = there.iter().filter(|other| reach[*other].contains(module)).collect();
        assert!(circle.len() <= LARGEST_CIRCLE, "{} files in a circle: {circle:?}", circle.len());
    }
    assert!(reach.values().any(|there| !there.is_empty()), "nothing was read");
}

fn uses(folder: &str) -> Uses {
    let root = repository().join(folder);
    let inside = |path: &std::path::Path| path.strip_prefix(&root).expect("its own").to_path_buf();
    let files: Vec<_> =
        sources(&root).into_iter().map(|(path, text)| (inside(&path), code_of(&text))).collect();
    let files = files.iter().filter(|(path, _)| !is_test(path) && !path.ends_with("lib.rs"));
    let files: Vec<_> = files.map(|(path, code)| (module_of(path), code)).collect();
    let modules: BTreeSet<_> = files.iter().map(|(module, _)| module.join("::")).collect();
    let of = |(module, code): &(Vec<&str>, &String)| {
        let named = [named_paths(code, module), child_paths(code, module)].concat();
        let named = named.iter().filter_map(|path| owner(path, &modules));
        let name = module.join("::");
        (name.clone(), named.filter(|used| *used != name).collect())
    };
    files.iter().map(of).collect()
}

/// The module that holds what a path names: its longest beginning that is a file.
fn owner(path: &[&str], modules: &BTreeSet<String>) -> Option<String> {
    let beginnings = (1..=path.len()).rev().map(|length| path[..length].join("::"));
    beginnings.into_iter().find(|beginning| modules.contains(beginning))
}

/// Everything that a module leads to.
fn reached(uses: &Uses, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(module) = next.pop() {
        next.extend(uses[&module].iter().filter(|used| found.insert((*used).clone())).cloned());
    }
    found
}
