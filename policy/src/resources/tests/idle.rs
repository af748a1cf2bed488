//! What reads as a restriction and can never take effect is refused, beside what looks alike and holds.

use super::*;
use crate::yaml::DiagnosticCode;

/// One diagnostic, of this sort, whose line ends so; none where nothing is expected.
#[track_caller]
fn one(text: &str, code: DiagnosticCode, expect: &str) {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    let found = match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.into_vec(),
    };
    assert_eq!(found.len(), usize::from(!expect.is_empty()), "{text}: {found:#?}");
    for diagnostic in found {
        assert_eq!(diagnostic.code, code, "{text}: {diagnostic}");
        assert!(diagnostic.to_string().contains(expect), "{text}: {diagnostic}");
    }
}

fn object(kind: &str, metadata: &str, spec: &str) -> String {
    let group =
        if kind == "TokenPolicy" { "policy.postern.dev/v1alpha1" } else { "security.istio.io/v1" };
    format!(
        "apiVersion: {group}\nkind: {kind}\nmetadata: {{name: p, namespace: shop{metadata}}}\nspec: {spec}\n"
    )
}

#[test]
fn s18_policy_semantics_a_policy_that_never_fires_is_refused() {
    for (spec, expect) in [
        (
            "{action: DENY}",
            "found action DENY without rules, which never matches; expected at least one rule; write rules: [{}]",
        ),
        ("{action: DENY, rules: []}", "found action DENY without rules"),
        ("{action: DENY, selector: {matchLabels: {app: cart}}}", "found action DENY without rules"),
        ("{action: AUDIT}", "found action AUDIT without rules"),
        ("{action: AUDIT, rules: []}", "found action AUDIT without rules"),
        ("{action: DENY, rules: [{}]}", ""),
        ("{action: AUDIT, rules: [{}]}", ""),
        // Allows nothing, and says so to everybody: documented, and often meant.
        ("{}", ""),
        ("{action: ALLOW}", ""),
        ("{rules: []}", ""),
    ] {
        one(&policy(spec), DiagnosticCode::NoEffect, expect);
    }
}

#[test]
fn s18_policy_semantics_labels_that_no_workload_can_have() {
    let long = "a".repeat(64);
    let prefix = format!("{}.io/app", "a".repeat(254));
    let specs: &[(&str, &str)] = &[
        ("AuthorizationPolicy", "action: DENY, rules: [{}]"),
        ("PeerAuthentication", "mtls: {mode: STRICT}"),
        ("RequestAuthentication", "jwtRules: [{issuer: 'https://id.example'}]"),
        ("TokenPolicy", "issuer: me, confirmation: REQUIRED"),
    ];
    for (kind, rest) in specs {
        for (label, code, expect) in [
            ("app: cart", DiagnosticCode::Value, ""),
            ("app.kubernetes.io/name: cart-v1.2_x", DiagnosticCode::Value, ""),
            (
                "app: ''",
                DiagnosticCode::NoEffect,
                "for `app`; expected a value: with none it would select nobody; write the value",
            ),
            (
                "'': cart",
                DiagnosticCode::Value,
                "found the label key \"\"; expected a key that a label can have; a label's key is",
            ),
            ("-app: cart", DiagnosticCode::Value, "found the label key \"-app\""),
            ("a/b/c: cart", DiagnosticCode::Value, "found the label key \"a/b/c\""),
            ("'my app': cart", DiagnosticCode::Value, "found the label key \"my app\""),
            ("App.io/name: cart", DiagnosticCode::Value, "found the label key \"App.io/name\""),
            (&format!("{long}: cart"), DiagnosticCode::Value, "found the label key"),
            (&format!("{prefix}: cart"), DiagnosticCode::Value, "found the label key"),
            (
                "app: 'my cart'",
                DiagnosticCode::Value,
                "found the text \"my cart\" for `app`; expected a value that a label can have; a label's value is",
            ),
            ("app: cart-", DiagnosticCode::Value, "a value that a label can have"),
            ("app: shop/cart", DiagnosticCode::Value, "a value that a label can have"),
            (&format!("app: {long}"), DiagnosticCode::Value, "a value that a label can have"),
            ("app: 'c*'", DiagnosticCode::Value, "a label without *"),
            (
                "app: 2",
                DiagnosticCode::Unquoted,
                "found the number 2 for `app`; expected text; write \"2\" in quotes",
            ),
        ] {
            one(
                &object(kind, "", &format!("{{selector: {{matchLabels: {{{label}}}}}, {rest}}}")),
                code,
                expect,
            );
        }
    }
    // Labels that describe a workload may be empty, and are of the same syntax.
    let endpoint = |label: &str| {
        entry(
            "shop",
            &format!(
                "{{hosts: [a.b], ports: [{{number: 80, name: x}}], resolution: STATIC, endpoints: [{{address: 10.0.0.1, labels: {{{label}}}}}]}}"
            ),
        )
    };
    one(&endpoint("app: ''"), DiagnosticCode::Value, "");
    one(&endpoint("app: 'a b'"), DiagnosticCode::Value, "a value that a label can have");
    one(&object("AuthorizationPolicy", ", labels: {app: ''}", "{}"), DiagnosticCode::Value, "");
    one(
        &object("AuthorizationPolicy", ", labels: {a b: c}", "{}"),
        DiagnosticCode::Value,
        "found the label key \"a b\"",
    );
}

