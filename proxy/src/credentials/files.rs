//! Certificates from PEM files, as cert-manager or a person writes them; reloaded on change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use identity::{SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::config::IdentityFiles;
use crate::control::Changes;
use crate::state::State;

/// The largest PEM file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Follows the files for ever; a set that cannot be read or does not fit together changes nothing.
pub async fn follow(state: Arc<State>, files: IdentityFiles) {
    let mut changes = Changes::of_directories(
        paths(&files).filter_map(Path::parent),
        state.config.limits.resource_poll,
    );
    let mut seen: Option<Vec<Zeroizing<Vec<u8>>>> = None;
    loop {
        match read_all(&files) {
            Ok(now) if seen.as_ref() != Some(&now) => {
                if let Err(error) = take(&state, &files, &now) {
                    state.credentials_refused(&error);
                }
                seen = Some(now);
            }
            Ok(_) => {}
            Err(error) => state.credentials_refused(&error),
        }
        changes.next().await;
    }
}

/// Certificate, key, own bundle, then the bundles of other trust domains.
fn paths(files: &IdentityFiles) -> impl Iterator<Item = &Path> {
    let own = [&files.certificate, &files.key, &files.bundle].into_iter();
    own.chain(files.federated.iter().map(|(_, path)| path)).map(PathBuf::as_path)
}

fn read_all(files: &IdentityFiles) -> anyhow::Result<Vec<Zeroizing<Vec<u8>>>> {
    paths(files).map(read).collect()
}

/// One of the files is the key, so all are wiped after use.
fn read(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let size = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?.len();
    if size > MAX_FILE {
        return Err(anyhow!("{}: {size} bytes; a PEM file has at most {MAX_FILE}", path.display()));
    }
    let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    Ok(Zeroizing::new(bytes))
}

fn take(
    state: &State,
    files: &IdentityFiles,
    contents: &[Zeroizing<Vec<u8>>],
) -> anyhow::Result<()> {
    let [certificate, key, bundle, federated @ ..] = contents else {
        return Err(anyhow!("certificate, key and bundle are needed"));
    };
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| anyhow!("{}: {e}", files.certificate.display()))?;
    let svid =
        X509Svid::parse(chain).with_context(|| format!("{}", files.certificate.display()))?;
    let key = SvidKey::from_pem(key).with_context(|| format!("{}", files.key.display()))?;
    let trust_domain = TrustDomain::parse(svid.id().trust_domain())?;
    let mut bundles = vec![read_bundle(trust_domain, &files.bundle, bundle)?];
    for ((trust_domain, path), pem) in files.federated.iter().zip(federated) {
        bundles.push(read_bundle(trust_domain.clone(), path, pem)?);
    }
    state.install_credentials(svid, key, TrustBundles::new(bundles))
}

fn read_bundle(trust_domain: TrustDomain, path: &Path, pem: &[u8]) -> anyhow::Result<TrustBundle> {
    TrustBundle::from_pem(trust_domain, pem).with_context(|| format!("{}", path.display()))
}
