//! The controller's own certificate, from the cert agent beside it (SPIFFE Workload API).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;
use identity::tls::ALPN_H2;
use identity::{SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use spiffe::{WorkloadApiClient, X509Context};
use tokio::sync::watch;

use super::bundle;

/// From the dial of the socket to the connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// The wait after a failure: the socket is local.
const RETRY: Duration = Duration::from_secs(1);

/// One set of certificate, key and bundles, as the server uses it.
#[derive(Debug)]
pub struct OwnCredentials {
    /// For handshakes with proxies.
    pub server: Arc<ServerConfig>,
    /// Our trust domain.
    pub trust_domain: TrustDomain,
    /// The roots of our trust domain, PEM.
    pub bundle_pem: String,
}

impl OwnCredentials {
    /// Makes the server's side of an SVID.
    ///
    /// # Errors
    /// Key and certificate do not fit, or there is no bundle of our own trust domain.
    pub fn new(svid: &X509Svid, key: &SvidKey, bundles: TrustBundles) -> anyhow::Result<Self> {
        let trust_domain = TrustDomain::parse(svid.id().trust_domain())?;
        let own = bundles.get(&trust_domain).context("no bundle of our own trust domain")?;
        let bundle_pem = bundle::pem(own);
        let server = identity::tls::server_config(svid, key, Arc::new(bundles), &[ALPN_H2])?;
        Ok(Self { server: Arc::new(server), trust_domain, bundle_pem })
    }
}

/// Follows the Workload API for ever; while the agent is away, the last credentials stay.
pub async fn follow(socket: String, own: watch::Sender<Option<Arc<OwnCredentials>>>) {
    loop {
        if let Err(error) = follow_once(&socket, &own).await {
            tracing::warn!(socket, error = format!("{error:#}"), "the Workload API stream ended");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn follow_once(
    socket: &str,
    own: &watch::Sender<Option<Arc<OwnCredentials>>>,
) -> anyhow::Result<()> {
    let connect = WorkloadApiClient::connect_to(socket);
    let client = tokio::time::timeout(CONNECT_DEADLINE, connect)
        .await
        .map_err(|_| anyhow!("no connection within {CONNECT_DEADLINE:?}"))?
        .context("is the cert agent running, and is --workload-api its socket?")?;
    let mut contexts = client.stream_x509_contexts().await?;
    while let Some(context) = contexts.next().await {
        let credentials = read(&context?)?;
        own.send_replace(Some(Arc::new(credentials)));
    }
    Err(anyhow!("the agent closed the stream"))
}

fn read(context: &X509Context) -> anyhow::Result<OwnCredentials> {
    let first = context.default_svid().context("the answer holds no SVID")?;
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
    tracing::info!(id = %svid.id(), not_after = svid.not_after(), "certificate in force");
    OwnCredentials::new(&svid, &key, TrustBundles::new(bundles))
}
