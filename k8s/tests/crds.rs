//! The definitions of our own kinds are what is printed, and say what the policy crate reads.
use std::fs;
use std::path::PathBuf;

use k8s::crd;
use policy::resources::{Resources, SourceFile};
use serde_json::{Value, json};

fn definition(kind: &str) -> Value {
    let mut definitions = crd::definitions().into_iter();
    let found = definitions.find(|definition| definition.spec.names.kind == kind);
    serde_json::to_value(found.unwrap()).unwrap()
}

fn schema(kind: &str) -> Value {
    definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// `UPDATE_DOCS=1 cargo test -p k8s --test all -- crds` writes them.
#[test]
fn the_files_are_what_the_types_print() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for definition in crd::definitions() {
        let printed = crd::print(&definition).unwrap();
        let plural = &definition.spec.names.plural;
        let name = format!("policy.postern.dev_{plural}.yaml");
        let chart = format!("chart/files/crds/{plural}.policy.postern.dev.yaml");
        for file in [format!("crds/{name}"), chart] {
            let path = folder.join(&file);
            if std::env::var_os("UPDATE_DOCS").is_some() {
                fs::write(&path, &printed).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            let fix = "UPDATE_DOCS=1 cargo test -p k8s --test all -- crds";
            assert!(found == printed, "{file} is stale: {fix}");
        }
        names.push(format!("  - {name}"));
    }
    let listed = fs::read_to_string(folder.join("crds/kustomization.yaml")).unwrap();
    let mut listed: Vec<_> = listed.lines().filter(|line| line.contains("_")).collect();
    listed.sort_unstable();
    names.sort();
    assert_eq!(listed, names);
}

#[test]
fn each_has_a_status_of_its_own() {
    for definition in crd::definitions() {
        let definition = serde_json::to_value(definition).unwrap();
        let version = &definition["spec"]["versions"][0];
        assert!(version["subresources"]["status"].is_object(), "{version}");
        assert_eq!(version["storage"], true);
        let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
        assert_eq!(definition["metadata"]["name"], format!("{plural}.policy.postern.dev"));
    }
}

/// Structural: the API server takes no reference, and drops what is not named.
#[test]
fn the_schema_is_structural() {
    for definition in crd::definitions() {
        let kind = &definition.spec.names.kind;
        let text = schema(kind).to_string();
        for forbidden in ["$ref", "$schema", "anyOf", "definitions"] {
            assert!(!text.contains(forbidden), "{forbidden} in {text}");
        }
    }
}

fn read(kind: &str, spec: &Value) -> Result<(), String> {
    let object = json!({
        "apiVersion": "policy.postern.dev/v1alpha1", "kind": kind,
        "metadata": {"name": "t", "namespace": "shop"}, "spec": spec,
    });
    let file = SourceFile { name: "t.yaml".into(), bytes: object.to_string().into_bytes() };
    let read = Resources::parse(&[file], "postern-system");
    read.map(drop).map_err(|mistakes| mistakes.to_string())
}

#[test]
fn the_policy_crate_reads_every_field_and_no_other() {
    let full = json!({
        "selector": {"matchLabels": {"app": "cart"}},
        "issuer": "https://issuer.example",
        "principals": ["cluster.local/ns/edge/sa/gateway"],
        "confirmation": "REQUIRED",
        "audience": "REQUIRED",
    });
    read("TokenPolicy", &full).unwrap();
    let spec = &schema("TokenPolicy")["properties"]["spec"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&spec["properties"]), keys(&full));
    assert_eq!(spec["required"], json!(["issuer"]));
    for field in ["confirmation", "audience"] {
        for value in spec["properties"][field]["enum"].as_array().unwrap() {
            let mut changed = full.clone();
            changed[field] = value.clone();
            if !value.is_null() {
                read("TokenPolicy", &changed)
                    .unwrap_or_else(|error| panic!("{field}: {value}: {error}"));
            }
        }
    }
    let mut without = full.clone();
    without.as_object_mut().unwrap().remove("issuer");
    assert!(read("TokenPolicy", &without).unwrap_err().contains("issuer"));
}