#[test]
fn s18_policy_semantics_annotations_that_do_nothing() {
    let made = entry("shop", "{hosts: [a.b], ports: [{number: 80, name: x}]}");
    let made = made.replace("namespace: shop", "namespace: shop, annotations: {postern.dev/x: y}");
    one(&made, DiagnosticCode::NoEffect, "");
    let dry = "istio.io/dry-run: \"true\"";
    let tokens = "{jwtRules: [{issuer: 'https://id.example'}]}";
    for (kind, annotation, spec, code, expect) in [
        ("AuthorizationPolicy", dry, "{}", DiagnosticCode::NoEffect, ""),
        ("AuthorizationPolicy", dry, "{action: DENY, rules: [{}]}", DiagnosticCode::NoEffect, ""),
        (
            "AuthorizationPolicy",
            dry,
            "{action: AUDIT, rules: [{}]}",
            DiagnosticCode::NoEffect,
            "found the annotation `istio.io/dry-run` beside action AUDIT; expected one of the two; remove it",
        ),
        (
            "AuthorizationPolicy",
            "istio.io/dry-run: \"false\"",
            "{action: AUDIT, rules: [{}]}",
            DiagnosticCode::NoEffect,
            "",
        ),
        (
            "RequestAuthentication",
            dry,
            tokens,
            DiagnosticCode::NoEffect,
            "found the annotation `istio.io/dry-run` of RequestAuthentication shop/p; expected dry-run of an AuthorizationPolicy alone; remove it",
        ),
        (
            "RequestAuthentication",
            "istio.io/dry-run: \"false\"",
            tokens,
            DiagnosticCode::NoEffect,
            "",
        ),
        (
            "PeerAuthentication",
            dry,
            "{mtls: {mode: STRICT}}",
            DiagnosticCode::NoEffect,
            "`istio.io/dry-run` of PeerAuthentication shop/p",
        ),
        (
            "TokenPolicy",
            dry,
            "{issuer: me, confirmation: REQUIRED}",
            DiagnosticCode::NoEffect,
            "`istio.io/dry-run` of TokenPolicy shop/p",
        ),
        (
            "AuthorizationPolicy",
            "istio.io/dryrun: \"true\"",
            "{}",
            DiagnosticCode::NoEffect,
            "expected an annotation that is known; did you mean istio.io/dry-run?",
        ),
        (
            "AuthorizationPolicy",
            "postern.dev/mtls: STRICT",
            "{}",
            DiagnosticCode::NoEffect,
            "expected no annotation of Postern on a policy; remove it",
        ),
        (
            "AuthorizationPolicy",
            "istio.io/dry-run: \"yes\"",
            "{}",
            DiagnosticCode::Value,
            "expected \"true\" or \"false\"",
        ),
        (
            "AuthorizationPolicy",
            "security.istio.io/dry-run: \"true\"",
            "{}",
            DiagnosticCode::NoEffect,
            "the annotation `security.istio.io/dry-run` of AuthorizationPolicy shop/p; expected an annotation that is known; write istio.io/dry-run",
        ),
        (
            "PeerAuthentication",
            "policy.istio.io/dryRun: \"true\"",
            "{mtls: {mode: STRICT}}",
            DiagnosticCode::NoEffect,
            "expected an annotation that is known; remove it",
        ),
        (
            "AuthorizationPolicy",
            "example.org/dry-run: \"true\"",
            "{}",
            DiagnosticCode::NoEffect,
            "",
        ),
        ("AuthorizationPolicy", "example.org/owner: shop", "{}", DiagnosticCode::NoEffect, ""),
        (
            "AuthorizationPolicy",
            "a b: shop",
            "{}",
            DiagnosticCode::Value,
            "the annotation key \"a b\"",
        ),
    ] {
        one(&object(kind, &format!(", annotations: {{{annotation}}}"), spec), code, expect);
    }
}

