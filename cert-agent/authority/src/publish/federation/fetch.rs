//! Fetching a bundle from a bundle endpoint (SPIFFE Federation §5.2.1.4, §5.2.2.4): at most three redirects that keep
//! the same rules, at addresses of the outside. Everything that is the same for every fetch is in `web_fetch`.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use identity::verify::ServerVerifier;
use identity::{SpiffeId, TrustBundle, TrustBundles};
use rustls::ClientConfig;
use web_fetch::address::{self, AddressPolicy, IpNet};
use web_fetch::{FetchRules, PlainDial, WebTls, WebUrl};

use crate::store::files;

/// Everything from the first connection to the last byte takes no longer.
const DEADLINE: Duration = Duration::from_secs(30);
/// A connection with its handshake takes no longer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Redirects in a row.
const MAX_REDIRECTS: usize = 3;

/// How a bundle endpoint proves itself, and at which addresses it may be. A redirect changes nothing of it.
#[derive(Debug, Clone)]
pub struct EndpointTrust {
    tls: WebTls,
    /// Addresses that may be called although they are this machine's or its link's.
    allowed: Vec<IpNet>,
}

impl EndpointTrust {
    /// By a certificate for the host of the URL (RFC 6125), from one of the CAs in a PEM file.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, holds none, or holds a certificate that is no CA's.
    pub fn web(ca_file: &Path) -> anyhow::Result<Self> {
        let pem = files::read(ca_file).context("cannot read the CAs of web servers (caFile)")?;
        let roots =
            identity::web_roots(&pem).with_context(|| format!("{} (caFile)", ca_file.display()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: WebTls::from_config(config), allowed: Vec::new() })
    }

    /// By an X.509-SVID of exactly this id, verified with the bundle of the id's own trust domain.
    ///
    /// # Errors
    /// Only when the library has no TLS 1.3.
    pub fn spiffe(id: SpiffeId, bundle: TrustBundle) -> anyhow::Result<Self> {
        let bundles = Arc::new(TrustBundles::new([bundle]));
        let verifier = ServerVerifier::new(bundles, Arc::new([id]));
        let config = ClientConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { tls: WebTls::from_config(config), allowed: Vec::new() })
    }

    /// May also be at these addresses, and so may what it redirects to.
    #[must_use]
    pub fn also_at(mut self, allowed: &[IpNet]) -> Self {
        self.allowed.extend(allowed);
        self
    }
}

/// Fetches the document's text.
///
/// # Errors
/// Who said what, in words for the log; nothing of the answer is believed then.
pub async fn fetch(url: &WebUrl, trust: &EndpointTrust) -> anyhow::Result<Vec<u8>> {
    let mut allowed = trust.allowed.clone();
    allowed.extend(written_address(url));
    let rules = FetchRules {
        tls: &trust.tls,
        addresses: AddressPolicy::with_exceptions(&allowed),
        redirects: MAX_REDIRECTS,
        connect_deadline: CONNECT_DEADLINE,
        deadline: DEADLINE,
        user_agent: "postern-authority",
        dial: PlainDial,
    };
    let document = web_fetch::fetch(url, &rules).await.map_err(|error| match error.forbidden() {
        Some(_) => anyhow!(
            "{error}; if the endpoint is truly there, name the address in `allowAddresses` of the endpoint"
        ),
        None => anyhow!(error),
    });
    Ok(document.with_context(|| url.to_string())?.body.to_vec())
}

/// The address that the operator has written as the endpoint's host is meant, be it this machine's or its link's; what
/// a name or a redirect leads to is not. A metadata service has no bundle, and nobody's address no server, whoever has
/// written it.
fn written_address(url: &WebUrl) -> Option<IpNet> {
    let literal = url.host().parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    let here = address::local_blocks();
    literal.filter(|ip| address::check(*ip, &here).is_ok()).map(IpNet::from)
}
