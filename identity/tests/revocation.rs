//! Revocation lists: who is revoked, by whom, and what is no list at all.

use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{CrlError, RevocationLists, TrustBundle, TrustBundles, TrustDomain};
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose as Ku,
    RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;

use crate::ca::{CART, Ca, NOW, at, ca_params, leaf_params};

/// An intermediate of this name and serial number.
fn intermediate(root: &Ca, name: &str, serial: u64) -> Ca {
    let mut params = ca_params(name);
    params.serial_number = Some(SerialNumber::from(serial));
    root.intermediate(params)
}

fn leaf_of(ca: &Ca, serial: u64) -> CertificateDer<'static> {
    let mut params = leaf_params(&[CART]);
    params.serial_number = Some(SerialNumber::from(serial));
    ca.sign(&params)
}

fn crl(ca: &Ca, revoked: &[u64]) -> Vec<u8> {
    crl_until(ca, revoked, 2026)
}

fn crl_until(ca: &Ca, revoked: &[u64], year: i32) -> Vec<u8> {
    let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 5, 2),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 5, 2),
        next_update: date_time_ymd(year, 12, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&ca.issuer).unwrap().der().to_vec()
}

fn verify(
    root: &Ca,
    lists: &[Vec<u8>],
    leaf: &CertificateDer<'static>,
    intermediates: &[&Ca],
) -> Result<(), VerifyError> {
    let td = TrustDomain::parse("cluster.local").unwrap();
    let crls = RevocationLists::from_der(lists).unwrap();
    let bundle = TrustBundle::from_der(td, vec![root.der.clone()]).unwrap().with_crls(crls);
    let chain: Vec<_> = intermediates.iter().map(|ca| ca.der.clone()).collect();
    let now = at(NOW);
    verify_peer(&TrustBundles::new([bundle]), leaf, &chain, now, HandshakeSide::Client).map(drop)
}

#[test]
fn s28_revocation_of_leaf_and_intermediate() {
    let root = Ca::root("root");
    let middle = intermediate(&root, "middle", 7);
    // Another generation of the same name, as after the renewal of an intermediate.
    let twin = intermediate(&root, "middle", 8);
    let stranger = Ca::root("stranger");
    let leaf = leaf_of(&middle, 42);
    let check = |name: &str, lists: &[Vec<u8>], revoked: bool| {
        let seen = verify(&root, lists, &leaf, &[&middle]);
        let is_revoked = matches!(&seen, Err(VerifyError::Revoked { id }) if id.as_str() == CART);
        assert_eq!(is_revoked, revoked, "{name}: {seen:?}");
        assert_eq!(seen.is_ok(), !revoked, "{name}: {seen:?}");
    };
    check("no list", &[], false);
    check("a list without entries", &[crl(&middle, &[])], false);
    check("another serial", &[crl(&middle, &[41])], false);
    check("the leaf", &[crl(&middle, &[41, 42])], true);
    check("the intermediate", &[crl(&root, &[7])], true);
    check("the leaf's serial, said by the root", &[crl(&root, &[42])], false);
    check("said by a stranger", &[crl(&stranger, &[42])], false);
    check("said by another key of that name", &[crl(&twin, &[42])], false);
    check(
        "behind a list of another key of that name",
        &[crl(&twin, &[]), crl(&middle, &[42])],
        true,
    );
    check("a list past its time still holds", &[crl_until(&middle, &[42], 2025)], true);
    check("each issuer is asked", &[crl(&root, &[]), crl(&middle, &[42])], true);
    // What one trust domain says does not touch another's certificates.
    let direct = leaf_of(&root, 42);
    assert!(verify(&root, &[crl(&stranger, &[42])], &direct, &[]).is_ok());
    assert!(verify(&root, &[crl(&root, &[42])], &direct, &[]).is_err());
}

