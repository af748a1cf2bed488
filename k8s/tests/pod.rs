//! What a pod becomes.

use k8s::inject::{InjectionOutcome, NamespaceFacts, UnchangedReason};
use serde_json::{Value, json};

use crate::support::{
    self, arguments, config, container, inject, injected, names, pod, pod_with, settings,
};

#[test]
fn three_containers_first_and_in_their_order() {
    let mut before = pod(json!({}));
    before["spec"]["initContainers"] = json!([{ "name": "migrate", "image": "m" }]);
    let after = injected(&before);
    assert_eq!(
        names(&after, "initContainers"),
        ["postern-init", "postern-cert-agent", "postern-proxy", "migrate"]
    );
    assert_eq!(names(&after, "containers"), ["app"]);
    for name in ["postern-cert-agent", "postern-proxy"] {
        let sidecar = container(&after, name);
        assert_eq!(sidecar["restartPolicy"], "Always", "{name}");
        assert_eq!(sidecar["startupProbe"]["periodSeconds"], 1, "{name}");
        assert_eq!(sidecar["startupProbe"]["failureThreshold"], 120, "{name}");
        assert_eq!(sidecar["resources"], json!({ "requests": { "cpu": "10m", "memory": "20Mi" } }));
    }
    assert!(container(&after, "postern-init").get("restartPolicy").is_none());
    let version = env!("CARGO_PKG_VERSION");
    for (name, image) in [
        ("postern-init", "postern-proxy"),
        ("postern-cert-agent", "postern-cert-agent"),
        ("postern-proxy", "postern-proxy"),
    ] {
        let expect = format!("localhost/postern/{image}:{version}");
        assert_eq!(container(&after, name)["image"], expect);
    }
}

#[test]
fn only_the_init_container_has_a_capability() {
    let after = injected(&pod(json!({})));
    let add =
        |name: &str| container(&after, name)["securityContext"]["capabilities"]["add"].clone();
    assert_eq!(add("postern-init"), json!(["NET_ADMIN"]));
    for (name, uid) in [("postern-cert-agent", 64138), ("postern-proxy", 64137)] {
        let context = &container(&after, name)["securityContext"];
        // Pod Security Standards, "Restricted".
        assert_eq!(add(name), Value::Null, "{name}");
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{name}");
        assert_eq!(context["runAsNonRoot"], true, "{name}");
        assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(context["runAsUser"], uid, "{name}");
    }
    let none = injected(&pod(json!({ "postern.dev/redirect": "none" })));
    assert_eq!(names(&none, "initContainers"), ["postern-cert-agent", "postern-proxy"]);
    assert!(!none.to_string().contains("NET_ADMIN"));
}

