//! Who one is and whom one trusts, read from PEM files, for TLS as the mesh speaks it.

use std::path::Path;

use anyhow::{Context, Result};
use identity::{SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The trust domain of all identities here.
const TRUST_DOMAIN: &str = "cluster.local";

/// What a TLS configuration of the mesh is made of.
pub(crate) struct Credentials {
    pub(crate) svid: X509Svid,
    pub(crate) key: SvidKey,
    pub(crate) bundles: TrustBundles,
}

impl Credentials {
    /// Reads all three.
    ///
    /// # Errors
    /// When a file cannot be read or is no SVID.
    pub(crate) fn read(certificate: &Path, key: &Path, root: &Path) -> Result<Self> {
        let bytes = |path: &Path| {
            std::fs::read(path).with_context(|| format!("reading {}", path.display()))
        };
        let chain =
            CertificateDer::pem_slice_iter(&bytes(certificate)?).collect::<Result<_, _>>()?;
        let bundle = TrustBundle::from_pem(TrustDomain::parse(TRUST_DOMAIN)?, &bytes(root)?)?;
        Ok(Self {
            svid: X509Svid::parse(chain)?,
            key: SvidKey::from_pem(&bytes(key)?)?,
            bundles: TrustBundles::new([bundle]),
        })
    }
}
