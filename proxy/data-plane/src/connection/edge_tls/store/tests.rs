#![allow(clippy::unwrap_used)]

use rcgen::{CertificateParams, KeyPair, SanType};

use super::*;

/// Noon of a day in 2026, Unix seconds.
const NOW: u64 = 1_780_000_000;

struct Pair(String, String);

fn pair_until(year: i32) -> Pair {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("shop.example".try_into().unwrap())];
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    Pair(params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn offer(name: &str, Pair(chain, key): &Pair) -> OfferedCertificate {
    let key = Zeroizing::new(key.clone().into_bytes());
    OfferedCertificate { name: name.into(), content: Ok((chain.clone().into_bytes(), key)) }
}

fn unreadable(name: &str) -> OfferedCertificate {
    OfferedCertificate { name: name.into(), content: Err("tls.crt: no such file".into()) }
}

fn mixed(Pair(chain, _): &Pair, Pair(_, key): &Pair) -> Pair {
    Pair(chain.clone(), key.clone())
}

#[test]
fn the_last_good_certificate_of_a_name_stays() {
    let (old, new) = (pair_until(2030), pair_until(2031));
    let ended = pair_until(2020);
    let held = CertificateStore::default().renewed([offer("shop/web", &old)], NOW).store;
    let digest = |store: &CertificateStore| store.get("shop/web").map(|one| *one.sha256());
    let old_digest = digest(&held);
    for (row, offered, refused, stays) in [
        ("the same", offer("shop/web", &old), None, true),
        ("another one", offer("shop/web", &new), None, false),
        ("another's key", offer("shop/web", &mixed(&new, &old)), Some("is not the key"), true),
        ("not to be read", unreadable("shop/web"), Some("no such file"), true),
        ("one that has ended", offer("shop/web", &ended), Some("not valid now"), true),
    ] {
        let renewed = held.renewed([offered], NOW);
        let said: Vec<_> = renewed.refused.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), usize::from(refused.is_some()), "{row}: {said:?}");
        assert!(
            said.iter().all(|said| said.contains(refused.unwrap_or_default())),
            "{row}: {said:?}"
        );
        assert!(said.iter().all(|said| said.contains("shop/web")), "{row}: {said:?}");
        assert_eq!(digest(&renewed.store) == old_digest, stays, "{row}");
        assert_eq!((renewed.changed, renewed.taken), (!stays, usize::from(!stays)), "{row}");
        assert_eq!(renewed.store.refused().len(), said.len(), "{row}");
    }
}

#[test]
fn names_come_and_go() {
    let (one, two) = (pair_until(2030), pair_until(2031));
    let first = CertificateStore::default().renewed([offer("b/b", &one), offer("a/a", &two)], NOW);
    assert!(first.changed);
    let names: Vec<_> = first.store.all().iter().map(|one| one.name().to_string()).collect();
    assert_eq!(names, ["a/a", "b/b"]);
    let gone = first.store.renewed([offer("a/a", &two)], NOW);
    assert!(gone.changed && gone.store.get("b/b").is_none());
    let kept = (first.store.get("a/a").unwrap(), gone.store.get("a/a").unwrap());
    assert!(Arc::ptr_eq(kept.0, kept.1), "what has not changed is not read again");
}

#[test]
fn a_name_that_never_had_one_has_none() {
    let (one, two) = (pair_until(2030), pair_until(2031));
    let refused = CertificateStore::default().renewed([offer("shop/web", &mixed(&one, &two))], NOW);
    assert!(refused.store.get("shop/web").is_none() && !refused.changed);
    assert_eq!(refused.refused.len(), 1);
}

#[test]
fn where_no_better_one_is_held_clients_judge_the_time() {
    let ended = pair_until(2020);
    let taken = CertificateStore::default().renewed([offer("shop/web", &ended)], NOW);
    assert!(taken.refused.is_empty() && taken.store.get("shop/web").is_some());
    let again = taken.store.renewed([offer("shop/web", &pair_until(2021))], NOW);
    assert!(again.refused.is_empty() && again.changed);
}

#[test]
fn a_refusal_is_told_once() {
    let (old, new) = (pair_until(2030), pair_until(2031));
    let bad = || offer("shop/web", &mixed(&new, &old));
    let first = CertificateStore::default().renewed([offer("shop/web", &old)], NOW);
    let refused = first.store.renewed([bad()], NOW);
    assert_eq!(refused.refused.len(), 1);
    let again = refused.store.renewed([bad()], NOW);
    assert_eq!((again.refused.len(), again.store.refused().len()), (0, 1));
    let otherwise = again.store.renewed([unreadable("shop/web")], NOW);
    assert_eq!(otherwise.refused.len(), 1);
    let mended = otherwise.store.renewed([offer("shop/web", &new)], NOW);
    assert!(mended.changed && mended.store.refused().is_empty());
}

#[test]
fn of_two_with_one_name_the_later_one_counts() {
    let (old, new) = (pair_until(2030), pair_until(2031));
    let both = [offer("shop/web", &old), offer("shop/web", &new)];
    let taken = CertificateStore::default().renewed(both, NOW);
    let alone = CertificateStore::default().renewed([offer("shop/web", &new)], NOW);
    let digest = |store: &CertificateStore| *store.get("shop/web").unwrap().sha256();
    assert_eq!(digest(&taken.store), digest(&alone.store));
}
