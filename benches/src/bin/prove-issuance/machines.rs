//! Another certificate authority, whose certificates prove to ours who asks.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

/// The certificate authority in a directory.
pub(crate) struct Machines {
    directory: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Machines {
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::write(directory.join("machines.pem"), ca.as_ref().pem())?;
        Ok(Self { directory: directory.to_owned(), ca })
    }

    /// The entries of the registry for so many machines.
    pub(crate) fn registry(&self, count: usize) -> String {
        let ca = self.directory.join("machines.pem");
        let mut text =
            format!("x509:\n  - name: machines\n    caFile: {}\n    identities:\n", ca.display());
        for number in 0..count {
            text += &format!(
                "      - {{dnsName: m{number}.example, identity: spiffe://cluster.local/vm/m{number}}}\n"
            );
        }
        text
    }

    /// Certificate and key of one machine, as PEM files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn certificate(&self, number: usize) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![format!("m{number}.example")])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.ca)?;
        let path = |kind: &str| self.directory.join(format!("m{number}.{kind}.pem"));
        std::fs::write(path("certificate"), certificate.pem())?;
        std::fs::write(path("key"), key.serialize_pem())?;
        Ok((path("certificate"), path("key")))
    }
}
