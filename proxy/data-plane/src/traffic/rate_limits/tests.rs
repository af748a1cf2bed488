//! What the limits of a proxy decide together.
#![allow(clippy::unwrap_used)]

use futures_util::FutureExt as _;
use policy::{CanonicalPath, HostName, PathNormalization, Resources, SourceFile, Workload};

use super::met::LimitOutcome;
use super::*;
use crate::http::LimitRefusalKind;

fn limits(keys: usize) -> RequestLimits {
    RequestLimits::new(keys, Arc::new(Clock::start()), Arc::new(Metrics::new(100).unwrap()))
}

fn rules(spec: &str) -> RateLimits {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    let resources = Resources::parse(&[file], "postern-system").unwrap();
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: std::collections::BTreeMap::new(),
    };
    RateLimits::build(&resources, &workload, false)
}

/// What becomes of a request of this caller for this path.
fn ask(limits: &RequestLimits, principal: &str, path: &str) -> Option<LimitOutcome> {
    let host = HostName::parse("cart.shop", Some(80)).unwrap();
    let path = CanonicalPath::parse(path, PathNormalization::default()).unwrap();
    let http = HttpFacts {
        method: "GET",
        host: &host,
        path: &path,
        headers: &(),
        token: None,
        api_key: None,
    };
    let source = "192.0.2.1".parse().unwrap();
    let caller = LimitCaller { principal: Some(principal), source, listener: None, route: None };
    let in_force = limits.in_force.load();
    let met = MetLimits::of(&in_force, &caller.request(http, source), &limits.digests)?;
    Some(met.decide(limits).now_or_never().unwrap())
}

/// `None`: no limit; else whether it was allowed.
fn allowed(limits: &RequestLimits, principal: &str, path: &str) -> Option<bool> {
    ask(limits, principal, path).map(|outcome| outcome.refusal.is_none())
}

#[test]
fn a_caller_has_its_own_share() {
    let limits = limits(1_000);
    assert_eq!(allowed(&limits, "a", "/"), None, "no policy");
    limits.install(rules("{limits: [{name: l, key: principal, requests: 2, per: 1d}]}"));
    for (row, principal, expect) in [
        ("the first", "a", true),
        ("the second", "a", true),
        ("one too many", "a", false),
        ("another caller", "b", true),
        ("still too many", "a", false),
    ] {
        assert_eq!(allowed(&limits, principal, "/"), Some(expect), "{row}");
    }
}

#[test]
fn a_refusal_gives_back_what_other_limits_had_taken() {
    let limits = limits(1_000);
    limits.install(rules(
        "{limits: [{name: wide, key: principal, requests: 3, per: 1d},
          {name: narrow, key: principal, requests: 1, per: 1d, match: {paths: [/narrow]}}],
          concurrency: [{name: at-once, key: principal, requests: 1}]}",
    ));
    let first = ask(&limits, "a", "/narrow").unwrap();
    assert!(first.refusal.is_none());
    let second = ask(&limits, "a", "/").unwrap();
    let kind = second.refusal.map(|refusal| refusal.kind);
    assert_eq!(kind, Some(LimitRefusalKind::Concurrency), "the first is still under way");
    drop(first.underway);
    for _ in 0..10 {
        let refused = ask(&limits, "a", "/narrow").unwrap();
        let refusal = refused.refusal.unwrap();
        assert_eq!((refusal.kind, &*refusal.limit), (LimitRefusalKind::Rate, "shop/p/narrow"));
        assert!(refused.underway.is_empty(), "a refused request is not under way");
    }
    let left: Vec<_> = (0..3).map(|_| allowed(&limits, "a", "/")).collect();
    assert_eq!(left, [Some(true), Some(true), Some(false)], "two were left of the wide one");
}

#[test]
fn an_edit_leaves_what_was_used_of_other_limits() {
    let limits = limits(1_000);
    let policy = |first: u32, second: u32, path: &str| {
        rules(&format!(
            "{{limits: [{{name: first, key: principal, requests: {first}, per: 1d, match: {{paths: [/first]}}}},
              {{name: second, key: principal, requests: {second}, per: 1d, match: {{paths: [{path}]}}}}]}}"
        ))
    };
    limits.install(policy(1, 1, "/second"));
    assert_eq!(allowed(&limits, "a", "/first"), Some(true));
    assert_eq!(allowed(&limits, "a", "/second"), Some(true));
    for (row, rules, path, expect) in [
        ("nothing has changed", policy(1, 1, "/second"), "/first", false),
        ("the other one's numbers", policy(1, 2, "/second"), "/first", false),
        ("its own numbers", policy(1, 3, "/second"), "/second", true),
        ("what it is about", policy(1, 3, "/elsewhere"), "/elsewhere", true),
    ] {
        limits.install(rules);
        assert_eq!(allowed(&limits, "a", path), Some(expect), "{row}");
    }
    assert_eq!(allowed(&limits, "a", "/second"), None, "no limit is about it any more");
    limits.install(RateLimits::default());
    assert_eq!(limits.budget.total(), 0, "what is gone keeps nobody apart");
}

#[test]
fn without_a_store_each_policy_says_what_holds() {
    for (row, failure, expect) in [
        ("its part of the limit", "onStoreFailure: local, replicas: 2,", vec![true, true, false]),
        ("nobody counts", "onStoreFailure: allow,", vec![true, true, true]),
        ("nobody passes", "onStoreFailure: deny,", vec![false, false, false]),
    ] {
        let limits = limits(1_000);
        limits.install(rules(&format!(
            "{{{failure} limits: [{{name: l, key: principal, requests: 4, per: 1d, store: redis}}]}}"
        )));
        let found: Vec<_> = (0..3).map(|_| allowed(&limits, "a", "/").unwrap()).collect();
        assert_eq!(found, expect, "{row}");
    }
}

#[test]
fn s48_what_callers_take_of_memory_is_bounded() {
    let limits = limits(1_000);
    limits.install(rules("{limits: [{name: l, key: principal, requests: 1, per: 1d}]}"));
    for caller in 0..5_000 {
        ask(&limits, &format!("caller-{caller}"), "/");
    }
    limits.sweep();
    assert_eq!(limits.metrics.rate_limit_keys.get(), 1_000);
    let text = String::from_utf8(limits.metrics.render(b"")).unwrap();
    let series = text.lines().filter(|line| line.starts_with("postern_rate_limit_decisions_total"));
    assert_eq!(series.count(), 4, "callers have no series: {text}");
}
