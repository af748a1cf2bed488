//! `postern-authority run`: serves until a signal stops it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use program::Misconfigured;

use super::bundle_endpoint::{BundleEndpoint, ServerProfile};
use super::publishing::publish;
use crate::attest::join_token_store::JoinTokens;
use crate::attest::registry::Registry;
use crate::attest::renewal_store::RenewalCredentials;
use crate::attest::service_account::{self, ServiceAccounts};
use crate::attest::{AttestationRecords, RemoteAttestors};
use crate::ca::crl::{self, RevocationListSigner};
use crate::ca::issuance_log::IssuanceLog;
use crate::ca::jwt_svid::JwtIssuer;
use crate::ca::rate::{IssueRates, PerMinute};
use crate::ca::root_source::RootSource;
use crate::ca::signers::{self, SigningCa};
use crate::ca::token_exchange::TokenExchange;
use crate::ca::token_issuer::{IssuerUrl, TokenIssuer};
use crate::clock::wall_clock;
use crate::duration::human;
use crate::publish::bundles::BundlePublisher;
use crate::publish::federation::Federation;
use crate::serve::followed_files::FollowedFiles;
use crate::serve::issue::Authority;
use crate::serve::metrics::{CountedStore, Metrics};
use crate::serve::readiness;
use crate::serve::server::{self, ConnectionLimits, Listeners, UnixSocket};
use crate::serve::upkeep::Upkeep;
use crate::store::directory::AuthorityDirectory;
use crate::store::live_value::LiveValue;
use crate::store::record::{self, IssuanceRecord};
use crate::store::{Store, kubernetes, revocations};

/// Forgotten tokens and holders are removed this often.
const CLEANING: Duration = Duration::from_secs(3600);

/// The settings of `run`.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The authority's directory.
    pub directory: AuthorityDirectory,
    /// Join tokens, renewal credentials and whatever else replicas share.
    pub store: Arc<dyn Store>,
    /// Whether other processes serve on the same state. Otherwise the
    /// directory is taken for this process alone.
    pub shared: bool,
    /// Where agents connect.
    pub listen: SocketAddr,
    /// Where local agents connect.
    pub unix: Option<PathBuf>,
    /// Who local agents are, and who has DNS names.
    pub registry: Option<PathBuf>,
    /// How long a leaf lives.
    pub leaf_lifetime: Duration,
    /// How long a renewal credential is good for without use.
    pub credential_lifetime: Duration,
    /// How long a JWT-SVID is good.
    pub jwt_lifetime: Duration,
    /// As whom JWT-SVIDs and internal tokens are signed, for verifiers outside; none: JWT-SVIDs name no issuer, and
    /// internal tokens name the trust domain.
    pub jwt_issuer: Option<IssuerUrl>,
    /// Which other trust domains are believed.
    pub federation: Option<PathBuf>,
    /// Where other trust domains fetch our bundle, and how we prove ourselves there.
    pub bundle_endpoint: Option<(SocketAddr, ServerProfile)>,
    /// Where Kubernetes is, when it is not around us.
    pub kubeconfig: Option<PathBuf>,
    /// How service-account tokens are judged; none: they are not taken.
    pub service_accounts: Option<service_account::ServiceAccountSettings>,
    /// Where `/ready`, `/live` and `/metrics` are served; none: nowhere.
    pub readiness: Option<SocketAddr>,
    /// How many connections.
    pub limits: ConnectionLimits,
    /// The root's key, when `run` may use it to renew the intermediate.
    pub root_key: Option<RootSource>,
    /// Where the issuance log is; none writes none.
    pub issuance_log: Option<PathBuf>,
    /// Certificates a minute for one instance.
    pub issue_rate: PerMinute,
    /// Certificates a minute in all.
    pub global_issue_rate: PerMinute,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Everything that keeps it from starting.
pub async fn run(mut settings: RunSettings) -> anyhow::Result<()> {
    // A mounted Secret cannot hold a lock file; its state is elsewhere.
    let in_files = !settings.directory.is_secret();
    let _served_by_us = in_files.then(|| settings.directory.lock(settings.shared)).transpose()?;
    let metrics = Metrics::new()?;
    settings.store = Arc::new(CountedStore::new(Arc::clone(&settings.store), &metrics));
    let mut authority = load(&settings)?;
    authority.metrics = metrics;
    authority.remote.service_accounts = service_accounts(&settings, &authority).await?;
    let authority = Arc::new(authority);
    allow_descriptors(settings.limits.connections)?;
    authority.ca.now().ready(wall_clock())?;
    let tcp = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen at {}", settings.listen))?;
    let unix = settings.unix.as_deref().map(UnixSocket::bind).transpose()?;
    let stop = CancellationToken::new();
    program::stop_on_signal(stop.clone())?;
    tokio::spawn(clean(Arc::clone(&authority), settings.clone(), stop.clone()));
    let files = FollowedFiles::new(settings.directory.clone(), settings.registry.clone());
    tokio::spawn(files.follow(Arc::clone(&authority), stop.clone()));
    let mut upkeep = Upkeep::new(&settings, Arc::clone(&authority));
    let upkeep = tokio::task::spawn_blocking(move || {
        upkeep.look(wall_clock());
        upkeep
    })
    .await?;
    federate(&authority, &settings, &stop).await?;
    // Before the first agent asks: no roots without the revocation lists that go with them.
    publish(&authority, wall_clock())?;
    if let Some(address) = settings.readiness {
        let address = readiness::start(address, Arc::clone(&authority), stop.clone()).await?;
        tracing::info!(%address, "answering probes");
    }
    let upkeep = tokio::spawn(upkeep.keep_up(stop.clone()));
    log_start(&authority, &settings, tcp.local_addr()?);
    server::serve(authority, Listeners { tcp, unix }, settings.limits, stop.clone()).await?;
    stop.cancel();
    // The last leaves are recorded before we go; a failure was logged.
    let _ = upkeep.await;
    tracing::info!("stopped");
    Ok(())
}

