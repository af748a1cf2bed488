//! Where a pod's processes run: in a network namespace of their own, or, for the demo on machines that forbid
//! namespaces, side by side on this machine's loopback.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::repository;

/// Where a pod lives.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Its own network namespace, named as in `ip netns list`.
    Namespace(String),
    /// No walls at all: every pod shares 127.0.0.1.
    Loopback,
}

impl Place {
    /// A command that runs `program` in this place, with the pod's directory as `/run/postern` (or as its working
    /// directory on loopback).
    pub(crate) fn command(&self, directory: &Path, program: &Path) -> Command {
        match self {
            Self::Namespace(name) => {
                let mut command = Command::new(repository().join("tests/in-pod"));
                command.arg(name).arg(directory).arg(program);
                command
            }
            Self::Loopback => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "KILL"]).arg(program).current_dir(directory);
                command
            }
        }
    }

    /// What a process in this place calls the file `name` of its pod's directory.
    pub(crate) fn path(&self, directory: &Path, name: &str) -> PathBuf {
        match self {
            Self::Namespace(_) => Path::new("/run/postern").join(name),
            Self::Loopback => directory.join(name),
        }
    }
}
