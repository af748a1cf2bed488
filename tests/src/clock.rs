//! A wall clock that a test can move: libfaketime, told by a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::replace;

/// The clock of a pod's agent and proxy.
pub(crate) struct Clock {
    file: PathBuf,
}

impl Clock {
    /// Its name in the pod's directory.
    pub(crate) const FILE: &str = "clock";

    /// A clock that is right.
    pub(crate) fn new(directory: &Path) -> Self {
        let clock = Self { file: directory.join(Self::FILE) };
        clock.set("+0s");
        clock
    }

    /// Moves it to this distance from the right time.
    pub(crate) fn set(&self, offset: &str) {
        replace(&self.file, &format!("{offset}\n"));
    }

    /// Makes the program go by the clock in `file`, its path as the program sees it. The clock that only goes forward
    /// stays as it is, as it does when somebody sets a machine's time.
    pub(crate) fn give_to(command: &mut Command, file: &Path) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", file)
            .env("FAKETIME_CACHE_DURATION", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// Where Debian and its kin put it, whatever the processor.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|file| file.is_file());
    found.expect("libfaketime is not installed: run `tests/setup test`")
}
