//! `run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use identity::TrustDomain;

use super::StateArgs;
use super::roots::Pkcs11Args;
use crate::attest::service_account;
use crate::ca::jwt_keys::MAX_TOKEN_LIFETIME;
use crate::ca::rate::PerMinute;
use crate::ca::root_source::RootSource;
use crate::ca::token_issuer::IssuerUrl;
use crate::duration;
use crate::serve::bundle_endpoint::ServerProfile;
use crate::serve::run::{self, RunSettings};
use crate::serve::server::ConnectionLimits;
use program::Misconfigured;

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    place: StateArgs,
    /// How many authorities serve this trust domain. Above 1 they need shared state: --state.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    replicas: u32,
    /// The trust domain, when neither root nor intermediate names one (as in a Secret of
    /// cert-manager).
    #[arg(long, value_name = "NAME", value_parser = super::trust_domain)]
    trust_domain: Option<TrustDomain>,
    /// A file whose first line opens the root key: the intermediate is then renewed at half of its
    /// life. Without it (and without --pkcs11-module) `run` never touches the root key.
    #[arg(long, value_name = "FILE", conflicts_with = "pkcs11_module")]
    root_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pkcs11: Pkcs11Args,
    /// The directory of the signed issuance log [default: `log` in the directory of the state, when
    /// it is one].
    #[arg(long, value_name = "DIR")]
    issuance_log: Option<PathBuf>,
    /// Where agents connect (gRPC over TLS 1.3). Port 0 takes a free one; the log says which.
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:15012")]
    listen: SocketAddr,
    /// A unix socket for agents on this machine, who prove themselves by their uid. Needs
    /// --registry.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// A YAML file that says which local uid (gid, program) has which identity, and which
    /// identities have DNS names.
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// How long a workload's certificate is good for: 1m to 24h.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    leaf_lifetime: Duration,
    /// Let --leaf-lifetime go down to 2s: for demonstrations and proofs only.
    #[arg(long)]
    allow_short_lifetimes: bool,
    /// How long an agent that does not renew can still come back without a new join token: 1d to
    /// 90d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration::parse)]
    credential_lifetime: Duration,
    /// How long a JWT-SVID is good for: 10s to 1h.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration::parse)]
    jwt_lifetime: Duration,
    /// Sign JWT-SVIDs and internal tokens as this issuer (`iss`), for verifiers that know OpenID Connect and not SPIFFE.
    /// The bundle endpoint then serves its discovery document, its keys and a token endpoint below this URL.
    #[arg(long, value_name = "URL", requires = "bundle_endpoint", value_parser = jwt_issuer)]
    jwt_issuer: Option<IssuerUrl>,
    /// A YAML file that says which other trust domains are believed, and where their bundles come
    /// from. It is followed.
    #[arg(long, value_name = "FILE")]
    federation: Option<PathBuf>,
    /// Serve our trust bundle to other trust domains here (HTTPS), at /bundle.json.
    #[arg(long, value_name = "ADDR:PORT")]
    bundle_endpoint: Option<SocketAddr>,
    /// Prove the bundle endpoint by this certificate (PEM, leaf first; profile https_web) instead
    /// of the authority's own SVID (https_spiffe). It is followed.
    #[arg(long, value_name = "FILE", requires_all = ["bundle_endpoint", "bundle_endpoint_key"])]
    bundle_endpoint_cert: Option<PathBuf>,
    /// The key of --bundle-endpoint-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "bundle_endpoint_cert")]
    bundle_endpoint_key: Option<PathBuf>,
    /// Believe Kubernetes service-account tokens that are projected for our audience and bound to a pod; the
    /// cluster's API server judges them. The authority's own account needs the rights to create tokenreviews and to
    /// get pods.
    #[arg(long)]
    service_accounts: bool,
    /// The audience of those tokens.
    #[arg(long, value_name = "NAME", default_value = service_account::DEFAULT_AUDIENCE, requires = "service_accounts")]
    service_account_audience: String,
    /// Do not compare the caller with the token's pod (that it exists, and has the caller's address). For networks
    /// that rewrite pods' addresses on the way to the authority.
    #[arg(long, requires = "service_accounts")]
    no_pod_check: bool,
    /// Serve /ready, /live and /metrics here, over plain HTTP; nothing in it is secret [default: nowhere].
    #[arg(long, value_name = "ADDR:PORT")]
    readiness: Option<SocketAddr>,
    /// Connections at a time on each socket. Each agent keeps one or two.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = connections)]
    max_connections: usize,
    /// Of those, from one address.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = connections)]
    max_connections_per_address: usize,
    /// Close a connection that carries no request and no stream for so long: 1s to 1h.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration::parse)]
    idle_timeout: Duration,
    /// Certificates a minute for one agent [default: 10, or what four renewals in a short lifetime
    /// need].
    #[arg(long, value_name = "N")]
    issue_rate: Option<u32>,
    /// Certificates a minute in all; above it agents are told to ask again later.
    #[arg(long, value_name = "N", default_value_t = 6000)]
    global_issue_rate: u32,
}

