//! What both programs do alike as programs: read the command line, log, stop at a signal, print their
//! manual, serve small pages, and exit.
//!
//! It knows nothing of either program.

pub mod log;
pub mod page;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser};
use clap_complete::Shell;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use log::HELP as LOG_HELP;

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell to complete for.
    shell: Shell,
}

/// Prints a completion script.
///
/// # Errors
/// When standard output is closed.
pub fn completions<C: CommandFactory>(args: &CompletionArgs) -> io::Result<()> {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    io::stdout().write_all(&script)
}

/// Prints the manual page: the program, then each command.
///
/// # Errors
/// When standard output is closed.
pub fn man<C: CommandFactory>() -> io::Result<()> {
    let command = C::command();
    let name = command.get_name().to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands() {
        let title = format!("{name}-{}", sub.get_name());
        let sub = sub.clone().bin_name(format!("{name} {}", sub.get_name()));
        clap_mangen::Man::new(sub).title(title).render(&mut page)?;
    }
    io::stdout().write_all(&page)
}

/// The whole of a `main`: usage mistakes and failures that stem from arguments end with 2 and 1.
pub fn run<C: Parser>(execute: impl FnOnce(C) -> anyhow::Result<bool>) -> ExitCode {
    let cli = C::parse();
    let log = log::start();
    let outcome = execute(cli);
    log.flush();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // With stderr closed there is no place for the message.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Cancels `stop` at SIGTERM or SIGINT. To be called inside a runtime.
///
/// # Errors
/// The operating system's.
pub fn stop_on_signal(stop: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

/// A usage or configuration mistake found after the command line was read.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Misconfigured(pub anyhow::Error);

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Misconfigured>() { 2 } else { 1 }
}
