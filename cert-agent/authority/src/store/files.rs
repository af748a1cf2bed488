//! Writing files so that a crash leaves the old one or the new one, never a torn one, and no moment
//! in which a secret is readable by others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::store::secret;

/// The mode of a file that only its owner may read.
pub const OWNER_ONLY: u32 = 0o600;
/// The mode of a file that holds nothing secret.
pub const READABLE: u32 = 0o644;

/// Nothing we read from our own directory is larger: 1 MiB.
const MAX_FILE: u64 = 1024 * 1024;

/// Replaces a file in one step: a temporary file beside it, synced, then renamed.
///
/// # Errors
/// The operating system's error, with the path.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let written = write_new(&temporary, content, mode)
        .and_then(|()| fs::rename(&temporary, path).map_err(|e| named(path, &e)))
        .and_then(|()| sync_directory(path));
    if written.is_err() {
        // Best effort: the error that matters is the one we return.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Writes a file that must not exist yet.
///
/// # Errors
/// `AlreadyExists` when it does, and every other error of the operating system, with the path.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|e| named(path, &e))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|e| named(path, &e))
}

/// Reads a whole file of at most 1 MiB.
///
/// # Errors
/// The operating system's error, with the path; `InvalidData` when the file is larger.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| named(path, &e))?;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(|e| named(path, &e))?;
    if content.len() as u64 > MAX_FILE {
        let too_large = io::Error::new(io::ErrorKind::InvalidData, "larger than 1 MiB");
        return Err(named(path, &too_large));
    }
    Ok(content)
}

/// Opens a file that is only locked, never read; made when there is none.
///
/// # Errors
/// The operating system's error, with the path.
pub fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(OWNER_ONLY)
        .open(path)
        .map_err(|e| named(path, &e))
}

/// Makes a directory (and its parents) that only its owner may enter. One that exists is fine.
///
/// # Errors
/// The operating system's error, with the path.
pub fn private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| named(path, &e))
}

/// Makes a removal or a rename in a directory last over a power loss.
///
/// # Errors
/// The operating system's error, with the path.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|d| d.sync_all()).map_err(|e| named(parent, &e))
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", secret::random_hex::<8>()));
    path.with_file_name(name)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn replace_leaves_one_file_with_the_mode_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        replace(&path, b"one", OWNER_ONLY).unwrap();
        replace(&path, b"two", OWNER_ONLY).unwrap();
        assert_eq!(read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_exists_is_never_overwritten_by_write_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.pem");
        write_new(&path, b"one", READABLE).unwrap();
        let error = write_new(&path, b"two", READABLE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), b"one");
    }
}
