//! AdmissionReviews: those that a real API server sent, and those that nobody should send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s::inject::review::{AdmissionReview, ReviewAnswer, ReviewVerdict};
use k8s::inject::{NamespaceFacts, SuccessorError, add_successor};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{self, names, settings};

fn recorded(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/admission/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["body"].clone()
}

fn answer(review: &Value) -> ReviewAnswer {
    let review = AdmissionReview::read(review.to_string().as_bytes()).unwrap();
    review.answer(&NamespaceFacts::default(), &settings(), support::SECRET)
}

/// The pod as it is once the API server has applied the answer's patch.
fn patched(review: &Value) -> Value {
    let answer = answer(review);
    let response = &answer.body["response"];
    assert_eq!(answer.verdict, ReviewVerdict::Injected, "{response}");
    assert_eq!(response["uid"], review["request"]["uid"]);
    assert_eq!(response["patchType"], "JSONPatch");
    let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    let mut pod = review["request"]["object"].clone();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

#[test]
fn recorded_creations_are_injected() {
    for name in [
        "01-create-plain-dryrun",
        "02-create-plain",
        "03-create-withinit",
        "07-create-web-6fbf6cd7b6",
        "09-create-once",
        "10-create-db",
        "14-create-shortlived",
    ] {
        let review = recorded(name);
        let pod = patched(&review);
        let first: Vec<_> = names(&pod, "initContainers").into_iter().take(3).collect();
        assert_eq!(first, ["postern-init", "postern-cert-agent", "postern-proxy"], "{name}");
        let mut again = review.clone();
        again["request"]["object"] = pod;
        assert_eq!(answer(&again).verdict, ReviewVerdict::Unchanged, "{name}, asked again");
    }
}

#[test]
fn recorded_others_are_answered_without_a_patch() {
    let check = |name: &str, verdict: ReviewVerdict, says: &str| {
        let answer = answer(&recorded(name));
        let response = &answer.body["response"];
        assert_eq!(answer.verdict, verdict, "{name}: {response}");
        assert_eq!(response["allowed"], verdict != ReviewVerdict::Refused, "{name}");
        assert!(response.get("patch").is_none(), "{name}");
        assert!(response.to_string().contains(says), "{name}: {response}");
    };
    check("04-create-optout", ReviewVerdict::Unchanged, "");
    check("05-create-hostnet", ReviewVerdict::Refused, "hostNetwork");
    check("06-update-plain", ReviewVerdict::Unchanged, "");
    for name in ["11-delete-plain", "12-delete-plain", "13-delete-plain", "15-delete-shortlived"] {
        check(name, ReviewVerdict::Unchanged, "");
    }
}

#[test]
fn an_ephemeral_container_may_not_be_the_proxy() {
    let mut review = recorded("06-update-plain");
    review["request"]["subResource"] = json!("ephemeralcontainers");
    review["request"]["object"]["spec"]["ephemeralContainers"] =
        json!([{ "name": "debug", "image": "d", "securityContext": { "runAsUser": 64137 } }]);
    let answer = answer(&review);
    assert_eq!(answer.verdict, ReviewVerdict::Refused);
    assert!(answer.body.to_string().contains("container debug runs as user 64137"));
}

/// A running pod as injection made it, and what `upgrade-pod` adds to it.
fn upgraded() -> Value {
    let mut pod = patched(&recorded("02-create-plain"));
    add_successor(&mut pod, "localhost/postern/postern-proxy:9.9.9").unwrap();
    pod
}

#[test]
fn an_ephemeral_container_may_be_the_pods_own_proxy_in_another_version() {
    let check = |row: &str, verdict: ReviewVerdict, change: &dyn Fn(&mut Value)| {
        let mut review = recorded("06-update-plain");
        review["request"]["subResource"] = json!("ephemeralcontainers");
        review["request"]["object"] = upgraded();
        change(&mut review["request"]["object"]["spec"]["ephemeralContainers"][0]);
        let answer = answer(&review);
        assert_eq!(answer.verdict, verdict, "{row}: {}", answer.body);
    };
    let good = ReviewVerdict::Unchanged;
    check("as it was made", good, &|_| {});
    check("with what the API server adds", good, &|container| {
        container["terminationMessagePath"] = json!("/dev/termination-log");
        container["terminationMessagePolicy"] = json!("File");
        container["resources"] = json!({});
    });
    check("by its digest", good, &|container| {
        container["image"] = json!("localhost/postern/postern-proxy@sha256:00");
    });
    let bad = ReviewVerdict::Refused;
    for (row, key, value) in [
        ("another image", "image", json!("evil/postern-proxy:1")),
        ("an image that only begins so", "image", json!("localhost/postern/postern-proxy-evil:1")),
        ("another of our programs", "image", json!("localhost/postern/postern-cert-agent:1")),
        ("no version", "image", json!("localhost/postern/postern-proxy")),
        ("another command", "command", json!(["sh"])),
        ("other arguments", "args", json!(["run"])),
        ("another configuration", "env", json!([{"name": "POSTERN_CONFIG", "value": "{}"}])),
        ("more variables", "envFrom", json!([{"secretRef": {"name": "a"}}])),
        ("other mounts", "volumeMounts", json!([])),
        ("other rights", "securityContext", json!({"runAsUser": 64137})),
        ("a file over another", "terminationMessagePath", json!("/etc/postern/pod/labels")),
        ("a terminal", "tty", json!(true)),
        ("another's processes", "targetContainerName", json!("app")),
    ] {
        check(row, bad, &|container| container[key] = value.clone());
    }
}

#[test]
fn each_upgrade_of_a_pod_has_a_name_of_its_own() {
    let mut pod = upgraded();
    add_successor(&mut pod, "localhost/postern/postern-proxy:9.9.10").unwrap();
    assert_eq!(names(&pod, "ephemeralContainers"), ["postern-proxy-2", "postern-proxy-3"]);
    for none in [json!({}), json!([]), json!({"spec": {"containers": [{"name": "app"}]}})] {
        assert_eq!(add_successor(&mut none.clone(), "a:1"), Err(SuccessorError::NoProxy), "{none}");
    }
}

#[test]
fn the_control_plane_is_left_alone() {
    for namespace in ["postern-system", "kube-system"] {
        let mut review = recorded("02-create-plain");
        review["request"]["namespace"] = json!(namespace);
        assert_eq!(answer(&review).verdict, ReviewVerdict::Unchanged, "{namespace}");
    }
}

#[test]
fn s33_ca_dos_unreadable_reviews_are_named() {
    let check = |row: &str, body: &[u8], says: &str| {
        let error = AdmissionReview::read(body).unwrap_err();
        assert!(error.contains(says), "{row}: {error}");
    };
    let deep = |levels: usize| {
        format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1)).into_bytes()
    };
    check("10,000 deep", &deep(10_000), "deeper than 100");
    check("101 deep", &deep(101), "deeper than 100");
    check("100 deep, and no review", &deep(100), "apiVersion");
    check(
        "brackets in a text are not depth",
        format!("{{\"a\":\"{}\"}}", "[".repeat(500)).as_bytes(),
        "apiVersion",
    );
    check("nothing", b"", "EOF");
    check("other kind", br#"{"apiVersion":"v1","kind":"Pod"}"#, "not an AdmissionReview");
    check(
        "older version",
        br#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#,
        "not an",
    );
    check(
        "no request",
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
        "no request",
    );
}

