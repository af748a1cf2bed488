//! How the server of a document proves itself.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};

/// The TLS side of a fetch. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WebTls(pub(crate) Arc<ClientConfig>);

impl WebTls {
    /// By a certificate for the host of the URL (RFC 6125) that one of these authorities vouches for, over TLS 1.3.
    ///
    /// # Errors
    /// Only when the library has no TLS 1.3.
    pub fn trusting(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let config = ClientConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::from_config(config))
    }

    /// As this configuration says, for callers that verify the server in their own way. HTTP/1.1 alone is offered, and
    /// every fetch proves the server anew.
    #[must_use]
    pub fn from_config(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![identity::tls::ALPN_HTTP11.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Self(Arc::new(config))
    }
}
