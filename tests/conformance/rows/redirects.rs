//! Where callers are sent instead, and the paths and hosts that apps are asked for.

use http::Method;

use crate::exchange::{Exchange, Way, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteRedirectHostAndStatus", HOST, host),
    Row::mesh("MeshHTTPRouteRedirectHostAndStatus", HOST, host),
    Row::gateway("HTTPRouteRedirectPath", PATH, path),
    Row::mesh("MeshHTTPRouteRedirectPath", PATH, path),
    Row::gateway("HTTPRouteRedirectPort", PORT, port),
    Row::mesh("MeshHTTPRouteRedirectPort", PORT, port),
    Row::gateway("HTTPRouteRedirectScheme", SCHEME, scheme),
    Row::mesh("MeshHTTPRouteSchemeRedirect", SCHEME, scheme),
    Row::gateway("HTTPRoute303Redirect", STATUSES, see_other),
    Row::gateway("HTTPRoute307Redirect", STATUSES, temporary),
    Row::gateway("HTTPRoute308Redirect", STATUSES, permanent),
    Row::gateway("HTTPRouteRedirectPortAndScheme", PORT_AND_SCHEME, port_and_scheme),
];

const HOST: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /host}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example}}]
    - matches: [{path: {type: PathPrefix, value: /host-status}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, statusCode: 301}}]
";

fn host(scene: &Scene<'_>) {
    scene.expect(&[
        get("/host").redirects(302, "http://new.example/host"),
        get("/host/a?b=c").redirects(302, "http://new.example/host/a?b=c"),
        get("/host-status").redirects(301, "http://new.example/host-status"),
    ]);
}

const PATH: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /prefix}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
    - matches: [{path: {type: PathPrefix, value: /full}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /whole}}
    - matches: [{path: {type: PathPrefix, value: /prefix-host}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {hostname: new.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
    - matches: [{path: {type: PathPrefix, value: /prefix-status}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {statusCode: 301, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
    - matches: [{path: {type: PathPrefix, value: /full-host}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {hostname: new.example, path: {type: ReplaceFullPath, replaceFullPath: /whole}}
    - matches: [{path: {type: PathPrefix, value: /full-status}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /whole}}
";

fn path(scene: &Scene<'_>) {
    let own = |path: &str| format!("http://{}{path}", scene.host());
    scene.expect(&[
        get("/prefix/a").redirects(302, &own("/new/a")),
        get("/full/a/b").redirects(302, &own("/whole")),
        get("/prefix-host").redirects(302, "http://new.example/new"),
        get("/prefix-status").redirects(301, &own("/new")),
        get("/full-host").redirects(302, "http://new.example/whole"),
        get("/full-status").redirects(301, &own("/whole")),
    ]);
}

const PORT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /port}}]
      filters: [{type: RequestRedirect, requestRedirect: {port: 8083}}]
    - matches: [{path: {type: PathPrefix, value: /port-host}}]
      filters: [{type: RequestRedirect, requestRedirect: {port: 8083, hostname: new.example}}]
    - matches: [{path: {type: PathPrefix, value: /port-status}}]
      filters: [{type: RequestRedirect, requestRedirect: {port: 8083, statusCode: 301}}]
    - matches: [{path: {type: PathPrefix, value: /all}}]
      filters: [{type: RequestRedirect, requestRedirect: {port: 8083, hostname: new.example, statusCode: 302}}]
";

fn port(scene: &Scene<'_>) {
    let own = |path: &str| format!("http://{}:8083{path}", scene.host());
    scene.expect(&[
        get("/port").redirects(302, &own("/port")),
        get("/port-host").redirects(302, "http://new.example:8083/port-host"),
        get("/port-status").redirects(301, &own("/port-status")),
        get("/all").redirects(302, "http://new.example:8083/all"),
    ]);
}

const SCHEME: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /scheme}}]
      filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]
    - matches: [{path: {type: PathPrefix, value: /scheme-host}}]
      filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: new.example}}]
    - matches: [{path: {type: PathPrefix, value: /scheme-status}}]
      filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
    - matches: [{path: {type: PathPrefix, value: /all}}]
      filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: new.example, statusCode: 302}}]
