//! Calls of gRPC through a gateway.

use tonic::Code;

use crate::grpc::Call;
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("GRPCExactMethodMatching", METHODS, methods),
    Row::gateway("GRPCRouteHeaderMatching", HEADERS, headers),
    Row::gateway("GRPCRouteListenerHostnameMatching", HOSTS, hosts),
];

const METHODS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{method: {service: postern.conformance.Echo, method: Ask}}]
      backendRefs: [{name: infra-v1, port: 7070}]
    - matches: [{method: {service: postern.conformance.Echo, method: AskAgain}}]
      backendRefs: [{name: infra-v2, port: 7070}]
";

fn methods(scene: &Scene<'_>) {
    scene.expect_calls(&[
        (call("Ask"), Ok("infra-v1")),
        (call("AskAgain"), Ok("infra-v2")),
        (call("AskOnceMore"), Err(Code::Unimplemented)),
    ]);
}

const HEADERS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{headers: [{name: version, value: one}]}]
      backendRefs: [{name: infra-v1, port: 7070}]
    - matches: [{headers: [{name: version, value: two}]}]
      backendRefs: [{name: infra-v2, port: 7070}]
    - matches: [{headers: [{name: version, value: two}, {name: size, value: large}]}]
      backendRefs: [{name: infra-v1, port: 7070}]
    - matches:
        - headers: [{name: size, value: small}]
        - headers: [{name: size, value: middle}]
      backendRefs: [{name: infra-v1, port: 7070}]
    - matches:
        - headers: [{name: size, value: tiny}]
        - headers: [{name: size, value: huge}]
      backendRefs: [{name: infra-v2, port: 7070}]
";

fn headers(scene: &Scene<'_>) {
    let with = |metadata: &[(&'static str, &'static str)]| Call {
        metadata: metadata.to_vec(),
        ..call("Ask")
    };
    scene.expect_calls(&[
        (with(&[("version", "one")]), Ok("infra-v1")),
        (with(&[("version", "two")]), Ok("infra-v2")),
        (with(&[("version", "two"), ("size", "large")]), Ok("infra-v1")),
        (with(&[("version", "two"), ("size", "small")]), Ok("infra-v2")),
        (with(&[("size", "small")]), Ok("infra-v1")),
        (with(&[("size", "middle")]), Ok("infra-v1")),
        (with(&[("size", "tiny")]), Ok("infra-v2")),
        (with(&[("size", "huge")]), Ok("infra-v2")),
        (with(&[("size", "large")]), Err(Code::Unimplemented)),
        (with(&[("other", "one")]), Err(Code::Unimplemented)),
        (with(&[("size", "other")]), Err(Code::Unimplemented)),
    ]);
}

const HOSTS: &str = "
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
kind: GRPCRoute
metadata: {name: $row-one, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: one}]
  rules: [{backendRefs: [{name: infra-v1, port: 7070}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: $row-two, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: two}]
  rules: [{backendRefs: [{name: infra-v2, port: 7070}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: $row-three, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: three}, {name: $row, sectionName: four}]
  rules: [{backendRefs: [{name: infra-v3, port: 7070}]}]
";

fn hosts(scene: &Scene<'_>) {
    let at = |host: &str| Call { host: host.to_owned(), ..call("Ask") };
    scene.expect_calls(&[
        (at("a.example"), Ok("infra-v1")),
        (at("b.a.example"), Ok("infra-v2")),
        (at("c.a.example"), Ok("infra-v3")),
        (at("two.labels.a.example"), Ok("infra-v3")),
        (at("two.labels.b.example"), Ok("infra-v3")),
        (at("b.example"), Err(Code::Unimplemented)),
        (at("c.example"), Err(Code::Unimplemented)),
    ]);
}

fn call(method: &'static str) -> Call {
    Call { method, host: "example.org".to_owned(), metadata: Vec::new() }
}
