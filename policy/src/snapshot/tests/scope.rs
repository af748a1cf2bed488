//! Which policies hold for a workload, in which order, on TCP and before the first request.

use super::*;

fn object(kind: &str, name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

#[track_caller]
fn check(text: &str, ask: &TestRequest, expect: &str) {
    assert_eq!(ask.verdict(&snapshot(text)), expect, "{text}");
}

#[test]
fn s18_policy_semantics_order_and_defaults() {
    let ask = TestRequest::default();
    let all = "rules: [{}]";
    for (authorization, expect) in [
        (DefaultAuthorization::Deny, "deny - - default_deny"),
        (DefaultAuthorization::Audit, "allow - - default_audit"),
        (DefaultAuthorization::Allow, "allow - - default_allow"),
    ] {
        let defaults = PolicyDefaults { authorization, ..permissive() };
        assert_eq!(ask.verdict(&snapshot_with("# nothing\n", &defaults)), expect);
        let allow_nothing = snapshot_with(&policy("p", "{}"), &defaults);
        assert_eq!(ask.verdict(&allow_nothing), "deny - - no_matching_allow");
        let deny = snapshot_with(&policy("p", &format!("{{action: DENY, {all}}}")), &defaults);
        assert_eq!(ask.verdict(&deny), "deny shop/p 0 policy_denied");
        let audit = snapshot_with(&policy("p", &format!("{{action: AUDIT, {all}}}")), &defaults);
        assert_eq!(ask.verdict(&audit), expect);
        let audited = ask.with(|connection, request| audit.audited_by(connection, Some(request)));
        assert_eq!(audited.unwrap().policy().as_ref(), "shop/p");
    }
    let (allow, deny) =
        (policy("a", &format!("{{{all}}}")), policy("d", &format!("{{action: DENY, {all}}}")));
    check(&format!("{allow}{deny}"), &ask, "deny shop/d 0 policy_denied");
    check(&format!("{deny}{allow}"), &ask, "deny shop/d 0 policy_denied");
    let others = policy("b", "{rules: [{to: [{operation: {methods: [POST]}}]}, {}]}");
    check(&format!("{others}{allow}"), &ask, "allow shop/a 0 policy_allowed");
    check(&others, &ask, "allow shop/b 1 policy_allowed");
}

#[test]
fn s21_tenant_reach_of_policies() {
    let ask = TestRequest::default();
    let deny = |namespace: &str, selector: &str| {
        object(
            "AuthorizationPolicy",
            "d",
            namespace,
            &format!("{{action: DENY, {selector} rules: [{{}}]}}"),
        )
    };
    let allow = policy("a", "{rules: [{}]}");
    for (namespace, selector, denied) in [
        ("shop", "", true),
        ("bank", "", false),
        ("bank", "selector: {matchLabels: {app: cart}},", false),
        ("postern-system", "", true),
        ("postern-system", "selector: {matchLabels: {app: cart}},", true),
        ("postern-system", "selector: {matchLabels: {app: x}},", false),
        ("shop", "selector: {matchLabels: {app: cart}},", true),
        ("shop", "selector: {matchLabels: {app: cart, v: '2'}},", false),
        ("shop", "selector: {matchLabels: {}},", true),
    ] {
        let text = format!("{allow}{}", deny(namespace, selector));
        assert_eq!(
            ask.verdict(&snapshot(&text)).starts_with("deny"),
            denied,
            "{namespace} {selector}"
        );
    }
}

/// HTTP fields on TCP: an ALLOW rule is dropped whole, a DENY rule keeps the rest.
#[test]
fn s18_policy_semantics_http_fields_on_tcp() {
    let ask = TestRequest::default();
    for (rule, allowed, denied) in [
        ("{}", true, true),
        ("{to: [{operation: {ports: ['8080']}}]}", true, true),
        ("{to: [{operation: {methods: [POST]}}]}", false, true),
        ("{to: [{operation: {notMethods: [GET]}}]}", false, true),
        ("{to: [{operation: {ports: ['9'], methods: [POST]}}]}", false, false),
        ("{to: [{operation: {ports: ['8080'], paths: ['/x']}}]}", false, true),
        (
            "{from: [{source: {namespaces: [shop]}}, {source: {requestPrincipals: ['*']}}]}",
            false,
            true,
        ),
        ("{from: [{source: {namespaces: [x], requestPrincipals: ['*']}}]}", false, false),
        ("{when: [{key: 'request.headers[x]', values: [a]}]}", false, true),
        (
            "{when: [{key: source.namespace, values: [x]}, {key: 'request.headers[x]', values: [a]}]}",
            false,
            false,
        ),
    ] {
        let allow = snapshot(&policy("p", &format!("{{rules: [{rule}]}}")));
        assert_eq!(ask.opaque_verdict(&allow).starts_with("allow"), allowed, "ALLOW {rule}");
        let defaults =
            PolicyDefaults { authorization: DefaultAuthorization::Allow, ..permissive() };
        let deny =
            snapshot_with(&policy("p", &format!("{{action: DENY, rules: [{rule}]}}")), &defaults);
        assert_eq!(ask.opaque_verdict(&deny).starts_with("deny"), denied, "DENY {rule}");
    }
}

#[test]
fn s20_protocol_sniffing_before_the_first_request() {
    let post = "{to: [{operation: {methods: [POST]}}]}";
    let ours = "{from: [{source: {namespaces: [shop]}}]}";
    let foreign = "{from: [{source: {namespaces: [x]}}]}";
    let foreign_post =
        "{from: [{source: {namespaces: [x]}}], to: [{operation: {methods: [POST]}}]}";
    for (allow, deny, expect) in [
        ("", "", "deny - - default_deny"),
        (ours, "", "allow shop/a 0 policy_allowed"),
        (foreign, "", "deny - - no_matching_allow"),
        (foreign_post, "", "deny - - no_matching_allow"),
        (post, "", "undecided"),
        (ours, ours, "deny shop/d 0 policy_denied"),
        (ours, foreign, "allow shop/a 0 policy_allowed"),
        (ours, post, "undecided"),
        (ours, foreign_post, "allow shop/a 0 policy_allowed"),
    ] {
        let rule = |name: &str, action: &str, rule: &str| match rule {
            "" => "# nothing\n".to_owned(),
            _ => policy(name, &format!("{{action: {action}, rules: [{rule}]}}")),
        };
        let text = format!("{}{}", rule("a", "ALLOW", allow), rule("d", "DENY", deny));
        assert_eq!(TestRequest::default().connection_verdict(&snapshot(&text)), expect, "{text}");
    }
}

#[test]
fn s20_protocol_sniffing_ports_with_http_rules() {
    let of = |spec: &str| snapshot(&policy("p", spec));
    for (spec, on_8080, on_9090) in [
        ("{rules: [{}]}", false, false),
        ("{rules: [{to: [{operation: {ports: ['8080']}}]}]}", false, false),
        ("{rules: [{to: [{operation: {methods: [GET]}}]}]}", true, true),
        ("{rules: [{to: [{operation: {ports: ['8080'], methods: [GET]}}]}]}", true, false),
        (
            "{action: DENY, rules: [{to: [{operation: {ports: ['8080'], paths: [/a]}}, {operation: {ports: ['9090']}}]}]}",
            true,
            true,
        ),
        ("{action: AUDIT, rules: [{to: [{operation: {methods: [GET]}}]}]}", false, false),
        (
            "{rules: [{to: [{operation: {methods: [GET]}}], when: [{key: destination.port, values: ['9090']}]}]}",
            false,
            true,
        ),
    ] {
        let snapshot = of(spec);
        assert_eq!(
            (snapshot.has_http_rules(8080), snapshot.has_http_rules(9090)),
            (on_8080, on_9090),
            "{spec}"
        );
    }
}

#[test]
fn dry_run_policies_only_cast_a_shadow() {
    let dry = |name: &str, spec: &str| {
        policy(name, spec).replace(
            "namespace: shop}",
            "namespace: shop, annotations: {istio.io/dry-run: 'true'}}",
        )
    };
    let shadow = |snapshot: &Snapshot, ask: &TestRequest| {
        ask.with(|connection, request| snapshot.shadow(connection, Some(request)).map(shown))
    };
    let ask = TestRequest::default();
    let plain = snapshot(&policy("a", "{rules: [{}]}"));
    assert_eq!(shadow(&plain, &ask), None);
    let text =
        format!("{}{}", policy("a", "{rules: [{}]}"), dry("d", "{action: DENY, rules: [{}]}"));
    let denied = snapshot(&text);
    assert_eq!(ask.verdict(&denied), "allow shop/a 0 policy_allowed");
    assert_eq!(shadow(&denied, &ask).as_deref(), Some("deny shop/d 0 policy_denied"));
    let allowed = snapshot(&dry("d", "{rules: [{}]}"));
    assert_eq!(ask.verdict(&allowed), "deny - - default_deny");
    assert_eq!(shadow(&allowed, &ask).as_deref(), Some("allow shop/d 0 policy_allowed"));
}

#[test]
fn mtls_modes_the_narrowest_wins() {
    let peer = |name: &str, namespace: &str, spec: &str| {
        object("PeerAuthentication", name, namespace, spec)
    };
    let mesh = peer("mesh", "postern-system", "{mtls: {mode: DISABLE}}");
    let namespace = peer("ns", "shop", "{mtls: {mode: PERMISSIVE}}");
    let workload = |mode: &str| {
        peer(
            "wl",
            "shop",
            &format!(
                "{{selector: {{matchLabels: {{app: cart}}}}, mtls: {{mode: {mode}}}, portLevelMtls: {{8080: {{mode: DISABLE}}, 9090: {{mode: UNSET}}}}}}"
            ),
        )
    };
    let foreign = peer("f", "bank", "{mtls: {mode: DISABLE}}");
    let (strict, permissive, disable) = (MtlsMode::Strict, MtlsMode::Permissive, MtlsMode::Disable);
    for (text, port, expect) in [
        (foreign.clone(), 8080, strict),
        (mesh.clone(), 8080, disable),
        (format!("{mesh}{namespace}"), 8080, permissive),
        (format!("{mesh}{namespace}{}", workload("STRICT")), 7070, permissive),
        (format!("{mesh}{namespace}{}", workload("STRICT")), 6060, strict),
        (format!("{mesh}{namespace}{}", workload("STRICT")), 8080, disable),
        (format!("{mesh}{namespace}{}", workload("STRICT")), 9090, strict),
        (format!("{mesh}{namespace}{}", workload("UNSET")), 9090, permissive),
    ] {
        let defaults =
            PolicyDefaults { port_mtls: [(7070, permissive)].into(), ..PolicyDefaults::default() };
        assert_eq!(snapshot_with(&text, &defaults).mtls_mode(port), expect, "{text} {port}");
    }
    let dated = |name: &str, date: &str, mode: &str| {
        peer(name, "shop", &format!("{{mtls: {{mode: {mode}}}}}"))
            .replace("namespace: shop}", &format!("namespace: shop, creationTimestamp: '{date}'}}"))
    };
    let text = format!(
        "{}{}{namespace}",
        dated("a", "2026-02-01T00:00:00Z", "STRICT"),
        dated("z", "2026-01-01T00:00:00Z", "DISABLE")
    );
    assert_eq!(snapshot(&text).mtls_mode(1), disable, "the oldest wins a tie");
}

#[test]
fn mtls_modes_decide_who_the_peer_is() {
    let rules = format!(
        "{}{}",
        policy("a", "{rules: [{}]}"),
        policy("d", "{action: DENY, rules: [{from: [{source: {principals: ['*']}}]}]}")
    );
    for (mode, peer, expect) in [
        (MtlsMode::Strict, "", "deny - - peer_not_authenticated"),
        (MtlsMode::Strict, "td/ns/a/sa/b", "deny shop/d 0 policy_denied"),
        (MtlsMode::Permissive, "", "allow shop/a 0 policy_allowed"),
        (MtlsMode::Permissive, "td/ns/a/sa/b", "deny shop/d 0 policy_denied"),
        (MtlsMode::Disable, "td/ns/a/sa/b", "allow shop/a 0 policy_allowed"),
    ] {
        let snapshot =
            snapshot_with(&rules, &PolicyDefaults { mtls: mode, ..PolicyDefaults::default() });
        let ask = TestRequest::peer(peer);
        assert_eq!(ask.verdict(&snapshot), expect, "{mode:?} {peer}");
        assert_eq!(ask.opaque_verdict(&snapshot), expect, "{mode:?} {peer}");
        assert_eq!(ask.connection_verdict(&snapshot), expect, "{mode:?} {peer}");
    }
}

/// At the edge nobody needs a certificate, and a partner whose certificate is mapped is somebody.
#[test]
fn a_client_of_the_edge_is_nobody_or_a_partner() {
    let rules =
        policy("d", "{action: DENY, rules: [{from: [{source: {notPrincipals: [partner/acme]}}]}]}");
    let defaults = PolicyDefaults {
        authorization: DefaultAuthorization::Allow,
        edge: true,
        ..PolicyDefaults::default()
    };
    let strict = object("PeerAuthentication", "strict", "shop", "{mtls: {mode: STRICT}}");
    let snapshot = snapshot_with(&format!("{rules}{strict}"), &defaults);
    for (peer, expect) in [
        ("", "deny shop/d 0 policy_denied"),
        ("partner/other", "deny shop/d 0 policy_denied"),
        ("partner/acme", "allow - - default_allow"),
    ] {
        assert_eq!(TestRequest::peer(peer).verdict(&snapshot), expect, "{peer}");
    }
}

#[test]
fn policies_for_the_workloads_behind_a_service() {
    let entry = |endpoint: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e, namespace: shop}}\nspec: {{hosts: [cart.shop.svc.cluster.local], ports: [{{number: 80, name: http}}], resolution: STATIC, endpoints: [{{address: 10.0.0.1, {endpoint}}}]}}\n"
        )
    };
    let text = policy("p", "{targetRefs: [{kind: Service, name: cart}], rules: [{}]}");
    for (endpoint, selected) in [
        ("labels: {app: cart}", true),
        ("labels: {app: cart}, serviceAccount: cart", true),
        ("serviceAccount: cart", true),
        ("labels: {app: other}", false),
        ("labels: {app: cart, version: v2}", false),
        ("labels: {app: cart}, serviceAccount: other", false),
    ] {
        let verdict =
            TestRequest::default().verdict(&snapshot(&format!("{text}{}", entry(endpoint))));
        let expect =
            if selected { "allow shop/p 0 policy_allowed" } else { "deny - - default_deny" };
        assert_eq!(verdict, expect, "{endpoint}");
    }
}

