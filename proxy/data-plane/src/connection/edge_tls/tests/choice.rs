//! Which of several certificates a client is shown.

use rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 as ECDSA_SUITE;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 as RSA_SUITE;

use super::*;

/// A client that verifies signatures of one kind alone.
fn verifies(kind: &'static str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let provider = Arc::new(default_provider());
    let mut config = client_of(provider.clone(), versions);
    config.dangerous().set_certificate_verifier(Arc::new(AnyServer { provider, kind }));
    config
}

#[tokio::test]
async fn a_certificate_is_chosen_by_name() {
    let certificates = vec![
        ecdsa(&["first.example"]),
        ecdsa(&["*.shop.example"]),
        ecdsa(&["cart.shop.example", "Other.example"]),
        ecdsa(&["*.deep.shop.example"]),
    ];
    let tls = EdgeTls::new(options(certificates.clone())).unwrap();
    let check = async |name: &str, expect: usize| {
        let met = meet(&tls, client(), name).await;
        assert_eq!(
            super::certificate::sha256(&met.shown()),
            *certificates[expect].sha256(),
            "{name}"
        );
    };
    check("first.example", 0).await;
    check("web.shop.example", 1).await;
    check("cart.shop.example", 2).await;
    check("other.example", 2).await;
    check("a.deep.shop.example", 3).await;
    check("deep.shop.example", 1).await;
    // A wildcard is one label, and at least one.
    check("a.b.shop.example", 0).await;
    check("shop.example", 0).await;
    check("unknown.example", 0).await;
    check("192.0.2.1", 0).await;
}

#[tokio::test]
async fn s14_a_name_in_every_spelling_is_shown_one_certificate() {
    let certificates = vec![ecdsa(&["first.example"]), ecdsa(&["cart.xn--bcher-kva.example"])];
    let tls = EdgeTls::new(options(certificates.clone())).unwrap();
    for name in [
        "cart.xn--bcher-kva.example",
        "CART.XN--BCHER-KVA.EXAMPLE",
        "cart.xn--bcher-kva.example.",
        "Cart.xn--bcher-kva.Example.",
    ] {
        let met = meet(&tls, client(), name).await;
        assert_eq!(met.shown(), certificates[1].certified().cert[0], "{name}");
    }
}

#[tokio::test]
async fn a_certificate_is_chosen_by_what_the_client_verifies() {
    let rsa = certificate("shop/rsa", &["shop.example"], &rcgen::PKCS_RSA_SHA256);
    let other_rsa = certificate("shop/other", &["other.example"], &rcgen::PKCS_RSA_SHA256);
    let ecdsa = ecdsa(&["shop.example"]);
    let ed25519 = certificate("shop/ed25519", &["ed.example"], &rcgen::PKCS_ED25519);
    let kinds = [&rsa, &ecdsa, &ed25519].map(|one| one.key_kind());
    assert_eq!(kinds, ["rsa", "ecdsa", "ed25519"]);
    let all = vec![other_rsa.clone(), rsa.clone(), ecdsa.clone(), ed25519.clone()];
    let tls = EdgeTls::new(options(all)).unwrap();
    let check = async |row: &str, client, name, expect: &Arc<ListenerCertificate>| {
        let met = meet(&tls, client, name).await;
        assert_eq!(met.shown(), expect.certified().cert[0], "{row}");
    };
    let both: &[_] = &[&TLS13, &TLS12];
    check("both: the cheaper one", client(), "shop.example", &ecdsa).await;
    check("RSA alone", verifies("RSA", both), "shop.example", &rsa).await;
    check("RSA alone, 1.2", verifies("RSA", &[&TLS12]), "shop.example", &rsa).await;
    check("ECDSA alone", verifies("ECDSA", both), "shop.example", &ecdsa).await;
    check("ECDSA alone, no such name", verifies("ECDSA", both), "ed.example", &ecdsa).await;
    check("Ed25519", client(), "ed.example", &ed25519).await;
    check("no Ed25519", verifies("RSA", both), "ed.example", &other_rsa).await;
    check("no name", client(), "192.0.2.1", &other_rsa).await;
    check("no name, ECDSA alone", verifies("ECDSA", both), "192.0.2.1", &ecdsa).await;
    // Clients of TLS 1.2 say by their suites, too, which keys they take.
    for (suite, expect) in [(RSA_SUITE, &rsa), (ECDSA_SUITE, &ecdsa)] {
        let provider = CryptoProvider { cipher_suites: vec![suite], ..default_provider() };
        let client = client_of(Arc::new(provider), &[&TLS12]);
        check(&format!("{suite:?}"), client, "shop.example", expect).await;
    }
}

#[tokio::test]
async fn a_client_that_verifies_none_is_refused() {
    let tls = EdgeTls::new(options(vec![ecdsa(&["shop.example"])])).unwrap();
    let met = meet(&tls, verifies("RSA", &[&TLS13, &TLS12]), "shop.example").await;
    assert_eq!(met.server.err().unwrap().label(), "protocol_error");
    assert!(met.client.is_err());
    assert!(matches!(EdgeTls::new(options(vec![])), Err(EdgeTlsError::NoCertificate)));
}
