//! What is read of a BackendTLSPolicy, and what is refused by name.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::{Resources, SourceFile};

fn read_spec(spec: &str) -> Result<BackendTlsPolicy, String> {
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: b, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    let read = Resources::parse(&[file], "root").map_err(|wrong| wrong.to_string())?;
    Ok(read.backend_tls_policies()[0].clone())
}

const TARGET: &str = "targetRefs: [{group: '', kind: Service, name: pay}]";

#[test]
fn a_whole_policy() {
    let read = read_spec(
        "targetRefs: [{group: '', kind: Service, name: pay, sectionName: a}, {group: '', kind: Service, name: pay, sectionName: b}], validation: {hostname: pay.example, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}], subjectAltNames: [{type: URI, uri: 'spiffe://a.b/c'}, {type: Hostname, hostname: '*.c.d'}]}, options: {example.com/a: b}",
    );
    let read = read.unwrap();
    assert_eq!(read.targets[1].section.as_deref(), Some("b"));
    assert_eq!(read.targets[0].object.to_string(), "Service shop/pay");
    let TrustAnchors::References(refs) = &read.anchors else { panic!("{read:?}") };
    assert_eq!(refs[0].to_string(), "ConfigMap shop/ca");
    assert_eq!(read.names[1], SubjectAltName::Host("*.c.d".into()));
    let system =
        format!("{TARGET}, validation: {{hostname: a.b, wellKnownCACertificates: System}}");
    assert_eq!(read_spec(&system).unwrap().anchors, TrustAnchors::System);
    let other = system.replace("System", "a.b/c");
    assert_eq!(read_spec(&other).unwrap().anchors, TrustAnchors::Unknown("a.b/c".into()));
}

#[test]
fn what_is_refused_by_name() {
    let system = "wellKnownCACertificates: System";
    for (spec, expect) in [
        (TARGET.to_owned(), "no `validation`"),
        (format!("validation: {{hostname: a.b, {system}}}"), "no `targetRefs`"),
        (format!("{TARGET}, validation: {{{system}}}"), "no `hostname`"),
        (format!("{TARGET}, validation: {{hostname: '*.b', {system}}}"), "a host"),
        (format!("{TARGET}, validation: {{hostname: a.b}}"), "one of the two"),
        (
            format!(
                "{TARGET}, validation: {{hostname: a.b, {system}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}"
            ),
            "one of the two",
        ),
        (
            format!(
                "{TARGET}, validation: {{hostname: a.b, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca, namespace: x}}]}}"
            ),
            "the unknown key `namespace`",
        ),
        (
            format!(
                "{TARGET}, validation: {{hostname: a.b, {system}, subjectAltNames: [{{type: URI, hostname: a.b}}]}}"
            ),
            "no `uri`",
        ),
        (
            format!(
                "{TARGET}, validation: {{hostname: a.b, {system}, subjectAltNames: [{{type: URI, uri: a.b}}]}}"
            ),
            "with its scheme",
        ),
        (
            format!(
                "targetRefs: [{{group: '', kind: Service, name: a}}, {{group: '', kind: Service, name: a}}], validation: {{hostname: a.b, {system}}}"
            ),
            "the target a again",
        ),
        (
            format!("{TARGET}, insecure: true, validation: {{hostname: a.b, {system}}}"),
            "`insecure`",
        ),
    ] {
        let wrong = read_spec(&spec).err().unwrap_or_default();
        assert!(wrong.contains(expect), "{spec}: {wrong}");
    }
}
