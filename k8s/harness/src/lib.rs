//! The controller in the process of a test, beside the stand-in of the API server: a trust domain whose root the test
//! holds, and proxies that are simulated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness is test code: a step that cannot be done ends the test with the words of what broke"
)]

pub mod certificate_files;
pub mod proxy;
pub mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_server_stand_in::ApiServer;
use identity::TrustDomain;
use k8s::controller::credentials::OwnCredentials;
use k8s::controller::index::{Index, IndexSettings};
use k8s::controller::shared::Shared;
use k8s::controller::{server, watch as watches};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use proxy::Proxy;
pub use trust::TestTrust;

/// The controller's watches and its server, in this process.
pub struct Controller {
    /// What it knows of the cluster.
    pub shared: Arc<Shared>,
    /// Where proxies connect.
    pub address: SocketAddr,
    /// Its client of the API server.
    pub client: kube::Client,
    /// Its certificate; a test that sends another one rotates it.
    pub credentials: watch::Sender<Option<Arc<OwnCredentials>>>,
}

/// The settings of the harness: `cluster.local`, with `postern-system` as the root namespace.
///
/// # Panics
/// Never: the names are constants.
#[must_use]
pub fn settings() -> IndexSettings {
    IndexSettings {
        root_namespace: "postern-system".into(),
        cluster_domain: "cluster.local".into(),
        trust_domain: TrustDomain::parse("cluster.local").unwrap(),
        gateways: true,
    }
}

/// A client of the stand-in.
///
/// # Panics
/// The server's configuration cannot be read.
pub async fn client(api: &ApiServer) -> kube::Client {
    let file = kube::config::Kubeconfig::from_yaml(&api.kubeconfig()).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

impl Controller {
    /// Starts beside a stand-in, with the credentials of `trust`.
    pub async fn start(api: &ApiServer, trust: &TestTrust) -> Self {
        Self::with(client(api).await, trust.credentials(), server::MAX_AGE).await
    }

    /// Starts with any API server, credentials and age of connections.
    ///
    /// # Panics
    /// There is no free port.
    pub async fn with(client: kube::Client, own: Arc<OwnCredentials>, max_age: Duration) -> Self {
        let shared = Arc::new(Shared::new(Index::new(settings())));
        tokio::spawn(watches::follow(client.clone(), shared.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (credentials, own) = watch::channel(Some(own));
        tokio::spawn(server::serve(listener, own, shared.clone(), max_age));
        Self { shared, address, client, credentials }
    }

    /// Waits until everything is listed.
    ///
    /// # Panics
    /// It takes longer than three minutes.
    pub async fn synced(&self) {
        // Ten thousand objects of each kind take their time on a busy machine.
        let begun = Instant::now();
        let unknown = || self.shared.unknown_kind().or_else(|| self.shared.unknown_gateway_kind());
        while let Some(kind) = unknown() {
            assert!(begun.elapsed() < Duration::from_secs(180), "{kind:?} is not listed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits until it is so.
///
/// # Panics
/// It takes longer than 20 seconds.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
