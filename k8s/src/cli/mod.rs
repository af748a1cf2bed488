//! The command line of `postern-k8s`.

mod cluster_flags;
mod controller;
mod inject;
mod injector;
mod upgrade_pod;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::crd;

/// Postern on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "postern-k8s", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the cluster and stream to each proxy what is its own.
    Controller(Box<controller::ControllerArgs>),
    Inject(Box<inject::InjectArgs>),
    /// Inject pods as they are created: the admission webhook.
    Injector(Box<injector::InjectorArgs>),
    UpgradePod(upgrade_pod::UpgradePodArgs),
    /// Print the definition of our own resource kind, for `kubectl apply -f -`.
    Crds,
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

/// A usage or configuration mistake found after the command line was read.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct UsageError(anyhow::Error);

/// The whole of `main`. Exit code 0 = done, 1 = the work failed, 2 = bad usage or configuration.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Controller(args) => controller::run(&args),
        Command::Inject(args) => inject::run(&args),
        Command::Injector(args) => injector::run(&args),
        Command::UpgradePod(args) => upgrade_pod::run(&args),
        Command::Crds => crd::print_all().and_then(|text| {
            io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "postern-k8s", &mut script);
            io::stdout().write_all(&script).map_err(Into::into).map(|()| ExitCode::SUCCESS)
        }
        Command::Man { subcommand } => manual(subcommand.as_deref()),
    };
    done.unwrap_or_else(|error| {
        // There is no other place for the error when stderr is closed.
        let _ = writeln!(io::stderr(), "postern-k8s: {error:#}");
        ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
    })
}

fn manual(subcommand: Option<&str>) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    let page = match subcommand {
        None => &command,
        Some(name) => command
            .find_subcommand(name)
            .ok_or_else(|| anyhow::anyhow!("no subcommand {name:?}; see `postern-k8s --help`"))?,
    };
    clap_mangen::Man::new(page.clone()).render(&mut io::stdout())?;
    Ok(ExitCode::SUCCESS)
}