#[test]
fn a_limit_is_read_with_every_field_of_its_schema() {
    let matched = json!({
        "headers": [{"name": "x-plan", "type": "Exact", "value": "free"}],
        "hosts": ["a.example"],
        "methods": ["POST"],
        "notHosts": ["b.example"],
        "notMethods": ["GET"],
        "notPaths": ["/b"],
        "paths": ["/a"],
    });
    let full = json!({
        "concurrency": [
            {"claim": "sub", "key": "claim", "match": matched, "name": "at-once", "requests": 2}
        ],
        "limits": [{
            "burst": 5, "claim": "sub", "key": ["claim", "clientAddress"], "match": matched, "name": "l",
            "per": "1s", "requests": 1, "store": "redis",
        }],
        "onStoreFailure": "deny",
        "replicas": 2,
        "selector": {"matchLabels": {"app": "cart"}},
    });
    read("RateLimitPolicy", &full).unwrap();
    let target = json!({
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "sectionName": "https",
    });
    let mut of_gateway = full.clone();
    of_gateway.as_object_mut().unwrap().remove("selector");
    of_gateway["targetRefs"] = json!([target]);
    read("RateLimitPolicy", &of_gateway).unwrap();
    let spec = &schema("RateLimitPolicy")["properties"]["spec"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let of = |path: &str| keys(spec.pointer(path).unwrap());
    let mut whole = full.clone();
    whole["targetRefs"] = json!([]);
    assert_eq!(of("/properties"), keys(&whole));
    assert_eq!(of("/properties/targetRefs/items/properties"), keys(&target));
    for list in ["limits", "concurrency"] {
        let item = format!("/properties/{list}/items/properties");
        assert_eq!(of(&item), keys(&full[list][0]), "{list}");
        assert_eq!(of(&format!("{item}/match/properties")), keys(&matched), "{list}");
        let header = format!("{item}/match/properties/headers/items/properties");
        assert_eq!(of(&header), keys(&matched["headers"][0]), "{list}");
    }
    for (field, at) in [
        ("/onStoreFailure", "/properties/onStoreFailure/enum"),
        ("/limits/0/store", "/properties/limits/items/properties/store/enum"),
    ] {
        for value in spec.pointer(at).unwrap().as_array().unwrap().iter().filter(|v| !v.is_null()) {
            let mut changed = full.clone();
            *changed.pointer_mut(field).unwrap() = value.clone();
            if field == "/limits/0/store" {
                for key in ["onStoreFailure", "replicas"] {
                    changed.as_object_mut().unwrap().remove(key);
                }
            }
            read("RateLimitPolicy", &changed).unwrap_or_else(|error| panic!("{value}: {error}"));
        }
    }
}

#[test]
fn a_fault_is_read_with_every_field_of_its_schema() {
    let full = json!({
        "targetRefs": [{"group": "", "kind": "Service", "name": "cart", "namespace": "shop"}],
        "match": {"headers": [{"name": "x-test", "value": "slow"}]},
        "delay": {"percentage": 100, "duration": "2s"},
        "abort": {"percentage": 1, "httpStatus": 503},
    });
    read("FaultInjection", &full).unwrap();
    let spec = &schema("FaultInjection")["properties"]["spec"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&spec["properties"]), keys(&full));
    assert_eq!(spec["required"], json!(["targetRefs"]));
    let of = |path: &str| keys(spec.pointer(path).unwrap());
    let target = &full["targetRefs"][0];
    assert_eq!(of("/properties/targetRefs/items/properties"), keys(target));
    let header = ["name", "regex", "value"];
    assert_eq!(of("/properties/match/properties/headers/items/properties"), header);
    let abort = ["grpcStatus", "httpStatus", "percentage"];
    assert_eq!(of("/properties/abort/properties"), abort);
    let mut without = full.clone();
    without.as_object_mut().unwrap().remove("match");
    read("FaultInjection", &without).unwrap();
    without["delay"].as_object_mut().unwrap().remove("percentage");
    assert!(read("FaultInjection", &without).unwrap_err().contains("percentage"));
}

