#![allow(clippy::unwrap_used)]

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};

use super::*;
use crate::labels::CertificateState::{Expired, Fresh};

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("shop.example".try_into().unwrap())];
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    params
}

fn pems() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (params().self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn parse(chain: &str, key: &str) -> Result<ListenerCertificate, CertificateError> {
    ListenerCertificate::parse("shop/shop-cert", chain.as_bytes(), key.as_bytes())
}

#[test]
fn a_certificate_and_its_key() {
    let (chain, key) = pems();
    let (other_chain, other_key) = pems();
    let text = "Bag Attributes\n    friendlyName: shop\n";
    let both = format!("{chain}{key}");
    let long = chain.repeat(9);
    for (row, chain, key, expect) in [
        ("they fit", &*chain, &*key, None),
        ("with text before it", &format!("{text}{chain}"), &key, None),
        ("in one file", &both, &both, None),
        ("Windows", &chain.replace('\n', "\r\n"), &key.replace('\n', "\r\n"), None),
        ("another's key", &chain, &other_key, Some("is not the key of the certificate")),
        (
            "another's certificate first",
            &format!("{other_chain}{chain}"),
            &key,
            Some("is not the key"),
        ),
        ("no certificate", "", &key, Some("no PEM certificate")),
        ("the key twice", &key, &key, Some("no PEM certificate")),
        ("half a certificate", &chain[..chain.len() / 2], &key, Some("cut short")),
        ("no base64", &chain.replace("MII", "M!I"), &key, Some("base64")),
        (
            "no X.509",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            Some("X.509"),
        ),
        ("nine certificates", &long, &key, Some("more than 8")),
        ("no key", &chain, "", Some("no private key")),
        ("the certificate twice", &chain, &chain, Some("no private key")),
        ("half a key", &chain, &key[..key.len() / 2], Some("no private key")),
        (
            "an encrypted key",
            &chain,
            &key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            Some("not encrypted"),
        ),
    ] {
        let parsed = parse(chain, key);
        let refused = parsed.as_ref().err().map(ToString::to_string);
        match expect {
            None => assert_eq!(refused, None, "{row}"),
            Some(words) => {
                let refused = refused.unwrap_or_default();
                assert!(refused.contains(words), "{row}: {refused}");
                assert!(refused.contains("shop/shop-cert"), "{row}: {refused}");
            }
        }
    }
}

#[test]
fn one_that_is_no_servers_is_refused_by_its_rule() {
    let key = KeyPair::generate().unwrap();
    let mut params = params();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let chain = params.self_signed(&key).unwrap().pem();
    let refused = parse(&chain, &key.serialize_pem()).unwrap_err().to_string();
    assert!(
        refused.contains("number 0 of its chain") && refused.contains("serverAuth"),
        "{refused}"
    );
}

#[test]
fn its_key_is_shown_nowhere() {
    let (chain, key) = pems();
    let shown = format!("{:?}", parse(&chain, &key).unwrap());
    assert!(shown.contains("shop/shop-cert") && shown.len() < 200, "{shown}");
}

#[test]
fn its_time_is_told_and_not_judged() {
    let (chain, key) = pems();
    let certificate = parse(&chain, &key).unwrap();
    let check = |now, state, valid| {
        assert_eq!((certificate.state(now), certificate.is_valid(now)), (state, valid), "{now}");
    };
    check(1_767_225_599, Fresh, false);
    check(1_770_000_000, Fresh, true);
    check(1_798_761_600, super::CertificateState::Stale, true);
    check(1_798_761_601, Expired, false);
}
