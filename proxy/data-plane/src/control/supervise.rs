//! `postern-proxy run --supervise`: a parent that stays while the proxies under it replace each other.
//!
//! A service manager, and a container, watch one process: when it ends, everything ends. This one moves no bytes. It
//! starts the proxy, starts the next one beside it at SIGHUP (`run --upgrade`, the program found anew by the name it was
//! started by, so a file that was replaced is used), hands SIGTERM and SIGINT on to all, and ends with the last of them.

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// Proxies at a time: one that serves, one that prepares, and some that drain long streams.
const MAX_PROXIES: usize = 8;

/// The command line of the proxies.
#[derive(Debug, Clone)]
pub struct ProxyCommand {
    /// The program, by the name that it was started by.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What is added for one that takes over.
    pub upgrade: OsString,
}

/// Runs proxies until the last one has ended; its exit code.
///
/// # Errors
/// The first one cannot be started.
pub fn run(command: &ProxyCommand) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(command))
}

async fn supervise(command: &ProxyCommand) -> io::Result<u8> {
    let mut upgrades = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut pids = Vec::new();
    let mut running = FuturesUnordered::new();
    let first = start(command, false)?;
    pids.push(first.0);
    running.push(ended(first));
    loop {
        tokio::select! {
            gone = running.next() => {
                let Some((pid, status)) = gone else { return Ok(1) };
                pids.retain(|other| *other != pid);
                if pids.is_empty() {
                    return Ok(code(&status));
                }
                tell(&format!("process {pid} has ended ({})", shown(&status)));
            }
            () = comes(&mut upgrades) => match next(command, pids.len()) {
                Ok(next) => {
                    tell(&format!("upgrade: process {} takes over when it is ready", next.0));
                    pids.push(next.0);
                    running.push(ended(next));
                }
                Err(error) => tell(&format!("upgrade: {error}; the running proxy goes on")),
            },
            () = comes(&mut terminate) => hand_on(&pids, Signal::SIGTERM),
            () = comes(&mut interrupt) => hand_on(&pids, Signal::SIGINT),
        }
    }
}

type RunningProxy = (Pid, tokio::process::Child);

fn next(command: &ProxyCommand, running: usize) -> io::Result<RunningProxy> {
    if running >= MAX_PROXIES {
        return Err(io::Error::other(format!(
            "{running} proxies run, most of them on their way out; wait for one to end"
        )));
    }
    start(command, true)
}

fn start(command: &ProxyCommand, upgrade: bool) -> io::Result<RunningProxy> {
    let mut proxy = Command::new(&command.program);
    proxy.args(&command.arguments);
    if upgrade {
        proxy.arg(&command.upgrade);
    }
    let child = proxy.spawn().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot start {}: {error}", command.program.display()))
    })?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0);
    Ok((Pid::from_raw(pid), child))
}

async fn ended((pid, mut child): RunningProxy) -> (Pid, io::Result<ExitStatus>) {
    (pid, child.wait().await)
}

async fn comes(signals: &mut SignalStream) {
    if signals.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

fn hand_on(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // One that has just ended is told nothing. None of them is 0, which would be all of us.
        if pid.as_raw() > 0 {
            let _ = kill(*pid, signal);
        }
    }
}

fn code(status: &io::Result<ExitStatus>) -> u8 {
    let code = status.as_ref().ok().and_then(ExitStatus::code);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn shown(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Standard output is the log of the proxies, in lines of their own.
#[allow(clippy::print_stderr, reason = "the parent has no log of its own")]
fn tell(what: &str) {
    eprintln!("postern-proxy: {what}");
}
