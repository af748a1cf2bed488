//! `postern-proxy`: the command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory, Parser, Subcommand};
use data_plane::control::run::Beginning;
use data_plane::control::supervise::{self, ProxyCommand};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proxy::api_key::ApiKeyCommand;
use proxy::await_ready::AwaitArgs;
use proxy::check::CheckArgs;
use proxy::explain::ExplainArgs;
use proxy::policy_tools::PolicyCommand;
use proxy::redirect::RedirectArgs;
use proxy::session_key::SessionKeyCommand;
use tikv_jemallocator::Jemalloc;

/// A request makes some thirty small allocations on either side, in bursts of many requests at once.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The Postern sidecar proxy: mutual TLS and service-identity allow-lists for one workload.
#[derive(Parser)]
#[command(name = "postern-proxy", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the data plane until it is told to end (SIGTERM drains, a second one ends at once)
    ///
    /// A configuration needs two sections, `workload` and `identity`; everything else has safe
    /// defaults:
    ///
    ///   workload: {namespace: shop, serviceAccount: cart, labels: {app: cart}}
    ///   identity: {workloadApi: "unix:///run/postern/agent.sock"}
    ///   resources: {directory: /etc/postern/resources}
    ///
    /// Exit code 0 = drained, 1 = could not start, 2 = bad configuration or resources.
    #[command(verbatim_doc_comment)]
    Run {
        /// The configuration file (YAML) [default: the text of the environment variable
        /// POSTERN_CONFIG].
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Take the sockets of the running proxy over, without losing a connection. It serves until this one is
        /// ready, drains and ends; where this one fails before that, it goes on.
        #[arg(long)]
        upgrade: bool,
        /// Stay as the parent of the proxy, which is then started as a process of its own: SIGHUP starts the next
        /// one, which takes over with `--upgrade`; SIGTERM and SIGINT are handed on; it ends with the last of them.
        #[arg(long, conflicts_with = "upgrade")]
        supervise: bool,
    },
    /// Ask a proxy that was started with `run --supervise` to upgrade itself (SIGHUP), where there is no `kill`
    Upgrade {
        /// The process id of the supervising parent; 1 is a container's first process.
        #[arg(long, value_name = "PID", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
        pid: i32,
    },
    /// Make API keys for an ApiKeyPolicy.
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    Await(AwaitArgs),
    Check(CheckArgs),
    Explain(ExplainArgs),
    /// Help to write policies: lint them, suggest one from recorded traffic, compare two on it.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Load, verify, print or remove the nftables rules that send a pod's traffic to the proxy.
    Redirect(RedirectArgs),
    /// Make the keys that the sessions of a SignIn are sealed with.
    #[command(subcommand)]
    SessionKey(SessionKeyCommand),
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of this command, or of one of its subcommands.
    Man {
        /// The subcommand; without it the page of `postern-proxy` itself.
        subcommand: Option<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run { config, supervise: true, .. } => supervise(config.as_deref()),
        Command::Run { config, upgrade, .. } => return run(config.as_deref(), upgrade),
        Command::Upgrade { pid } => ask_to_upgrade(pid),
        Command::ApiKey(command) => proxy::api_key::run(&command),
        Command::Await(args) => proxy::await_ready::run(&args),
        Command::Check(args) => proxy::check::run(&args),
        Command::Explain(args) => proxy::explain::command(&args),
        Command::Policy(command) => proxy::policy_tools::run(&command),
        Command::Redirect(args) => proxy::redirect::run(args),
        Command::SessionKey(command) => proxy::session_key::run(&command),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "postern-proxy",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { subcommand } => manual(subcommand.as_deref()),
    };
    done.unwrap_or_else(|error| fail(&error, 1))
}

/// The variable that holds the configuration where there is no file, as in injected pods.
const CONFIG_VARIABLE: &str = "POSTERN_CONFIG";

fn run(file: Option<&Path>, upgrade: bool) -> ExitCode {
    let (checked, text) = match (file, std::env::var(CONFIG_VARIABLE)) {
        (Some(file), _) => (
            data_plane::control::config::load::load(file, None),
            std::fs::read_to_string(file).unwrap_or_default(),
        ),
        (None, Ok(text)) => {
            (data_plane::control::config::load::load_text(CONFIG_VARIABLE, &text), text)
        }
        (None, Err(_)) => {
            let missing =
                anyhow::anyhow!("no configuration: give --config FILE or set {CONFIG_VARIABLE}");
            return fail(&missing, 2);
        }
    };
    let checked = match checked {
        Ok(checked) => checked,
        Err(mistakes) => return fail(&mistakes.into(), 2),
    };
    let beginning = if upgrade { Beginning::Upgrade } else { Beginning::Anew };
    match data_plane::control::run::run(checked.config, text, &checked.resources, beginning) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn supervise(config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let program = std::env::args_os().next().context("started without a name")?;
    let mut arguments = vec!["run".into()];
    arguments.extend(config.into_iter().flat_map(|file| ["--config".into(), file.into()]));
    let command = ProxyCommand { program, arguments, upgrade: "--upgrade".into() };
    Ok(supervise::run(&command)?.into())
}

fn ask_to_upgrade(pid: i32) -> anyhow::Result<ExitCode> {
    let asked = kill(Pid::from_raw(pid), Signal::SIGHUP);
    asked.with_context(|| {
        format!("cannot signal process {pid}: is it `run --supervise`, and of the same user?")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn manual(subcommand: Option<&str>) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    let page = match subcommand {
        None => &command,
        Some(name) => command
            .find_subcommand(name)
            .ok_or_else(|| anyhow::anyhow!("no subcommand {name:?}; see `postern-proxy --help`"))?,
    };
    clap_mangen::Man::new(page.clone()).render(&mut std::io::stdout())?;
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stderr, reason = "errors of a command go to standard error")]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("postern-proxy: {error:#}");
    ExitCode::from(code)
}
