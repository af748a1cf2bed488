//! What a TokenRevocation is read as, and what is refused.
#![allow(clippy::unwrap_used)]

use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::revocation::MAX_REVOCATIONS;
use crate::{Resources, SourceFile};

fn object(name: &str, spec: &str) -> SourceFile {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: TokenRevocation\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    SourceFile { name: format!("{name}.yaml"), bytes: text.into_bytes() }
}

fn read(files: &[SourceFile]) -> Result<usize, String> {
    match Resources::parse(files, DEFAULT_ROOT_NAMESPACE) {
        Ok(resources) => {
            Ok(resources.token_revocations().iter().map(|object| object.entries().len()).sum())
        }
        Err(problems) => Err(problems.iter().map(|p| format!("{p}\n")).collect()),
    }
}

#[test]
fn lists_are_read() {
    for (row, spec, expect) in [
        ("a token", "tokens: [{issuer: me, id: a}]", 1),
        ("with its end", "tokens: [{issuer: me, id: a, until: 1800000000}]", 1),
        ("with its end as text", "tokens: [{issuer: me, id: a, until: '2027-01-01T00:00:00Z'}]", 1),
        ("a subject", "subjects: [{issuer: me, subject: ann, issuedBefore: 1800000000}]", 1),
        (
            "a subject, by a date",
            "subjects: [{issuer: me, subject: ann, issuedBefore: '2027-01-01T00:00:00Z'}]",
            1,
        ),
        ("an id of two issuers", "tokens: [{issuer: me, id: a}, {issuer: you, id: a}]", 2),
        ("nothing yet", "tokens: []", 0),
    ] {
        assert_eq!(read(&[object("r", spec)]), Ok(expect), "{row}");
    }
}

#[test]
fn what_would_revoke_something_else_is_refused() {
    for (row, spec, expect) in [
        ("no list", "", "`tokens` or `subjects`"),
        ("no issuer", "tokens: [{id: a}]", "no `issuer`"),
        ("no id", "tokens: [{issuer: me}]", "no `id`"),
        ("an id that is a number", "tokens: [{issuer: me, id: 7}]", "write \"7\" in quotes"),
        ("by another name", "tokens: [{issuer: me, jti: a}]", "unknown key `jti`"),
        ("no moment", "subjects: [{issuer: me, subject: ann}]", "no `issuedBefore`"),
        (
            "a moment that is none",
            "subjects: [{issuer: me, subject: ann, issuedBefore: tomorrow}]",
            "RFC 3339",
        ),
        (
            "milliseconds",
            "subjects: [{issuer: me, subject: ann, issuedBefore: 1800000000000}]",
            "253402300799",
        ),
        ("a token twice", "tokens: [{issuer: me, id: a}, {issuer: me, id: a}]", "entry again"),
        (
            "a subject twice",
            "subjects: [{issuer: me, subject: a, issuedBefore: 1}, {issuer: me, subject: a, issuedBefore: 2}]",
            "entry again",
        ),
        ("for a gateway", "tokens: [], targetRefs: []", "unknown key `targetRefs`"),
    ] {
        let found = read(&[object("r", spec)]).map(|_| String::new()).unwrap_or_else(|found| found);
        assert!(found.contains(expect), "{row}: {found}");
    }
}

/// Several objects add up, each of a size that a cluster stores.
#[test]
fn entries_are_bounded_over_all_objects() {
    let list = |object: usize, many: usize| -> String {
        let ids = (0..many).map(|at| format!("{{issuer: me, id: 'id-{object}-{at}'}}, "));
        format!("tokens: [{}]", ids.collect::<String>())
    };
    const EACH: usize = 10_000;
    let mut files: Vec<_> =
        (0..MAX_REVOCATIONS / EACH).map(|at| object(&format!("r{at}"), &list(at, EACH))).collect();
    assert_eq!(read(&files), Ok(MAX_REVOCATIONS), "as many as there may be");
    files.push(object("s", &list(99, 1)));
    let found = read(&files).map(|_| String::new()).unwrap_or_else(|found| found);
    assert!(found.contains("100001 entries of TokenRevocations in all"), "{found}");
}
