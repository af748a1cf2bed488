//! What routes refer to: parents that take them or do not, backends that are there, and may be named, or are not.

use crate::exchange::get;
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteCrossNamespace", CROSS_NAMESPACE, cross_namespace),
    Row::gateway("HTTPRouteReferenceGrant", GRANT, grant),
    Row::gateway("HTTPRouteInvalidReferenceGrant", WRONG_GRANTS, wrong_grants),
    Row::gateway("HTTPRouteInvalidCrossNamespaceBackendRef", NO_GRANT, no_grant),
    Row::gateway("HTTPRoutePartiallyInvalidViaInvalidReferenceGrant", SOME_GRANT, some_grant),
    Row::gateway("HTTPRouteInvalidBackendRefUnknownKind", UNKNOWN_KIND, unknown_kind),
    Row::gateway("HTTPRouteInvalidNonExistentBackendRef", NOT_THERE, not_there),
    Row::gateway("HTTPRouteNoBackendRefs", NO_BACKENDS, no_backends),
    Row::gateway("HTTPRouteInvalidCrossNamespaceParentRef", FOREIGN_PARENT, foreign_parent),
    Row::gateway("HTTPRouteInvalidParentRefNotMatchingSectionName", WRONG_SECTION, wrong_parent),
    Row::gateway("HTTPRouteInvalidParentRefNotMatchingListenerPort", WRONG_PORT, wrong_parent),
    Row::gateway("HTTPRouteInvalidParentRefSectionNameNotMatchingPort", WRONG_BOTH, wrong_parent),
    Row::gateway("HTTPRouteServiceTypes", SERVICES, services),
];

const CROSS_NAMESPACE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: http
      port: 80
      protocol: HTTP
      allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {purpose: backend}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: web}
spec:
  parentRefs: [{name: $row, namespace: infra}]
  rules:
    - backendRefs: [{name: web, port: 8080}]
";

fn cross_namespace(scene: &Scene<'_>) {
    scene.expect(&[get("/").reaches("web").reaches_namespace("web")]);
    scene.route("web", "$row").at("$row").says("Accepted", "True", "Accepted");
}

/// Routes of this namespace alone may name the service.
const GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]
  to: [{group: '', kind: Service, name: web}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: $row}
spec:
  parentRefs: [{name: $row, namespace: infra}]
  rules:
    - backendRefs: [{name: web, namespace: web, port: 8080}]
";

fn grant(scene: &Scene<'_>) {
    scene.expect(&[get("/").reaches("web")]);
    scene.route("$row", "$row").at("$row").says("ResolvedRefs", "True", "ResolvedRefs");
    scene.replace(&GRANT.replace(
        "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]",
        "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: nobody}]",
    ));
    scene.expect_soon(&get("/").answers(500));
}

/// Grants that each miss in one thing.
const WRONG_GRANTS: &str = "
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-namespace, namespace: infra}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]
  to: [{group: '', kind: Service, name: web}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-from-group, namespace: web}
spec:
  from: [{group: another.example, kind: HTTPRoute, namespace: $row}]
  to: [{group: '', kind: Service, name: web}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-from-kind, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $row}]
  to: [{group: '', kind: Service, name: web}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-from-namespace, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: another}]
  to: [{group: '', kind: Service, name: web}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-to-group, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]
  to: [{group: another.example, kind: Service, name: web}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-to-kind, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]
  to: [{group: '', kind: Secret, name: web}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-to-name, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]
  to: [{group: '', kind: Service, name: another}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: $row}
spec:
  parentRefs: [{name: $row, namespace: infra}]
  rules:
    - backendRefs: [{name: web, namespace: web, port: 8080}]
";

fn wrong_grants(scene: &Scene<'_>) {
    scene.expect(&[get("/").answers(500)]);
    scene.route("$row", "$row").at("$row").says("ResolvedRefs", "False", "RefNotPermitted");
}

const NO_GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: $row}
spec:
  parentRefs: [{name: $row, namespace: infra}]
  rules:
    - backendRefs: [{name: web, namespace: web, port: 8080}]
";

fn no_grant(scene: &Scene<'_>) {
    scene.expect(&[get("/").answers(500)]);
    let route = scene.route("$row", "$row").at("$row");
    route.says("Accepted", "True", "Accepted");
    route.says("ResolvedRefs", "False", "RefNotPermitted");
}

