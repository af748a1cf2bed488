//! Which sessions are resumed.

use rustls::HandshakeKind;

use super::*;

/// Two connections of one client to two sides, and whether the second one resumed the first.
async fn resumes(first: &EdgeTls, second: &EdgeTls, client: ClientConfig) -> bool {
    let client = Arc::new(client);
    meet_again(first, client.clone(), "shop.example").await.server.unwrap();
    let met = meet_again(second, client, "shop.example").await;
    met.server.as_ref().map(|_| ()).unwrap();
    met.connection().handshake_kind() == Some(HandshakeKind::Resumed)
}

#[tokio::test]
async fn a_session_counts_at_its_own_listener_and_only_where_nobody_is_verified() {
    let certificates = vec![ecdsa(&["shop.example"])];
    let side = |tickets: Option<&SessionTickets>, client| {
        let certificates = certificates.clone();
        let tickets = tickets.cloned();
        let options = EdgeTlsOptions { tickets, client, ..options(certificates) };
        EdgeTls::new(options).unwrap()
    };
    let authority = authority("partners").as_ref().pem();
    let authorities = ClientAuthorities::from_pem(authority.as_bytes(), None).unwrap();
    let optional = || ClientAuthentication::Optional(authorities.clone());
    let (ours, others) = (SessionTickets::new().unwrap(), SessionTickets::new().unwrap());
    let nobody = ClientAuthentication::default;
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let check = async |row: &str, first: EdgeTls, second: EdgeTls, expect: bool| {
            let client = client_of(Arc::new(default_provider()), versions);
            assert_eq!(resumes(&first, &second, client).await, expect, "{row}, {versions:?}");
        };
        let own = || side(Some(&ours), nobody());
        check("the same listener", own(), own(), true).await;
        check("another listener", own(), side(Some(&others), nobody()), false).await;
        check("none is kept", side(None, nobody()), side(None, nobody()), false).await;
        check("none is kept any more", own(), side(None, nobody()), false).await;
        let asks = || side(Some(&ours), optional());
        check("a certificate is asked for", asks(), asks(), false).await;
        check("a certificate is asked for now", own(), asks(), false).await;
    }
}

#[tokio::test]
async fn no_early_data_is_taken() {
    let tickets = Some(SessionTickets::new().unwrap());
    let options = EdgeTlsOptions { tickets, ..options(vec![ecdsa(&["shop.example"])]) };
    let tls = EdgeTls::new(options).unwrap();
    let mut client = client();
    client.enable_early_data = true;
    let client = Arc::new(client);
    meet_again(&tls, client.clone(), "shop.example").await.server.unwrap();
    let again = meet_again(&tls, client, "shop.example").await;
    assert!(!again.connection().is_early_data_accepted());
}
