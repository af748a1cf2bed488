//! Listeners that are told beside their gateway: which of them it lets in.

use crate::exchange::get;
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("ListenerSetAllowedNamespaceNone", NONE, none_allowed),
    Row::gateway("ListenerSetDefaultNotAllowed", DEFAULT, none_allowed),
    Row::gateway("ListenerSetAllowedNamespaceSame", SAME, one_allowed),
    Row::gateway("ListenerSetAllowedNamespaceSelector", SELECTOR, one_allowed),
    Row::gateway("ListenerSetHostnameConflict", HOST_CONFLICT, host_conflict),
    Row::gateway("ListenerSetProtocolConflict", PROTOCOL_CONFLICT, protocol_conflict),
    Row::gateway("ListenerSetReferenceGrant", GRANT, grant),
];

const NONE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: None}}
  listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: more, port: 80, protocol: HTTP, hostname: more.example}]
";

/// The same without a word of it.
const DEFAULT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: more, port: 80, protocol: HTTP, hostname: more.example}]
";

fn none_allowed(scene: &Scene<'_>) {
    let gateway = scene.gateway("$row");
    gateway.says("Accepted", "True", "Accepted");
    gateway.attaches_listener_sets(0);
    let set = scene.listener_set("infra", "$row");
    set.says("Accepted", "False", "NotAllowed");
    set.says("Programmed", "False", "NotAllowed");
}

const SAME: &str = "
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
metadata: {name: $row-allowed, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners:
    - {name: more, port: 80, protocol: HTTP, hostname: more.example, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-refused, namespace: app}
spec:
  parentRef: {name: $row, namespace: infra}
  listeners:
    - {name: others, port: 80, protocol: HTTP, hostname: others.example, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs:
    - {group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-allowed, namespace: infra}
    - {group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-refused, namespace: app}
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
";

const SELECTOR: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: $row, labels: {$row: let-in}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {$row: let-in}}}}
  listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-allowed, namespace: $row}
spec:
  parentRef: {name: $row, namespace: infra}
  listeners:
    - {name: more, port: 80, protocol: HTTP, hostname: more.example, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-refused, namespace: app}
