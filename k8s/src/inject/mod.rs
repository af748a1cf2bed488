//! What is added to a pod, and the refusal of pods that cannot be in the mesh.
//!
//! [`inject`] is one pure function; the webhook and `postern-k8s inject` both call it. It edits the
//! pod as JSON and touches only what it names, so fields of a newer Kubernetes survive.
//!
//! | room | says |
//! |---|---|
//! | `pod` | the parts of a pod that decide what is injected, and what has a wrong shape |
//! | [`settings`] | what the installer chooses for all pods |
//! | `options` | what the annotations of a pod and its namespace ask for |
//! | [`refusal`] | what is refused, and why |
//! | `additions` | containers, volumes and the proxy's configuration; probes and scrapes |
//! | [`gateway`] | the pod of a gateway, which has no app |
//! | `successor` | the ephemeral container that takes a running pod's proxy over |
//! | [`review`] | an AdmissionReview: bytes in, answer out |
//! | `manifests` | a stream of YAML or JSON documents |

mod additions;
pub mod gateway;
mod manifests;
mod options;
mod pod;
pub mod refusal;
pub mod review;
pub mod settings;
mod successor;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use serde::Serialize;
use serde_json::{Map, Value};

pub use additions::containers::{AGENT, INIT, PROXY};
use additions::containers::{NAMES, VOLUMES};
use additions::probes::{ProbeRewriter, ProxyProbe};
use additions::proxy_config::PreviousInjection;
use additions::{containers, proxy_config, scrape};
pub use manifests::stream;
pub use options::annotation;
use options::annotation::{INJECTED, InjectionOptions};
use pod::Pod;
pub use pod::fields;
use pod::fields::MalformedField;
pub use refusal::{Refusal, Refusals};
pub use settings::InjectionSettings;
use settings::VERSION;
pub use successor::{SuccessorError, add_successor};

/// Where a pod says for itself whether it is injected: a JSON pointer.
const OWN_INJECT: &str = "/metadata/annotations/postern.dev~1inject";

/// What is known of a pod's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Its annotations; those that a namespace may carry hold for all of its pods.
    pub annotations: BTreeMap<String, String>,
}

/// What became of a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum InjectionOutcome {
    /// It stays as it is.
    Unchanged(UnchangedReason),
    /// It becomes this.
    Changed(Value),
}

/// Why a pod stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnchangedReason {
    /// There is no pod in it.
    NoWorkload,
    /// It is annotated `postern.dev/inject: disabled`.
    OptedOut,
    /// This version has injected it, and nothing came after that concerns us.
    AlreadyInjected,
    /// Its namespace is the control plane's or `kube-system`.
    ControlPlane,
}

/// Whether the pods of a namespace are never injected. Those of the control plane carry their agent in the manifest:
/// injecting them would wait for themselves. Those of `kube-system` may be what the node needs to start any pod.
pub(super) fn is_control_plane(namespace: &str, settings: &InjectionSettings) -> bool {
    namespace == settings.root_namespace || namespace == "kube-system"
}

/// Injects a pod, or the template of one.
///
/// `secret` goes into the addresses of its lifecycle handlers, unless it has been injected before:
/// letters and digits that cannot be guessed.
///
/// A pod that this version has injected keeps what it has; only probes and handlers that came later
/// are rewritten, and our containers are put first again. What another version injected is replaced.
///
/// # Errors
/// Why the pod cannot be in the mesh; everything that was found.
pub fn inject(
    pod: &Value,
    namespace: &NamespaceFacts,
    settings: &InjectionSettings,
    secret: &str,
) -> Result<InjectionOutcome, Refusals> {
    // An opt-out holds whatever else is written: no other mistake of the pod is reported.
    if pod.pointer(OWN_INJECT).is_some_and(|own| own == "disabled") {
        return Ok(InjectionOutcome::Unchanged(UnchangedReason::OptedOut));
    }
    let (facts, mistakes) = Pod::read(pod);
    let mut refusals = malformed(mistakes);
    let options =
        InjectionOptions::read(&namespace.annotations, &facts.metadata.annotations, &mut refusals);
    refusals.extend(refusal::check(&facts));
    let config = config_of(pod);
    let kept = config.as_deref().map(PreviousInjection::of).unwrap_or_default();
    let mut changed = pod.clone();
    let Some(parts) = PodParts::of(&mut changed) else { return Err(Refusals(refusals)) };
    let rewrite =
        ProbeRewriter { known: &kept.probes, secret, grace_seconds: facts.grace_seconds() };
    let probes = rewrite_probes(parts.spec, &rewrite, &mut refusals);
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }
    match config {
        Some(config) if is_injected(&facts) => refresh(parts.spec, &config, &kept.probes, &probes),
        _ => build(parts, &facts, &options, settings, &kept, &probes),
    }
    Ok(match changed == *pod {
        true => InjectionOutcome::Unchanged(UnchangedReason::AlreadyInjected),
        false => InjectionOutcome::Changed(changed),
    })
}