/// What a policy is about is said by kinds that it can be about, or not written at all.
#[test]
fn the_kinds_of_targets_are_those_that_are_read() {
    for (kind, expect) in [
        ("AbusePolicy", &["Gateway", "ListenerSet"][..]),
        ("ApiKeyPolicy", &["Gateway", "ListenerSet"]),
        ("ClientTrafficPolicy", &["Gateway", "ListenerSet"]),
        ("FaultInjection", &["Service"]),
        ("SignIn", &["Gateway", "ListenerSet", "HTTPRoute"]),
        ("ThreatPolicy", &["Gateway", "ListenerSet", "HTTPRoute"]),
        ("ApiSchema", &["Gateway", "ListenerSet", "HTTPRoute"]),
        ("TokenExchange", &["Gateway", "ListenerSet"]),
        ("TokenIntrospection", &["Gateway", "ListenerSet"]),
        ("RateLimitPolicy", &["Service", "Gateway", "HTTPRoute", "GRPCRoute"]),
    ] {
        let kinds = "/properties/spec/properties/targetRefs/items/properties/kind/enum";
        assert_eq!(schema(kind).pointer(kinds), Some(&json!(expect)), "{kind}");
        for target in expect.iter().chain(&["gateway"]) {
            let group = if *target == "Service" { "" } else { TARGET };
            let spec = json!({"targetRefs": [{"group": group, "kind": target, "name": "a"}]});
            let refused = read(kind, &spec).err().unwrap_or_default();
            let is_refused = refused.contains(&format!("\"{target}\""));
            assert_eq!(is_refused, *target == "gateway", "{kind}: {refused}");
        }
    }
}

/// Every key of a schema that the example must have, by its path; the items of lists count as one.
fn paths(schema: &Value, at: &str, found: &mut Vec<String>) {
    let schema = schema.get("items").unwrap_or(schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (key, below) in properties {
        let path = format!("{at}/{key}");
        paths(below, &path, found);
        found.push(path);
    }
}

/// The same of an example.
fn written(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| written(item, at, found)),
        Value::Object(fields) => {
            for (key, below) in fields {
                let path = format!("{at}/{key}");
                written(below, &path, found);
                found.push(path);
            }
        }
        _ => {}
    }
}

#[track_caller]
fn check_every_field(kind: &str, full: &Value) {
    read(kind, full).unwrap();
    let (mut known, mut used) = (Vec::new(), Vec::new());
    paths(&schema(kind)["properties"]["spec"], "", &mut known);
    written(full, "", &mut used);
    for list in [&mut known, &mut used] {
        list.sort();
        list.dedup();
    }
    assert_eq!(known, used, "{kind}");
}

const TARGET: &str = "gateway.networking.k8s.io";

#[test]
fn a_client_traffic_policy_is_read_with_every_field_of_its_schema() {
    let target =
        json!({"group": TARGET, "kind": "Gateway", "name": "edge", "sectionName": "https"});
    let name = |name: Value| json!({"subjectAltName": name, "principal": "partner.example/acme"});
    let headers = json!({
        "preset": "standard", "contentTypeOptions": "nosniff", "frameOptions": "DENY",
        "referrerPolicy": "no-referrer", "permissionsPolicy": "camera=()",
        "contentSecurityPolicy": "default-src 'self'", "crossOriginOpenerPolicy": "same-origin",
        "crossOriginResourcePolicy": "same-site", "override": true, "remove": ["Server"],
    });
    let full = json!({
        "targetRefs": [target],
        "proxyProtocol": {"from": ["10.0.0.0/8"]},
        "clientAddress": {"xForwardedFor": {"trustedProxies": ["10.0.0.1"], "hops": 2}},
        "hsts": {"maxAge": "365d", "includeSubDomains": true, "preload": true},
        "securityHeaders": headers,
        "limits": {
            "requestBytes": "1MiB", "requestTimeout": "1m", "idleTimeout": "1m",
            "headerTimeout": "5s", "connectionsPerAddress": 10,
        },
        "clientCertificates": {
            "mode": "required",
            "authorities": [{"group": "", "kind": "ConfigMap", "name": "partners"}],
            "principals": [
                name(json!({"dns": "acme.example"})),
                name(json!({"uri": "urn:acme"})),
                name(json!({"email": "orders@acme.example"})),
            ],
        },
        "tls": {"minimumVersion": "1.3"},
    });
    check_every_field("ClientTrafficPolicy", &full);
}

