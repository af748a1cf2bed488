//! TLS between gateway and app.

use crate::exchange::{Exchange, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("BackendTLSPolicy", POLICY, policy).with_services(&["right", "host", "roots"]),
    Row::gateway("BackendTLSPolicySANValidation", NAMES, names)
        .with_services(&["dns", "not-dns", "uri", "not-uri", "both", "neither"]),
    Row::gateway("BackendTLSPolicyConflictResolution", CONFLICT, conflict)
        .with_services(&["whole", "port", "mixed"]),
    Row::gateway("BackendTLSPolicyInvalidCACertificateRef", INVALID_ROOTS, invalid_roots)
        .with_services(&["not-there", "empty"]),
    Row::gateway("BackendTLSPolicyInvalidKind", INVALID_KIND, invalid_kind)
        .with_services(&["kind"]),
    Row::gateway("GatewayTLSBackendClientCertificate", CLIENT, client).with_services(&["shown"]),
    Row::gateway("GatewayInvalidTLSBackendConfiguration", INVALID_CLIENT, invalid_client),
];

/// One service with the right policy, one that is to prove another name, one that is to prove it by other roots.
const POLICY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: http, port: 80, protocol: HTTP}
    - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - {matches: [{path: {type: Exact, value: /right}}], backendRefs: [{name: $row-right, port: 443}]}
    - {matches: [{path: {type: Exact, value: /host}}], backendRefs: [{name: $row-host, port: 443}]}
    - {matches: [{path: {type: Exact, value: /roots}}], backendRefs: [{name: $row-roots, port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-right, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-right, sectionName: tls}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: one.app.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-host, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-host, sectionName: tls}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: wrong.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-roots, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-roots, sectionName: tls}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: partner-roots}], hostname: one.app.example}
";

fn policy(scene: &Scene<'_>) {
    let right = get("/right").reaches("tls").sees_server_name("one.app.example");
    scene.expect(&[right.clone(), fails("/host"), fails("/roots")]);
    scene.expect_at(scene.at(1, 443), &scene.world.tls(Some("first.example")), &[right]);
    for name in ["$row-right", "$row-host", "$row-roots"] {
        let policy = scene.backend_tls_policy(name);
        policy.says("Accepted", "True", "Accepted");
        policy.says("ResolvedRefs", "True", "ResolvedRefs");
    }
}

const NAMES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - {matches: [{path: {type: Exact, value: /dns}}], backendRefs: [{name: $row-dns, port: 443}]}
    - {matches: [{path: {type: Exact, value: /not-dns}}], backendRefs: [{name: $row-not-dns, port: 443}]}
    - {matches: [{path: {type: Exact, value: /uri}}], backendRefs: [{name: $row-uri, port: 443}]}
    - {matches: [{path: {type: Exact, value: /not-uri}}], backendRefs: [{name: $row-not-uri, port: 443}]}
    - {matches: [{path: {type: Exact, value: /both}}], backendRefs: [{name: $row-both, port: 443}]}
    - {matches: [{path: {type: Exact, value: /neither}}], backendRefs: [{name: $row-neither, port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-dns, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-dns, sectionName: tls}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}]
    hostname: one.app.example
    subjectAltNames: [{type: Hostname, hostname: two.app.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-not-dns, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-not-dns, sectionName: tls}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}]
    hostname: one.app.example
    subjectAltNames: [{type: Hostname, hostname: wrong.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-uri, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-uri, sectionName: tls}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}]
    hostname: one.app.example
    subjectAltNames: [{type: URI, uri: 'spiffe://app.example/one'}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-not-uri, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-not-uri, sectionName: tls}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}]
    hostname: one.app.example
    subjectAltNames: [{type: URI, uri: 'spiffe://app.example/wrong'}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-both, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-both, sectionName: tls}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}]
    hostname: one.app.example
    subjectAltNames: [{type: URI, uri: 'spiffe://app.example/wrong'}, {type: Hostname, hostname: one.app.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-neither, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-neither, sectionName: tls}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}]
    hostname: one.app.example
    subjectAltNames: [{type: URI, uri: 'spiffe://app.example/wrong'}, {type: Hostname, hostname: wrong.example}]
";

/// Any of the listed names is enough; the hostname is then only what is asked for.
fn names(scene: &Scene<'_>) {
    let right = ["/dns", "/uri", "/both"]
        .map(|path| get(path).reaches("tls").sees_server_name("one.app.example"));
    scene.expect(&right);
    scene.expect(&["/not-dns", "/not-uri", "/neither"].map(fails));
    for name in ["dns", "not-dns", "uri", "not-uri", "both", "neither"] {
        let policy = scene.backend_tls_policy(&format!("$row-{name}"));
        policy.says("Accepted", "True", "Accepted");
    }
}

