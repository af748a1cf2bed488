//! Certificates from a SPIFFE Workload API socket: our cert agent or a SPIRE agent, no difference.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::StreamExt;
use identity::{SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use rustls_pki_types::CertificateDer;
use spiffe::{WorkloadApiClient, X509Context};

use crate::state::State;

/// First wait after a failure, doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest wait after a failure, unless `identityTimeout` is shorter. The socket is local: asking
/// it often costs nothing.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Follows the socket for ever: every full answer becomes the credentials in force. While the
/// agent is away, the last credentials stay until they expire.
pub async fn follow(state: Arc<State>, socket: String) {
    let limit = state.config.limits.identity_timeout;
    let mut wait = RETRY_MIN;
    loop {
        let before = state.credentials_generation();
        if let Err(error) = follow_once(&state, &socket).await {
            tracing::warn!(
                socket,
                error = format!("{error:#}"),
                "the Workload API stream ended; retrying"
            );
        }
        wait = if state.credentials_generation() > before {
            RETRY_MIN
        } else {
            (wait * 2).min(RETRY_MAX).min(limit)
        };
        tokio::time::sleep(wait).await;
    }
}

async fn follow_once(state: &State, socket: &str) -> anyhow::Result<()> {
    let limit = state.config.limits.identity_timeout;
    let connect = WorkloadApiClient::connect_to(socket);
    let client = tokio::time::timeout(limit, connect)
        .await
        .map_err(|_| anyhow!("no connection within {limit:?}"))?
        .context("is the cert agent running, and is `identity.workloadApi` its socket?")?;
    let mut contexts = client.stream_x509_contexts().await?;
    while let Some(context) = contexts.next().await {
        let taken = context.map_err(anyhow::Error::from).and_then(|context| take(state, &context));
        if let Err(error) = taken {
            state.credentials_refused(&error);
            return Err(error);
        }
    }
    Err(anyhow!("the agent closed the stream"))
}

fn take(state: &State, context: &X509Context) -> anyhow::Result<()> {
    let first = context.default_svid().ok_or_else(|| anyhow!("the answer holds no SVID"))?;
    let der = |bytes: &[u8]| CertificateDer::from(bytes.to_vec());
    let svid = X509Svid::parse(first.cert_chain().iter().map(|c| der(c.as_bytes())).collect())?;
    let key = SvidKey::from_pkcs8_der(first.private_key().as_bytes().to_vec())?;
    let bundles = context
        .bundle_set()
        .iter()
        .map(|(name, bundle)| {
            let roots = bundle.authorities().iter().map(|c| der(c.as_bytes())).collect();
            Ok(TrustBundle::from_der(TrustDomain::parse(name.as_str())?, roots)?)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    state.install_credentials(svid, key, TrustBundles::new(bundles))
}
