//! The webhook's certificate as its server uses it.
//!
//! The API server checks a DNS name. The authority puts it into the certificate because its registry
//! says so for our identity (ARCHITECTURE, invariant 13); here it is only checked that it did.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use identity::X509Svid;
use identity::tls::{ALPN_H2, ALPN_HTTP11};
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};

use crate::workload_api::{self, X509Context};

/// The server side of a certificate, and the roots by which the API server verifies it.
#[derive(Debug)]
pub struct ServingCertificate {
    /// For handshakes with the API server, which shows no certificate of its own.
    pub tls: Arc<ServerConfig>,
    /// The roots of our trust domain, PEM.
    pub bundle_pem: String,
}

impl ServingCertificate {
    /// Makes the server's side.
    ///
    /// # Errors
    /// Key and certificate do not fit, the certificate is for another name than `dns_name`, or there is
    /// no bundle of our own trust domain.
    pub fn new(context: &X509Context, dns_name: &str) -> anyhow::Result<Self> {
        must_name(&context.svid, dns_name)?;
        let key = PrivatePkcs8KeyDer::from(context.key.pkcs8_der().to_vec());
        let mut tls = ServerConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(context.svid.chain().to_vec(), key.into())
            .context("key and certificate do not fit")?;
        tls.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP11.to_vec()];
        let bundle_pem = workload_api::bundle_pem(context.own_bundle()?);
        Ok(Self { tls: Arc::new(tls), bundle_pem })
    }
}

/// The name, as the API server will check it; the authority decides the rest.
fn must_name(svid: &X509Svid, dns_name: &str) -> anyhow::Result<()> {
    let leaf = svid.chain().first().context("the certificate chain is empty")?;
    let leaf = ParsedCertificate::try_from(leaf)?;
    let name = ServerName::try_from(dns_name.to_owned())
        .with_context(|| format!("--dns-name {dns_name:?} is no DNS name"))?;
    if verify_server_name(&leaf, &name).is_err() {
        bail!(
            "the certificate is not for {dns_name}; add the name to our identity's entry in the authority's registry"
        );
    }
    Ok(())
}
