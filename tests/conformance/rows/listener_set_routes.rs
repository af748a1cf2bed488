//! Routes at listeners that are told beside their gateway.

use crate::exchange::{Exchange, Way, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("ListenerSetAllowedRoutesNamespaces", ROUTES, routes),
    Row::gateway("ListenerSetDualParentRefIndependence", DUAL, dual),
    Row::gateway("ListenerSetGatewayParentSectionNameNotFound", SECTION, section),
    Row::gateway("ListenerSetHTTPRouting", ROUTING, routing),
    Row::gateway("ListenerSetRouteStatusScopedToParentRef", SCOPED, scoped),
];

/// Routes of three namespaces at listeners that take all, those of their own namespace, or of chosen ones.
const ROUTES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: $row-chosen, labels: {$row: let-in}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: All}}
  listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners:
    - {name: all, port: 80, protocol: HTTP, hostname: all.example, allowedRoutes: {namespaces: {from: All}}}
    - {name: same, port: 80, protocol: HTTP, hostname: same.example, allowedRoutes: {namespaces: {from: Same}}}
    - name: chosen
      port: 80
      protocol: HTTP
      hostname: chosen.example
      allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {$row: let-in}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row, namespace: $row-elsewhere}
spec:
  parentRef: {name: $row, namespace: infra}
  listeners:
    - {name: cross, port: 80, protocol: HTTP, hostname: cross.example, allowedRoutes: {namespaces: {from: Same}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-same, namespace: infra}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row, namespace: infra}]
  rules: [{matches: [{path: {type: PathPrefix, value: /same}}], backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-chosen, namespace: $row-chosen}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row, namespace: infra}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /chosen}}]
      backendRefs: [{name: infra-v2, namespace: infra, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-other, namespace: $row-other}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row, namespace: infra}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /other}}]
      backendRefs: [{name: infra-v3, namespace: infra, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-cross, namespace: $row-elsewhere}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row, namespace: $row-elsewhere}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /cross}}]
      backendRefs: [{name: infra-v1, namespace: infra, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-not-cross, namespace: infra}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row, namespace: $row-elsewhere}]
  rules: [{matches: [{path: {type: PathPrefix, value: /not-cross}}], backendRefs: [{name: infra-v2, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row, namespace: infra}
spec:
  from:
    - {group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row-chosen}
    - {group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row-other}
    - {group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row-elsewhere}
  to: [{group: '', kind: Service}]
";

fn routes(scene: &Scene<'_>) {
    scene.gateway("$row").attaches_listener_sets(2);
    let pods = [("/same", "infra-v1"), ("/chosen", "infra-v2"), ("/other", "infra-v3")];
    let takes: [(&str, &[&str]); 3] =
        [("all", &["/same", "/chosen", "/other"]), ("same", &["/same"]), ("chosen", &["/chosen"])];
    let set = scene.listener_set("infra", "$row");
    for (listener, paths) in takes {
        let asked = pods.map(|(path, pod)| {
            let request = get(&format!("{listener}.example{path}"));
            if paths.contains(&path) { request.reaches(pod) } else { request.answers(404) }
        });
        scene.expect(&asked);
        set.listener(listener).is_good();
        set.listener(listener).attaches(paths.len());
    }
    scene.expect(&[
        get("cross.example/cross").reaches("infra-v1"),
        get("cross.example/not-cross").answers(404),
    ]);
    scene.listener_set("$row-elsewhere", "$row").listener("cross").attaches(1);
    let route = scene.route("infra", "$row-not-cross").at("$row");
    route.says("Accepted", "False", "NotAllowedByListeners");
}

const DUAL: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-set, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: more, port: 80, protocol: HTTP, hostname: more.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-both, namespace: infra}
spec:
  parentRefs: [{name: $row}, {group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-set}]
  rules: [{matches: [{path: {type: PathPrefix, value: /both}}], backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-one, namespace: infra}
spec:
  parentRefs:
    - {name: $row, sectionName: more}
    - {group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-set, sectionName: more}
  rules: [{matches: [{path: {type: PathPrefix, value: /one}}], backendRefs: [{name: infra-v2, port: 8080}]}]
";

fn dual(scene: &Scene<'_>) {
    scene.expect(&[
        get("own.example/both").reaches("infra-v1"),
        get("more.example/both").reaches("infra-v1"),
        get("more.example/one").reaches("infra-v2"),
        get("own.example/one").answers(404),
    ]);
    scene.gateway("$row").attaches_listener_sets(1);
    scene.listener_set("infra", "$row-set").listener("more").attaches(2);
    let both = scene.route("infra", "$row-both");
    both.at("$row").says("Accepted", "True", "Accepted");
    both.at("$row-set").says("Accepted", "True", "Accepted");
    let one = scene.route("infra", "$row-one");
    one.at("$row").says("Accepted", "False", "NoMatchingParent");
    one.at("$row-set").says("Accepted", "True", "Accepted");
}

const SECTION: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-set, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: more, port: 80, protocol: HTTP, hostname: more.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-by-set, namespace: infra}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-set, sectionName: more}]
  rules: [{matches: [{path: {type: PathPrefix, value: /set}}], backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-by-gateway, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: more}]
  rules: [{matches: [{path: {type: PathPrefix, value: /gateway}}], backendRefs: [{name: infra-v2, port: 8080}]}]