/// Before a request is there, the client behind a trusted hop is not known: its address may be any.
#[test]
fn s16_who_speaks_for_the_client_before_the_first_request() {
    let rule = |action: &str, source: &str| {
        policy("p", &format!("{{action: {action}, rules: [{{from: [{{source: {source}}}]}}]}}"))
    };
    let allow_all = policy("a", "{rules: [{}]}");
    for (text, remote, expect) in [
        (rule("ALLOW", "{remoteIpBlocks: [1.2.3.0/24]}"), Some("1.2.3.4"), "allow"),
        (rule("ALLOW", "{remoteIpBlocks: [10.0.0.0/8]}"), Some("1.2.3.4"), "deny"),
        (rule("ALLOW", "{notRemoteIpBlocks: [10.0.0.0/8]}"), Some("1.2.3.4"), "allow"),
        (rule("DENY", "{remoteIpBlocks: [10.0.0.0/8]}") + &allow_all, Some("1.2.3.4"), "allow"),
        (rule("DENY", "{notRemoteIpBlocks: [1.2.3.0/24]}") + &allow_all, Some("1.2.3.4"), "allow"),
        (rule("DENY", "{remoteIpBlocks: [1.2.3.0/24]}") + &allow_all, Some("1.2.3.4"), "deny"),
    ] {
        let snapshot = snapshot(&text);
        let before = TestRequest::default().connection_verdict(&snapshot);
        assert_eq!(before, "undecided", "{text}");
        let request = TestRequest { remote, ..TestRequest::default() }.verdict(&snapshot);
        assert!(request.starts_with(expect), "{text}: {request}");
    }
}
