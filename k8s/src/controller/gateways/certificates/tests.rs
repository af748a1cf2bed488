#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use policy::core_group::SecretKind;
use policy::gateway::ObjectName;
use rcgen::{CertificateParams, KeyPair};
use zeroize::Zeroizing;

use super::*;

fn secret(certificate: Option<&str>, key: Option<&str>) -> Secret {
    let value = |text: &str| Arc::new(Zeroizing::new(text.as_bytes().to_vec()));
    Secret {
        id: ObjectName::new("shop", "cert"),
        kind: SecretKind::Tls,
        certificate: certificate.map(value),
        key: key.map(value),
        authorities: None,
        values: std::collections::BTreeMap::new(),
    }
}

#[test]
fn what_a_listener_can_show() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let (own, other) = (key.serialize_pem(), KeyPair::generate().unwrap().serialize_pem());
    let many = certificate.repeat(9);
    for (row, certificate, key, expect) in [
        ("a pair", Some(&*certificate), Some(&*own), None),
        ("no certificate", None, Some(&*own), Some("no tls.crt")),
        ("no key", Some(&*certificate), None, Some("no tls.key")),
        ("another's key", Some(&*certificate), Some(&*other), Some("key of another certificate")),
        ("no PEM", Some("Zm9v"), Some(&*own), Some("no PEM certificate")),
        ("a key in its place", Some(&*own), Some(&*own), Some("no PEM certificate")),
        ("no key at all", Some(&*certificate), Some(&*certificate), Some("tls.key: ")),
        ("a very long chain", Some(&*many), Some(&*own), Some("more than 8")),
    ] {
        let found = check(&secret(certificate, key)).err();
        match expect {
            None => assert_eq!(found, None, "{row}"),
            Some(part) => assert!(
                found.as_ref().is_some_and(|found| found.contains(part)),
                "{row}: {found:?}"
            ),
        }
    }
    assert!(check_authorities(b"nothing").is_err());
}
