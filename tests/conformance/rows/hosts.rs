//! Which listener a request belongs to, by host and port, and which routes it has there.

use crate::exchange::{Exchange, Way, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteListenerHostnameMatching", LISTENERS, listeners),
    Row::gateway("HTTPRouteHostnameIntersection", INTERSECTION, intersection),
    Row::gateway("HTTPRouteListenerPortMatching", PORTS, ports),
    Row::gateway("HTTPRouteMultipleGateways", SEVERAL, several),
    Row::gateway("GatewayHTTPListenerIsolation", ISOLATION, isolation),
];

const LISTENERS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: one, port: 80, protocol: HTTP, hostname: a.example}
    - {name: two, port: 80, protocol: HTTP, hostname: b.a.example}
    - {name: three, port: 80, protocol: HTTP, hostname: '*.a.example'}
    - {name: four, port: 80, protocol: HTTP, hostname: '*.b.example'}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-one, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: one}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-two, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: two}]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-three, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: three}, {name: $row, sectionName: four}]
  rules: [{backendRefs: [{name: infra-v3, port: 8080}]}]
";

fn listeners(scene: &Scene<'_>) {
    scene.expect(&[
        get("a.example/").reaches("infra-v1"),
        get("b.a.example/").reaches("infra-v2"),
        get("c.a.example/").reaches("infra-v3"),
        get("d.a.example/").reaches("infra-v3"),
        // A wildcard stands for any number of labels.
        get("two.labels.a.example/").reaches("infra-v3"),
        get("two.labels.b.example/").reaches("infra-v3"),
        // But not for none.
        get("b.example/").answers(404),
        get("c.example/").answers(404),
    ]);
}

