//! How requests are shared between backends.

use crate::exchange::get;
use crate::row::{Row, Scene, assert_shares};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteSimpleSameNamespace", SIMPLE, simple),
    Row::mesh("MeshHTTPRouteSimpleSameNamespace", SIMPLE, simple),
    Row::mesh("MeshBasic", "", basic),
    Row::mesh("MeshTrafficSplit", SPLIT, split),
    Row::gateway("HTTPRouteWeight", WEIGHTS, weights),
    Row::mesh("MeshHTTPRouteWeight", WEIGHTS, weights),
    Row::gateway("GRPCRouteWeight", GRPC_WEIGHTS, gateway_grpc_weights),
    Row::mesh("MeshGRPCRouteWeight", GRPC_WEIGHTS, mesh_grpc_weights),
];

const SIMPLE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs: [{name: infra-v1, port: 8080}]
";

fn simple(scene: &Scene<'_>) {
    scene.expect(&[get("/").reaches("infra-v1").sees_host(&scene.host())]);
}

/// A service of two apps, of which no route says anything.
fn basic(scene: &Scene<'_>) {
    scene.expect(&[get("/").reaches_namespace("infra")]);
    assert_eq!(scene.call_shares(20, 7070).get("Unavailable"), None);
}

const SPLIT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: Exact, value: /v1}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: Exact, value: /v2}}]
      backendRefs: [{name: infra-v2, port: 8080}]
";

fn split(scene: &Scene<'_>) {
    scene.expect(&[get("/v1").reaches("infra-v1"), get("/v2").reaches("infra-v2")]);
}

const WEIGHTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs:
        - {name: infra-v1, port: 8080, weight: 70}
        - {name: infra-v2, port: 8080, weight: 30}
        - {name: infra-v3, port: 8080, weight: 0}
";

fn weights(scene: &Scene<'_>) {
    let counts = scene.shares(500, &get("/"));
    assert_shares(&counts, &[("infra-v1", 70), ("infra-v2", 30)]);
}

const GRPC_WEIGHTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs:
        - {name: infra-v1, port: 7070, weight: 70}
        - {name: infra-v2, port: 7070, weight: 30}
        - {name: infra-v3, port: 7070, weight: 0}
";

fn gateway_grpc_weights(scene: &Scene<'_>) {
    let counts = scene.call_shares(500, 80);
    assert_shares(&counts, &[("infra-v1", 70), ("infra-v2", 30)]);
}

fn mesh_grpc_weights(scene: &Scene<'_>) {
    let counts = scene.call_shares(500, 7070);
    assert_shares(&counts, &[("infra-v1", 70), ("infra-v2", 30)]);
}
