//! What a RateLimitPolicy is read as: no limit is wider, or about others, than what was written.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::time::Duration;

use crate::rate_limit::{LimitKey, LimitMeasure, LimitStore, RateLimit, StoreFailure};
use crate::resources::{DEFAULT_ROOT_NAMESPACE, ReadOptions, survey};
use crate::{Resources, SourceFile};

fn file(spec: &str) -> SourceFile {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {{name: p, namespace: web}}\nspec: {spec}\n"
    );
    SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() }
}

#[test]
fn what_is_written_is_read() {
    let spec = "{limits: [{name: per-caller, key: principal, requests: 100, per: 1m},
      {name: per-tenant, key: [claim, clientAddress], claim: tenant, requests: 5, per: 1s, burst: 20, store: redis,
       match: {methods: [POST], paths: [/a, '/b/*'], hosts: [a.example], headers: [{name: X-Plan, value: free}]}}],
      concurrency: [{name: at-once, key: apiKey, requests: 8}], onStoreFailure: deny, replicas: 3}";
    let resources = Resources::parse(&[file(spec)], DEFAULT_ROOT_NAMESPACE).unwrap();
    let policy = &resources.rate_limit_policies()[0];
    assert_eq!(&**policy.name(), "web/p");
    let [caller, tenant, at_once] = policy.limits() else { unreachable!("three limits") };
    let number = |number| NonZeroU32::new(number).unwrap();
    assert_eq!((&*caller.id, &*caller.name), ("web/p/per-caller", "per-caller"));
    assert_eq!(caller.keys, [LimitKey::Principal]);
    let rate = RateLimit {
        requests: number(100),
        per: Duration::from_secs(60),
        burst: number(100),
        store: LimitStore::Local,
        on_store_failure: StoreFailure::Deny,
        replicas: number(3),
    };
    assert_eq!(caller.measure, LimitMeasure::Rate(rate));
    assert_eq!(tenant.keys, [LimitKey::Claim("tenant".into()), LimitKey::ClientAddress]);
    let rate = RateLimit {
        requests: number(5),
        per: Duration::from_secs(1),
        burst: number(20),
        store: LimitStore::Redis,
        ..rate
    };
    assert_eq!(tenant.measure, LimitMeasure::Rate(rate));
    assert_eq!(at_once.measure, LimitMeasure::Concurrency { requests: number(8) });
}

#[test]
fn what_limits_nothing_or_something_else_is_refused() {
    let limit =
        |rest: &str| format!("limits: [{{name: l, key: principal, requests: 1, per: 1s{rest}}}]");
    let gateway = "group: gateway.networking.k8s.io, kind: Gateway, name: edge";
    for (row, spec, expect) in [
        ("nothing", "selector: {}".to_owned(), "without a limit"),
        ("no limits", "limits: []".to_owned(), "an empty list"),
        ("no key", "limits: [{name: l, requests: 1, per: 1s}]".to_owned(), "no `key`"),
        ("no name", "limits: [{key: route, requests: 1, per: 1s}]".to_owned(), "no `name`"),
        (
            "another key",
            "limits: [{name: l, key: ip, requests: 1, per: 1s}]".to_owned(),
            "one of principal",
        ),
        (
            "no requests",
            "limits: [{name: l, key: route, requests: 0, per: 1s}]".to_owned(),
            "from 1 to",
        ),
        (
            "a short time",
            "limits: [{name: l, key: route, requests: 1, per: 500ms}]".to_owned(),
            "from 1s to 1d",
        ),
        (
            "a long time",
            "limits: [{name: l, key: route, requests: 1, per: 2d}]".to_owned(),
            "from 1s to 1d",
        ),
        (
            "too many",
            "limits: [{name: l, key: route, requests: 2000000, per: 1s}]".to_owned(),
            "1000000 in a second",
        ),
        (
            "a burst for a year",
            "limits: [{name: l, key: route, requests: 1, per: 1d, burst: 365}]".to_owned(),
            "30 days",
        ),
        (
            "a claim without a name",
            "limits: [{name: l, key: claim, requests: 1, per: 1s}]".to_owned(),
            "without `claim`",
        ),
        ("a claim for nothing", limit(", claim: sub"), "beside key: claim"),
        (
            "a key twice",
            "limits: [{name: l, key: [route, route], requests: 1, per: 1s}]".to_owned(),
            "twice",
        ),
        (
            "a name twice",
            format!("{}, concurrency: [{{name: l, key: route, requests: 1}}]", limit("")),
            "the name l",
        ),
        (
            "a name in quotes",
            "limits: [{name: 'a\"b', key: route, requests: 1, per: 1s}]".to_owned(),
            "names are letters",
        ),
        ("another store", limit(", store: memcached"), "one of local, redis"),
        ("an empty match", limit(", match: {}"), "an empty `match`"),
        ("a wrong path", limit(", match: {paths: [cart]}"), "begins with /"),
        ("an unknown field", limit(", window: 1s"), "unknown key `window`"),
        ("idle failure", format!("onStoreFailure: deny, {}", limit("")), "no limit is in a store"),
        ("idle replicas", format!("replicas: 2, {}", limit("")), "no limit is in a store"),
        (
            "both scopes",
            format!("selector: {{}}, targetRefs: [{{{gateway}}}], {}", limit("")),
            "beside `selector`",
        ),
        (
            "another kind",
            format!("targetRefs: [{{kind: Pod, name: a}}], {}", limit("")),
            "one of Service",
        ),
        (
            "no group",
            format!("targetRefs: [{{kind: Gateway, name: a}}], {}", limit("")),
            "no `group`",
        ),
        (
            "another group",
            format!("targetRefs: [{{kind: Service, group: apps, name: a}}], {}", limit("")),
            "the group of kind Service",
        ),
        (
            "another namespace",
            format!("targetRefs: [{{{gateway}, namespace: shop}}], {}", limit("")),
            "`namespace` in a target",
        ),
        (
            "a Service that is not there",
            format!("targetRefs: [{{kind: Service, name: cart}}], {}", limit("")),
            "no ServiceEntry",
        ),
        (
            "a port of a Service",
            format!(
                "targetRefs: [{{kind: Service, name: cart, sectionName: http}}], {}",
                limit("")
            ),
            "no `sectionName`",
        ),
    ] {
        let survey =
            survey(&[file(&format!("{{{spec}}}"))], &ReadOptions::strict(DEFAULT_ROOT_NAMESPACE));
        let found: Vec<_> = survey.diagnostics.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|found| found.contains(expect)), "{row}: {found:?}");
    }
}