const INTERSECTION: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: exact, port: 80, protocol: HTTP, hostname: very.exact.example}
    - {name: wild, port: 80, protocol: HTTP, hostname: '*.wild.example'}
    - {name: other, port: 80, protocol: HTTP, hostname: '*.other.example'}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-any, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners:
    - {name: any, port: 80, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-1, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [nothing.example, '*.nothing.example', very.exact.example]
  rules:
    - matches: [{path: {type: PathPrefix, value: /1}}]
      backendRefs: [{name: infra-v1, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-2, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [nothing.example, wild.example, a.wild.example, b.wild.example, a.b.wild.example]
  rules:
    - matches: [{path: {type: PathPrefix, value: /2}}]
      backendRefs: [{name: infra-v2, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-3, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [nothing.example, '*.exact.example']
  rules:
    - matches: [{path: {type: PathPrefix, value: /3}}]
      backendRefs: [{name: infra-v3, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-4, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: ['*.other.example']
  rules:
    - matches: [{path: {type: PathPrefix, value: /4}}]
      backendRefs: [{name: infra-v1, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-5, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [exact.but.wrong.example, wild.example]
  rules:
    - matches: [{path: {type: PathPrefix, value: /5}}]
      backendRefs: [{name: infra-v2, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-any, namespace: infra}
spec:
  parentRefs: [{name: $row-any}]
  hostnames: [first.example, sub.first.example, second.example, sub.second.example]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
";

fn intersection(scene: &Scene<'_>) {
    scene.expect(&[
        get("very.exact.example/1").reaches("infra-v1"),
        get("very.exact.example:1234/1").reaches("infra-v1"),
        get("nothing.example/1").answers(404),
        get("a.nothing.example/1").answers(404),
        get("a.wild.example/1").answers(404),
        get("very.exact.example/none").answers(404),
        get("a.wild.example/2").reaches("infra-v2"),
        get("b.wild.example/2").reaches("infra-v2"),
        get("a.b.wild.example/2").reaches("infra-v2"),
        get("c.wild.example/2").answers(404),
        get("wild.example/2").answers(404),
        get("nothing.example/2").answers(404),
        get("very.exact.example/2").answers(404),
        get("very.exact.example/3").reaches("infra-v3"),
        get("a.exact.example/3").answers(404),
        get("a.wild.example/3").answers(404),
        get("a.other.example/4").reaches("infra-v1"),
        get("a.b.other.example/4").reaches("infra-v1"),
        get("other.example/4").answers(404),
        get("a.wild.example/4").answers(404),
        get("exact.but.wrong.example/5").answers(404),
        get("wild.example/5").answers(404),
    ]);
    let any = ["first.example/", "sub.first.example/", "second.example/", "sub.second.example/"];
    let any = any.map(|target| get(target).reaches("infra-v2"));
    let none = ["third.example/", "sub.third.example/"].map(|target| get(target).answers(404));
    scene.expect_at(scene.at(2, 80), &Way::Plain, &[&any[..], &none].concat());
    for (listener, attached) in [("exact", 2), ("wild", 1), ("other", 1)] {
        scene.gateway("$row").listener(listener).attaches(attached);
    }
    let route = scene.route("infra", "$row-5").at("$row");
    route.says("Accepted", "False", "NoMatchingListenerHostname");
}

const PORTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: one, port: 80, protocol: HTTP, hostname: a.example}
    - {name: two, port: 8080, protocol: HTTP, hostname: a.example}
    - {name: three, port: 8080, protocol: HTTP, hostname: b.example}
    - {name: four, port: 8090, protocol: HTTP, hostname: a.example}
    - {name: five, port: 8090, protocol: HTTP, hostname: b.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-80, namespace: infra}
spec:
  parentRefs: [{name: $row, port: 80}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-8080, namespace: infra}
spec:
  parentRefs: [{name: $row, port: 8080}]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-8090, namespace: infra}
spec:
  parentRefs: [{name: $row, port: 8090, sectionName: four}]
  rules: [{backendRefs: [{name: infra-v3, port: 8080}]}]
";

fn ports(scene: &Scene<'_>) {
    let ask = |port: u16, exchange: Exchange| {
        scene.expect_at(scene.at(1, port), &Way::Plain, &[exchange]);
    };
    ask(80, get("a.example/").reaches("infra-v1"));
    ask(8080, get("a.example:8080/").reaches("infra-v2"));
    ask(8080, get("b.example:8080/").reaches("infra-v2"));
    ask(8090, get("a.example:8090/").reaches("infra-v3"));
    ask(8090, get("b.example:8090/").answers(404));
}

const SEVERAL: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-one, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-two, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-shared, namespace: infra}
spec:
  parentRefs: [{name: $row-one}, {name: $row-two}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /shared}}]
      backendRefs: [{name: infra-v1, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-one, namespace: infra}
spec:
  parentRefs: [{name: $row-one}]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-two, namespace: infra}
spec:
  parentRefs: [{name: $row-two}]
  rules: [{backendRefs: [{name: infra-v3, port: 8080}]}]
";

fn several(scene: &Scene<'_>) {
    for (number, own) in [(1, "infra-v2"), (2, "infra-v3")] {
        let exchanges = [get("/shared").reaches("infra-v1"), get("/").reaches(own)];
        scene.expect_at(scene.at(number, 80), &Way::Plain, &exchanges);
    }
}

const ISOLATION: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: any, port: 80, protocol: HTTP}
    - {name: wide, port: 80, protocol: HTTP, hostname: '*.a.example'}
    - {name: narrow, port: 80, protocol: HTTP, hostname: '*.b.a.example'}
    - {name: exact, port: 80, protocol: HTTP, hostname: c.b.a.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row-hosts, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $second}]
  listeners:
    - {name: any, port: 80, protocol: HTTP}
    - {name: wide, port: 80, protocol: HTTP, hostname: '*.a.example'}
    - {name: narrow, port: 80, protocol: HTTP, hostname: '*.b.a.example'}
    - {name: exact, port: 80, protocol: HTTP, hostname: c.b.a.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-any, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: any}]
  rules:
    - {matches: [{path: {type: PathPrefix, value: /any}}], backendRefs: [{name: infra-v1, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-wide, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: wide}]
  rules:
    - {matches: [{path: {type: PathPrefix, value: /wide}}], backendRefs: [{name: infra-v1, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-narrow, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: narrow}]
  rules:
    - {matches: [{path: {type: PathPrefix, value: /narrow}}], backendRefs: [{name: infra-v1, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-exact, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: exact}]
  rules:
    - {matches: [{path: {type: PathPrefix, value: /exact}}], backendRefs: [{name: infra-v1, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-hosts-any, namespace: infra}
spec:
  parentRefs: [{name: $row-hosts, sectionName: any}]
  hostnames: [x.example, '*.a.example', '*.b.a.example', c.b.a.example]
  rules:
    - {matches: [{path: {type: PathPrefix, value: /any}}], backendRefs: [{name: infra-v1, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-hosts-wide, namespace: infra}
spec:
  parentRefs: [{name: $row-hosts, sectionName: wide}]
  hostnames: [x.example, '*.a.example', '*.b.a.example', c.b.a.example]
  rules:
    - {matches: [{path: {type: PathPrefix, value: /wide}}], backendRefs: [{name: infra-v1, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-hosts-narrow, namespace: infra}
spec:
  parentRefs: [{name: $row-hosts, sectionName: narrow}]
  hostnames: [x.example, '*.a.example', '*.b.a.example', c.b.a.example]
  rules:
    - {matches: [{path: {type: PathPrefix, value: /narrow}}], backendRefs: [{name: infra-v1, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-hosts-exact, namespace: infra}
spec:
  parentRefs: [{name: $row-hosts, sectionName: exact}]
  hostnames: [x.example, '*.a.example', '*.b.a.example', c.b.a.example]
  rules:
    - {matches: [{path: {type: PathPrefix, value: /exact}}], backendRefs: [{name: infra-v1, port: 8080}]}
";

/// A request belongs to the most specific listener alone, whatever the routes of the others say.
fn isolation(scene: &Scene<'_>) {
    let owners = [
        ("x.example", "/any"),
        ("x.a.example", "/wide"),
        ("x.b.a.example", "/narrow"),
        ("c.b.a.example", "/exact"),
    ];
    let mut exchanges = Vec::new();
    for (host, own) in owners {
        for path in ["/any", "/wide", "/narrow", "/exact"] {
            let request = get(&format!("{host}{path}"));
            exchanges.push(if path == own {
                request.reaches("infra-v1")
            } else {
                request.answers(404)
            });
        }
    }
    for number in [1, 2] {
        scene.expect_at(scene.at(number, 80), &Way::Plain, &exchanges);
    }
}
