//! Which kinds are read, and the advice for those that are not.
//!
//! A suggestion is given only for a word that nobody knows: `UDPRoute` is no misspelt `TCPRoute`, and the
//! `AuthorizationPolicy` of another group is another kind.

use crate::yaml::{DiagnosticCode, YamlReader, YamlValue, nearest};

/// The kinds this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ResourceKind {
    AbusePolicy,
    ApiKeyPolicy,
    ApiSchema,
    AuthorizationPolicy,
    ClientCredentials,
    ClientTrafficPolicy,
    DestinationRule,
    FaultInjection,
    PeerAuthentication,
    RateLimitPolicy,
    RequestAuthentication,
    ServiceEntry,
    SignIn,
    ThreatPolicy,
    TokenExchange,
    TokenPolicy,
    TokenIntrospection,
    TokenRevocation,
    TopicPolicy,
    HttpRoute,
    GrpcRoute,
    TlsRoute,
    TcpRoute,
    ReferenceGrant,
    Gateway,
    GatewayClass,
    ListenerSet,
    BackendTlsPolicy,
    Secret,
    ConfigMap,
    Namespace,
}

const SECURITY: &str = "security.istio.io";
const NETWORKING: &str = "networking.istio.io";
const OWN: &str = "policy.postern.dev";
const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// The core group has no name.
const CORE: &str = "";

struct KnownKind {
    kind: ResourceKind,
    name: &'static str,
    group: &'static str,
    version: &'static str,
    /// Other versions that are taken as well: clusters store one or the other, and their fields are read alike.
    also: &'static [&'static str],
    /// Older versions, whose fields are the same: what a cluster stores it gives back in any of them.
    older: &'static [&'static str],
}

const KNOWN: &[KnownKind] = &[
    known(ResourceKind::AuthorizationPolicy, "AuthorizationPolicy", SECURITY, "v1", &["v1beta1"]),
    known(ResourceKind::PeerAuthentication, "PeerAuthentication", SECURITY, "v1", &["v1beta1"]),
    known(
        ResourceKind::RequestAuthentication,
        "RequestAuthentication",
        SECURITY,
        "v1",
        &["v1beta1"],
    ),
    known(ResourceKind::ServiceEntry, "ServiceEntry", NETWORKING, "v1", &["v1beta1", "v1alpha3"]),
    known(
        ResourceKind::DestinationRule,
        "DestinationRule",
        NETWORKING,
        "v1",
        &["v1beta1", "v1alpha3"],
    ),
    known(ResourceKind::AbusePolicy, "AbusePolicy", OWN, "v1alpha1", &[]),
    known(ResourceKind::ApiKeyPolicy, "ApiKeyPolicy", OWN, "v1alpha1", &[]),
    known(ResourceKind::ApiSchema, "ApiSchema", OWN, "v1alpha1", &[]),
    known(ResourceKind::ClientCredentials, "ClientCredentials", OWN, "v1alpha1", &[]),
    known(ResourceKind::ClientTrafficPolicy, "ClientTrafficPolicy", OWN, "v1alpha1", &[]),
    known(ResourceKind::FaultInjection, "FaultInjection", OWN, "v1alpha1", &[]),
    known(ResourceKind::RateLimitPolicy, "RateLimitPolicy", OWN, "v1alpha1", &[]),
    known(ResourceKind::SignIn, "SignIn", OWN, "v1alpha1", &[]),
    known(ResourceKind::ThreatPolicy, "ThreatPolicy", OWN, "v1alpha1", &[]),
    known(ResourceKind::TokenExchange, "TokenExchange", OWN, "v1alpha1", &[]),
    known(ResourceKind::TokenPolicy, "TokenPolicy", OWN, "v1alpha1", &[]),
    known(ResourceKind::TokenIntrospection, "TokenIntrospection", OWN, "v1alpha1", &[]),
    known(ResourceKind::TokenRevocation, "TokenRevocation", OWN, "v1alpha1", &[]),
    known(ResourceKind::TopicPolicy, "TopicPolicy", OWN, "v1alpha1", &[]),
    known(ResourceKind::HttpRoute, "HTTPRoute", GATEWAY_API, "v1", &["v1beta1"]),
    known(ResourceKind::GrpcRoute, "GRPCRoute", GATEWAY_API, "v1", &[]),
    KnownKind {
        also: &["v1alpha3", "v1alpha2"],
        ..known(ResourceKind::TlsRoute, "TLSRoute", GATEWAY_API, "v1", &[])
    },
    KnownKind {
        also: &["v1alpha2"],
        ..known(ResourceKind::TcpRoute, "TCPRoute", GATEWAY_API, "v1", &[])
    },
    KnownKind {
        also: &["v1beta1"],
        ..known(ResourceKind::ReferenceGrant, "ReferenceGrant", GATEWAY_API, "v1", &[])
    },
    KnownKind {
        also: &["v1beta1"],
        ..known(ResourceKind::Gateway, "Gateway", GATEWAY_API, "v1", &[])
    },
    KnownKind {
        also: &["v1beta1"],
        ..known(ResourceKind::GatewayClass, "GatewayClass", GATEWAY_API, "v1", &[])
    },
    known(ResourceKind::ListenerSet, "ListenerSet", GATEWAY_API, "v1", &[]),
    known(ResourceKind::BackendTlsPolicy, "BackendTLSPolicy", GATEWAY_API, "v1", &[]),
    known(ResourceKind::Secret, "Secret", CORE, "v1", &[]),
    known(ResourceKind::ConfigMap, "ConfigMap", CORE, "v1", &[]),
    known(ResourceKind::Namespace, "Namespace", CORE, "v1", &[]),
];