/// Any JSON of a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z/$`\n(){}-]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z]{1,8}", inner), 0..4)
                .prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

/// A place in a pod where something else may stand.
fn places() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/metadata",
        "/metadata/annotations",
        "/metadata/labels",
        "/spec",
        "/spec/containers",
        "/spec/containers/0",
        "/spec/containers/0/name",
        "/spec/containers/0/ports",
        "/spec/containers/0/ports/0/containerPort",
        "/spec/containers/0/readinessProbe",
        "/spec/containers/0/readinessProbe/httpGet",
        "/spec/containers/0/readinessProbe/httpGet/port",
        "/spec/containers/0/lifecycle",
        "/spec/containers/0/securityContext",
        "/spec/initContainers",
        "/spec/volumes",
        "/spec/securityContext",
        "/spec/terminationGracePeriodSeconds",
        "/spec/restartPolicy",
    ])
}

fn whole_pod() -> Value {
    let mut pod = recorded("03-create-withinit")["request"]["object"].clone();
    pod["spec"]["containers"][0]["securityContext"] = json!({ "runAsUser": 1000 });
    pod
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn s34_injector_robustness_odd_pods_never_panic(changes in prop::collection::vec((places(), any_json()), 1..4)) {
        let mut pod = whole_pod();
        for (place, value) in changes {
            if let Some(there) = pod.pointer_mut(place) {
                *there = value;
            }
        }
        let mut review = recorded("02-create-plain");
        review["request"]["object"] = pod;
        let first = answer(&review);
        prop_assert_eq!(&first.body["response"]["uid"], &review["request"]["uid"]);
        if first.verdict == ReviewVerdict::Injected {
            // What was injected is a fixed point.
            let pod = patched(&review);
            review["request"]["object"] = pod;
            prop_assert_eq!(answer(&review).verdict, ReviewVerdict::Unchanged);
        }
    }

    #[test]
    fn s34_injector_robustness_any_annotation_is_taken_or_refused_by_name(
        key in prop::sample::select(k8s::inject::annotation::ANNOTATIONS.iter().map(|a| a.key).collect::<Vec<_>>()),
        value in prop_oneof!["\\PC{0,40}", "[0-9,=/:.a-z$`(\n)-]{0,30}"],
    ) {
        let key = format!("postern.dev/{key}");
        match support::inject(&support::pod(json!({ key.as_str(): value }))) {
            Ok(_) => {}
            Err(refusal) => {
                let refusal = refusal.to_string();
                prop_assert!(refusal.starts_with(&format!("annotation {key}: ")), "{}", refusal);
                prop_assert!(!refusal.contains('\n'), "{:?}", refusal);
            }
        }
    }

    #[test]
    fn s34_injector_robustness_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = AdmissionReview::read(&bytes);
    }
}