spec:
  parentRef: {name: $row, namespace: infra}
  listeners:
    - {name: others, port: 80, protocol: HTTP, hostname: others.example, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs:
    - {group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-allowed, namespace: $row}
    - {group: gateway.networking.k8s.io, kind: ListenerSet, name: $row-refused, namespace: app}
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
";

fn one_allowed(scene: &Scene<'_>) {
    scene.expect(&[get("more.example/").reaches("infra-v1"), get("others.example/").answers(404)]);
    let gateway = scene.gateway("$row");
    gateway.says("Accepted", "True", "Accepted");
    gateway.attaches_listener_sets(1);
    let is_same = scene.name() == "ListenerSetAllowedNamespaceSame";
    let set = scene.listener_set(if is_same { "infra" } else { "$row" }, "$row-allowed");
    set.is_good();
    set.listener("more").is_good();
    let set = scene.listener_set("app", "$row-refused");
    set.says("Accepted", "False", "NotAllowed");
    set.says("Programmed", "False", "NotAllowed");
}

/// Sets are asked in the order of their age, and of their names where that is the same or unknown.
const HOST_CONFLICT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: Same}}
  listeners:
    - {name: own, port: 80, protocol: HTTP, hostname: own.example}
    - {name: with-gateway, port: 80, protocol: HTTP, hostname: with-gateway.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-1, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners:
    - {name: first, port: 80, protocol: HTTP, hostname: first.example}
    - {name: with-gateway, port: 80, protocol: HTTP, hostname: with-gateway.example}
    - {name: with-set, port: 80, protocol: HTTP, hostname: with-set.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-2, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: with-gateway, port: 80, protocol: HTTP, hostname: with-gateway.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-3, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners:
    - {name: second, port: 80, protocol: HTTP, hostname: second.example}
    - {name: with-set, port: 80, protocol: HTTP, hostname: with-set.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-4, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: with-set, port: 80, protocol: HTTP, hostname: with-set.example}]
";

fn host_conflict(scene: &Scene<'_>) {
    conflict(scene, "HostnameConflict");
}

const PROTOCOL_CONFLICT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: Same}}
  listeners:
    - {name: own, port: 80, protocol: HTTP, hostname: own.example}
    - {name: with-gateway, port: 80, protocol: HTTP, hostname: with-gateway.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-1, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners:
    - {name: first, port: 80, protocol: HTTP, hostname: first.example}
    - {name: with-gateway, port: 80, protocol: TCP}
    - {name: with-set, port: 80, protocol: HTTP, hostname: with-set.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-2, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: with-gateway, port: 80, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-3, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners:
    - {name: second, port: 80, protocol: HTTP, hostname: second.example}
    - {name: with-set, port: 80, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-4, namespace: infra}
spec:
  parentRef: {name: $row}
  listeners: [{name: with-set, port: 80, protocol: TCP}]
";

fn protocol_conflict(scene: &Scene<'_>) {
    conflict(scene, "ProtocolConflict");
}

fn conflict(scene: &Scene<'_>, reason: &str) {
    let gateway = scene.gateway("$row");
    gateway.says("Accepted", "True", "Accepted");
    gateway.attaches_listener_sets(2);
    gateway.listener("own").is_good();
    gateway.listener("with-gateway").is_good();
    let sets: [(&str, &[&str], &str); 4] = [
        ("$row-1", &["first", "with-set"], "with-gateway"),
        ("$row-2", &[], "with-gateway"),
        ("$row-3", &["second"], "with-set"),
        ("$row-4", &[], "with-set"),
    ];
    for (name, good, bad) in sets {
        let set = scene.listener_set("infra", name);
        match good {
            [] => {
                set.says("Accepted", "False", "ListenersNotValid");
                set.says("Programmed", "False", "ListenersNotValid");
            }
            _ => {
                set.says("Accepted", "True", "");
                set.says("Programmed", "True", "Programmed");
            }
        }
        for listener in good {
            set.listener(listener).is_good();
        }
        let bad = set.listener(bad);
        bad.says("Accepted", "False", reason);
        bad.says("Programmed", "False", reason);
        bad.says("Conflicted", "True", reason);
    }
}

const GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: $row}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  allowedListeners: {namespaces: {from: All}}
  listeners:
    - name: own
      port: 443
      protocol: HTTPS
      hostname: own.example
      tls: {certificateRefs: [{group: '', kind: Secret, name: certificate, namespace: web}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-gateways, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $row}]
  to: [{group: '', kind: Secret}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: $row-sets, namespace: web}
spec:
  from: [{group: gateway.networking.k8s.io, kind: ListenerSet, namespace: $row}]
  to: [{group: '', kind: Secret}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-granted, namespace: $row}
spec:
  parentRef: {name: $row, namespace: $row}
  listeners:
    - name: granted
      port: 443
      protocol: HTTPS
      hostname: granted.example
      tls: {certificateRefs: [{group: '', kind: Secret, name: certificate, namespace: web}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: $row-not-granted, namespace: $row-other}
spec:
  parentRef: {name: $row, namespace: $row}
  listeners:
    - name: not-granted
      port: 443
      protocol: HTTPS
      hostname: not-granted.example
      tls: {certificateRefs: [{group: '', kind: Secret, name: certificate, namespace: web}]}
";

fn grant(scene: &Scene<'_>) {
    let ask = |host: &str| {
        let exchange = get(&format!("{host}/")).answers(404);
        let answer = scene.ask(scene.at(1, 443), &scene.world.tls(Some(host)), &exchange);
        answer.and_then(|answer| exchange.check(&answer))
    };
    assert_eq!(ask("granted.example"), Ok(()));
    assert!(ask("not-granted.example").is_err());
    scene.gateway_in("$row", "$row").says("Accepted", "True", "Accepted");
    let set = scene.listener_set("$row", "$row-granted");
    set.is_good();
    set.listener("granted").says("ResolvedRefs", "True", "ResolvedRefs");
    let set = scene.listener_set("$row-other", "$row-not-granted");
    set.says("Accepted", "False", "ListenersNotValid");
    set.says("Programmed", "False", "ListenersNotValid");
    set.listener("not-granted").says("ResolvedRefs", "False", "RefNotPermitted");
}
