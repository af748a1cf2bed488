//! What all runs of one workload share: certificates, the backend, the CPUs, a folder for files.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::cpus::{self, Cpus};
use crate::proc;
use crate::process::{self, tied_to_us};
use crate::programs::Programs;
use crate::workload::Workload;

/// Everything around the proxies under test.
pub(crate) struct TestBed<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) workload: Workload,
    pub(crate) certificates: Certificates,
    pub(crate) cpus: Cpus,
    pub(crate) backend: Backend,
    // Last: the folder goes when all that write into it are gone.
    directory: TempDir,
}

impl<'a> TestBed<'a> {
    /// Makes the certificates and starts the backend.
    ///
    /// # Errors
    /// When there is one CPU only, a file cannot be written, or the backend does not start.
    pub(crate) fn new(programs: &'a Programs, workload: Workload) -> Result<Self> {
        let cpus = Cpus::choose()?;
        let directory = tempfile::Builder::new()
            .prefix("postern-benches.")
            .tempdir()
            .context("a temporary folder")?;
        let certificates = Certificates::make(directory.path().join("certificates"))?;
        let backend = Backend::start(programs, cpus.load)?;
        Ok(Self { programs, workload, certificates, cpus, backend, directory })
    }

    /// Where configurations and logs go.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// The app behind the inbound proxy: this very program in another process. Dropping it ends it.
pub(crate) struct Backend {
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    child: Child,
}

impl Backend {
    fn start(programs: &Programs, cpu: usize) -> Result<Self> {
        let words = [programs.ourselves.display().to_string(), "backend".to_owned()];
        let mut command = tied_to_us(&programs.setpriv, &words);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = cpus::spawn_on(cpu, &mut command).context("starting the backend")?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).context("reading the backend's port")?;
        }
        let port = line.trim().parse().context("the backend named no port")?;
        Ok(Self { port, child })
    }

    /// User and system time used so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        proc::cpu_time(self.child.id())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        process::end(&mut self.child);
    }
}
