//! What our programs may do in a cluster, and what a pod of ours may do on its node.

use serde_json::Value;

use crate::rendered::{Objects, kustomized, objects};

fn base() -> Objects {
    objects(&kustomized("base"))
}

fn objects_of_gateways() -> Objects {
    objects(&kustomized("overlays/gateways"))
}

fn rules_of(objects: &Objects) -> impl Iterator<Item = (&str, &Value)> {
    let roles = objects.iter().filter(|((kind, ..), _)| kind == "ClusterRole" || kind == "Role");
    roles.flat_map(|((_, _, name), role)| {
        role["rules"].as_array().unwrap().iter().map(move |rule| (name.as_str(), rule))
    })
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

#[test]
fn nobody_has_a_right_to_everything_of_a_kind_that_matters() {
    for (name, rule) in rules_of(&base()) {
        let (resources, verbs) = (strings(&rule["resources"]), strings(&rule["verbs"]));
        assert!(!resources.contains(&"*") && !verbs.contains(&"*"), "{name}: {rule}");
        assert!(
            !verbs.contains(&"delete") && !verbs.contains(&"deletecollection"),
            "{name}: {rule}"
        );
        let writes = verbs.iter().any(|verb| ["update", "patch"].contains(verb));
        let status = resources.iter().all(|resource| resource.ends_with("/status"));
        let named = !strings(&rule["resourceNames"]).is_empty();
        assert!(!writes || status || named, "{name} may change any object of a kind: {rule}");
        let reads_secrets = resources.contains(&"secrets") && verbs.iter().any(|v| *v != "create");
        assert!(!reads_secrets || named, "{name} may read any Secret: {rule}");
    }
}

#[test]
fn only_the_bootstrap_job_and_the_authority_touch_secrets() {
    let objects = base();
    let mut who: Vec<_> = rules_of(&objects)
        .filter(|(_, rule)| strings(&rule["resources"]).contains(&"secrets"))
        .map(|(name, _)| name)
        .collect();
    who.dedup();
    assert_eq!(who, ["postern-authority", "postern-bootstrap"]);
}

/// The verbs on a resource of one program, with the names they are bound to.
fn rights(objects: &Objects, program: &str) -> Vec<(String, String, usize)> {
    let mut rights = Vec::new();
    for (_, rule) in rules_of(objects).filter(|(name, _)| *name == program) {
        let names = strings(&rule["resourceNames"]).len();
        for resource in strings(&rule["resources"]) {
            rights.push((resource.to_owned(), strings(&rule["verbs"]).join(" "), names));
        }
    }
    rights.sort();
    rights
}

/// Each line is a call in the program's source; a right without one is a right too many.
#[test]
fn every_program_has_exactly_the_rights_that_it_uses() {
    let objects = base();
    let check = |program: &str, expect: &[(&str, &str, usize)]| {
        let expect: Vec<_> =
            expect.iter().map(|(a, b, names)| ((*a).to_owned(), (*b).to_owned(), *names)).collect();
        assert_eq!(rights(&objects, program), expect, "{program}");
    };
    check(
        "postern-authority",
        &[
            ("pods", "get", 0),
            ("secrets", "create", 0),
            ("secrets", "get update", 16),
            ("tokenreviews", "create", 0),
        ],
    );
    check(
        "postern-injector",
        &[("mutatingwebhookconfigurations", "get patch", 1), ("namespaces", "get", 0)],
    );
    check(
        "postern-controller",
        &[
            ("abusepolicies", "list watch", 0),
            ("abusepolicies/status", "patch", 0),
            ("apikeypolicies", "list watch", 0),
            ("apikeypolicies/status", "patch", 0),
            ("apischemas", "list watch", 0),
            ("apischemas/status", "patch", 0),
            ("authorizationpolicies", "list watch", 0),
            ("authorizationpolicies/status", "patch", 0),
            ("clientcredentials", "list watch", 0),
            ("clientcredentials/status", "patch", 0),
            ("configmaps", "create", 0),
            ("configmaps", "list watch patch", 1),
            ("destinationrules", "list watch", 0),
            ("destinationrules/status", "patch", 0),
            ("endpointslices", "list watch", 0),
            ("faultinjections", "list watch", 0),
            ("faultinjections/status", "patch", 0),
            ("grpcroutes", "list watch", 0),
            ("grpcroutes/status", "patch", 0),
            ("httproutes", "list watch", 0),
            ("httproutes/status", "patch", 0),
            ("leases", "create", 0),
            ("leases", "get update", 1),
            ("namespaces", "list watch", 0),
            ("peerauthentications", "list watch", 0),
            ("peerauthentications/status", "patch", 0),
            ("pods", "list watch", 0),
            ("ratelimitpolicies", "list watch", 0),
            ("ratelimitpolicies/status", "patch", 0),
            ("referencegrants", "list watch", 0),
            ("requestauthentications", "list watch", 0),
            ("requestauthentications/status", "patch", 0),
            ("serviceentries", "list watch", 0),
            ("serviceentries/status", "patch", 0),
            ("services", "list watch", 0),
            ("signins", "list watch", 0),
            ("signins/status", "patch", 0),
            ("tcproutes", "list watch", 0),
            ("tcproutes/status", "patch", 0),
            ("threatpolicies", "list watch", 0),
            ("threatpolicies/status", "patch", 0),
            ("tlsroutes", "list watch", 0),
            ("tlsroutes/status", "patch", 0),
            ("tokenexchanges", "list watch", 0),
            ("tokenexchanges/status", "patch", 0),
            ("tokenintrospections", "list watch", 0),
            ("tokenintrospections/status", "patch", 0),
            ("tokenpolicies", "list watch", 0),
            ("tokenpolicies/status", "patch", 0),
            ("tokenrevocations", "list watch", 0),
            ("tokenrevocations/status", "patch", 0),
            ("topicpolicies", "list watch", 0),
            ("topicpolicies/status", "patch", 0),
        ],
    );
    let gateways = objects_of_gateways();
    assert_eq!(
        rights(&gateways, "postern-controller-gateways")
            .into_iter()
            .map(|(what, verbs, _)| (what, verbs))
            .collect::<Vec<_>>(),
        [
            ("backendtlspolicies", "list watch"),
            ("backendtlspolicies/status", "patch"),
            ("clienttrafficpolicies", "list watch"),
            ("clienttrafficpolicies/status", "patch"),
            ("configmaps", "list watch"),
            ("deployments", "list watch get create patch delete"),
            ("gatewayclasses", "list watch"),
            ("gatewayclasses/status", "patch"),
            ("gateways", "list watch"),
            ("gateways/status", "patch"),
            ("listenersets", "list watch"),
            ("listenersets/status", "patch"),
            ("secrets", "list watch"),
            ("serviceaccounts", "get create patch delete"),
            ("services", "get create patch delete"),
        ]
        .map(|(what, verbs)| (what.to_owned(), verbs.to_owned()))
    );
    check(
        "postern-bootstrap",
        &[
            ("configmaps", "create", 0),
            ("configmaps", "get", 1),
            ("secrets", "create", 0),
            ("secrets", "get", 2),
        ],
    );
}

#[test]
fn every_container_of_the_control_plane_meets_the_restricted_standard() {
    let objects = base();
    let mut seen = 0;
    for ((kind, _, name), object) in &objects {
        let Some(pod) = object.pointer("/spec/template/spec") else { continue };
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{kind} {name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        let of = |key: &str| pod[key].as_array().cloned().unwrap_or_default();
        for container in of("initContainers").iter().chain(&of("containers")) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}: {container}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}: {container}");
            assert_eq!(strings(&context["capabilities"]["drop"]), ["ALL"], "{name}: {container}");
            assert!(context["capabilities"]["add"].is_null(), "{name}: {container}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}: {container}");
            seen += 1;
        }
    }
    assert_eq!(seen, 6, "authority, bootstrap, and two of each of controller and injector");
}

