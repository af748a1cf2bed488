//! The rooms of a crate stand in one line: a file names its own room and those before it. Tests within a file may name
//! any.

use std::collections::BTreeSet;
use std::path::Path;

use postern_tests::repository;

use crate::sources;

/// A crate's sources, and its rooms from the lowest to the highest. Files beside the rooms stand below all of them.
const ROOMS: &[(&str, &[&str])] =
    &[("cert-agent/authority/src", &["store", "ca", "attest", "publish", "serve", "cli"])];

#[test]
fn rooms_know_those_before_them_only() {
    for (folder, rooms) in ROOMS {
        let root = repository().join(folder);
        let mut seen = BTreeSet::new();
        for (path, text) in sources(&root) {
            let inside = path.strip_prefix(&root).expect("one of its files");
            let Some(level) = level(inside, rooms) else { continue };
            seen.insert(level);
            for named in named_rooms(&text, rooms) {
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

/// The number of a file's room, 0 for a file beside the rooms; none for the library's own file, which names them all.
fn level(inside: &Path, rooms: &[&str]) -> Option<usize> {
    if inside == Path::new("lib.rs") {
        return None;
    }
    let first = inside.iter().next()?.to_str()?;
    Some(rooms.iter().position(|room| *room == first).map_or(0, |at| at + 1))
}

/// The numbers of the rooms that the code names, comments and tests left out.
fn named_rooms(text: &str, rooms: &[&str]) -> BTreeSet<usize> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.collect::<Vec<_>>().join(" ");
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        // `use crate::{ca, store};` names several.
        let paths: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for path in paths {
            let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let word = &path[..end.unwrap_or(path.len())];
            named.extend(rooms.iter().position(|room| *room == word).map(|at| at + 1));
        }
    }
    named
}

#[test]
fn rooms_that_code_names_are_found() {
    let rooms = ["store", "ca", "serve"];
    for (text, expect) in [
        ("use crate::store::files;", &[1][..]),
        ("use crate::{ca, store};", &[1, 2]),
        ("let x = crate::serve::run(1);", &[3]),
        ("//! [`crate::serve`]\nuse crate::ca;", &[2]),
        ("#[cfg(test)]\nmod tests {\nuse crate::serve;}", &[]),
        ("use crate::storehouse;", &[]),
    ] {
        let named: Vec<_> = named_rooms(text, &rooms).into_iter().collect();
        assert_eq!(named, expect, "{text}");
    }
}
