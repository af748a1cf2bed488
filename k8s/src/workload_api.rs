//! The SPIFFE Workload API of the cert agent beside us: who the controller and the injector are. A new
//! certificate is in force from the next handshake on; nothing is restarted (SECURITY-CASES F-37).

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;
use identity::{SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use pem::{EncodeConfig, LineEnding, Pem};
use rustls_pki_types::CertificateDer;
use spiffe::WorkloadApiClient;
use tokio::sync::watch;

/// From the dial of the socket to the connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// The wait after a failure: the socket is local.
const RETRY: Duration = Duration::from_secs(1);
/// How long a program that has just started waits for its first certificate before it logs a warning: the agent beside
/// it, and a cluster's first authority, start at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the agent gives at a time, an X.509 context of the SPIFFE Workload API (§6.2.1).
#[derive(Debug)]
pub struct X509Context {
    /// Our certificate and what signed it.
    pub svid: X509Svid,
    /// The certificate's key.
    pub key: SvidKey,
    /// The roots of every trust domain we know, our own among them.
    pub bundles: TrustBundles,
}

impl X509Context {
    /// The roots of our own trust domain.
    ///
    /// # Errors
    /// The agent gave none.
    pub fn own_bundle(&self) -> anyhow::Result<&TrustBundle> {
        let name = self.svid.id().trust_domain();
        let bundle = self.bundles.get(&TrustDomain::parse(name)?);
        bundle.with_context(|| format!("the agent gave no bundle of our trust domain {name}"))
    }

    fn read(context: &spiffe::X509Context) -> anyhow::Result<Self> {
        let first = context.default_svid().context("the agent gave no SVID")?;
        let chain = first.cert_chain().iter().map(|c| certificate(c.as_bytes())).collect();
        let bundles = context.bundle_set().iter().map(|(name, bundle)| {
            let roots = bundle.authorities().iter().map(|c| certificate(c.as_bytes())).collect();
            Ok(TrustBundle::from_der(TrustDomain::parse(name.as_str())?, roots)?)
        });
        Ok(Self {
            svid: X509Svid::parse(chain)?,
            key: SvidKey::from_pkcs8_der(first.private_key().as_bytes().to_vec())?,
            bundles: TrustBundles::new(bundles.collect::<anyhow::Result<Vec<_>>>()?),
        })
    }
}

fn certificate(der: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from(der.to_vec())
}

/// The roots as PEM (RFC 7468), in their order.
#[must_use]
pub fn bundle_pem(bundle: &TrustBundle) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let root = |root: &CertificateDer<'_>| {
        pem::encode_config(&Pem::new("CERTIFICATE", root.as_ref()), lines)
    };
    bundle.roots().iter().map(root).collect()
}

/// Follows the API at `socket` (`unix:///…`) for ever. What `make` makes of each context is `current`; while the agent
/// is away, and when `make` refuses a new context, the last one stays.
pub async fn follow<T>(
    socket: String,
    current: watch::Sender<Option<Arc<T>>>,
    make: impl Fn(&X509Context) -> anyhow::Result<T>,
) {
    let started = Instant::now();
    loop {
        if let Err(error) = follow_once(&socket, &current, &make).await {
            let error = format!("{error:#}");
            let held = current.borrow().is_some();
            match held {
                true => tracing::warn!(socket, error, "no new certificate; the last one stays"),
                false if started.elapsed() < PATIENCE => {
                    tracing::info!(socket, error, "waiting for the first certificate");
                }
                false => tracing::warn!(socket, error, "no certificate yet"),
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn follow_once<T>(
    socket: &str,
    current: &watch::Sender<Option<Arc<T>>>,
    make: impl Fn(&X509Context) -> anyhow::Result<T>,
) -> anyhow::Result<()> {
    let connect = WorkloadApiClient::connect_to(socket);
    let client = tokio::time::timeout(CONNECT_DEADLINE, connect)
        .await
        .map_err(|_| anyhow!("no connection within {CONNECT_DEADLINE:?}"))?
        .context("is the cert agent running, and is --workload-api its socket?")?;
    let mut contexts = client.stream_x509_contexts().await?;
    while let Some(context) = contexts.next().await {
        let context = X509Context::read(&context?)?;
        let made = make(&context)?;
        let svid = &context.svid;
        tracing::info!(id = %svid.id(), not_after = svid.not_after(), "certificate in force");
        current.send_replace(Some(Arc::new(made)));
    }
    Err(anyhow!("the agent closed the stream"))
}
