//! How long a request may take, how often it is sent, and who gets a copy.

use std::time::Duration;

use postern_tests::wait;

use crate::exchange::{Exchange, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteTimeoutRequest", REQUEST, request),
    Row::gateway("HTTPRouteTimeoutBackendRequest", BACKEND_REQUEST, request),
    Row::gateway("HTTPRouteRetry", RETRY, retry),
    Row::gateway("HTTPRouteRequestMirror", MIRROR, mirror),
    Row::gateway("HTTPRouteRequestMultipleMirrors", MIRRORS, mirrors),
    Row::gateway("HTTPRouteRequestPercentageMirror", PERCENT, percent),
];

const REQUEST: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /limited}}]
      timeouts: {request: 200ms}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /unlimited}}]
      timeouts: {request: 0s}
      backendRefs: [{name: infra-v1, port: 8080}]
";

const BACKEND_REQUEST: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /limited}}]
      timeouts: {backendRequest: 200ms}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /unlimited}}]
      timeouts: {backendRequest: 0s}
      backendRefs: [{name: infra-v1, port: 8080}]
";

fn request(scene: &Scene<'_>) {
    scene.expect(&[
        get("/limited").reaches("infra-v1"),
        get("/limited?delay=800").answers(504),
        get("/unlimited?delay=800").reaches("infra-v1"),
    ]);
}

const RETRY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /one-code}}]
      retry: {codes: [500], attempts: 3}
      backendRefs: [{name: infra-v3, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /all-codes}}]
      retry: {codes: [500, 502, 503, 504], attempts: 2}
      backendRefs: [{name: infra-v3, port: 8080}]
";

fn retry(scene: &Scene<'_>) {
    let fails = |path: &str, status: u16, times: usize| {
        get(&format!("{path}?status={status}&times={times}&key={path}-{status}-{times}"))
    };
    let mut exchanges = vec![
        fails("/one-code", 500, 2).reaches("infra-v3"),
        fails("/one-code", 500, 4).answers(500),
        fails("/one-code", 503, 2).answers(503),
    ];
    for status in [500, 502, 503, 504] {
        exchanges.push(fails("/all-codes", status, 1).reaches("infra-v3"));
        exchanges.push(fails("/all-codes", status, 3).answers(status));
    }
    scene.expect(&exchanges);
}

const MIRROR: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /one-mirror}}]
      filters:
        - {type: RequestMirror, requestMirror: {backendRef: {name: infra-v2, namespace: infra, port: 8080}}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /one-mirror-headers}}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}
        - {type: RequestMirror, requestMirror: {backendRef: {name: infra-v2, namespace: infra, port: 8080}}}
      backendRefs: [{name: infra-v1, port: 8080}]
";

fn mirror(scene: &Scene<'_>) {
    scene.expect(&[
        get("/one-mirror").reaches("infra-v1"),
        changed(get("/one-mirror-headers")).reaches("infra-v1"),
    ]);
    copied(scene, &["infra-v2"], &["/one-mirror", "/one-mirror-headers"]);
}

const MIRRORS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /mirrors}}]
      filters:
        - {type: RequestMirror, requestMirror: {backendRef: {name: infra-v2, port: 8080}}}
        - {type: RequestMirror, requestMirror: {backendRef: {name: infra-v3, port: 8080}}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /mirrors-headers}}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}
        - {type: RequestMirror, requestMirror: {backendRef: {name: infra-v2, port: 8080}}}
        - {type: RequestMirror, requestMirror: {backendRef: {name: infra-v3, port: 8080}}}
      backendRefs: [{name: infra-v1, port: 8080}]
";

fn mirrors(scene: &Scene<'_>) {
    scene.expect(&[
        get("/mirrors").reaches("infra-v1"),
        changed(get("/mirrors-headers")).reaches("infra-v1"),
    ]);
    copied(scene, &["infra-v2", "infra-v3"], &["/mirrors", "/mirrors-headers"]);
}

const PERCENT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /percent}}]
      filters:
        - {type: RequestMirror, requestMirror: {backendRef: {name: infra-v2, port: 8080}, percent: 20}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /fraction}}]
      filters:
        - type: RequestMirror
          requestMirror: {backendRef: {name: infra-v2, port: 8080}, fraction: {numerator: 25, denominator: 50}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /percent-headers}}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}
        - {type: RequestMirror, requestMirror: {backendRef: {name: infra-v2, port: 8080}, percent: 35}}
      backendRefs: [{name: infra-v1, port: 8080}]
";

/// How many copies come of 500 requests; 60 are five deviations of the widest.
fn percent(scene: &Scene<'_>) {
    let mirror = scene.world.echo("infra-v2");
    for (path, percent) in [("/percent", 20), ("/fraction", 50), ("/percent-headers", 35)] {
        let counts = scene.shares(500, &get(path));
        assert_eq!(counts.get("infra-v1"), Some(&500), "{path}: {counts:?}");
        let expected: usize = 5 * percent;
        let right = || mirror.seen(path).abs_diff(expected) <= 60;
        let holds = wait::holds_within(Duration::from_secs(5), right);
        assert!(holds, "{path}: {} copies instead of {expected}", mirror.seen(path));
    }
}

/// With headers that the route changes.
fn changed(exchange: Exchange) -> Exchange {
    let request = exchange.with("X-Set: old").with("X-Add: first").with("X-Remove: any");
    request.sees("x-set: new").sees("x-add: first,more").sees_no("x-remove")
}

/// Waits until each of these has seen the requests.
fn copied(scene: &Scene<'_>, pods: &[&str], paths: &[&str]) {
    for pod in pods {
        for path in paths {
            let echo = scene.world.echo(pod);
            wait::until_true(&format!("{pod} to see {path}"), || echo.seen(path) == 1);
        }
    }
}
