//! The files of the resource directory as they were read last, so that a change of one file costs that file: thousands of
//! others are neither read nor parsed again.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use policy::{Diagnostics, ReadFile, Resources};

use crate::control::config::{
    FileStamp, MAX_DIRECTORY_BYTES, read_directory, read_file, stamped_files, take_room,
};

/// Diagnostics that one log line lists; `check` lists all.
const MAX_LOGGED_DIAGNOSTICS: usize = 20;
/// Seconds between two changes of a file that surely have different times, on any file system.
const COARSEST_FILE_CLOCK: i64 = 3;

/// What a look found that has changed.
pub(super) enum Look {
    /// Nothing: the files say what they said.
    Same,
    /// A set to put in force, and of how many files it is.
    Taken(Box<Resources>, usize),
    /// Why there is none.
    Refused(String),
}

/// The files of one directory.
pub(super) struct KnownFiles {
    directory: PathBuf,
    root_namespace: String,
    /// By name.
    files: BTreeMap<OsString, KnownFile>,
    /// What was told last; `None` before the first look.
    told: Option<u64>,
}

struct KnownFile {
    /// As it was before it was read; `None` where it may change again without another stamp.
    stamp: Option<FileStamp>,
    bytes: usize,
    digest: [u8; 32],
    /// What it says; `None`: something is wrong in it.
    read: Option<Arc<ReadFile>>,
}

impl KnownFiles {
    pub(super) fn new(directory: PathBuf, root_namespace: &str) -> Self {
        let root_namespace = root_namespace.to_owned();
        Self { directory, root_namespace, files: BTreeMap::new(), told: None }
    }

    /// Looks at the directory at `unix`, seconds: reads the files that may have changed, and makes a set of all. What cannot be
    /// read is read again at the next look, because the cause may be none of the files.
    pub(super) fn look(&mut self, unix: i64) -> Look {
        let renewed = self.renew(unix).map_err(|error| error.to_string());
        let fingerprint = match &renewed {
            Ok(()) => self.fingerprint(),
            Err(error) => hash_of(error),
        };
        if self.told.replace(fingerprint) == Some(fingerprint) {
            return Look::Same;
        }
        match renewed.and_then(|()| self.joined()) {
            Ok(resources) => Look::Taken(Box::new(resources), self.files.len()),
            Err(error) => Look::Refused(error),
        }
    }

    /// Reads what may have changed. After an error the files are neither those of before nor those of now, and the next look
    /// goes on with them.
    fn renew(&mut self, unix: i64) -> io::Result<()> {
        let stamped = stamped_files(&self.directory)?;
        let mut room = MAX_DIRECTORY_BYTES;
        for (name, stamp) in &stamped {
            let known = self.files.get(name).filter(|known| known.stamp == Some(*stamp));
            let bytes = match known {
                Some(known) => known.bytes,
                None => self.read(name, *stamp, unix)?,
            };
            take_room(&mut room, bytes, &self.directory)?;
        }
        if self.files.len() > stamped.len() {
            let there: HashSet<_> = stamped.into_iter().map(|(name, _)| name).collect();
            self.files.retain(|name, _| there.contains(name));
        }
        Ok(())
    }

    /// How many bytes a file has that may have changed.
    fn read(&mut self, name: &OsStr, stamp: FileStamp, unix: i64) -> io::Result<usize> {
        let file = read_file(&self.directory.join(name))?;
        let (bytes, digest) = (file.bytes.len(), digest_of(&file.bytes));
        let stamp = Some(stamp).filter(|stamp| stamp.is_settled(unix, COARSEST_FILE_CLOCK));
        let same = self.files.get(name).filter(|known| known.digest == digest);
        let read = match same {
            Some(known) => known.read.clone(),
            None => ReadFile::read(&file, &self.root_namespace).map(Arc::new),
        };
        self.files.insert(name.to_owned(), KnownFile { stamp, bytes, digest, read });
        Ok(bytes)
    }

