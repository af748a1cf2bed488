//! Objects of a cluster, as a writer of YAML would write them.

use serde_json::{Value, json};

use crate::ApiServer;

/// A namespace, part of the mesh or not.
#[must_use]
pub fn namespace(name: &str, member: bool) -> Value {
    let labels = if member { json!({"postern.dev/inject": "enabled"}) } else { json!({}) };
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A running pod with a proxy: `<app>-1`, of the service account `<app>`.
#[must_use]
pub fn pod(namespace: &str, name: &str, app: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": namespace, "uid": format!("uid-{name}"),
            "labels": {"app": app},
        },
        "spec": {
            "serviceAccountName": app,
            "initContainers": [{"name": "postern-proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "app"}],
        },
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    })
}

/// A Service with a cluster IP, for the pods labelled `app: <name>`; its targets listen on 8080.
#[must_use]
pub fn service(namespace: &str, name: &str, ip: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "selector": {"app": name},
            "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": 8080}],
        },
    })
}

/// The EndpointSlice of a service: addresses and pods, all of them ready.
#[must_use]
pub fn slice(namespace: &str, service: &str, endpoints: &[(&str, &str)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(ip, pod)| {
            json!({
                "addresses": [ip],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace},
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{service}-abcde"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

/// An AuthorizationPolicy of the whole namespace that allows these principals.
#[must_use]
pub fn allow(namespace: &str, name: &str, from: &[&str]) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "action": "ALLOW",
            "rules": [{"from": [{"source": {"principals": from}}]}],
        },
    })
}

/// A shop: `frontend` and `cart`, each a pod, a service and its slice.
pub fn shop(api: &ApiServer) {
    api.put(namespace("shop", true));
    api.put(namespace("postern-system", false));
    for (app, number) in [("cart", 1), ("frontend", 2)] {
        let (pod_ip, pod_name) = (format!("10.1.0.{number}"), format!("{app}-1"));
        api.put(pod("shop", &pod_name, app, &pod_ip));
        api.put(service("shop", app, &format!("10.96.0.{number}"), 80));
        api.put(slice("shop", app, &[(&pod_ip, &pod_name)]));
    }
}