/// Refuses an ephemeral container, added to a running pod, that would run as one of our users; but not the one that takes
/// the pod's proxy over.
///
/// # Errors
/// [`Refusal::UserCollision`], or [`Refusal::Malformed`].
pub fn check_users(pod: &Value, settings: &InjectionSettings) -> Result<(), Refusals> {
    let (facts, mistakes) = Pod::read(pod);
    let mut refusals = malformed(mistakes);
    let others = refusal::users(&facts).into_iter().filter(|refusal| match refusal {
        Refusal::UserCollision { whose, .. } => whose
            .strip_prefix("container ")
            .is_none_or(|name| !successor::is_successor(pod, name, settings)),
        _ => true,
    });
    refusals.extend(others);
    if refusals.is_empty() { Ok(()) } else { Err(Refusals(refusals)) }
}

/// All that has a wrong shape is one refusal.
fn malformed(mistakes: Vec<MalformedField>) -> Vec<Refusal> {
    let mistakes = Some(mistakes).filter(|mistakes| !mistakes.is_empty());
    mistakes.map(Refusal::Malformed).into_iter().collect()
}

/// The two halves of a pod.
struct PodParts<'a> {
    annotations: &'a mut Map<String, Value>,
    spec: &'a mut Map<String, Value>,
}

impl<'a> PodParts<'a> {
    /// None of a pod that is malformed.
    fn of(pod: &'a mut Value) -> Option<Self> {
        let pod = pod.as_object_mut()?;
        let mut annotations = None;
        let mut spec = None;
        pod.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        for (key, value) in pod.iter_mut() {
            match key.as_str() {
                "metadata" => {
                    annotations = object(value)
                        .map(|metadata| metadata.entry("annotations").or_insert(Value::Null))
                }
                "spec" => spec = object(value),
                _ => {}
            }
        }
        Some(Self { annotations: annotations.and_then(object)?, spec: spec? })
    }
}

/// A mapping; `null` becomes an empty one.
fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// A list of the spec, made when it is missing.
fn list<'a>(spec: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Vec<Value>> {
    let value = spec.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut()
}

fn is_ours(container: &Value) -> bool {
    container.get("name").and_then(Value::as_str).is_some_and(|name| NAMES.contains(&name))
}

/// Marked with our version, and whole.
fn is_injected(facts: &Pod) -> bool {
    let marked = facts.metadata.annotations.get(INJECTED).is_some_and(|by| by == VERSION);
    let has = |name: &str| facts.all_containers().any(|container| container.name.name == name);
    marked && has(AGENT) && has(PROXY)
}

/// The configuration an injected proxy has.
fn config_of(pod: &Value) -> Option<String> {
    let spec = pod.get("spec")?;
    let lists = ["initContainers", "containers"].into_iter();
    let mut containers = lists.filter_map(|key| spec.get(key)?.as_array()).flatten();
    let proxy = containers.find(|container| container.get("name").is_some_and(|n| n == PROXY))?;
    let variables = proxy.get("env")?.as_array()?;
    let variable =
        variables.iter().find(|v| v.get("name").is_some_and(|n| n == proxy_config::VARIABLE))?;
    variable.get("value")?.as_str().map(str::to_owned)
}

