//! Puts the pieces together.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::credentials::OwnCredentials;
use super::gateways::reconcile;
use super::index::{Index, IndexSettings};
use super::leader;
use super::server;
use super::shared::Shared;
use super::status_pages::ControllerPages;
use super::watch as watches;
use crate::inject::InjectionSettings;
use crate::{status_pages, workload_api};

/// The settings of the controller.
#[derive(Debug, Clone)]
pub struct ControllerSettings {
    /// Root namespace, cluster domain, trust domain.
    pub index: IndexSettings,
    /// Where proxies connect.
    pub bind: SocketAddr,
    /// Where `/ready`, `/live` and `/metrics` are served.
    pub readiness: SocketAddr,
    /// Where the same, `/status` and `/dashboard` are served: loopback.
    pub admin: SocketAddr,
    /// The Workload API socket of our cert agent, `unix:///…`.
    pub workload_api: String,
    /// What runs gateways; `None` where there are to be none.
    pub gateways: Option<InjectionSettings>,
    /// The namespace of the Lease.
    pub lease_namespace: String,
    /// Our name among the candidates, unique among the replicas.
    pub lease_holder: String,
}

/// Runs the controller until `ended` is cancelled.
///
/// # Errors
/// An address in use.
pub async fn run(
    settings: ControllerSettings,
    client: Client,
    ended: CancellationToken,
) -> anyhow::Result<()> {
    let bind = |address: SocketAddr| async move {
        let listener = TcpListener::bind(address).await;
        listener.with_context(|| format!("cannot listen on {address}"))
    };
    let proxies = bind(settings.bind).await?;
    let readiness = bind(settings.readiness).await?;
    let admin = bind(settings.admin).await?;
    tracing::info!(
        proxies = %proxies.local_addr()?,
        readiness = %readiness.local_addr()?,
        admin = %admin.local_addr()?,
        "listening"
    );
    let shared = Arc::new(Shared::new(Index::new(settings.index)));
    let (own, credentials) = watch::channel(None);
    let (leading, leads) = watch::channel(false);
    tokio::spawn(workload_api::follow(settings.workload_api, own, OwnCredentials::new));
    tokio::spawn(watches::follow(client.clone(), shared.clone()));
    let (namespace, me) = (settings.lease_namespace, settings.lease_holder);
    let campaign = leader::campaign(client.clone(), namespace, me, leading, ended.clone());
    let campaign = tokio::spawn(campaign);
    if let Some(gateways) = settings.gateways {
        let (client, shared, leads) = (client.clone(), shared.clone(), leads.clone());
        tokio::spawn(reconcile::follow(client, shared, gateways, leads));
    }
    tokio::spawn(leader::write(client, shared.clone(), credentials.clone(), leads.clone()));
    let pages = |with_status| ControllerPages {
        shared: shared.clone(),
        credentials: credentials.clone(),
        leads: leads.clone(),
        with_status,
    };
    tokio::spawn(status_pages::serve(readiness, pages(false)));
    tokio::spawn(status_pages::serve(admin, pages(true)));
    tokio::select! {
        served = server::serve(proxies, credentials, shared.clone(), server::MAX_AGE) => served,
        // Proxies live without us and come back by themselves: only the Lease must not be waited for.
        () = ended.cancelled() => Ok(campaign.await?),
    }
}
