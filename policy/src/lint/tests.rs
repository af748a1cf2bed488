//! Findings, as tables: policies in, "severity code policy rule" out.
#![allow(clippy::unwrap_used, clippy::panic)]

mod topics;

use super::*;
use crate::SourceFile;

const PORTS: &[(u16, Protocol)] =
    &[(8080, Protocol::Http), (9000, Protocol::Tcp), (7000, Protocol::Auto)];

fn found(text: &str, ports: &[(u16, Protocol)], defaults: &PolicyDefaults) -> Vec<Finding> {
    let file = SourceFile { name: "r.yaml".into(), bytes: format!("# \n{text}").into_bytes() };
    let resources = Resources::parse(&[file], "root").unwrap_or_else(|m| panic!("{m}\n{text}"));
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: [("app".to_owned(), "cart".to_owned())].into(),
    };
    let context = LintContext {
        workload: &workload,
        defaults,
        trust_domain: &TrustDomain::parse("td").unwrap(),
        ports: &ports.iter().copied().collect(),
        undeclared_ports: false,
    };
    lint(&resources, &context)
}

fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

/// Policies `shop/p0`, `shop/p1`, … on a workload with one HTTP port.
#[track_caller]
fn check(specs: &[&str], expect: &[&str]) {
    let text: String =
        specs.iter().enumerate().map(|(n, spec)| policy("shop", &format!("p{n}"), spec)).collect();
    let findings = found(&text, &PORTS[..1], &PolicyDefaults::default());
    assert_eq!(findings.iter().map(shown).collect::<Vec<_>>(), expect, "{specs:?} {findings:#?}");
}

fn shown(finding: &Finding) -> String {
    let policy = finding.policy.as_deref().unwrap_or("-");
    let rule = finding.rule.map_or("-".to_owned(), |rule| rule.to_string());
    format!("{} {policy} {rule}", finding.code)
}

/// What a rule names and takes away again; beside it what is left something, or can fire after all.
#[test]
fn rules_that_take_away_all_that_they_name() {
    let caller = "from: [{source: {principals: [td/ns/a/sa/b]}}]";
    let rule = |action: &str, rule: &str| format!("{{action: {action}, rules: [{{{rule}}}]}}");
    let to = |operation: &str| format!("{caller}, to: [{operation}]");
    let when = |key: &str, values: &str| format!("{caller}, when: [{{key: '{key}', {values}}}]");
    let never = "never_matches shop/p0 0";
    for (spec, expect) in [
        (rule("ALLOW", &to("{operation: {paths: [/a/b], notPaths: [/a/*]}}")), never),
        (rule("ALLOW", &to("{operation: {paths: [/a/b, /c], notPaths: [/a/*]}}")), ""),
        (rule("ALLOW", &to("{operation: {paths: ['/a/*'], notPaths: [/a/b]}}")), ""),
        (rule("ALLOW", &to("{operation: {methods: [GET], notMethods: ['*']}}")), never),
        (
            rule(
                "ALLOW",
                &to("{operation: {hosts: [cart], notHosts: [cart]}}, {operation: {ports: ['80']}}"),
            ),
            "",
        ),
        (
            rule(
                "ALLOW",
                "from: [{source: {principals: [td/ns/a/sa/b], notPrincipals: ['td/ns/a/*']}}]",
            ),
            never,
        ),
        (
            rule(
                "DENY",
                "from: [{source: {principals: [td/ns/a/sa/b], notPrincipals: ['td/ns/a/*']}}]",
            ),
            never,
        ),
        (rule("DENY", &to("{operation: {ports: ['80'], notPorts: ['80', '81']}}")), never),
        (rule("DENY", &when("source.namespace", "values: [a], notValues: ['*']")), never),
        (rule("ALLOW", &when("request.headers[x]", "values: [a], notValues: [a]")), never),
        // On opaque bytes, in another reading, by another line of the header: DENY takes what it cannot rule out.
        (rule("DENY", &to("{operation: {paths: [/a], notPaths: [/a]}}")), ""),
        (rule("DENY", &when("request.headers[x]", "values: [a], notValues: [a]")), ""),
    ] {
        let expect: &[&str] = if expect.is_empty() { &[] } else { &[expect] };
        check(&[&spec], expect);
    }
}

