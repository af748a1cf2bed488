//! The programs a comparison needs, found before anything is started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::proxies::Proxy;

/// Where the programs are.
pub(crate) struct Programs {
    /// This very program, which is also the app and most of the loads.
    pub(crate) ourselves: PathBuf,
    /// The loads of others.
    pub(crate) wrk: PathBuf,
    pub(crate) h2load: PathBuf,
    /// Ends a child when its parent dies (util-linux).
    pub(crate) setpriv: PathBuf,
    /// Empty where a proxy was not asked for.
    proxies: [PathBuf; Proxy::ALL.len()],
}

impl Programs {
    /// Looks for everything at once.
    ///
    /// # Errors
    /// The list of what is missing, and the commands that bring it.
    pub(crate) fn find(wanted: &[Proxy]) -> Result<Self> {
        let ourselves = std::env::current_exe().context("finding this very program")?;
        let mut missing = Vec::new();
        let wrk = in_path("wrk", "wrk", &mut missing);
        let h2load = in_path("h2load", "nghttp2-client", &mut missing);
        let setpriv = in_path("setpriv", "util-linux", &mut missing);
        let proxies = Proxy::ALL.map(|proxy| match proxy {
            _ if !wanted.contains(&proxy) => PathBuf::new(),
            Proxy::Postern => beside(&ourselves, "postern-proxy", "-p proxy", &mut missing),
            Proxy::Bare => beside(&ourselves, "bare-pair", "-p postern-benches", &mut missing),
            Proxy::Haproxy => in_path("haproxy", "haproxy", &mut missing),
            Proxy::Nginx => in_path("nginx", "nginx-light", &mut missing),
            Proxy::Envoy => envoy(&ourselves, &mut missing),
        });
        if !missing.is_empty() {
            bail!("not found:\n  {}", missing.join("\n  "));
        }
        Ok(Self { ourselves, wrk, h2load, setpriv, proxies })
    }

    /// The program of a proxy.
    pub(crate) fn of(&self, proxy: Proxy) -> &Path {
        let index = Proxy::ALL.iter().position(|one| *one == proxy);
        index.and_then(|index| self.proxies.get(index)).map_or(Path::new(""), PathBuf::as_path)
    }
}

/// What one build of the workspace made.
fn beside(ourselves: &Path, name: &str, package: &str, missing: &mut Vec<String>) -> PathBuf {
    let path = ourselves.with_file_name(name);
    if !path.is_file() {
        missing.push(format!(
            "{}: build it with `cargo build --release {package} --bin {name}`",
            path.display()
        ));
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

/// `ENVOY_BIN`, or what `tests/setup` put into the cargo target directory.
fn envoy(ourselves: &Path, missing: &mut Vec<String>) -> PathBuf {
    let named = std::env::var_os("ENVOY_BIN").map(PathBuf::from);
    let found = named.or_else(|| fetched_envoy(ourselves)).filter(|path| path.is_file());
    found.unwrap_or_else(|| {
        missing.push(
            "envoy: `tests/setup bench` fetches it; or name one with ENVOY_BIN=/path/to/envoy; or leave it out with \
             `--peer haproxy,nginx,bare`"
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
