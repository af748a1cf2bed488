//! Differences in meaning between Istio and Postern, for resources that were written for Istio: none of them is an
//! error, and each would be a surprise. Each is reported once, with all the objects it is about and the line to write.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::Resources;
use crate::resources::{PolicyAction, RequestAuthentication, ResourceSurvey, SurveyedObject};

/// The namespace whose resources act on the whole mesh in Istio, unless it was installed otherwise.
const ISTIO_ROOT: &str = "istio-system";

/// One difference in meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigrationDifference {
    /// Its stable name.
    pub code: &'static str,
    /// Whether less is protected here than in Istio until something is changed.
    #[serde(rename = "unsafe")]
    pub is_unsafe: bool,
    /// What was found, and what it means in Istio.
    pub found: String,
    /// What it means here.
    pub here: String,
    /// The lines to write, where the meaning of Istio is wanted.
    pub write: Vec<String>,
    /// The objects it is about, as `kind namespace/name`.
    pub objects: Vec<Arc<str>>,
}

/// All differences, unsafe ones first. `forwarded_for`: whether the proxy's configuration says whose `x-forwarded-for`
/// is trusted (`inbound.forwardedFor`).
pub fn differences(survey: &ResourceSurvey, forwarded_for: bool) -> Vec<MigrationDifference> {
    let resources = &survey.resources;
    let found = [
        root_namespace(survey),
        remote_addresses(resources, forwarded_for),
        tokens_without_audience(resources),
        denied_alone(resources),
        strict_mtls(resources),
        service_entries_reach(resources),
        older_versions(&survey.objects),
        namespaces_given(&survey.objects),
    ];
    found.into_iter().filter(|difference| !difference.objects.is_empty()).collect()
}

/// What Istio reads for the whole mesh would be about the workloads of one namespace.
fn root_namespace(survey: &ResourceSurvey) -> MigrationDifference {
    let root = survey.resources.root_namespace();
    let theirs = survey.objects.iter().filter(|object| {
        object.is_read && object.namespace.as_deref() == Some(ISTIO_ROOT) && root != ISTIO_ROOT
    });
    MigrationDifference {
        code: "root_namespace",
        is_unsafe: true,
        found: format!("objects of {ISTIO_ROOT}: in Istio they are about the whole mesh"),
        here: format!(
            "they are about workloads of {ISTIO_ROOT} alone, and protect nobody else: the root namespace is {root}"
        ),
        write: vec![format!("metadata: {{namespace: {root}}}")],
        objects: theirs.map(|object| Arc::clone(&object.name)).collect(),
    }
}

/// Rules on the address of the client behind a gateway: here no hop's report of it is trusted unless the configuration
/// names the hop. A rule that is only recorded protects nothing in either.
fn remote_addresses(resources: &Resources, forwarded_for: bool) -> MigrationDifference {
    let policies = resources.authorization_policies().iter();
    let asking: Vec<_> = policies
        .filter(|_| !forwarded_for)
        .filter(|policy| policy.rules().iter().any(|rule| rule.asks_remote_address()))
        .collect();
    MigrationDifference {
        code: "remote_addresses",
        is_unsafe: asking.iter().any(|policy| policy.action() != PolicyAction::Audit && !policy.is_dry_run()),
        found: "rules on remoteIpBlocks, notRemoteIpBlocks or remote.ip: in Istio they see the client that x-forwarded-for names".to_owned(),
        here: "they see the direct peer, such as the gateway, until the configuration of the proxy (proxy.yaml) says whose x-forwarded-for is believed: a DENY rule on a client behind it does not fire, and an ALLOW rule on the gateway's block lets all its clients in; check it with --config".to_owned(),
        write: vec!["inbound: {forwardedFor: {from: [cluster.local/ns/NAMESPACE/sa/GATEWAY], numTrustedProxies: 0}}".to_owned()],
        objects: asking.iter().map(|policy| format!("AuthorizationPolicy {}", policy.name()).into()).collect(),
    }
}

/// Istio asks for `aud` where `audiences` says so; here a token is for somebody (RFC 7519 §4.1.3), unless a TokenPolicy
/// says that its issuer writes none.
fn tokens_without_audience(resources: &Resources) -> MigrationDifference {
    let mut objects = Vec::new();
    let mut write = BTreeSet::new();
    for object in resources.request_authentications() {
        let open = open_issuers(object, resources);
        if open.is_empty() {
            continue;
        }
        objects.push(format!("RequestAuthentication {}", object.name()).into());
        write.extend(open.into_iter().map(|issuer| token_policy(object, issuer)));
    }
    MigrationDifference {
        code: "tokens_without_audience",
        is_unsafe: false,
        found: "jwtRules without `audiences`: in Istio a token needs no `aud`".to_owned(),
        here: "a token without `aud` is refused with 401 (token_claims); name the `audiences` where the issuer writes them, else say that it writes none".to_owned(),
        write: write.into_iter().collect(),
        objects,
    }
}

/// The issuers that any audience will do for, and no TokenPolicy says whether there must be one.
fn open_issuers<'r>(object: &'r RequestAuthentication, resources: &Resources) -> Vec<&'r str> {
    let said = |issuer: &str| {
        let policies = resources.token_policies().iter();
        policies
            .filter(|policy| policy.issuer() == issuer && policy.audience_required().is_some())
            .any(|policy| policy.scope_covers(object, resources.root_namespace()))
    };
    let rules = object.rules().iter().filter(|rule| rule.audiences.is_empty());
    rules.map(|rule| &*rule.issuer).filter(|issuer| !said(issuer)).collect()
}

