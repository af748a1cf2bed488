//! What is changed in the headers of requests and answers.

use crate::exchange::{Exchange, Way, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteRequestHeaderModifier", REQUEST, request),
    Row::mesh("MeshHTTPRouteRequestHeaderModifier", REQUEST, request),
    Row::gateway("HTTPRouteBackendRequestHeaderModifier", BACKEND, request),
    Row::mesh("MeshHTTPRouteBackendRequestHeaderModifier", BACKEND, request),
    Row::gateway("HTTPRouteRequestHeaderModifierBackendWeights", BY_BACKEND, by_backend),
    Row::gateway("HTTPRouteResponseHeaderModifier", ANSWER, answer),
];

const REQUEST: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /set}}]
      filters:
        - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}]}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /add}}]
      filters:
        - {type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: X-Add, value: more}]}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /remove}}]
      filters:
        - {type: RequestHeaderModifier, requestHeaderModifier: {remove: [X-Remove]}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /several}}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{name: X-Set-1, value: new-1}, {name: X-Set-2, value: new-2}]
            add: [{name: X-Add-1, value: more-1}, {name: X-Add-2, value: more-2}]
            remove: [X-Remove-1, X-Remove-2]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /case}}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{name: X-Set, value: new}]
            add: [{name: X-Add, value: more}, {name: X-LOUD, value: loud}, {name: x-quiet, value: quiet}]
            remove: [X-Remove]
      backendRefs: [{name: infra-v1, port: 8080}]
";

/// The same, said of the one backend.
const BACKEND: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /set}}]
      backendRefs:
        - name: infra-v1
          port: 8080
          filters:
            - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}]}}
    - matches: [{path: {type: PathPrefix, value: /add}}]
      backendRefs:
        - name: infra-v1
          port: 8080
          filters:
            - {type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: X-Add, value: more}]}}
    - matches: [{path: {type: PathPrefix, value: /remove}}]
      backendRefs:
        - name: infra-v1
          port: 8080
          filters:
            - {type: RequestHeaderModifier, requestHeaderModifier: {remove: [X-Remove]}}
    - matches: [{path: {type: PathPrefix, value: /several}}]
      backendRefs:
        - name: infra-v1
          port: 8080
          filters:
            - type: RequestHeaderModifier
              requestHeaderModifier:
                set: [{name: X-Set-1, value: new-1}, {name: X-Set-2, value: new-2}]
                add: [{name: X-Add-1, value: more-1}, {name: X-Add-2, value: more-2}]
                remove: [X-Remove-1, X-Remove-2]
    - matches: [{path: {type: PathPrefix, value: /case}}]
      backendRefs:
        - name: infra-v1
          port: 8080
          filters:
            - type: RequestHeaderModifier
              requestHeaderModifier:
                set: [{name: X-Set, value: new}]
                add: [{name: X-Add, value: more}, {name: X-LOUD, value: loud}, {name: x-quiet, value: quiet}]
                remove: [X-Remove]
";

fn request(scene: &Scene<'_>) {
    scene.expect(&[
        get("/set")
            .with("X-Other: kept")
            .reaches("infra-v1")
            .sees("x-set: new")
            .sees("x-other: kept"),
        get("/set").with("X-Set: old").reaches("infra-v1").sees("x-set: new"),
        get("/add")
            .with("X-Other: kept")
            .reaches("infra-v1")
            .sees("x-add: more")
            .sees("x-other: kept"),
        get("/add").with("X-Add: first").reaches("infra-v1").sees("x-add: first,more"),
        get("/remove").with("X-Remove: any").reaches("infra-v1").sees_no("x-remove"),
        get("/several")
            .with("X-Set-2: old")
            .with("X-Add-2: first")
            .with("X-Remove-2: any")
            .with("X-Other: kept")
            .reaches("infra-v1")
            .sees("x-set-1: new-1")
            .sees("x-set-2: new-2")
            .sees("x-add-1: more-1")
            .sees("x-add-2: first,more-2")
            .sees("x-other: kept")
            .sees_no("x-remove-1")
            .sees_no("x-remove-2"),
        get("/case")
            .with("x-set: old")
            .with("x-add: first")
            .with("x-remove: any")
            .reaches("infra-v1")
            .sees("x-set: new")
            .sees("x-add: first,more")
            .sees("x-loud: loud")
            .sees("x-quiet: quiet")
            .sees_no("x-remove"),
    ]);
}

