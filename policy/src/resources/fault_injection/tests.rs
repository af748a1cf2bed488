//! What a FaultInjection is read as: no fault is there that was not written.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::fault::{AbortStatus, FaultPercentage, FaultValue};
use crate::resources::{DEFAULT_ROOT_NAMESPACE, ReadOptions, survey};
use crate::{Resources, SourceFile};

fn file(spec: &str) -> SourceFile {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: FaultInjection\nmetadata: {{name: f, namespace: web}}\nspec: {spec}\n"
    );
    SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() }
}

#[test]
fn what_is_written_is_read() {
    let spec = "{targetRefs: [{kind: Service, name: cart, namespace: shop}, {kind: Service, group: '', name: search}],
      match: {headers: [{name: X-Test, value: slow}]},
      delay: {duration: 2s}, abort: {percentage: 50, grpcStatus: 14}}";
    let resources = Resources::parse(&[file(spec)], DEFAULT_ROOT_NAMESPACE).unwrap();
    let injection = &resources.fault_injections()[0];
    let hosts: Vec<_> = injection.hosts().iter().map(|host| &**host).collect();
    assert_eq!(hosts, ["cart.shop.svc.cluster.local", "search.web.svc.cluster.local"]);
    let rule = injection.rule();
    let header = &rule.headers[0];
    assert_eq!((&*header.name, &header.value), ("x-test", &FaultValue::Exact("slow".into())));
    let delay = rule.delay.unwrap();
    assert_eq!(
        (delay.percentage, delay.duration),
        (FaultPercentage::ALWAYS, Duration::from_secs(2))
    );
    let abort = rule.abort.unwrap();
    assert_eq!(abort.percentage, FaultPercentage::new(50).unwrap());
    assert_eq!(abort.status, AbortStatus::Grpc(14));
}

#[test]
fn what_could_break_more_than_was_meant_is_refused() {
    let target = "targetRefs: [{kind: Service, name: cart}]";
    let test = "match: {headers: [{name: x-test, value: slow}]}";
    for (row, spec, expect) in [
        ("everything", format!("{target}, delay: {{duration: 2s}}"), "without `percentage`"),
        ("every abort", format!("{target}, abort: {{httpStatus: 503}}"), "without `percentage`"),
        ("no fault", format!("{target}, {test}"), "without a fault"),
        ("no target", format!("{test}, delay: {{duration: 2s}}"), "no `targetRefs`"),
        (
            "empty targets",
            format!("targetRefs: [], {test}, delay: {{duration: 2s}}"),
            "an empty list",
        ),
        (
            "a gateway",
            format!("targetRefs: [{{kind: Gateway, name: g}}], {test}, delay: {{duration: 2s}}"),
            "Service",
        ),
        (
            "an empty match",
            format!("{target}, match: {{}}, delay: {{duration: 2s}}"),
            "no `headers`",
        ),
        (
            "no header",
            format!("{target}, match: {{headers: []}}, delay: {{duration: 2s}}"),
            "an empty list",
        ),
        (
            "any value",
            format!("{target}, match: {{headers: [{{name: a}}]}}, delay: {{duration: 2s}}"),
            "a header of any value",
        ),
        (
            "two values",
            format!(
                "{target}, match: {{headers: [{{name: a, value: b, regex: c}}]}}, delay: {{duration: 2s}}"
            ),
            "beside `regex`",
        ),
        (
            "no expression",
            format!(
                "{target}, match: {{headers: [{{name: a, regex: '(a'}}]}}, delay: {{duration: 2s}}"
            ),
            "a regular expression",
        ),
        (
            "a path",
            format!("{target}, match: {{path: /a}}, delay: {{duration: 2s}}"),
            "the unknown key `path`",
        ),
        ("none", format!("{target}, delay: {{percentage: 0, duration: 2s}}"), "from 1 to 100"),
        (
            "too many",
            format!("{target}, delay: {{percentage: 101, duration: 2s}}"),
            "from 1 to 100",
        ),
        ("for ever", format!("{target}, {test}, delay: {{duration: 1h}}"), "from 1ms to 5m"),
        ("no wait", format!("{target}, {test}, delay: {{duration: 0s}}"), "from 1ms to 5m"),
        ("success", format!("{target}, {test}, abort: {{httpStatus: 200}}"), "from 400 to 599"),
        ("OK", format!("{target}, {test}, abort: {{grpcStatus: 0}}"), "from 1 to 16"),
        (
            "both",
            format!("{target}, {test}, abort: {{httpStatus: 503, grpcStatus: 14}}"),
            "both statuses",
        ),
        ("neither", format!("{target}, {test}, abort: {{}}"), "without a status"),
    ] {
        let reading = ReadOptions::strict(DEFAULT_ROOT_NAMESPACE);
        let found = survey(&[file(&format!("{{{spec}}}"))], &reading).diagnostics;
        let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|line| line.contains(expect)), "{row}: {lines:?}");
    }
}
