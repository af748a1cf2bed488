//! `postern-proxy policy …`: what helps to write a policy, and to change it without surprise.
//!
//! Nothing here decides: verdicts come from [`crate::explain`], which decides like live traffic.

mod diff;
mod lint;
pub mod recorded;
mod suggest;
pub(crate) mod table;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::Diagnostics;

use crate::check::BAD_CONFIGURATION;
use data_plane::control::config::load::{self, CheckedConfig};

pub use diff::DiffArgs;
pub use lint::LintArgs;
pub use suggest::SuggestArgs;

/// The subcommands of `policy`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum PolicyCommand {
    #[allow(missing_docs, reason = "the command's help is told by its arguments")]
    Lint(LintArgs),
    #[allow(missing_docs, reason = "the command's help is told by its arguments")]
    Suggest(SuggestArgs),
    #[allow(missing_docs, reason = "the command's help is told by its arguments")]
    Diff(DiffArgs),
}

/// Runs a subcommand.
///
/// # Errors
/// A log cannot be read, or the answer not be written.
pub fn run(command: &PolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Lint(args) => lint::run(args),
        PolicyCommand::Suggest(args) => suggest::run(args),
        PolicyCommand::Diff(args) => diff::run(args),
    }
}

/// How a command writes its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// A table for people.
    Text,
    /// One JSON object.
    Json,
}

impl OutputFormat {
    /// What was asked for, else a table on a terminal and JSON on a pipe.
    pub(crate) fn or_by_terminal(asked: Option<Self>) -> Self {
        let by_terminal = if io::stdout().is_terminal() { Self::Text } else { Self::Json };
        asked.unwrap_or(by_terminal)
    }
}

/// The configuration that a tool was given, with what it is to judge by.
#[derive(Debug, Clone, clap::Args)]
struct ConfigArgs {
    /// The configuration file of the workload's proxy (YAML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Reads configuration and resources. Prints their diagnostics, if there are any, and returns the exit code then.
fn load(
    config: &Path,
    resources: Option<&Path>,
) -> anyhow::Result<Result<CheckedConfig, ExitCode>> {
    Ok(match load::load(config, resources) {
        Ok(checked) => Ok(checked),
        Err(mistakes) => Err(print_diagnostics(&mistakes)?),
    })
}

/// Prints diagnostics, and returns the exit code for them.
fn print_diagnostics(mistakes: &Diagnostics) -> anyhow::Result<ExitCode> {
    writeln!(io::stderr(), "{mistakes}")?;
    Ok(ExitCode::from(BAD_CONFIGURATION))
}

/// A remark beside the answer.
fn note(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stderr(), "note: {text}")
}
