//! What is read of Secrets and ConfigMaps, and that nothing of it is told.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::{Resources, SourceFile};

fn read_text(text: &str) -> Result<Resources, String> {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system").map_err(|wrong| wrong.to_string())
}

fn secret(kind: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: cert, namespace: shop}}\ntype: {kind}\n{more}\n"
    )
}

/// `tls.crt tls.key ca.crt`, `-` for what is not there.
fn values_of(secret: &Secret) -> String {
    let shown = |value: &Option<SecretValue>| {
        let text = value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
        text.unwrap_or_else(|| "-".to_owned())
    };
    [&secret.certificate, &secret.key, &secret.authorities].map(shown).join(" ")
}

#[test]
fn values() {
    for (row, kind, more, expect) in [
        ("base64", "kubernetes.io/tls", "data: {tls.crt: Y2VydA==, tls.key: a2V5}", "cert key -"),
        (
            "broken lines",
            "kubernetes.io/tls",
            "data:\n  tls.crt: |\n    Y2Vy\n    dA==\n",
            "cert - -",
        ),
        ("text", "kubernetes.io/tls", "stringData: {tls.crt: cert, tls.key: key}", "cert key -"),
        (
            "text in the place of base64",
            "kubernetes.io/tls",
            "data: {tls.crt: Y2VydA==, tls.key: a2V5}\nstringData: {tls.key: other}",
            "cert other -",
        ),
        ("an authority", "Opaque", "data: {ca.crt: Y2E=, x: '!'}\nimmutable: true", "- - ca"),
        ("none", "Opaque", "data: null", "- - -"),
    ] {
        let read = read_text(&secret(kind, more)).unwrap_or_else(|wrong| panic!("{row}: {wrong}"));
        assert_eq!(values_of(&read.secrets()[0]), expect, "{row}");
    }
    let untyped = secret("Opaque", "data: {ca.crt: Y2E=}").replace("type: Opaque\n", "");
    assert_eq!(read_text(&untyped).unwrap().secrets()[0].kind, SecretKind::Opaque);
}

#[test]
fn what_is_wrong_is_told_without_what_stands_there() {
    for (kind, more, expect) in [
        (
            "kubernetes.io/tls",
            "data: {tls.key: hunter2-hunter2!}",
            "something else for `tls.key`; expected base64",
        ),
        ("kubernetes.io/tls", "data: {tls.key: [hunter2]}", "something else for `tls.key`"),
        (
            "kubernetes.io/tls",
            "stringData: {tls.crt: {hunter2: x}}",
            "something else for `tls.crt`",
        ),
        ("kubernetes.io/tls", "data: hunter2", "something else for `data`; expected a mapping"),
        ("kubernetes.io/tls", "stringData: [hunter2]", "something else for `stringData`"),
        (
            "kubernetes.io/dockerconfigjson",
            "data: {a: hunter2}",
            "expected kubernetes.io/tls or Opaque",
        ),
        ("Opaque", "spec: {a: hunter2}", "the unknown key `spec`"),
    ] {
        let wrong = read_text(&secret(kind, more)).err().unwrap_or_default();
        assert!(wrong.contains(expect) && !wrong.contains("hunter2"), "{more}: {wrong}");
    }
}

#[test]
fn a_secret_is_not_shown() {
    let text = secret("kubernetes.io/tls", "stringData: {tls.crt: hunter2, tls.key: hunter3}");
    let resources = read_text(&text).unwrap();
    let shown = format!("{resources:?} {:?}", resources.secrets());
    assert!(shown.contains("cert") && !shown.contains("hunter"), "{shown}");
}

#[test]
fn config_maps() {
    let map = |data: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca, namespace: shop}}\n{data}\n"
        )
    };
    let read = |data: &str| {
        read_text(&map(data))
            .map(|read| read.config_maps()[0].authorities.clone().map(|pem| pem.to_string()))
    };
    assert_eq!(read("data: {ca.crt: pem, other: {a: 1}}"), Ok(Some("pem".to_owned())));
    assert_eq!(read("data: {a: b}\nbinaryData: {c: ZA==}\nimmutable: false"), Ok(None));
    assert_eq!(read(""), Ok(None));
    assert!(read("data: {ca.crt: [a]}").unwrap_err().contains("text of at most 1 MiB"));
    assert!(read("data: []").unwrap_err().contains("a mapping"));
    assert!(read("stringData: {}").unwrap_err().contains("the unknown key `stringData`"));
}
