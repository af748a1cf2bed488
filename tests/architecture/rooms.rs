//! The rooms of a crate stand in one line: a file names its own room and those before it. Tests within a file may name
//! any.

use std::collections::BTreeSet;
use std::path::Path;

use postern_tests::repository;

use crate::paths::{code_of, module_of, named_paths};
use crate::{is_test, sources};

/// A crate's sources, and its rooms from the lowest to the highest. Files beside the rooms stand below all of them.
const ROOMS: &[(&str, &[&str])] = &[
    ("cert-agent/authority/src", &["store", "ca", "attest", "publish", "serve", "cli"]),
    ("cert-agent/agent/src", &["renewal", "serve", "cli"]),
    ("proxy/data-plane/src", &["connection", "http", "traffic", "control"]),
];

#[test]
fn rooms_know_those_before_them_only() {
    for (folder, rooms) in ROOMS {
        let root = repository().join(folder);
        let mut seen = BTreeSet::new();
        for (path, text) in sources(&root) {
            let inside = path.strip_prefix(&root).expect("one of its files");
            // The library's own file names all of them, and tests may.
            if inside == Path::new("lib.rs") || is_test(inside) {
                continue;
            }
            let module = module_of(inside);
            let level = level(&module, rooms);
            seen.insert(level);
            for named in named_rooms(&text, &module, rooms) {
                let (path, room) = (inside.display(), rooms[named - 1]);
                assert!(
                    named <= level,
                    "{folder}/{path} names the room {room}, which stands above it"
                );
            }
        }
        assert!((1..=rooms.len()).all(|level| seen.contains(&level)), "{folder} has lost a room");
    }
}

/// The number of the room that a path leads into, 0 for what stands beside the rooms.
fn level(path: &[&str], rooms: &[&str]) -> usize {
    let first = path.first();
    rooms.iter().position(|room| Some(room) == first).map_or(0, |at| at + 1)
}

/// The numbers of the rooms that a module's code names.
fn named_rooms(text: &str, module: &[&str], rooms: &[&str]) -> BTreeSet<usize> {
    let code = code_of(text);
    let named: BTreeSet<_> =
        named_paths(&code, module).iter().map(|path| level(path, rooms)).collect();
    named.into_iter().filter(|level| *level > 0).collect()
}

#[test]
fn rooms_that_code_names_are_found() {
    let rooms = ["store", "attest", "serve"];
    for (text, expect) in [
        ("use crate::store::files;", &[1][..]),
        ("use crate::{attest, store};", &[1, 2]),
        ("use crate::{attest::{a, b}, serve};", &[2, 3]),
        (
            "use crate::{\n    clock,\n    attest::{\n        a,\n        b::{c, d},\n    },\n    serve,\n};",
            &[2, 3],
        ),
        ("let x = crate::serve::run(1);", &[3]),
        ("let x = super::super::serve::x;", &[3]),
        ("use super::super::{attest::a, serve::{b, c}};", &[2, 3]),
        ("use super::files;", &[1]),
        ("//! [`crate::serve`]\nuse crate::attest;", &[2]),
        ("#[cfg(test)]\nmod tests {\nuse crate::serve;}", &[]),
        ("use crate::storehouse;", &[]),
    ] {
        let named: Vec<_> = named_rooms(text, &["store", "memory"], &rooms).into_iter().collect();
        assert_eq!(named, expect, "{text}");
    }
}