#[test]
fn tokens_go_to_the_agent_alone() {
    let after = injected(&pod(json!({})));
    let mounted = |name: &str| -> Vec<(String, String)> {
        let mounts = container(&after, name)["volumeMounts"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        mounts.iter().map(|m| (text(&m["name"]), text(&m["mountPath"]))).collect()
    };
    let api_token = "/var/run/secrets/kubernetes.io/serviceaccount";
    for name in ["postern-init", "postern-cert-agent", "postern-proxy"] {
        let at = mounted(name).into_iter().find(|(_, path)| path == api_token);
        assert_eq!(at.unwrap().0, "postern-no-api-token", "{name}");
        let has_ours = mounted(name).iter().any(|(volume, _)| volume == "postern-token");
        assert_eq!(has_ours, name == "postern-cert-agent", "{name}");
    }
    let volumes = after["spec"]["volumes"].as_array().unwrap();
    let volume = |name: &str| volumes.iter().find(|v| v["name"] == name).unwrap();
    let token = &volume("postern-token")["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(
        token,
        &json!({ "audience": "postern-authority", "expirationSeconds": 3600, "path": "token" })
    );
    assert_eq!(volume("postern-socket")["emptyDir"]["medium"], "Memory");
    assert_eq!(volume("postern-trust")["configMap"]["name"], "postern-trust-bundle");
}

#[test]
fn annotations_become_arguments_and_configuration() {
    let after = injected(&pod(json!({
        "postern.dev/skip-inbound-ports": "22, 9000-9010",
        "postern.dev/skip-outbound-ports": "25",
        "postern.dev/skip-cidrs": "10.1.0.0/16,fd00:1::/64",
        "postern.dev/allow-udp": "123",
        "postern.dev/egress": "deny",
        "postern.dev/mtls": "PERMISSIVE",
        "postern.dev/log-level": "debug",
        "postern.dev/access-log": "refused",
        "postern.dev/resources": "cpu=50m,memory-limit=64Mi",
    })));
    let arguments = arguments(&after, "postern-init").join(" ");
    for flag in [
        "redirect apply --exempt uid=64137 --agent-uid 64138 --authority postern-authority.postern-system.svc:15012",
        "--skip-inbound-ports 22,9000-9010",
        "--skip-outbound-ports 25",
        "--skip-cidrs 10.1.0.0/16,fd00:1::/64",
        "--allow-udp 123",
        "--egress deny",
    ] {
        assert!(arguments.contains(flag), "{flag}: {arguments}");
    }
    let config = config(&after);
    assert_eq!(
        config["defaults"],
        json!({ "authorization": "deny", "mtls": "PERMISSIVE", "egress": "deny" })
    );
    assert_eq!(config["logs"], json!({ "level": "debug", "access": "refused" }));
    let resources = &container(&after, "postern-proxy")["resources"];
    assert_eq!(resources["requests"], json!({ "cpu": "50m", "memory": "20Mi" }));
    assert_eq!(resources["limits"], json!({ "memory": "64Mi" }));
}

#[test]
fn explicit_listeners_without_redirection() {
    let config = config(&injected(&pod(json!({
        "postern.dev/redirect": "none",
        "postern.dev/inbound-listeners": "8443=8080/http,9443=9090",
        "postern.dev/outbound-listeners": "9001=payments.shop.svc.cluster.local:8080",
    }))));
    assert_eq!(
        config["inbound"],
        json!({ "bind": "none", "listeners": [
        { "bind": "[::]:8443", "forward": "127.0.0.1:8080", "protocol": "http" },
        { "bind": "[::]:9443", "forward": "127.0.0.1:9090", "protocol": "auto" },
    ] })
    );
    assert_eq!(
        config["outbound"],
        json!({ "bind": "none", "listeners": [
        { "bind": "127.0.0.1:9001", "service": "payments.shop.svc.cluster.local", "port": 8080 },
    ] })
    );
}

#[test]
fn the_pod_wins_over_its_namespace() {
    let annotations = [
        ("postern.dev/log-level", "warn"),
        ("postern.dev/mtls", "PERMISSIVE"),
        ("postern.dev/inject", "disabled"),
    ];
    let namespace = NamespaceFacts {
        annotations: annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    };
    let pod = pod(json!({ "postern.dev/log-level": "debug" }));
    let outcome = k8s::inject::inject(&pod, &namespace, &settings(), "s").unwrap();
    let InjectionOutcome::Changed(after) = outcome else { panic!("{outcome:?}") };
    assert_eq!(config(&after)["logs"]["level"], "debug");
    assert_eq!(config(&after)["defaults"]["mtls"], "PERMISSIVE");
}

#[test]
fn the_end_follows_from_the_grace_period() {
    let check = |row: &str, annotations: Value, grace: Value, expect: [&str; 2]| {
        let mut pod = pod(annotations);
        pod["spec"]["terminationGracePeriodSeconds"] = grace;
        let limits = &config(&injected(&pod))["limits"];
        assert_eq!([&limits["drainDelay"], &limits["drainTimeout"]], expect, "{row}");
    };
    let classic = json!({ "postern.dev/sidecar": "classic" });
    check("native: the app has ended", json!({}), json!(30), ["0s", "29s"]);
    check("native, not said", json!({}), Value::Null, ["0s", "29s"]);
    check("native, at once", json!({}), json!(0), ["0s", "0s"]);
    check("classic", classic.clone(), json!(30), ["5s", "29s"]);
    check("classic, short", classic.clone(), json!(6), ["2s", "5s"]);
    check("classic, a week", classic, json!(604_800), ["5s", "3599s"]);
}

#[test]
fn classic_sidecars_are_first_among_the_containers() {
    let mut job = pod(json!({ "postern.dev/sidecar": "classic" }));
    job["spec"]["restartPolicy"] = json!("Never");
    let after = injected(&job);
    assert_eq!(names(&after, "initContainers"), ["postern-init"]);
    assert_eq!(names(&after, "containers"), ["postern-cert-agent", "postern-proxy", "app"]);
    let proxy = container(&after, "postern-proxy");
    assert_eq!(
        proxy["lifecycle"]["postStart"]["exec"]["command"],
        json!(["postern-proxy", "await"])
    );
    assert!(proxy.get("restartPolicy").is_none());
    assert_eq!(config(&after)["admin"]["drainFromPod"], true, "so that the job can end");
    let ends = |pod: &Value| {
        let arguments = container(&injected(pod), "postern-cert-agent")["args"].clone();
        arguments.as_array().unwrap().contains(&json!("--end-without-callers"))
    };
    assert!(ends(&job), "nor is the agent ended by anybody");
    assert!(!ends(&pod(json!({ "postern.dev/sidecar": "classic" }))), "not a server's");
}

#[test]
fn refused_by_name() {
    let check = |row: &str, change: &dyn Fn(&mut Value), says: &[&str]| {
        let mut pod = pod(json!({}));
        change(&mut pod);
        let refusal = inject(&pod).unwrap_err().to_string();
        says.iter().for_each(|says| assert!(refusal.contains(says), "{row}: {refusal}"));
    };
    check(
        "node's network",
        &|p| p["spec"]["hostNetwork"] = json!(true),
        &["hostNetwork", "disabled"],
    );
    check(
        "proxy's user for the pod",
        &|p| p["spec"]["securityContext"] = json!({ "runAsUser": 64137 }),
        &["the pod runs as user 64137", "the proxy"],
    );
    check(
        "agent's user for a container",
        &|p| p["spec"]["containers"][0]["securityContext"] = json!({ "runAsUser": 64138 }),
        &["container app runs as user 64138", "the cert agent"],
    );
    check(
        "an init container",
        &|p| {
            p["spec"]["initContainers"] = json!([{ "name": "setup", "image": "s", "securityContext": { "runAsUser": 64137 } }])
        },
        &["container setup runs as user 64137"],
    );
    check(
        "a port of the proxy's",
        &|p| p["spec"]["containers"][0]["ports"] = json!([{ "containerPort": 15006 }]),
        &["container app declares port 15006"],
    );
    check("Windows", &|p| p["spec"]["os"] = json!({ "name": "windows" }), &["windows"]);
    for label in ["kubernetes.io/os", "beta.kubernetes.io/os"] {
        check(label, &|p| p["spec"]["nodeSelector"] = json!({ label: "windows" }), &["windows"]);
    }
    check("no spec", &|p| drop(p.as_object_mut().unwrap().remove("spec")), &["spec is missing"]);
    check("odd containers", &|p| p["spec"]["containers"] = json!(5), &["not a pod", "sequence"]);
    check("odd annotations", &|p| p["metadata"]["annotations"] = json!({ "a": 5 }), &["not a pod"]);
    check(
        "a port without a number",
        &|p| p["spec"]["containers"][0]["ports"] = json!([{ "name": "http" }]),
        &["spec.containers[0].ports[0].containerPort is missing", "containerPort: 8080"],
    );
    check(
        "a container without a name",
        &|p| p["spec"]["initContainers"] = json!([{ "image": "a" }]),
        &["spec.initContainers[0].name is missing"],
    );
}

#[test]
fn a_pod_that_no_linux_node_can_run_is_refused() {
    let required = |terms: Value| {
        let required = json!({ "nodeSelectorTerms": terms });
        json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } })
    };
    let of = |key: &str, operator: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] });
    let os = |operator: &str, values: &[&str]| of("kubernetes.io/os", operator, values);
    let build = |operator: &str| of("node.kubernetes.io/windows-build", operator, &["10.0.20348"]);
    let affinity = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]";
    let refused = |row: &str, terms: Value, found: &str| {
        let mut pod = pod(json!({}));
        pod["spec"]["affinity"] = required(terms);
        let refusal = inject(&pod).unwrap_err().to_string();
        assert!(refusal.starts_with(affinity), "{row}: {refusal}");
        assert!(
            refusal.contains(&format!("leaves no Linux node: found {found}")),
            "{row}: {refusal}"
        );
    };
    let label = "kubernetes.io/os";
    refused("In", json!([os("In", &["windows"])]), &format!("{label} In [windows]"));
    refused("In nothing", json!([os("In", &[])]), &format!("{label} In []"));
    refused("NotIn", json!([os("NotIn", &["linux"])]), &format!("{label} NotIn [linux]"));
    refused("DoesNotExist", json!([os("DoesNotExist", &[])]), &format!("{label} DoesNotExist"));
    refused("Gt", json!([os("Gt", &["1"])]), &format!("{label} Gt [1]"));
    refused("the older label", json!([of("beta.kubernetes.io/os", "NotIn", &["linux"])]), "beta.");
    refused("a build of Windows", json!([build("In")]), "node.kubernetes.io/windows-build In");
    refused("any build of Windows", json!([build("Exists")]), "node.kubernetes.io/windows-build");
    refused("each of two", json!([os("In", &["windows"]), build("Exists")]), label);
    refused("a term that no node meets", json!([{}]), "a term without expressions");
    for (row, terms) in [
        ("one of two", json!([os("In", &["windows"]), os("In", &["linux"])])),
        ("one of the values", json!([os("In", &["windows", "linux"])])),
        ("not Windows", json!([os("NotIn", &["windows"])])),
        ("any", json!([os("Exists", &[])])),
        ("no build of Windows", json!([build("DoesNotExist")])),
        ("another label", json!([of("zone", "DoesNotExist", &[])])),
        (
            "a node by name",
            json!([{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n"] }] }]),
        ),
        ("no terms", json!([])),
    ] {
        let mut pod = pod(json!({}));
        pod["spec"]["affinity"] = required(terms);
        pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/os": "linux" });
        assert!(inject(&pod).is_ok(), "{row}: Linux will do");
    }
    let mut pod = pod(json!({}));
    pod["spec"]["nodeSelector"] = json!({ "node.kubernetes.io/windows-build": "10.0.20348" });
    let refusal = inject(&pod).unwrap_err().to_string();
    let field = "spec.nodeSelector[\"node.kubernetes.io/windows-build\"] leaves no Linux node";
    assert!(refusal.starts_with(field), "{refusal}");
}

#[test]
fn what_has_a_name_of_ours_is_the_apps_unless_the_pod_is_marked() {
    let ours = |kind: &str, name: &str| format!("{kind} {name} has a name that is kept");
    let refused = |row: &str, change: &dyn Fn(&mut Value), says: String| {
        let mut pod = pod(json!({}));
        change(&mut pod);
        let refusal = inject(&pod).unwrap_err().to_string();
        assert!(refusal.starts_with(&says) && refusal.contains("rename it"), "{row}: {refusal}");
        pod["metadata"]["annotations"] = json!({ "postern.dev/injected": "0.0.0" });
        assert!(inject(&pod).is_ok(), "{row}: an earlier version's is replaced");
    };
    for name in ["postern-init", "postern-cert-agent", "postern-proxy"] {
        let container = json!({ "name": name, "image": "mine" });
        for list in ["containers", "initContainers"] {
            let add = |p: &mut Value| match p["spec"][list].as_array_mut() {
                Some(list) => list.push(container.clone()),
                None => p["spec"][list] = json!([container]),
            };
            refused(list, &add, ours("container", name));
        }
    }
    let after = injected(&pod(json!({})));
    let volumes = after["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 6);
    for volume in volumes {
        let name = volume["name"].as_str().unwrap();
        let add = |p: &mut Value| p["spec"]["volumes"] = json!([{ "name": name, "emptyDir": {} }]);
        refused("a volume", &add, ours("volume", name));
        let mount = |p: &mut Value| {
            p["spec"]["containers"][0]["volumeMounts"] =
                json!([{ "name": name, "mountPath": "/data" }]);
        };
        refused("a mount", &mount, ours("the mount of volume", name));
    }
    let mut near = pod(json!({}));
    near["spec"]["volumes"] = json!([{ "name": "postern", "emptyDir": {} }]);
    assert!(inject(&near).is_ok(), "a name that is not ours");
}

#[test]
fn opted_out() {
    let mut pod = pod(json!({ "postern.dev/inject": "disabled", "postern.dev/no-such": "x" }));
    pod["spec"]["hostNetwork"] = json!(true);
    assert_eq!(inject(&pod).unwrap(), InjectionOutcome::Unchanged(UnchangedReason::OptedOut));
    pod["spec"]["containers"] = json!("a shape of a later day");
    assert_eq!(inject(&pod).unwrap(), InjectionOutcome::Unchanged(UnchangedReason::OptedOut));
}

#[test]
fn ports_speak_what_their_names_say() {
    let after = injected(&pod_with(&json!({ "ports": [
        { "name": "http", "containerPort": 8080 },
        { "name": "grpc-api", "containerPort": 9090 },
        { "name": "grpc-web", "containerPort": 9091 },
        { "name": "grpc-web-x", "containerPort": 9092 },
        { "name": "https", "containerPort": 8443 },
        { "name": "tcp-db", "containerPort": 5432 },
        { "name": "redis", "containerPort": 6379 },
        { "name": "udp", "containerPort": 7002 },
        { "containerPort": 7000 },
        { "name": "http-udp", "containerPort": 7001, "protocol": "UDP" },
    ] })));
    assert_eq!(
        config(&after)["inbound"]["ports"],
        json!({
            "8080": { "protocol": "http" },
            "9090": { "protocol": "grpc" },
            "9091": { "protocol": "http" },
            "9092": { "protocol": "http" },
            "8443": { "protocol": "tls" },
            "5432": { "protocol": "tcp" },
            "6379": { "protocol": "tcp" },
        })
    );
}

#[test]
fn metrics_of_the_app_move_behind_the_proxy() {
    let check = |row: &str, annotations: Value, port: Value, app: Value| {
        let after = injected(&pod(annotations));
        let found = &after["metadata"]["annotations"]["prometheus.io/port"];
        assert_eq!(found, &port, "{row}");
        assert_eq!(config(&after)["metrics"]["app"], app, "{row}");
    };
    let ours = || json!("15020");
    check("none of its own", json!({}), ours(), Value::Null);
    check(
        "the usual",
        json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8080" }),
        ours(),
        json!({ "port": 8080, "path": "/metrics" }),
    );
    check(
        "another path",
        json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/stats?x=1" }),
        ours(),
        json!({ "port": 8080, "path": "/stats?x=1" }),
    );
    check("unwanted", json!({ "prometheus.io/scrape": "false" }), Value::Null, Value::Null);
    check(
        "HTTPS is left alone",
        json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "1", "prometheus.io/scheme": "https" }),
        json!("1"),
        Value::Null,
    );
}

#[test]
fn with_a_controller_the_proxy_announces_its_pod_to_it() {
    let mut settings = settings();
    settings.controller = Some("postern-controller.postern-system.svc:15010".parse().unwrap());
    let facts = NamespaceFacts::default();
    let Ok(InjectionOutcome::Changed(after)) =
        k8s::inject::inject(&pod(json!({})), &facts, &settings, support::SECRET)
    else {
        panic!("it is injected")
    };
    assert_eq!(
        config(&after)["resources"],
        json!({"controller": {
            "address": "postern-controller.postern-system.svc:15010",
            "identity": "spiffe://cluster.local/ns/postern-system/sa/postern-controller",
            "pod": {"name": "$(POSTERN_POD_NAME)", "uid": "$(POSTERN_POD_UID)"},
        }})
    );
}

/// The section of the proxy's configuration with these flags, or what is wrong with them.
fn tracing(flags: &[&str]) -> Result<Value, String> {
    let manifest = pod(json!({})).to_string();
    let output = support::command(flags, manifest.as_bytes());
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let after: Value = serde_saphyr::from_slice(&output.stdout).unwrap();
    Ok(config(&after)["tracing"].clone())
}

#[test]
fn spans_go_where_the_flags_say() {
    const TO: [&str; 2] = ["--tracing-collector", "collector.o.svc:4317"];
    let identity = ["--tracing-identity", "spiffe://cluster.local/ns/o/sa/collector"];
    let sampling = ["--tracing-sampling", "0.5%"];
    for (flags, expect) in [
        (vec![], Value::Null),
        (TO.to_vec(), json!({"endpoint": "https://collector.o.svc:4317"})),
        (
            [TO, identity, sampling].concat(),
            json!({
                "endpoint": "https://collector.o.svc:4317",
                "identity": "spiffe://cluster.local/ns/o/sa/collector",
                "sampling": "0.5%",
            }),
        ),
        (
            [&TO[..], &["--tracing-plaintext"]].concat(),
            json!({"endpoint": "http://collector.o.svc:4317", "plaintext": true}),
        ),
    ] {
        assert_eq!(tracing(&flags), Ok(expect), "{flags:?}");
    }
    for (flags, named) in [
        (sampling.to_vec(), "--tracing-collector"),
        (identity.to_vec(), "--tracing-collector"),
        (vec!["--tracing-plaintext"], "--tracing-collector"),
        ([TO, ["--tracing-sampling", "2"]].concat(), "percentage"),
        ([TO, ["--tracing-identity", "collector"]].concat(), "--tracing-identity"),
        ([&TO[..], &identity, &["--tracing-plaintext"]].concat(), "cannot be used with"),
        (vec!["--tracing-collector", "https://a:1"], "HOST:PORT"),
    ] {
        let said = tracing(&flags).expect_err("these flags are refused");
        assert!(said.contains(named), "{flags:?}: {said}");
    }
}