/// Neither another root of the same name nor a decoy that the peer sends along changes the verdict.
#[test]
fn s28_revocation_is_not_hidden_behind_other_certificates() {
    let (old, new) = (Ca::root("root"), Ca::root("root"));
    let (before, middle) = (intermediate(&old, "middle", 7), intermediate(&new, "middle", 8));
    let mut expired = ca_params("middle");
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let decoy = new.intermediate(expired);
    let leaf = leaf_of(&middle, 42);
    let now = at(NOW);
    let check = |name: &str, lists: &[Vec<u8>], revoked: bool| {
        let crls = RevocationLists::from_der(lists).unwrap();
        let td = TrustDomain::parse("cluster.local").unwrap();
        let roots = vec![old.der.clone(), new.der.clone()];
        let bundle = TrustBundle::from_der(td, roots).unwrap().with_crls(crls);
        let sent = [decoy.der.clone(), middle.der.clone()];
        let bundles = TrustBundles::new([bundle]);
        let seen = verify_peer(&bundles, &leaf, &sent, now, HandshakeSide::Client);
        assert_eq!(matches!(seen, Err(VerifyError::Revoked { .. })), revoked, "{name}: {seen:?}");
        assert_eq!(seen.is_ok(), !revoked, "{name}: {seen:?}");
    };
    check("a list of the other generation", &[crl(&before, &[42])], false);
    check("its own list, nothing on it", &[crl(&before, &[42]), crl(&middle, &[])], false);
    check("on its own list", &[crl(&before, &[]), crl(&middle, &[42])], true);
    check("the intermediate", &[crl(&old, &[8]), crl(&new, &[8])], true);
}

#[test]
fn s28_revocation_by_an_issuer_that_may_not_sign_lists() {
    let root = Ca::root("root");
    let key = KeyPair::generate().unwrap();
    let mut params = ca_params("middle");
    params.key_usages = vec![Ku::KeyCertSign];
    let der = params.signed_by(&key, &root.issuer).unwrap().der().clone();
    // The same name and key, as it would sign if it were allowed to.
    let middle = Ca { issuer: Issuer::new(ca_params("middle"), key), der };
    assert_eq!(verify(&root, &[crl(&middle, &[42])], &leaf_of(&middle, 42), &[&middle]), Ok(()));
}

#[test]
fn s28_revocation_unreadable_lists_are_refused_when_they_are_set() {
    let ca = Ca::root("root");
    let good = crl(&ca, &[1, 2]);
    let check = |name: &str, bytes: Vec<u8>, expect: bool| {
        let read = RevocationLists::from_der(&[good.clone(), bytes]);
        assert_eq!(read.is_ok(), expect, "{name}: {read:?}");
    };
    check("a good one", good.clone(), true);
    check("empty", vec![], false);
    check("garbage", vec![0xff; 300], false);
    check("a certificate", ca.der.to_vec(), false);
    check("cut short", good[..good.len() - 1].to_vec(), false);
    check("bytes after its end", [&good[..], b"\0"].concat(), false);
    check("a length that promises more", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], false);
    let reading = RevocationLists::from_der(&[vec![0; 1024 * 1024 + 1]]);
    assert_eq!(reading, Err(CrlError::TooLarge(0)));
    assert_eq!(RevocationLists::from_der(&vec![good.clone(); 65]), Err(CrlError::TooMany));
    // Each byte changed once: some are still lists, none may panic.
    for place in 0..good.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[place] ^= change;
            let _ = RevocationLists::from_der(&[bytes]);
        }
    }
}

#[test]
fn s28_revocation_pem_files() {
    let ca = Ca::root("root");
    let pem = |der: &[u8]| pem_block("X509 CRL", der);
    let two =
        [pem(&crl(&ca, &[1])), pem_block("CERTIFICATE", &ca.der), pem(&crl(&ca, &[2]))].concat();
    assert_eq!(RevocationLists::from_pem(two.as_bytes()).unwrap().len(), 2);
    assert_eq!(RevocationLists::from_pem(b""), Err(CrlError::Empty));
    assert_eq!(RevocationLists::from_pem(b"# nothing yet\n"), Err(CrlError::Empty));
    let cut = &two[..two.len() - 40];
    assert!(matches!(RevocationLists::from_pem(cut.as_bytes()), Err(CrlError::Pem(_))));
}

#[test]
fn s28_revocation_a_list_past_its_time_is_told() {
    let ca = Ca::root("root");
    let lists = RevocationLists::from_der(&[crl(&ca, &[]), crl_until(&ca, &[], 2025)]).unwrap();
    assert_eq!(lists.overdue(NOW), 1);
    assert_eq!(lists.overdue(0), 0);
}

fn pem_block(label: &str, der: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in der.chunks(3) {
        let bits = part.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - part.len()));
        for place in 0..4 {
            let letter = LETTERS[usize::try_from(bits >> (18 - 6 * place) & 63).unwrap()];
            text.push(if place <= part.len() { char::from(letter) } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
