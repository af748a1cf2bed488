//! What is said of gateways, and what of it is seen on their ports.

use crate::exchange::{Way, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("GatewayListenerUnsupportedProtocol", PROTOCOLS, protocols),
    Row::gateway("GatewayInvalidParametersRef", PARAMETERS, parameters),
    Row::gateway("GatewayInvalidRouteKind", KINDS, kinds),
    Row::gateway("GatewayInvalidTLSConfiguration", CERTIFICATES, certificates),
    Row::gateway("GatewayModifyListeners", CHANGED, changed),
    Row::gateway("GatewayWithAttachedRoutes", ATTACHED, attached),
    Row::gateway("GatewayWithAttachedRoutesWithPort8080", ATTACHED_8080, attached_8080),
    Row::gateway("GatewayStaticAddresses", ADDRESSES, addresses),
];

const PROTOCOLS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-none, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: wrong, port: 1111, protocol: another.example/protocol}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-some, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners:
    - {name: http, port: 80, protocol: HTTP}
    - {name: wrong, port: 1111, protocol: another.example/protocol}
";

fn protocols(scene: &Scene<'_>) {
    let none = scene.gateway("$row-none");
    none.says("Accepted", "False", "ListenersNotValid");
    let some = scene.gateway("$row-some");
    some.says("Accepted", "True", "ListenersNotValid");
    for gateway in [&none, &some] {
        let wrong = gateway.listener("wrong");
        wrong.says("Accepted", "False", "UnsupportedProtocol");
        wrong.has_no_kinds();
    }
    some.listener("http").is_good();
    scene.expect_at(scene.at(2, 80), &Way::Plain, &[get("/").answers(404)]);
}

const PARAMETERS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  infrastructure: {parametersRef: {group: another.example, kind: Something, name: any}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
";

fn parameters(scene: &Scene<'_>) {
    scene.gateway("$row").says("Accepted", "False", "InvalidParameters");
}

const KINDS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-none, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: AnotherRoute}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-some, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners:
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: AnotherRoute}, {kind: HTTPRoute}]}}
";

fn kinds(scene: &Scene<'_>) {
    let none = scene.gateway("$row-none").listener("http");
    none.says("ResolvedRefs", "False", "InvalidRouteKinds");
    none.has_no_kinds();
    let some = scene.gateway("$row-some").listener("http");
    some.says("ResolvedRefs", "False", "InvalidRouteKinds");
    some.has_kind("HTTPRoute");
}

const CERTIFICATES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: not-there
      port: 443
      protocol: HTTPS
      hostname: not-there.example
      tls: {certificateRefs: [{name: nobody}]}
    - name: group
      port: 443
      protocol: HTTPS
      hostname: group.example
      tls: {certificateRefs: [{group: another.example, kind: Secret, name: any-host}]}
    - name: kind
      port: 443
      protocol: HTTPS
      hostname: kind.example
      tls: {certificateRefs: [{group: '', kind: Something, name: any-host}]}
    - name: malformed
      port: 443
      protocol: HTTPS
      hostname: malformed.example
      tls: {certificateRefs: [{group: '', kind: Secret, name: $row}]}
---
apiVersion: v1
kind: Secret
metadata: {name: $row, namespace: infra}
type: kubernetes.io/tls
data: {tls.crt: bm90aGluZwo=, tls.key: bm90aGluZwo=}
";

fn certificates(scene: &Scene<'_>) {
    for name in ["not-there", "group", "kind", "malformed"] {
        let listener = scene.gateway("$row").listener(name);
        listener.says("ResolvedRefs", "False", "InvalidCertificateRef");
        listener.says("Programmed", "False", "");
        listener.attaches(0);
        let host = format!("{name}.example");
        let exchange = get(&format!("{host}/"));
        let answer = scene.ask(scene.at(1, 443), &scene.world.tls(Some(&host)), &exchange);
        assert!(answer.is_err(), "{name}: {answer:?}");
    }
}

