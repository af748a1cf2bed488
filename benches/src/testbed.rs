//! What all runs of one row share: certificates, the app, the CPUs, a folder for files.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::contender::Workers;
use crate::cpus::{self, Cpus};
use crate::proc;
use crate::process::{self, tied_to_us};
use crate::programs::Programs;
use crate::rows::Row;

/// Everything around the proxies under test.
pub(crate) struct TestBed<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) row: &'static Row,
    pub(crate) certificates: Certificates,
    /// `None` where nothing is pinned.
    cpus: Option<Cpus>,
    backend: Backend,
    // Last: the folder goes when all that write into it are gone.
    directory: TempDir,
}

impl<'a> TestBed<'a> {
    /// Makes the certificates and starts the app.
    ///
    /// # Errors
    /// When there is one CPU only, a file cannot be written, or the app does not start.
    pub(crate) fn new(programs: &'a Programs, row: &'static Row) -> Result<Self> {
        let cpus = Cpus::choose()?;
        let directory = tempfile::Builder::new()
            .prefix("postern-benches.")
            .tempdir()
            .context("a temporary folder")?;
        let certificates = Certificates::make(directory.path().join("certificates"))?;
        let cpus = is_pinned(row).then_some(cpus);
        let backend = Backend::start(programs, cpus.map(|cpus| cpus.load))?;
        Ok(Self { programs, row, certificates, cpus, backend, directory })
    }

    /// Where configurations and logs go.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The app's port.
    pub(crate) fn app(&self) -> u16 {
        self.backend.port
    }

    /// User and system time the app has used so far.
    pub(crate) fn app_cpu_time(&self) -> Result<Duration> {
        self.backend.cpu_time()
    }

    /// The CPU of load and app, where there is one for them.
    pub(crate) fn load_cpu(&self) -> Option<usize> {
        self.cpus.map(|cpus| cpus.load)
    }

    /// The CPU of both proxies, where there is one for them.
    pub(crate) fn proxies_cpu(&self) -> Option<usize> {
        self.cpus.map(|cpus| cpus.proxies)
    }
}

/// All contenders of a row are alike in this.
fn is_pinned(row: &Row) -> bool {
    row.contenders.iter().all(|contender| contender.workers == Workers::Pinned)
}

/// The app behind the inbound proxy: this very program in another process. Dropping it ends it.
struct Backend {
    /// Where it listens on 127.0.0.1.
    port: u16,
    child: Child,
}

impl Backend {
    fn start(programs: &Programs, cpu: Option<usize>) -> Result<Self> {
        let words = [programs.ourselves.display().to_string(), "backend".to_owned()];
        let mut command = tied_to_us(&programs.setpriv, &words);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = cpus::spawn_on(cpu, &mut command).context("starting the app")?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).context("reading the app's port")?;
        }
        let port = line.trim().parse().context("the app named no port")?;
        Ok(Self { port, child })
    }

    fn cpu_time(&self) -> Result<Duration> {
        proc::cpu_time(self.child.id())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        process::end(&mut self.child);
    }
}
