//! The certificates of listeners that are files (`gateway.certificates`): read within bounds, watched and polled.
//!
//! Whether a pair is taken is judged by [`CertificateStore`](crate::connection::edge_tls::CertificateStore): certificate
//! and key are written one after the other, so what lies there now need not fit yet.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use zeroize::Zeroizing;

use crate::connection::edge_tls::OfferedCertificate;
use crate::control::directory_watch::DirectoryWatch;

/// The largest file that is read, bytes: a chain of 8 certificates, the largest there may be, has 180 KiB as PEM.
const MAX_FILE: usize = 256 * 1024;

/// Reads the chain and the key that stand for the Secret of this name.
#[must_use]
pub fn read(name: Arc<str>, certificate: &Path, key: &Path) -> OfferedCertificate {
    let chain = read_file(certificate).map(|chain| chain.to_vec());
    let content = chain.and_then(|chain| Ok((chain, read_file(key)?)));
    OfferedCertificate { name, content }
}

/// Follows these files for ever, and says so at once and at each change of what is in them: a file that is only touched
/// is none.
pub async fn follow(files: Vec<PathBuf>, poll: Duration, mut changed: impl FnMut()) {
    if files.is_empty() {
        return;
    }
    let folders = files.iter().filter_map(|file| file.parent());
    let mut changes = DirectoryWatch::of_directories(folders, poll, |_| true);
    let mut seen = None;
    loop {
        let now = digest(&files);
        if seen.as_ref() != Some(&now) {
            seen = Some(now);
            changed();
        }
        changes.next().await;
    }
}

/// Tells contents apart; it stands for keys and is shown nowhere.
fn digest(files: &[PathBuf]) -> Vec<u8> {
    let each = files.iter().flat_map(|file| digest_of(&read_file(file)).as_ref().to_vec());
    each.collect()
}

fn digest_of(content: &Result<Zeroizing<Vec<u8>>, String>) -> Digest {
    let mut context = Context::new(&SHA256);
    match content {
        Ok(bytes) => context.update(bytes),
        Err(error) => context.update(error.as_bytes()),
    }
    context.finish()
}

/// A regular file's bytes. One of two is a key, so all are wiped after use.
fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    // Asked before it is opened: to open a pipe waits for its writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("{}: no regular file", path.display()));
    }
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    // As large as it can become: one that grew would leave pieces of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    let file = File::open(path).map_err(failed)?;
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    match read <= MAX_FILE {
        true => Ok(bytes),
        false => Err(format!("{}: more than {} KiB", path.display(), MAX_FILE / 1024)),
    }
}

#[cfg(test)]
mod tests;