/// Policies of one service: two of all of it, two of one port, and one of each.
const CONFLICT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - {matches: [{path: {type: Exact, value: /whole}}], backendRefs: [{name: $row-whole, port: 443}]}
    - {matches: [{path: {type: Exact, value: /port}}], backendRefs: [{name: $row-port, port: 443}]}
    - {matches: [{path: {type: Exact, value: /mixed-port}}], backendRefs: [{name: $row-mixed, port: 443}]}
    - {matches: [{path: {type: Exact, value: /mixed-whole}}], backendRefs: [{name: $row-mixed, port: 8443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-whole-1, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-whole}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: two.app.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-whole-2, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-whole}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: one.app.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-port-1, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-port, sectionName: tls}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: two.app.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-port-2, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-port, sectionName: tls}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: one.app.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-mixed-port, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-mixed, sectionName: tls}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: two.app.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-mixed-whole, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-mixed}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: one.app.example}
";

/// The first by age and name holds; what speaks of a port is no conflict with what speaks of all.
fn conflict(scene: &Scene<'_>) {
    scene.expect(&[
        get("/whole").reaches("tls").sees_server_name("two.app.example"),
        get("/port").reaches("tls").sees_server_name("two.app.example"),
        get("/mixed-port").reaches("tls").sees_server_name("two.app.example"),
        get("/mixed-whole").reaches("tls").sees_server_name("one.app.example"),
    ]);
    for name in ["whole-1", "port-1", "mixed-port", "mixed-whole"] {
        let policy = scene.backend_tls_policy(&format!("$row-{name}"));
        policy.says("Accepted", "True", "Accepted");
    }
    for name in ["whole-2", "port-2"] {
        let policy = scene.backend_tls_policy(&format!("$row-{name}"));
        policy.says("Accepted", "False", "Conflicted");
    }
}

const INVALID_ROOTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - {matches: [{path: {type: Exact, value: /not-there}}], backendRefs: [{name: $row-not-there, port: 443}]}
    - {matches: [{path: {type: Exact, value: /empty}}], backendRefs: [{name: $row-empty, port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-not-there, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-not-there}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: nobody}], hostname: one.app.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row-empty, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-empty}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: $row-empty}], hostname: one.app.example}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: $row-empty, namespace: infra}
data: {}
";

fn invalid_roots(scene: &Scene<'_>) {
    scene.expect(&["/not-there", "/empty"].map(fails));
    for name in ["$row-not-there", "$row-empty"] {
        let policy = scene.backend_tls_policy(name);
        policy.says("Accepted", "False", "NoValidCACertificate");
        policy.says("ResolvedRefs", "False", "InvalidCACertificateRef");
    }
}

const INVALID_KIND: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - {matches: [{path: {type: Exact, value: /kind}}], backendRefs: [{name: $row-kind, port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-kind}]
  validation: {caCertificateRefs: [{group: another.example, kind: Something, name: any}], hostname: one.app.example}
";

fn invalid_kind(scene: &Scene<'_>) {
    scene.expect(&[fails("/kind")]);
    let policy = scene.backend_tls_policy("$row");
    policy.says("Accepted", "False", "NoValidCACertificate");
    policy.says("ResolvedRefs", "False", "InvalidKind");
}

const CLIENT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls: {backend: {clientCertificateRef: {group: '', kind: Secret, name: gateway-client}}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules: [{backendRefs: [{name: $row-shown, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: $row, namespace: infra}
spec:
  targetRefs: [{group: '', kind: Service, name: $row-shown}]
  validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: app-roots}], hostname: one.app.example}
";

fn client(scene: &Scene<'_>) {
    scene.gateway("$row").says("ResolvedRefs", "True", "ResolvedRefs");
    let shown = scene.world.gateway_certificate();
    scene.expect(&[get("/").reaches("tls").sees_client_certificate(&shown)]);
}

const INVALID_CLIENT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-not-there, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls: {backend: {clientCertificateRef: {group: '', kind: Secret, name: nobody}}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-group, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls: {backend: {clientCertificateRef: {group: another.example, kind: Secret, name: any-host}}}
  listeners: [{name: http, port: 81, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-kind, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls: {backend: {clientCertificateRef: {group: '', kind: Something, name: any-host}}}
  listeners: [{name: http, port: 82, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-malformed, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls: {backend: {clientCertificateRef: {group: '', kind: Secret, name: $row-malformed}}}
  listeners: [{name: http, port: 83, protocol: HTTP}]
---
apiVersion: v1
kind: Secret
metadata: {name: $row-malformed, namespace: infra}
type: Opaque
data: {}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-not-granted, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls: {backend: {clientCertificateRef: {group: '', kind: Secret, name: secret-not-granted, namespace: web}}}
  listeners: [{name: http, port: 84, protocol: HTTP}]
";

fn invalid_client(scene: &Scene<'_>) {
    let wrong = [
        ("not-there", "InvalidClientCertificateRef"),
        ("group", "InvalidClientCertificateRef"),
        ("kind", "InvalidClientCertificateRef"),
        ("malformed", "InvalidClientCertificateRef"),
        ("not-granted", "RefNotPermitted"),
    ];
    for (name, reason) in wrong {
        let gateway = scene.gateway(&format!("$row-{name}"));
        gateway.says("ResolvedRefs", "False", reason);
        gateway.says("Accepted", "True", "Accepted");
    }
}

/// The backend is not reached, and the caller learns of it.
fn fails(path: &str) -> Exchange {
    get(path).answers_one_of(&[500, 502, 503])
}
