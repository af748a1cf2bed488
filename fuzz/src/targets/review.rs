//! The admission webhook: an AdmissionReview as bytes, and the answer to it.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use k8s::inject::review::{AdmissionReview, ReviewVerdict};
use k8s::inject::{AGENT, InjectionSettings, NamespaceFacts, PROXY};
use serde_json::Value;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: InjectionSettings,
}

/// The injector's settings as they are without any flag.
static SETTINGS: LazyLock<InjectionSettings> =
    LazyLock::new(|| Flags::parse_from(["injector"]).settings);

/// Users of the proxy and of the cert agent; nothing else may run as one of them.
const OUR_USERS: [u64; 2] = [64137, 64138];

/// Whatever comes is refused with words or answered to its uid; what was injected is whole, and is
/// not changed when it is asked about again, as an API server does (`reinvocationPolicy: IfNeeded`).
pub fn review(data: &[u8]) {
    let Ok(read) = AdmissionReview::read(data).inspect_err(|why| assert!(!why.is_empty())) else {
        return;
    };
    // The reader overlooks a text that is none in a field that nobody asks for, such as `oldObject`.
    let Ok(asked) = serde_json::from_slice::<Value>(data) else { return };
    let Some(pod) = answer(&read, &asked) else { return };
    check_injected(&pod);
    let mut again = asked;
    again["request"]["object"] = pod;
    let again = again.to_string();
    let read =
        AdmissionReview::read(again.as_bytes()).expect("the same review with the injected pod");
    let answer = read.answer(&NamespaceFacts::default(), &SETTINGS, "another");
    assert_eq!(answer.verdict, ReviewVerdict::Unchanged, "asked again: {}", answer.body);
}

/// Checks the answer; the pod that the API server makes of it, where it is to be another.
fn answer(read: &AdmissionReview, asked: &Value) -> Option<Value> {
    let answer = read.answer(&NamespaceFacts::default(), &SETTINGS, "secret");
    let text = answer.body.to_string();
    let body: Value = serde_json::from_str(&text).expect("the answer is JSON");
    assert_eq!((&body["apiVersion"], &body["kind"]), (&asked["apiVersion"], &asked["kind"]));
    let response = &body["response"];
    assert_eq!(response["uid"], asked["request"]["uid"]);
    assert_eq!(response["allowed"], answer.verdict != ReviewVerdict::Refused, "{text}");
    let message = response["status"]["message"].as_str();
    assert_eq!(message.is_some(), answer.verdict == ReviewVerdict::Refused, "{text}");
    let patch = response.get("patch").and_then(Value::as_str);
    assert_eq!(patch.is_some(), answer.verdict == ReviewVerdict::Injected, "{text}");
    let patch = STANDARD.decode(patch?).expect("base64 (RFC 4648)");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("JSON Patch (RFC 6902)");
    let mut pod = asked["request"]["object"].clone();
    json_patch::patch(&mut pod, &patch).expect("the patch fits");
    Some(pod)
}

/// Both sidecars are there, once each, and no other container is one of our users.
fn check_injected(pod: &Value) {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.into_iter().filter_map(|list| pod["spec"][list].as_array()).flatten();
    let ours = |container: &&Value| {
        [AGENT, PROXY].iter().any(|name| container["name"].as_str() == Some(name))
    };
    let (ours, others): (Vec<&Value>, Vec<&Value>) = containers.partition(ours);
    assert_eq!(ours.len(), 2, "{pod}");
    let user = |holder: &Value| holder["securityContext"]["runAsUser"].as_u64();
    let whose = others.into_iter().chain([&pod["spec"]]).filter_map(user);
    assert_eq!(whose.filter(|uid| OUR_USERS.contains(uid)).count(), 0, "{pod}");
    assert_ne!(pod["spec"]["hostNetwork"], true, "{pod}");
}
