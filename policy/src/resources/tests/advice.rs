//! The advice leads somewhere: to the right field, in the right place, and not to what is refused next.

use super::*;

#[test]
fn conditions_that_an_operation_says() {
    for (key, expect) in [
        ("request.headers[:authority]", "; write it as `hosts` of an operation, under `to`"),
        ("request.headers[:method]", "; write it as `methods` of an operation, under `to`"),
        ("request.headers[:Path]", "; write it as `paths` of an operation, under `to`"),
        ("request.path", "; write it as `paths` of an operation, under `to`"),
        ("request.host", "; write it as `hosts` of an operation, under `to`"),
        ("source.user", "; write it as `principals` of a source, under `from`"),
        ("request.headers[:status]", "expected request.headers[name] with one header name"),
        ("source.principle", "; did you mean source.principal?"),
        ("experimental.envoy.filters.x[y]", "; experimental.* keys are not supported"),
    ] {
        let found = diagnostics(&policy(&format!(
            "{{rules: [{{when: [{{key: '{key}', values: [a]}}]}}]}}"
        )));
        assert!(found.len() == 1 && found[0].ends_with(expect), "{key}: {found:#?}");
    }
    for name in ["host", "api_key", "X-Role"] {
        let rule = format!("{{when: [{{key: 'request.headers[{name}]', values: [a]}}]}}");
        check(&policy(&format!("{{rules: [{rule}]}}")), &[]);
    }
}

/// What is offered is what is taken.
#[test]
fn words_that_are_not_supported_are_not_offered() {
    for (text, expect) in [
        (policy("{action: CUSTM, rules: [{}]}"), "expected one of ALLOW, DENY, AUDIT"),
        (
            entry(
                "shop",
                "{hosts: [a.b], ports: [{number: 80, name: x}], resolution: DNS_ROUND_ROBIN}",
            ),
            "; DNS_ROUND_ROBIN is not supported by this version",
        ),
        (
            entry(
                "shop",
                "{hosts: [a.b], ports: [{number: 80, name: x}], resolution: STATIC, endpoints: [{address: 10.0.0.1, network: n}]}",
            ),
            "found `network` of an endpoint; expected an endpoint that every client can reach; remove it; networks behind gateways are not supported by this version",
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: UDPRoute\nmetadata: {name: r}\n"
                .to_owned(),
            "; UDPRoute is not supported by this version: UDP is not taken to the proxy at all",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: r}\n".to_owned(),
            "; Gateway of networking.istio.io is another kind, and not supported by this version: write a Gateway of gateway.networking.k8s.io/v1 (docs/gateway.md)",
        ),
    ] {
        let found = diagnostics(&text);
        assert!(found.len() == 1 && found[0].ends_with(expect), "{text}: {found:#?}");
    }
}

/// As in Kubernetes, annotations are text. The line is the file's, whatever stands before the document.
#[test]
fn annotations_without_quotes() {
    let first = policy("{}");
    let second = |annotations: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: q\n  namespace: shop\n  annotations:\n    {annotations}\n"
        )
    };
    for (annotation, expect) in [
        (
            "istio.io/dry-run: true",
            "r.yaml:12:23: found the boolean true for the annotation `istio.io/dry-run` of AuthorizationPolicy shop/q; expected text in quotes; write istio.io/dry-run: \"true\"",
        ),
        (
            "example.org/generation: 7",
            "r.yaml:12:29: found the number 7 for the annotation `example.org/generation` of AuthorizationPolicy shop/q; expected text in quotes; write example.org/generation: \"7\"",
        ),
        (
            "example.org/on: yes",
            "r.yaml:12:21: found the boolean yes for the annotation `example.org/on` of AuthorizationPolicy shop/q; expected text in quotes; write example.org/on: \"yes\"",
        ),
        (
            "example.org/none:",
            "r.yaml:12:21: found nothing for the annotation `example.org/none` of AuthorizationPolicy shop/q; expected text in quotes",
        ),
        (
            "example.org/list: [a]",
            "r.yaml:12:23: found a list for the annotation `example.org/list` of AuthorizationPolicy shop/q; expected text in quotes",
        ),
    ] {
        check(&format!("{first}{}", second(annotation)), &[expect]);
    }
    check(&format!("{first}{}", second("example.org/empty: ''")), &[]);
}

#[test]
fn paths_that_no_pattern_has_are_told_alike_at_every_level() {
    for (path, expect) in [
        (
            "/a//b",
            "; a path is judged as an app reads it that merges slashes, too; write one: /a/b",
        ),
        (
            "/a//b/*",
            "; a path is judged as an app reads it that merges slashes, too; write one: /a/b/",
        ),
        (
            "/a//{*}",
            "; a path is judged as an app reads it that merges slashes, too; write one: /a/{*}",
        ),
        (
            "/a/../b",
            "; a path is judged as an app reads it that resolves dot segments, too; write it without them",
        ),
        ("/a\\b", "; a path is judged as an app reads it that takes \\ for a slash, too; write /"),
    ] {
        let found = diagnostics(&policy(&format!(
            "{{rules: [{{to: [{{operation: {{paths: ['{path}']}}}}]}}]}}"
        )));
        assert!(found.len() == 1 && found[0].ends_with(expect), "{path}: {found:#?}");
    }
}
