//! What an AbusePolicy is read as, and what is refused.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::abuse::{AbuseMode, BlockStatus};
use crate::rate_limit::LimitKey;
use crate::resources::{AbusePolicy, DEFAULT_ROOT_NAMESPACE};
use crate::{Resources, SourceFile};

fn read(spec: &str) -> Result<AbusePolicy, String> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: AbusePolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(resources) => Ok(resources.abuse_policies()[0].clone()),
        Err(problems) => Err(problems.iter().map(|p| format!("{p}\n")).collect()),
    }
}

#[test]
fn what_is_not_written() {
    let read = read("key: clientAddress").unwrap();
    let settings = read.settings();
    assert_eq!(&*settings.policy, "shop/p");
    assert_eq!((settings.mode, settings.status), (AbuseMode::Detect, BlockStatus::TooManyRequests));
    let measure = settings.measure;
    assert_eq!((measure.window.as_secs(), measure.block_for.as_secs()), (60, 300));
    assert_eq!((measure.requests, measure.refused_percent, measure.distinct_missing), (20, 50, 30));
}

#[test]
fn what_is_written() {
    let read = read(
        "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: https}], mode: block, \
         key: claim, claim: sub, window: 10s, requests: 5, refusedRatio: 100, distinctMissing: 500, blockFor: 1d, \
         status: 403",
    )
    .unwrap();
    let settings = read.settings();
    assert_eq!((settings.mode, settings.status), (AbuseMode::Block, BlockStatus::Forbidden));
    assert_eq!((settings.targets.len(), &settings.key), (1, &LimitKey::Claim("sub".into())));
    let measure = settings.measure;
    assert_eq!(measure.window, Duration::from_secs(10));
    assert_eq!(
        (measure.requests, measure.refused_percent, measure.distinct_missing),
        (5, 100, 500)
    );
    assert_eq!(measure.block_for, Duration::from_secs(86_400));
}

#[test]
fn what_is_refused() {
    for (spec, expect) in [
        ("mode: block", "key"),
        ("key: route", "the text \"route\""),
        ("key: [principal, clientAddress]", "one of principal, clientAddress, claim, apiKey"),
        ("key: claim", "key: claim without `claim`"),
        ("key: principal, claim: sub", "`claim` beside key: claim"),
        ("key: principal, mode: warn", "one of detect, block"),
        ("key: principal, window: 9s", "from 10s to 1h"),
        ("key: principal, window: 2h", "from 10s to 1h"),
        ("key: principal, requests: 4", "from 5 to 1000000"),
        ("key: principal, refusedRatio: 0", "from 1 to 100"),
        ("key: principal, refusedRatio: 101", "from 1 to 100"),
        ("key: principal, distinctMissing: 4", "from 5 to 500"),
        ("key: principal, distinctMissing: 501", "from 5 to 500"),
        ("key: principal, blockFor: 0s", "from 1s to 1d"),
        ("key: principal, blockFor: 2d", "from 1s to 1d"),
        ("key: principal, status: 404", "one of 429, 403"),
        ("key: principal, block: true", "block"),
        ("key: principal, targetRefs: []", "targetRefs"),
        (
            "key: principal, selector: {}, targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]",
            "`targetRefs` beside `selector`",
        ),
        (
            "key: principal, targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: a}]",
            "\"HTTPRoute\"",
        ),
    ] {
        let refused = read(spec).err().unwrap_or_default();
        assert!(refused.contains(expect), "{spec}: {refused}");
    }
}
