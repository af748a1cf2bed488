//! The published table of path spellings, and what policy must never be told.
#![allow(clippy::unwrap_used)]

use super::PathNormalization::{Base, DecodeAndMergeSlashes, MergeSlashes, None as AsSent};
use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(path: &str, level: PathNormalization, expect: Result<&str, PathError>) {
    let found = CanonicalPath::parse(path, level);
    let found = found.as_ref().map(CanonicalPath::as_str).map_err(|error| *error);
    assert_eq!(found, expect, "{path:?} at {level:?}");
}

/// (path, NONE, BASE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES)
type PathRow = (
    &'static str,
    Result<&'static str, PathError>,
    Result<&'static str, PathError>,
    Result<&'static str, PathError>,
    Result<&'static str, PathError>,
);

#[test]
fn s12_path_canonicalisation_table() {
    use PathError::{AboveRoot, BadEscape, HiddenDots, NoLeadingSlash, Nul, Overlong};
    let rows: &[PathRow] = &[
        ("/", Ok("/"), Ok("/"), Ok("/"), Ok("/")),
        ("/a/b", Ok("/a/b"), Ok("/a/b"), Ok("/a/b"), Ok("/a/b")),
        ("/a/", Ok("/a/"), Ok("/a/"), Ok("/a/"), Ok("/a/")),
        ("/A/b;x=1", Ok("/A/b;x=1"), Ok("/A/b;x=1"), Ok("/A/b;x=1"), Ok("/A/b;x=1")),
        (
            "/.well-known/x",
            Ok("/.well-known/x"),
            Ok("/.well-known/x"),
            Ok("/.well-known/x"),
            Ok("/.well-known/x"),
        ),
        ("/a/..b/c..", Ok("/a/..b/c.."), Ok("/a/..b/c.."), Ok("/a/..b/c.."), Ok("/a/..b/c..")),
        ("/a/...", Ok("/a/..."), Ok("/a/..."), Ok("/a/..."), Ok("/a/...")),
        ("/a/./b", Ok("/a/./b"), Ok("/a/b"), Ok("/a/b"), Ok("/a/b")),
        ("/a/../b", Ok("/a/../b"), Ok("/b"), Ok("/b"), Ok("/b")),
        ("/a/b/..", Ok("/a/b/.."), Ok("/a/"), Ok("/a/"), Ok("/a/")),
        ("/a/.", Ok("/a/."), Ok("/a/"), Ok("/a/"), Ok("/a/")),
        ("/..", Err(AboveRoot), Err(AboveRoot), Err(AboveRoot), Err(AboveRoot)),
        ("/a/../../b", Err(AboveRoot), Err(AboveRoot), Err(AboveRoot), Err(AboveRoot)),
        ("//a", Ok("//a"), Ok("//a"), Ok("/a"), Ok("/a")),
        ("/a///b", Ok("/a///b"), Ok("/a///b"), Ok("/a/b"), Ok("/a/b")),
        ("/a//../b", Err(HiddenDots), Ok("/a/b"), Ok("/a/b"), Ok("/a/b")),
        ("/a\\b", Ok("/a\\b"), Ok("/a/b"), Ok("/a/b"), Ok("/a/b")),
        ("/a\\..\\b", Err(HiddenDots), Ok("/b"), Ok("/b"), Ok("/b")),
        ("/%61dmin", Ok("/%61dmin"), Ok("/admin"), Ok("/admin"), Ok("/admin")),
        ("/a%7eb", Ok("/a%7Eb"), Ok("/a~b"), Ok("/a~b"), Ok("/a~b")),
        ("/a/%2e%2e/b", Ok("/a/%2E%2E/b"), Ok("/b"), Ok("/b"), Ok("/b")),
        ("/a/.%2E/b", Ok("/a/.%2E/b"), Ok("/b"), Ok("/b"), Ok("/b")),
        ("/a%2fb", Ok("/a%2Fb"), Ok("/a%2Fb"), Ok("/a%2Fb"), Ok("/a/b")),
        ("/a%5cb", Ok("/a%5Cb"), Ok("/a%5Cb"), Ok("/a%5Cb"), Ok("/a/b")),
        ("/a%2f%2Fb", Ok("/a%2F%2Fb"), Ok("/a%2F%2Fb"), Ok("/a%2F%2Fb"), Ok("/a/b")),
        ("/a/..%2fb", Err(HiddenDots), Err(HiddenDots), Err(HiddenDots), Ok("/b")),
        ("/a/%2e%2e%5cb", Err(HiddenDots), Err(HiddenDots), Err(HiddenDots), Ok("/b")),
        ("/..%2fb", Err(HiddenDots), Err(HiddenDots), Err(HiddenDots), Err(AboveRoot)),
        ("/a/..;/b", Err(HiddenDots), Err(HiddenDots), Err(HiddenDots), Err(HiddenDots)),
        ("/a/.;x=1/b", Err(HiddenDots), Err(HiddenDots), Err(HiddenDots), Err(HiddenDots)),
        ("/a/%2e.%3bx", Err(HiddenDots), Err(HiddenDots), Err(HiddenDots), Err(HiddenDots)),
        ("/a/..b;x/c", Ok("/a/..b;x/c"), Ok("/a/..b;x/c"), Ok("/a/..b;x/c"), Ok("/a/..b;x/c")),
        ("/a%2fb/../c", Err(HiddenDots), Ok("/c"), Ok("/c"), Ok("/a/c")),
        (
            "/a%252e%252e%252fb",
            Ok("/a%252e%252e%252fb"),
            Ok("/a%252e%252e%252fb"),
            Ok("/a%252e%252e%252fb"),
            Ok("/a%252e%252e%252fb"),
        ),
        ("/a%20b", Ok("/a%20b"), Ok("/a%20b"), Ok("/a%20b"), Ok("/a%20b")),
        ("/caf\u{e9}", Ok("/caf%C3%A9"), Ok("/caf%C3%A9"), Ok("/caf%C3%A9"), Ok("/caf%C3%A9")),
        ("/caf%c3%a9", Ok("/caf%C3%A9"), Ok("/caf%C3%A9"), Ok("/caf%C3%A9"), Ok("/caf%C3%A9")),
        ("/caf%e9", Ok("/caf%E9"), Ok("/caf%E9"), Ok("/caf%E9"), Ok("/caf%E9")),
        ("/a#b", Ok("/a%23b"), Ok("/a%23b"), Ok("/a%23b"), Ok("/a%23b")),
        ("/a%3fb", Ok("/a%3Fb"), Ok("/a%3Fb"), Ok("/a%3Fb"), Ok("/a%3Fb")),
        ("/a?b/../c", Ok("/a"), Ok("/a"), Ok("/a"), Ok("/a")),
        ("", Err(NoLeadingSlash), Err(NoLeadingSlash), Err(NoLeadingSlash), Err(NoLeadingSlash)),
        ("*", Err(NoLeadingSlash), Err(NoLeadingSlash), Err(NoLeadingSlash), Err(NoLeadingSlash)),
        (
            "admin",
            Err(NoLeadingSlash),
            Err(NoLeadingSlash),
            Err(NoLeadingSlash),
            Err(NoLeadingSlash),
        ),
        ("?a", Err(NoLeadingSlash), Err(NoLeadingSlash), Err(NoLeadingSlash), Err(NoLeadingSlash)),
        ("/a%00", Err(Nul), Err(Nul), Err(Nul), Err(Nul)),
        ("/a\0", Err(Nul), Err(Nul), Err(Nul), Err(Nul)),
        ("/a%zz", Err(BadEscape), Err(BadEscape), Err(BadEscape), Err(BadEscape)),
        ("/a%", Err(BadEscape), Err(BadEscape), Err(BadEscape), Err(BadEscape)),
        ("/a%2", Err(BadEscape), Err(BadEscape), Err(BadEscape), Err(BadEscape)),
        ("/a%+1", Err(BadEscape), Err(BadEscape), Err(BadEscape), Err(BadEscape)),
        ("/%c0%af", Err(Overlong), Err(Overlong), Err(Overlong), Err(Overlong)),
        ("/%c0%ae%c0%ae/", Err(Overlong), Err(Overlong), Err(Overlong), Err(Overlong)),
        ("/%e0%80%af", Err(Overlong), Err(Overlong), Err(Overlong), Err(Overlong)),
        ("/%f0%80%80%af", Err(Overlong), Err(Overlong), Err(Overlong), Err(Overlong)),
        ("/%f8%80%80%80%af", Err(Overlong), Err(Overlong), Err(Overlong), Err(Overlong)),
        (
            "/a b",
            Err(PathError::Control),
            Err(PathError::Control),
            Err(PathError::Control),
            Err(PathError::Control),
        ),
        (
            "/a\r\nb",
            Err(PathError::Control),
            Err(PathError::Control),
            Err(PathError::Control),
            Err(PathError::Control),
        ),
    ];
    for (path, none, base, merge, decode) in rows {
        check(path, AsSent, *none);
        check(path, Base, *base);
        check(path, MergeSlashes, *merge);
        check(path, DecodeAndMergeSlashes, *decode);
    }
}

