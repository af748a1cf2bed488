//! Who the two proxies are: one root, a leaf each, in PEM files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// The service account of the one who calls.
pub(crate) const CLIENT: &str = "client";
/// The service account of the one who answers.
pub(crate) const SERVER: &str = "server";
/// Where both of them live.
const TRUST_DOMAIN: &str = "cluster.local";

/// The principal of a service account as policies write it.
pub(crate) fn principal(account: &str) -> String {
    format!("{TRUST_DOMAIN}/ns/a/sa/{account}")
}

/// The files of one proxy.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) bundle: PathBuf,
}

/// Makes the root and both leaves (X509-SVID §2 to §4) with fresh P-256 keys: the client's files, the server's.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn make(directory: &Path) -> Result<[Files; 2]> {
    let mut parameters = with_name("")?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
    let bundle = directory.join("root.pem");
    write(&bundle, &root.as_ref().pem())?;
    let leaf = |account: &str| -> Result<Files> {
        let key = KeyPair::generate()?;
        let mut parameters = with_name(&format!("/ns/a/sa/{account}"))?;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let files = Files {
            certificate: directory.join(format!("{account}.pem")),
            key: directory.join(format!("{account}.key.pem")),
            bundle: bundle.clone(),
        };
        write(&files.certificate, &parameters.signed_by(&key, &root)?.pem())?;
        write(&files.key, &key.serialize_pem())?;
        Ok(files)
    };
    Ok([leaf(CLIENT)?, leaf(SERVER)?])
}

fn with_name(path: &str) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::default();
    let id = Ia5String::try_from(format!("spiffe://{TRUST_DOMAIN}{path}"))?;
    parameters.subject_alt_names = vec![SanType::URI(id)];
    let now = time::OffsetDateTime::now_utc();
    parameters.not_before = now - time::Duration::hours(1);
    parameters.not_after = now + time::Duration::hours(23);
    Ok(parameters)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
