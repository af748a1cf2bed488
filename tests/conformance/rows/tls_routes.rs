//! Connections of TLS that go by their server name: carried as they are, or ended and carried on in the clear.

use crate::exchange::get;
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("TLSRouteSimpleSameNamespace", SIMPLE, simple),
    Row::gateway("TLSRouteHostnameIntersection", INTERSECTION, intersection),
    Row::gateway("TLSRouteTerminateSimpleSameNamespace", TERMINATE, terminate),
    Row::gateway("TLSRouteMixedTerminationSameNamespace", MIXED, mixed),
    Row::gateway("TLSRouteListenerPassthroughSupportedKinds", KINDS, kinds),
    Row::gateway("TLSRouteListenerTerminateSupportedKinds", TERMINATE, terminate_kinds),
    Row::gateway("TLSRouteInvalidNoMatchingListener", NO_LISTENER, no_listener),
    Row::gateway("TLSRouteInvalidNoMatchingListenerHostname", NO_HOST, no_host),
    Row::gateway("TLSRouteInvalidBackendRefNonexistent", NOT_THERE, not_there),
    Row::gateway("TLSRouteInvalidBackendRefUnknownKind", UNKNOWN_KIND, unknown_kind),
    Row::gateway("TLSRouteInvalidReferenceGrant", NO_GRANT, no_grant),
];

const SIMPLE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: tls, port: 443, protocol: TLS, hostname: '*.app.example', tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
";

fn simple(scene: &Scene<'_>) {
    reaches(scene, 1, "one.app.example", "tls");
    refuses(scene, 1, "two.app.example");
}

/// Four gateways, by the host of their listener: exact, narrow, wide and none.
const INTERSECTION: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-exact, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: tls, port: 443, protocol: TLS, hostname: one.app.example, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-exact, namespace: infra}
spec:
  parentRefs: [{name: $row-exact}]
  hostnames: ['*.app.example']
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-narrow, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners:
    - {name: tls, port: 443, protocol: TLS, hostname: '*.app.example', tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-narrow-1, namespace: infra}
spec:
  parentRefs: [{name: $row-narrow}]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-narrow-2, namespace: infra}
spec:
  parentRefs: [{name: $row-narrow}]
  hostnames: ['*.example']
  rules: [{backendRefs: [{name: tls-v2, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-any, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $third}]
  listeners:
    - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-any-1, namespace: infra}
spec:
  parentRefs: [{name: $row-any}]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-any-2, namespace: infra}
spec:
  parentRefs: [{name: $row-any}]
  hostnames: ['*.app.example']
  rules: [{backendRefs: [{name: tls-v2, port: 443}]}]
";

fn intersection(scene: &Scene<'_>) {
    reaches(scene, 1, "one.app.example", "tls");
    refuses(scene, 1, "two.app.example");
    for number in [2, 3] {
        reaches(scene, number, "one.app.example", "tls");
        reaches(scene, number, "two.app.example", "tls-2");
        refuses(scene, number, "other.test");
    }
}

const TERMINATE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: tls
      port: 443
      protocol: TLS
      hostname: first.example
      tls: {mode: Terminate, certificateRefs: [{name: any-host}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [first.example]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
";

/// The app sees in the clear what the client said.
fn terminate(scene: &Scene<'_>) {
    let way = scene.world.tls_with(Some("first.example"), &[], None);
    scene.expect_at(scene.at(1, 443), &way, &[get("first.example/").reaches("infra-v1")]);
}

fn terminate_kinds(scene: &Scene<'_>) {
    let listener = scene.gateway("$row").listener("tls");
    listener.is_good();
    listener.has_kind("TLSRoute");
}

const MIXED: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: ended
      port: 443
      protocol: TLS
      hostname: first.example
      tls: {mode: Terminate, certificateRefs: [{name: any-host}]}
    - {name: carried, port: 443, protocol: TLS, hostname: one.app.example, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-ended, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [first.example]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-carried, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
";

fn mixed(scene: &Scene<'_>) {
    terminate(scene);
    reaches(scene, 1, "one.app.example", "tls");
    for name in ["ended", "carried"] {
        let listener = scene.gateway("$row").listener(name);
        listener.is_good();
        listener.attaches(1);
    }
}

const KINDS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: tls
      port: 443
      protocol: TLS
      allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: TLSRoute}]}
      tls: {mode: Passthrough}
