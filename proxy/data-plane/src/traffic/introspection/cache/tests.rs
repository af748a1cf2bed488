//! What is kept, for how long, and what pushes out what.
#![allow(clippy::unwrap_used)]

use policy::{PolicyDefaults, Resources, Snapshot, SourceFile, TokenClaims, Workload};

use super::super::verdict::ActiveToken;
use super::*;
use crate::http::TokenRefusal;

const UNIX: u64 = 1_800_000_000;

fn rule(more: &str) -> Arc<IntrospectionRule> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: TokenIntrospection\nmetadata: {{name: p, namespace: shop}}\n\
         spec: {{issuer: 'https://id.example', clientId: shop, clientSecretRef: {{name: s}}{more}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    let resources = Resources::parse(&[file], "postern-system").unwrap();
    let (namespace, service_account) = ("shop".to_owned(), "cart".to_owned());
    let workload = Workload { namespace, service_account, labels: [].into() };
    let snapshot = Snapshot::build(&resources, &workload, &PolicyDefaults::default());
    Arc::clone(&snapshot.introspections().all()[0])
}

fn active(expires: Option<u64>) -> IntrospectionVerdict {
    let claims = Arc::new(TokenClaims::default());
    IntrospectionVerdict::Active(Arc::new(ActiveToken { claims, made: Vec::new(), expires }))
}

fn inactive() -> IntrospectionVerdict {
    IntrospectionVerdict::Refused(TokenRefusal::Inactive)
}

fn key(number: usize) -> CacheKey {
    CacheKey::new("shop/p", format!("token-{number}").as_bytes())
}

#[test]
fn an_answer_counts_until_the_first_of_its_ends() {
    let start = Instant::now();
    let after = |seconds: u64| start + Duration::from_secs(seconds);
    for (row, more, verdict, last) in [
        ("active, without an end", "", active(None), Some(59)),
        ("active, to an end that is far", "", active(Some(UNIX + 600)), Some(59)),
        ("active, to an end that is near", "", active(Some(UNIX + 7)), Some(6)),
        ("active, at its end", "", active(Some(UNIX)), None),
        ("active, for as long as the rule says", ", cache: {ttl: 10s}", active(None), Some(9)),
        ("active, and not kept", ", cache: {ttl: 0s}", active(None), None),
        ("inactive", "", inactive(), Some(4)),
        ("inactive, and not kept", ", cache: {negative: 0s}", inactive(), None),
    ] {
        let (cache, rule) = (IntrospectionCache::new(start), rule(more));
        cache.put(key(1), &rule, verdict, 100, (start, UNIX));
        let is_kept = |seconds| cache.get(&key(1), &rule, after(seconds)).is_some();
        assert_eq!(is_kept(0), last.is_some(), "{row}");
        if let Some(last) = last {
            assert_eq!((is_kept(last), is_kept(last + 1)), (true, false), "{row}");
        }
    }
}

#[test]
fn s42_cache_key_collisions_of_policies_tokens_and_rules() {
    let start = Instant::now();
    let (cache, by) = (IntrospectionCache::new(start), rule(""));
    cache.put(CacheKey::new("a/b", b"cd"), &by, active(None), 100, (start, UNIX));
    let found = |policy: &str, token: &[u8], rule: &Arc<IntrospectionRule>| {
        cache.get(&CacheKey::new(policy, token), rule, start).is_some()
    };
    assert!(found("a/b", b"cd", &by), "the same");
    assert!(found("a/b", b"cd", &rule("")), "by a rule that says the same");
    assert!(!found("a/b", b"cd", &rule(", audiences: [cart]")), "by another rule");
    for (row, policy, token) in [
        ("another border", "a/bc", &b"d"[..]),
        ("another policy", "a/c", b"cd"),
        ("another token", "a/b", b"ce"),
        ("a longer one", "a/b", b"cd\0"),
        ("none", "a/bcd", b""),
    ] {
        assert!(!found(policy, token, &by), "{row}");
    }
}

/// However many tokens that nobody issued are tried, the good ones stay.
#[test]
fn garbage_pushes_out_no_good_token() {
    let start = Instant::now();
    let (cache, rule) = (IntrospectionCache::new(start), rule(""));
    (0..1000).for_each(|at| cache.put(key(at), &rule, active(None), 100, (start, UNIX)));
    (1000..20_000).for_each(|at| cache.put(key(at), &rule, inactive(), 100, (start, UNIX)));
    assert!((0..1000).all(|at| cache.get(&key(at), &rule, start).is_some()));
    let garbage = (1000..20_000).filter(|at| cache.get(&key(*at), &rule, start).is_some());
    assert!(garbage.count() <= MAX_REFUSED);
}

#[test]
fn it_is_bounded_in_number_and_in_bytes() {
    let start = Instant::now();
    let count = |bytes: usize, ends: &dyn Fn(usize) -> Option<u64>| {
        let (cache, rule) = (IntrospectionCache::new(start), rule(""));
        (0..15_000)
            .for_each(|at| cache.put(key(at), &rule, active(ends(at)), bytes, (start, UNIX)));
        let kept: Vec<_> =
            (0..15_000).filter(|at| cache.get(&key(*at), &rule, start).is_some()).collect();
        let bytes: usize = cache.active.iter().map(|shelf| shelf.lock().bytes).sum();
        assert!(bytes <= MAX_BYTES && kept.len() <= MAX_ACTIVE, "{bytes} {}", kept.len());
        kept
    };
    assert!(count(100, &|_| None).len() > MAX_ACTIVE * 9 / 10);
    assert!(count(16 << 10, &|_| None).len() <= 1024, "large ones");
    assert!(count(MAX_BYTES, &|_| None).is_empty(), "one that has no room at all");
    // Those that end first make room.
    let kept = count(100, &|at| Some(UNIX + if at % 2 == 0 { 10 } else { 50 }));
    assert!(kept.iter().filter(|at| **at % 2 == 1).count() > 7000, "{}", kept.len());
}