#[test]
fn s12_path_canonicalisation_both_readings() {
    for (path, level, decoded) in [
        ("/a/b", MergeSlashes, None),
        ("/group%2Fproject", MergeSlashes, Some("/group/project")),
        ("/group%2Fproject", DecodeAndMergeSlashes, None),
        ("/a%5c%5Cb", MergeSlashes, Some("/a/b")),
        ("/x%3Adelete", MergeSlashes, Some("/x:delete")),
        ("/a%20b", MergeSlashes, Some("/a b")),
        ("//a", Base, Some("/a")),
        ("/a/../b", AsSent, Some("/b")),
        ("/a%252fb", MergeSlashes, Some("/a%2fb")),
    ] {
        let found = CanonicalPath::parse(path, level).unwrap();
        assert_eq!(found.decoded(), decoded, "{path} at {level:?}");
    }
}

#[test]
fn s12_path_canonicalisation_query_is_kept_apart() {
    for (target, path, query, forward, rewritten) in [
        ("/a", "/a", None, "/a", false),
        ("/a?", "/a", Some(""), "/a?", false),
        ("/a?b=../%2e&c=%zz?", "/a", Some("b=../%2e&c=%zz?"), "/a?b=../%2e&c=%zz?", false),
        ("//a?b", "/a", Some("b"), "/a?b", true),
        ("/a?b#c", "/a", Some("b%23c"), "/a?b%23c", true),
        ("/a?\u{e9}", "/a", Some("%C3%A9"), "/a?%C3%A9", true),
    ] {
        let found = CanonicalPath::parse(target, MergeSlashes).unwrap();
        assert_eq!((found.as_str(), found.query()), (path, query), "{target}");
        assert_eq!((&*found.forward(), found.is_rewritten()), (forward, rewritten), "{target}");
        assert_eq!(found.clone().into_owned(), found);
    }
    assert_eq!(CanonicalPath::parse("/a?b c", MergeSlashes), Err(PathError::Control));
    assert_eq!(CanonicalPath::parse("/a?\0", MergeSlashes), Err(PathError::Nul));
    let long = "/".repeat(MAX_PATH_BYTES + 1);
    assert_eq!(CanonicalPath::parse(&long, MergeSlashes), Err(PathError::TooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Canonical is final: reading it again changes nothing, it has no dot segment, and the gate never panics.
    #[test]
    fn s12_path_canonicalisation_is_stable(path in "/([a./\\\\%]|%2[eEfF5]|%5[cC]|%[0-9a-fA-F]{2}|é|#|;| ){0,12}") {
        for level in [Base, MergeSlashes, DecodeAndMergeSlashes] {
            let Ok(first) = CanonicalPath::parse(&path, level) else { continue };
            let again = CanonicalPath::parse(first.as_str(), level);
            prop_assert_eq!(again.as_ref().map(CanonicalPath::as_str), Ok(first.as_str()));
            let reading = first.decoded().unwrap_or(first.as_str());
            for text in [first.as_str(), reading] {
                prop_assert!(text.starts_with('/'));
                prop_assert!(!text.split('/').any(|segment| segment == "." || segment == ".."));
            }
            prop_assert!(level == Base || !first.as_str().contains("//"));
        }
    }
}
