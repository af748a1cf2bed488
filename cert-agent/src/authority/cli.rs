//! The command line of `postern-authority`.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, Parser, Subcommand};
use identity::{SpiffeId, TrustDomain};
use serde::Serialize;

use super::directory::Directory;
use super::init::{self, Wanted};
use super::join_token::JoinTokens;
use super::rate::PerMinute;
use super::renewal::Credentials;
use super::run::{self, Settings};
use super::service::wall_clock;
use super::show::{self, Shown};
use super::{ca, duration, files, leaf};
use crate::program::Misconfigured;

/// The authority of a Postern trust domain: attests agents and signs their short-lived certificates.
///
/// Start with `init`, which makes a root and an intermediate in a directory. Then `run` serves agents over TLS, and
/// `token` makes a join token for each new workload. `bundle` prints the roots that agents and peers must be given.
#[derive(Debug, Parser)]
#[command(name = "postern-authority", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new authority: a root (key encrypted), an intermediate, and the trust bundle. Overwrites nothing.
    Init(InitArgs),
    /// Serve agents until SIGTERM: attest each caller and sign certificates.
    Run(RunArgs),
    /// Show the roots and the intermediate with their expiry (JSON when the output is not a terminal).
    Show(DirArgs),
    /// Print the trust bundle: the PEM roots that agents and peers must be given.
    Bundle(DirArgs),
    /// Make a join token for one identity: good once. It is printed now and never again.
    Token(TokenArgs),
    /// List the join tokens that wait to be used (JSON when the output is not a terminal).
    Tokens(DirArgs),
    /// Make an unused join token worthless. Exit code 1 when there is none of that id.
    RevokeToken(RevokeTokenArgs),
    /// List the agents that hold a renewal credential (JSON when the output is not a terminal).
    Instances(DirArgs),
    /// End an agent's renewal credential: its certificate runs out and is not renewed. Exit code 1 when there is none.
    RevokeInstance(RevokeInstanceArgs),
    /// Sign a new intermediate with the root. A running authority takes it up; certificates signed before stay good.
    RenewIntermediate(RenewArgs),
    /// Print a completion script for a shell.
    Completions(crate::program::CompletionArgs),
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

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The directory to make the authority in. It may exist, but not hold an authority.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The name that every identity of this authority begins with: spiffe://NAME/…
    #[arg(long, value_name = "NAME", default_value = "cluster.local", value_parser = trust_domain)]
    trust_domain: TrustDomain,
    /// A file whose first line encrypts the root key (8 characters at least). Without it a passphrase is made up and
    /// written to DIR/root.passphrase; move that file to another machine.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// How long the root is good for.
    #[arg(long, value_name = "TIME", default_value = "10y", value_parser = duration::parse)]
    root_lifetime: Duration,
    /// How long the intermediate is good for.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    intermediate_lifetime: Duration,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The authority's directory, made by `init`.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where agents connect (gRPC over TLS 1.3). Port 0 takes a free one; the log says which.
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:15012")]
    listen: SocketAddr,
    /// A unix socket for agents on this machine, who prove themselves by their uid. Needs --registry.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// A YAML file that says which local uid (gid, program) has which identity, and which identities have DNS names.
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// How long a workload's certificate is good for: 1m to 24h.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    leaf_lifetime: Duration,
    /// Let --leaf-lifetime go down to 2s: for demonstrations and proofs only.
    #[arg(long)]
    allow_short_lifetimes: bool,
    /// How long an agent that does not renew can still come back without a new join token: 1d to 90d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration::parse)]
    credential_lifetime: Duration,
    /// Certificates a minute for one agent [default: 10, or what four renewals in a short lifetime need].
    #[arg(long, value_name = "N")]
    issue_rate: Option<u32>,
    /// Certificates a minute in all; above it agents are told to ask again later.
    #[arg(long, value_name = "N", default_value_t = 6000)]
    global_issue_rate: u32,
}

/// `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Whom the token is for, such as spiffe://cluster.local/ns/shop/sa/cart.
    #[arg(long, value_name = "SPIFFE-ID", value_parser = spiffe_id)]
    identity: SpiffeId,
    /// How long the token waits for its use: 1s to 7d.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    ttl: Duration,
    /// Write the token to this file (mode 0600, must not exist) instead of printing it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `revoke-token`.
#[derive(Debug, Args)]
pub struct RevokeTokenArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The token's id, as `tokens` lists it.
    id: String,
}

/// `revoke-instance`.
#[derive(Debug, Args)]
pub struct RevokeInstanceArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The instance, as `instances` lists it.
    instance: String,
}

/// `renew-intermediate`.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The passphrase of the root key [default: DIR/root.passphrase].
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// How long the new intermediate is good for.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    intermediate_lifetime: Duration,
}