const CHANGED: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-more, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: https, port: 443, protocol: HTTPS, hostname: first.example, tls: {certificateRefs: [{name: any-host}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-more, namespace: infra}
spec:
  parentRefs: [{name: $row-more}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-less, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners:
    - {name: http, port: 80, protocol: HTTP}
    - {name: https, port: 443, protocol: HTTPS, hostname: first.example, tls: {certificateRefs: [{name: any-host}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-less, namespace: infra}
spec:
  parentRefs: [{name: $row-less}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
";

/// The listener of TLS, in the form of both gateways.
const HTTPS: &str = "    - {name: https, port: 443, protocol: HTTPS, hostname: first.example, tls: {certificateRefs: [{name: any-host}]}}\n";

/// One gateway gets a listener, the other loses one, while both serve.
fn changed(scene: &Scene<'_>) {
    let request = get("first.example/").reaches("infra-v1");
    let tls = scene.world.tls(Some("first.example"));
    let asks = |number: u8, port: u16| {
        let way = if port == 443 { &tls } else { &Way::Plain };
        scene.ask(scene.at(number, port), way, &request).and_then(|answer| request.check(&answer))
    };
    assert_eq!((asks(1, 443), asks(2, 443), asks(2, 80)), (Ok(()), Ok(()), Ok(())));
    assert!(asks(1, 80).is_err());
    let (more, less) = CHANGED.split_at(CHANGED.rfind("kind: Gateway").expect("the second"));
    let http = "    - {name: http, port: 80, protocol: HTTP, hostname: first.example}\n";
    scene.replace(&format!(
        "{}{}",
        more.replace(HTTPS, &format!("{HTTPS}{http}")),
        less.replace(HTTPS, "")
    ));
    scene.soon(|| asks(1, 80));
    scene.soon(|| match asks(2, 443) {
        Ok(()) => Err("it still serves".to_owned()),
        Err(_) => Ok(()),
    });
    assert_eq!((asks(1, 443), asks(2, 80)), (Ok(()), Ok(())));
    let more = scene.gateway("$row-more");
    for name in ["http", "https"] {
        more.listener(name).is_good();
        more.listener(name).attaches(1);
    }
    scene.gateway("$row-less").listener("http").attaches(1);
}

const ATTACHED: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-one, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: http
      port: 80
      protocol: HTTP
      allowedRoutes:
        kinds: [{kind: HTTPRoute}]
        namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: infra}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-1, namespace: infra}
spec:
  parentRefs: [{name: $row-one}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-two, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners:
    - name: http
      port: 80
      protocol: HTTP
      hostname: first.example
      allowedRoutes:
        kinds: [{kind: HTTPRoute}]
        namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: infra}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-2, namespace: infra}
spec:
  parentRefs: [{name: $row-two}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-3, namespace: infra}
spec:
  parentRefs: [{name: $row-two}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-other-host, namespace: infra}
spec:
  parentRefs: [{name: $row-two}]
  hostnames: [other.example]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-unresolved, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $third}]
  listeners:
    - name: tls
      port: 443
      protocol: HTTPS
      allowedRoutes: {kinds: [{kind: HTTPRoute}]}
      tls: {mode: Terminate, certificateRefs: [{group: '', kind: Secret, name: nobody}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-unresolved, namespace: infra}
spec:
  parentRefs: [{name: $row-unresolved, sectionName: tls}]
  rules: [{backendRefs: [{name: nobody, port: 8080}]}]
";

fn attached(scene: &Scene<'_>) {
    for (gateway, count) in [("$row-one", 1), ("$row-two", 2)] {
        let listener = scene.gateway(gateway).listener("http");
        listener.is_good();
        listener.has_kind("HTTPRoute");
        listener.attaches(count);
    }
    let route = scene.route("infra", "$row-other-host").at("$row-two");
    route.says("Accepted", "False", "NoMatchingListenerHostname");
    // A listener that cannot serve counts its routes all the same.
    let listener = scene.gateway("$row-unresolved").listener("tls");
    listener.says("Programmed", "False", "");
    listener.says("ResolvedRefs", "False", "");
    listener.attaches(1);
    let route = scene.route("infra", "$row-unresolved").at("$row-unresolved");
    route.says("ResolvedRefs", "False", "");
    scene.expect(&[get("/").reaches("infra-v1")]);
}

const ATTACHED_8080: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: none, port: 8080, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}], namespaces: {from: All}}}
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}], namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: http}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
";

fn attached_8080(scene: &Scene<'_>) {
    for (name, count) in [("none", 0), ("http", 1)] {
        let listener = scene.gateway("$row").listener(name);
        listener.is_good();
        listener.attaches(count);
    }
    scene.expect(&[get("/").reaches("infra-v1")]);
    scene.expect_at(scene.at(1, 8080), &Way::Plain, &[get("/").answers(404)]);
}

const ADDRESSES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-type, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: another.example/address, value: any}, {type: IPAddress, value: $address}]
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{value: $second}]
  listeners: [{name: http, port: 8080, protocol: HTTP}]
";

/// That an address is not this machine's is known when a port is opened there; what is said of it is the controller's.
fn addresses(scene: &Scene<'_>) {
    scene.gateway("$row-type").says("Accepted", "False", "UnsupportedAddress");
    let gateway = scene.gateway("$row");
    gateway.says("Accepted", "True", "Accepted");
    gateway.says("Programmed", "True", "Programmed");
    gateway.listener("http").is_good();
    scene.expect_at(scene.at(2, 8080), &Way::Plain, &[get("/").answers(404)]);
}