#[test]
fn an_abuse_policy_is_read_with_every_field_of_its_schema() {
    let of_listeners = json!({
        "targetRefs": [{"group": TARGET, "kind": "Gateway", "name": "edge", "sectionName": "https"}],
        "mode": "block", "key": "claim", "claim": "sub", "window": "1m", "requests": 20, "refusedRatio": 50,
        "distinctMissing": 30, "blockFor": "5m", "status": 429,
    });
    read("AbusePolicy", &of_listeners).unwrap();
    let of_workloads = json!({"selector": {"matchLabels": {"app": "cart"}}, "key": "principal"});
    read("AbusePolicy", &of_workloads).unwrap();
    let (mut known, mut used) = (Vec::new(), Vec::new());
    let spec = &schema("AbusePolicy")["properties"]["spec"];
    paths(spec, "", &mut known);
    written(&of_listeners, "", &mut used);
    written(&of_workloads, "", &mut used);
    used.retain(|path| path != "/selector/matchLabels/app");
    for list in [&mut known, &mut used] {
        list.sort();
        list.dedup();
    }
    assert_eq!(known, used);
    for field in ["mode", "key", "status"] {
        let values = spec["properties"][field]["enum"].as_array().unwrap();
        for value in values.iter().filter(|value| !value.is_null()) {
            let mut changed = of_listeners.clone();
            changed[field] = value.clone();
            if field == "key" && value != "claim" {
                changed.as_object_mut().unwrap().remove("claim");
            }
            read("AbusePolicy", &changed).unwrap_or_else(|error| panic!("{value}: {error}"));
        }
    }
}

#[test]
fn an_api_key_policy_is_read_with_every_field_of_its_schema() {
    let key = |id: &str, digit: &str| {
        json!({
            "id": id, "client": "acme", "hash": format!("sha256:{}", digit.repeat(64)),
            "scopes": ["read"], "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2027-01-01T00:00:00Z",
        })
    };
    let of_workloads = json!({
        "selector": {"matchLabels": {"app": "cart"}}, "from": {"header": "x-key"},
        "mode": "optional", "forward": true, "keys": [key("a", "1"), key("b", "2")],
    });
    read("ApiKeyPolicy", &of_workloads).unwrap();
    // `selector` and `targetRefs`, `header` and `query` stand in each other's place: the paths of two examples.
    let target = json!({"group": TARGET, "kind": "ListenerSet", "name": "l", "sectionName": "s"});
    let of_listeners = json!({
        "targetRefs": [target], "from": {"query": "key"}, "mode": "required", "keys": [key("a", "1")],
    });
    read("ApiKeyPolicy", &of_listeners).unwrap();
    let (mut known, mut used) = (Vec::new(), Vec::new());
    paths(&schema("ApiKeyPolicy")["properties"]["spec"], "", &mut known);
    written(&of_workloads, "", &mut used);
    written(&of_listeners, "", &mut used);
    used.retain(|path| path != "/selector/matchLabels/app");
    for list in [&mut known, &mut used] {
        list.sort();
        list.dedup();
    }
    assert_eq!(known, used);
}

#[test]
fn a_sign_in_is_read_with_every_field_of_its_schema() {
    let target =
        json!({"group": TARGET, "kind": "Gateway", "name": "edge", "sectionName": "https"});
    let full = json!({
        "targetRefs": [target],
        "hosts": ["shop.example"], "paths": ["/account/*"],
        "issuer": "https://id.example", "clientId": "shop",
        "clientSecretRef": {"name": "shop-oidc"}, "clientAuth": "private_key_jwt",
        "scopes": ["openid", "email"],
        "redirectPath": "/callback", "logoutPath": "/logout", "backChannelLogoutPath": "/back",
        "postLogoutRedirectUris": ["https://shop.example/bye"],
        "session": {
            "ttl": "8h", "idle": "1h", "store": "redis", "claims": ["sub"], "maxCookies": 2,
            "keysSecretRef": {"name": "shop-session"}, "cookieSuffix": "staff",
        },
        "forward": {"idToken": true, "internalJwt": false},
        "claimHeaders": [{"header": "x-user", "claim": "sub"}],
        "stepUp": [{"paths": ["/transfer/*"], "acrValues": ["urn:mfa"], "maxAge": "5m"}],
        "failure": "deny",
    });
    check_every_field("SignIn", &full);
}

