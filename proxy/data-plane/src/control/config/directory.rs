//! Reading configuration and resource files, with limits.
//!
//! Only the type of a file matters here, never its contents: those go to `Config::parse` and `Resources::parse`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use policy::SourceFile;
use policy::yaml::MAX_FILE_BYTES;

/// The most files of a directory: ten thousand policies, one a file.
pub const MAX_DIRECTORY_FILES: usize = 20_000;
/// The most bytes of a directory (64 MiB): sixteen files of the largest size.
pub const MAX_DIRECTORY_BYTES: usize = 64 << 20;

/// Reads every `*.yaml` and `*.yml` file of a directory, sorted by name; sub-directories are not entered.
///
/// Entries whose name begins with a dot are skipped: in a mounted ConfigMap the files are links through `..data`, which
/// is swapped as a whole, and the links themselves are read here.
///
/// # Errors
/// The directory or a file cannot be read, is not a file, or the directory exceeds the limits. The message names it.
pub fn read_directory(directory: &Path) -> io::Result<Vec<SourceFile>> {
    let mut paths = resource_paths(directory).map_err(|error| naming(directory, &error))?;
    paths.sort();
    let mut room = MAX_DIRECTORY_BYTES;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let file = read_file(&path)?;
        take_room(&mut room, file.bytes.len(), directory)?;
        files.push(file);
    }
    Ok(files)
}

/// Takes a file's bytes out of the room that a directory has, [`MAX_DIRECTORY_BYTES`] at first.
///
/// # Errors
/// There is not so much.
pub fn take_room(room: &mut usize, bytes: usize, directory: &Path) -> io::Result<()> {
    *room = room.checked_sub(bytes).ok_or_else(|| too_much(directory, "64 MiB"))?;
    Ok(())
}

fn resource_paths(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.file_name().is_some_and(is_resource_name) {
            continue;
        }
        if paths.len() >= MAX_DIRECTORY_FILES {
            return Err(too_much(directory, "20000 files"));
        }
        paths.push(path);
    }
    Ok(paths)
}

/// The files that [`read_directory`] would read, in its order, each with what tells whether it has changed since a look,
/// without reading it. Links are followed.
///
/// # Errors
/// The directory or a file is out of reach, or there are more than [`MAX_DIRECTORY_FILES`]. The message names it.
pub fn stamped_files(directory: &Path) -> io::Result<Vec<(OsString, FileStamp)>> {
    let paths = resource_paths(directory).map_err(|error| naming(directory, &error))?;
    let stamped = paths.into_iter().map(|path| {
        let found = fs::metadata(&path).map_err(|error| naming(&path, &error))?;
        Ok((path.file_name().unwrap_or_default().to_owned(), FileStamp::of(&found)))
    });
    let mut stamped = stamped.collect::<io::Result<Vec<_>>>()?;
    // Names, because to compare paths takes much longer.
    stamped.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(stamped)
}

/// Device and inode, size, and the times of the last change of the content and of the inode, in seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    fn of(found: &fs::Metadata) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether the file had not changed within the last `margin` seconds before `unix`, so that its next change gets another
    /// time, however coarse the file system's clock is.
    #[must_use]
    pub fn is_settled(&self, unix: i64, margin: i64) -> bool {
        self.changed.0.saturating_add(margin) < unix
    }
}

/// Whether a file of this name is read.
#[must_use]
pub fn is_resource_name(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// Reads one file of at most [`MAX_FILE_BYTES`]; of a larger one just enough is read to reject it by name later.
///
/// # Errors
/// It cannot be read, or is no regular file (a pipe would block for ever). The message names it.
pub fn read_file(path: &Path) -> io::Result<SourceFile> {
    let bytes = read_bytes(path).map_err(|error| naming(path, &error))?;
    Ok(SourceFile { name: path.display().to_string(), bytes })
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Checked before opening: opening a pipe would already wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    bounded(File::open(path)?)
}

/// Reads what a person passes to a command, until it ends: a file, a pipe or standard input. The bound is that of
/// [`read_file`].
///
/// # Errors
/// It cannot be read. The message names it.
pub fn read_stream(
    name: &Path,
    open: impl FnOnce() -> io::Result<Box<dyn Read>>,
) -> io::Result<SourceFile> {
    let bytes = open().and_then(bounded).map_err(|error| naming(name, &error))?;
    Ok(SourceFile { name: name.display().to_string(), bytes })
}

fn bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let most = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    source.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
}

fn too_much(directory: &Path, limit: &str) -> io::Error {
    let message = format!("{} holds more than {limit}", directory.display());
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(directory: &Path) -> Vec<String> {
        let files = read_directory(directory).unwrap();
        files.iter().map(|file| file.name.rsplit('/').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn sorted_yaml_files_only() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "c.txt", ".hidden.yaml", "README.md"] {
            fs::write(directory.path().join(name), "# nothing\n").unwrap();
        }
        assert_eq!(names(directory.path()), ["a.yml", "b.yaml"]);
    }

    #[test]
    fn f11_data_symlink_layout() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("..2026_01_01");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("policy.yaml"), "one").unwrap();
        symlink("..2026_01_01", directory.path().join("..data")).unwrap();
        symlink("..data/policy.yaml", directory.path().join("policy.yaml")).unwrap();
        assert_eq!(names(directory.path()), ["policy.yaml"]);
        assert_eq!(read_directory(directory.path()).unwrap()[0].bytes, b"one");
    }

    #[test]
    fn f10_missing_and_odd_entries_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no-such");
        assert!(read_directory(&missing).unwrap_err().to_string().contains("no-such"));
        fs::create_dir(directory.path().join("d.yaml")).unwrap();
        let error = read_directory(directory.path()).unwrap_err().to_string();
        assert!(error.contains("d.yaml") && error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_stamp_changes_with_what_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("a.yaml"), "one").unwrap();
        fs::create_dir(at("..1")).unwrap();
        fs::create_dir(at("..2")).unwrap();
        fs::write(at("..1/b"), "b").unwrap();
        fs::write(at("..2/b"), "b").unwrap();
        symlink("..1", at("..data")).unwrap();
        symlink("..data/b", at("b.yaml")).unwrap();
        let stamp = || stamped_files(directory.path()).unwrap();
        let before = stamp();
        assert_eq!(before, stamp(), "nothing has changed");
        fs::write(at("c.txt"), "no resource").unwrap();
        assert_eq!(before, stamp(), "another file");
        type Change<'a> = (&'a str, &'a dyn Fn());
        let changes: [Change<'_>; 4] = [
            ("replaced by one of the same size", &|| {
                fs::write(at("new"), "two").unwrap();
                fs::rename(at("new"), at("a.yaml")).unwrap();
            }),
            ("longer", &|| fs::write(at("a.yaml"), "three").unwrap()),
            ("a link that leads elsewhere", &|| {
                symlink("..2", at("..new")).unwrap();
                fs::rename(at("..new"), at("..data")).unwrap();
            }),
            ("one more", &|| fs::write(at("d.yaml"), "").unwrap()),
        ];
        let mut last = before;
        for (name, change) in changes {
            change();
            assert_ne!(last, stamp(), "{name}");
            last = stamp();
        }
        let latest = last.iter().map(|(_, stamp)| stamp).max_by_key(|stamp| stamp.changed).unwrap();
        let written = latest.changed.0;
        for (after, settled) in [(0, false), (3, false), (4, true)] {
            assert_eq!(latest.is_settled(written + after, 3), settled, "{after} s after");
        }
        fs::remove_file(at("..2/b")).unwrap();
        assert!(stamped_files(directory.path()).is_err(), "a link that leads nowhere");
    }
}
