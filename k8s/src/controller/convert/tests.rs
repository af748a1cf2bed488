#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use serde::de::DeserializeOwned;

use super::*;

/// The objects in a recorded answer: of a list, or of a watch's lines.
fn recorded<K: DeserializeOwned>(file: &str) -> Vec<K> {
    let path = format!("{}/tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR"));
    let value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let body = &value["response"]["body"];
    let items = match body.as_array() {
        Some(lines) => {
            let lines = lines.iter().filter(|line| line["type"] != "BOOKMARK");
            lines.map(|line| line["object"].clone()).collect()
        }
        None => body["items"].as_array().unwrap().clone(),
    };
    items.into_iter().map(|item| serde_json::from_value(item).unwrap()).collect()
}

#[test]
fn recorded_services() {
    let services: Vec<core::Service> = recorded("01-list-services.json");
    let read: Vec<_> = services.into_iter().map(|s| (name_of(&s), service(s))).collect();
    assert!(!read.is_empty());
    for (name, service) in read {
        let service = service.unwrap_or_else(|| panic!("{name}"));
        assert!(!service.ports.is_empty(), "{name}");
        // `db` is headless: its `clusterIPs` are `["None"]`.
        assert_eq!(service.cluster_ips.is_empty(), *name.name == *"db", "{name}");
    }
}

#[test]
fn a_services_port_speaks_what_its_app_protocol_says_else_its_names() {
    let check = |port: Value, expect: Protocol| {
        let row = port.to_string();
        let object = json!({"metadata": {"name": "cart"}, "spec": {"ports": [port]}});
        let service = service(serde_json::from_value(object).unwrap()).unwrap();
        assert_eq!(service.ports[0].protocol, expect, "{row}");
    };
    let said = |word: &str| json!({"port": 80, "name": "http", "appProtocol": word});
    check(said("kubernetes.io/h2c"), Protocol::Http2);
    check(said("kubernetes.io/ws"), Protocol::Http);
    check(said("kubernetes.io/wss"), Protocol::Tls);
    check(said("grpc-web"), Protocol::Http);
    check(said("example.com/own"), Protocol::Auto);
    check(json!({"port": 80, "name": "grpc-web-x"}), Protocol::Http);
    check(json!({"port": 80, "targetPort": "grpc-web"}), Protocol::Http);
    check(json!({"port": 80, "targetPort": "grpc"}), Protocol::Grpc);
    check(json!({"port": 80, "name": "http", "targetPort": "grpc"}), Protocol::Http);
    check(json!({"port": 80, "targetPort": 8080}), Protocol::Auto);
}

#[test]
fn recorded_endpoint_slices() {
    let slices: Vec<discovery::EndpointSlice> = recorded("03-watch-list-endpointslices.json");
    assert!(!slices.is_empty());
    for object in slices {
        let name = name_of(&object);
        let slice = slice(object).unwrap_or_else(|| panic!("{name}"));
        assert!(name.name.starts_with(&*slice.service), "{name}: {slice:?}");
    }
}

#[test]
fn the_zone_of_an_endpoint() {
    for (zone, expect) in
        [(Some("eu-1"), Some("/eu-1")), (Some("a/b"), None), (Some(""), None), (None, None)]
    {
        let read = endpoint(discovery::Endpoint {
            addresses: vec!["10.0.0.1".into()],
            zone: zone.map(Into::into),
            ..Default::default()
        });
        let found = read[0].locality.as_ref().map(ToString::to_string);
        assert_eq!(found.as_deref(), expect, "{zone:?}");
    }
}

#[test]
fn recorded_pods() {
    let pods: Vec<core::Pod> = recorded("05-list-pods.json");
    assert!(!pods.is_empty());
    for object in pods {
        let read = pod(object);
        assert!(!read.uid.is_empty() && !read.service_account.is_empty(), "{read:?}");
        assert!(!read.has_proxy, "nothing was injected there");
    }
}

#[test]
fn a_policy_keeps_what_its_writer_wrote_and_nothing_else() {
    let object = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {
            "name": "p", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
            "annotations": {"istio.io/dry-run": "true", "kubectl.kubernetes.io/last": "x"},
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"action": "DENY"}, "sepc": {},
        "status": {"conditions": [{
            "type": "Accepted", "status": "False", "message": "m", "observedGeneration": 2,
        }]},
    });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let read = policy(PolicyKind::AuthorizationPolicy, "v1", object);
    assert_eq!(
        *read.document,
        json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {
                "name": "p", "namespace": "shop", "annotations": {"istio.io/dry-run": "true"},
            },
            "spec": {"action": "DENY"}, "sepc": {},
        })
    );
    let reported = ReportedCondition { accepted: false, message: "m".into(), generation: 2 };
    assert_eq!(read.reported, Some(reported));
}

#[test]
fn of_other_secrets_only_what_policies_refer_to_is_kept() {
    let read = |kind: &str, data: Value| {
        let object = json!({
            "type": kind, "metadata": {"name": "s", "namespace": "shop"}, "data": data,
        });
        let document = credentials(serde_json::from_value(object).unwrap())?;
        let value: Value = serde_json::from_slice(&document.bytes).unwrap();
        Some(value["data"].clone())
    };
    let kept = json!({"client-secret": "YQ==", "current": "YQ=="});
    let with_others =
        json!({"client-secret": "YQ==", "current": "YQ==", "password": "YQ==", "tls.key": "YQ=="});
    let long = BASE64.encode(vec![0; MOST_CREDENTIAL + 1]);
    for (row, kind, data, expect) in [
        ("what is referred to", "Opaque", with_others.clone(), Some(kept)),
        ("another type", "kubernetes.io/tls", with_others, None),
        ("nothing of it", "Opaque", json!({"password": "YQ=="}), None),
        ("too long", "Opaque", json!({"current": long}), None),
        ("nothing at all", "Opaque", Value::Null, None),
    ] {
        assert_eq!(read(kind, data), expect, "{row}");
    }
}