#[test]
fn s18_policy_semantics_objects_that_say_nothing() {
    let select = "selector: {matchLabels: {app: cart}}";
    for (kind, spec, code, expect) in [
        (
            "PeerAuthentication",
            format!("{{{select}, portLevelMtls: {{}}}}"),
            DiagnosticCode::NoEffect,
            "found an empty `portLevelMtls`; expected at least one port",
        ),
        (
            "PeerAuthentication",
            format!("{{{select}, portLevelMtls: {{8080: {{}}}}}}"),
            DiagnosticCode::NoEffect,
            "found an empty `8080`; expected `mode`",
        ),
        (
            "PeerAuthentication",
            format!("{{{select}, portLevelMtls: {{8080: {{mode: UNSET}}}}}}"),
            DiagnosticCode::NoEffect,
            "",
        ),
        (
            "PeerAuthentication",
            format!("{{{select}, portLevelMtls: {{'+80': {{mode: STRICT}}}}}}"),
            DiagnosticCode::Value,
            "a port from 1 to 65535",
        ),
        (
            "PeerAuthentication",
            format!("{{{select}, portLevelMtls: {{'080': {{mode: STRICT}}}}}}"),
            DiagnosticCode::Value,
            "a port from 1 to 65535",
        ),
        (
            "PeerAuthentication",
            "{mtls: {}}".into(),
            DiagnosticCode::NoEffect,
            "found an empty `mtls`; expected `mode`; write {mode: STRICT}",
        ),
        ("PeerAuthentication", "{mtls: {mode: UNSET}}".into(), DiagnosticCode::NoEffect, ""),
        (
            "PeerAuthentication",
            "{}".into(),
            DiagnosticCode::NoEffect,
            "a PeerAuthentication without a mode",
        ),
        (
            "PeerAuthentication",
            format!("{{{select}}}"),
            DiagnosticCode::NoEffect,
            "a PeerAuthentication without a mode",
        ),
        (
            "RequestAuthentication",
            "{}".into(),
            DiagnosticCode::NoEffect,
            "a RequestAuthentication without rules, which checks no token; expected `jwtRules`",
        ),
        (
            "RequestAuthentication",
            format!("{{{select}}}"),
            DiagnosticCode::NoEffect,
            "a RequestAuthentication without rules",
        ),
        (
            "RequestAuthentication",
            "{jwtRules: []}".into(),
            DiagnosticCode::EmptyList,
            "an empty list for `jwtRules`",
        ),
        (
            "TokenPolicy",
            "{issuer: me}".into(),
            DiagnosticCode::NoEffect,
            "a TokenPolicy that asks nothing",
        ),
        ("TokenPolicy", "{issuer: me, audience: OPTIONAL}".into(), DiagnosticCode::NoEffect, ""),
    ] {
        one(&object(kind, "", &spec), code, expect);
    }
    let without_spec = |kind: &str| object(kind, "", "").replace("spec: \n", "");
    one(&without_spec("PeerAuthentication"), DiagnosticCode::NoEffect, "without a mode");
    one(&without_spec("RequestAuthentication"), DiagnosticCode::NoEffect, "without rules");
    one(
        &entry("shop", "{hosts: [a.b], ports: [{number: 80, name: x}], exportTo: []}"),
        DiagnosticCode::EmptyList,
        "an empty list for `exportTo`",
    );
}

