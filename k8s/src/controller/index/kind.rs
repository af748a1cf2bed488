//! The kinds of policies, by the names of their groups: where they are found, and what they are about.

use std::fmt;

use policy::route::RouteKind;

use super::ObjectName;

/// A kind of object that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// `security.istio.io`
    AuthorizationPolicy,
    /// `security.istio.io`
    PeerAuthentication,
    /// `security.istio.io`
    RequestAuthentication,
    /// `policy.postern.dev`
    TokenPolicy,
    /// `networking.istio.io`
    ServiceEntry,
    /// `gateway.networking.k8s.io`
    HTTPRoute,
    /// `gateway.networking.k8s.io`
    GRPCRoute,
    /// `gateway.networking.k8s.io`
    TCPRoute,
    /// `gateway.networking.k8s.io`
    TLSRoute,
    /// `gateway.networking.k8s.io`
    ReferenceGrant,
    /// `networking.istio.io`
    DestinationRule,
    /// `policy.postern.dev`
    FaultInjection,
    /// `policy.postern.dev`
    RateLimitPolicy,
    /// `policy.postern.dev`
    AbusePolicy,
    /// `policy.postern.dev`
    ApiKeyPolicy,
    /// `policy.postern.dev`
    ApiSchema,
    /// `policy.postern.dev`
    SignIn,
    /// `policy.postern.dev`
    ThreatPolicy,
    /// `policy.postern.dev`
    TokenIntrospection,
    /// `policy.postern.dev`
    TokenRevocation,
    /// `policy.postern.dev`
    TokenExchange,
    /// `policy.postern.dev`
    TopicPolicy,
    /// `policy.postern.dev`
    ClientCredentials,
    /// `gateway.networking.k8s.io`; of the whole cluster, so that its namespace is empty.
    GatewayClass,
    /// `gateway.networking.k8s.io`
    Gateway,
    /// `gateway.networking.k8s.io`
    ListenerSet,
    /// `gateway.networking.k8s.io`
    BackendTLSPolicy,
    /// `policy.postern.dev`
    ClientTrafficPolicy,
}

/// What an object of a kind is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindRole {
    /// What workloads let in.
    Authorization,
    /// How much of what workloads let in, or what they show of themselves to others: a mistake closes nothing.
    Limit,
    /// What a destination means.
    Destination,
    /// How what is sent to a destination is carried, as a route of the Gateway API.
    Route,
    /// How what is sent to a destination is carried, beside routes.
    TrafficPolicy,
    /// To what in its namespace routes of other namespaces may lead.
    Grant,
    /// What is open at the edge, and how: for the proxies of gateways alone.
    Gateway,
}

impl KindRole {
    /// Whether it is about workloads as servers: then whom it selects gets it.
    #[must_use]
    pub fn is_of_servers(self) -> bool {
        matches!(self, Self::Authorization | Self::Limit)
    }
}

/// A kind as the API server knows it.
struct KindResource {
    name: &'static str,
    group: &'static str,
    /// The versions it is read in; the first that the API server has is watched.
    versions: &'static [&'static str],
    plural: &'static str,
    role: KindRole,
}

const SECURITY: &str = "security.istio.io";
const NETWORKING: &str = "networking.istio.io";
const GATEWAY: &str = "gateway.networking.k8s.io";
const OWN: &str = "policy.postern.dev";

