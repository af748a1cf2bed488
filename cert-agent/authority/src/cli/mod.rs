//! The command line of `postern-authority`, one file a group of commands.

pub mod init;
pub mod instances;
pub mod revoke;
pub mod roots;
pub mod run;
pub mod show;
pub mod tokens;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use identity::{SpiffeId, TrustDomain};
use serde::Serialize;

use crate::ca::signers;
use crate::cli::show::AuthorityReport;
use crate::clock::wall_clock;
use crate::store::directory::AuthorityDirectory;
use crate::store::directory_store::DirectoryStore;
use crate::store::kubernetes_store::{KubernetesStore, SecretsLocation};
use crate::store::{Store, files};

/// The authority of a Postern trust domain: attests agents and signs their short-lived
/// certificates.
///
/// Start with `init`, which makes a root and an intermediate in a directory. Then `run` serves
/// agents over TLS, and `token` makes a join token for each new workload. `bundle` prints the roots
/// that agents and peers must be given.
#[derive(Debug, Parser)]
#[command(name = "postern-authority", version, max_term_width = 110, after_help = program::LOG_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new authority: a root (key encrypted), an intermediate, and the trust bundle.
    /// Overwrites nothing.
    Init(init::InitArgs),
    /// Serve agents until SIGTERM: attest each caller and sign certificates.
    Run(Box<run::RunArgs>),
    /// Show the roots and the intermediate with their expiry (JSON when the output is not a
    /// terminal).
    Show(StateArgs),
    /// Print the trust bundle: the PEM roots that agents and peers must be given.
    Bundle(DirArgs),
    /// Make a join token for one identity: good once. It is printed now and never again.
    Token(tokens::TokenArgs),
    /// List the join tokens that wait to be used (JSON when the output is not a terminal).
    Tokens(StateArgs),
    /// Make an unused join token worthless. Exit code 1 when there is none of that id.
    RevokeToken(tokens::RevokeTokenArgs),
    /// List the agents that hold a renewal credential (JSON when the output is not a terminal).
    Instances(StateArgs),
    /// End an agent's renewal credential: its certificate runs out and is not renewed. Exit code 1
    /// when there is none.
    RevokeInstance(instances::RevokeInstanceArgs),
    /// Sign a new intermediate with the root. A running authority takes it up; certificates signed
    /// before stay good.
    RenewIntermediate(init::RenewArgs),
    /// Replace the root in three steps without anybody noticing: prepare, activate, retire.
    Root(roots::RootArgs),
    /// Revoke certificates before their end. Peers refuse them within seconds. Exit code 1 when nothing of the
    /// identity is known.
    Revoke(revoke::RevokeArgs),
    /// List the revoked certificates that have not ended (JSON when the output is not a terminal).
    Revocations(StateArgs),
    /// Check the issuance log.
    Log(revoke::LogArgs),
    /// Print a completion script for a shell.
    Completions(program::CompletionArgs),
    /// Print the manual page (roff).
    Man,
}

/// Which authority.
#[derive(Debug, Args)]
pub struct DirArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Which authority, and where its replicas' shared state is.
#[derive(Debug, Clone, Args)]
pub struct StateArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What they share.
    #[command(flatten)]
    pub shared: SharedArgs,
}

/// What replicas share, and where it is.
#[derive(Debug, Clone, Args)]
pub struct SharedArgs {
    /// The directory of what replicas share: join tokens, renewal credentials, the issuance record,
    /// revocations [default: DIR of --dir].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Keep what replicas share in Secrets of the cluster instead: NAME-0 to NAME-f in this namespace. The account
    /// needs the rights get, create and update on secrets there.
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "state", value_parser = SecretsLocation::parse)]
    pub state_secret: Option<SecretsLocation>,
    /// How to reach the Kubernetes API server [default: as the pod we run in].
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

