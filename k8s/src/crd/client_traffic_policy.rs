//! ClientTrafficPolicy, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a gateway asks of its clients, and gives them besides an answer. The most specific one holds as a whole. See
/// docs/gateway-clients.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "ClientTrafficPolicy",
    plural = "clienttrafficpolicies",
    singular = "clienttrafficpolicy",
    category = "postern",
    doc = "What a gateway asks of its clients.",
    namespaced,
    status = "ClientTrafficPolicyStatus",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ClientTrafficPolicySpec {
    /// The Gateways, ListenerSets and listeners that it is about.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<ListenerTarget>,
    /// Load balancers that speak the PROXY protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Who may name the client; without it, the TCP peer is the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_address: Option<ClientAddress>,
    /// HTTP Strict Transport Security (RFC 6797), in answers over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<TransportSecurity>,
    /// Headers that tell a browser what not to do with an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_headers: Option<SecurityHeaders>,
    /// How much, how long and how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ClientLimits>,
    /// The certificates that clients show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
    /// TLS with clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// A Gateway or a ListenerSet of the policy's namespace, or one listener of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTarget {
    /// gateway.networking.k8s.io
    pub group: String,
    /// Gateway or ListenerSet.
    pub kind: ListenerTargetKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The listener; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// What has listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ListenerTargetKind {
    /// A Gateway.
    Gateway,
    /// A ListenerSet.
    ListenerSet,
}

/// Load balancers that speak the PROXY protocol.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProxyProtocol {
    /// Their addresses and blocks of addresses.
    #[schemars(length(min = 1, max = 256))]
    pub from: Vec<String>,
}

/// Who may name the client.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientAddress {
    /// By x-forwarded-for.
    pub x_forwarded_for: ForwardedFor,
}

/// Whose word in x-forwarded-for counts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForwardedFor {
    /// The proxies in front: addresses and blocks of addresses.
    #[schemars(length(min = 1, max = 256))]
    pub trusted_proxies: Vec<String>,
    /// How many there are one behind the other. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub hops: Option<u8>,
}

/// HTTP Strict Transport Security.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransportSecurity {
    /// How long a browser remembers it, such as 365d.
    pub max_age: String,
    /// Whether the hosts below are meant as well. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_sub_domains: Option<bool>,
    /// Whether browsers may ship it in their lists. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preload: Option<bool>,
}

/// Headers that tell a browser what not to do with an answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityHeaders {
    /// standard: those that keep an app whole that did not think of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// X-Content-Type-Options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type_options: Option<String>,
    /// X-Frame-Options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_options: Option<String>,
    /// Referrer-Policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer_policy: Option<String>,
    /// Permissions-Policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub permissions_policy: Option<String>,
    /// Content-Security-Policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub content_security_policy: Option<String>,
    /// Cross-Origin-Opener-Policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_origin_opener_policy: Option<String>,
    /// Cross-Origin-Resource-Policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_origin_resource_policy: Option<String>,
    /// Whether they take the place of what the app has set. Default: false.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub replaces: Option<bool>,
    /// Fields that are taken off: Server, X-Powered-By, X-AspNet-Version, X-AspNetMvc-Version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    pub remove: Option<Vec<String>>,
}

/// How much a client may send, and how long it may take.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientLimits {
    /// The most bytes of a request's body, such as 10MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<String>,
    /// From a request's head to the end of its answer, such as 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<String>,
    /// A connection without a request is closed after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<String>,
    /// From a request's first byte to the end of its head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_timeout: Option<String>,
    /// Open connections from one address, IPv6 by /64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address: Option<u32>,
}

/// The certificates that clients show.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClientCertificates {
    /// Whether one must be shown.
    pub mode: CertificateMode,
    /// Who signs them: the `ca.crt` of these ConfigMaps.
    #[schemars(length(min = 1, max = 16))]
    pub authorities: Vec<Authority>,
    /// Who is who. Whoever is not in it is nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub principals: Option<Vec<PartnerMapping>>,
}

/// Whether a certificate must be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CertificateMode {
    /// No handshake ends well without.
    Required,
    /// A client may have none; one that it shows must verify.
    Optional,
}

/// A ConfigMap of the policy's namespace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Authority {
    /// Empty: the group of ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// ConfigMap.
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A name in a certificate, and whom it is taken for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartnerMapping {
    /// The name.
    pub subject_alt_name: PartnerName,
    /// The principal, such as partner.example/acme; never one of the mesh's own trust domain.
    #[schemars(length(min = 3, max = 2039))]
    pub principal: String,
}

/// One of the three.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PartnerName {
    /// A host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub dns: Option<String>,
    /// A URI, to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub uri: Option<String>,
    /// An address of mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub email: Option<String>,
}

/// TLS with clients.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientTls {
    /// "1.2" or "1.3".
    pub minimum_version: String,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ClientTrafficPolicyStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
