//! `service_account`: a Kubernetes service-account token, judged by the cluster's own API server (TokenReview).
//!
//! S-31. The token must be for *our* audience, for a service account, and bound to a pod that still exists; the
//! pod's own address must be the caller's. The API server's silence is neither yes nor no (F-24). The token is
//! sent to the API server and nowhere else, and is never logged.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use identity::{SpiffeId, TrustDomain};
use k8s_openapi::api::authentication::v1::{
    TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;

use crate::attest::refusal::Refusal;
use issuance_messages::ServiceAccountEvidence;

use super::{AttestedIdentity, Attestor, Caller, IdentityProof, RequestContext};

/// The audience that tokens must be projected with, unless said otherwise.
pub const DEFAULT_AUDIENCE: &str = "postern-authority";

/// A bound token is below 2 KiB; what is larger is none.
const MAX_TOKEN: usize = 8 * 1024;
/// Reviews at a time: what guesses can cost the API server.
const MAX_AT_ONCE: usize = 64;
/// For the review and the look at the pod together; below the deadline of the request itself.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bound tokens carry the pod (KEP-1205).
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// What a service-account token is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccountSettings {
    /// Tokens must be for it.
    pub audience: String,
    /// Whether the pod is looked up, must exist, and must have the caller's address. Without it a token of a
    /// deleted pod stays good for the some 10 s that the API server remembers a verdict, and a token that was
    /// stolen from a pod is good anywhere.
    pub check_pod: bool,
}

/// Why a token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token is bad. The words are ours, never the token's.
    #[error("the service-account token is not good: {0}")]
    NotGood(&'static str),
    /// The pod is not (or no longer) what the token says.
    #[error("the service-account token is good, but {0}")]
    Pod(&'static str),
    /// The API server did not say yes or no. The reason is for the log.
    #[error("the Kubernetes API cannot be asked now: {0}")]
    Unavailable(String),
}

/// Asks the API server.
pub struct ServiceAccounts {
    client: Client,
    settings: ServiceAccountSettings,
    trust_domain: TrustDomain,
    at_once: Semaphore,
}

impl fmt::Debug for ServiceAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccounts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A pod as its token names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BoundPod {
    namespace: String,
    service_account: String,
    name: String,
    uid: String,
}

impl ServiceAccounts {
    /// Asks with this client. Identities are of `trust_domain`.
    #[must_use]
    pub fn new(
        client: Client,
        settings: ServiceAccountSettings,
        trust_domain: TrustDomain,
    ) -> Self {
        Self { client, settings, trust_domain, at_once: Semaphore::new(MAX_AT_ONCE) }
    }

    /// The pod behind a token, checked.
    async fn pod_of(&self, token: &str, caller: &Caller) -> Result<BoundPod, TokenError> {
        let status = self.review(token).await?;
        let pod = verdict(&status, &self.settings.audience).inspect_err(|_| {
            // What the API server says may help a person; it must not carry the token into the log.
            if let Some(error) = status.error.as_deref().filter(|error| !error.contains(token)) {
                let error: String = error.chars().take(300).collect();
                tracing::info!(error, "the Kubernetes API does not take a token");
            }
        })?;
        if self.settings.check_pod {
            check_pod(&pod, &self.get_pod(&pod).await?, caller)?;
        }
        Ok(pod)
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, TokenError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences: Some(vec![self.settings.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await;
        answer
            .map_err(|error| unavailable("create tokenreviews", &error))?
            .status
            .ok_or_else(|| TokenError::Unavailable("a TokenReview without status".to_owned()))
    }

    async fn get_pod(&self, pod: &BoundPod) -> Result<Pod, TokenError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        pods.get_opt(&pod.name)
            .await
            .map_err(|error| unavailable("get pods", &error))?
            .ok_or(TokenError::Pod("its pod is gone"))
    }
}

impl Attestor for ServiceAccounts {
    type Evidence = ServiceAccountEvidence;

    async fn attest(
        &self,
        evidence: &ServiceAccountEvidence,
        asking: &RequestContext<'_>,
    ) -> Result<AttestedIdentity, Refusal> {
        check_form(&evidence.token)?;
        let _permit = self.at_once.try_acquire().map_err(|_| {
            TokenError::Unavailable("64 tokens are being reviewed at this moment".to_owned())
        })?;
        let pod = tokio::time::timeout(DEADLINE, self.pod_of(&evidence.token, asking.caller))
            .await
            .map_err(|_| TokenError::Unavailable("no answer within 5 s".to_owned()))??;
        let BoundPod { namespace, service_account, uid, .. } = pod;
        let id = format!("spiffe://{}/ns/{namespace}/sa/{service_account}", self.trust_domain);
        let identity = SpiffeId::parse(&id)
            .map_err(|_| TokenError::NotGood("its account has no SPIFFE id"))?;
        Ok(AttestedIdentity {
            identity,
            instance: format!("pod/{uid}"),
            proof: IdentityProof::Lasting,
        })
    }
}

/// Three parts of base64url between dots (RFC 7515 §7.1): what is nothing of the kind costs no review. Nothing is
/// read from it: what a token says is believed after the review alone, and as the review tells it (S-32).
fn check_form(token: &str) -> Result<(), TokenError> {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if token.len() <= MAX_TOKEN && token.split('.').count() == 3 && token.split('.').all(part) {
        return Ok(());
    }
    Err(TokenError::NotGood("it is no JSON Web Token"))
}

/// What a review means. `authenticated` is absent in a "no", and a "yes" for no audience of ours is none: an API
/// server that ignores audiences says yes to every token.
fn verdict(status: &TokenReviewStatus, audience: &str) -> Result<BoundPod, TokenError> {
    if status.authenticated != Some(true) {
        return Err(TokenError::NotGood("the Kubernetes API does not take it, for our audience"));
    }
    let audiences = status.audiences.as_deref().unwrap_or_default();
    if !audiences.iter().any(|confirmed| confirmed == audience) {
        return Err(TokenError::NotGood("the Kubernetes API does not confirm our audience"));
    }
    let user = status.user.as_ref();
    let (namespace, service_account) = user
        .and_then(|user| user.username.as_deref())
        .and_then(account)
        .ok_or(TokenError::NotGood("it is not a service account's"))?;
    // A user of another kind may be *named* like an account; the API server puts its own into these groups.
    let group = format!("system:serviceaccounts:{namespace}");
    let groups = user.and_then(|user| user.groups.as_deref()).unwrap_or_default();
    if !groups.contains(&group) {
        return Err(TokenError::NotGood("it is not a service account's"));
    }
    let bound = |key: &str| user.and_then(|user| single(user, key));
    let (Some(name), Some(uid)) = (bound(POD_NAME), bound(POD_UID)) else {
        return Err(TokenError::NotGood(
            "it is not bound to a pod; project it into the pod's volume",
        ));
    };
    Ok(BoundPod {
        namespace: namespace.to_owned(),
        service_account: service_account.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    })
}

/// `system:serviceaccount:NAMESPACE:NAME`, and nothing around it. The names are a DNS label (RFC 1123) and a DNS
/// subdomain, as the API server has them.
fn account(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(byte)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let fits = label(namespace) && name.len() <= 253 && name.split('.').all(label);
    fits.then_some((namespace, name))
}

/// The one value of an extra; several would leave a choice.
fn single<'a>(user: &'a UserInfo, key: &str) -> Option<&'a str> {
    match user.extra.as_ref()?.get(key)?.as_slice() {
        [one] if !one.is_empty() => Some(one),
        _ => None,
    }
}