#[test]
fn an_api_schema_is_read_with_every_field_of_its_schema() {
    let target = json!({"group": TARGET, "kind": "ListenerSet", "name": "l", "sectionName": "s"});
    let inline = "openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths: {}\n";
    let rest = |scope: (&str, Value), document: Value| {
        let mut spec = json!({
            "document": document, "basePath": "/api", "mode": "block", "unknownOperations": "allow",
            "answers": "detect",
            "json": {"maxBytes": "2MiB", "maxDepth": 8, "maxNodes": 100, "maxKeys": 10},
        });
        spec[scope.0] = scope.1;
        spec
    };
    let at_gateway = rest(("targetRefs", json!([target])), json!({"path": "/etc/api.yaml"}));
    let mut of_sidecars = rest(("selector", json!({"matchLabels": {}})), json!({"inline": inline}));
    of_sidecars["ports"] = json!([8080]);
    let (mut known, mut used) = (Vec::new(), Vec::new());
    paths(&schema("ApiSchema")["properties"]["spec"], "", &mut known);
    for spec in [at_gateway, of_sidecars] {
        read("ApiSchema", &spec).unwrap();
        written(&spec, "", &mut used);
    }
    for list in [&mut known, &mut used] {
        list.sort();
        list.dedup();
    }
    assert_eq!(known, used);
}

/// Of kinds that select workloads, or else are about listeners.
#[track_caller]
fn check_both_forms(kind: &str, rest: &Value) {
    let target = json!({"group": TARGET, "kind": "ListenerSet", "name": "l", "sectionName": "s"});
    let with = |key: &str, value: Value| {
        let mut spec = rest.clone();
        spec[key] = value;
        spec
    };
    let forms = [
        with("selector", json!({"matchLabels": {"app": "a"}})),
        with("targetRefs", json!([target])),
    ];
    let (mut known, mut used) = (Vec::new(), Vec::new());
    paths(&schema(kind)["properties"]["spec"], "", &mut known);
    for form in forms {
        read(kind, &form).unwrap();
        written(&form, "", &mut used);
    }
    used.retain(|path| path != "/selector/matchLabels/app");
    for list in [&mut known, &mut used] {
        list.sort();
        list.dedup();
    }
    assert_eq!(known, used, "{kind}");
}

#[test]
fn a_threat_policy_is_read_with_every_field_of_its_schema() {
    check_both_forms(
        "ThreatPolicy",
        &json!({
            "mode": "block", "ruleSet": "builtin", "paranoia": 2, "inboundThreshold": 10,
            "body": {"inspectBytes": "64KiB", "onExceed": "inspectPrefix"},
            "exclusions": [{"rule": 942100, "paths": ["/search*"], "args": ["q"]}],
            "timeout": "1s", "onTimeout": "deny",
        }),
    );
    let files = json!({"ruleSet": {"path": "/etc/postern/rules", "allowUnsupported": [920100]}});
    read("ThreatPolicy", &files).unwrap();
}

#[test]
fn kinds_about_tokens_are_read_with_every_field_of_their_schemas() {
    check_both_forms(
        "TokenIntrospection",
        &json!({
            "issuer": "https://id.example", "endpoint": "https://id.example/introspect",
            "clientId": "shop", "clientAuth": "private_key_jwt",
            "clientSecretRef": {"name": "shop-oidc"}, "audiences": ["shop"],
            "fromHeaders": [{"name": "x-token", "prefix": "Token "}], "tokens": "all",
            "timeout": "1s", "forwardOriginalToken": true,
            "claimHeaders": [{"header": "x-user", "claim": "sub"}],
            "cache": {"ttl": "30s", "negative": "1s"},
        }),
    );
    check_both_forms(
        "TokenExchange",
        &json!({
            "issuers": ["https://id.example"], "claims": ["email"], "lifetime": "1m",
            "audience": "spiffe://cluster.local",
        }),
    );
    let rest = json!({
        "selector": {"matchLabels": {}}, "hosts": ["api.example.com"], "clientId": "shop",
        "clientAuth": "private_key_jwt", "clientSecretRef": {"name": "shop-oidc"},
        "scopes": ["read"], "audience": "api", "resource": "https://api.example.com/",
    });
    let with = |key: &str, address: &str| {
        let mut spec = rest.clone();
        spec[key] = address.into();
        spec
    };
    read("ClientCredentials", &with("issuer", "https://id.example")).unwrap();
    let by_endpoint = with("tokenEndpoint", "https://id.example/token");
    read("ClientCredentials", &by_endpoint).unwrap();
    let (mut known, mut used) = (Vec::new(), vec!["/issuer".to_owned()]);
    paths(&schema("ClientCredentials")["properties"]["spec"], "", &mut known);
    written(&by_endpoint, "", &mut used);
    known.sort();
    used.sort();
    used.dedup();
    assert_eq!(known, used);
    let issuer = "https://id.example";
    for moment in [json!("2027-01-31T00:00:00Z"), json!(1_800_000_000)] {
        let tokens = json!([{"issuer": issuer, "id": "a", "until": moment}]);
        let subjects = json!([{"issuer": issuer, "subject": "s", "issuedBefore": moment}]);
        let spec = json!({"selector": {"matchLabels": {}}, "tokens": tokens, "subjects": subjects});
        check_every_field("TokenRevocation", &spec);
    }
}