const SOME_GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row, namespace: app}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]
  to: [{group: '', kind: Service, name: app-v1}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: $row}
spec:
  parentRefs: [{name: $row, namespace: infra}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /v2}}]
      backendRefs: [{name: app-v2, namespace: app, port: 8080}]
    - backendRefs: [{name: app-v1, namespace: app, port: 8080}]
";

fn some_grant(scene: &Scene<'_>) {
    scene.expect(&[get("/v2").answers(500), get("/").reaches("app-v1").reaches_namespace("app")]);
    scene.route("$row", "$row").at("$row").says("ResolvedRefs", "False", "RefNotPermitted");
}

const UNKNOWN_KIND: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs: [{group: another.example, kind: Something, name: infra-v1, port: 8080}]
";

fn unknown_kind(scene: &Scene<'_>) {
    scene.expect(&[get("/").answers(500)]);
    scene.route("infra", "$row").at("$row").says("ResolvedRefs", "False", "InvalidKind");
}

const NOT_THERE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs: [{name: nobody, namespace: infra, port: 8080}]
";

fn not_there(scene: &Scene<'_>) {
    scene.expect(&[get("/").answers(500)]);
    scene.route("infra", "$row").at("$row").says("ResolvedRefs", "False", "BackendNotFound");
}

const NO_BACKENDS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: Exact, value: /left-out}}]
    - matches: [{path: {type: Exact, value: /empty}}]
      backendRefs: []
    - matches: [{path: {type: PathPrefix, value: /}}]
      backendRefs: [{name: infra-v1, port: 8080}]
";

fn no_backends(scene: &Scene<'_>) {
    scene.expect(&[
        get("/any").reaches("infra-v1"),
        get("/left-out").answers(500),
        get("/empty").answers(500),
    ]);
    scene.route("infra", "$row").at("$row").says("ResolvedRefs", "True", "ResolvedRefs");
}

const FOREIGN_PARENT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: web}
spec:
  parentRefs: [{name: $row, namespace: infra}]
  rules:
    - backendRefs: [{name: web, port: 8080}]
";

fn foreign_parent(scene: &Scene<'_>) {
    scene.expect(&[get("/").answers(404)]);
    let route = scene.route("web", "$row").at("$row");
    route.says("Accepted", "False", "NotAllowedByListeners");
    route.says("ResolvedRefs", "True", "ResolvedRefs");
    scene.gateway("$row").listener("http").attaches(0);
}

const WRONG_SECTION: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [{name: $row, port: 80, sectionName: another}]
  rules:
    - backendRefs: [{name: infra-v1, port: 8080}]
";

const WRONG_PORT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [{name: $row, port: 81}]
  rules:
    - backendRefs: [{name: infra-v1, port: 8080}]
";

const WRONG_BOTH: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [{name: $row, port: 81, sectionName: http}]
  rules:
    - backendRefs: [{name: infra-v1, port: 8080}]
";

fn wrong_parent(scene: &Scene<'_>) {
    scene.expect(&[get("/").answers(404)]);
    scene.route("infra", "$row").at("$row").says("Accepted", "False", "NoMatchingParent");
    scene.gateway("$row").listener("http").attaches(0);
}

/// Services by what is known of them: with an address of their own, without, and with endpoints of both families.
const SERVICES: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $row-address, namespace: infra}
spec:
  hosts: [$row-address.infra.svc.cluster.local]
  addresses: [10.96.1.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: $v1}]
  subjectAltNames: ['spiffe://cluster.local/ns/infra/sa/infra-v1']
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $row-headless, namespace: infra}
spec:
  hosts: [$row-headless.infra.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: $v1}, {address: '$v6'}]
  subjectAltNames: ['spiffe://cluster.local/ns/infra/sa/infra-v1']
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $row-outside, namespace: infra}
spec:
  hosts: [$row-outside.infra.svc.cluster.local]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: $web}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: Exact, value: /address}}]
      backendRefs: [{name: $row-address, port: 8080}]
    - matches: [{path: {type: Exact, value: /headless}}]
      backendRefs: [{name: $row-headless, port: 80}]
    - matches: [{path: {type: Exact, value: /outside}}]
      backendRefs: [{name: $row-outside, port: 80}]
";

fn services(scene: &Scene<'_>) {
    scene.expect(&[
        get("/address").reaches("infra-v1"),
        get("/headless").reaches("infra-v1"),
        get("/outside").reaches("web"),
    ]);
}
