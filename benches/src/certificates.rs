//! A test PKI: one root, and a leaf for each identity.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::credentials::Credentials;

/// Who a proxy says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The one caller that is allowed.
    Client,
    /// The one server that is expected.
    Server,
    /// A third one of the same root: neither allowed nor expected.
    Intruder,
}

impl Identity {
    const ALL: [Self; 3] = [Self::Client, Self::Server, Self::Intruder];

    /// The service account.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Intruder => "intruder",
        }
    }

    /// The principal as policies write it.
    pub(crate) fn principal(self) -> String {
        format!("cluster.local/ns/a/sa/{}", self.name())
    }

    /// The SPIFFE id.
    pub(crate) fn spiffe_id(self) -> String {
        format!("spiffe://{}", self.principal())
    }
}

/// A folder of PEM files.
#[derive(Debug)]
pub(crate) struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Makes the root and all leaves, valid for a day, with fresh P-256 keys.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn make(directory: PathBuf) -> Result<Self> {
        std::fs::create_dir(&directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let made = Self { directory };
        let root = CertifiedIssuer::self_signed(root_parameters()?, KeyPair::generate()?)?;
        write(&made.root(), &root.as_ref().pem())?;
        for identity in Identity::ALL {
            let key = KeyPair::generate()?;
            let leaf = leaf_parameters(identity)?.signed_by(&key, &root)?;
            write(&made.leaf(identity), &leaf.pem())?;
            write(&made.key(identity), &key.serialize_pem())?;
            write(&made.leaf_and_key(identity), &(leaf.pem() + &key.serialize_pem()))?;
        }
        Ok(made)
    }

    /// Those of a folder in which another process has made them.
    pub(crate) fn made(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The folder.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What an identity needs to speak TLS.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn credentials(&self, identity: Identity) -> Result<Credentials> {
        Credentials::read(&self.leaf(identity), &self.key(identity), &self.root())
    }

    /// The root certificate.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.join("root.pem")
    }

    /// The certificate of an identity.
    pub(crate) fn leaf(&self, identity: Identity) -> PathBuf {
        self.directory.join(format!("{}.pem", identity.name()))
    }

    /// Its private key, PKCS#8.
    pub(crate) fn key(&self, identity: Identity) -> PathBuf {
        self.directory.join(format!("{}.key.pem", identity.name()))
    }

    /// Both in one file, as HAProxy wants them.
    pub(crate) fn leaf_and_key(&self, identity: Identity) -> PathBuf {
        self.directory.join(format!("{}.both.pem", identity.name()))
    }
}

fn write(path: &Path, pem: &str) -> Result<()> {
    std::fs::write(path, pem).with_context(|| format!("writing {}", path.display()))
}

/// A signing certificate after X509-SVID §3.2 and §4.
fn root_parameters() -> Result<CertificateParams> {
    let mut parameters = parameters("root", "spiffe://cluster.local")?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters)
}

/// A leaf after X509-SVID §2 to §4. Its common name is for HAProxy, which can hold a server to nothing but a host name.
fn leaf_parameters(identity: Identity) -> Result<CertificateParams> {
    let mut parameters = parameters(identity.name(), &identity.spiffe_id())?;
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(parameters)
}

fn parameters(common_name: &str, uri: &str) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.subject_alt_names = vec![SanType::URI(Ia5String::try_from(uri)?)];
    parameters.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    parameters.not_after = OffsetDateTime::now_utc() + Duration::hours(23);
    Ok(parameters)
}
