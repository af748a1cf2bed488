//! Certificates of clients.

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};

use super::*;

struct Partner {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

/// A certificate of the authority, changed by `change`.
fn partner(
    authority: &CertifiedIssuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Partner {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "acme");
    params.subject_alt_names = vec![
        SanType::DnsName("api.acme.example".try_into().unwrap()),
        SanType::URI("urn:acme:api".try_into().unwrap()),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from(7));
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    Partner { chain: vec![certificate.der().clone()], key }
}

fn revoking(authority: &CertifiedIssuer<'static, KeyPair>, serial: u64) -> String {
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2036, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(authority).unwrap().pem().unwrap()
}

#[tokio::test]
async fn a_clients_certificate_is_demanded_or_makes_nobody_of_it() {
    let ours = authority("partners");
    let pem = ours.as_ref().pem();
    let list = revoking(&ours, 7);
    let authorities =
        |list: Option<&[u8]>| ClientAuthorities::from_pem(pem.as_bytes(), list).unwrap();
    let side = |client| {
        EdgeTls::new(EdgeTlsOptions { client, ..options(vec![ecdsa(&["shop.example"])]) }).unwrap()
    };
    let sides = |list: Option<&[u8]>| {
        let required = side(ClientAuthentication::Required(authorities(list)));
        (required, side(ClientAuthentication::Optional(authorities(list))))
    };
    let check = async |row: &str, partner: Option<Partner>, list: Option<&[u8]>, expect: bool| {
        let (required, optional) = sides(list);
        let config = match &partner {
            Some(partner) => client_with(partner.chain.clone(), &partner.key),
            None => client(),
        };
        let met = meet(&optional, config.clone(), "shop.example").await;
        let let_in = met.server.unwrap_or_else(|error| panic!("{row}: {error}"));
        assert_eq!(let_in.client.is_some(), expect, "{row}: optional");
        let met = meet(&required, config, "shop.example").await;
        assert_eq!(met.client.is_ok(), expect, "{row}: required");
        match met.server {
            Ok(connection) => assert!(expect && connection.client.is_some(), "{row}"),
            Err(error) => assert_eq!(error.label(), "bad_certificate", "{row}"),
        }
    };
    let same = |_: &mut CertificateParams| {};
    check("no certificate", None, None, false).await;
    check("a partner's", Some(partner(&ours, same)), None, true).await;
    check("revoked", Some(partner(&ours, same)), Some(list.as_bytes()), false).await;
    let other_number = |params: &mut CertificateParams| {
        params.serial_number = Some(SerialNumber::from(8));
    };
    check("another is revoked", Some(partner(&ours, other_number)), Some(list.as_bytes()), true)
        .await;
    check("another authority's", Some(partner(&authority("others"), same)), None, false).await;
    check("of that name", Some(partner(&authority("partners"), same)), None, false).await;
    let ended = |params: &mut CertificateParams| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    };
    check("expired", Some(partner(&ours, ended)), None, false).await;
    let later = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2039, 1, 1);
    };
    check("not valid yet", Some(partner(&ours, later)), None, false).await;
    let server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    check("a server's", Some(partner(&ours, server)), None, false).await;
    let two_ways = |params: &mut CertificateParams| {
        let name = "api.acme.example\0.evil.example".try_into().unwrap();
        params.subject_alt_names.push(SanType::DnsName(name));
    };
    check("a name with NUL", Some(partner(&ours, two_ways)), None, false).await;
    let long = {
        let mut long = partner(&ours, same);
        long.chain.extend(std::iter::repeat_n(ours.der().clone(), 8));
        long
    };
    check("nine certificates", Some(long), None, false).await;
}

#[tokio::test]
async fn what_a_clients_certificate_says() {
    let ours = authority("partners");
    let authorities = ClientAuthorities::from_pem(ours.as_ref().pem().as_bytes(), None).unwrap();
    let client = ClientAuthentication::Required(authorities);
    let tls = EdgeTls::new(EdgeTlsOptions { client, ..options(vec![ecdsa(&["shop.example"])]) });
    let partner = partner(&ours, |_| {});
    let config = client_with(partner.chain.clone(), &partner.key);
    let met = meet(&tls.unwrap(), config, "shop.example").await;
    let seen = met.server.unwrap().client.unwrap();
    assert_eq!(seen.read.dns_names, ["api.acme.example"]);
    assert_eq!(seen.read.uris, ["urn:acme:api"]);
    assert!(seen.read.subject.contains("CN=acme"), "{}", seen.read.subject);
    assert_eq!(seen.sha256, certificate::sha256(&partner.chain[0]));
    assert_eq!(seen.chain[..], partner.chain[..]);
}

/// A client certificate that nobody asked for is not sent, so it makes nobody of its client.
#[tokio::test]
async fn where_none_is_asked_for_every_client_is_nobody() {
    let partner = partner(&authority("partners"), |_| {});
    let tls = EdgeTls::new(options(vec![ecdsa(&["shop.example"])])).unwrap();
    let met = meet(&tls, client_with(partner.chain, &partner.key), "shop.example").await;
    assert!(met.server.unwrap().client.is_none());
}

#[test]
fn authorities_that_are_none_are_refused() {
    let ours = authority("partners");
    let pem = ours.as_ref().pem();
    let (leaf, _) = pems(&["shop.example"], &rcgen::PKCS_ECDSA_P256_SHA256);
    for (row, authorities, list, expect) in [
        ("nothing", "", None, false),
        ("no authority", &*leaf, None, false),
        ("half of one", &pem[..pem.len() / 2], None, false),
        ("one", &pem, None, true),
        ("with a list", &pem, Some(revoking(&ours, 1)), true),
        ("an empty list file", &pem, Some(String::new()), false),
        ("another thing for a list", &pem, Some(pem.clone()), false),
    ] {
        let list = list.as_ref().map(String::as_bytes);
        let taken = ClientAuthorities::from_pem(authorities.as_bytes(), list);
        assert_eq!(taken.is_ok(), expect, "{row}: {taken:?}");
    }
}
