#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::UnixTime;

use crate::control::config::Config;
use crate::control::credentials::files::*;

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

struct IssuedFiles {
    certificate: String,
    key: String,
    bundle: String,
    crl: String,
    /// Of an earlier day.
    old_crl: String,
}

fn made() -> IssuedFiles {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(CART.try_into().unwrap())];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.is_ca = IsCa::ExplicitNoCa;
    let key = KeyPair::generate().unwrap();
    let list = |year: i32| CertificateRevocationListParams {
        this_update: date_time_ymd(year, 1, 1),
        next_update: date_time_ymd(2036, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = |year| list(year).signed_by(&root).unwrap().pem().unwrap();
    IssuedFiles {
        certificate: leaf.signed_by(&key, &root).unwrap().pem(),
        key: key.serialize_pem(),
        bundle: root.as_ref().pem(),
        crl: list(2026),
        old_crl: list(2025),
    }
}

fn files(crl: Option<&str>, federated: &[&str]) -> IdentityFiles {
    IdentityFiles {
        jwt_bundle: None,
        certificate: "tls.crt".into(),
        key: "tls.key".into(),
        bundle: "ca.crt".into(),
        crl: crl.map(PathBuf::from),
        federated: federated
            .iter()
            .map(|name| (TrustDomain::parse(name).unwrap(), PathBuf::from("partner.pem")))
            .collect(),
    }
}

fn content(text: &str) -> FileContent {
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

fn held(files: &IdentityFiles, contents: &[FileContent]) -> Credentials {
    let OfferedCredentials { svid, key, bundles, .. } = parse(files, contents, None).unwrap();
    Credentials::new(1, svid, key, bundles, UnixTime::now()).unwrap()
}

#[test]
fn f38_pem_files_as_people_and_programs_write_them() {
    let made = made();
    let directory = tempfile::tempdir().unwrap();
    let check = |name: &str, change: &dyn Fn(&str) -> String, expect: Result<(), &str>| {
        let texts = [&made.certificate, &made.key, &made.bundle].map(|text| change(text));
        let contents: Vec<FileContent> = texts
            .iter()
            .enumerate()
            .map(|(place, text)| {
                let path = directory.path().join(place.to_string());
                fs::write(&path, text).unwrap();
                read(&path)
            })
            .collect();
        let seen = parse(&files(None, &[]), &contents, None).map(drop);
        match expect {
            Ok(()) => assert!(seen.is_ok(), "{name}: {seen:?}"),
            Err(words) => {
                let said = format!("{:#}", seen.expect_err(name));
                assert!(said.contains(words), "{name}: {said}");
            }
        }
    };
    let other = made.crl.clone();
    check("as it is", &|text| text.to_owned(), Ok(()));
    check("trailing newlines", &|text| format!("{text}\n\n"), Ok(()));
    check("no newline at the end", &|text| text.trim_end().to_owned(), Ok(()));
    check("CRLF", &|text| text.replace('\n', "\r\n"), Ok(()));
    check("a byte order mark", &|text| format!("\u{feff}{text}"), Ok(()));
    check("words before and after", &|text| format!("subject: cart\n{text}done\n"), Ok(()));
    check("blocks of another kind", &|text| format!("{other}{text}{other}"), Ok(()));
    check("empty", &|_| String::new(), Err("tls.crt: the certificate chain is empty"));
    check("cut short", &|text| text[..text.len() / 2].to_owned(), Err("tls.crt"));
    check("letters of no base64", &|text| text.replace('M', "%"), Err("tls.crt"));
}

#[test]
fn f38_every_kind_of_private_key_that_issuers_write() {
    let check = |name: &str, arguments: &[&str], kind: &str, expect: bool| {
        let output = std::process::Command::new("openssl").args(arguments).output();
        let text = String::from_utf8(output.expect("openssl is installed").stdout).unwrap();
        assert!(text.contains(kind), "{name}: {text}");
        assert_eq!(SvidKey::from_pem(text.as_bytes()).is_ok(), expect, "{name}");
    };
    let curve = |name| ["ecparam", "-genkey", "-name", name];
    check("P-256, SEC 1", &curve("prime256v1"), "BEGIN EC PRIVATE KEY", true);
    check("P-384, SEC 1", &curve("secp384r1"), "BEGIN EC PRIVATE KEY", true);
    check("P-224", &curve("secp224r1"), "BEGIN EC PRIVATE KEY", false);
    let rsa = ["genrsa", "-traditional", "2048"];
    check("RSA, PKCS#1", &rsa, "BEGIN RSA PRIVATE KEY", true);
    let pkcs8 = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    check("P-256, PKCS#8", &pkcs8, "BEGIN PRIVATE KEY", true);
    let encrypted = [&pkcs8[..], &["-aes256", "-pass", "pass:x"]].concat();
    check("encrypted", &encrypted, "BEGIN ENCRYPTED PRIVATE KEY", false);
}

#[test]
fn f11_data_symlink_swap_of_a_mounted_secret() {
    let made = made();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let write = |version: &str, made: &IssuedFiles| {
        fs::create_dir(root.join(version)).unwrap();
        let texts =
            [("tls.crt", &made.certificate), ("tls.key", &made.key), ("ca.crt", &made.bundle)];
        for (name, text) in texts {
            fs::write(root.join(version).join(name), text).unwrap();
            let _ = symlink(format!("..data/{name}"), root.join(name));
        }
        symlink(version, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    let look = || -> Vec<FileContent> {
        ["tls.crt", "tls.key", "ca.crt"].iter().map(|name| read(&root.join(name))).collect()
    };
    write("..1", &made);
    let first = look();
    let before = parse(&files(None, &[]), &first, None).unwrap();
    write("..2", &self::made());
    let second = look();
    assert!(first != second, "the swap is seen by a look alone");
    let after = parse(&files(None, &[]), &second, None).unwrap();
    assert_ne!(before.svid.serial_hex(), after.svid.serial_hex());
}

#[test]
fn f09_bundle_unreadable_is_kept_and_explicitly_empty_distrusts() {
    let made = made();
    let partner = TrustDomain::parse("partner.example").unwrap();
    let whole = [&made.certificate, &made.key, &made.bundle, &made.bundle].map(|t| content(t));
    let held = held(&files(None, &["partner.example"]), &whole);
    let roots = |text: FileContent, held: Option<&Credentials>| {
        let mut contents =
            [&made.certificate, &made.key, &made.bundle].map(|t| content(t)).to_vec();
        contents.push(text);
        let offered = parse(&files(None, &["partner.example"]), &contents, held).unwrap();
        let roots = offered.bundles.get(&partner).map(|bundle| bundle.roots().len());
        (roots, offered.kept.len())
    };
    assert_eq!(roots(content(&made.bundle), None), (Some(1), 0), "readable");
    assert_eq!(roots(content("# nobody\n"), Some(&held)), (Some(0), 0), "explicitly empty");
    for (name, text) in [
        ("torn", content("")),
        ("garbage", content("garbage")),
        ("missing", Err("partner.pem: not found".to_owned())),
    ] {
        assert_eq!(roots(text.clone(), Some(&held)), (Some(1), 1), "{name}: kept");
        assert_eq!(roots(text, None), (None, 1), "{name}, and none held: nobody is trusted");
    }
    // The own roots are never emptied.
    let contents = [content(&made.certificate), content(&made.key), content("# nobody\n")];
    let offered = parse(&files(None, &[]), &contents, Some(&held)).unwrap();
    assert!(offered.refused.is_some(), "kept");
    assert!(parse(&files(None, &[]), &contents, None).is_err(), "none held");
}

#[test]
fn a_workloads_certificate_in_a_bundle_refuses_the_bundle_by_name() {
    let made = made();
    let partner = TrustDomain::parse("partner.example").unwrap();
    let text = format!("{}{}", made.bundle, made.certificate);
    let own = [&made.certificate, &made.key, &text].map(|text| content(text));
    let said = format!("{:#}", parse(&files(None, &[]), &own, None).map(drop).unwrap_err());
    assert!(said.contains("ca.crt: certificate 1 ") && said.contains(CART), "{said}");
    assert!(said.contains("not a CA certificate"), "{said}");
    // The roots of another trust domain: the last good ones stay, the rest is taken.
    let whole = [&made.certificate, &made.key, &made.bundle, &made.bundle].map(|t| content(t));
    let held = held(&files(None, &["partner.example"]), &whole);
    let mut contents = [&made.certificate, &made.key, &made.bundle].map(|t| content(t)).to_vec();
    contents.push(content(&text));
    let offered = parse(&files(None, &["partner.example"]), &contents, Some(&held)).unwrap();
    assert_eq!(offered.bundles.get(&partner).map(|bundle| bundle.roots().len()), Some(1));
    let [kept] = offered.kept.as_slice() else { panic!("{:?}", offered.kept) };
    assert!(kept.error.contains("partner.pem") && kept.error.contains(CART), "{}", kept.error);
}

#[test]
fn s28_revocation_lists_in_a_file() {
    let made = made();
    let own = TrustDomain::parse("cluster.local").unwrap();
    let read = |text: FileContent, held: Option<&Credentials>| {
        let mut contents =
            [&made.certificate, &made.key, &made.bundle].map(|t| content(t)).to_vec();
        contents.push(text);
        parse(&files(Some("crl.pem"), &[]), &contents, held).map(|offered| {
            let lists = offered.bundles.get(&own).map_or(0, |bundle| bundle.crls().len());
            (lists, offered.kept.len())
        })
    };
    let whole = [&made.certificate, &made.key, &made.bundle, &made.crl].map(|t| content(t));
    let held = held(&files(Some("crl.pem"), &[]), &whole);
    assert_eq!(read(content(&made.crl), None).unwrap(), (1, 0));
    for text in [content(""), content("garbage"), Err("crl.pem: not found".to_owned())] {
        assert_eq!(read(text.clone(), Some(&held)).unwrap(), (1, 1), "kept");
        assert!(read(text, None).is_err(), "at the start there is none to keep");
    }
}

/// Revocations and the roots of other trust domains apply even while our own part is invalid.
#[test]
fn lists_and_foreign_roots_are_taken_while_our_own_part_is_refused() {
    let (made, other) = (self::made(), self::made());
    let [own, partner] =
        ["cluster.local", "partner.example"].map(|name| TrustDomain::parse(name).unwrap());
    let files = files(Some("crl.pem"), &["partner.example"]);
    let leaf_among_roots = format!("{}{}", made.bundle, made.certificate);
    for (name, certificate, key, bundle) in [
        (
            "a workload's certificate among the roots",
            &made.certificate,
            &made.key,
            &leaf_among_roots,
        ),
        ("torn roots", &made.certificate, &made.key, &made.bundle[..99].to_owned()),
        ("no roots", &made.certificate, &made.key, &String::new()),
        ("a torn certificate", &made.certificate[..99].to_owned(), &made.key, &made.bundle),
        ("a torn key", &made.certificate, &made.key[..99].to_owned(), &made.bundle),
        ("another's key", &made.certificate, &other.key, &made.bundle),
        ("another authority's certificate", &other.certificate, &other.key, &made.bundle),
    ] {
        let text = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///s}\n";
        let state =
            ProxyState::new(Config::parse("p", text.as_bytes()).unwrap().traffic_settings(), 1)
                .unwrap();
        let whole = [&made.certificate, &made.key, &made.bundle, &made.old_crl, &made.bundle];
        take(&state, &files, &whole.map(|text| content(text)), false).unwrap();
        assert_eq!(state.metrics.trust_stale.get(), 0, "{name}");
        let now = [certificate, key, bundle, &made.crl, &other.bundle].map(|text| content(text));
        assert!(take(&state, &files, &now, false).is_err(), "{name}");
        let held = state.credentials().unwrap();
        let lists = |domain| held.bundles().get(domain).unwrap().crls().clone();
        let expect = RevocationLists::from_pem(made.crl.as_bytes()).unwrap();
        assert!(lists(&own) == expect && lists(&partner) == expect, "{name}");
        let foreign = TrustBundle::from_pem(partner.clone(), other.bundle.as_bytes()).unwrap();
        assert_eq!(held.bundles().get(&partner).unwrap().roots(), foreign.roots(), "{name}");
        let ours = parse(&files, &whole.map(|text| content(text)), None).unwrap();
        assert_eq!(held.svid().chain(), ours.svid.chain(), "{name}");
        assert_eq!(state.metrics.trust_stale.get(), 1, "{name}");
        // The same set again changes nothing.
        let generation = state.credentials_generation();
        assert!(take(&state, &files, &now, true).is_err(), "{name}");
        assert_eq!(state.credentials_generation(), generation, "{name}");
        take(&state, &files, &whole.map(|text| content(text)), false).unwrap();
        assert_eq!(state.metrics.trust_stale.get(), 0, "{name}: mended");
    }
}
