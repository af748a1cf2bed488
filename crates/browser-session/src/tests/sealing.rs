//! What is sealed opens for what it was sealed for, unchanged, and for nothing else.

use super::*;

#[test]
fn what_is_sealed_opens_again() {
    let keys = keys(1, None);
    for plaintext in [&b""[..], b"a", &[7; 40_000]] {
        let sealed = keys.seal(binding(), plaintext, &random()).unwrap();
        let opened = keys.open(binding(), sealed.as_bytes()).unwrap();
        assert!(*opened.plaintext == plaintext && !opened.by_previous_key);
        assert_ne!(sealed, keys.seal(binding(), plaintext, &random()).unwrap(), "a nonce twice");
    }
    assert_eq!(keys.seal(binding(), &[0; 80_000], &random()), Err(NotSealed));
}

/// A value sealed before the rotation opens while the key is there, and is told apart; afterwards it is nobody's.
#[test]
fn keys_are_replaced_in_two_steps() {
    let sealed = keys(1, None).seal(binding(), b"a", &random()).unwrap();
    for (name, keys, expect) in [
        ("before", keys(1, None), Ok(false)),
        ("meanwhile", keys(2, Some(1)), Ok(true)),
        ("the other way round", keys(1, Some(2)), Ok(false)),
        ("afterwards", keys(2, None), Err(NotOurs)),
        ("after two", keys(3, Some(2)), Err(NotOurs)),
    ] {
        let seen = keys.open(binding(), sealed.as_bytes()).map(|opened| opened.by_previous_key);
        assert_eq!(seen, expect, "{name}");
    }
    let shown = format!("{:?}", keys(1, Some(2)));
    assert!(!shown.contains("1, 1, 1") && shown.len() < 80, "{shown}");
}

/// No padding, no oracle: whichever byte is changed, the refusal is one and the same.
#[test]
fn cve_2026_47775_a_changed_byte_is_one_and_the_same_refusal() {
    let keys = keys(1, Some(2));
    let sealed = keys.seal(binding(), &[9; 48], &random()).unwrap().into_bytes();
    for at in 0..sealed.len() {
        for change in [1_u8, 2, 4, 0x20, 0x80] {
            let mut changed = sealed.clone();
            changed[at] ^= change;
            let seen = keys.open(binding(), &changed);
            assert_eq!(seen.map(drop), Err(NotOurs), "byte {at} by {change}");
        }
        assert_eq!(keys.open(binding(), &sealed[..at]).map(drop), Err(NotOurs), "cut at {at}");
    }
    let more = [&sealed[..], b"AAAA"].concat();
    assert_eq!(keys.open(binding(), &more).map(drop), Err(NotOurs));
    let padded = [&sealed[..], b"="].concat();
    assert_eq!(keys.open(binding(), &padded).map(drop), Err(NotOurs));
    assert_eq!(keys.open(binding(), &[b'A'; 100_000]).map(drop), Err(NotOurs));
}

/// The fields that a value is bound to are kept apart by their lengths: none can lend another a letter.
#[test]
fn cve_2023_35941_fields_that_run_together_are_told_apart() {
    let keys = keys(1, None);
    let sealed = keys.seal(binding(), b"a", &random()).unwrap();
    let plain = binding();
    for (name, other) in [
        ("a letter moves", SealBinding { host: "shop.exampl", client_id: "eshop", ..plain }),
        ("it moves back", SealBinding { host: "shop.examples", client_id: "hop", ..plain }),
        ("one is empty", SealBinding { host: "shop.exampleshop", client_id: "", ..plain }),
        ("the policy's", SealBinding { client_id: "shopshop", policy: "/staff", ..plain }),
        ("two trade places", SealBinding { host: "shop", client_id: "shop.example", ..plain }),
        ("with NUL", SealBinding { host: "shop.example\0", ..plain }),
    ] {
        assert_eq!(keys.open(other, sealed.as_bytes()).map(drop), Err(NotOurs), "{name}");
    }
}

#[test]
fn s41_oauth2_login_state_cookies_swapped_between_hosts_clients_and_policies() {
    let keys = keys(1, None);
    let plain = binding();
    let sealed = keys.seal(plain, b"a", &random()).unwrap();
    for (name, other) in [
        ("another host", SealBinding { host: "pay.example", ..plain }),
        ("another client", SealBinding { client_id: "pay", ..plain }),
        ("another policy", SealBinding { policy: "shop/admin", ..plain }),
        ("as a reference", SealBinding { purpose: Purpose::SessionReference, ..plain }),
        ("as stored", SealBinding { purpose: Purpose::StoredSession, ..plain }),
        ("as a flow", SealBinding { purpose: Purpose::Flow, ..plain }),
        ("as a certain one", SealBinding { instance: b"1", ..plain }),
    ] {
        assert_eq!(keys.open(other, sealed.as_bytes()).map(drop), Err(NotOurs), "{name}");
        let there = keys.seal(other, b"a", &random()).unwrap();
        assert_eq!(keys.open(plain, there.as_bytes()).map(drop), Err(NotOurs), "{name}, back");
    }
}
