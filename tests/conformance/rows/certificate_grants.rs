//! Certificates of another namespace, and the grants that they need.

use crate::exchange::get;
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("GatewaySecretInvalidReferenceGrant", WRONG_GRANTS, not_granted),
    Row::gateway("GatewaySecretMissingReferenceGrant", NO_GRANT, not_granted),
    Row::gateway("GatewaySecretReferenceGrantAllInNamespace", GRANT_OF_ALL, granted),
    Row::gateway("GatewaySecretReferenceGrantSpecific", GRANT_OF_ONE, granted),
];

const NO_GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: $row}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: https
      port: 443
      protocol: HTTPS
      tls: {certificateRefs: [{group: '', kind: Secret, name: certificate, namespace: web}]}
";

/// Grants that each miss in one thing.
const WRONG_GRANTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: $row}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: https
      port: 443
      protocol: HTTPS
      tls: {certificateRefs: [{group: '', kind: Secret, name: certificate, namespace: web}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row, namespace: app}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $row}]
  to: [{group: '', kind: Secret, name: certificate}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-from-group, namespace: web}
spec:
  from: [{group: another.example, kind: Gateway, namespace: $row}]
  to: [{group: '', kind: Secret, name: certificate}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-from-kind, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $row}]
  to: [{group: '', kind: Secret, name: certificate}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-from-namespace, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: another}]
  to: [{group: '', kind: Secret, name: certificate}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-to-group, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $row}]
  to: [{group: another.example, kind: Secret, name: certificate}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-to-kind, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $row}]
  to: [{group: '', kind: Service, name: certificate}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-to-name, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $row}]
  to: [{group: '', kind: Secret, name: another}]
";

fn not_granted(scene: &Scene<'_>) {
    let listener = scene.gateway_in("$row", "$row").listener("https");
    listener.says("ResolvedRefs", "False", "RefNotPermitted");
    listener.attaches(0);
    let answer = scene.ask(scene.at(1, 443), &scene.world.tls(Some("first.example")), &get("/"));
    assert!(answer.is_err(), "{answer:?}");
}

const GRANT_OF_ALL: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: $row}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: https
      port: 443
      protocol: HTTPS
      tls: {certificateRefs: [{group: '', kind: Secret, name: certificate, namespace: web}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $row}]
  to: [{group: '', kind: Secret}]
";

const GRANT_OF_ONE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: $row}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - name: https
      port: 443
      protocol: HTTPS
      tls: {certificateRefs: [{group: '', kind: Secret, name: certificate, namespace: web}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $row}]
  to: [{group: '', kind: Secret, name: certificate}]
";

/// TLS begins; that there is no route is the answer.
fn granted(scene: &Scene<'_>) {
    let listener = scene.gateway_in("$row", "$row").listener("https");
    listener.is_good();
    listener.attaches(0);
    let way = scene.world.tls(Some("first.example"));
    scene.expect_at(scene.at(1, 443), &way, &[get("/").answers(404)]);
}
