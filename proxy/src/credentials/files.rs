//! Certificates from PEM files, as cert-manager or a person writes them; reloaded on change.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use identity::{SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::config::IdentityFiles;
use crate::control::Changes;
use crate::state::State;

/// The largest PEM file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Follows the files for ever; a set that cannot be read or does not fit together changes nothing.
pub async fn follow(state: Arc<State>, files: IdentityFiles) {
    let paths = [&files.certificate, &files.key, &files.bundle];
    let mut changes = Changes::of_directories(paths.iter().filter_map(|p| p.parent()));
    let mut seen: Option<[Vec<u8>; 3]> = None;
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

fn read_all(files: &IdentityFiles) -> anyhow::Result<[Vec<u8>; 3]> {
    Ok([read(&files.certificate)?, read(&files.key)?, read(&files.bundle)?])
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?.len();
    if size > MAX_FILE {
        return Err(anyhow!("{}: {size} bytes; a PEM file has at most {MAX_FILE}", path.display()));
    }
    std::fs::read(path).with_context(|| format!("{}", path.display()))
}

fn take(state: &State, files: &IdentityFiles, [certificate, key, bundle]: &[Vec<u8>; 3]) -> anyhow::Result<()> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| anyhow!("{}: {e}", files.certificate.display()))?;
    let svid = X509Svid::parse(chain).with_context(|| format!("{}", files.certificate.display()))?;
    let key = SvidKey::from_pem(key).with_context(|| format!("{}", files.key.display()))?;
    let trust_domain = TrustDomain::parse(svid.id().trust_domain())?;
    let bundle = TrustBundle::from_pem(trust_domain, bundle)
        .with_context(|| format!("{}", files.bundle.display()))?;
    state.install_credentials(svid, key, TrustBundles::new([bundle]))
}
