//! A real authority on loopback: the released program, with its own directory, log and registry.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent::renewal::authority_client::{AuthorityAddress, HostPort};
use anyhow::{Context, Result, bail};
use identity::{SpiffeId, TrustBundle, TrustDomain};
use tempfile::TempDir;

use crate::load::CONNECTIONS;
use crate::machines::Machines;

/// For the authority to listen.
const START: Duration = Duration::from_secs(20);

/// The running authority. Dropping it ends it.
pub(crate) struct Authority {
    pub(crate) machines: Machines,
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Authority {
    /// Makes an authority and serves it.
    ///
    /// # Errors
    /// When the program is not beside ours, or does not start; with its last words.
    pub(crate) fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let machines = Machines::make(directory.path())?;
        let registry = directory.path().join("registry.yaml");
        std::fs::write(&registry, machines.registry(CONNECTIONS))?;
        let home = directory.path().join("authority");
        finish(program()?.arg("init").arg("--dir").arg(&home))?;
        let log = directory.path().join("log");
        let child = program()?
            .arg("run")
            .arg("--dir")
            .arg(&home)
            .arg("--registry")
            .arg(&registry)
            .args(["--listen", "127.0.0.1:0", "--issue-rate", "100000000"])
            .args(["--global-issue-rate", "1000000000"])
            .stdin(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting postern-authority")?;
        let mut started = Self { machines, child, address: ([127, 0, 0, 1], 0).into(), directory };
        started.address = started.listening(&log)?;
        Ok(started)
    }

    /// Where it is, as agents know it.
    pub(crate) fn address(&self) -> Result<AuthorityAddress> {
        let host_port = HostPort::parse(&self.address.to_string()).map_err(anyhow::Error::msg)?;
        let identity = SpiffeId::parse("spiffe://cluster.local/postern/authority")?;
        Ok(AuthorityAddress::Network { host_port, identity })
    }

    /// Its roots.
    pub(crate) fn bundle(&self) -> Result<TrustBundle> {
        let pem = std::fs::read(self.home().join("bundle.pem"))?;
        Ok(TrustBundle::from_pem(TrustDomain::parse("cluster.local")?, &pem)?)
    }

    /// Its directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("authority")
    }

    /// A join token for one of the callers.
    pub(crate) fn token(&self, number: usize) -> Result<String> {
        let identity = format!("spiffe://cluster.local/vm/r{number}");
        let home = self.home();
        let mut command = program()?;
        finish(command.arg("token").arg("--dir").arg(home).args(["--identity", &identity]))
    }

    /// The address in the line that says it serves.
    fn listening(&mut self, log: &Path) -> Result<SocketAddr> {
        let end = Instant::now() + START;
        while Instant::now() < end {
            let text = std::fs::read_to_string(log)?;
            for line in text.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                if line["message"] == "serving" {
                    return Ok(line["listen"].as_str().unwrap_or_default().parse()?);
                }
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("postern-authority ended ({status}):\n{text}");
            }
            std::thread::yield_now();
        }
        bail!("postern-authority does not listen after {START:?}")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one beside us: built together, in the same profile.
fn program() -> Result<Command> {
    let path = std::env::current_exe()?.with_file_name("postern-authority");
    if !path.is_file() {
        bail!("{}: build it with `cargo build --release -p cert-agent`", path.display());
    }
    Ok(Command::new(path))
}

/// Standard output of a command that succeeds.
fn finish(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context("running postern-authority")?;
    if !output.status.success() {
        bail!("postern-authority: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