#[test]
fn s18_policy_semantics_fields_whose_values_cannot_match() {
    for (rule, expect) in [
        (
            "from: [{source: {namespaces: [shop/cart]}}]",
            "for `namespaces`; expected a value that can match; a namespace is",
        ),
        ("from: [{source: {notNamespaces: ['ns shop']}}]", "a namespace is letters"),
        ("from: [{source: {trustDomains: ['spiffe://td']}}]", "without spiffe://"),
        ("from: [{source: {principals: ['*/sa/x/']}}]", "no id ends with a slash"),
        (
            "to: [{operation: {methods: [delete]}}]",
            "methods are compared with their case; write DELETE",
        ),
        ("to: [{operation: {methods: ['GET,POST']}}]", "a method is one word"),
        ("to: [{operation: {paths: ['*/..']}}]", "resolves dot segments"),
        ("when: [{key: source.namespace, values: [a/b]}]", "a namespace is letters"),
        ("when: [{key: source.trustDomain, values: [TD]}]", "a trust domain is lower-case"),
    ] {
        let found = diagnostics(&policy(&format!("{{action: DENY, rules: [{{{rule}}}]}}")));
        assert!(found.len() == 1 && found[0].contains(expect), "{rule}: {found:#?}");
    }
}

/// Fields that are taken off every request before a rule is asked: a condition on them would never match.
#[test]
fn s15_header_conditions_on_fields_that_are_taken_off() {
    for (name, expect) in [
        ("x-forwarded-client-cert", "name callers by `source.principal`"),
        ("X-Forwarded-Client-Cert", "name callers by `source.principal`"),
        ("x_forwarded_client_cert", "name callers by `source.principal`"),
        ("x-postern-reason", "the proxy's own"),
        ("x_postern_any", "the proxy's own"),
        ("connection", "about one connection"),
        ("Keep-Alive", "about one connection"),
        ("te", "about one connection"),
        ("transfer-encoding", "about one connection"),
        ("proxy-connection", "about one connection"),
        ("proxy-authorization", "about one connection"),
        ("proxy-authenticate", "about one connection"),
        ("http2-settings", "about one connection"),
        // The configuration may say whom to believe them.
        ("x-forwarded-for", ""),
        ("forwarded", ""),
        ("x-real-ip", ""),
        // Of a request that asks for another protocol it stays.
        ("upgrade", ""),
        ("x-postern", ""),
        ("authorization", ""),
        ("content-length", ""),
    ] {
        for (action, values) in [("DENY", "values"), ("ALLOW", "values"), ("ALLOW", "notValues")] {
            let spec = format!(
                "{{action: {action}, rules: [{{when: [{{key: 'request.headers[{name}]', {values}: ['a*']}}]}}]}}"
            );
            one(&policy(&spec), DiagnosticCode::NoEffect, expect);
        }
    }
}

/// What Istio reads as an annotation says nothing as a label.
#[test]
fn s18_policy_semantics_labels_that_do_nothing() {
    for (kind, label, spec, expect) in [
        (
            "AuthorizationPolicy",
            "istio.io/dry-run: 'true'",
            "{}",
            "found the label `istio.io/dry-run` of AuthorizationPolicy shop/p; expected an annotation; write annotations: {istio.io/dry-run: \"true\"}",
        ),
        (
            "AuthorizationPolicy",
            "istio.io/dry_run: 'true'",
            "{}",
            "found the label `istio.io/dry_run`",
        ),
        (
            "AuthorizationPolicy",
            "security.istio.io/dry-run: 'true'",
            "{}",
            "expected an annotation",
        ),
        ("PeerAuthentication", "istio.io/dry-run: 'true'", "{mtls: {mode: STRICT}}", "; remove it"),
        ("AuthorizationPolicy", "istio.io/rev: canary", "{}", ""),
        ("AuthorizationPolicy", "app: cart", "{}", ""),
    ] {
        one(
            &object(kind, &format!(", labels: {{{label}}}"), spec),
            DiagnosticCode::NoEffect,
            expect,
        );
    }
}