#[test]
fn who_is_let_in() {
    let allow = |rule: &str| format!("{{rules: [{rule}]}}");
    let source = |source: &str| allow(&format!("{{from: [{{source: {source}}}]}}"));
    for (spec, expect) in [
        (allow("{}"), "allow_all shop/p0 0"),
        (allow("{to: [{operation: {methods: [GET]}}]}"), "unauthenticated_allow shop/p0 0"),
        (source("{ipBlocks: [10.0.0.0/8]}"), "unauthenticated_allow shop/p0 0"),
        (source("{notPrincipals: [td/ns/a/sa/b]}"), "unauthenticated_allow shop/p0 0"),
        (source("{principals: [td/ns/a/sa/b]}"), ""),
        (source("{principals: ['td/ns/a/*']}"), ""),
        (source("{principals: ['*']}"), "wildcard_principal shop/p0 0"),
        (source("{principals: ['*/ns/a/sa/b']}"), "wildcard_principal shop/p0 0"),
        (source("{principals: ['*'], namespaces: [a]}"), ""),
        (source("{namespaces: ['*']}"), "wildcard_principal shop/p0 0"),
        (source("{trustDomains: ['*'], namespaces: [a]}"), ""),
        (source("{serviceAccounts: [a/b]}"), ""),
        (source("{requestPrincipals: ['*']}"), ""),
        (allow("{when: [{key: source.namespace, values: [a]}]}"), ""),
        (
            allow("{when: [{key: source.namespace, notValues: [a]}]}"),
            "unauthenticated_allow shop/p0 0",
        ),
        (
            allow("{when: [{key: 'request.headers[x]', values: [a]}]}"),
            "unauthenticated_allow shop/p0 0",
        ),
        ("{action: DENY, rules: [{}]}".to_owned(), ""),
        ("{}".to_owned(), ""),
    ] {
        let expect: Vec<_> = Some(expect).filter(|expect| !expect.is_empty()).into_iter().collect();
        check(&[&spec], &expect);
    }
}

#[test]
fn rules_that_have_no_effect() {
    let from = |sa: &str, to: &str| {
        format!(
            "{{from: [{{source: {{principals: [td/ns/a/sa/{sa}]}}}}], to: [{{operation: {to}}}]}}"
        )
    };
    let (read, all) = (from("b", "{methods: [GET], paths: [/a/b]}"), from("b", "{paths: [/a/*]}"));
    let other = from("c", "{paths: [/a/*]}");
    let rules = |action: &str, rules: &[&String]| {
        let rules: Vec<_> = rules.iter().map(|rule| rule.as_str()).collect();
        format!("{{action: {action}, rules: [{}]}}", rules.join(", "))
    };
    check(&[&rules("ALLOW", &[&read, &all])], &["shadowed_rule shop/p0 0"]);
    check(&[&rules("ALLOW", &[&all, &read])], &["shadowed_rule shop/p0 1"]);
    check(&[&rules("ALLOW", &[&all, &all])], &["shadowed_rule shop/p0 1"]);
    check(&[&rules("ALLOW", &[&all, &other])], &[]);
    check(&[&rules("ALLOW", &[&read]), &rules("DENY", &[&all])], &["shadowed_rule shop/p0 0"]);
    check(&[&rules("ALLOW", &[&all]), &rules("DENY", &[&read])], &[]);
    check(&[&rules("DENY", &[&read, &all])], &["shadowed_rule shop/p0 0"]);
    check(&[&rules("AUDIT", &[&all]), &rules("ALLOW", &[&all])], &[]);
    let narrow = read.replace("to:", "when: [{key: source.ip, values: [10.0.0.1]}], to:");
    check(&[&rules("ALLOW", &[&read, &narrow])], &["shadowed_rule shop/p0 1"]);
    check(&[&rules("ALLOW", &[&narrow, &read])], &["shadowed_rule shop/p0 0"]);
    // Another selector, another workload: only the wider policy hides the narrower.
    let selected = |app: &str| {
        rules("ALLOW", &[&all])
            .replace("{action", &format!("{{selector: {{matchLabels: {{app: {app}}}}}, action"))
    };
    check(&[&selected("cart"), &selected("pay")], &[]);
    check(&[&rules("ALLOW", &[&all]), &selected("pay")], &["shadowed_rule shop/p1 0"]);
    check(&[&selected("pay"), &rules("ALLOW", &[&all])], &["shadowed_rule shop/p0 0"]);
}

#[test]
fn http_fields_on_opaque_ports() {
    let check = |spec: &str, expect: &[&str]| {
        let findings = found(&policy("shop", "p", spec), PORTS, &PolicyDefaults::default());
        let findings: Vec<_> =
            findings.iter().filter(|f| f.code == "http_on_tcp_port").map(shown).collect();
        assert_eq!(findings, expect, "{spec}");
    };
    let to = |action: &str, to: &str| {
        format!(
            "{{action: {action}, rules: [{{from: [{{source: {{namespaces: [a]}}}}], to: [{{operation: {to}}}]}}]}}"
        )
    };
    check(&to("ALLOW", "{ports: ['9000'], methods: [GET]}"), &["http_on_tcp_port shop/p 0"]);
    check(
        &to("ALLOW", "{ports: ['9000', '8080'], methods: [GET]}"),
        &["http_on_tcp_port shop/p 0"],
    );
    check(
        &to("ALLOW", "{ports: ['9000']}}, {operation: {ports: ['8080'], methods: [GET]}"),
        &["http_on_tcp_port shop/p 0"],
    );
    check(&to("ALLOW", "{ports: ['8080'], methods: [GET]}"), &[]);
    check(&to("ALLOW", "{ports: ['9000']}"), &[]);
    check(&to("ALLOW", "{methods: [GET]}"), &[]);
    check(&to("DENY", "{methods: [GET]}"), &["http_on_tcp_port shop/p 0"]);
    check(&to("DENY", "{ports: ['8080'], methods: [GET]}"), &[]);
    let other = to("DENY", "{methods: [GET]}")
        .replace("{action", "{selector: {matchLabels: {app: x}}, action");
    check(&other, &[]);
}

