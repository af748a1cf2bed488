#![allow(clippy::unwrap_used)]

use rcgen::{
    CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};

use super::*;

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Shop, Inc.");
    params.distinguished_name.push(DnType::CommonName, "web");
    params
}

fn made(params: CertificateParams) -> CertificateDer<'static> {
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

#[test]
fn what_a_certificate_says() {
    let mut params = params();
    params.subject_alt_names = vec![
        SanType::DnsName("Shop.example".try_into().unwrap()),
        SanType::DnsName("*.shop.example".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
        SanType::URI("https://partner.example/".try_into().unwrap()),
        SanType::Rfc822Name("Ann@shop.example".try_into().unwrap()),
    ];
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let read = WebCertificate::read_server(&made(params)).unwrap();
    assert_eq!(read.dns_names, ["shop.example", "*.shop.example"]);
    let addresses: Vec<_> = read.ip_addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(read.uris, ["https://partner.example/"]);
    assert_eq!(read.emails, ["Ann@shop.example"]);
    assert_eq!(read.subject, "CN=web,O=Shop\\, Inc.");
    assert_eq!(read.not_after, 1_893_456_000);
}

#[test]
fn names_that_can_be_told_two_ways_are_refused() {
    for name in ["shop.example\0.evil.example", "shop example", "shop.example\n"] {
        let mut params = params();
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        let refused = WebCertificate::read(&made(params)).unwrap_err();
        assert!(matches!(refused, WebCertificateError::Malformed(_)), "{name:?}: {refused}");
    }
}

#[test]
fn what_no_server_may_show() {
    let check = |row: &str, usages: &[ExtendedKeyUsagePurpose], expect: bool| {
        let mut params = params();
        params.extended_key_usages = usages.to_vec();
        let read = WebCertificate::read_server(&made(params));
        assert_eq!(read.is_ok(), expect, "{row}: {read:?}");
    };
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    check("none", &[], true);
    check("a server's", &[ServerAuth], true);
    check("both", &[ClientAuth, ServerAuth], true);
    check("any", &[Any], true);
    check("a client's", &[ClientAuth], false);

    let garbage = CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x01]);
    assert!(matches!(
        WebCertificate::read_server(&garbage),
        Err(WebCertificateError::Malformed(_))
    ));
    let large = CertificateDer::from(vec![0x30; MAX_CERTIFICATE + 1]);
    assert_eq!(WebCertificate::read(&large), Err(WebCertificateError::TooLarge));
    let more = CertificateDer::from([&made(params())[..], b"x"].concat());
    assert!(matches!(WebCertificate::read(&more), Err(WebCertificateError::Malformed(_))));
}

/// Made with `openssl req -x509 -newkey rsa:1024`, and `openssl x509 -req -sha1`.
#[test]
fn s26_keys_and_signatures_that_others_can_break() {
    let small = CertificateDer::from(include_bytes!("rsa-1024.der").as_slice());
    assert_eq!(WebCertificate::read_server(&small), Err(WebCertificateError::RsaSize(1024)));
    let forged = CertificateDer::from(include_bytes!("sha-1.der").as_slice());
    let refused = WebCertificate::read_server(&forged).unwrap_err();
    assert_eq!(refused, WebCertificateError::WeakSignature("SHA-1"));
    assert_eq!(check_web_intermediate(&forged), Err(refused));
}

#[test]
fn an_intermediate_is_an_authority_too() {
    let mut params = params();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    assert_eq!(check_web_intermediate(issuer.der()), Ok(()));
}
