//! Certificates from a SPIFFE Workload API socket: our cert agent and a SPIRE agent are treated alike.
//!
//! Our own client of `FetchX509SVID` (SPIFFE Workload API §5.2.1): the common libraries drop the revocation lists of an
//! answer. Every answer is the full set (§4.3); a field that is empty clears what it held before (§4.4).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use back_off::BackOff;
use identity::{RevocationLists, SpiffeId, SvidKey, TrustBundle, TrustDomain, X509Svid};
use tokio::net::UnixStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

pub(in crate::control) use self::proto::JwtBundlesResponse;
use self::proto::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use self::proto::{JwtBundlesRequest, X509svid, X509svidRequest, X509svidResponse};
use crate::connection::credentials::Credentials;
use crate::connection::credentials::OwnIdentity;
use crate::control::credentials::OfferedCredentials;
use crate::http::grpc_channel;
use crate::traffic::state::ProxyState;

/// The generated messages and client, from `proto/workload.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, reason = "generated")]
mod proto {
    tonic::include_proto!("_");
}

/// First wait after a failure, doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// The longest wait after a failure, unless `identityTimeout` is shorter. The socket is local: a frequent retry costs
/// nothing.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The largest answer that is read, bytes: bundles and revocation lists of some trust domains.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Every call carries the header that marks a caller as a workload (Workload Endpoint §3).
const SECURITY_HEADER: &str = "workload.spiffe.io";

/// Follows the socket for ever: every full answer becomes the credentials in force. While the
/// agent is away, the last credentials stay until they expire.
pub async fn follow(state: Arc<ProxyState>, socket: PathBuf) {
    let limit = state.settings.limits.identity_timeout;
    let mut back_off = BackOff::new(RETRY_MIN, RETRY_MAX.min(limit));
    loop {
        let before = state.credentials_generation();
        if let Err(error) = follow_once(&state, &socket).await {
            tracing::warn!(
                socket = %socket.display(),
                error = format!("{error:#}"),
                "the Workload API stream ended; retrying"
            );
        }
        if state.credentials_generation() > before {
            back_off.reset();
        }
        tokio::time::sleep(back_off.next_wait()).await;
    }
}

async fn follow_once(state: &ProxyState, socket: &Path) -> anyhow::Result<()> {
    let limit = state.settings.limits.identity_timeout;
    let mut answers = tokio::time::timeout(limit, ask(socket))
        .await
        .map_err(|_| anyhow!("no answer within {limit:?}"))?
        .context("is the agent running, and is `identity.workloadApi` its socket?")?;
    while let Some(answer) = answers.message().await.map_err(agent_error)? {
        let held = state.credentials();
        // An agent's answer is one whole: where it takes away our own root, it means it.
        let taken =
            read(answer, held.as_deref()).and_then(|offered| state.take_over(offered, true));
        if let Err(error) = taken {
            state.credentials_refused(&error);
            return Err(error);
        }
    }
    Err(anyhow!("the agent closed the stream"))
}

async fn ask(socket: &Path) -> anyhow::Result<Streaming<X509svidResponse>> {
    let mut client = connect(socket).await?;
    let request = from_a_workload(X509svidRequest {});
    Ok(client.fetch_x509svid(request).await.map_err(agent_error)?.into_inner())
}

/// The stream of JWT bundles (§6.2.2).
pub(in crate::control) struct JwtBundleStream(Streaming<JwtBundlesResponse>);

/// The JWT bundles of every trust domain that the workload trusts.
pub(in crate::control) struct OfferedJwtBundles(JwtBundlesResponse);

/// Asks for the JWT bundles, and for each change of them.
///
/// # Errors
/// The agent cannot be reached, or refuses.
pub(in crate::control) async fn ask_jwt_bundles(socket: &Path) -> anyhow::Result<JwtBundleStream> {
    let mut client = connect(socket).await?;
    let request = from_a_workload(JwtBundlesRequest {});
    let answers = client.fetch_jwt_bundles(request).await.map_err(agent_error)?;
    Ok(JwtBundleStream(answers.into_inner()))
}

