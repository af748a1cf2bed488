//! The command line of `postern-cert-agent`.

pub mod fetch;
pub mod show;

use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use identity::{SpiffeId, TrustDomain};
use zeroize::Zeroizing;

use crate::proto::own::StatusResponse;
use crate::renewal::authority_client::HostPort;
use crate::renewal::evidence::LastingProof;
use crate::renewal::rotation::ClockReading;
use crate::serve::run::{self, RunSettings};
use fetch::SvidPem;
use show::AgentReport;

/// Where the Workload API is, unless said otherwise.
const DEFAULT_SOCKET: &str = "/run/postern/agent.sock";

/// A JWT-SVID is below this.
const MAX_TOKEN: u64 = 64 * 1024;
/// Threads for what blocks, which is looking up the authority's name.
const BLOCKING_THREADS: usize = 2;

/// The cert agent of one workload: gets its SPIFFE certificate, keeps it fresh, and serves it to
/// the proxy beside it.
///
/// `run` makes a key in memory, proves to the authority who this workload is (by a join token once,
/// then by a renewal credential; or by its uid on the same machine), and serves certificate, key
/// and roots on a unix socket that speaks the SPIFFE Workload API. The key never reaches a disk.
#[derive(Debug, Parser)]
#[command(name = "postern-cert-agent", version, max_term_width = 110, after_help = program::LOG_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Get a certificate, keep it fresh and serve it until SIGTERM. Waits for an authority that is
    /// down.
    Run(Box<RunArgs>),
    /// Get certificate, key and roots from a running agent (any SPIFFE Workload API) and write or
    /// print them as PEM; or a JWT-SVID, or the bundles of all trust domains.
    Fetch(FetchArgs),
    /// Have a running agent verify a JWT-SVID, read from standard input, and print the SPIFFE id it
    /// proves. Exit code 1 when it proves nothing.
    Validate(ValidateArgs),
    /// Show what a running agent holds and when it renews (JSON when the output is not a terminal).
    Show(SocketArgs),
    /// Make a running agent renew now, with a fresh key, and show the result. Exit code 1 when it
    /// failed.
    Renew(SocketArgs),
    /// Exit with 0 when a running agent holds a good certificate, with 1 when not. For probes.
    Health(SocketArgs),
    /// Print a completion script for a shell.
    Completions(program::CompletionArgs),
    /// Print the manual page (roff).
    Man,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The authority, over TLS. It is known by its SPIFFE id and the trust bundle, not by its host
    /// name.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_parser = HostPort::parse,
        required_unless_present = "authority_unix"
    )]
    authority: Option<HostPort>,
    /// The authority on this machine, over its unix socket: without a join token our uid is the
    /// proof.
    #[arg(long, value_name = "PATH", conflicts_with = "authority")]
    authority_unix: Option<PathBuf>,
    /// The authority's own id [default: spiffe://TRUST-DOMAIN/postern/authority].
    #[arg(long, value_name = "SPIFFE-ID", value_parser = spiffe_id)]
    authority_identity: Option<SpiffeId>,
    /// PEM roots of the trust domain, as `postern-authority bundle` prints them.
    #[arg(long, value_name = "FILE")]
    trust_bundle: PathBuf,
    /// Whose roots they are [default: what the roots say themselves].
    #[arg(long, value_name = "NAME", value_parser = trust_domain)]
    trust_domain: Option<TrustDomain>,
    /// Accept certificates of this identity only [default: whatever the authority attests first].
    #[arg(long, value_name = "SPIFFE-ID", value_parser = spiffe_id)]
    identity: Option<SpiffeId>,
    /// Where to serve the Workload API (mode 0666; --allow-uid says who may ask). The admin socket
    /// is PATH.admin (0600).
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Where the renewal credential survives a restart. One agent each; made with mode 0700.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/postern/agent")]
    state_dir: PathBuf,
    /// A file with the join token for the first certificate. Read at each attempt while there is no
    /// other proof.
    #[arg(long, value_name = "FILE")]
    join_token_file: Option<PathBuf>,
    /// A Kubernetes service-account token, projected with the authority's audience. Read anew at each attempt.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["join_token_file", "oidc_token_file", "x509_certificate"])]
    service_account_token_file: Option<PathBuf>,
    /// A token of an OpenID Connect issuer that the authority believes. Read anew at each attempt.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["join_token_file", "x509_certificate"])]
    oidc_token_file: Option<PathBuf>,
    /// A certificate (PEM, with its chain) of a CA that the authority believes. Read anew at each attempt.
    #[arg(long, value_name = "FILE", requires = "x509_key", conflicts_with = "join_token_file")]
    x509_certificate: Option<PathBuf>,
    /// The key of --x509-certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "x509_certificate")]
    x509_key: Option<PathBuf>,
    /// A user who may ask for the certificate, beside our own. May be given several times [default:
    /// 64137, the proxy].
    #[arg(long, value_name = "UID")]
    allow_uid: Vec<u32>,
    /// Serve /metrics, /ready and /live here, over plain HTTP; nothing in it is secret [default:
    /// nowhere].
    #[arg(long, value_name = "IP:PORT")]
    metrics: Option<SocketAddr>,
    /// End, with exit code 0, when callers have come and none has been connected for so long: for Jobs whose sidecars
    /// nobody ends. Callers that restart must be back within this time [default: serve until SIGTERM].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    end_without_callers: Option<u32>,
}