";

fn kinds(scene: &Scene<'_>) {
    let listener = scene.gateway("$row").listener("tls");
    listener.says("ResolvedRefs", "False", "InvalidRouteKinds");
    listener.has_kind("TLSRoute");
}

const NO_LISTENER: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-tls, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-http, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-https, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $third}]
  listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-http, namespace: infra}
spec:
  parentRefs: [{name: $row-http}]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-https, namespace: infra}
spec:
  parentRefs: [{name: $row-https}]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-tls, namespace: infra}
spec:
  parentRefs: [{name: $row-tls, sectionName: another}]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
";

fn no_listener(scene: &Scene<'_>) {
    for (name, reason) in [
        ("$row-http", "NotAllowedByListeners"),
        ("$row-https", "NotAllowedByListeners"),
        ("$row-tls", "NoMatchingParent"),
    ] {
        scene.said("TLSRoute", "infra", name).at(name).says("Accepted", "False", reason);
    }
    scene.gateway("$row-http").listener("http").attaches(0);
    scene.gateway("$row-https").listener("https").attaches(0);
}

const NO_HOST: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-exact, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tls, port: 443, protocol: TLS, hostname: one.app.example, tls: {mode: Passthrough}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-wild, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners: [{name: tls, port: 443, protocol: TLS, hostname: '*.app.example', tls: {mode: Passthrough}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-exact, namespace: infra}
spec:
  parentRefs: [{name: $row-exact}]
  hostnames: [www.other.test, '*.other.test']
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row-wild, namespace: infra}
spec:
  parentRefs: [{name: $row-wild}]
  hostnames: [www.other.test, '*.other.test']
  rules: [{backendRefs: [{name: tls-v1, port: 443}]}]
";

fn no_host(scene: &Scene<'_>) {
    for name in ["$row-exact", "$row-wild"] {
        let route = scene.said("TLSRoute", "infra", name).at(name);
        route.says("Accepted", "False", "NoMatchingListenerHostname");
        scene.gateway(name).listener("tls").attaches(0);
    }
}

const NOT_THERE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: nobody, port: 443}]}]
";

fn not_there(scene: &Scene<'_>) {
    refuses(scene, 1, "one.app.example");
    let route = scene.said("TLSRoute", "infra", "$row").at("$row");
    route.says("ResolvedRefs", "False", "BackendNotFound");
}

const UNKNOWN_KIND: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{group: another.example, kind: Something, name: tls-v1, port: 443}]}]
";

fn unknown_kind(scene: &Scene<'_>) {
    refuses(scene, 1, "one.app.example");
    let route = scene.said("TLSRoute", "infra", "$row").at("$row");
    route.says("ResolvedRefs", "False", "InvalidKind");
}

const NO_GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: $row}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row, namespace: infra}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]
  to: [{group: '', kind: Service, name: tls-v1}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: $row, namespace: $row}
spec:
  parentRefs: [$parent]
  hostnames: [one.app.example]
  rules: [{backendRefs: [{name: tls-v1, namespace: infra, port: 443}]}]
";

fn no_grant(scene: &Scene<'_>) {
    refuses(scene, 1, "one.app.example");
    let route = scene.said("TLSRoute", "$row", "$row").at("$row");
    route.says("ResolvedRefs", "False", "RefNotPermitted");
}

/// The TLS of the app's own reaches the client.
fn reaches(scene: &Scene<'_>, number: u8, name: &str, pod: &str) {
    let exchange = get(&format!("{name}/")).reaches(pod).sees_server_name(name);
    scene.expect_at(scene.at(number, 443), &scene.world.tls_to_app(name), &[exchange]);
}

/// The connection ends before anybody's TLS begins.
fn refuses(scene: &Scene<'_>, number: u8, name: &str) {
    let way = scene.world.tls_to_app(name);
    let answer = scene.ask(scene.at(number, 443), &way, &get("/"));
    assert!(answer.is_err(), "{name}: {answer:?}");
}
