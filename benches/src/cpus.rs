//! Who runs on which CPU.

use std::io;
use std::process::{Child, Command};

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The two CPUs of a comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpus {
    /// Load and backend.
    pub(crate) load: usize,
    /// Both proxies.
    pub(crate) proxies: usize,
}

const OURSELVES: Pid = Pid::from_raw(0);

impl Cpus {
    /// The first two this process may use.
    ///
    /// # Errors
    /// When there is only one: proxies and load would fight for it.
    pub(crate) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(OURSELVES).context("reading the CPU affinity")?;
        let mut usable = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        match (usable.next(), usable.next()) {
            (Some(load), Some(proxies)) => Ok(Self { load, proxies }),
            _ => bail!("a comparison needs two CPUs, one for the proxies and one for the load"),
        }
    }
}

/// Starts a program that runs on this CPU only, or on any where none is named, from its first instruction on: it inherits the affinity this thread
/// has for a moment.
///
/// # Errors
/// When the CPU cannot be had or the program cannot be started.
pub(crate) fn spawn_on(cpu: Option<usize>, command: &mut Command) -> io::Result<Child> {
    let Some(cpu) = cpu else { return command.spawn() };
    let before = sched_getaffinity(OURSELVES)?;
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(OURSELVES, &only)?;
    let child = command.spawn();
    sched_setaffinity(OURSELVES, &before)?;
    child
}