/// Which agent.
#[derive(Debug, Args)]
pub struct SocketArgs {
    /// The agent's socket [default: SPIFFE_ENDPOINT_SOCKET, else /run/postern/agent.sock].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// `fetch`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct FetchArgs {
    #[command(subcommand)]
    other: Option<FetchOther>,
    #[command(flatten)]
    socket: SocketArgs,
    /// Write svid.pem, key.pem (mode 0600) and bundle.pem into this directory instead of printing
    /// them.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// What `fetch` gets instead of the certificate.
#[derive(Debug, Subcommand)]
pub enum FetchOther {
    /// Get a JWT-SVID and print it.
    Jwt {
        /// Which agent.
        #[command(flatten)]
        socket: SocketArgs,
        /// For whom the token is. May be given several times.
        #[arg(long, value_name = "NAME", required = true)]
        audience: Vec<String>,
    },
    /// Get what verifies peers, by trust domain, and print it as JSON: roots in PEM, JWK sets.
    Bundles(SocketArgs),
}

/// `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// The name we go by: the token must be for it.
    #[arg(long, value_name = "NAME")]
    audience: String,
}

/// Does what the command line says. True when the answer is yes (exit code 0), false when it is no
/// (1).
///
/// # Errors
/// Whatever failed, in words for a person.
pub fn execute(cli: Cli) -> anyhow::Result<bool> {
    match cli.command {
        Command::Completions(args) => program::completions::<Cli>(&args)?,
        Command::Man => program::man::<Cli>()?,
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .build()?;
            return runtime.block_on(execute_async(command));
        }
    }
    Ok(true)
}

async fn execute_async(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Run(args) => run::run(settings(*args)).await?,
        Command::Fetch(args) => fetch_command(args).await?,
        Command::Validate(args) => return validate(args).await,
        Command::Show(args) => print(&show::status(&args.path()).await?)?,
        Command::Renew(args) => print(&show::renew(&args.path()).await?)?,
        Command::Health(args) => return health(&args.path()).await,
        Command::Completions(_) | Command::Man => {}
    }
    Ok(true)
}

