//! What files are taken, and what is said about those that are not.
#![allow(clippy::unwrap_used)]

mod advice;
mod idle;
mod lists;
mod routes;
mod tokens;

use super::*;

/// The diagnostics of one file, as lines.
fn diagnostics(text: &str) -> Vec<String> {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn check(text: &str, expect: &[&str]) {
    assert_eq!(diagnostics(text), expect, "{text}");
}

/// An AuthorizationPolicy with this spec, which begins at line 4, column 7.
fn policy(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n"
    )
}

fn entry(namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn peer(namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: m, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

#[test]
fn good_files() {
    for text in [
        "# an empty set\n".to_owned(),
        "---\n# nothing\n---\n".to_owned(),
        policy("{}"),
        policy("{rules: [{}]}"),
        policy("{action: DENY, selector: {matchLabels: {app: cart}}, rules: [{to: [{operation: {ports: ['8080'], paths: [/a/*]}}]}]}"),
        policy("{rules: [{from: [{source: {principals: ['*'], notNamespaces: [x]}}, {source: {requestPrincipals: ['https://i/*']}}]}]}"),
        policy("{action: AUDIT, rules: [{when: [{key: 'request.auth.claims[a][b]', values: [x]}, {key: 'request.headers[X-Role]', notValues: [x]}]}]}"),
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop, annotations: {istio.io/dry-run: \"true\", other: x}, uid: 1, generation: 2}\nstatus: {}\n".to_owned(),
        peer("shop", "{mtls: {mode: STRICT}}"),
        peer("postern-system", "{mtls: {mode: PERMISSIVE}}"),
        peer("shop", "{selector: {matchLabels: {app: cart}}, portLevelMtls: {8080: {mode: DISABLE}}}"),
        entry("shop", "{hosts: [cart.shop.svc.cluster.local], ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}], location: MESH_INTERNAL, resolution: STATIC, endpoints: [{address: 10.0.0.1, serviceAccount: cart, labels: {app: cart}, ports: {http: 81}}], exportTo: ['.']}"),
        entry("postern-system", "{hosts: [cart.shop.svc.cluster.local], ports: [{number: 80, name: http}]}"),
    ] {
        check(&text, &[]);
    }
}

#[test]
fn f10_torn_and_repeated() {
    assert_eq!(
        diagnostics(""),
        [
            "r.yaml: found a file of 0 bytes; expected YAML documents; write the file whole, or a comment for an empty set"
        ]
    );
    let files = [("a.yaml", policy("{}")), ("b.yaml", policy("{}"))];
    let files =
        files.map(|(name, text)| SourceFile { name: name.into(), bytes: text.into_bytes() });
    let found = Resources::parse(&files, DEFAULT_ROOT_NAMESPACE).unwrap_err().to_string();
    assert_eq!(
        found,
        "b.yaml:1:1: found AuthorizationPolicy shop/p again; expected each object once; it stands already at a.yaml:1:1; rename or remove one"
    );
    check(
        &format!("{}---\n{}", policy("{action: ALLOW, action: DENY}"), policy("{action: deny}")),
        &[
            "r.yaml:4:23: found the key `action` again; expected each key once; `action` stands already at line 4; remove one",
            "r.yaml:6:1: found AuthorizationPolicy shop/p again; expected each object once; it stands already at r.yaml:1:1; rename or remove one",
            "r.yaml:9:16: found the text \"deny\" for `action`; expected one of ALLOW, DENY, AUDIT; did you mean DENY?",
        ],
    );
}

#[test]
fn s18_policy_semantics_unknown_objects_and_fields() {
    let head = |api: &str, kind: &str| {
        format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: p, namespace: shop}}\n")
    };
    const KINDS: &str = "expected one of AuthorizationPolicy, PeerAuthentication, RequestAuthentication, ServiceEntry, DestinationRule, AbusePolicy, ApiKeyPolicy, ApiSchema, ClientCredentials, ClientTrafficPolicy, FaultInjection, RateLimitPolicy, SignIn, ThreatPolicy, TokenExchange, TokenPolicy, TokenIntrospection, TokenRevocation, TopicPolicy, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, ReferenceGrant, Gateway, GatewayClass, ListenerSet, BackendTLSPolicy, Secret, ConfigMap, Namespace";
    check(
        &head("apps/v1", "Deployment"),
        &[&format!(
            "r.yaml:2:7: found kind Deployment; {KINDS}; Deployment of apps/v1 is no policy; keep it in another directory"
        )],
    );
    check(
        &head("security.istio.io/v1", "AuthorisationPolicy"),
        &[&format!(
            "r.yaml:2:7: found kind AuthorisationPolicy; {KINDS}; did you mean AuthorizationPolicy?"
        )],
    );
    check(
        &head("telemetry.istio.io/v1", "Anything"),
        &[&format!(
            "r.yaml:2:7: found kind Anything, which is not supported; {KINDS}; Anything is not supported by this version"
        )],
    );
    check(
        &head("policy.postern.dev/v1alpha1", "RateLimit"),
        &[&format!(
            "r.yaml:2:7: found kind RateLimit, which is not supported; {KINDS}; RateLimit of policy.postern.dev/v1alpha1 is not supported by this version"
        )],
    );
    check(
        &head("security.istio.io/v1beta2", "AuthorizationPolicy"),
        &[
            "r.yaml:1:13: found the text \"security.istio.io/v1beta2\" for `apiVersion`; expected security.istio.io/v1, the version of kind AuthorizationPolicy",
        ],
    );
    check(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nsepc: {}\n",
        &[
            "r.yaml:3:11: found no `namespace` in `metadata`; expected the key `namespace`",
            "r.yaml:4:1: found the unknown key `sepc` in the document; expected one of apiVersion, kind, metadata, spec, status; did you mean `spec`?",
        ],
    );
    check(
        "just text\n",
        &["r.yaml:1:1: found the text \"just text\" for the document; expected a mapping"],
    );
    check(
        &policy("{rules: [{form: [{source: {principals: ['*']}}]}]}"),
        &[
            "r.yaml:4:17: found the unknown key `form` in `rules`; expected one of from, to, when; did you mean `from`?",
        ],
    );
    check(
        &policy("{rules: [{to: [{operation: {method: [GET]}}]}]}"),
        &[
            "r.yaml:4:35: found the unknown key `method` in `operation`; expected one of hosts, notHosts, ports, notPorts, methods, notMethods, paths, notPaths; did you mean `methods`?",
        ],
    );
    check(
        &policy("{action: CUSTOM, provider: {name: x}, rules: [{}]}"),
        &[
            "r.yaml:4:16: found the text \"CUSTOM\" for `action`; expected ALLOW, DENY or AUDIT; external providers (CUSTOM) are not supported by this version",
            "r.yaml:4:34: found `provider`; expected action, selector, targetRefs or rules; external providers (CUSTOM) are not supported by this version",
        ],
    );
}

#[test]
fn s18_policy_semantics_values_that_cannot_match() {
    for (spec, expect) in [
        (
            "{rules: [{from: []}]}",
            "found an empty list for `from`; expected at least one item; remove `from`, or name at least one",
        ),
        (
            "{rules: [{from: [{source: {}}]}]}",
            "found an empty `source`; expected at least one field; remove the list to match all",
        ),
        (
            "{rules: [{from: [{source: {principals: []}}]}]}",
            "found an empty list for `principals`; expected at least one item; remove `principals`, or name at least one",
        ),
        (
            "{rules: [{from: [{source: {principals: [a*b]}}]}]}",
            "found the text \"a*b\" for `principals`; expected a value that can match; a * stands alone, at the end (prefix*) or at the start (*suffix), and once",
        ),
        (
            "{rules: [{from: [{source: {principals: ['spiffe://td/ns/a/sa/b']}}]}]}",
            "found the text \"spiffe://td/ns/a/sa/b\" for `principals`; expected a value that can match; write the id without spiffe://",
        ),
        (
            "{rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}",
            "found service accounts beside principals or namespaces; expected one of them in a source; write two sources, or one of the fields",
        ),
        (
            "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/40]}}]}]}",
            "found the text \"10.0.0.0/40\" for `ipBlocks`; expected a value that can match; write an address (10.0.0.7) or a block (10.0.0.0/8)",
        ),
        (
            "{rules: [{to: [{operation: {ports: [8080]}}]}]}",
            "found the number 8080 for `ports`; expected text; write \"8080\" in quotes",
        ),
        (
            "{rules: [{to: [{operation: {ports: ['0']}}]}]}",
            "found the text \"0\" for `ports`; expected a value that can match; write a port from 1 to 65535, as \"8080\"",
        ),
        (
            "{rules: [{to: [{operation: {paths: [admin]}}]}]}",
            "found the text \"admin\" for `paths`; expected a value that can match; a path begins with /",
        ),
        (
            "{rules: [{when: [{key: source.ip}]}]}",
            "found no `values`; expected `values` or `notValues`; a condition without values would always hold",
        ),
        (
            "{rules: [{when: [{key: experimental.envoy.filters.x, values: [a]}]}]}",
            "found the text \"experimental.envoy.filters.x\" for `key`; expected one of request.headers[name], source.ip, remote.ip, source.namespace, source.principal, source.trustDomain, source.serviceAccount, request.auth.principal, request.auth.audiences, request.auth.presenter, request.auth.claims[name], request.auth.apiKey[client], destination.ip, destination.port, connection.sni; experimental.* keys are not supported",
        ),
        (
            "{rules: [{when: [{key: 'request.headers[a][b]', values: [a]}]}]}",
            "found the text \"request.headers[a][b]\" for `key`; expected request.headers[name] with one header name",
        ),
        (
            "{selector: {matchLabels: {app: 'c*'}}}",
            "found the text \"c*\" for `app`; expected a label without *; labels are compared whole",
        ),
        (
            "{selector: {matchExpressions: []}}",
            "found `matchExpressions` in `selector`; expected `matchLabels`; expressions are not supported by this version; name the labels",
        ),
        ("{rules: null}", "found nothing for `rules`; expected a list"),
    ] {
        let found = diagnostics(&policy(spec));
        assert_eq!(found.len(), 1, "{spec}: {found:#?}");
        assert!(found[0].ends_with(expect), "{spec}: {found:#?}");
    }
}

#[test]
fn s21_tenant_reach_of_objects() {
    check(
        &entry("shop", "{hosts: [cart.bank.svc.cluster.local], ports: [{number: 80, name: http}]}"),
        &[
            "r.yaml:4:16: found the host cart.bank.svc.cluster.local in namespace shop; expected hosts of namespace shop, or outside the cluster; define it in namespace bank, or in the root namespace postern-system",
        ],
    );
    for (host, refused) in [
        ("cart.bank.svc", true),
        ("CART.BANK.SVC.CLUSTER.LOCAL.", true),
        ("x.cart.bank.svc.cluster.local", true),
        ("bank.svc.cluster.local", true),
        ("cart.shop.svc.cluster.local", false),
        ("x.cart.shop.svc", false),
        ("api.example.org", false),
    ] {
        let found = diagnostics(&entry(
            "shop",
            &format!("{{hosts: [{host}], ports: [{{number: 80, name: http}}]}}"),
        ));
        assert_eq!(!found.is_empty(), refused, "{host}: {found:?}");
    }
    check(
        &entry(
            "shop",
            "{hosts: [a.example.org], ports: [{number: 80, name: http}], exportTo: [bank]}",
        ),
        &[
            "r.yaml:4:78: found the text \"bank\" for `exportTo`; expected \".\" or \"*\"; a ServiceEntry acts on its own namespace, one of the root namespace on all; write \".\"",
        ],
    );
    check(
        &peer("postern-system", "{selector: {matchLabels: {a: b}}, mtls: {mode: STRICT}}"),
        &[
            "r.yaml:4:18: found a selector in the root namespace; expected no selector; a PeerAuthentication of the root namespace is about the whole mesh; move it to the workload's namespace",
        ],
    );
    check(
        &peer("shop", "{portLevelMtls: {8080: {mode: DISABLE}}}"),
        &[
            "r.yaml:4:23: found `portLevelMtls` without a selector; expected a selector; select the workload with selector.matchLabels",
        ],
    );
}

#[test]
fn service_entry_mistakes() {
    for (spec, expect) in [
        (
            "{hosts: [a.b], ports: [{number: 80, name: x}], resolution: STATIC}",
            "found resolution STATIC without endpoints; expected endpoints",
        ),
        (
            "{hosts: [a.b], ports: [{number: 80, name: x}], endpoints: [{address: 1.1.1.1}]}",
            "found endpoints with resolution NONE; expected resolution STATIC or DNS",
        ),
        (
            "{hosts: [a.b], ports: [{number: 80, name: x}], resolution: STATIC, endpoints: [{address: a.b}]}",
            "found a DNS name among the endpoints of resolution STATIC; expected IP addresses, or resolution DNS",
        ),
        (
            "{hosts: [a.b], ports: [{number: 80, name: x}], resolution: DNS, endpoints: [{address: a.b, ports: {y: 1}}]}",
            "found the port name y in an endpoint; expected names of the service's ports",
        ),
        (
            "{hosts: [a.b], ports: [{number: 80, name: x}, {number: 80, name: y}]}",
            "found port 80 (y) again; expected each number and each name once",
        ),
        (
            "{hosts: [a.b], ports: [{number: 80, name: x, protocol: UDP}]}",
            "for `protocol`; expected a protocol; write one of HTTP, HTTP2, GRPC, GRPC-WEB, TCP, TLS, HTTPS, MONGO, MYSQL, REDIS, NATS, MQTT, KAFKA, AUTO",
        ),
        (
            "{hosts: ['*.b'], ports: [{number: 80, name: x}]}",
            "found the text \"*.b\" for `hosts`; expected a host name without port; wildcard hosts are not supported by this version",
        ),
        (
            "{hosts: [a.b], ports: [{number: 80, name: x}], subjectAltNames: [a.b]}",
            "found the text \"a.b\" for `subjectAltNames`; expected a SPIFFE id (spiffe://…); a SPIFFE id begins with `spiffe://` in lower case",
        ),
        (
            "{hosts: [a.b], ports: []}",
            "found an empty list for `ports`; expected at least one item; remove `ports`, or name at least one",
        ),
    ] {
        let found = diagnostics(&entry("shop", spec));
        assert_eq!(found.len(), 1, "{spec}: {found:#?}");
        assert!(found[0].ends_with(expect), "{spec}: {found:#?}");
    }
    let twice = format!(
        "{}---\n{}",
        entry("shop", "{hosts: [a.b], ports: [{number: 80, name: x}]}"),
        entry("shop", "{hosts: [A.B.], ports: [{number: 80, name: y}]}")
            .replace("name: e,", "name: f,")
    );
    check(
        &twice,
        &[
            "r.yaml:6:1: found port 80 of a.b again; expected each host and port once in a namespace; it stands already at r.yaml:1:1; remove one",
        ],
    );
}

#[test]
fn s19_missing_input_fails_closed_targets() {
    let with = |endpoints: &str| {
        entry(
            "shop",
            &format!(
                "{{hosts: [cart.shop.svc.cluster.local], ports: [{{number: 80, name: http}}], resolution: STATIC, endpoints: {endpoints}}}"
            ),
        )
    };
    let good = with("[{address: 10.0.0.1, labels: {app: cart}}]");
    let anonymous = with("[{address: 10.0.0.1, labels: {app: cart}}, {address: 10.0.0.2}]");
    for (spec, other, expect) in [
        ("{targetRefs: [{group: '', kind: Service, name: cart}]}", &*good, ""),
        (
            "{targetRefs: [{kind: Service, name: cart}]}",
            "# none\n",
            "found no ServiceEntry for cart.shop.svc.cluster.local; expected a ServiceEntry that lists its endpoints; or select the workloads with selector.matchLabels",
        ),
        (
            "{targetRefs: [{kind: Service, name: cart}]}",
            &anonymous,
            "found endpoints of cart.shop.svc.cluster.local that do not say which workload they are; expected `labels` or `serviceAccount` on every endpoint; or select the workloads with selector.matchLabels",
        ),
        (
            "{targetRefs: [{kind: Gateway, name: cart}]}",
            &good,
            "found the text \"Gateway\" for `kind`; expected Service; other kinds are not supported by this version; or select with selector.matchLabels",
        ),
        (
            "{targetRefs: [{kind: Service, name: cart, namespace: bank}]}",
            &good,
            "found `namespace` in a target; expected a Service of the policy's namespace; a policy is about its own namespace; move it to the Service's",
        ),
        (
            "{selector: {}, targetRefs: [{kind: Service, name: cart}]}",
            &good,
            "found `targetRefs` beside `selector`; expected one of the two",
        ),
    ] {
        let found = diagnostics(&format!("{}---\n{other}", policy(spec)));
        assert!(found.len() == usize::from(!expect.is_empty()), "{spec}: {found:#?}");
        assert!(found.iter().all(|line| line.ends_with(expect)), "{spec}: {found:#?}");
    }
}