const BY_BACKEND: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs:
        - name: infra-v1
          port: 8080
          weight: 10
          filters:
            - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Meant, value: infra-v1}]}}
        - name: infra-v2
          port: 8080
          weight: 10
          filters:
            - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Meant, value: infra-v2}]}}
";

/// Each backend gets its own header, whichever of them is drawn.
fn by_backend(scene: &Scene<'_>) {
    let request = get("/").answers(200);
    let mut reached = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let saw = scene.ask(scene.at(1, 80), &Way::Plain, &request).expect("an answer").saw;
        assert_eq!(saw["headers"]["x-meant"], saw["pod"], "{saw}");
        reached.insert(saw["pod"].to_string());
    }
    assert_eq!(reached.len(), 2, "{reached:?}");
}

const ANSWER: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /set}}]
      filters:
        - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Set, value: new}]}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /add}}]
      filters:
        - {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-Add, value: more}]}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /remove}}]
      filters:
        - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [X-Remove]}}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /several}}]
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier:
            set: [{name: X-Set-1, value: new-1}, {name: X-Set-2, value: new-2}]
            add: [{name: X-Add-1, value: more-1}, {name: X-Add-2, value: more-2}]
            remove: [X-Remove-1, X-Remove-2]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /case}}]
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier:
            set: [{name: X-Set, value: new}]
            add: [{name: X-Add, value: more}, {name: X-LOUD, value: loud}, {name: x-quiet, value: quiet}]
            remove: [X-Remove]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /both}}]
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: {set: [{name: X-Set, value: answer}], remove: [X-Remove]}
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: X-Set, value: request}], remove: [X-Gone]}
      backendRefs: [{name: infra-v1, port: 8080}]
";

fn answer(scene: &Scene<'_>) {
    scene.expect(&[
        answers("/set", &["x-other:kept"]).gets("x-set: new").gets("x-other: kept"),
        answers("/set", &["x-set:old"]).gets("x-set: new"),
        answers("/add", &["x-other:kept"]).gets("x-add: more").gets("x-other: kept"),
        answers("/add", &["x-add:first"]).gets("x-add: first,more"),
        answers("/remove", &["x-remove:any"]).gets_no("x-remove"),
        answers("/several", &["x-set-2:old", "x-add-2:first", "x-remove-1:any", "x-remove-2:any"])
            .gets("x-set-1: new-1")
            .gets("x-set-2: new-2")
            .gets("x-add-1: more-1")
            .gets("x-add-2: first,more-2")
            .gets_no("x-remove-1")
            .gets_no("x-remove-2"),
        answers("/case", &["x-set:old", "x-add:first", "x-remove:any"])
            .gets("x-set: new")
            .gets("x-add: first,more")
            .gets("x-loud: loud")
            .gets("x-quiet: quiet")
            .gets_no("x-remove"),
        answers("/both", &["x-set:old", "x-remove:any", "x-gone:kept"])
            .with("X-Gone: any")
            .with("X-Remove: kept")
            .sees("x-set: request")
            .sees("x-remove: kept")
            .sees_no("x-gone")
            .gets("x-set: answer")
            .gets("x-gone: kept")
            .gets_no("x-remove"),
    ]);
}

/// A request that has the app set these headers of its answer.
fn answers(path: &str, headers: &[&str]) -> Exchange {
    let query: Vec<_> = headers.iter().map(|header| format!("set={header}")).collect();
    get(&format!("{path}?{}", query.join("&"))).reaches("infra-v1")
}
