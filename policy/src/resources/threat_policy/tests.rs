//! What a ThreatPolicy is read as, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use crate::resources::{DEFAULT_ROOT_NAMESPACE, ThreatPolicy};
use crate::threat::{ExceededBody, RuleSetSource, ThreatMode};
use crate::{Resources, SourceFile};

fn read(spec: &str) -> Result<ThreatPolicy, String> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: ThreatPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(resources) => Ok(resources.threat_policies()[0].clone()),
        Err(problems) => Err(problems.iter().map(|p| format!("{p}\n")).collect()),
    }
}

#[test]
fn what_is_not_written_detects_and_refuses_nothing() {
    let read = read("").unwrap();
    let settings = read.settings();
    assert_eq!((&**read.name(), settings.mode), ("shop/p", ThreatMode::Detect));
    assert_eq!(settings.rule_set, RuleSetSource::Builtin);
    assert_eq!((settings.paranoia, settings.inbound_threshold), (1, 5));
    assert_eq!((settings.inspect_bytes, settings.on_exceed), (128 << 10, ExceededBody::Deny));
    assert_eq!(settings.timeout, Duration::from_millis(50));
    assert!(settings.targets.is_empty() && settings.exclusions.is_empty());
}

#[test]
fn what_is_written_is_read() {
    let read = read(
        "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: cart}], mode: block, \
         ruleSet: {path: /etc/postern/rules, allowUnsupported: [920200, 920100, 920200]}, paranoia: 4, \
         inboundThreshold: 10, body: {inspectBytes: 64KiB, onExceed: inspectPrefix}, \
         exclusions: [{rule: 942100, paths: ['/search*'], args: [q]}, {rule: 930120}], timeout: 2s, onTimeout: deny",
    )
    .unwrap();
    let settings = read.settings();
    assert_eq!((settings.targets.len(), settings.mode), (1, ThreatMode::Block));
    let allow_unsupported = [920_100, 920_200].into();
    let path = Path::new("/etc/postern/rules").into();
    assert_eq!(settings.rule_set, RuleSetSource::Files { path, allow_unsupported });
    assert_eq!((settings.paranoia, settings.inbound_threshold), (4, 10));
    let body = (settings.inspect_bytes, settings.on_exceed);
    assert_eq!(body, (64 << 10, ExceededBody::InspectPrefix));
    let [first, second] = &*settings.exclusions else { panic!("{:?}", settings.exclusions) };
    assert_eq!((first.rule, &*first.arguments), (942_100, &["q".into()][..]));
    assert_eq!((second.rule, second.arguments.len(), second.paths.len()), (930_120, 0, 0));
    assert_eq!(settings.timeout, Duration::from_secs(2));
}

#[test]
fn what_could_not_be_kept_is_refused() {
    for (row, spec, expect) in [
        ("another mode", "mode: warn", "one of detect, block"),
        ("another set", "ruleSet: crs", "one of builtin"),
        ("a relative path", "ruleSet: {path: rules}", "such as /etc/postern/rules"),
        ("no path", "ruleSet: {allowUnsupported: [1]}", "no `path`"),
        ("a rule that is no number", "ruleSet: {path: /r, allowUnsupported: [x]}", "whole number"),
        ("no paranoia", "paranoia: 0", "from 1 to 4"),
        ("too much of it", "paranoia: 5", "from 1 to 4"),
        ("no threshold", "inboundThreshold: 0", "from 1 to 10000"),
        ("no body", "body: {inspectBytes: 0B}", "from 1KiB to 1MiB"),
        ("a body of any size", "body: {inspectBytes: 2MiB}", "from 1KiB to 1MiB"),
        ("what is beyond passes", "body: {onExceed: allow}", "one of deny, inspectPrefix"),
        ("no time", "timeout: 0s", "from 1ms to 10s"),
        ("all time", "timeout: 1m", "from 1ms to 10s"),
        ("a timeout that lets through", "onTimeout: allow", "one of deny"),
        ("an exclusion of nothing", "exclusions: [{paths: [/]}]", "no `rule`"),
        ("no exclusion", "exclusions: []", "`exclusions`"),
        ("a query", "exclusions: [{rule: 1, paths: ['/a?b']}]", "no ? and no #"),
        ("an argument with a line", "exclusions: [{rule: 1, args: [\"a\\n\"]}]", "control"),
        ("a misspelt key", "exclusion: [{rule: 1}]", "did you mean `exclusions`?"),
        ("a port", "ports: [80]", "the unknown key `ports`"),
        (
            "both forms",
            "selector: {}, targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: e}]",
            "one of the two",
        ),
        (
            "somebody else's gateway",
            "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: e, namespace: b}]",
            "an object of the own namespace",
        ),
        (
            "a Service",
            "targetRefs: [{group: '', kind: Service, name: cart}]",
            "one of Gateway, ListenerSet, HTTPRoute",
        ),
    ] {
        let refused = read(spec).err().unwrap_or_default();
        assert!(refused.contains(expect), "{row}: {refused}");
    }
}
