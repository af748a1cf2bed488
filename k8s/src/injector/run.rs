//! `postern-k8s injector`: puts the pieces together.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::certificate::ServingCertificate;
use super::metrics::{InjectorPages, Metrics};
use super::namespaces::NamespaceCache;
use super::server::{self, Webhook};
use super::webhook_configuration;
use crate::{inject, status_pages, workload_api};

/// The settings of the injector.
#[derive(Debug, Clone)]
pub struct InjectorSettings {
    /// What is injected.
    pub inject: inject::InjectionSettings,
    /// Where the API server calls.
    pub bind: SocketAddr,
    /// Where `/ready`, `/live` and `/metrics` are served.
    pub readiness: SocketAddr,
    /// The Workload API socket of our cert agent, `unix:///…`.
    pub workload_api: String,
    /// The name under which the API server calls us.
    pub dns_name: String,
    /// Our MutatingWebhookConfiguration.
    pub webhook_configuration: String,
}

/// Runs the injector for ever.
///
/// # Errors
/// An address in use.
pub async fn run(settings: InjectorSettings, client: Client) -> anyhow::Result<()> {
    let bind = |address: SocketAddr| async move {
        let listener = TcpListener::bind(address).await;
        listener.with_context(|| format!("cannot listen on {address}"))
    };
    let reviews = bind(settings.bind).await?;
    let readiness = bind(settings.readiness).await?;
    tracing::info!(
        reviews = %reviews.local_addr()?,
        readiness = %readiness.local_addr()?,
        "listening"
    );
    let metrics = Arc::new(Metrics::new()?);
    let (own, serving) = watch::channel(None);
    let (written, bundle_written) = watch::channel(false);
    let dns_name = settings.dns_name;
    let serve_as = move |context: &_| ServingCertificate::new(context, &dns_name);
    tokio::spawn(workload_api::follow(settings.workload_api, own, serve_as));
    tokio::spawn(webhook_configuration::keep_ca_bundle(
        client.clone(),
        settings.webhook_configuration,
        serving.clone(),
        written,
    ));
    let pages =
        InjectorPages { metrics: metrics.clone(), serving: serving.clone(), bundle_written };
    tokio::spawn(status_pages::serve(readiness, pages));
    let webhook = Webhook::new(settings.inject, Some(NamespaceCache::new(client)), metrics);
    server::serve(reviews, serving, Arc::new(webhook)).await;
    Ok(())
}
