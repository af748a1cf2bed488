#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, SanType};
use tokio::sync::mpsc;

use super::*;
use crate::connection::edge_tls::{CertificateStore, RenewedCertificates};

/// Noon of a day in 2026, Unix seconds.
const NOW: u64 = 1_780_000_000;
/// What a watcher cannot see is seen soon.
const POLL: Duration = Duration::from_millis(200);

fn pair() -> (String, String) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("shop.example".try_into().unwrap())];
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("tls.crt"), "a").unwrap();
    fs::write(at("tls.key"), "b").unwrap();
    fs::write(at("large"), vec![b'a'; MAX_FILE + 1]).unwrap();
    fs::write(at("largest"), vec![b'a'; MAX_FILE]).unwrap();
    for (row, certificate, key, expect) in [
        ("both", "tls.crt", "tls.key", None),
        ("the largest", "largest", "tls.key", None),
        ("no certificate", "none", "tls.key", Some("none: No such file")),
        ("no key", "tls.crt", "none", Some("none: No such file")),
        ("a folder", "tls.crt", "", Some("no regular file")),
        ("too large", "large", "tls.key", Some("large: more than 256 KiB")),
    ] {
        let offered = read("shop/web".into(), &at(certificate), &at(key));
        assert_eq!(&*offered.name, "shop/web");
        match (offered.content, expect) {
            (Ok(_), None) => {}
            (Err(said), Some(words)) => assert!(said.contains(words), "{row}: {said}"),
            (read, _) => assert!(read.is_err(), "{row}: it was read"),
        }
    }
}

/// A rotation as people do it, one file after the other, and as Kubernetes does it, by one link. What lies there between
/// the two steps is refused, and the old certificate stays.
#[tokio::test]
async fn a_certificate_that_does_not_match_its_key_is_refused_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let ((old_chain, old_key), (chain, key)) = (pair(), pair());
    for (version, chain, key) in [("1", &old_chain, &old_key), ("2", &chain, &key)] {
        let version = folder.path().join(version);
        fs::create_dir(&version).unwrap();
        fs::write(version.join("tls.crt"), chain).unwrap();
        fs::write(version.join("tls.key"), key).unwrap();
    }
    let link = |to: &str| {
        symlink(to, folder.path().join("new")).unwrap();
        fs::rename(folder.path().join("new"), folder.path().join("now")).unwrap();
    };
    link("1");
    let [certificate, key_file] =
        ["tls.crt", "tls.key"].map(|name| folder.path().join("now").join(name));
    let (sender, mut changes) = mpsc::channel(8);
    let files = vec![certificate.clone(), key_file.clone()];
    let following = tokio::spawn(follow(files, POLL, move || {
        // The test may be over.
        let _ = sender.try_send(());
    }));
    let mut store = CertificateStore::default();
    let mut look = async || -> RenewedCertificates {
        let waiting = tokio::time::timeout(Duration::from_secs(20), changes.recv());
        waiting.await.unwrap().unwrap();
        let renewed = store.renewed([read("shop/web".into(), &certificate, &key_file)], NOW);
        store = renewed.store.clone();
        renewed
    };
    let digest = |renewed: &RenewedCertificates| *renewed.store.get("shop/web").unwrap().sha256();
    let first = look().await;
    assert!(first.changed && first.refused.is_empty());
    let old = digest(&first);

    let replace = |name: &str, text: &str| {
        fs::write(folder.path().join("new"), text).unwrap();
        fs::rename(folder.path().join("new"), folder.path().join(name)).unwrap();
    };
    // One after the other.
    replace("1/tls.crt", &chain);
    let torn = look().await;
    let said = torn.refused.first().unwrap().to_string();
    assert!(said.contains("shop/web") && said.contains("is not the key"), "{said}");
    assert_eq!((digest(&torn), torn.changed), (old, false));
    replace("1/tls.key", &key);
    let new = look().await;
    assert!(new.changed && new.refused.is_empty() && digest(&new) != old);

    // By one link, back to the old pair.
    fs::write(folder.path().join("2/tls.crt"), &old_chain).unwrap();
    fs::write(folder.path().join("2/tls.key"), &old_key).unwrap();
    link("2");
    assert_eq!(digest(&look().await), old);

    // Both are gone for a moment.
    fs::remove_file(folder.path().join("2/tls.key")).unwrap();
    let gone = look().await;
    assert_eq!((digest(&gone), gone.refused.len()), (old, 1));
    following.abort();
}

#[tokio::test]
async fn without_files_there_is_nothing_to_follow() {
    follow(Vec::new(), POLL, || unreachable!("nothing changes")).await;
}