/// Where Kubernetes mounts the API token of a pod's service account, unless something is mounted there.
const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[test]
fn no_cert_agent_has_the_api_token_of_the_program_beside_it() {
    let mut seen = 0;
    for object in base().values() {
        let Some(pod) = object.pointer("/spec/template/spec") else { continue };
        let agents = pod["initContainers"].as_array().into_iter().flatten();
        for agent in agents.filter(|container| container["name"] == "postern-cert-agent") {
            let mounts = agent["volumeMounts"].as_array().unwrap();
            let there = mounts.iter().find(|mount| mount["mountPath"] == API_TOKEN).unwrap();
            let mut volumes = pod["volumes"].as_array().unwrap().iter();
            let volume = volumes.find(|volume| volume["name"] == there["name"]).unwrap();
            assert!(volume["emptyDir"].is_object(), "{volume}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2, "of the controller and of the injector");
}

#[test]
fn the_webhook_is_asked_about_labelled_namespaces_only_and_never_about_the_control_plane() {
    let objects = base();
    let id =
        ("MutatingWebhookConfiguration".to_owned(), String::new(), "postern-injector".to_owned());
    let webhook = &objects[&id]["webhooks"][0];
    assert_eq!(webhook["failurePolicy"], "Fail");
    assert_eq!(webhook["reinvocationPolicy"], "IfNeeded");
    assert_eq!(webhook["sideEffects"], "None");
    assert_eq!(webhook["namespaceSelector"]["matchLabels"]["postern.dev/inject"], "enabled");
    let excluded = strings(&webhook["namespaceSelector"]["matchExpressions"][0]["values"]);
    assert!(excluded.contains(&"postern-system") && excluded.contains(&"kube-system"));
    let rules = webhook["rules"].as_array().unwrap().iter();
    let asked: Vec<_> = rules
        .map(|rule| (strings(&rule["resources"]).join(" "), strings(&rule["operations"]).join(" ")))
        .collect();
    let expect = [("pods", "CREATE"), ("pods/ephemeralcontainers", "UPDATE")];
    assert_eq!(asked, expect.map(|(what, when)| (what.to_owned(), when.to_owned())));
    assert!(webhook["clientConfig"]["caBundle"].is_null(), "the injector writes it itself");
}