";

fn section(scene: &Scene<'_>) {
    scene.expect(&[
        get("more.example/set").reaches("infra-v1"),
        get("own.example/gateway").answers(404),
        get("more.example/gateway").answers(404),
    ]);
    let route = scene.route("infra", "$row-by-set").at("$row-set");
    route.says("Accepted", "True", "Accepted");
    let route = scene.route("infra", "$row-by-gateway").at("$row");
    route.says("Accepted", "False", "NoMatchingParent");
}

const ROUTING: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: All}}
  listeners:
    - {name: g1, port: 80, protocol: HTTP, hostname: g1.example}
    - {name: g2, port: 80, protocol: HTTP, hostname: g2.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-a, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners:
    - {name: a1, port: 80, protocol: HTTP, hostname: a1.example}
    - {name: a2, port: 80, protocol: HTTP, hostname: a2.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-b, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners:
    - {name: b1, port: 80, protocol: HTTP, hostname: b1.example}
    - {name: b2, port: 80, protocol: HTTP, hostname: b2.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-all, namespace: infra}
spec:
  parentRefs:
    - {name: $row}
    - {group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-a}
    - {group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-b}
  rules: [{matches: [{path: {type: PathPrefix, value: /all}}], backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-gateway, namespace: infra}
spec:
  parentRefs: [{name: $row}]
  rules: [{matches: [{path: {type: PathPrefix, value: /gateway}}], backendRefs: [{name: infra-v2, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-g1, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: g1}]
  rules: [{matches: [{path: {type: PathPrefix, value: /g1}}], backendRefs: [{name: infra-v3, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-a, namespace: infra}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-a}]
  rules: [{matches: [{path: {type: PathPrefix, value: /a}}], backendRefs: [{name: infra-v2, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-a1, namespace: infra}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-a, sectionName: a1}]
  rules: [{matches: [{path: {type: PathPrefix, value: /a1}}], backendRefs: [{name: infra-v3, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-b, namespace: infra}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-b}]
  rules: [{matches: [{path: {type: PathPrefix, value: /b}}], backendRefs: [{name: infra-v2, port: 8080}]}]
";

fn routing(scene: &Scene<'_>) {
    let listeners = ["g1", "g2", "a1", "a2", "b1", "b2"];
    // The path of each route, its app, and the listeners that have it.
    let routes: [(&str, &str, &[&str]); 6] = [
        ("/all", "infra-v1", &listeners),
        ("/gateway", "infra-v2", &["g1", "g2"]),
        ("/g1", "infra-v3", &["g1"]),
        ("/a", "infra-v2", &["a1", "a2"]),
        ("/a1", "infra-v3", &["a1"]),
        ("/b", "infra-v2", &["b1", "b2"]),
    ];
    let asked = routes.iter().flat_map(|(path, pod, at)| {
        listeners.map(|listener| -> Exchange {
            let request = get(&format!("{listener}.example{path}"));
            if at.contains(&listener) { request.reaches(pod) } else { request.answers(404) }
        })
    });
    scene.expect(&asked.collect::<Vec<_>>());
    scene.gateway("$row").attaches_listener_sets(2);
    for (set, listener, attached) in
        [("$row-a", "a1", 3), ("$row-a", "a2", 2), ("$row-b", "b1", 2), ("$row-b", "b2", 2)]
    {
        scene.listener_set("infra", set).listener(listener).attaches(attached);
    }
}

const SCOPED: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-set, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: more, port: 80, protocol: HTTP, hostname: more.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-gateway, namespace: infra}
spec:
  parentRefs: [{name: $row}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-set, namespace: infra}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-set}]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
";

/// A route is attached where it says so, and told of nothing else.
fn scoped(scene: &Scene<'_>) {
    scene.expect_at(
        scene.at(1, 80),
        &Way::Plain,
        &[get("own.example/").reaches("infra-v1"), get("more.example/").reaches("infra-v2")],
    );
    scene.gateway("$row").attaches_listener_sets(1);
    scene.listener_set("infra", "$row-set").listener("more").attaches(1);
    for (route, parent) in [("$row-gateway", "$row"), ("$row-set", "$row-set")] {
        let route = scene.route("infra", route);
        route.at(parent).says("Accepted", "True", "Accepted");
        route.has_parents(1);
    }
}