async fn fetch_command(args: FetchArgs) -> anyhow::Result<()> {
    match args.other {
        Some(FetchOther::Jwt { socket, audience }) => {
            let token = fetch::fetch_jwt(&socket.path(), audience).await?;
            writeln!(io::stdout(), "{}", token.as_str())?;
            return Ok(());
        }
        Some(FetchOther::Bundles(socket)) => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &fetch::fetch_bundles(&socket.path()).await?)?;
            out.write_all(b"\n")?;
            return Ok(());
        }
        None => {}
    }
    let pem = SvidPem::of(fetch::fetch(&args.socket.path()).await?)?;
    let mut out = io::stdout().lock();
    match args.write {
        None => pem.print(&mut out)?,
        Some(directory) => {
            for path in pem.write(&directory)? {
                writeln!(out, "{}", path.display())?;
            }
        }
    }
    Ok(())
}

/// A token is no argument: every user of the machine can read those.
async fn validate(args: ValidateArgs) -> anyhow::Result<bool> {
    let mut token = Zeroizing::new(String::new());
    io::stdin().take(MAX_TOKEN).read_to_string(&mut token)?;
    let svid = token.trim().to_owned();
    match fetch::validate_jwt(&args.socket.path(), args.audience, svid).await? {
        Ok(identity) => writeln!(io::stdout(), "{identity}")?,
        Err(reason) => {
            writeln!(io::stderr(), "{reason}")?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Says why on stderr: the probe's log is where a person looks.
async fn health(socket: &Path) -> anyhow::Result<bool> {
    let status = show::status(socket).await?;
    if !status.ready {
        let StatusResponse { state, last_error, .. } = &status;
        writeln!(io::stderr(), "no good certificate is held ({state}): {last_error}")?;
    }
    Ok(status.ready)
}

/// A table on a terminal, JSON elsewhere.
fn print(status: &StatusResponse) -> anyhow::Result<()> {
    let shown = AgentReport::of(status, ClockReading::now().unix())?;
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        out.write_all(shown.table().as_bytes())?;
    } else {
        serde_json::to_writer_pretty(&mut out, &shown)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

impl SocketArgs {
    /// The flag, else `SPIFFE_ENDPOINT_SOCKET` (Workload Endpoint §4), else where `run` serves by
    /// default.
    fn path(&self) -> PathBuf {
        let from_environment = || {
            let value = std::env::var("SPIFFE_ENDPOINT_SOCKET").ok()?;
            let path = value.strip_prefix("unix://").or_else(|| value.strip_prefix("unix:"))?;
            path.starts_with('/').then(|| PathBuf::from(path))
        };
        self.socket.clone().or_else(from_environment).unwrap_or_else(|| DEFAULT_SOCKET.into())
    }
}

fn settings(args: RunArgs) -> RunSettings {
    RunSettings {
        lasting_proof: lasting_proof(&args),
        authority: args.authority,
        authority_unix: args.authority_unix,
        authority_identity: args.authority_identity,
        trust_bundle: args.trust_bundle,
        trust_domain: args.trust_domain,
        identity: args.identity,
        socket: args.socket,
        state_dir: args.state_dir,
        join_token_file: args.join_token_file,
        allow_uids: args.allow_uid,
        metrics: args.metrics,
        end_without_callers: args
            .end_without_callers
            .map(|seconds| Duration::from_secs(seconds.into())),
    }
}

/// The flags exclude each other.
fn lasting_proof(args: &RunArgs) -> Option<LastingProof> {
    let token = args.service_account_token_file.clone().map(LastingProof::ServiceAccountToken);
    let oidc = args.oidc_token_file.clone().map(LastingProof::OidcToken);
    let certificate = args.x509_certificate.clone().zip(args.x509_key.clone());
    let certificate =
        certificate.map(|(certificate, key)| LastingProof::Certificate { certificate, key });
    token.or(oidc).or(certificate)
}

fn trust_domain(text: &str) -> Result<TrustDomain, String> {
    TrustDomain::parse(text).map_err(|error| error.to_string())
}

fn spiffe_id(text: &str) -> Result<SpiffeId, String> {
    SpiffeId::parse(text).map_err(|error| error.to_string())
}
