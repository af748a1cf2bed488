//! Certificates made for the purpose, good and bad, against the leaf rules and the bundles.

use std::sync::Arc;

use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{
    Leaf, SpiffeId, SvidError, SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid,
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose as Eku, IsCa, KeyPair, KeyUsagePurpose as Ku, SanType,
};
use rustls_pki_types::CertificateDer;

use crate::ca::{CART, Ca, NOW, at, ca_params, leaf_params};

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = leaf_params(&[CART]);
    change(&mut params);
    params
}

fn bundles(of: &[(&str, &Ca)]) -> TrustBundles {
    TrustBundles::new(of.iter().map(|(td, ca)| {
        TrustBundle::from_der(TrustDomain::parse(td).unwrap(), vec![ca.der.clone()]).unwrap()
    }))
}

/// A subjectAltName extension written by hand: `tag` and bytes of each general name.
fn raw_san(names: &[(u8, &[u8])]) -> CustomExtension {
    let mut body = Vec::new();
    for (tag, bytes) in names {
        body.extend(tlv(*tag, bytes));
    }
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], tlv(0x30, &body));
    extension.set_criticality(true);
    extension
}

fn tlv(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let mut out = vec![tag];
    match length {
        0..=127 => out.push(length.try_into().unwrap()),
        _ => {
            out.push(0x82);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    out.extend(bytes);
    out
}

fn read(params: &CertificateParams) -> Result<String, SvidError> {
    Leaf::read(&Ca::root("root").sign(params)).map(|leaf| leaf.id.to_string())
}

#[test]
fn s22_spiffe_leaf_rules() {
    let check = |name: &str, params: CertificateParams, expect: Result<&str, SvidError>| {
        assert_eq!(read(&params), expect.map(str::to_owned), "{name}");
    };
    check("plain", leaf_params(&[CART]), Ok(CART));
    check("empty subject", with(|p| p.distinguished_name = DistinguishedName::new()), Ok(CART));
    check(
        "two URIs, good first",
        leaf_params(&[CART, "https://x"]),
        Err(SvidError::ManyUriSans(2)),
    );
    check("two URIs, bad first", leaf_params(&["https://x", CART]), Err(SvidError::ManyUriSans(2)));
    check("the same URI twice", leaf_params(&[CART, CART]), Err(SvidError::ManyUriSans(2)));
    check("no path", leaf_params(&["spiffe://cluster.local"]), Err(SvidError::RootPath));
    check(
        "DNS only",
        with(|p| p.subject_alt_names = vec![dns("cart.shop")]),
        Err(SvidError::NoUriSan),
    );
    check("URI beside DNS", with(|p| p.subject_alt_names.push(dns("cart.shop"))), Ok(CART));
    check(
        "no SAN, URI in the common name",
        with(|p| {
            p.subject_alt_names.clear();
            p.distinguished_name.push(DnType::CommonName, CART);
        }),
        Err(SvidError::NoUriSan),
    );
    check("CA", with(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), Err(SvidError::Ca));
    check(
        "keyCertSign",
        with(|p| p.key_usages.push(Ku::KeyCertSign)),
        Err(SvidError::SigningKeyUsage),
    );
    check("cRLSign", with(|p| p.key_usages.push(Ku::CrlSign)), Err(SvidError::SigningKeyUsage));
    check("no key usage", with(|p| p.key_usages.clear()), Err(SvidError::KeyUsageMissing));
    check(
        "only keyEncipherment",
        with(|p| p.key_usages = vec![Ku::KeyEncipherment]),
        Err(SvidError::NoDigitalSignature),
    );
    check("no EKU", with(|p| p.extended_key_usages.clear()), Ok(CART));
    for only in [Eku::ServerAuth, Eku::ClientAuth] {
        check(
            "one EKU",
            with(|p| p.extended_key_usages = vec![only]),
            Err(SvidError::ExtendedKeyUsage),
        );
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn s23_san_parsing() {
    let san = |names: &[(u8, &[u8])]| {
        read(&with(|p| {
            p.subject_alt_names.clear();
            p.custom_extensions = vec![raw_san(names)];
        }))
    };
    const URI: u8 = 0x86;
    const DNS: u8 = 0x82;
    const EMAIL: u8 = 0x81;
    assert_eq!(san(&[(URI, CART.as_bytes())]).as_deref(), Ok(CART));
    for (name, text) in [
        ("NUL inside", &b"spiffe://cluster.local/ns/shop/sa/cart\0.evil"[..]),
        ("line feed", b"spiffe://td/a\nb"),
    ] {
        assert!(matches!(san(&[(URI, text)]), Err(SvidError::Id(_))), "{name}");
    }
    assert!(san(&[(URI, b"spiffe://td/\xff\xfe")]).is_err(), "not IA5");
    assert_eq!(san(&[(DNS, CART.as_bytes())]), Err(SvidError::NoUriSan), "as DNS");
    assert_eq!(san(&[(EMAIL, CART.as_bytes())]), Err(SvidError::NoUriSan), "as e-mail");
    let other = tlv(0x06, &[0x2a, 0x03])
        .into_iter()
        .chain(tlv(0xa0, &tlv(0x0c, CART.as_bytes())))
        .collect::<Vec<_>>();
    assert_eq!(san(&[(0xa0, &other)]), Err(SvidError::NoUriSan), "as otherName");
    let many: Vec<(u8, &[u8])> =
        std::iter::repeat_n((DNS, &b"a.b"[..]), 1000).chain([(URI, CART.as_bytes())]).collect();
    assert_eq!(san(&many).as_deref(), Ok(CART), "1,000 names, one of them a URI");
    assert_eq!(san(&[(URI, &[b'a'; 60_000])]), Err(SvidError::TooLarge));
    assert_eq!(san(&[(URI, &[b'a'; 65_500])]), Err(SvidError::TooLarge), "64 KB");
    let as_directory_name = tlv(0x30, &tlv(0x31, &tlv(0x30, &common_name(CART))));
    assert_eq!(san(&[(0xa4, &as_directory_name)]), Err(SvidError::NoUriSan), "as directoryName");
    assert_eq!(
        san(&[(0xa0, &other), (DNS, CART.as_bytes()), (URI, b"spiffe://td/b")]).as_deref(),
        Ok("spiffe://td/b"),
        "only the URI counts"
    );
    assert_eq!(san(&[(URI, CART.as_bytes()), (URI, b"")]), Err(SvidError::ManyUriSans(2)));
    assert_eq!(san(&[]), Err(SvidError::NoUriSan), "an empty list of names");
}

/// The inside of an AttributeTypeAndValue: commonName, UTF8String.
fn common_name(text: &str) -> Vec<u8> {
    [tlv(0x06, &[0x55, 0x04, 0x03]), tlv(0x0c, text.as_bytes())].concat()
}

#[test]
fn s24_trust_domain_confusion() {
    let (ours, theirs) = (Ca::root("ours"), Ca::root("theirs"));
    let both = bundles(&[("cluster.local", &ours), ("partner", &theirs)]);
    let check = |bundles: &TrustBundles, ca: &Ca, id: &str| {
        verify_peer(bundles, &ca.sign(&leaf_params(&[id])), &[], at(NOW), HandshakeSide::Client)
            .map(|id| id.to_string())
    };
    assert_eq!(check(&both, &ours, CART).as_deref(), Ok(CART));
    assert_eq!(check(&both, &theirs, "spiffe://partner/x").as_deref(), Ok("spiffe://partner/x"));
    // The root of one domain never vouches for the other.
    assert!(matches!(check(&both, &theirs, CART), Err(VerifyError::Chain { .. })));
    assert!(matches!(check(&both, &ours, "spiffe://partner/x"), Err(VerifyError::Chain { .. })));
    // A domain without a bundle is nobody's, and taking one away leaves the other alone.
    let alone = bundles(&[("cluster.local", &ours)]);
    assert_eq!(check(&alone, &ours, CART).as_deref(), Ok(CART));
    assert_eq!(
        check(&alone, &theirs, "spiffe://partner/x"),
        Err(VerifyError::UnknownTrustDomain("partner".into()))
    );
    // An empty bundle distrusts the whole domain (Trust Domain and Bundle §4.1.3).
    let td = TrustDomain::parse("cluster.local").unwrap();
    let empty = TrustBundles::new([TrustBundle::from_der(td, vec![]).unwrap()]);
    assert!(matches!(check(&empty, &ours, CART), Err(VerifyError::Chain { .. })));
    // One root for two domains speaks for both; taking it from one leaves the other.
    let shared = bundles(&[("cluster.local", &ours), ("partner", &ours)]);
    assert!(check(&shared, &ours, CART).is_ok());
    assert!(check(&shared, &ours, "spiffe://partner/x").is_ok());
    assert!(check(&alone, &ours, CART).is_ok());
    assert!(check(&alone, &ours, "spiffe://partner/x").is_err());
    for spelling in ["SPIFFE://cluster.local/a", "spiffe://Cluster.local/a"] {
        assert!(matches!(check(&both, &ours, spelling), Err(VerifyError::Svid(SvidError::Id(_)))));
    }
}

#[test]
fn f05_times_are_judged_by_the_clock_handed_in() {
    let ca = Ca::root("root");
    let trusted = bundles(&[("cluster.local", &ca)]);
    let leaf = ca.sign(&leaf_params(&[CART]));
    let seen = |seconds| verify_peer(&trusted, &leaf, &[], at(seconds), HandshakeSide::Server);
    let (from, to) = (1_777_593_600, 1_782_864_000);
    assert!(seen(from).is_ok());
    assert!(seen(to).is_ok());
    let words = |seconds| seen(seconds).unwrap_err().to_string();
    assert!(words(to + 1).contains("expired at 1782864000"), "{}", words(to + 1));
    assert!(words(from - 1).contains("is not valid before 1777593600"), "{}", words(from - 1));
}

#[test]
fn s25_name_constraints_are_not_relied_on() {
    let root = Ca::root("root");
    let trusted = bundles(&[("cluster.local", &root)]);
    let check = |params: CertificateParams| {
        let intermediate = root.intermediate(params);
        verify_peer(
            &trusted,
            &intermediate.sign(&leaf_params(&[CART])),
            &[intermediate.der],
            at(NOW),
            HandshakeSide::Client,
        )
    };
    assert!(check(ca_params("plain")).is_ok());
    let mut constrained = ca_params("constrained");
    // NameConstraints { permittedSubtrees [0] { { uniformResourceIdentifier "cluster.local" } } }
    let permitted = tlv(0xa0, &tlv(0x30, &tlv(0x86, b"cluster.local")));
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], tlv(0x30, &permitted));
    extension.set_criticality(true);
    constrained.custom_extensions = vec![extension];
    assert!(matches!(check(constrained), Err(VerifyError::Chain { .. })));
    // The chains of the advisories: constraints that forbid the name, by kind, and one that cannot be
    // read. None may let in what a chain without them would not; those on other kinds of names say
    // nothing of ours, which the trust domain's own roots do.
    for (name, kind, base, accepted) in [
        ("a DNS subtree", 0x82, &b"cluster.local"[..], true),
        ("every IPv4 address", 0x87, &[0; 8][..], true),
        ("an IP address of three bytes", 0x87, &[0; 3][..], true),
        ("every URI", 0x86, b"", false),
        ("a URI with an IPv6 zone", 0x86, b"[fe80::1%25eth0]", false),
    ] {
        for subtrees in [0xa0, 0xa1] {
            let mut params = ca_params("constrained");
            let body = tlv(subtrees, &tlv(0x30, &tlv(kind, base)));
            let mut extension =
                CustomExtension::from_oid_content(&[2, 5, 29, 30], tlv(0x30, &body));
            extension.set_criticality(true);
            params.custom_extensions = vec![extension];
            let seen = check(params);
            assert_eq!(seen.is_ok(), accepted, "{name}, {subtrees:#x}: {seen:?}");
        }
    }
}

#[test]
fn s26_chain_limits() {
    let root = Ca::root("root");
    let trusted = bundles(&[("cluster.local", &root)]);
    let leaf = root.sign(&leaf_params(&[CART]));
    let filler = vec![root.der.clone(); 8];
    let seen = verify_peer(&trusted, &leaf, &filler, at(NOW), HandshakeSide::Client);
    assert_eq!(seen, Err(VerifyError::Svid(SvidError::TooLarge)));
    assert!(matches!(X509Svid::parse(vec![leaf; 9]), Err(SvidError::TooLarge)));
    assert!(matches!(X509Svid::parse(vec![]), Err(SvidError::EmptyChain)));
    assert!(Leaf::read(&CertificateDer::from(vec![0x30, 0x82])).is_err());
}

/// What a thread has used of the processor so far.
fn cpu() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let used = text.split(' ').next().unwrap().parse().unwrap();
    std::time::Duration::from_nanos(used)
}

#[test]
fn s26_chain_cpu_limits_of_pathological_chains() {
    let root = Ca::root("same name");
    let trusted = bundles(&[("cluster.local", &root)]);
    // Seven issuers of one name, none of which signed another as it claims: every order is a path to try.
    let twins: Vec<Ca> = (0..7).map(|_| Ca::root("same name")).collect();
    let all: Vec<_> = twins.iter().map(|ca| ca.der.clone()).collect();
    // A real one as deep as is taken.
    let mut line = vec![root.intermediate(ca_params("step 0"))];
    for step in 1..7 {
        let next = line[step - 1].intermediate(ca_params(&format!("step {step}")));
        line.push(next);
    }
    let deep: Vec<_> = line.iter().rev().map(|ca| ca.der.clone()).collect();
    let check = |name: &str, leaf: CertificateDer<'static>, chain: &[CertificateDer<'static>]| {
        let before = cpu();
        let seen = verify_peer(&trusted, &leaf, chain, at(NOW), HandshakeSide::Client);
        let took = cpu() - before;
        assert!(took < std::time::Duration::from_millis(50), "{name}: {took:?}, {seen:?}");
        seen
    };
    let leaf = twins[0].sign(&leaf_params(&[CART]));
    assert!(check("seven of one name", leaf, &all).is_err());
    let leaf = Ca::root("same name").sign(&leaf_params(&[CART]));
    assert!(check("none of seven signed it", leaf, &all).is_err());
    let leaf = line[6].sign(&leaf_params(&[CART]));
    // webpki takes six signers at most; that is its word, and enough.
    check("eight deep", leaf, &deep).ok();
    let many = with(|p| {
        p.subject_alt_names.clear();
        let names: Vec<(u8, &[u8])> = std::iter::repeat_n((0x82, &b"a.b"[..]), 2000)
            .chain([(0x86, CART.as_bytes())])
            .collect();
        p.custom_extensions = vec![raw_san(&names)];
    });
    assert!(check("two thousand names", root.sign(&many), &[]).is_ok());
}