/// Serves until it is told to stop.
pub(super) fn run(args: RunArgs) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let settings = settings(args).map_err(Misconfigured)?;
    check_passphrase(&settings).map_err(Misconfigured)?;
    runtime.block_on(run::run(settings))
}

/// A wrong passphrase is found now, and not when half of the intermediate's life is over. (A token of hardware may be
/// away for a while; `run` starts without it and says so when it is needed.)
fn check_passphrase(settings: &RunSettings) -> anyhow::Result<()> {
    match &settings.root_key {
        Some(source @ RootSource::Passphrase(_)) => {
            source.open(&settings.directory.root_key()).context("--root-passphrase-file").map(drop)
        }
        _ => Ok(()),
    }
}

fn jwt_issuer(text: &str) -> Result<IssuerUrl, String> {
    IssuerUrl::parse(text).map_err(str::to_owned)
}

/// A million connections are more than any machine serves.
fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("not a number of connections from 1 to 1000000".to_owned()),
    }
}

/// Checks what the types of the arguments cannot say.
fn settings(args: RunArgs) -> anyhow::Result<RunSettings> {
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
    if !(10..=MAX_TOKEN_LIFETIME).contains(&args.jwt_lifetime.as_secs()) {
        bail!("--jwt-lifetime is outside 10s to 1h");
    }
    if !(1..=3600).contains(&args.idle_timeout.as_secs()) {
        bail!("--idle-timeout is outside 1s to 1h");
    }
    if args.unix.is_some() && args.registry.is_none() {
        bail!("--unix needs --registry: without it no local caller has an identity");
    }
    if args.place.directory().is_secret() && !args.place.is_shared() {
        bail!(
            "{} is a mounted Secret, which cannot be written; give --state DIR for tokens, credentials and the record",
            args.place.dir.display()
        );
    }
    if args.replicas > 1 && !args.place.is_shared() {
        bail!(
            "--replicas {} needs --state DIR or --state-secret NAMESPACE/NAME, which all of them share: join tokens and renewal \
             credentials are good once, and a replica must know what another has used up",
            args.replicas
        );
    }
    let profile = match (args.bundle_endpoint_cert, args.bundle_endpoint_key) {
        (Some(certificate), Some(key)) => ServerProfile::Web { certificate, key },
        _ => ServerProfile::Spiffe,
    };
    // Renewals come at half a lifetime; twice that leaves room for retries and a person's `renew`.
    let needed = u32::try_from(4 * 60 / lifetime).unwrap_or(u32::MAX);
    Ok(RunSettings {
        directory: args.place.directory().with_trust_domain(args.trust_domain),
        root_key: args.root_passphrase_file.map(RootSource::Passphrase).or(args.pkcs11.source()),
        issuance_log: args.issuance_log.or(args.place.log_directory()),
        store: args.place.store()?,
        shared: args.place.is_shared(),
        listen: args.listen,
        unix: args.unix,
        registry: args.registry,
        leaf_lifetime: args.leaf_lifetime,
        credential_lifetime: args.credential_lifetime,
        federation: args.federation,
        bundle_endpoint: args.bundle_endpoint.map(|address| (address, profile)),
        jwt_lifetime: args.jwt_lifetime,
        jwt_issuer: args.jwt_issuer,
        kubeconfig: args.place.shared.kubeconfig.clone(),
        service_accounts: args.service_accounts.then_some(
            service_account::ServiceAccountSettings {
                audience: args.service_account_audience,
                check_pod: !args.no_pod_check,
            },
        ),
        readiness: args.readiness,
        limits: ConnectionLimits {
            connections: args.max_connections,
            per_address: args.max_connections_per_address,
            idle: args.idle_timeout,
        },
        issue_rate: PerMinute(args.issue_rate.unwrap_or(needed.max(10))),
        global_issue_rate: PerMinute(args.global_issue_rate),
    })
}
