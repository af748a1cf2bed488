//! The webhook's certificate, from the cert agent beside the injector (SPIFFE Workload API). A new
//! one is in force from the next handshake on; nothing is restarted (SECURITY-CASES F-37).
//!
//! The API server checks a DNS name. The authority puts it into the certificate because its registry
//! says so for our identity (DESIGN invariant 13); here it is only checked that it did.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::StreamExt as _;
use identity::{TrustBundle, TrustDomain};
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use spiffe::{WorkloadApiClient, X509Context};
use tokio::sync::watch;

use crate::controller::bundle;

/// From the dial of the socket to the connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// The wait after a failure: the socket is local.
const RETRY: Duration = Duration::from_secs(1);

/// A certificate, and what whoever calls us must trust to believe it.
#[derive(Debug)]
pub struct Serving {
    /// For handshakes with the API server, which shows no certificate of its own.
    pub tls: Arc<ServerConfig>,
    /// The roots of our trust domain, PEM.
    pub bundle_pem: String,
}

impl Serving {
    /// Makes the server's side.
    ///
    /// # Errors
    /// Key and certificate do not fit, or the certificate is for another name than `dns_name`.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        roots: &TrustBundle,
        dns_name: &str,
    ) -> anyhow::Result<Self> {
        must_name(&chain, dns_name)?;
        let mut tls = ServerConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("key and certificate do not fit")?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), bundle_pem: bundle::pem(roots) })
    }
}

/// The name, as the API server will check it; the rest is the authority's word.
fn must_name(chain: &[CertificateDer<'static>], dns_name: &str) -> anyhow::Result<()> {
    let leaf = chain.first().context("the certificate chain is empty")?;
    let leaf = ParsedCertificate::try_from(leaf)?;
    let name = ServerName::try_from(dns_name.to_owned()).context("the DNS name")?;
    if verify_server_name(&leaf, &name).is_err() {
        bail!(
            "the certificate is not for {dns_name}; add the name to our identity's entry in the authority's registry"
        );
    }
    Ok(())
}

/// Follows the Workload API for ever; while the agent is away, the last certificate stays.
pub async fn follow(
    socket: String,
    dns_name: String,
    serving: watch::Sender<Option<Arc<Serving>>>,
) {
    loop {
        if let Err(error) = follow_once(&socket, &dns_name, &serving).await {
            tracing::warn!(
                socket,
                error = format!("{error:#}"),
                "no new certificate; the last one stays"
            );
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn follow_once(
    socket: &str,
    dns_name: &str,
    serving: &watch::Sender<Option<Arc<Serving>>>,
) -> anyhow::Result<()> {
    let connect = WorkloadApiClient::connect_to(socket);
    let client = tokio::time::timeout(CONNECT_DEADLINE, connect)
        .await
        .map_err(|_| anyhow!("no connection within {CONNECT_DEADLINE:?}"))?
        .context("is the cert agent running, and is --workload-api its socket?")?;
    let mut contexts = client.stream_x509_contexts().await?;
    while let Some(context) = contexts.next().await {
        let new = read(&context?, dns_name)?;
        tracing::info!(dns_name, "certificate in force");
        serving.send_replace(Some(Arc::new(new)));
    }
    Err(anyhow!("the agent closed the stream"))
}

fn read(context: &X509Context, dns_name: &str) -> anyhow::Result<Serving> {
    let svid = context.default_svid().context("the answer holds no SVID")?;
    let der = |bytes: &[u8]| CertificateDer::from(bytes.to_vec());
    let chain = svid.cert_chain().iter().map(|c| der(c.as_bytes())).collect();
    let key = PrivatePkcs8KeyDer::from(svid.private_key().as_bytes().to_vec());
    let own = svid.spiffe_id().trust_domain_name().to_owned();
    let bundle = context.bundle_set().iter().find(|(name, _)| name.as_str() == own);
    let (_, bundle) = bundle.context("no bundle of our own trust domain")?;
    let roots = bundle.authorities().iter().map(|c| der(c.as_bytes())).collect();
    let roots = TrustBundle::from_der(TrustDomain::parse(&own)?, roots)?;
    Serving::new(chain, key.into(), &roots, dns_name)
}
