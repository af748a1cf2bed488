//! The controller's own certificate as its server uses it.

use std::sync::Arc;

use identity::TrustDomain;
use identity::tls::ALPN_H2;
use rustls::ServerConfig;

use crate::workload_api::{self, X509Context};

/// One set of certificate, key and bundles.
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
    /// Makes the server's side.
    ///
    /// # Errors
    /// Key and certificate do not fit, or there is no bundle of our own trust domain.
    pub fn new(context: &X509Context) -> anyhow::Result<Self> {
        let X509Context { svid, key, bundles } = context;
        let own = context.own_bundle()?;
        let bundles = Arc::new(bundles.clone());
        let server = identity::tls::server_config(svid, key, bundles, &[ALPN_H2])?;
        Ok(Self {
            server: Arc::new(server),
            trust_domain: own.trust_domain().clone(),
            bundle_pem: workload_api::bundle_pem(own),
        })
    }
}