impl PolicyKind {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::AuthorizationPolicy,
        Self::PeerAuthentication,
        Self::RequestAuthentication,
        Self::TokenPolicy,
        Self::ServiceEntry,
        Self::HTTPRoute,
        Self::GRPCRoute,
        Self::TCPRoute,
        Self::TLSRoute,
        Self::ReferenceGrant,
        Self::DestinationRule,
        Self::FaultInjection,
        Self::RateLimitPolicy,
        Self::AbusePolicy,
        Self::ApiKeyPolicy,
        Self::ApiSchema,
        Self::SignIn,
        Self::ThreatPolicy,
        Self::TokenIntrospection,
        Self::TokenRevocation,
        Self::TokenExchange,
        Self::TopicPolicy,
        Self::ClientCredentials,
        Self::GatewayClass,
        Self::Gateway,
        Self::ListenerSet,
        Self::BackendTLSPolicy,
        Self::ClientTrafficPolicy,
    ];

    const fn facts(self) -> KindResource {
        use KindRole::{Authorization, Destination, Gateway, Grant, Limit, Route, TrafficPolicy};
        let (name, group, versions, plural, role): (_, _, &[&str], _, _) = match self {
            Self::AuthorizationPolicy => {
                ("AuthorizationPolicy", SECURITY, &["v1"], "authorizationpolicies", Authorization)
            }
            Self::PeerAuthentication => {
                ("PeerAuthentication", SECURITY, &["v1"], "peerauthentications", Authorization)
            }
            Self::RequestAuthentication => {
                let plural = "requestauthentications";
                ("RequestAuthentication", SECURITY, &["v1"], plural, Authorization)
            }
            Self::TokenPolicy => {
                ("TokenPolicy", OWN, &["v1alpha1"], "tokenpolicies", Authorization)
            }
            Self::ApiKeyPolicy => {
                ("ApiKeyPolicy", OWN, &["v1alpha1"], "apikeypolicies", Authorization)
            }
            Self::ApiSchema => ("ApiSchema", OWN, &["v1alpha1"], "apischemas", Authorization),
            Self::SignIn => ("SignIn", OWN, &["v1alpha1"], "signins", Authorization),
            Self::ThreatPolicy => ("ThreatPolicy", OWN, &["v1alpha1"], "threatpolicies", Limit),
            Self::TokenIntrospection => {
                ("TokenIntrospection", OWN, &["v1alpha1"], "tokenintrospections", Authorization)
            }
            Self::TokenRevocation => {
                ("TokenRevocation", OWN, &["v1alpha1"], "tokenrevocations", Authorization)
            }
            Self::TokenExchange => {
                ("TokenExchange", OWN, &["v1alpha1"], "tokenexchanges", Authorization)
            }
            Self::TopicPolicy => {
                ("TopicPolicy", OWN, &["v1alpha1"], "topicpolicies", Authorization)
            }
            Self::ClientCredentials => {
                ("ClientCredentials", OWN, &["v1alpha1"], "clientcredentials", Limit)
            }
            Self::ServiceEntry => {
                ("ServiceEntry", NETWORKING, &["v1"], "serviceentries", Destination)
            }
            Self::HTTPRoute => ("HTTPRoute", GATEWAY, &["v1"], "httproutes", Route),
            Self::GRPCRoute => ("GRPCRoute", GATEWAY, &["v1"], "grpcroutes", Route),
            Self::TCPRoute => ("TCPRoute", GATEWAY, &["v1", "v1alpha2"], "tcproutes", Route),
            Self::TLSRoute => {
                ("TLSRoute", GATEWAY, &["v1", "v1alpha3", "v1alpha2"], "tlsroutes", Route)
            }
            Self::ReferenceGrant => {
                ("ReferenceGrant", GATEWAY, &["v1", "v1beta1"], "referencegrants", Grant)
            }
            Self::DestinationRule => {
                ("DestinationRule", NETWORKING, &["v1"], "destinationrules", TrafficPolicy)
            }
            Self::FaultInjection => {
                ("FaultInjection", OWN, &["v1alpha1"], "faultinjections", TrafficPolicy)
            }
            Self::RateLimitPolicy => {
                ("RateLimitPolicy", OWN, &["v1alpha1"], "ratelimitpolicies", Limit)
            }
            Self::AbusePolicy => ("AbusePolicy", OWN, &["v1alpha1"], "abusepolicies", Limit),
            Self::GatewayClass => {
                ("GatewayClass", GATEWAY, &["v1", "v1beta1"], "gatewayclasses", Gateway)
            }
            Self::Gateway => ("Gateway", GATEWAY, &["v1", "v1beta1"], "gateways", Gateway),
            Self::ListenerSet => ("ListenerSet", GATEWAY, &["v1"], "listenersets", Gateway),
            Self::BackendTLSPolicy => {
                ("BackendTLSPolicy", GATEWAY, &["v1"], "backendtlspolicies", Gateway)
            }
            Self::ClientTrafficPolicy => {
                ("ClientTrafficPolicy", OWN, &["v1alpha1"], "clienttrafficpolicies", Gateway)
            }
        };
        KindResource { name, group, versions, plural, role }
    }

    /// The kind, as objects write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// What its objects are about.
    #[must_use]
    pub fn role(self) -> KindRole {
        self.facts().role
    }

    /// The kind of route that it is, if it is one.
    #[must_use]
    pub fn route(self) -> Option<RouteKind> {
        match self {
            Self::HTTPRoute => Some(RouteKind::Http),
            Self::GRPCRoute => Some(RouteKind::Grpc),
            Self::TCPRoute => Some(RouteKind::Tcp),
            Self::TLSRoute => Some(RouteKind::Tls),
            _ => None,
        }
    }

    /// Group, newest version and plural, as the API server's paths write them.
    #[must_use]
    pub fn resource(self) -> (&'static str, &'static str, &'static str) {
        let KindResource { group, versions, plural, .. } = self.facts();
        (group, versions.first().copied().unwrap_or_default(), plural)
    }

    /// The versions it is read in, the newest first. A cluster may have any of them, or none.
    #[must_use]
    pub fn versions(self) -> &'static [&'static str] {
        self.facts().versions
    }
}

/// A kind, a namespace and a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyName {
    /// The kind.
    pub kind: PolicyKind,
    /// The object.
    pub object: ObjectName,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.object)
    }
}
