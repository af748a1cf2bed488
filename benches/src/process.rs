//! A child process: pinned to a CPU, ended with us, and its last words kept.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{cpus, proc, wait};

/// The most of a failed child's words that are shown, in bytes.
const LAST_WORDS: usize = 2000;
/// How long a killed child may take to be gone.
const END: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    /// The file that standard output goes to, where it is a line for each request; gone when the process is.
    pub(crate) access_log: Option<PathBuf>,
}

/// A running child. Dropping it ends it.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    access_log: Option<PathBuf>,
}

impl Process {
    /// Starts `invocation` on this CPU, or on any. Its standard error goes to a file named after it in `directory`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        name: &str,
        invocation: &Invocation,
        setpriv: &Path,
        cpu: Option<usize>,
        directory: &Path,
    ) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let output = match &invocation.access_log {
            Some(path) => {
                File::create(path).with_context(|| format!("creating {}", path.display()))
            }
            None => file.try_clone().context("sharing a log file"),
        }?;
        let mut command = tied_to_us(setpriv, &invocation.words);
        command.stdin(Stdio::null()).stdout(output).stderr(file);
        let child =
            cpus::spawn_on(cpu, &mut command).with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, log, access_log: invocation.access_log.clone() })
    }

    /// User and system time used so far, with children.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        proc::cpu_time(self.child.id())
    }

    /// Resident memory in KiB, with children.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        proc::resident_kib(self.child.id())
    }

    /// # Errors
    /// When it has ended, with what it last said.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        match self.child.try_wait().context("asking after a child")? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, self.last_words()),
        }
    }

    /// The end of what it wrote.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let end = &text[text.len().saturating_sub(LAST_WORDS)..];
        String::from_utf8_lossy(end).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
        // A run can write a hundred megabytes; the folder they are in goes at the end all the same.
        self.access_log.iter().for_each(|path| drop(std::fs::remove_file(path)));
    }
}

/// Kills a child and waits for its end, which the kernel may put off while it cleans up.
pub(crate) fn end(child: &mut Child) {
    // Nothing of a measured program is worth a graceful end; it may have ended already.
    let _ = child.kill();
    let _ = wait::until(END, || child.try_wait().context("ending a child"));
}

/// A command that the kernel kills when this program ends, however it ends. `setpriv` replaces itself by the program,
/// so the process id is the program's.
pub(crate) fn tied_to_us(setpriv: &Path, words: &[String]) -> Command {
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).args(words);
    command
}
