//! The paths within its crate that a file names, read as the compiler reads them: in `use` or in place, nested trees and
//! `super::` included.

use std::path::Path;

/// A path from the root of the crate, segment by segment.
pub(crate) type CratePath<'t> = Vec<&'t str>;

/// The module that a file of a crate's `src` is: `a/b.rs` and `a/b/mod.rs` are `a::b`.
pub(crate) fn module_of(inside: &Path) -> CratePath<'_> {
    let stem = inside.file_stem().and_then(|stem| stem.to_str()).filter(|stem| *stem != "mod");
    let folders = inside.parent().into_iter().flat_map(Path::iter);
    folders.filter_map(|folder| folder.to_str()).chain(stem).collect()
}

/// The text of a file without its comments and without the tests at its end.
pub(crate) fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that begin with `crate::` or `super::` in the code of a module.
pub(crate) fn named_paths<'t>(code: &'t str, module: &[&'t str]) -> Vec<CratePath<'t>> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..start].chars().next_back();
        // Within a path it is no beginning: the second of `super::super::`.
        if before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | ':')) {
            read_tree(&code[start..], &[], &mut found);
        }
    }
    found.into_iter().map(|path| from_root(&path, module)).collect()
}

/// The paths of `use` that begin with a module's own children; what begins with another crate is among them.
pub(crate) fn child_paths<'t>(code: &'t str, module: &[&'t str]) -> Vec<CratePath<'t>> {
    let mut found = Vec::new();
    for (start, used) in code.match_indices("use ") {
        let path = &code[start + used.len()..];
        if !["crate::", "super::"].iter().any(|other| path.starts_with(other)) {
            read_tree(path, &[], &mut found);
        }
    }
    found.into_iter().map(|path| [module, &path[..]].concat()).collect()
}

/// Reads a path, or a tree of them, that continues `before`; gives back the text behind it.
fn read_tree<'t>(text: &'t str, before: &[&'t str], found: &mut Vec<CratePath<'t>>) -> &'t str {
    let mut path = before.to_vec();
    let mut rest = text.trim_start();
    loop {
        if let Some(list) = rest.strip_prefix('{') {
            return read_list(list, &path, found);
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        path.extend(Some(word).filter(|word| !word.is_empty()));
        match after.trim_start().strip_prefix("::") {
            Some(next) if !word.is_empty() => rest = next.trim_start(),
            _ => {
                found.push(path);
                return after;
            }
        }
    }
}

/// Reads the trees between braces, from behind the first brace to behind the last.
fn read_list<'t>(text: &'t str, before: &[&'t str], found: &mut Vec<CratePath<'t>>) -> &'t str {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('}') {
            return behind;
        }
        rest = read_tree(rest, before, found);
        // ` as alias` and `*` say nothing of where it is.
        rest = rest.find([',', '}']).map_or("", |end| &rest[end..]);
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    rest
}

fn from_root<'t>(path: &[&'t str], module: &[&'t str]) -> CratePath<'t> {
    let up = path.iter().take_while(|word| **word == "super").count();
    let stays = if up == 0 { 0 } else { module.len().saturating_sub(up) };
    let named = path.iter().filter(|word| !matches!(**word, "crate" | "super" | "self"));
    module[..stays].iter().chain(named).copied().collect()
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let check = |text: &str, expect: &[&str]| {
        let code = code_of(text);
        let found = named_paths(&code, &["a", "b"]);
        let found: Vec<_> = found.iter().map(|path| path.join("::")).collect();
        assert_eq!(found, expect, "{text}");
    };
    check("use crate::c::D;", &["c::D"]);
    check("use crate::{self, c::{D as E, f::*}, g,};", &["", "c::D", "c::f", "g"]);
    check("use crate::{\n    c::{\n        D,\n    },\n    g,\n};", &["c::D", "g"]);
    check("use super::c;", &["a::c"]);
    check("use super::super::c::{D, e};", &["c::D", "c::e"]);
    check("fn f() { crate::c::d::<u8>(1) + super::e() }", &["c::d", "a::e"]);
    check("let x = mycrate::c; // crate::d\n/// [`crate::e`]", &[]);
    check("use crate::c;\n#[cfg(test)]\nmod tests {\n    use crate::d;\n}", &["c"]);
}

#[test]
fn a_file_is_a_module() {
    for (file, module) in [("a.rs", "a"), ("a/b.rs", "a::b"), ("a/b/mod.rs", "a::b")] {
        assert_eq!(module_of(Path::new(file)).join("::"), module);
    }
}