/// The client of the API server, where service accounts are believed.
///
/// # Errors
/// Outside of a cluster without `kubeconfig`.
pub async fn service_accounts(
    settings: &RunSettings,
    authority: &Authority,
) -> anyhow::Result<Option<ServiceAccounts>> {
    let Some(accounts) = settings.service_accounts.clone() else { return Ok(None) };
    let client = kubernetes::client(settings.kubeconfig.as_deref()).await.map_err(Misconfigured)?;
    let trust_domain = authority.ca.now().trust_domain().clone();
    Ok(Some(ServiceAccounts::new(client, accounts, trust_domain)))
}

/// Every connection is a descriptor; shells hand on 1024 of them however many are allowed.
fn allow_descriptors(connections: usize) -> anyhow::Result<()> {
    let wanted = u64::try_from(connections)?.saturating_mul(2).saturating_add(256);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard)?;
    }
    if hard < wanted {
        tracing::warn!(
            allowed = hard,
            wanted,
            "too few file descriptors are allowed for --max-connections"
        );
    }
    Ok(())
}

/// Reads everything that `run` needs from its directory.
///
/// # Errors
/// Files that are missing, unreadable, or do not belong together.
pub fn load(settings: &RunSettings) -> anyhow::Result<Authority> {
    let ca = SigningCa::load(&settings.directory)?;
    let registry = match &settings.registry {
        Some(path) => Registry::load(path, ca.trust_domain()).map_err(Misconfigured)?,
        None => Registry::default(),
    };
    let credential_lifetime = settings.credential_lifetime.as_secs();
    let records = Arc::new(AttestationRecords {
        tokens: JoinTokens::new(Arc::clone(&settings.store)),
        credentials: RenewalCredentials::new(Arc::clone(&settings.store), credential_lifetime),
        registry: LiveValue::new(registry),
    });
    let leaf_lifetime = settings.leaf_lifetime.as_secs();
    let record = IssuanceRecord::new(Arc::clone(&settings.store), leaf_lifetime, wall_clock());
    let log = settings.issuance_log.as_deref();
    let log = log.map(|path| IssuanceLog::start(path, record.replica())).transpose()?;
    let rates = Mutex::new(IssueRates::new(settings.issue_rate, settings.global_issue_rate));
    let publisher = BundlePublisher::open(Arc::clone(&settings.store), ca.bundle(), wall_clock())?;
    let url = settings.jwt_issuer.clone();
    let issuer = TokenIssuer::new(ca.trust_domain().clone(), url.clone());
    let ca = Arc::new(LiveValue::new(ca));
    Ok(Authority {
        publisher: Arc::new(publisher),
        jwt: JwtIssuer::new(settings.jwt_lifetime, url),
        exchange: TokenExchange::new(issuer),
        ca,
        records,
        remote: RemoteAttestors::default(),
        rates,
        leaf_lifetime,
        record: Arc::new(record),
        crls: RevocationListSigner::default(),
        metrics: Metrics::new()?,
        log,
    })
}

/// Takes up the bundles of others, and serves ours to them.
async fn federate(
    authority: &Arc<Authority>,
    settings: &RunSettings,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if let Some(file) = &settings.federation {
        let folder = settings.directory.federation();
        let federation = Federation::open(
            file,
            folder,
            Arc::clone(&authority.ca),
            Arc::clone(&authority.publisher),
        )?;
        tokio::spawn(federation.run(stop.clone()));
    }
    if let Some((address, profile)) = &settings.bundle_endpoint {
        let endpoint =
            BundleEndpoint::new(profile, Arc::clone(authority)).map_err(Misconfigured)?;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address} (--bundle-endpoint)"))?;
        tracing::info!(listen = %listener.local_addr()?, "serving our bundle to other trust domains");
        tokio::spawn(endpoint.serve(listener, stop.clone()));
    }
    Ok(())
}

fn log_start(authority: &Authority, settings: &RunSettings, listen: SocketAddr) {
    let ca = authority.ca.now();
    tracing::info!(
        trust_domain = %ca.trust_domain(),
        %listen,
        unix = settings.unix.as_ref().map(|path| path.display().to_string()),
        leaf_lifetime = human(authority.leaf_lifetime),
        intermediate_expires = signers::readable(ca.not_after()),
        "serving"
    );
}

async fn clean(authority: Arc<Authority>, settings: RunSettings, stop: CancellationToken) {
    let mut tick = tokio::time::interval(CLEANING);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let (authority, settings) = (Arc::clone(&authority), settings.clone());
        let cleaning = tokio::task::spawn_blocking(move || {
            let (now, store) = (wall_clock(), settings.store.as_ref());
            record::remove_expired(store, now)?;
            revocations::remove_expired(store, now)?;
            crl::remove_former(&settings.directory, SystemTime::now())?;
            authority.records.tokens.remove_expired(now)?;
            authority.records.credentials.remove_expired(now)
        });
        if let Ok(Err(error)) = cleaning.await {
            tracing::warn!(%error, "cannot remove what has expired");
        }
    }
}
