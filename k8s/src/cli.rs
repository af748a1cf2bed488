//! The command line of `postern-k8s`, one file a command.

mod inject;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Postern on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "postern-k8s", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inject(inject::InjectArgs),
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of this command, or of one of its subcommands.
    Man {
        /// The subcommand; without it the page of `postern-k8s` itself.
        subcommand: Option<String>,
    },
}

/// A mistake of the person who called, or of what was handed in: exit code 2 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadInput(String);

/// The whole of `main`: exit code 0 = fine, 1 = the answer is no or the work failed, 2 = bad usage
/// or input.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Inject(args) => inject::run(&args),
        Command::Completions { shell } => {
            let mut out = std::io::stdout();
            clap_complete::generate(shell, &mut Cli::command(), "postern-k8s", &mut out);
            Ok(())
        }
        Command::Man { subcommand } => manual(subcommand.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn manual(subcommand: Option<&str>) -> anyhow::Result<()> {
    let mut command = Cli::command();
    command.build();
    let page = match subcommand {
        None => &command,
        Some(name) => command
            .find_subcommand(name)
            .ok_or_else(|| BadInput(format!("no subcommand {name:?}; see `postern-k8s --help`")))?,
    };
    clap_mangen::Man::new(page.clone()).render(&mut std::io::stdout())?;
    Ok(())
}

#[allow(clippy::print_stderr, reason = "errors of a command go to standard error")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("postern-k8s: {error:#}");
    ExitCode::from(if error.is::<BadInput>() { 2 } else { 1 })
}