    fn fingerprint(&self) -> u64 {
        hash_of(&self.files.iter().map(|(name, file)| (name, file.digest)).collect::<Vec<_>>())
    }

    /// The set of all files. Where anything is wrong in one or between them, all are read together, which tells what.
    fn joined(&self) -> Result<Resources, String> {
        let files = self.files.values().map(|file| file.read.as_deref());
        let files: Option<Vec<&ReadFile>> = files.collect();
        let joined = files.and_then(|files| Resources::join(files, &self.root_namespace));
        joined.map_or_else(|| self.read_whole(), Ok)
    }

    fn read_whole(&self) -> Result<Resources, String> {
        let files = read_directory(&self.directory).map_err(|error| error.to_string())?;
        Resources::parse(&files, &self.root_namespace).map_err(|all| logged(&all))
    }
}

/// Diagnostics as a log line has them.
pub(super) fn logged(diagnostics: &Diagnostics) -> String {
    diagnostics.first(MAX_LOGGED_DIAGNOSTICS)
}

fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let mut own = [0; 32];
    own.copy_from_slice(digest(&SHA256, bytes).as_ref());
    own
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn policy(name: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{rules: [{{}}]}}\n"
        )
    }

    /// What a look says, in a word and a number.
    fn told(look: Look) -> String {
        match look {
            Look::Same => "same".to_owned(),
            Look::Taken(resources, files) => format!("{} of {files}", resources.len()),
            Look::Refused(error) => error,
        }
    }

    #[test]
    fn each_change_is_told_once_and_a_mistake_until_it_is_mended() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let put = |name: &str, text: &str| {
            fs::write(at(".new"), text).unwrap();
            fs::rename(at(".new"), at(name)).unwrap();
        };
        let mut known = KnownFiles::new(directory.path().to_owned(), "postern-system");
        type Step<'a> = (&'a str, &'a dyn Fn(), &'a str);
        let steps: [Step<'_>; 13] = [
            ("an empty directory", &|| {}, "0 of 0"),
            ("nothing has changed", &|| {}, "same"),
            ("a file", &|| put("a.yaml", &policy("a")), "1 of 1"),
            ("another one", &|| put("b.yaml", &policy("b")), "2 of 2"),
            ("written anew with what it said", &|| put("b.yaml", &policy("b")), "same"),
            ("the same object in another file", &|| put("c.yaml", &policy("a")), "again"),
            ("it is still there", &|| {}, "same"),
            ("it goes", &|| fs::remove_file(at("c.yaml")).unwrap(), "2 of 2"),
            ("a torn file", &|| put("b.yaml", ""), "a file of 0 bytes"),
            ("the file of before", &|| put("b.yaml", &policy("b")), "2 of 2"),
            ("no file", &|| fs::create_dir(at("d.yaml")).unwrap(), "not a regular file"),
            ("the cause has gone", &|| fs::remove_dir(at("d.yaml")).unwrap(), "2 of 2"),
            ("a file goes", &|| fs::remove_file(at("a.yaml")).unwrap(), "1 of 1"),
        ];
        for (name, step, expect) in steps {
            step();
            for (unix, expect) in [(0, expect), (i64::MAX, "same"), (i64::MAX, "same")] {
                let found = told(known.look(unix));
                assert!(found.contains(expect), "{name}: {found}");
            }
        }
    }

    #[test]
    fn a_file_that_changed_a_moment_ago_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        fs::write(&path, policy("a")).unwrap();
        let mut known = KnownFiles::new(directory.path().to_owned(), "postern-system");
        for (name, unix, is_kept) in [("fresh", 0, false), ("settled", i64::MAX, true)] {
            known.look(unix);
            assert_eq!(known.files[OsStr::new("a.yaml")].stamp.is_some(), is_kept, "{name}");
        }
    }
}
