//! Cached verdicts are the same as uncached ones.

use crate::traffic::jwt::tests::*;

#[test]
fn s42_cache_key_collisions() {
    let keys: Vec<_> = [
        (0, &b"ab"[..]),
        (1, b"ab"),
        (0, b"a"),
        (0, b"abc"),
        (0, b""),
        (256, b"ab"),
        (0, b"\x02\0\0\0\0\0\0\0ab"),
    ]
    .map(|(place, token)| cache::key(place, token))
    .into();
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[index + 1..].contains(key), "{index}");
    }
}

#[test]
fn s42_cache_key_collisions_a_verdict_ends_with_what_it_rests_on() {
    let mut world = TokenFixture::usual();
    let source = world.rules.rules()[0].jwt.keys.clone();
    let token = token(json!({"nbf": NOW - 5}));
    assert_eq!(world.who_bears(&token), "alice");
    assert_eq!(world.cache.size(), (1, token.len()));
    for (now, expect) in [
        (NOW + 329, "alice"),
        (NOW + 330, "token_expired"),
        (NOW - 35, "alice"),
        (NOW - 36, "token_not_yet_valid"),
    ] {
        world.now = now;
        assert_eq!(world.who_bears(&token), expect, "{now}");
    }
    world.now = NOW;
    // The key is withdrawn.
    world.set_keys(&source, &[with_id(TestSigner::p256().jwk(), "k2")]);
    assert_eq!(world.who_bears(&token), "token_key_unknown");
    assert_eq!(world.cache.size(), (0, 0), "refusals are not kept");
    // The rule changes, the keys come back.
    let (mut other, cache) =
        (TokenFixture::new(&format!("{{{}}}", RULE.replace("cart", "web")), ""), world.cache);
    other.cache = cache;
    assert_eq!(other.who_bears(&token), "token_audience");
}

#[test]
fn s40_token_dos_the_cache_is_bounded() {
    let world = TokenFixture::usual();
    let made = |n: u64, pad: usize| token(json!({"sub": n.to_string(), "pad": "x".repeat(pad)}));
    let first = made(0, 0);
    for n in 0..1100 {
        world.who_bears(&made(n, 0));
        // A verdict that is used again and again stays.
        assert_eq!(world.who_bears(&first), "0");
    }
    let (entries, _) = world.cache.size();
    assert!((512..=1024).contains(&entries), "{entries}");
    for n in 0..230 {
        world.who_bears(&made(n, 8000));
    }
    let (entries, bytes) = world.cache.size();
    assert!(
        entries <= 2 * (1 << 20) / 10_000 + 2 && bytes <= 1 << 20,
        "{entries} entries, {bytes} bytes"
    );
}
