//! The programs a comparison needs, found before anything is started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::proxies::Proxy;

/// Where the programs are.
pub(crate) struct Programs {
    /// Ours, beside this very program.
    pub(crate) postern: PathBuf,
    /// This very program, which is also the backend.
    pub(crate) ourselves: PathBuf,
    /// The peer's.
    pub(crate) peer: PathBuf,
    /// The load.
    pub(crate) wrk: PathBuf,
    /// Ends a child when its parent dies (util-linux).
    pub(crate) setpriv: PathBuf,
}

impl Programs {
    /// Looks for everything at once.
    ///
    /// # Errors
    /// The list of what is missing, and the commands that bring it.
    pub(crate) fn find(peer: Proxy) -> Result<Self> {
        let ourselves = std::env::current_exe().context("finding this very program")?;
        let mut missing = Vec::new();
        let postern = beside(&ourselves, &mut missing);
        let wrk = in_path("wrk", "wrk", &mut missing);
        let setpriv = in_path("setpriv", "util-linux", &mut missing);
        let peer = match peer {
            Proxy::Envoy => envoy(&ourselves, &mut missing),
            _ => in_path("haproxy", "haproxy", &mut missing),
        };
        if !missing.is_empty() {
            bail!("not found:\n  {}", missing.join("\n  "));
        }
        Ok(Self { postern, ourselves, peer, wrk, setpriv })
    }

    /// The program of a proxy.
    pub(crate) fn of(&self, proxy: Proxy) -> &Path {
        match proxy {
            Proxy::Postern => &self.postern,
            Proxy::Haproxy | Proxy::Envoy => &self.peer,
        }
    }
}

fn beside(ourselves: &Path, missing: &mut Vec<String>) -> PathBuf {
    let path = ourselves.with_file_name("postern-proxy");
    if !path.is_file() {
        missing.push(format!("{}: build it with `cargo build --release -p proxy`", path.display()));
    }
    path
}

/// Looks in `PATH`, and in the places of system programs, which ordinary users often lack there.
fn in_path(name: &str, package: &str, missing: &mut Vec<String>) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        missing.push(format!("{name}: on Debian or Ubuntu, as root, `apt-get install {package}`"));
        PathBuf::new()
    })
}

/// `ENVOY_BIN`, or what `make test` put into the cargo target directory.
fn envoy(ourselves: &Path, missing: &mut Vec<String>) -> PathBuf {
    let named = std::env::var_os("ENVOY_BIN").map(PathBuf::from);
    let found = named.or_else(|| fetched_envoy(ourselves)).filter(|path| path.is_file());
    found.unwrap_or_else(|| {
        missing.push(
            "envoy: `tests/setup test` fetches it; or name one with ENVOY_BIN=/path/to/envoy"
                .to_owned(),
        );
        PathBuf::new()
    })
}

fn fetched_envoy(ourselves: &Path) -> Option<PathBuf> {
    let target = ourselves.ancestors().nth(2)?;
    let peers = std::fs::read_dir(target.join("peers")).ok()?;
    let is_envoy = |name: &OsStr| name.to_string_lossy().starts_with("envoy-");
    let mut homes: Vec<PathBuf> = peers
        .flatten()
        .filter(|entry| is_envoy(&entry.file_name()))
        .map(|entry| entry.path().join("envoy"))
        .collect();
    homes.sort();
    homes.pop()
}
