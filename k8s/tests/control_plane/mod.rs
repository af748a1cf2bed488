//! A trust domain, a controller beside the fake API server, and a simulated proxy.

pub mod objects;
pub mod proxy;
pub mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::TrustDomain;
use k8s::controller::credentials::OwnCredentials;
use k8s::controller::index::{Index, IndexSettings};
use k8s::controller::shared::Shared;
use k8s::controller::{server, watch as watches};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use proxy::Proxy;
pub use trust::TestTrust;

use crate::fake_api::FakeApi;

/// The controller's watches and its server, in this process.
pub struct Controller {
    pub shared: Arc<Shared>,
    pub address: SocketAddr,
    pub client: kube::Client,
    pub credentials: watch::Sender<Option<Arc<OwnCredentials>>>,
}

pub fn settings() -> IndexSettings {
    IndexSettings {
        root_namespace: "postern-system".into(),
        cluster_domain: "cluster.local".into(),
        trust_domain: TrustDomain::parse("cluster.local").unwrap(),
    }
}

pub async fn client(api: &FakeApi) -> kube::Client {
    let file = kube::config::Kubeconfig::from_yaml(&api.kubeconfig()).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

impl Controller {
    pub async fn start(api: &FakeApi, trust: &TestTrust) -> Self {
        Self::with(client(api).await, trust.credentials(), server::MAX_AGE).await
    }

    /// With any API server, credentials and age of connections.
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
    pub async fn synced(&self) {
        // Ten thousand objects of each kind take their time on a busy machine.
        let begun = Instant::now();
        while let Some(kind) = self.shared.unknown_kind() {
            assert!(begun.elapsed() < Duration::from_secs(180), "{kind:?} is not listed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits until it is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
