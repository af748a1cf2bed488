//! What a verifier remembers for a second, and what it does not.

use std::sync::Arc;

use identity::verify::{ClientVerifier, ServerVerifier};
use identity::{SpiffeId, TrustBundle, TrustBundles, TrustDomain};
use rcgen::date_time_ymd;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::server::danger::ClientCertVerifier as _;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::ca::{CART, Ca, NOW, at, ca_params, leaf_params};

const PAY: &str = "spiffe://cluster.local/ns/shop/sa/pay";

fn bundles(root: &Ca) -> Arc<TrustBundles> {
    let domain = TrustDomain::parse("cluster.local").unwrap();
    let bundle = TrustBundle::from_der(domain, vec![root.der.clone()]).unwrap();
    Arc::new(TrustBundles::new([bundle]))
}

#[test]
fn a_chain_is_judged_anew_every_second() {
    let root = Ca::root("root");
    let mut params = leaf_params(&[CART]);
    (params.not_before, params.not_after) = (date_time_ymd(2026, 5, 1), date_time_ymd(2026, 6, 2));
    let leaf = root.sign(&params);
    let ends = NOW + 86_400;
    let mut short = ca_params("an intermediate that ends first");
    short.not_after = date_time_ymd(2026, 6, 2);
    let short = root.intermediate(short);
    let under_short = short.sign(&leaf_params(&[CART]));
    for (name, leaf, intermediates) in
        [("a leaf", leaf, vec![]), ("an intermediate", under_short, vec![short.der.clone()])]
    {
        let verifier = ClientVerifier::new(bundles(&root));
        let verify =
            |second| verifier.verify_client_cert(&leaf, &intermediates, at(second)).is_ok();
        for (second, expect) in
            [(NOW, true), (NOW, true), (ends, true), (ends, true), (ends + 1, false), (ends, true)]
        {
            assert_eq!(verify(second), expect, "{name}, {second}");
        }
    }
}

#[test]
fn only_the_same_chain_is_the_same() {
    let (root, other) = (Ca::root("root"), Ca::root("other"));
    let intermediate = root.intermediate(ca_params("intermediate"));
    let leaf = intermediate.sign(&leaf_params(&[CART]));
    let chain = [intermediate.der.clone()];
    let verifier = ClientVerifier::new(bundles(&root));
    let verify = |leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>]| {
        verifier.verify_client_cert(leaf, chain, at(NOW)).is_ok()
    };
    assert!(verify(&leaf, &chain));
    assert!(!verify(&leaf, &[]), "without its intermediate");
    assert!(!verify(&leaf, std::slice::from_ref(&other.der)), "with another");
    let mut forged = leaf.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for _ in 0..2 {
        assert!(!verify(&CertificateDer::from(forged.clone()), &chain), "a bit of its signature");
        assert!(!verify(&other.sign(&leaf_params(&[CART])), &[]), "of another root");
    }
    assert!(verify(&leaf, &chain));
    let elsewhere = ClientVerifier::new(bundles(&other));
    assert!(elsewhere.verify_client_cert(&leaf, &chain, at(NOW)).is_err(), "by other bundles");
}

#[test]
fn a_server_is_asked_for_its_identity_each_time() {
    let root = Ca::root("root");
    let (cart, pay) = (root.sign(&leaf_params(&[CART])), root.sign(&leaf_params(&[PAY])));
    let expected = Arc::new([SpiffeId::parse(PAY).unwrap()]);
    let verifier = ServerVerifier::new(bundles(&root), expected);
    let name = ServerName::try_from("pay").unwrap();
    for _ in 0..2 {
        let verify = |leaf| verifier.verify_server_cert(leaf, &[], &name, &[], at(NOW)).is_ok();
        assert!(verify(&pay) && !verify(&cart));
    }
}
