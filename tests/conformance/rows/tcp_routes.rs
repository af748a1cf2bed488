//! Connections that a gateway carries without reading them.

use crate::row::{Row, Scene, assert_shares};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("TCPRouteParentRefAttachAll", ALL, all),
    Row::gateway("TCPRouteParentRefPortAndSectionName", SECTIONS, sections),
    Row::gateway("TCPRouteMultipleRoutesAttachment", SEVERAL, several),
    Row::gateway("TCPRouteWeightedRouting", WEIGHTS, weights),
    Row::gateway("TCPRouteReferenceGrant", GRANT, grant),
    Row::gateway("TCPRouteInvalidCrossNamespaceBackendRef", NO_GRANT, no_grant),
    Row::gateway("TCPRouteInvalidBackendRefNonexistent", NOT_THERE, not_there),
    Row::gateway("TCPRouteInvalidNonTCPListener", NOT_TCP, not_tcp),
];

const ALL: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: one, port: 9310, protocol: TCP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}
    - {name: two, port: 9311, protocol: TCP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}
    - {name: three, port: 9312, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules: [{backendRefs: [{name: infra-v1, port: 9000}]}]
";

fn all(scene: &Scene<'_>) {
    for port in 9310..9313 {
        assert_eq!(scene.greeting(scene.at(1, port)).as_deref(), Ok("infra-v1"), "{port}");
    }
    scene.said("TCPRoute", "infra", "$row").at("$row").says("Accepted", "True", "Accepted");
}

const SECTIONS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: one, port: 9300, protocol: TCP}
    - {name: two, port: 9301, protocol: TCP}
    - {name: three, port: 9302, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row-port, namespace: infra}
spec:
  parentRefs: [{name: $row, port: 9300}]
  rules: [{backendRefs: [{name: infra-v1, port: 9000}]}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row-section, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: two}]
  rules: [{backendRefs: [{name: infra-v2, port: 9000}]}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row-both, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: three, port: 9302}]
  rules: [{backendRefs: [{name: infra-v3, port: 9000}]}]
";

fn sections(scene: &Scene<'_>) {
    for (port, pod) in [(9300, "infra-v1"), (9301, "infra-v2"), (9302, "infra-v3")] {
        assert_eq!(scene.greeting(scene.at(1, port)).as_deref(), Ok(pod), "{port}");
    }
    for route in ["$row-port", "$row-section", "$row-both"] {
        scene.said("TCPRoute", "infra", route).at("$row").says("Accepted", "True", "Accepted");
    }
}

const SEVERAL: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tcp, port: 9310, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row-a, namespace: infra, creationTimestamp: '2026-01-02T00:00:00Z'}
spec:
  parentRefs: [{name: $row, sectionName: tcp}]
  rules: [{backendRefs: [{name: infra-v2, port: 9000}]}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row-b, namespace: infra, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  parentRefs: [{name: $row, sectionName: tcp}]
  rules: [{backendRefs: [{name: infra-v1, port: 9000}]}]
";

/// Both are attached, and the older has the connections.
fn several(scene: &Scene<'_>) {
    for _ in 0..20 {
        assert_eq!(scene.greeting(scene.at(1, 9310)).as_deref(), Ok("infra-v1"));
    }
    for route in ["$row-a", "$row-b"] {
        scene.said("TCPRoute", "infra", route).at("$row").says("Accepted", "True", "Accepted");
    }
    scene.gateway("$row").listener("tcp").attaches(2);
}

const WEIGHTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tcp, port: 9300, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs:
        - {name: infra-v1, port: 9000, weight: 70}
        - {name: infra-v2, port: 9000, weight: 30}
        - {name: infra-v3, port: 9000, weight: 0}
";

fn weights(scene: &Scene<'_>) {
    let counts = scene.greeting_shares(500, scene.at(1, 9300));
    assert_shares(&counts, &[("infra-v1", 70), ("infra-v2", 30)]);
}

const GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: $row}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tcp, port: 9300, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row, namespace: app}
spec:
  from: [{group: gateway.networking.k8s.io, kind: TCPRoute, namespace: $row}]
  to: [{group: '', kind: Service, name: app-v1}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row, namespace: $row}
spec:
  parentRefs: [$parent]
  rules: [{backendRefs: [{name: app-v1, namespace: app, port: 9000}]}]
";

fn grant(scene: &Scene<'_>) {
    assert_eq!(scene.greeting(scene.at(1, 9300)).as_deref(), Ok("app-v1"));
    scene.replace(&GRANT.replace("name: app-v1}]\n---", "name: another}]\n---"));
    scene.soon(|| match scene.greeting(scene.at(1, 9300)) {
        Ok(pod) => Err(format!("{pod} is reached")),
        Err(_) => Ok(()),
    });
}

const NO_GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: $row}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tcp, port: 9300, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row, namespace: $row}
spec:
  parentRefs: [$parent]
  rules: [{backendRefs: [{name: app-v1, namespace: app, port: 9000}]}]
";

fn no_grant(scene: &Scene<'_>) {
    assert!(scene.greeting(scene.at(1, 9300)).is_err());
    let route = scene.said("TCPRoute", "$row", "$row").at("$row");
    route.says("ResolvedRefs", "False", "RefNotPermitted");
}

const NOT_THERE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tcp, port: 9300, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules: [{backendRefs: [{name: nobody, port: 9000}]}]
";

fn not_there(scene: &Scene<'_>) {
    assert!(scene.greeting(scene.at(1, 9300)).is_err());
    let route = scene.said("TCPRoute", "infra", "$row").at("$row");
    route.says("ResolvedRefs", "False", "BackendNotFound");
}

const NOT_TCP: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: http, port: 5300, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}]}}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: http}]
  rules: [{backendRefs: [{name: infra-v1, port: 9000}]}]
";

fn not_tcp(scene: &Scene<'_>) {
    let route = scene.said("TCPRoute", "infra", "$row").at("$row");
    route.says("Accepted", "False", "NotAllowedByListeners");
    scene.gateway("$row").listener("http").attaches(0);
}
