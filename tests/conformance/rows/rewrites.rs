//! The paths and hosts that apps are asked for instead.

use crate::exchange::{Exchange, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteRewritePath", PATH, path),
    Row::mesh("MeshHTTPRouteRewritePath", PATH, path),
    Row::gateway("HTTPRouteRewriteHost", HOST, host),
];

const PATH: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /prefix/one}}]
      filters:
        - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /one}}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /strip}}]
      filters:
        - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /full}}]
      filters:
        - {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /whole}}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /full/headers}}]
      filters:
        - {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /whole}}}
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /prefix/headers}}]
      filters:
        - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /prefix}}}
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}
      backendRefs: [{name: infra-v1, port: 8080}]
";

fn path(scene: &Scene<'_>) {
    scene.expect(&[
        get("/prefix/one/two").reaches("infra-v1").sees_path("/one/two"),
        get("/strip/three?a=b").reaches("infra-v1").sees_path("/three?a=b"),
        get("/strip").reaches("infra-v1").sees_path("/"),
        get("/full/one/two").reaches("infra-v1").sees_path("/whole"),
        with_headers("/full/headers/any").sees_path("/whole"),
        with_headers("/prefix/headers/one").sees_path("/prefix/one"),
    ]);
}

/// The route changes headers as well.
fn with_headers(target: &str) -> Exchange {
    let request = get(target).with("X-Set: old").with("X-Add: first").with("X-Remove: any");
    request.answers(200).sees("x-set: new").sees("x-add: first,more").sees_no("x-remove")
}

const HOST: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [old.example]
  rules:
    - matches: [{path: {type: PathPrefix, value: /one}}]
      filters: [{type: URLRewrite, urlRewrite: {hostname: one.new.example}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - filters: [{type: URLRewrite, urlRewrite: {hostname: new.example}}]
      backendRefs: [{name: infra-v2, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /headers}}]
      filters:
        - {type: URLRewrite, urlRewrite: {hostname: headers.new.example}}
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}
      backendRefs: [{name: infra-v2, port: 8080}]
";

fn host(scene: &Scene<'_>) {
    scene.expect(&[
        get("old.example/one").reaches("infra-v1").sees_host("one.new.example").sees_path("/one"),
        get("old.example/two").reaches("infra-v2").sees_host("new.example").sees_path("/two"),
        with_headers("old.example/headers").sees_host("headers.new.example"),
    ]);
}