/// The pod of that name is the token's pod, runs as its account, and the caller has its address. Over our unix
/// socket there is no address to compare.
fn check_pod(bound: &BoundPod, pod: &Pod, caller: &Caller) -> Result<(), TokenError> {
    if pod.metadata.uid.as_deref() != Some(&bound.uid) {
        return Err(TokenError::Pod("its pod is gone; another has its name"));
    }
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    if account.unwrap_or("default") != bound.service_account {
        return Err(TokenError::Pod("its pod runs as another service account"));
    }
    let Caller::Remote(from) = caller else { return Ok(()) };
    let addresses = addresses(pod);
    if addresses.is_empty() {
        let unknown = "the pod's address is not known yet; ask again".to_owned();
        return Err(TokenError::Unavailable(unknown));
    }
    if !addresses.contains(&from.ip().to_canonical()) {
        return Err(TokenError::Pod(
            "the caller does not have its pod's address (where the network rewrites addresses: --no-pod-check)",
        ));
    }
    Ok(())
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let several = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let one = status.pod_ip.iter().map(String::as_str);
    several
        .chain(one)
        .filter_map(|ip| ip.parse().ok())
        .map(|ip: IpAddr| ip.to_canonical())
        .collect()
}

/// A refusal of the API server's own (401, 403) is about us, not about the caller.
fn unavailable(right: &str, error: &kube::Error) -> TokenError {
    let hint = match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            format!("; the authority's own account needs the right to {right}")
        }
        _ => String::new(),
    };
    let error: String = error.to_string().chars().take(300).collect();
    TokenError::Unavailable(format!("{error}{hint}"))
}