/// Does what the command line says. True when the answer is yes (exit code 0), false when it is no (1).
///
/// # Errors
/// Whatever failed, in words for a person.
pub fn execute(cli: Cli) -> anyhow::Result<bool> {
    let now = wall_clock();
    match cli.command {
        Command::Init(args) => init(&args, now)?,
        Command::Run(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            let settings = settings(args).map_err(Misconfigured)?;
            runtime.block_on(run::run(settings))?;
        }
        Command::Show(args) => {
            let shown = Shown::read(&Directory::new(args.dir), now)?;
            print(&shown, || shown.table())?;
        }
        Command::Bundle(args) => {
            let directory = Directory::new(args.dir);
            ca::load_bundle(&directory)?;
            io::stdout().write_all(&files::read(&directory.bundle())?)?;
        }
        Command::Token(args) => token(&args, now)?,
        Command::Tokens(args) => {
            let tokens = JoinTokens::new(Directory::new(args.dir).tokens()).list()?;
            print(&tokens, || show::tokens_table(&tokens, now))?;
        }
        Command::RevokeToken(args) => {
            return JoinTokens::new(Directory::new(args.dir).tokens()).revoke(&args.id);
        }
        Command::Instances(args) => {
            let holders = Credentials::new(Directory::new(args.dir).credentials(), 0).list()?;
            print(&holders, || show::instances_table(&holders, now))?;
        }
        Command::RevokeInstance(args) => {
            let credentials = Credentials::new(Directory::new(args.dir).credentials(), 0);
            return Ok(credentials.revoke(&args.instance)?);
        }
        Command::RenewIntermediate(args) => init::renew_intermediate(
            &Directory::new(args.dir),
            args.passphrase_file.as_deref(),
            args.intermediate_lifetime,
            now,
        )?,
        Command::Completions(args) => crate::program::completions::<Cli>(&args)?,
        Command::Man => crate::program::man::<Cli>()?,
    }
    Ok(true)
}

fn init(args: &InitArgs, now: u64) -> anyhow::Result<()> {
    let directory = Directory::new(&args.dir);
    let wanted = Wanted {
        trust_domain: args.trust_domain.clone(),
        passphrase_file: args.passphrase_file.as_deref(),
        root_lifetime: args.root_lifetime,
        intermediate_lifetime: args.intermediate_lifetime,
    };
    init::init(&directory, &wanted, now)?;
    if args.passphrase_file.is_none() {
        let path = directory.passphrase();
        writeln!(
            io::stderr(),
            "The root key's passphrase was made up and written to {}.\nMove it and {} to another machine: `run` needs \
             neither.",
            path.display(),
            directory.root_key().display()
        )?;
    }
    let shown = Shown::read(&directory, now)?;
    print(&shown, || shown.table())
}

fn token(args: &TokenArgs, now: u64) -> anyhow::Result<()> {
    let directory = Directory::new(&args.dir);
    let bundle = ca::load_bundle(&directory)?;
    if let Err(reason) = leaf::check_workload_id(bundle.trust_domain().as_str(), &args.identity) {
        let mistake = anyhow!("{} cannot have a join token: {reason}", args.identity);
        return Err(Misconfigured(mistake).into());
    }
    let tokens = JoinTokens::new(directory.tokens());
    let token = tokens.mint(&args.identity, args.ttl, now)?;
    match &args.output {
        Some(path) => Ok(files::write_new(
            path,
            format!("{}\n", token.as_str()).as_bytes(),
            files::OWNER_ONLY,
        )?),
        None => Ok(writeln!(io::stdout(), "{}", token.as_str())?),
    }
}

/// Checks what the types of the arguments cannot say.
fn settings(args: RunArgs) -> anyhow::Result<Settings> {
    let lifetime = args.leaf_lifetime.as_secs();
    let shortest = if args.allow_short_lifetimes { 2 } else { 60 };
    if !(shortest..=86_400).contains(&lifetime) {
        bail!(
            "--leaf-lifetime {} is outside {} to 24h{}",
            duration::human(lifetime),
            duration::human(shortest),
            if args.allow_short_lifetimes {
                ""
            } else {
                " (--allow-short-lifetimes goes down to 2s)"
            }
        );
    }
    if !(86_400..=90 * 86_400).contains(&args.credential_lifetime.as_secs()) {
        bail!("--credential-lifetime is outside 1d to 90d");
    }
    if args.unix.is_some() && args.registry.is_none() {
        bail!("--unix needs --registry: without it no local caller has an identity");
    }
    // Renewals come at half a lifetime; twice that leaves room for retries and a person's `renew`.
    let needed = u32::try_from(4 * 60 / lifetime).unwrap_or(u32::MAX);
    Ok(Settings {
        directory: Directory::new(args.dir),
        listen: args.listen,
        unix: args.unix,
        registry: args.registry,
        leaf_lifetime: args.leaf_lifetime,
        credential_lifetime: args.credential_lifetime,
        issue_rate: PerMinute(args.issue_rate.unwrap_or(needed.max(10))),
        global_issue_rate: PerMinute(args.global_issue_rate),
    })
}

/// A table on a terminal, JSON elsewhere.
fn print(value: &impl Serialize, table: impl FnOnce() -> String) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        out.write_all(table().as_bytes())?;
    } else {
        serde_json::to_writer_pretty(&mut out, value)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn trust_domain(text: &str) -> Result<TrustDomain, String> {
    TrustDomain::parse(text).map_err(|error| error.to_string())
}

fn spiffe_id(text: &str) -> Result<SpiffeId, String> {
    SpiffeId::parse(text).map_err(|error| error.to_string())
}
