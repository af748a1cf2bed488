//! Files of other PKIs' authorities, and what is said of a PEM text that is damaged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity::{RevocationLists, TrustBundle, TrustDomain, authorities, web_roots};
use rcgen::IsCa;
use rustls_pki_types::CertificateDer;

use crate::ca::{CART, Ca, ca_params, leaf_params};
use crate::weak_keys::weak_signer;

fn pem(der: &CertificateDer<'_>) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

#[test]
fn a_file_of_web_authorities_holds_nothing_else() {
    let ca = Ca::root("a web CA");
    let (good, key) = (pem(&ca.der), rcgen::KeyPair::generate().unwrap().serialize_pem());
    let with = |other: &CertificateDer<'_>| format!("{good}{}{good}", pem(other));
    let mut params = ca_params("a CA older than key usage");
    params.key_usages.clear();
    let older = with(&ca.sign(&params));
    params.is_ca = IsCa::NoCa;
    let no_constraints = with(&ca.sign(&params));
    let mut params = ca_params("a CA of lists");
    params.key_usages.retain(|usage| *usage == rcgen::KeyUsagePurpose::CrlSign);
    let lists = with(&ca.sign(&params));
    let cut = &good[..good.len() / 2];
    let check = |name: &str, text: &str, expect: Result<usize, &str>| {
        let found = authorities(text.as_bytes()).map(|found| found.len());
        let roots = web_roots(text.as_bytes()).map(|roots| roots.len());
        assert_eq!(found, roots, "{name}");
        match expect {
            Ok(count) => assert_eq!(roots, Ok(count), "{name}"),
            Err(words) => {
                let said = roots.expect_err(name).to_string();
                assert!(said.contains(words), "{name}: {said}");
            }
        }
    };
    check("a CA", &good, Ok(1));
    check("without key usage", &older, Ok(3));
    check("a key beside it", &format!("{key}{good}"), Ok(1));
    check("a workload's leaf", &with(&ca.sign(&leaf_params(&[CART]))), Err("certificate 1 "));
    check("no basic constraints", &no_constraints, Err("not a CA certificate"));
    check("no keyCertSign", &lists, Err("keyCertSign"));
    check("a ROCA key", &with(&weak_signer(&ca)), Err("ROCA"));
    check("no certificate in a block", &with(&CertificateDer::from(vec![0; 9])), Err("readable"));
    check("a damaged block", &format!("{good}{}", good.replace('M', "%")), Err("certificate 1 "));
    check("cut short", &format!("{good}{cut}"), Err("cut short"));
    check("empty", "", Err("no PEM certificate"));
    check("a key alone", &key, Err("no PEM certificate"));
}

#[test]
fn a_servers_own_certificate_is_believed_for_itself_and_is_no_authority() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["idp.example".to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap().pem();
    assert_eq!(web_roots(own.as_bytes()).map(|roots| roots.len()), Ok(1));
    assert!(authorities(own.as_bytes()).unwrap_err().to_string().contains("not a CA"));
}

#[test]
fn damaged_pem_is_told_in_words() {
    let good = pem(&Ca::root("a CA").der);
    let check = |name: &str, text: &str, words: &str| {
        let domain = TrustDomain::parse("cluster.local").unwrap();
        let bundle = TrustBundle::from_pem(domain, text.as_bytes()).unwrap_err().to_string();
        let list = text.replace("CERTIFICATE", "X509 CRL");
        let list = RevocationLists::from_pem(list.as_bytes()).map(drop).unwrap_err().to_string();
        for said in [bundle, list] {
            assert!(said.contains(words), "{name}: {said}");
            assert!(!said.contains('['), "{name}: no lists of numbers: {said}");
        }
    };
    check("cut short", &good[..good.len() / 2], "the text is cut short");
    check("a torn first line", &good.replacen("CERTIFICATE-----", "CERTIFICATE", 1), "-----BEGIN");
    check("no base64", &good.replace('M', "%"), "base64");
}
