//! Which rule takes a request: by path, header, query parameter and method, and which of several that could.

use http::Method;

use crate::exchange::get;
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteMatching", MATCHING, matching),
    Row::mesh("MeshHTTPRouteMatching", MATCHING, matching),
    Row::gateway("HTTPRouteExactPathMatching", EXACT, exact),
    Row::gateway("HTTPRouteHeaderMatching", HEADERS, headers),
    Row::gateway("HTTPRouteMatchingAcrossRoutes", ACROSS, across),
    Row::gateway("HTTPRoutePathMatchOrder", ORDER, order),
    Row::gateway("HTTPRouteMethodMatching", METHODS, methods),
    Row::gateway("HTTPRouteQueryParamMatching", QUERY, query),
    Row::mesh("MeshHTTPRouteQueryParamMatching", QUERY, query),
    Row::gateway("HTTPRouteNamedRule", NAMED, named),
    Row::mesh("MeshHTTPRouteNamedRule", NAMED, named),
];

const MATCHING: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches:
        - path: {type: PathPrefix, value: /}
        - headers: [{name: version, value: one}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches:
        - path: {type: PathPrefix, value: /v2}
        - headers: [{name: version, value: two}]
      backendRefs: [{name: infra-v2, port: 8080}]
";

fn matching(scene: &Scene<'_>) {
    scene.expect(&[
        get("/").reaches("infra-v1"),
        get("/any").reaches("infra-v1"),
        get("/").with("Version: one").reaches("infra-v1"),
        get("/v2").reaches("infra-v2"),
        get("/v2/").reaches("infra-v2"),
        get("/v2/any").reaches("infra-v2"),
        get("/").with("Version: two").reaches("infra-v2"),
        // A prefix ends where a segment does, and begins where the path does.
        get("/v2any").reaches("infra-v1"),
        get("/any/v2/any").reaches("infra-v1"),
    ]);
}

const EXACT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: Exact, value: /one}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: Exact, value: /two}}]
      backendRefs: [{name: infra-v2, port: 8080}]
";

fn exact(scene: &Scene<'_>) {
    scene.expect(&[
        get("/one").reaches("infra-v1"),
        get("/two").reaches("infra-v2"),
        get("/").answers(404),
        get("/one/any").answers(404),
        get("/two/").answers(404),
        get("/Two").answers(404),
    ]);
}

const HEADERS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{headers: [{name: version, value: one}]}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{headers: [{name: version, value: two}]}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches: [{headers: [{name: version, value: two}, {name: size, value: large}]}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches:
        - headers: [{name: size, value: small}]
        - headers: [{name: size, value: middle}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches:
        - headers: [{name: size, value: tiny}]
        - headers: [{name: size, value: huge}]
      backendRefs: [{name: infra-v2, port: 8080}]
";

fn headers(scene: &Scene<'_>) {
    scene.expect(&[
        get("/").with("Version: one").reaches("infra-v1"),
        get("/").with("Version: two").reaches("infra-v2"),
        get("/").with("Version: two").with("Size: large").reaches("infra-v1"),
        get("/").with("Version: two").with("Size: small").reaches("infra-v2"),
        get("/").with("Size: small").reaches("infra-v1"),
        get("/").with("Size: middle").reaches("infra-v1"),
        get("/").with("Size: tiny").reaches("infra-v2"),
        get("/").with("Size: huge").reaches("infra-v2"),
        get("/").with("Size: large").answers(404),
        get("/").with("Size: other").answers(404),
        get("/").with("Other: one").answers(404),
    ]);
}

const ACROSS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-first, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [first.example, second.example]
  rules:
    - matches:
        - path: {type: PathPrefix, value: /}
        - headers: [{name: version, value: one}]
      backendRefs: [{name: infra-v1, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-second, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [first.example]
  rules:
    - matches:
        - path: {type: PathPrefix, value: /v2}
        - headers: [{name: version, value: two}]
      backendRefs: [{name: infra-v2, port: 8080}]
";

fn across(scene: &Scene<'_>) {
    scene.expect(&[
        get("first.example/").reaches("infra-v1"),
        get("first.example/any").reaches("infra-v1"),
        get("second.example/any").reaches("infra-v1"),
        get("first.example/any").with("Version: one").reaches("infra-v1"),
        get("first.example/v2").reaches("infra-v2"),
        get("first.example/v2/any").reaches("infra-v2"),
        get("first.example/").with("Version: two").reaches("infra-v2"),
        // The second route has nothing to say of the second host.
        get("second.example/v2").reaches("infra-v1"),
        get("third.example/").answers(404),
    ]);
}

const ORDER: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: Exact, value: /a}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: Exact, value: /a/exact}}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches: [{path: {type: Exact, value: /a/exact/one}}]
      backendRefs: [{name: infra-v3, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /a/}}]
      backendRefs: [{name: infra-v3, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /a/prefix/}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /a/prefix/one}}]
      backendRefs: [{name: infra-v2, port: 8080}]
";