const fn known(
    kind: ResourceKind,
    name: &'static str,
    group: &'static str,
    version: &'static str,
    older: &'static [&'static str],
) -> KnownKind {
    KnownKind { kind, name, group, version, also: &[], older }
}

/// Groups whose kinds say what a mesh or a gateway does: somebody who has such an object wants something that is not
/// done here. All others (`v1`, `apps/v1`, …) are of other programs.
const MESH_GROUPS: &[&str] = &[
    "istio.io",
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "policy.linkerd.io",
    "linkerd.io",
    "postern.dev",
];

/// What to do about kinds that people bring along, where more can be said than that they are not supported.
const INSTEAD: &[(&str, &[&str])] = &[
    (
        "write an HTTPRoute or GRPCRoute of gateway.networking.k8s.io/v1 whose parent is the Service (docs/routing.md)",
        &["VirtualService"],
    ),
    ("UDP is not taken to the proxy at all", &["UDPRoute"]),
    ("write a Gateway of gateway.networking.k8s.io/v1 (docs/gateway.md)", &["Gateway"]),
    (
        "a proxy learns of a service when it is first called; what it may call is said by ServiceEntry and defaults.egress",
        &["Sidecar"],
    ),
    (
        "what a proxy can do is in its configuration and its policies",
        &["EnvoyFilter", "WasmPlugin", "ProxyConfig", "Telemetry"],
    ),
    ("list it among the `endpoints` of a ServiceEntry", &["WorkloadEntry"]),
    (
        "it is a template for machines that register themselves, and none do; list each machine among the `endpoints` of a ServiceEntry",
        &["WorkloadGroup"],
    ),
    (
        "write an AuthorizationPolicy of security.istio.io/v1: `principals` for the callers, `ports` for the Server",
        &["Server", "ServerAuthorization", "MeshTLSAuthentication", "NetworkAuthentication"],
    ),
    (
        "write an AuthorizationPolicy of security.istio.io/v1, as Istio has it since 1.4: `to` for what the role allows, `from` for whom it is bound to",
        &["ServiceRole", "ServiceRoleBinding"],
    ),
    (
        "take it out: where an AuthorizationPolicy selects a workload, or nothing is said, what none allows is refused",
        &["ClusterRbacConfig", "RbacConfig"],
    ),
    (
        "write a PeerAuthentication or a RequestAuthentication of security.istio.io/v1",
        &["Policy", "MeshPolicy"],
    ),
];

impl ResourceKind {
    pub(super) fn as_str(self) -> &'static str {
        KNOWN.iter().find(|known| known.kind == self).map_or("", |known| known.name)
    }

    /// The apiVersion it is read in.
    pub(super) fn api_version(self) -> String {
        let known = KNOWN.iter().find(|known| known.kind == self);
        known.map_or_else(String::new, KnownKind::api_version)
    }

    /// Whether its objects lie in no namespace.
    pub(super) fn is_of_cluster(self) -> bool {
        matches!(self, Self::GatewayClass | Self::Namespace)
    }

    /// Whether its objects have data in the place of a `spec`.
    pub(super) fn has_data(self) -> bool {
        matches!(self, Self::Secret | Self::ConfigMap)
    }

    /// Whether it says what is allowed or where traffic goes, rather than being something that is referred to.
    pub(super) fn is_policy(self) -> bool {
        !self.has_data() && !matches!(self, Self::Namespace | Self::Gateway)
    }
}