impl JwtBundleStream {
    /// The next full answer; `None` when the agent has closed the stream.
    ///
    /// # Errors
    /// The stream broke.
    pub(in crate::control) async fn next(&mut self) -> anyhow::Result<Option<OfferedJwtBundles>> {
        Ok(self.0.message().await.map_err(agent_error)?.map(OfferedJwtBundles))
    }
}

impl OfferedJwtBundles {
    /// The JWK set of a trust domain. Its key in the answer is the trust domain's SPIFFE id.
    pub(in crate::control) fn of(&self, domain: &TrustDomain) -> Option<&[u8]> {
        let named = |name: &str| {
            name.strip_prefix("spiffe://").unwrap_or(name).trim_end_matches('/') == domain.as_str()
        };
        self.0.bundles.iter().find(|(name, _)| named(name)).map(|(_, text)| text.as_slice())
    }
}

/// The client of a connection of its own.
async fn connect(socket: &Path) -> anyhow::Result<SpiffeWorkloadApiClient<Channel>> {
    let cannot = || format!("cannot connect to {}", socket.display());
    let stream = UnixStream::connect(socket).await.with_context(cannot)?;
    let endpoint = Endpoint::from_static("http://workload-api");
    let channel = grpc_channel::over(stream, endpoint).await.with_context(cannot)?;
    Ok(SpiffeWorkloadApiClient::new(channel).max_decoding_message_size(MAX_ANSWER))
}

fn from_a_workload<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(SECURITY_HEADER, MetadataValue::from_static("true"));
    request
}

/// The agent's status as an error. `PermissionDenied` is the status of a workload that is not registered yet, so it is
/// retried like any other failure (§7).
fn agent_error(status: tonic::Status) -> anyhow::Error {
    anyhow!("the agent says {:?}: {}", status.code(), status.message())
}

/// Reads one answer. One without an SVID is invalid; it does not mean that no certificate is revoked.
fn read(
    answer: X509svidResponse,
    held: Option<&Credentials>,
) -> anyhow::Result<OfferedCredentials> {
    let X509svidResponse { svids, crl, federated_bundles } = answer;
    // Of several SVIDs the first is the default one (§5.2.1).
    let first = svids.into_iter().next().ok_or_else(|| anyhow!("the answer holds no SVID"))?;
    let own = read_own(first);
    // Our own roots come with the SVID.
    let ours = own.as_ref().ok().map(|own| own.svid.id()).or(held.map(Credentials::id));
    let ours = ours.map(SpiffeId::trust_domain);
    let foreign = federated_bundles.into_iter().filter_map(|(name, roots)| {
        // A key that is no trust domain name cannot name anybody to trust.
        let name = name.strip_prefix("spiffe://").unwrap_or(&name).trim_end_matches('/');
        let trust_domain = TrustDomain::parse(name).ok()?;
        let foreign = Some(trust_domain.as_str()) != ours;
        foreign.then(|| (trust_domain.clone(), bundle(trust_domain, &roots)))
    });
    let foreign = foreign.collect();
    let crls = RevocationLists::from_der(&crl).map_err(anyhow::Error::from);
    OfferedCredentials::join(own, foreign, crls, held)
}

fn read_own(own: X509svid) -> anyhow::Result<OwnIdentity> {
    let svid = X509Svid::parse(identity::certificates(&own.x509_svid)?)?;
    if svid.id().as_str() != own.spiffe_id {
        return Err(anyhow!("the certificate names {}, the answer {}", svid.id(), own.spiffe_id));
    }
    let key = SvidKey::from_pkcs8_der(own.x509_svid_key)?;
    let bundle = bundle(TrustDomain::parse(svid.id().trust_domain())?, &own.bundle)?;
    Ok(OwnIdentity { svid, key: Arc::new(key), bundle })
}

/// Concatenated roots; none at all means that no root of that trust domain is trusted.
fn bundle(trust_domain: TrustDomain, roots: &[u8]) -> anyhow::Result<TrustBundle> {
    Ok(TrustBundle::from_der(trust_domain, identity::certificates(roots)?)?)
}

#[cfg(test)]
mod tests;