/// No protocol has all kinds of names, and a source has accounts or principals: three policies have every field.
#[test]
fn a_topic_policy_is_read_with_every_field_of_its_schema() {
    let spec = |protocol: &str, source: Value, operation: Value| {
        json!({
            "selector": {"matchLabels": {}}, "protocol": protocol, "action": "ALLOW",
            "rules": [{"from": [{"source": source}], "to": [{"operation": operation}]}],
        })
    };
    let list = |text: &str| json!([text]);
    let accounts =
        json!({"serviceAccounts": list("orders"), "notServiceAccounts": list("bank/test")});
    let principals = json!({
        "principals": list("*"), "notPrincipals": list("cluster.local/ns/bank/sa/test"),
        "namespaces": list("bank"), "notNamespaces": list("test"),
        "trustDomains": list("cluster.local"), "notTrustDomains": list("other"),
        "ipBlocks": list("10.0.0.0/8"), "notIpBlocks": list("10.1.0.0/16"),
    });
    let verbs = json!(["publish", "subscribe", "create", "delete", "admin", "cluster"]);
    let kafka = json!({
        "operations": verbs, "topics": list("orders.*"), "groups": list("orders-*"),
        "transactionalIds": list("orders-*"),
    });
    let nats = json!({
        "operations": verbs, "topics": list("orders.>"), "queues": list("workers"),
        "streams": list("ORDERS"), "reply": true,
    });
    let mqtt =
        json!({"operations": verbs, "topics": list("orders/#"), "clientIds": list("device-*")});
    let (mut known, mut used) = (Vec::new(), Vec::new());
    for spec in [
        spec("kafka", accounts, kafka),
        spec("nats", principals.clone(), nats),
        spec("mqtt", principals, mqtt),
    ] {
        read("TopicPolicy", &spec).unwrap();
        written(&spec, "", &mut used);
    }
    paths(&schema("TopicPolicy")["properties"]["spec"], "", &mut known);
    for list in [&mut known, &mut used] {
        list.sort();
        list.dedup();
    }
    assert_eq!(known, used);
    for action in ["DENY", "AUDIT"] {
        read("TopicPolicy", &json!({"protocol": "mqtt", "action": action, "rules": [{}]})).unwrap();
    }
}

/// The kinds of other projects: installed only where they are absent, so they say little and forbid nothing. Those of the
/// Gateway API come from its own releases alone: a gateway that is there or comes needs them whole.
#[test]
fn the_foreign_kinds_are_those_that_the_controller_watches() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds/foreign");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for definition in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let version = &definition["spec"]["versions"][0];
            assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
            assert!(version["subresources"]["status"].is_object());
            let schema = &version["schema"]["openAPIV3Schema"]["properties"];
            for part in ["spec", "status"] {
                assert_eq!(schema[part]["x-kubernetes-preserve-unknown-fields"], true, "{part}");
            }
            let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
            let group = definition["spec"]["group"].as_str().unwrap();
            assert_eq!(definition["metadata"]["name"], format!("{plural}.{group}"));
            names.push(format!("{group}/{}/{plural}", version["name"].as_str().unwrap()));
        }
    }
    let mut watched: Vec<_> = k8s::controller::index::PolicyKind::ALL
        .iter()
        .map(|kind| kind.resource())
        .filter(|(group, ..)| !["policy.postern.dev", "gateway.networking.k8s.io"].contains(group))
        .map(|(group, version, plural)| format!("{group}/{version}/{plural}"))
        .collect();
    names.sort();
    watched.sort();
    assert_eq!(names, watched);
}
