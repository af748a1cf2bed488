//! `postern-authority run`: serves until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::program::Misconfigured;

use super::attest::{Records, Remote};
use super::ca::{self, SigningCa};
use super::directory::Directory;
use super::duration::human;
use super::follow::{Followed, Live};
use super::issue::Authority;
use super::join_token::JoinTokens;
use super::rate::{PerMinute, Rates};
use super::registry::Registry;
use super::renewal::Credentials;
use super::server::{self, Listeners, UnixSocket};
use super::service::wall_clock;
use super::store::Store;

/// Forgotten tokens and holders are removed this often.
const CLEANING: Duration = Duration::from_secs(3600);

/// The settings of `run`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The authority's directory.
    pub directory: Directory,
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
    /// Certificates a minute for one instance.
    pub issue_rate: PerMinute,
    /// Certificates a minute in all.
    pub global_issue_rate: PerMinute,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Everything that keeps it from starting.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let _served_by_us = settings.directory.lock(settings.shared)?;
    let authority = Arc::new(load(&settings)?);
    authority.ca.now().ready(wall_clock())?;
    let tcp = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen at {}", settings.listen))?;
    let unix = settings.unix.as_deref().map(UnixSocket::bind).transpose()?;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    tokio::spawn(clean(Arc::clone(&authority), stop.clone()));
    let files = Followed::new(settings.directory.clone(), settings.registry.clone());
    tokio::spawn(files.follow(Arc::clone(&authority), stop.clone()));
    log_start(&authority, &settings, tcp.local_addr()?);
    server::serve(authority, Listeners { tcp, unix }, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Reads everything that `run` needs from its directory.
///
/// # Errors
/// Files that are missing, unreadable, or do not belong together.
pub fn load(settings: &Settings) -> anyhow::Result<Authority> {
    let ca = SigningCa::load(&settings.directory)?;
    let registry = match &settings.registry {
        Some(path) => Registry::load(path, ca.trust_domain()).map_err(Misconfigured)?,
        None => Registry::default(),
    };
    let credential_lifetime = settings.credential_lifetime.as_secs();
    let records = Arc::new(Records {
        tokens: JoinTokens::new(Arc::clone(&settings.store)),
        credentials: Credentials::new(Arc::clone(&settings.store), credential_lifetime),
        registry: Live::new(registry),
    });
    let rates = Mutex::new(Rates::new(settings.issue_rate, settings.global_issue_rate));
    Ok(Authority {
        ca: Live::new(ca),
        records,
        remote: Remote::default(),
        rates,
        leaf_lifetime: settings.leaf_lifetime.as_secs(),
    })
}

fn log_start(authority: &Authority, settings: &Settings, listen: SocketAddr) {
    let ca = authority.ca.now();
    let left = ca.not_after().saturating_sub(wall_clock());
    tracing::info!(
        trust_domain = %ca.trust_domain(),
        %listen,
        unix = settings.unix.as_ref().map(|path| path.display().to_string()),
        leaf_lifetime = human(authority.leaf_lifetime),
        intermediate_expires = ca::readable(ca.not_after()),
        "serving"
    );
    if left < 7 * 86_400 {
        tracing::warn!(
            left = human(left),
            "the intermediate expires soon; run `renew-intermediate`"
        );
    }
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
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

async fn clean(authority: Arc<Authority>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(CLEANING);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let authority = Arc::clone(&authority);
        let cleaning = tokio::task::spawn_blocking(move || {
            let now = wall_clock();
            authority.records.tokens.remove_expired(now)?;
            authority.records.credentials.remove_expired(now)
        });
        if let Ok(Err(error)) = cleaning.await {
            tracing::warn!(%error, "cannot remove what has expired");
        }
    }
}
