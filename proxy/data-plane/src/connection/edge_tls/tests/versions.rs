//! Which versions, suites, key exchanges and protocols are agreed on.

use rustls::AlertDescription::{NoApplicationProtocol, ProtocolVersion as WrongVersion};
use rustls::{CipherSuite, NamedGroup};

use super::*;

#[tokio::test]
async fn tls_1_2_and_1_3_are_served() {
    let check = async |row: &str, minimum, versions: &[_], expect: Option<TlsVersion>| {
        let tls = EdgeTls::new(EdgeTlsOptions { minimum, ..options(vec![ecdsa(&["a.example"])]) });
        let client = client_of(Arc::new(default_provider()), versions);
        let met = meet(&tls.unwrap(), client, "a.example").await;
        assert_eq!(met.server.as_ref().ok().map(|connection| connection.version), expect, "{row}");
        assert_eq!(alert(&met), expect.is_none().then_some(WrongVersion), "{row}");
    };
    use TlsVersion::{Tls12, Tls13};
    check("both", Tls12, &[&TLS13, &TLS12], Some(Tls13)).await;
    check("1.3 alone", Tls12, &[&TLS13], Some(Tls13)).await;
    check("1.2 alone", Tls12, &[&TLS12], Some(Tls12)).await;
    check("both, to 1.3 alone", Tls13, &[&TLS13, &TLS12], Some(Tls13)).await;
    check("1.2 alone, to 1.3 alone", Tls13, &[&TLS12], None).await;
}

#[tokio::test]
async fn the_post_quantum_hybrid_is_agreed_on() {
    let tls = EdgeTls::new(options(vec![ecdsa(&["a.example"])])).unwrap();
    let check = async |row: &str, groups: &[&'static dyn SupportedKxGroup], expect| {
        let provider = CryptoProvider { kx_groups: groups.to_vec(), ..default_provider() };
        let met = meet(&tls, client_of(Arc::new(provider), &[&TLS13, &TLS12]), "a.example").await;
        let agreed = met.connection().negotiated_key_exchange_group().map(|group| group.name());
        assert_eq!(agreed, Some(expect), "{row}");
    };
    let [hybrid, x25519, p256, _] = KEY_EXCHANGES;
    check("all", &[hybrid, x25519, p256], NamedGroup::X25519MLKEM768).await;
    check("the client's order counts", &[p256, x25519, hybrid], NamedGroup::secp256r1).await;
    check("an older client", &[x25519, p256], NamedGroup::X25519).await;
    check("NIST alone", &[p256], NamedGroup::secp256r1).await;
}

/// The mesh's own side has none of it.
#[test]
fn suites_seal_and_agree_on_a_key_for_each_connection() {
    let suites = |provider: &CryptoProvider| -> Vec<CipherSuite> {
        provider.cipher_suites.iter().map(|suite| suite.suite()).collect()
    };
    let names = suites(&provider()).iter().map(|suite| format!("{suite:?}")).collect::<Vec<_>>();
    for name in &names {
        let agrees = name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_");
        let seals = name.contains("_GCM_") || name.contains("_CHACHA20_POLY1305_");
        assert!(agrees && seals, "{name}");
    }
    assert_eq!(names.len(), 9);
    let mesh = identity::tls::provider();
    assert!(mesh.cipher_suites.iter().all(|suite| suite.version().version == TLS13.version));
}

#[tokio::test]
async fn protocols_are_http_or_nothing() {
    let certificates = vec![ecdsa(&["a.example"])];
    let check = async |row: &str, protocols, offered: &[&str], expect: Result<Alpn, _>| {
        let tls = EdgeTls::new(EdgeTlsOptions { protocols, ..options(certificates.clone()) });
        let mut client = client();
        client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let met = meet(&tls.unwrap(), client, "a.example").await;
        let agreed = met.server.as_ref().map(|connection| connection.alpn);
        assert_eq!(agreed.map_err(|_| alert(&met)), expect.map_err(Some), "{row}");
    };
    use EdgeProtocols::{Http, Opaque};
    check("a browser", Http, &["h2", "http/1.1"], Ok(Alpn::H2)).await;
    check("our order", Http, &["http/1.1", "h2"], Ok(Alpn::H2)).await;
    check("HTTP/1.1 alone", Http, &["http/1.1"], Ok(Alpn::Http11)).await;
    check("none", Http, &[], Ok(Alpn::None)).await;
    check("another one too", Http, &["acme-tls/1", "http/1.1"], Ok(Alpn::Http11)).await;
    check("another one alone", Http, &["ftp"], Err(NoApplicationProtocol)).await;
    check("the mesh's", Http, &["postern/1"], Err(NoApplicationProtocol)).await;
    check("not read as HTTP", Opaque, &["imap"], Ok(Alpn::None)).await;
}