#[test]
fn callers_that_nobody_knows() {
    let entry = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: f, namespace: shop}\nspec: {hosts: [f.shop.svc.cluster.local], ports: [{number: 80, name: http}], subjectAltNames: ['spiffe://td/ns/shop/sa/frontend']}\n";
    let check = |entry: &str, source: &str, expect: usize| {
        let spec = format!("{{rules: [{{from: [{{source: {source}}}]}}]}}");
        let text = policy("shop", "p", &spec) + entry;
        let findings = found(&text, &PORTS[..1], &PolicyDefaults::default());
        let findings = findings.iter().filter(|f| f.code == "unknown_caller").count();
        assert_eq!(findings, expect, "{source}");
    };
    check(entry, "{principals: [td/ns/shop/sa/frontend]}", 0);
    check(entry, "{principals: [td/ns/shop/sa/cart]}", 0);
    check(entry, "{principals: [td/ns/shop/sa/frontent]}", 1);
    check(entry, "{principals: [td/ns/shop/sa/frontent, td/ns/shop/sa/frontend]}", 0);
    check(entry, "{serviceAccounts: [frontend]}", 0);
    check(entry, "{serviceAccounts: [shpo/frontend]}", 1);
    check(entry, "{namespaces: [shop]}", 0);
    check(entry, "{namespaces: [shop], notPrincipals: ['td/ns/shop/*']}", 1);
    check(entry, "{principals: [other.td/ns/shop/sa/frontend]}", 0);
    check(entry, "{ipBlocks: [10.0.0.1]}", 0);
    check("", "{principals: [td/ns/shop/sa/frontent]}", 0);
}

#[test]
fn users_of_several_issuers_that_become_one() {
    let exchange = |spec: &str| {
        format!(
            "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TokenExchange\nmetadata: {{name: e, namespace: shop}}\nspec: {spec}\n"
        )
    };
    let tokens = |issuers: &[&str], selector: &str| {
        let rules: Vec<_> =
            issuers.iter().map(|issuer| format!("{{issuer: '{issuer}'}}")).collect();
        let rules = rules.join(", ");
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r, namespace: shop}}\nspec: {{{selector}jwtRules: [{rules}]}}\n"
        )
    };
    let (staff, customers) = ("https://staff.example", "https://customers.example");
    let other = "selector: {matchLabels: {app: other}}, ";
    for (row, text, expect) in [
        ("both", tokens(&[staff, customers], "") + &exchange("{}"), 1),
        ("one", tokens(&[staff], "") + &exchange("{}"), 0),
        ("one, and the mesh", tokens(&[staff, "spiffe://td"], "") + &exchange("{}"), 0),
        (
            "issuers are named",
            tokens(&[staff, customers], "") + &exchange(&format!("{{issuers: ['{staff}']}}")),
            0,
        ),
        ("nothing is exchanged", tokens(&[staff, customers], ""), 0),
        ("another workload's", tokens(&[staff, customers], other) + &exchange("{}"), 0),
    ] {
        let findings = found(&text, &PORTS[..1], &PolicyDefaults::default());
        assert_eq!(findings.iter().filter(|f| f.code == "mixed_users").count(), expect, "{row}");
    }
}

#[test]
fn the_configuration() {
    let codes = |ports: &[(u16, Protocol)], authorization| {
        let defaults = PolicyDefaults { authorization, ..PolicyDefaults::default() };
        found("", ports, &defaults).into_iter().map(|f| (f.severity, f.code)).collect::<Vec<_>>()
    };
    use DefaultAuthorization::{Allow, Audit, Deny};
    use Severity::{Notice, Warning};
    assert_eq!(codes(&PORTS[..1], Deny), []);
    assert_eq!(codes(&PORTS[..1], Audit), [(Notice, "default_allows")]);
    assert_eq!(codes(&PORTS[..1], Allow), [(Warning, "default_allows")]);
    let found = found("", PORTS, &PolicyDefaults::default());
    assert_eq!(found[0].code, "forwarded_identity_untrusted");
    assert!(found[0].found.ends_with("7000 (auto), 9000 (tcp)"), "{}", found[0].found);
}

#[test]
fn findings_say_where() {
    let findings =
        found(&policy("shop", "p", "\n  rules:\n  - {}"), &PORTS[..1], &PolicyDefaults::default());
    assert_eq!(findings[0].place.as_deref(), Some("r.yaml:8:5"));
}