/// Rewrites the probes of every container but ours; the answer is what they asked.
fn rewrite_probes(
    spec: &mut Map<String, Value>,
    rewrite: &ProbeRewriter<'_>,
    refusals: &mut Vec<Refusal>,
) -> Vec<ProxyProbe> {
    let mut targets = Vec::new();
    for key in ["initContainers", "containers"] {
        let containers = spec.get_mut(key).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter(|c| !is_ours(c)) {
            if let Some(container) = container.as_object_mut() {
                rewrite.container(container, &mut targets, refusals);
            }
        }
    }
    targets
}

/// What changes in a pod that is injected already.
fn refresh(
    spec: &mut Map<String, Value>,
    config: &str,
    known: &[ProxyProbe],
    probes: &[ProxyProbe],
) {
    for key in ["initContainers", "containers"] {
        let Some(containers) = spec.get_mut(key).and_then(Value::as_array_mut) else { continue };
        put_ours_first(containers);
        if probes == known {
            continue;
        }
        let Some(config) = proxy_config::with_probes(config, probes) else { continue };
        let proxy = containers.iter_mut().find(|c| c.get("name").is_some_and(|n| n == PROXY));
        let variables = proxy.and_then(|proxy| proxy.get_mut("env")?.as_array_mut());
        for variable in variables.into_iter().flatten() {
            if variable.get("name").is_some_and(|n| n == proxy_config::VARIABLE) {
                variable["value"] = Value::String(config.clone());
            }
        }
    }
}

/// Others may have put themselves before us.
fn put_ours_first(containers: &mut [Value]) {
    let rank = |container: &Value| {
        let name = container.get("name").and_then(Value::as_str);
        NAMES.iter().position(|ours| Some(*ours) == name).unwrap_or(NAMES.len())
    };
    containers.sort_by_key(rank);
}

/// Adds everything, in place of what an earlier version added.
fn build(
    parts: PodParts<'_>,
    facts: &Pod,
    options: &InjectionOptions,
    settings: &InjectionSettings,
    kept: &PreviousInjection,
    probes: &[ProxyProbe],
) {
    let PodParts { annotations, spec } = parts;
    let app_metrics =
        scrape::redirect_scrapes(annotations, &facts.metadata.annotations, kept.app_metrics());
    annotations.insert(INJECTED.to_owned(), VERSION.into());
    remove_ours(spec);
    let config = proxy_config::write(facts, options, settings, probes, app_metrics.as_ref());
    let init = options.redirect.then(|| containers::init(options, settings));
    let sidecars = [
        containers::agent(options, settings, facts.is_finite()),
        containers::proxy(options, settings, &config),
    ];
    let key = if options.native { "initContainers" } else { "containers" };
    put_first(spec, key, sidecars);
    put_first(spec, "initContainers", init);
    if let Some(list) = list(spec, "volumes") {
        list.extend(containers::volumes(settings).into_iter().map(json));
    }
}

fn put_first(
    spec: &mut Map<String, Value>,
    key: &str,
    containers: impl IntoIterator<Item = Container>,
) {
    let mut containers = containers.into_iter().peekable();
    if containers.peek().is_none() {
        return;
    }
    if let Some(list) = list(spec, key) {
        list.splice(0..0, containers.map(json));
    }
}

/// As JSON. These types have string keys only, so each of them can be written.
fn json(object: impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// Takes away what an earlier injection added: a pod that is not marked has nothing of these names.
fn remove_ours(spec: &mut Map<String, Value>) {
    for key in ["initContainers", "containers"] {
        if let Some(containers) = spec.get_mut(key).and_then(Value::as_array_mut) {
            containers.retain(|container| !is_ours(container));
        }
    }
    let ours = |volume: &Value| VOLUMES.iter().any(|ours| volume["name"] == *ours);
    if let Some(list) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        list.retain(|volume| !ours(volume));
    }
}