";

fn scheme(scene: &Scene<'_>) {
    let own = |path: &str| format!("https://{}{path}", scene.host());
    scene.expect(&[
        get("/scheme").redirects(302, &own("/scheme")),
        get("/scheme-host").redirects(302, "https://new.example/scheme-host"),
        get("/scheme-status").redirects(301, &own("/scheme-status")),
        get("/all").redirects(302, "https://new.example/all"),
    ]);
}

const STATUSES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /303}}]
      filters: [{type: RequestRedirect, requestRedirect: {statusCode: 303}}]
    - matches: [{path: {type: PathPrefix, value: /307}}]
      filters: [{type: RequestRedirect, requestRedirect: {statusCode: 307}}]
    - matches: [{path: {type: PathPrefix, value: /308}}]
      filters: [{type: RequestRedirect, requestRedirect: {statusCode: 308}}]
";

fn see_other(scene: &Scene<'_>) {
    let request = get("/303").method(Method::POST);
    scene.expect(&[request.redirects(303, "http://example.org/303")]);
}

fn temporary(scene: &Scene<'_>) {
    scene.expect(&[get("/307").redirects(307, "http://example.org/307")]);
}

fn permanent(scene: &Scene<'_>) {
    scene.expect(&[get("/308").redirects(308, "http://example.org/308")]);
}

const PORT_AND_SCHEME: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: usual, port: 80, protocol: HTTP}
    - {name: other, port: 8080, protocol: HTTP}
    - {name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /none}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example}}]
    - matches: [{path: {type: PathPrefix, value: /port-80}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, port: 80}}]
    - matches: [{path: {type: PathPrefix, value: /port-443}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, port: 443}}]
    - matches: [{path: {type: PathPrefix, value: /port-8080}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, port: 8080}}]
    - matches: [{path: {type: PathPrefix, value: /http}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, scheme: http}}]
    - matches: [{path: {type: PathPrefix, value: /http-80}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, scheme: http, port: 80}}]
    - matches: [{path: {type: PathPrefix, value: /http-8080}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, scheme: http, port: 8080}}]
    - matches: [{path: {type: PathPrefix, value: /https}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, scheme: https}}]
    - matches: [{path: {type: PathPrefix, value: /https-443}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, scheme: https, port: 443}}]
    - matches: [{path: {type: PathPrefix, value: /https-8443}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, scheme: https, port: 8443}}]
";

/// The port of a scheme is never written; without a scheme the listener's port is kept.
fn port_and_scheme(scene: &Scene<'_>) {
    let to = |path: &str, origin: &str| get(path).redirects(302, &format!("{origin}{path}"));
    let always: [Exchange; 6] = [
        to("/http", "http://new.example"),
        to("/http-80", "http://new.example"),
        to("/http-8080", "http://new.example:8080"),
        to("/https", "https://new.example"),
        to("/https-443", "https://new.example"),
        to("/https-8443", "https://new.example:8443"),
    ];
    let plain = [to("/port-80", "http://new.example"), to("/port-8080", "http://new.example:8080")];
    scene.expect_at(scene.at(1, 80), &Way::Plain, &[to("/none", "http://new.example")]);
    scene.expect_at(scene.at(1, 8080), &Way::Plain, &[to("/none", "http://new.example:8080")]);
    for port in [80, 8080] {
        scene.expect_at(scene.at(1, port), &Way::Plain, &[&always[2..], &plain].concat());
    }
    let tls = [
        to("/none", "https://new.example"),
        to("/port-443", "https://new.example"),
        to("/port-8080", "https://new.example:8080"),
    ];
    let way = scene.world.tls(Some("example.org"));
    scene.expect_at(scene.at(1, 443), &way, &[&always[..], &tls].concat());
}