fn order(scene: &Scene<'_>) {
    scene.expect(&[
        get("/a").reaches("infra-v1"),
        get("/a/exact").reaches("infra-v2"),
        get("/a/exact/one").reaches("infra-v3"),
        get("/a/prefix/one/any").reaches("infra-v2"),
        get("/a/prefix/any").reaches("infra-v1"),
        get("/a/any").reaches("infra-v3"),
    ]);
}

const METHODS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{method: POST}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{method: GET}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches: [{method: GET, path: {type: PathPrefix, value: /a}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{method: PUT, headers: [{name: version, value: one}]}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches: [{method: POST, path: {type: PathPrefix, value: /b}, headers: [{name: version, value: two}]}]
      backendRefs: [{name: infra-v3, port: 8080}]
    - matches:
        - {method: PATCH, path: {type: PathPrefix, value: /c}}
        - {method: DELETE, path: {type: PathPrefix, value: /d}, headers: [{name: version, value: three}]}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /e}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{method: PATCH}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches: [{headers: [{name: version, value: four}]}]
      backendRefs: [{name: infra-v3, port: 8080}]
";

fn methods(scene: &Scene<'_>) {
    let ask = |method: Method, path: &str| get(path).method(method);
    scene.expect(&[
        ask(Method::POST, "/").reaches("infra-v1"),
        ask(Method::GET, "/").reaches("infra-v2"),
        ask(Method::HEAD, "/").answers(404),
        // With other conditions.
        ask(Method::GET, "/a").reaches("infra-v1"),
        ask(Method::PUT, "/").with("version: one").reaches("infra-v2"),
        ask(Method::PUT, "/").answers(404),
        ask(Method::POST, "/b").with("version: two").reaches("infra-v3"),
        ask(Method::PATCH, "/c").reaches("infra-v1"),
        ask(Method::DELETE, "/d").with("version: three").reaches("infra-v1"),
        ask(Method::DELETE, "/d").answers(404),
        // A path weighs more than a method, and a method more than a header.
        ask(Method::PATCH, "/e").reaches("infra-v1"),
        ask(Method::PATCH, "/").with("version: four").reaches("infra-v2"),
        ask(Method::PUT, "/").with("version: four").reaches("infra-v3"),
    ]);
}

const QUERY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{queryParams: [{name: fruit, value: pear}]}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{queryParams: [{name: fruit, value: plum}]}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches:
        - queryParams: [{name: fruit, value: plum}, {name: size, value: small}]
        - queryParams: [{name: FRUIT, value: Pear}]
      backendRefs: [{name: infra-v3, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /a}, queryParams: [{name: fruit, value: pear}]}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{headers: [{name: version, value: one}], queryParams: [{name: fruit, value: pear}]}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches:
        - path: {type: PathPrefix, value: /b}
          headers: [{name: version, value: two}]
          queryParams: [{name: fruit, value: pear}]
      backendRefs: [{name: infra-v3, port: 8080}]
    - matches:
        - {path: {type: PathPrefix, value: /c}, queryParams: [{name: fruit, value: fig}]}
        - path: {type: PathPrefix, value: /d}
          headers: [{name: version, value: three}]
          queryParams: [{name: fruit, value: kiwi}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /e}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{queryParams: [{name: fruit, value: grape}]}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches: [{headers: [{name: version, value: four}]}]
      backendRefs: [{name: infra-v3, port: 8080}]
";

fn query(scene: &Scene<'_>) {
    scene.expect(&[
        get("/?fruit=pear").reaches("infra-v1"),
        get("/?fruit=plum").reaches("infra-v2"),
        get("/?fruit=pear&any=thing").reaches("infra-v1"),
        get("/?fruit=plum&size=large").reaches("infra-v2"),
        get("/?fruit=plum&size=small").reaches("infra-v3"),
        // Names and values are compared as they are written.
        get("/?FRUIT=Pear").reaches("infra-v3"),
        get("/?size=small").answers(404),
        get("/?fruit=peach").answers(404),
        get("/?fruit=pearplum").answers(404),
        get("/").answers(404),
        // With other conditions.
        get("/a?fruit=pear").reaches("infra-v1"),
        get("/?fruit=pear").with("version: one").reaches("infra-v2"),
        get("/b?fruit=pear").with("version: two").reaches("infra-v3"),
        get("/c?fruit=fig").reaches("infra-v1"),
        get("/d?fruit=kiwi").with("version: three").reaches("infra-v1"),
        get("/?fruit=fig").answers(404),
        get("/d?fruit=kiwi").answers(404),
        // A path weighs more than a parameter, and a header more than one, too.
        get("/e?fruit=grape").reaches("infra-v1"),
        get("/?fruit=grape").with("version: four").reaches("infra-v3"),
    ]);
}

const NAMED: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - name: a-name
      matches: [{path: {type: PathPrefix, value: /with}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /without}}]
      backendRefs: [{name: infra-v2, port: 8080}]
";

fn named(scene: &Scene<'_>) {
    scene.expect(&[get("/with").reaches("infra-v1"), get("/without").reaches("infra-v2")]);
}