impl SharedArgs {
    /// What replicas share; in `directory` unless something else is said.
    ///
    /// # Errors
    /// As [`StateArgs::store`].
    pub fn store(&self, directory: &Path) -> anyhow::Result<Arc<dyn Store>> {
        if let Some(place) = &self.state_secret {
            let store = KubernetesStore::open(place.clone(), self.kubeconfig.as_deref());
            return Ok(Arc::new(store.map_err(program::Misconfigured)?));
        }
        if let Some(state) = &self.state {
            return Ok(Arc::new(DirectoryStore::new(state)));
        }
        if !AuthorityDirectory::new(directory).bundle().exists() {
            bail!(
                "{} holds no authority (no bundle.pem); give the --dir that `run` has, or make one with `init`",
                directory.display()
            );
        }
        Ok(Arc::new(DirectoryStore::new(directory)))
    }
}

impl StateArgs {
    /// The authority's directory.
    #[must_use]
    pub fn directory(&self) -> AuthorityDirectory {
        AuthorityDirectory::new(&self.dir)
    }

    /// What replicas share.
    ///
    /// # Errors
    /// A store that cannot be reached, or a directory that holds no authority: a command on a mistyped `--dir` must
    /// not succeed, `revoke` least of all.
    pub fn store(&self) -> anyhow::Result<Arc<dyn Store>> {
        self.shared.store(&self.dir)
    }

    /// Where the issuance log is unless something else is said.
    #[must_use]
    pub fn log_directory(&self) -> Option<PathBuf> {
        // A mounted Secret cannot be written.
        let here = (!self.directory().is_secret()).then_some(self.dir.as_path());
        self.shared.state.as_deref().or(here).map(|directory| directory.join("log"))
    }

    /// Whether other replicas can be given the same state.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.state.is_some() || self.shared.state_secret.is_some()
    }
}

/// Does what the command line says. True when the answer is yes (exit code 0), false when it is no
/// (1).
///
/// # Errors
/// Whatever failed, in words for a person.
pub fn execute(cli: Cli) -> anyhow::Result<bool> {
    let now = wall_clock();
    match cli.command {
        Command::Init(args) => init::init(&args, now)?,
        Command::Run(args) => run::run(*args)?,
        Command::Show(args) => {
            let shown = AuthorityReport::read(&args.directory(), args.store()?.as_ref(), now)?;
            print(&shown, || shown.table())?;
        }
        Command::Bundle(args) => {
            let directory = AuthorityDirectory::new(args.dir);
            signers::load_bundle(&directory)?;
            io::stdout().write_all(&files::read(&directory.bundle())?)?;
        }
        Command::Token(args) => tokens::mint(&args, now)?,
        Command::Tokens(args) => tokens::list(&args, now)?,
        Command::RevokeToken(args) => return tokens::revoke(&args),
        Command::Instances(args) => instances::list(&args, now)?,
        Command::RevokeInstance(args) => return instances::revoke(&args),
        Command::RenewIntermediate(args) => init::renew_intermediate(args, now)?,
        Command::Root(args) => roots::root(args, now)?,
        Command::Revoke(args) => return revoke::revoke(&args, now),
        Command::Revocations(args) => revoke::list(&args, now)?,
        Command::Log(args) => revoke::log(args)?,
        Command::Completions(args) => program::completions::<Cli>(&args)?,
        Command::Man => program::man::<Cli>()?,
    }
    Ok(true)
}

/// A table on a terminal, JSON elsewhere.
pub(super) fn print(value: &impl Serialize, table: impl FnOnce() -> String) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        out.write_all(table().as_bytes())?;
    } else {
        serde_json::to_writer_pretty(&mut out, value)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

pub(super) fn trust_domain(text: &str) -> Result<TrustDomain, String> {
    TrustDomain::parse(text).map_err(|error| error.to_string())
}

pub(super) fn spiffe_id(text: &str) -> Result<SpiffeId, String> {
    SpiffeId::parse(text).map_err(|error| error.to_string())
}