/// A TokenPolicy that takes an issuer's tokens without `aud`, for the workloads of the object.
fn token_policy(object: &RequestAuthentication, issuer: &str) -> String {
    let (namespace, name) = object.name().split_once('/').unwrap_or(("", object.name()));
    // JSON, so that an issuer's text cannot break out of the line; JSON is YAML.
    let issuer = serde_json::Value::from(issuer);
    let selector = match object.selector().labels() {
        labels if labels.is_empty() => String::new(),
        labels => {
            let labels: serde_json::Map<_, _> =
                labels.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
            format!("selector: {{matchLabels: {}}}, ", serde_json::Value::from(labels))
        }
    };
    format!(
        "{{apiVersion: policy.postern.dev/v1alpha1, kind: TokenPolicy, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{selector}issuer: {issuer}, audience: OPTIONAL}}}}"
    )
}

/// Where only DENY policies select a workload, Istio lets in what they do not match.
fn denied_alone(resources: &Resources) -> MigrationDifference {
    let of = |action: PolicyAction| {
        let policies = resources.authorization_policies().iter();
        policies.filter(move |policy| policy.action() == action && !policy.is_dry_run())
    };
    let root = resources.root_namespace();
    let alone = of(PolicyAction::Deny).filter(|deny| {
        !of(PolicyAction::Allow)
            .any(|allow| [root, ISTIO_ROOT].iter().any(|root| allow.scope_covers(deny, root)))
    });
    MigrationDifference {
        code: "denied_alone",
        is_unsafe: false,
        found: "DENY policies for workloads that no ALLOW policy of the set selects: in Istio what they do not match is let in".to_owned(),
        here: "it is refused with 403 (default_deny), unless defaults.authorization says otherwise; name the callers in an ALLOW policy (docs/policy.md writes it from traffic)".to_owned(),
        write: vec!["spec: {action: ALLOW, rules: [{from: [{source: {principals: [cluster.local/ns/NAMESPACE/sa/SERVICE-ACCOUNT]}}]}]}".to_owned()],
        objects: alone.map(|policy| format!("AuthorizationPolicy {}", policy.name()).into()).collect(),
    }
}

/// Istio takes plaintext where nothing says otherwise.
fn strict_mtls(resources: &Resources) -> MigrationDifference {
    let root = resources.root_namespace();
    let said: BTreeSet<&str> = resources
        .peer_authentications()
        .iter()
        .filter(|object| object.is_wide() && object.mode().is_some())
        .map(|object| &**object.namespace())
        .collect();
    let policies = resources.authorization_policies().iter();
    let mesh = [root, ISTIO_ROOT].iter().any(|root| said.contains(root));
    let unsaid = policies.filter(|policy| !mesh && !said.contains(&**policy.namespace()));
    MigrationDifference {
        code: "strict_mtls",
        is_unsafe: false,
        found: "policies of namespaces whose mTLS mode no PeerAuthentication of the set says: in Istio it is PERMISSIVE".to_owned(),
        here: "it is STRICT: plaintext is refused (peer_not_authenticated), unless defaults.mtls says otherwise".to_owned(),
        write: vec!["{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: NAMESPACE}, spec: {mtls: {mode: PERMISSIVE}}}".to_owned()],
        objects: unsaid.map(|policy| format!("AuthorizationPolicy {}", policy.name()).into()).collect(),
    }
}

/// In Istio a ServiceEntry acts on every namespace unless `exportTo` says otherwise.
fn service_entries_reach(resources: &Resources) -> MigrationDifference {
    let root = resources.root_namespace();
    let entries = resources.service_entries().iter();
    let wide = entries.filter(|entry| entry.is_exported() && **entry.namespace() != *root);
    MigrationDifference {
        code: "service_entry_reach",
        is_unsafe: false,
        found: "ServiceEntries without exportTo: [\".\"]: in Istio they act on clients of every namespace".to_owned(),
        here: "they act on clients of their own namespace; one of the root namespace acts on all".to_owned(),
        write: vec![format!("metadata: {{namespace: {root}}}")],
        objects: wide.map(|entry| format!("ServiceEntry {}", entry.name()).into()).collect(),
    }
}

fn older_versions(objects: &[SurveyedObject]) -> MigrationDifference {
    let older = || objects.iter().filter_map(|object| Some((object, object.newer.as_ref()?)));
    let write: BTreeSet<_> = older().map(|(_, newer)| format!("apiVersion: {newer}")).collect();
    MigrationDifference {
        code: "older_version",
        is_unsafe: false,
        found: "older versions of their kinds".to_owned(),
        here: "the fields are the same, and a cluster gives back either; a file that `run` reads has the new one".to_owned(),
        write: write.into_iter().collect(),
        objects: older().map(|(object, _)| Arc::clone(&object.name)).collect(),
    }
}

fn namespaces_given(objects: &[SurveyedObject]) -> MigrationDifference {
    let given = || objects.iter().filter(|object| object.is_read && object.namespace_given);
    let write: BTreeSet<_> = given()
        .filter_map(|object| {
            Some(format!("metadata: {{namespace: {}}}", object.namespace.as_ref()?))
        })
        .collect();
    MigrationDifference {
        code: "namespace_given",
        is_unsafe: false,
        found: "objects that name no namespace".to_owned(),
        here: "they are taken to be in the one of --namespace, as kubectl would put them there; a file that `run` reads names it".to_owned(),
        write: write.into_iter().collect(),
        objects: given().map(|object| Arc::clone(&object.name)).collect(),
    }
}

#[cfg(test)]
mod tests;
