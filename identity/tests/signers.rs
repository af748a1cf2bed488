//! Certificates that sign others: which may stand in a bundle, and which between a root and a leaf.

use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{
    BundleError, SignerError, SvidError, TrustBundle, TrustBundles, TrustDomain, X509Svid,
};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose as Ku, SanType,
    date_time_ymd,
};
use rustls_pki_types::CertificateDer;

use crate::ca::{CART, Ca, NOW, at, ca_params, leaf_params};

const ADMIN: &str = "spiffe://cluster.local/ns/shop/sa/admin";

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = ca_params("a signer");
    change(&mut params);
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn bundle(roots: &[&CertificateDer<'static>]) -> Result<TrustBundle, BundleError> {
    let domain = TrustDomain::parse("cluster.local").unwrap();
    TrustBundle::from_der(domain, roots.iter().map(|root| (*root).clone()).collect())
}

/// Every way in which a certificate that is to sign others is one, or is none, and what is said of it.
fn signers() -> Vec<(&'static str, CertificateParams, Option<&'static str>)> {
    vec![
        ("a CA", with(|_| ()), None),
        ("keyCertSign alone", with(|p| p.key_usages = vec![Ku::KeyCertSign]), None),
        (
            "digitalSignature beside it",
            with(|p| p.key_usages = vec![Ku::KeyCertSign, Ku::DigitalSignature]),
            None,
        ),
        (
            "its trust domain's id",
            with(|p| p.subject_alt_names = vec![uri("spiffe://cluster.local")]),
            None,
        ),
        (
            "the id of another trust domain",
            with(|p| p.subject_alt_names = vec![uri("spiffe://other.test")]),
            None,
        ),
        ("a web address", with(|p| p.subject_alt_names = vec![uri("https://ca.test/about")]), None),
        ("a workload's leaf", leaf_params(&[CART]), Some("not a CA certificate")),
        (
            "CA:FALSE with keyCertSign",
            with(|p| p.is_ca = IsCa::ExplicitNoCa),
            Some("not a CA certificate"),
        ),
        ("no basic constraints", with(|p| p.is_ca = IsCa::NoCa), Some("not a CA certificate")),
        (
            "only digitalSignature",
            with(|p| p.key_usages = vec![Ku::DigitalSignature]),
            Some("lacks keyCertSign"),
        ),
        ("only cRLSign", with(|p| p.key_usages = vec![Ku::CrlSign]), Some("lacks keyCertSign")),
        ("no key usage", with(|p| p.key_usages.clear()), Some("lacks keyCertSign")),
        ("a workload's id", with(|p| p.subject_alt_names = vec![uri(CART)]), Some("has no path")),
        (
            "a workload's id behind a name",
            with(|p| p.subject_alt_names = vec![uri("spiffe://cluster.local"), uri(CART)]),
            Some("has no path"),
        ),
        (
            "a workload's id in capitals",
            with(|p| p.subject_alt_names = vec![uri("SPIFFE://cluster.local/ns/shop/sa/cart")]),
            Some("has no path"),
        ),
    ]
}

#[test]
fn spiffe_x509_svid_3_2_only_a_signing_certificate_is_a_root() {
    let good = Ca::root("good");
    for (name, params, refused) in signers() {
        let root = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let seen = bundle(&[&good.der, root.der()]);
        let pem = format!("{}{}", pem(&good.der), root.pem());
        let domain = TrustDomain::parse("cluster.local").unwrap();
        assert_eq!(TrustBundle::from_pem(domain, pem.as_bytes()), seen, "{name}");
        let Some(words) = refused else {
            assert_eq!(seen.unwrap().roots().len(), 2, "{name}");
            continue;
        };
        let said = seen.unwrap_err().to_string();
        assert!(said.contains("certificate 1 ") && said.contains(words), "{name}: {said}");
        assert!(said.contains("bundle of cluster.local"), "{name}: {said}");
    }
    let said = bundle(&[&good.sign(&leaf_params(&[CART]))]).unwrap_err().to_string();
    assert!(said.contains(CART) && said.contains("take it out"), "whose it is: {said}");
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn a_certificate_without_extensions_is_no_root() {
    // Version 1, as `openssl x509 -req` without extensions makes them.
    let root = include_bytes!("version-1.der").to_vec();
    let refused = bundle(&[&CertificateDer::from(root)]).unwrap_err();
    let BundleError::Root { index: 0, reason: SignerError::NotCa(shown), .. } = refused else {
        panic!("{refused}")
    };
    assert!(shown.contains("version one"), "{shown}");
}

#[test]
fn spiffe_x509_svid_4_3_every_intermediate_may_sign() {
    let root = Ca::root("root");
    let trusted = TrustBundles::new([bundle(&[&root.der]).unwrap()]);
    for (name, params, refused) in signers() {
        let intermediate = root.intermediate(params);
        let leaf = intermediate.sign(&leaf_params(&[ADMIN]));
        let chain = [intermediate.der.clone()];
        let seen = verify_peer(&trusted, &leaf, &chain, at(NOW), HandshakeSide::Client);
        let svid = X509Svid::parse(vec![leaf, intermediate.der]);
        let Some(words) = refused else {
            assert_eq!(seen.unwrap().as_str(), ADMIN, "{name}");
            assert_eq!(svid.unwrap().id().as_str(), ADMIN, "{name}");
            continue;
        };
        assert!(matches!(seen, Err(VerifyError::Chain { .. })), "{name}: {seen:?}");
        // Where webpki refuses it first, it has words of its own.
        let said = seen.unwrap_err().to_string();
        assert!(said.contains(words) || words.contains("not a CA"), "{name}: {said}");
        let said = svid.unwrap_err();
        assert!(matches!(said, SvidError::Signer { index: 1, .. }), "{name}: {said}");
        assert!(said.to_string().contains(words), "{name}: {said}");
    }
}

#[test]
fn every_intermediate_of_a_long_path_is_asked_and_only_of_the_path_that_is_used() {
    let root = Ca::root("root");
    let trusted = TrustBundles::new([bundle(&[&root.der]).unwrap()]);
    let verify = |leaf: &CertificateDer<'static>, chain: &[&Ca]| {
        let chain: Vec<_> = chain.iter().map(|ca| ca.der.clone()).collect();
        verify_peer(&trusted, leaf, &chain, at(NOW), HandshakeSide::Server).map(drop)
    };
    let bad = root.intermediate(with(|p| p.key_usages = vec![Ku::CrlSign]));
    let below = bad.intermediate(ca_params("below"));
    let leaf = below.sign(&leaf_params(&[CART]));
    assert!(verify(&leaf, &[&below, &bad]).is_err(), "the upper of two may not sign");
    // What a peer sends besides is not its path.
    let good = root.intermediate(ca_params("good"));
    let leaf = good.sign(&leaf_params(&[CART]));
    assert_eq!(verify(&leaf, &[&bad, &good]), Ok(()));
    // Two certificates of one signer, the first of which may not sign.
    let key = KeyPair::generate().unwrap();
    let twin = |usages: &[Ku]| {
        let params = with(|p| p.key_usages = usages.to_vec());
        params.signed_by(&key, &root.issuer).unwrap().der().clone()
    };
    let (weak, strong) = (twin(&[Ku::CrlSign]), twin(&[Ku::KeyCertSign]));
    let issuer = rcgen::Issuer::new(ca_params("a signer"), &key);
    let leaf = leaf_params(&[CART]).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let seen = |chain: &[CertificateDer<'static>]| {
        verify_peer(&trusted, leaf.der(), chain, at(NOW), HandshakeSide::Client).is_ok()
    };
    assert!(seen(&[weak.clone(), strong]));
    assert!(!seen(&[weak]));
}

#[test]
fn a_root_counts_only_within_its_time() {
    let key = KeyPair::generate().unwrap();
    let root = |from, to| {
        let params = with(|p| {
            (p.not_before, p.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1))
        });
        params.self_signed(&key).unwrap().der().clone()
    };
    let (over, now, early) = (root(2020, 2026), root(2026, 2027), root(2027, 2028));
    let issuer = rcgen::Issuer::new(ca_params("a signer"), &key);
    let leaf = leaf_params(&[CART]).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let check = |name: &str, roots: &[&CertificateDer<'static>], refused: Option<&str>| {
        // Such a root refuses no bundle: it is on its way in, or forgotten.
        let trusted = TrustBundles::new([bundle(roots).unwrap()]);
        let seen = verify_peer(&trusted, leaf.der(), &[], at(NOW), HandshakeSide::Client);
        match refused {
            None => assert!(seen.is_ok(), "{name}: {seen:?}"),
            Some(words) => {
                let said = seen.unwrap_err().to_string();
                assert!(said.contains(words) && said.contains("a signer"), "{name}: {said}");
            }
        }
    };
    check("within its time", &[&now], None);
    check("expired", &[&over], Some("expired at 1767225600"));
    check("not yet valid", &[&early], Some("is not valid before 1798761600"));
    check("one of several that was issued anew", &[&over, &early, &now], None);
    check("none of several", &[&over, &early], Some("its root"));
}

#[test]
fn s26_chain_limits_of_a_signer() {
    let large = with(|p| {
        let name = vec![b'x'; 17 * 1024];
        p.custom_extensions =
            vec![rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55_555, 1], name)];
    });
    let large = large.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let refused = bundle(&[large.der()]).unwrap_err();
    assert!(
        matches!(refused, BundleError::Root { reason: SignerError::TooLarge, .. }),
        "{refused}"
    );
    let params = with(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert!(bundle(&[params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()]).is_ok());
    let longer = CertificateDer::from([&Ca::root("a").der[..], &[0]].concat());
    assert!(bundle(&[&longer]).is_err(), "bytes after its end");
}
