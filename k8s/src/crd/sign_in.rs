//! SignIn, as Kubernetes is told of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How people sign in at a gateway, by OpenID Connect. The most specific one holds as a whole. See docs/sign-in.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "policy.postern.dev",
    version = "v1alpha1",
    kind = "SignIn",
    plural = "signins",
    singular = "signin",
    category = "postern",
    doc = "How people sign in at a gateway.",
    namespaced,
    status = "SignInStatus",
    printcolumn = r#"{"name":"Issuer","type":"string","jsonPath":".spec.issuer"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SignInSpec {
    /// The Gateways, ListenerSets, listeners and HTTPRoutes of the namespace that it is about.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<SignInTarget>,
    /// The hosts of the target that it is about, such as shop.example or *.shop.example; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub hosts: Option<Vec<String>>,
    /// The paths that it is about, such as /account/*; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub paths: Option<Vec<String>>,
    /// The provider: the https address that its discovery document calls `issuer`.
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: String,
    /// Who the gateway is there.
    #[schemars(length(min = 1, max = 256))]
    pub client_id: String,
    /// The Secret of the namespace with `client-secret`, or `private-key` where clientAuth is private_key_jwt.
    pub client_secret_ref: SecretReference,
    /// How the client proves itself. Default: client_secret_basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// What is asked for, openid among it. Default: openid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub scopes: Option<Vec<String>>,
    /// Where the provider sends browsers back to. Default: /.postern/callback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256))]
    pub redirect_path: Option<String>,
    /// Where a page of the same origin sends POST to sign out. Default: /.postern/logout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256))]
    pub logout_path: Option<String>,
    /// Where the provider tells of those who signed out elsewhere. Without it, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256))]
    pub back_channel_logout_path: Option<String>,
    /// Where browsers may be sent after a logout at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// How long somebody stays signed in, and where that is kept.
    pub session: Session,
    /// What the app gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
    /// Headers that get a claim each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub claim_headers: Option<Vec<ClaimHeader>>,
    /// Where more is asked than being signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub step_up: Option<Vec<StepUp>>,
    /// What happens where it cannot be told who it is: deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A Gateway, a ListenerSet, one listener of it, or an HTTPRoute, in the policy's namespace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignInTarget {
    /// gateway.networking.k8s.io
    pub group: String,
    /// Gateway, ListenerSet or HTTPRoute.
    pub kind: SignInTargetKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The listener; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// What people can sign in at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SignInTargetKind {
    /// A Gateway.
    Gateway,
    /// A ListenerSet.
    ListenerSet,
    /// An HTTPRoute.
    HTTPRoute,
}

/// A Secret of the policy's namespace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How a client proves itself to its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// By a secret, as HTTP Basic has it (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// By a JWT that its own key has signed (RFC 7523).
    PrivateKeyJwt,
}

/// How long somebody stays signed in, and where that is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The longest it lasts, such as 8h, the default; at most 30d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Without a request for so long, it ends. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<String>,
    /// Where it is kept. Default: cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<SessionStore>,
    /// The claims that are kept. Default: sub, email, groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub claims: Option<Vec<String>>,
    /// The most cookies that it is cut into. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub max_cookies: Option<u8>,
    /// The Secret of the namespace with the keys that it is sealed with, `current` and `previous`; made by
    /// `postern-proxy session-key new`.
    pub keys_secret_ref: SecretReference,
    /// What the cookies' names end in, so that two SignIns of a host have different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cookie_suffix: Option<String>,
}

/// Where a session is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionStore {
    /// In the browser, sealed.
    Cookie,
    /// In the Redis of the proxy's configuration.
    Redis,
}

/// What the app gets of a session.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forward {
    /// The provider's ID token. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<bool>,
    /// The mesh's own token for the user, where a TokenExchange is in force. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_jwt: Option<bool>,
}

/// A header that gets a claim.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClaimHeader {
    /// The header.
    #[schemars(length(min = 1, max = 128))]
    pub header: String,
    /// The claim, or a.b for one within a claim.
    #[schemars(length(min = 1, max = 2048))]
    pub claim: String,
}

/// Where more is asked than being signed in.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepUp {
    /// The paths.
    #[schemars(length(min = 1, max = 256))]
    pub paths: Vec<String>,
    /// How the user may have signed in (`acr`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub acr_values: Option<Vec<String>>,
    /// How long ago the user may have signed in, such as 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
}

/// What happens where it cannot be told who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// Nobody passes.
    Deny,
}

/// What the controller says of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct SignInStatus {
    /// One condition of type Accepted; its message names every mistake.
    #[serde(default)]
    #[schemars(schema_with = "super::conditions")]
    pub conditions: Vec<Value>,
}
