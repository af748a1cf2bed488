//! Certificates from PEM files, as cert-manager or a person writes them; reloaded on change.
//!
//! Certificate, key and own roots are taken together, or those in force stay. The roots of other trust domains and the
//! revocation lists are independent parts: one that is missing, empty or damaged leaves the one in force, and is
//! counted and logged.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use identity::{RevocationLists, SvidKey, TrustBundle, TrustDomain, X509Svid};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::connection::credentials::OwnIdentity;
use crate::connection::credentials::{Credentials, CredentialsError};
use crate::control::config::IdentityFiles;
use crate::control::credentials::OfferedCredentials;
use crate::control::directory_watch::DirectoryWatch;
use crate::traffic::state::ProxyState;

/// The largest PEM file that is read, in bytes.
const MAX_FILE: u64 = 2 * 1024 * 1024;
/// The byte order mark that some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file's bytes, or why they cannot be read. One of the files is the key, so all are wiped after use.
type FileContent = Result<Zeroizing<Vec<u8>>, String>;

/// Follows the files for ever; a set that cannot be read or is inconsistent changes nothing.
pub async fn follow(state: Arc<ProxyState>, files: IdentityFiles) {
    let mut changes = DirectoryWatch::of_directories(
        paths(&files).filter_map(Path::parent),
        state.settings.limits.resource_poll,
        |_| true,
    );
    let mut seen: Option<Vec<FileContent>> = None;
    // A set under which our own certificate is no longer trusted may be half written: it is accepted when it is still
    // there at the next look.
    let mut distrusting = false;
    loop {
        let now: Vec<FileContent> = paths(&files).map(read).collect();
        let changed = seen.as_ref() != Some(&now);
        if changed || distrusting {
            let taken = take(&state, &files, &now, !changed);
            distrusting = changed && taken.as_ref().is_err_and(is_distrust);
            if let Err(error) = taken {
                state.credentials_refused(&error);
            }
            seen = Some(now);
        }
        changes.next().await;
    }
}

fn is_distrust(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(CredentialsError::is_distrust)
}

/// Certificate, key, own bundle, revocation lists, then the bundles of other trust domains.
fn paths(files: &IdentityFiles) -> impl Iterator<Item = &Path> {
    let own = [&files.certificate, &files.key, &files.bundle].into_iter().chain(&files.crl);
    own.chain(files.federated.iter().map(|(_, path)| path)).map(std::path::PathBuf::as_path)
}

fn read(path: &Path) -> FileContent {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(format!("{}: {size} bytes; a PEM file has at most {MAX_FILE}", path.display()));
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(failed)?);
    match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => Ok(Zeroizing::new(text.to_vec())),
        None => Ok(bytes),
    }
}

fn take(
    state: &ProxyState,
    files: &IdentityFiles,
    contents: &[FileContent],
    settled: bool,
) -> anyhow::Result<()> {
    let held = state.credentials();
    state.take_over(parse(files, contents, held.as_deref())?, settled)
}

/// Reads the contents in the order of [`paths`].
fn parse(
    files: &IdentityFiles,
    contents: &[FileContent],
    held: Option<&Credentials>,
) -> anyhow::Result<OfferedCredentials> {
    let [certificate, key, bundle, rest @ ..] = contents else {
        return Err(anyhow!("certificate, key and bundle are needed"));
    };
    let (crls, federated) = match &files.crl {
        Some(path) => (read_crls(path, rest.first()), rest.get(1..).unwrap_or_default()),
        None => (Ok(RevocationLists::default()), rest),
    };
    let federated = files.federated.iter().zip(federated);
    let foreign = federated
        .map(|((trust_domain, path), content)| {
            (trust_domain.clone(), read_foreign(trust_domain, path, content))
        })
        .collect();
    OfferedCredentials::join(read_own(files, certificate, key, bundle), foreign, crls, held)
}

fn read_own(
    files: &IdentityFiles,
    certificate: &FileContent,
    key: &FileContent,
    bundle: &FileContent,
) -> anyhow::Result<OwnIdentity> {
    let chain = CertificateDer::pem_slice_iter(bytes(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| anyhow!("{}: {}", files.certificate.display(), identity::pem::damage(&e)))?;
    let svid =
        X509Svid::parse(chain).with_context(|| format!("{}", files.certificate.display()))?;
    let key = SvidKey::from_pem(bytes(key)?).with_context(|| format!("{}", files.key.display()))?;
    let trust_domain = TrustDomain::parse(svid.id().trust_domain())?;
    let bundle = TrustBundle::from_pem(trust_domain, bytes(bundle)?)
        .with_context(|| format!("{}", files.bundle.display()))?;
    Ok(OwnIdentity { svid, key: Arc::new(key), bundle })
}

fn bytes(content: &FileContent) -> anyhow::Result<&[u8]> {
    content.as_ref().map(|bytes| bytes.as_slice()).map_err(|error| anyhow!("{error}"))
}

fn read_crls(path: &Path, content: Option<&FileContent>) -> anyhow::Result<RevocationLists> {
    let content = content.ok_or_else(|| anyhow!("{}: not read", path.display()))?;
    RevocationLists::from_pem(bytes(content)?).with_context(|| format!("{}", path.display()))
}

/// A file of comments alone means that no root of that trust domain is trusted; an empty one is a torn write.
fn read_foreign(
    trust_domain: &TrustDomain,
    path: &Path,
    content: &FileContent,
) -> anyhow::Result<TrustBundle> {
    let pem = bytes(content)?;
    let mut lines = pem.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let only_comments =
        !pem.trim_ascii().is_empty() && lines.all(|line| line.is_empty() || line.starts_with(b"#"));
    let bundle = match only_comments {
        true => TrustBundle::from_der(trust_domain.clone(), Vec::new()),
        false => TrustBundle::from_pem(trust_domain.clone(), pem),
    };
    bundle.with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests;