/// A public key that nobody holds the private half of.
pub(crate) struct Rsa(Vec<u8>);

impl Rsa {
    /// RSAPublicKey { modulus of this many bits, 65537 } (RFC 8017 §A.1.1).
    fn of_bits(bits: usize) -> Self {
        Self::of(&vec![0xff; bits / 8])
    }

    /// RSAPublicKey { this modulus, 65537 }; its first bit is set.
    pub(crate) fn of(modulus: &[u8]) -> Self {
        let modulus = [&[0], modulus].concat();
        Self(tlv(0x30, &[tlv(0x02, &modulus), tlv(0x02, &[1, 0, 1])].concat()))
    }
}

impl rcgen::PublicKeyData for Rsa {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

#[test]
fn s26_chain_cpu_limits_of_huge_rsa_keys() {
    let root = Ca::root("root");
    let trusted = bundles(&[("cluster.local", &root)]);
    let check = |bits| {
        let params = leaf_params(&[CART]);
        let leaf = params.signed_by(&Rsa::of_bits(bits), &root.issuer).unwrap().der().clone();
        let before = cpu();
        let seen = verify_peer(&trusted, &leaf, &[], at(NOW), HandshakeSide::Client);
        assert!(cpu() - before < std::time::Duration::from_millis(50), "{bits}");
        seen
    };
    assert!(check(4096).is_ok());
    assert!(check(8192).is_ok());
    assert_eq!(check(16_384), Err(VerifyError::Svid(SvidError::KeyTooLarge(16_384))));
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let ca = Ca::root("root");
    let svid = X509Svid::parse(vec![ca.sign(&leaf_params(&[CART]))]).unwrap();
    let key = SvidKey::from_pkcs8_der(KeyPair::generate().unwrap().serialize_der()).unwrap();
    let trusted = Arc::new(bundles(&[("cluster.local", &ca)]));
    let refused = identity::tls::server_config(&svid, &key, trusted, &[]).unwrap_err();
    assert!(
        refused.to_string().starts_with(&format!("the certificate of {CART} cannot be used")),
        "{refused}"
    );
    assert_eq!(format!("{key:?}"), "SvidKey(…)");
    assert!(SvidKey::from_pem(b"no key here").is_err());
    assert!(SvidKey::from_pkcs8_der(vec![1, 2, 3]).is_err());
}

#[test]
fn p17_tls13_only_and_no_resumption() {
    let ca = Ca::root("root");
    let key = KeyPair::generate().unwrap();
    let leaf = leaf_params(&[CART]).signed_by(&key, &ca.issuer).unwrap().der().clone();
    let svid = X509Svid::parse(vec![leaf]).unwrap();
    let key = SvidKey::from_pkcs8_der(key.serialize_der()).unwrap();
    let trusted = Arc::new(bundles(&[("cluster.local", &ca)]));
    let server =
        identity::tls::server_config(&svid, &key, trusted.clone(), &[identity::tls::ALPN_H2])
            .unwrap();
    assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
    assert!(!server.session_storage.can_cache());
    let expected = Arc::from([SpiffeId::parse(CART).unwrap()]);
    let client = identity::tls::client_config(&svid, &key, trusted, expected, &[]).unwrap();
    assert!(!client.enable_early_data);
    let provider = identity::tls::provider();
    assert_eq!(provider.kx_groups[0].name(), rustls::NamedGroup::X25519MLKEM768);
    assert!(
        provider
            .cipher_suites
            .iter()
            .all(|s| s.version().version == rustls::ProtocolVersion::TLSv1_3)
    );
}