/// Whether this names a kind whose objects lie in no namespace.
pub(super) fn is_of_cluster(version: &str, kind: &str) -> bool {
    let group = version.split_once('/').map_or(CORE, |(group, _)| group);
    let mut known = KNOWN.iter().filter(|known| known.group == group && known.name == kind);
    known.any(|known| known.kind.is_of_cluster())
}

impl KnownKind {
    fn api_version(&self) -> String {
        match self.group {
            CORE => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// What `apiVersion` and `kind` name, as they stand in a document.
#[derive(Clone, Copy)]
pub(super) struct WrittenKind<'n> {
    pub(super) version: (YamlValue<'n>, &'n str),
    pub(super) kind: (YamlValue<'n>, &'n str),
}

/// What was made of `apiVersion` and `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindMatch {
    /// A kind that is read, and whether it was written in an older version.
    Ours { kind: ResourceKind, older: bool },
    /// A diagnostic was noted, and the rest of the object is worth a look.
    Misspelt,
    /// A diagnostic was noted, and the rest of the object is not ours to judge.
    Foreign,
}

/// Finds the kind. `take_older`: older versions of Istio's groups are taken.
pub(super) fn find(
    reader: &mut YamlReader,
    written: WrittenKind<'_>,
    take_older: bool,
) -> KindMatch {
    let (version, name) = (written.version.1, written.kind.1);
    let (group, number) = version.split_once('/').unwrap_or(("", version));
    let same_name = KNOWN.iter().find(|known| known.name == name);
    match same_name.filter(|known| known.group == group) {
        Some(known) if known.version == number || known.also.contains(&number) => {
            KindMatch::Ours { kind: known.kind, older: false }
        }
        Some(known) => {
            let older = known.older.contains(&number);
            if older && take_older {
                return KindMatch::Ours { kind: known.kind, older };
            }
            let right = known.api_version();
            let fix = older.then(|| format!("write {right}: the fields are the same"));
            let expected = format!("{right}, the version of kind {name}");
            reader.report_value_with_code(
                DiagnosticCode::Version,
                written.version.0,
                expected,
                fix,
            );
            KindMatch::Misspelt
        }
        None => refuse(reader, written, group, same_name),
    }
}

fn refuse(
    reader: &mut YamlReader,
    written: WrittenKind<'_>,
    group: &str,
    same_name: Option<&KnownKind>,
) -> KindMatch {
    let (kind, name) = written.kind;
    let mark = kind.node.mark;
    let found = format!("kind {name}");
    let ours = KNOWN.iter().filter(|known| known.group == group);
    // A word that is known to mean something else is no misspelt one.
    let near = match alternative(name) {
        Some(_) => None,
        None => nearest(name, ours.map(|known| known.name)),
    };
    if is_list(written.version.1, name) {
        let expected = "an object: a list holds no lists";
        reader.report_with_code(DiagnosticCode::Form, mark, "a list in a list", expected, None);
        KindMatch::Foreign
    } else if let Some(known) = same_name {
        let right = known.api_version();
        // Istio has no second kind of the name, but for Gateway; other projects have.
        let istio = group.ends_with("istio.io") && alternative(name).is_none();
        let misspelt = istio || nearest(group, [known.group]).is_some();
        let (code, fix) = match misspelt {
            true => (DiagnosticCode::Version, format!("write {right}")),
            false => {
                let other = format!("{name} of {} is another kind", titled(group));
                let advice = match alternative(name) {
                    Some(advice) if group.ends_with("istio.io") => format!(": {advice}"),
                    _ => String::new(),
                };
                let fix = format!("{other}, and not supported by this version{advice}");
                (DiagnosticCode::Unsupported, fix)
            }
        };
        let expected = format!("{right}, the version of kind {name}");
        reader.report_value_with_code(code, written.version.0, expected, Some(fix));
        if misspelt { KindMatch::Misspelt } else { KindMatch::Foreign }
    } else if let Some(near) = near {
        let fix = format!("did you mean {near}?");
        reader.report_with_code(DiagnosticCode::Value, mark, found, supported(), Some(fix));
        KindMatch::Misspelt
    } else if is_of_a_mesh(group) {
        let advice = alternative(name).map(|advice| format!(": {advice}")).unwrap_or_default();
        let own = group.ends_with("postern.dev");
        let of = if own { format!(" of {}", written.version.1) } else { String::new() };
        let fix = format!("{name}{of} is not supported by this version{advice}");
        let found = format!("{found}, which is not supported");
        reader.report_with_code(DiagnosticCode::Unsupported, mark, found, supported(), Some(fix));
        KindMatch::Foreign
    } else {
        let fix = format!(
            "{name} of {} is no policy; keep it in another directory",
            titled(written.version.1)
        );
        reader.report_with_code(DiagnosticCode::NotPolicy, mark, found, supported(), Some(fix));
        KindMatch::Foreign
    }
}

/// Whether this is an older version of a kind that is read.
pub(super) fn is_older(version: &str, kind: &str) -> bool {
    version.split_once('/').is_some_and(|(group, number)| {
        let mut known = KNOWN.iter().filter(|known| known.group == group && known.name == kind);
        known.any(|known| known.older.contains(&number))
    })
}

fn titled(group: &str) -> &str {
    if group.is_empty() { "the core group" } else { group }
}

fn is_of_a_mesh(group: &str) -> bool {
    MESH_GROUPS.iter().any(|known| {
        group.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// What to do instead of a kind that is not supported.
fn alternative(name: &str) -> Option<&'static str> {
    INSTEAD.iter().find(|(_, kinds)| kinds.contains(&name)).map(|(advice, _)| *advice)
}

fn supported() -> String {
    let names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
    format!("one of {}", names.join(", "))
}

/// What a document is that holds objects: `List`, or the list of one kind that is read.
pub(super) fn is_list(version: &str, kind: &str) -> bool {
    let of_one_kind = |name: &str| {
        let (group, _) = version.split_once('/').unwrap_or(("", version));
        KNOWN.iter().any(|known| known.name == name && known.group == group)
    };
    match kind.strip_suffix("List") {
        Some("") => version == "v1",
        Some(name) => of_one_kind(name),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{NodeKind, SourcePosition, YamlNode};

    /// What is said of a kind, and of which sort it is; empty when it is read.
    fn kind_advice(version: &str, kind: &str) -> String {
        let node = |text: &str| YamlNode {
            mark: SourcePosition { line: 1, column: 1 },
            kind: NodeKind::Scalar { text: text.into(), plain: true },
        };
        let (versions, kinds) = (node(version), node(kind));
        let mut reader = YamlReader::new("r".into());
        let written = WrittenKind {
            version: (YamlValue { node: &versions, name: "apiVersion" }, version),
            kind: (YamlValue { node: &kinds, name: "kind" }, kind),
        };
        find(&mut reader, written, false);
        let diagnostics = reader.into_diagnostics();
        let told =
            diagnostics.iter().map(|m| format!("{:?} {}", m.code, m.fix.as_deref().unwrap_or("")));
        told.collect()
    }

    #[test]
    fn a_known_kind_is_never_taken_for_a_misspelt_one() {
        for (version, kind, code, advice) in [
            ("security.istio.io/v1", "AuthorizationPolicy", "", ""),
            (
                "security.istio.io/v1beta1",
                "AuthorizationPolicy",
                "Version",
                "write security.istio.io/v1: the fields",
            ),
            (
                "networking.istio.io/v1alpha3",
                "ServiceEntry",
                "Version",
                "write networking.istio.io/v1",
            ),
            ("security.istio.io/v1beta2", "PeerAuthentication", "Version", ""),
            (
                "security.istio.io/v1",
                "AuthorisationPolicy",
                "Value",
                "did you mean AuthorizationPolicy?",
            ),
            ("securty.istio.io/v1", "PeerAuthentication", "Version", "write security.istio.io/v1"),
            ("security.istio/v1", "PeerAuthentication", "Version", "write security.istio.io/v1"),
            ("v1", "PeerAuthentication", "Unsupported", "of the core group is another kind"),
            (
                "policy.linkerd.io/v1alpha1",
                "AuthorizationPolicy",
                "Unsupported",
                "of policy.linkerd.io is another kind",
            ),
            (
                "networking.istio.io/v1alpha3",
                "VirtualService",
                "Unsupported",
                "VirtualService is not supported by this version: write an HTTPRoute",
            ),
            (
                "networking.istio.io/v1beta1",
                "DestinationRule",
                "Version",
                "write networking.istio.io/v1",
            ),
            ("networking.istio.io/v1", "WorkloadEntry", "Unsupported", "among the `endpoints`"),
            ("gateway.networking.k8s.io/v1alpha2", "TLSRoute", "", ""),
            (
                "gateway.networking.k8s.io/v1beta1",
                "HTTPRoute",
                "Version",
                "write gateway.networking.k8s.io/v1: the fields",
            ),
            ("gateway.networking.k8s.io/v1", "Gateway", "", ""),
            ("gateway.networking.k8s.io/v1beta1", "GatewayClass", "", ""),
            ("gateway.networking.k8s.io/v1", "ListenerSets", "Value", "did you mean ListenerSet?"),
            ("networking.istio.io/v1", "Gateway", "Unsupported", "write a Gateway of gateway.net"),
            ("v1", "Secret", "", ""),
            ("apps/v1", "Secret", "Unsupported", "Secret of apps is another kind"),
            ("v1beta1", "ConfigMap", "Version", ""),
            ("telemetry.istio.io/v1", "Telemetry", "Unsupported", "Telemetry is not supported"),
            (
                "extensions.istio.io/v1alpha1",
                "WasmPlugin",
                "Unsupported",
                "WasmPlugin is not supported",
            ),
            ("policy.linkerd.io/v1beta3", "Server", "Unsupported", "`ports` for the Server"),
            (
                "rbac.istio.io/v1alpha1",
                "ServiceRole",
                "Unsupported",
                "write an AuthorizationPolicy of security.istio.io/v1, as Istio has it since 1.4",
            ),
            (
                "rbac.istio.io/v1alpha1",
                "ServiceRoleBinding",
                "Unsupported",
                "as Istio has it since 1.4",
            ),
            ("rbac.istio.io/v1alpha1", "ClusterRbacConfig", "Unsupported", ": take it out: where"),
            (
                "networking.istio.io/v1",
                "WorkloadGroup",
                "Unsupported",
                "it is a template for machines",
            ),
            ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", "", ""),
            ("gateway.networking.k8s.io/v1", "HTTPRoutes", "Value", "did you mean HTTPRoute?"),
            (
                "policy.linkerd.io/v1beta3",
                "HTTPRoute",
                "Unsupported",
                "of policy.linkerd.io is another kind",
            ),
            (
                "gateway.networking.k8s.io/v1alpha2",
                "UDPRoute",
                "Unsupported",
                "UDP is not taken to the proxy at all",
            ),
            (
                "policy.postern.dev/v1alpha1",
                "RateLimit",
                "Unsupported",
                "RateLimit of policy.postern.dev/v1alpha1 is",
            ),
            ("policy.postern.dev/v1alpha1", "TokenPolicie", "Value", "did you mean TokenPolicy?"),
            ("apps/v1", "Deployment", "NotPolicy", "Deployment of apps/v1 is no policy"),
            ("v1", "Service", "NotPolicy", "Service of v1 is no policy"),
            ("v1", "ServiceAccount", "NotPolicy", "is no policy"),
            ("v1", "Pod", "NotPolicy", "is no policy"),
            ("v1", "Node", "NotPolicy", "is no policy"),
            ("v1", "Endpoints", "NotPolicy", "is no policy"),
            ("networking.k8s.io/v1", "NetworkPolicy", "NotPolicy", "is no policy"),
        ] {
            let found = kind_advice(version, kind);
            let right = found.starts_with(code) && found.contains(advice);
            assert!(right && found.is_empty() == code.is_empty(), "{version} {kind}: {found}");
            let asks = found.contains("did you mean");
            assert_eq!(asks, advice.starts_with("did you mean"), "{version} {kind}: {found}");
        }
    }

    #[test]
    fn lists() {
        for (version, kind, expect) in [
            ("v1", "List", true),
            ("v1beta1", "List", false),
            ("security.istio.io/v1", "AuthorizationPolicyList", true),
            ("security.istio.io/v1beta1", "AuthorizationPolicyList", true),
            ("networking.istio.io/v1", "VirtualServiceList", false),
            ("v1", "AuthorizationPolicyList", false),
            ("v1", "ServiceList", false),
            ("v1", "Lists", false),
        ] {
            assert_eq!(is_list(version, kind), expect, "{version} {kind}");
        }
    }
}
